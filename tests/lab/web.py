"""Stand-in sites: one HTTP and one HTTPS listener for every address of the internet side.

A site is a name and a function. Which site answers is decided by the Host header; every request is remembered
first, whoever it was for, with the address it was sent to.
"""
import re
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler


class Request:
    """One request as it arrived. Handlers answer with text(), json(), raw() or write their own stream."""

    def __init__(self, handler, body):
        self._handler = handler
        self.method, self.path = handler.command, handler.path
        self.headers = handler.headers
        self.header_list = list(handler.headers.items())
        self.host = re.sub(r":\d+$", "", handler.headers.get("Host") or "").lower()
        self.body = body
        self.address = handler.local_address
        self.peer = handler.client_address
        self.tls = handler.tls

    def raw(self, status, body, kind="application/octet-stream", headers=()):
        handler = self._handler
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        if self.method != "HEAD":
            handler.wfile.write(body)

    def text(self, text, status=200, headers=()):
        self.raw(status, text.encode(), "text/plain", headers)

    def json(self, text, status=200):
        self.raw(status, text.encode(), "application/json")

    def stream(self, kind, pieces):
        """A chunked answer, each piece sent at once."""
        handler = self._handler
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in pieces:
            data = piece.encode() if isinstance(piece, str) else piece
            if data:
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                handler.wfile.flush()
        handler.wfile.write(b"0\r\n\r\n")

    def __repr__(self):
        return f"{self.method} {self.host}{self.path} at {self.address}"


class Web:
    def __init__(self, lab):
        self._lab = lab
        self._sites = {}
        self._flaws = {}
        self.requests = []
        self.recorders = {}  # address -> recorder.py, which gets its connections as they come
        self.handshakes = []  # names asked for in TLS, also where the handshake failed
        self.lock = threading.Lock()
        self._listeners = []
        v6only = [[socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1]]
        for port, tls in ((80, False), (443, True)):
            self.listen(lab.internet_socket(socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", port), 1024), tls)
            self.listen(lab.internet_socket(socket.AF_INET6, socket.SOCK_STREAM, ("::", port), 1024, v6only), tls)

    def listen(self, listener, tls):
        self._listeners.append(listener)
        threading.Thread(target=self._accept, args=(listener, tls), daemon=True).start()

    def close(self):
        for listener in self._listeners:
            listener.close()

    def site(self, name, handler, addresses=None, flaw=None):
        """Registers a site: its DNS name, its address, its certificate (with `flaw`, see ca.py)."""
        self._sites[name] = handler
        self._flaws[name] = flaw
        if addresses is None:
            addresses = [self._lab.new_address()]
        self._lab.zone.add(name, *addresses)
        return addresses[0] if addresses else None

    def forget(self):
        with self.lock:
            self.requests.clear()
            self.handshakes.clear()

    def received(self, host=None, method=None, path=None):
        with self.lock:
            return [r for r in self.requests if (host is None or r.host == host)
                    and (method is None or r.method == method)
                    and (path is None or r.path.split("?")[0] == path)]

    def _accept(self, listener, tls):
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connection, args=(connection, peer, tls), daemon=True).start()

    def _connection(self, connection, peer, tls):
        try:
            connection.settimeout(120)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            address = connection.getsockname()[0]
            if recorder := self.recorders.get(address):
                return recorder.serve(connection, tls)
            if tls:
                connection = self._tls(connection, address)
            Handler(connection, peer, self, address, tls)
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            try:
                connection.close()
            except OSError:
                pass

    def _tls(self, connection, address):
        authority = self._lab.authority

        def choose(tls_socket, name, _):
            with self.lock:
                self.handshakes.append(name)
            tls_socket.context = authority.context(name or address, self._flaws.get(name))

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._default_pair())
        context.set_alpn_protocols(["http/1.1"])
        context.sni_callback = choose
        return context.wrap_socket(connection, server_side=True)

    def _default_pair(self):
        with self.lock:
            if not hasattr(self, "_pair"):
                self._lab.authority.context("default.invalid")
                self._pair = (self._lab.authority.folder + "/0.pem", self._lab.authority.folder + "/0.key")
        return self._pair

    def _handle(self, request):
        with self.lock:
            self.requests.append(request)
        handler = self._sites.get(request.host)
        if handler is None:
            request.text(f"no site called {request.host}\n", 404)
        else:
            handler(request)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "lab", ""

    def __init__(self, connection, peer, web, address, tls):
        self.web, self.local_address, self.tls = web, address, tls
        super().__init__(connection, peer, None)

    def setup(self):
        super().setup()
        self.wfile = self.connection.makefile("wb", buffering=1 << 16)

    def log_message(self, *_):
        pass

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline() not in (b"\r\n", b"\n", b""):
                pass
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self):
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
            self.wfile.flush()
        self.web._handle(Request(self, self.read_body()))
        self.wfile.flush()

    def handle_expect_100(self):
        return True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = answer
