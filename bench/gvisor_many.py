"""Many sandboxes at once: fifty up against runsc alone, and the memory of two hundred that do nothing."""
import json
import os
import signal
import subprocess
import time

import gvisor
from common import BULKHEAD, procs, row, wait_for
from memory import pss_kb

UP, IDLE, BARE_IDLE = 50, 200, 20

# On the host side of the lab as one process: entering it fifty times would be most of what is measured. It starts the
# commands, so many at a time as are told, says when each has made its file, and ends them when its input is closed.
STARTER = """
import json, os, subprocess, sys, time
commands, files, width, cwd, end = json.loads(sys.stdin.readline())
began, children, up = time.perf_counter(), [], 0
def there(): return sum(os.path.exists(file) for file in files[:len(children)])
for command in commands:
    while len(children) - there() >= width: time.sleep(0.002)
    children.append(subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True))
while there() < len(files):
    if time.perf_counter() - began > 300 or any(child.poll() is not None for child in children): sys.exit("one of them did not come up")
    time.sleep(0.002)
print(json.dumps([time.perf_counter() - began, [child.pid for child in children]]), flush=True)
sys.stdin.read()
for child in children: child.send_signal(end)
for child in children: child.wait()
"""


class Many:
    """So many commands that are up and stay. Use as a context manager: their end is its end."""

    def __init__(self, bench, commands, files, width, end=signal.SIGTERM):
        self.child = subprocess.Popen(bench.enter(["/usr/bin/python3", "-c", STARTER]), env=bench.environment(), cwd=bench.work,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.job = [commands, files, width, bench.work, int(end)]

    def __enter__(self):
        self.child.stdin.write(json.dumps(self.job) + "\n")
        self.child.stdin.flush()
        self.seconds, self.pids = json.loads(self.child.stdout.readline())
        return self

    def __exit__(self, *_):
        self.child.communicate(timeout=120)


def ours(bench, tier, count, width):
    names = [f"ours-{time.monotonic_ns()}-{n}" for n in range(count)]
    return Many(bench, [[BULKHEAD, "run", "--quiet", "--tier", tier, "--policy", bench.policy, "--", "/bin/sh", "-c", f"echo > {name}; exec sleep 900"]
                        for name in names], [os.path.join(bench.work, name) for name in names], width)


def theirs(bench, count, width):
    names = [f"bare-{time.monotonic_ns()}-{n}" for n in range(count)]
    commands = [gvisor.bare(bench, ["/bin/sh", "-c", f"echo > /home/work/{name}; exec sleep 900"], name) for name in names]
    return Many(bench, commands, [os.path.join(bench.work, name) for name in names], width, signal.SIGKILL)


def memory(pids):
    """Name -> MB (PSS) of all processes below."""
    sizes = {}
    for top in pids:
        for pid in [top, *procs.descendants(top)]:
            name = procs.part_of_bulkhead(pid) or ("runsc's stubs, the workload" if procs.descendant_of_runsc(pid) else "the workload")
            sizes[name] = sizes.get(name, 0) + pss_kb(pid) / 1000
    return sizes


def available():
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) / 1000 for line in file if line.startswith("MemAvailable"))


def figures(bench):
    times = {"ours": [], "theirs": []}
    for _ in range(3):
        for name, made in (("ours", ours(bench, "gvisor", UP, UP)), ("theirs", theirs(bench, UP, UP))):
            with made as many:
                times[name].append(many.seconds)
    mine, bare = (sorted(each)[1] for each in (times["ours"], times["theirs"]))
    yield row(f"gvisor: {UP} up / runsc alone", mine, bare, mine / bare, "<= 1.2", "s", good=mine / bare <= 1.2)
    before = available()
    with theirs(bench, BARE_IDLE, 4) as many:
        time.sleep(3)
        bare = sum(memory(many.pids).values()) / BARE_IDLE
    time.sleep(2)
    for tier in ("native", "gvisor"):
        before = available()
        with ours(bench, tier, IDLE, 4) as many:
            time.sleep(3)
            sizes, gone = memory(many.pids), before - available()
            total = sum(sizes.values()) / IDLE
            yield row(f"{tier}: {IDLE} idle sessions up, 4 at a time", many.seconds, None, None, "report", "s")
            yield row(f"{tier}: PSS of one of {IDLE} idle sessions / a bare runsc's", total, bare, total / bare, "report", "MB")
            yield row("  of the machine's memory, each", gone / IDLE, None, None, "report", "MB")
            for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:6]:
                yield row(f"  of it {name}", size / IDLE, None, None, "", "MB")
        wait_for(bench.work)
        time.sleep(2)
