"""Images for the tests: root file systems of a few programs of the host's, as folders, OCI layouts and archives.

A layer is a list of tarfile entries with their data, so a test can put into it what no tool would.
"""
import functools
import gzip
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile

PROGRAMS = ("sh", "cat", "ls", "id", "env", "touch", "mkdir", "stat", "readlink", "rm", "find", "chmod", "sleep", "cp", "ln")
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


# Entries of a layer ------------------------------------------------------------------------------------------

def entry(name, kind, mode=0o644, data=None, **more):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size = kind, mode, len(data or b"")
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def file(name, data=b"", mode=0o644, **more):
    return entry(name, tarfile.REGTYPE, mode, data.encode() if isinstance(data, str) else data, **more)


def folder(name, mode=0o755, **more):
    return entry(name, tarfile.DIRTYPE, mode, **more)


def link(name, to):
    return entry(name, tarfile.SYMTYPE, 0o777, linkname=to)


def hard(name, to):
    return entry(name, tarfile.LNKTYPE, linkname=to)


def device(name, major=1, minor=3):
    return entry(name, tarfile.CHRTYPE, 0o666, devmajor=major, devminor=minor)


def fifo(name):
    return entry(name, tarfile.FIFOTYPE, 0o666)


def pack(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, None if data is None else io.BytesIO(data))
    return out.getvalue()


def program(name):
    for place in ("/usr/bin", "/bin"):
        if os.path.exists(os.path.join(place, name)):
            return os.path.join(place, name)
    raise FileNotFoundError(name)


@functools.cache
def programs(names=PROGRAMS):
    """Entries of a layer with these programs of the host's and the libraries they load."""
    out, seen = [], set()

    def add(path):
        if path in seen:
            return
        seen.add(path)
        parent = os.path.dirname(path)
        parts = parent.strip("/").split("/")
        for i in range(1, len(parts) + 1):
            above = "/".join(parts[:i])
            if above and above not in seen:
                seen.add(above)
                out.append(folder(above))
        with open(path, "rb") as source:
            out.append(file(path.lstrip("/"), source.read(), 0o755))

    for name in names:
        binary = os.path.realpath(program(name))
        listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            add(library)
        with open(binary, "rb") as source:
            data = source.read()
        if "usr" not in seen:
            seen.add("usr")
            out.append(folder("usr"))
        if "usr/bin" not in seen:
            seen.add("usr/bin")
            out.append(folder("usr/bin"))
        out.append(file(f"usr/bin/{name}", data, 0o755))
    return out


def usable(more=()):
    """A root file system in which a shell works; `bin` is a link, as everywhere."""
    mine = list(programs())
    names = {info.name for info, _ in mine}
    if "bin" not in names:
        mine.append(link("bin", "usr/bin"))
    else:
        mine.append(link("bin/sh", "../usr/bin/sh"))
    return [*mine, folder("etc"), file("etc/os-release", "NAME=made-for-a-test\n"), file("etc/passwd", "image:x:1:1::/:/bin/sh\n"),
            file("etc/of-the-image", "its own\n"), *more]


# Where they are put ------------------------------------------------------------------------------------------

class Layout:
    """An OCI layout folder that is being made."""

    def __init__(self, path):
        self.path = path
        self.manifests = []
        os.makedirs(os.path.join(path, "blobs/sha256"), exist_ok=True)
        self._write("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')

    def _write(self, name, data):
        with open(os.path.join(self.path, name), "wb") as out:
            out.write(data)

    def blob(self, data, kind, **more):
        digest = hashlib.sha256(data).hexdigest()
        self._write(f"blobs/sha256/{digest}", data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data), **more}

    def json(self, value, kind, **more):
        return self.blob(json.dumps(value).encode(), kind, **more)

    def manifest(self, layers, config=None, architecture=ARCHITECTURE, kind=LAYER, **more):
        """`layers`: lists of entries, or the bytes of their tars."""
        tars = [one if isinstance(one, bytes) else pack(one) for one in layers]
        described = [self.blob(gzip.compress(one, 1, mtime=0), kind) for one in tars]
        settings = {"architecture": architecture, "os": "linux", "config": config or {},
                    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(one).hexdigest() for one in tars]}}
        return self.json({"schemaVersion": 2, "mediaType": MANIFEST, "config": self.json(settings, CONFIG),
                          "layers": described}, MANIFEST, **more)

    def add(self, descriptor, name=None):
        if name:
            descriptor = {**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}}
        self.manifests.append(descriptor)
        self._write("index.json", json.dumps({"schemaVersion": 2, "manifests": self.manifests}).encode())
        return descriptor["digest"]

    def image(self, layers, name=None, **more):
        return self.add(self.manifest(layers, **more), name)

    def archive(self, path, prefix=""):
        with tarfile.open(path, "w") as tar:
            for name in ("oci-layout", "index.json", "blobs"):
                tar.add(os.path.join(self.path, name), prefix + name)
        return path


def unpacked(path, entries):
    """The same as a folder, made by hand."""
    for info, data in entries:
        target = os.path.join(path, info.name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if info.type == tarfile.DIRTYPE:
            os.makedirs(target, exist_ok=True)
        elif info.type == tarfile.SYMTYPE:
            os.symlink(info.linkname, target)
        elif info.type == tarfile.REGTYPE:
            with open(target, "wb") as out:
                out.write(data)
            os.chmod(target, info.mode)
    return path


def need_umoci(case):
    if not shutil.which("umoci"):
        case.skipTest("umoci is not installed: ./dev packages")
