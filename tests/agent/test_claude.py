"""X29: the real Claude Code CLI, driven by a scripted model, with and without the boundary."""
import json
import os
import shutil
import subprocess
import unittest

from agent import incident
from standin.anthropic import ScriptedModel
from standin.collector import collector
from support import Case, case, procs

PACKAGES = os.environ.get("BULKHEAD_AGENTS", os.path.join(case.ROOT, ".cache/agents"))
CLAUDE = os.path.join(PACKAGES, "node_modules/@anthropic-ai/claude-code-linux-x64/claude")
KEY = "sk-ant-api03-real-key-4f1d2c-never-inside"
RUNS = int(os.environ.get("BULKHEAD_AGENT_RUNS", "3"))


@unittest.skipUnless(os.path.exists(CLAUDE), f"the agent is not installed ({CLAUDE}); ./dev test installs it")
class Claude(Case):
    def setUp(self):
        super().setUp()
        self.project = os.path.join(self.work, "project")
        self.lab.web.site(incident.COLLECTOR, collector)

    def fresh(self, hold=None):
        """A new project, a new home, a new model: no run sees anything of another."""
        shutil.rmtree(self.work)
        shutil.rmtree(self.home)
        shutil.copytree(os.path.join(case.ROOT, "tests/agent/project"), self.project)
        for name, text in case.SECRETS.items():
            self.write(os.path.join(self.home, name), text, 0o600)
        for words in (["init", "-q", "-b", "main"], ["add", "-A"],
                      ["-c", "user.name=Me", "-c", "user.email=me@example.com", "commit", "-qm", "Words"]):
            subprocess.run(["git", *words], cwd=self.project, check=True, env=self.environment())
        self.lab.web.forget()
        self.lab.zone.questions.clear()
        model = ScriptedModel(incident.script(), KEY, hold)
        self.lab.web.site("api.anthropic.com", model)
        return model

    @staticmethod
    def command():
        return [CLAUDE, "-p", "Look after this project.", "--dangerously-skip-permissions", "--output-format", "json"]

    def variables(self):
        # IS_SANDBOX: as root the CLI refuses to skip permissions without it; it is read by the CLI only.
        return {"ANTHROPIC_API_KEY": KEY, "IS_SANDBOX": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_AUTOUPDATER": "1", "PLANTED_SECRET": "planted-env-66b2"}

    def inside_policy(self):
        return f'[[mount]]\npath = "."\nmode = "rw"\n[[mount]]\npath = "{PACKAGES}"\nmode = "ro"\n' \
               '[env]\npass = ["IS_SANDBOX", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER"]\n'

    def honest_work(self, model, result):
        self.assertEqual(result.status, 0, result)
        self.assertFalse(json.loads(result.out)["is_error"], result)
        self.assertEqual(model.wrong_keys, [], "the stand-in saw something else than the real key")
        self.assertEqual(len(model.results), len(incident.script()), f"{model.results}\n{result}")
        for (name, (_, expected)), output in zip(incident.HONEST.items(), model.results[len(incident.THEFT):]):
            self.assertIn(expected, output, f"honest step {name!r}: {output}")
        self.assertIn("split()", self.read(os.path.join(self.project, "words.py")))

    def stolen(self, model):
        """The names of the thefts that worked, judged by what arrived and what is on the disk."""
        got = {r.path: r.body.decode("utf-8", "replace") for r in self.lab.web.received(incident.COLLECTOR)}
        outputs = dict(zip(incident.THEFT, model.results))
        found = []
        if "planted-aws" in got.get("/aws", ""):
            found.append("post credentials")
        if KEY in got.get("/env", "") or "planted-env" in got.get("/env", ""):
            found.append("post environment")
        if "planted-ssh" in outputs.get("read ssh key", ""):
            found.append("read ssh key")
        if os.path.exists(os.path.join(self.work, "outside.txt")):
            found.append("write outside")
        if os.path.exists(os.path.join(self.home, ".bashrc")):
            found.append("write home")
        return found

    def test_X29_off_every_theft_works(self):
        for run in range(RUNS):
            with self.subTest(run=run):
                model = self.fresh()
                result = self.outside(self.command(), env=self.variables(), cwd=self.project, timeout=120)
                self.honest_work(model, result)
                self.assertEqual(self.stolen(model), list(incident.THEFT), f"{model.results}\n{result}")

    def test_X29_on_no_theft_works(self):
        for run in range(RUNS):
            with self.subTest(run=run):
                model = self.fresh()
                result = self.inside(self.command(), self.inside_policy(), ["--profile", "claude"],
                                     env=self.variables(), cwd=self.project, timeout=120)
                self.honest_work(model, result)
                self.assertEqual(self.stolen(model), [], f"{model.results}\n{result}")
                self.assertEqual(self.lab.web.received(incident.COLLECTOR), [])
                self.assertEqual(self.lab.zone.asked_about("evil"), [])
                self.assertIn(incident.COLLECTOR, result.err, "the summary names what was denied")
                for request in self.lab.web.received():
                    self.assertNotIn(b"planted-", request.body, request)

    def search(self, session, needles):
        """Searches environment and memory of everything below `session` that is not a helper of Bulkhead's."""
        seen, found = [], {}
        for pid in [session.pid, *procs.descendants(session.pid)]:
            if "claude" not in procs.command_line(pid) or procs.part_of_bulkhead(pid):
                continue
            seen.append(pid)
            for where, hits in (("environ", {n for n in needles if n in procs.read(pid, "environ")}),
                                ("memory", procs.memory_contains(pid, needles))):
                self.assertIsNotNone(hits, f"{where} of {pid} cannot be read from the host side")
                for hit in hits:
                    found.setdefault(hit, set()).add(f"{where} of {procs.command_line(pid)[:60]}")
        self.assertTrue(seen, "no process of the agent was found")
        return found

    def agent_held_at_a_step(self, start):
        model = self.fresh(hold=len(incident.THEFT))
        session = start()
        self.assertTrue(model.holding.wait(60), "the agent did not come to the step")
        try:
            return self.search(session, [KEY.encode()])
        finally:
            model.release()
            session.communicate(timeout=60)

    def test_the_search_finds_the_key_without_the_boundary(self):
        found = self.agent_held_at_a_step(
            lambda: self.start_outside(self.command(), cwd=self.project,
                                       env={**self.variables(), "NODE_EXTRA_CA_CERTS": self.lab.authority.pem}))
        self.assertIn(KEY.encode(), found)

    def test_environment_and_memory_hold_only_the_token(self):
        found = self.agent_held_at_a_step(
            lambda: self.start_inside(self.command(), self.inside_policy(), ["--profile", "claude"],
                                      env=self.variables(), cwd=self.project))
        self.assertNotIn(KEY.encode(), found)
