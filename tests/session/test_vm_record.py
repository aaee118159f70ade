"""What a virtual machine says of the processes inside, in the session's record; and X39: hiding from it."""
import os
import signal
import time

from support import procs
from support.recorded import TRUE, Recorded


class VmRecord(Recorded):
    tier = "vm"

    def test_programs_with_their_parents(self):
        """Also of those that are gone at once; what a machine says is told apart from what Bulkhead saw itself."""
        self.check_programs_with_their_parents()
        for kind in ("process.start", "process.exec", "process.exit"):
            for event in self.recorded(kind):
                self.assertEqual((event["source"], event["seen_by"]), ("trace", "machine"))
        for event in self.recorded("session.start") + self.recorded("session.end"):
            self.assertEqual((event["source"], event.get("seen_by")), ("supervisor", None))

    def test_files_and_connections(self):
        """The host's word for a connection, which nobody inside can make up, stands beside the machine's."""
        self.python("import os, socket, urllib.request\n"
                    "open('made', 'w').close()\n"
                    "os.chdir('/tmp'); open('there', 'a').close()\n"
                    "os.close(os.open('beside', os.O_CREAT | os.O_RDONLY, dir_fd=os.open('/dev/shm', os.O_RDONLY)))\n"
                    "open('/etc/hostname').read()\n"
                    "for family, address in ((socket.AF_INET, ('10.1.2.3', 81)), (socket.AF_INET6, ('fd00::7', 81)), (socket.AF_UNIX, '/tmp/none')):\n"
                    "  try: socket.socket(family).connect(address)\n"
                    "  except OSError as e: print(e)\n"
                    "try: urllib.request.urlopen('http://example.com/asked')\n"
                    "except OSError as e: print(e)\n")
        opened = {e["path"]: e for e in self.recorded("file.open")}
        self.assertEqual(opened[f"{self.work}/made"]["how"], ["write", "create", "truncate"])
        self.assertEqual(opened["/tmp/there"]["how"], ["write", "create", "append"])
        self.assertEqual(opened["/dev/shm/beside"]["how"], ["create"])
        self.assertTrue(all(e["asked"] and e["seen_by"] == "machine" for e in opened.values()))
        self.assertEqual(opened["/tmp/there"]["name"][:6], "python")
        self.assertNotIn("/etc/hostname", opened, "what is only read is not recorded")
        connected = {(e["family"], e["address"], e.get("port")): e for e in self.recorded("net.connect")}
        self.assertIn(("inet", "10.1.2.3", 81), connected)
        self.assertIn(("inet6", "fd00::7", 81), connected)
        self.assertIn(("unix", "/tmp/none", None), connected)
        self.assertEqual({e["pid"] for e in connected.values()}, {opened["/tmp/there"]["pid"]})
        request = self.recorded("http.request")
        self.assertEqual([(e["source"], e["host"], e["path"], e["decision"]) for e in request],
                         [("front", "example.com", "/asked", "deny")])

    def test_a_session_that_lives(self):
        identity = self.ok(self.bulkhead("start", "--tier", "vm", "--policy", self.policy(""))).out.strip()
        self.addCleanup(lambda: self.bulkhead("stop", identity))
        self.ok(self.bulkhead("exec", identity, "--", "/bin/sh", "-c", "/usr/bin/true of-the-first & wait"))
        self.wait_until(lambda: self.executed(TRUE), 20, "it is recorded while the session lives")
        self.ok(self.bulkhead("exec", identity, "--", "/usr/bin/true", "of-the-second"))
        self.ok(self.bulkhead("stop", identity))
        one, two = self.executed(TRUE)
        self.assertEqual((one["arguments"][1], two["arguments"][1]), ("of-the-first", "of-the-second"))
        shell = [e for e in self.executed("/bin/sh") if e["pid"] == one["parent"]]
        self.assertEqual(len(shell), 1)

    def test_X39_the_environment_is_never_recorded(self):
        policy = '[env.set]\nMARK = "planted-in-the-environment"\n'
        result = self.ok(self.inside(["/bin/sh", "-c", "export OTHER=$MARK-2; /usr/bin/env | grep -c planted"], policy))
        self.assertEqual(result.out, "2\n")
        for path in self.state_files():
            for line in self.read(path).splitlines():
                if '"source":"trace"' in line:
                    self.assertNotIn("planted-in-the-environment", line)
        self.assertTrue(self.executed("/usr/bin/env"))

    def test_X39_tricks_that_hide_nothing(self):
        """Words that are no text, a program without a name, and one that another thread executes."""
        self.ok(self.python(
            "import ctypes, os, subprocess, threading\n"
            f"subprocess.run([b'{TRUE}', b'word-\\xff\\x1b'])\n"
            "libc = ctypes.CDLL(None)\n"
            "libc.prctl(15, b'\\xff\\xfe')\n"
            f"file = os.open('{TRUE}', os.O_RDONLY)\n"
            "words = (ctypes.c_char_p * 3)(b'nameless', b'by-number', None)\n"
            "if os.fork() == 0:\n"
            "  libc.syscall(322, file, b'', words, None, 0x1000)\n"
            "  os._exit(1)\n"
            "os.wait()\n"
            "if os.fork() == 0:\n"
            f"  threading.Thread(target=os.execv, args=('{TRUE}', ['true', 'of-a-thread'])).start()\n"
            "  threading.Event().wait()\n"
            "os.wait()\n"))
        programs = {tuple(e["arguments"]): e for e in self.executed(TRUE)}
        self.assertIn((TRUE, "word-�\x1b"), programs)
        self.assertIn(("nameless", "by-number"), programs)
        thread = programs[("true", "of-a-thread")]
        self.assertNotEqual(thread["pid"], thread["thread"])
        events = [e for e in self.recorded("process.exit") if e["pid"] == thread["pid"]]
        self.assertEqual([(e["name"], e.get("exit_status")) for e in events], [("true", 0)], "it ended once")
        self.assertEqual(self.recorded("process.omitted"), [])

    def test_X39_a_flood_hides_nothing_of_another_kind(self):
        self.ok(self.python("import os, subprocess\n"
                            "for i in range(11000): os.close(os.open('/tmp/x', os.O_CREAT | os.O_WRONLY))\n"
                            f"subprocess.run(['{TRUE}', 'after-the-flood'])\n"))
        self.assertIn("after-the-flood", [e["arguments"][-1] for e in self.executed(TRUE)])
        omitted = self.recorded("process.omitted")
        self.assertEqual(sum(e["unsent"] + e["exec"] for e in omitted), 0, omitted)
        opened = len(self.recorded("file.open"))
        self.assertGreaterEqual(opened, 10000)
        self.assertGreaterEqual(opened + sum(e["open"] for e in omitted), 11000)

    def test_X39_what_is_said_last_is_heard(self):
        """Of what the host is slow to take, half is still in the machine's queue when the command is over."""
        flood = ("import os\nlong = '/tmp/' + 'x' * 200\n"
                 "for i in range(1600): os.close(os.open(long, os.O_CREAT | os.O_WRONLY))\n")
        child = self.start_inside(["/bin/sh", "-c", "echo up > up; until [ -e go ]; do sleep 0.1; done; "
                                   f"/usr/bin/python3 -c \"$0\"; {TRUE} said-last; echo x > over", flood])
        self.wait_for_file("up", 120)
        told, = procs.descendants_named(child.pid, "bulkhead-trace")
        os.kill(told, signal.SIGSTOP)
        self.write("work/go", "")
        self.wait_for_file("over", 60)
        time.sleep(1)
        os.kill(told, signal.SIGCONT)
        _, err = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 0, err)
        self.assertIn("said-last", [e["arguments"][-1] for e in self.executed(TRUE)])
        opened = [e for e in self.recorded("file.open") if "xxx" in e["path"]]
        self.assertEqual(len(opened) + sum(e["open"] for e in self.recorded("process.omitted")), 1600)
        self.assertNotIn("unheard", str(self.recorded("process.omitted")))

    def test_X39_the_workload_cannot_end_the_recorder(self):
        result = self.inside(["/bin/sh", "-c", "for p in /proc/[0-9]*; do grep -q '^Name:.bulkhead-record' $p/status && kill -9 ${p#/proc/}; done; "
                              "/usr/bin/true still-recorded; echo end"])
        self.assertEqual(result.out, "end\n", result)
        self.assertIn("ot permitted", result.err)
        self.assertIn("still-recorded", [e["arguments"][-1] for e in self.executed(TRUE)])

    def test_X39_who_is_told_is_killed(self):
        child = self.start_inside(["/bin/sh", "-c", "echo up > up; while :; do echo x >> beat; sleep 0.1; done"])
        self.wait_for_file("up", 120)
        everybody = [child.pid, *procs.descendants(child.pid)]
        told = [p for p in everybody if procs.name(p) == "bulkhead-trace"]
        self.assertEqual(len(told), 1)
        os.kill(told[0], signal.SIGKILL)
        _, err = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 125, err)
        self.assertIn(b"trace", err)
        self.wait_until(lambda: not [p for p in everybody if procs.alive(p)], 10, "everything is gone")
        self.assertEqual([e["type"] for e in self.recorded("session.end")], ["session.end"])

    def test_turned_off(self):
        child = self.start_inside(["/bin/sh", "-c", "echo up > up; exec sleep 60"], "[evidence]\nprocesses = false\n")
        self.wait_for_file("up", 120)
        self.assertEqual(procs.descendants_named(child.pid, "bulkhead-trace"), [])
        child.terminate()
        child.communicate(timeout=60)
        self.assertEqual(self.recorded("process.exec"), [])
