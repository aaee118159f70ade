#!/usr/bin/env python3
"""The figures: run.py [--json] [NAME…]. NAME is start, memory, work, many, gateway, http2, gvisor, live or machines; without one, all.

Each is measured beside its baseline in the same run; a figure that is promised and missed is marked, and the exit
status is 1 then.
"""
import importlib
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import common  # noqa: E402

NAMES = ("start", "memory", "work", "many", "gateway", "http2", "gvisor", "live", "machines")


def shown(value, unit):
    if value is None:
        return ""
    return f"{value:,.{0 if unit in ('', '/s') else 1 if value >= 10 else 2}f} {unit}".strip()


def main():
    words = sys.argv[1:]
    as_json = "--json" in words
    names = [word for word in words if word != "--json"] or NAMES
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        sys.exit(f"bench: there is no figure {unknown[0]}: {', '.join(NAMES)}")
    rows = []
    for name in names:
        with common.Bench() as bench:
            if not as_json:
                print(f"measuring: {name}", file=sys.stderr)
            rows += importlib.import_module(name).figures(bench)
    if as_json:
        print(json.dumps({"uid": os.geteuid(), "cpus": os.cpu_count(), "kernel": os.uname().release, "figures": rows}, indent=2))
    else:
        table = [("figure", "value", "baseline", "ratio", "wanted", "")]
        for r in rows:
            table.append((r["figure"], shown(r["value"], r["unit"]), shown(r["baseline"], r["unit"]),
                          "" if r["ratio"] is None else f"{r['ratio']:.2f}", r["wanted"],
                          "" if r["good"] is None else "ok" if r["good"] else "MISSED"))
        widths = [max(len(line[n]) for line in table) for n in range(6)]
        for line in table:
            print("  ".join(cell.ljust(width) if n == 0 else cell.rjust(width)
                            for n, (cell, width) in enumerate(zip(line, widths))).rstrip())
    sys.exit(any(r["good"] is False for r in rows))


main()
