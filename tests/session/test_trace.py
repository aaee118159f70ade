"""What gVisor tells of the processes inside, in the session's record; and X39: hiding from it."""
import os
import signal

from support import procs
from support.recorded import TRUE, Recorded


class Trace(Recorded):
    tier = "gvisor"
    shell = "/usr/bin/dash"

    def test_programs_with_their_parents(self):
        second = self.check_programs_with_their_parents()
        self.assertEqual(second["seen_by"], "gvisor")
        self.assertEqual(second["source"], "trace")

    def test_files_and_connections(self):
        self.python("import os, socket\n"
                    "open('made', 'w').close()\n"
                    "os.chdir('/tmp'); open('there', 'a').close()\n"
                    "os.close(os.open('beside', os.O_CREAT | os.O_RDONLY, dir_fd=os.open('/dev/shm', os.O_RDONLY)))\n"
                    "open('/etc/hostname').read()\n"
                    "try: open('/etc/hostname', 'w')\n"
                    "except OSError as e: print(e)\n"
                    "for family, address in ((socket.AF_INET, ('10.1.2.3', 81)), (socket.AF_INET6, ('fd00::7', 81)), (socket.AF_UNIX, '/tmp/none')):\n"
                    "  try: socket.socket(family).connect(address)\n"
                    "  except OSError as e: print(e)\n")
        opened = {e["path"]: e for e in self.recorded("file.open")}
        self.assertEqual(opened[f"{self.work}/made"]["how"], ["write", "create", "truncate"])
        self.assertEqual(opened["/tmp/there"]["how"], ["write", "create", "append"])
        self.assertEqual(opened["/dev/shm/beside"]["how"], ["create"])
        self.assertIn(opened["/etc/hostname"]["error"], ("EROFS", "EACCES"))
        self.assertEqual(opened["/tmp/there"]["name"][:6], "python")
        self.assertFalse([path for path in opened if path.endswith("script.py")], "what is only read is not recorded")
        connected = {(e["family"], e["address"], e.get("port")): e for e in self.recorded("net.connect")}
        self.assertIn(("inet", "10.1.2.3", 81), connected)
        self.assertIn(("inet6", "fd00::7", 81), connected)
        self.assertEqual(connected[("unix", "/tmp/none", None)]["error"], "ENOENT")

    def test_X39_the_environment_is_never_recorded(self):
        policy = '[env.set]\nMARK = "planted-in-the-environment"\n'
        result = self.ok(self.inside(["/bin/sh", "-c", "export OTHER=$MARK-2; /usr/bin/env | grep -c planted"], policy))
        self.assertEqual(result.out, "2\n")
        for path in self.state_files():
            for line in self.read(path).splitlines():
                if '"source":"trace"' in line:
                    self.assertNotIn("planted-in-the-environment", line)
        self.assertTrue(self.executed("/usr/bin/env"))

    def test_X39_words_that_are_not_text(self):
        """gVisor can't send them, and would leave the whole message out."""
        self.ok(self.python("import ctypes, os, subprocess\n"
                            f"subprocess.run([b'{TRUE}', b'word-\\xff'])\n"
                            f"subprocess.run(['{TRUE}', 'marked-1'], env={{'X': b'\\xff'}})\n"
                            "ctypes.CDLL(None).prctl(15, b'\\xff\\xfe')\n"
                            "os.mkdir(b'/tmp/\\xff'); os.chdir(b'/tmp/\\xff')\n"
                            f"subprocess.run(['{TRUE}', 'marked-2'])\n"))
        untold = [e for e in self.recorded("process.exec") if e.get("untold")]
        self.assertEqual(len(untold), 2, self.recorded("process.exec"))
        self.assertTrue(all("path" not in e and e["parent"] for e in untold))
        self.assertIn([TRUE, "marked-2"], [e["arguments"] for e in self.executed(TRUE)], "neither its name nor its folder hides it")
        ends = {e["pid"] for e in self.recorded("process.exit")}
        self.assertTrue({e["pid"] for e in untold} <= ends)

    def test_X39_a_flood_hides_nothing_of_another_kind(self):
        self.ok(self.python("import os, subprocess\n"
                            "for i in range(14000): os.close(os.open('/tmp/x', os.O_CREAT | os.O_WRONLY))\n"
                            f"subprocess.run(['{TRUE}', 'after-the-flood'])\n", timeout=120))
        self.assertIn("after-the-flood", [e["arguments"][-1] for e in self.executed(TRUE)])
        omitted = self.recorded("process.omitted")
        self.assertGreater(sum(e["open"] for e in omitted), 1000)
        self.assertEqual(sum(e["unsent"] + e["exec"] for e in omitted), 0, omitted)
        opened = len(self.recorded("file.open"))
        self.assertGreaterEqual(opened, 10000)
        self.assertGreaterEqual(opened + sum(e["open"] for e in omitted), 14000)

    def test_X39_who_is_told_is_killed(self):
        """gVisor itself would go on."""
        child = self.start_inside(["/bin/sh", "-c", "echo up > up; while :; do echo x >> beat; sleep 0.02; done"])
        self.wait_for_file("up")
        everybody = [child.pid, *procs.descendants(child.pid)]
        told = [p for p in everybody if procs.name(p) == "bulkhead-trace"]
        self.assertEqual(len(told), 1)
        os.kill(told[0], signal.SIGKILL)
        _, err = child.communicate(timeout=20)
        self.assertEqual(child.returncode, 125, err)
        self.assertIn(b"trace", err)
        self.wait_until(lambda: not [p for p in everybody if procs.alive(p)], 10, "everything is gone")
        self.assertEqual([e["type"] for e in self.recorded("session.end")], ["session.end"])

    def test_X39_nobody_to_tell(self):
        """A bulkhead-trace that takes no connection: nothing runs."""
        self.replace_part("bulkhead-trace", TRUE)
        result = self.inside(["/bin/touch", "ran"])
        self.assertEqual(result.status, 125, result)
        self.assertIn("trace", result.err)
        self.assertFalse(os.path.exists(os.path.join(self.work, "ran")))

    def test_turned_off(self):
        child = self.start_inside(["/bin/sh", "-c", "echo up > up; exec sleep 20"], "[evidence]\nprocesses = false\n")
        self.wait_for_file("up")
        self.assertEqual(procs.descendants_named(child.pid, "bulkhead-trace"), [])
        child.terminate()
        child.communicate(timeout=20)
        self.assertEqual(self.recorded("process.exec"), [])

    def test_native_refuses_it(self):
        self.tier = "native"
        result = self.inside(["/bin/touch", "ran"], "[evidence]\nprocesses = true\n")
        self.assertEqual(result.status, 125, result)
        self.assertIn("processes", result.err)
        self.assertIn("native", result.err)
        self.assertFalse(os.path.exists(os.path.join(self.work, "ran")))
        self.ok(self.inside(["/bin/true"]))
