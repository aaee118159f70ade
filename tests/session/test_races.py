"""X03: a part of a path changes places with a link while Bulkhead works on it, a million times. What is outside is never
read and never written."""
import os
import time

from support import Case
from support.swapper import Swapper

SWAPS = 1_000_000
REVIEW = '[[mount]]\npath = "."\nmode = "review"\n'
KEEP = '[[mount]]\npath = "."\nmode = "rw-no-delete"\n'


class Races(Case):
    def setUp(self):
        super().setUp()
        self.outside = self.folder("outside")
        self.before = {"f": "planted-outside\n", "g": "planted-outside too\n"}
        for name, text in self.before.items():
            self.write(f"outside/{name}", text)

    def swapped(self, name):
        """`name` in the project and a link to the outside, beside the project."""
        link = os.path.join(self.tmp, "link")
        if not os.path.islink(link):
            os.symlink(self.outside, link)
        return Swapper(self.tmp, os.path.join(self.work, name), link)

    def again(self, name, step, least=5):
        """`step` while it goes on, until a million swaps are behind it."""
        total, turns, began = 0, 0, time.monotonic()
        while total < SWAPS or turns < least:
            with self.swapped(name) as swapper:
                step(turns)
            total, turns = total + swapper.swaps, turns + 1
            self.assertLess(time.monotonic() - began, 240, f"{total} swaps in {turns} turns")
        self.assertEqual({name: self.read(f"outside/{name}") for name in os.listdir(self.outside)}, self.before)
        return turns

    def test_X03_a_mount_shows_the_folder_or_is_refused(self):
        """The link leads to a folder that no mount may show: the user's keys."""
        keys = os.path.join(self.home, ".ssh")
        self.write(os.path.join(keys, "f"), "planted-outside\n", 0o600)
        os.symlink(keys, os.path.join(self.tmp, "link"))
        self.write("work/p/f", "inside\n")
        seen = set()

        def step(turn):
            for _ in range(5):
                result = self.inside(["/bin/cat", "p/f"], None, options=["--mount", "p:ro", "--mount", ".:ro"])
                self.assertNotIn("planted", result.out)
                seen.add((result.status, result.out, result.err.strip()[-160:] if result.status else ""))
        turns = self.again("p", step, least=8)
        while turns < 60 and ((0, "inside\n", "") not in seen or len(seen) < 2):
            turns += self.again("p", step, least=1)
        self.assertIn((0, "inside\n", ""), seen)
        self.assertGreater(len(seen), 1, "it was never refused: nothing was swapped in time")

    def test_X03_apply_writes_into_the_folder_or_nothing(self):
        self.write("work/p/f", "inside\n")
        outcomes = set()

        def step(turn):
            applied = self.bulkhead("apply", cwd=self.work)
            outcomes.add(applied.status)
            self.assertNotIn("planted", applied.out + applied.err)

        def prepared(turn):
            # Not while they are swapped: the session's own view is another question.
            self.bulkhead("discard", "--yes", cwd=self.work)
            result = self.inside(["/bin/sh", "-c", f"echo {turn} > p/f; echo {turn} > p/new; mkdir -p p/d; echo x > p/d/n{turn}; rm -f p/g"], REVIEW)
            self.assertEqual(result.status, 0, result)

        total, turns, began = 0, 0, time.monotonic()
        while total < SWAPS or turns < 10:
            prepared(turns)
            with self.swapped("p") as swapper:
                for _ in range(10):
                    step(turns)
            # And once they stand still, all of it comes.
            step(turns)
            total, turns = total + swapper.swaps, turns + 1
            self.assertLess(time.monotonic() - began, 240, f"{total} swaps in {turns} turns")
        self.assertEqual({name: self.read(f"outside/{name}") for name in os.listdir(self.outside)}, self.before)
        self.assertIn(0, outcomes)

    def test_X03_diff_and_trust_read_the_folder_or_nothing(self):
        self.write("work/.claude/settings.json", '{"apiKeyHelper": "inside"}')
        self.write("outside/settings.json", '{"apiKeyHelper": "planted-outside"}')
        self.before["settings.json"] = self.read("outside/settings.json")
        self.assertEqual(self.inside(["/bin/sh", "-c", "mkdir -p .claude; echo '{}' > .claude/settings.json; echo x > n"], REVIEW).status, 0)

        def step(turn):
            for words in (("trust", "--show"), ("trust", "--show", "--json"), ("diff",), ("policy", "show", "--reach")):
                result = self.bulkhead(*words, cwd=self.work)
                self.assertNotIn("planted-outside", result.out + result.err, words)
        self.again(".claude", step)

    def test_X03_nothing_is_kept_or_written_outside(self):
        self.need_fuse()
        self.write("work/p/f", "inside\n")
        script = r"""
import os, time
end, done = time.time() + 4, 0
while time.time() < end:
    for work in (lambda: open("p/f", "a").write("x"), lambda: open("p/n", "w").close(), lambda: os.unlink("p/n"),
                 lambda: os.rename("p/f", "p/g"), lambda: os.rename("p/g", "p/f"), lambda: os.mkdir("p/m"), lambda: os.rmdir("p/m"),
                 lambda: os.truncate("p/f", 3), lambda: os.chmod("p/f", 0o600), lambda: os.utime("p/f", (1, 1)),
                 lambda: os.link("p/f", "stolen"), lambda: os.unlink("stolen")):
        try: work(); done += 1
        except OSError: pass
print(done)
"""
        mode = os.stat(os.path.join(self.outside, "f")).st_mode
        # How much of it succeeds meanwhile is chance: for a while the kernel may believe in the link, which leads nowhere.
        self.again("p", lambda turn: self.ok(self.inside(["python3", "-c", script], KEEP)), least=2)
        self.assertGreater(int(self.ok(self.inside(["python3", "-c", script], KEEP)).out), 100, "and once it stands still")
        self.assertEqual(os.stat(os.path.join(self.outside, "f")).st_mode, mode)
        for folder, _, names in os.walk(os.path.join(self.home, ".local/state/bulkhead")):
            for name in names:
                self.assertNotIn("planted", self.read(os.path.join(folder, name)))
