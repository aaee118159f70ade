"""Templates: what a command left in a sandbox's memory, saved for sessions that go on from there, and what those do not share."""
import json
import os
import signal
import subprocess
import time

from session import test_live
from support import Case, bin_folder, images
from support.tiers import on_tier

KEY = "real-key-template-83"
VALUE = "value-of-a-variable-5517"

# Whatever a program has of its own: what the kernel gives, what it was given at its start, what python makes of it.
RANDOM = """
import ctypes, os, random, uuid
libc = ctypes.CDLL(None)
libc.getauxval.restype = ctypes.c_void_p
at_random = ctypes.string_at(libc.getauxval(25), 16).hex()
print(os.getrandom(16).hex(), open('/dev/urandom', 'rb').read(16).hex(), uuid.uuid4(), hash('abc'), random.random(), at_random,
      open('/proc/sys/kernel/random/uuid').read().strip() if os.path.exists('/proc/sys/kernel/random/uuid') else os.urandom(8).hex())
"""


class Templates(Case):
    tier = "gvisor"

    def create(self, name, argv, policy="", options=(), env=None, status=0):
        done = self.bulkhead("template", "create", name, "--policy", self.policy(policy), *options, "--", *argv, env=env)
        self.assertEqual(done.status, status, done)
        return done

    def sh_create(self, name, text, **keywords):
        return self.create(name, ["/bin/sh", "-c", text], **keywords)

    def run_from(self, name, text, policy="", options=(), **keywords):
        return self.inside(["/bin/sh", "-c", text], policy, ("--template", name, *options), **keywords)

    def refused(self, name, *words, **keywords):
        done = self.run_from(name, "echo ran", **keywords)
        self.assertEqual(done.status, 125, done)
        self.assertNotIn("ran", done.out)
        for word in words:
            self.assertIn(word, done.err)
        return done

    def folder_of(self, name):
        return os.path.join(self.home, ".cache/bulkhead/templates", name)

    def saved(self, name):
        """Every byte of it."""
        saved = b""
        for folder, _, names in os.walk(self.folder_of(name)):
            for file_name in names:
                with open(os.path.join(folder, file_name), "rb") as file:
                    saved += file.read()
        return saved

    def listed(self):
        return json.loads(self.ok(self.bulkhead("template", "list", "--json")).out)

    # What works --------------------------------------------------------------------------------------------

    def test_what_a_command_left_is_there(self):
        self.write("work/file", "of the maker's time\n")
        made = self.sh_create("one", "echo prepared > /tmp/x; mkdir -p ~/.cache/deep; cp /usr/bin/env ~/.cache/deep/; "
                              "ln -s /tmp/x /var/tmp-x; chmod 700 ~/.cache/deep/env; echo out; echo err >&2")
        self.assertEqual(made.out, "out\n")
        self.assertIn("err\n", made.err)
        self.assertIn("template one is made", made.err)
        self.write("work/file", "of today, and longer than it was\n")
        for _ in range(2):
            done = self.run_from("one", "cat /tmp/x /var/tmp-x file; A=b ~/.cache/deep/env | grep ^A=; cat; exit 7", input="in\n")
            self.assertEqual(done.status, 7, done)
            self.assertEqual(done.out, "prepared\nprepared\nof today, and longer than it was\nA=b\nin\n")
        # What one session changes no other sees.
        self.ok(self.run_from("one", "echo changed > /tmp/x; rm -r ~/.cache"))
        self.assertEqual(self.run_from("one", "cat /tmp/x; ls ~/.cache").out, "prepared\ndeep\n")
        one, = self.listed()
        self.assertEqual((one["name"], one["damaged"]), ("one", False))
        self.assertEqual(one["command"][:2], ["/bin/sh", "-c"])
        table = self.ok(self.bulkhead("template", "list")).out
        self.assertRegex(table, r"(?m)^one +20\d\d-\S+Z +\d+ +/bin/sh -c ")
        starts = [event.get("template") for event in self.recorded("session.start")]
        self.assertIn({"name": "one", "made": True}, starts)
        self.assertIn({"name": "one", "made": False}, starts)
        self.assertEqual(self.ok(self.bulkhead("template", "rm", "one")).out, "one\n")
        self.assertEqual(self.listed(), [])
        self.refused("one", 'there is no template "one"')
        self.assertEqual(self.bulkhead("template", "rm", "one").status, 1)

    def test_of_an_image(self):
        root = images.unpacked(self.folder("root"), images.usable([images.file("data", "of the image\n")]))
        options = ("--image", root)
        self.sh_create("image", "cat /data > /tmp/x", options=options)
        self.assertEqual(self.ok(self.run_from("image", "cat /tmp/x /data", options=options)).out, "of the image\n" * 2)
        self.assertIn("image", self.refused("image").err)

    def test_a_review_is_each_session_s_own(self):
        options = ("--mount", ".:review")
        self.sh_create("review", "echo prepared > /tmp/x; echo maker > maker", options=options)
        for _ in range(2):
            done = self.ok(self.run_from("review", "cat /tmp/x; ls; echo session > session", options=options))
            self.assertEqual(done.out, "prepared\n")
            self.assertIn("1 added", done.err)
        self.assertEqual(os.listdir(self.work), [])

    def test_a_published_port_is_the_session_s(self):
        options = ("--publish", "8080:8000")
        self.sh_create("serves", "echo prepared > /tmp/x", options=options)
        server = "import http.server, os; os.chdir('/tmp'); s = http.server.HTTPServer(('0.0.0.0', 8000), http.server.SimpleHTTPRequestHandler); " \
                 "open(os.environ['FLAG'], 'w').write('yes'); s.serve_forever()"
        flag = os.path.join(self.work, "listening")
        child = self.start_inside(["/usr/bin/python3", "-c", server], "", ("--template", "serves", "--env", f"FLAG={flag}", *options))
        self.wait_for_file("listening")
        self.assertEqual(self.ok(self.outside(["curl", "-sS", "-m", "10", "http://127.0.0.1:8080/x"])).out, "prepared\n")
        child.send_signal(signal.SIGTERM)
        child.wait(20)

    def test_processes_are_recorded_as_ever(self):
        self.sh_create("one", "true")
        self.ok(self.run_from("one", "/usr/bin/id >/dev/null"))
        executed = self.recorded("process.exec")
        self.assertIn("/usr/bin/id", [event["path"] for event in executed], executed)

    def test_the_network_and_tokens_are_new(self):
        self.lab.web.site("api.example.com", lambda request: request.text("answer\n"))
        policy = self.credential() + self.grant("api.example.com", credential="api")
        ask = 'curl -sS -m 10 -H "x-api-key: $API_KEY" https://api.example.com/v1'
        # A connection that is still open when the command ends is none of the template's.
        self.sh_create("net", ask + "; echo $API_KEY > /tmp/token; cat /etc/ssl/certs/ca-certificates.crt > /tmp/ca; "
                       "(exec 3<>/dev/tcp/api.example.com/80; sleep 60) & sleep 0.2", policy=policy, env={"API_KEY": KEY})
        done = self.ok(self.run_from("net", ask + "; cmp -s /tmp/ca /etc/ssl/certs/ca-certificates.crt && echo same CA; "
                                     "test $API_KEY = $(cat /tmp/token) && echo same token; "
                                     "curl -sS -m 10 -o /dev/null -w '%{http_code}\n' -H \"x-api-key: $(cat /tmp/token)\" "
                                     "https://api.example.com/v1; "
                                     "curl -s -m 10 --cacert /tmp/ca https://api.example.com/v1 || echo old CA fails",
                                     policy, env={"API_KEY": KEY}))
        self.assertEqual(done.out, "answer\n403\nold CA fails\n", done)
        self.assertEqual([request.headers.get("x-api-key") for request in self.lab.web.received()], [KEY, KEY])

    def test_signals_reach_everything_however_many_processes_there_were(self):
        """Pids go on from the template's, and the shim kills everything only where it knows that it is among its own."""
        self.sh_create("many", "for i in $(seq 400); do /bin/true; done")
        session = self.ok(self.bulkhead("start", "--template", "many", "--policy", self.policy(""))).out.strip()
        try:
            argv = [os.path.join(bin_folder(), "bulkhead"), "exec", session, "--", "/bin/sh", "-c",
                    "trap 'echo term; exit 9' TERM; echo $PPID; while :; do sleep 0.05; done"]
            child = subprocess.Popen(self.lab.command(argv, guard=False), env=self.environment(), cwd=self.work, start_new_session=True,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self._children.append(child)
            self.assertGreater(int(child.stdout.readline()), 300)
        finally:
            self.ok(self.bulkhead("stop", session))
        out, _ = child.communicate(timeout=20)
        self.assertEqual(out, b"term\n")

    # What clones do not share ------------------------------------------------------------------------------

    def test_X42_clones_differ(self):
        self.create("seed", ["python3", "-c", RANDOM])
        runs = [self.ok(self.inside(["python3", "-c", RANDOM], "", ("--template", "seed"))).out.split() for _ in range(3)]
        for values in zip(*runs):
            self.assertEqual(len(set(values)), len(runs), values)
        # What they do share (docs/gvisor.md).
        boots = {self.ok(self.run_from("seed", "cat /proc/sys/kernel/random/boot_id")).out for _ in range(2)}
        self.assertEqual(len(boots), 1)

    def test_X42_nothing_of_the_maker_is_alive(self):
        """Nor saved: gVisor itself would end what was, after it had been loaded."""
        self.sh_create("left", "for i in 1 2 3; do (LEFT=left-running-$((40 + 2)) setsid sh -c 'trap \"\" HUP TERM; while :; do sleep 1; done' "
                       ">/dev/null 2>&1 &) ; done; setsid nohup sleep 500 >/dev/null 2>&1 & sleep 0.3")
        seen = self.ok(self.run_from("left", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")).out
        self.assertIn("/.bulkhead/shim init", seen)
        self.assertNotIn("sleep", seen)
        self.assertNotIn("left-running-42", self.saved("left").decode("latin-1"))

    # What holds although the memory says otherwise ---------------------------------------------------------

    def test_X40_modes_are_the_session_s(self):
        folder = self.folder("data")
        self.write("data/file", "as it was\n")
        self.sh_create("modes", f"echo maker > {folder}/file", options=("--mount", folder))
        self.assertEqual(self.read("data/file"), "maker\n")
        write = f"echo written > {folder}/file; echo new > {folder}/new; rm {folder}/file; mount -o remount,rw {folder}; cat {folder}/file"
        for _ in range(2):
            done = self.run_from("modes", write, options=("--mount", f"{folder}:ro"))
            self.assertEqual(self.read("data/file"), "maker\n", done)
            self.assertEqual(os.listdir(folder), ["file"])
            self.assertEqual(done.out, "maker\n")
        reviewed = self.ok(self.run_from("modes", f"echo later > {folder}/file; cat {folder}/file", options=("--mount", f"{folder}:review")))
        self.assertEqual(reviewed.out, "later\n")
        self.assertEqual(self.read("data/file"), "maker\n")
        self.ok(self.run_from("modes", f"echo written > {folder}/file", options=("--mount", folder)))
        self.assertEqual(self.read("data/file"), "written\n")
        # And the other way round.
        self.sh_create("closed", "true", options=("--mount", f"{folder}:ro"))
        self.ok(self.run_from("closed", f"echo again > {folder}/file", options=("--mount", folder)))
        self.assertEqual(self.read("data/file"), "again\n")

    def test_X40_what_a_session_has_not_is_not_there(self):
        folder, other = self.folder("data"), self.folder("other")
        self.write("data/file", "of the maker's\n")
        self.sh_create("places", f"cat {folder}/file", options=("--mount", folder))
        self.refused("places", "another set of mounts")
        self.refused("places", "another set of mounts", options=("--mount", folder, "--mount", other))
        self.refused("places", "another set of mounts", policy='[limits]\ntmp = "5MB"\n', options=("--mount", folder))
        self.assertEqual(self.ok(self.run_from("places", "echo ran", options=("--mount", folder))).out, "ran\n")

    # Secrets -----------------------------------------------------------------------------------------------

    def test_X41_no_secret_is_saved(self):
        self.lab.web.site("api.example.com", lambda request: request.text("answer\n"))
        policy = self.credential() + self.grant("api.example.com", credential="api")
        self.sh_create("secrets", 'curl -sS -m 10 -H "x-api-key: $API_KEY" https://api.example.com/v1 >/dev/null; '
                       'python3 -c "import os; x = os.environ[\'HELD\'] * 1000"; echo marker-that-is-saved > /tmp/marker; '
                       "printf %s \"$API_KEY\" | rev > token-reversed; setsid sleep 300 >/dev/null 2>&1 &", policy=policy, options=("--env", f"HELD={VALUE}"),
                       env={"API_KEY": KEY})
        token = self.read("work/token-reversed")[::-1]
        self.assertGreater(len(token), 10)
        self.assertNotEqual(token, KEY)
        saved = self.saved("secrets")
        self.assertIn(b"marker-that-is-saved", saved)
        for secret in (KEY, token, VALUE, "PRIVATE KEY", "planted-", "real-key"):
            for form in (secret, secret[::-1]):
                self.assertNotIn(form.encode(), saved, secret)
        self.assertEqual(os.stat(os.path.dirname(self.folder_of("secrets"))).st_mode & 0o777, 0o700)
        for folder, names, files in os.walk(self.folder_of("secrets")):
            for name in names + files:
                self.assertEqual(os.stat(os.path.join(folder, name)).st_mode & 0o077, 0, name)

    def test_X41_no_session_writes_to_where_they_are(self):
        self.sh_create("mine", "true")
        above = os.path.join(self.home, ".cache/bulkhead")
        for path in (above, os.path.join(above, "templates"), self.folder_of("mine")):
            done = self.inside(["/bin/true"], "", ("--mount", path))
            self.assertEqual(done.status, 125, done)
            self.assertIn("the cache of templates", done.err)

    # Stale, damaged, half made ------------------------------------------------------------------------------

    def test_X43_damaged_ones_are_refused(self):
        self.sh_create("frail", "head -c 3000000 /dev/urandom > /tmp/random")
        image = os.path.join(self.folder_of("frail"), "image")
        again = "make it again: bulkhead template create frail"
        for name in ("pages.img", "checkpoint.img", "pages_meta.img"):
            path = os.path.join(image, name)
            size = os.path.getsize(path)
            for at in (0, size // 2, size - 1):
                with open(path, "r+b") as file:
                    file.seek(at)
                    byte = file.read(1)
                    file.seek(at)
                    file.write(bytes([byte[0] ^ 1]))
                self.refused("frail", f"its {name} is not as it was made", again, "-- /bin/sh -c")
                with open(path, "r+b") as file:
                    file.seek(at)
                    file.write(byte)
            os.rename(path, path + ".away")
            self.refused("frail", again)
            os.rename(path + ".away", path)
        self.write(os.path.join(image, "more"), "")
        self.refused("frail", "a file too many", again)
        os.unlink(os.path.join(image, "more"))
        self.ok(self.run_from("frail", "true"))
        os.chmod(image, 0o770)
        self.refused("frail", "can be written to by others")
        os.chmod(image, 0o700)
        note = os.path.join(self.folder_of("frail"), "template.json")
        text = self.read(note)
        for wrong in ("", "{", "[]", "null", text[:-20], text.replace('"version": 1', '"version": 2'),
                      text.replace('"frail"', '"other"'), text.replace('"files": {', '"files": 7, "x": {')):
            self.write(note, wrong, 0o600)
            self.refused("frail", "make it again: bulkhead template create frail")
            self.assertEqual(self.bulkhead("template", "list").status, 0)
        self.assertTrue(self.listed()[0]["damaged"])
        self.assertEqual(self.ok(self.bulkhead("template", "rm", "frail")).out, "frail\n")

    def test_X43_stale_ones_are_refused(self):
        self.sh_create("old", "true", options=("--env", f"HELD={VALUE}"))
        note = os.path.join(self.folder_of("old"), "template.json")
        text = self.read(note)
        self.assertNotIn(VALUE, text)
        shape = json.loads(text)["shape"]
        self.assertEqual(sorted(shape), ["bulkhead", "kernel", "processor", "runsc", "sandbox", "shim"])
        said = {"bulkhead": "another version of Bulkhead", "kernel": "another kernel", "processor": "another processor",
                "runsc": "another runsc", "sandbox": "another set of mounts", "shim": "another build of Bulkhead"}
        for part in shape:
            for change in ("other", None):
                changed = json.loads(text)
                if change is None:
                    del changed["shape"][part]
                else:
                    changed["shape"][part] = change
                self.write(note, json.dumps(changed), 0o600)
                self.refused("old", said[part], "make it again: bulkhead template create old", "--env HELD -- /bin/sh -c true")
        self.write(note, text, 0o600)
        self.ok(self.run_from("old", "true"))
        self.sh_create("old", "echo newer > /tmp/x")
        self.assertEqual(self.run_from("old", "cat /tmp/x").out, "newer\n")
        self.assertEqual(sorted(os.listdir(os.path.dirname(self.folder_of("old")))), ["old", "old.lock"])

    def test_X43_half_made_ones_are_not_there(self):
        self.sh_create("kept", "echo first > /tmp/x")
        for name, wait in (("half", 0.0), ("half", 0.2), ("half", 0.35), ("half", 0.5), ("kept", 0.4)):
            argv = [os.path.join(bin_folder(), "bulkhead"), "template", "create", name, "--policy", self.policy(""), "--", "/bin/sh",
                    "-c", "head -c 50000000 /dev/zero | tr '\\0' x > /tmp/big; touch work; echo up"]
            child = subprocess.Popen(self.lab.command(argv, guard=False), env=self.environment(), cwd=self.work,
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
            self._children.append(child)
            self.assertEqual(child.stdout.readline(), b"up\n")
            time.sleep(wait)
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            child.stdout.close()
            if name == "half" and not self.listed_names() == ["half", "kept"]:
                self.refused("half", 'there is no template "half"')
                self.assertEqual(self.listed_names(), ["kept"])
            elif name == "half":
                self.ok(self.run_from("half", "true"))
                self.ok(self.bulkhead("template", "rm", "half"))
            self.ok(self.run_from("kept", "test -f /tmp/x -o -f /tmp/big"))
        self.sh_create("next", "true")
        left = [name for name in os.listdir(os.path.dirname(self.folder_of("kept"))) if name.endswith(".new")]
        self.assertEqual(left, [])

    def listed_names(self):
        return [one["name"] for one in self.listed()]

    def test_a_command_that_fails_makes_none(self):
        failed = self.sh_create("none", "echo tried; exit 4", status=4)
        self.assertEqual(failed.out, "tried\n")
        self.assertIn("was not made: the command ended with status 4", failed.err)
        self.create("none", ["no-such-program"], status=127)
        self.sh_create("none", "kill -9 $$", status=137)
        self.assertEqual(self.listed(), [])
        limited = self.sh_create("none", "sleep 30", policy='[limits]\nduration = "2s"\n', status=125)
        self.assertIn("reached its limit: duration", limited.err)
        self.assertEqual(self.listed(), [])

    def test_usage(self):
        for words, status, text in ((("create",), 2, "NAME"), (("create", "x"), 2, "say what prepares it"),
                                    (("create", "../x", "--", "true"), 125, "a name has letters"),
                                    (("create", "x.new", "--", "true"), 125, "a name has letters"),
                                    (("rm", "../x"), 1, "there are no templates"), ((), 2, "")):
            done = self.bulkhead("template", *words)
            self.assertEqual(done.status, status, done)
            self.assertIn(text, done.err)
        self.assertEqual(self.listed(), [])
        self.assertFalse(os.path.exists(os.path.join(self.home, ".cache/bulkhead/templates/x.new")))
        self.sh_create("x", "true")
        done = self.bulkhead("run", "--tier", "native", "--template", "x", "--policy", self.policy(""), "--", "/bin/true")
        self.assertEqual(done.status, 125)
        self.assertIn("--tier gvisor", done.err)
        done = self.bulkhead("template", "create", "y", "--tier", "native", "--policy", self.policy(""), "--", "/bin/true")
        self.assertEqual(done.status, 125)
        self.assertIn("--tier gvisor", done.err)
        self.refused("../../x", "a name has letters")


class FromTemplate(test_live.Live):
    """Sessions that live, which went on from a template."""

    def words(self, command, options, policy):
        words = super().words(command, options, policy)
        argv = [words[0], "template", "create", "base", *words[2:len(words) - len(options)], "--", "/bin/true"]
        self.ok(self._run(self.lab.command(argv, guard=False), argv, self.environment({"API_KEY": "other-key"}), None, None, 60))
        return [*words, "--template", "base"]

    def recorded(self, kind):
        makers = {event["session"] for event in super().recorded("session.start") if event["template"]["made"]}
        return [event for event in super().recorded(kind) if event["session"] not in makers]


LiveFromTemplate = on_tier("gvisor", FromTemplate, [
    "test_commands_have_their_input_output_and_status", "test_a_command_finds_what_another_left", "test_many_at_once", "test_terminals",
    "test_nothing_runs_where_nothing_runs_inside", "test_the_end_of_the_session_is_told_to_callers",
    "test_a_caller_that_is_killed_takes_its_command_along", "test_each_command_has_the_policy_and_tokens_only",
    "test_X18_no_command_gets_into_what_starts_the_others", "test_commands_are_restricted_as_a_run_is"])
LiveFromTemplate.__module__ = __name__
del FromTemplate, test_live
