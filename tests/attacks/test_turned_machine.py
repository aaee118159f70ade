"""A virtual machine that was taken over: its root says and does what it likes (tests/turned/init_main.cc), and what the
host holds, holds."""
import os
import unittest

from support import Case, turned


class TurnedMachine(Case):
    tier = "vm"

    def setUp(self):
        super().setUp()
        if not os.path.exists(os.path.join(turned.KERNEL, "vmlinuz")):
            raise unittest.SkipTest("no kernel for a machine (./dev machine)")
        self.program = turned.install(self.folder("installed"))

    def take_over(self, script, policy="", options=(), command="true"):
        self.write("work/as-root.sh", script)
        os.chmod(self.write("work/as-root.out", ""), 0o666)
        result = self.inside(["/bin/sh", "-c", command], policy, options=options)
        self.said = self.read("work/as-root.out")
        return result

    def test_X26_modes_hold_against_root_of_the_machine(self):
        """It has every capability of its kernel, mounts again what the host shows read-only, and writes to it."""
        shown = self.folder("shown")
        self.write("shown/file", "as it was\n")
        os.chmod(shown, 0o777)
        script = f"""
id -u; grep CapEff /proc/self/status
mount -o remount,rw,bind {shown} && echo remounted
echo x > {shown}/file; rm -f {shown}/file; echo x > {shown}/new; chmod 777 {shown}/file; mv {shown}/file {shown}/moved
mkdir -p /tmp/all && mount -t virtiofs bulkhead /tmp/all && echo mounted all
ls /tmp/all
for f in $(find /tmp/all -xdev -maxdepth 3 -name file); do echo x > $f; rm -f $f; done
mknod device b 8 0; mknod pipe-of-root c 1 3; cp /bin/true suid && chmod 6755 suid; ln -s /etc/passwd link
cat /tmp/all/../../etc/shadow /tmp/all/root/../../etc/hostname
touch /usr/bin/new /tmp/all/root/usr/bin/new
echo end
"""
        result = self.ok(self.take_over(script, options=["--mount", f"{shown}:ro"]))
        self.assertIn("\nend\n", self.said, result)
        self.assertTrue(self.said.startswith("0\nCapEff:\t0"), self.said)
        self.assertIn("remounted\n", self.said, "its own kernel lets it")
        self.assertIn("mounted all\nfiles\nmounts\nroot\nsystem\n", self.said, "all there is")
        self.assertEqual(os.listdir(shown), ["file"])
        self.assertEqual(self.read("shown/file"), "as it was\n")
        self.assertEqual(os.stat(os.path.join(shown, "file")).st_mode & 0o777, 0o644)
        self.assertFalse(os.path.exists("/usr/bin/new"))
        for name in os.listdir(self.work):
            mode = os.lstat(os.path.join(self.work, name)).st_mode
            self.assertIn(mode >> 12, (0o10, 0o12), f"{name} is no file and no link")

    def test_X26_originals_are_kept_from_root_of_the_machine(self):
        self.write("work/precious", "of before\n")
        self.take_over("rm -f precious; echo gone > precious; echo end\n",
                       '[[mount]]\npath = "."\nmode = "rw-no-delete"\n')
        self.assertIn("end\n", self.said)
        self.ok(self.bulkhead("restore", "--all"))
        self.assertEqual(self.read("work/precious"), "of before\n")

    def test_U01_root_of_the_machine_is_in_the_room(self):
        """Another address, another route, raw packets: there is the gateway, or nothing."""
        script = """
ip addr add 10.0.0.9/8 dev eth0; ip route add 169.254.0.0/16 dev eth0
for url in http://169.254.169.254/ http://10.0.0.1/ http://192.0.0.1/; do curl -sS -m 5 $url | head -1; done
echo end
"""
        result = self.take_over(script)
        self.assertIn("end\n", self.said, result)
        # Whose source it can't answer to, the room leaves alone.
        answers = [line for line in self.said.splitlines() if "Failed to connect to 10.0.0.1" not in line]
        self.assertEqual([line.split(": ")[-1] for line in answers], ["nothing is granted at this host"] * 2 + ["end"], self.said)

    def test_X25_hostile_bytes_on_the_port(self):
        """Truncated, huge, interleaved, replayed: the session ends with a reason, and nothing else does."""
        bystander = self.start_inside(["/bin/sh", "-c", "echo up > up-too; sleep 60"], options=["--tier", "native"])
        self.wait_for_file("up-too")
        frame = "printf '\\1\\0\\0\\0\\%d\\%d\\%d\\%d' >&9\n"
        for name, script in {
            "random": "head -c 300000 /dev/urandom >&9\n",
            "a datagram that is larger than it may be": frame % (0, 2, 255, 177) + "head -c 10000000 /dev/zero >&9\n",
            "a command nobody opened": "printf '\\7\\0\\0\\0\\2\\1\\1\\0x' >&9\n",
            "its answer before it was asked": frame % (0, 1, 2, 0) + "printf 'B ' >&9\n" + frame % (0, 1, 2, 0) + "printf 'B ' >&9\n",
            "over before it began": frame % (0, 1, 2, 0) + "printf 'O\\0' >&9\n" + "sleep 1; poweroff -f; echo o > /proc/sysrq-trigger\n",
        }.items():
            with self.subTest(name):
                result = self.take_over(script)
                self.assertEqual(result.status, 125, result)
                self.assertIn("bulkhead: ", result.err)
        self.assertIsNone(bystander.poll())
        bystander.terminate()
