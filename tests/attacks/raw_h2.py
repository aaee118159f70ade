"""Speaks HTTP/2 as it likes, one TLS connection a case; copied into the workspace and run there.

usage: raw_h2.py HOST PORT FILE.json: a list of cases, each an object with one of
  "headers"  a list of [name, value]: one HEADERS frame with END_STREAM, exactly these fields
  "flood"    the name of a flood below
Prints a JSON list of what came back: {"status", "body", "reset", "goaway", "alpn"}, what there was of it.
"""
import json
import socket
import ssl
import struct
import sys

from hpack import Decoder, Encoder

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4
host, port, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context()
context.set_alpn_protocols(["h2"])


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def block(fields):
    return Encoder().encode([tuple(field) for field in fields], huffman=False)


def good(stream):
    return frame(HEADERS, END_HEADERS | END_STREAM, stream,
                 block([(":method", "GET"), (":scheme", "https"), (":authority", f"{host}:{port}"), (":path", "/flood")]))


FLOODS = {
    "ping": lambda: (frame(PING, 0, 0, b"12345678") for _ in range(20000)),
    "settings": lambda: (frame(SETTINGS, 0, 0) for _ in range(20000)),
    "priority": lambda: (frame(PRIORITY, 0, 2 * i + 1, b"\0\0\0\0\1") for i in range(20000)),
    "window": lambda: (frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1") for _ in range(20000)),
    "reset": lambda: (good(2 * i + 1) + frame(RST_STREAM, 0, 2 * i + 1, b"\0\0\0\x08") for i in range(5000)),
    "continuation": lambda: (frame(HEADERS, END_STREAM, 1) if i == 0 else frame(CONTINUATION, 0, 1, b"\0\1a\1b")
                             for i in range(20000)),
    "empty": lambda: (frame(HEADERS, END_HEADERS, 1, block(
        [(":method", "POST"), (":scheme", "https"), (":authority", f"{host}:{port}"), (":path", "/flood")]))
        if i == 0 else frame(DATA, 0, 1) for i in range(20000)),
    "bomb": lambda: [frame(HEADERS, END_HEADERS | END_STREAM, 1,
                           b"\x40\x01z\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 12000)],
    "push": lambda: [frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block([(":method", "GET")]))],
}


def read(stream, answer, decoder):
    """Frames until the answer is whole, the connection is over, or nothing comes for a while."""
    data = b""
    while True:
        while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
            size, kind, flags = int.from_bytes(data[:3], "big"), data[3], data[4]
            payload, data = data[9:9 + size], data[9 + size:]
            if kind == HEADERS:
                answer.update(status=dict(decoder.decode(payload)).get(":status"))
            elif kind == DATA:
                answer["body"] = answer.get("body", "") + payload.decode("latin-1")
            elif kind == RST_STREAM:
                answer["reset"] = int.from_bytes(payload, "big")
            elif kind == GOAWAY:
                answer["goaway"] = int.from_bytes(payload[4:8], "big")
            if kind in (HEADERS, DATA) and flags & END_STREAM or kind == RST_STREAM:
                return
        part = stream.recv(65536)
        if not part:
            return
        data += part


def run(case):
    answer = {}
    try:
        with socket.create_connection((host, port), 10) as plain, \
                context.wrap_socket(plain, server_hostname=host) as stream:
            answer["alpn"] = stream.selected_alpn_protocol()
            stream.settimeout(3)
            stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))
            if "headers" in case:
                stream.sendall(frame(HEADERS, END_HEADERS | END_STREAM, 1, block(case["headers"])))
            else:
                try:
                    pieces = list(FLOODS[case["flood"]]())
                    for at in range(0, len(pieces), 100):
                        stream.sendall(b"".join(pieces[at:at + 100]))
                except OSError:
                    pass  # it was cut short, as it should be
            decoder = Decoder()
            if "headers" in case:
                read(stream, answer, decoder)
            else:
                while "goaway" not in answer:
                    before = dict(answer)
                    read(stream, answer, decoder)
                    if answer == before:
                        break
    except OSError as error:
        answer["error"] = str(error)
    return answer


with open(name) as file:
    cases = json.load(file)
print(json.dumps([run(case) for case in cases]))
