"""What a request through the room and the gateway costs from gvisor or a virtual machine, whose network stacks are at the end
of a wire, against native."""
import json
import os
import shutil
import statistics

from common import BULKHEAD, HOST, ROOT, row

FIGURES = (("keep-alive", 1024, "HTTPS GET 1 KB keep-alive"), ("new-connections", 1024, "new HTTPS connections"),
           ("bulk", 1 << 20, "HTTPS GET 1 MB"))


def figures(bench, other="gvisor"):
    shutil.copy(os.path.join(ROOT, "bench/client.py"), bench.work)
    for how, size, name in FIGURES:
        bench.body = b"x" * size
        rates = {"native": [], other: []}
        for _ in range(3):
            for tier, found in rates.items():
                made = bench.run([BULKHEAD, "run", "--quiet", "--tier", tier, "--policy", bench.policy, "--", "/usr/bin/python3",
                                  "client.py", how, HOST, "3"])
                found.append(json.loads(made.stdout)["per_second"])
        native, theirs = (statistics.median(rates[tier]) for tier in ("native", other))
        yield row(f"{other} / native: {name}, c=1", theirs, native, theirs / native, "report", "/s")
