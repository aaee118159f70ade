"""Mode review when something dies: the session, `apply` before each of its system calls, and recovery itself."""
import json
import os
import shutil
import signal
import subprocess
import time

from support import bin_folder, traced

from .test_review import REVIEW, ReviewCase, snapshot

PROGRAM = os.path.join(bin_folder(), "bulkhead")
# Opening alone changes nothing; what it makes is seen by what follows.
KINDS = {"pwrite64", "fsync", "ftruncate", "fchmod", "fchown", "mkdirat", "fchownat", "unlinkat", "renameat",
         "symlinkat", "fchmodat", "chmod", "utimensat", "syncfs", "renameat2", "write", "sendmsg"}


class Killed(ReviewCase):
    SCRIPT = ("echo changed > change; rm remove; echo new > new; chmod 700 run.sh; rm -r src; mkdir -p tree/in; "
              "echo x > tree/in/x; ln -sfn change link; touch -d 2001-02-03 keep; mkdir src; echo c > src/c.c; "
              "mkdir ro; echo r > ro/r; chmod 555 ro; chmod u+w shut; echo s > shut/s; rm shut/t; chmod 555 shut")

    def fill(self):
        super().fill()
        self.write("work/shut/t", "t\n")
        os.chmod(self.at("shut"), 0o555)

    def test_killed_sessions_keep_what_they_wrote(self):
        child = self.start_inside(["/bin/sh", "-c", "echo x > new; rm remove; echo up > up; sleep 60"], REVIEW)
        self.wait_until(lambda: self.reviews() and "up" in self.changes(), what="the workload writes")
        session = json.loads(self.bulkhead("ps", "--json").out)[0]
        os.kill(session["pid"], signal.SIGKILL)
        child.wait(10)
        self.unchanged()
        self.wait_until(lambda: not self.reviews()[0]["in_use"], what="the lock is free")
        self.assertEqual({p for p, c in self.changes().items() if c["kind"] != "touched"}, {"new", "up", "remove"})
        again = self.session("true")
        self.assertIn("still open", again.err)
        self.ok(self.bulkhead("apply"))
        self.assertTrue(os.path.exists(self.at("new")))
        self.assertFalse(os.path.exists(self.at("remove")))
        self.nothing_left()

    def keep(self):
        """Puts the review and the folder aside as they are."""
        self.state = os.path.join(self.home, ".local/state/bulkhead")
        subprocess.run(["cp", "-a", self.state, os.path.join(self.tmp, "state.kept")], check=True)
        subprocess.run(["cp", "-a", self.work, os.path.join(self.tmp, "work.kept")], check=True)

    def put_back(self):
        subprocess.run(["chmod", "-R", "u+w", self.work, self.state], check=True)
        shutil.rmtree(self.state)
        subprocess.run(["cp", "-a", os.path.join(self.tmp, "state.kept"), self.state], check=True)
        for name in os.listdir(self.work):
            path = self.at(name)
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        subprocess.run(["cp", "-a", os.path.join(self.tmp, "work.kept") + "/.", self.work], check=True)
        # The copies are new files: as if the session had only just begun.
        time.sleep(0.012)
        folder = os.path.join(self.state, "reviews")
        folder = os.path.join(folder, os.listdir(folder)[0])
        os.unlink(os.path.join(folder, "base.json"))
        with open(os.path.join(folder, "review.json")) as file:
            review = json.load(file)
        now = time.time_ns()
        review["since"] = [now // 10**9, now % 10**9]
        with open(os.path.join(folder, "review.json"), "w") as file:
            json.dump(review, file)

    def test_apply_killed_before_each_system_call_leaves_the_old_or_the_new(self):
        self.session(self.SCRIPT)
        self.keep()
        self.put_back()
        env = self.environment()
        status, names = traced.run([PROGRAM, "apply"], env, self.work, kinds=KINDS)
        self.assertEqual(status, 0)
        after = snapshot(self.work)
        self.assertNotEqual(after, self.before)
        outcomes = {"old": 0, "new": 0}
        for at in range(len(names)):
            self.put_back()
            status, _ = traced.run([PROGRAM, "apply"], env, self.work, kill_at=at, kinds=KINDS)
            self.assertTrue(os.WIFSIGNALED(status), f"call {at} ({names[at]}): status {status}")
            self.bulkhead("diff")  # meets it, and finishes it or takes it back
            now = snapshot(self.work)
            where = f"killed before call {at} of {len(names)}, {names[at]}"
            self.assertIn(now, (self.before, after), where)
            outcomes["new" if now == after else "old"] += 1
            if now == self.before and at % 4 == 0:
                self.ok(self.bulkhead("apply"))
                self.assertEqual(snapshot(self.work), after, where)
            left = os.listdir(os.path.join(self.state, "reviews"))
            self.assertEqual(len(left), int(snapshot(self.work) == self.before), where)
            self.assertEqual([n for n in os.listdir(self.work) if n.startswith(".bulkhead")], [], where)
        self.assertGreater(outcomes["old"], 5)
        self.assertGreater(outcomes["new"], 5)

    def test_recovery_killed_too(self):
        """Killed in the middle of the renames, then again at each step of the recovery."""
        self.session(self.SCRIPT)
        self.keep()
        self.put_back()
        env = self.environment()
        _, names = traced.run([PROGRAM, "apply"], env, self.work, kinds=KINDS)
        after = snapshot(self.work)
        renames = [i for i, name in enumerate(names) if name == "renameat2"]
        middle = renames[len(renames) // 2]
        self.put_back()
        traced.run([PROGRAM, "apply"], env, self.work, kill_at=middle, kinds=KINDS)
        _, names = traced.run([PROGRAM, "diff"], env, self.work, kinds=KINDS)
        for at in range(len(names)):
            self.put_back()
            traced.run([PROGRAM, "apply"], env, self.work, kill_at=middle, kinds=KINDS)
            traced.run([PROGRAM, "diff"], env, self.work, kill_at=at, kinds=KINDS)
            self.bulkhead("diff")
            now = snapshot(self.work)
            self.assertIn(now, (self.before, after), f"recovery killed before {at}, {names[at]}")
            if now == self.before:
                self.ok(self.bulkhead("apply"))
            self.assertEqual(snapshot(self.work), after)
            self.nothing_left()

    def test_the_host_changes_between_crash_and_recovery(self):
        """What was renamed is taken back where the rest can't be done any more; what the host made stays."""
        self.session(self.SCRIPT)
        self.keep()
        self.put_back()
        env = self.environment()
        _, names = traced.run([PROGRAM, "apply"], env, self.work, kinds=KINDS)
        renames = [i for i, name in enumerate(names) if name == "renameat2"]
        self.put_back()
        traced.run([PROGRAM, "apply"], env, self.work, kill_at=renames[4], kinds=KINDS)
        time.sleep(0.02)
        self.write("work/new", "the host's own\n")
        self.write("work/tree", "the host's own\n")
        result = self.bulkhead("diff")
        self.assertEqual(result.status, 1, result)
        now = snapshot(self.work)
        for path, what in self.before.items():
            self.assertEqual(now.get(path), what, path)
        self.assertEqual(self.read("work/new"), "the host's own\n")
        self.assertEqual(set(now) - set(self.before), {b"/new", b"/tree"})
        self.assertIn("conflict", self.changes()["new"])
        self.assertIn("new", self.changes())
