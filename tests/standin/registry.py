"""Docker's own registry (Debian's docker-registry) behind the lab's web, and a realm that hands out what it verifies."""
import base64
import http.client
import json
import os
import secrets
import socket
import subprocess
import time
import urllib.parse

PROGRAM = "/usr/bin/docker-registry"


def text64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


class DockerRegistry:
    """In `folder`, on a unix socket there. `registry` and `realm` are handlers for lab.web."""

    service = "registry.docker.io"

    def __init__(self, folder, realm="https://auth.docker.io/token"):
        self.folder, self.socket = folder, os.path.join(folder, "socket")
        self.key, self.pem = os.path.join(folder, "key"), os.path.join(folder, "pem")
        self.actions = ["pull"]  # what the realm gives; a list to change
        self.tokens = []
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=realm", "-keyout", self.key,
                      "-out", self.pem)
        config = os.path.join(folder, "config.yml")
        with open(config, "w") as file:
            file.write(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/store}}}}\n"
                       f"http: {{net: unix, addr: {self.socket}, secret: x}}\n"
                       f"auth: {{token: {{realm: '{realm}', service: {self.service}, issuer: realm, rootcertbundle: {self.pem}}}}}\n")
        with open(os.path.join(folder, "log"), "w") as log:
            self.child = subprocess.Popen([PROGRAM, "serve", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          env={"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none"})
        end = time.monotonic() + 20
        while not os.path.exists(self.socket):
            if self.child.poll() is not None or time.monotonic() > end:
                with open(os.path.join(folder, "log")) as log:
                    raise RuntimeError("docker-registry did not start: " + log.read())
            time.sleep(0.05)

    def close(self):
        self.child.kill()
        self.child.wait()

    @staticmethod
    def _openssl(*words, **keywords):
        return subprocess.run(["openssl", *words], check=True, capture_output=True, **keywords).stdout

    def realm(self, request):
        """distribution's docs/spec/auth/token.md: what a registry of this key takes."""
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        access = []
        for scope in query.get("scope", []):
            kind, name, wanted = scope.split(":")
            access.append({"type": kind, "name": name, "actions": [a for a in wanted.split(",") if a in self.actions]})
        der = self._openssl("x509", "-in", self.pem, "-outform", "DER")
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        body = {"iss": "realm", "sub": "", "aud": self.service, "exp": now + 300, "nbf": now - 10, "iat": now,
                "jti": secrets.token_hex(8), "access": access}
        signed = text64(json.dumps(head).encode()) + "." + text64(json.dumps(body).encode())
        token = signed + "." + text64(self._openssl("dgst", "-sha256", "-sign", self.key, input=signed.encode()))
        self.tokens.append(token)
        request.json(json.dumps({"token": token, "access_token": token, "expires_in": 300}))

    def registry(self, request):
        upstream = Unix(self.socket)
        upstream.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.header_list:  # each line as it came: a client accepts in several
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "accept-encoding"):
                upstream.putheader(name, value)
        upstream.putheader("X-Forwarded-Proto", "https")
        upstream.putheader("Content-Length", str(len(request.body)))
        upstream.endheaders(request.body)
        answer = upstream.getresponse()
        body = answer.read()
        kept = [(n, v) for n, v in answer.getheaders()
                if n.lower() not in ("connection", "content-length", "content-type", "transfer-encoding", "date")]
        # To HEAD a registry says how much there would be.
        if request.method == "HEAD" and answer.getheader("Content-Length"):
            body = b"x" * int(answer.getheader("Content-Length"))
        request.raw(answer.status, body, answer.getheader("Content-Type") or "application/octet-stream", kept)
        upstream.close()
