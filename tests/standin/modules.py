"""Stand-ins for where cargo and go fetch from: crates.io's sparse index and files, a Go module proxy with a checksum
database that signs with a key of its own. Each is a handler for lab.web."""
import base64
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
import zipfile

CRATE = "leftwords"
WORDS = "words from the crate"


def crate():
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, text in (("Cargo.toml", f'[package]\nname = "{CRATE}"\nversion = "1.0.0"\nedition = "2021"\n'),
                           ("src/lib.rs", f'pub const WORDS: &str = "{WORDS}";\n')):
            member = tarfile.TarInfo(f"{CRATE}-1.0.0/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(archive.getvalue(), mtime=0)


def crates_index(request):
    if request.path == "/config.json":
        return request.json(json.dumps({"dl": "https://static.crates.io/crates", "api": "https://crates.io"}))
    if request.path == f"/{CRATE[:2]}/{CRATE[2:4]}/{CRATE}":
        line = {"name": CRATE, "vers": "1.0.0", "deps": [], "cksum": hashlib.sha256(crate()).hexdigest(),
                "features": {}, "yanked": False}
        return request.text(json.dumps(line) + "\n")
    request.text("no such crate\n", 404)


def crates_files(request):
    if request.path == f"/crates/{CRATE}/1.0.0/download":
        return request.raw(200, crate(), "application/gzip")
    request.text("no such crate\n", 404)


class GoModules:
    """One module, behind proxy.golang.org and sum.golang.org. `sumdb` is what GOSUMDB has to say for its key."""

    module, version = "github.com/acme/words", "v1.0.0"
    text = "words from the module"

    def __init__(self, by_proxy):
        self.by_proxy = by_proxy  # does the proxy serve the checksum database, too?
        self.mod = f"module {self.module}\n\ngo 1.19\n".encode()
        self.files = {"go.mod": self.mod, "words.go": f'package words\n\nconst Text = "{self.text}"\n'.encode()}
        with tempfile.TemporaryDirectory() as folder:
            key = os.path.join(folder, "key")
            self._openssl("genpkey", "-algorithm", "ed25519", "-out", key)
            public = b"\x01" + self._openssl("pkey", "-in", key, "-pubout", "-outform", "DER")[-32:]
            self.hash = hashlib.sha256(b"sum.golang.org\n" + public).digest()[:4]
            self.sumdb = f"sum.golang.org+{self.hash.hex()}+{base64.b64encode(public).decode()}"
            # A tree of one record (RFC 6962 §2.1): its root is its only leaf.
            self.record = (f"{self.module} {self.version} {self._h1(self.files)}\n"
                           f"{self.module} {self.version}/go.mod {self._h1({'go.mod': self.mod}, prefix='')}\n")
            self.leaf = hashlib.sha256(b"\0" + self.record.encode()).digest()
            note = f"go.sum database tree\n1\n{base64.b64encode(self.leaf).decode()}\n"
            path = os.path.join(folder, "note")
            with open(path, "w") as file:
                file.write(note)
            signature = self._openssl("pkeyutl", "-sign", "-rawin", "-in", path, "-inkey", key)
            signed = base64.b64encode(self.hash + signature).decode()
            self.note = f"{note}\n— sum.golang.org {signed}\n"

    @staticmethod
    def _openssl(*words):
        return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout

    def _h1(self, files, prefix=None):
        """golang.org/x/mod/sumdb/dirhash."""
        prefix = f"{self.module}@{self.version}/" if prefix is None else prefix
        lines = "".join(f"{hashlib.sha256(data).hexdigest()}  {prefix}{name}\n" for name, data in sorted(files.items()))
        return "h1:" + base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()

    def proxy(self, request):
        if request.path.startswith("/sumdb/sum.golang.org/"):
            return self.database(request, request.path[len("/sumdb/sum.golang.org"):]) if self.by_proxy else request.text("", 404)
        info = json.dumps({"Version": self.version, "Time": "2026-01-02T03:04:05Z"})
        zipped = io.BytesIO()
        with zipfile.ZipFile(zipped, "w") as archive:
            for name, data in self.files.items():
                archive.writestr(zipfile.ZipInfo(f"{self.module}@{self.version}/{name}"), data)
        answers = {"/@v/list": self.version.encode() + b"\n", f"/@v/{self.version}.info": info.encode(),
                   "/@latest": info.encode(), f"/@v/{self.version}.mod": self.mod,
                   f"/@v/{self.version}.zip": zipped.getvalue()}
        answer = answers.get(request.path.removeprefix("/" + self.module)) if request.path.startswith("/" + self.module) else None
        request.text("no such module\n", 404) if answer is None else request.raw(200, answer)

    def database(self, request, path=None):
        path = request.path if path is None else path
        if path == "/supported":
            return request.text("")
        if path == f"/lookup/{self.module}@{self.version}":
            return request.text(f"0\n{self.record}\n{self.note}")
        if path == "/latest":
            return request.text(self.note)
        if path == "/tile/8/0/000.p/1":
            return request.raw(200, self.leaf)
        request.text("no such record\n", 404)
