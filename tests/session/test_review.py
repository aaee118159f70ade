"""Mode review: the host sees nothing until it is applied; then exactly what was done, or nothing of it."""
import json
import os
import stat
import subprocess
import time
import unittest

from support import Case, bin_folder

REVIEW = '[[mount]]\npath = "."\nmode = "review"\n'


def snapshot(folder, times=True):
    """What is in a folder, as a person would compare it: content, modes, links, times of files."""
    found = {}
    top = os.fsencode(folder)
    for at, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(at, name)
            st = os.lstat(path)
            what = stat.S_IFMT(st.st_mode)
            if what == stat.S_IFLNK:
                found[path[len(top):]] = (what, os.readlink(path))
            elif what == stat.S_IFREG:
                with open(path, "rb") as file:
                    found[path[len(top):]] = (what, stat.S_IMODE(st.st_mode), file.read(), times and st.st_mtime_ns)
            else:
                found[path[len(top):]] = (what, stat.S_IMODE(st.st_mode))
    return found


class ReviewCase(Case):
    MOUNTS = REVIEW

    def setUp(self):
        super().setUp()
        self.addCleanup(subprocess.run, ["chmod", "-R", "u+rwX", self.tmp], stderr=subprocess.DEVNULL)
        self.fill()
        self.before = snapshot(self.work)
        time.sleep(0.02)  # what is stamped with the tick a review begins in counts as changed since

    def fill(self):
        self.write("work/keep", "as it was\n")
        self.write("work/change", "one\ntwo\nthree\n")
        self.write("work/remove", "going\n")
        self.write("work/src/a.c", "int a;\n")
        self.write("work/src/deep/b.c", "int b;\n")
        self.write("work/run.sh", "#!/bin/sh\necho hi\n")
        os.symlink("keep", os.path.join(self.work, "link"))

    def session(self, script, policy=None, **keywords):
        return self.ok(self.inside(["/bin/sh", "-c", script], policy or self.MOUNTS, **keywords))

    def python(self, script, **keywords):
        return self.ok(self.inside(["python3", "-c", script], self.MOUNTS, **keywords))

    def reviews(self):
        return json.loads(self.ok(self.bulkhead("diff", "--list", "--json")).out)

    def changes(self, *words):
        return {c["path"]: c for c in json.loads(self.ok(self.bulkhead("diff", "--json", *words)).out)["changes"]}

    def unchanged(self):
        self.assertEqual(snapshot(self.work), self.before)

    def at(self, *parts):
        return os.path.join(self.work, *parts)

    def events(self, kind):
        found = []
        folder = os.path.join(self.home, ".local/state/bulkhead/evidence")
        for name in os.listdir(folder):
            with open(os.path.join(folder, name)) as file:
                found += [e for e in map(json.loads, file) if e["type"] == kind]
        return found

    def nothing_left(self):
        self.assertEqual(self.reviews(), [])
        folder = os.path.join(self.home, ".local/state/bulkhead/reviews")
        self.assertEqual(os.listdir(folder) if os.path.isdir(folder) else [], [])
        self.assertEqual([n for n in os.listdir(self.work) if n.startswith(".bulkhead")], [])


