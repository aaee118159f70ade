"""bulkhead revoke: what a running session may do is taken back, also from what is under way."""
import base64
import json
import os
import socket
import time

from lab.proxy import Proxy
from support import Case, case, procs
from support.streaming import Streaming

STREAM, OTHER = "stream.example.com", "other.example.com"
KEY = "real-key-5f20c7e1"


class Revoke(Streaming, Case):
    def setUp(self):
        super().setUp()
        self.lab.web.site(STREAM, self.serve)
        self.lab.web.site(OTHER, self.serve)

    def start(self, script, policy, env=None):
        child = self.start_inside(["/bin/sh", "-c", script], policy, env=env)
        self.wait_until(lambda: json.loads(self.bulkhead("ps", "--json").out), 20, "the session is up")
        return child, json.loads(self.bulkhead("ps", "--json").out)[0]["id"]

    def grows(self, name):
        """Waits until the file of what came down has some bytes."""
        self.wait_for_file(name)

    def events(self, kind, session):
        path = os.path.join(self.home, ".local/state/bulkhead/evidence", session + ".jsonl")
        with open(path) as file:
            return [e for e in map(json.loads, file) if e["type"] == kind]

    curl = 'curl -sS -o {out} -w "%{{http_code}} %{{exitcode}}\\n" {more} https://{host}{path}'

    def line(self, out, host, path, more=""):
        return self.curl.format(out=out, host=host, path=path, more=more)

    def test_a_running_stream_is_cut_within_a_second(self):
        script = (f"{self.line('a', STREAM, '/stream', '-N')} > a.status 2>a.err & "
                  f"{self.line('b', OTHER, '/stream', '-N')} > b.status 2>b.err & wait; "
                  f"{self.line('c', STREAM, '/after')} > c.status; sleep 60")
        child, session = self.start(script, self.grant(STREAM) + self.grant(OTHER))
        self.grows("a")
        self.grows("b")
        began = time.monotonic()
        answer = json.loads(self.ok(self.bulkhead("revoke", session[:6], "--grant", "1", "--json")).out)
        self.assertEqual([g["id"] for g in answer["grants"]], ["1"])
        self.assertEqual((answer["before"], answer["credentials"], answer["cut"]), ([], [], 1))
        self.wait_until(lambda: STREAM in self.ended, 3, "the upstream sees the cut")
        self.assertLess(self.ended[STREAM] - began, 1)
        self.assertEqual(self.wait_for_file("a.status").split()[0], "200")
        self.assertNotEqual(self.read(os.path.join(self.work, "a.status")).split()[1], "0", "the client sees it cut")
        # The other grant's goes on.
        size = os.path.getsize(os.path.join(self.work, "b"))
        time.sleep(0.3)
        self.assertGreater(os.path.getsize(os.path.join(self.work, "b")), size)
        self.assertNotIn(OTHER, self.ended)
        # Again is no error, and nothing happens; then the rest.
        answer = json.loads(self.ok(self.bulkhead("revoke", session, "-g", "1", "--json")).out)
        self.assertEqual(([g["id"] for g in answer["before"]], answer["grants"], answer["cut"]), (["1"], [], 0))
        began = time.monotonic()
        out = self.ok(self.bulkhead("revoke", session)).out
        self.assertIn("revoked: grant 2 (other.example.com:443)\n", out)
        self.assertIn("revoked before: grant 1", out)
        self.assertIn("requests cut off: 1", out)
        self.wait_until(lambda: OTHER in self.ended, 3, "the upstream sees the cut")
        self.assertLess(self.ended[OTHER] - began, 1)
        # What is asked for now is denied with that word, and with no line that could bring it back.
        self.assertEqual(self.wait_for_file("c.status").split()[0], "403")
        said = self.read(os.path.join(self.work, "c"))
        self.assertIn("revoked", said)
        self.assertNotIn("[[grant]]", said)
        self.assertEqual(self.lab.web.received(path="/after"), [])
        self.assertIsNone(child.poll(), "the session itself goes on")
        self.assertEqual([[g["id"] for g in e["grants"]] for e in self.events("session.revoke", session)],
                         [["1"], [], ["2"]])
        self.wait_until(lambda: len(self.events("http.request", session)) == 3, 5, "all are on record")
        self.assertEqual({e["rule"] for e in self.events("http.request", session)}, {"revoked"})
        # Both are told at once; to an egress that hears of it through its lane first, front has gone.
        self.assertLessEqual({e["reason"] for e in self.events("upstream.failure", session)}, {"revoked", "client-gone"})

    def test_an_upload_is_cut(self):
        script = ("(while :; do echo some more of it; sleep 0.05; done) | curl -sS -T - -o up https://" + STREAM +
                  "/up > up.err 2>&1; echo $? > up.status; sleep 60")
        _, session = self.start(script, self.grant(STREAM, method=("PUT",)))
        self.wait_until(lambda: self.lab.web.handshakes, 20, "the upload has begun")
        time.sleep(0.5)
        began = time.monotonic()
        answer = json.loads(self.ok(self.bulkhead("revoke", session, "--json")).out)
        self.assertEqual(answer["cut"], 1)
        self.wait_for_file("up.status", 5)
        self.assertLess(time.monotonic() - began, 2)
        self.assertEqual(self.lab.web.received(STREAM), [], "an upload that never ended is no request")
        self.assertIn("revoked", self.read(os.path.join(self.work, "up")))

    def test_a_credential_is_forgotten(self):
        script = (f"{self.line('a', STREAM, '/stream', '-N')} -H \"x-api-key: $API_KEY\" > a.status 2>a.err; "
                  f"{self.line('b', STREAM, '/again')} -H \"x-api-key: $API_KEY\" > b.status; "
                  f"{self.line('c', OTHER, '/open')} > c.status; sleep 60")
        policy = self.credential() + self.grant(STREAM, credential="api") + self.grant(OTHER)
        child, session = self.start(script, policy, {"API_KEY": KEY})
        self.grows("a")
        holders = lambda: [pid for pid in procs.descendants(child.pid) if procs.name(pid).startswith("bulkhead-egre")
                           and procs.memory_contains(pid, [KEY.encode()])]
        if os.geteuid() == 0:
            self.assertEqual(len(holders()), 1, "before: one process has it")
        out = self.ok(self.bulkhead("revoke", session, "--credential", "api")).out
        self.assertIn("forgotten: credential api", out)
        self.assertEqual(self.wait_for_file("b.status").split()[0], "403")
        self.assertEqual(self.wait_for_file("c.status").split()[0], "200", "a grant without it still holds")
        self.assertEqual(self.lab.web.received(path="/again"), [])
        if os.geteuid() == 0:
            self.assertEqual(holders(), [], "after: none")

    def test_the_proxys_password_is_forgotten_with_the_last_grant(self):
        """Every egress holds it: those of one credential and the one without; also in the form it is sent in."""
        password = "planted-corp-88aa"
        proxy = Proxy(self.lab, password=password)
        self.addCleanup(proxy.close)
        words = [password.encode(), base64.b64encode(f"{proxy.user}:{password}".encode())]
        policy = (f'[upstream]\nproxy = "{proxy.url}"\ncredential = "corp"\n[credential.corp]\nsource = "env:CORP_PASSWORD"\n'
                  f'carry = {{ basic = "{proxy.user}" }}\n' + self.credential() + self.grant(STREAM, credential="api") + self.grant(OTHER))
        script = (f"{self.line('a', STREAM, '/stream', '-N')} -H \"x-api-key: $API_KEY\" > a.status 2>a.err & "
                  f"{self.line('b', OTHER, '/stream', '-N')} > b.status 2>b.err & wait; sleep 60")
        child, session = self.start(script, policy, {"API_KEY": KEY, "CORP_PASSWORD": password})
        self.grows("a")
        self.grows("b")
        holders = lambda: sorted(procs.name(pid) for pid in procs.descendants(child.pid)
                                 if any(procs.memory_contains(pid, [word]) for word in words)
                                 and procs.name(pid).startswith("bulkhead"))
        if os.geteuid() == 0:
            self.assertEqual(len(holders()), 2, holders())
        result = self.bulkhead("revoke", session, "--credential", "corp")
        self.assertEqual(result.status, 1, result)
        self.assertIn("behind which every grant lies", result.err)
        self.assertEqual(self.events("session.revoke", session), [])
        # What is never dialled for again needs it no more; the other egress does.
        self.ok(self.bulkhead("revoke", session, "--credential", "api"))
        if os.geteuid() == 0:
            self.assertEqual(len(holders()), 1, holders())
        self.assertNotIn(OTHER, self.ended)
        out = self.ok(self.bulkhead("revoke", session)).out
        self.assertIn("forgotten: credential corp", out)
        events = self.wait_until(lambda: (e := self.events("session.revoke", session))[1:] and e, 5, "both are on record")
        self.assertEqual([e["credentials"] for e in events], [["api"], ["api", "corp"]])
        if os.geteuid() == 0:
            self.assertEqual(holders(), [], "no process of the session has it")
        self.assertIsNone(child.poll(), "the session itself goes on")

    def test_what_does_not_exist(self):
        self.assertIn("no running session", self.bulkhead("revoke", "abc").err)
        _, session = self.start("sleep 60", self.grant(STREAM))
        result = self.bulkhead("revoke", session, "--grant", "1", "--grant", "7")
        self.assertEqual(result.status, 1)
        self.assertIn('no grant "7"; it has 1 (stream.example.com)', result.err)
        self.assertIn('no credential "api"', self.bulkhead("revoke", session, "--credential", "api").err)
        self.assertEqual(self.events("session.revoke", session), [], "nothing was done")
        self.assertEqual(json.loads(self.bulkhead("revoke", session, "--json").out)["cut"], 0)

    def test_not_from_inside(self):
        """Not even where the user shows the session its own state folder, as the same uid."""
        program = os.path.join(self.work, "ask.py")
        self.write(program, "import glob, json, socket, sys\n"
                   "found = glob.glob(sys.argv[1] + '/sessions/*/control')\n"
                   "for path in found:\n"
                   "    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
                   "    try:\n"
                   "        s.connect(path)\n"
                   "        s.send(json.dumps({'type': 'revoke', 'grants': [], 'credentials': []}).encode())\n"
                   "        print('answer', s.recv(65536).decode())\n"
                   "    except OSError as error:\n"
                   "        print('refused', error.errno)\n"
                   "print('looked at', len(found))\n")
        state = os.path.join(self.home, ".local/state/bulkhead")
        self.start("sleep 60", self.grant(STREAM))
        result = self.inside(["/usr/bin/python3", "ask.py", state], self.grant(STREAM), ["--mount", state + ":rw"])
        self.assertIn("looked at", result.out, result)
        self.assertNotIn("looked at 0", result.out, result)
        self.assertNotIn('"ok":true', result.out, result)
        for session in json.loads(self.bulkhead("ps", "--json").out):
            self.assertEqual(self.events("session.revoke", session["id"]), [])

    def test_nobody_else(self):
        """Another user finds no way to the socket; and where the folder were open, no answer."""
        if os.geteuid() != 0:
            self.skipTest("only root can be somebody else")
        _, session = self.start("sleep 60", self.grant(STREAM))
        path = os.path.join(self.home, ".local/state/bulkhead/sessions", session, "control")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        for folder in (self.home, self.home + "/.local", self.home + "/.local/state", self.home + "/.local/state/bulkhead",
                       os.path.dirname(os.path.dirname(path)), os.path.dirname(path)):
            os.chmod(folder, 0o755)
        os.chmod(path, 0o666)
        child = os.fork()
        if child == 0:
            try:
                os.setgid(65534)
                os.setuid(65534)
                s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                s.connect(path)
                try:
                    s.send(b'{"type":"revoke","grants":[],"credentials":[]}')
                except OSError:
                    pass  # it may have been told already
                try:
                    answer = s.recv(65536)
                except ConnectionResetError:  # said once, for what it left unread
                    answer = s.recv(65536)
                os._exit(0 if b"another user" in answer else 1)
            finally:
                os._exit(2)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.assertEqual(self.events("session.revoke", session), [])
