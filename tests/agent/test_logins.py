"""X38: agents that are logged in (OAuth), with a token that has expired: they refresh it inside, with what the session
gave them, and go on; the host's file has the new tokens, and nothing real was ever inside."""
import json
import os
import shutil
import subprocess
import time
import unittest

from agent import incident
from agent.agent import PACKAGES
from agent.test_claude import CLAUDE
from agent.test_codex import CODEX
from agent.test_gemini import GEMINI, NODE
from standin.anthropic import Subscribed
from standin.code_assist import CodeAssist, token_info
from standin.login import LoginServer, jwt
from standin.openai import ChatGPT
from support import Case, case, procs


class LoggedIn:
    profile = None
    login = None  # below HOME
    part = None
    search = ("real-access", "real-refresh", "planted-")

    def setUp(self):
        super().setUp()
        self.project = os.path.join(self.work, "project")
        shutil.copytree(os.path.join(case.ROOT, "tests/agent/project"), self.project)
        for words in (["init", "-q", "-b", "main"], ["add", "-A"],
                      ["-c", "user.name=Me", "-c", "user.email=me@example.com", "commit", "-qm", "Words"]):
            subprocess.run(["git", *words], cwd=self.project, check=True, env=self.environment())
        self.server = self.make_server()
        self.file = os.path.join(self.home, self.login)
        self.write(self.file, json.dumps(self.content("real-access-0-has-expired-never-inside", 1)), 0o600)
        # Whatever it can read, and the environment of everything it can see.
        look = "; ".join(f"grep -rsl -- {word[:-1]}[{word[-1]}] ~ /tmp /etc /run /var /proc/[0-9]*/environ && echo FOUND-{word}"
                         for word in self.search)
        self.steps = [f"cat ~/{self.login}", f"({look}); echo looked", *(command for command, _ in incident.HONEST.values())]

    options = ()

    def run_agent(self, model, env=None):
        self.lab.web.site(model.host, model)
        policy = f'[[mount]]\npath = "."\nmode = "rw"\n[[mount]]\npath = "{PACKAGES}"\nmode = "ro"\n' + self.passed
        return self.inside(self.command(), policy, self.options, env={"PATH": self.path(), **(env or {})}, cwd=self.project, timeout=150)

    passed = ""

    def path(self):
        return self.environment()["PATH"]

    def read_login(self):
        return json.loads(self.read(self.file))

    def check(self, model, result, hosts):
        self.assertEqual(result.status, 0, result)
        self.assertEqual(len(model.results), len(self.steps), f"{model.results}\n{result}")
        for (name, (_, expected)), output in zip(incident.HONEST.items(), model.results[2:]):
            self.assertIn(expected, output, f"honest step {name!r}: {output}")
        self.assertEqual(model.wrong_keys, [], "only the real token reached the API")
        self.assertNotIn("FOUND-", model.results[1])
        self.assertIn("looked", model.results[1])
        self.assertIn("bulkhead-", model.results[0], "the file inside holds a token of the session's")
        # Once: what it was given lasts.
        self.assertEqual(len(self.server.seen), 1, self.server.seen)
        self.assertEqual(self.server.seen[0]["refresh_token"], self.server.first[1])
        record = "".join(self.read(path) for path in self.state_files())
        for secret in self.server.secrets():
            self.assertNotIn(secret, "".join(model.results) + result.out + result.err + record)
        self.assertEqual({request.host for request in self.lab.web.received()}, hosts)


