"""bulkhead run --ask: what no grant allows is asked about at the terminal, which nothing inside can type on (X18)."""
import json
import os
import re
import shutil
import subprocess
import time

from support import Case
from support.terminal import Terminal
from lab.proxy import Proxy

HOST, OTHER = "new.example.com", "other.example.com"
ASKS = r"Bulkhead asks: may the session do this\?"
END = r"What was typed before this is no answer\."
BACK = r"\x1b\[\?1049l"


class Ask(Case):
    def setUp(self):
        super().setUp()
        for name in (HOST, OTHER):
            self.lab.web.site(name, lambda request: request.text("arrived\n"))
        self.count = 0
        # Where a policy that nobody names is, with the lab's DNS and CA.
        self.file = self.policy(name="home/.config/bulkhead/policy.toml")

    def open(self, argv, options=("--ask",), policy=None, rows=30, columns=100, env=None):
        words = self.bulkhead_command(argv, policy, options)
        terminal = Terminal(self.lab.command(words, guard=False), self.environment(env), self.work, rows, columns)
        self.addCleanup(terminal.close)
        return terminal

    def shell(self, **keywords):
        """A session that runs what it is told on its terminal."""
        terminal = self.open(["/bin/bash", "--norc", "--noediting", "-c",
                              "stty -echo; echo rea''dy; while IFS= read -r line; do eval \"$line\"; done"], **keywords)
        terminal.expect("ready", 30)
        return terminal

    def curl(self, terminal, path="/v1", host=HOST, more="", url=None):
        terminal.type(f"echo got-$(curl -sS -o /dev/null -w '%{{http_code}}' {more} '{url or f'https://{host}{path}'}')\n")

    def status(self, terminal):
        return terminal.expect(r"got-(\d+)", 20).group(1).decode()

    def question(self, terminal):
        terminal.expect(ASKS, 20)
        return terminal.expect("(.*)" + END).group(1).decode()

    def answer(self, terminal, key):
        time.sleep(0.7)
        terminal.type(key)

    def asked_and(self, terminal, key, **request):
        self.curl(terminal, **request)
        shown = self.question(terminal)
        self.answer(terminal, key)
        return shown, self.status(terminal)

    def leave(self, terminal):
        terminal.type("exit\n")
        terminal.wait()
        return terminal.shown.decode("utf-8", "replace")

    def events(self, *kinds):
        folder = os.path.join(self.home, ".local/state/bulkhead/evidence")
        name = max(os.listdir(folder), key=lambda n: os.path.getmtime(os.path.join(folder, n)))
        with open(os.path.join(folder, name)) as file:
            return [e for e in map(json.loads, file) if e["type"] in kinds]

    def paths(self, host=HOST):
        return [r.path for r in self.lab.web.received(host)]

    def test_what_is_granted_goes_by_the_proxy_too(self):
        """What an answer grants has an egress of its own, which needs the proxy's credential as the others do."""
        proxy = Proxy(self.lab, password="planted-corp-77")
        self.addCleanup(proxy.close)
        upstream = (f'[upstream]\nproxy = "{proxy.url}"\ncredential = "corp"\n[credential.corp]\nsource = "env:CORP_PASSWORD"\n'
                    f'carry = {{ basic = "{proxy.user}" }}\n')
        for grants in ("", self.credential() + self.grant(OTHER, credential="api")):
            with self.subTest(grants=grants):
                terminal = self.shell(policy=upstream + grants, env={"CORP_PASSWORD": "planted-corp-77", "API_KEY": "real-key"})
                self.assertEqual(self.asked_and(terminal, "s")[1], "200")
                self.leave(terminal)
                (release,) = [e for e in self.events("credential.release") if e["credential"] == "corp"]
                self.assertEqual(release["to"], "proxy")
        self.assertEqual(len(proxy.authorities()), 2)

    def test_no_denies_and_is_not_asked_again(self):
        terminal = self.shell()
        for key in ("n", "\r"):
            path = f"/no{ord(key)}"
            shown, status = self.asked_and(terminal, key, path=path)
            self.assertIn(f"GET https://{HOST}:443{path}", shown)
            self.assertEqual(status, "403")
            self.curl(terminal, path)
            self.assertEqual(self.status(terminal), "403")
        self.assertIn("nothing is granted at this host", self.leave(terminal))
        self.assertEqual(self.paths(), [])
        self.assertEqual([e["answer"] for e in self.events("ask.answer")], ["no", "no"])

    def test_once_is_one_request(self):
        terminal = self.shell()
        for key, more in (("y", "--http1.1"), ("o", "--http2")):
            path = f"/once/{key}?a=1&b=%2f2"
            shown, status = self.asked_and(terminal, key, path=path, more=more)
            self.assertEqual(status, "200")
            self.assertEqual(len(self.paths()), 1)
            # The same again, and what differs in its query alone, is another request.
            _, status = self.asked_and(terminal, "n", path=path, more=more)
            self.assertEqual(status, "403")
            self.assertEqual(len(self.paths()), 1)
            self.lab.web.forget()
        self.leave(terminal)
        answers = self.events("ask.answer")
        self.assertEqual([e["answer"] for e in answers], ["once", "no", "once", "no"])
        self.assertEqual([e["path"] for e in answers][:2], ["/once/y?a=1&b=%2f2"] * 2)
        for e in answers:
            self.assertGreaterEqual(e["ms"], 500)
            self.assertLess(e["ms"], 30000)
        self.assertEqual([len(e.get("grants", [])) for e in answers], [1, 0, 1, 0])
        questions = self.events("ask.question")
        self.assertEqual([e["number"] for e in questions], [e["number"] for e in answers])
        # In the order in which it happened, and by the grant of the answer.
        http = [e for e in self.events("http.request") if e["decision"] == "allow"]
        self.assertEqual([e["grant"] for e in http], [answers[0]["grants"][0], answers[2]["grants"][0]])
        self.assertGreater(http[0]["seq"], answers[0]["seq"])

    def test_for_the_session_and_no_longer(self):
        terminal = self.shell()
        shown, status = self.asked_and(terminal, "s", path="/v1?q=1")
        self.assertIn('path = "/v1"', shown)
        self.assertIn('query = ["q"]', shown)
        self.assertEqual(status, "200")
        for path in ("/v1?q=2", "/v1"):
            self.curl(terminal, path)
            self.assertEqual(self.status(terminal), "200")
        # Another function of that host is another question.
        _, status = self.asked_and(terminal, "n", path="/v1", more="-X PUT")
        self.assertEqual(status, "403")
        # The owner takes it back as any grant, and then nobody is asked about it any more.
        session = json.loads(self.bulkhead("ps", "--json").out)[0]["id"]
        grant = self.events("ask.answer")[0]["grants"][0]
        self.ok(self.bulkhead("reload", session))
        self.curl(terminal)
        self.assertEqual(self.status(terminal), "200", "the policy is as it was")
        self.ok(self.bulkhead("revoke", session, "--grant", grant))
        self.curl(terminal)
        self.assertEqual(self.status(terminal), "403")
        self.curl(terminal, "/v2")
        self.assertEqual(self.status(terminal), "403")
        self.leave(terminal)
        terminal = self.shell()
        _, status = self.asked_and(terminal, "n", path="/v1?q=1")
        self.assertEqual(status, "403")

    def test_always_is_in_the_policy_file(self):
        with open(self.file, "a") as file:
            file.write("# mine, and it stays")
        os.chmod(self.file, 0o640)
        before = self.read(self.file)
        terminal = self.shell()
        self.curl(terminal)
        shown = self.question(terminal)
        if os.geteuid() == 0:  # what was root's can't be written any more
            self.assertIn("not for always: the session gave up root", shown)
            self.answer(terminal, "a")
            self.assertEqual(terminal.pump(1), b"")
            self.answer(terminal, "n")
            self.assertEqual(self.status(terminal), "403")
            self.leave(terminal)
            self.assertEqual(self.read(self.file), before)
            return
        self.assertIn(f"always: the same, and written to {self.file}", shown)
        self.answer(terminal, "a")
        self.assertEqual(self.status(terminal), "200")
        self.assertIn(f"added to {self.file}: a grant for GET https://{HOST}/v1", self.leave(terminal))
        now = self.read(self.file)
        self.assertTrue(now.startswith(before + "\n"), now)
        self.assertEqual(os.stat(self.file).st_mode & 0o777, 0o640)
        self.assertEqual(os.listdir(os.path.dirname(self.file)), ["policy.toml"])
        answer = self.events("ask.answer")[0]
        self.assertEqual((answer["answer"], answer["file"]), ("always", self.file))
        self.ok(self.bulkhead("policy", "check"))
        terminal = self.shell()
        self.curl(terminal)
        self.assertEqual(self.status(terminal), "200")

    def test_always_leaves_a_file_alone_that_has_changed(self):
        if os.geteuid() == 0:
            return  # it is not offered: test_always_is_in_the_policy_file
        terminal = self.shell()
        changed = self.read(self.file) + "# meanwhile\n"
        self.write(self.file, changed)
        _, status = self.asked_and(terminal, "a")
        self.assertEqual(status, "200")
        said = self.leave(terminal)
        self.assertIn("has changed since the session began", said)
        self.assertIn("this session only", said)
        self.assertEqual(self.read(self.file), changed)
        self.assertIn("has changed", self.events("ask.answer")[0]["why"])

    def test_a_preset_that_fits(self):
        self.lab.web.site("registry.npmjs.org", lambda request: request.text("arrived\n"))
        terminal = self.shell()
        shown, status = self.asked_and(terminal, "s", host="registry.npmjs.org", path="/left-pad")
        self.assertIn('preset = "npm-install"', shown)
        self.assertEqual(status, "200")
        self.curl(terminal, "/right-pad", host="registry.npmjs.org")
        self.assertEqual(self.status(terminal), "200")
        self.leave(terminal)
        self.assertEqual(self.events("ask.answer")[0]["preset"], "npm-install")

    def test_what_was_typed_before_is_no_answer(self):
        terminal = self.shell()
        self.curl(terminal)
        terminal.type("yes\nyyyy")  # for the shell inside, typed ahead
        self.question(terminal)
        terminal.type("y")  # while the question appears
        time.sleep(0.2)
        terminal.type("y")
        self.answer(terminal, "yy")  # a paste
        self.answer(terminal, "\x1b[0n")  # what a terminal says by itself
        for byte in "\x1b[?1;2y":  # … in pieces
            terminal.type(byte)
            time.sleep(0.05)
        self.assertEqual(terminal.pump(1), b"")
        self.assertEqual(self.paths(), [])
        self.answer(terminal, "n")
        self.assertEqual(self.status(terminal), "403")
        self.assertEqual(self.paths(), [])

    def test_nothing_of_the_workload_is_shown_or_typed_meanwhile(self):
        # A screen full of "Bulkhead asks", a thousand times a second, and its own pty full of yes.
        script = ("curl -sS https://%s/paint -o /dev/null & "
                  "while kill -0 $! 2>/dev/null; do printf '\\033[?1049h\\033[2J\\033[Hpainted\\033[5n\\033[c'; done; "
                  "stty -echo; echo over" % HOST)
        terminal = self.open(["/bin/bash", "-c", script])
        terminal.expect(ASKS, 30)
        terminal.expect(END)
        came = terminal.pump(1.5)
        self.assertNotIn(b"painted", came)
        # Into every terminal it has: none of them is the user's.
        self.assertEqual(self.paths(), [])
        self.answer(terminal, "n")
        terminal.expect("painted")
        terminal.expect("over", 30)
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(self.paths(), [])

    def test_the_workload_cannot_type_the_answer(self):
        script = ("import fcntl, os, subprocess, termios, time\n"
                  "p = subprocess.Popen(['curl', '-sS', '-o', '/dev/null', 'https://%s/typed'])\n"
                  "while p.poll() is None:\n"
                  "  for path in ('/dev/tty', '/dev/pts/0', '/proc/self/fd/0'):\n"
                  "    try:\n"
                  "      fd = os.open(path, os.O_RDWR | os.O_NOCTTY)\n"
                  "      fcntl.ioctl(fd, termios.TIOCSTI, b'y')\n"
                  "    except OSError: pass\n"
                  "  time.sleep(0.7)\n"
                  "print('over')\n" % HOST)
        self.write(os.path.join(self.work, "type.py"), script)
        terminal = self.open(["/usr/bin/python3", "type.py"])
        self.question(terminal)
        self.assertEqual(terminal.pump(3), b"")
        self.assertEqual(self.paths(), [])
        self.answer(terminal, "n")
        terminal.expect("over", 20)

    def test_the_screen_comes_back(self):
        script = ("trap 'stty size' WINCH; stty -echo; printf '\\033[?1049h\\033[?1000h\\033[1;3r'; echo ready; "
                  "curl -sS https://%s/ -o /dev/null & wait; wait; sleep 1; wait; echo over; read -r line; echo \"read $line\"" % HOST)
        terminal = self.open(["/bin/bash", "-c", script])
        terminal.expect("ready")
        shown = terminal.expect("(.*)" + ASKS, 20).group(1)
        self.assertIn(b"\x1b[?1000l", shown)  # no mouse
        self.answer(terminal, "n")
        terminal.expect(r"\x1b\[\?1000h")
        # A full-screen program is told to draw again: its window changes and changes back.
        terminal.expect("29 100")
        terminal.expect("30 100")
        terminal.expect("over", 20)
        terminal.type("n\n")
        terminal.expect("read n")
        self.assertEqual(terminal.wait(), 0)
        self.assertTrue(terminal.settings_restored())

    def test_four_a_minute(self):
        terminal = self.shell()
        for i in range(4):
            _, status = self.asked_and(terminal, "n", path=f"/{i}")
            self.assertEqual(status, "403")
        for i in range(3):
            self.curl(terminal, f"/more{i}")
            self.assertEqual(self.status(terminal), "403")
        said = self.leave(terminal)
        self.assertIn("ask: 3 requests were not asked about", said)
        self.assertEqual([e["answer"] for e in self.events("ask.answer")], ["no"] * 4 + ["rate"] * 3)
        self.assertEqual(len(self.events("ask.question")), 4)

    def test_no_answer_is_no(self):
        terminal = self.shell()
        self.curl(terminal)
        self.question(terminal)
        self.assertEqual(terminal.expect(r"got-(\d+)", 90).group(1), b"403")
        self.leave(terminal)
        answer = self.events("ask.answer")[0]
        self.assertEqual(answer["answer"], "timeout")
        self.assertGreaterEqual(answer["ms"], 60000)

    def test_without_a_terminal_nobody_is_asked(self):
        curl = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"https://{HOST}/v1"]
        result = self.inside(curl, policy=None, options=("--ask",))
        self.assertEqual(result.out, "403")
        self.assertIn("--ask: there is no terminal to ask at", result.err)
        self.assertNotIn("asks about", result.err)
        self.assertEqual(self.events("ask.question", "ask.answer"), [])
        terminal = self.open(["/usr/bin/" + curl[0], *curl[1:]], env={"TERM": "dumb"})
        terminal.expect(r"--ask: this terminal can't show a question.*403")
        self.assertEqual(terminal.wait(), 0)
        # A policy that says it says it for terminals.
        self.policy("ask = true\n", "home/.config/bulkhead/policy.toml")
        result = self.inside(curl, policy=None)
        self.assertEqual(result.out, "403")
        self.assertNotIn("no terminal to ask", result.err)

    def test_the_policy_may_say_it_but_no_profile(self):
        self.policy("ask = true\n", "home/.config/bulkhead/policy.toml")
        terminal = self.shell(options=())
        _, status = self.asked_and(terminal, "o")
        self.assertEqual(status, "200")
        self.leave(terminal)
        self.assertIn("ask = true", self.ok(self.bulkhead("policy", "show")).out)

    def test_not_asked_by_default(self):
        terminal = self.shell(options=())
        self.curl(terminal)
        self.assertEqual(self.status(terminal), "403")
        self.leave(terminal)
        self.assertEqual(self.events("ask.question"), [])

    def test_what_no_grant_is_the_answer_to_is_not_asked(self):
        self.policy(self.credential() + self.grant(OTHER, credential="api", path="/granted", method="GET"),
                    "home/.config/bulkhead/policy.toml")
        terminal = self.shell(env={"API_KEY": "real-key"})
        for more, url in (("-H 'x-api-key: sk-of-somebody-else'", f"https://{HOST}/v1"),
                          ("-H 'authorization: Bearer sk'", f"https://{HOST}/v1"),
                          ("", f"https://{HOST}/v1?api_key=abc"),
                          ("-H \"x-api-key: $API_KEY\"", f"https://{HOST}/v1"),
                          ("-H 'x-api-key: sk-of-somebody-else'", f"https://{OTHER}/other"),
                          ("-H \"authorization: Bearer $API_KEY\"", f"https://{OTHER}/other"),
                          ("-H \"x-api-key: $API_KEY\"", f"http://{OTHER}/other"),
                          ("-H 'host: else.example.com'", f"https://{HOST}/v1"),
                          ("--path-as-is", f"https://{HOST}/a/../b"),
                          ("", "http://169.254.169.254/latest"),
                          ("-H 'x-http-method-override: PUT'", f"https://{HOST}/v1"),
                          ("-X TRACE", f"https://{HOST}/v1")):
            self.curl(terminal, more=more, url=url)
            self.assertIn(self.status(terminal), ("403", "400", "421", "405"), (more, url))
        self.leave(terminal)
        self.assertEqual(self.events("ask.question", "ask.answer"), [])
        self.assertEqual(self.paths() + self.paths(OTHER), [])

    def keyed(self, where=None, **keywords):
        """A session whose policy sends a key to OTHER for one function; what reached OTHER says with which."""
        self.arrived = []
        self.lab.web.site(OTHER, lambda request: (self.arrived.append((request.path, request.headers.get("x-api-key"))),
                                                  request.text("arrived\n"))[1])
        text = self.credential() + self.grant(OTHER, credential="api", path="/granted", method="GET")
        self.policy(text, where or "home/.config/bulkhead/policy.toml")
        return self.shell(env={"API_KEY": "real-key"}, **keywords)

    def test_a_credential_is_named_and_goes_along(self):
        """X30, asked: one more function of a host that the user's policy sends this key to, for as long as was said."""
        terminal = self.keyed()
        token = "-H \"x-api-key: $API_KEY\""
        shown, status = self.asked_and(terminal, "n", host=OTHER, path="/no", more=token)
        self.assertEqual(status, "403")
        self.assertIn('with your key: credential "api"', shown)
        self.assertIn('credential = "api"', shown)
        self.assertEqual(self.arrived, [])
        self.assertEqual(self.asked_and(terminal, "o", host=OTHER, path="/once", more=token)[1], "200")
        self.assertEqual(self.arrived.pop(), ("/once", "real-key"))
        self.assertEqual(self.asked_and(terminal, "n", host=OTHER, path="/once", more=token)[1], "403")
        self.assertEqual(self.asked_and(terminal, "s", host=OTHER, path="/session", more=token)[1], "200")
        self.curl(terminal, "/session", host=OTHER, more=token)
        self.assertEqual(self.status(terminal), "200")
        self.assertEqual(self.arrived, [("/session", "real-key")] * 2)
        # Revoked with its credential, and then nobody is asked about it any more.
        session = json.loads(self.bulkhead("ps", "--json").out)[0]["id"]
        self.ok(self.bulkhead("revoke", session, "--credential", "api"))
        for path in ("/session", "/more"):
            self.curl(terminal, path, host=OTHER, more=token)
            self.assertEqual(self.status(terminal), "403")
        self.leave(terminal)
        self.assertEqual(len(self.arrived), 2)
        answers = self.events("ask.answer")
        self.assertEqual([(e["answer"], e["credential"]) for e in answers],
                         [("no", "api"), ("once", "api"), ("no", "api"), ("session", "api")])
        self.assertEqual({e["credential"] for e in self.events("ask.question")}, {"api"})

    def test_without_the_token_no_credential_goes_along(self):
        terminal = self.keyed()
        shown, status = self.asked_and(terminal, "s", host=OTHER, path="/open")
        self.assertEqual(status, "200")
        self.assertNotIn("key", shown.replace("x-api-key", ""))
        self.assertEqual(self.arrived, [("/open", None)])
        # What was allowed without a key is not allowed with one.
        self.curl(terminal, "/open", host=OTHER, more="-H \"x-api-key: $API_KEY\"")
        self.assertEqual(self.status(terminal), "403")
        self.assertEqual(self.arrived, [("/open", None)])
        self.leave(terminal)

    def test_always_with_a_credential_of_the_same_file(self):
        if os.geteuid() == 0:
            return  # it is not offered: test_always_is_in_the_policy_file
        token = "-H \"x-api-key: $API_KEY\""
        terminal = self.keyed()
        _, status = self.asked_and(terminal, "a", host=OTHER, path="/always", more=token)
        self.assertEqual(status, "200")
        self.assertIn(f"a grant for GET https://{OTHER}/always with credential api", self.leave(terminal))
        self.assertIn('credential = "api"\n[[grant.allow]]', self.read(self.file))
        self.ok(self.bulkhead("policy", "check"))
        terminal = self.shell(env={"API_KEY": "real-key"})
        self.curl(terminal, "/always", host=OTHER, more=token)
        self.assertEqual(self.status(terminal), "200")
        self.assertEqual(self.arrived, [("/always", "real-key")] * 2)
        self.leave(terminal)

    def test_not_for_always_with_a_credential_of_a_profile(self):
        """In the user's file it would be an error for every session without that profile."""
        host = "generativelanguage.googleapis.com"
        self.lab.web.site(host, lambda request: request.text("arrived\n"))
        terminal = self.shell(options=("--ask", "--profile", "gemini", "--mount", ".:rw"), env={"GEMINI_API_KEY": "real-key"})
        self.curl(terminal, "/v1beta/files", host=host, more="-H \"x-goog-api-key: $GEMINI_API_KEY\"")
        shown = self.question(terminal)
        self.assertIn("with your key: credential", shown)
        self.assertIn("not for always: ", shown)
        if os.geteuid() != 0:
            self.assertIn("is not defined in", shown)
        self.answer(terminal, "a")
        self.assertEqual(terminal.pump(1), b"")
        self.answer(terminal, "s")
        self.assertEqual(self.status(terminal), "200")
        self.assertEqual(self.lab.web.received(host)[0].headers["x-goog-api-key"], "real-key")
        self.leave(terminal)

    def test_a_client_that_leaves_takes_its_question_along(self):
        terminal = self.shell()
        self.curl(terminal, more="-m 3")
        self.question(terminal)
        terminal.expect(BACK, 20)
        self.assertEqual(self.status(terminal), "000")
        self.curl(terminal, "/next")
        self.question(terminal)
        self.answer(terminal, "o")
        self.assertEqual(self.status(terminal), "200")
        self.leave(terminal)
        self.assertEqual([e["answer"] for e in self.events("ask.answer")], ["gone", "once"])

    def test_a_session_that_ends_takes_its_question_along(self):
        terminal = self.open(["/bin/bash", "-c", f"curl -sS https://{HOST}/ & sleep 3; kill $!; echo over"])
        self.question(terminal)
        self.assertEqual(terminal.wait(), 0)
        self.assertTrue(terminal.settings_restored())
        self.assertEqual([e["answer"] for e in self.events("ask.answer")], ["gone"])

    def test_a_window_that_is_too_small_is_not_asked_in(self):
        terminal = self.shell(rows=8, columns=100)
        self.curl(terminal)
        self.assertEqual(self.status(terminal), "403")
        self.assertIn("1 request was not asked about", self.leave(terminal))

    def test_many_at_once_share_an_answer(self):
        terminal = self.shell()
        terminal.type("for i in 1 2 3 4 5 6; do curl -sS -o /dev/null -w 'got-%{http_code} ' "
                      f"https://{HOST}/v1?n=$i & done; wait; echo all''done\n")
        self.question(terminal)
        self.answer(terminal, "s")
        terminal.expect("(got-200 ){6}.*alldone", 20)
        self.leave(terminal)
        self.assertEqual(len(self.events("ask.question")), 1)
