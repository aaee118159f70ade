"""Machines that were saved (tier vm): sessions go on from one by themselves, share nothing with each other, know what time it is,
and boot where anything is wrong with it."""
import datetime
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from attacks import test_raw_fuse, test_turned_machine
from session import test_template, test_vm
from support import Case, procs
from support.tiers import on_tier

NAME = "vm-1024MiB-2"
AGAIN = "make it again: bulkhead template create --tier vm"


def processors():
    return min(2, os.cpu_count())


class Saved(Case):
    """Each test's user has a machine saved, which was saved once for all of them."""
    tier = "vm"
    _saved = {}

    def setUp(self):
        super().setUp()
        self.assertEqual(processors(), 2, "the name of the machine is that of two processors")
        kept = Saved._saved.get(self.program_key())
        if kept:
            # As Bulkhead makes them: with another mask, others could write there.
            for folder in (".cache", ".cache/bulkhead"):
                os.makedirs(os.path.join(self.home, folder), exist_ok=True)
                os.chmod(os.path.join(self.home, folder), 0o700)
            shutil.copytree(kept, self.templates())
        else:
            self.create()
            kept = os.path.join(tempfile.mkdtemp(prefix="bht."), "templates")
            self.addClassCleanup(shutil.rmtree, os.path.dirname(kept), ignore_errors=True)
            self.addClassCleanup(Saved._saved.pop, self.program_key())
            shutil.copytree(self.templates(), kept)
            Saved._saved[self.program_key()] = kept

    def program_key(self):
        return type(self).__name__

    def inside(self, *words, **keywords):
        result = super().inside(*words, **keywords)
        self.assertNotIn("the machine boots", result.err)
        return result

    def templates(self):
        return os.path.join(self.home, ".cache/bulkhead/templates")

    def image(self, name=NAME):
        return os.path.join(self.templates(), name, "image")

    def create(self, *options):
        done = self.ok(self.bulkhead("template", "create", "--tier", "vm", *options))
        self.assertEqual(done.out, "")
        return done

    def begin_to_create(self):
        """Until its machine is switched on."""
        argv = [self.bulkhead_command([])[0], "template", "create", "--tier", "vm"]
        child = subprocess.Popen(self.lab.command(argv, guard=False), env=self.environment(), cwd=self.work, start_new_session=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._children.append(child)
        self.wait_until(lambda: child.poll() is not None or procs.qemus(child.pid), 30)
        self.assertIsNone(child.poll(), "it began")
        return child

    def went_on(self, child):
        """Whether the machine of a session that runs was gone on from, and did not boot."""
        [line] = map(procs.command_line, procs.qemus(child))
        return "-incoming" in line

    def machine_event(self):
        """The last session's."""
        return max(self.recorded("session.machine"), key=lambda event: event["time"])

    def begin(self, script="echo up > up; exec sleep 60.131", policy="", options=()):
        child = self.start_inside(["/bin/sh", "-c", script], policy, options)
        self.wait_for_file("up", 60)
        os.unlink(os.path.join(self.work, "up"))
        return child

    def end(self, child):
        child.terminate()
        return child.communicate(timeout=60)[1].decode()

    def booted(self, *words, policy="", options=()):
        """A session works, but does not go on from what was saved; why is in its first lines."""
        child = self.begin(policy=policy, options=options)
        self.assertFalse(self.went_on(child.pid))
        said = self.end(child)
        event = self.machine_event()
        self.assertEqual((event["began"], "why" in event), ("boot", bool(words)), event)
        for word in words:
            self.assertIn(word, said)
        return said


class Machine(Saved):
    def test_sessions_go_on_from_it(self):
        made = self.create()
        self.assertRegex(made.err, rf"template {NAME} is made \(\d+ MB\); sessions of the tier vm with 1024 MiB and 2 processors go on from it")
        child = self.begin()
        self.assertTrue(self.went_on(child.pid))
        self.assertNotIn("the machine boots", self.end(child))
        event = self.machine_event()
        self.assertEqual((event["began"], event["saved"], "why" in event), ("saved", NAME, False), event)
        self.write("work/file", "of today\n")
        self.lab.web.site("api.example.com", lambda request: request.text("answer\n"))
        ask = "curl -sS -m 20 https://api.example.com/v1"
        done = self.inside(["/bin/sh", "-c", f"cat file; {ask}; {ask.replace('api', 'other')} >/dev/null; cat; echo new > new; exit 7"],
                           self.grant("api.example.com"), input="in\n")
        self.assertEqual(done.status, 7, done)
        self.assertEqual(done.out, "of today\nanswer\nin\n", done)
        self.assertIn("denied", done.err)
        self.assertEqual(self.read("work/new"), "new\n")
        [listed] = json.loads(self.ok(self.bulkhead("template", "list", "--json")).out)
        self.assertEqual((listed["name"], listed["command"], listed["damaged"]), (NAME, [], False))
        self.assertIn("(a machine of the tier vm)", self.ok(self.bulkhead("template", "list")).out)
        self.assertEqual(self.ok(self.bulkhead("template", "rm", NAME)).out, NAME + "\n")
        self.assertNotIn("the machine boots", self.booted())

    def test_it_is_for_machines_of_its_size(self):
        """Another size boots as ever, and has its own."""
        policy = '[limits]\nmemory = "256MB"\ncpus = 1\n'
        self.assertNotIn("the machine boots", self.booted(policy=policy))
        self.create("--policy", self.policy(policy))
        child = self.begin("grep MemTotal /proc/meminfo > mem; nproc >> mem; echo up > up; exec sleep 60.132", policy)
        self.assertTrue(self.went_on(child.pid))
        self.end(child)
        memory, count = self.read("work/mem").splitlines()
        self.assertLess(int(memory.split()[1]), 256 << 10)
        self.assertEqual(count, "1")
        self.assertEqual(sorted(one["name"] for one in json.loads(self.ok(self.bulkhead("template", "list", "--json")).out)),
                         [NAME, "vm-244MiB-1"])

    def test_X43_one_that_is_silent_while_it_is_saved_is_switched_on_again(self):
        self.ok(self.bulkhead("template", "rm", NAME))
        child = self.begin_to_create()
        [silent] = procs.qemus(child.pid)
        os.kill(silent, signal.SIGSTOP)
        err = child.communicate(timeout=170)[1].decode()
        self.assertEqual(child.returncode, 0, err)
        self.assertIn("bulkhead: the machine said nothing for 40 seconds, so it was switched off and on again\n", err)
        self.assertFalse(procs.alive(silent))
        self.assertTrue(self.went_on(self.begin().pid))

    def test_usage(self):
        for words, status, text in ((("create", "x", "--tier", "vm"), 2, "leave the name and the command out"),
                                    (("create", "--tier", "vm", "--", "true"), 2, "leave the name and the command out"),
                                    (("create", "vm-x", "--", "true"), 125, "is a machine's")):
            done = self.bulkhead("template", *words)
            self.assertEqual(done.status, status, done)
            self.assertIn(text, done.err)
        done = self.inside(["/bin/true"], options=["--template", NAME])
        self.assertEqual(done.status, 125, done)
        self.assertIn("no command can be saved on the tier vm", done.err)

    # What sessions do not share ------------------------------------------------------------------------------

    def test_X42_clones_differ(self):
        script = f"{test_template.RANDOM}\nprint(open('/proc/sys/kernel/random/boot_id').read())"
        runs = [self.ok(self.inside(["python3", "-c", script])).out.split() for _ in range(3)]
        for values in zip(*runs):
            self.assertEqual(len(set(values)), len(runs), values)
        self.assertEqual(len(runs[0]), 8)

    def test_X43_no_two_have_the_same_memory(self):
        def saved():
            return {name: os.stat(os.path.join(self.image(), name)).st_mtime_ns for name in os.listdir(self.image())}

        before = saved()
        children = [self.begin(f"echo {n} > /tmp/own; echo up > up; while [ ! -e go ]; do sleep 0.1; done; cat /tmp/own > own-{n}; "
                               "echo up > up; exec sleep 60.133") for n in range(2)]
        self.write("work/go", "")
        memories = set()
        for child in children:
            [qemu] = procs.qemus(child.pid)
            maps = [line.split() for line in procs.read(qemu, "maps").decode().splitlines() if "memfd:memory" in line]
            memories |= {words[4] for words in maps}
            self.assertFalse([line for line in procs.read(qemu, "maps").decode().splitlines() if "/templates/" in line])
        for n in range(2):
            self.assertEqual(self.wait_for_file(f"own-{n}"), f"{n}\n")
        for child in children:
            self.end(child)
        if os.geteuid() == 0:  # others may not look
            self.assertEqual(len(memories), 2)
        self.assertEqual(saved(), before)

    # The time ------------------------------------------------------------------------------------------------

    def test_X42_it_knows_what_time_it_is(self):
        """What was saved is of the year 2000; the first thing a session runs sees today's."""
        before = time.time()
        seen = float(self.ok(self.inside(["date", "+%s.%N"])).out)
        self.assertGreater(seen, before - 2)
        self.assertLess(seen, time.time() + 2)

    def test_X42_the_clock_is_right_after_it_was_stopped(self):
        """As after the host slept: nothing of the machine ran for a while."""
        child = self.begin("echo up > up; while sleep 0.2; do date +%s.%N > now.new; mv now.new now; done")
        [qemu] = procs.qemus(child.pid)
        self.wait_for_file("now")

        def right():
            seen = self.read("work/now")
            return seen and abs(float(seen) - os.stat(os.path.join(self.work, "now")).st_mtime) < 2

        self.wait_until(right, 20, "a clock that is right")
        os.kill(qemu, signal.SIGSTOP)
        until = time.time() + 5
        self.wait_until(lambda: time.time() > until)
        os.kill(qemu, signal.SIGCONT)
        self.wait_until(lambda: os.stat(os.path.join(self.work, "now")).st_mtime > until and right(), 20, "a clock that is right again")
        self.end(child)

    # Where it is not used --------------------------------------------------------------------------------------

    def test_X43_damaged_ones_are_not_used(self):
        for name in ("map", "pages", "state"):
            path = os.path.join(self.image(), name)
            with open(path, "r+b") as file:
                file.seek(os.path.getsize(path) // 2)
                byte = file.read(1)
                file.seek(-1, 1)
                file.write(bytes([byte[0] ^ 1]))
                file.flush()
                with self.subTest(name):
                    self.booted("the machine boots: ", f"its {name} is not as it was made", AGAIN)
                file.seek(-1, 1)
                file.write(byte)
        os.unlink(os.path.join(self.image(), "state"))
        self.booted("the machine boots: ", "its state is missing", AGAIN)
        self.write(os.path.join(self.templates(), NAME, "template.json"), "{", 0o600)
        self.booted("the machine boots: ", "its template.json is damaged", AGAIN)
        self.create()
        child = self.begin()
        self.assertTrue(self.went_on(child.pid))
        self.end(child)

    def test_X43_what_others_could_have_written_is_not_used(self):
        for path in (self.templates(), self.image(), os.path.join(self.image(), "pages"), os.path.join(self.templates(), NAME, "template.json")):
            mode = os.stat(path).st_mode & 0o7777
            os.chmod(path, mode | 0o020)
            with self.subTest(path):
                self.booted("the machine boots: ", "can't be believed", "can be written to by others")
            os.chmod(path, mode)
        if os.geteuid() == 0:
            os.chown(os.path.join(self.image(), "state"), 12345, 0)
            self.booted("the machine boots: ", "can't be believed", "belongs to uid 12345")
            os.chown(os.path.join(self.image(), "state"), 0, 0)
        os.rename(self.image(), self.image() + ".away")
        os.symlink(self.image() + ".away", self.image())
        self.booted("the machine boots: ", "can't be used")

    def test_X43_stale_ones_are_not_used(self):
        note = os.path.join(self.templates(), NAME, "template.json")
        text = self.read(note)
        shape = json.loads(text)["shape"]
        self.assertEqual(sorted(shape), ["accelerator", "bulkhead", "machine", "processor", "qemu"])
        for key, what in (("qemu", "another QEMU"), ("processor", "another processor"), ("machine", "another kernel or build of what the machine boots"),
                          ("accelerator", "another way to run a machine (0.0.0, and this is ")):
            other = json.loads(text)
            other["shape"][key] = "0.0.0"
            self.write(note, json.dumps(other), 0o600)
            with self.subTest(key):
                self.booted("the machine boots: ", f"was made with {what}", AGAIN)

    def test_X43_qemu_does_not_take_it(self):
        """What is right by its digest, and makes no sense: as where QEMU is another one after all."""
        note = os.path.join(self.templates(), NAME, "template.json")
        about = json.loads(self.read(note))
        for name, content in (("state", b"QEVM" + bytes(about["files"]["state"]["bytes"] - 4)), ("map", bytes(about["files"]["map"]["bytes"]))):
            changed = json.loads(json.dumps(about))
            with open(os.path.join(self.image(), name), "rb") as file:
                old = file.read()
            with open(os.path.join(self.image(), name), "wb") as file:
                file.write(content)
            changed["files"][name]["sha256"] = hashlib.sha256(content).hexdigest()
            self.write(note, json.dumps(changed), 0o600)
            with self.subTest(name):
                self.booted("the machine boots: ", AGAIN)
            with open(os.path.join(self.image(), name), "wb") as file:
                file.write(old)

    def test_X43_a_maker_that_was_killed_leaves_nothing(self):
        self.ok(self.bulkhead("template", "rm", NAME))
        child = self.begin_to_create()
        below = procs.descendants(child.pid)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(60)
        self.wait_until(lambda: not [p for p in below if procs.alive(p)], 30, "all its processes end")
        self.assertEqual(json.loads(self.ok(self.bulkhead("template", "list", "--json")).out), [])
        self.assertNotIn("the machine boots", self.booted())

    def test_X41_nothing_of_anybody_is_saved(self):
        self.create("--policy", self.policy(self.credential() + self.grant("api.example.com", credential="api")))
        saved = b""
        for name in ("pages", "state"):
            with open(os.path.join(self.image(), name), "rb") as file:
                saved += file.read()
        self.assertIn(b"bulkhead-init", saved)
        for word in ("planted-", self.home, self.work, "api.example.com", "PRIVATE KEY"):
            self.assertNotIn(word.encode(), saved, word)
        for folder, names, files in os.walk(self.templates()):
            for name in names + files:
                self.assertEqual(os.stat(os.path.join(folder, name)).st_mode & 0o077, 0, name)


class FromSaved(Saved, test_vm.Vm):
    pass


Confined = on_tier("vm", FromSaved, [
    "test_X21_what_reads_a_machines_bytes_has_no_privilege", "test_nothing_inside_is_root_or_reaches_a_device", "test_it_lives"])


class TurnedFromSaved(Saved, test_turned_machine.TurnedMachine):
    """Root of a machine that was gone on from."""

    def test_X42_the_kernels_own_randomness_is_new(self):
        """What the kernel hands out first, and what it does to the machine's root, before anything of the session's ran.
        Of three at least two are of the same processor, which would give the same first bytes; but where the kernel was about to renew
        them by itself when it was saved. So there is a second one."""
        for _ in range(2):
            seen = []
            for _ in range(3):
                self.ok(self.take_over("echo $1; head -c 32 /dev/urandom | od -An -tx1; cat /proc/sys/kernel/random/boot_id /proc/sys/kernel/random/uuid"))
                self.assertRegex(self.said, "^[0-9a-f]{64}\n")
                seen.append(self.said.splitlines())
            for values in zip(*seen):
                self.assertEqual(len(set(values)), 3, values)
            self.create()

    def test_X42_the_clock_follows_the_host_s(self):
        """However wrong it has become."""
        for wrong in ("2001-02-03", "2099-02-03"):
            done = self.ok(self.take_over(f"date -s {wrong}; date +%Y", command=(
                "for i in $(seq 100); do test $(date +%Y) = $(cat year) && break; sleep 0.1; done; date +%s")
                if self.write("work/year", str(datetime.date.today().year)) else ""))
            self.assertEqual(self.said.splitlines()[-1], wrong[:4], done)
            self.assertLess(abs(float(done.out) - time.time()), 60, done)


Turned = on_tier("vm", TurnedFromSaved, [
    "test_X42_the_kernels_own_randomness_is_new", "test_X42_the_clock_follows_the_host_s",
    "test_X26_modes_hold_against_root_of_the_machine", "test_U01_root_of_the_machine_is_in_the_room", "test_X25_hostile_bytes_on_the_port"])
for one in (Confined, Turned):
    one.__module__ = __name__
del FromSaved, TurnedFromSaved, one


class RawFuseFromSaved(Saved, test_raw_fuse.RawFuse):
    """There the device was plugged in."""
    test_X25_what_ends_the_file_server_ends_its_session_alone = None
    test_X26_nor_one_by_the_queue_for_what_is_urgent = None
