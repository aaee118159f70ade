"""Speaks WebSocket as it likes, one connection a case; copied into the workspace and run there.

usage: raw_ws.py HOST PORT FILE.json: a list of cases, each an object with
  "path"     of the opening request, /echo where there is none
  "fields"   lines of its head beside Host, in place of the usual ones
  "tls"      false: without
  "frames"   hex that is sent once the answer is there
Prints a JSON list of what came back: {"status", "head", "frames": hex, "error"}.
"""
import json
import socket
import ssl
import sys

host, port, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
USUAL = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]


def run(case):
    out = {"status": None, "head": "", "frames": "", "error": None}
    data = b""
    try:
        with socket.create_connection((host, port), 5) as plain:
            stream = plain
            if case.get("tls", True):
                stream = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
            stream.settimeout(case.get("patience", 5))
            start = case.get("start", "GET " + case.get("path", "/echo") + " HTTP/1.1")
            head = [start, f"Host: {host}:{port}" if port not in (80, 443) else f"Host: {host}"]
            stream.sendall("\r\n".join([*head, *case.get("fields", USUAL), "", ""]).encode("latin-1"))
            if case.get("early"):
                stream.sendall(bytes.fromhex(case["frames"]))
            while b"\r\n\r\n" not in data:
                got = stream.recv(65536)
                if not got:
                    break
                data += got
            if not case.get("early"):
                stream.sendall(bytes.fromhex(case.get("frames", "")))
            while True:
                got = stream.recv(65536)
                if not got:
                    break
                data += got
    except OSError as error:
        out["error"] = str(error)
    head, _, rest = data.partition(b"\r\n\r\n")
    out["head"] = head.decode("latin-1")
    words = out["head"].split(" ")
    out["status"] = int(words[1]) if len(words) > 1 and words[1].isdigit() else None
    out["frames"] = rest.hex()
    return out


with open(name) as file:
    print(json.dumps([run(case) for case in json.load(file)]))
