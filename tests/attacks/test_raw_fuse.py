"""A machine whose kernel was taken over: what it says to the host's file server no kernel has looked at first
(tests/turned/raw_fuse.cc speaks FUSE over the virtio-fs device itself). Judged on the host, after each session."""
import os
import shutil
import stat

from support.case import BUILD
from attacks import test_turned_machine

FILES = 300  # of which each request that changes one has its own
MODES = {"shown": "ro", "free": "rw", "kept": "rw-no-delete", "guarded": "protect", "reviewed": "review"}


class RawFuse(test_turned_machine.TurnedMachine):
    # Those of the machine itself are run there.
    test_X26_modes_hold_against_root_of_the_machine = None
    test_X26_originals_are_kept_from_root_of_the_machine = None
    test_U01_root_of_the_machine_is_in_the_room = None
    test_X25_hostile_bytes_on_the_port = None

    def setUp(self):
        super().setUp()
        self.need_fuse()
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
                    with open(path, "rb") as file:
                        text = file.read()
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

    def test_X26_no_raw_request_gets_past_a_mounts_mode(self):
        before = {name: self.all_of(name) for name in (*MODES, "outside", "home")}
        result = self.speak("changes", os.path.join(self.tmp, "outside/secret"))
        print(result, self.said, len(self.report), len(self.seen))
        os.system(f"cp -a {self.tmp} /tmp/rf_last")
