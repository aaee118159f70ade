"""What is measured: the way to the site, directly or through something. Each arm is started once and stays up.

All intercept TLS: they end the client's and make their own, verified, to the site. Those that judge are given a rule
about host, method and path; none writes a log of requests but Bulkhead, whose record is part of what it does.
"""
import json
import os
import shutil
import subprocess
import sys
import time

from place import BULKHEAD, HERE, LOAD, OPEN, PORTS, ROOT, SLOT, nginx_frame, procs, program

sys.path.insert(0, os.path.join(ROOT, "tests"))
from lab.ca import Authority  # noqa: E402

SRT = os.environ.get("BULKHEAD_BENCH_SRT", os.path.join(ROOT, ".cache/peers/node_modules/@anthropic-ai/sandbox-runtime"))


class Unavailable(Exception):
    """It can't be measured here, or can't do this; the text says why."""


class Arm:
    judges = False     # does it look at requests, or is it a ceiling?
    versions = (1, 2)  # of HTTP, on both sides
    why_not_2 = ""
    about = ""
    package = ""       # of Debian

    def __init__(self, place):
        self.place = place
        self.processes = []  # whose CPU and memory count
        self.setup()
        self.client = self.start_client()

    def setup(self):
        pass

    def version(self):
        if not self.package:
            return ""
        return subprocess.run(["dpkg-query", "-W", "-f", "${Version}", self.package], capture_output=True, text=True).stdout

    def start_client(self):
        return Client(self.place.start([LOAD], "load-" + self.name.replace(" ", "-"), stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE))

    def words(self, http):
        return {"host": OPEN, "to": f"{self.place.address}:{PORTS[http]}", "ca": self.place.pem}

    def pids(self):
        found = {}
        for child in self.processes:
            for pid in [child.pid, *procs.descendants(child.pid)]:
                found[pid] = procs.name(pid)
        return found


class Client:
    """One egress-load, and jobs for it."""

    def __init__(self, child):
        self.child = child

    def say(self, line):
        self.child.stdin.write(line.encode() + b"\n")
        self.child.stdin.flush()

    def hear(self):
        line = self.child.stdout.readline()
        if not line:
            raise RuntimeError("the client ended")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def prepare(self, words):
        self.say(" ".join(f"{key}={value}" for key, value in words.items()))
        self.hear()

    def go(self):
        self.say("go")
        return self.hear()


class Direct(Arm):
    name = "direct"


class Bulkhead(Arm):
    """One session for both: with a grant that has a credential, and one without. The client runs inside."""
    name = "bulkhead"
    judges = True
    host = OPEN
    token = ""

    def setup(self):
        policy = self.place.path("policy.toml")
        with open(policy, "w") as file:
            file.write(f'version = 1\ndns = ["{self.place.lab.dns_address}"]\nupstream_ca = ["{self.place.pem}"]\n'
                       '[credential.api]\nsource = "env:API_KEY"\nexpose = { env = "API_KEY" }\n'
                       'carry = { header = "x-api-key" }\n[limits]\nopen_files = 4096\n')
            for host, more in ((OPEN, ""), (SLOT, 'credential = "api"\n')):
                for port in PORTS.values():
                    file.write(f'[[grant]]\nhost = "{host}"\nport = {port}\n{more}'
                               '[[grant.allow]]\nmethod = ["GET", "POST"]\npath = "/v1/*"\n')
        # The session sees its folder: the client has to be in it.
        work = self.place.path("work")
        os.makedirs(work)
        shutil.copy(LOAD, work)
        runtime = self.place.path("runtime")
        os.makedirs(runtime, mode=0o700)
        self.child = self.place.start(
            ["/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", work,
             BULKHEAD, "run", "--quiet", "--policy", policy, "--", "./egress-load"], "bulkhead",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=self.place.environment(API_KEY="real-key-bench", XDG_RUNTIME_DIR=runtime))

    def start_client(self):
        return Client(self.child)

    def words(self, http):
        words = {"host": self.host}
        return {**words, "token": self.token} if self.token else words

    def pids(self):
        found = {}
        for pid in [self.child.pid, *procs.descendants(self.child.pid)]:
            part = procs.part_of_bulkhead(pid)
            if part:
                found[pid] = {"bulkhead-eviden": "evidence"}.get(part, part.removeprefix("bulkhead-"))
        return found


class WithCredential(Bulkhead):
    name = "bulkhead, credential"
    host = SLOT
    token = "API_KEY"

    def __init__(self, other):
        self.place, self.child, self.client = other.place, other.child, other.client


