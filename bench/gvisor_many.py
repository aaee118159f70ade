"""Many sandboxes at once: fifty up against runsc alone, and what those cost that do nothing.

Two hundred idle ones are more than two processors take: gVisor's systrap (2024) wakes up 3,000 times a second for nothing,
runsc alone does, and each sandbox takes two hundredths of a processor with it. So there are fifty, beside two hundred native."""
import json
import os
import signal
import subprocess
import time

import gvisor
from common import BULKHEAD, procs, row
from memory import pss_kb

UP, BARE_IDLE = 50, 20
IDLE = {"native": 200, "gvisor": 50}
WATCHED = 5  # seconds

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


def everybody(pids):
    """These and all below them, by one look at the machine's processes: there are thousands."""
    children, found, queue = {}, [], list(pids)
    for pid in procs.pids():
        children.setdefault(procs.parent(pid), []).append(pid)
    while queue:
        found.append(queue.pop())
        queue += children.get(found[-1], [])
    return found


def memory(pids):
    """Name -> MB (PSS) of all processes below."""
    sizes = {}
    for pid in everybody(pids):
        name = procs.part_of_bulkhead(pid) or "the workload, runsc's stubs"
        sizes[name] = sizes.get(name, 0) + pss_kb(pid) / 1000
    return sizes


def processor_seconds(pids):
    total = 0
    for pid in everybody(pids):
        fields = procs.read(pid, "stat").rsplit(b")", 1)[-1].split()
        total += sum(int(field) for field in fields[11:13]) / os.sysconf("SC_CLK_TCK")
    return total


def idle(many, count):
    """Of each: MB by name (PSS), and how much of a processor in percent."""
    time.sleep(3)  # what only starting needed is given back
    before = processor_seconds(many.pids)
    time.sleep(WATCHED)
    busy = (processor_seconds(many.pids) - before) / WATCHED * 100 / count
    return {name: size / count for name, size in memory(many.pids).items()}, busy


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
    with theirs(bench, BARE_IDLE, 4) as many:
        sizes, bare_busy = idle(many, BARE_IDLE)
        bare = sum(sizes.values())
    for tier, count in IDLE.items():
        time.sleep(2)
        before = available()
        with ours(bench, tier, count, 4) as many:
            sizes, busy = idle(many, count)
            gone = (before - available()) / count
            yield row(f"{tier}: {count} idle sessions up, 4 at a time", many.seconds, None, None, "report", "s")
            yield row("  one of them / a bare runsc, PSS", sum(sizes.values()), bare, sum(sizes.values()) / bare, "report", "MB")
            yield row("  of the machine's memory", gone, None, None, "report", "MB")
            yield row("  of a processor / a bare runsc", busy, bare_busy, None, "report", "%")
            for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:6]:
                yield row(f"  of it {name}", size, None, None, "", "MB")
