"""bulkhead cp: files into a session that lives and out of it, also where what comes out is made to harm."""
import json
import os
import signal
import stat
import subprocess
import time

from session.test_live import Live
from support import bin_folder

# In place of tar inside: writes the archive that a test wants, whatever it is asked for.
HOSTILE = """#!/usr/bin/python3
import io, os, sys, tarfile
out = tarfile.open(fileobj=sys.stdout.buffer, mode="w|")
def add(name, data=b"planted", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data) if fields.get("type", tarfile.REGTYPE) == tarfile.REGTYPE else 0
    for key, value in fields.items(): setattr(info, key, value)
    out.addfile(info, io.BytesIO(data))
def folder(name, **fields): add(name, type=tarfile.DIRTYPE, mode=0o755, **fields)
def link(name, to, type=tarfile.SYMTYPE): add(name, type=type, linkname=to)
%s
out.close()
"""


class Copies(Live):
    test_names = [name for name in dir(Live) if name.startswith("test_")]

    def cp(self, *words, **keywords):
        return self.bulkhead("cp", *words, cwd=self.work, **keywords)

    def test_there_and_back(self):
        session = self.start()
        self.write("work/src/a b", "one\n")
        self.write("work/src/sub/run", "#!/bin/sh\necho ran\n", 0o755)
        os.symlink("a b", os.path.join(self.work, "src/link"))
        self.ok(self.cp("src", f"{session}:/tmp"))
        self.ok(self.cp("src/a b", f"{session}:/tmp/na,me&1"))
        self.assertEqual(self.sh(session, "cat '/tmp/na,me&1' /tmp/src/link; /tmp/src/sub/run").out, "one\none\nran\n")
        self.ok(self.sh(session, "cd /tmp/src && mkfifo fifo && ln -s /etc/passwd out && ln -s .. up && chmod 1777 sub/run"))
        done = self.ok(self.cp("--json", f"{session}:/tmp/src", "back"))
        self.assertEqual(json.loads(done.out), {"session": session, "path": "./back", "files": 5, "bytes": 4 + 19, "left_out": 3})
        top = os.path.join(self.work, "back")
        self.assertEqual(sorted(os.listdir(top)), ["a b", "link", "sub"])
        self.assertEqual(os.readlink(os.path.join(top, "link")), "a b")
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(top, "sub/run")).st_mode), 0o755)
        self.assertEqual({os.stat(os.path.join(f, n)).st_uid for f, d, names in os.walk(top) for n in names}, {os.geteuid()})
        again = self.cp(f"{session}:/tmp/src", "back/")
        self.ok(again)
        self.assertIn("left out: 3", again.err)
        self.assertTrue(os.path.exists(os.path.join(top, "src/sub")))
        self.assertEqual(self.cp(f"{session}:/tmp/src/a b", "back/a b").status, 1)
        self.assertEqual(self.read("work/back/a b"), "one\n")
        for words, why in (((f"{session}:/nothing", "x"), "tar inside the session failed"), (("a", "b"), "one of the two"),
                           ((f"{session}:/", "x"), "does not end in a name"), (("nothing", f"{session}:/tmp"), "stat"),
                           ((f"{session}:/tmp/src", "no/such/place"), "no/such")):
            refused = self.cp(*words)
            self.assertEqual(refused.status, 1, refused)
            self.assertIn(why, refused.err)
        self.nothing_beside()

    def nothing_beside(self):
        self.assertEqual([n for n in os.listdir(self.work) if n.startswith(".bulkhead")], [])

    def hostile(self, lines):
        """A session whose tar writes what the lines say."""
        self.write("work/bin/tar", HOSTILE % lines, 0o755)
        return self.start(f'[env]\nset = {{ PATH = "{os.path.realpath(self.work)}/bin:/usr/bin:/bin" }}\n')

    def test_X02_what_comes_out_lands_nowhere_else(self):
        outside = os.path.join(self.tmp, "outside")
        os.mkdir(outside, 0o777)
        os.chmod(outside, 0o777)
        cases = {
            "a name above": ('add("../planted"); add("x/../../planted")', None),
            "an absolute name": (f'add("{outside}/planted")', None),
            "through a link": (f'folder("want"); link("want/out", "{outside}"); add("want/out/planted")', None),
            "through a link of a link": (f'folder("want"); link("want/a", "b"); link("want/b", "{outside}"); add("want/a/planted")', None),
            "a hard link out": (f'folder("want"); link("want/hard", "{self.home}/.netrc", tarfile.LNKTYPE)', None),
            "another name": ('add("other")', "is not"),
            "a second name": ('add("want"); add("other")', "is not"),
            "a device": ('add("want", type=tarfile.CHRTYPE, devmajor=1, devminor=3)', "could not be unpacked"),
            "a link alone": ('link("want", "/etc/passwd")', "not copied"),
            "no archive at all": ('os.write(1, os.urandom(5000))', ""),
        }
        for number, (what, (lines, why)) in enumerate(cases.items()):
            with self.subTest(what):
                session = self.hostile(lines)
                done = self.cp(f"{session}:/tmp/want", f"to{number}")
                self.assertEqual(os.listdir(outside), [], done)
                self.assertFalse(os.path.lexists(os.path.join(self.work, "planted")), done)
                self.assertFalse(os.path.lexists(os.path.join(self.tmp, "planted")), done)
                if why is not None:
                    self.assertEqual(done.status, 1, done)
                    self.assertIn(why, done.err)
                    self.assertFalse(os.path.lexists(os.path.join(self.work, f"to{number}")), done)
                for folder, folders, names in os.walk(os.path.join(self.work, f"to{number}")):
                    for name in folders + names:
                        path = os.path.join(folder, name)
                        self.assertTrue(os.path.realpath(path).startswith(os.path.realpath(self.work)), path)
                        self.assertTrue(os.path.islink(path) or "planted-netrc" not in open(path).read() if name in names else True)
                self.nothing_beside()
                self.ok(self.bulkhead("stop", session))

    def test_what_stays_behind_inside_does_not_hold_it_up(self):
        session = self.hostile("""add("want")
out.close()
sys.stdout.flush()
if os.fork() == 0:
    os.setsid()
    import time
    time.sleep(30)
os._exit(0)""")
        begun = time.monotonic()
        self.ok(self.cp(f"{session}:/tmp/want", "to"))
        self.assertLess(time.monotonic() - begun, 15)
        self.assertEqual(self.read("work/to"), "planted")

    def test_an_interrupted_one_ends_and_leaves_nothing(self):
        session = self.hostile("""import signal, time
for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)
add("want")
sys.stdout.flush()
time.sleep(60)""")
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number):
                child = subprocess.Popen(self.lab.command([os.path.join(bin_folder(), "bulkhead"), "cp", f"{session}:/tmp/want", "to"],
                                                          guard=False),
                                         env=self.environment(), cwd=self.work, stderr=subprocess.PIPE)
                self._children.append(child)
                self.addCleanup(child.stderr.close)
                end = time.monotonic() + 20
                while not any(n.startswith(".bulkhead-cp") for n in os.listdir(self.work)) and time.monotonic() < end:
                    time.sleep(0.05)
                time.sleep(0.5)
                begun = time.monotonic()
                self.signal_caller(child, number)
                self.assertEqual(child.wait(20), 1)
                self.assertLess(time.monotonic() - begun, 15)
                self.nothing_beside()
                self.assertFalse(os.path.lexists(os.path.join(self.work, "to")))

    def test_X24_its_size_is_bounded(self):
        session = self.hostile('add("want", b"x" * 3_000_000)')
        refused = self.cp("--max-size", "1MB", f"{session}:/tmp/want", "to")
        self.assertEqual(refused.status, 1)
        self.assertIn("more than 1MB", refused.err)
        self.assertFalse(os.path.exists(os.path.join(self.work, "to")))
        self.ok(self.cp("--max-size", "4MB", f"{session}:/tmp/want", "to"))
        endless = self.hostile('folder("want")\nfor n in range(10**9): folder(f"want/{n}")')
        begun = time.monotonic()
        self.assertEqual(self.cp("--max-size", "2MB", f"{endless}:/tmp/want", "many").status, 1)
        self.assertLess(time.monotonic() - begun, 60)
        sparse = self.hostile("""info = tarfile.TarInfo("want"); info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
    "GNU.sparse.name": "want", "GNU.sparse.realsize": str(1 << 40)}
data = b"1\\n1099511627776\\n0\\n".ljust(512, b"\\0"); info.size = len(data); out.addfile(info, io.BytesIO(data))""")
        self.assertEqual(self.cp("--max-size", "2MB", f"{sparse}:/tmp/want", "sparse").status, 1)
        self.nothing_beside()


for name in Copies.test_names:
    setattr(Copies, name, None)  # run where they are
