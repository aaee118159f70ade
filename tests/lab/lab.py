"""The lab: two network namespaces, DNS, a certificate authority and stand-in sites.

    with Lab() as lab:
        lab.web.site("api.example.com", handler)        # HTTPS and HTTP, at a public-looking address
        lab.run(["curl", "https://api.example.com/"])   # on the host side, as the plain user

Works for root and for an ordinary user; nothing needs setting up, and everything is gone when the process that
made it is. What runs on the host side reaches the internet side and nothing else.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from . import ca, dns, keeper_addresses, sniff
from .web import Web

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = ["/usr/bin/python3", "-I", "-S"]


class Lab:
    dns_address = keeper_addresses.GATE_ADDRESS
    host_address = keeper_addresses.HOST_ADDRESS

    def __init__(self, listen=True):
        """`listen`: every packet that crosses is kept. Not where gigabytes do, and time is measured."""
        self.listen = listen
        self.real_root = os.geteuid() == 0
        self.folder = tempfile.mkdtemp(prefix="bhlab.")
        os.chmod(self.folder, 0o755)
        self.zone = dns.Zone()
        self._lock = threading.Lock()
        self._next_address = 64

    def __enter__(self):
        self._host, host_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._internet, internet_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        user = [] if self.real_root else ["-U", "--map-current-user", "--keep-caps"]
        # The descriptors must be 3 and 4 in the keeper; a shell puts them there.
        script = f'exec unshare {" ".join(user)} -n -- "$@" 3<&{host_end.fileno()} 4<&{internet_end.fileno()}'
        self._keeper = subprocess.Popen(
            ["/bin/bash", "-c", script, "lab", *PYTHON, os.path.join(HERE, "keeper.py")],
            pass_fds=[host_end.fileno(), internet_end.fileno()], stdin=subprocess.DEVNULL)
        host_end.close()
        internet_end.close()
        if self._host.recv(16) != b"ready":
            raise RuntimeError("the lab's network could not be made (are user namespaces allowed here?)")
        self.pid = self._keeper.pid
        self.authority = ca.Authority(os.path.join(self.folder, "ca"))
        self.resolv_conf = self.write("resolv.conf", f"nameserver {self.dns_address}\n")
        dns.start(self.zone, self.internet_socket(socket.AF_INET, socket.SOCK_DGRAM, ("0.0.0.0", 53)),
                  self.internet_socket(socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", 53), backlog=16))
        self._wait_for_link()
        if self.listen:
            self.sniffer = sniff.Sniffer(self._ask(self._internet, {
                "family": socket.AF_PACKET, "type": socket.SOCK_RAW, "proto": socket.htons(3)}))
        self.web = Web(self)
        return self

    def __exit__(self, *_):
        self.web.close()
        self._keeper.send_signal(signal.SIGKILL)  # its child goes with it
        self._keeper.wait()
        self._host.close()
        self._internet.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Sockets in either namespace ------------------------------------------------------------------------

    def _ask(self, channel, request):
        with self._lock:
            channel.send(json.dumps(request).encode())
            reply, fds, _, _ = socket.recv_fds(channel, 65536, 1)
        answer = json.loads(reply or b'{"error":"the keeper is gone"}')
        if "error" in answer:
            raise OSError(answer["error"])
        return socket.socket(fileno=fds[0]) if fds else None

    def _wait_for_link(self):
        """A fresh veth carries nothing until the kernel has noticed that both ends are up."""
        for _ in range(200):
            try:
                with self.host_socket(socket.AF_INET, socket.SOCK_STREAM, (self.host_address, 0)) as probe:
                    probe.settimeout(1)
                    probe.connect((self.dns_address, 53))
                    return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("the lab's link does not come up")

    def internet_socket(self, family, kind, bind, backlog=0, options=()):
        return self._ask(self._internet, {"family": family, "type": kind, "bind": bind, "backlog": backlog,
                                          "options": [[socket.SOL_SOCKET, socket.SO_REUSEADDR, 1], *options]})

    def host_socket(self, family, kind, bind, backlog=0, options=()):
        """`bind` is (address, port), or for an abstract unix socket its name beginning with a NUL."""
        return self._ask(self._host, {"family": family, "type": kind, "bind": bind, "backlog": backlog,
                                      "options": list(options)})

    def new_address(self):
        self._next_address += 1
        # Behind the gate address, so that the thousandth needs no neighbour entry of its own.
        high, low = divmod(self._next_address, 250)
        return f"11.22.{36 + high}.{low + 1}"

    # Running commands -----------------------------------------------------------------------------------

    def command(self, argv, resolver=False, mounts=(), guard=True):
        """The command line that runs `argv` on the host side; with `resolver`, using the lab's DNS; with `guard`,
        unable to harm this machine's files even as root."""
        words = [*PYTHON, os.path.join(HERE, "enter.py"), str(self.pid)]
        if not self.real_root:
            words.append("--user")
        if resolver:
            words += ["--mount", self.resolv_conf, os.path.realpath("/etc/resolv.conf")]
        for source, target in mounts:
            words += ["--mount", source, target]
        if guard and self.real_root:
            words.append("--guard")
        return [*words, "--", *argv]

    def run(self, argv, resolver=False, mounts=(), **keywords):
        keywords.setdefault("stdin", subprocess.DEVNULL)
        keywords.setdefault("capture_output", True)
        keywords.setdefault("timeout", 60)
        return subprocess.run(self.command(argv, resolver, mounts), **keywords)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path


def main():
    """`python3 -m lab COMMAND…`: a shell (or COMMAND) on the host side of a fresh lab, for trying things."""
    with Lab() as lab:
        lab.web.site("example.com", lambda request: request.text("hello from the lab\n"))
        command = sys.argv[1:] or ["/bin/bash"]
        env = dict(os.environ, SSL_CERT_FILE=lab.authority.pem, CURL_CA_BUNDLE=lab.authority.pem,
                   LAB_CA=lab.authority.pem)
        sys.exit(subprocess.run(lab.command(command, resolver=True), env=env).returncode)
