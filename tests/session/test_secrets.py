"""Credentials stay out of view: mounts that would bring them in, the line at the start, `policy show --reach`."""
import json
import os
import time

from support import Case


class Secrets(Case):
    def refused(self, result, *words):
        self.assertEqual(result.status, 125, result)
        self.assertNotIn("planted-", result.out)
        for word in words:
            self.assertIn(word, result.err)

    def test_M02_a_mount_that_would_bring_credentials_in(self):
        show = ["/bin/cat", os.path.join(self.home, ".aws/credentials")]
        os.symlink(os.path.join(self.home, ".aws"), os.path.join(self.work, "innocent"))
        for what, options in (("itself", ["--mount", "~/.aws:ro"]),
                              ("a file in it", ["--mount", "~/.aws/credentials:ro"]),
                              ("by a link", ["--mount", "innocent:ro"])):
            with self.subTest(what):
                self.refused(self.inside(show, options=options), "AWS credentials (~/.aws)", "say it twice")
        # The folder above holds another.
        self.refused(self.inside(show, options=["--mount", "~/.config:ro"]), "git forges' tokens (~/.config/gh)")
        self.refused(self.inside(show, '[[mount]]\npath = "~/.ssh"\ncopy = true\n'), "policy.toml:4: mount", "SSH keys")
        # Said twice it is there.
        result = self.inside(show, options=["--mount", "~/.aws:ro", "--allow-secrets", "~/.aws"])
        self.assertIn("planted-aws", self.ok(result).out)
        text = '[[mount]]\npath = "~/.aws"\nsecrets = ["~/.aws"]\n'
        self.refused(self.inside(show, text), "--allow-secrets")
        self.refused(self.inside(show, text.replace("secrets", "#"), ["--allow-secrets", "~/.aws"]), "secrets = [")
        self.ok(self.inside(show, text, ["--allow-secrets", "~/.aws"]))
        # And nobody's working folder by accident.
        self.refused(self.inside(["/bin/cat", "id_ed25519"], cwd=os.path.join(self.home, ".ssh")), "SSH keys")

    def test_a_projects_own_keys_are_named_and_not_refused(self):
        self.write(os.path.join(self.work, ".env"), "KEY=1\n")
        self.write(os.path.join(self.work, "deploy/id_rsa"), "x\n")
        self.write(os.path.join(self.work, "bad\x1b[2Jname.pem"), "-----BEGIN PRIVATE KEY-----\n")
        result = self.ok(self.inside(["/bin/cat", ".env"]))
        self.assertEqual(result.out, "KEY=1\n")
        (line,) = [line for line in result.err.splitlines() if "looks like keys" in line]
        for name in (".env", "deploy/id_rsa", "bad\\x1b[2Jname.pem"):
            self.assertIn(name, line)
        self.assertNotIn("looks like keys", self.ok(self.inside(["/bin/true"], options=["--quiet"])).err)

    def test_a_strangers_tree_does_not_hold_the_start_up(self):
        for n in range(30):
            os.mkfifo(os.path.join(self.work, f"{n}.pem"))
            os.symlink("/", os.path.join(self.work, f"root{n}"))
        os.symlink(os.path.join(self.home, ".ssh/id_ed25519"), os.path.join(self.work, ".env"))
        began = time.monotonic()
        result = self.ok(self.inside(["/bin/true"]))
        self.assertLess(time.monotonic() - began, 20)
        self.assertNotIn("looks like keys", result.err)

    def test_reach(self):
        self.write(os.path.join(self.work, ".env"), "KEY=1\n")
        self.write(os.path.join(self.home, ".gitconfig"), "[user]\n\tname = me\n")
        self.write(os.path.join(self.home, ".local/bin/tool"), "#!/bin/sh\n", 0o755)
        shown = self.ok(self.bulkhead("policy", "show", "--reach")).out
        self.assertIn("~/.gitconfig  (toolchains)", shown)
        self.assertIn(self.work + "/.env: environment file", shown)
        self.assertNotIn(".aws", shown)
        found = json.loads(self.ok(self.bulkhead("policy", "show", "--reach", "--json")).out)["reach"]
        by_path = {one["path"]: one for one in found if one["path"]}
        self.assertEqual(by_path[os.path.join(self.home, ".local/bin")]["how"], "ro")
        self.assertEqual(by_path[self.work]["how"], "rw")
        self.assertEqual(by_path[self.work]["keys"], [{"path": self.work + "/.env", "what": "environment file"}])
        self.assertTrue(any(one["path"].startswith("/etc/") and one["how"] == "copy" for one in found))
        for one in found:
            self.assertNotIn("shadow", one["path"])
        # What a session would refuse is listed, and called so.
        shown = self.ok(self.bulkhead("policy", "show", "--reach", "--mount", "~/.config:ro")).out
        self.assertIn("brings in ~/.config/gh (git forges' tokens): refused unless it is said twice", shown)
        self.assertEqual(self.bulkhead("policy", "show", "--json").status, 2)

    def test_what_reach_lists_is_what_a_session_has(self):
        self.write(os.path.join(self.home, ".gitconfig"), "[user]\n\tname = me\n")
        self.write(os.path.join(self.home, ".cargo/bin/tool"), "#!/bin/sh\n", 0o755)
        found = json.loads(self.ok(self.bulkhead("policy", "show", "--reach", "--json")).out)["reach"]
        at = {one["at"] for one in found}
        script = f"cd {self.home} && find . -type f | sort; cd /etc && find . -maxdepth 1 -type f | sort"
        for line in self.ok(self.inside(["/bin/sh", "-c", script])).out.splitlines():
            for top in (self.home, "/etc"):
                path = os.path.normpath(os.path.join(top, line))
                if any(path == one or path.startswith(one + "/") for one in at):
                    break
            else:
                self.fail(f"{line} is there and not listed")
