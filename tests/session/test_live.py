"""Sessions that live: start, exec, stop; what one command leaves for the next, and what it can't reach of it."""
import concurrent.futures
import fcntl
import hashlib
import json
import os
import signal
import socket
import subprocess
import time

from support import Case, bin_folder, procs, victim
from support.terminal import Terminal

KEY = "real-key-live-71"


class Live(Case):
    def setUp(self):
        super().setUp()
        self.started = False
        self.addCleanup(self.stop_all)  # before the folders are removed

    def stop_all(self):
        if self.started:
            self.bulkhead("stop", "--all")

    def words(self, command, options, policy):
        words = [os.path.join(bin_folder(), "bulkhead"), command]
        if self.tier != "native":
            words += ["--tier", self.tier]
        if policy is not None:
            words += ["--policy", self.policy(policy)]
        return [*words, *options]

    def try_start(self, policy="", options=(), env=None):
        self.started = True
        argv = self.words("start", options, policy)
        return self._run(self.lab.command(argv, guard=False), argv, self.environment(env), None, None, 60)

    def start(self, policy="", options=(), env=None):
        return self.ok(self.try_start(policy, options, env)).out.strip()

    def exec_command(self, session, argv, options=()):
        return self.lab.command([os.path.join(bin_folder(), "bulkhead"), "exec", *options, session, "--", *argv], guard=False)

    def exec(self, session, argv, options=(), env=None, input=None, timeout=60):
        return self._run(self.exec_command(session, argv, options), argv, self.environment(env), None, input, timeout)

    def sh(self, session, text, **keywords):
        return self.exec(session, ["/bin/sh", "-c", text], **keywords)

    def begin(self, session, text, **keywords):
        child = subprocess.Popen(self.exec_command(session, ["/bin/sh", "-c", text]), env=self.environment(), cwd=self.work,
                                 start_new_session=True, stdin=keywords.get("stdin", subprocess.DEVNULL),
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._children.append(child)
        self.addCleanup(lambda: (child.stdout.close(), child.stderr.close()))
        return child

    def listed(self):
        return json.loads(self.ok(self.bulkhead("ps", "--json")).out)

    # What works --------------------------------------------------------------------------------------------

    def test_commands_have_their_input_output_and_status(self):
        session = self.start()
        both = self.sh(session, "cat; echo out; echo err >&2; exit 7", input="in\n")
        self.assertEqual((both.status, both.out, both.err), (7, "in\nout\n", "err\n"))
        self.assertEqual(self.sh(session, "kill -9 $$").status, 137)
        self.assertEqual(self.exec(session, ["no-such-program"]).status, 127)
        self.assertEqual(self.exec(session, ["/etc/passwd"]).status, 126)
        self.assertEqual(self.sh(session, "pwd").out.strip(), os.path.realpath(self.work))
        self.assertEqual(self.sh(session, "pwd; echo $A$PWD", options=("--dir", "/tmp", "--env", "A=x")).out, "/tmp\nx/tmp\n")
        self.assertEqual(self.ok(self.bulkhead("stop", session)).out.strip(), session)
        self.assertEqual(self.listed(), [])
        gone = self.sh(session, "true")
        self.assertEqual(gone.status, 125, gone)
        self.assertIn("no running session", gone.err)
        start, = self.recorded("session.start")
        self.assertIs(start["lives"], True)
        self.assertEqual([e["number"] for e in self.recorded("command.start")], [1, 2, 3, 4, 5, 6])
        self.assertEqual([e.get("exit_status") for e in self.recorded("command.end")], [7, 137, 127, 126, 0, 0])
        self.assertEqual(self.recorded("command.start")[0]["command"][0], "/bin/sh")
        self.assertEqual(self.recorded("session.end")[0]["reason"], "stopped")

    def test_a_command_finds_what_another_left(self):
        session = self.start()
        self.ok(self.sh(session, "echo kept > /tmp/file; echo here > in-the-workspace"))
        self.assertEqual(self.sh(session, "cat /tmp/file in-the-workspace").out, "kept\nhere\n")
        folder = "/tmp/served-" + os.path.basename(self.tmp)  # whose name no other test's process has
        self.ok(self.sh(session, f"mkdir {folder}; cp /tmp/file {folder}; "
                                 f"python3 -m http.server -b 127.0.0.1 8123 --directory {folder} >/dev/null 2>&1 &"))
        page = self.sh(session, "for i in 1 2 3 4 5 6 7 8 9; do curl -sS http://127.0.0.1:8123/file && exit; sleep 0.3; done")
        self.assertIn("kept\n", page.out, page)
        self.ok(self.bulkhead("stop", session))
        self.assertEqual(procs.with_text(f"--directory {folder}"), [])

    def test_many_at_once(self):
        session = self.start()
        text = "read -r n; sleep 0.$((RANDOM % 5)); seq 1 2000 | sed s/^/$n-/ | tail -n 1; exit $((n % 100))"
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            runs = list(pool.map(lambda n: self.exec(session, ["/bin/bash", "-c", text], input=f"{n}\n"), range(40)))
        for n, run in enumerate(runs):
            self.assertEqual((run.status, run.out), (n, f"{n}-2000\n"), run)
        self.assertEqual(self.sh(session, "echo still here").out, "still here\n")

    def test_big_input_and_output_arrive_whole(self):
        session = self.start()
        data = os.urandom(1 << 20) * 24
        echoed = self.exec(session, ["cat"], input=data)
        self.assertEqual(hashlib.sha256(echoed.out_bytes).digest(), hashlib.sha256(data).digest())

    def test_who_does_not_read_holds_up_nobody_else(self):
        session = self.start()
        slow = self.begin(session, "head -c 20000000 /dev/zero")
        self.assertEqual(slow.stdout.read(10), b"\0" * 10)
        for _ in range(3):
            self.assertEqual(self.sh(session, "head -c 3000000 /dev/zero | wc -c").out.strip(), "3000000")
        self.assertEqual(len(slow.stdout.read()), 20000000 - 10)
        self.assertEqual(slow.wait(20), 0)

    def test_a_command_that_reads_nothing_of_its_input_ends(self):
        session = self.start()
        self.assertEqual(self.exec(session, ["/bin/true"], input=b"x" * 3_000_000).status, 0)

    def test_json(self):
        session = self.start()
        done = self.sh(session, "printf 'a\\nb'; printf c >&2; exit 4", options=("--json",))
        self.assertEqual(done.status, 4)
        answer = json.loads(done.out)
        self.assertEqual([answer[k] for k in ("exit_status", "stdout", "stderr", "cut", "utf8", "session")],
                         [4, "a\nb", "c", False, True, session])
        answer = json.loads(self.sh(session, "head -c 5000 /dev/zero | tr '\\0' x", options=("--json", "--max-output", "100")).out)
        self.assertEqual((answer["stdout"], answer["cut"]), ("x" * 100, True))
        answer = json.loads(self.sh(session, "printf '\\377'", options=("--json",)).out)
        self.assertIs(answer["utf8"], False)

    def test_a_closed_descriptor_becomes_no_other(self):
        session = self.start()
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            words = " ".join(f"'{w}'" for w in self.exec_command(
                session, ["/bin/sh", "-c", "readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2 > /tmp/fds"]))
            done = self._run(["/bin/sh", "-c", f"{words} {closed}"], [], self.environment(), None, "", 60)
            self.assertEqual(done.status, 0, done)
            for name in self.exec(session, ["cat", "/tmp/fds"]).out.split():
                self.assertRegex(name, "^(/dev/null|pipe:.*|/tmp/fds|/.*)$")
                self.assertNotRegex(name, "anon_inode|socket|/bulkhead/")

    def test_what_a_command_leaves_running_does_not_keep_its_terminal(self):
        session = self.start()
        noisy = "(trap '' HUP INT; while :; do echo noise; done) & (trap '' HUP INT; yes) & sleep 0.3; exit 4"
        terminal = Terminal(self.exec_command(session, ["/bin/sh", "-c", noisy]), self.environment(), self.work)
        self.addCleanup(terminal.close)
        begun = time.monotonic()
        self.assertEqual(terminal.wait(), 4)
        self.assertLess(time.monotonic() - begun, 12)
        self.assertTrue(terminal.settings_restored())
        captured = self.sh(session, "yes & yes & sleep 0.3; exit 3", options=("--json",))
        self.assertEqual(json.loads(captured.out)["exit_status"], 3)

    def test_terminals(self):
        session = self.start()

        def open_terminal(argv, rows=31, columns=97):
            terminal = Terminal(self.exec_command(session, argv), self.environment(), self.work, rows, columns)
            self.addCleanup(terminal.close)
            return terminal

        one = open_terminal(["/bin/bash", "--norc", "-i"])
        one.expect(r"\$ ")
        one.type("test -t 0 && stty size; tty\n")
        one.expect(r"31 97\r\n/dev/pts/\d+\r\n")
        two = open_terminal(["/bin/bash", "--norc", "-i"], 20, 60)
        two.expect(r"\$ ")
        two.type("stty size\n")
        two.expect("20 60\r\n")
        one.resize(50, 120)
        one.process.send_signal(signal.SIGWINCH)
        one.type("sleep 0.3; stty size\n")
        one.expect("50 120\r\n")
        two.type("sleep 40\n")
        time.sleep(0.5)
        two.type("\x03")
        two.type("echo in''terrupted $?\n")
        two.expect("interrupted 130\r\n")
        one.type("exit 5\n")
        self.assertEqual(one.wait(), 5)
        self.assertTrue(one.settings_restored())
        two.type("exit 6\n")
        self.assertEqual(two.wait(), 6)

    def test_labels_and_quotas(self):
        policy = "[limits]\nmemory = \"300MB\"\ntenant_sessions = 2\ntenant_memory = \"700MB\"\n"
        first = self.start(policy, ("--label", "tenant=a", "--label", "job=17"))
        listed, = self.listed()
        self.assertEqual((listed["id"], listed["labels"], listed["lives"]), (first, {"tenant": "a", "job": "17"}, True))
        self.assertEqual(self.recorded("session.start")[0]["labels"], {"tenant": "a", "job": "17"})
        self.start(policy, ("--label", "tenant=a"))
        third = self.try_start(policy, ("--label", "tenant=a"))
        self.assertEqual(third.status, 125, third)
        self.assertIn('limits.tenant_sessions: tenant "a": 2 run already', third.err)
        self.start(policy, ("--label", "tenant=b"))
        big = self.try_start(policy.replace("300MB", "500MB"), ("--label", "tenant=b"))
        self.assertIn('limits.tenant_memory: tenant "b" would have', big.err)
        self.assertIn("limits.tenant_memory needs limits.memory", self.try_start(policy.replace('memory = "300MB"\n', "", 1)).err)
        self.ok(self.bulkhead("stop", first))
        self.start(policy, ("--label", "tenant=a"))

    def claim(self, *options):
        return self.bulkhead("claim", *options)

    def test_a_session_made_ahead_is_given_once(self):
        ahead = [self.start(options=("--label", "pool=a")) for _ in range(3)]
        other = self.start(options=("--label", "pool=b"))
        with concurrent.futures.ThreadPoolExecutor(8) as asking:
            given = list(asking.map(lambda _: self.claim("--label", "pool=a"), range(8)))
        self.assertEqual(sorted(one.out.strip() for one in given if one.status == 0), sorted(ahead))
        for one in given:
            if one.status != 0:
                self.assertEqual((one.status, one.out), (1, ""), one)
                self.assertIn("no session is left that has these labels and is unclaimed", one.err)
        self.assertEqual({one["id"]: one["claimed"] for one in self.listed()}, {**dict.fromkeys(ahead, True), other: False})
        self.assertIn("(lives, claimed) pool=a", self.ok(self.bulkhead("ps")).out)
        self.assertEqual(len(self.recorded("session.claim")), 3)
        self.assertEqual(self.sh(ahead[0], "echo up").out, "up\n")
        self.assertEqual(json.loads(self.ok(self.claim("--json")).out)["id"], other)

    def test_a_limit_that_commands_have_not_is_refused(self):
        refused = self.try_start("[limits]\noutput = \"1MB\"\n")
        self.assertEqual(refused.status, 125)
        self.assertIn("limits.output", refused.err)

    def test_two_can_not_take_the_last_place(self):
        policy = "[limits]\ntenant_sessions = 2\n"
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            results = list(pool.map(lambda n: self.try_start(policy), range(6)))
        self.assertEqual(sorted(r.status for r in results), [0, 0, 125, 125, 125, 125], "\n".join(map(str, results)))
        self.assertEqual(len(self.listed()), 2)
        # Whoever counts waits for who is counting.
        self.ok(self.bulkhead("stop", "--all"))
        with open(os.path.join(self.home, ".local/state/bulkhead/sessions/quota")) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(self.try_start, policy)
                time.sleep(1)
                self.assertEqual(self.listed(), [])
                fcntl.flock(lock, fcntl.LOCK_UN)
                self.ok(waiting.result(20))

    def test_lifetimes(self):
        for limit, reason in (('idle = "2s"', "idle"), ('duration = "2s"', "duration")):
            with self.subTest(limit):
                session = self.start(f"[limits]\n{limit}\n")
                begun = time.monotonic()
                if reason == "idle":  # counts from the last command's end
                    self.assertEqual(self.sh(session, "sleep 3; echo done").out, "done\n")
                    begun = time.monotonic()
                else:
                    cut = self.sh(session, "sleep 30")
                    self.assertEqual(cut.status, 125, cut)
                    self.assertIn("reached its limit: duration", cut.err)
                self.wait_until(lambda: self.listed() == [], 10, "its end")
                self.assertGreater(time.monotonic() - begun, 0.5)
                ended, = [e["reason"] for e in self.recorded("session.end") if e["session"] == session]
                self.assertEqual(ended, f"the session reached its limit: {reason}")

    def test_it_ends_with_whoever_holds_the_other_end(self):
        for make in (os.pipe, lambda: [one.detach() for one in socket.socketpair()]):
            watched, held = make()
            self.started = True
            argv = self.words("start", ["--until-closed", str(watched)], "")
            session = self.ok(self._run(self.lab.command(argv, guard=False), argv, self.environment(), None, None, 60, (watched,))).out.strip()
            os.close(watched)
            command = self.begin(session, "trap 'echo told > told; exit 3' TERM; echo up > up; while :; do sleep .05; done")
            self.wait_for_file("up")
            os.close(held)
            self.wait_for_file("told")
            self.assertIn(command.wait(30), (3, 125))
            self.wait_until(lambda: not self.listed(), 20, "it is over")
            os.remove(os.path.join(self.work, "up"))
            os.remove(os.path.join(self.work, "told"))
        for wrong in ("99", "-1", "2", "x"):
            self.assertIn(self.try_start("", ["--until-closed", wrong]).status, (2, 125), wrong)
        with open(os.path.join(self.work, "file"), "w") as file:
            argv = self.words("start", ["--until-closed", str(file.fileno())], "")
            refused = self._run(self.lab.command(argv, guard=False), argv, self.environment(), None, None, 60, (file.fileno(),))
        self.assertEqual(refused.status, 125, refused)
        self.assertIn("only of a pipe or a socket", refused.err)
        self.assertEqual(self.listed(), [])

    def test_nothing_runs_where_nothing_runs_inside(self):
        """gVisor's kernel, or the machine, is stopped between commands, and there again when one comes; its clock is right."""
        session = self.start("[limits]\nmemory = \"1GB\"\n")
        if self.tier == "native":
            return self.assertEqual(self.sh(session, "echo up").out, "up\n")
        resting = ("runsc-sandbox", "qemu-system", "virtiofsd")
        kernel = [pid for pid in procs.descendants(self.listed()[0]["pid"]) if procs.command_line(pid).startswith(resting)]
        self.assertEqual(len(kernel), 2 if self.tier == "vm" else 1)

        def is_stopped():
            return all(procs.state(pid) == "T" for pid in kernel)

        for _ in range(3):
            self.wait_until(is_stopped, 10, "its rest")
            time.sleep(1)
            before = time.time()
            seen = self.ok(self.sh(session, "date +%s.%N")).out
            self.assertLess(before - 0.5, float(seen))
            self.assertLess(float(seen), time.time() + 0.5)
        self.ok(self.sh(session, "sleep 4 >/dev/null 2>&1 &"))
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            self.assertFalse(is_stopped(), "a command has left something running")
            time.sleep(0.1)
        self.ok(self.sh(session, "(sleep 3; echo > over) >/dev/null 2>&1 &"))
        self.wait_until(is_stopped, 20, "its rest")
        self.assertGreater(time.time() - os.stat(os.path.join(self.work, "over")).st_mtime, 0.7, "a second of nothing at all")
        begun = time.monotonic()
        self.ok(self.bulkhead("stop", session))
        self.assertLess(time.monotonic() - begun, 3)

    def test_X23_killed_while_it_rests_nothing_is_left(self):
        """Those who are stopped end, too, when nobody is there any more to continue them."""
        if self.tier == "native":
            self.skipTest("nothing is stopped on the native tier")
        session = self.start()
        supervisor = self.listed()[0]["pid"]
        self.wait_until(lambda: any(procs.state(pid) == "T" for pid in procs.descendants(supervisor)), 20, "its rest")
        everything = procs.descendants(supervisor)
        os.kill(supervisor, signal.SIGKILL)
        self.wait_until(lambda: not [pid for pid in everything if os.path.exists(f"/proc/{pid}")], 20, "the end of all of it")
        self.assertEqual(self.bulkhead("exec", session, "--", "true").status, 125)

    # What must not ----------------------------------------------------------------------------------------------

    def test_a_caller_that_is_killed_takes_its_command_along(self):
        session = self.start()
        child = self.begin(session, "echo up; while :; do date +%s.%N > /tmp/beat; sleep 0.05; done")
        self.assertEqual(child.stdout.readline(), b"up\n")
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        self.wait_until(lambda: self.sh(session, "a=$(cat /tmp/beat); sleep 0.3; test $a = $(cat /tmp/beat)").status == 0, 10,
                        "the command's end")
        self.assertEqual(self.sh(session, "echo on").out, "on\n")
        self.assertIn("its caller went away", [e.get("reason") for e in self.recorded("command.end")])

    def test_sigterm_to_the_caller_reaches_the_command(self):
        session = self.start()
        child = self.begin(session, "trap 'echo term; exit 9' TERM; echo up; while :; do sleep 0.05; done")
        self.assertEqual(child.stdout.readline(), b"up\n")
        self.signal_caller(child, signal.SIGTERM)
        self.assertEqual(child.stdout.read(), b"term\n")
        self.assertEqual(child.wait(10), 9)

    @staticmethod
    def signal_caller(child, number):
        for pid in [child.pid, *procs.descendants(child.pid)]:
            if procs.name(pid) == "bulkhead":
                os.kill(pid, number)

    def test_the_end_of_the_session_is_told_to_callers(self):
        session = self.start()
        child = self.begin(session, "echo up; sleep 60")
        self.assertEqual(child.stdout.readline(), b"up\n")
        os.kill(self.listed()[0]["pid"], signal.SIGKILL)
        _, err = child.communicate(timeout=10)
        self.assertEqual(child.returncode, 125, err)
        self.assertIn(b"ended", err)
        self.wait_until(lambda: not procs.with_text("sleep 60"), 10, "the workload's end")

    def test_what_commands_say_last_arrives_although_the_session_ends(self):
        session = self.start()
        # Some more than pipes hold, but not more than goes on its way without a reader.
        sizes = [250000 if i % 4 == 0 else 5 for i in range(12)]
        children = [self.begin(session, f"trap 'head -c {size} /dev/zero | tr \\0 x; exit 9' TERM; echo up; while :; do sleep 0.05; done")
                    for size in sizes]
        for child in children:
            self.assertEqual(child.stdout.readline(), b"up\n")

        def read_late(child):
            time.sleep(1)
            return child.communicate(timeout=30)[0]

        with concurrent.futures.ThreadPoolExecutor(len(children)) as pool:
            said = [pool.submit(read_late, child) for child in children]
            self.assertEqual(self.ok(self.bulkhead("stop", session)).err, "")
        self.assertEqual([(len(one.result()), child.returncode) for one, child in zip(said, children)], [(size, 9) for size in sizes])
        self.assertEqual([e.get("exit_status") for e in self.recorded("command.end")], [9] * len(sizes))

    def test_what_a_lost_command_said_arrives(self):
        session = self.start()
        child = self.begin(session, "trap 'head -c 30000 /dev/zero | tr \\0 x; sleep 60' TERM; echo up; while :; do sleep 0.05; done")
        self.assertEqual(child.stdout.readline(), b"up\n")
        self.ok(self.bulkhead("stop", session))  # SIGKILL after three seconds
        out, err = child.communicate(timeout=20)
        self.assertEqual((len(out), child.returncode), (30000, 125))
        self.assertIn(b"ended", err)

    def test_a_session_of_run_takes_no_commands(self):
        child = self.start_inside(["/bin/sh", "-c", "echo up > up; sleep 30"])
        self.wait_for_file("up")
        refused = self.exec(self.listed()[0]["id"], ["/bin/true"])
        self.assertEqual(refused.status, 125)
        self.assertIn("runs one command", refused.err)
        child.terminate()

    def test_each_command_has_the_policy_and_tokens_only(self):
        self.lab.web.site("api.example.com", lambda request: request.text("answer\n"))
        session = self.start(self.credential() + self.grant("api.example.com", credential="api"), env={"API_KEY": KEY})
        for _ in range(2):
            ask = self.sh(session, "curl -sS -m 10 -H \"x-api-key: $API_KEY\" https://api.example.com/v1; "
                          "curl -s -m 10 -o /dev/null -w '%{http_code}' https://other.example.com/")
            self.assertEqual(ask.out, "answer\n403", ask)
        self.assertEqual([r.headers.get("x-api-key") for r in self.lab.web.received()], [KEY, KEY])
        self.assertNotIn(KEY, self.sh(session, "env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'").out)
        foreign = self.sh(session, "true", options=("--env", "API_KEY=other"))
        self.assertEqual(foreign.status, 125)
        self.assertIn("API_KEY holds a token", foreign.err)

    def test_X16_no_command_reaches_a_socket_of_the_host(self):
        server = self.start_outside(["python3", "-c", "import socket,time\ns=socket.socket(socket.AF_UNIX)\n"
                                     "s.bind('agent.sock')\ns.listen()\nopen('listening','w').write('1')\n"
                                     "s.accept()\nopen('reached','w').write('1')\ntime.sleep(60)"])
        self.wait_for_file("listening")
        session = self.start()
        own = "import socket\ns=socket.socket(socket.AF_UNIX)\ns.bind('/tmp/s%d')\ns.listen()\nc=socket.socket(socket.AF_UNIX)\nc.connect('/tmp/s%d')\nprint('own')"
        for n in range(2):
            self.assertEqual(self.exec(session, ["python3", "-c", own % (n, n)]).out, "own\n")
            tried = self.exec(session, ["python3", "-c", "import socket\nsocket.socket(socket.AF_UNIX).connect('agent.sock')"])
            self.assertNotEqual(tried.status, 0)
        self.assertFalse(os.path.exists(os.path.join(self.work, "reached")))
        server.kill()

    def test_X18_no_command_gets_into_what_starts_the_others(self):
        """Another command's attendant, and the one that holds the session, have descriptors of other callers."""
        session = self.start()
        other = self.begin(session, "echo up; read -r line; echo got $line", stdin=subprocess.PIPE)
        self.assertEqual(other.stdout.readline(), b"up\n")
        look = self.exec(session, ["python3", "-c", PEEK])
        self.assertEqual(look.status, 0, look)
        self.assertIn("looked at", look.out)
        self.assertNotIn("REACHED", look.out, look)
        other.stdin.write(b"mine\n")
        other.stdin.close()
        self.assertEqual(other.stdout.read(), b"got mine\n")
        self.assertEqual(other.wait(10), 0)

    def test_commands_are_restricted_as_a_run_is(self):
        session = self.start()
        status = self.sh(session, "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status").out.split()
        self.assertEqual(status[1], "0" * 16)
        if self.tier == "native":
            self.assertEqual(status[3:], ["0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2"])
        for name in ("privilege", "kernel_surface"):
            argv = [victim(name)]
            again = self._run(self.lab.command([*self.words("exec", (), None)[:2], session, "--", *argv], guard=False), argv,
                              self.environment(), None, None, 60)
            plain = self.inside(argv)
            self.assertEqual((again.status, again.out), (plain.status, plain.out), again)


PEEK = r'''
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
mine = {os.getpid(), os.getppid()}
count = 0
for name in os.listdir("/proc"):
    if not name.isdigit() or int(name) in mine:
        continue
    pid = int(name)
    comm = open(f"/proc/{name}/comm").read().strip()
    if comm in ("sh", "sleep"):
        continue  # the other command itself: the same tenant's
    count += 1
    for what in ("mem", "environ", "fd/3", "fd/0", "cwd/.", "root/etc"):
        try:
            file = os.open(f"/proc/{name}/{what}", os.O_RDWR if what == "mem" else os.O_RDONLY)
            if what in ("fd/3", "mem"): print("REACHED", pid, comm, what)
        except OSError:
            pass
    if libc.ptrace(16, pid, 0, 0) == 0:
        print("REACHED", pid, comm, "ptrace")
    buffer = ctypes.create_string_buffer(8)
    class iovec(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
    here = iovec(ctypes.addressof(buffer), 8)
    for address in (0x400000, 0x7ffff7fc0000):
        there = iovec(address, 8)
        if libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) >= 0 or ctypes.get_errno() not in (1, 3, 38):
            print("REACHED", pid, comm, "process_vm_readv", ctypes.get_errno())
    try:
        pidfd = os.pidfd_open(pid)
        for fd in range(3, 8):
            if libc.syscall(438, pidfd, fd, 0) >= 0: print("REACHED", pid, comm, "pidfd_getfd", fd)
    except OSError:
        pass
print("looked at", count)
'''
