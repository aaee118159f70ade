"""A stand-in for a company's proxy on the internet side: CONNECT with Basic authorization, every request remembered."""
import base64
import socket
import threading

from .listener import Listener


class Proxy:
    """At `address`, which may be private. With `password`, only for that user. `lies`: sent in place of an answer."""

    def __init__(self, lab, address="10.9.8.7", port=3128, user="labu", password=None, lies=None, tls=None):
        self._lab, self.address, self.port, self.tls = lab, address, port, tls
        self.password, self.user, self.lies = password, user, lies
        self.asked = []  # (authority, the Proxy-Authorization or None)
        self.lock = threading.Lock()
        self.close = Listener(lab.internet_socket(socket.AF_INET, socket.SOCK_STREAM, (address, port), 64), self._serve).close

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{self.address}:{self.port}"

    def authorities(self):
        with self.lock:
            return [authority for authority, _ in self.asked]

    def _serve(self, connection):
        try:
            connection.settimeout(60)
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection:
                self._one(connection)
        except (OSError, ValueError):
            pass

    def _one(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(4096)
            if not part:
                return
            head += part
        lines = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, authority, _ = lines[0].split(" ")
        fields = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
        with self.lock:
            self.asked.append((authority, fields.get("proxy-authorization")))
        if method != "CONNECT":
            connection.sendall(b"HTTP/1.1 405 Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        if self.lies is not None:
            connection.sendall(self.lies)
            return
        if self.password is not None:
            wanted = "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            if fields.get("proxy-authorization") != wanted:
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                                   b"Proxy-Authenticate: Basic realm=\"corp\"\r\nContent-Length: 0\r\n\r\n")
                return
        host, port = authority.rsplit(":", 1)
        host = host.strip("[]")
        if not host.replace(".", "").isdigit() and ":" not in host:
            host = self._lab.zone.names[host.lower()][0]
        v6 = ":" in host
        other = self._lab.internet_socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_STREAM,
                                          ("::" if v6 else "0.0.0.0", 0))
        with other:
            other.settimeout(60)
            other.connect((host, int(port)))
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            up = threading.Thread(target=carry, args=(connection, other), daemon=True)
            up.start()
            carry(other, connection)
            up.join(60)


def carry(source, target):
    try:
        while part := source.recv(65536):
            target.sendall(part)
    except OSError:
        pass
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
