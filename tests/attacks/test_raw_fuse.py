"""A machine whose kernel was taken over: what it says to the host's file server no kernel has looked at first
(tests/turned/raw_fuse.cc speaks FUSE over the virtio-fs device itself). Judged on the host, after each session."""
import os
import shutil
import stat

from support.case import BUILD, SECRETS
from support import procs
from attacks import test_turned_machine

FILES = 300  # of which each request that changes one has its own
MODES = {"shown": "ro", "free": "rw", "kept": "rw-no-delete", "guarded": "protect", "reviewed": "review"}
CONTROL = (".envrc", ".git/config", ".git/hooks/pre-commit", ".git/hooks/post-commit", "CLAUDE.md", ".EnvRc", ".GIT",
           "folder/.envrc", "second-name")  # those that are there, and those that must not come


class RawFuse(test_turned_machine.TurnedMachine):
    # Those of the machine itself are run there.
    test_X26_modes_hold_against_root_of_the_machine = None
    test_X26_originals_are_kept_from_root_of_the_machine = None
    test_U01_root_of_the_machine_is_in_the_room = None
    test_X25_hostile_bytes_on_the_port = None

    def setUp(self):
        super().setUp()
        self.need_fuse()
        self.report = []
        self.secret = os.urandom(16).hex()
        self.write("outside/secret", f"{self.secret}\n")
        os.chmod(os.path.join(self.tmp, "outside"), 0o755)
        self.proofs = {name: os.urandom(8).hex() for name in MODES}
        for name in MODES:
            self.plant(name)
        shutil.copy(os.path.join(BUILD, "turned/raw-fuse"), os.path.join(self.work, "raw-fuse"))

    def plant(self, name):
        top = self.folder(name)
        for number in range(FILES):
            self.write(f"{name}/f{number:03}", f"as it was in {name} f{number:03}\n")
        for other in MODES:
            self.write(f"{name}/cross-{other}", f"as it was in {name}, for {other}\n")
        self.write(f"{name}/folder/inner", self.proofs[name] + "\n")
        os.mkdir(os.path.join(top, "empty"))
        for path, text in {".envrc": "# trusted\n", ".git/HEAD": "ref: refs/heads/main\n", ".git/config": "[core]\n",
                           ".git/hooks/pre-commit": "#!/bin/sh\n"}.items():
            self.write(f"{name}/{path}", text)
        os.symlink(os.path.join(self.tmp, "outside/secret"), os.path.join(top, "link-file"))
        os.symlink(os.path.join(self.tmp, "outside"), os.path.join(top, "link-folder"))
        os.symlink("../outside/secret", os.path.join(top, "link-up"))

    def all_of(self, folder):
        """Every name below it, and all that it is on the host."""
        found = {}
        for top, folders, files in os.walk(os.path.join(self.tmp, folder)):
            for name in [".", *folders, *files]:
                path = os.path.normpath(os.path.join(top, name))
                about = os.lstat(path)
                text = None
                if stat.S_ISREG(about.st_mode):
                    if not about.st_mode & 0o400:
                        os.chmod(path, 0o400)
                    with open(path, "rb") as file:
                        text = file.read()
                    if not about.st_mode & 0o400:
                        os.chmod(path, stat.S_IMODE(about.st_mode))
                elif stat.S_ISLNK(about.st_mode):
                    text = os.readlink(path)
                found[os.path.relpath(path, self.tmp)] = (oct(about.st_mode), about.st_uid, about.st_gid, about.st_mtime_ns, text)
        return found

    def speak(self, kind, what, modes=MODES, policy=""):
        """A session whose machine says all of that. Its own words are in `self.report` and `self.seen`."""
        for name in ("report", "seen"):
            if os.path.exists(os.path.join(self.work, name)):
                os.remove(os.path.join(self.work, name))
        mounts = " ".join(f"{name}={os.path.join(self.tmp, name)}" for name in modes)
        options = [word for name, mode in modes.items() for word in ("--mount", f"{os.path.join(self.tmp, name)}:{mode}")]
        result = self.take_over(f"cp raw-fuse /tmp/raw-fuse && exec /tmp/raw-fuse {self.work} {kind} {what} {mounts}\n",
                                policy, options)
        with open(os.path.join(self.work, "report"), errors="replace") if os.path.exists(
                os.path.join(self.work, "report")) else open(os.devnull) as file:
            self.report = file.read().splitlines()
        seen = os.path.join(self.work, "seen")
        self.seen = b""
        if os.path.exists(seen):
            with open(seen, "rb") as file:
                self.seen = file.read()
        return result

    def holds_secret(self, folder):
        """Files below it in which the secret stands."""
        return [path for path, about in self.all_of(folder).items()
                if isinstance(about[-1], bytes) and self.secret.encode() in about[-1]]

    def test_X26_no_raw_request_gets_past_a_mounts_mode(self):
        self.change_everything("changes")

    def test_X26_nor_one_by_the_queue_for_what_is_urgent(self):
        """Which a kernel uses for FORGET alone."""
        self.change_everything("urgent")

    def change_everything(self, kind):
        before = {name: self.all_of(name) for name in (*MODES, "outside")}
        secrets = {name: self.read(os.path.join(self.home, name)) for name in SECRETS}
        result = self.speak(kind, os.path.join(self.tmp, "outside/secret"))
        after = {name: self.all_of(name) for name in before}

        # They did arrive: what was read is what stands on the host, and what was written stands there.
        self.assertEqual(self.report[-1:], ["all"], result)
        self.assertRegex(result.err, r"(?m)^bulkhead: the vm tier ended before the command did \(.*the virtual machine ended")
        for name, proof in self.proofs.items():
            self.assertIn(f"{name} reads {proof}", self.report)
            self.assertIn(proof.encode(), self.seen)
        for name in ("free", "kept", "guarded"):
            self.assertEqual(after[name][f"{name}/made-2"][-1], b"changed")
            self.assertNotEqual({k: v for k, v in after[name].items() if k in before[name]}, before[name])

        # Nothing outside the mounts was read or changed, however high it climbed.
        self.assertEqual([line for line in self.report if "secret's place" in line], [])
        self.assertEqual({line.split(" top: ")[0]: sorted(line.split(" top: ")[1].split()) for line in self.report
                          if " top: " in line}, dict.fromkeys([*MODES, "all"], [".", "..", "files", "mounts", "root", "system"]))
        self.assertNotIn(self.secret.encode(), self.seen)
        for name in (*MODES, "work", "home"):
            self.assertEqual(self.holds_secret(name), [])
        self.assertEqual(after["outside"], before["outside"])
        self.assertEqual({name: self.read(os.path.join(self.home, name)) for name in SECRETS}, secrets)

        # ro, and review until it is applied.
        self.assertEqual(after["shown"], before["shown"])
        self.assertEqual(after["reviewed"], before["reviewed"])
        (review,) = os.listdir(os.path.join(self.home, ".local/state/bulkhead/reviews"))
        self.assertIn("made-2", self.ok(self.bulkhead("diff", review)).out)

        # Control files, of both modes that protect them.
        for name in ("guarded", "kept"):
            for path in CONTROL:
                self.assertEqual(after[name].get(f"{name}/{path}"), before[name].get(f"{name}/{path}"), path)

        # Nobody else's, and nothing that gives whoever runs it somebody's rights.
        for name in MODES:
            owner = before[name][name][1:3]
            for path, (mode, uid, gid, *_) in after[name].items():
                self.assertEqual((uid, gid), owner, path)
                self.assertFalse(int(mode, 8) & (stat.S_ISUID | (0 if os.geteuid() else stat.S_ISGID)), f"{path}: {mode}")
                self.assertFalse(stat.S_ISBLK(int(mode, 8)), path)
                if stat.S_ISCHR(int(mode, 8)):  # an overlay's sign for "removed", which anybody can make and opens nothing
                    self.assertEqual(os.lstat(os.path.join(self.tmp, path)).st_rdev, 0, path)

        # rw-no-delete: all of it comes back.
        self.ok(self.bulkhead("restore", "--all", cwd=os.path.join(self.tmp, "kept")))
        restored = self.all_of("kept")
        for path, about in before["kept"].items():
            folder = stat.S_ISDIR(int(about[0], 8))  # its time may be that of bringing back what is in it
            self.assertEqual(restored.get(path, ())[:3 if folder else None], about[:3 if folder else None], path)

    def test_X25_what_ends_the_file_server_ends_its_session_alone(self):
        """Chains that make no sense, counts below zero, a protocol that begins twice: some end virtiofsd. Then the session
        ends and says so, what it could not change is unchanged, and nobody else notices."""
        bystander = self.start_inside(["/bin/sh", "-c", "echo up > up-too; sleep 600"], options=["--tier", "native"])
        self.wait_for_file("up-too")
        others = set(procs.with_text(self.tmp))
        modes = {"shown": "ro", "guarded": "protect"}
        before = {name: self.all_of(name) for name in (*modes, "outside")}
        first, sessions, silent, ended, came = 0, 0, 0, [], []
        while self.report[-1:] != ["all"]:
            result = self.speak("ends", first, modes)
            came += [line for line in self.report if line.endswith("came through")]
            begun = [line for line in self.report if " begins: " in line]
            if not begun and self.report[-1:] != ["all"]:
                # A machine too busy to do its part says nothing about the boundary; one that never does fails.
                silent += 1
                self.assertLess(silent, 3, f"{self.said}\n{self.report}\n{result}")
                continue
            if self.report[-1:] != ["all"]:
                ended.append(begun[-1])
                first = int(begun[-1].split()[0]) + 1
            self.assertEqual(result.status, 125, result)
            self.assertRegex(result.err, r"(?m)^bulkhead: the vm tier ended before the command did \(.*(virtiofsd|virtual machine) ended", result)
            self.assertEqual(set(procs.with_text(self.tmp)) - others, set())
            sessions += 1
            ends = [event for event in self.recorded("session.end") if "vm tier ended" in event["reason"]]
            self.assertIn(len(ends), range(sessions, sessions + silent + 1))
            self.assertNotIn(self.secret.encode(), self.seen)
            self.assertEqual({name: self.all_of(name) for name in ("shown", "outside")},
                             {name: before[name] for name in ("shown", "outside")})
            for path in CONTROL:
                self.assertEqual(self.all_of("guarded").get(f"guarded/{path}"), before["guarded"].get(f"guarded/{path}"), path)
        self.assertTrue(came and ended, "nothing arrived, or nothing that this is about")
        self.assertIsNone(bystander.poll())
        bystander.terminate()
