"""The arm without the boundary runs attacks that work: they must not harm the machine they work on."""
import os

from support import Case


class Lab(Case):
    def test_an_attack_that_works_cannot_change_this_machine(self):
        """As root, who could. (For an ordinary user these files are not writable in the first place.)"""
        files = ["/etc/hosts", "/etc/nsswitch.conf", "/etc/passwd", "/usr/bin/planted", "/root/planted", "/var/lib/planted",
                 "/var/tmp/planted", "/run/planted", "/opt/planted", "/home/planted"]
        before = [self.state(path) for path in files]
        result = self.outside(["/bin/sh", "-c", "".join(f"(echo planted >> {path}) 2>/dev/null && echo wrote {path};"
                                                        for path in files if path != "/var/tmp/planted" or os.geteuid() == 0)])
        self.assertNotIn("wrote", result.out, result)
        self.assertEqual([self.state(path) for path in files], before)

    def test_copies_bound_over_files_can_be_changed(self):
        copy = self.write("hosts", "127.0.0.1 localhost\n")
        before = self.state("/etc/hosts")
        self.ok(self.outside(["/bin/sh", "-c", "echo planted >> /etc/hosts"], mounts=[(copy, os.path.realpath("/etc/hosts"))]))
        self.assertIn("planted", self.read(copy))
        self.assertEqual(self.state("/etc/hosts"), before)

    @staticmethod
    def state(path):
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            return error.errno
