"""What a hostile command tries against the session itself: names it can change, stops, last moments, odd descriptors."""
import json
import os
import socket
import time

from support import Case

MOVE_AND_CONNECT = r'''
import os, socket
work, home = os.getcwd(), os.environ["HOME"]
def tried():
    try:
        client = socket.socket(socket.AF_UNIX); client.connect("host.sock"); return "connected"
    except OSError as error:
        return type(error).__name__
print(tried())
# A mount point can't be renamed, what is above it can: now a folder of the session's has a name of the host's.
top = os.path.dirname(home)
os.rename(top, top + ".old"); os.mkdir(top); os.symlink(top + ".old/" + os.path.basename(work), home)
print(tried())
'''


class Escapes(Case):
    def evidence(self):
        (name,) = [n for n in self.state_files() if n.endswith(".jsonl")]
        return [json.loads(line) for line in self.read(name).split("\n")[:-1]]

    def test_X16_a_renamed_folder_makes_no_socket_the_sessions(self):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(os.path.join(self.work, "host.sock"))
        os.chmod(os.path.join(self.work, "host.sock"), 0o777)
        listener.listen(8)
        result = self.ok(self.inside(["/usr/bin/python3", "-c", MOVE_AND_CONNECT]))
        self.assertEqual(result.out.split(), ["PermissionError", "PermissionError"], result)

    def test_a_command_that_stops_itself_does_not_stop_the_limits(self):
        begin = time.monotonic()
        result = self.inside(["/bin/bash", "-c", "setsid sh -c 'while :; do sleep 0.1; done' & sleep 0.3; kill -STOP $$"],
                             '[limits]\nduration = "2s"\n', timeout=40)
        self.assertEqual(result.status, 125, result)
        self.assertIn("duration", result.err)
        self.assertLess(time.monotonic() - begin, 30)

    def test_requests_under_way_at_the_end_are_in_the_record(self):
        seen = []

        def slow(request):
            seen.append(request.path)
            time.sleep(1.5)
            request.text("late\n")
        self.lab.web.site("api.example.com", slow)
        ask = ("import http.client, ssl, sys, time; c = http.client.HTTPSConnection('api.example.com'); "
               "c.request('GET', '/' + sys.argv[1]); big = b'x' * 200_000_000; open('asked' + sys.argv[1], 'w'); time.sleep(60)")
        script = (f"for n in 1 2 3; do python3 -c \"{ask}\" $n & done; "
                  "while [ ! -e asked1 ] || [ ! -e asked2 ] || [ ! -e asked3 ]; do sleep 0.05; done; sleep 0.3; exit 0")
        self.ok(self.inside(["/bin/sh", "-c", script], self.grant("api.example.com")))
        events = self.evidence()
        recorded = sorted(e["path"] for e in events if e["type"] == "http.request")
        self.assertEqual(recorded, sorted(seen), events)
        self.assertEqual(len(seen), 3)
        went_up = [e for e in events if e["type"] in ("upstream.request", "upstream.failure")]
        self.assertEqual(len(went_up), 3, events)
        self.assertEqual(events[-1]["type"], "session.end")

    def test_what_the_host_mounts_later_does_not_appear(self):
        data = self.folder("data")
        self.folder("data/later")
        inner = self.bulkhead_command(["/bin/sh", "-c", "echo up > up; while [ ! -e go ]; do sleep 0.05; done; "
                                       "ls data/later later; echo x > data/later/written; true"],
                                      f'[[mount]]\npath = "{data}"\ntarget = "{self.work}/data"\nmode = "ro"\n'
                                      '[[mount]]\npath = "."\nmode = "rw"\n')
        self.folder("work/later")
        script = self.write("mounts.sh", '"$@" & session=$!\n'
                            f'while [ ! -e {self.work}/up ]; do sleep 0.05; done\n'
                            f'for at in {data}/later {self.work}/later; do\n'
                            '  mount -t tmpfs later $at && echo secret > $at/host-file && echo mounted\ndone\n'
                            f'echo > {self.work}/go\nwait $session\nls {data}/later\n')
        # Shared is how systemd mounts everything.
        enter = (["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Um", "--map-current-user", "--keep-caps"])
        command = self.lab.command([*enter, "--propagation", "shared", "/bin/bash", script, *inner], guard=False)
        result = self._run(command, ["later mounts"], self.environment(), None, None, 60)
        self.assertEqual(result.out.count("mounted"), 2, result)
        self.assertEqual(result.out.count("host-file"), 1, result)  # the host's own look at the end
        self.assertNotIn("written", result.out)

    def test_X22_a_group_that_shares_a_repository(self):
        """Needs set-group-ID folders: an ordinary user's sessions may make them, those that root began may not."""
        self.ok(self.outside(["git", "init", "-q", "--shared", "."]))
        done = self.inside(["/bin/sh", "-c", "echo x > file; git add file && git -c user.name=a -c user.email=a@b commit -qm one && "
                            "touch run && chmod 2755 run && stat -c %a run"])
        if os.geteuid() == 0:
            self.assertIn("not permitted", done.err)
            self.assertFalse([name for name in os.listdir(self.work) if os.stat(os.path.join(self.work, name)).st_mode & 0o2000 and name != ".git"])
        else:
            self.assertEqual(self.ok(done).out, "2755\n")
        self.assertIn("not permitted", self.inside(["/bin/sh", "-c", "touch run; chmod 4755 run"]).err)
        self.assertEqual(os.stat(os.path.join(self.work, "run")).st_mode & 0o4000, 0)

    def test_a_copy_that_resists_removal_is_removed(self):
        settings = self.folder("home/.tool")
        self.write(os.path.join(settings, "config"), "x\n")
        script = ("cd ~/.tool && mkdir -p locked/inner && touch locked/inner/f && chmod 0 locked/inner && chmod 555 locked; "
                  "python3 -c 'import os\nfor i in range(3000): os.mkdir(\"d\"); os.chdir(\"d\")'")
        self.ok(self.inside(["/bin/bash", "-c", script], '[[mount]]\npath = "~/.tool"\ncopy = true\n'))
        left = os.listdir(os.path.join(self.runtime, "bulkhead", "sessions")) \
            if os.path.isdir(os.path.join(self.runtime, "bulkhead", "sessions")) else []
        state = os.path.join(self.home, ".local/state/bulkhead/sessions")
        left += os.listdir(state) if os.path.isdir(state) else []
        self.assertEqual(left, [])

    def test_a_folder_as_standard_input_is_refused(self):
        outside = self.folder("outside")
        self.write("outside/victim", "x\n", 0o600)
        for number in (0, 1, 2):
            with self.subTest(number=number):
                inner = self.bulkhead_command(["/bin/sh", "-c", "echo > ran"], "")
                command = self.lab.command(["/bin/sh", "-c", f'exec "$@" {number}<{outside}', "sh", *inner], guard=False)
                result = self._run(command, ["a folder"], self.environment(), None, None, 30)
                self.assertEqual(result.status, 125, result)
                if number != 2:
                    self.assertIn("is a folder", result.err)
                self.assertFalse(os.path.exists(os.path.join(self.work, "ran")))
