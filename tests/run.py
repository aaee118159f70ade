#!/usr/bin/env python3
"""Runs the whole-program tests: run.py [-v] [-j JOBS] [PATTERN…]. A pattern is a part of a test's id ("agent", "X18").

The tests need build/release (or BULKHEAD_BUILD) and run as whoever starts them: as root they check the
started-as-root path, as an ordinary user the ordinary one. JOBS processes (as many as there are processors), each with
a lab of its own, take the next class of tests when they are done with one; classes that say `alone` wait until nothing
else runs.
"""
import argparse
import collections
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from support import jobs  # noqa: E402  (the path had to be set first)


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def found(patterns):
    suite = unittest.TestSuite()
    for folder in ("agent", "session", "attacks"):  # the longest tests first
        path = os.path.join(HERE, folder)
        if any(name.startswith("test_") for name in os.listdir(path)):
            suite.addTests(unittest.defaultTestLoader.discover(path, top_level_dir=HERE))
    # A module that can't be loaded is a failure whatever is asked for: what it holds can't be asked for.
    return [test for test in flatten(suite)
            if not patterns or "_FailedTest" in test.id() or any(p in test.id() for p in patterns)]


def main():
    options = argparse.ArgumentParser(description="Runs the whole-program tests.")
    options.add_argument("-v", action="store_true", dest="verbose", help="a line for each test")
    options.add_argument("-j", type=int, default=os.cpu_count(), dest="jobs", metavar="JOBS", help="processes that run them")
    options.add_argument("patterns", nargs="*", metavar="PATTERN", help="a part of the ids of the tests to run")
    asked = options.parse_args()
    tests = found(asked.patterns)
    if asked.patterns and not tests:
        sys.exit(f"run.py: no test's id contains {' or '.join(asked.patterns)}")
    start = time.monotonic()
    ends = []
    for end in jobs.run(tests, max(1, min(asked.jobs, len(tests)))):
        ends.append(end)
        if asked.verbose:
            print(f"{end.how:7} {end.seconds:6.1f} s  {end.name}", flush=True)
        else:
            print({"passed": ".", "skipped": "s", "failed": "F"}[end.how], end="", flush=True)
        if end.how == "failed":  # now: whoever stops this may not see its end
            print(f"\n{'=' * 70}\nFAILED {end.name} ({end.seconds:.1f} s)\n{'-' * 70}\n{end.text}", flush=True)
    print("" if asked.verbose else "\n", *(f"FAILED {end.name}\n" for end in ends if end.how == "failed"), sep="", end="")
    reasons = collections.Counter(end.text for end in ends if end.how == "skipped")
    for reason, count in sorted(reasons.items()):
        print(f"skipped {count}: {reason}")
    if asked.verbose or not asked.patterns:
        slowest = sorted(ends, key=lambda end: -end.seconds)[:12]
        print("slowest:", *(f"  {end.seconds:6.1f} s  {end.name}" for end in slowest), sep="\n")
    count = collections.Counter(end.how for end in ends)
    print(f"whole-program tests as uid {os.geteuid()}: {count['passed']} passed, {count['failed']} failed, "
          f"{count['skipped']} skipped, {time.monotonic() - start:.0f} s")
    # What was not run to its end, by whatever means, has not passed.
    sys.exit(0 if count["passed"] and not count["failed"] and len(ends) == len(tests) else 1)


main()
