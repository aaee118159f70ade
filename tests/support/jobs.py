"""Several processes that run tests side by side. Each makes a lab for itself and takes one test after another."""
import ctypes
import dataclasses
import multiprocessing.connection
import os
import random
import signal
import sys
import time
import traceback
import unittest

from . import case

PR_SET_PDEATHSIG = 1


@dataclasses.dataclass
class End:
    """How a test ended: "passed", "failed" (`text` says with what), "skipped" (`text` says why)."""
    name: str
    how: str
    seconds: float
    text: str = ""


def run(tests, count):
    """Yields the End of each test, as they come. What must be alone is run last, by one process."""
    yield from _side_by_side([test for test in tests if not getattr(test, "alone", False)], count)
    yield from _side_by_side([test for test in tests if getattr(test, "alone", False)], 1)


def _side_by_side(tests, count):
    waiting = list(reversed(tests))
    workers = {}
    try:
        while waiting or workers:
            while waiting and len(workers) < count:
                worker = _Worker(tests, list(workers))
                worker.take(waiting.pop())
                workers[worker.channel] = worker
            for channel in multiprocessing.connection.wait(list(workers)):
                worker = workers[channel]
                try:
                    yield channel.recv()
                except EOFError:
                    del workers[channel]
                    yield End(worker.test.id(), "failed", worker.age(), f"The process that ran it ended: {worker.wait()}.")
                    continue
                if waiting:
                    worker.take(waiting.pop())
                else:
                    del workers[channel]
                    worker.wait()
    finally:
        for worker in workers.values():
            os.kill(worker.pid, signal.SIGINT)
        for worker in workers.values():
            worker.wait()


class _Worker:
    """A forked process; gone when it has been waited for."""

    def __init__(self, tests, others):
        self.index = {id(test): number for number, test in enumerate(tests)}
        self.channel, far = multiprocessing.Pipe()
        sys.stdout.flush()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                for mine in (self.channel, *others):  # or their ends would not be seen
                    mine.close()
                _die_with(parent)
                random.seed()
                _serve(far, tests)
                status = 0
            except KeyboardInterrupt:
                pass
            except BaseException:  # noqa: B902  (nothing may go on as a second parent)
                traceback.print_exc()
            finally:
                os._exit(status)
        far.close()

    def take(self, test):
        self.test, self.began = test, time.monotonic()
        self.channel.send(self.index[id(test)])

    def age(self):
        return time.monotonic() - self.began

    def wait(self):
        self.channel.close()
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return f"signal {-status}" if status < 0 else f"status {status}"


def _die_with(parent):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    if os.getppid() != parent:
        raise KeyboardInterrupt


def _serve(channel, tests):
    try:
        while True:
            try:
                test = tests[channel.recv()]
            except EOFError:
                return
            begin = time.monotonic()
            result = unittest.TestResult()
            unittest.TestSuite([test]).run(result)
            channel.send(_end(test.id(), result, time.monotonic() - begin))
    finally:
        case.close_shared_lab()


def _end(name, result, seconds):
    wrong = [f"{test.id()}\n{text}" if test.id() != name else text for test, text in result.failures + result.errors]
    wrong += [f"It passed, and was expected to fail: {test.id()}" for test in result.unexpectedSuccesses]
    if wrong:
        return End(name, "failed", seconds, "\n".join(wrong))
    if result.skipped:
        return End(name, "skipped", seconds, "; ".join(sorted({reason for _, reason in result.skipped})))
    if not result.testsRun:
        return End(name, "failed", seconds, "It was not run.")
    return End(name, "passed", seconds)