class Review(ReviewCase):
    EVERYTHING = ("echo changed > change; rm remove; echo new > new; chmod 700 run.sh; rm -r src; mkdir -p tree/in; "
                  "echo x > tree/in/x; chmod 750 tree/in; ln -sfn change link; touch -d 2001-02-03 tree/in/x; cat change new")

    def test_the_host_sees_nothing_until_it_is_applied_and_then_exactly_that(self):
        result = self.session(self.EVERYTHING + "; cd /; python3 - \"$OLDPWD\" <<'E'\n"
                              "import os, sys\n"
                              "for at, ds, fs in os.walk(sys.argv[1]):\n"
                              "  for n in ds + fs:\n"
                              "    st = os.lstat(os.path.join(at, n))\n"
                              "    print('M', os.path.relpath(os.path.join(at, n), sys.argv[1]), oct(st.st_mode),"
                              " 0 if os.path.islink(os.path.join(at, n)) else st.st_mtime_ns)\n"
                              "E")
        self.assertIn("under review", result.err)
        self.assertIn("changed\nnew\n", result.out)  # the workload sees its own
        inside = sorted(line for line in result.out.split("\n") if line.startswith("M "))
        self.unchanged()
        self.assertIn("bulkhead diff", result.err)
        changes = self.changes()
        self.assertEqual({p: c["kind"] for p, c in changes.items() if c["kind"] != "touched"},
                         {"change": "changed", "remove": "removed", "new": "added", "run.sh": "changed", "src": "removed",
                          "src/a.c": "removed", "src/deep": "removed", "src/deep/b.c": "removed", "tree": "added",
                          "tree/in": "added", "tree/in/x": "added", "link": "changed"})
        self.unchanged()
        self.ok(self.bulkhead("apply"))
        now = []
        for at, folders, files in os.walk(self.work):
            for name in folders + files:
                path = os.path.join(at, name)
                st = os.lstat(path)
                now.append(f"M {os.path.relpath(path, self.work)} {oct(st.st_mode)} "
                           f"{0 if os.path.islink(path) else st.st_mtime_ns}")
        self.assertEqual(sorted(now), inside)
        self.assertEqual(self.read("work/change"), "changed\n")
        self.assertEqual(os.readlink(self.at("link")), "change")
        owner = os.stat(self.work)
        for at, folders, files in os.walk(self.work):
            for name in folders + files:
                self.assertEqual(os.lstat(os.path.join(at, name)).st_uid, owner.st_uid, name)
        self.nothing_left()

    def test_a_session_that_changes_nothing_leaves_nothing(self):
        result = self.session("cat keep; ls -R . > /dev/null; echo x > /tmp/x")
        self.assertNotIn("bulkhead diff", result.err)
        self.nothing_left()
        self.unchanged()

    def test_diff_shows_removals_first_and_texts(self):
        self.session("rm remove; sed -i s/two/TWO/ change; printf 'a\\0b' > binary; mv run.sh moved.sh; echo n > new")
        shown = self.ok(self.bulkhead("diff")).out
        self.assertLess(shown.index("removed  remove"), shown.index("changed  change"))
        self.assertLess(shown.index("changed  change"), shown.index("added    new"))
        self.assertIn("-two\n+TWO\n", shown)
        self.assertIn("binary", shown)
        self.assertIn("run.sh, now moved.sh", shown)
        self.assertNotIn("\x1b", shown)
        brief = self.ok(self.bulkhead("diff", "--stat")).out
        self.assertNotIn("TWO", brief)
        self.assertIn("changed  change  +1 -1", brief)
        only = self.ok(self.bulkhead("diff", "new")).out
        self.assertIn("new", only)
        self.assertNotIn("remove", only)
        self.assertEqual(self.bulkhead("diff", "keep").out.count("\n"), 1)

    def test_names_and_texts_are_escaped(self):
        self.python(r'''
import os
open(b"bad\xff\nname", "w").write("x")
open("\x1b]52;c;aGk=\x07", "w").write("x")
open("\u202eevil", "w").write("y")
open("text", "w").write("plain\n\x1b]0;owned\x07 \u202e\n\ttab\n")
os.symlink("\x1b[2J", "l2")
''')
        shown = self.ok(self.bulkhead("diff"))
        for hostile in ("\x1b", "\x07", "\u202e"):
            self.assertNotIn(hostile, shown.out + shown.err)
        self.assertIn("\\x1b]0;owned", shown.out)
        self.assertIn("+\ttab", shown.out)
        found = [c for c in json.loads(self.bulkhead("diff", "--json").out)["changes"] if "path_hex" in c]
        self.assertEqual([bytes.fromhex(c["path_hex"]) for c in found], [b"bad\xff\nname"])
        applied = self.ok(self.bulkhead("apply"))
        self.assertNotIn("\x1b", applied.out + applied.err)
        self.assertIn(b"bad\xff\nname", os.listdir(os.fsencode(self.work)))
        self.assertEqual(os.readlink(self.at("l2")), "\x1b[2J")

    def test_a_name_is_never_an_option(self):
        self.session("echo x > --output=change; echo y > -rf; echo z >> -- keep")
        self.ok(self.bulkhead("diff"))
        self.ok(self.bulkhead("apply", "--", "-rf"))
        self.assertEqual(self.read("work/-rf"), "y\n")
        self.assertFalse(os.path.exists(self.at("--output=change")))

    def test_part_of_it(self):
        self.session(self.EVERYTHING)
        self.ok(self.bulkhead("apply", "change", "tree/in/x"))
        self.assertEqual(self.read("work/change"), "changed\n")
        self.assertEqual(self.read("work/tree/in/x"), "x\n")
        self.assertTrue(os.path.exists(self.at("remove")))
        self.assertFalse(os.path.exists(self.at("new")))
        left = self.changes()
        self.assertNotIn("change", left)
        self.assertNotIn("tree/in/x", left)
        # What was applied is the host's own by now.
        self.write("work/change", "the host goes on\n")
        self.assertNotIn("change", self.changes())
        self.ok(self.bulkhead("apply", "--no-deletes"))
        self.assertEqual(self.read("work/new"), "new\n")
        self.assertTrue(os.path.exists(self.at("src/deep/b.c")))
        self.assertEqual(self.read("work/change"), "the host goes on\n")
        self.assertEqual({c["kind"] for c in self.changes().values()} - {"touched"}, {"removed"})
        self.ok(self.bulkhead("apply"))
        self.assertFalse(os.path.exists(self.at("src")))
        self.nothing_left()
        wrong = self.bulkhead("apply", "nowhere")
        self.assertEqual(wrong.status, 1)

    def test_parts_of_a_folder_that_the_session_made(self):
        self.session("mkdir -p d/e; echo 1 > d/e/one; echo 2 > d/e/two; echo 3 > d/three; rm -r src; mkdir src; echo n > src/n")
        self.ok(self.bulkhead("apply", "d/e/one"))
        self.write("work/d/e/mine", "the host's own\n")
        self.assertNotIn("d/e/mine", self.changes())
        self.ok(self.bulkhead("apply", "d"))
        self.assertEqual(sorted(os.listdir(self.at("d/e"))), ["mine", "one", "two"])
        self.ok(self.bulkhead("apply"))
        self.assertEqual(os.listdir(self.at("src")), ["n"])
        self.nothing_left()

    def test_a_path_that_did_not_change_is_said(self):
        self.session("echo x > new")
        wrong = self.bulkhead("apply", "keep")
        self.assertEqual(wrong.status, 1)
        self.assertIn("nothing has changed at", wrong.err)
        outside = self.bulkhead("apply", "../home")
        self.assertEqual(outside.status, 1)
        self.unchanged()

    def test_discard(self):
        self.session(self.EVERYTHING)
        asked = self.bulkhead("discard")
        self.assertEqual(asked.status, 1)
        self.assertIn("--yes", asked.err)
        self.assertEqual(len(self.reviews()), 1)
        self.ok(self.bulkhead("discard", "--yes"))
        self.nothing_left()
        self.unchanged()
        self.assertEqual(len(self.events("review.discard")), 1)

    def test_files_and_folders_take_each_others_place(self):
        self.session("rm -r src; echo now a file > src; rm keep; mkdir keep; echo in > keep/in; "
                     "rm -r link; mkdir link; rm change; ln -s nowhere change")
        self.ok(self.bulkhead("apply"))
        self.assertEqual(self.read("work/src"), "now a file\n")
        self.assertEqual(self.read("work/keep/in"), "in\n")
        self.assertTrue(os.path.isdir(self.at("link")) and not os.path.islink(self.at("link")))
        self.assertEqual(os.readlink(self.at("change")), "nowhere")
        self.nothing_left()

    def test_a_folder_made_anew_loses_what_was_in_it(self):
        self.session("rm -r src; mkdir src; echo fresh > src/c.c; echo 'int a;' > src/a.c")
        changes = self.changes()
        self.assertEqual(changes["src/deep/b.c"]["kind"], "removed")
        self.ok(self.bulkhead("apply"))
        self.assertEqual(sorted(os.listdir(self.at("src"))), ["a.c", "c.c"])

    def test_folders_that_their_owner_may_not_write(self):
        os.chmod(self.at("src/deep"), 0o555)
        self.write("work/ro/x", "x\n")
        self.write("work/ro/y", "y\n")
        os.chmod(self.at("ro"), 0o555)
        time.sleep(0.02)
        self.session("chmod -R u+w src ro; rm -r src; rm ro/x; echo more >> ro/y; chmod 555 ro; "
                     "mkdir -p made/in; echo m > made/in/m; chmod 555 made/in made")
        self.ok(self.bulkhead("apply"))
        self.assertFalse(os.path.exists(self.at("src")))
        self.assertEqual(sorted(os.listdir(self.at("ro"))), ["y"])
        self.assertEqual(self.read("work/ro/y"), "y\nmore\n")
        self.assertEqual(self.read("work/made/in/m"), "m\n")
        for path in ("ro", "made", "made/in"):
            self.assertEqual(stat.S_IMODE(os.stat(self.at(path)).st_mode), 0o555, path)
            os.chmod(self.at(path), 0o755)
        self.nothing_left()

    def test_everyday_tools_work_inside(self):
        subprocess.run(["git", "-c", "init.defaultBranch=main", "init", "-q", self.work], check=True, env=self.environment())
        self.session("""set -e
git config user.email a@b; git config user.name n; git add -A; git commit -qm one
git checkout -qb topic; sed -i s/one/ONE/ change; git commit -qam two; git checkout -q -; git merge -q topic; git gc -q
printf 'all: out\\nout: change\\n\\tcp change out\\n' > Makefile; make -s
tar cf t.tar src; mkdir u; tar xf t.tar -C u; mv u v; cp -a v w; rm -rf v
python3 -c "
import sqlite3, mmap
db = sqlite3.connect('db'); db.execute('create table t (x)'); db.execute('insert into t values (1)'); db.commit(); db.close()
f = open('keep', 'r+b'); m = mmap.mmap(f.fileno(), 0); m[0:2] = b'AS'; m.flush()
"
git fsck 2>&1; git log --oneline | wc -l""")
        self.assertFalse(os.path.exists(self.at("Makefile")))
        self.assertEqual(self.read("work/keep"), "as it was\n")
        self.ok(self.bulkhead("apply", "--yes-to", "Makefile"))
        log = subprocess.run(["git", "-C", self.work, "-c", "safe.directory=*", "log", "--oneline"], check=True,
                             capture_output=True, text=True, env=self.environment()).stdout
        self.assertEqual(log.count("\n"), 2)
        self.assertEqual(self.read("work/keep"), "AS it was\n")
        self.assertEqual(self.read("work/w/src/deep/b.c"), "int b;\n")
        status = subprocess.run(["git", "-C", self.work, "-c", "safe.directory=*", "fsck"], capture_output=True, text=True)
        self.assertEqual(status.returncode, 0, status)
        self.nothing_left()

    def test_evidence(self):
        result = self.session("echo x > new")
        review = self.reviews()[0]
        opened = self.events("review.open")
        self.assertEqual([(e["review"], e["folder"]) for e in opened], [(review["id"], os.path.realpath(self.work))])
        self.ok(self.bulkhead("apply"))
        applied = self.events("review.apply")
        self.assertEqual([e["result"] for e in sorted(applied, key=lambda e: e["seq"])], ["begun", "done"])
        self.assertEqual({e["review"] for e in applied}, {review["id"]})
        self.assertIn("added new", applied[0].get("changes", []) + applied[1].get("changes", []))
        self.assertEqual({e["source"] for e in applied}, {"review"})
        self.assertIn(review["id"], result.err)

    def test_sparse_and_large_files(self):
        self.python("""
f = open('sparse', 'wb'); f.truncate(1 << 40); f.seek(1 << 30); f.write(b'in the middle'); f.close()
f = open('large', 'wb'); f.write(b'0123456789' * 1000000); f.close()
""")
        self.ok(self.bulkhead("diff"))
        self.ok(self.bulkhead("apply"))
        st = os.stat(self.at("sparse"))
        self.assertEqual(st.st_size, 1 << 40)
        self.assertLess(st.st_blocks * 512, 1 << 20)
        with open(self.at("sparse"), "rb") as file:
            file.seek(1 << 30)
            self.assertEqual(file.read(13), b"in the middle")
        self.assertEqual(os.stat(self.at("large")).st_size, 10_000_000)

    def test_what_the_hosts_file_had_beside_its_content_stays(self):
        try:
            os.setxattr(self.at("change"), "user.mine", b"kept")
        except OSError:
            self.skipTest("no extended attributes here")
        self.python("import os; open('change', 'w').write('x'); os.setxattr('new' if 0 else 'keep', 'user.theirs', b'x')")
        self.ok(self.bulkhead("apply"))
        self.assertEqual(os.getxattr(self.at("change"), "user.mine"), b"kept")
        self.assertEqual(os.listxattr(self.at("keep")), [])


