"""Sessions that live: a command in one against runsc's own exec, what is left of a start if the session is there already, and
two hundred idle ones."""
import json
import os
import statistics

import gvisor
from common import BULKHEAD, TIMER, interleaved, row
from gvisor_many import Many, available, idle

ROUNDS = 15
IDLE = 200

# runsc's state is in namespaces of its own, so the timing loop runs there.
BARE_EXEC = """set -e
mount -t tmpfs none /proc/sys/net/core
{runsc} --root={state} --network=sandbox --ignore-cgroups --overlay2=none run --bundle={bundle} bare &
until {runsc} --root={state} exec bare /usr/bin/true 2>/dev/null; do sleep 0.1; done
python3 -c "$TIMER" "$COMMANDS"
{runsc} --root={state} kill bare KILL
"""


def started(bench, tier, *options):
    argv = [BULKHEAD, "start", "--quiet", "--tier", tier, "--policy", bench.policy, *options]
    return bench.run(argv).stdout.decode().strip()


def bare_exec(bench):
    """Seconds of `runsc exec bare true`."""
    state, folder = os.path.join(bench.folder, "state"), gvisor.bundle(bench, ["/usr/bin/sleep", "600"], "exec")
    script = BARE_EXEC.format(runsc=gvisor.RUNSC, state=state, bundle=folder)
    commands = json.dumps([[[gvisor.RUNSC, f"--root={state}", "exec", "bare", "/usr/bin/true"]], ROUNDS, "/"])
    argv = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "env",
            f"TIMER={TIMER}", f"COMMANDS={commands}", "sh", "-c", script]
    return statistics.median(json.loads(bench.run(argv).stdout)[0])


class Living(Many):
    """So many sessions of `bulkhead start`, which are children of nobody's."""

    def __init__(self, bench, tier, count, width):
        names = [os.path.join(bench.work, f"live-{n}") for n in range(count)]
        for name in names:  # of those before
            if os.path.exists(name):
                os.remove(name)
        script = f"{BULKHEAD} start --quiet --tier {tier} --policy {bench.policy} --label bench=idle > $0.id && mv $0.id $0; exec sleep 900"
        super().__init__(bench, [["/bin/sh", "-c", script, name] for name in names], names, width)
        self.bench = bench

    def __enter__(self):
        super().__enter__()
        listed = self.bench.run([BULKHEAD, "ps", "--json", "--label", "bench=idle"]).stdout
        self.pids = [session["pid"] for session in json.loads(listed)]
        return self

    def __exit__(self, *_):
        self.bench.run([BULKHEAD, "stop", "--all"])
        super().__exit__()


# Work whose result is in memory: what a template saves.
PREPARE = "mkdir /tmp/lib && cp -r /usr/lib/python3.*/. /tmp/lib/ && python3 -m compileall -q -f /tmp/lib/asyncio /tmp/lib/email >/dev/null; test -d /tmp/lib/asyncio/__pycache__"


def template(bench):
    """A command in a session from a template, against one that first does what the template's did."""
    policy = ["--quiet", "--tier", "gvisor", "--policy", bench.policy]
    bench.run([BULKHEAD, "template", "create", "bench", *policy, "--", "sh", "-c", PREPARE])
    warm, cold, plain = interleaved(bench, [[BULKHEAD, "run", *policy, "--template", "bench", "--", "test", "-d", "/tmp/lib/asyncio"],
                                            [BULKHEAD, "run", *policy, "--", "sh", "-c", PREPARE],
                                            [BULKHEAD, "run", *policy, "--", "true"]], ROUNDS // 3)
    yield row("gvisor: from a template / start and its command", warm * 1e3, cold * 1e3, warm / cold, "<= 0.5", good=warm / cold <= 0.5)
    yield row("gvisor: from a template / start alone", warm * 1e3, plain * 1e3, warm / plain, "report")
    listed = json.loads(bench.run([BULKHEAD, "template", "list", "--json"]).stdout)
    yield row("  its size", listed[0]["bytes"] / 1e6, None, None, "report", "MB")


def figures(bench):
    yield from template(bench)
    for tier in ("native", "gvisor"):
        session = started(bench, tier)
        for name, argv in (("true", ["true"]), ("python3 -c pass", ["python3", "-c", "pass"])):
            inside, run = interleaved(bench, [[BULKHEAD, "exec", session, "--", *argv],
                                              [BULKHEAD, "run", "--quiet", "--tier", tier, "--policy", bench.policy, "--", *argv]], ROUNDS)
            yield row(f"{tier}: exec {name} / run, a session each", inside * 1e3, run * 1e3, inside / run,
                      "<= 60 ms" if name == "true" else "", good=inside <= 0.06 if name == "true" else None)
            if tier == "gvisor" and name == "true":
                bare = bare_exec(bench)
                yield row("gvisor: exec true / runsc exec", inside * 1e3, bare * 1e3, inside / bare, "<= 1.3", good=inside / bare <= 1.3)
        bench.run([BULKHEAD, "stop", session])
    before = available()
    with Living(bench, "gvisor", IDLE, 4) as many:
        sizes, busy = idle(many, IDLE)
        yield row(f"gvisor: {IDLE} sessions that live up, 4 at a time", many.seconds, None, None, "report", "s")
        yield row("  each, PSS", sum(sizes.values()), None, None, "report", "MB")
        yield row("  of the machine's memory", (before - available()) / IDLE, None, None, "report", "MB")
        yield row("  of a processor", busy, None, None, "report", "%")
        for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:6]:
            yield row(f"  of it {name}", size, None, None, "", "MB")
