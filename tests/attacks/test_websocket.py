"""N17, F04, W02: WebSockets, with an ordinary client and with hostile ends. The servers behind, which record what
reaches them, are the judge."""
import base64
import hashlib
import json
import os
import shutil
import socket
import ssl
import struct
import time

from lab.listener import Listener
from standin.program import Program
from support import Case, case

HOST, PORT, PLAIN = "ws.example.com", 8443, 8080
KEY = "real-key-4d8100c2e9"
PYTHON = "/usr/bin/python3"  # Debian's, which has the packages


class Server(Program):
    """tests/standin/ws_server.py."""

    def __init__(self, test, port=PORT):
        words = test.lab.authority.pair(HOST) if port == PORT else ()
        super().__init__(test, HOST, port, [PYTHON, os.path.join(case.ROOT, "tests/standin/ws_server.py"), "{}", *words])

    handshakes = property(lambda self: [s for s in self.seen if "headers" in s])
    messages = property(lambda self: [s for s in self.seen if "kind" in s])
    ends = property(lambda self: [s for s in self.seen if "end" in s])


class Hostile:
    """Answers each opening request with what `answer(path, key)` says: bytes of a whole answer."""

    def __init__(self, test, answer):
        test.lab.zone.add(HOST, test.lab.new_address())
        listener = test.lab.internet_socket(socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", PORT), 64)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(*test.lab.authority.pair(HOST))
        self.answer = answer
        self.close = Listener(listener, self.serve).close

    def serve(self, plain):
        try:
            with self.context.wrap_socket(plain, server_side=True) as stream:
                stream.settimeout(10)
                head = b""
                while b"\r\n\r\n" not in head:
                    head += stream.recv(4096)
                lines = head.decode().split("\r\n")
                key = next(line for line in lines if line.lower().startswith("sec-websocket-key")).split(": ")[1]
                stream.sendall(self.answer(lines[0].split(" ")[1], key))
                while stream.recv(4096):
                    pass
        except (OSError, StopIteration):
            pass


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def switch(key, *more):
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
                        f"Sec-WebSocket-Accept: {accept_of(key)}", *more, "", ""]).encode()


def frame(first, payload=b"", masked=True, size=None):
    size = len(payload) if size is None else size
    mask = 0x80 if masked else 0
    head = (bytes([first, mask | size]) if size <= 125 else
            bytes([first, mask | 126]) + struct.pack("!H", size) if size <= 0xffff else
            bytes([first, mask | 127]) + struct.pack("!Q", size))
    return head + (b"\0\0\0\0" if masked else b"") + payload


def close_code(answer):
    """Of the last frame that came, if it is a short close frame."""
    data = bytes.fromhex(answer["frames"])
    while data:
        first, size = data[0], data[1]
        start = 2
        if size == 126:
            size, start = struct.unpack("!H", data[2:4])[0], 4
        if first == 0x88:
            return struct.unpack("!H", data[start:start + 2])[0]
        data = data[start + size:]
    return None


