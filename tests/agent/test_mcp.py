"""X29, X30 with the agent's own loop, login and network outside: what it runs, it runs by `bulkhead mcp` in a session."""
import json
import os
import subprocess
import sys
import unittest

from agent.agent import Contained
from agent.test_claude import CLAUDE, ClaudeCode
from agent.test_codex import CODEX, SETTINGS, CodexCli
from agent.test_gemini import GEMINI, GeminiCli
from standin.anthropic import Messages
from standin.gemini import GenerateContent
from standin.openai import Responses, javascript
from support import Case
from support.case import bin_folder


class Tools(Messages):
    shell = ("mcp__bulkhead__run_command",)

    @staticmethod
    def input_of(command, step):
        return {"command": command}


class DeclaredTools(GenerateContent):
    shell = ("run_command", "mcp_bulkhead_run_command")
    input_of = staticmethod(Tools.input_of)


class LoopOutside(Contained):
    def server(self):
        return {"command": os.path.join(bin_folder(), "bulkhead"), "args": ["mcp", "--tier", self.tier]}

    def over(self):
        """The agent's end was the server's."""

    def test_X29_X30_on_no_theft_works(self):
        for run in range(self.runs):
            with self.subTest(run=run):
                model = self.fresh()
                result = self.outside(self.command(), env=self.variables(), cwd=self.project, timeout=180)
                self.honest_work(model, result)
                self.assertTrue(self.edited(), "the session's workspace is the folder it was started in")
                # Where the key is, is outside: that the agent's own API saw it is no theft.
                self.assertEqual(self.stolen(model), [], f"{model.results}\n{result}")
                self.assertEqual(model.foreign, [])
                self.assertEqual(self.lab.web.received("collector.example.net"), [])
                self.over()
                self.wait_until(lambda: self.bulkhead("ps").out.count("\n") == 1, 20, "its session is over")
                self.assertTrue(any(event["command"][0] == "/bin/sh" for event in self.recorded("command.start")))


@unittest.skipUnless(os.path.exists(CLAUDE), f"the agent is not installed ({CLAUDE}); ./dev test installs it")
class Claude(ClaudeCode, LoopOutside, Case):
    api = Tools
    settings = {**ClaudeCode.settings, "ENABLE_TOOL_SEARCH": "false"}

    def command(self):
        return [*ClaudeCode.command(), "--strict-mcp-config", "--mcp-config", json.dumps({"mcpServers": {"bulkhead": self.server()}}),
                "--disallowedTools", "Bash,Edit,Write,Read,Glob,Grep,NotebookEdit,WebFetch,WebSearch,Task"]


# An agent dials an address; whoever has one that does, forwards it to the socket.
FORWARD = """
import socket, sys, threading
def carry(a, b):
    while part := a.recv(65536):
        b.sendall(part)
    b.shutdown(socket.SHUT_WR)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    client, _ = listener.accept()
    server = socket.socket(socket.AF_UNIX)
    server.connect(sys.argv[1])
    for pair in ((client, server), (server, client)):
        threading.Thread(target=carry, args=pair, daemon=True).start()
"""


class ClaudeOverHttp(Claude):
    def server(self):
        path = os.path.join(self.runtime, "mcp.sock")
        words = [os.path.join(bin_folder(), "bulkhead"), "mcp", "--socket", path, "--tier", self.tier]
        self.serving = subprocess.Popen(self.lab.command(words, guard=False), env=self.environment(), cwd=self.project,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._children.append(self.serving)
        self.assertEqual(self.serving.stdout.readline().decode(), path + "\n")
        forwarder = self.start_outside([sys.executable, "-c", FORWARD, path])
        return {"type": "http", "url": f"http://127.0.0.1:{int(forwarder.stdout.readline())}/mcp"}

    def over(self):
        self.assertIsNone(self.serving.poll(), "it serves whoever comes next")
        self.serving.terminate()
        self.assertEqual(self.serving.wait(30), 0)


@unittest.skipUnless(os.path.exists(GEMINI), f"the agent is not installed ({GEMINI}); ./dev test installs it")
class Gemini(GeminiCli, LoopOutside, Case):
    api = DeclaredTools

    def fresh(self, hold=None):
        model = super().fresh(hold)
        self.write("home/.gemini/settings.json", json.dumps({
            "mcpServers": {"bulkhead": {**self.server(), "trust": True}},
            "tools": {"exclude": ["run_shell_command", "write_file", "replace", "read_file", "read_many_files", "glob",
                                  "search_file_content", "list_directory", "web_fetch", "google_web_search"]}}))
        return model


class NestedTools(Responses):
    """Codex's model writes JavaScript, in which the server's tools are functions."""

    @staticmethod
    def call_of(offered):
        def call(command):
            if command.startswith("//js"):
                return javascript(offered, command)
            words = json.dumps({"command": command})
            return javascript(offered, f"const r = await tools.mcp__bulkhead__run_command({words}); text(r.content[0].text);")
        return call if "exec" in offered else None


@unittest.skipUnless(os.path.exists(CODEX), f"the agent is not installed ({CODEX}); ./dev test installs it")
class Codex(CodexCli, LoopOutside, Case):
    api = NestedTools
    shut = ('sandbox_mode = "read-only"', 'approval_policy = "never"', "[features]", "shell_tool = false", "view_image = false")
    usual = ('sandbox_mode = "danger-full-access"', 'approval_policy = "never"')

    def fresh(self, hold=None):
        model = super().fresh(hold)
        server = self.server()
        self.write("home/.codex/config.toml", "\n".join((
            *self.settings_of, "[mcp_servers.bulkhead]", f'command = "{server["command"]}"', f"args = {json.dumps(server['args'])}",
            'default_tools_approval_mode = "approve"')))
        return model

    settings_of = shut

    def test_its_own_tools_act_only_where_nobody_took_them_away(self):
        """The second half of what docs/mcp.md has people write; without it they act outside."""
        steps = {"shell": "await tools.exec_command({cmd: 'echo x > ../shell.txt'})",
                 "patch": "await tools.apply_patch('*** Begin Patch\\n*** Add File: ../patch.txt\\n+x\\n*** End Patch')",
                 "image": "await tools.view_image({path: '%s'})" % self.write("image.png", "x")}
        for settings, works in ((self.usual, ["patch", "shell"]), (self.shut, [])):
            self.settings_of = settings
            model = self.fresh()
            model.script = [f"//js\ntry {{ {code}; text('did it'); }} catch (error) {{ text('refused: ' + error); }}"
                            for code in steps.values()]
            result = self.outside(self.command(), env=self.variables(), cwd=self.project, timeout=180)
            self.assertEqual(len(model.results), 3, result)
            done = sorted(name for name in steps if os.path.exists(os.path.join(self.work, name + ".txt")))
            self.assertEqual(done, works, f"{model.results}\n{result}")
            self.assertEqual(["not a function" in text for text in model.results],
                             [False] * 3 if works else [True, False, True], model.results)

    def outside(self, argv, **keywords):
        settings = SETTINGS[:-2]  # but for the one that takes its own sandbox off
        return Case.outside(self, [argv[0], *settings, *argv[1:]], **keywords)
