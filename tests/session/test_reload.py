"""bulkhead reload: a running session's policy, loaded again."""
import json
import os
import time

from support import Case
from support.streaming import Streaming

STREAM, OTHER, NEW = "stream.example.com", "other.example.com", "new.example.com"


class Reload(Streaming, Case):
    def setUp(self):
        super().setUp()
        for name in (STREAM, OTHER, NEW):
            self.lab.web.site(name, self.serve)

    def start(self, policy, options=()):
        """A session that runs what is written into its folder as NAME.sh, one after the other."""
        self.path = self.policy(policy)
        script = ("while :; do for f in *.sh; do [ -e \"$f\" ] && mv \"$f\" \"$f.run\" && (sh ./\"$f.run\" > \"$f.out\" 2>&1;"
                  " mv \"$f.out\" \"$f.done\") & done; sleep 0.05; done")
        self.child = self.start_inside(["/bin/sh", "-c", script], self.path, options)
        self.wait_until(lambda: json.loads(self.bulkhead("ps", "--json").out), 20, "the session is up")
        self.session = json.loads(self.bulkhead("ps", "--json").out)[0]["id"]
        self.count = 0

    def run_inside(self, script, wait=True):
        self.count += 1
        name = f"{self.count:03}.sh"
        self.write(os.path.join(self.work, "." + name), script)
        os.rename(os.path.join(self.work, "." + name), os.path.join(self.work, name))
        return self.wait_for_file(name + ".done") if wait else os.path.join(self.work, name + ".out")

    def status(self, host, path="/v1"):
        return self.run_inside(f"curl -sS -o /dev/null -w '%{{http_code}}' https://{host}{path}").strip()

    def reload(self, text=None, *words):
        if text is not None:
            self.policy(text)
        return self.bulkhead("reload", self.session, *words)

    def events(self, kind):
        with open(os.path.join(self.home, ".local/state/bulkhead/evidence", self.session + ".jsonl")) as file:
            return [e for e in map(json.loads, file) if e["type"] == kind]

    def test_what_a_session_was_made_from_is_all_there_again(self):
        """Presets of the user's own, too."""
        self.write(os.path.join(self.home, ".config/bulkhead/presets/mine.toml"), "version = 1\n" + self.grant(STREAM))
        self.start('[[grant]]\npreset = "mine"\n')
        self.assertEqual(self.status(STREAM), "200")
        self.assertEqual(self.ok(self.reload()).out, "nothing has changed\n")
        self.assertEqual(self.status(STREAM), "200")

    def test_narrowing_holds_at_once_also_for_what_is_under_way(self):
        both = self.grant(STREAM) + self.grant(OTHER)
        self.start(both)
        out = self.run_inside(f"curl -sS -N https://{STREAM}/stream", wait=False)
        other = self.run_inside(f"curl -sS -N https://{OTHER}/stream", wait=False)
        self.wait_for_file(out)
        self.wait_for_file(other)
        self.assertEqual(self.ok(self.reload()).out, "nothing has changed\n")
        self.assertEqual(self.ended, {})
        began = time.monotonic()
        result = self.ok(self.reload(self.grant(OTHER)))
        self.assertIn("removed: grant 1 (stream.example.com:443)", result.out)
        self.assertIn("requests cut off: 1", result.out)
        self.wait_until(lambda: STREAM in self.ended, 3, "the upstream sees the cut")
        self.assertLess(self.ended[STREAM] - began, 1)
        self.assertEqual(self.status(STREAM), "403")
        self.assertEqual(self.status(OTHER), "200")
        self.assertNotIn(OTHER, self.ended, "the other stream goes on")
        # A rule that is tightened: what the old one allowed is denied, what both allow goes on.
        self.ok(self.reload(self.grant(OTHER, method=("GET",))))
        self.wait_until(lambda: OTHER in self.ended, 3, "its rule allowed more than is allowed now")
        self.assertEqual(self.run_inside(f"curl -sS -o /dev/null -w '%{{http_code}}' -d x https://{OTHER}/v1").strip(), "403")
        self.assertEqual(self.status(OTHER), "200")
        self.assertEqual([e["result"] for e in self.events("session.reload")], ["done"] * 3)

    def test_widening_needs_a_word(self):
        self.start(self.grant(OTHER))
        wider = self.grant(OTHER, method=("GET", "HEAD", "POST", "PUT")) + self.grant(NEW)
        result = self.reload(wider)
        self.assertEqual(result.status, 1, result)
        self.assertIn("not opened: grant 2 (new.example.com:443)", result.out)
        self.assertIn("--yes", result.err)
        self.assertEqual(self.status(NEW), "403")
        self.assertEqual(self.status(OTHER), "200")
        result = self.ok(self.reload(None, "--yes"))
        self.assertIn("opened: grant 2 (new.example.com:443)", result.out)
        self.assertEqual(self.status(NEW), "200")
        self.assertEqual([e["result"] for e in self.events("session.reload")], ["waiting", "done"])
        self.assertEqual([g["hosts"] for g in self.events("session.reload")[-1]["policy"]["grants"]], [[OTHER], [NEW]])
        # What is inside can ask for nothing of the kind: the session's own folder is writable, and no policy's.
        self.run_inside("printf 'version = 1\\n[[grant]]\\nhost = \"evil.example.com\"\\n' > policy.toml; echo x")
        self.assertEqual(self.ok(self.reload()).out, "nothing has changed\n")

    def test_a_policy_that_cannot_be_loaded_closes_everything(self):
        self.start(self.grant(STREAM) + self.grant(OTHER))
        out = self.run_inside(f"curl -sS -N https://{STREAM}/stream", wait=False)
        self.wait_for_file(out)
        for broken in ("[[grnt]]\n", "[[grant]]\n", self.grant(OTHER, credential="nowhere")):
            result = self.reload(broken)
            self.assertEqual(result.status, 1, result)
            self.assertIn("every grant of session " + self.session + " is closed", result.err)
            self.assertEqual(self.status(OTHER), "403")
        self.assertIn(STREAM, self.ended)
        os.remove(self.path)
        self.assertEqual(self.reload().status, 1)
        said = self.run_inside(f"curl -sS https://{OTHER}/v1")
        self.assertIn("could not be loaded again", said)
        self.assertEqual(len(self.lab.web.received(OTHER)), 0)
        # A good load of what held before needs nobody's word.
        self.ok(self.reload(self.grant(STREAM) + self.grant(OTHER)))
        self.assertEqual(self.status(OTHER), "200")
        self.assertEqual([e["result"] for e in self.events("session.reload")], ["failed"] * 4 + ["done"])
        self.assertIsNone(self.child.poll())

    def test_counters_stay(self):
        budget = "[grant.budget]\nrequests = 3\n"
        self.start(self.grant(OTHER) + budget)
        self.assertEqual([self.status(OTHER) for _ in range(2)], ["200", "200"])
        self.ok(self.reload(self.grant(OTHER, method=("GET", "HEAD")) + budget))
        self.assertEqual([self.status(OTHER) for _ in range(2)], ["200", "429"])
        self.assertEqual(self.reload(self.grant(OTHER, method=("GET", "HEAD"))).status, 1, "no budget is more than three")
        self.assertEqual(self.status(OTHER), "429")
        self.ok(self.reload(None, "--yes"))
        self.assertEqual(self.status(OTHER), "200")

    def test_only_grants(self):
        self.start(self.grant(OTHER))
        for more, word in (("[limits]\nprocesses = 50\n", "processes"), ("[env.set]\nA = \"b\"\n", "A = "),
                           ("[[mount]]\npath = \"/usr/share\"\n", "/usr/share"),
                           ("toolchains = false\n", "toolchains"), (self.credential(), "env:API_KEY")):
            text = more + self.grant(OTHER) if more.startswith("toolchains") else self.grant(OTHER) + more
            result = self.reload(text)
            self.assertEqual(result.status, 1, result)
            self.assertIn("Nothing was changed", result.err)
            self.assertIn(word, result.err)
            self.assertEqual(self.status(OTHER), "200")
        result = self.reload(self.grant(OTHER) + self.grant(NEW, port=8443), "--yes")
        self.assertIn("does not listen on port 8443", result.err)
        self.assertEqual(self.events("session.reload"), [])

    def test_what_was_revoked_stays_so(self):
        self.start(self.grant(STREAM) + self.grant(OTHER))
        self.ok(self.bulkhead("revoke", self.session, "--grant", "1"))
        result = self.ok(self.reload(self.grant(STREAM, method=("GET",)) + self.grant(OTHER), "--yes"))
        self.assertIn("revoked, and stays so: grant 1", result.out)
        self.assertEqual(self.status(STREAM), "403")
        self.ok(self.bulkhead("revoke", self.session))
        self.assertIn("everything was revoked", self.reload(None, "--yes").err)
        self.assertEqual(self.status(OTHER), "403")
