"""X10: a workload that fills a disk is stopped while the host has room on it, and evidence says why."""
import json
import os
import shlex

from support import Case

SLOWLY = "import os,time\nfor n in range(400):\n  open(f'big{n}','wb').write(b'x'*500_000); time.sleep(0.01)\nprint('filled')"
FILES = "import os,time\nfor n in range(20000):\n  os.close(os.open(f'f{n}',os.O_CREAT|os.O_WRONLY,0o600)); n%20 or time.sleep(0.002)\nprint('filled')"
HOLES = "f=open('sparse','wb'); f.truncate(10<<40); f.seek(5<<40); f.write(b'x'); f.close(); print('sparse')"


class Disk(Case):
    def on_a_small_disk(self, script, disk, mode="rw"):
        # What is left on it is asked from where it is mounted, when the session is over.
        words = shlex.join(self.bulkhead_command(["python3", "-c", script], f'[[mount]]\npath = "."\nmode = "{mode}"\n'))
        after = f"{words}; echo status $?; stat -f -c 'left %a %S %d' ."
        return self._run(self.lab.command(["/bin/sh", "-c", after], mounts=[(f"tmpfs:{disk}", self.work)], guard=False), [script],
                         self.environment(), None, None, 120)

    def ended(self):
        folder = os.path.join(self.home, ".local/state/bulkhead/evidence")
        events = [json.loads(line) for name in os.listdir(folder) if name.endswith(".jsonl") for line in open(os.path.join(folder, name))]
        return [event for event in events if event["type"] == "session.end"]

    def left(self, result):
        self.assertNotIn("filled", result.out)
        self.assertIn("status 125", result.out, result)
        self.assertIn("reached a limit", result.err)
        self.assertEqual(len(self.ended()), 1)
        blocks, size, inodes = map(int, result.out.split("left ")[1].split())
        return blocks * size, inodes

    def test_X10_bytes(self):
        self.assertGreater(self.left(self.on_a_small_disk(SLOWLY, "size=100m,mode=777"))[0], 30_000_000)

    def test_X10_inodes(self):
        self.assertGreater(self.left(self.on_a_small_disk(FILES, "size=100m,nr_inodes=8000,mode=777"))[1], 2_000)

    def test_X10_holes_take_no_room(self):
        result = self.on_a_small_disk(HOLES, "size=100m,mode=777")
        self.assertIn("sparse\nstatus 0", result.out, result)

    def test_a_disk_that_is_full_already_is_no_reason(self):
        result = self.on_a_small_disk("open('x','w').write('y'); print('done')", "size=64k,nr_inodes=9,mode=777")
        self.assertIn("done\nstatus 0", result.out, result)
