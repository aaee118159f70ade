"""The tier gvisor: what is its own, and of the tests of every tier some that stand for the rest."""
import os
import re
import struct
import subprocess
import time
import zlib

from session import test_image, test_life, test_outputs, test_run, test_terminal
from support import Case, images, procs
from support.tiers import on_tier

Run = on_tier("gvisor", test_run.Start, ["test_nothing_configured"])
Streams = on_tier("gvisor", test_run.Streams, [
    "test_a_closed_reader_ends_the_writer", "test_standard_output_is_the_commands_alone"])
Life = on_tier("gvisor", test_life.Life, [
    "test_X23_sigkill_to_each_process_in_turn", "test_X23_a_clean_end_leaves_nothing_but_the_record",
    "test_X23_background_processes_end_with_the_command"])
Exhaustion = on_tier("gvisor", test_life.Exhaustion, [
    "test_X24_fork_bomb", "test_X24_memory", "test_X24_memory_of_many_processes", "test_X24_duration",
    "test_X24_disk_in_memory", "test_X24_output_nobody_reads"])
Images = on_tier("gvisor", test_image.Image, [
    "test_a_folder_a_layout_and_an_archive", "test_its_variables_and_what_is_not_taken_of_it", "test_what_lies_over_it",
    "test_mounts_at_places_the_image_lacks", "test_requests_go_through_the_gateway"])
Outputs = on_tier("gvisor", test_outputs.Outputs, [
    "test_it_is_empty_at_first_and_reviewed_at_the_end", "test_apply_lands_at_once", "test_target", "test_inputs",
    "test_X27_links_and_special_files_stay_out", "test_X10_too_much_is_nothing", "test_X29_nothing_else_of_it_stays"])
for one in (Run, Streams, Life, Exhaustion, Images, Outputs):
    one.__module__ = __name__
MARKER = "planted-marker-of-a-session-4b1d"

# What a code interpreter is asked to do: read a table, compute, and draw. The PNG is made by hand: no library is needed.
PLOT = """
import csv, statistics, struct, zlib
with open("/data/sales.csv") as file:
    rows = [(row["month"], float(row["sold"])) for row in csv.DictReader(file)]
values = [value for _, value in rows]
print("mean", statistics.mean(values), "max", max(rows, key=lambda row: row[1])[0])
width, height = 40 * len(rows), 200
pixels = [bytearray(b"\\xff" * (3 * width)) for _ in range(height)]
for i, value in enumerate(values):
    for y in range(height - int(value / max(values) * height), height):
        for x in range(40 * i + 5, 40 * i + 35):
            pixels[y][3 * x:3 * x + 3] = b"\\x20\\x60\\xc0"
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
with open("/out/plot.png", "wb") as out:
    out.write(b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
              chunk(b"IDAT", zlib.compress(b"".join(b"\\0" + bytes(row) for row in pixels))) + chunk(b"IEND", b""))
with open("/tmp/scratch", "w") as scratch:
    scratch.write("%s")
""" % MARKER


