"""Where a secret is while a session runs: in its egress, and nowhere else of Bulkhead's; and where it comes from."""
import json
import os

from support import Case, procs

HOST = "api.example.com"
KEY = "real-key-77a1c04e"


class Credentials(Case):
    def setUp(self):
        super().setUp()
        self.lab.web.site(HOST, lambda request: request.text("arrived\n"))

    def policy_with(self, source, more=""):
        return (f'[credential.api]\nsource = "{source}"\nexpose = {{ env = "API_KEY" }}\n'
                f'carry = {{ header = "x-api-key" }}\n{more}') + self.grant(HOST, credential="api")

    script = f'curl -sS -o /dev/null -w "%{{http_code}}" -H "x-api-key: $API_KEY" https://{HOST}/v1'

    def arrives(self, source, env=None, secret=KEY):
        result = self.inside(["/bin/sh", "-c", self.script], self.policy_with(source), env=env)
        self.assertEqual(result.out, "200", result)
        self.assertEqual(self.lab.web.received(HOST)[-1].headers["x-api-key"], secret)
        for path in self.state_files():
            with open(path, "rb") as file:
                self.assertNotIn(secret.encode(), file.read(), path)
        self.assertNotIn(secret, result.err + result.out)
        return result

    def test_each_source(self):
        self.arrives("env:THE_KEY", {"THE_KEY": KEY})
        path = self.write("key", KEY + "\n", 0o600)
        self.arrives("file:" + path)
        self.arrives("command:echo $THE_KEY", {"THE_KEY": KEY})
        # Stand-ins on PATH, as the real ones would be.
        bin_folder = self.folder("bin")
        self.write("bin/secret-tool", f"#!/bin/sh\n[ \"$*\" = 'lookup service test' ] && printf {KEY}\n", 0o755)
        self.write("bin/systemd-creds", "#!/bin/sh\n[ $1 = decrypt ] && tr a-z A-Z < $2 | tr A-Z a-z\n", 0o755)
        path_env = {"PATH": bin_folder + ":/usr/bin:/bin"}
        self.arrives("secret-service:service=test", path_env)
        self.arrives("systemd-creds:" + path, path_env)
        folder = os.path.dirname(self.write("unit/the-key", KEY, 0o600))
        self.arrives("systemd-creds:the-key", {"CREDENTIALS_DIRECTORY": folder})

    def test_only_egress_has_it(self):
        """Root may look into all of them, others into the supervisor, from which the variable itself is gone, too."""
        for source, env in ((f"env:THE_KEY", {"THE_KEY": KEY}), ("file:" + self.write("key", KEY, 0o600), {}),
                            ("command:echo $THE_KEY", {"THE_KEY": KEY})):
            # What a command reads from is the command's affair; the variable stays with whoever set it.
            with self.subTest(source=source):
                child = self.start_inside(["/bin/sh", "-c", self.script + " > done; sleep 60"], self.policy_with(source), env=env)
                self.wait_for_file("done")
                has, parts = {}, set()
                for pid in [child.pid, *procs.descendants(child.pid)]:
                    name = procs.part_of_bulkhead(pid)
                    if not name:
                        continue
                    parts.add(name)
                    found = procs.memory_contains(pid, [KEY.encode()])
                    self.assertTrue(found is not None or (os.geteuid() != 0 and name != "bulkhead"), name)
                    if found:
                        has[name] = has.get(name, 0) + 1
                self.assertTrue({"bulkhead", "bulkhead-front", "bulkhead-egress", "bulkhead-eviden"} <= parts, parts)
                self.assertNotIn("bulkhead-creden", parts, "it has ended")
                if source.startswith("command:"):
                    has.pop("bulkhead", None)
                self.assertEqual(has, {"bulkhead-egress": 1} if os.geteuid() == 0 else {})
                os.remove(os.path.join(self.work, "done"))
                self.bulkhead("stop", "--all")

    def test_what_is_missing(self):
        result = self.inside(["true"], self.policy_with("secret-service:service=none"), env={"PATH": "/usr/bin:/bin"})
        self.assertEqual(result.status, 125)
        self.assertIn('credential "api": ', result.err)
        result = self.inside(["/bin/sh", "-c", "echo ran"], self.policy_with("env:NOT_THERE", "optional = true\n"))
        self.assertEqual((result.status, result.out), (0, "ran\n"), result)
        self.assertIn('credential "api": NOT_THERE is not set; set it (its grants stay closed)', result.err)
        result = self.inside(["true"], self.policy_with("command:exit 3"))
        self.assertEqual(result.status, 125)
        self.assertIn("ended with status 3", result.err)

    def test_released_only_after_the_start_is_recorded(self):
        self.arrives("env:THE_KEY", {"THE_KEY": KEY})
        folder = os.path.join(self.home, ".local/state/bulkhead/evidence")
        (name,) = os.listdir(folder)
        with open(os.path.join(folder, name)) as file:
            events = [json.loads(line) for line in file]
        kinds = [event["type"] for event in events]
        self.assertLess(kinds.index("credential.release"), kinds.index("session.start"))
        self.assertLess(kinds.index("session.start"), kinds.index("credential.use"))
        self.assertEqual(events[kinds.index("credential.release")]["read_from"], "env:THE_KEY")