class Conflicts(ReviewCase):
    def conflict(self, script, meanwhile, path):
        self.session(script)
        time.sleep(0.02)
        meanwhile()
        host = snapshot(self.work)
        self.assertIn("conflict", self.changes()[path], self.changes())
        result = self.bulkhead("apply")
        self.assertEqual(result.status, 1, result)
        self.assertIn(os.path.basename(path), result.err)
        self.assertEqual(snapshot(self.work), host, "something was applied")
        return host

    def test_the_hosts_file_changed(self):
        self.conflict("echo inside > change; echo n > new", lambda: self.write("work/change", "outside\n"), "change")
        self.ok(self.bulkhead("apply", "--skip-conflicts"))
        self.assertEqual(self.read("work/change"), "outside\n")
        self.assertEqual(self.read("work/new"), "n\n")
        self.assertEqual(list(self.changes()), ["change"])
        last = self.bulkhead("apply", "--skip-conflicts")
        self.assertEqual(last.status, 1)
        self.assertIn("discard", last.err)

    def test_same_size_and_time(self):
        """A change that hides in the file's own times."""
        def hide():
            st = os.stat(self.at("change"))
            self.write("work/change", "ONE\ntwo\nthree\n")
            os.utime(self.at("change"), ns=(st.st_atime_ns, st.st_mtime_ns))
        self.conflict("echo inside > change", hide, "change")

    def test_the_hosts_file_is_another(self):
        def swap():
            os.rename(self.at("change"), self.at("moved"))
            self.write("work/other", "one\ntwo\nthree\n")
            os.rename(self.at("other"), self.at("change"))
        self.conflict("echo inside > change", swap, "change")

    def test_the_hosts_file_went(self):
        self.conflict("echo inside > change", lambda: os.unlink(self.at("change")), "change")

    def test_the_host_has_one_of_its_own_by_now(self):
        self.conflict("echo inside > new", lambda: self.write("work/new", "outside\n"), "new")
        self.ok(self.bulkhead("discard", "--yes"))
        self.assertEqual(self.read("work/new"), "outside\n")

    def test_what_was_removed_changed(self):
        self.conflict("rm remove", lambda: self.write("work/remove", "better\n"), "remove")

    def test_something_came_into_a_removed_folder(self):
        self.conflict("rm -r src", lambda: self.write("work/src/deep/fresh.c", "int fresh;\n"), "src/deep/fresh.c")
        self.ok(self.bulkhead("apply", "--skip-conflicts"))
        self.assertEqual(self.read("work/src/deep/fresh.c"), "int fresh;\n")
        self.assertFalse(os.path.exists(self.at("src/a.c")))
        self.assertFalse(os.path.exists(self.at("src/deep/b.c")))

    def test_the_folder_was_moved(self):
        self.conflict("echo inside > src/deep/b.c; echo n > src/deep/new",
                      lambda: os.rename(self.at("src/deep"), self.at("src/away")), "src/deep/new")

    def test_another_folder_stands_there(self):
        def swap():
            os.rename(self.at("src/deep"), self.at("src/away"))
            self.write("work/src/deep/b.c", "int other;\n")
        self.conflict("echo inside > src/deep/b.c; echo n > src/deep/new", swap, "src/deep/new")

    def test_while_the_session_runs(self):
        child = self.start_inside(["/bin/sh", "-c", "echo inside > change; echo up > up; sleep 60"], REVIEW)
        self.wait_until(lambda: self.reviews() and "up" in self.changes(), what="the workload writes")
        self.write("work/change", "outside\n")
        self.assertFalse(os.path.exists(self.at("up")))
        self.assertIn("conflict", self.changes()["change"])
        refused = self.bulkhead("apply")
        self.assertEqual(refused.status, 1)
        self.assertIn("in use", refused.err)
        self.assertEqual(self.bulkhead("discard", "--yes").status, 1)
        self.ok(self.bulkhead("stop", "--all"))
        child.wait(10)
        self.assertIn("conflict", self.changes()["change"])
        self.assertEqual(self.bulkhead("apply").status, 1)
        self.assertEqual(self.read("work/change"), "outside\n")

    def test_the_same_on_both_sides_is_no_conflict(self):
        self.session("rm remove; echo x > new")
        os.unlink(self.at("remove"))
        self.assertEqual([p for p, c in self.changes().items() if c["kind"] != "touched"], ["new"])
        self.ok(self.bulkhead("apply"))
        self.nothing_left()

    def test_the_reviewed_folder_itself_was_moved(self):
        self.session("echo x > new")
        os.rename(self.work, self.work + "2")
        os.mkdir(self.work)
        result = self.bulkhead("apply")
        self.assertEqual(result.status, 1)
        self.assertIn("moved or replaced", result.err)
        os.rmdir(self.work)
        os.rename(self.work + "2", self.work)
        self.ok(self.bulkhead("apply"))


