"""`bulkhead image`: the cache of unpacked images; and who else tells of images."""
import datetime
import json
import os
import shutil

from session.test_image import ImageCase
from support import images


class Command(ImageCase):
    def listed(self):
        return {one["digest"]: one for one in json.loads(self.ok(self.bulkhead("image", "list", "--json")).out)}

    def unpacked_layout(self):
        layout = self.layout()
        self.ok(self.run_in(layout.path, "true"))
        return layout

    def aged(self, digest, days):
        then = datetime.datetime.now().timestamp() - days * 86400
        os.utime(os.path.dirname(self.unpacked(digest)), (then, then))

    def test_list(self):
        self.assertEqual(self.ok(self.bulkhead("image", "list")).out, "")
        self.assertEqual(self.listed(), {})
        layout = self.unpacked_layout()
        one = self.listed()[layout.digest]
        self.assertEqual((one["path"], one["in_use"], one["damage"]), (layout.path, False, ""), one)
        self.assertGreater(one["bytes"], 1000)
        self.assertRegex(one["used"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        shown = self.ok(self.bulkhead("image", "list")).out
        self.assertIn(layout.digest[:19], shown)
        self.assertIn(layout.path, shown)

    def test_remove_and_unpack_again(self):
        layout = self.unpacked_layout()
        removed = self.ok(self.bulkhead("image", "rm", layout.digest.removeprefix("sha256:")[:12]))
        self.assertEqual(removed.out, layout.digest + "\n")
        self.assertFalse(os.path.exists(self.unpacked(layout.digest)))
        self.assertEqual(self.listed(), {})
        self.ok(self.run_in(layout.path, "true"))
        self.assertTrue(self.listed()[layout.digest])

    def test_X29_none_that_a_session_uses(self):
        """Seen to fail without the lock that a session holds: its programs were gone under it."""
        layout = self.unpacked_layout()
        child = self.start_inside(["/bin/sh", "-c", "echo up > up; while test -e up; do sleep 0.1; done; cat /etc/os-release"],
                                  options=["--image", layout.path])
        self.wait_for_file("up")
        self.aged(layout.digest, 9)
        self.assertTrue(self.listed()[layout.digest]["in_use"])
        refused = self.bulkhead("image", "rm", layout.digest)
        self.assertEqual(refused.status, 1, refused)
        self.assertIn("in use", refused.err)
        self.assertEqual(self.ok(self.bulkhead("image", "rm", "--older-than", "1d")).out, "")
        os.remove(os.path.join(self.work, "up"))
        out, err = child.communicate(timeout=20)
        self.assertIn(b"made-for-a-test", out, err)
        self.assertEqual(self.ok(self.bulkhead("image", "rm", "--older-than", "1d")).out, layout.digest + "\n")

    def test_older_than_is_since_it_was_used(self):
        layout = self.unpacked_layout()
        self.aged(layout.digest, 9)
        self.ok(self.run_in(layout.path, "true"))
        self.assertEqual(self.ok(self.bulkhead("image", "rm", "--older-than", "1d")).out, "")
        self.aged(layout.digest, 9)
        self.assertEqual(self.ok(self.bulkhead("image", "rm", "--older-than", "1d")).out, layout.digest + "\n")

    def test_what_a_crash_left(self):
        layout = self.unpacked_layout()
        digest = layout.digest.removeprefix("sha256:")
        shutil.rmtree(self.cache(digest))
        os.makedirs(self.cache(digest + ".new", "out", "root"))
        self.assertIn("never finished", self.listed()[layout.digest]["damage"])
        self.assertEqual(self.ok(self.bulkhead("image", "rm", "--older-than", "1d")).out, layout.digest + "\n")
        self.assertFalse(os.path.exists(self.cache(digest + ".new")))

    def test_wrong_words(self):
        layout = self.unpacked_layout()
        for words, status in ((["rm"], 2), (["rm", "--older-than", "soon"], 2), (["rm", "x", "--older-than", "1d"], 2), ([], 2),
                              (["rm", "abc"], 1), (["rm", "../../../etc"], 1), (["rm", "0" * 64], 1)):
            result = self.bulkhead("image", *words)
            self.assertEqual(result.status, status, result)
        # A link is no entry, and what it leads to stays.
        other = self.folder("other")
        os.symlink(other, self.cache("a" * 64))
        self.assertNotEqual(self.bulkhead("image", "rm", "a" * 64).status, 0)
        self.assertTrue(os.path.isdir(other))
        self.assertTrue(self.listed()[layout.digest])

    def test_reach_tells_of_it(self):
        layout = self.layout([images.usable([images.file("root/.aws/credentials", "[default]\naws_secret_access_key = x\n")])])
        show = ["policy", "show", "--reach", "--image", layout.path]
        before = self.ok(self.bulkhead(*show)).out
        self.assertIn("not unpacked yet", before)
        self.assertIn(layout.digest, before)
        self.ok(self.run_in(layout.path, "true"))
        after = self.ok(self.bulkhead(*show)).out
        self.assertRegex(after, r"(?m)^image +[0-9.]+ .?B +\d+ files")
        self.assertIn("nothing of the host's /usr", after)
        entry, = [one for one in json.loads(self.ok(self.bulkhead(*show, "--json")).out)["reach"] if one["how"] == "image"]
        self.assertEqual((entry["digest"], entry["unpacked"], entry["at"]), (layout.digest, True, "/"))
        self.assertGreater(entry["files"], 5)

    def test_doctor_tells_of_umoci(self):
        found = [one for one in json.loads(self.bulkhead("doctor", "--json").out)["probes"] if one["id"] == "umoci"]
        self.assertEqual([(one["state"], one["found"]) for one in found], [("ok", "/usr/bin/umoci")])
