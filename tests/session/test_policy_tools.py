"""policy init, replay and explain, with what a real session recorded."""
import json
import os

from support import Case

KEY = "real-key-2c77e0"


def echo(request):
    request.text("arrived\n")


class PolicyTools(Case):
    ask = ('curl -sS -o /dev/null -w "%{http_code} " -H "x-api-key: $API_KEY" https://api.example.com/v1/items/7?page=2; '
           'curl -sS -o /dev/null -w "%{http_code} " -d hello https://api.example.com/v1/notes; '
           'curl -sS -o /dev/null -w "%{http_code} " -H "authorization: Bearer attacker-key" https://api.example.com/v1/steal; '
           'curl -sS -o /dev/null -w "%{http_code} " http://169.254.169.254/latest; '
           'curl -sS -o /dev/null -w "%{http_code} " --path-as-is https://api.example.com/a/../b')

    def setUp(self):
        super().setUp()
        self.lab.web.site("api.example.com", echo)
        self.credentials = self.credential()
        self.first = self.credentials + self.grant("api.example.com", "GET", "/v1/items/{id}", credential="api")

    def session(self, policy):
        return self.ok(self.inside(["/bin/sh", "-c", self.ask + "; exit 0"], policy, env={"API_KEY": KEY})).out.split()

    def proposal(self):
        policy = self.policy(self.first, "first.toml")
        return self.ok(self.bulkhead("policy", "init", "--from", "last", "--policy", policy)).out

    def test_what_was_asked_is_recorded_as_it_is_judged(self):
        self.session(self.first)
        (name,) = [n for n in self.state_files() if n.endswith(".jsonl")]
        events = [json.loads(line) for line in self.read(name).splitlines()]
        asked = {e["path"]: e for e in events if e["type"] == "http.request"}
        used, note, stolen = asked["/v1/items/7?page=2"], asked["/v1/notes"], asked["/v1/steal"]
        self.assertEqual((used["credentials"], used["slot"], used["body"]), (["x-api-key"], True, "none"))
        self.assertEqual((note["body"], note["length"]), ("length", 5))
        self.assertEqual(note["content_type"], "application/x-www-form-urlencoded")
        self.assertEqual((stolen["credentials"], "slot" in stolen), (["authorization"], False))
        self.assertNotIn("attacker-key", json.dumps([e for e in events if e["type"] != "session.start"]))

    def test_a_proposal_allows_what_was_asked_and_nothing_it_must_not(self):
        self.assertEqual(self.session(self.first)[:3], ["200", "403", "403"])
        text = self.proposal()
        grants = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        for word in ("169.254.169.254", "steal", "/a/", "attacker-key", KEY):
            self.assertNotIn(word, grants)
        for why in ("with a key in authorization", "address of the inside", "means one thing"):
            self.assertIn(why, text)
        # Taken as it is, with the lab's servers: what was asked passes, what must not does not.
        self.lab.web.forget()
        body = text[text.index("version = 1") + len("version = 1"):]
        self.assertEqual(self.session(body), ["200", "200", "403", "403", "400"])
        self.assertEqual(sorted(r.path for r in self.lab.web.received()), ["/v1/items/7?page=2", "/v1/notes"])

    def test_replay_finds_what_would_be_different(self):
        self.session(self.first)
        same = self.bulkhead("policy", "replay", "--policy", self.policy(self.first, "first.toml"), "--json")
        found = json.loads(same.out)
        self.assertEqual((same.status, found["same_allowed"], found["blocked"], found["opened"], found["unknown"]),
                         (0, 1, 0, 0, 0), same)
        proposed = self.bulkhead("policy", "replay", "--policy", self.write("proposed.toml", self.proposal()), "--json")
        found = json.loads(proposed.out)
        self.assertEqual((proposed.status, found["same_allowed"], found["opened"], found["blocked"]), (3, 1, 1, 0), proposed)
        self.assertEqual([k["what"] for k in found["kinds"]], ["POST https://api.example.com/v1/notes"])
        closed = self.bulkhead("policy", "replay", "--policy", self.write("closed.toml", "version = 1\n"), "last")
        self.assertEqual(closed.status, 3, closed)
        self.assertIn("1  now blocked", closed.out)
        self.assertIn("GET https://api.example.com/v1/items/7 (no-grant", closed.out)

    def test_init_writes_only_new_files(self):
        path = os.path.join(self.tmp, "new.toml")
        self.ok(self.bulkhead("policy", "init", "--output", path))
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        again = self.bulkhead("policy", "init", "--output", path)
        self.assertEqual(again.status, 1, again)
        self.assertIn("overwrites nothing", again.err)
        self.ok(self.bulkhead("policy", "check", "--strict", path))
