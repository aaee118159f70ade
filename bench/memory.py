"""Memory of an idle session: PSS of all of Bulkhead's processes together, before and after its first request.

Idle is two seconds after the start: a second old, the helpers release what only starting needed (base/trim.h). What
they hold until then is reported as well.
"""
import os
import time

from common import HOST, procs, row, wait_for


def pss_kb(pid):
    for line in procs.read(pid, "smaps_rollup").decode().split("\n"):
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def helpers(child):
    """Everything of the session but the workload (sleep, sh, curl)."""
    found = {}
    for pid in [child.pid, *procs.descendants(child.pid)]:
        name = procs.part_of_bulkhead(pid)
        if name:
            found[pid] = name
    return found


def total(child):
    return {f"{name} {pid}": pss_kb(pid) for pid, name in helpers(child).items()}


def figures(bench):
    script = (f"echo > up; while [ ! -e go ]; do sleep 0.1; done; curl -sS -o /dev/null -H \"x-api-key: $API_KEY\" https://{HOST}/; "
              "echo > asked; exec sleep 60")
    child = bench.start(["/bin/sh", "-c", script])
    try:
        wait_for(os.path.join(bench.work, "up"))
        time.sleep(0.2)
        starting = total(child)
        time.sleep(2)
        before = total(child)
        open(os.path.join(bench.work, "go"), "w").close()
        wait_for(os.path.join(bench.work, "asked"))
        time.sleep(0.5)
        after = total(child)
    finally:
        child.terminate()
        child.wait(20)
    for name in ("up", "go", "asked"):
        os.unlink(os.path.join(bench.work, name))
    fresh, first, second = (sum(sizes.values()) / 1000 for sizes in (starting, before, after))
    yield row("idle session, PSS before a request", first, None, None, "<= 12 MB", "MB", good=0 < first <= 12)
    yield row("idle session, PSS in its first second", fresh, None, None, "report", "MB")
    yield row("idle session, PSS after a request", second, None, None, "report", "MB")
    for name, size in sorted(before.items(), key=lambda item: -item[1]):
        key = name.split()[0]
        yield row(f"  of it {key}", size / 1000, None, None, "", "MB")
