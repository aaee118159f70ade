"""Each limit of a session, hit, on both tiers (X24): what test_life.py has of memory, processes, tmp and duration is not
here again."""
import os
import re
import subprocess
import time

from support import Case, procs
from support.tiers import on_tier

BURN = "import os\nfor i in range(3):\n  if os.fork() == 0:\n    while True: pass\nwhile True: pass\n"


class Limits(Case):
    def python(self, script, policy, **more):
        self.write("work/script.py", script)
        return self.inside(["/usr/bin/python3", "script.py"], policy, **more)

    def ended_by(self, result, limit):
        self.assertEqual(result.status, 125, result)
        self.assertIn(f"the session reached its limit: {limit}", result.err)
        self.assertIn(limit, self.recorded("session.end")[-1]["reason"])

    def test_X24_cpu(self):
        began = time.monotonic()
        self.ended_by(self.python(BURN, '[limits]\ncpu = "4s"\n'), "cpu")
        self.assertGreater(time.monotonic() - began, 1.5, "four seconds of two processors or so")
        self.assertLess(time.monotonic() - began, 30)

    def test_X24_cpu_of_processes_that_have_ended(self):
        """Each is short, all together are not."""
        script = ("import os\nwhile True:\n  if os.fork() == 0:\n    for i in range(3000000): pass\n    os._exit(0)\n  os.wait()\n")
        self.ended_by(self.python(script, '[limits]\ncpu = "4s"\n'), "cpu")

    def test_X24_cpu_of_processes_nobody_waits_for(self):
        script = ("import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
                  "while True:\n  if os.fork() == 0:\n    end = time.monotonic() + 1\n    while time.monotonic() < end: pass\n    os._exit(0)\n"
                  "  time.sleep(1)\n")
        self.ended_by(self.python(script, '[limits]\ncpu = "4s"\n'), "cpu")

    def test_cpu_that_is_enough(self):
        self.ok(self.inside(["/bin/sleep", "2"], '[limits]\ncpu = "4s"\n'))

    def test_X24_cpus(self):
        """All of its processes together have one processor, whatever they ask for."""
        self.write("work/script.py", "import os\nprint(len(os.sched_getaffinity(0)), flush=True)\n"
                                     "try: os.sched_setaffinity(0, range(os.cpu_count()))\n"
                                     "except OSError as e: print(e, flush=True)\n"
                                     "open('up', 'w').write('up')\n" + BURN)
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("this machine has one processor")
        child = self.start_inside(["/usr/bin/python3", "script.py"], "[limits]\ncpus = 1\n")
        self.wait_for_file("up")
        time.sleep(0.5)
        tier = [p for p in procs.descendants(child.pid) if procs.name(p) in ("bwrap", "python3")
                or procs.command_line(p).startswith("runsc") or procs.descendant_of_runsc(p)]
        self.assertGreater(len(tier), 2)
        for pid in tier:
            with open(f"/proc/{pid}/status") as file:
                allowed = re.search(r"Cpus_allowed_list:\s*(\S+)", file.read()).group(1)
            self.assertRegex(allowed, r"^\d+$", procs.command_line(pid))
        child.terminate()
        out, _ = child.communicate(timeout=20)
        self.assertEqual(out.split()[0], b"1")

    def test_X24_output(self):
        for script, where in (("head -c 3000000 /dev/zero; sleep 20", "out"), ("head -c 3000000 /dev/zero >&2; sleep 20", "err")):
            with self.subTest(where=where):
                result = self.inside(["/bin/sh", "-c", script], '[limits]\noutput = "1MB"\n')
                self.ended_by(result, "output")
                self.assertEqual((result.out_bytes if where == "out" else result.err_bytes).count(b"\0"), 1000000)

    def test_X24_output_to_a_file(self):
        with open(os.path.join(self.tmp, "log"), "wb") as log:
            child = self.start_inside(["/bin/sh", "-c", "head -c 3000000 /dev/zero"], '[limits]\noutput = "1MB"\n', stdout=log)
            _, err = child.communicate(timeout=30)
        self.assertEqual(child.returncode, 125, err)
        self.assertEqual(os.path.getsize(os.path.join(self.tmp, "log")), 1000000)

    def test_output_that_is_within(self):
        result = self.ok(self.inside(["/bin/sh", "-c", "head -c 900000 /dev/zero; echo end >&2"], '[limits]\noutput = "1MB"\n'))
        self.assertEqual(len(result.out_bytes), 900000)
        self.assertIn("end\n", result.err)

    def test_output_is_whole_though_its_reader_is_slow(self):
        child = self.start_inside(["/bin/sh", "-c", "head -c 400000 /dev/zero"], '[limits]\noutput = "1MB"\n')
        time.sleep(4)
        out, err = child.communicate(timeout=20)
        self.assertEqual((child.returncode, len(out)), (0, 400000), err)

    def test_X24_output_on_a_terminal(self):
        command = self.bulkhead_command(["/bin/sh", "-c", "yes | head -c 3000000; sleep 20"], '[limits]\noutput = "1MB"\n')
        words = " ".join("'" + word.replace("'", "'\\''") + "'" for word in self.lab.command(command, guard=False))
        result = subprocess.run(["script", "-qec", words, "/dev/null"], env=self.environment(), cwd=self.work,
                                stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        self.assertEqual(result.returncode, 125, result.stdout[-500:])
        self.assertIn(b"limit: output", result.stdout)
        self.assertLess(len(result.stdout), 1500000)

    def test_X24_file_size(self):
        """As with each limit of a process, it is the process that learns."""
        result = self.inside(["/bin/sh", "-c", "head -c 3000000 /dev/zero > big; echo $?; head -c 900000 /dev/zero > small; echo $?"],
                             '[limits]\nfile_size = "1MB"\n')
        self.assertEqual(result.status, 0, result)
        self.assertNotEqual(result.out.split()[0], "0")
        self.assertEqual(result.out.split()[1], "0")
        self.assertEqual(os.path.getsize(os.path.join(self.work, "big")), 1000000)

    def test_X24_open_files(self):
        result = self.ok(self.python("import os\nn = 0\ntry:\n  while True: os.dup(0); n += 1\nexcept OSError as e: print(n, e)\n",
                                     "[limits]\nopen_files = 64\n"))
        self.assertIn("Too many open files", result.out)
        self.assertLess(int(result.out.split()[0]), 64)


Gvisor = on_tier("gvisor", Limits, [name for name in dir(Limits) if name.startswith("test_")])
Gvisor.__module__ = __name__
