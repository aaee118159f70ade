"""A stand-in for a PostgreSQL server, as far as psql needs one: TLS, a password, and one row in answer to every query."""
import socket
import struct

from lab.listener import Listener

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
PASSWORD_IN_CLEAR, AUTHENTICATED = 3, 0
TEXT = 25  # the type's number


class Server:
    def __init__(self, case, host, port, answer):
        self.lab, self.host, self.answer = case.lab, host, answer
        self.heard = []  # (user, password, query)
        self.address = case.lab.new_address()
        case.lab.zone.add(host, self.address)
        listener = case.lab.internet_socket(socket.AF_INET, socket.SOCK_STREAM, (self.address, port), 16)
        case.addCleanup(Listener(listener, self.serve).close)

    def serve(self, connection):
        connection.settimeout(30)
        try:
            while (code := struct.unpack("!I", (body := packet(connection))[:4])[0]) in (SSL_REQUEST, GSS_REQUEST):
                connection.sendall(b"S" if code == SSL_REQUEST else b"N")
                if code == SSL_REQUEST:
                    connection = self.lab.authority.context(self.host).wrap_socket(connection, server_side=True)
            words = body[4:].split(b"\0")
            user = dict(zip(words[::2], words[1::2]))[b"user"].decode()
            connection.sendall(message(b"R", struct.pack("!I", PASSWORD_IN_CLEAR)))
            read(connection, 1)
            password = packet(connection).rstrip(b"\0").decode()
            connection.sendall(message(b"R", struct.pack("!I", AUTHENTICATED)) + message(b"S", b"client_encoding\0UTF8\0") +
                               message(b"S", b"server_version\0" b"15.0\0") + message(b"Z", b"I"))
            while read(connection, 1) == b"Q":
                self.heard.append((user, password, packet(connection).rstrip(b"\0").decode()))
                column = b"answer\0" + struct.pack("!IHIhIH", 0, 0, TEXT, -1, 0xffffffff, 0)
                row = struct.pack("!HI", 1, len(self.answer)) + self.answer.encode()
                connection.sendall(message(b"T", struct.pack("!H", 1) + column) + message(b"D", row) +
                                   message(b"C", b"SELECT 1\0") + message(b"Z", b"I"))
        except OSError:
            pass
        finally:
            connection.close()


def read(connection, size):
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionError
        data += piece
    return data


def packet(connection):
    return read(connection, struct.unpack("!I", read(connection, 4))[0] - 4)


def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body
