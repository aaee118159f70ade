"""Several processes that run tests side by side. Each makes a lab for itself and takes one class of tests after another:
what a class's tests share is made once."""
import collections
import contextlib
import ctypes
import dataclasses
import itertools
import multiprocessing.connection
import os
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
    classes = [list(group) for _, group in itertools.groupby(tests, type)]
    yield from _side_by_side([each for each in classes if not getattr(each[0], "alone", False)], count)
    yield from _side_by_side([each for each in classes if getattr(each[0], "alone", False)], 1)


def _side_by_side(classes, count):
    waiting = collections.deque((number, 0) for number in range(len(classes)))
    workers = {}
    try:
        while waiting or workers:
            while waiting and len(workers) < count:
                worker = _Worker(classes, list(workers))
                worker.take(*waiting.popleft())
                workers[worker.channel] = worker
            for channel in multiprocessing.connection.wait(list(workers)):
                worker = workers[channel]
                try:
                    end = channel.recv()
                except (EOFError, OSError):
                    del workers[channel]
                    yield End(worker.test().id(), "failed", worker.age(), f"The process that ran it ended: {worker.wait()}.")
                    if worker.done + 1 < len(classes[worker.number]):
                        waiting.append((worker.number, worker.done + 1))
                    continue
                if end is not None:
                    worker.heard()
                    yield end
                elif waiting:
                    worker.take(*waiting.popleft())
                else:
                    del workers[channel]
                    how = worker.wait()
                    if how != "status 0":  # what tests share could not be put away
                        yield End("support.jobs", "failed", 0, f"A process that had run tests ended: {how}.")
    finally:
        for worker in workers.values():
            os.kill(worker.pid, signal.SIGINT)
        for worker in workers.values():
            worker.wait()


class _Worker:
    """A forked process; gone when it has been waited for."""

    def __init__(self, classes, others):
        self.classes = classes
        self.channel, far = multiprocessing.Pipe()
        sys.stdout.flush()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                for mine in (self.channel, *others):  # or their ends would not be seen
                    mine.close()
                signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job behind ignores it
                _die_with(parent)
                _serve(far, classes)
                status = 0
            except KeyboardInterrupt:
                pass
            except BaseException:  # noqa: B902  (nothing may go on as a second parent)
                traceback.print_exc()
            finally:
                os._exit(status)
        far.close()

    def take(self, number, done):
        """That class, without the first tests of it, which are done."""
        self.number, self.done, self.began = number, done, time.monotonic()
        with contextlib.suppress(OSError):  # who is gone is seen where its words are read
            self.channel.send((number, done))

    def heard(self):
        self.done, self.began = self.done + 1, time.monotonic()

    def test(self):
        """Which it is at."""
        return self.classes[self.number][min(self.done, len(self.classes[self.number]) - 1)]

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


def _serve(channel, classes):
    try:
        while True:
            try:
                number, done = channel.recv()
            except EOFError:
                return
            tests = classes[number][done:]
            result = _Result(channel.send)
            unittest.TestSuite(tests).run(result)
            result.of_the_class([test.id() for test in tests])
            channel.send(None)
    finally:
        case.close_shared_lab()


class _Result(unittest.TestResult):
    """Tells of each test as it ends."""

    def __init__(self, tell):
        super().__init__()
        self.tell, self.told = tell, set()

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        self._tell(test.id(), "passed", time.monotonic() - self.began)

    def of_the_class(self, names):
        """What its set-up and its end said; of its tests those that were not run because of it."""
        missing = [name for name in names if name not in self.told]
        wrong = bool(self.failures or self.errors)
        for name in missing or names[-1:] * wrong:
            self._tell(name, "failed", 0, "" if wrong or self.skipped else "It was not run.", keep=True)

    def _tell(self, name, otherwise, seconds, text="", keep=False):
        wrong = [f"{test.id()}\n{text}" if test.id() != name else text for test, text in self.failures + self.errors]
        wrong += [f"It passed, and was expected to fail: {test.id()}" for test in self.unexpectedSuccesses]
        reasons = sorted({reason for _, reason in self.skipped})
        how = "failed" if wrong else "skipped" if reasons else otherwise
        self.tell(End(name, how, seconds, "\n".join(wrong) or "; ".join(reasons) or text))
        self.told.add(name)
        if not keep:
            self.failures, self.errors, self.skipped, self.unexpectedSuccesses = [], [], [], []
