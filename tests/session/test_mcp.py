"""bulkhead mcp: the tools of a session, asked for as agents do it."""
import json
import os
import select
import subprocess
import time

from support import Case, bin_folder

STATELESS = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


def nested(depth):
    """What would be copied and written with a stack that deep."""
    return (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":'
            + b"[" * depth + b"]" * depth + b"}}}\n")


class Mcp(Case):
    def serve(self, *options):
        words = [self.program or os.path.join(bin_folder(), "bulkhead"), "mcp", *options]
        child = subprocess.Popen(self.lab.command(words, guard=False), env=self.environment(), cwd=self.work, bufsize=0,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self._children.append(child)
        self.last, self.waiting, self.server = 0, b"", child
        return child

    def say(self, message):
        self.server.stdin.write(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")

    def hear(self, seconds=30):
        end = time.monotonic() + seconds
        while b"\n" not in self.waiting:
            ready, _, _ = select.select([self.server.stdout], [], [], max(0, end - time.monotonic()))
            self.assertTrue(ready, "an answer in time")
            part = os.read(self.server.stdout.fileno(), 1 << 16)
            self.assertTrue(part, "the server is gone")
            self.waiting += part
        line, self.waiting = self.waiting.split(b"\n", 1)
        return json.loads(line)

    def ask(self, method, params=None, **more):
        self.last += 1
        self.say({"jsonrpc": "2.0", "id": self.last, "method": method, **({} if params is None else {"params": params}), **more})
        answer = self.hear()
        self.assertEqual((answer["jsonrpc"], answer["id"]), ("2.0", self.last), answer)
        return answer

    def call(self, tool, **arguments):
        answer = self.ask("tools/call", {"name": tool, "arguments": arguments})
        [content] = answer["result"]["content"]
        self.assertEqual(content["type"], "text")
        return content["text"], answer["result"]["isError"]

    def test_a_connection_that_begins_with_initialize(self):
        self.serve()
        for asked, given in (("2025-06-18", "2025-06-18"), ("1999-01-01", "2025-11-25")):
            result = self.ask("initialize", {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})["result"]
            self.assertEqual((result["protocolVersion"], result["serverInfo"]["name"]), (given, "bulkhead"))
            self.assertNotIn("resultType", result)
        self.say({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.assertEqual(self.ask("ping")["result"], {})
        names = [tool["name"] for tool in self.ask("tools/list")["result"]["tools"]]
        self.assertEqual(names, ["run_command", "read_file", "write_file", "edit_file", "list_files", "search"])

    def test_requests_that_say_their_revision(self):
        self.serve()
        found = self.ask("server/discover", {"_meta": STATELESS})["result"]
        self.assertEqual((found["resultType"], found["supportedVersions"][0]), ("complete", "2026-07-28"))
        listed = self.ask("tools/list", {"_meta": STATELESS})["result"]
        self.assertEqual((listed["resultType"], listed["cacheScope"]), ("complete", "public"))
        refused = self.ask("tools/list", {"_meta": {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}})["error"]
        self.assertEqual((refused["code"], refused["data"]["requested"]), (-32022, "2099-01-01"))
        self.assertIn("2026-07-28", refused["data"]["supported"])
        ran = self.ask("tools/call", {"_meta": STATELESS, "name": "run_command", "arguments": {"command": "echo here"}})["result"]
        self.assertEqual((ran["resultType"], ran["content"][0]["text"]), ("complete", "here\nexit status 0"))

    def test_the_tools(self):
        self.write("work/old.py", "def a():\n    return 1\n\ndef b():\n    return 1\n")
        self.serve()
        self.assertEqual(self.call("run_command", command="echo out; echo err >&2; exit 3"), ("out\nstderr:\nerr\nexit status 3", True))
        self.assertEqual(self.call("run_command", command="pwd", directory="/tmp"), ("/tmp\nexit status 0", False))
        self.assertEqual(self.call("read_file", path="old.py", first_line=4, lines=1),
                         ("def b():\n(there is more, from line 5)\n", False))
        self.assertIn("2 times", self.call("edit_file", path="old.py", old_text="return 1", new_text="return 2")[0])
        self.assertEqual(self.call("edit_file", path="old.py", old_text="def b():\n    return 1", new_text="def b():\n    return 2")[1], False)
        self.assertEqual(self.read("work/old.py"), "def a():\n    return 1\n\ndef b():\n    return 2\n")
        self.assertEqual(self.call("write_file", path="new/-x '$(id)'", content="a\n" * 200_000)[1], False)
        self.assertEqual(self.read("work/new/-x '$(id)'"), "a\n" * 200_000)
        self.assertIn("old.py", self.call("list_files")[0])
        self.assertEqual(self.call("search", pattern="return [0-9]", files="*.py"),
                         ("./old.py:2:    return 1\n./old.py:5:    return 2\n", False))
        self.assertEqual(self.call("search", pattern="nowhere"), ("no match", False))
        self.assertIn("No such file", self.call("read_file", path="missing")[0])
        text, failed = self.call("run_command", command="head -c 3000000 /dev/zero | tr '\\0' x")
        self.assertIn("there was more", text)
        self.assertLess(len(text), 300_000)

    def test_X29_they_reach_nothing_outside(self):
        self.serve()
        for tool, arguments in (("read_file", {"path": os.path.join(self.home, ".aws/credentials")}),
                                ("read_file", {"path": "../home/.aws/credentials"}),
                                ("search", {"pattern": "planted", "path": self.home}),
                                ("run_command", {"command": f"cat {self.home}/.ssh/id_ed25519 {self.home}/.aws/credentials"})):
            self.assertNotIn("planted", self.call(tool, **arguments)[0], (tool, arguments))
        outside = os.path.join(self.tmp, "outside")
        self.call("write_file", path=outside, content="x")
        self.assertFalse(os.path.exists(outside))

    def test_a_command_that_takes_too_long_and_one_that_is_cancelled(self):
        self.serve()
        text, failed = self.call("run_command", command="echo begun; sleep 60", timeout_seconds=2)
        self.assertEqual((text, failed), ("begun\nended after 2 seconds: timeout_seconds", True))
        self.say({"jsonrpc": "2.0", "id": "slow", "method": "tools/call",
                  "params": {"name": "run_command", "arguments": {"command": "echo up > up; sleep 60; echo late > late"}}})
        self.wait_for_file("up")
        self.assertEqual(self.call("run_command", command="echo beside it")[0], "beside it\nexit status 0")
        self.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "slow"}})
        self.wait_until(lambda: "sleep" not in self.call("run_command", command="cat /proc/[0-9]*/cmdline | tr '\\0' ' '")[0].replace("sleep 60; echo", ""),
                        20, "it is over")

    def test_what_a_command_says_comes_as_it_says_it(self):
        self.serve()
        self.say({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                  "params": {"_meta": {"progressToken": "p"}, "name": "run_command",
                             "arguments": {"command": "echo one; until test -e go; do sleep .05; done; echo two"}}})
        first = self.hear()
        self.assertEqual((first["method"], first["params"]["message"]), ("notifications/progress", "one\n"))
        self.write("work/go", "")
        while "result" not in (answer := self.hear()):
            pass
        self.assertEqual(answer["result"]["content"][0]["text"], "one\ntwo\nexit status 0")

    def test_the_session_is_its_own_and_ends_with_it(self):
        for ending in (lambda: self.server.stdin.close(), lambda: self.server.terminate()):
            self.serve("--tier", "native")
            self.call("run_command", command="true")
            self.assertEqual(self.bulkhead("ps").out.count("\n"), 2)
            ending()
            self.assertEqual(self.server.wait(30), 0)
            self.wait_until(lambda: self.bulkhead("ps").out.count("\n") == 1, 10, "no session is left")

    def test_a_killed_server_leaves_no_session(self):
        """Whatever it was doing: nothing, a command, or starting the session."""
        self.serve()
        self.call("run_command", command="true")
        self.server.kill()
        self.wait_until(lambda: self.bulkhead("ps").out.count("\n") == 1, 30, "no session is left")
        self.serve()
        self.say({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                  "params": {"name": "run_command", "arguments": {"command": "echo up > up; trap '' TERM; sleep 1000"}}})
        self.wait_for_file("up")
        self.server.kill()
        self.wait_until(lambda: self.bulkhead("ps").out.count("\n") == 1, 30, "no session is left")
        self.serve()
        self.say({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                  "params": {"name": "run_command", "arguments": {"command": "true"}}})
        self.wait_until(lambda: self.bulkhead("ps").out.count("\n") == 2, 30, "it is starting")
        self.server.kill()
        self.wait_until(lambda: self.bulkhead("ps").out.count("\n") == 1, 30, "no session is left")

    def test_a_session_that_lives_already(self):
        identity = self.ok(self.bulkhead("start")).out.strip()
        self.serve("--session", identity)
        self.call("write_file", path="/tmp/kept", content="x")
        self.server.stdin.close()
        self.assertEqual(self.server.wait(30), 0)
        self.assertEqual(self.ok(self.bulkhead("exec", identity, "--", "cat", "/tmp/kept")).out, "x")
        self.serve("--session", identity)
        self.ok(self.bulkhead("stop", identity))
        text, failed = self.call("run_command", command="true")
        self.assertTrue(failed)
        self.assertIn(identity, text)

    def test_an_answer_also_when_no_session_starts(self):
        """As when a virtual machine can't boot: the agent is told why and what to do, and asks again later."""
        policy = self.policy('tier = "vm"\n[limits]\nmemory = "64MB"\n')
        self.serve("--policy", policy)
        for _ in range(2):
            text, failed = self.call("run_command", command="echo ran > ran")
            self.assertTrue(failed)
            self.assertIn("there is no session to run it in: bulkhead: ", text)
            self.assertIn("bulkhead doctor", text)
        self.assertFalse(os.path.exists(os.path.join(self.work, "ran")))
        with open(policy, "w") as file:
            file.write("version = 1\n")
        self.assertEqual(self.call("run_command", command="echo now")[0], "now\nexit status 0")

    def test_nonsense(self):
        self.serve()
        for line, code in ((b"{\n", -32700), (b"[]\n", -32600), (b'{"id":1}\n', -32600), (b"\xff\n", -32700),
                           (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}\n', -32600), (b'{"jsonrpc":"2.0","id":1,"method":7}\n', -32600),
                           (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}\n', -32602),
                           (b'{"jsonrpc":"2.0","id":1,"method":"resources/list"}\n', -32601),
                           (b"[" * 100_000 + b"\n", -32700), (nested(100_000), -32700)):
            self.say(line)
            self.assertEqual(self.hear()["error"]["code"], code, line[:80])
        for name, arguments in (("nope", {}), ("run_command", {}), ("run_command", {"command": 7}), ("run_command", []),
                                ("run_command", {"command": "true", "shell": "x"}), ("read_file", {"path": ""}),
                                ("read_file", {"path": "a\0b"}), ("run_command", {"command": "true", "timeout_seconds": 0})):
            self.assertEqual(self.ask("tools/call", {"name": name, "arguments": arguments})["error"]["code"], -32602, (name, arguments))
        self.say(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}\n')
        self.assertEqual(self.ask("ping")["result"], {})
        self.assertEqual(self.call("run_command", command="printf '\\377x'")[0], "\ufffdx\nexit status 0")
