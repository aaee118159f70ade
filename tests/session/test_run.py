"""bulkhead run: exit statuses, streams, the start line, the environment, a start with nothing configured."""
import hashlib
import json
import os
import shutil
import signal
import time

from support import Case, case, procs

KEY = "real-key-7ab2f1"


def echo(request):
    request.text("arrived\n")


class ExitStatus(Case):
    def status(self, argv, **keywords):
        return self.inside(argv, **keywords).status

    def test_the_commands_own(self):
        for status in (0, 1, 7, 124, 125, 255):
            self.assertEqual(self.status(["/bin/sh", "-c", f"exit {status}"]), status)

    def test_127_when_there_is_no_such_command(self):
        result = self.inside(["no-such-command-here"])
        self.assertEqual(result.status, 127, result)
        self.assertIn("no-such-command-here", result.err)

    def test_126_when_it_cannot_be_executed(self):
        self.write(os.path.join(self.work, "plain.txt"), "no program\n")
        result = self.inside(["./plain.txt"])
        self.assertEqual(result.status, 126, result)
        self.assertEqual(self.status(["/usr"]), 126)

    def test_128_plus_the_signal(self):
        for name in ("TERM", "KILL", "SEGV", "HUP"):
            result = self.inside(["/bin/sh", "-c", f"kill -{name} $$"])
            self.assertEqual(result.status, 128 + getattr(signal, "SIG" + name), result)

    def test_no_status_is_lost_when_everything_ends_at_once(self):
        """Many at a time, so that what the session says last comes together with its end."""
        many = ("import subprocess, sys\n"
                "for _ in range(4):\n"
                " all = [subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL) for _ in range(24)]\n"
                " print(*[one.wait() for one in all])\n")
        for argv, status in ((["/bin/sh", "-c", "exit 7"], 7), (["no-such-command-here"], 127)):
            inner = self.bulkhead_command(argv, "", ["--quiet"])
            command = self.lab.command(["/usr/bin/python3", "-c", many, *inner], guard=False)
            result = self.ok(self._run(command, argv, self.environment(), None, None, 120))
            self.assertEqual(result.out.split(), [str(status)] * 96, result)

    def test_125_when_bulkhead_fails(self):
        for policy in ("nonsense = 1\n", '[[mount]]\npath = "/no/such/folder"\n', '[[mount]]\npath = "/proc"\n',
                       '[credential.x]\nsource = "env:NOT_SET_ANYWHERE"\nexpose = { env = "X" }\n'
                       'carry = { header = "x" }\n' + self.grant("api.example.com", credential="x")):
            with self.subTest(policy=policy):
                result = self.inside(["/bin/sh", "-c", "echo ran > ran"], policy)
                self.assertEqual(result.status, 125, result)
                self.assertTrue(result.err.startswith("bulkhead: "), result)
                self.assertFalse(os.path.exists(os.path.join(self.work, "ran")))

    def test_sigterm_to_bulkhead_reaches_the_command(self):
        child = self.start_inside(["/bin/sh", "-c", "trap 'echo got it > got; exit 9' TERM; echo up > up; "
                                   "while :; do sleep 0.1; done"])
        self.wait_for_file("up")
        child.terminate()
        child.communicate(timeout=20)
        self.assertEqual(child.returncode, 9)
        self.assertTrue(os.path.exists(os.path.join(self.work, "got")))