class Connecting(Arm):
    """Peers that are asked by CONNECT."""
    judges = True

    def words(self, http):
        return {"host": OPEN, "via": f"127.0.0.1:{self.port}", "ca": self.ca}


class Squid(Connecting):
    name, port, versions, why_not_2 = "squid", 3129, (1,), "Squid speaks no HTTP/2"
    package = "squid-openssl"
    about = "ssl-bump, no cache, no access log"
    helper = "/usr/lib/squid/security_file_certgen"

    def setup(self):
        binary = program("squid")
        if not binary or not os.path.exists(self.helper):
            raise Unavailable("squid-openssl is not installed")
        authority = Authority(self.place.path("squid-ca"), "Squid Root")
        self.ca = authority.pem
        base = self.place.path("squid")
        os.makedirs(base)
        certificates = base + "/certificates"
        subprocess.run([self.helper, "-c", "-s", certificates, "-M", "4MB"], check=True, capture_output=True)
        with open(base + "/squid.conf", "w") as file:
            file.write(f"http_port 127.0.0.1:{self.port} ssl-bump tls-cert={authority.pem} tls-key={authority.key} "
                       "generate-host-certificates=on dynamic_cert_mem_cache_size=4MB\n"
                       f"sslcrtd_program {self.helper} -s {certificates} -M 4MB\nsslcrtd_children 2 startup=1\n"
                       "acl granted dstdomain .example.com\nacl methods method GET POST CONNECT\nacl tunnel method CONNECT\n"
                       "acl paths urlpath_regex ^/v1/[^/]*$\n"
                       "http_access allow tunnel granted\nhttp_access allow granted methods paths\nhttp_access deny all\n"
                       "ssl_bump bump all\ncache deny all\ncache_mem 8 MB\naccess_log none\n"
                       f"cache_log {base}/cache.log\ncoredump_dir {base}\npid_filename none\n"
                       f"dns_nameservers {self.place.lab.dns_address}\ntls_outgoing_options cafile={self.place.pem}\n"
                       "shutdown_lifetime 0 seconds\nmax_filedescriptors 8192\nclient_idle_pconn_timeout 10 minutes\n"
                       "server_idle_pconn_timeout 10 minutes\nclient_persistent_connections on\n"
                       "visible_hostname bench\npinger_enable off\n")
        if os.geteuid() == 0:
            for folder, names, files in os.walk(base):
                for each in [folder, *(os.path.join(folder, name) for name in files)]:
                    shutil.chown(each, "proxy", "proxy")
            shutil.chown(authority.key, "proxy", "proxy")
        child = self.place.start([binary, "-N", "-f", base + "/squid.conf"], "squid")
        self.processes = [child]
        self.place.wait_for_port(self.port, "squid", child)


class Mitmproxy(Connecting):
    name, port = "mitmproxy", 3130
    package = "mitmproxy"
    about = "mitmdump, an addon that judges host, method and path"

    def setup(self):
        if not program("mitmdump"):
            raise Unavailable("mitmproxy is not installed")
        base = self.place.path("mitmproxy")
        os.makedirs(base)
        with open(base + "/rule.py", "w") as file:
            file.write("from mitmproxy import http\n\n\ndef request(flow):\n    r = flow.request\n"
                       "    if not (r.pretty_host.endswith('.example.com') and r.method in ('GET', 'POST')\n"
                       "            and r.path.startswith('/v1/')):\n        flow.response = http.Response.make(403)\n\n\n"
                       "def responseheaders(flow):\n    flow.response.stream = True\n")
        # What passes is streamed on, as everybody else does.
        child = self.place.start(
            [program("mitmdump"), "-q", "--listen-host", "127.0.0.1", "-p", str(self.port), "-s", base + "/rule.py",
             "--set", f"confdir={base}", "--set", f"ssl_verify_upstream_trusted_ca={self.place.pem}",
             "--set", "flow_detail=0", "--set", "stream_large_bodies=64k"], "mitmproxy", resolver=True)
        self.processes = [child]
        self.place.wait_for_port(self.port, "mitmproxy", child)
        self.ca = base + "/mitmproxy-ca-cert.pem"


class SandboxRuntime(Connecting):
    name, port, versions = "sandbox-runtime", 3131, (1,)
    why_not_2 = "sandbox-runtime offers HTTP/1.1 only where it ends TLS"
    about = "its proxy with TLS termination and a request filter, without its sandbox and socat bridges"

    def version(self):
        with open(os.path.join(SRT, "package.json")) as file:
            return json.load(file)["version"]

    def setup(self):
        node = program("node")
        if not node or not os.path.exists(SRT):
            raise Unavailable("node or @anthropic-ai/sandbox-runtime is not installed")
        self.ca = self.place.path("srt-ca.pem")
        child = self.place.start([node, os.path.join(HERE, "srt_proxy.mjs"), SRT, str(self.port), self.ca, self.place.pem,
                                  ".example.com"], "srt", resolver=True)
        self.processes = [child]
        self.place.wait_for_port(self.port, "srt", child)


