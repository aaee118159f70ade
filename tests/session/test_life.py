"""Life and death (X23) and using everything up (X24)."""
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from support import Case, case, procs, victim

KEY = "real-key-life-55"
# A workload that is busy: requests through the gateway, output, files.
BUSY = ("while :; do curl -sS -m 5 -o /dev/null -H \"x-api-key: $API_KEY\" https://api.example.com/ 2>/dev/null; done & "
        "while :; do echo x >> beat; sleep 0.02; done & echo up > up; while :; do echo noise; sleep 0.01; done")


# The tier's own processes, as procs.part_of_bulkhead() names them.
PARTS = {"native": ("bwrap#0", "bulkhead-shim#0"), "gvisor": ("runsc#0", "runsc-gofer#0", "runsc-sandbox#0")}


def leftovers():
    """Names that a session of ours could have left in places that everybody shares."""
    found = set()
    for pattern in ("/tmp/bulkhead*", "/tmp/.bulkhead*", "/dev/shm/*", "/var/tmp/bulkhead*", "/run/bulkhead*", "/run/user/*/bulkhead*"):
        found.update(glob.glob(pattern))
    return found


def nothing_new(case, before):
    """Unit tests and fuzz targets that run beside this have such names for a while; what a session left stays."""
    case.wait_until(lambda: not leftovers() - before, 30, f"the end of {leftovers() - before}")


def mounts():
    with open("/proc/self/mountinfo") as file:
        return sorted(line.split()[4] for line in file)


def shared_segments():
    with open("/proc/sysvipc/shm") as file:
        return file.read().count("\n")


