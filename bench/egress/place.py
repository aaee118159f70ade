"""Where all is measured: the lab's two network namespaces, one site on the internet side, one folder.

The site is nginx with small static files; it asks no proxy for anything, and every arm has the same. Its uploads are
read whole and thrown away; its stream is ticker.py. Port 8443 speaks HTTP/1.1 only, 8444 HTTP/2.
"""
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests"))

from lab import Lab  # noqa: E402
from support import procs  # noqa: E402

BUILD = os.environ.get("BULKHEAD_BUILD", os.path.join(ROOT, "build/release"))
BULKHEAD = os.path.join(BUILD, "bin/bulkhead")
LOAD = os.path.join(BUILD, "bench/egress-load")
OPEN, SLOT = "open.example.com", "api.example.com"  # without, and with a credential
PORTS = {1: 8443, 2: 8444}
KB, MB = 1024, 1 << 20


def program(name):
    """Where a server from Debian is, or None. They live in sbin, which is in nobody's PATH but root's."""
    return shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin")


def nginx_temporary(folder):
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "".join(f"  {kind}_temp_path {folder}/{kind};\n" for kind in kinds)


def nginx_frame(folder, name, inner):
    """What both uses of nginx share; `inner` is the http block's rest."""
    os.makedirs(f"{folder}/{name}", exist_ok=True)
    path = f"{folder}/{name}.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    with open(path, "w") as file:
        file.write(f"{user}daemon off;\nworker_processes auto;\npid {folder}/{name}.pid;\nerror_log stderr error;\n"
                   "events { worker_connections 8192; }\nhttp {\n  access_log off;\n  sendfile off;\n  tcp_nodelay on;\n"
                   "  keepalive_requests 1000000000;\n  keepalive_timeout 600s;\n  client_max_body_size 4m;\n"
                   "  client_body_buffer_size 2m;\n  http2_max_concurrent_streams 256;\n  default_type application/octet-stream;\n"
                   f"{nginx_temporary(folder + '/' + name)}{inner}}}\n")
    return [program("nginx"), "-e", "stderr", "-c", path]


def wait_until(check, what, seconds=20):
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


class Place:
    """Use as a context manager."""

    def __init__(self):
        self.children = []

    def __enter__(self):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
        self.lab = Lab(listen=False).__enter__()
        self.folder = tempfile.mkdtemp(prefix="bhegress.")
        os.chmod(self.folder, 0o755)
        self.pem = self.lab.authority.pem
        # The internet side is the keeper's child.
        self.internet = procs.descendants(self.lab.pid)[0]
        self.address = self.lab.new_address()
        for host in (OPEN, SLOT):
            self.lab.zone.add(host, self.address)
        self.start_site()
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            self.end(child)
        self.lab.__exit__()
        if not os.environ.get("BULKHEAD_BENCH_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def enter(self, argv, internet=False, resolver=False):
        words = self.lab.command(argv, resolver=resolver, guard=False)
        if internet:
            words[words.index(str(self.lab.pid))] = str(self.internet)
        return words

    def environment(self, **more):
        return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": self.folder, "LANG": "C.UTF-8", **more}

    def start(self, argv, name, internet=False, resolver=False, env=None, **pipes):
        """A program of the run. What it has to say goes to NAME.log."""
        log = open(self.path(name + ".log"), "wb")
        pipes.setdefault("stdin", subprocess.DEVNULL)
        pipes.setdefault("stdout", log)
        child = subprocess.Popen(self.enter(argv, internet, resolver), cwd=self.folder, stderr=log,
                                 env=env or self.environment(), **pipes)
        log.close()
        self.children.append(child)
        return child

    def end(self, child):
        for pid in [child.pid, *procs.descendants(child.pid)][::-1]:
            try:
                os.kill(pid, 15)
            except ProcessLookupError:
                pass
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def log(self, name):
        with open(self.path(name + ".log"), errors="replace") as file:
            return " / ".join(file.read().strip().split("\n")[-3:])

    def wait_for_port(self, port, name, child):
        def up():
            if child.poll() is not None:
                raise RuntimeError(f"{name} ended: {self.log(name)}")
            try:
                with self.lab.host_socket(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)) as probe:
                    probe.settimeout(1)
                    probe.connect(("127.0.0.1", port))
                return True
            except OSError:
                return False
        wait_until(up, f"{name} does not listen")

    def start_site(self):
        root = self.path("site")
        os.makedirs(root + "/v1")
        for name, size in (("1k", KB), ("1m", MB)):
            with open(f"{root}/v1/{name}", "wb") as file:
                file.write(b"x" * size)
        servers = ""
        for host in (OPEN, SLOT):
            pem, key = self.lab.authority.pair(host)
            servers += (f"  server {{\n    listen {self.address}:{PORTS[1]} ssl backlog=4096;\n"
                        f"    listen {self.address}:{PORTS[2]} ssl http2 backlog=4096;\n"
                        .replace(" backlog=4096", "" if servers else " backlog=4096") +
                        f"    server_name {host};\n    ssl_certificate {pem};\n    ssl_certificate_key {key};\n"
                        "    ssl_protocols TLSv1.3;\n    open_file_cache max=16;\n"
                        f"    location / {{ root {root}; }}\n"
                        # Read whole before it is passed on, and then not passed on.
                        "    location /v1/up { proxy_pass http://unix:" + self.path("ok.sock") + ":/; proxy_method GET;\n"
                        "      proxy_pass_request_body off; proxy_set_header Content-Length \"\"; }\n"
                        "    location /v1/ticks { proxy_pass http://unix:" + self.path("ticks.sock") + ":/;\n"
                        "      proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 600s; }\n  }\n")
        servers += f"  server {{ listen unix:{self.path('ok.sock')}; location / {{ return 200 \"ok\"; }} }}\n"
        self.start(["/usr/bin/python3", os.path.join(HERE, "ticker.py"), self.path("ticks.sock")], "ticker", internet=True)
        site = self.start(nginx_frame(self.folder, "site", servers), "site", internet=True)

        def up():
            if site.poll() is not None:
                raise RuntimeError(f"the site ended: {self.log('site')}")
            return os.path.exists(self.path("ok.sock")) and os.path.exists(self.path("ticks.sock"))
        wait_until(up, "the site does not listen")