class Streams(Case):
    def test_input_and_output_are_pipes(self):
        result = self.inside(["/bin/sh", "-c", "tr a-z A-Z; echo problem >&2; test -t 0 || test -t 1 || echo pipes"],
                             input="hello\n")
        self.assertEqual(result.out, "HELLO\npipes\n", result)
        self.assertIn("problem\n", result.err)

    def test_bytes_are_left_alone_in_pipes(self):
        data = bytes(range(256)) * 4096
        result = self.inside(["cat"], input=data)
        self.assertEqual(result.out_bytes, data)

    def test_100_megabytes_out_are_complete(self):
        script = "head -c 104857600 /dev/zero | tr '\\0' 'x' | tee >(sha256sum > sum)"
        result = self.ok(self.inside(["/bin/bash", "-c", script + "; wait; sleep 0.3"], timeout=120))
        self.assertEqual(len(result.out_bytes), 104857600)
        self.assertEqual(hashlib.sha256(result.out_bytes).hexdigest(), self.wait_for_file("sum").split()[0])

    def test_a_closed_reader_ends_the_writer(self):
        result = self._run(["/bin/bash", "-c", 'set -o pipefail; "$@" | head -n 1; exit ${PIPESTATUS[0]}', "bash",
                            *self.lab.command(self.bulkhead_command(["yes"], ""), guard=False)], ["yes"],
                           self.environment(), None, None, 20)
        self.assertEqual(result.out, "y\n")
        # gVisor says that a pipe of the host's is closed (EPIPE), and raises no SIGPIPE.
        self.assertEqual(result.status, 1 if self.tier == "gvisor" else 141, result)

    def test_standard_output_is_the_commands_alone(self):
        result = self.ok(self.inside(["/bin/echo", "only this"]))
        self.assertEqual(result.out, "only this\n")
        self.assertEqual(self.ok(self.inside(["/bin/echo", "x"], options=["--quiet"])).err, "")

    def test_closed_standard_descriptors(self):
        command = self.lab.command(self.bulkhead_command(["/bin/sh", "-c", "echo ran > ran"], ""), guard=False)
        result = self._run(["/bin/bash", "-c", '"$@" <&- >&- 2>&-', "bash", *command], ["sh"], self.environment(),
                           None, None, 20)
        # Either it runs or it refuses; it must not take somebody's descriptor for its own and hang.
        self.assertIn(result.status, (0, 125), result)