class Gvisor(Case):
    tier = "gvisor"

    def test_X19_the_kernel_is_not_the_hosts(self):
        """No process of the workload's is one of the host's, and what answers calls itself something else."""
        host = os.uname().release
        child = self.start_inside(["/bin/sh", "-c", "uname -r; echo up > up; exec sleep 30.125"])
        self.wait_for_file("up")
        self.assertEqual([p for p in procs.with_text("sleep 30.125") if procs.name(p) == "sleep"], [])
        child.terminate()
        out, _ = child.communicate(timeout=20)
        self.assertNotIn(host, out.decode())
        self.assertRegex(out.decode(), r"^\d+\.\d+")

    def test_the_policy_names_the_tier(self):
        self.tier = "native"  # no --tier
        result = self.ok(self.inside(["/bin/uname", "-r"], 'tier = "gvisor"\n'))
        self.assertNotEqual(result.out.strip(), os.uname().release)
        self.assertIn("gvisor tier", result.err)

    def test_the_uid_is_the_sessions(self):
        result = self.ok(self.inside(["/bin/sh", "-c", "id -u; touch made; stat -c %u made /usr/bin/env; cat /proc/self/uid_map"]))
        uid, made, system = result.out.split()[:3]
        self.assertNotEqual(uid, "0")
        self.assertEqual(made, uid)
        self.assertEqual(system, "65534", "what is root's on the host is nobody's")
        self.assertEqual(os.stat(os.path.join(self.work, "made")).st_uid, os.geteuid())

    def test_X01_read_only_mounts(self):
        folder = self.folder("shown")
        self.write("shown/file", "as it was\n")
        script = f"cat {folder}/file; echo x > {folder}/file; rm -f {folder}/file; touch {folder}/new /usr/new /etc/new /new"
        result = self.inside(["/bin/sh", "-c", script], options=["--mount", f"{folder}:ro"])
        self.assertEqual(result.out, "as it was\n")
        self.assertEqual(os.listdir(folder), ["file"])
        self.assertEqual(self.read("shown/file"), "as it was\n")
        for path in ("/usr/new", "/etc/new", "/new"):
            self.assertFalse(os.path.exists(path))

    def test_mounts_of_every_shape(self):
        """A file, a folder in another mount, one in an in-memory folder, a toolchain."""
        self.write("home/.gitconfig", "[user]\nname = Somebody\n")
        outer = self.folder("outer")
        os.makedirs(os.path.join(outer, "inner"))
        single = self.write("single", "one file\n")
        config = os.path.join(self.home, ".config/tool")
        self.write(os.path.join(config, "settings"), "in a tmpfs\n")
        options = ["--mount", f"{outer}:ro", "--mount", f"{outer}/inner:rw", "--mount", f"{single}:ro", "--mount", f"{config}:ro"]
        script = (f"cat {single} {config}/settings; git config user.name; echo back > {outer}/inner/file; "
                  f"touch {outer}/new 2>/dev/null; ls {outer}; ls -A ~")
        result = self.ok(self.inside(["/bin/sh", "-c", script], options=options))
        self.assertEqual(result.out, "one file\nin a tmpfs\nSomebody\ninner\n.config\n.gitconfig\n")
        self.assertEqual(self.read("outer/inner/file"), "back\n")

    def test_changes_on_the_host_are_seen(self):
        child = self.start_inside(["/bin/sh", "-c", "echo up > up; while ! test -e later; do sleep 0.05; done; cat later > seen"])
        self.wait_for_file("up")
        self.write("work/later.new", "from outside\n")
        os.rename(os.path.join(self.work, "later.new"), os.path.join(self.work, "later"))
        _, err = child.communicate(timeout=20)
        self.assertEqual(child.returncode, 0, err)
        self.assertEqual(self.read("work/seen"), "from outside\n")

    def test_review(self):
        self.write("work/file", "as it was\n")
        self.ok(self.inside(["/bin/sh", "-c", "echo changed > file; echo new > made; cat file made"],
                            options=["--mount", ".:review"]))
        self.assertEqual(self.read("work/file"), "as it was\n")
        self.assertIn("made", self.ok(self.bulkhead("diff")).out)
        self.ok(self.bulkhead("apply"))
        self.assertEqual(self.read("work/file") + self.read("work/made"), "changed\nnew\n")

    def test_X29_nothing_of_a_session_survives(self):
        """What was written outside the mounts is on no disk, in no shared memory, in no mount."""
        before = test_life.leftovers()
        mounted = test_life.mounts()
        script = f"for d in /tmp /run /var /dev/shm ~; do echo {MARKER} > $d/marker || exit 1; done; sync; cat ~/marker"
        self.assertIn(MARKER, self.ok(self.inside(["/bin/sh", "-c", script])).out)
        test_life.nothing_new(self, before)
        self.assertEqual(test_life.mounts(), mounted)
        found = subprocess.run(["grep", "-rls", "--exclude-dir=evidence", "-e", MARKER, self.tmp, "/dev/shm", "/run/user"],
                               capture_output=True, text=True, check=False)
        self.assertEqual([line for line in found.stdout.split("\n") if line and not line.endswith("policy.toml")], [])
        again = self.ok(self.inside(["/bin/sh", "-c", "cat /tmp/marker ~/marker /dev/shm/marker 2>/dev/null; ls -A ~ /tmp"]))
        self.assertNotIn("marker", again.out)

    def test_a_code_interpreter(self):
        """python3 with a data file in and a plot out; the folder it was started in is not there, and nothing else stays."""
        sold = {"jan": 10, "feb": 30, "mar": 20}
        self.write("sales.csv", "month,sold\n" + "".join(f"{month},{value}\n" for month, value in sold.items()))
        policy = (f'[[input]]\npath = "{self.tmp}/sales.csv"\ntarget = "/data/sales.csv"\n'
                  f'[[output]]\npath = "{self.tmp}/plots"\ntarget = "/out"\napply = true\nmax_size = "10MB"\n'
                  '[[mount]]\npath = "."\nmode = "ro"\n[limits]\nmemory = "1GB"\nprocesses = 50\nduration = "60s"\n')
        result = self.ok(self.inside(["python3", "-"], policy, input=PLOT))
        self.assertEqual(result.out, "mean 20.0 max feb\n")
        with open(os.path.join(self.tmp, "plots/plot.png"), "rb") as file:
            data = file.read()
        self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", data[16:24])
        self.assertEqual((width, height), (120, 200))
        pixels = zlib.decompress(data[data.index(b"IDAT") + 4:data.index(b"IEND") - 8])
        blue = [sum(pixels[(3 * width + 1) * y + 1 + 3 * x] == 0x20 for y in range(height)) for x in (20, 60, 100)]
        self.assertEqual(blue, [66, 200, 133])
        self.assertEqual(os.listdir(self.work), [])
        found = subprocess.run(["grep", "-rls", "-e", MARKER, self.tmp, "/dev/shm"], capture_output=True, text=True, check=False)
        self.assertEqual(found.stdout, "")

    def test_X29_nothing_of_a_session_in_an_image_survives(self):
        """Nothing of the workload's is in the cache, in the image that is shared, or on another disk."""
        images.need_umoci(self)
        layout = images.Layout(os.path.join(self.tmp, "layout"))
        layout.image([images.usable()])
        before = test_life.leftovers()
        mounted = test_life.mounts()
        # In two parts: what the command was is recorded with the review.
        script = (f"m={MARKER[:9]}; m=${{m}}{MARKER[9:]}; for d in /tmp /run /var /dev/shm ~ / /usr /etc; do echo $m > $d/marker; done 2>/dev/null; "
                  "echo $m > /etc/passwd; cat ~/marker; echo $PPID > out/fine")
        result = self.inside(["/bin/sh", "-c", script], '[[output]]\npath = "./out"\n', options=["--image", layout.path])
        self.assertIn(MARKER, self.ok(result).out)
        test_life.nothing_new(self, before)
        self.assertEqual(test_life.mounts(), mounted)
        found = subprocess.run(["grep", "-rls", "--exclude-dir=evidence", "-e", MARKER, self.tmp, "/dev/shm", "/run/user"],
                               capture_output=True, text=True, check=False)
        self.assertEqual([line for line in found.stdout.split("\n") if line and not line.endswith("policy.toml")], [])

    def test_what_it_cannot_enforce_is_refused(self):
        for options, name in ((["--mount", ".:rw-no-delete"], "rw-no-delete"),):
            result = self.inside(["/bin/touch", "ran"], options=options)
            self.assertEqual(result.status, 125, result)
            self.assertIn(name, result.err)
            self.assertIn("gvisor", result.err)
        protected = self.inside(["/bin/touch", "ran"], '[[mount]]\npath = "."\nmode = "rw"\nprotect = true\n')
        self.assertEqual(protected.status, 125, protected)
        self.assertIn("protect", protected.err)
        self.assertFalse(os.path.exists(os.path.join(self.work, "ran")))

    def test_grants_and_tokens(self):
        self.lab.web.site("api.example.com", lambda request: request.text("here\n"))
        policy = self.credential() + self.grant("api.example.com", path="/v1/**", credential="api")
        script = ('curl -sS -H "x-api-key: $API_KEY" https://api.example.com/v1/x; echo $API_KEY; '
                  'curl -sS -o /dev/null -w "%{http_code}\\n" -H "x-api-key: $API_KEY" https://api.example.com/v2')
        result = self.ok(self.inside(["/bin/sh", "-c", script], policy, env={"API_KEY": "real-key-77"}))
        self.assertTrue(result.out.startswith("here\nbulkhead-"), result)
        self.assertTrue(result.out.endswith("\n403\n"), result)
        self.assertNotIn("real-key-77", result.out)
        seen = [request for request in self.lab.web.received() if request.path.startswith("/v1")]
        self.assertEqual(len(seen), 1)

    def test_U01_every_way_out_is_the_rooms(self):
        """By IPv4 and IPv6, to the wire's own ends and beyond: the gateway, or refused at once."""
        script = ("import socket\n"
                  "for host in ('192.0.0.1', '10.0.0.1', '192.168.1.1', '169.254.169.254', '2606:4700::1', 'fd62:756c:6b68::1'):\n"
                  "  for port in (80, 8443):\n"
                  "    s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET); s.settimeout(5)\n"
                  "    try: s.connect((host, port)); s.sendall(b'GET / HTTP/1.1\\r\\nHost: x.example\\r\\n\\r\\n'); print(port, s.recv(12))\n"
                  "    except OSError as e: print(port, type(e).__name__)\n")
        result = self.ok(self.inside(["/usr/bin/python3", "-c", script]))
        lines = result.out.split("\n")[:-1]
        self.assertEqual(len(lines), 12, result)
        for line in lines:
            self.assertIn(line, ("80 b'HTTP/1.1 403'", "8443 ConnectionRefusedError"), result)
        self.assertEqual(lines.count("80 b'HTTP/1.1 403'"), 6, result)
        self.received_nothing()

    def test_X10_open_files(self):
        script = "import os\nn = 0\ntry:\n  while True: os.open('/dev/null', 0); n += 1\nexcept OSError as e: print(n, e.errno)"
        result = self.ok(self.inside(["/usr/bin/python3", "-c", script], "[limits]\nopen_files = 64\n"))
        count, error = result.out.split()
        self.assertLess(int(count), 64)
        self.assertEqual(error, "24")

    def test_memory_of_in_memory_folders_counts(self):
        began = time.monotonic()
        result = self.inside(["/bin/sh", "-c", "head -c 700M /dev/zero > /tmp/a; sleep 20"], '[limits]\nmemory = "400MB"\n')
        self.assertEqual(result.status, 125, result)
        self.assertIn("memory", result.err)
        self.assertLess(time.monotonic() - began, 20)

    def test_everyday_tools(self):
        """git, a compiler, python with a subprocess, a pipe, ls over the host's symbolic links."""
        self.write("work/a.c", "#include <stdio.h>\nint main(void) { puts(\"compiled\"); }\n")
        script = ("set -e; git init -q . && git -c user.name=a -c user.email=a@b add a.c && "
                  "git -c user.name=a -c user.email=a@b commit -qm one && git log --format=%s; cc -o a a.c && ./a; "
                  "python3 -c 'import subprocess; print(subprocess.check_output([\"seq\", \"3\"]).split())'; "
                  "ls -la /usr/bin /etc/alternatives > list; cp -a /etc/alternatives /tmp/copy; tar cf /tmp/x.tar -C /etc alternatives")
        result = self.ok(self.inside(["/bin/bash", "-c", script]))
        self.assertEqual(result.out, "one\ncompiled\n[b'1', b'2', b'3']\n")
        self.assertEqual([line for line in result.err.split("\n") if line and not line.startswith("bulkhead:")], [])


