#!/usr/bin/env python3
"""Runs the whole-program tests: run.py [-v] [PATTERN…]. A pattern is a part of a test's id ("agent", "X18").

The tests need build/release (or BULKHEAD_BUILD) and run as whoever starts them: as root they check the
started-as-root path, as an ordinary user the ordinary one.
"""
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from support import case  # noqa: E402  (the path had to be set first)


class Line(unittest.TextTestResult):
    """One line for each test that did not pass, with how long it took; a dot for each that did."""

    def startTest(self, test):
        self.started = time.monotonic()
        super().startTest(test)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.times.append((time.monotonic() - self.started, test.id()))

    times = []


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def main():
    words = sys.argv[1:]
    verbose = "-v" in words
    patterns = [word for word in words if word != "-v"]
    suite = unittest.TestSuite()
    for folder in ("session", "attacks", "agent"):
        path = os.path.join(HERE, folder)
        if any(name.startswith("test_") for name in os.listdir(path)):
            suite.addTests(unittest.defaultTestLoader.discover(path, top_level_dir=HERE))
    # A module that can't be loaded is a failure whatever is asked for: what it holds can't be asked for.
    tests = [test for test in flatten(suite)
             if not patterns or "_FailedTest" in test.id() or any(p in test.id() for p in patterns)]
    if patterns and not tests:
        sys.exit(f"run.py: no test's id contains {' or '.join(patterns)}")
    start = time.monotonic()
    try:
        result = unittest.TextTestRunner(resultclass=Line, verbosity=2 if verbose else 1).run(unittest.TestSuite(tests))
    finally:
        case.close_shared_lab()
    if verbose:
        print("slowest:", *(f"  {seconds:6.1f} s  {name}" for seconds, name in sorted(Line.times)[-8:]), sep="\n")
    failed = len(result.failures) + len(result.errors)
    print(f"whole-program tests as uid {os.geteuid()}: {result.testsRun - failed - len(result.skipped)} passed, "
          f"{failed} failed, {len(result.skipped)} skipped, {time.monotonic() - start:.0f} s")
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)


main()