class Start(Case):
    def test_nothing_configured(self):
        """A folder, a command, no policy: the folder is writable, tools are there, nothing else is."""
        script = ("echo written > made.txt; git --version && python3 --version >/dev/null && gcc --version >/dev/null;"
                  "ls -A ~ | grep -v '^\\.cache$\\|^\\.config$\\|^\\.local$'; cat ~/.aws/credentials ~/.ssh/id_ed25519 ~/.netrc;"
                  "curl -sS -m 5 https://example.com/ -o /dev/null -w '%{http_code}\\n'; env; ls /home /root /var /run 2>&1; true")
        result = self.inside(["/bin/bash", "-c", script], None, env={"SECRET_TOKEN": "planted-env", "AWS_SECRET_ACCESS_KEY":
                                                                      "planted-aws-env"})
        self.assertEqual(result.status, 0, result)
        self.assertEqual(self.read(os.path.join(self.work, "made.txt")), "written\n")
        self.assertIn("git version", result.out)
        self.assertNotIn(case.PLANTED, result.out + result.err)
        self.assertNotIn("SECRET_TOKEN", result.out)
        self.received_nothing()
        first = result.err.split("\n")[0]
        self.assertTrue(first.startswith("bulkhead: "), result)
        for words in (self.tier, self.work, "no network", "no secrets"):
            self.assertIn(words, first)

    def test_what_is_written_belongs_to_the_caller(self):
        self.ok(self.inside(["/bin/sh", "-c", "mkdir -p a/b; echo x > a/b/c; chmod 640 a/b/c"], None))
        made = os.stat(os.path.join(self.work, "a/b/c"))
        self.assertEqual((made.st_uid, made.st_mode & 0o777), (os.geteuid(), 0o640))

    def test_the_home_folder_itself_is_refused(self):
        result = self.inside(["/bin/sh", "-c", "true"], '[[mount]]\npath = "~"\nmode = "rw"\n')
        self.assertEqual(result.status, 125, result)
        self.assertIn("home", result.err)

    def test_a_session_is_not_root_and_has_no_capability(self):
        result = self.ok(self.inside(["/bin/sh", "-c", "id -u; grep CapEff /proc/self/status; id -un"]))
        uid, caps, *_ = result.out.split("\n")
        self.assertNotEqual(uid, "0", result)
        self.assertEqual(int(caps.split()[1], 16), 0)

    def test_the_environment_holds_nothing_of_the_callers(self):
        secrets = {"GITHUB_TOKEN": "planted-1", "AWS_SESSION_TOKEN": "planted-2", "DATABASE_URL": "planted-3",
                   "SSH_AUTH_SOCK": "/planted-4", "DBUS_SESSION_BUS_ADDRESS": "planted-5", "LD_PRELOAD": "/planted-6",
                   "BASH_ENV": "/planted-7", "http_proxy": "http://planted-8"}
        result = self.ok(self.inside(["/usr/bin/env"], env=secrets))
        self.assertNotIn("planted", result.out)
        self.assertIn(f"HOME={self.home}\n", result.out)

    def test_passed_and_set_variables(self):
        result = self.ok(self.inside(["/usr/bin/env"], '[env]\npass = ["WANTED"]\n[env.set]\nMADE = "here"\n',
                                     options=["--env", "FLAG=1"], env={"WANTED": "yes", "UNWANTED": "planted"}))
        for line in ("WANTED=yes", "MADE=here", "FLAG=1"):
            self.assertIn(line + "\n", result.out)
        self.assertNotIn("UNWANTED", result.out)

    def test_mounts_have_their_modes(self):
        data = self.folder("data")
        self.write("data/file", "as it was\n")
        policy = f'[[mount]]\npath = "{data}"\nmode = "ro"\n'
        result = self.inside(["/bin/sh", "-c", f"cat {data}/file; echo x > {data}/file; rm {data}/file; touch {data}/new; "
                              f"chmod 777 {data}/file"], policy)
        self.assertIn("as it was", result.out, result)
        self.assertEqual(os.listdir(data), ["file"])
        self.assertEqual(self.read("data/file"), "as it was\n")

    def test_private_copy_of_a_profiles_folder(self):
        settings = os.path.join(self.home, ".claude/settings.json")
        self.write(settings, '{"theme":"dark"}\n')
        self.write(os.path.join(self.home, ".claude/.credentials.json"), "planted-login\n", 0o600)
        self.write(os.path.join(self.home, ".claude.json"), '{"hasCompletedOnboarding":true,"primaryApiKey":"planted-key"}\n')
        script = ("cat ~/.claude/settings.json ~/.claude.json; cat ~/.claude/.credentials.json; "
                  "echo '{\"hooks\":\"planted\"}' > ~/.claude/settings.json && echo changed; rm -f ~/.claude.json; "
                  "mkdir ~/.claude/hooks && echo evil > ~/.claude/hooks/x")
        result = self.inside(["/bin/sh", "-c", script], options=["--profile", "claude"])
        self.assertIn('"theme":"dark"', result.out, result)
        self.assertIn("hasCompletedOnboarding", result.out)
        self.assertIn("changed", result.out, "the copy is writable")
        self.assertNotIn("planted", result.out)
        self.assertEqual(self.read(settings), '{"theme":"dark"}\n')
        self.assertEqual(os.listdir(os.path.join(self.home, ".claude")).count("hooks"), 0)
        self.assertTrue(os.path.exists(os.path.join(self.home, ".claude.json")))

    def test_the_profile_is_picked_by_the_commands_name(self):
        self.write(os.path.join(self.work, "claude"), "#!/bin/sh\necho ran\n", 0o755)
        result = self.inside(["./claude"])
        self.assertEqual(result.out, "ran\n", result)
        self.assertIn("profile claude", result.err.split("\n")[0])


