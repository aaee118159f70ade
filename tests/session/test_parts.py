"""X23 on the tier gvisor: of the processes of the host's that run the workload's code, none can be missing."""
import os
import signal
import time

from support import Case, procs

WHY = "killed one of the processes that the gvisor tier runs the session on"


def stubs(pid):
    """Below the sentry, as they were made: the first is a spare one, the last two run what was started last."""
    sentry = [one for one in procs.descendants(pid) if procs.command_line(one).startswith("runsc-sandbox")]
    return sorted(procs.descendants(sentry[0])) if sentry else []


class Parts(Case):
    tier = "gvisor"

    def end_of(self, which, policy=""):
        child = self.start_inside(["/bin/sh", "-c", "sleep 0.2; echo up > up; /bin/sleep 60.125; echo never"], policy)
        self.wait_for_file("up")
        time.sleep(2.6)  # two looks
        found = stubs(child.pid)
        self.assertGreater(len(found), 2)
        os.kill(found[which(len(found))], signal.SIGKILL)
        out, err = child.communicate(timeout=10)
        os.remove(os.path.join(self.work, "up"))
        return child.returncode, out.decode(), err.decode(), len(found)

    def test_X23_each_process_of_gvisors(self):
        """A spare one, one whose process waits, one whose process runs: none leaves a session that hangs or goes on."""
        count = self.end_of(lambda n: 0)[3]
        for index in range(1, count):
            with self.subTest(index=index):
                status, out, err, _ = self.end_of(lambda n, index=index: min(index, n - 1))
                self.assertEqual(out, "", err)
                # Where the command itself ran on it, it may be over before anybody has looked.
                if WHY not in err:
                    self.assertGreaterEqual(index, count - 4, err)
                    self.assertEqual(status, 1, err)
                else:
                    self.assertEqual(status, 125, err)

    def test_X23_what_ends_by_itself_is_not_taken_for_it(self):
        script = "for i in $(seq 40); do /bin/true; done; for i in $(seq 20); do sleep 0.5 & done; wait; kill -9 $$"
        result = self.inside(["/bin/sh", "-c", script])
        self.assertEqual(result.status, 137, result)
        self.assertNotIn(WHY, result.err)
