"""Through the gateway against direct: keep-alive requests a second, new connections a second, bulk."""
import json
import os

from common import HOST, ROOT, row

CLIENT = os.path.join(ROOT, "bench/client.py")


def figures(bench):
    # The stand-in site is a Python thread, so "direct" is its own pace: the ratio flatters the gateway at small sizes.
    for path in (CLIENT,):
        with open(path) as source, open(os.path.join(bench.work, os.path.basename(path)), "w") as copy:
            copy.write(source.read())
    results = {}
    for arm in ("direct", "through"):
        results[arm] = {}
        for how, size, seconds in (("keep-alive", 1024, 4), ("new-connections", 1024, 4), ("bulk", 1 << 20, 4)):
            bench.body = b"x" * size
            argv = ["/usr/bin/python3", "client.py", how, HOST, str(seconds)]
            made = bench.run(argv, resolver=True) if arm == "direct" else bench.run(bench.inside(argv))
            results[arm][how] = json.loads(made.stdout)["per_second"]
    for how, wanted in (("keep-alive", 0.40), ("new-connections", 0.35), ("bulk", 0.50)):
        through, direct = results["through"][how], results["direct"][how]
        name = {"keep-alive": "HTTPS GET 1 KB keep-alive, c=1", "new-connections": "new HTTPS connections, c=1",
                "bulk": "HTTPS GET 1 MB, c=1"}[how]
        yield row(f"{name}: through / direct", through, direct, through / direct, f">= {wanted} (later)", "/s")
