"""The base of every whole-program test.

A Case has a lab (shared by the whole run), and per test a fresh home with planted secrets, a workspace and a
state folder. `self.outside(argv)` runs a command without the boundary, `self.inside(argv, policy)` behind it;
both on the lab's host side, as the user who runs the tests.
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from lab import Lab

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BULKHEAD_BUILD", os.path.join(ROOT, "build/release"))

# On which tier sessions run whose test names none.
TIER = os.environ.get("BULKHEAD_TIER", "native")
SLOWER = {"vm": 6}  # without KVM

# What `runsc` every policy says, if any: "debian-12".
RUNSC = os.environ.get("BULKHEAD_RUNSC_NAMED", "")

# Set: what a test runs inside is a command of a session that lives.
LIVES = bool(os.environ.get("BULKHEAD_LIVES"))

# Planted in every home. Distinctive, so that finding one anywhere is proof of where it came from.
SECRETS = {
    ".aws/credentials": "[default]\naws_access_key_id = AKIAPLANTEDPLANTED00\naws_secret_access_key = planted-aws-7c1f\n",
    ".ssh/id_ed25519": "-----BEGIN OPENSSH PRIVATE KEY-----\nplanted-ssh-51d0\n-----END OPENSSH PRIVATE KEY-----\n",
    ".netrc": "machine api.example.com login me password planted-netrc-90aa\n",
    ".config/gh/hosts.yml": "github.com:\n  oauth_token: planted-gh-33e7\n",
    ".bash_history": "export TOKEN=planted-history-e1\n",
}
PLANTED = "planted-"

_lab = None


def shared_lab():
    global _lab
    if _lab is None:
        _lab = Lab().__enter__()
    return _lab


def close_shared_lab():
    global _lab
    if _lab is not None:
        _lab.__exit__()
        _lab = None


def bin_folder():
    return os.path.join(BUILD, "bin")


def victim(name):
    return os.path.join(BUILD, "victims", name)


class Result:
    """How a command ended: `status` as a shell would show it (128+n for a signal), text of both streams."""

    def __init__(self, argv, status, out, err):
        self.argv, self.out_bytes, self.err_bytes = argv, out, err
        self.status = status if status >= 0 else 128 - status
        self.out, self.err = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def __str__(self):
        return (f"status {self.status} of {' '.join(map(str, self.argv))[:600]}\n"
                f"--- stdout\n{self.out[-3000:]}\n--- stderr\n{self.err[-3000:]}")


class Case(unittest.TestCase):
    maxDiff = None
    root_only = False  # a test that needs to be started as uid 0

    @classmethod
    def setUpClass(cls):
        if cls.root_only and os.geteuid() != 0:
            raise unittest.SkipTest("needs to be started as root")
        cls.lab = shared_lab()

    def setUp(self):
        if self.tier == "gvisor":
            self.need_old_runsc() if self.runsc else self.need_runsc()
        self.tmp = tempfile.mkdtemp(prefix="bht.")
        os.chmod(self.tmp, 0o755)
        self.addCleanup(self._remove)
        self.home = self.folder("home")
        self.work = self.folder("work")
        self.runtime = self.folder("runtime", 0o700)
        for name, text in SECRETS.items():
            self.write(os.path.join(self.home, name), text, 0o600)
        self.lab.web.forget()
        self.lab.sniffer.clear()
        self.lab.zone.questions.clear()
        self._children = []

    def _remove(self):
        for child in self._children:
            if child.poll() is None:
                child.kill()
                child.wait()
        shutil.rmtree(self.tmp, ignore_errors=True)

    def replace_part(self, name, program):
        """From here on `bulkhead` is that of an installation of its own, one part of which is another program."""
        folder = os.path.join(self.tmp, "tree/build/x/bin")
        shutil.rmtree(os.path.join(self.tmp, "tree"), ignore_errors=True)
        shutil.copytree(bin_folder(), folder)
        for data in ("profiles", "presets", "control", "secrets"):
            shutil.copytree(os.path.join(ROOT, data), os.path.join(self.tmp, "tree", data))
        shutil.copy(program, os.path.join(folder, name))
        self.program = os.path.join(folder, "bulkhead")

    # Files ------------------------------------------------------------------------------------------------

    def folder(self, name, mode=0o755):
        path = os.path.join(self.tmp, name)
        os.makedirs(path, mode)
        os.chmod(path, mode)
        return path

    def write(self, path, text, mode=0o644):
        path = os.path.join(self.tmp, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def read(self, path):
        with open(os.path.join(self.tmp, path), errors="replace") as file:
            return file.read()

    def state_files(self):
        """Everything of Bulkhead's own that is on disk for this test's user."""
        found = []
        for top in (os.path.join(self.home, ".local/state/bulkhead"), os.path.join(self.runtime, "bulkhead")):
            for folder, _, names in os.walk(top):
                found += [os.path.join(folder, name) for name in names]
        return [path for path in found if os.path.isfile(path)]  # a session's socket is not one

    # Policies ---------------------------------------------------------------------------------------------

    def policy(self, text="", name="policy.toml"):
        """A policy file: the lab's DNS and CA, then `text`."""
        head = f'version = 1\ndns = ["{self.lab.dns_address}"]\nupstream_ca = ["{self.lab.authority.pem}"]\n'
        if self.runsc:
            head += f'runsc = "{self.runsc}"\n'
        return self.write(name, head + text)

    @staticmethod
    def grant(host, method=("GET", "HEAD", "POST"), path="/**", port=443, credential=None, protocol=None, more=""):
        methods = ", ".join(f'"{m}"' for m in ([method] if isinstance(method, str) else method))
        lines = ["[[grant]]", f'host = "{host}"']
        if port != 443:
            lines.append(f"port = {port}")
        if protocol:
            lines.append(f'protocol = "{protocol}"')
        if credential:
            lines.append(f'credential = "{credential}"')
        lines += ["[[grant.allow]]", f"method = [{methods}]", f'path = "{path}"', 'query = ["*"]', more]
        return "\n".join(lines) + "\n"

    @staticmethod
    def credential(name="api", env="API_KEY", header="x-api-key"):
        carry = "{ bearer = true }" if header == "bearer" else f'{{ header = "{header}" }}'
        return (f'[credential.{name}]\nsource = "env:{env}"\nexpose = {{ env = "{env}" }}\ncarry = {carry}\n')

    # Running ----------------------------------------------------------------------------------------------

    def recorded(self, kind):
        """The events of this type in every record of this test's user."""
        events = []
        for path in self.state_files():
            if path.endswith(".jsonl"):
                events += [json.loads(line) for line in self.read(path).splitlines()]
        return [event for event in events if event.get("type") == kind]  # what is kept has lines of its own

    def need_fuse(self):
        if not os.access("/dev/fuse", os.R_OK | os.W_OK) or os.stat("/dev/fuse").st_mode & 0o6 != 0o6:
            self.skipTest("/dev/fuse is not everybody's here: chmod 0666 /dev/fuse, as udev does")

    def need_runsc(self):
        places = (os.path.join(ROOT, ".cache/runsc/usr/bin/runsc"), "/usr/local/bin/runsc", "/usr/bin/runsc")
        if not any(os.path.exists(path) for path in places):
            self.skipTest("there is no runsc here: ./dev runsc")

    def need_old_runsc(self):
        """Debian 12's, which CMake was told of, or found where its package puts it."""
        with open(os.path.join(BUILD, "CMakeCache.txt")) as file:
            told = [line.partition("=")[2].strip() for line in file if line.startswith("BULKHEAD_RUNSC_DEBIAN_12:")]
        if not any(os.path.exists(path) for path in [*told, "/usr/bin/runsc"]):
            self.skipTest("Debian 12's runsc is not here: ./dev runsc_debian_12")

    def environment(self, extra=None):
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": self.home, "LANG": "C.UTF-8",
               "USER": os.environ.get("USER", "user"), "XDG_RUNTIME_DIR": self.runtime, "TERM": "xterm",
               "TMPDIR": "/tmp"}
        env.update(extra or {})
        return env

    program = None  # in place of the one that is tested
    tier = TIER
    runsc = RUNSC
    lives = LIVES

    def bulkhead_command(self, argv, policy=None, options=()):
        words = [self.program or os.path.join(bin_folder(), "bulkhead"), "run", *options]
        if self.tier != "native" and "--tier" not in options:
            words += ["--tier", self.tier]
        if policy is not None:
            words += ["--policy", policy if policy.startswith("/") else self.policy(policy)]
        return [*words, "--", *argv]

    def outside(self, argv, env=None, cwd=None, input=None, timeout=60, resolver=True, mounts=(), lab=True,
                pass_fds=()):
        """Without the boundary: the lab's DNS through /etc/resolv.conf, its CA as everybody's."""
        pem = self.lab.authority.pem
        env = self.environment({"SSL_CERT_FILE": pem, "CURL_CA_BUNDLE": pem, "NODE_EXTRA_CA_CERTS": pem,
                                "REQUESTS_CA_BUNDLE": pem, "GIT_SSL_CAINFO": pem, **(env or {})})
        command = self.lab.command(argv, resolver, mounts) if lab else argv
        return self._run(command, argv, env, cwd, input, timeout, pass_fds)

    def inside(self, argv, policy="", options=(), env=None, cwd=None, input=None, timeout=60, pass_fds=(),
               mounts=()):
        """Behind the boundary: `bulkhead run --policy POLICY -- ARGV`. POLICY is text, a path, or None."""
        if self.lives and argv:
            return self.inside_of_started(argv, policy, options, env, cwd, input, timeout, mounts)
        return self._run(self.lab.command(self.bulkhead_command(argv, policy, options), mounts=mounts, guard=False), argv,
                         self.environment(env), cwd, input, timeout, pass_fds)

    def inside_of_started(self, argv, policy, options, env, cwd, input, timeout, mounts):
        """The same as a command of a session that lives: its start, the command, its stop."""
        words = self.bulkhead_command([], policy, options)
        words[1] = "start"
        env = self.environment(env)
        begun = self._run(self.lab.command(words[:words.index("--")], mounts=mounts, guard=False), words, env, cwd, None, timeout)
        if begun.status:
            return begun
        program, session = words[0], begun.out.strip()
        try:
            done = self._run(self.lab.command([program, "exec", session, "--", *argv], mounts=mounts, guard=False), argv, env,
                             cwd, input, timeout)
        finally:
            self._run(self.lab.command([program, "stop", session], mounts=mounts, guard=False), argv, env, cwd, None, timeout)
        done.err_bytes = begun.err_bytes + done.err_bytes
        done.err = begun.err + done.err
        return done

    def bulkhead(self, *words, env=None, input=None, timeout=60, cwd=None):
        argv = [self.program or os.path.join(bin_folder(), "bulkhead"), *words]
        return self._run(self.lab.command(argv, guard=False), argv, self.environment(env), cwd, input, timeout)

    def _run(self, command, argv, env, cwd, input, timeout, pass_fds=()):
        data = input.encode() if isinstance(input, str) else input
        process = subprocess.Popen(command, env=env, cwd=cwd or self.work, pass_fds=pass_fds,
                                   stdin=subprocess.DEVNULL if data is None else subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        timeout *= SLOWER.get(self.tier, 1)
        try:
            out, err = process.communicate(data, timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            self.fail(f"no end after {timeout} s\n" + str(Result(argv, -9, out, err)))
        return Result(argv, process.returncode, out, err)

    def start_inside(self, argv, policy="", options=(), env=None, cwd=None, **keywords):
        """A session that goes on beside the test. Ends with the test at the latest."""
        keywords.setdefault("stdin", subprocess.DEVNULL)
        keywords.setdefault("stdout", subprocess.PIPE)
        keywords.setdefault("stderr", subprocess.PIPE)
        child = subprocess.Popen(self.lab.command(self.bulkhead_command(argv, policy, options), guard=False),
                                 env=self.environment(env), cwd=cwd or self.work, start_new_session=True, **keywords)
        self._children.append(child)
        return child

    def start_outside(self, argv, env=None, cwd=None, resolver=True, **keywords):
        keywords.setdefault("stdin", subprocess.DEVNULL)
        keywords.setdefault("stdout", subprocess.PIPE)
        keywords.setdefault("stderr", subprocess.PIPE)
        child = subprocess.Popen(self.lab.command(argv, resolver), env=self.environment(env), cwd=cwd or self.work,
                                 start_new_session=True, **keywords)
        self._children.append(child)
        return child

    # Judging ----------------------------------------------------------------------------------------------

    def wait_until(self, condition, seconds=10, what="the condition"):
        seconds *= SLOWER.get(self.tier, 1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        self.fail(f"{what}: not within {seconds} s")

    def wait_for_file(self, path, seconds=20):
        path = os.path.join(self.work, path)
        self.wait_until(lambda: os.path.exists(path) and os.path.getsize(path), seconds, f"{path} appears")
        with open(path) as file:
            return file.read()

    def ok(self, result):
        self.assertEqual(result.status, 0, result)
        return result

    def received_nothing(self, containing=None):
        """Nothing at all reached a stand-in, or nothing that contains the given bytes."""
        if containing is None:
            self.assertEqual(self.lab.web.received(), [])
        self.assertEqual(self.lab.sniffer.seen(containing=containing), [])
