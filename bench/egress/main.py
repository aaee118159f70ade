#!/usr/bin/env python3
"""The gateway measured beside its peers: ./dev bench egress [--rounds N] [--seconds S] [--only KEY,…] [--peers NAME,…]
[--json] [--profile].

One run, one machine, one site; every arm in every round. What a peer can't do, or what is not installed, is said and
left out. The exit status is 1 when a promised figure is missed. `--profile` shows instead where front's and egress's
time goes while small requests go through (perf(1)).
"""
import argparse
import json
import os
import resource
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import arms as all_arms  # noqa: E402
import figures  # noqa: E402
from place import LOAD, Place, program  # noqa: E402

OURS = ("bulkhead", "bulkhead, credential")


def say(text):
    print(f"bench egress: {text}", file=sys.stderr, flush=True)


def verdict(figure, name, ratio, cpu):
    """For ours: is what is promised there? None: nothing is."""
    if name not in OURS:
        return None
    if figure.wanted is not None:
        return ratio >= figure.wanted
    return cpu <= figure.most_cpu if figure.most_cpu is not None else None


def row(figure, samples, name):
    mine = samples[name]
    made = {"arm": name}
    if figure.key == "memory":
        return {**made, **mine[0]}
    for key in ("per_second", "p50_us", "p99_us", "cpu_us"):
        if (value := figures.middle(mine, key)) is not None:
            made[key] = value
    parts = {part for sample in mine for part in sample.get("cpu_parts", {})}
    made["cpu_parts"] = {part: figures.middle([s["cpu_parts"] for s in mine if "cpu_parts" in s], part) for part in parts}
    if "direct" not in samples:
        return made
    if figure.job["what"] == "ticks":
        for key in ("p50_us", "p99_us"):
            made["added_" + key] = made[key] - figures.middle(samples["direct"], key)
        return made
    if name != "direct":
        each = figures.ratios(samples, name)
        made["ratio"] = figures.statistics.median(each)
        made["ratio_from"], made["ratio_to"] = min(each), max(each)
        good = verdict(figure, name, made["ratio"], made.get("cpu_us"))
        if good is not None:
            made["good"] = good
    return made


def better(figure, ours, theirs):
    """Rounds in which ours was ahead."""
    if figure.key == "memory":
        return [a["each_kb"] < b["each_kb"] for a, b in zip(ours, theirs)]
    if figure.job["what"] == "ticks":
        return [a["p50_us"] < b["p50_us"] for a, b in zip(ours, theirs)]
    return [a["per_second"] > b["per_second"] for a, b in zip(ours, theirs)]


def result(figure, samples, arms):
    rows = [row(figure, samples, arm.name) for arm in arms if samples.get(arm.name)]
    for made in rows:
        name = made["arm"]
        if name != "direct" and name not in OURS and samples.get("bulkhead"):
            wins = better(figure, samples["bulkhead"], samples[name])
            made["beaten"], made["rounds"] = sum(wins), len(wins)
            made["judges"] = next(arm.judges for arm in arms if arm.name == name)
    return {"figure": figure.key, "title": figure.title, "wanted": figure.wanted, "most_cpu_us": figure.most_cpu, "rows": rows}


def shown(figure, made):
    words = []
    if "each_kb" in made:
        words.append(f"{made['held_mb']:8.1f} MB  ({made['before_mb']:.1f} before)  {made['each_kb']:.1f} KB each")
    elif figure.job["what"] == "ticks":
        words.append(f"median {made['p50_us']:7.0f} µs, p99 {made['p99_us']:7.0f}")
        if made["arm"] != "direct":
            words.append(f"added {made['added_p50_us']:+6.0f}, {made['added_p99_us']:+6.0f}")
    else:
        words.append(f"{made['per_second']:10,.0f} /s")
        if "ratio" in made:
            words.append(f"{made['ratio']:5.2f} ({made['ratio_from']:.2f}–{made['ratio_to']:.2f})")
    if "cpu_us" in made:
        parts = sorted(made["cpu_parts"].items(), key=lambda item: -(item[1] or 0))
        text = f"CPU {made['cpu_us']:6.0f} µs"
        words.append(text + (": " + ", ".join(f"{n} {us:.0f}" for n, us in parts if us) if made["arm"] in OURS else ""))
    if "good" in made:
        words.append("ok" if made["good"] else "MISSED")
    if "beaten" in made:
        words.append(("beaten" if made["judges"] else "ceiling, below ours") + f" {made['beaten']}/{made['rounds']}"
                     if made["beaten"] * 2 > made["rounds"] else
                     ("AHEAD OF OURS" if made["judges"] else "ceiling"))
    return f"  {made['arm']:22}" + "   ".join(words)


def table(figure, made):
    wanted = f"wanted: {figure.wanted:.2f} of direct" if figure.wanted else ""
    if figure.most_cpu:
        wanted = f"wanted: {figure.most_cpu} µs of CPU a request"
    lines = [figure.title + (f"   [{wanted}]" if wanted else "")]
    return "\n".join(lines + [shown(figure, each) for each in made["rows"]])


def arguments():
    parser = argparse.ArgumentParser(prog="./dev bench egress", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of each arm in each round")
    parser.add_argument("--only", default="", help="figures: " + ", ".join(each.key for each in figures.FIGURES))
    parser.add_argument("--peers", default="", help="of the peers only these: " +
                        ", ".join(each.name for each in all_arms.PEERS) + "; none")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", action="store_true", help="where front's and egress's time goes")
    words = parser.parse_args()
    words.only = [each for each in words.only.split(",") if each]
    known = [each.key for each in figures.FIGURES]
    if unknown := [each for each in words.only if each not in known]:
        parser.error(f"there is no figure {unknown[0]}: {', '.join(known)}")
    words.peers = [each for each in words.peers.split(",") if each]
    peers = [each.name for each in all_arms.PEERS] + ["none"]
    if unknown := [each for each in words.peers if each not in peers]:
        parser.error(f"there is no peer {unknown[0]}: {', '.join(peers)}")
    if words.rounds < 1 or words.seconds <= 0:
        parser.error("--rounds and --seconds are more than nothing")
    return words


def main():
    words = arguments()
    for path, what in ((LOAD, "egress-load is not built (./dev bench egress builds it)"),
                       (program("nginx"), "nginx is not installed, and the site is one (Debian: nginx-light)")):
        if not path or not os.path.exists(path):
            sys.exit(f"bench egress: {what}")
    made = []
    with Place() as place:
        if words.profile:
            import profile_gateway
            return profile_gateway.run(place, words, say)
        arms = all_arms.start(place, words.peers, say)
        for each in arms:
            if each.about:
                say(f"{each.name} {each.version()}: {each.about}")
        for figure in figures.FIGURES:
            if words.only and figure.key not in words.only:
                continue
            samples = figures.measure(figure, arms, words.rounds, words.seconds, say)
            made.append(result(figure, samples, arms))
            if not words.json:
                print(table(figure, made[-1]), flush=True)
    load = os.getloadavg()[0]
    if words.json:
        print(json.dumps({"uid": os.geteuid(), "cpus": os.cpu_count(), "kernel": os.uname().release, "load": load,
                          "rounds": words.rounds, "seconds": words.seconds, "figures": made}, indent=2))
    elif load > 4:
        say(f"the load average is {load:.1f} at the end: was something else running?")
    return any(each.get("good") is False for figure in made for each in figure["rows"])


# A peer that goes wrong must end this run, not the machine: one that did took all memory there was.
resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, resource.getrlimit(resource.RLIMIT_DATA)[1]))
sys.exit(main())