class Life(Case):
    def setUp(self):
        super().setUp()
        self.lab.web.site("api.example.com", lambda request: request.text("here\n" * 200))

    def busy(self):
        for name in ("up", "beat"):
            if os.path.exists(os.path.join(self.work, name)):
                os.unlink(os.path.join(self.work, name))
        policy = self.credential() + self.grant("api.example.com", credential="api")
        child = self.start_inside(["/bin/bash", "-c", BUSY], policy, env={"API_KEY": KEY}, stdout=subprocess.DEVNULL)
        self.wait_for_file("up")
        self.wait_for_file("beat")
        return child

    @staticmethod
    def roles(child):
        """role -> pid for every process that is Bulkhead's own: name and number of its kind, nearest first."""
        found = {}
        for pid in [child.pid, *procs.descendants(child.pid)]:
            name = procs.part_of_bulkhead(pid)
            if name:
                number = sum(role.split("#")[0] == name for role in found)
                found[f"{name}#{number}"] = pid
        return found

    def nothing_left(self, everybody, shared, mounted):
        self.wait_until(lambda: not [p for p in everybody if procs.alive(p)], 10,
                        f"the end of {[(p, procs.command_line(p)) for p in everybody if procs.alive(p)]}")
        size = os.path.getsize(os.path.join(self.work, "beat"))
        time.sleep(0.15)
        self.assertEqual(os.path.getsize(os.path.join(self.work, "beat")), size, "the workload still runs")
        nothing_new(self, shared)
        self.assertEqual(mounts(), mounted)
        with open("/proc/net/unix") as file:
            self.assertNotIn(self.tmp, file.read())

    def whole_record(self, ends):
        name = max((n for n in self.state_files() if n.endswith(".jsonl")), key=os.path.getmtime)
        lines = self.read(name).split("\n")
        self.assertEqual(lines[-1], "", "the last line is torn")
        events = [json.loads(line) for line in lines[:-1]]
        self.assertEqual([e["seq"] for e in events], list(range(1, len(events) + 1)))
        if ends:
            self.assertIn(events[-1]["type"], ends, events[-1])

    def test_X23_sigkill_to_each_process_in_turn(self):
        first = self.busy()
        roles = list(self.roles(first))
        for part in ("bulkhead#0", "bulkhead-front#0", "bulkhead-egress#0", "bulkhead-eviden#0", "bulkhead-holder#0",
                     *PARTS[self.tier]):
            self.assertIn(part, roles, "the parts of a session are found by their names")
        first.terminate()
        first.communicate(timeout=20)
        shared, mounted = leftovers(), mounts()
        for role in roles:
            with self.subTest(role=role):
                child = self.busy()
                everybody = [child.pid, *procs.descendants(child.pid)]
                target = self.roles(child)[role]
                os.kill(target, signal.SIGKILL)
                _, err = child.communicate(timeout=20)
                self.nothing_left(everybody, shared, mounted)
                if role == "bulkhead#0":
                    self.assertEqual(child.returncode, -signal.SIGKILL)
                    self.whole_record(["session.lost", "session.end"])
                elif role == "bulkhead#1":  # as root: the supervisor below the parent that stays root
                    self.assertEqual(child.returncode, 137, err)
                elif role.startswith("bulkhead-shim"):
                    self.assertIn(child.returncode, (125, 137), err)
                else:
                    self.assertEqual(child.returncode, 125, err)
                    self.assertIn(b"bulkhead: ", err.split(b"\n", 1)[1], "it says why it ended")
                    if not role.startswith("bulkhead-eviden"):
                        self.whole_record(["session.end", "session.lost"])
                self.ok(self.inside(["/bin/true"]))  # sweeps
                rest = [n for n in self.state_files() if "/evidence/" not in n]
                self.assertEqual(rest, [])
                self.assertEqual(self.ok(self.bulkhead("ps", "-q")).out, "")

    def test_X23_a_clean_end_leaves_nothing_but_the_record(self):
        shared, mounted = leftovers(), mounts()
        child = self.busy()
        everybody = [child.pid, *procs.descendants(child.pid)]
        child.terminate()
        child.communicate(timeout=20)
        self.nothing_left(everybody, shared, mounted)
        self.assertEqual([n for n in self.state_files() if "/evidence/" not in n], [])
        self.whole_record(["session.end"])

    def test_X23_background_processes_off(self):
        """Without the boundary they go on."""
        script = ("setsid sh -c 'echo $$ > pid; while :; do echo x >> beat; sleep 0.02; done' >/dev/null 2>&1 </dev/null & "
                  "sleep 0.3; exit 4")
        self.assertEqual(self.outside(["/bin/bash", "-c", script]).status, 4)
        pid = int(self.wait_for_file("pid"))
        size = os.path.getsize(os.path.join(self.work, "beat"))
        self.addCleanup(os.kill, pid, signal.SIGKILL)
        self.wait_until(lambda: os.path.getsize(os.path.join(self.work, "beat")) > size, 5)

    def test_X23_background_processes_end_with_the_command(self):
        shared, mounted = leftovers(), mounts()
        script = ("setsid sh -c 'while :; do echo x >> beat; sleep 0.02; done' >/dev/null 2>&1 </dev/null & "
                  "(sh -c 'trap \"\" HUP TERM; while :; do sleep 1; done' &) ; until test -s beat; do sleep 0.05; done; sleep 0.3; exit 4")
        child = self.start_inside(["/bin/bash", "-c", script])
        self.wait_for_file("beat")
        everybody = procs.descendants(child.pid)
        child.communicate(timeout=20)
        self.assertEqual(child.returncode, 4)
        self.nothing_left(everybody, shared, mounted)

    def test_X23_after_a_reboot(self):
        """What a machine that lost its power leaves: a session's folder with nobody's lock."""
        child = self.busy()
        sessions = os.path.join(self.home, ".local/state/bulkhead/sessions")
        (name,) = os.listdir(sessions)
        shutil.copytree(os.path.join(sessions, name), os.path.join(self.tmp, "kept"), ignore=shutil.ignore_patterns("control"))
        child.terminate()
        child.communicate(timeout=20)
        self.assertEqual(os.listdir(sessions), [])
        shutil.copytree(os.path.join(self.tmp, "kept"), os.path.join(sessions, name))
        os.chmod(os.path.join(sessions, name), 0o700)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as left:
            left.bind(os.path.join(sessions, name, "control"))
        self.assertEqual(self.ok(self.bulkhead("ps", "-q")).out, "")
        self.ok(self.inside(["/bin/true"]))
        self.assertEqual(os.listdir(sessions), [])

    def test_X23_full_disk(self):
        """The file system with the record is full: the session ends, and the record of it is whole."""
        state = self.folder("home/.local/state", 0o700)
        inner = self.bulkhead_command(["/bin/sh", "-c", "echo up > up; while :; do curl -sS -m 5 -o /dev/null "
                                       "https://api.example.com/; done"], self.grant("api.example.com"))
        script = self.write("small.sh", f'mount -t tmpfs -o size=512k,mode=700 small {state} || exit 99\n'
                            f'"$@" & session=$!\n'
                            f'while [ ! -e {self.work}/up ]; do sleep 0.05; done\n'
                            f'head -c 10M /dev/zero > {state}/filler 2>/dev/null\n'
                            f'wait $session; echo status $?\ncat {state}/bulkhead/evidence/*.jsonl > {self.tmp}/record\n'
                            f'ls {state}/bulkhead/sessions\n')
        # An ordinary user gets a mount namespace with a user namespace of its own.
        enter = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Um", "--map-current-user", "--keep-caps"]
        # --keep-caps only for the mount: what runs below is exec'd by a shell that has them, so bulkhead drops them.
        command = self.lab.command([*enter, "/bin/bash", script, *inner], guard=False)
        result = self._run(command, ["full disk"], self.environment(), None, None, 90)
        if "status" not in result.out:
            self.skipTest(f"no small file system could be mounted here\n{result}")
        self.assertIn("status 125", result.out, result)
        self.assertRegex(result.err, "disk|space|evidence")
        lines = self.read("record").split("\n")
        self.assertEqual(lines[-1], "")
        events = [json.loads(line) for line in lines[:-1]]
        self.assertEqual([e["seq"] for e in events], list(range(1, len(events) + 1)))
        self.assertEqual(events[-1]["type"], "session.end")
        # Whoever sees it first: the writer of the record, or who looks after the host's disks (test_disk.py).
        self.assertTrue("evidence.full" in [e["type"] for e in events] or "kept for the host" in result.err, result)

    def test_X23_no_session_without_a_record(self):
        state = self.folder("home/.local/state", 0o700)
        self.write(os.path.join(state, "bulkhead"), "a file where the folder should be\n")
        result = self.inside(["/bin/sh", "-c", "echo ran > ran"])
        self.assertEqual(result.status, 125, result)
        self.assertFalse(os.path.exists(os.path.join(self.work, "ran")))


