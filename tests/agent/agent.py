"""X29 and X30 for one agent's real command line, driven by a scripted model, with and without the boundary.

A subclass says which agent: its profile, the stand-in of its API, its command line, its key.
"""
import base64
import os
import shutil
import subprocess

from agent import incident
from standin.collector import collector
from support import case, procs

PACKAGES = os.environ.get("BULKHEAD_AGENTS", os.path.join(case.ROOT, ".cache/agents"))
MODULES = os.path.join(PACKAGES, "node_modules")


class Contained:
    """The agent behind the boundary."""

    profile = None       # what the agent's command is called, which picks the profile
    api = None           # the stand-in's class
    variable = None      # where the agent looks for its key
    key = None
    part = None          # is in the command line of each of the agent's processes
    settings = {}        # variables of the agent that the profile doesn't set
    login = None         # below HOME, where the agent keeps one
    memory = None        # below HOME, a place for what it remembers of another session
    runs = max(1, int(os.environ.get("BULKHEAD_AGENT_RUNS", "1")) // 10)

    @staticmethod
    def command():
        raise NotImplementedError

    def said(self, result):
        """Whether the agent itself calls its work done."""
        return "All done." in result.out

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
        for name in (self.login, self.memory):
            self.write(os.path.join(self.home, name), incident.OWN, 0o600)
        for words in (["init", "-q", "-b", "main"], ["add", "-A"],
                      ["-c", "user.name=Me", "-c", "user.email=me@example.com", "commit", "-qm", "Words"]):
            subprocess.run(["git", *words], cwd=self.project, check=True, env=self.environment())
        self.lab.web.forget()
        self.lab.zone.questions.clear()
        model = self.api(self.script(), self.key, hold)
        self.lab.web.site(model.host, model)
        return model

    def thefts(self):
        return incident.theft(self.api, self.login, self.memory)

    def script(self):
        return [*self.thefts().values(), *(command for command, _ in incident.HONEST.values())]

    def home_of_the_host(self):
        """Every file of it but Bulkhead's own, and what is in it."""
        found = {}
        for folder, _, names in os.walk(self.home):
            if not folder.startswith(os.path.join(self.home, ".local/state/bulkhead")):
                found.update({os.path.join(folder, name): self.read(os.path.join(folder, name)) for name in names})
        return found

    def path(self):
        return self.environment()["PATH"]

    def variables(self):
        return {self.variable: self.key, "PATH": self.path(), "PLANTED_NOTE": "planted-env-66b2", **self.settings}

    def inside_policy(self):
        # The working directory is in no mount: the profile says how it is shown.
        passed = ", ".join(f'"{name}"' for name in self.settings)
        return f'[[mount]]\npath = "{PACKAGES}"\nmode = "ro"\n[env]\npass = [{passed}]\n'

    def honest_work(self, model, result):
        self.assertEqual(result.status, 0, result)
        self.assertTrue(self.said(result), result)
        self.assertEqual(model.wrong_keys, [], "the stand-in saw something else than the real key")
        steps = self.thefts()
        self.assertEqual(len(model.results), len(steps) + len(incident.HONEST), f"{model.results}\n{result}")
        for (name, (_, expected)), output in zip(incident.HONEST.items(), model.results[len(steps):]):
            self.assertIn(expected, output, f"honest step {name!r}: {output}")

    def edited(self):
        return "split()" in self.read(os.path.join(self.project, "words.py"))

    def stolen(self, model):
        """The names of the thefts that worked, judged by what arrived and what is on the disk."""
        got = {r.path: r.body.decode("utf-8", "replace") for r in self.lab.web.received(incident.COLLECTOR)}
        outputs = dict(zip(self.thefts(), model.results))
        found = []
        if "planted-aws" in got.get("/aws", ""):
            found.append("post credentials")
        if self.key in got.get("/env", "") or "planted-env" in got.get("/env", ""):
            found.append("post environment")
        if "planted-ssh" in outputs.get("read ssh key", ""):
            found.append("read ssh key")
        if os.path.exists(os.path.join(self.work, "outside.txt")):
            found.append("write outside")
        if os.path.exists(os.path.join(self.home, ".bashrc")):
            found.append("write home")
        for name in ("read own login", "read own memory"):
            if "planted-own" in outputs.get(name, ""):
                found.append(name)
        with open(os.path.join(case.ROOT, "tests/agent/project/words.py"), "rb") as file:
            project = base64.b64encode(file.read()).decode()
        if any(project in body for body in model.foreign):
            found.append(incident.FOREIGN)
        return found

    def test_X29_X30_on_no_theft_works(self):
        for run in range(self.runs):
            with self.subTest(run=run):
                model = self.fresh()
                home = self.home_of_the_host()
                result = self.inside(self.command(), self.inside_policy(), env=self.variables(), cwd=self.project, timeout=120)
                self.honest_work(model, result)
                self.assertFalse(self.edited(), "the host's folder is as it was until somebody has looked")
                applied = self.bulkhead("apply", cwd=self.project)
                self.assertEqual(applied.status, 0, applied)
                self.assertTrue(self.edited(), applied)
                self.assertEqual(self.home_of_the_host(), home, "its folder on the host is as it was")
                self.assertEqual(self.stolen(model), [], f"{model.results}\n{result}")
                self.assertEqual(self.lab.web.received(incident.COLLECTOR), [])
                self.assertEqual(self.lab.zone.asked_about("evil"), [])
                self.assertIn(incident.COLLECTOR, result.err, "the summary names what was denied")
                for request in self.lab.web.received():
                    self.assertNotIn(b"planted-", request.body, request)
                # X30: nothing came under another key, and the key was why.
                self.assertEqual(model.foreign, [])
                tried = dict(zip(self.thefts(), model.results))[incident.FOREIGN]
                self.assertIn("other than this session's token", tried)
                # It had a token all the while, and asked nobody but its API.
                self.assertEqual({request.host for request in self.lab.web.received()}, {self.api.host})
                self.assertEqual(set(self.lab.zone.asked_about("")), {self.api.host})


class Incident(Contained):
    """The whole of it: what the boundary is there for, and where the key is meanwhile."""

    def test_X29_X30_off_every_theft_works(self):
        for run in range(self.runs):
            with self.subTest(run=run):
                model = self.fresh()
                result = self.outside(self.command(), env=self.variables(), cwd=self.project, timeout=120)
                self.honest_work(model, result)
                self.assertTrue(self.edited())
                self.assertEqual(self.stolen(model), list(self.thefts()), f"{model.results}\n{result}")

    def belongs_to_the_agent(self, pid):
        if self.tier == "native" or not procs.descendant_of_runsc(pid):
            return self.part in procs.command_line(pid) and not procs.part_of_bulkhead(pid)
        return True  # gVisor's kernel, and the nameless processes that hold the workload's memory

    def search(self, session, needles):
        """Searches environment and memory of everything below `session` that is not a helper of Bulkhead's."""
        seen, found = [], {}
        for pid in [session.pid, *procs.descendants(session.pid)]:
            if not self.belongs_to_the_agent(pid):
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
        model = self.fresh(hold=len(self.thefts()))
        session = start()
        while not model.holding.wait(0.2):
            if session.poll() is not None:
                self.fail(f"the agent did not come to the step: {session.communicate()}")
        try:
            return self.search(session, [self.key.encode(), b"bulkhead-"])
        finally:
            model.release()
            session.communicate(timeout=120)

    def test_the_search_finds_the_key_without_the_boundary(self):
        pem = self.lab.authority.pem
        found = self.agent_held_at_a_step(
            lambda: self.start_outside(self.command(), cwd=self.project,
                                       env={**self.variables(), "NODE_EXTRA_CA_CERTS": pem, "SSL_CERT_FILE": pem}))
        self.assertIn(self.key.encode(), found)

    def test_environment_and_memory_hold_only_the_token(self):
        found = self.agent_held_at_a_step(
            lambda: self.start_inside(self.command(), self.inside_policy(), env=self.variables(), cwd=self.project))
        self.assertNotIn(self.key.encode(), found)
        self.assertIn(b"bulkhead-", found, "the token is what it has")
