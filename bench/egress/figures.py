"""The figures: which jobs the clients get, and what is promised (the design's table).

Every figure is measured in rounds; in a round every arm runs once, the order turning by one each time, so that a
neighbour's load meets all. A ratio is that of one round to direct in the same round; what is shown is the median.
"""
import statistics
import time

from arms import procs
from place import KB, MB, PORTS


class Figure:
    """`wanted`: the least ratio to direct; `most_cpu`: the most CPU time per request, in µs; None: reported only."""

    def __init__(self, key, title, wanted=None, most_cpu=None, http=1, count=1, **job):
        self.key, self.title, self.wanted, self.most_cpu, self.http = key, title, wanted, most_cpu, http
        self.job = {"what": "keep", "path": "/v1/1k", "up": 0, "expect": KB, "count": count, **job}


DOWN = {"path": "/v1/1m", "expect": MB}
UP = {"path": "/v1/up", "expect": 2, "up": MB}

FIGURES = [
    # First, while nobody has grown by anything else.
    Figure("memory", "1,000 idle keep-alive connections: PSS", what="idle", count=1000),
    Figure("get-1k", "GET 1 KB, keep-alive, c=1", 0.40),
    Figure("get-1k-32", "GET 1 KB, keep-alive, c=32", most_cpu=50, count=32),
    Figure("down-1m", "GET 1 MB, c=1", 0.50, **DOWN),
    Figure("down-1m-32", "GET 1 MB, c=32", 0.50, count=32, **DOWN),
    Figure("up-1m", "POST 1 MB, c=1", 0.50, **UP),
    Figure("up-1m-32", "POST 1 MB, c=32", 0.50, count=32, **UP),
    Figure("new", "a new connection each, GET 1 KB, c=1", 0.35, what="new"),
    Figure("new-32", "a new connection each, GET 1 KB, c=32", 0.35, what="new", count=32),
    Figure("h2-get-1k", "GET 1 KB, HTTP/2, one stream", 0.40, http=2),
    Figure("h2-get-1k-32", "GET 1 KB, HTTP/2, 32 streams of a connection", http=2, count=32),
    Figure("h2-down-1m", "GET 1 MB, HTTP/2, one stream", 0.50, http=2, **DOWN),
    Figure("h2-down-1m-32", "GET 1 MB, HTTP/2, 32 streams", 0.50, http=2, count=32, **DOWN),
    Figure("h2-up-1m", "POST 1 MB, HTTP/2, one stream", 0.50, http=2, **UP),
    Figure("h2-up-1m-32", "POST 1 MB, HTTP/2, 32 streams", 0.50, http=2, count=32, **UP),
    Figure("stream", "server-sent event, from the site to the client", what="ticks", path="/v1/ticks", expect=0),
]


def cpu_seconds(pids):
    """CPU time of each process, threads that ended included."""
    times = {}
    for pid in pids:
        try:
            times[pid] = time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3)
        except OSError:
            pass
    return times


def pss_kb(pids):
    total = 0
    for pid in pids:
        for line in procs.read(pid, "smaps_rollup").decode().split("\n"):
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


def job(arm, figure, seconds):
    return {**figure.job, **arm.words(figure.http), "port": PORTS[figure.http], "http": figure.http, "seconds": seconds}


def once(arm, figure, seconds):
    """One arm's turn: its sample as a dictionary."""
    arm.client.prepare(job(arm, figure, seconds))
    names = arm.pids()
    before = cpu_seconds(names)
    result = arm.client.go()
    after = cpu_seconds(names)
    sample = {"per_second": result["done"] / result["seconds"], "p50_us": result["p50_us"], "p99_us": result["p99_us"]}
    if names and result["done"]:
        parts = {}
        for pid, name in names.items():
            if pid in before and pid in after:
                parts[name] = parts.get(name, 0) + (after[pid] - before[pid]) / result["done"] * 1e6
        sample["cpu_us"] = sum(parts.values())
        sample["cpu_parts"] = {name: us for name, us in parts.items() if us >= 0.5}
    return sample


def memory(arm, figure, seconds):
    """PSS before and with the connections open and quiet; a second after, helpers have released what they can."""
    before = pss_kb(arm.pids())
    arm.client.prepare(job(arm, figure, seconds))
    time.sleep(3)
    held = pss_kb(arm.pids())
    arm.client.go()
    return {"before_mb": before / 1000, "held_mb": held / 1000, "each_kb": (held - before) / figure.job["count"]}


def measure(figure, arms, rounds, seconds, say):
    """{arm's name: [sample of each round]}; an arm that fails is said so and left out of this figure."""
    taking = []
    for arm in arms:
        if figure.http not in arm.versions:
            say(f"{figure.key}: left out: {arm.why_not_2}")
        elif figure.key != "memory" or arm.name != "direct":
            taking.append(arm)
    if figure.key == "memory":
        # One session serves both of ours: the one with the credential would find the other's memory grown.
        taking, rounds = [arm for arm in taking if arm.name != "bulkhead, credential"], 1
    samples = {arm.name: [] for arm in taking}
    take = memory if figure.key == "memory" else once
    for turn in range(rounds):
        order = taking[turn % len(taking):] + taking[:turn % len(taking)]
        for arm in (each for each in order if each.name in samples):
            for attempt in (1, 2):
                try:
                    samples[arm.name].append(take(arm, figure, seconds))
                    break
                except (RuntimeError, OSError) as why:
                    say(f"{figure.key}: {arm.name} failed, " + ("once more: " if attempt == 1 else "and is left out: ") + str(why))
                    if attempt == 2:
                        del samples[arm.name]
    return samples


def middle(samples, key):
    found = [sample[key] for sample in samples if key in sample]
    return statistics.median(found) if found else None


def ratios(samples, name):
    return [one["per_second"] / base["per_second"] for one, base in zip(samples[name], samples["direct"])]
