"""What the tests of every record of the processes inside have in common, whoever says it."""
import os

from .case import Case

TRUE = "/usr/bin/true"


class Recorded(Case):
    shell = "/bin/sh"  # as the record says it

    def executed(self, path):
        return [event for event in self.recorded("process.exec") if event.get("path") == path]

    def python(self, script, policy="", **more):
        self.write("work/script.py", script)
        return self.inside(["/usr/bin/python3", "script.py"], policy, **more)

    def check_programs_with_their_parents(self):
        """Returns the event of one of them."""
        self.ok(self.inside(["/bin/sh", "-c", "/bin/sh -c '/usr/bin/env true a \"b c\"; exit 3'; /bin/sh -c 'kill -9 $$'; true"]))
        first = [e for e in self.executed(self.shell) if e["arguments"][-1].endswith("; true")][0]
        second = [e for e in self.executed(self.shell) if e["arguments"][-1].endswith("exit 3")][0]
        self.assertEqual(second["parent"], first["pid"])
        self.assertEqual(second["name"], os.path.basename(self.shell))
        last = self.executed(TRUE)[0]
        self.assertEqual(last["arguments"], ["true", "a", "b c"])
        self.assertEqual(last["parent"], second["pid"])
        ends = {e["pid"]: e for e in self.recorded("process.exit")}
        self.assertEqual(ends[second["pid"]]["exit_status"], 3)
        self.assertEqual(ends[last["pid"]]["exit_status"], 0)
        self.assertIn(9, [e.get("signal") for e in ends.values()])
        started = {e["pid"]: e for e in self.recorded("process.start")}
        self.assertEqual(started[second["pid"]]["parent"], first["pid"])
        self.assertEqual(self.recorded("process.omitted"), [])
        return second
