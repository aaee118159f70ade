"""Control files in live folders: a session can't make, change, move or remove what the host's tools run or obey.

BULKHEAD_PROTECT_OFF=1 runs them with mode `rw` alone: then those that name an attack fail.
"""
import json
import os
import subprocess
import time

from support import Case

OFF = bool(os.environ.get("BULKHEAD_PROTECT_OFF"))
WAYS = {"protect": '[[mount]]\npath = "."\nmode = "rw"\nprotect = true\n', "rw-no-delete": '[[mount]]\npath = "."\nmode = "rw-no-delete"\n'}
if OFF:
    WAYS = {"rw": '[[mount]]\npath = "."\nmode = "rw"\n'}
POLICY = next(iter(WAYS.values()))


def tree(top):
    """Every name below a folder, and what is in the files."""
    found = {}
    for folder, names, files in os.walk(top):
        for name in names + files:
            path = os.path.join(folder, name)
            kind = os.readlink(path) if os.path.islink(path) else "folder" if os.path.isdir(path) else open(path, "rb").read()
            found[os.path.relpath(path, top)] = kind
    return found


class Protect(Case):
    def setUp(self):
        super().setUp()
        self.need_fuse()

    def sh(self, script, policy=POLICY, **keywords):
        return self.inside(["/bin/bash", "-c", script], policy, **keywords)

    def git(self, *words, cwd=None):
        return self.ok(self.outside(["git", "-c", "safe.directory=*", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=cwd))

    def plant(self):
        self.git("init", "-q")
        self.write("work/.envrc", "export A=1\n")
        self.write("work/d/CLAUDE.md", "words\n")
        self.write("work/d/f", "plain\n")
        self.write("work/x/hooks/pre-commit", "#!/bin/sh\n", 0o755)
        self.write("work/a/settings.json", "{}\n")
        os.link(os.path.join(self.work, ".envrc"), os.path.join(self.work, "second-name"))
        self.git("init", "-q", "--bare", "bare")

    def control_files(self):
        return {path: what for path, what in tree(self.work).items()
                if any(part in path for part in (".envrc", "CLAUDE", "second-name", "/hooks", "config", ".claude", ".vscode", "settings"))}

    def test_X04_X05_everything_that_makes_or_changes_one(self):
        for name, policy in WAYS.items():
            for script in ("mv .git .g2; mkdir -p .git/hooks; echo x > .git/hooks/pre-commit",
                           "echo evil > .git/hooks/pre-commit; cp /bin/true .git/hooks/post-commit", "git config core.fsmonitor ./x",
                           "echo '[core]fsmonitor=./x' >> .git/config", "echo evil > .envrc", "truncate -s 0 .envrc", "rm -f .envrc",
                           "mv .envrc e", "mv second-name .envrc", "ln -f second-name .envrc", "ln -sf /tmp/x .envrc", "echo evil >> second-name",
                           "chmod 777 .envrc; touch -d 2001-01-01 .envrc; setfattr -n user.x -v y .envrc", "chmod 777 second-name",
                           "mkdir -p .vscode sub/.vscode; echo '{}' > .vscode/tasks.json; echo '{}' > sub/.vscode/tasks.json",
                           "mkdir .claude; echo '{}' > .claude/settings.json", "mv a .claude", "mkdir .claude; mv a/settings.json .claude/",
                           "ln -s a .claude", "mv d elsewhere", "mv x/hooks .git/hooks", "rm -r .git/hooks; mv x/hooks .git/hooks", "rm -rf .git; mv -T x .git",
                           "python3 -c 'import os, ctypes; ctypes.CDLL(None).renameat2(-100, b\"x\", -100, b\".git\", 2)'",
                           "mkdir n; cd n; git init -q .; echo evil > .git/hooks/post-checkout", "git clone -q . n; git clone -q bare n2",
                           "git worktree add -q w; echo 'gitdir: /tmp/x' > d/.git", "echo evil > bare/hooks/post-receive; git --git-dir bare config core.pager evil",
                           "mkdir -p r/objects r/refs r/hooks; echo x > r/hooks/post-commit; echo y > r/config; echo 'ref: refs/heads/m' > r/HEAD",
                           "echo evil > .EnvRc; echo evil > 'd/claude.MD'; echo evil > .envrc.; printf x > $'.en\\u200bvrc'",
                           "exec 5<.envrc; chmod 700 /proc/self/fd/5; echo x > /proc/self/fd/5",
                           "python3 -c 'import os, mmap; f = os.open(\".envrc\", os.O_RDWR); mmap.mmap(f, 0)[0] = 7'",
                           "echo x > sub.txt; dd if=sub.txt of=.mcp.json; tee CLAUDE.md < sub.txt; install -m 644 sub.txt AGENTS.md; mkfifo .exrc"):
                with self.subTest(name + ": " + script):
                    subprocess.run(["rm", "-rf", self.work], check=True)
                    self.folder("work")
                    self.plant()
                    before = self.control_files()
                    result = self.sh("umask 022; " + script, policy)
                    self.assertNotEqual(result.status, 125, result)
                    after = self.control_files()
                    made = {path for path in after if path not in before and after[path] != "folder"}
                    # What git made on the way to being refused acts on nothing without config and hooks.
                    made = {path for path in made if not path.endswith((".lock", ".sample"))
                            and (path.startswith(("r/", "n/", "n2/")) is False or os.path.exists(os.path.join(self.work, path.split("/")[0], "HEAD")))}
                    self.assertEqual(made, set(), result)
                    for path, what in before.items():
                        if what == "folder" or path.endswith(".sample"):
                            continue
                        self.assertEqual(after.get(path), what, f"{path}\n{result}")

    def test_git_itself_works(self):
        self.git("init", "-q")
        self.git("config", "user.name", "a")
        self.git("config", "user.email", "a@b")
        self.write("work/a", "one\n")
        for name, policy in WAYS.items():
            with self.subTest(name):
                script = """set -e
echo two >> a; git add a; git commit -qm one; echo $RANDOM >> a; git commit -qam two; git checkout -qb other$RANDOM HEAD~1; git checkout -q -
git stash list; git tag t$RANDOM; git gc -q --prune=now; git status --short; git log --oneline | wc -l; git merge -q @{-1} || true
git rebase -q HEAD~1; git reset -q --hard"""
                result = self.ok(self.sh(script, policy))
                self.assertNotIn("rror", result.err)
                if not OFF:
                    refused = self.sh("git config user.name x", policy)
                    self.assertIn("Read-only file system", refused.err)
                    cleanly = self.sh("git init -q nested", policy)
                    self.assertNotEqual(cleanly.status, 0)
                    self.assertIn("Read-only file system", cleanly.err)
                    self.assertFalse(os.path.exists(os.path.join(self.work, "nested/.git")))
        self.git("fsck", "--strict")

    def test_what_is_allowed(self):
        os.makedirs(os.path.join(self.work, ".github"))
        policy = POLICY + 'allow_control = [".github/hooks", ".envrc", ".git"]\n'
        self.ok(self.sh("mkdir .github/hooks && echo x > .github/hooks/y && echo z > .envrc && git init -q . && git config user.name x", policy))
        self.assertEqual(self.sh("echo x > .mcp.json", policy).status, 1)
        self.assertIn("allow_control", self.sh("true", POLICY + 'allow_control = ["../x"]\n').err)

    def test_X33_whatever_the_host_does_meanwhile(self):
        for name, policy in WAYS.items():
            with self.subTest(name):
                subprocess.run(["rm", "-rf", self.work], check=True)
                self.folder("work")
                self.plant()
                script = """for i in $(seq 400); do for f in .envrc .git/config .git/hooks/pre-commit d/CLAUDE.md; do
(echo evil >> $f) 2>/dev/null; (mv $f t; echo evil > $f) 2>/dev/null; (cat $f; stat $f) >/dev/null 2>&1; done; [ -e stop ] && break; done; echo over > out"""
                child = self.start_inside(["/bin/bash", "-c", f"echo up > up; {script}"], policy)
                self.wait_for_file("up")
                for i in range(60):
                    for path in (".envrc", ".git/config", "d/CLAUDE.md"):
                        path = os.path.join(self.work, path)
                        (lambda: os.rename(path, path + "~"), lambda: os.path.exists(path) and os.unlink(path), lambda: self.write(path, "hosts\n"))[i % 3]()
                    os.path.exists(os.path.join(self.work, ".git")) and os.rename(os.path.join(self.work, ".git"), os.path.join(self.work, "g"))
                    os.path.exists(os.path.join(self.work, "g")) and os.rename(os.path.join(self.work, "g"), os.path.join(self.work, ".git"))
                    time.sleep(0.01)
                self.write("work/stop", "x")
                self.wait_for_file("out", 60)
                child.wait(20)
                evil = [path for path, what in tree(self.work).items() if isinstance(what, bytes) and b"evil" in what]
                self.assertEqual([path for path in evil if path != "t"], [])

    def test_X33_a_second_session_in_the_same_folder(self):
        self.plant()
        child = self.start_inside(["/bin/bash", "-c", "echo up > up; until [ -e go ]; do sleep 0.05; done; echo evil > .envrc; mv .git g; "
                                                      "echo evil > .git/hooks/pre-commit; echo over > out; sleep 60"], POLICY)
        self.wait_for_file("up")
        self.sh("echo evil > .envrc; mv .git g2; echo evil > .git/hooks/pre-commit; true")
        self.write("work/go", "x")
        self.wait_for_file("out")
        self.assertEqual(self.read("work/.envrc"), "export A=1\n")
        self.assertFalse(os.path.exists(os.path.join(self.work, ".git/hooks/pre-commit")))
        child.terminate()
        child.wait(20)

    def test_X37_a_host_git_status_runs_nothing(self):
        self.git("init", "-q")
        self.write("work/x.sh", "#!/bin/sh\ntouch ran\n", 0o755)
        child = self.start_inside(["/bin/bash", "-c", "git config core.fsmonitor ./x.sh; printf '[core]\\n\\tfsmonitor = ./x.sh\\n' >> .git/config; echo up > up; sleep 60"], POLICY)
        self.wait_for_file("up")
        self.git("status")
        self.assertFalse(os.path.exists(os.path.join(self.work, "ran")))
        child.terminate()
        child.wait(20)

    def test_no_ghosts_on_the_host(self):
        """Nothing is put there to protect a name that isn't there."""
        self.write("work/a", "one")
        child = self.start_inside(["/bin/sh", "-c", "echo up > up; sleep 60"], POLICY)
        self.wait_for_file("up")
        self.assertEqual(sorted(os.listdir(self.work)), ["a", "up"])
        child.terminate()
        child.wait(20)

    def test_it_is_recorded_and_said(self):
        result = self.sh("for i in 1 2 3; do echo x > .envrc; done; mkdir .vscode; echo x > .vscode/tasks.json; true")
        self.assertIn("denied 4 requests", result.err)
        self.assertIn("create .envrc (3 times)", result.err)
        self.assertIn("direnv", result.err)
        lines = []
        for path in self.state_files():
            if path.endswith(".jsonl") and "/evidence/" in path:
                with open(path) as file:
                    lines += [json.loads(line) for line in file]
        refused = [one for one in lines if one["type"] == "file.refused"]
        self.assertEqual({(one["operation"], one["path"], one["rule"]) for one in refused},
                         {("create", ".envrc", "direnv"), ("create", ".vscode/tasks.json", "vscode-tasks")})
        self.assertEqual(sum(one["count"] for one in refused), 4)

    def test_the_first_line_names_the_window(self):
        self.assertIn("control files", self.inside(["true"], '[[mount]]\npath = "."\nmode = "rw"\n').err)
        self.assertIn("writable but for control files", self.sh("true").err)

    def test_a_project_only_narrows_and_flags_protect(self):
        result = self.inside(["/bin/sh", "-c", "echo x > .envrc"], None, options=["--no-profile", "--mount", ".:protect"])
        self.assertIn("Read-only file system", result.err)

    def test_the_hosts_changes_are_seen_soon(self):
        """Names and attributes are believed for a minute; a watch says when the host changes them."""
        for name, policy in WAYS.items():
            with self.subTest(name):
                subprocess.run(["rm", "-rf", self.work], check=True)
                self.folder("work")
                for i in range(5):
                    self.write(f"work/d/f{i}", "one")
                script = """
import os, time
last = None
end = time.time() + 120
while time.time() < end:
    try:
        now = sorted(os.listdir("d")), [(n, os.stat("d/" + n).st_size, open("d/" + n).read()) for n in sorted(os.listdir("d")) if not n.startswith("e")], os.path.exists("d/e"), os.path.exists("g/x")
    except OSError as e:
        now = repr(e)
    if now != last:
        last = now
        open("seen.new", "w").write(repr(now)); os.rename("seen.new", "seen")
    if os.path.exists("stop"): break
    time.sleep(0.01)
"""
                child = self.start_inside(["python3", "-c", script], policy)
                self.wait_for_file("seen")

                def state():
                    names = sorted(os.listdir(os.path.join(self.work, "d")))
                    return (names, [(n, os.stat(os.path.join(self.work, "d", n)).st_size, self.read(f"work/d/{n}")) for n in names if not n.startswith("e")],
                            os.path.exists(os.path.join(self.work, "d/e")), os.path.exists(os.path.join(self.work, "g/x")))

                times = []
                for i, change in enumerate((lambda: self.write("work/d/f0", "two!!"), lambda: self.write("work/d/new", "n"), lambda: os.unlink(self.work + "/d/f1"),
                                            lambda: os.rename(self.work + "/d/f2", self.work + "/d/f9"), lambda: self.write("work/d/e", "there"),
                                            lambda: os.unlink(self.work + "/d/e"), lambda: os.rename(self.work + "/d", self.work + "/o") or self.write("work/d/f0", "other"),
                                            lambda: self.write("work/g/x", "x"), lambda: self.write("work/d/f0", "aaaaa"), lambda: self.write("work/d/f0", "bbbbb"),
                                            lambda: open(self.work + "/d/f0", "a").write("more"), lambda: os.replace(self.write("work/t", "by rename"), self.work + "/d/f0"))):
                    time.sleep(0.3)
                    change()
                    began = time.monotonic()
                    while self.read("work/seen") != repr(state()):
                        self.assertLess(time.monotonic(), began + 20, f"change {i}: {self.read('work/seen')} {state()} {child.poll()}")
                        time.sleep(0.02)
                    times.append(time.monotonic() - began)
                self.assertLess(sorted(times)[-2], 1.5)  # the machine's disk may stand still once
                self.write("work/stop", "")
                child.wait(20)
