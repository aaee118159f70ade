"""/etc/bulkhead/managed.d: what an administrator keeps anybody's policy from saying. Each test has an /etc of its own, in
a mount namespace; to an ordinary user's it never belongs to root, and so nothing starts there."""
import hashlib
import json
import os
import subprocess

from support import Case, case

HOST, OTHER = "api.example.com", "other.example.com"


class Managed(Case):
    def setUp(self):
        super().setUp()
        for name in (HOST, OTHER):
            self.lab.web.site(name, lambda request: request.text("arrived\n"))
        self.etc = os.path.join(self.tmp, "etc")
        os.mkdir(self.etc, 0o755)
        # What can't be read is not needed either.
        subprocess.run(["cp", "-a", "/etc/.", self.etc], stderr=subprocess.DEVNULL, check=False)
        self.rules = os.path.join(self.etc, "bulkhead/managed.d")
        os.makedirs(self.rules, 0o755)
        for path in (self.etc, os.path.dirname(self.rules), self.rules):
            os.chmod(path, 0o755)

    def managed(self, text, name="10-x.toml"):
        return self.write(os.path.join(self.rules, name), "version = 1\n" + text)

    def here(self, argv, env=None):
        return self._run(self.lab.command(argv, mounts=[(self.etc, "/etc")], guard=False), argv, self.environment(env),
                         None, None, 60)

    def run_it(self, policy="", options=(), argv=("/bin/echo", "it ran")):
        return self.here(self.bulkhead_command(list(argv), policy, options))

    def tool(self, *words):
        return self.here([os.path.join(case.bin_folder(), "bulkhead"), *words])

    def refused(self, result, *words):
        self.assertEqual(result.status, 125, result)
        self.assertNotIn("it ran", result.out)
        for word in words:
            self.assertIn(word, result.err)


class Untrusted(Managed):
    """For everybody: a folder that can't be trusted stops every session."""

    def test_M01_rules_that_others_could_have_written(self):
        self.managed("ask = false\n")
        if os.geteuid() != 0:
            self.refused(self.run_it(), "does not belong to root", "chown root")
            return
        self.ok(self.run_it())
        path = os.path.join(self.rules, "10-x.toml")
        parent = os.path.dirname(self.rules)
        for what, break_it, mend in (
                ("file's owner", lambda: os.chown(path, 12345, 0), lambda: os.chown(path, 0, 0)),
                ("file's mode", lambda: os.chmod(path, 0o666), lambda: os.chmod(path, 0o644)),
                ("group", lambda: os.chmod(path, 0o664), lambda: os.chmod(path, 0o644)),
                ("folder's owner", lambda: os.chown(self.rules, 12345, 0), lambda: os.chown(self.rules, 0, 0)),
                ("folder's mode", lambda: os.chmod(self.rules, 0o777), lambda: os.chmod(self.rules, 0o755)),
                ("parent's mode", lambda: os.chmod(parent, 0o1777), lambda: os.chmod(parent, 0o755)),
                ("/etc itself", lambda: os.chmod(self.etc, 0o777), lambda: os.chmod(self.etc, 0o755))):
            with self.subTest(what):
                break_it()
                self.refused(self.run_it(), "managed policy: /etc", "an administrator mends it")
                mend()
        self.ok(self.run_it())

    def test_links_and_what_cannot_be_understood(self):
        if os.geteuid() != 0:
            self.skipTest("needs to be started as root")
        target = self.write(os.path.join(self.tmp, "elsewhere.toml"), "version = 1\n")
        link = os.path.join(self.rules, "20-link.toml")
        os.symlink(target, link)
        self.refused(self.run_it(), "20-link.toml is a symbolic link")
        os.remove(link)
        os.mkfifo(link)
        self.refused(self.run_it(), "20-link.toml is no regular file")
        os.remove(link)
        self.managed("aks = false\n")
        self.refused(self.run_it(), "/etc/bulkhead/managed.d/10-x.toml:2", "did you mean `ask`", "no session starts")
        os.remove(os.path.join(self.rules, "10-x.toml"))
        self.ok(self.run_it())  # an empty folder says nothing
        os.rmdir(self.rules)
        os.symlink(self.tmp, self.rules)
        self.refused(self.run_it(), "/etc/bulkhead/managed.d is no folder, or a symbolic link to one")


