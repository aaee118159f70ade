"""A WebSocket server on the listening socket it finds as a descriptor, by Debian's python3-websockets. Prints one line
of JSON for each handshake, message and end that reaches it.
usage: ws_server.py DESCRIPTOR [CERTIFICATE KEY]"""
import asyncio
import http
import json
import socket
import ssl
import sys
import time

import websockets


def seen(**what):
    print(json.dumps({"time": time.monotonic(), **what}), flush=True)


async def handshake(path, headers):
    seen(path=path, headers={name.lower(): value for name, value in headers.raw_items()})
    if path == "/refuse":
        return http.HTTPStatus.FORBIDDEN, [("content-type", "text/plain"), ("set-cookie", "a=b")], b"not you\n"
    return None


async def serve(ws, path):
    try:
        if path == "/fragments":
            async def parts():
                for part in ("one ", "two ", "", "three"):
                    yield part
            await ws.send(parts())
        elif path == "/secret":
            key = ws.request_headers["Authorization"]
            async def split():
                yield "it is " + key[:12]
                for character in key[12:]:
                    yield character
                yield " indeed"
            await ws.send(split())
            await ws.send(key.encode())
            pong = await ws.ping(key.split()[-1])
            pong.add_done_callback(lambda future: future.exception())  # the connection may end first
            await ws.close(4001, key.split()[-1])
        elif path == "/close":
            await ws.close(4321, "bye")
        elif path == "/large":
            await ws.send(b"x" * 10_000_000)
        elif path == "/flow":
            for n in range(100_000):
                await ws.send("word %d" % n)
                await asyncio.sleep(0.02)
        async for message in ws:
            seen(path=path, kind=type(message).__name__, size=len(message),
                 start=message[:40] if isinstance(message, str) else message[:40].hex())
            if path not in ("/wait", "/flow"):
                await ws.send(message)
    except websockets.ConnectionClosed:
        pass
    finally:
        seen(path=path, end=ws.close_code, reason=ws.close_reason)


async def main():
    descriptor, *pair = sys.argv[1:]
    context = None
    if pair:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*pair)
        context.set_alpn_protocols(["h2", "http/1.1"])  # a server of both; only one is a WebSocket's
    async with websockets.serve(serve, sock=socket.socket(fileno=int(descriptor)), ssl=context, max_size=None,
                                process_request=handshake, subprotocols=["chat.v2", "chat.v1"], ping_interval=None):
        await asyncio.Future()

asyncio.run(main())
