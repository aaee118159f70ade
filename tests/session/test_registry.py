"""Container images: a token that the registry's realm hands out, layers behind a signed link, by the real skopeo."""
import gzip
import hashlib
import json
import os
import shutil
import urllib.parse

from standin.registry import PROGRAM, DockerRegistry
from support import Case

AUTH, REGISTRY, CDN = "auth.docker.io", "registry-1.docker.io", "production.cloudflare.docker.com"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhY2Nlc3MiOiJwdWxsIn0.cmVhbC10b2tlbi1vZi10aGUtcmVhbG0"
SIGNATURE = "c2lnbmVkLWxpbms"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Registry(Case):
    policy_text = ('[credential.docker]\nsource = "answer"\ncarry = { bearer = true }\n'
                   '[[grant]]\npreset = "docker-pull"\ncredential = "docker"\n'
                   'with = { repositories = ["acme/app"] }\n')

    def setUp(self):
        super().setUp()
        self.layer = os.urandom(300_000)
        self.config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                                  "rootfs": {"type": "layers", "diff_ids": [digest(self.layer)]}}).encode()
        kind = "application/vnd.oci.image."
        part = lambda data, media: {"mediaType": kind + media, "digest": digest(data), "size": len(data)}
        self.manifest = json.dumps({"schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
                                    "config": part(self.config, "config.v1+json"),
                                    "layers": [part(self.layer, "layer.v1.tar")]}).encode()
        self.lab.web.site(AUTH, self.realm)
        self.lab.web.site(REGISTRY, self.registry)
        self.lab.web.site(CDN, self.cdn)

    def realm(self, request):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        if query.get("scope") != ["repository:acme/app:pull"] or query.get("service") != ["registry.docker.io"]:
            return request.text("what?\n", 400)
        request.json(json.dumps({"token": TOKEN, "access_token": TOKEN, "expires_in": 300}))

    def registry(self, request):
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            challenge = f'Bearer realm="https://{AUTH}/token",service="registry.docker.io",scope="repository:acme/app:pull"'
            return request.text("who?\n", 401, [("WWW-Authenticate", challenge)])
        path = request.path
        if path == "/v2/acme/app/manifests/1.0":
            return request.raw(200, self.manifest, "application/vnd.oci.image.manifest.v1+json",
                               [("Docker-Content-Digest", digest(self.manifest))])
        if path == "/v2/acme/app/blobs/" + digest(self.config):
            return request.raw(200, self.config)
        if path == "/v2/acme/app/blobs/" + digest(self.layer):
            link = f"https://{CDN}/registry-v2/data?X-Amz-Signature={SIGNATURE}"
            return request.raw(307, b"", headers=[("Location", link)])
        if path == "/v2/":
            return request.json("{}")
        request.text("no such thing\n", 404)

    def cdn(self, request):
        if request.path.endswith("X-Amz-Signature=" + SIGNATURE):
            return request.raw(200, self.layer)
        request.text("not signed\n", 403)

    def record(self):
        return "\n".join(self.read(path) for path in self.state_files())

    def test_skopeo_pulls_and_never_sees_the_token(self):
        if not shutil.which("skopeo"):
            self.fail("skopeo is not installed: apt-get install skopeo")
        command = ("mkdir -p $HOME/c; echo '{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}' > $HOME/c/policy.json; "
                   "skopeo --debug --policy $HOME/c/policy.json --tmpdir /tmp copy docker://acme/app:1.0 dir:out")
        result = self.ok(self.inside(["/bin/sh", "-c", command], self.policy_text))
        with open(os.path.join(self.work, "out", digest(self.layer)[7:]), "rb") as file:
            self.assertEqual(file.read(), self.layer)
        for secret in (TOKEN, SIGNATURE):
            self.assertNotIn(secret, result.out + result.err)
            self.assertNotIn(secret, self.record())
        fetched = self.lab.web.received(CDN)
        self.assertEqual(len(fetched), 1)
        self.assertIsNone(fetched[0].headers["Authorization"])
        events = [json.loads(line) for line in self.record().split("\n") if line.startswith('{"v":1')]
        issued = [event for event in events if event["type"] == "credential.issue"]
        self.assertEqual({event["number"] for event in issued}, {1})
        self.assertEqual({event["host"] for event in issued}, {AUTH})
        self.assertTrue(any(event["type"] == "credential.use" and event["number"] == 1 for event in events))

    def test_only_what_was_handed_out(self):
        """C05: the real token, had it come in another way, and somebody else's are refused; so is the token alone."""
        script = f"""
import json, urllib.request, urllib.error
realm = "https://{AUTH}/token?service=registry.docker.io&scope=repository:acme/app:pull"
answer = urllib.request.urlopen(realm).read().decode()
mine = json.loads(answer)["token"]
print(answer)
def ask(bearer, path="/v2/acme/app/manifests/1.0", method="GET"):
    request = urllib.request.Request("https://{REGISTRY}" + path, headers={{"Authorization": bearer}}, method=method)
    try:
        print(urllib.request.urlopen(request).status)
    except urllib.error.HTTPError as error:
        print(error.code)
ask("Bearer " + mine)
ask("Bearer {TOKEN}")
ask("Bearer eyJhbGciOiJSUzI1NiJ9.ZXZpbA.ZXZpbA")
ask("Bearer " + mine.rsplit("-", 1)[0])
ask("Bearer " + mine[:-1] + "2")
ask("Bearer " + mine, "/v2/acme/app/manifests/1.0", "PUT")
ask("Bearer " + mine, "/v2/evil/app/manifests/1.0")
"""
        # Beside a credential that is read at the start.
        policy = self.policy_text + self.credential() + self.grant("api.example.com", credential="api")
        result = self.ok(self.inside(["/usr/bin/python3", "-c", script], policy, env={"API_KEY": "real-key-1f0c"}))
        answer, *statuses = result.out.split("\n")
        self.assertEqual(statuses, ["200", "403", "403", "403", "403", "403", "403", ""], result)
        self.assertNotIn(TOKEN, result.out)
        answer = json.loads(answer)
        self.assertEqual(answer["token"], answer["access_token"])
        self.assertTrue(answer["token"].startswith("bulkhead-") and answer["token"].endswith("-1"), answer)
        self.assertEqual([request.headers["Authorization"] for request in self.lab.web.received(REGISTRY)],
                         [f"Bearer {TOKEN}"])

    def test_revoked_is_forgotten(self):
        realm = f"https://{AUTH}/token?service=registry.docker.io\\&scope=repository:acme/app:pull"
        script = (f"t=$(curl -sS {realm} | sed 's/.*\"token\":[ ]*\"\\([^\"]*\\)\".*/\\1/'); echo $t > token; "
                  "while ! test -e go; do sleep 0.1; done; "
                  f"curl -sS -o body -w '%{{http_code}}' -H \"Authorization: Bearer $t\" "
                  f"https://{REGISTRY}/v2/acme/app/manifests/1.0 > status; echo done >> status")
        child = self.start_inside(["/bin/sh", "-c", script], self.policy_text)
        self.wait_for_file("token")
        session = json.loads(self.bulkhead("ps", "--json").out)[0]["id"]
        self.ok(self.bulkhead("revoke", session, "--credential", "docker"))
        with open(os.path.join(self.work, "go"), "w"):
            pass
        self.wait_until(lambda: "done" in (self.read("work/status") if os.path.exists(self.work + "/status") else ""))
        child.wait(20)
        self.assertEqual(self.read("work/status"), "403done\n")
        self.assertEqual(self.lab.web.received(REGISTRY), [])


