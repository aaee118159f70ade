"""`image`: a root file system of somebody else's in the place of the host's own."""
import json
import os
import threading

from support import Case, images


class ImageCase(Case):
    """A case whose sessions run from images that it makes."""

    def setUp(self):
        super().setUp()
        images.need_umoci(self)

    def layout(self, layers=None, name=None, **more):
        made = images.Layout(os.path.join(self.tmp, "layout"))
        made.digest = made.image(layers or [images.usable()], name, **more)
        return made

    def cache(self, *names):
        return os.path.join(self.home, ".cache/bulkhead/images", *names)

    def unpacked(self, digest):
        return self.cache(digest.removeprefix("sha256:"), "root")

    def run_in(self, image, script, policy="", options=(), **more):
        return self.inside(["/bin/sh", "-c", script], policy, options=["--image", image, *options], **more)


class Image(ImageCase):
    def test_a_folder_a_layout_and_an_archive(self):
        root = images.unpacked(self.folder("root"), images.usable())
        layout = self.layout()
        archive = layout.archive(os.path.join(self.tmp, "one.tar"))
        dotted = layout.archive(os.path.join(self.tmp, "dotted.tar"), "./")
        for image in (root, layout.path, archive, dotted):
            result = self.ok(self.run_in(image, "cat /etc/os-release; ls /; echo made > made; cat made"))
            words = result.out.split()
            self.assertEqual(words[0], "NAME=made-for-a-test", result)
            self.assertEqual(words[-1], "made")
            for name in ("bin", "dev", "etc", "proc", "tmp", "usr", "var"):
                self.assertIn(name, words, result)
            self.assertIn("image " + image, result.err)
        self.assertEqual(self.read("work/made"), "made\n")

    def test_the_policy_names_it_and_evidence_records_it(self):
        layout = self.layout(name="v1")
        layout.image([images.usable([images.file("two", "2\n")])], "v2")
        text = f'image = "{layout.path}:v1"\n'
        self.ok(self.inside(["/bin/sh", "-c", "true"], text))
        event = self.recorded("session.policy")[-1]
        self.assertEqual(event["policy"]["image"], {"path": layout.path, "digest": layout.digest}, event)
        shown = self.ok(self.bulkhead("policy", "show", "--policy", self.policy(text)))
        self.assertIn(f'image = "{layout.path}:v1"', shown.out)
        self.assertIn(layout.digest, shown.out)
        explained = self.ok(self.bulkhead("policy", "explain", "--policy", self.policy(text)))
        self.assertIn(layout.digest, "".join(explained.out.split()))
        checked = self.ok(self.bulkhead("policy", "check", self.policy(text)))
        self.assertIn(layout.digest, checked.out)
        # One of several has to be named.
        both = self.run_in(layout.path, "true")
        self.assertEqual(both.status, 125, both)
        self.assertIn("v1, v2", both.err)
        self.assertEqual(self.ok(self.run_in(layout.path + ":v2", "cat /two")).out, "2\n")
        # The command line is stronger, and can go back to the host's.
        self.ok(self.inside(["/usr/bin/env", "true"], text, options=["--image", "host"]))

    def test_its_variables_and_what_is_not_taken_of_it(self):
        layout = self.layout(config={"Env": ["PATH=/usr/bin:/opt/tool", "OF_IMAGE=yes", "HOME=/nowhere", "BULKHEAD=no", "=x", "bad name=1",
                                             "SSL_CERT_FILE=/x"],
                                     "User": "0:0", "WorkingDir": "/etc", "Entrypoint": ["/bin/false"], "Cmd": ["/bin/false"]})
        result = self.ok(self.run_in(layout.path, "env; id -u; readlink /proc/self/cwd"))
        lines = result.out.splitlines()
        self.assertIn("PATH=/usr/bin:/opt/tool", lines)
        self.assertIn("OF_IMAGE=yes", lines)
        self.assertIn(f"HOME={self.home}", lines)
        self.assertIn("BULKHEAD=1", lines)
        self.assertIn("SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt", lines)
        self.assertNotEqual(lines[-2], "0", "its User is not taken")
        self.assertEqual(lines[-1], self.work)

    def test_what_lies_over_it(self):
        """Bulkhead's own files of /etc are there in an image that has no such folder, or another file at each place."""
        bare = [one for one in images.usable() if not one[0].name.startswith("etc")]
        other = images.usable([images.file("etc/resolv.conf", "nameserver 9.9.9.9\n"), images.link("etc/hosts", "/etc/shadow"),
                               images.link("etc/ssl", "/usr"), images.link("tmp", "/usr"), images.link("run", "/etc"),
                               images.file("var", "no folder"), images.link("home", "/usr"), images.link("dev", "/etc")])
        script = ("cat /etc/resolv.conf /etc/passwd /etc/hosts; ls -l /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/java/cacerts; "
                  "echo x > /tmp/x && echo x > /var/x && echo x > ~/x && echo x > /run/user/$(id -u)/x && echo written; "
                  "echo x > /dev/null; cat /etc/ssl/cert.pem | while read a b; do echo $a $b; break; done; ls /usr")
        for number, entries in enumerate((bare, other)):
            layout = images.Layout(os.path.join(self.tmp, f"layout{number}"))
            layout.image([entries])
            result = self.ok(self.run_in(layout.path, script))
            self.assertIn("nameserver 198.18.0.1", result.out)
            self.assertNotIn("9.9.9.9", result.out)
            self.assertIn("root:x:0:0", result.out)
            self.assertIn("127.0.0.1 localhost bulkhead", result.out)
            self.assertIn("written\n", result.out)
            self.assertIn("CERTIFICATE", result.out)
            self.assertNotIn("ssl\n", result.out.split("written\n")[1])

    def test_mounts_at_places_the_image_lacks(self):
        layout = self.layout([images.usable([images.folder("opt"), images.link("srv", "/usr")])])
        shown = self.folder("shown")
        self.write("shown/file", "here\n")
        policy = (f'[[mount]]\npath = "{shown}"\ntarget = "/deep/down/there"\n'
                  f'[[mount]]\npath = "{shown}/file"\ntarget = "/opt/one"\n')
        self.assertEqual(self.ok(self.run_in(layout.path, "cat /deep/down/there/file /opt/one", policy)).out, "here\nhere\n")
        behind = self.run_in(layout.path, "true", f'[[mount]]\npath = "{shown}"\ntarget = "/srv/x"\n')
        self.assertEqual(behind.status, 125, behind)
        self.assertIn("/srv is a symbolic link", behind.err)

    def test_requests_go_through_the_gateway(self):
        """The room, the names, the session's certificates: in an image as on the host's own."""
        root = images.unpacked(self.folder("root"), images.usable([*images.programs(("curl",))]))
        self.lab.web.site("api.example.com", lambda request: request.text("here\n"))
        result = self.ok(self.run_in(root, "curl -sS https://api.example.com/v1/x", self.grant("api.example.com", path="/v1/**")))
        self.assertEqual(result.out, "here\n", result)

    def test_layers_and_whiteouts(self):
        first = images.usable([images.folder("data"), images.file("data/one", "1\n"), images.file("data/two", "2\n"),
                               images.folder("old"), images.file("old/file", "x"), images.file("kept", "first\n")])
        second = [images.file("data/.wh.one"), images.file("old/.wh..wh..opq"), images.file("old/new", "new\n"),
                  images.file("kept", "second\n")]
        layout = self.layout([first, second])
        result = self.ok(self.run_in(layout.path, "ls /data /old; cat /kept /old/new"))
        self.assertEqual(result.out, "/data:\ntwo\n\n/old:\nnew\nsecond\nnew\n")

    def test_unpacked_once_for_all(self):
        layout = self.layout()
        results = []
        threads = [threading.Thread(target=lambda: results.append(self.run_in(layout.path, "cat /etc/of-the-image"))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result in results:
            self.assertEqual(self.ok(result).out, "its own\n")
        names = sorted(os.listdir(self.cache()))
        digest = layout.digest.removeprefix("sha256:")
        self.assertEqual(names, [digest, digest + ".lock"], names)
        self.assertEqual(sorted(os.listdir(self.cache(digest))), ["image.json", "root"])
        inode = os.stat(self.unpacked(layout.digest)).st_ino
        self.ok(self.run_in(layout.archive(os.path.join(self.tmp, "same.tar")), "true"))
        self.assertEqual(os.stat(self.unpacked(layout.digest)).st_ino, inode)
        with open(self.cache(digest, "image.json")) as note:
            self.assertEqual(json.load(note)["digest"], layout.digest)

    def test_killed_while_it_is_unpacked(self):
        """What is left half made is never shown, and goes."""
        layout = self.layout([images.usable(), *[[images.file(f"big{i}", os.urandom(1 << 20) * 24)] for i in range(4)]])
        child = self.start_inside(["/bin/sh", "-c", "true"], options=["--image", layout.path])
        half = self.cache(layout.digest.removeprefix("sha256:") + ".new")
        self.wait_until(lambda: os.path.isdir(os.path.join(half, "out", "root", "usr")) or os.path.isdir(self.unpacked(layout.digest)), 20, "it is unpacked")
        found = os.path.isdir(half)
        child.kill()
        child.wait()
        self.assertTrue(found, "it was unpacked before it could be killed: make the image larger")
        self.assertFalse(os.path.exists(self.unpacked(layout.digest)))
        self.wait_until(lambda: not self.umoci_of(half), 10, "umoci ends")
        self.assertEqual(self.ok(self.run_in(layout.path, "cat /etc/of-the-image")).out, "its own\n")
        self.assertFalse(os.path.exists(half))

    @staticmethod
    def umoci_of(folder):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/exe").endswith("/umoci") and folder in open(f"/proc/{pid}/mountinfo").read():
                    return True
            except OSError:
                continue
        return False

    def test_the_cache_is_looked_at(self):
        layout = self.layout()
        self.ok(self.run_in(layout.path, "true"))
        for path in (self.cache(), self.cache(layout.digest.removeprefix("sha256:")), self.unpacked(layout.digest)):
            mode = os.stat(path).st_mode & 0o777
            os.chmod(path, 0o777)
            result = self.run_in(layout.path, "true")
            self.assertEqual(result.status, 125, result)
            self.assertIn("can be written to by others", result.err)
            os.chmod(path, mode)
        self.ok(self.run_in(layout.path, "true"))
        # It is what every later session runs from.
        for path in (self.cache(), os.path.join(self.home, ".cache")):
            result = self.run_in(layout.path, "true", options=["--mount", f"{path}:rw"])
            self.assertEqual(result.status, 125, result)
            self.assertIn("cache of images", result.err)

    def test_which_platform(self):
        foreign = {"architecture": "s390x", "os": "linux"}
        layout = images.Layout(os.path.join(self.tmp, "layout"))
        other = layout.manifest([images.usable()], architecture="s390x", platform=foreign)
        mine = layout.manifest([images.usable()], platform={"architecture": images.ARCHITECTURE, "os": "linux"})
        index = {"schemaVersion": 2, "mediaType": images.INDEX, "manifests": [other, mine]}
        layout.add(layout.json(index, images.INDEX))
        self.ok(self.run_in(layout.path, "true"))
        alone = images.Layout(os.path.join(self.tmp, "alone"))
        alone.image([images.usable()], architecture="s390x")
        refused = self.run_in(alone.path, "true")
        self.assertEqual(refused.status, 125, refused)
        self.assertIn("linux/s390x", refused.err)

    def test_what_is_no_image(self):
        empty = self.write("file.tar", "no tar\n")
        zstd = self.layout(kind="application/vnd.oci.image.layer.v1.tar+zstd")
        for image, word in ((empty, "index.json"), (zstd.path, "zstd"), (os.path.join(self.tmp, "absent"), "absent"),
                            (self.folder("plain") + ":name", "no OCI layout"), (self.home, "home folder"), ("/", "home folder"),
                            ("/etc", "/etc"), (os.path.join(self.home, ".ssh"), ".ssh")):
            result = self.run_in(image, "true")
            self.assertEqual(result.status, 125, result)
            self.assertIn(word, result.err, result)
            self.assertEqual(len([line for line in result.err.splitlines() if line.startswith("bulkhead: ")]), 1, result)