class Exhaustion(Case):
    """X24: the limits hold, the host answers, the session can be stopped."""

    def setUp(self):
        super().setUp()
        shutil.copy(victim("hog"), self.work)
        self.lab.web.site("api.example.com", lambda request: request.text("here\n"))

    def hog(self, words, policy, pattern):
        log = open(os.path.join(self.tmp, "log"), "wb")
        self.addCleanup(log.close)
        child = self.start_inside(["./hog", *words], policy, stdout=log)
        self.wait_until(lambda: re.search(pattern, self.read("log")), 60, f"{pattern} in {self.tmp}/log")
        return child

    def hog_runs(self, child):
        if self.tier == "native":
            return procs.descendants_named(child.pid, "hog")
        # Its processes are the sandbox's own; that is up for a moment before they are.
        if any(procs.part_of_bulkhead(p) == "runsc-sandbox" for p in procs.descendants(child.pid)):
            time.sleep(1.5)
            return True
        return False

    def still_in_hand(self, child, everybody=None):
        began = time.monotonic()
        self.ok(self.outside(["/bin/true"]))
        self.assertLess(time.monotonic() - began, 5, "the host does not answer")
        everybody = everybody or [child.pid, *procs.descendants(child.pid)]
        self.ok(self.bulkhead("stop", "--all", timeout=40))
        child.communicate(timeout=20)
        self.wait_until(lambda: not [p for p in everybody if procs.alive(p)], 15, "everything is gone")

    def test_X24_fork_bomb(self):
        child = self.hog(["forks"], "[limits]\nprocesses = 100\n", r"holding (\d+)")
        held = int(re.search(r"holding (\d+)", self.read("log")).group(1))
        self.assertLess(held, 100)
        self.assertGreater(held, 50)
        self.still_in_hand(child)

    def test_X24_fork_bomb_with_the_default_limit(self):
        child = self.hog(["forks"], "", r"holding (\d+)")
        held = int(re.search(r"holding (\d+)", self.read("log")).group(1))
        self.assertLess(held, 30000, "there is a limit also where none was asked for")
        self.still_in_hand(child)

    def test_X24_zombies(self):
        child = self.hog(["zombies"], "[limits]\nprocesses = 100\n", r"holding (\d+)")
        self.assertLess(int(re.search(r"holding (\d+)", self.read("log")).group(1)), 100)
        self.still_in_hand(child)

    def test_X24_memory_off(self):
        """The program really takes what it can: here that is what a resource limit leaves it."""
        log = open(os.path.join(self.tmp, "log"), "wb")
        self.addCleanup(log.close)
        self.start_outside(["prlimit", "--as=1200000000", "./hog", "memory"], stdout=log)
        self.wait_until(lambda: "holding" in self.read("log"), 60)
        self.assertGreater(int(re.search(r"holding (\d+)", self.read("log")).group(1)), 600)

    def test_X24_memory(self):
        log = open(os.path.join(self.tmp, "log"), "wb")
        self.addCleanup(log.close)
        child = self.start_inside(["./hog", "memory"], '[limits]\nmemory = "256MB"\n', stdout=log)
        # One process is held at its limit; a session that goes over it is ended.
        self.wait_until(lambda: "holding" in self.read("log") or child.poll() is not None, 60)
        if child.poll() is None:
            self.still_in_hand(child)
        else:
            self.assertIn(child.returncode, (125, 137))
        reached = [int(n) for n in re.findall(r"at (\d+) MB", self.read("log"))]
        self.assertLessEqual(max(reached, default=0), 320, "it got beyond its limit")

    def test_X24_memory_of_many_processes(self):
        """Each within its own limit, all together not: the session is ended."""
        script = "for i in 1 2 3 4 5 6; do python3 -c 'import time; x = b\"x\" * 100000000; time.sleep(60)' & done; wait"
        began = time.monotonic()
        result = self.inside(["/bin/sh", "-c", script], '[limits]\nmemory = "256MB"\n')
        self.assertEqual(result.status, 125, result)
        self.assertIn("memory", result.err)
        self.assertLess(time.monotonic() - began, 30)

    def test_X24_ten_thousand_connections(self):
        policy = self.grant("api.example.com") + "[limits]\nopen_files = 20000\n"
        child = self.hog(["connections", "11.22.33.70", "443"], policy, r"holding (\d+)")
        self.still_in_hand(child)

    def test_X24_output_flood(self):
        child = self.start_inside(["./hog", "flood"], stdout=subprocess.DEVNULL)
        self.wait_until(lambda: self.hog_runs(child), 20)
        time.sleep(0.5)
        self.still_in_hand(child)

    def test_X24_output_nobody_reads(self):
        """A pipe that is full: the session waits, costs nothing, and can be stopped."""
        child = self.start_inside(["./hog", "flood"])
        self.wait_until(lambda: self.hog_runs(child), 20)
        time.sleep(0.5)
        everybody = [child.pid, *procs.descendants(child.pid)]
        self.ok(self.bulkhead("stop", "--all", timeout=40))
        child.communicate(timeout=20)
        self.wait_until(lambda: not [p for p in everybody if procs.alive(p)], 15, "everything is gone")

    def test_X24_sigstop_to_everything_inside(self):
        child = self.hog(["stop"], "", "stopping everything")
        time.sleep(0.5)
        self.still_in_hand(child)

    def test_X24_duration(self):
        began = time.monotonic()
        result = self.inside(["/bin/sleep", "60"], '[limits]\nduration = "2s"\n')
        self.assertEqual(result.status, 125, result)
        self.assertIn("duration", result.err)
        self.assertLess(time.monotonic() - began, 15)

    def test_X24_disk_in_memory(self):
        result = self.inside(["/bin/sh", "-c", "head -c 100M /dev/zero > /tmp/x; stat -c %s /tmp/x"], '[limits]\ntmp = "16MiB"\n')
        self.assertIn("No space left", result.err, result)
        self.assertLessEqual(int(result.out.split()[-1]), 16 << 20)