class Hostile(ReviewCase):
    """What a workload could leave in the layer for the host to fall over."""

    def test_X01_links_out_of_the_folder_are_not_followed(self):
        secret = os.path.join(self.home, ".ssh/id_ed25519")
        result = self.session(f"ln -s {self.home}/.ssh out; ln -s {secret} key; cat key out/id_ed25519 2>&1; echo x > key; true")
        self.assertNotIn("planted", result.out)
        before = snapshot(self.home, times=False)
        shown = self.ok(self.bulkhead("diff"))
        self.assertNotIn("planted", shown.out)
        self.assertIn("out ->", shown.out)
        self.ok(self.bulkhead("apply"))
        self.assertEqual(os.readlink(self.at("key")), secret)
        after = snapshot(self.home, times=False)
        self.assertEqual({k: v for k, v in after.items() if k.startswith(b"/.ssh")},
                         {k: v for k, v in before.items() if k.startswith(b"/.ssh")})

    def test_X01_a_folder_that_became_a_link_on_the_host(self):
        """The workload writes src/authorized_keys; before apply, the host's src is a link to ~/.ssh."""
        self.session("echo evil > src/authorized_keys; echo evil > src/a.c")
        os.rename(self.at("src"), self.at("old"))
        os.symlink(os.path.join(self.home, ".ssh"), self.at("src"))
        result = self.bulkhead("apply", "--skip-conflicts")
        self.assertEqual(os.listdir(os.path.join(self.home, ".ssh")), ["id_ed25519"], result)
        self.assertEqual(self.read("work/old/a.c"), "int a;\n")

    def test_X02_a_planted_link_is_not_followed_by_the_next_session(self):
        self.session("mkdir -p .git; ln -s ../../home/.ssh .git/hooks; ln -s ../home/.ssh d")
        self.ok(self.bulkhead("apply", "--yes-to", ".git/**"))
        result = self.session("cat .git/hooks/* d/* 2>&1; echo x > .git/hooks/pre-commit; mkdir e; true")
        self.assertNotIn("planted", result.out)
        self.assertEqual(os.listdir(os.path.join(self.home, ".ssh")), ["id_ed25519"])
        self.ok(self.bulkhead("apply"))
        self.assertEqual(os.listdir(os.path.join(self.home, ".ssh")), ["id_ed25519"])
        nested = self.inside(["true"], '[[mount]]\npath = "d"\nmode = "review"\n')
        self.assertEqual(os.listdir(os.path.join(self.home, ".ssh")), ["id_ed25519"], nested)

    def test_X07_special_files_and_bits_stay_behind(self):
        self.python("""
import os, socket, stat
os.mkfifo('fifo'); s = socket.socket(socket.AF_UNIX); s.bind('sock')
open('suid', 'w').write('#!/bin/sh\\n'); os.chmod('suid', 0o755); os.chmod('run.sh', 0o711)
os.link('keep', 'hard'); open('hard', 'a').write('more\\n')
os.mkdir('sgid')
try:
    os.mknod('device', stat.S_IFCHR | 0o666, os.makedev(1, 3)); print('device made')
except OSError: pass
try:
    os.mknod('white', stat.S_IFCHR, os.makedev(0, 0)); print('whiteout made')
except OSError: pass
""")
        # A session can't set these bits: what stands there came some other way.
        reviews = os.path.join(self.home, ".local/state/bulkhead/reviews")
        for name, mode in (("suid", 0o6755), ("run.sh", 0o4755), ("sgid", 0o2775)):
            for review in os.listdir(reviews):
                os.chmod(os.path.join(reviews, review, "layers/upper", name), mode)
        changes = self.changes()
        for name in ("fifo", "sock"):
            self.assertIn("refused", changes[name])
        shown = self.ok(self.bulkhead("apply"))
        for name in ("fifo", "sock", "device"):
            self.assertFalse(os.path.lexists(self.at(name)), shown)
        for name in ("suid", "run.sh", "sgid"):
            self.assertEqual(os.stat(self.at(name)).st_mode & 0o6000, 0, name)
        self.assertEqual(stat.S_IMODE(os.stat(self.at("suid")).st_mode), 0o755)
        self.assertIn("set-user-ID", shown.out)
        self.assertEqual(self.read("work/hard"), "as it was\nmore\n")
        self.assertEqual(self.read("work/keep"), "as it was\nmore\n")
        self.assertNotEqual(os.stat(self.at("hard")).st_ino, os.stat(self.at("keep")).st_ino)
        self.nothing_left()

    def test_X07_forged_marks_of_the_overlay(self):
        result = self.python("""
import os
os.mkdir('made')
for path in ('src', 'made', 'keep', '.'):
    for name in ('opaque', 'redirect', 'metacopy', 'whiteout', 'origin', 'impure', 'overlay.opaque'):
        try:
            os.setxattr(path, 'user.overlay.' + name, b'y'); print('set', path, name)
        except OSError: pass
    try:
        os.setxattr(path, 'trusted.overlay.opaque', b'y'); print('set trusted')
    except OSError: pass
open('made/x', 'w').write('x')
print(sorted(os.listdir('src')))
""")
        self.assertIn("['a.c', 'deep']", result.out)
        kinds = {p: c["kind"] for p, c in self.changes().items()}
        self.assertNotIn("removed", kinds.values(), result.out)
        self.ok(self.bulkhead("apply"))
        self.assertEqual(self.read("work/src/deep/b.c"), "int b;\n")
        self.assertEqual(self.read("work/keep"), "as it was\n")
        for path in ("src", "made", "keep"):
            self.assertEqual([n for n in os.listxattr(self.at(path)) if "overlay" in n], [])

    def test_what_cannot_be_read_is_kept_and_said(self):
        self.session("mkdir dark; echo x > dark/x; chmod 000 dark; echo secret > mute; chmod 000 mute; echo n > new")
        result = self.ok(self.bulkhead("apply"))
        self.assertEqual(self.read("work/new"), "n\n")
        if os.geteuid() != 0:
            self.assertIn("can't be read", result.err)
            self.assertEqual(len(self.reviews()), 1)
            self.ok(self.bulkhead("discard", "--yes"))
        else:
            os.chmod(self.at("dark"), 0o700)
        self.nothing_left()

    def test_a_very_deep_tree(self):
        self.python("""
import os
for i in range(1200):
    os.mkdir('d' * 10); os.chdir('d' * 10)
open('bottom', 'w').write('x')
""")
        shown = self.bulkhead("diff", "--stat")
        self.assertEqual(shown.status, 0, shown)
        self.bulkhead("apply")
        self.ok(self.bulkhead("discard", "--yes")) if self.reviews() else None
        self.nothing_left()

    def test_the_state_of_bulkhead_itself_is_no_review(self):
        for path in (os.path.join(self.home, ".local"), os.path.join(self.home, ".local/state/bulkhead")):
            os.makedirs(path, exist_ok=True)
            result = self.inside(["true"], f'[[mount]]\npath = "{path}"\nmode = "review"\n')
            self.assertEqual(result.status, 125)
            self.assertIn("own state", result.err)

    def test_a_file_is_no_review(self):
        result = self.inside(["true"], '[[mount]]\npath = "keep"\nmode = "review"\n')
        self.assertEqual(result.status, 125)
        self.assertIn("needs a folder", result.err)


