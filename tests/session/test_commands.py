"""ps, stop, doctor, policy."""
import json
import os
import subprocess
import time

from support import Case, case


class Commands(Case):
    def up(self, name="up", script="sleep 60", policy=""):
        child = self.start_inside(["/bin/sh", "-c", f"echo up > {name}; {script}"], policy)
        self.wait_for_file(name)
        return child

    def test_ps_lists_what_runs(self):
        self.assertEqual(json.loads(self.ok(self.bulkhead("ps", "--json")).out), [])
        self.up("one")
        self.up("two")
        sessions = json.loads(self.ok(self.bulkhead("ps", "--json")).out)
        self.assertEqual(len(sessions), 2)
        self.assertEqual({s["tier"] for s in sessions}, {"native"})
        self.assertEqual({s["workspace"] for s in sessions}, {self.work})
        self.assertEqual(len({s["id"] for s in sessions}), 2)
        shown = self.ok(self.bulkhead("ps")).out
        for session in sessions:
            self.assertIn(session["id"], shown)

    def test_stop_ends_one_session(self):
        first, second = self.up("one"), self.up("two")
        pids = {s["pid"]: s["id"] for s in json.loads(self.bulkhead("ps", "--json").out)}
        identity = sorted(pids.values())[0]
        began = time.monotonic()
        self.assertEqual(self.ok(self.bulkhead("stop", identity[:8])).out.strip(), identity)
        self.assertLess(time.monotonic() - began, 12)
        left = json.loads(self.bulkhead("ps", "--json").out)
        self.assertEqual([s["id"] for s in left], sorted(pids.values())[1:])
        self.wait_until(lambda: (first.poll() is None) != (second.poll() is None), 5, "exactly one has ended")

    def test_stop_all_stops_a_workload_that_ignores_it(self):
        child = self.up(script="trap '' TERM INT HUP; while :; do sleep 1; done")
        self.ok(self.bulkhead("stop", "--all", timeout=30))
        self.assertEqual(child.wait(5), 137)
        self.assertEqual(self.ok(self.bulkhead("ps", "-q")).out, "")

    def test_doctor(self):
        result = self.bulkhead("doctor", "--json")
        found = json.loads(result.out)
        self.assertTrue(found["tiers"]["native"], result)
        self.assertEqual(result.status, 0)
        for probe in found["probes"]:
            self.assertIn(probe["state"], ("ok", "degraded", "missing"), probe)
            if probe["state"] != "ok" and probe["kind"] != "later":
                self.assertTrue(probe["guarantees"] or probe["costs"], f"{probe}: what does it cost?")
        self.assertIn("native tier works", self.bulkhead("doctor").out)

    def test_doctor_recognises_what_is_missing(self):
        """Without bubblewrap on the PATH and everywhere else it says so, and how to mend it."""
        fake = self.write("bin/bwrap", "#!/bin/sh\nexit 1\n", 0o755)
        real = os.path.realpath("/usr/bin/bwrap")
        command = self.lab.command([os.path.join(case.bin_folder(), "bulkhead"), "doctor", "--json"],
                                   mounts=[(fake, real)], guard=False)
        if os.geteuid() != 0:
            self.skipTest("only root can hide /usr/bin/bwrap from a program")
        result = subprocess.run(command, env=self.environment(), cwd=self.work, capture_output=True, text=True, timeout=30)
        self.assertEqual(result.returncode, 1, result)
        probe = next(p for p in json.loads(result.stdout)["probes"] if p["id"] == "bwrap")
        self.assertEqual(probe["state"], "missing")
        self.assertTrue(probe["fix"])

    def test_policy_show_reads_back(self):
        shown = self.ok(self.bulkhead("policy", "show", "claude")).out
        self.assertIn("api.anthropic.com", shown)
        self.assertIn("/v1/messages", shown)
        again = self.ok(self.bulkhead("policy", "show", "--policy", self.write("shown.toml", shown))).out
        strip = lambda text: [line.split("#")[0].strip() for line in text.split("\n") if line.split("#")[0].strip()
                              and not line.startswith("profile = ")]  # the layers are in it already
        self.assertEqual(sorted(strip(shown)), sorted(strip(again)))

    def test_policy_errors_name_line_and_suggestion(self):
        path = self.write("typo.toml", 'version = 1\n\n[[grnt]]\nhost = "a.example.com"\n')
        result = self.bulkhead("policy", "check", path)
        self.assertEqual(result.status, 1)
        self.assertIn("typo.toml:3", result.err)
        self.assertIn("grant", result.err)
        run = self.inside(["/bin/sh", "-c", "echo ran > ran"], path)
        self.assertEqual(run.status, 125, run)
        self.assertIn("typo.toml:3", run.err)
        self.assertFalse(os.path.exists(os.path.join(self.work, "ran")))
