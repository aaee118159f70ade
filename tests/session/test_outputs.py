"""`[[input]]` and `[[output]]`: what a session gets to read, and what is collected of what it leaves."""
import os

from session import test_life
from support import Case

OUT = '[[output]]\npath = "./out"\nmax_size = "1MB"\nmax_files = 20\n'
DIRECT = OUT + "apply = true\n"
MARKER = "planted-marker-of-an-output-90c2"


class Outputs(Case):
    def out(self, *names):
        return os.path.join(self.work, "out", *names)

    def make(self, script, policy=OUT, **more):
        return self.inside(["/bin/sh", "-c", script], policy, **more)

    def test_it_is_empty_at_first_and_reviewed_at_the_end(self):
        self.write("work/out/old", "the host's\n")
        self.write("work/out/same", "before\n")
        result = self.ok(self.make("ls -A out; echo new > out/new; echo after > out/same; mkdir out/d; echo x > out/d/x; ls out"))
        self.assertEqual(result.out, "d\nnew\nsame\n")
        self.assertEqual(sorted(os.listdir(self.out())), ["old", "same"])
        self.assertEqual(self.read("work/out/same"), "before\n")
        diff = self.ok(self.bulkhead("diff", cwd=self.out()))
        self.assertIn("after", diff.out)
        self.ok(self.bulkhead("apply", cwd=self.out()))
        self.assertEqual(sorted(os.listdir(self.out())), ["d", "new", "old", "same"])
        self.assertEqual(self.read("work/out/same"), "after\n")
        self.assertEqual(self.read("work/out/d/x"), "x\n")

    def test_apply_lands_at_once(self):
        """The folder is made where it is missing; a command that fails leaves its output all the same."""
        result = self.make("echo one > out/one; echo two > out/two; exit 3", DIRECT)
        self.assertEqual(result.status, 3, result)
        self.assertEqual(sorted(os.listdir(self.out())), ["one", "two"])
        self.assertEqual(os.stat(self.out("one")).st_uid, os.geteuid())
        event = self.recorded("output.collected")[-1]
        self.assertEqual((event["result"], event["files"], event["bytes"]), ("done", 2, 8), event)
        self.assertEqual([e["result"] for e in self.recorded("review.apply")], ["begun", "done"])
        self.assertIn("output: 2 changes", result.err)
        self.assertNotIn("review", result.err)

    def test_nothing_written_is_nothing_left(self):
        result = self.ok(self.make("true"))
        self.assertNotIn("review", result.err)
        self.assertEqual(os.listdir(self.out()), [])

    def test_target(self):
        self.ok(self.make("ls -A /results; echo x > /results/x", DIRECT + 'target = "/results"\n'))
        self.assertEqual(self.read("work/out/x"), "x\n")

    def test_inputs(self):
        self.write("data.csv", "1,2\n")
        self.write("more/file", "as it was\n")
        policy = (f'[[input]]\npath = "{self.tmp}/data.csv"\ntarget = "/data/in.csv"\n'
                  f'[[input]]\npath = "{self.tmp}/more"\ntarget = "/data/more"\ncopy = true\n'
                  '[[input]]\npath = "/nowhere/at/all"\noptional = true\n')
        script = ("cat /data/in.csv /data/more/file; echo x > /data/in.csv; echo x > /data/more/file; touch /data/more/new; "
                  "rm -f /data/more/file; cat /data/more/file; ls /data/more")
        result = self.ok(self.make(script + "; true", policy))
        self.assertEqual(result.out, "1,2\nas it was\nas it was\nfile\n", result)
        self.assertEqual(self.read("data.csv") + self.read("more/file"), "1,2\nas it was\n")
        shown = self.ok(self.bulkhead("policy", "show", "--policy", self.policy(policy + DIRECT))).out
        self.assertIn("[[output]]", shown)
        again = self.ok(self.bulkhead("policy", "show", "--policy", self.write("again.toml", shown))).out
        self.assertEqual(sorted(line.split("#")[0] for line in again.splitlines() if line and line[0] != "#"),
                         sorted(line.split("#")[0] for line in shown.splitlines() if line and line[0] != "#"))

    def test_X27_links_and_special_files_stay_out(self):
        """No link is followed on the way out, whatever it leads to; no device, FIFO, socket; no sticky bit (the others can't be set inside)."""
        self.write("work/secret", "the host's\n", 0o644)
        script = (f"ln -s {self.home}/.ssh/id_ed25519 out/key; ln -s /etc out/etc; ln -s ../secret out/near; mkfifo out/fifo; "
                  "echo x > out/sticky; chmod 1755 out/sticky; mkdir out/d; chmod 1777 out/d; ln -s .. out/d/up; "
                  "echo x > out/closed; chmod 000 out/closed; mkdir out/shut; echo y > out/shut/y; chmod 000 out/shut; ls out | wc -l")
        result = self.ok(self.make(script, DIRECT))
        self.assertEqual(result.out.strip(), "8")
        # On gvisor a FIFO in a mount is the session's alone.
        self.assertIn(f"{4 if self.tier == 'gvisor' else 5} links or special files were left out", result.err)
        self.assertEqual(sorted(os.listdir(self.out())), ["closed", "d", "shut", "sticky"])
        self.assertEqual(os.listdir(self.out("d")), [])
        for name in ("sticky", "d", "closed", "shut"):
            self.assertEqual(os.lstat(self.out(name)).st_mode & 0o7000, 0, name)
        self.assertEqual(self.read("work/secret"), "the host's\n")

    def test_X27_a_link_on_the_host_is_not_written_through(self):
        """What the host has at an output's name is replaced, never followed."""
        self.write("target", "the host's\n")
        os.makedirs(self.out())
        os.symlink(os.path.join(self.tmp, "target"), self.out("file"))
        os.symlink(self.tmp, self.out("folder"))
        self.make("echo x > out/file; mkdir out/folder; echo x > out/folder/target", DIRECT)
        self.assertEqual(self.read("target"), "the host's\n")

    def test_X10_too_much_is_nothing(self):
        """More bytes, more files, or so much that it was full: a line, and nothing on the host or in a review."""
        fill = "head -c {} /dev/zero > out/big{}"
        for script, word in ((fill.format(1100000, ""), "larger than 1MB"), (fill.format(5000000, " 2>/dev/null"), "larger than 1MB"),
                             ("for i in 1 2 3; do " + fill.format(400000, "$i") + "; done", "larger than 1MB"),
                             ("for i in $(seq 25); do echo x > out/$i; done", "more than 20"),
                             ("for i in $(seq 99); do echo x > out/$i 2>/dev/null; done", "more than 20"),
                             ("truncate -s 3G out/sparse", "larger than 1MB"),
                             ("head -c 600000 /dev/zero > out/a; ln out/a out/b", "larger than 1MB")):
            result = self.make(f"echo first > out/first; {script}; true", DIRECT)
            self.assertEqual(result.status, 0, result)
            self.assertIn("nothing was collected", result.err)
            self.assertIn(word, result.err, script)
            self.assertEqual(os.listdir(self.out()), [], script)
            self.assertEqual(self.recorded("output.collected")[-1]["result"], "refused")
        self.assertNotIn("bulkhead diff", result.err)

    def test_X10_it_is_bounded_while_it_is_written(self):
        result = self.ok(self.make("head -c 50000000 /dev/zero > out/big; stat -c %s out/big; ls -l /dev/null > /dev/null", DIRECT))
        self.assertLess(int(result.out), 2 << 20)

    def test_X05_what_the_host_would_run_waits(self):
        """Applied at once is only what nobody has to be asked about."""
        result = self.ok(self.make("echo x > out/fine; mkdir out/.vscode; echo '{}' > out/.vscode/tasks.json; echo ls > out/.envrc", DIRECT))
        self.assertEqual(sorted(os.listdir(self.out())), ["fine"], result)
        self.assertIn("handoff", result.err)

    def test_what_changed_on_the_host_meanwhile_is_not_overwritten(self):
        self.write("work/out/same", "before\n")
        child = self.start_inside(["/bin/sh", "-c", "echo mine > out/same; echo other > out/other; echo up > up; while ! test -e go; do sleep 0.05; done"],
                                  DIRECT)
        self.wait_for_file("up")
        self.write("work/out/same", "the host's own\n")
        self.write("work/go", "now\n")
        _, err = child.communicate(timeout=30)
        self.assertEqual(child.returncode, 0, err)
        self.assertEqual(self.read("work/out/same"), "the host's own\n")
        self.assertFalse(os.path.exists(self.out("other")))
        self.assertIn(b"changed on the host meanwhile", err)

    def test_a_session_that_bulkhead_ended_leaves_none(self):
        result = self.make("echo x > out/x; exec sleep 30", DIRECT + '[limits]\nduration = "2s"\n')
        self.assertEqual(result.status, 125, result)
        self.assertEqual(os.listdir(self.out()), [])

    def test_X29_nothing_else_of_it_stays(self):
        """What is written to an output is memory until it is collected, and what was not is nowhere."""
        before = test_life.leftovers()
        mounted = test_life.mounts()
        child = self.start_inside(["/bin/sh", "-c", f"printf %s%s planted-marker- of-an-output-90c2 > out/x; echo up > up; while ! test -e go; do sleep 0.05; done; "
                                   "head -c 5000000 /dev/zero > out/big; exit 0"], DIRECT)
        self.wait_for_file("up")
        self.assertEqual(self.marked(), [])
        self.write("work/go", "now\n")
        _, err = child.communicate(timeout=30)
        self.assertIn(b"nothing was collected", err)
        self.assertEqual(self.marked(), [])
        test_life.nothing_new(self, before)
        self.assertEqual(test_life.mounts(), mounted)

    def marked(self):
        found = []
        for top in (self.tmp, "/dev/shm"):
            for folder, _, names in os.walk(top):
                for name in names:
                    path = os.path.join(folder, name)
                    try:
                        if os.path.isfile(path) and MARKER.encode() in open(path, "rb").read():
                            found.append(path)
                    except OSError:
                        continue
        return found
