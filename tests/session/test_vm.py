"""The tier vm: what is its own, and of the tests of every tier some that stand for the rest."""
import os
import re
import shutil
import signal

from session import test_gvisor, test_image, test_keep, test_life, test_live, test_outputs, test_run
from support import Case, procs, victim
from support.tiers import on_tier

Run = on_tier("vm", test_run.Start, ["test_nothing_configured"])
Streams = on_tier("vm", test_run.Streams, [
    "test_a_closed_reader_ends_the_writer", "test_standard_output_is_the_commands_alone"])
Life = on_tier("vm", test_life.Life, [
    "test_X23_a_clean_end_leaves_nothing_but_the_record", "test_X23_background_processes_end_with_the_command"])
Exhaustion = on_tier("vm", test_life.Exhaustion, [
    "test_X24_fork_bomb", "test_X24_duration", "test_X24_disk_in_memory"])
Images = on_tier("vm", test_image.Image, ["test_what_lies_over_it", "test_mounts_at_places_the_image_lacks"])
Live = on_tier("vm", test_live.Live, [
    "test_nothing_runs_where_nothing_runs_inside", "test_X23_killed_while_it_rests_nothing_is_left"])
Outputs = on_tier("vm", test_outputs.Outputs, [
    "test_it_is_empty_at_first_and_reviewed_at_the_end", "test_X27_links_and_special_files_stay_out"])
Keep = on_tier("vm", test_keep.Keep, [
    "test_the_host_sees_it_at_once_and_is_seen", "test_X08_tools_work_as_ever", "test_killed_nothing_is_lost"])
Files = on_tier("vm", test_gvisor.Gvisor, ["test_X01_read_only_mounts"])
for one in (Run, Files, Streams, Life, Exhaustion, Images, Live, Outputs, Keep):
    one.__module__ = __name__


