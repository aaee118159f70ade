"""Sends one ClientHello in an odd manner and goes on with the handshake where that is possible; copied into the workspace.

usage: raw_hello.py MANNER NAME CONNECT_TO. Manners: whole, bytes (one a segment), records (ten bytes each), tiny (one byte a
record), large (over 16 KB), ech (with an encrypted ClientHello that nobody can read), two (the SNI twice), late (records in between).
Prints the answer to one request, or what came in place of one.
"""
import os
import socket
import ssl
import struct
import sys
import time

manner, name, target = sys.argv[1:]


def with_extension(record, kind, content):
    """The same hello with one more extension."""
    hello = record[9:]
    at = 2 + 32
    at += 1 + hello[at]
    at += 2 + struct.unpack_from("!H", hello, at)[0]
    at += 1 + hello[at]
    (size,) = struct.unpack_from("!H", hello, at)
    extensions = hello[at + 2:at + 2 + size] + struct.pack("!HH", kind, len(content)) + content
    hello = hello[:at] + struct.pack("!H", len(extensions)) + extensions
    message = b"\x01" + struct.pack("!I", len(hello))[1:] + hello
    return b"\x16\x03\x01" + struct.pack("!H", len(message)) + message


def pieces(record):
    body = record[5:]
    record_of = lambda part: b"\x16\x03\x01" + struct.pack("!H", len(part)) + part
    if manner == "bytes":
        return [record[i:i + 1] for i in range(len(record))]
    if manner == "records":
        return [b"".join(record_of(body[i:i + 10]) for i in range(0, len(body), 10))]
    if manner == "tiny":
        return [b"".join(record_of(body[i:i + 1]) for i in range(len(body)))]
    if manner == "ech":
        return [with_extension(record, 0xFE0D, b"\x00\x00\x01\x00\x01\x07\x00\x20" + os.urandom(32) + b"\x00\x90" + os.urandom(144))]
    if manner == "two":
        sni = name.encode()
        return [with_extension(record, 0, struct.pack("!HBH", len(sni) + 3, 0, len(sni)) + sni)]
    if manner == "late":
        return [record[:40], 2, record[40:]]
    return [record]


context = ssl.create_default_context()
context.check_hostname = False
if manner == "large":
    context.set_alpn_protocols(["http/1.1", *("x" * 250 + str(i) for i in range(80))])
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
stream = context.wrap_bio(incoming, outgoing, server_hostname=name)
with socket.create_connection((target, 443), 10) as plain:
    plain.settimeout(8)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def pump(step):
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                done = None
            if waiting := outgoing.read():
                plain.sendall(waiting)
            if done is not None:
                return done
            part = plain.recv(65536)
            if not part:
                incoming.write_eof()
            incoming.write(part)

    try:
        try:
            stream.do_handshake()
        except ssl.SSLWantReadError:
            pass
        for piece in pieces(outgoing.read()):
            if isinstance(piece, int):
                time.sleep(piece)
            else:
                plain.sendall(piece)
        if manner in ("ech", "two"):
            first = plain.recv(6)
            print({0x16: "hello", 0x15: "alert"}.get(first[0] if first else 0, "closed"))
            sys.exit()
        pump(lambda: stream.do_handshake() or True)
        pump(lambda: stream.write(f"GET /{manner} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()))
        print(pump(lambda: stream.read(65536)).decode("latin-1").split("\r\n")[0])
    except OSError as error:
        print("refused", type(error).__name__)
