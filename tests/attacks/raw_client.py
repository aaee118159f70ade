"""Carries out prepared attacks, one connection each; copied into the workspace and run there.

usage: raw_client.py FILE.json. Each case is an object: `to` [HOST, PORT], `via` (a list of steps before the TLS: text to
send to the proxy port, or ["socks", NAME, PORT]), `sni` (null: no TLS), `alpn`, `send` (texts, latin-1; a number waits that many
seconds, {"ends": true} closes our half), `wait` (seconds for the answer), `answers` (how many are awaited). {TOKEN} in a text is what $API_KEY holds here.
Prints a JSON list: for each the answer's beginning, or how the connection ended.
"""
import json
import os
import re
import socket
import ssl
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor

TOKEN = os.environ.get("API_KEY", "no-token")
PROXY = ("127.0.0.1", 3128)


def text(words):
    return words.replace("{TOKEN}", TOKEN).encode("latin-1")


def socks(stream, name, port):
    stream.sendall(b"\x05\x01\x00")
    if stream.recv(2) != b"\x05\x00":
        raise OSError("socks: no such method")
    name = name.encode("latin-1")
    stream.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + struct.pack("!H", port))
    reply = stream.recv(10)
    if len(reply) < 2 or reply[1] != 0:
        raise OSError(f"socks: {reply[1] if len(reply) > 1 else 'closed'}")


def through_proxy(stream, step):
    if isinstance(step, list):
        return socks(stream, step[1], step[2])
    stream.sendall(text(step))
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = stream.recv(65536)
        if not part:
            raise OSError("proxy: closed")
        answer += part
    if b" 200 " not in answer.split(b"\r\n")[0]:
        raise OSError("proxy: " + answer.split(b"\r\n")[0].decode("latin-1"))


def carry_out(case):
    answer = b""
    direct = "via" not in case or os.environ.get("NO_PROXY_PORT")
    with socket.create_connection(tuple(case["to"]) if direct else PROXY, 10) as plain:
        plain.settimeout(10)
        for step in [] if direct else case["via"]:
            through_proxy(plain, step)
        stream = plain
        if case.get("sni") is not None:
            context = ssl.create_default_context()
            if case.get("alpn"):
                context.set_alpn_protocols(case["alpn"])
            context.check_hostname = False
            stream = context.wrap_socket(plain, server_hostname=case["sni"] or None)
        stream.settimeout(case.get("wait", 10))
        try:
            for part in case["send"]:
                if isinstance(part, (int, float)):
                    time.sleep(part)
                elif isinstance(part, dict):
                    plain.shutdown(socket.SHUT_WR)
                else:
                    stream.sendall(text(part))
        except OSError as error:  # it may have been answered before we were through
            answer = f"cut: {type(error).__name__} ".encode()
        try:
            while not complete(answer, case.get("answers", 1)) and (part := stream.recv(65536)):
                answer += part
        except socket.timeout:
            answer += b"" if answer else b"silence"
        except OSError as error:
            answer += b"" if answer else f"end: {type(error).__name__}".encode()
        stream.close()
    return answer


def complete(answer, wanted):
    """Has that many answers, each as long as it says?"""
    for _ in range(wanted):
        head, end, answer = answer.partition(b"\r\n\r\n")
        if not end or len(answer) > 1 << 20:
            return bool(end)
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        if not length or len(answer) < int(length[1]):
            return False
        answer = answer[int(length[1]):]
    return True


def one(case):
    try:
        return carry_out(case).decode("latin-1")[:4000]
    except (OSError, ValueError, UnicodeError) as error:
        return f"error: {type(error).__name__} {error}"


with ThreadPoolExecutor(16) as pool:
    print(json.dumps(list(pool.map(one, json.load(open(sys.argv[1]))))))
