"""Every row of tests/attacks.tsv as two tests: without the boundary, and behind it."""
import os
import re
import shutil

from attacks import setups
from support import Case, case, victim
from support.terminal import Terminal

WORKED, REFUSED = 0, 10


def rows():
    with open(os.path.join(case.ROOT, "tests/attacks.tsv")) as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                identity, name, arguments, setup, off, *reason = line.rstrip("\n").split("\t")
                yield identity, name, arguments, setup, off, "".join(reason)


class Attacks(Case):
    def attack(self, arm, name, arguments, setup):
        """Runs the victim in its scene; returns (whether the attack worked, how it ended)."""
        shutil.copy(victim(name), self.work)
        scene = setups.BY_NAME[setup](self, arm)
        words = {"home": self.home, "work": self.work, "tmp": self.tmp, "runtime": self.runtime, **scene.words}
        argv = [os.path.join(self.work, name), *arguments.format(**words).split()]
        if scene.terminal:
            return self.on_a_terminal(arm, argv)
        if arm == "off":
            result = self.outside(argv, env=scene.env, pass_fds=scene.pass_fds)
        else:
            result = self.inside(argv, scene.policy, env=scene.env, pass_fds=scene.pass_fds)
        self.assertIn(result.status, (WORKED, REFUSED), f"the victim did not get to its attack\n{result}")
        return (scene.worked(result) if scene.worked else result.status == WORKED), result

    def on_a_terminal(self, arm, argv):
        command = (self.lab.command(argv) if arm == "off"
                   else self.lab.command(self.bulkhead_command(argv, ""), guard=False))
        terminal = Terminal(command, self.environment(), self.work)
        self.addCleanup(terminal.close)
        status = terminal.wait(20 * case.SLOWER.get(self.tier, 1))
        typed = terminal.pending_input()
        self.assertIn(status, (WORKED, REFUSED), terminal.shown)
        return status == WORKED or b"planted" in typed, terminal.shown


def add(index, identity, name, arguments, setup, off, native_only):
    def without(self):
        if off == "kernel" or (off == "root" and os.geteuid() != 0):
            self.skipTest(f"this kernel refuses it to {'everybody' if off == 'kernel' else 'an ordinary user'}")
        worked, result = self.attack("off", name, arguments, setup)
        self.assertTrue(worked, f"without the boundary the attack must work\n{result}")

    def behind(self):
        if native_only and self.tier != "native":
            self.skipTest(f"only on the native tier: {native_only}")
        worked, result = self.attack("on", name, arguments, setup)
        self.assertFalse(worked, f"the attack worked\n{result}")

    title = re.sub(r"\W+", "_", f"{identity}_{index:02}_{name}_{arguments}").strip("_")[:70]
    setattr(Attacks, f"test_{title}_off", without)
    setattr(Attacks, f"test_{title}_on", behind)


for number, row in enumerate(rows()):
    add(number, *row)