class Reverse(Arm):
    """Peers that stand where the site is dialled: nobody's requests are judged, so this is the ceiling."""

    def words(self, http):
        return {"host": OPEN, "to": f"127.0.0.1:{self.ports[http]}", "ca": self.place.pem}


class Haproxy(Reverse):
    name, ports = "haproxy", {1: 7443, 2: 7444}
    package = "haproxy"
    about = "TLS on both ends as a reverse proxy: a ceiling"

    def setup(self):
        if not program("haproxy"):
            raise Unavailable("haproxy is not installed")
        pem, key = self.place.lab.authority.pair(OPEN)
        both = self.place.path("haproxy.pem")
        with open(both, "w") as file:
            file.write(open(pem).read() + open(key).read())
        text = ("global\n  maxconn 6000\n  tune.ssl.cachesize 1000\ndefaults\n  mode http\n  option http-keep-alive\n"
                "  timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n")
        for http, offered in ((1, "http/1.1"), (2, "h2")):
            text += (f"frontend in{http}\n  bind 127.0.0.1:{self.ports[http]} ssl crt {both} alpn {offered}\n"
                     f"  acl granted hdr_dom(host) -i example.com\n  http-request deny unless granted\n"
                     f"  default_backend out{http}\nbackend out{http}\n"
                     f"  server site {self.place.address}:{PORTS[http]} ssl verify required ca-file {self.place.pem} "
                     f"sni str({OPEN}) verifyhost {OPEN} alpn {offered}\n")
        with open(self.place.path("haproxy.conf"), "w") as file:
            file.write(text)
        child = self.place.start([program("haproxy"), "-db", "-f", self.place.path("haproxy.conf")], "haproxy")
        self.processes = [child]
        self.place.wait_for_port(self.ports[1], "haproxy", child)


class Nginx(Reverse):
    name, ports = "nginx", {1: 7543, 2: 7544}
    package = "nginx-light"
    about = "TLS on both ends as a reverse proxy: a ceiling; to the site it speaks HTTP/1.1 always"

    def setup(self):
        pem, key = self.place.lab.authority.pair(OPEN)
        words = nginx_frame(
            self.place.folder, "reverse",
            f"  upstream site {{ server {self.place.address}:{PORTS[1]}; keepalive 64; keepalive_requests 1000000000; }}\n"
            f"  server {{\n    listen 127.0.0.1:{self.ports[1]} ssl;\n    listen 127.0.0.1:{self.ports[2]} ssl http2;\n"
            f"    ssl_certificate {pem};\n    ssl_certificate_key {key};\n    ssl_protocols TLSv1.3;\n"
            "    location / {\n      proxy_pass https://site;\n      proxy_http_version 1.1;\n"
            f"      proxy_set_header Connection \"\";\n      proxy_set_header Host {OPEN};\n      proxy_ssl_server_name on;\n"
            f"      proxy_ssl_protocols TLSv1.3;\n      proxy_ssl_name {OPEN};\n      proxy_ssl_verify on;\n"
            f"      proxy_ssl_trusted_certificate {self.place.pem};\n      proxy_request_buffering off;\n"
            "      proxy_buffering off;\n      proxy_buffer_size 16k;\n      proxy_buffers 8 16k;\n"
            "      proxy_busy_buffers_size 32k;\n    }\n  }\n")
        child = self.place.start(words, "nginx")
        self.processes = [child]
        self.place.wait_for_port(self.ports[1], "nginx", child)


PEERS = (Squid, Mitmproxy, SandboxRuntime, Haproxy, Nginx)


def start(place, names, say):
    """The arms, direct first. Whoever can't be here is said so."""
    arms = [Direct(place)]
    ours = Bulkhead(place)
    arms.append(ours)
    arms.append(WithCredential(ours))
    for kind in PEERS:
        if names and kind.name not in names:
            continue
        try:
            arms.append(kind(place))
        except Unavailable as why:
            say(f"left out: {kind.name}: {why}")
        except (RuntimeError, TimeoutError, OSError, subprocess.CalledProcessError) as why:
            say(f"left out: {kind.name}: it does not start: {why}")
    time.sleep(0.5)
    return arms
