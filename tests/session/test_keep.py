"""Mounts `rw-no-delete`: what existed when the session began can be brought back, whatever the workload did.

BULKHEAD_KEEP_OFF=1 runs them with mode `rw` in its place: then those that name an attack fail.
"""
import filecmp
import json
import os
import random
import select
import shutil
import signal
import stat
import subprocess
import threading
import time

from support import Case, case

MODE = "rw" if os.environ.get("BULKHEAD_KEEP_OFF") else "rw-no-delete"
POLICY = f'[[mount]]\npath = "."\nmode = "{MODE}"\n'


def snapshot(top):
    """Everything below a folder with all that must survive: type, mode, times, owner, attributes, content."""
    found = {}
    for folder, names, files in os.walk(os.fsencode(top)):
        for name in [b"."] + files + [one for one in names if os.path.islink(os.path.join(folder, one))]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            attributes = {} if stat.S_ISLNK(status.st_mode) or stat.S_ISFIFO(status.st_mode) else {
                one: os.getxattr(path, one) for one in os.listxattr(path) if one.startswith("user.")}
            found[os.path.relpath(path, os.fsencode(top))] = (
                status.st_mode, status.st_mtime_ns, status.st_uid, status.st_gid, attributes, content)
    return found


# Run inside and, for comparison, on a plain copy: argv[1] is the seed, the folder is the working directory.
RANDOM = r"""
import os, random, mmap, sys
r = random.Random(int(sys.argv[1]))
def every(kind):
    found = []
    for folder, names, files in os.walk(b"."):
        names.sort()
        found += [os.path.join(folder, n) for n in sorted(files if kind == "f" else names)]
    return sorted(found)
def pick(kind):
    all = every(kind)
    return r.choice(all) if all else None
def new():
    folder = r.choice([b"."] + every("d"))
    return os.path.join(folder, b"n%d" % r.randrange(30))
def step():
    what = r.randrange(20)
    f, d = pick("f"), pick("d")
    path, text = new(), bytes([r.randrange(256)]) * r.randrange(9000)
    if what == 0: os.unlink(f)
    elif what == 1: open(f, "wb").write(text)
    elif what == 2: open(f, "ab").write(text)
    elif what == 3: os.truncate(f, r.randrange(5000))
    elif what == 4: os.rename(f, path)
    elif what == 5: os.rename(f, r.choice(every("f")))
    elif what == 6: os.rename(d, path)
    elif what == 7: os.rmdir(d)
    elif what == 8: os.mkdir(path)
    elif what == 9: open(path, "xb").write(text)
    elif what == 10: os.link(f, path)
    elif what == 11: os.symlink(text[:9].hex() or "x", path)
    elif what == 12: os.chmod(f, 0o600 | r.randrange(0o77), follow_symlinks=True)
    elif what == 13: os.utime(f, ns=(10**18, 10**18 + r.randrange(10**9)), follow_symlinks=False)
    elif what == 14:
        with open(f, "r+b") as file:
            with mmap.mmap(file.fileno(), 0) as m: m[:3] = b"map"
    elif what == 15:
        with open(f, "r+b") as file: file.seek(r.randrange(3000)); file.write(text)
    elif what == 16: os.setxattr(f, b"user.t", text[:50])
    elif what == 17: os.chmod(d, 0o700 | r.randrange(0o77))
    elif what == 18:
        fd = os.open(f, os.O_RDWR)
        try: os.unlink(f); os.write(fd, b"after"); os.fchmod(fd, 0o640)
        finally: os.close(fd)
    elif what == 19: os.rename(d, r.choice(every("d")))
for i in range(250):
    try: step()
    except (OSError, TypeError, ValueError): pass
"""


