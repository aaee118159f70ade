"""A site that writes down every byte it is sent, whatever it means, and answers as it is told to."""
import ssl
import threading

PLAIN_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


class Recorder:
    """Has an address of its own, with TLS on 443 and without on 80, for `names`.

    `heard` holds, for each connection, the bytes that came on it. `answers` maps a part of a request's bytes to what to
    send when it has come: bytes, or a function that gets the connection.
    """

    def __init__(self, lab, *names):
        self.heard, self.names, self.answers = [], [], {}
        self.lock = threading.Lock()
        self.address = lab.new_address()
        self._lab, self._name = lab, names[0]
        for name in names:
            lab.zone.add(name, self.address)
        lab.web.recorders[self.address] = self

    def close(self):
        del self._lab.web.recorders[self.address]

    def everything(self):
        with self.lock:
            return b"\n".join(bytes(one) for one in self.heard)

    def with_(self, marker):
        """The connections on which it came."""
        with self.lock:
            return [bytes(one) for one in self.heard if marker in one]

    def forget(self):
        with self.lock:
            self.heard, self.names = [], []

    def _context(self):
        def choose(stream, name, _):
            with self.lock:
                self.names.append(name)
            stream.context = self._lab.authority.context(name or self._name)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._lab.authority.pair(self._name))
        context.sni_callback = choose
        return context

    def serve(self, connection, tls):
        heard = bytearray()
        try:
            connection.settimeout(60)
            if tls:
                connection = self._context().wrap_socket(connection, server_side=True)
            with self.lock:
                self.heard.append(heard)
            waiting = b""  # what has not been answered
            while part := connection.recv(65536):
                with self.lock:
                    heard += part
                waiting += part
                if b"\r\n\r\n" not in waiting:
                    continue
                answer = next((a for marker, a in self.answers.items() if marker in waiting), PLAIN_ANSWER)
                waiting = b""
                if callable(answer):
                    answer(connection)
                    return
                connection.sendall(answer)
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            connection.close()