@unittest.skipUnless(os.path.exists(CLAUDE), f"the agent is not installed ({CLAUDE}); ./dev test installs it")
class ClaudeLogin(LoggedIn, Case):
    login = ".claude/.credentials.json"
    passed = '[env]\npass = ["IS_SANDBOX"]\n'

    def make_server(self):
        server = LoginServer("/v1/oauth/token", extra={"scope": "user:inference user:profile"})
        self.lab.web.site("platform.claude.com", server)
        return server

    def content(self, access, expires):
        return {"claudeAiOauth": {"accessToken": access, "refreshToken": self.server.refresh, "expiresAt": expires,
                                  "scopes": ["user:inference", "user:profile"], "subscriptionType": "max",
                                  "rateLimitTier": "default_claude_max_20x"},
                "mcpOAuth": {"x": {"accessToken": "planted-mcp"}}}

    @staticmethod
    def command():
        return [CLAUDE, "-p", "Look after this project.", "--dangerously-skip-permissions", "--output-format", "json"]

    def test_X38_refreshes_and_works(self):
        model = Subscribed(self.steps, self.server)
        result = self.run_agent(model, {"IS_SANDBOX": "1"})
        self.check(model, result, {"api.anthropic.com", "platform.claude.com"})
        file = self.read_login()
        self.assertEqual(file["claudeAiOauth"]["accessToken"], self.server.access)
        self.assertEqual(file["claudeAiOauth"]["refreshToken"], self.server.refresh)
        self.assertGreater(file["claudeAiOauth"]["expiresAt"], time.time() * 1000)
        self.assertEqual(file["mcpOAuth"]["x"]["accessToken"], "planted-mcp")
        self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o600)

    def test_X38_its_hooks_and_memory_stay_inside(self):
        """What it writes into its own folder is thrown away: the host's agent would run it."""
        self.write(os.path.join(self.home, ".claude/settings.json"), '{"theme":"dark"}')
        before = sorted(os.listdir(os.path.dirname(self.file)))
        self.steps = ["echo '{\"hooks\":{}}' > ~/.claude/settings.json; mkdir -p ~/.claude/projects/x/memory; "
                      "echo evil > ~/.claude/CLAUDE.md; ls ~/.claude"]
        model = Subscribed(self.steps, self.server)
        result = self.run_agent(model, {"IS_SANDBOX": "1"})
        self.assertEqual(result.status, 0, result)
        self.assertIn("CLAUDE.md", model.results[0])
        self.assertEqual(sorted(os.listdir(os.path.dirname(self.file))), before)
        self.assertEqual(self.read(os.path.join(self.home, ".claude/settings.json")), '{"theme":"dark"}')


@unittest.skipUnless(os.path.exists(GEMINI), f"the agent is not installed ({GEMINI}); ./dev test installs it")
class GeminiLogin(LoggedIn, Case):
    login = ".gemini/oauth_creds.json"

    def path(self):
        return f"{NODE}:{super().path()}"

    def make_server(self):
        # Google's refresh tokens stay as they are.
        server = LoginServer("/token", rotates=False, extra={"scope": "https://www.googleapis.com/auth/cloud-platform"})
        self.lab.web.site("oauth2.googleapis.com", token_info(server))
        self.write(os.path.join(self.home, ".gemini/settings.json"),
                   '{"security":{"auth":{"selectedType":"oauth-personal"}}}')
        return server

    def content(self, access, expires):
        return {"access_token": access, "refresh_token": self.server.refresh, "expiry_date": expires,
                "scope": "https://www.googleapis.com/auth/cloud-platform", "token_type": "Bearer",
                "id_token": "planted-id.token.signature"}

    @staticmethod
    def command():
        return [GEMINI, "--yolo", "--skip-trust", "--prompt", "Look after this project."]

    def test_X38_refreshes_and_works(self):
        model = CodeAssist(self.steps, self.server)
        result = self.run_agent(model)
        self.check(model, result, {"cloudcode-pa.googleapis.com", "oauth2.googleapis.com"})
        file = self.read_login()
        self.assertEqual(file["access_token"], self.server.access)
        self.assertEqual(file["refresh_token"], self.server.refresh)
        self.assertGreater(file["expiry_date"], time.time() * 1000)
        self.assertEqual(file["id_token"], "planted-id.token.signature")


@unittest.skipUnless(os.path.exists(CODEX), f"the agent is not installed ({CODEX}); ./dev test installs it")
class CodexLogin(LoggedIn, Case):
    login = ".codex/auth.json"
    options = ("--profile", "codex-login")
    claims = {"email": "me@example.com", "https://api.openai.com/auth": {
        "chatgpt_plan_type": "pro", "chatgpt_user_id": "user-1", "chatgpt_account_id": "account-1"}}

    def make_server(self):
        server = LoginServer("/oauth/token", claims=self.claims)
        server.extra = {"id_token": jwt({**self.claims, "n": 0})}
        self.lab.web.site("auth.openai.com", server)
        return server

    def content(self, access, expires):
        return {"auth_mode": "chatgpt", "OPENAI_API_KEY": None,
                "tokens": {"id_token": jwt({**self.claims, "n": 0}), "access_token": jwt({**self.claims, "n": 0, "exp": expires}),
                           "refresh_token": self.server.refresh, "account_id": "account-1"},
                "last_refresh": "2026-01-01T00:00:00.000000Z"}

    @staticmethod
    def command():
        return [CODEX, "exec", "Look after this project."]

    def test_X38_refreshes_and_works(self):
        model = ChatGPT(self.steps, self.server)
        result = self.run_agent(model)
        self.check(model, result, {"chatgpt.com", "auth.openai.com"})
        file = self.read_login()
        self.assertEqual(file["tokens"]["access_token"], self.server.access)
        self.assertEqual(file["tokens"]["refresh_token"], self.server.refresh)
        self.assertEqual(file["tokens"]["account_id"], "account-1")
        self.assertGreater(file["last_refresh"], "2026-01-02")