class Keep(Case):
    def setUp(self):
        super().setUp()
        self.need_fuse()

    def sh(self, script, policy=POLICY, **keywords):
        return self.inside(["/bin/bash", "-c", script], policy, **keywords)

    def plant(self):
        """A small tree with everything in it."""
        for name, text in (("a", "one\n"), ("d/b", "two\n" * 5000), ("d/e/c", "three\n"), ("empty", "")):
            self.write("work/" + name, text)
        with open(os.path.join(os.fsencode(self.work), b"odd \xff\n\x1b[31m"), "wb") as file:
            file.write(b"odd")
        os.symlink("a", os.path.join(self.work, "link"))
        os.mkfifo(os.path.join(self.work, "fifo"))
        os.chmod(os.path.join(self.work, "a"), 0o640)
        os.chmod(os.path.join(self.work, "d/e"), 0o750)
        os.setxattr(os.path.join(self.work, "a"), "user.note", b"\0kept")
        for name in ("a", "d/b", "d/e/c", "d/e", "d", "link"):
            os.utime(os.path.join(self.work, name), ns=(10**18, 10**18 + 123456789), follow_symlinks=False)
        return snapshot(self.work)

    def restored(self, before):
        """`restore --all` brings every original back with all that was its own."""
        self.ok(self.bulkhead("restore", "--all"))
        after = snapshot(self.work)
        for path, was in before.items():
            self.assertIn(path, after)
            self.assertTrue(after[path] == was, f"{path}: {str(after[path])[:200]} was {str(was)[:200]}")

    def originals(self):
        return {one["path"]: one for one in json.loads(self.ok(self.bulkhead("restore", "--list", "--json")).out)}

    def test_X08_everything_that_loses_a_file(self):
        for script in ("rm -rf ./* .??*", "for f in a d/b d/e/c; do > $f; done", "truncate -s 1 a d/b; truncate -s 9M d/e/c",
                       "echo n > n; mv n a; mv d/b a; ln -f a d/e/c",
                       "python3 -c 'import mmap; f = open(\"d/b\", \"r+b\"); m = mmap.mmap(f.fileno(), 0); m[:] = b\"x\" * len(m); m.flush()'",
                       "python3 -c 'import mmap; f = open(\"d/b\", \"r+b\"); m = mmap.mmap(f.fileno(), 0); f.close(); m[0] = 7'",
                       "fallocate -p -o 0 -l 8192 d/b; fallocate -z -o 0 -l 10 a; fallocate -c -o 0 -l 4096 d/b",
                       "dd if=/dev/zero of=d/b bs=1 count=1 seek=100 conv=notrunc status=none; sed -i s/one/two/ a",
                       "mv d x; rm -rf x; mkdir d; echo other > d/b", "mv d/e/c c; mv c c2; rm c2; rmdir d/e",
                       "exec 5<>d/b; rm d/b; echo gone >&5; exec 6>>a; mv a z; echo more >&6; rm z",
                       "ln a a2; rm a; echo x > a2", "chmod 400 a; touch link d/b; python3 -c 'import os; os.setxattr(\"d/b\", \"user.note\", b\"x\"); os.removexattr(\"a\", \"user.note\")'",
                       "python3 -c 'import os; os.rename(\"a\", \"t\"); os.rename(\"d\", \"a\"); os.rename(\"t\", \"d\")'; rm -rf a d",
                       "rm link fifo; ln -s d/b link; mkdir fifo", "cp /dev/null a; cat /dev/null | tee d/b; : >| d/e/c",
                       "perl -e 'rename \"d\", \"dd\"; open F, \">dd/e/c\"; print F \"z\"'; mv dd d"):
            with self.subTest(script):
                shutil.rmtree(self.work)
                self.folder("work")
                before = self.plant()
                self.sh(script)
                self.assertNotEqual({p: v[5] for p, v in snapshot(self.work).items()},
                                    {p: v[5] for p, v in before.items()} if "touch" not in script else None)
                self.restored(before)

    def test_X08_tools_work_as_ever(self):
        # A session can't make a repository: its config would be a control file.
        for words in (["init", "-q"], ["config", "user.name", "a"], ["config", "user.email", "a@b"]):
            self.ok(self.outside(["git", *words]))
        before = self.plant()
        script = """set -e
git add a d && git commit -qm one
for i in 1 2 3; do echo $i >> a; git commit -qam $i; done
git gc -q --prune=now; git fsck --strict; git checkout -q -b other HEAD~2; git checkout -q -; git stash list; git status --short
printf 'all: x.o\\nx.o: d/b\\n\\tcp d/b x.o\\n' > Makefile; make -s; touch d/b; make -s; rm -rf out
mkdir out; tar cf - a d | tar xf - -C out; diff -r d out/d
python3 - <<'X'
import sqlite3
for journal in ("delete", "wal"):
    db = sqlite3.connect(journal + ".db"); db.execute("pragma journal_mode=" + journal)
    db.execute("create table t(x)"); db.executemany("insert into t values(?)", [(i,) for i in range(500)]); db.commit()
    assert db.execute("select sum(x) from t").fetchone()[0] == 124750; db.execute("vacuum"); db.close()
X
find . -name '*.db' | wc -l"""
        self.ok(self.sh(script, timeout=180))
        self.assertEqual(self.ok(self.outside(["git", "-c", "safe.directory=*", "log", "--oneline"])).out.count("\n"), 4)
        self.restored(before)

    def test_X08_whatever_happens_at_random(self):
        for seed in range(3):
            with self.subTest(seed=seed):
                shutil.rmtree(self.work)
                self.folder("work")
                r = random.Random(seed)
                for i in range(60):
                    folder = "/".join(f"d{r.randrange(3)}" for _ in range(r.randrange(4)))
                    path = self.write(os.path.join("work", folder, f"f{i}"), str(i) * r.randrange(3000))
                    os.utime(path, ns=(10**18, 10**18 + i))
                before = snapshot(self.work)
                plain = os.path.join(self.tmp, f"plain{seed}")
                shutil.copytree(self.work, plain, symlinks=True)
                self.ok(self.inside(["python3", "-c", RANDOM, str(seed)], POLICY))
                subprocess.run(["python3", "-c", RANDOM, str(seed)], cwd=plain, check=True)
                content = lambda top: {p: (v[0], v[4], v[5]) for p, v in snapshot(top).items()}
                one, other = content(self.work), content(plain)
                self.assertEqual([p for p in {**one, **other} if one.get(p) != other.get(p)], [])
                self.restored(before)

    def test_X10_quota_and_holes(self):
        """A 10 TB file of holes is kept as holes."""
        with open(os.path.join(self.work, "huge"), "wb") as file:
            file.truncate(10 << 40)
            file.seek(5 << 40)
            file.write(b"in the middle")
        began = time.monotonic()
        self.ok(self.sh("echo x | dd of=huge bs=1 conv=notrunc status=none; rm huge"))
        self.assertLess(time.monotonic() - began, 30)
        self.ok(self.bulkhead("restore", "huge"))
        with open(os.path.join(self.work, "huge"), "rb") as file:
            self.assertEqual(file.read(2), b"\0\0")
            file.seek(5 << 40)
            self.assertEqual(file.read(15), b"in the middle\0\0")
        self.assertLess(os.stat(os.path.join(self.work, "huge")).st_blocks, 1000)

    def test_X34_mounts_within_stay_what_they_are(self):
        """Named before the folder they lie in: mounted in that order they would be covered by it, and be the host's."""
        self.write("work/ro/f", "ro\n")
        self.write("work/masked/secret", "planted-mask\n")
        copy = self.folder("instead")
        policy = (f'[[mount]]\npath = "ro"\n[[mount]]\npath = "{copy}"\ntarget = "{self.work}/masked"\n' + POLICY)
        result = self.sh("echo x > ro/f; echo y > ro/new; mv ro/f .; mv ro r2; rm -rf ro; chmod 777 ro/f; ls masked; "
                         "cat masked/secret; mv masked m2; echo z > masked/new; echo done", policy)
        self.assertIn("done", result.out)
        self.assertNotIn("planted", result.out + result.err)
        for what in ("ro/f", "ro/new", "masked/new"):
            self.assertRegex(result.err, what + ".*(Read-only file system|Permission denied)")
        self.assertEqual(self.read("work/ro/f"), "ro\n")
        self.assertEqual(sorted(os.listdir(self.work)), ["f", "masked", "ro"])  # mv copies across mounts
        self.assertEqual(os.listdir(os.path.join(self.work, "ro")), ["f"])
        self.assertEqual(os.listdir(copy), [])

    def test_signals_replay_nothing(self):
        """The kernel's own promise: it waits for an answer, and asks once. No line of ours makes this so; one that
        answered what FUSE calls an interrupt would break it. Of the broker, X36 is in test_sockets.py."""
        script = r"""
import os, signal
count = [0]
signal.signal(signal.SIGALRM, lambda *_: count.__setitem__(0, count[0] + 1))
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
for i in range(3000):
    os.mkdir("d"); fd = os.open("d/f", os.O_CREAT | os.O_EXCL | os.O_WRONLY); os.write(fd, b"x"); os.close(fd)
    os.rename("d/f", "d/g"); os.unlink("d/g"); os.rmdir("d")
signal.setitimer(signal.ITIMER_REAL, 0)
print(count[0] > 100)
"""
        self.assertEqual(self.ok(self.inside(["python3", "-c", script], POLICY, timeout=120)).out.strip(), "True")

    def test_X03_a_swapped_folder_leads_nowhere(self):
        """The host swaps a folder for a link to elsewhere, again and again, while the workload writes through it."""
        elsewhere = self.folder("elsewhere")
        self.write("elsewhere/f", "outside\n")
        self.write("work/d/f", "inside\n")
        os.symlink("../elsewhere", os.path.join(self.work, "l"))
        stop = threading.Event()
        swaps = [0]

        def swap():
            import ctypes
            c = ctypes.CDLL(None)
            one, other = (os.path.join(self.work, name).encode() for name in ("d", "l"))
            while not stop.is_set():
                for _ in range(500):
                    c.renameat2(-100, one, -100, other, 2)
                swaps[0] += 500

        script = r"""
import os, time
end = time.time() + 8
while time.time() < end:
    for work in (lambda: open("d/f", "a").write("x"), lambda: open("d/n", "w").close(), lambda: os.unlink("d/n"),
                 lambda: os.rename("d/f", "d/g"), lambda: os.rename("d/g", "d/f"), lambda: os.mkdir("d/m"), lambda: os.rmdir("d/m"),
                 lambda: os.truncate("d/f", 3), lambda: os.chmod("d/f", 0o600), lambda: os.utime("d/f", (1, 1))):
        try: work()
        except OSError: pass
"""
        thread = threading.Thread(target=swap)
        thread.start()
        try:
            self.sh(f"python3 -c '{script}'", timeout=60)
        finally:
            stop.set()
            thread.join()
        self.assertGreater(swaps[0], 10000)
        self.assertEqual(os.listdir(elsewhere), ["f"])
        self.assertEqual(self.read("elsewhere/f"), "outside\n")
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(elsewhere, "f")).st_mode), 0o644)

    def test_the_host_sees_it_at_once_and_is_seen(self):
        self.write("work/a", "one")
        child = self.start_inside(["/bin/sh", "-c", "echo up > up; until [ -e go ]; do sleep 0.1; done; cat a > out; rm a; sleep 60"],
                                  POLICY)
        self.wait_for_file("up")
        self.write("work/a", "by the host")
        self.write("work/go", "x")
        self.wait_until(lambda: not os.path.exists(os.path.join(self.work, "a")), 10, "a is gone")
        self.assertEqual(self.read("work/out"), "by the host")
        child.terminate()
        child.wait(20)

    def test_what_the_host_rewrote_is_read_whole_on_a_busy_machine(self):
        """The workload opens it before the process that serves it got to hear of the change."""
        self.write("work/a", "first")
        busy = [subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"], start_new_session=True) for _ in range(6)]
        try:
            child = self.start_inside(["/bin/sh", "-c", "while read -r line; do cat a; echo; done"], POLICY,
                                      stdin=subprocess.PIPE, text=True)
            wrong = []
            for i in range(200):
                text = str(i) * (i * 5 % 7 + 1)
                self.write("work/a", text)
                child.stdin.write("x\n")
                child.stdin.flush()
                found = child.stdout.readline()
                if found != text + "\n":
                    wrong.append((text, found))
        finally:
            for one in busy:
                one.kill()
                one.wait()
        child.stdin.close()
        self.assertEqual(child.wait(20), 0)
        self.assertEqual(wrong, [])

    def test_killed_nothing_is_lost(self):
        before = self.plant()
        child = self.start_inside(["/bin/sh", "-c", "rm -rf d; echo x > a; echo up > up; sleep 60; echo late > late"], POLICY)
        self.wait_for_file("up", 120)
        keep = self.wait_until(lambda: self.keepers(), 5, "the process that serves it")
        os.kill(keep[0], signal.SIGKILL)
        self.assertEqual(child.wait(20), 125)
        self.assertIn(b"keep", child.stderr.read())
        self.assertFalse(os.path.exists(os.path.join(self.work, "late")))
        os.unlink(os.path.join(self.work, "up"))
        self.restored(before)

    def test_names_are_known_before_they_are_asked_for(self):
        """While the process that serves the folder stands still, only what the kernel knows already can be seen."""
        tries = 8
        for folder in range(30):
            for one in range(tries):
                self.write(f"work/d{folder}/deep/f{one}", "")
        child = self.start_inside(["/bin/sh", "-c", "while read -r names; do stat $names > /dev/null && echo all; done"], POLICY,
                                  stdin=subprocess.PIPE)
        keep = self.wait_until(self.keepers, 5, "the process that serves it")[0]
        # Each time other names: what was asked for once is known.
        for one in range(tries):
            time.sleep(0.5)
            os.kill(keep, signal.SIGSTOP)
            names = " ".join(f"d{folder}/deep/f{one}" for folder in range(30))
            child.stdin.write(names.encode() + b"\n")
            child.stdin.flush()
            known = bool(select.select([child.stdout], [], [], 3)[0])
            os.kill(keep, signal.SIGCONT)
            self.assertEqual(child.stdout.readline(), b"all\n")
            if known:
                break
        self.assertTrue(known)
        child.stdin.close()
        self.assertEqual(child.wait(20), 0)

    def keepers(self):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read()
                if words == b"bulkhead-keep\0" and self.of_this_test(int(pid)):
                    found.append(int(pid))
            except OSError:
                continue
        return found

    def of_this_test(self, pid):
        """Below a session that this test started."""
        children = {child.pid for child in self._children}
        for _ in range(8):
            with open(f"/proc/{pid}/stat") as file:
                pid = int(file.read().rsplit(")", 1)[1].split()[1])
            if pid in children:
                return True
        return False

    def test_one_session_at_a_time(self):
        self.start_inside(["/bin/sh", "-c", "echo up > up; sleep 60"], POLICY)
        self.wait_for_file("up")
        second = self.sh("true")
        self.assertEqual(second.status, 125)
        self.assertIn("another has this folder", second.err)

    def test_restore_puts_nothing_away_for_good(self):
        self.write("work/a", "original")
        self.ok(self.sh("echo theirs > a; rm -rf x; echo n > n"))
        self.assertEqual(self.originals()["a"]["now"], "changed")
        result = self.ok(self.bulkhead("restore", "a"))
        self.assertEqual(result.out, "a\n")
        self.assertEqual(self.read("work/a"), "original")
        self.assertEqual(self.originals()["a"]["now"], "same")
        aside = [path for path in self.state_files() if "/replaced-1/a" in path]
        self.assertEqual([self.read(path) for path in aside], ["theirs\n"])
        self.assertEqual(self.bulkhead("restore", "nothing").status, 0)
        self.assertEqual(self.bulkhead("restore", "/etc/passwd").status, 1)
        session = json.loads(self.bulkhead("restore", "--list", "--json").out)[0]["session"]
        self.ok(self.bulkhead("restore", "--forget", session))
        self.assertEqual(json.loads(self.bulkhead("restore", "--list", "--json").out), [])

    def test_what_is_old_is_forgotten(self):
        self.write("work/a", "x" * 100_000)
        self.ok(self.sh("rm a"))
        said = json.loads(self.ok(self.bulkhead("doctor", "--json")).out)["kept"]
        self.assertEqual(said["sessions"], 1)
        self.assertTrue(100_000 <= said["bytes"] < 200_000, said)
        self.assertIn("1 session kept originals (rw-no-delete)", self.bulkhead("doctor").out)
        self.assertEqual(self.ok(self.bulkhead("restore", "--forget", "--older-than", "1h")).out, "")
        self.assertEqual(set(self.originals()), {"a"})
        child = self.start_inside(["/bin/sh", "-c", "echo n > b; rm b; echo up > up; sleep 60"], POLICY)
        self.wait_for_file("up")
        time.sleep(1.1)
        gone = self.ok(self.bulkhead("restore", "--forget", "--older-than", "1s")).out.split()
        self.assertEqual(gone[1:], [str(said["bytes"]), "bytes"])
        child.terminate()
        child.wait(20)
        self.assertNotIn("a", self.originals())
        for words in (["--older-than", "1h"], ["--forget"], ["--forget", "--older-than", "soon"],
                      ["--forget", "--older-than", "1h", gone[0]]):
            self.assertEqual(self.bulkhead("restore", *words).status, 2, words)

    def test_nothing_kept_nothing_left(self):
        self.write("work/a", "one")
        self.ok(self.sh("cat a; echo n > n; rm n"))
        self.assertEqual([path for path in self.state_files() if "/kept/" in path], [])

    def test_hostile_names_are_shown_escaped(self):
        self.plant()
        self.ok(self.sh("rm -rf ./*"))
        shown = self.bulkhead("restore", "--list").out
        self.assertNotIn("\x1b", shown)
        self.assertIn("odd", shown)

    def test_diff_lists_it_too(self):
        self.write("work/a", "one")
        self.ok(self.sh("rm a"))
        self.assertEqual(self.ok(self.bulkhead("diff")).out, self.ok(self.bulkhead("restore", "--list")).out)
        self.assertEqual([one["path"] for one in json.loads(self.ok(self.bulkhead("diff", "--json")).out)], ["a"])
        self.ok(self.bulkhead("restore", "--forget", json.loads(self.bulkhead("diff", "--json").out)[0]["session"]))
        self.assertNotEqual(self.bulkhead("diff").status, 0)

    def test_no_other_way_to_the_same_files(self):
        self.write("work/d/a", "one")
        other = '[[mount]]\npath = "."\nmode = "rw"\n'
        elsewhere = other + '[[mount]]\npath = "d"\ntarget = "/srv/d"\nmode = "rw-no-delete"\n'
        result = self.sh("rm d/a", elsewhere)
        self.assertEqual(result.status, 125, result)
        self.assertIn("shows the same files elsewhere", result.err)
        self.ok(self.sh("rm d/a", other + '[[mount]]\npath = "d"\nmode = "rw-no-delete"\n'))
        self.ok(self.bulkhead("restore", "d/a"))
        os.makedirs(os.path.join(self.home, ".local/state"), exist_ok=True)
        result = self.sh("true", POLICY + f'[[mount]]\npath = "{self.home}/.local"\nmode = "rw"\n')
        self.assertEqual(result.status, 125, result)
        self.assertIn("keeps originals in", result.err)

    def test_open_files_outlive_their_names(self):
        before = self.plant()
        script = r"""
import os
for name in ("a", "n"):
    f = open(name, "a+"); os.unlink(name); f.write("more"); f.flush()
    assert os.fstat(f.fileno()).st_size >= 4, name
    os.fchmod(f.fileno(), 0o600); os.ftruncate(f.fileno(), 2); f.seek(0); assert len(f.read()) == 2
    assert not [n for n in os.listdir(".") if "fuse" in n], os.listdir(".")
"""
        self.ok(self.inside(["python3", "-c", script], POLICY))
        self.assertEqual([name for name in os.listdir(self.work) if "fuse" in name], [])
        self.restored(before)

    def test_a_file_alone_is_refused(self):
        self.write("work/a", "one")
        result = self.sh("true", f'[[mount]]\npath = "a"\nmode = "rw-no-delete"\n')
        self.assertEqual(result.status, 125)
        self.assertIn("for folders", result.err)
