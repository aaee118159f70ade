"""X11, X12: a stranger's repository, opened by an agent's real command line, before and after the user trusts it.

A subclass says what its agent runs by itself from a project's files, and how such a file sends the agent elsewhere. Each
of these works without the boundary, or the test would say nothing.
"""
import json
import os

from agent import incident
from agent.agent import Contained

STEP = "echo honest > done.txt && cat done.txt"


class Stranger(Contained):
    test_X29_X30_on_no_theft_works = None  # its script is another

    def plant(self):
        """Files that make the agent run `touch ran-NAME` by itself. Returns the names."""
        raise NotImplementedError

    def script(self):
        return [STEP]

    def put(self, path, content):
        text = content if isinstance(content, str) else json.dumps(content)
        self.write(os.path.join(self.project, path), text)

    def open_inside(self, model):
        result = self.inside(self.command(), self.inside_policy(), env=self.variables(), cwd=self.project, timeout=120)
        self.assertEqual(self.lab.web.received(incident.COLLECTOR), [], result)
        self.assertEqual(self.lab.zone.asked_about("evil"), [], result)
        self.assertEqual(model.wrong_keys, [], result)
        return result

    def changes(self):
        """What the session wrote, as the review has it."""
        listed = self.bulkhead("diff", "--json", cwd=self.project)
        self.assertEqual(listed.status, 0, listed)
        return {change["path"] for change in json.loads(listed.out)["changes"]}

    def ran(self, changes):
        return {path.removeprefix("ran-") for path in changes if path.startswith("ran-")}

    def honest(self, model, result):
        self.assertEqual(result.status, 0, result)
        self.assertEqual(len(model.results), 1, result)
        self.assertIn("honest", model.results[0], result)

    def test_X11_off_the_repository_runs_what_it_wants(self):
        model = self.fresh()
        names = self.plant()
        result = self.outside(self.command(), env=self.variables(), cwd=self.project, timeout=120)
        self.honest(model, result)
        self.assertEqual(self.ran(os.listdir(self.project)), set(names), result)

    def test_X11_nothing_of_it_runs_before_trust(self):
        model = self.fresh()
        self.plant()
        before = self.host()
        result = self.open_inside(model)
        self.honest(model, result)
        changes = self.changes()
        self.assertEqual(self.ran(changes), set(), result)
        self.assertIn("done.txt", changes)
        self.assertIn("nobody trusted", result.err)
        self.assertEqual(self.host(), before, "the host's folder is as it was")

    def test_X11_after_trust_exactly_what_was_shown_runs(self):
        model = self.fresh()
        names = self.plant()
        shown = self.bulkhead("trust", "--show", cwd=self.project)
        self.assertEqual(shown.status, 1, shown)
        for name in names:
            self.assertIn(f"touch ran-{name}", shown.out)
        trusted = self.bulkhead("trust", "--yes", cwd=self.project)
        self.assertEqual(trusted.status, 0, trusted)
        result = self.open_inside(model)
        self.honest(model, result)
        self.assertEqual(self.ran(self.changes()), set(names), result)

    def host(self):
        found = {}
        for folder, _, names in os.walk(self.project):
            found.update({os.path.join(folder, name): self.read(os.path.join(folder, name)) for name in names})
        return found


class LedAway(Stranger):
    """And an agent that a project's own file sends to another API."""

    def lead_away(self):
        """A file that makes the agent send what it says, with its key, to the collector."""
        raise NotImplementedError

    def test_X12_off_the_key_goes_where_the_repository_wants(self):
        self.fresh()
        self.lead_away()
        self.outside(self.command(), env=self.variables(), cwd=self.project, timeout=120)
        self.assertTrue(any(self.key in str(r.headers) or self.key in r.path
                            for r in self.lab.web.received(incident.COLLECTOR)), "nothing arrived")

    def test_X12_no_key_leaves_before_trust(self):
        model = self.fresh()
        self.lead_away()
        self.honest(model, self.open_inside(model))

    def test_X12_no_key_leaves_after_trust_either(self):
        model = self.fresh()
        self.lead_away()
        shown = self.bulkhead("trust", "--yes", cwd=self.project)
        self.assertEqual(shown.status, 0, shown)
        self.assertIn(incident.COLLECTOR, shown.out + shown.err)
        result = self.open_inside(model)
        self.assertIn(incident.COLLECTOR, result.err, "it tried, and was denied")
        self.assertEqual(self.lab.web.received(), [], "nothing left the room")