class StartedAsRoot(Case):
    root_only = True

    def test_all_of_it_below_a_folder_only_root_gets_into(self):
        """A clone below /root, which is where it is on a machine without anybody else."""
        private = self.folder("private", 0o700)
        shutil.copytree(case.bin_folder(), os.path.join(private, "build/release/bin"))
        for name in ("profiles", "presets", "control", "secrets"):
            shutil.copytree(os.path.join(case.ROOT, name), os.path.join(private, name))
        work = self.folder("private/work")
        policy = self.write("private/policy.toml", self.read(self.policy(
            self.credential() + self.grant("api.example.com", path="/echo", credential="api"))), 0o600)
        self.lab.web.site("api.example.com", echo)
        command = [os.path.join(private, "build/release/bin/bulkhead"), "run", "--policy", policy, "--", "/bin/sh", "-c",
                   "curl -sS -H \"x-api-key: $API_KEY\" https://api.example.com/echo > made; id -u"]
        result = self._run(self.lab.command(command, guard=False), command, self.environment({"API_KEY": KEY}), work,
                           None, 60)
        self.assertEqual(result.status, 0, result)
        self.assertNotEqual(result.out.strip(), "0")
        self.assertEqual(self.read(os.path.join(work, "made")), "arrived\n")


class Denials(Case):
    def test_the_answer_and_the_summary_name_the_rule(self):
        self.lab.web.site("api.example.com", echo)
        script = ("curl -sS -w '%{http_code}\\n' https://api.example.com/v1/secret; curl -sS -o /dev/null -w '%{http_code}\\n' "
                  "https://other.example.com/x; curl -sS -w '%{http_code}\\n' https://api.example.com/v1/items; "
                  "curl -sS -o /dev/null https://other.example.com/x")
        result = self.inside(["/bin/sh", "-c", script], self.grant("api.example.com", path="/v1/items"))
        self.assertIn("403", result.out, result)
        self.assertIn("arrived", result.out)
        self.assertIn("[[grant]]", result.out, "the answer holds the lines that would allow it")
        self.assertIn('"/v1/secret"', result.out)
        self.assertIn("bulkhead: denied 3 requests:", result.err, result)
        self.assertIn("other.example.com", result.err)
        self.assertRegex(result.err, r"(?s)add:.*\[\[grant\]\].*other\.example\.com")
        self.assertEqual(len(self.lab.web.received()), 1)

    def test_what_the_summary_proposes_works(self):
        """The lines can be taken as they are: with them, the same request passes."""
        self.lab.web.site("api.example.com", echo)
        curl = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "https://api.example.com/v1/items"]
        first = self.inside(curl)
        self.assertEqual(first.out, "403", first)
        lines = [line.strip() for line in first.err.split("add:", 1)[1].split("\n") if line.startswith("    ")]
        self.assertEqual(self.inside(curl, "\n".join(lines) + "\n").out, "200", first)

    def test_hostile_text_in_the_summary_is_escaped(self):
        """X31: control and bidi characters of a denied request never reach the terminal as they are."""
        result = self.inside(["/bin/sh", "-c", "exec 2>/dev/null; curl -s -o /dev/null -g $(printf 'http://evil.example.com/a\\033[2Jb\\342\\200\\256c'); "
                              "curl -s -o /dev/null 'http://evil.example.com/%1b%5b2J'; true"])
        self.assertNotIn("\x1b[2J", result.err)
        self.assertNotIn("\u202e", result.err)

    def test_the_evidence_has_it_all(self):
        self.lab.web.site("api.example.com", echo)
        policy = self.credential() + self.grant("api.example.com", credential="api", path="/v1/items")
        self.ok(self.inside(["/bin/sh", "-c", 'curl -sS -H "x-api-key: $API_KEY" https://api.example.com/v1/items; '
                             "curl -sS https://evil.example.com/; exit 0"], policy, env={"API_KEY": KEY}))
        (name,) = [n for n in self.state_files() if n.endswith(".jsonl")]
        text = self.read(name)
        events = [json.loads(line) for line in text.split("\n")[:-1]]
        self.assertEqual([e["seq"] for e in events], list(range(1, len(events) + 1)))
        kinds = [e["type"] for e in events]
        for kind in ("session.start", "session.policy", "credential.release", "credential.use", "http.request", "session.end"):
            self.assertIn(kind, kinds)
        self.assertEqual(kinds[-1], "session.end")
        decisions = {(e["host"], e["decision"]) for e in events if e["type"] == "http.request"}
        self.assertIn(("api.example.com", "allow"), decisions)
        self.assertIn(("evil.example.com", "deny"), decisions)
        self.assertNotIn(KEY, text)
        self.assertEqual(os.stat(name).st_mode & 0o777, 0o600)


