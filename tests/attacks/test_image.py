"""What a hostile image tries while it is read, while it is unpacked, and by what it leaves for the session.

Each is done by hand as well where the boundary could be thought to hold by itself: an attack that works nowhere proves
nothing.
"""
import gzip
import os
import subprocess
import tarfile

from session.test_image import ImageCase
from support import images

PLANTED = "planted-outside-of-the-image-77"


class HostileImage(ImageCase):
    def outside_file(self):
        os.makedirs(os.path.join(self.tmp, "outside"), exist_ok=True)
        return self.write("outside/secret", PLANTED + "\n", 0o644)

    def refused(self, layout, *words, policy="", image=None):
        result = self.run_in(image or layout.path, "echo ran; cat /etc/os-release", policy)
        self.assertEqual(result.status, 125, result)
        self.assertNotIn("ran\n", result.out)
        for word in words:
            self.assertIn(word, result.err, result)
        self.assertEqual([name for name in os.listdir(self.cache()) if not name.endswith(".lock")] if os.path.isdir(self.cache()) else [],
                         [], "something of a refused image stays")
        return result

    def test_X01_names_that_lead_out(self):
        """`../`, absolute names, and names below a link that leads out: nothing is written outside the image."""
        outside = os.path.dirname(self.outside_file())
        layer = images.usable([images.file("../../../../../../escaped", "x"), images.file("usr/../../../escaped2", "x"),
                               images.file(outside + "/absolute", "x"), images.link("way", outside), images.file("way/through", "x"),
                               images.link("up", "../../../../../../.."), images.file("up/tmp/escaped3", "x"),
                               images.link("etc/alternatives", outside)])
        second = [images.file("etc/alternatives/late", "x"), images.folder("way"), images.file("way/second", "x")]
        # By hand: a program that believes the names does write there.
        believed = os.path.join(self.folder("believed"), "x")
        with tarfile.open(os.path.join(self.tmp, "layer.tar"), "w") as tar:
            for info, data in (images.file("../outside/believed", b"x"),):
                tar.addfile(info, __import__("io").BytesIO(data))
        subprocess.run(["tar", "-x", "--absolute-names", "-f", os.path.join(self.tmp, "layer.tar"), "-C", os.path.dirname(believed)], check=True)
        self.assertIn("believed", os.listdir(outside))
        os.remove(os.path.join(outside, "believed"))
        layout = self.layout([layer, second])
        self.ok(self.run_in(layout.path, "cat /etc/os-release"))
        self.assertEqual(os.listdir(outside), ["secret"])
        for place in (self.tmp, self.home, self.cache(), "/", "/tmp"):
            self.assertEqual([name for name in os.listdir(place) if name.startswith("escaped")], [])

    def test_X01_hard_links_out(self):
        """A hard link to a file of the host's would show it, and let it be changed."""
        secret = self.outside_file()
        ups = "../" * 20
        layout = self.layout([images.usable([images.hard("one", secret), images.hard("two", ups + secret.lstrip("/")),
                                             images.link("dir", os.path.dirname(secret)), images.hard("three", "dir/secret")])])
        result = self.run_in(layout.path, "cat /one /two /three")
        self.assertNotIn(PLANTED, result.out)
        self.assertEqual(os.stat(secret).st_nlink, 1)

    def test_X01_links_of_the_image_lead_nowhere_outside(self):
        """Links in an image that is shown as it is: to the host's files, to its own root's, at every place of Bulkhead's."""
        secret = self.outside_file()
        entries = [one for one in images.usable() if not one[0].name.startswith("etc")]
        root = images.unpacked(self.folder("root"), entries)
        for name, to in (("etc", "/etc"), ("secret", secret), ("up", "../../../../../../../" + secret.lstrip("/")), ("tmp", self.tmp),
                         ("home", "/home"), ("var", "/var"), ("run", "/run"), ("dev", "/dev"), ("proc", "/proc"), ("root", self.home),
                         ("self", "/proc/self/root")):
            os.symlink(to, os.path.join(root, name))
        before = sorted(os.listdir("/etc"))
        resolver = open("/etc/resolv.conf").read()
        script = ("cat /secret /up /tmp/outside/secret /self/secret /self/../secret 2>/dev/null; ls /etc; cat /etc/hostname /etc/resolv.conf; "
                  "echo x > /tmp/mine; echo x > /etc/mine; echo x > /var/mine; test -e /etc/shadow && echo shadow; true")
        result = self.ok(self.run_in(root, script))
        self.assertNotIn(PLANTED, result.out)
        self.assertIn("bulkhead\nnameserver 198.18.0.1", result.out)
        self.assertNotIn("shadow\n", result.out)
        self.assertNotIn("debian_version\n", result.out)
        self.assertEqual(sorted(os.listdir("/etc")), before)
        self.assertEqual(open("/etc/resolv.conf").read(), resolver)
        for path in (os.path.join(self.tmp, "mine"), "/var/mine", "/etc/mine"):
            self.assertFalse(os.path.exists(path))

    def test_X07_devices_fifos_and_setuid_files(self):
        """None of them is unpacked as such: sessions that share the image could speak through a FIFO."""
        layout = self.layout([images.usable([images.device("null0"), images.device("mem", 1, 1), images.fifo("way"),
                                             images.file("suid", b"#!/bin/sh\nid -u\n", 0o6755, uid=0, gid=0),
                                             images.folder("closed", 0o000), images.file("closed/unread", b"x", 0o000),
                                             images.folder("shared", 0o3777)])])
        result = self.ok(self.run_in(layout.path, "find / -xdev -perm /7000; ls -ld /way; ls -l /null0; ls /closed"))
        self.assertEqual(result.out.splitlines()[-1], "unread")
        self.assertNotIn("suid", result.out)
        self.assertNotIn("/way", result.out)
        root = self.unpacked(layout.digest)
        for folder, folders, names in os.walk(root):
            for name in folders + names:
                st = os.lstat(os.path.join(folder, name))
                self.assertEqual(st.st_uid, os.geteuid(), name)
                self.assertEqual(st.st_mode & 0o7000, 0, name)
                self.assertIn(st.st_mode & 0o170000, (0o100000, 0o040000, 0o120000), name)

    def test_X22_setuid_bits_and_capabilities_of_a_folder(self):
        """In a folder that is shown as it is they stay, and mean nothing inside."""
        root = images.unpacked(self.folder("root"), images.usable())
        tool = os.path.join(root, "usr/bin/suid-id")
        subprocess.run(["cp", images.program("id"), tool], check=True)
        os.chmod(tool, 0o6755)
        capable = os.path.join(root, "usr/bin/capable-cat")
        subprocess.run(["cp", images.program("cat"), capable], check=True)
        if os.geteuid() == 0:
            os.chown(tool, 0, 0)
            os.chmod(tool, 0o6755)
            subprocess.run(["setcap", "cap_dac_override,cap_setuid+ep", capable], check=True)
        plain, lifted = self.ok(self.run_in(root, "id -u; suid-id -u")).out.split()
        self.assertEqual(plain, lifted)
        self.assertNotEqual(lifted, "0")
        status = self.run_in(root, "capable-cat /proc/self/status").out
        self.assertRegex(status, r"CapEff:\s+0+\n", status)
        self.assertRegex(status, r"NoNewPrivs:\s+1\n", status)

    def test_X26_the_image_is_not_changed(self):
        """Not as the file system it is shown as, not by a mount beside it, not by what root in a session would do."""
        layout = self.layout()
        root = images.unpacked(self.folder("root"), images.usable())
        script = ("for f in /etc/os-release /usr/bin/sh /bin/sh; do echo x > $f; rm -f $f; chmod 777 $f; ln $f /tmp/x; done 2>/dev/null; "
                  "touch /new /usr/new /etc/new; mkdir /usr/d; cat /etc/os-release")
        for image, folder in ((layout.path, None), (root, root)):
            result = self.run_in(image, script)
            self.assertEqual(result.out, "NAME=made-for-a-test\n", result)
            folder = folder or self.unpacked(layout.digest)
            with open(os.path.join(folder, "etc/os-release")) as file:
                self.assertEqual(file.read(), "NAME=made-for-a-test\n")
            for name in ("new", "usr/new", "etc/new", "usr/d", "etc/resolv.conf", "proc", "tmp"):
                self.assertFalse(os.path.lexists(os.path.join(folder, name)), name)

    def test_a_blob_that_is_not_what_its_digest_says(self):
        for which in range(3):  # config, layer, manifest: each in its turn
            layout = images.Layout(os.path.join(self.tmp, f"layout{which}"))
            digest = layout.image([images.usable()])
            blobs = os.path.join(layout.path, "blobs/sha256")
            manifest = digest.removeprefix("sha256:")
            names = sorted((name for name in os.listdir(blobs) if name != manifest), key=lambda n: os.path.getsize(os.path.join(blobs, n)))
            victim = os.path.join(blobs, [*names, manifest][which])
            data = bytearray(open(victim, "rb").read())
            data[len(data) // 2] ^= 1
            with open(victim, "wb") as out:
                out.write(data)
            self.refused(layout, "damaged or tampered with", os.path.basename(victim))
            archive = layout.archive(os.path.join(self.tmp, f"{which}.tar"))
            self.refused(layout, "damaged or tampered with", image=archive)

    def test_a_layer_that_is_not_what_the_config_says(self):
        """Each blob is what its digest says, and unpacked it is something else (diff_ids)."""
        layout = images.Layout(os.path.join(self.tmp, "layout"))
        good, bad = images.pack(images.usable()), images.pack(images.usable([images.file("evil", "x")]))
        settings = {"architecture": images.ARCHITECTURE, "os": "linux",
                    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + __import__("hashlib").sha256(good).hexdigest()]}}
        layer = layout.blob(gzip.compress(bad, 1, mtime=0), images.LAYER)
        layout.add(layout.json({"schemaVersion": 2, "mediaType": images.MANIFEST, "config": layout.json(settings, images.CONFIG),
                                "layers": [layer]}, images.MANIFEST))
        self.refused(layout)

    def test_X10_bombs(self):
        """One large file, many small ones, many folders in each other: refused while it is unpacked, and gone."""
        large = self.layout([images.usable(), [images.file("zeros", bytes(96 << 20))]])
        self.refused(large, "larger than 64MB", policy='[limits]\nimage_size = "64MB"\n')
        many = images.Layout(os.path.join(self.tmp, "many"))
        many.image([images.usable([images.file(f"d/{i}") for i in range(3000)])])
        self.refused(many, "more than 2000 files", policy="[limits]\nimage_files = 2000\n")
        deep = images.Layout(os.path.join(self.tmp, "deep"))
        deep.image([images.usable([images.folder("/".join(["d"] * i)) for i in range(1, 400)])])
        self.refused(deep, "deep")
        # What was unpacked under wider bounds is held to narrower ones.
        small = images.Layout(os.path.join(self.tmp, "small"))
        small.image([images.usable()])
        self.ok(self.run_in(small.path, "true"))
        again = self.run_in(small.path, "true", "[limits]\nimage_files = 10\n")
        self.assertEqual(again.status, 125, again)

    def test_links_in_the_place_of_blobs(self):
        """A layout whose blob is a link to a file of the user's."""
        secret = self.outside_file()
        layout = self.layout()
        blobs = os.path.join(layout.path, "blobs/sha256")
        victim = os.path.join(blobs, layout.digest.removeprefix("sha256:"))
        os.rename(victim, os.path.join(self.tmp, "moved"))
        os.symlink(os.path.join(self.tmp, "moved"), victim)
        self.refused(layout)
        os.remove(os.path.join(layout.path, "index.json"))
        os.symlink(secret, os.path.join(layout.path, "index.json"))
        self.assertNotIn(PLANTED, self.refused(layout).err)

    def test_text_of_the_image_is_escaped(self):
        layout = self.layout(name="good")
        layout.image([images.usable([images.file("x")])], "bad\x1b]0;title\x07name")
        result = self.refused(layout)
        self.assertNotIn("\x1b", result.err)
        self.assertIn("\\x1b", result.err)

    def test_X16_what_unpacks_has_no_network_and_no_home(self):
        """umoci while it runs: its mounts, its namespaces and its filter."""
        layout = self.layout([images.usable(), *[[images.file(f"big{i}", os.urandom(1 << 20) * 24)] for i in range(4)]])
        child = self.start_inside(["/bin/sh", "-c", "true"], options=["--image", layout.path])
        seen = self.wait_until(lambda: self.umoci_seen() or (child.poll() is not None and "ended"), 30, "umoci is seen")
        self.assertNotEqual(seen, "ended", "it was unpacked before it could be looked at: make the image larger")
        child.communicate(timeout=60)
        self.assertNotEqual(seen["net"], os.readlink("/proc/self/ns/net"))
        self.assertIn("Seccomp:\t2", seen["status"])
        self.assertIn("NoNewPrivs:\t1", seen["status"])
        self.assertRegex(seen["status"], r"CapEff:\s+0+\n")
        uid = "65534" if os.geteuid() == 0 else str(os.geteuid())
        self.assertRegex(seen["status"], rf"Uid:\s+{uid}\s+{uid}\s+{uid}\s+{uid}\n")
        points = {line.split()[4] for line in seen["mountinfo"].splitlines()}
        self.assertLessEqual(points, {"/", "/usr", "/bin", "/lib", "/lib64", "/image", "/out", *(f"/dev/{n}" for n in
                                                                                                ("null", "zero", "full", "random", "urandom", "tty"))})
        writable = {line.split()[4] for line in seen["mountinfo"].splitlines() if "rw" in line.split()[5].split(",")}
        self.assertLessEqual(writable, {"/", "/out", *(p for p in points if p.startswith("/dev/"))})
        self.assertEqual(seen["environ"], "PATH=/usr/bin\0")

    def umoci_seen(self):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/exe") != "/usr/bin/umoci":
                    continue
                out = {"net": os.readlink(f"/proc/{pid}/ns/net")}
                for name in ("status", "mountinfo", "environ"):
                    with open(f"/proc/{pid}/{name}") as file:
                        out[name] = file.read()
                if "/out" in out["mountinfo"] and "Seccomp:\t2" in out["status"]:
                    return out
            except OSError:
                continue
        return None