class WebSocket(Case):
    def server(self, port=PORT):
        made = Server(self, port)
        self.addCleanup(made.close)
        return made

    def hostile(self, answer):
        made = Hostile(self, answer)
        self.addCleanup(made.close)
        return made

    @staticmethod
    def wss(*paths, credential=None, more="", budget="", protocol="wss", port=PORT):
        named = f'credential = "{credential}"\n' if credential else ""
        rules = "".join(f'[[grant.allow]]\npath = "{path}"\n{more}' for path in paths or ("/**",))
        return f'[[grant]]\nhost = "{HOST}"\nport = {port}\nprotocol = "{protocol}"\n{named}{rules}{budget}'

    # An ordinary client --------------------------------------------------------------------------------

    CLIENT = """
import asyncio, os, sys, time, websockets
URL = "wss://%s:%d"
async def main():
%%s
asyncio.run(main())
""" % (HOST, PORT)

    def client(self, body, policy=None, arm="on", env=None, url=None, start=False):
        script = self.CLIENT % "\n".join("    " + line for line in body.strip("\n").splitlines())
        if url:
            script = script.replace(f"wss://{HOST}:{PORT}", url)
        self.write(os.path.join(self.work, "client.py"), script)
        argv = [PYTHON, "client.py"]
        if arm == "off":
            return self.outside(argv)
        policy = policy if policy is not None else self.wss()
        policy = '[[mount]]\npath = "."\nmode = "rw"\n' + policy
        return self.start_inside(argv, policy, env=env) if start else self.inside(argv, policy, env=env)

    TALK = """
async with websockets.connect(URL + "/echo", max_size=None) as ws:
    await ws.send("grüße")
    print(await ws.recv())
    await ws.send(bytes(range(256)))
    print(await ws.recv() == bytes(range(256)))
    await ws.send("")
    print(repr(await ws.recv()))
    async def parts():
        for part in ("a", "b", "", "c"): yield part
    await ws.send(parts())
    print(await ws.recv())
    large = os.urandom(1 << 20) * 10
    await ws.send(large)
    print(await ws.recv() == large)
    await asyncio.wait_for(await ws.ping(b"there?"), 10)
    print("pong", ws.extensions)
    await ws.close(4999, "thanks")
    print(ws.close_code, ws.close_reason)
"""
    TALKED = ["grüße", "True", "''", "abc", "True", "pong []", "4999 thanks"]

    def test_an_ordinary_client_talks(self):
        server = self.server()
        result = self.client(self.TALK)
        self.assertEqual(result.out.splitlines(), self.TALKED, result)
        self.wait_until(lambda: server.ends, 5, "the server sees the end")
        self.assertEqual((server.ends[0]["end"], server.ends[0]["reason"]), (4999, "thanks"))
        self.assertEqual([m["kind"] for m in server.messages], ["str", "bytes", "str", "str", "bytes"])
        (handshake,) = server.handshakes
        self.assertEqual(handshake["headers"]["host"], f"{HOST}:{PORT}")
        self.assertNotIn("sec-websocket-extensions", handshake["headers"], "the client's offer is not passed on")
        (request,), (close,) = self.recorded("http.request"), self.recorded("upstream.close")
        (upstream,) = self.recorded("upstream.request")
        self.assertEqual((request["scheme"], request["decision"], request["status"], request["rule"]),
                         ("wss", "allow", 101, ""))
        self.assertEqual((upstream["status"], upstream["http"], upstream["tls"]), (101, "1.1", "TLSv1.3"))
        size = 7 + 256 + 0 + 3 + (10 << 20)
        for event in (request, close):
            self.assertEqual((event["messages_up"], event["messages_down"]), (5, 5), event)
            # Beside the messages: a ping or pong, and a close frame.
            self.assertEqual(event["bytes_up"], size + 6 + 2 + 6, event)
            self.assertEqual(event["bytes_down"], size + 6 + 2 + 6, event)
        self.assertEqual(close["reason"], "end")

    def test_without_tls(self):
        server = self.server(PLAIN)
        policy = self.wss("/echo", protocol="ws", port=PLAIN)
        result = self.client(self.TALK, policy, url=f"ws://{HOST}:{PLAIN}")
        self.assertEqual(result.out.splitlines(), self.TALKED, result)
        self.assertEqual(self.recorded("http.request")[0]["scheme"], "ws")
        self.assertEqual(len(server.handshakes), 1)

    def test_servers_speak_as_they_like(self):
        server = self.server()
        result = self.client("""
async with websockets.connect(URL + "/fragments") as ws:
    print(await ws.recv())
async with websockets.connect(URL + "/large", max_size=None) as ws:
    print(len(await ws.recv()))
async with websockets.connect(URL + "/close") as ws:
    try: await ws.recv()
    except websockets.ConnectionClosed as error: print(error.rcvd.code, error.rcvd.reason)
""")
        self.assertEqual(result.out.splitlines(), ["one two three", "10000000", "4321 bye"], result)
        self.assertEqual(len(server.handshakes), 3)

    def test_a_server_may_say_no(self):
        self.server()
        result = self.client("""
try:
    async with websockets.connect(URL + "/refuse"): pass
except websockets.InvalidStatusCode as error:
    print(error.status_code, error.headers.get("content-type"), error.headers.get("set-cookie"))
""")
        self.assertEqual(result.out, "403 text/plain None\n", result)
        self.assertEqual(self.recorded("http.request")[0]["status"], 403)

    # Grants --------------------------------------------------------------------------------------------

    ASK = """
for path in sys.argv[1:] or ["/echo", "/other", "/echo?key=1"]:
    try:
        async with websockets.connect(URL + path) as ws:
            await ws.send("data")
            print(path, await ws.recv())
    except websockets.InvalidStatusCode as error:
        print(path, error.status_code)
    except Exception as error:
        print(path, type(error).__name__)
"""

    def test_N17_ws_off(self):
        server = self.server()
        result = self.client(self.ASK, arm="off")
        self.assertIn("/echo data", result.out, result)
        self.assertEqual(len(server.handshakes), 3)

    def test_N17_ws_on(self):
        """No grant but one that says so opens a WebSocket, and the server hears nothing of the attempt."""
        server = self.server()
        everything = self.grant(HOST, port=PORT, method=("GET", "POST", "PUT"))
        result = self.client(self.ASK, "")
        self.assertEqual(result.out.split()[1::2], ["OSError"] * 3, f"nothing listens on this port: {result}")
        for name, policy, shown in (("https", everything, "no WebSocket"),
                                    ("tls only", self.wss(protocol="ws"), ""),
                                    ("elsewhere", self.wss().replace(HOST, "other.example.com"), 'protocol = "wss"'),
                                    ("another path", self.wss("/feed/*"), "")):
            result = self.client(self.ASK, policy)
            self.assertEqual(result.out.split()[1::2], ["403"] * 3, f"{name}: {result}")
            self.assertIn(shown, result.err, name)
        self.assertEqual(server.seen, [])
        result = self.client(self.ASK, self.wss("/echo"))
        self.assertEqual(result.out.splitlines(), ["/echo data", "/other 403", "/echo?key=1 403"], result)
        self.assertEqual([h["path"] for h in server.handshakes], ["/echo"])
        self.assertEqual({e["rule"] for e in self.recorded("http.request") if e["decision"] == "deny"},
                         {"no-grant", "path", "query"})

    def test_a_wss_grant_opens_nothing_else(self):
        server = self.server()
        result = self.inside(["curl", "-sS", "-o", "out", "-w", "%{http_code}", f"https://{HOST}:{PORT}/echo"], self.wss())
        self.assertEqual(result.out, "403", result)
        self.assertEqual(server.seen, [])

    def test_F04_not_over_http2(self):
        """RFC 8441 is not offered, whichever way the client finds to ask."""
        server = self.server()
        script = f"""
const http2 = require('http2');
const session = http2.connect('https://{HOST}:{PORT}');
session.on('remoteSettings', (settings) => console.log(settings.enableConnectProtocol));
const stream = session.request({{':method': 'CONNECT', ':protocol': 'websocket', ':path': '/echo'}});
stream.on('response', (headers) => console.log(headers[':status']));
stream.on('error', (error) => console.log('error'));
stream.on('close', () => session.close());
"""
        self.write(os.path.join(self.work, "client.js"), script)
        result = self.inside(["node", "client.js"], self.wss())
        self.assertNotIn("true", result.out)
        self.assertNotIn("200", result.out)
        self.assertIn("501" if "501" in result.out else "error", result.out, result)
        self.assertEqual(server.seen, [])

    def test_subprotocols_are_headers_like_any(self):
        server = self.server()
        ask = """
for offer in (["chat.v1"], ["x", "chat.v2"], ["openai-insecure-api-key.sk-foreign"], ["realtime", "%s"]):
    try:
        async with websockets.connect(URL + "/echo", subprotocols=offer) as ws: print(ws.subprotocol)
    except websockets.InvalidStatusCode as error: print(error.status_code)
""" % ("k" * 65)
        result = self.client(ask)
        self.assertEqual(result.out.split(), ["403"] * 4, result)
        self.assertIn("sec-websocket-protocol", result.err)
        self.assertEqual(server.seen, [])
        result = self.client(ask, self.wss(more='headers = ["sec-websocket-protocol"]\n'))
        self.assertEqual(result.out.split(), ["chat.v1", "chat.v2", "403", "403"], result)

    # Credentials ---------------------------------------------------------------------------------------

    def test_the_credential_is_exchanged_and_scrubbed(self):
        server = self.server()
        policy = self.credential(header="bearer") + self.wss(credential="api")
        result = self.client("""
head = {"Authorization": "Bearer " + os.environ["API_KEY"]}
async with websockets.connect(URL + "/secret", extra_headers=head) as ws:
    print(await ws.recv())
    print(await ws.recv())
    try: await ws.recv()
    except websockets.ConnectionClosed as error: print(error.rcvd.code, error.rcvd.reason)
for wrong in ({"Authorization": "Bearer foreign"}, {"x-api-key": os.environ["API_KEY"]}, {"cookie": "a=b"}):
    try:
        async with websockets.connect(URL + "/secret", extra_headers=wrong): print("open")
    except websockets.InvalidStatusCode as error: print(error.status_code)
""", policy, env={"API_KEY": KEY})
        stars = "*" * len(KEY)
        self.assertEqual(result.out.splitlines(), [f"it is Bearer {stars} indeed", f"b'Bearer {stars}'", f"4001 {stars}",
                                                   "403", "403", "403"], result)
        self.assertEqual([h["headers"]["authorization"] for h in server.handshakes], [f"Bearer {KEY}"])
        self.assertNotIn(KEY, result.out + result.err)
        self.assertEqual(len(self.recorded("credential.use")), 1)

    # Budgets and ends ----------------------------------------------------------------------------------

    def test_W02_budgets(self):
        server = self.server()
        spend = """
sent = 0
for n in range(3):
    try:
        async with websockets.connect(URL + "/%s", max_size=None) as ws:
            try:
                for i in range(%d):
                    await ws.send("x" * %d)
                    await ws.recv()
                    sent += 1
            except websockets.ConnectionClosed as error: print(error.rcvd.code if error.rcvd else None)
            else: print("open")
    except websockets.InvalidStatusCode as error: print(error.status_code)
print(sent)
"""
        for budget, path, count, size, printed in (
                ('[grant.budget]\nbytes_up = "10KB"\n', "echo", 20, 1000, ["1008", "1008", "1008"]),
                ('[grant.budget]\nbytes_down = "10KB"\n', "echo", 20, 1000, ["1008", "1008", "1008"]),
                ('[grant.budget]\nbytes_up = "50B"\n', "echo", 60, 0, ["1008", "1008", "1008"]),
                ('[grant.budget]\nrequests = 2\n', "echo", 1, 10, ["open", "open", "429"]),
                ('[grant.response]\nmax_body = "1MB"\n', "large", 1, 10, ["1009"] * 3)):
            del server.seen[:]
            result = self.client(spend % (path, count, size), self.wss(budget=budget))
            *words, sent = result.out.split()
            self.assertEqual(words, printed, f"{budget}: {result}")
            if "bytes_up" in budget:
                self.assertLessEqual(sum(max(1, m["size"]) for m in server.messages), 10_000 if size else 50)
        result = self.client(spend % ("echo", 1, 2000), self.wss(more='max_body = "1KB"\n'))
        self.assertEqual(result.out.split(), ["1009"] * 3 + ["0"], result)
        self.assertIn("budget", {e["reason"] for e in self.recorded("upstream.close")})

    FLOW = """
async with websockets.connect(URL + "/%s") as ws:
    open("up", "w").write("1")
    try:
        while True: await ws.recv()
    except websockets.ConnectionClosed as error:
        open("closed", "w").write("%%s %%s %%s" %% (time.monotonic(), error.rcvd and error.rcvd.code, error.rcvd and error.rcvd.reason))
await asyncio.sleep(60)
"""

    def session(self):
        return self.wait_until(lambda: json.loads(self.bulkhead("ps", "--json").out), 20, "the session is up")[0]["id"]

    def test_revoke_closes_it_within_a_second(self):
        for path in ("flow", "wait"):
            with self.subTest(path):
                server = self.server()
                for name in ("up", "closed"):
                    if os.path.exists(os.path.join(self.work, name)):
                        os.remove(os.path.join(self.work, name))
                child = self.client(self.FLOW % path, start=True)
                self.wait_for_file("up")
                session = self.session()
                began = time.monotonic()
                answer = json.loads(self.ok(self.bulkhead("revoke", session, "--json")).out)
                self.assertEqual(answer["cut"], 1)
                when, code, *reason = self.wait_for_file("closed", 5).split()
                self.assertLess(float(when) - began, 1)
                self.assertEqual(code, "1008")
                self.assertIn("revoked", " ".join(reason))
                self.wait_until(lambda: server.ends, 3, "the server sees the end")
                self.assertLess(server.ends[0]["time"] - began, 1)
                self.wait_until(lambda: "revoked" in [e["rule"] for e in self.recorded("http.request")], 5, "it is on record")
                self.bulkhead("stop", session)
                child.communicate(timeout=20)
                server.close()

    def test_reload_ends_what_it_takes_back(self):
        server = self.server()
        mount = '[[mount]]\npath = "."\nmode = "rw"\n'
        self.client(self.FLOW % "flow", self.wss("/flow", "/echo"), start=True)
        self.wait_for_file("up")
        session = self.session()
        self.policy(mount + self.wss("/flow"))
        self.ok(self.bulkhead("reload", session))
        time.sleep(0.3)
        self.assertEqual(server.ends, [], "its rule still holds")
        self.policy(mount + self.wss("/echo"))
        began = time.monotonic()
        self.bulkhead("reload", session)
        when, code, *_ = self.wait_for_file("closed", 5).split()
        self.assertEqual(code, "1008")
        self.assertLess(float(when) - began, 1.5)  # the command's own start is in it
        self.wait_until(lambda: server.ends, 3, "the server sees the end")

    def test_revoke_does_not_wait_for_a_client_that_does_not_read(self):
        server = self.server()
        self.client("""
reader, writer = await asyncio.open_connection("%s", %d, ssl=True)
writer.write(b"GET /large HTTP/1.1\\r\\nHost: %s:%d\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
             b"Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n")
reader._transport.pause_reading()
open("up", "w").write("1")
time.sleep(60)
""" % (HOST, PORT, HOST, PORT), start=True)
        self.wait_for_file("up")
        self.wait_until(lambda: server.handshakes, 10, "the server is asked")
        time.sleep(0.5)
        session = self.session()
        began = time.monotonic()
        self.ok(self.bulkhead("revoke", session))
        self.wait_until(lambda: server.ends, 3, "the server sees the end")
        self.assertLess(server.ends[0]["time"] - began, 1)
        self.wait_until(lambda: self.recorded("http.request"), 3, "it is on record")

    def test_expiry_ends_it(self):
        server = self.server()
        policy = self.wss("/wait").replace("[[grant.allow]]", 'expires = "4s"\n[[grant.allow]]', 1)
        self.client(self.FLOW % "wait", policy, start=True)
        self.wait_for_file("up")
        _, code, *reason = self.wait_for_file("closed", 10).split()
        self.assertEqual(code, "1008")
        self.assertIn("expired", " ".join(reason))
        self.wait_until(lambda: server.ends, 3, "the server sees the end")

    def test_the_sessions_end_is_on_record(self):
        server = self.server()
        child = self.client(self.FLOW % "wait", start=True)
        self.wait_for_file("up")
        self.ok(self.bulkhead("stop", self.session()))
        child.communicate(timeout=20)
        self.wait_until(lambda: server.ends, 3, "the server sees the end")
        # The client goes first, or front does.
        for kind, key in (("http.request", "rule"), ("upstream.close", "reason")):
            (event,) = self.recorded(kind)
            self.assertIn(event[key], ("ended", "client-gone"))
            self.assertIn("messages_up", event)

    # Hostile ends --------------------------------------------------------------------------------------

    def raw(self, cases, policy=None, arm="on"):
        shutil.copy(os.path.join(case.ROOT, "tests/attacks/raw_ws.py"), self.work)
        self.write(os.path.join(self.work, "cases.json"), json.dumps(cases))
        argv = [PYTHON, "raw_ws.py", HOST, str(PORT), "cases.json"]
        result = (self.outside(argv, timeout=120) if arm == "off" else
                  self.inside(argv, policy if policy is not None else self.wss(), timeout=120))
        self.assertEqual(result.status, 0, result)
        return json.loads(result.out)

    BAD = [(frame(0x81, b"x", masked=False), "unmasked"), (frame(0xc1, b"x"), "rsv1"), (frame(0xa1, b"x"), "rsv2"),
           (frame(0x91, b"x"), "rsv3"), (frame(0x83, b"x"), "opcode 3"), (frame(0x8f, b"x"), "opcode 15"),
           (frame(0x80, b"x"), "continuation of nothing"), (frame(0x01, b"x") + frame(0x81, b"y"), "nested"),
           (frame(0x09, b"x"), "fragmented ping"), (frame(0x89, b"x" * 126), "long ping"),
           (b"\x82\xfe\x00\x01\0\0\0\0x", "length 1 in 16 bits"),
           (b"\x82\xff\0\0\0\0\0\0\0\x01\0\0\0\0x", "length 1 in 64 bits"),
           (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0x", "length 2^64-1"),
           (frame(0x88, b"\x03"), "half a close code"), (frame(0x88, b"\x03\xee"), "close code 1006"),
           (frame(0x88, b"\x03\xe8\xff"), "close reason not UTF-8"),
           (b"GET /x HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", "HTTP")]

    def test_frames_of_a_client(self):
        server = self.server()
        cases = [{"frames": (frame(0x81, b"before") + bad + frame(0x81, b"behind")).hex()} for bad, _ in self.BAD]
        answers = self.raw(cases)
        for (_, name), answer in zip(self.BAD, answers):
            self.assertEqual(answer["status"], 101, f"{name}: {answer}")
            self.assertEqual(close_code(answer), 1002, f"{name}: {answer}")
            self.assertIsNone(answer["error"], name)
        self.assertLessEqual({m["start"] for m in server.messages}, {"before"}, "nothing bad and nothing behind it")
        self.assertEqual({e["rule"] for e in self.recorded("http.request")}, {"websocket"})

    def test_a_claimed_length_costs_nothing(self):
        self.server()
        huge = b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0" + b"x" * 100_000
        (answer,) = self.raw([{"frames": huge.hex(), "patience": 1}],
                             self.wss(budget='[grant.budget]\nbytes_up = "50KB"\n'))
        self.assertEqual(close_code(answer), 1008, answer)

    def test_nothing_before_the_server_has_agreed(self):
        """Frames, or a second request, right behind an opening request that fails are nobody's request."""
        server = self.server()
        smuggled = b"GET /smuggled HTTP/1.1\r\nHost: evil.example.com\r\n\r\n"
        answers = self.raw([{"path": "/refuse", "early": True, "frames": frame(0x81, b"early").hex()},
                            {"path": "/refuse", "early": True, "frames": smuggled.hex()}])
        self.assertEqual([a["status"] for a in answers], [403, 403], answers)
        self.assertEqual({h["path"] for h in server.handshakes}, {"/refuse"})

    def test_opening_requests_must_be_whole(self):
        server = self.server()
        usual = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        cases = [{"fields": usual[:i] + usual[i + 1:]} for i in range(1, 4)]
        cases += [{"fields": [*usual, more]} for more in
                  ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 8", "Upgrade: h2c",
                   "Content-Length: 4", "Transfer-Encoding: chunked", "Sec-WebSocket-Protocol: a b",
                   "Expect: 100-continue")]
        cases += [{"fields": [usual[0], usual[1], usual[2], "Sec-WebSocket-Key: short"]},
                  {"fields": ["Upgrade: websocket2", *usual[1:]]}, {"start": "POST /echo HTTP/1.1"},
                  {"start": "GET /echo HTTP/1.0"}, {"start": f"GET wss://{HOST}:{PORT}/echo HTTP/1.1"}]
        for each, answer in zip(cases, self.raw([{"path": "/echo"}, *cases][1:])):
            self.assertIn(answer["status"], (400, 501, 505), f"{each}: {answer}")
        self.assertEqual(server.seen, [])

    SERVERS = {
        "no accept": lambda key: switch(key).replace(b"Sec-WebSocket-Accept", b"X-Accept"),
        "another accept": lambda key: switch("AAAAAAAAAAAAAAAAAAAAAA=="),
        "the client's accept": lambda key: switch("dGhlIHNhbXBsZSBub25jZQ=="),
        "two accepts": lambda key: switch(key, f"Sec-WebSocket-Accept: {accept_of(key)}"),
        "no upgrade": lambda key: switch(key).replace(b"Upgrade: websocket\r\n", b""),
        "another upgrade": lambda key: switch(key).replace(b"Upgrade: websocket", b"Upgrade: h2c"),
        "no connection": lambda key: switch(key).replace(b"Connection: Upgrade\r\n", b""),
        "an extension": lambda key: switch(key, "Sec-WebSocket-Extensions: permessage-deflate"),
        "a subprotocol": lambda key: switch(key, "Sec-WebSocket-Protocol: chat"),
        "a body": lambda key: switch(key, "Content-Length: 5") + b"hello",
        "HTTP/1.0": lambda key: switch(key).replace(b"HTTP/1.1", b"HTTP/1.0"),
    }

    def test_answers_of_a_server(self):
        names = list(self.SERVERS)
        self.hostile(lambda path, key: self.SERVERS[names[int(path[1:])]](key))
        answers = self.raw([{"path": f"/{i}"} for i in range(len(names))])
        for name, answer in zip(names, answers):
            self.assertEqual(answer["status"], 502, f"{name}: {answer}")
            self.assertNotIn("upgrade:", answer["head"].lower())

    def test_frames_of_a_server(self):
        bad = [(frame(0x81, b"x"), "masked")]
        bad += [(bytes([b[0], b[1] & 0x7f]) + b[2:].replace(b"\0\0\0\0", b"", 1), name) for b, name in self.BAD[1:-1]
                if name not in ("length 1 in 64 bits", "nested")]
        bad += [(frame(0x01, b"x", False) + frame(0x81, b"y", False), "nested"),
                (b"\x82\x7f\0\0\0\0\0\0\0\x01x", "length 1 in 64 bits"), (b"HTTP/1.1 200 OK\r\n\r\n", "HTTP")]

        def answer(path, key):
            return switch(key) + frame(0x81, b"before", False) + bad[int(path[1:])][0] + frame(0x81, b"behind", False)
        self.hostile(answer)
        answers = self.raw([{"path": f"/{i}"} for i in range(len(bad))])
        for (_, name), got in zip(bad, answers):
            self.assertEqual(got["status"], 101, f"{name}: {got}")
            self.assertEqual(close_code(got), 1011, f"{name}: {got}")
            self.assertTrue(got["frames"].startswith(frame(0x81, b"before", False).hex()), name)
            self.assertNotIn(b"behind".hex(), got["frames"], name)
        self.assertEqual({e["reason"] for e in self.recorded("upstream.close")}, {"protocol"})