class Secrets(Case):
    """The key is nowhere inside: not in any process's environment or memory, not in any file."""

    def test_the_search_itself_finds_what_is_there(self):
        child = self.start_outside(["/bin/bash", "-c", "echo up > up; while :; do sleep 1; done"], env={"API_KEY": KEY})
        self.wait_for_file("up")
        self.assertEqual(procs.memory_contains(child.pid, [KEY.encode()]), {KEY.encode()})
        self.assertIn(KEY.encode(), procs.read(child.pid, "environ"))

    def test_environment_and_memory_of_the_workload(self):
        seen = []
        self.lab.web.site("api.example.com", lambda request: (seen.append(request.headers["x-api-key"]),
                                                              request.text(request.headers["x-api-key"])))
        policy = self.credential() + self.grant("api.example.com", credential="api")
        script = ("import os, time, urllib.request as u\n"
                  "token = os.environ['API_KEY']\n"
                  "answers = [u.urlopen(u.Request('https://api.example.com/whoami', headers={'x-api-key': token})).read() "
                  "for _ in range(3)]\n"
                  "open('token', 'w').write(token); open('answer', 'wb').write(answers[0])\n"
                  "time.sleep(60)\n")
        child = self.start_inside(["/usr/bin/python3", "-c", script], policy, env={"API_KEY": KEY})
        token = self.wait_for_file("token").encode()
        self.assertNotEqual(token.decode(), KEY)
        self.assertEqual(seen, [KEY] * 3)
        self.assertNotIn(KEY.encode(), self.wait_for_file("answer").encode(), "a key that is echoed back is removed (C09)")
        looked, with_token = 0, 0
        for pid in procs.descendants(child.pid):
            if procs.part_of_bulkhead(pid):
                continue
            looked += 1
            found = procs.memory_contains(pid, [KEY.encode(), token])
            self.assertIsNotNone(found, f"{procs.command_line(pid)} cannot be searched")
            self.assertNotIn(KEY.encode(), found, procs.command_line(pid))
            self.assertNotIn(KEY.encode(), procs.read(pid, "environ"))
            with_token += token in found
        self.assertGreaterEqual(looked, 1)
        self.assertGreaterEqual(with_token, 1, "the token was not found either: the search is broken")
        # Nor in what other processes of the session could show to it.
        for pid in procs.descendants(child.pid):
            self.assertNotIn(KEY.encode(), procs.read(pid, "cmdline"))
            if not procs.name(pid) == "bulkhead":
                self.assertNotIn(KEY.encode(), procs.read(pid, "environ"), procs.name(pid))

    def test_nothing_on_disk_holds_the_key(self):
        self.lab.web.site("api.example.com", echo)
        policy = self.credential() + self.grant("api.example.com", credential="api")
        child = self.start_inside(["/bin/sh", "-c", 'curl -sS -H "x-api-key: $API_KEY" https://api.example.com/; echo up > up; '
                                   "sleep 60"], policy, env={"API_KEY": KEY})
        self.wait_for_file("up")
        time.sleep(0.3)
        for name in self.state_files():
            with open(name, "rb") as file:
                self.assertNotIn(KEY.encode(), file.read(), name)
        child.terminate()
