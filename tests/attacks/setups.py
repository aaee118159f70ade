"""What an attack needs around it: the host's sockets, segments, processes, and how to see that it worked.

Each function gets the running test case and the arm ("off" or "on") and returns a Scene. Whatever it makes on
the host belongs to the user who runs the test, exactly as that user's desktop would have it.
"""
import ctypes
import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Callable, Optional

from standin.collector import collector

libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Scene:
    words: dict = field(default_factory=dict)  # placeholders in the row's arguments
    policy: str = ""
    env: dict = field(default_factory=dict)
    terminal: bool = False
    pass_fds: tuple = ()
    worked: Optional[Callable] = None  # judges instead of the exit status


def nothing(case, arm):
    return Scene()


# Files --------------------------------------------------------------------------------------------------------

def home_unchanged(case, arm):
    path = os.path.join(case.home, ".netrc")
    before = case.read(path)
    return Scene(worked=lambda _: case.read(path) != before)


def roots_file(case, arm):
    return Scene({"roots_file": case.write(os.path.join(case.home, "only-root"), "planted-root\n", 0o600)})


def root(case, arm):
    return Scene()


def cgroups(case, arm):
    if not os.path.exists("/sys/fs/cgroup/cgroup.procs"):
        case.skipTest("no cgroup v2 is mounted on this machine")
    return Scene()


# Sockets of the host ------------------------------------------------------------------------------------------

def reached(case, listener):
    """Whether anything connects to, or is sent to, the listener."""
    hits = []

    def take():
        try:
            if listener.type == socket.SOCK_DGRAM:
                hits.append(listener.recv(100))
            else:
                hits.append(listener.accept())
        except OSError:
            pass

    def forget():
        try:
            listener.shutdown(socket.SHUT_RDWR)  # closing alone leaves it, and its name, to whoever waits in accept(2)
        except OSError:
            pass
        listener.close()

    threading.Thread(target=take, daemon=True).start()
    case.addCleanup(forget)
    return lambda result: (case.wait_until(lambda: hits, 2, "the socket is reached") if result.status == 0
                           else hits) != []


def path_socket(case, path, kind=socket.SOCK_STREAM):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind(path)
    os.chmod(path, 0o777)
    if kind == socket.SOCK_STREAM:
        listener.listen(8)
    return reached(case, listener)


def abstract_socket(case, arm):
    return Scene(worked=reached(case, case.lab.host_socket(
        socket.AF_UNIX, socket.SOCK_STREAM, "\0bulkhead-test-abstract", 8)))


def abstract_datagram(case, arm):
    return Scene(worked=reached(case, case.lab.host_socket(
        socket.AF_UNIX, socket.SOCK_DGRAM, "\0bulkhead-test-datagram")))


def runtime_socket(case, arm):
    path = os.path.join(case.runtime, "bus")
    return Scene(worked=path_socket(case, path), env={"DBUS_SESSION_BUS_ADDRESS": "unix:path=" + path})


def docker_socket(case, arm):
    path = os.path.join(case.runtime, "docker.sock")
    return Scene(worked=path_socket(case, path), env={"DOCKER_HOST": "unix://" + path})


def x11_socket(case, arm):
    return Scene(worked=path_socket(case, os.path.join(case.tmp, ".X11-unix/X0")), env={"DISPLAY": ":0"})


def workspace_socket(case, arm):
    return Scene(worked=path_socket(case, os.path.join(case.work, "deep/ipc.sock")))


def workspace_datagram(case, arm):
    return Scene(worked=path_socket(case, os.path.join(case.work, "deep/ipc.sock"), socket.SOCK_DGRAM))


# Older IPC ----------------------------------------------------------------------------------------------------

def shared_memory(case, arm):
    key = 0x42480000 | secrets.randbits(16)
    number = libc.shmget(key, 4096, 0o600 | 0o1000)
    case.assertGreaterEqual(number, 0)
    case.addCleanup(libc.shmctl, number, 0, None)
    libc.shmat.restype = ctypes.c_void_p
    address = libc.shmat(number, None, 0)
    ctypes.memmove(address, b"planted-segment", 16)
    libc.shmdt(ctypes.c_void_p(address))
    return Scene({"key": str(key)})


def message_queue(case, arm):
    name = "bulkhead-test-" + secrets.token_hex(4)
    rt = ctypes.CDLL("librt.so.1", use_errno=True)
    rt.mq_open(("/" + name).encode(), os.O_CREAT | os.O_RDWR, 0o600, None)
    case.addCleanup(rt.mq_unlink, ("/" + name).encode())
    return Scene({"queue": name})