class Terminal(test_terminal.Terminals):
    """As on native, but for what takes long there."""

    tier = "gvisor"
    test_big_output_is_complete = None

    def test_files_as_standard_streams(self):
        """Written and read where they are, in order, whoever else has them open."""
        folder = self.folder("streams")
        self.write("streams/log", "zero\n")
        fd = os.open(os.path.join(folder, "log"), os.O_RDWR)
        os.lseek(fd, 0, os.SEEK_END)
        words = "cat; echo two; echo three >&2; echo four"
        with open(os.path.join(folder, "in"), "w+") as file:
            file.write("skipped\none\n")
            file.flush()
            os.lseek(file.fileno(), len("skipped\n"), os.SEEK_SET)
            child = self.start_inside(["/bin/sh", "-c", words], options=["-q"], stdin=file, stdout=fd, stderr=fd)
            self.assertEqual(child.wait(30), 0)
        os.write(fd, b"five\n")
        os.close(fd)
        self.assertEqual(self.read("streams/log"), "zero\none\ntwo\nthree\nfour\nfive\n")

    def test_dev_tty_and_window(self):
        terminal = self.open(["/bin/bash", "-c", "echo to-the-tty > /dev/tty; tty; stty size"])
        self.assertEqual(terminal.wait(), 0, terminal.shown)
        self.assertTrue(re.search(rb"to-the-tty\r\n/dev/pts/\d+\r\n\d+ \d+\r\n", terminal.shown), terminal.shown)
