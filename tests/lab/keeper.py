"""Builds and holds the lab's two network namespaces; started by lab.py, never by hand.

The process itself is the *host* side. A forked child is the *internet* side, at the other end of a veth pair.
Both then answer requests on a socket each (descriptors 3 and 4): open this listening socket, run this `ip`
command. The sockets travel back as descriptors, so the servers themselves are threads of the test process,
whose state a test can read directly.
"""
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys

HOST_ADDRESS, HOST_ADDRESS6 = "11.22.33.1", "2a0e:aa00:1::1"
GATE_ADDRESS, GATE_ADDRESS6 = "11.22.33.53", "2a0e:aa00:1::53"

# Addresses the internet side answers for. The private ones are there so that a request that wrongly goes to
# one of them arrives somewhere and is seen.
LOCAL_RANGES = [
    "11.22.33.64/26", "11.22.34.0/24", "11.22.36.0/22", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
    "169.254.0.0/16", "192.0.0.192/32", "168.63.129.16/32", "198.51.100.0/24", "1.1.1.1/32", "8.8.8.8/32",
    "93.184.216.0/24",
]
# The first is behind the gate address, so that its addresses need no neighbour entries.
LOCAL_RANGES6 = ["2a0e:aa00:2::/64", "fd00::/8", "64:ff9b::/96"]

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def ip(*words):
    subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL)


def serve(channel):
    """Answers requests until the other end is gone."""
    while message := channel.recv(65536):
        request = json.loads(message)
        try:
            if "ip" in request:
                ip(*request["ip"])
                socket.send_fds(channel, [b"{}"], [])
                continue
            made = socket.socket(request["family"], request["type"], request.get("proto", 0))
            for level, option, value in request.get("options", []):
                made.setsockopt(level, option, value)
            if "bind" in request:
                address = request["bind"]
                made.bind(address.encode() if isinstance(address, str) else tuple(address))
                if request.get("backlog"):
                    made.listen(request["backlog"])
            socket.send_fds(channel, [b"{}"], [made.fileno()])
            made.close()
        except (OSError, subprocess.CalledProcessError) as error:
            socket.send_fds(channel, [json.dumps({"error": str(error)}).encode()], [])


def internet_side(channel, go):
    die_with_parent()
    if libc.unshare(CLONE_NEWNET) != 0:
        sys.exit("keeper: unshare: " + os.strerror(ctypes.get_errno()))
    go.send(b"unshared")
    go.recv(1)  # the veth is there
    ip("link", "set", "lo", "up")
    ip("link", "set", "s0", "up")
    ip("addr", "add", GATE_ADDRESS + "/24", "dev", "s0")
    ip("addr", "add", GATE_ADDRESS6 + "/64", "dev", "s0", "nodad")
    for item in LOCAL_RANGES:
        ip("route", "add", "local", item, "dev", "lo", "table", "local")
    for item in LOCAL_RANGES6:
        ip("-6", "route", "add", "local", item, "dev", "lo", "table", "local")
    go.send(b"up")
    go.close()
    serve(channel)


def main():
    die_with_parent()
    host = socket.socket(fileno=3)
    internet = socket.socket(fileno=4)
    mine, childs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        host.close()
        mine.close()
        try:
            internet_side(internet, childs)
        finally:
            os._exit(0)
    internet.close()
    childs.close()
    assert mine.recv(16) == b"unshared"
    ip("link", "set", "lo", "up")
    ip("link", "add", "h0", "type", "veth", "peer", "name", "s0", "netns", str(child))
    ip("link", "set", "h0", "up")
    ip("addr", "add", HOST_ADDRESS + "/24", "dev", "h0")
    ip("addr", "add", HOST_ADDRESS6 + "/64", "dev", "h0", "nodad")
    mine.send(b"1")
    assert mine.recv(16) == b"up"
    ip("route", "add", "default", "via", GATE_ADDRESS)
    ip("-6", "route", "add", "default", "via", GATE_ADDRESS6)
    host.send(b"ready")
    serve(host)


main()
