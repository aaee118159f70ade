"""A hundred sessions at once: each makes a request with its token, all are up together, all end well."""
import os
import time

from common import HOST, procs, row, wait_for
from memory import pss_kb

COUNT = 100


def figures(bench):
    folder = os.path.join(bench.work, "many")
    os.mkdir(folder)
    script = (f"curl -sS -m 60 -o /dev/null -w '%{{http_code}}' -H \"x-api-key: $API_KEY\" https://{HOST}/ > many/$0.part && "
              "mv many/$0.part many/$0; while [ ! -e go ]; do sleep 0.5; done; exit 7")
    bench.lab.web.forget()
    began = time.monotonic()
    children = [bench.start(["/bin/sh", "-c", script, str(n)]) for n in range(COUNT)]
    try:
        for number in range(COUNT):
            wait_for(os.path.join(folder, str(number)), 120)
        up = time.monotonic() - began
        alive = sum(child.poll() is None for child in children)
        pss = sum(pss_kb(pid) for child in children for pid in [child.pid, *procs.descendants(child.pid)]) / 1000
        open(os.path.join(bench.work, "go"), "w").close()
        statuses = [child.wait(120) for child in children]
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
    good = [open(os.path.join(folder, str(n))).read() for n in range(COUNT)].count("200")
    right = sum(r.headers.get("x-api-key") == "real-key-bench" for r in bench.lab.web.received(HOST))
    all_good = alive == good == right == statuses.count(7) == COUNT
    yield row(f"{COUNT} sessions at once: working", min(alive, good, right, statuses.count(7)), None, None, f"{COUNT}", "",
              good=all_good)
    yield row(f"{COUNT} sessions at once: up after", up, None, None, "report", "s")
    yield row(f"{COUNT} sessions at once: PSS, workloads included", pss, None, None, "report", "MB")
