"""What every figure uses: a lab with one site, a home, a policy with one TLS grant and one credential, medians."""
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))
sys.dont_write_bytecode = True

from lab import Lab  # noqa: E402
from support import procs  # noqa: E402,F401

BUILD = os.environ.get("BULKHEAD_BUILD", os.path.join(ROOT, "build/release"))
BULKHEAD = os.path.join(BUILD, "bin/bulkhead")
HOST = "api.example.com"


class Bench:
    """A place to measure in. Use as a context manager."""

    def __enter__(self):
        self.lab = Lab(listen=False).__enter__()
        self.folder = tempfile.mkdtemp(prefix="bhbench.")
        os.chmod(self.folder, 0o755)
        self.home, self.work = (os.path.join(self.folder, name) for name in ("home", "work"))
        self.runtime = os.path.join(self.folder, "runtime")
        for path in (self.home, self.work, self.runtime):
            os.mkdir(path)
        self.body = b"x" * 1024
        self.address = self.lab.web.site(HOST, lambda request: request.raw(200, self.body))
        self.policy = os.path.join(self.folder, "policy.toml")
        with open(self.policy, "w") as file:
            file.write(f'version = 1\ndns = ["{self.lab.dns_address}"]\nupstream_ca = ["{self.lab.authority.pem}"]\n'
                       '[credential.api]\nsource = "env:API_KEY"\nexpose = { env = "API_KEY" }\ncarry = { header = "x-api-key" }\n'
                       f'[[grant]]\nhost = "{HOST}"\ncredential = "api"\n[[grant.allow]]\nmethod = ["GET", "POST"]\npath = "/**"\n'
                       '[limits]\nopen_files = 4096\n')
        return self

    def __exit__(self, *_):
        self.lab.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, **more):
        pem = self.lab.authority.pem
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": self.home, "LANG": "C.UTF-8", "API_KEY": "real-key-bench",
                "XDG_RUNTIME_DIR": self.runtime, "SSL_CERT_FILE": pem, "CURL_CA_BUNDLE": pem, **more}

    def enter(self, argv, resolver=False):
        return self.lab.command(argv, resolver=resolver, guard=False)

    def inside(self, argv):
        return [BULKHEAD, "run", "--quiet", "--policy", self.policy, "--", *argv]

    def run(self, argv, resolver=False, timeout=300, **keywords):
        return subprocess.run(self.enter(argv, resolver), env=self.environment(), cwd=self.work, capture_output=True,
                              timeout=timeout, check=True, **keywords)

    def start(self, argv):
        return subprocess.Popen(self.enter(self.inside(argv)), env=self.environment(), cwd=self.work,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


# The timing loop runs on the host side of the lab as one process, so that entering it is not measured.
TIMER = """
import json, subprocess, sys, time
commands, rounds, cwd = json.loads(sys.argv[1])
times = [[] for _ in commands]
for turn in range(rounds + 1):
    for index, command in enumerate(commands):
        start = time.perf_counter()
        status = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode
        if status:
            sys.exit(f"{command[:3]}: status {status}")
        if turn:
            times[index].append(time.perf_counter() - start)
print(json.dumps(times))
"""


def series(bench, commands, rounds, resolver=False):
    """Seconds of each command, run in turn, `rounds` times after one warm-up."""
    import json
    made = bench.run(["/usr/bin/python3", "-c", TIMER, json.dumps([commands, rounds, bench.work])], resolver, timeout=560)
    return json.loads(made.stdout)


def interleaved(bench, commands, rounds, resolver=False):
    return [statistics.median(each) for each in series(bench, commands, rounds, resolver)]


def row(figure, value, baseline, ratio, wanted, unit="ms", good=None, text=None):
    return {"figure": figure, "value": value, "baseline": baseline, "ratio": ratio, "unit": unit, "wanted": text or wanted,
            "good": good}


def wait_for(path, seconds=60):
    end = time.monotonic() + seconds
    while not os.path.exists(path):
        if time.monotonic() > end:
            raise TimeoutError(path)
        time.sleep(0.01)