class RealRegistry(Case):
    """The real server: Docker's registry, which verifies what its realm signed; skopeo pushes to it without the boundary."""

    policy_text = Registry.policy_text

    def setUp(self):
        super().setUp()
        if not os.path.exists(PROGRAM):
            self.skipTest("docker-registry is not installed: ./dev packages")
        if not shutil.which("skopeo"):
            self.fail("skopeo is not installed: apt-get install skopeo")
        self.server = DockerRegistry(self.folder("registry"))
        self.addCleanup(self.server.close)
        self.lab.web.site(AUTH, self.server.realm)
        self.lab.web.site(REGISTRY, self.server.registry)

    def skopeo(self, words):
        return ["/bin/sh", "-c", "mkdir -p $HOME/c; echo '{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}' > $HOME/c/policy.json; "
                f"skopeo --debug --policy $HOME/c/policy.json --tmpdir /tmp {words}"]

    def image(self):
        """In the workspace, as skopeo's dir: transport has it."""
        plain = os.urandom(2_000_000)
        layer = gzip.compress(plain)  # or skopeo does it on the way
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                             "rootfs": {"type": "layers", "diff_ids": [digest(plain)]}}).encode()
        kind = "application/vnd.oci.image."
        part = lambda data, media: {"mediaType": kind + media, "digest": digest(data), "size": len(data)}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
                               "config": part(config, "config.v1+json"), "layers": [part(layer, "layer.v1.tar+gzip")]}).encode()
        folder = os.path.join(self.work, "image")
        os.makedirs(folder)
        for name, data in (("version", b"Directory Transport Version: 1.1\n"), ("manifest.json", manifest),
                           (digest(layer)[7:], layer), (digest(config)[7:], config)):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
        return layer

    def stored(self):
        return {os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(self.server.folder, "store")) for name in names}

    def test_pulled_and_nothing_else(self):
        layer = self.image()
        self.server.actions = ["pull", "push"]
        self.ok(self.outside(self.skopeo("copy dir:image docker://acme/app:1.0")))
        self.ok(self.outside(self.skopeo("copy dir:image docker://acme/secret:1.0")))
        before, handed_out = self.stored(), len(self.server.tokens)
        self.lab.web.forget()
        result = self.ok(self.inside(self.skopeo("copy docker://acme/app:1.0 dir:out && skopeo list-tags docker://acme/app"),
                                     self.policy_text))
        with open(os.path.join(self.work, "out", digest(layer)[7:]), "rb") as file:
            self.assertEqual(file.read(), layer)
        self.assertIn('"1.0"', result.out)
        # The realm would let it push as well: what it signed is in the gateway, and the session has a number for it.
        tokens = self.server.tokens[handed_out:]
        self.assertTrue(tokens)
        for token in tokens:
            self.assertNotIn(token, result.out + result.err)
            self.assertNotIn(token, "".join(self.read(path) for path in self.state_files()))
        used = {r.headers["Authorization"] for r in self.lab.web.received(REGISTRY) if r.headers["Authorization"]}
        self.assertTrue(used and used <= {f"Bearer {token}" for token in tokens}, used)
        for words in ("copy dir:image docker://acme/app:2.0", "copy docker://acme/secret:1.0 dir:out2",
                      "copy dir:image docker://evil/app:1.0", "delete docker://acme/app:1.0"):
            self.lab.web.forget()
            result = self.inside(self.skopeo(words), self.policy_text)
            self.assertNotEqual(result.status, 0, result)
            asked = [(r.method, r.path) for r in self.lab.web.received(REGISTRY)]
            self.assertEqual([a for a in asked if a[0] not in ("GET", "HEAD") or "secret" in a[1] or "evil" in a[1]], [])
            self.assertEqual(self.stored(), before)