class Rules(Managed):
    root_only = True  # only root's files are rules

    def test_M01_no_layer_loosens_them(self):
        self.managed('organisation = "Example Inc."\ncontact = "it@example.com"\n'
                     f'[network]\ndeny_hosts = ["{OTHER}"]\n')
        allowed = self.grant(HOST) + self.grant(OTHER)
        self.refused(self.run_it(allowed), f'a grant for "{OTHER}"', "the policy of Example Inc. "
                     "(/etc/bulkhead/managed.d/10-x.toml:5)", "questions: it@example.com")
        self.refused(self.run_it(self.grant("*.example.com")), OTHER)
        self.ok(self.run_it(self.grant(HOST)))
        # The user's own file, where it stands by itself.
        self.write(os.path.join(self.home, ".config/bulkhead/policy.toml"), "version = 1\n" + self.grant(OTHER))
        self.refused(self.here([os.path.join(case.bin_folder(), "bulkhead"), "run", "--", "/bin/echo", "it ran"]), OTHER)

    def test_mounts_by_where_they_lead(self):
        secret = self.folder("work/payroll")
        os.symlink(secret, os.path.join(self.work, "harmless"))
        self.managed(f'[mount]\ndeny = ["{secret}"]\n')
        self.refused(self.run_it(options=["--mount", secret + ":ro"]), "10-x.toml:3")
        self.refused(self.run_it(options=["--mount", os.path.join(self.work, "harmless") + ":ro"]), "which is", "payroll")
        self.refused(self.run_it(), "go to a folder that may be mounted")  # it lies in the folder
        # An allow list: this folder, and of links what they lead to.
        self.managed(f'[mount]\nallow = ["{self.work}"]\n')
        self.ok(self.run_it())
        outside = self.folder("outside")
        os.symlink(outside, os.path.join(self.work, "out"))
        self.refused(self.run_it(options=["--mount", os.path.join(self.work, "out") + ":ro"]), "lets sessions have of files only")

    def test_home_is_what_the_accounts_say(self):
        """HOME is the user's word: it may add to what is denied, and never to what is allowed."""
        project = self.folder("home/project")
        self.managed('[mount]\ndeny = ["~/project"]\n')
        self.refused(self.run_it(options=["--mount", project + ":ro"]), "10-x.toml:3")

    def test_modes(self):
        self.managed('[mount]\nforbid_modes = ["rw"]\n')
        self.refused(self.run_it(), "forbids the mode rw")
        self.ok(self.run_it(options=["--mount", ".:ro"]))
        self.managed(f'[mount]\nreview = ["{self.work}"]\n')
        self.refused(self.run_it(), "looked at before it is changed")
        self.ok(self.run_it(options=["--mount", ".:ro"]))

    def test_tiers_ask_publish_and_variables(self):
        self.managed('tiers = ["vm"]\n')
        self.refused(self.run_it(), 'the tier "native"', 'allows "vm"', "--tier vm")
        self.managed('ask = false\n[network]\npublish = "loopback"\ntcp = false\n[env]\nforbid = ["LD_*"]\nset.SITE = "berlin"\n')
        self.refused(self.run_it(options=["--ask"]), "lets nobody open what no grant allows")
        self.refused(self.run_it("ask = true\n"), "policy.toml:4")
        self.refused(self.run_it(options=["--publish", "0.0.0.0:18080"]), "for this machine alone")
        self.refused(self.run_it(options=["--env", "LD_PRELOAD=/x"]), "command line: the variable LD_PRELOAD")
        self.refused(self.run_it(f'[[grant]]\nhost = "{HOST}"\nport = 5432\nprotocol = "tcp"\n'), "no tcp grants")
        result = self.ok(self.run_it(options=["--env", "SITE=elsewhere", "--publish", "18080"],
                                     argv=["/bin/sh", "-c", "echo $SITE"]))
        self.assertEqual(result.out, "berlin\n")

    def test_only_pinned_presets(self):
        name = "npm-install"
        with open(os.path.join(case.ROOT, "presets", name + ".toml"), "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        self.managed(f'[network.presets]\n{name} = "{digest}"\n')
        preset = f'[[grant]]\npreset = "{name}"\n'
        self.ok(self.run_it(preset))
        self.refused(self.run_it(self.grant(HOST)), "lets grants be made by these presets only")
        self.refused(self.run_it(preset + '[[grant]]\npreset = "crates"\n'), 'preset "crates"')
        self.managed(f'[network.presets]\n{name} = "{"0" * 64}"\n')
        self.refused(self.run_it(preset), "pins another content of it", "10-x.toml:3")
        # Of several files every rule holds.
        self.managed(f'[network.presets]\n{name} = "{digest}"\n', "20-y.toml")
        self.refused(self.run_it(preset), "10-x.toml:3")

    def test_caps(self):
        self.managed('[limits]\nprocesses = 40\n[budget]\nrequests_per_minute = 3\n')
        policy = self.grant(HOST) + "[limits]\nprocesses = 4000\n"
        shown = self.ok(self.tool("policy", "show", "--policy", self.policy(policy))).out
        self.assertIn("processes = 40  # managed, /etc/bulkhead/managed.d/10-x.toml:3", shown)
        self.assertIn("requests_per_minute = 3", shown)
        self.assertIn("#   4: each grant at most: requests_per_minute 3", shown)
        result = self.ok(self.run_it(policy, argv=["/bin/sh", "-c", "for i in 1 2 3 4 5; do "
                                                   f"curl -sS -o /dev/null -w '%{{http_code}} ' https://{HOST}/; done"]))
        self.assertEqual(result.out.split()[:5], ["200"] * 3 + ["429"] * 2, result)

    def test_reload_and_what_is_recorded(self):
        """Rules that came while a session runs hold from the next reload on."""
        path = self.managed("")
        policy = self.policy(self.grant(HOST))
        child = subprocess.Popen(
            self.lab.command(self.bulkhead_command(["/bin/sh", "-c", "echo up > up; sleep 60"], policy),
                             mounts=[(self.etc, "/etc")], guard=False),
            env=self.environment(), cwd=self.work, start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._children.append(child)
        self.wait_for_file("up")
        session = json.loads(self.bulkhead("ps", "--json").out)[0]["id"]
        log = os.path.join(self.home, ".local/state/bulkhead/evidence", session + ".jsonl")
        events = [json.loads(line) for line in self.read(log).splitlines()]
        (start,) = [e for e in events if e["type"] == "session.start"]
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        self.assertEqual(start["managed"], [{"file": "/etc/bulkhead/managed.d/10-x.toml", "sha256": digest}])
        self.managed(f'[network]\ndeny_hosts = ["{OTHER}"]\n')
        self.policy(self.grant(HOST) + self.grant(OTHER))
        result = self.tool("reload", session, "--yes")
        self.assertEqual(result.status, 1, result)
        self.assertIn("10-x.toml:3", result.err)
        self.policy(self.grant(HOST))
        self.ok(self.tool("reload", session))
        # Nor by a program that does not know the rules: the session's own process judges again.
        self.policy(self.grant(HOST) + self.grant(OTHER))
        result = self.bulkhead("reload", session, "--yes")  # in the host's /etc, where there are none
        self.assertEqual(result.status, 1, result)
        self.assertIn("10-x.toml:3", result.err)
        self.ok(self.bulkhead("stop", session))

    def test_the_tools_say_what_holds(self):
        self.managed('organisation = "Example Inc."\nask = false\n')
        shown = self.ok(self.tool("policy", "show")).out
        self.assertIn("# Example Inc., /etc/bulkhead/managed.d/10-x.toml", shown)
        self.assertIn("#   3: nobody is asked", shown)
        self.ok(self.tool("policy", "show", "--policy", self.write("shown.toml", shown)))  # reads back
        self.assertIn("10-x.toml", self.ok(self.tool("doctor")).out)
        self.assertEqual(json.loads(self.tool("doctor", "--json").out)["managed"]["files"][0]["file"],
                         "/etc/bulkhead/managed.d/10-x.toml")
        mine = self.policy(self.grant(HOST))
        self.assertIn("10-x.toml: ok: managed", self.ok(self.tool("policy", "check", mine)).out)
        self.managed('[network.presets]\nnpm-install = "' + "0" * 64 + '"\n', "20-y.toml")
        result = self.tool("policy", "check", mine)
        self.assertIn("20-y.toml:3: warning", result.out)
        self.assertIn("[stale-pin]", result.out)
        os.chmod(self.rules, 0o777)
        result = self.tool("doctor")
        self.assertIn("may be written by others than root", result.out)
        self.assertEqual(result.status, 1, "no session can start")
