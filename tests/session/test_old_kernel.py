"""The native tier on Debian's own kernel, in a machine of the tier vm (tests/old_kernel.py): a few rows of the attack table, which
`./dev old_kernel` runs as a whole."""
import os
import subprocess
import sys

from support import Case, turned
from support.case import BUILD, ROOT

ROWS = "attacks.test_table.Attacks.test_X01"


class OldKernel(Case):
    tier = "vm"

    def setUp(self):
        super().setUp()
        for path in (os.path.join(turned.KERNEL, "more/list"), os.path.join(BUILD, "turned/bulkhead-init-turned")):
            if not os.path.exists(path):
                self.skipTest(f"{path} is missing: ./dev machine, ./dev build")

    def test_attacks_fail_behind_the_boundary_alone(self):
        done = subprocess.run([sys.executable, "-B", os.path.join(ROOT, "tests/old_kernel.py"), ROWS], capture_output=True, text=True,
                              timeout=500, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr[-2000:])
        self.assertRegex(done.stdout, r"whole-program tests as uid 1001: [1-9]\d* passed, 0 failed")
        for arm in ("on", "off"):
            self.assertRegex(done.stdout, rf"passed .*test_X01\w+_{arm}\b")
