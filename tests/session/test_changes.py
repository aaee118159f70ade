"""What happens to files in the mounts, in the session's record, as the host sees it; and X39: hiding from it."""
import os
import signal

from support import Case, procs
from support.case import BUILD
from support.tiers import on_tier

ON = "[evidence]\nfiles = true\n"


class Changes(Case):
    def changed(self, mount=None):
        """PATH, or FROM -> PATH: how, of that mount (default: the workspace)."""
        out = {}
        for event in self.recorded("file.changed"):
            self.assertEqual((event["source"], event["seen_by"]), ("changes", "host"))
            if event["mount"] == (mount or self.work):
                path = f"{event['from']} -> {event['path']}" if "from" in event else event["path"]
                out.setdefault(path, set()).update(event["how"])
        return out

    def sh(self, text, policy="", options=()):
        return self.ok(self.inside(["/bin/sh", "-c", text], ON + policy, options))

    def test_what_happens_to_files(self):
        os.makedirs(os.path.join(self.work, "deep/er"))
        for name in ("written", "gone", "moved", "deep/er/file", "only-read"):
            self.write("work/" + name, "x\n")
        self.sh("echo x > new; echo x >> written; rm gone; mv moved deep/there; echo x >> deep/er/file; cat only-read; "
                "mkdir -p made/below && echo x > made/below/file; ln -s /etc/passwd link; mv deep renamed; echo x > renamed/er/later")
        seen = self.changed()
        self.assertLessEqual({"create", "write"}, seen["new"])
        self.assertIn("write", seen["written"])
        self.assertEqual(seen["gone"], {"remove"})
        self.assertIn("move", seen["moved -> deep/there"])
        self.assertIn("write", seen["deep/er/file"])
        self.assertIn("create", seen["made"])
        self.assertIn("create", seen["made/below/file"])
        self.assertIn("create", seen["link"])
        self.assertIn("move", seen["deep -> renamed"])
        self.assertIn("create", seen["renamed/er/later"])
        self.assertNotIn("only-read", seen)
        self.assertEqual(self.recorded("file.unseen") + self.recorded("file.omitted"), [])

    def test_of_every_mode(self):
        folders = {mode: self.folder(mode) for mode in ("ro", "rw", "review", "rw-no-delete", "protected")}
        policy = ""
        for mode, path in folders.items():
            self.write(f"{mode}/file", "x\n")
            how = 'mode = "rw"\nprotect = true' if mode == "protected" else f'mode = "{mode}"'
            policy += f'[[mount]]\npath = "{path}"\n{how}\n'
        self.sh("".join(f"(echo x >> {path}/file; rm -f {path}/file; echo x > {path}/made) 2>/dev/null; " for path in folders.values()) + "true", policy)
        # What can't be changed was not, and what is held back is the review's to show.
        self.assertEqual((self.changed(folders["ro"]), self.changed(folders["review"])), ({}, {}))
        for mode in ("rw", "rw-no-delete", "protected"):
            seen = self.changed(folders[mode])
            self.assertIn("write", seen["file"], mode)
            # The original of what is removed is kept, elsewhere.
            self.assertLessEqual({"move_out", "remove"} & seen["file"], seen["file"], mode)
            self.assertTrue({"move_out", "remove"} & seen["file"], mode)
            self.assertIn("create", seen["made"], mode)

    def test_a_file_alone(self):
        path = self.write("alone", "x\n")
        self.sh(f"echo x >> {path}", f'[[mount]]\npath = "{path}"\nmode = "rw"\n')
        self.assertEqual({name: "write" in how for name, how in self.changed(path).items()}, {"": True})

    def test_live(self):
        child = self.start_inside(["/bin/sh", "-c", "echo x > first; while [ ! -e second ]; do sleep 0.1; done"], ON)
        self.wait_until(lambda: "first" in self.changed(), 120, "it is recorded while the session runs")
        self.write("work/second", "")
        self.assertEqual(child.wait(60), 0)

    def test_X39_names_that_hide_nothing(self):
        self.ok(self.inside(["python3", "-c", r"""
import os
for name in (b'line\n{"type":"session.end"}', b'bad-\xff\xfe', b'\x1b]52;c;eA==\x07', b'n' * 255):
    open(name, 'w').close()
"""], ON))
        seen = self.changed()
        for name in ('line\n{"type":"session.end"}', "bad-\ufffd\ufffd", "\x1b]52;c;eA==\x07", "n" * 255):
            self.assertIn(name, seen)
        self.assertEqual(len(self.recorded("session.end")), 1)

    def test_X39_folders_that_come_and_go(self):
        """Deep ones, made and filled at once, and moved while they are looked into."""
        self.ok(self.inside(["python3", "-c", """
import os
for i in range(50):
    os.makedirs(f"a{i}/b/c")
    open(f"a{i}/b/c/file", "w").close()
    os.rename(f"a{i}/b", f"b{i}")
    os.rename(f"a{i}", f"b{i}/c/a")
"""], ON))
        seen = self.changed()
        for i in range(50):
            # By the name that it had or the one that it has.
            self.assertTrue(f"a{i}/b/c/file" in seen or f"b{i}/c/file" in seen, i)

    def test_X39_who_sees_is_killed(self):
        child = self.start_inside(["/bin/sh", "-c", "echo up > up; while :; do echo x >> beat; sleep 0.1; done"], ON)
        self.wait_for_file("up", 120)
        everybody = [child.pid, *procs.descendants(child.pid)]
        who, = [p for p in everybody if procs.name(p) == "bulkhead-changes"[:15]]
        os.kill(who, signal.SIGKILL)
        _, err = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 125, err)
        self.assertIn(b"changes", err)
        self.wait_until(lambda: not [p for p in everybody if procs.alive(p)], 10, "everything is gone")

    def test_X39_nobody_who_sees(self):
        """A bulkhead-changes that does not get ready: nothing runs."""
        self.replace_part("bulkhead-changes", "/usr/bin/true")
        result = self.inside(["/bin/touch", "ran"], ON)
        self.assertEqual(result.status, 125, result)
        self.assertIn("changes", result.err)
        self.assertFalse(os.path.exists(os.path.join(self.work, "ran")))

    def test_X39_nothing_runs_before_all_is_watched(self):
        """One that lives and never says so: the start is given up after its thirty seconds."""
        self.replace_part("bulkhead-changes", "/usr/bin/yes")
        result = self.inside(["/bin/touch", "ran"], ON)
        self.assertEqual(result.status, 125, result)
        self.assertIn("did not start in time", result.err)
        self.assertFalse(os.path.exists(os.path.join(self.work, "ran")))

    def test_X39_a_record_that_is_not_finished(self):
        """It broke off, or nobody could wait for it any longer, when the command was over: the session says so."""
        for name, why in (("breaks-off", "changes"), ("never-ends", "could not be recorded in ten seconds")):
            with self.subTest(name):
                self.replace_part("bulkhead-changes", os.path.join(BUILD, f"turned/bulkhead-changes-{name}"))
                result = self.inside(["/bin/touch", f"ran-{name}"], ON)
                self.assertTrue(os.path.exists(os.path.join(self.work, f"ran-{name}")), result)
                self.assertEqual(result.status, 125, result)
                self.assertIn(why, result.err)
                self.assertIn(why, max(self.recorded("session.end"), key=lambda event: event["time"])["reason"])

    def test_by_itself_on_vm_alone(self):
        self.ok(self.inside(["/bin/sh", "-c", "echo x > made"]))
        self.assertEqual("made" in self.changed(), self.tier == "vm")
        if self.tier == "vm":
            self.ok(self.inside(["/bin/sh", "-c", "echo x > later"], "[evidence]\nfiles = false\n"))
            self.assertNotIn("later", self.changed())


some = ["test_what_happens_to_files", "test_X39_folders_that_come_and_go", "test_by_itself_on_vm_alone"]
GvisorChanges = on_tier("gvisor", Changes, some)
VmChanges = on_tier("vm", Changes, [*some, "test_of_every_mode"])
