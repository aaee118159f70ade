"""Tenants against each other: sessions of the same user that run at the same time, one of each tier, and a process of the
host's beside them. Each attack is made from every tier on all of them at once; without the boundary it works."""
import json
import os
import shutil
import signal
import subprocess

from support import Case, case, procs

PROGRAM = os.path.join(case.ROOT, "tests/attacks/neighbour.py")
TIERS = ("native", "gvisor")


class Tenants(Case):
    tier = "gvisor"  # there has to be a runsc

    def place(self, name):
        folder = self.folder(name)
        shutil.copy(PROGRAM, folder)
        if os.geteuid() == 0:
            os.chmod(folder, 0o777)
        return folder

    def run_in(self, where, folder, words):
        """Starts it on the host ("host") or in a session of that tier, with `folder` as its only mount."""
        argv = ["/usr/bin/python3", "neighbour.py", *words]
        if where == "host":
            return self.start_outside(argv, cwd=folder)
        return self.start_inside(argv, options=["--tier", where], cwd=folder)

    def planted(self, where):
        """What one of them has, and its processes as the host counts them."""
        folder = self.place("planter-" + where)
        child = self.run_in(where, folder, ["plant"])
        self.addCleanup(self.end, child)
        self.wait_until(lambda: child.poll() is not None or os.path.exists(os.path.join(folder, "facts.json")), 30, where)
        if child.poll() is not None:
            self.fail(f"the planter on {where} ended: {child.communicate()}")
        facts = json.loads(self.read(os.path.join(folder, "facts.json")))
        # Sessions can't make POSIX queues; the host's process has one for them to look for.
        ipc = [name for name, made in facts["ipc"].items() if made]
        self.assertEqual([name for name in ipc if name != "mq" or where == "host"], ["shm", "msg", "mq"][:2 + (where == "host")])
        self.assertEqual([name for name, made in facts["sockets"].items() if not made], [], where)
        self.assertGreaterEqual(len(facts["files"]), 4, where)
        facts["host_pids"] = [child.pid, *procs.descendants(child.pid)]
        state = os.path.join(self.home, ".local/state/bulkhead")
        facts["own"] = [os.path.join(self.runtime, "bulkhead"), os.path.join(state, "sessions"), os.path.join(state, "evidence")]
        return child, folder, facts

    @staticmethod
    def end(child):
        if child.poll() is None:
            child.terminate()
            try:
                child.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                child.kill()

    def look(self, where, what, neighbours, ends=0):
        folder = self.place(f"looker-{where}-{what}")
        with open(os.path.join(folder, "neighbours.json"), "w") as file:
            json.dump(neighbours, file)
        child = self.run_in(where, folder, ["look", what])
        try:
            out, err = child.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.fail(f"looking for {what} from {where} does not end")
        lines = out.decode().split("\n")
        if ends == 0:
            self.assertEqual((child.returncode, lines[-2:]), (0, ["looked", ""]), (where, what, out, err))
        return [line for line in lines if line not in ("", "looked")]

    def hits(self, folder):
        path = os.path.join(folder, "hits")
        return self.read(path).split("\n")[:-1] if os.path.exists(path) else []

    def goes_on(self, child, folder):
        self.assertIsNone(child.poll(), f"{folder}: it is dead")
        before = self.read(os.path.join(folder, "beat"))
        self.wait_until(lambda: self.read(os.path.join(folder, "beat")) not in ("", before), 10, f"{folder} goes on")

    def works_without(self, what, expected=(), hit=()):
        child, folder, facts = self.planted("host")
        found = self.look("host", what, [facts])
        for word in expected:
            self.assertTrue([line for line in found if line.startswith(word)], f"{word} must work without the boundary: {found}")
        for word in hit:
            self.wait_until(lambda: word in self.hits(folder), 5, f"{word} reaches it without the boundary")

    def never_behind(self, what):
        """From each tier in turn, while a session of each tier and a process of the host's have what they have."""
        planters = [self.planted(where) for where in (*TIERS, "host")]
        for where in TIERS:
            with self.subTest(looker=where):
                self.assertEqual(self.look(where, what, [facts for _, _, facts in planters]), [])
        for child, folder, _ in planters:
            self.goes_on(child, folder)
            self.assertEqual(self.hits(folder), [], folder)
        return planters


class Neighbours(Tenants):
    # What each has ----------------------------------------------------------------------------------------------

    def test_X01_files_of_a_neighbour_off(self):
        self.works_without("files", ["read /tmp/", "read /dev/shm/", "read " + self.home, "read " + self.tmp, "read /proc/"])

    def test_X01_files_of_a_neighbour_on(self):
        self.never_behind("files")

    def test_X21_memory_of_a_neighbour_off(self):
        self.works_without("memory", ["process_vm_readv", "mem", "ptrace"])

    def test_X21_memory_of_a_neighbour_on(self):
        self.never_behind("memory")

    def test_X16_unix_sockets_of_a_neighbour_off(self):
        self.works_without("unix", [r"unix '\x00'", "unix '/'"])

    def test_X16_unix_sockets_of_a_neighbour_on(self):
        self.never_behind("unix")

    def test_X17_ipc_of_a_neighbour_off(self):
        child, _, facts = self.planted("host")
        found = self.look("host", "ipc", [facts])
        self.assertEqual(sorted(found), ["mq", "msg", "shm"])
        child.send_signal(signal.SIGTERM)

    def test_X17_ipc_of_a_neighbour_on(self):
        self.never_behind("ipc")

    # The room -----------------------------------------------------------------------------------------------------

    def test_X20_network_of_a_neighbour_off(self):
        self.works_without("network", ["tcp 127.0.0.1", "tcp ::1"], ["tcp", "udp", "udp6"])

    def test_X20_network_of_a_neighbour_on(self):
        self.never_behind("network")


class Signals(Tenants):
    alone = True  # from the host every process of this user gets one

    def test_X21_signals_to_a_neighbour_off(self):
        self.works_without("signals", hit=["signal"])

    def test_X21_signals_to_a_neighbour_on(self):
        """A signal that hurts nobody to every pid there could be; only if that reaches nobody, one that does: the session
        that sends it ends, and nobody else."""
        planters = self.never_behind("signals")
        for where in TIERS:
            with self.subTest(looker=where):
                self.look(where, "kill", [], ends=None)
                for child, folder, _ in planters:
                    self.goes_on(child, folder)
