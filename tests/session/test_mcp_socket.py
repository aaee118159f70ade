"""bulkhead mcp --socket: the tools of a session by streamable HTTP, over a unix socket."""
import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys

from support import Case, bin_folder

VERSION = "io.modelcontextprotocol/protocolVersion"
BOTH = "application/json, text/event-stream"
POST = {"Content-Type": "application/json", "Accept": BOTH}

# Says what the server answers to somebody else's: run with another uid, or in another pid namespace.
STRANGER = """
import os, socket, sys
if len(sys.argv) > 2:
    os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
try:
    s.sendall(b"GET /mcp HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
except BrokenPipeError:
    pass
print(s.recv(65536).decode())
"""


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


class Client:
    """One that speaks as the revisions before 2026-07-28 have it."""

    def __init__(self, case, begin=True):
        self.case, self.http, self.last, self.id = case, Unix(case.socket), 0, None
        case.addCleanup(self.http.close)
        if begin:
            answer = self.ask("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})
            case.assertEqual(answer["result"]["protocolVersion"], "2025-11-25")
            self.id = self.headers["Mcp-Session-Id"]
            self.say({"jsonrpc": "2.0", "method": "notifications/initialized"}, 202)

    def headers_of(self, _):
        return {} if self.id is None else {"Mcp-Session-Id": self.id, "MCP-Protocol-Version": "2025-11-25"}

    def send(self, message, **headers):
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        all_of_them = {**POST, **self.headers_of(message), **{name.replace("_", "-"): value for name, value in headers.items()}}
        self.http.request("POST", "/mcp", body, {name: value for name, value in all_of_them.items() if value is not None})

    def hear(self, status=200):
        answer = self.http.getresponse()
        self.headers, body = answer.headers, answer.read()
        self.case.assertEqual(answer.status, status, body)
        if answer.headers.get("Content-Type") == "text/event-stream":
            return [json.loads(line[6:]) for line in body.decode().split("\n") if line.startswith("data: ")]
        return json.loads(body) if body else None

    def say(self, message, status=200, **headers):
        self.send(message, **headers)
        return self.hear(status)

    def request(self, method, params=None):
        self.last += 1
        return {"jsonrpc": "2.0", "id": self.last, "method": method, **({} if params is None else {"params": params})}

    def ask(self, method, params=None, status=200):
        answer = self.say(self.request(method, params), status)
        self.case.assertEqual((answer["jsonrpc"], answer["id"]), ("2.0", self.last), answer)
        return answer

    def calling(self, tool, meta=None, **arguments):
        return self.request("tools/call", {"name": tool, "arguments": arguments, **({"_meta": meta} if meta else {})})

    def call(self, tool, **arguments):
        answer = self.say(self.calling(tool, **arguments))
        [content] = answer["result"]["content"]
        return content["text"], answer["result"]["isError"]


class Alone(Client):
    """One that speaks as 2026-07-28 has it."""

    def __init__(self, case):
        super().__init__(case, begin=False)

    def request(self, method, params=None):
        params = dict(params or {})
        params["_meta"] = {VERSION: "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}, **params.get("_meta", {})}
        return super().request(method, params)

    def headers_of(self, message):
        if not isinstance(message, dict):
            return {}
        name = {"Mcp-Name": message["params"]["name"]} if message["method"] == "tools/call" else {}
        return {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": message["method"], **name}


class McpSocket(Case):
    def setUp(self):
        super().setUp()
        self.socket = os.path.join(self.runtime, "mcp.sock")

    def begin(self, *options, path=None):
        words = [self.program or os.path.join(bin_folder(), "bulkhead"), "mcp", "--socket", path or self.socket, *options]
        # Not in the lab: an ordinary user's is a user namespace, from where no peer outside of it can be looked at.
        child = subprocess.Popen(words, env=self.environment(), cwd=self.work,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self._children.append(child)
        return child

    def plain(self, *words):
        argv = [self.program or os.path.join(bin_folder(), "bulkhead"), *words]
        return self.ok(self._run(argv, argv, self.environment(), None, None, 60))

    def serve(self, *options):
        self.server = self.begin(*options)
        said = self.server.stdout.readline().decode()
        self.assertEqual(said, self.socket + "\n", said or self.server.stderr.read())

    def refused(self, path=None):
        child = self.begin(path=path)
        out, err = child.communicate(timeout=30)
        self.assertEqual((child.returncode, out), (1, b""), err)
        return err.decode()

    def raw(self, *parts):
        """What the server answers, all of it, until it closes."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(self.socket)
            try:
                for part in parts:
                    s.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                pass
            got = b""
            try:
                while part := s.recv(1 << 16):
                    got += part
            except ConnectionResetError:
                pass
            return got

    def no_session(self):
        self.wait_until(lambda: self.bulkhead("ps").out.count("\n") == 1, 30, "no session is left")

    # The protocol -------------------------------------------------------------------------------------------

    def test_a_session_that_initialize_begins(self):
        self.serve()
        client = Client(self)
        self.assertRegex(client.id, "^[0-9a-f]{32}$")
        self.assertEqual(client.ask("ping")["result"], {})
        self.assertEqual(len(client.ask("tools/list")["result"]["tools"]), 6)
        self.assertEqual(client.call("run_command", command="echo out; exit 3"), ("out\nexit status 3", True))
        self.assertEqual(client.call("write_file", path="a b/c", content="x" * 3_000_000)[1], False)
        self.assertEqual(len(self.read("work/a b/c")), 3_000_000)
        self.assertEqual(client.ask("nope")["error"]["code"], -32601)
        self.assertEqual(client.ask("tools/call", {"name": 7})["error"]["code"], -32602)
        self.assertIsNone(client.say({"jsonrpc": "2.0", "id": 1, "result": {}}, 202))
        self.assertIsNone(client.say({"jsonrpc": "2.0", "method": "notifications/nothing"}, 202))
        ping = client.request("ping")
        client.say(ping, 400, Mcp_Session_Id=None)
        client.say(ping, 404, Mcp_Session_Id="0" * 32)
        client.say(ping, 404, Mcp_Session_Id="")
        self.assertEqual(client.say(ping, 400, MCP_Protocol_Version="2024-01-01")["error"]["code"], -32022)
        client.say(ping, 200, MCP_Protocol_Version=None)  # as 2025-03-26 has it
        other = Client(self)
        self.assertNotEqual(other.id, client.id)
        for status in (204, 404):
            client.http.request("DELETE", "/mcp", headers=client.headers_of(None))
            client.hear(status)
        client.say(ping, 404)
        self.assertEqual(other.ask("ping")["result"], {})

    def test_requests_that_stand_alone(self):
        self.serve()
        client = Alone(self)
        found = client.ask("server/discover")["result"]
        self.assertEqual((found["resultType"], found["supportedVersions"][0]), ("complete", "2026-07-28"))
        self.assertNotIn("Mcp-Session-Id", client.headers)
        self.assertEqual(client.call("run_command", command="echo here"), ("here\nexit status 0", False))
        call = client.calling("run_command", command="echo ran > ran")
        for headers in ({"MCP_Protocol_Version": None}, {"MCP_Protocol_Version": "2025-11-25"}, {"Mcp_Method": None},
                        {"Mcp_Method": "tools/list"}, {"Mcp_Name": None}, {"Mcp_Name": "read_file"}, {"Mcp_Name": "Run_command"},
                        {"Mcp_Name": "=?base64?cmVhZF9maWxl?="}, {"Mcp_Name": "=?base64?!?="}):
            answer = client.say(call, 400, **headers)
            self.assertEqual((answer["error"]["code"], answer["id"]), (-32020, call["id"]), headers)
        self.assertFalse(os.path.exists(os.path.join(self.work, "ran")))
        self.assertIn("result", client.say(call, 200, Mcp_Name="=?base64?cnVuX2NvbW1hbmQ=?="))
        self.assertEqual(client.ask("nope", status=404)["error"]["code"], -32601)
        future = client.request("tools/list", {"_meta": {VERSION: "2099-01-01"}})
        answer = client.say(future, 400, MCP_Protocol_Version="2099-01-01")["error"]
        self.assertEqual((answer["code"], answer["data"]["requested"]), (-32022, "2099-01-01"))
        plain = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        self.assertEqual(client.say(plain, 400)["error"]["code"], -32020)  # the header alone says it
        self.assertIsNone(client.say({"jsonrpc": "2.0", "method": "notifications/x", "params": {}}, 202, Mcp_Method=None))

    def test_what_a_command_says_comes_as_it_says_it(self):
        self.serve()
        for client in (Client(self), Alone(self)):
            client.send(client.calling("run_command", {"progressToken": "p"}, command="echo one; until test -e go; do sleep .05; done; echo two"))
            answer = client.http.getresponse()
            self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "text/event-stream"))
            lines = []
            while not lines or lines[-1] != "":
                lines.append(answer.readline().decode().rstrip("\n"))
            self.assertEqual(lines[0], "event: message")
            first = json.loads(lines[1].removeprefix("data: "))
            self.assertEqual((first["method"], first["params"]["message"]), ("notifications/progress", "one\n"))
            self.write("work/go", "")
            rest = [json.loads(line[6:]) for line in answer.read().decode().split("\n") if line.startswith("data: ")]
            self.assertEqual(rest[-1]["result"]["content"][0]["text"], "one\ntwo\nexit status 0")
            os.remove(os.path.join(self.work, "go"))
            self.assertEqual(client.call("run_command", command="echo again")[0], "again\nexit status 0")

    # Ends ---------------------------------------------------------------------------------------------------

    LONG = "trap 'echo ended > {0}.ended; exit' TERM; echo up > {0}; until test -e go; do sleep .05; done; echo done > {0}.done"

    def test_cancelled_as_each_revision_has_it(self):
        self.serve()
        a, b, alone = Client(self), Client(self), Alone(self)
        a.last = b.last = 100  # the same ids
        for client, name in ((a, "a"), (b, "b"), (alone, "alone")):
            client.send(client.calling("run_command", command=self.LONG.format(name)))
            self.wait_for_file(name)
        Client.say(other := Client(self), {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 101}}, 202)
        other.id = a.id
        other.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 101}}, 202)
        self.wait_for_file("a.ended")
        self.assertEqual(a.hear(), [])  # nothing more is said of it
        b.http.close()  # it may come back for another answer: this is no word that it is not wanted
        alone.http.close()
        self.wait_for_file("alone.ended")
        self.write("work/go", "")
        self.wait_for_file("b.done")
        self.assertEqual([name for name in os.listdir(self.work) if name.endswith(".ended") and name.startswith("b")], [])

    def test_the_end_of_its_session_ends_a_clients_calls(self):
        self.serve()
        client = Client(self)
        client.send(client.calling("run_command", command=self.LONG.format("c")))
        self.wait_for_file("c")
        other = Unix(self.socket)
        other.request("DELETE", "/mcp", headers=client.headers_of(None))
        self.assertEqual(other.getresponse().status, 204)
        self.wait_for_file("c.ended")

    def test_the_socket_and_the_session_are_gone_when_it_ends(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.serve("--tier", "native")
            client = Client(self)
            client.call("run_command", command="true")
            client.send(client.calling("run_command", command=self.LONG.format(str(number))))
            self.wait_for_file(str(number))
            self.server.send_signal(number)
            self.assertEqual(self.server.wait(30), 0)
            self.assertFalse(os.path.exists(self.socket))
            self.no_session()

    def test_killed_it_leaves_a_socket_that_the_next_replaces_and_no_session(self):
        self.serve()
        Client(self).call("run_command", command="true")
        self.server.kill()
        self.server.wait()
        self.no_session()
        self.assertTrue(os.path.exists(self.socket))
        self.serve()
        self.assertEqual(Client(self).call("run_command", command="echo now")[0], "now\nexit status 0")

    def test_a_session_that_lives_already(self):
        identity = self.plain("start").out.strip()
        self.serve("--session", identity)
        Client(self).call("write_file", path="/tmp/kept", content="x")
        self.server.terminate()
        self.assertEqual(self.server.wait(30), 0)
        self.assertEqual(self.plain("exec", identity, "--", "cat", "/tmp/kept").out, "x")
        self.plain("stop", identity)

    # Who may ------------------------------------------------------------------------------------------------

    def test_where_the_socket_may_be(self):
        open_to_all = self.folder("open", 0o777)
        self.assertIn("can be written to by others", self.refused(os.path.join(open_to_all, "s")))
        self.assertIn("in the folder you are in", self.refused(os.path.join(self.work, "s")))
        os.mkdir(os.path.join(self.work, "below"))
        self.assertIn("in the folder you are in", self.refused("below/s"))
        os.symlink(self.work, os.path.join(self.runtime, "link"))
        self.assertIn("in the folder you are in", self.refused(os.path.join(self.runtime, "link/s")))
        if os.geteuid() == 0:
            other = self.folder("other", 0o755)
            os.chown(other, 65534, 65534)
            self.assertIn("belongs to uid 65534", self.refused(os.path.join(other, "s")))
        self.assertIn("no file's name", self.refused(self.runtime + "/"))
        self.write("runtime/file", "kept")
        self.assertIn("no socket; it stays", self.refused(os.path.join(self.runtime, "file")))
        os.symlink("nowhere", os.path.join(self.runtime, "dangling"))
        self.assertIn("no socket; it stays", self.refused(os.path.join(self.runtime, "dangling")))
        self.assertEqual(self.read("runtime/file"), "kept")

    def test_one_that_answers_is_not_replaced(self):
        self.serve()
        self.assertEqual(stat.S_IMODE(os.stat(self.socket).st_mode), 0o600)
        client = Client(self)
        self.assertIn("a server answers there already", self.refused())
        self.assertEqual(client.ask("ping")["result"], {})
        self.assertEqual(Client(self).ask("ping")["result"], {})
        os.rename(self.socket, self.socket + ".old")  # what is there when it ends is another's
        self.write("runtime/mcp.sock", "another's")
        self.server.terminate()
        self.server.wait(30)
        self.assertEqual(self.read("runtime/mcp.sock"), "another's")

    def test_another_user_gets_no_answer(self):
        if os.geteuid() != 0:
            self.skipTest("needs to be started as root")
        self.serve()
        # As if its mode were no boundary at all.
        os.chmod(self.runtime, 0o755)
        os.chmod(self.socket, 0o666)
        done = subprocess.run([sys.executable, "-c", STRANGER, self.socket, "65534"], capture_output=True, text=True, timeout=60)
        self.assertIn("403", done.stdout, done)
        self.assertIn("another user", done.stdout)
        done = subprocess.run([sys.executable, "-c", STRANGER, self.socket], capture_output=True, text=True, timeout=60)
        self.assertIn("405", done.stdout.split("\n")[0], done)

    def test_nobody_in_a_container_gets_an_answer(self):
        self.serve()
        user = [] if os.geteuid() == 0 else ["--user", "--map-current-user"]
        done = subprocess.run(["unshare", *user, "--pid", "--fork", sys.executable, "-c", STRANGER, self.socket],
                              capture_output=True, text=True, timeout=60)
        self.assertIn("403", done.stdout.split("\n")[0], done)
        self.assertIn("inside a container or a session", done.stdout)

    def test_X29_a_session_that_sees_the_socket_reaches_nothing(self):
        self.serve()
        done = self.inside([sys.executable, "-c", STRANGER, self.socket], "", ["--mount", self.runtime])
        self.assertNotEqual(done.status, 0, done)
        self.assertNotIn("HTTP", done.out)

    def test_no_page_in_a_browser_gets_an_answer(self):
        self.serve()
        client = Client(self)
        call = client.calling("run_command", command="echo ran > ran")
        for origin in ("https://evil.example", "http://localhost", "null", ""):
            self.assertIn("web pages", client.say(call, 403, Origin=origin)["error"]["message"])
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json5", None):
            client.say(call, 415, Content_Type=kind)  # what a page may send without being asked
        for accept in ("application/json", "text/event-stream", "application/json, text/event-stream;q=0", "text/html", None):
            client.say(call, 406, Accept=accept)
        self.assertFalse(os.path.exists(os.path.join(self.work, "ran")))
        for accept in ("*/*", "application/*;q=0.5, text/event-stream", "TEXT/event-stream ; q=1,application/JSON"):
            self.assertEqual(client.say(client.request("ping"), Accept=accept)["result"], {})
        for method in ("GET", "PUT", "OPTIONS", "HEAD", "PATCH"):
            client.http.request(method, "/mcp")
            answer = client.http.getresponse()
            answer.read()
            self.assertEqual((answer.status, answer.headers["Allow"]), (405, "POST, DELETE"), method)
        for path in ("/", "/mcp/", "/mcp?x", "/MCP", "/../mcp", "/mcp%00"):
            client.http.request("POST", path, b"{}", POST)
            answer = client.http.getresponse()
            answer.read()
            self.assertIn(answer.status, (400, 404), path)
            client.http.close()

    # Nonsense -----------------------------------------------------------------------------------------------

    def test_hostile_bytes(self):
        self.serve()
        head = b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: */*\r\n"
        ping = b'{"jsonrpc":"2.0","id":1,"method":"server/discover"}'
        for parts, status in (((head + b"Content-Length: 2\r\nContent-Length: 51\r\n\r\n", ping), 400),
                              ((head + b"Content-Length: 51\r\nTransfer-Encoding: chunked\r\n\r\n", ping), 400),
                              ((head + b"Content-Length: -1\r\n\r\n", ping), 400),
                              ((head + b"Content-Length: 33554433\r\n\r\n",), 413),
                              ((head + b"Content-Length: 99999999999999999999999\r\n\r\n",), 400),
                              ((head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",), 400),
                              ((head + b"Transfer-Encoding: chunked\r\n\r\n" + b"8000000\r\n", b"x" * (40 << 20)), 413),
                              ((head + b"X: " + b"y" * (1 << 20) + b"\r\n\r\n",), 431),
                              ((head + b"X: y\r\n" * 1000 + b"\r\n",), 431),
                              ((head + b"X: a\nb\r\n\r\n",), 400), ((head + b"X : a\r\n\r\n",), 400),
                              ((b"GET http://example.com/mcp HTTP/1.1\r\nHost: x\r\n\r\n",), 421),
                              ((b"POST /mcp HTTP/1.0\r\nHost: x\r\n\r\n",), 505), ((b"\x16\x03\x01\x02\x00\x01",), 400),
                              ((b'{"jsonrpc":"2.0","id":1,"method":"ping"}\r\n\r\n',), 400)):
            got = self.raw(*parts)
            self.assertTrue(got.startswith(b"HTTP/1.1 "), (parts[0][-60:], got[:80]))
            self.assertIn(int(got[9:12]), {status, 400}, (parts[0][-60:], got[:300]))
            self.assertEqual(len(re.findall(rb"HTTP/1.1 \d", got)), 1, got[:500])
        client = Client(self)
        deep = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001
        for body in (b"", b"{", b"[]", b"\xff", deep, b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', b'{"id":1}'):
            self.assertEqual(client.say(body, 400)["id"], None)
        client.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": {}}}, 202)
        self.assertEqual(client.ask("ping")["result"], {})
        two = client.request("ping")
        with socket.socket(socket.AF_UNIX) as s:  # twice the same header is one too many
            s.connect(self.socket)
            body = json.dumps(two).encode()
            s.sendall(head + b"Mcp-Session-Id: " + client.id.encode() + b"\r\nMcp-Session-Id: " + client.id.encode() +
                      b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body)
            self.assertTrue(s.recv(65536).startswith(b"HTTP/1.1 400 "))

    def test_one_after_the_other_without_waiting(self):
        self.serve()
        client = Client(self)
        head = ("POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: */*\r\nMcp-Session-Id: " + client.id).encode()
        bodies = [json.dumps({"jsonrpc": "2.0", "id": n, "method": "ping"}).encode() for n in range(3)]
        requests = [head + b"\r\nContent-Length: " + str(len(body)).encode() + (b"\r\nConnection: close" if n == 2 else b"") +
                    b"\r\n\r\n" + body for n, body in enumerate(bodies)]
        got = self.raw(b"".join(requests))
        self.assertEqual(got.count(b"HTTP/1.1 200"), 3)
        self.assertLess(got.index(b'"id":0'), got.index(b'"id":2'))

    def test_who_is_slow_or_silent_costs_nobody_else(self):
        self.serve()
        client = Client(self)
        slow = []
        for n in range(200):  # more than there are places
            s = socket.socket(socket.AF_UNIX)
            self.addCleanup(s.close)
            s.connect(self.socket)
            try:
                s.sendall((b"", b"POST /mcp HT", b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                           b"Accept: */*\r\nContent-Length: 100\r\n\r\n{")[n % 3])
            except (BrokenPipeError, ConnectionResetError):
                pass
            slow.append(s)
        fresh = Client(self)
        self.assertEqual(fresh.call("run_command", command="echo served")[0], "served\nexit status 0")
        client.http.close()  # the first was silent for longest, and made room; its session is as it was
        self.assertEqual(client.ask("ping")["result"], {})

    def test_no_more_than_sixteen_calls(self):
        self.serve()
        clients = [Client(self) for _ in range(17)]
        for n, client in enumerate(clients[:16]):
            client.send(client.calling("run_command", command=f"echo up > up{n}; until test -e go; do sleep .05; done"))
            self.wait_for_file(f"up{n}")
        self.assertIn("sixteen", clients[16].say(clients[16].calling("run_command", command="true"))["error"]["message"])
        self.assertEqual(clients[16].ask("ping")["result"], {})
        self.write("work/go", "")
        for client in clients[:16]:
            self.assertEqual(client.hear()["result"]["isError"], False)
        self.assertEqual(clients[16].call("run_command", command="echo room")[0], "room\nexit status 0")
