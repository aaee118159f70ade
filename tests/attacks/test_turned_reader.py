"""What reads control files can't be turned: a reader with a memory-corruption bug (tests/turned/) is taken over by a file
of the project, and then has no secret, no file, no network and no program within reach. All it can do is lie about what
files do; that they are there, and what is pinned of them, it does not decide.

The same reader without its confinement shows that each attempt is a real one."""
import json
import os

from support import Case
from support.case import BUILD

SECRET = "real-key-reader-77b0e1"
# A system call that the filter does not know ends the process.
KILLED = ("inet", "unix", "netlink", "connect", "exec", "code", "ptrace", "peek", "signal", "ring", "unshare", "memfd",
          "truncate")
FILE = ".mcp.json"


class TurnedReader(Case):
    def arm(self, name):
        """Bulkhead with that reader in place of its own."""
        self.replace_part("bulkhead-look", os.path.join(BUILD, "turned/bulkhead-look-" + name))

    def corrupt(self, words):
        """The file's line that has the attacker's code run with these words."""
        self.write(os.path.join(self.work, FILE), "corrupt " + words.ljust(192, "\0") + "A" + "\n" + '{"mcpServers":{}}\n')

    def turn(self, words):
        """What the reader then says of the file, and whether it lived to say it."""
        self.corrupt(words)
        result = self.bulkhead("trust", "--show", "--json", ".", env={"API_KEY": SECRET})
        self.assertEqual(result.status, 1, result)
        file, = json.loads(result.out)["files"]
        self.assertEqual((file["path"], file["class"]), (FILE, "runs"))
        return "\n".join(file["does"])

    def test_no_file_and_no_secret(self):
        self.arm("corruptible")
        for path in ("/", "/etc/passwd", "/proc/self/environ", "/proc/self/exe", "/dev/null", self.home, self.work, "."):
            with self.subTest(path=path):
                self.assertIn("open: Permission denied", self.turn("open " + path))
        self.assertIn("getdents64: Permission denied", self.turn("list"))
        self.assertIn("open above: Permission denied", self.turn("above"))
        self.assertEqual(self.turn("descriptors"), "holds 0=device 1=device 2=device 3=socket 4=file")
        # The whole of its memory, searched from within; and that the search finds what is there.
        self.assertRegex(self.turn("search " + SECRET[::-1]), r"searched [0-9]{3,} pages, found it 0 times")
        self.assertNotIn("found it 0 times", self.turn("search " + "mcpServers"[::-1]))
        self.arm("unconfined")
        self.assertIn("open: it worked", self.turn("open /etc/passwd"))

    def test_no_network_no_program_no_other_process(self):
        self.arm("corruptible")
        for name in KILLED:
            with self.subTest(attempt=name):
                self.assertRegex(self.turn(name), "could not be looked into .*, so it counts as it is")
        self.arm("unconfined")
        for name in ("inet", "unix", "exec", "list", "code", "memfd", "unshare"):
            with self.subTest(attempt=name, arm="unconfined"):
                self.assertIn("it worked", self.turn(name))

    def test_a_session_starts_and_the_file_stays_hidden(self):
        """Whether it answers or dies; and the files after it are read by another one."""
        self.arm("corruptible")
        self.write(os.path.join(self.work, "CLAUDE.md"), "be kind\n")
        policy = '[[mount]]\npath = "."\nmode = "review"\n'
        for words in ("open /etc/passwd", "exec"):
            with self.subTest(words=words):
                self.corrupt(words)
                result = self.ok(self.inside(["/bin/sh", "-c", "ls -A"], policy, env={"API_KEY": SECRET}))
                self.assertEqual(result.out, "", result)
                self.assertIn("2 control files nobody trusted, all hidden", result.err)
        shown = self.bulkhead("trust", "--show", ".").out
        self.assertIn("says: be kind", shown)
        self.assertIn("could not be looked into", shown)

    def test_nothing_is_started_where_nothing_has_to_be_read(self):
        """A project with a git config alone starts no reader: here is none."""
        self.arm("corruptible")
        os.remove(os.path.join(os.path.dirname(self.program), "bulkhead-look"))
        self.ok(self.outside(["git", "init", "-q"]))
        self.write(os.path.join(self.work, "Makefile"), "all:\n")
        policy = '[[mount]]\npath = "."\nmode = "review"\n'
        self.assertEqual(self.ok(self.inside(["/bin/ls"], policy)).out, "Makefile\n")
        self.write(os.path.join(self.work, "CLAUDE.md"), "be kind\n")
        result = self.ok(self.inside(["/bin/ls"], policy))
        self.assertEqual(result.out, "Makefile\n")
        self.assertIn("CLAUDE.md", result.err)