class Vm(Case):
    tier = "vm"

    def test_X19_the_kernel_is_its_own(self):
        """No process of the workload's is one of the host's; the kernel is Debian's, and not the host's."""
        child = self.start_inside(["/bin/sh", "-c", "uname -r; echo up > up; exec sleep 30.126"])
        self.wait_for_file("up", 120)
        self.assertEqual([p for p in procs.with_text("sleep 30.126") if procs.name(p) == "sleep"], [])
        child.terminate()
        out, err = child.communicate(timeout=20)
        self.assertRegex(out.decode(), r"^6\.\d+\.\d+-\d+-cloud")
        self.assertIn("vm tier", err.decode())

    def test_nothing_inside_is_root_or_reaches_a_device(self):
        script = ("id -u; grep -E '^Cap(Prm|Eff|Bnd)' /proc/self/status; ls -A /dev; ls /sys; mount -t tmpfs x /mnt; "
                  "cat /proc/sys/kernel/hostname; dmesg | head -1; unshare -Ur true")
        result = self.inside(["/bin/sh", "-c", script])
        uid, *rest = result.out.splitlines()
        self.assertNotEqual(uid, "0")
        self.assertEqual([line.split()[1] for line in rest[:3]], ["0" * 16] * 3)
        self.assertEqual(rest[3:15], ["fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom"])
        self.assertNotEqual(result.status, 0, "unshare")

    def test_it_lives(self):
        """Commands in one machine, with input, status, and at once."""
        identity = self.ok(self.bulkhead("start", "--tier", "vm", "--policy", self.policy(""), timeout=180)).out.strip()
        self.addCleanup(lambda: self.bulkhead("stop", identity))
        self.ok(self.bulkhead("exec", identity, "--", "/bin/sh", "-c", "echo kept > /tmp/kept"))
        self.assertEqual(self.bulkhead("exec", identity, "--", "/bin/sh", "-c", "cat /tmp/kept; exit 9").status, 9)
        self.assertEqual(self.bulkhead("exec", identity, "--", "/bin/cat", "/tmp/kept").out, "kept\n")
        self.ok(self.bulkhead("stop", identity))

    def test_what_the_host_changes_is_seen(self):
        """Also where its size and place stay, and the machine has read it; and names that come and go."""
        self.write("work/same", "before")
        self.write("work/gone", "there")
        script = ("cat same; ls; cat same gone new; echo up > up; "
                  "until test $(cat same) = later && ! cat gone && cat new; do sleep .1; done; echo seen > seen")
        child = self.start_inside(["/bin/sh", "-c", script])
        self.wait_for_file("up", 120)
        with open(os.path.join(self.work, "same"), "r+") as file:
            file.write("later ")
        os.unlink(os.path.join(self.work, "gone"))
        self.write("work/new", "new")
        self.wait_for_file("seen", 30)
        self.assertEqual(child.wait(60), 0)

    def test_more_files_than_the_host_may_hold_open(self):
        """virtiofsd holds each file that the machine knows, as many as it ever may; so the machine forgets, also what it has read."""
        os.mkdir(os.path.join(self.work, "many"))
        for number in range(4000):
            self.write(f"work/many/{number}", "read\n")
        script = ("import os\nkept = open('many/0')\nfor n in range(1000):\n  assert open(f'many/{n}').read() == 'read\\n'\n"
                  "print(sum(os.stat(f'many/{n}').st_size for n in range(4000)), kept.read())")
        command = self.bulkhead_command(["/usr/bin/python3", "-c", script], "", [])
        command = self.lab.command(["/bin/sh", "-c", 'ulimit -n 3000; ulimit -Sn 1000; exec "$@"', "sh", *command], guard=False)
        self.assertEqual(self.ok(self._run(command, command, self.environment(None), None, None, 100)).out, "20000 read\n\n")

    def test_a_policy_that_no_machine_fits(self):
        result = self.inside(["/bin/true"], '[limits]\nmemory = "64MB"\n')
        self.assertEqual(result.status, 125)
        self.assertIn("a virtual machine needs 128MB at least", result.err)

    def test_X23_a_machine_that_is_silent_is_switched_on_again(self):
        """Where the processor is emulated one in some hundreds never says a word."""
        child = self.start_inside(["/bin/echo", "ran"])
        [silent] = self.wait_until(lambda: procs.qemus(child.pid), 60, "QEMU")
        os.kill(silent, signal.SIGSTOP)
        out, err = child.communicate(timeout=170)
        self.assertEqual((child.returncode, out), (0, b"ran\n"), err)
        self.assertIn(b"the machine said nothing for 40 seconds, so it was switched off and on again", err)
        self.assertFalse(procs.alive(silent))
        self.assertIn("said nothing", self.recorded("session.machine")[-1]["why"])

    def test_X21_what_reads_a_machines_bytes_has_no_privilege(self):
        """QEMU and virtiofsd: no capability but in a user namespace of one id, filters, no network, nothing of a home."""
        child = self.start_inside(["/bin/sh", "-c", "echo up > up; exec sleep 30.127"])
        self.wait_for_file("up")
        inside = procs.descendants(child.pid)

        def facts(name):
            [pid, *_] = [p for p in inside if procs.name(p).startswith(name)]
            with open(f"/proc/{pid}/status") as file:
                return pid, dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)

        machine, _ = facts("bulkhead-machi")
        for name, allowed in (("qemu-system", 0), ("virtiofsd", 1 << 3 | 1 << 6 | 1 << 7)):  # fowner, setgid, setuid
            pid, status = facts(name)
            self.assertEqual(int(status["CapEff"], 16) & ~allowed, 0, f"{name}: {status['CapEff']}")
            self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), name)
            self.assertNotEqual(os.readlink(f"/proc/{pid}/ns/user"), os.readlink("/proc/self/ns/user"))
            with open(f"/proc/{pid}/net/dev") as file:
                self.assertEqual([line.split(":")[0].strip() for line in file.readlines()[2:]], ["lo"], name)
            self.assertFalse(os.path.exists(f"/proc/{pid}/root{self.home}/.aws"), name)
        self.assertEqual(facts("bulkhead-machi")[1]["Seccomp"], "2")
        child.terminate()
        child.wait(60)

    def taken_over(self, program):
        """What a session says in which our own stands in place of QEMU or virtiofsd."""
        command = self.bulkhead_command(["/bin/true"], "", [])
        part = os.path.join(self.tmp, "part")
        shutil.copy(victim("machine_part"), part)
        done = self._run(self.lab.command(command, mounts=[(part, program)], guard=False), command, self.environment(None), None, None, 60)
        self.assertEqual(done.status, 125, done)
        said = re.search(r"part: list((?: /[a-z/]+)*); read((?: /[a-z/]+)*); write((?: /[a-z/]+)*)", done.err)
        self.assertTrue(said, done)
        self.assertNotIn("made-by-a-part", os.listdir(self.work))
        return [part.split() for part in said.groups()]

    def test_X25_a_qemu_that_was_taken_over_reads_nothing_of_the_session(self):
        """Landlock: of what is shown to the machine it sees nothing, for which there is virtiofsd."""
        lists, reads, writes = self.taken_over("/usr/bin/qemu-system-x86_64")
        self.assertEqual((lists, reads, writes), (["/machine", "/dev", "/usr"], ["/machine", "/usr"], ["/dev"]),
                         "/dev is a folder of its own")

    def test_X25_a_virtiofsd_that_was_taken_over_has_what_it_shows(self):
        lists, reads, _ = self.taken_over("/usr/lib/qemu/virtiofsd")
        self.assertEqual((set(lists) - {"/share", "/share/mounts", "/share/root"}, set(reads) - {"/share", "/share/mounts", "/share/root"}),
                         ({"/usr"}, {"/usr"}))
