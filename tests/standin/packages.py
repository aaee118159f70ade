"""Stand-ins for places that tools fetch from: npm's registry, PyPI, a Git server. Each is a handler for lab.web."""
import base64
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import zipfile


def npm(request):
    """One package, `left-words`."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, text in (("package/package.json", '{"name":"left-words","version":"1.0.0","main":"index.js"}'),
                           ("package/index.js", "module.exports = 'words from the registry';\n")):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    packed = gzip.compress(archive.getvalue(), mtime=0)
    path = request.path.split("?")[0]
    if path == "/left-words":
        dist = {"tarball": "https://registry.npmjs.org/left-words/-/left-words-1.0.0.tgz",
                "shasum": hashlib.sha1(packed).hexdigest(),
                "integrity": "sha512-" + base64.b64encode(hashlib.sha512(packed).digest()).decode()}
        version = {"name": "left-words", "version": "1.0.0", "main": "index.js", "dist": dist}
        return request.json(json.dumps({"name": "left-words", "dist-tags": {"latest": "1.0.0"},
                                        "versions": {"1.0.0": version}}))
    if path == "/left-words/-/left-words-1.0.0.tgz":
        return request.raw(200, packed)
    return request.json("{}", 404)


WHEEL = "leftwords-1.0.0-py3-none-any.whl"


def wheel():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        files = {"leftwords.py": "words = 'words from the index'\n",
                 "leftwords-1.0.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: leftwords\nVersion: 1.0.0\n",
                 "leftwords-1.0.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\n"
                                                    "Tag: py3-none-any\n"}
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
        archive.writestr(zipfile.ZipInfo("leftwords-1.0.0.dist-info/RECORD"),
                         "".join(f"{name},,\n" for name in files) + "leftwords-1.0.0.dist-info/RECORD,,\n")
    return made.getvalue()


def pypi(request):
    if request.path.startswith("/simple/leftwords"):
        digest = hashlib.sha256(wheel()).hexdigest()
        return request.raw(200, f'<a href="https://files.pythonhosted.org/packages/70/8e/{digest[4:]}/{WHEEL}#sha256={digest}">{WHEEL}</a>'.encode(),
                           "text/html")
    return request.text("no such project\n", 404)


def python_files(request):
    request.raw(200, wheel())


class Git:
    """Git's own smart-HTTP server over repositories in `root`."""

    backend = "/usr/lib/git-core/git-http-backend"

    def __init__(self, root):
        self.root = root

    def __call__(self, request):
        path, _, query = request.path.partition("?")
        env = {"PATH": "/usr/bin:/bin", "GIT_PROJECT_ROOT": self.root, "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
               "REQUEST_METHOD": request.method, "QUERY_STRING": query, "REMOTE_ADDR": "11.22.33.1",
               "CONTENT_TYPE": request.headers.get("Content-Type") or "", "CONTENT_LENGTH": str(len(request.body)),
               "GIT_PROTOCOL": request.headers.get("Git-Protocol") or "", "HOME": self.root,
               "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding") or "",
               "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        answer = subprocess.run([self.backend], input=request.body, env=env, capture_output=True).stdout
        head, _, body = answer.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(fields.pop("Status", "200").split()[0])
        kind = fields.pop("Content-Type", "text/plain")
        request.raw(status, body, kind, [(k, v) for k, v in fields.items() if k != "Content-Length"])


def make_repository(root, name):
    """A bare repository with a few commits, as `git clone https://HOST/NAME` finds it."""
    bare, work = os.path.join(root, name), os.path.join(root, "work")
    env = {"PATH": "/usr/bin:/bin", "HOME": root, "GIT_CONFIG_NOSYSTEM": "1"}
    run = lambda *words: subprocess.run(["git", "-c", "user.name=Me", "-c", "user.email=me@example.com", *words],
                                        check=True, env=env, capture_output=True)
    run("init", "-q", "-b", "main", work)
    for number in range(3):
        with open(os.path.join(work, f"file{number}.txt"), "w") as file:
            file.write(f"content {number}\n" * 1000)
        run("-C", work, "add", "-A")
        run("-C", work, "commit", "-qm", f"Commit {number}")
    os.makedirs(os.path.dirname(bare), exist_ok=True)
    run("clone", "-q", "--bare", work, bare)