class Mounts(ReviewCase):
    def test_nested_mounts(self):
        other = self.folder("other")
        self.write("other/o", "other\n")
        policy = (REVIEW + '[[mount]]\npath = "src"\nmode = "ro"\n' + '[[mount]]\npath = "src/deep"\nmode = "rw"\n' +
                  f'[[mount]]\npath = "{other}"\ntarget = "{self.work}/data"\nmode = "ro"\n')
        self.session("echo x > src/a.c; echo live > src/deep/live; echo x > data/x; cat data/o; echo n > new; true", policy)
        self.assertEqual(self.read("work/src/deep/live"), "live\n")  # rw is rw
        self.assertEqual(self.read("work/src/a.c"), "int a;\n")
        changes = {p for p, c in self.changes().items() if c["kind"] != "touched"}
        self.assertEqual(changes, {"new"})  # and the place where `data` stood is no change
        self.ok(self.bulkhead("apply"))
        self.assertFalse(os.path.exists(self.at("data")))
        self.nothing_left()

    def test_review_below_rw(self):
        policy = '[[mount]]\npath = "src"\nmode = "review"\n[[mount]]\npath = "."\nmode = "rw"\n'
        self.session("echo live > live; echo x > src/new; rm src/a.c", policy)
        self.assertEqual(self.read("work/live"), "live\n")
        self.assertTrue(os.path.exists(self.at("src/a.c")))
        self.assertFalse(os.path.exists(self.at("src/new")))
        self.ok(self.bulkhead("apply"))
        self.assertFalse(os.path.exists(self.at("src/a.c")))
        self.assertTrue(os.path.exists(self.at("src/new")))

    def test_two_sessions_have_a_review_each(self):
        first = self.start_inside(["/bin/sh", "-c", "echo 1 > first; sleep 60"], REVIEW)
        self.wait_until(lambda: self.reviews() and "first" in self.changes(), what="the workload writes")
        second = self.session("echo 2 > second; ls")
        self.assertIn("another session works on", second.err)
        self.assertNotIn("first", second.out)
        self.ok(self.bulkhead("stop", "--all"))
        first.wait(10)
        self.assertEqual(len(self.reviews()), 2)
        which = self.bulkhead("diff")
        self.assertEqual(which.status, 1)
        for review in self.reviews():
            self.assertIn(review["id"], which.err)
            self.ok(self.bulkhead("apply", review["id"]))
        self.assertEqual((self.read("work/first"), self.read("work/second")), ("1\n", "2\n"))
        self.nothing_left()

    def test_the_next_session_says_what_is_open(self):
        self.session("echo x > new")
        review = self.reviews()[0]["id"]
        again = self.session("ls; true")
        self.assertIn(f"bulkhead diff {review}", again.err)
        self.assertNotIn("new", again.out)
        self.assertEqual(len(self.reviews()), 1)

    def test_from_another_folder_by_id(self):
        self.session("echo x > new")
        review = self.reviews()[0]["id"]
        self.assertIn("new", self.ok(self.bulkhead("diff", review[:6], cwd=self.tmp)).out)
        self.ok(self.bulkhead("apply", review, cwd="/"))
        self.assertEqual(self.read("work/new"), "x\n")

    def test_another_file_system_below_is_refused(self):
        if os.geteuid() != 0:
            self.skipTest("only root can mount one here")
        command = self.lab.command(["unshare", "-m", "sh", "-c", f"mount -t tmpfs none {self.work}/src && exec \"$@\"", "sh",
                                    *self.bulkhead_command(["true"], REVIEW)], guard=False)
        result = subprocess.run(command, env=self.environment(), cwd=self.work, capture_output=True, text=True)
        self.assertEqual(result.returncode, 125, result)
        self.assertIn("another file system is mounted", result.stderr)

    def test_a_full_disk_takes_nothing(self):
        if os.geteuid() != 0:
            self.skipTest("only root can mount one here")
        disk = self.folder("disk")
        program = os.path.join(bin_folder(), "bulkhead")
        script = f"""set -e
mount -t tmpfs -o size=2m none {disk}; cd {disk}; echo one > a; echo two > b; mkdir d; echo three > d/c; sleep 0.05
{program} run -q --mount .:review -- sh -c 'head -c 1500000 /dev/urandom > big; head -c 1500000 /dev/urandom > big2; echo A > a; rm b; rm -r d'
find . -type f | sort | xargs md5sum > {self.tmp}/before
! {program} apply 2> {self.tmp}/said
find . -type f | sort | xargs md5sum > {self.tmp}/after; ls -A >> {self.tmp}/after; ls -A >> {self.tmp}/before
{program} apply big a d; ls -A > {self.tmp}/last; cat a >> {self.tmp}/last
"""
        result = subprocess.run(self.lab.command(["unshare", "-m", "sh", "-c", script], guard=False), env=self.environment(),
                                cwd=self.work, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result)
        self.assertIn("ENOSPC", self.read("said"))
        self.assertEqual(self.read("before"), self.read("after"))
        self.assertEqual(self.read("last"), "a\nb\nbig\nA\n")


if __name__ == "__main__":
    unittest.main()