def session_key(case, arm):
    add_key, keyctl, join_session = 248, 250, 1  # x86-64
    description = "bulkhead-test-" + secrets.token_hex(4)
    libc.syscall(keyctl, join_session, None)  # a keyring of the test's own, inherited by what it starts
    number = libc.syscall(add_key, b"user", description.encode(), b"planted-key", 11, -3)
    case.assertGreater(number, 0, os.strerror(ctypes.get_errno()))
    # Keys are found by their possessor; as a process in another user namespace, by its mode.
    libc.syscall(keyctl, 5, number, ctypes.c_uint32(0x3f3f3f3f))
    return Scene({"description": description})


def inherited_descriptor(case, arm):
    fd = os.open(case.home, os.O_RDONLY | os.O_DIRECTORY)
    case.addCleanup(os.close, fd)
    return Scene(pass_fds=(fd,))


# Terminal, processes ------------------------------------------------------------------------------------------

def terminal(case, arm):
    return Scene(terminal=True)


def host_process(case, arm):
    """Another process of the same user, with a secret in its environment, and nothing to do with the session."""
    argument = "bulkhead-test-" + secrets.token_hex(4)
    other = case.start_outside(["/bin/bash", "-c", "while :; do sleep 1; done", argument],
                               env={"PLANTED": "planted-env-66b2"}, resolver=False)
    # The program that enters the lab has the word in its arguments, too.
    case.wait_until(lambda: open(f"/proc/{other.pid}/cmdline", "rb").read().startswith(b"/bin/bash"), 10)
    return Scene({"argument": argument}, env={"API_KEY": "planted-env-66b2"},
                 policy=case.credential() + case.grant("api.example.com", credential="api"))


# Network ------------------------------------------------------------------------------------------------------

def marked(case, words=()):
    # A label of the marker's own, so that it is also a name.
    marker = "planted" + secrets.token_hex(6)
    return {"marker": marker, "name": marker + ".evil-collector.com", "public": case.lab.new_address(), **dict(words)}


def arrives(case, arm):
    words = marked(case)
    case.lab.web.site("evil-collector.com", collector, [words["public"]])
    return Scene(words, worked=lambda _: bool(arrived(case, words["marker"])))


def arrived(case, marker):
    time.sleep(0.1)
    return case.lab.sniffer.seen(containing=marker.encode()) or [r for r in case.lab.web.received()
                                                                 if marker in r.path]


def arrives_name(case, arm):
    words = marked(case)
    case.lab.zone.add(words["name"], words["public"])
    # The label as it is on the wire: a question for the name carries it in one piece.
    return Scene(words, worked=lambda _: bool(arrived(case, words["marker"])))


def arrives_listening(case, arm):
    listener = case.lab.internet_socket(socket.AF_INET, socket.SOCK_STREAM, ("1.1.1.1", 853), 8)
    case.addCleanup(listener.close)
    return arrives(case, arm)


def collector_site(case, arm):
    words = marked(case)
    case.lab.web.site("evil-collector.com", collector, [words["public"]])
    return Scene(words, worked=lambda _: bool(case.lab.web.received("evil-collector.com")))


def host_loopback(case, arm):
    """Something that listens on the host's own 127.0.0.1:80: a dashboard, a database, an admin port."""
    listener = case.lab.host_socket(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 80), 8,
                                    [[socket.SOL_SOCKET, socket.SO_REUSEADDR, 1]])
    hits = []

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            hits.append(connection.recv(1000))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nplanted-")
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    case.addCleanup(lambda: (listener.shutdown(socket.SHUT_RDWR), listener.close()))
    return Scene(worked=lambda _: bool(hits))


def listener(case, arm):
    """A listener on 8443: without the boundary one that shares its port, behind it the room's own."""
    if arm == "off":
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            options = [[socket.SOL_SOCKET, socket.SO_REUSEPORT, 1]]
            if family == socket.AF_INET6:
                options.append([socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1])
            made = case.lab.host_socket(family, socket.SOCK_STREAM, (address, 8443), 8, options)
            case.addCleanup(made.close)
    return Scene(policy=case.grant("api.example.com", port=8443))


BY_NAME = {**{name: value for name, value in list(globals().items()) if callable(value)},
           "-": nothing, "collector": collector_site}
