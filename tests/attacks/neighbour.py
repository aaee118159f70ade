"""Two tenants of one machine: `neighbour.py plant` has something to lose of every kind, `neighbour.py look WHAT` tries to
get at it, or at the host's. Both are run inside sessions by test_tenants.py, and outside to see that the attack is one.

plant: writes facts.json (what it has, and where) and then `beat`, and into `hits` whatever reaches it from outside.
look: reads neighbours.json, a list of such facts, and prints one line for each thing that it got. What is secret is in the
facts only as a hash: so nothing the looker knows can be taken for something found.
"""
import ctypes
import glob
import hashlib
import json
import os
import secrets
import signal
import socket
import struct
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
rt = ctypes.CDLL("librt.so.1", use_errno=True)
PORT = 18471
LENGTH = 32  # of a marker
IPC_CREAT = 0o1000


def digest(data):
    return hashlib.sha256(data[:LENGTH]).hexdigest()


def attempt(action):
    """What it returns, or None where it is refused."""
    try:
        return action()
    except (OSError, ValueError):
        return None


# Having something -----------------------------------------------------------------------------------------------

def note(what):
    with open("hits", "a") as file:
        file.write(what + "\n")


def serve_stream(listener, what):
    while True:
        connection, _ = listener.accept()
        connection.sendall(MARKER)
        note(what)
        connection.close()


def serve_datagrams(listener, what):
    while True:
        data, _ = listener.recvfrom(100)
        if data.startswith(b"look"):
            note(what)


def listening(family, kind, address, what):
    def make():
        made = socket.socket(family, kind)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM and family != socket.AF_UNIX:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier test still linger
        made.bind(address)
        if kind == socket.SOCK_STREAM:
            made.listen(16)
        threading.Thread(target=serve_stream if kind == socket.SOCK_STREAM else serve_datagrams, args=(made, what),
                         daemon=True).start()
        return True
    return attempt(make)


def plant_files(name):
    made = []
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run", os.path.expanduser("~"), os.getcwd()):
        path = os.path.join(folder, name)
        if attempt(lambda: open(path, "wb").write(MARKER)):
            made.append(path)
    return made


def plant_old_ipc(key):
    number = libc.shmget(key, 4096, 0o666 | IPC_CREAT)
    if number >= 0:
        address = libc.shmat(number, None, 0)
        ctypes.memmove(address, MARKER, LENGTH)
    queue = libc.msgget(key, 0o666 | IPC_CREAT)
    if queue >= 0:
        libc.msgsnd(queue, struct.pack("l", 1) + MARKER, LENGTH, 0)
    name = f"/neighbour-{key}".encode()
    mq = rt.mq_open(name, os.O_CREAT | os.O_RDWR, 0o666, None)
    if mq >= 0:
        rt.mq_send(mq, MARKER, LENGTH, 0)

    def forget(*_):
        libc.shmctl(number, 0, None)
        libc.msgctl(queue, 0, None)
        rt.mq_unlink(name)
        os._exit(0)
    return {"shm": number >= 0, "msg": queue >= 0, "mq": mq >= 0}, forget


def plant():
    name = "neighbour-" + secrets.token_hex(6)
    key = 0x42490000 | secrets.randbits(16)
    secret = ctypes.create_string_buffer(MARKER, LENGTH + 1)
    signal.signal(signal.SIGURG, lambda *_: note("signal"))
    ipc, forget = plant_old_ipc(key)
    signal.signal(signal.SIGTERM, forget)
    facts = {"name": name, "key": key, "marker": digest(MARKER), "address": ctypes.addressof(secret), "pid": os.getpid(),
             "folder": os.getcwd(), "ipc": ipc, "files": plant_files(name)}
    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    facts["sockets"] = {
        "abstract": listening(socket.AF_UNIX, stream, "\0" + name, "abstract"),
        "path": listening(socket.AF_UNIX, stream, f"/tmp/{name}.sock", "path"),
        "tcp": listening(socket.AF_INET, stream, ("0.0.0.0", PORT), "tcp"),
        "tcp6": listening(socket.AF_INET6, stream, ("::", PORT), "tcp6"),
        "udp": listening(socket.AF_INET, datagram, ("0.0.0.0", PORT), "udp"),
        "udp6": listening(socket.AF_INET6, datagram, ("::", PORT), "udp6")}
    with open("facts.new", "w") as file:
        json.dump(facts, file)
    os.rename("facts.new", "facts.json")
    beats = 0
    while True:
        beats += 1
        with open("beat", "w") as file:
            file.write(str(beats))
        # What somebody wrote into a file or a segment of ours would be seen here.
        if secret.raw[:LENGTH] != MARKER:
            note("memory")
        for path in facts["files"]:
            if attempt(lambda: open(path, "rb").read()) not in (MARKER, None):
                note("file " + path)
        time.sleep(0.05)


# Looking for it -------------------------------------------------------------------------------------------------

def host_and_own_pids(neighbours):
    told = {pid for each in neighbours for pid in each["host_pids"]}
    return sorted((told | {int(name) for name in os.listdir("/proc") if name.isdigit()}) - {os.getpid()})


def look_files(neighbours):
    """By every path that leads there on the host: its own, and through each process that can be seen."""
    places = [""]
    for pid in host_and_own_pids(neighbours):
        places += [f"/proc/{pid}/root", f"/proc/{pid}/cwd", *(attempt(lambda: glob.glob(f"/proc/{pid}/fd/*")) or [])]
    found = []
    for each in neighbours:
        wanted = [*each["files"], each["name"], each["folder"] + "/" + each["name"]]
        for place in places:
            for path in wanted:
                full = path if not place else place + "/" + path
                data = attempt(lambda: open(full, "rb").read(LENGTH))
                if data and digest(data) == each["marker"]:
                    print("read", full)
                    found.append(full)
        for path in each["own"]:
            if attempt(lambda: os.stat(path)):
                print("saw", path)
            if attempt(lambda: os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)):
                print("opened", path)
    for path in found:
        attempt(lambda: open(path, "r+b").write(b"overwritten by the neighbour    "))


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def look_memory(neighbours):
    for each in neighbours:
        for pid in host_and_own_pids(neighbours):
            buffer = ctypes.create_string_buffer(LENGTH)
            here, there = Vector(ctypes.addressof(buffer), LENGTH), Vector(each["address"], LENGTH)
            if libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) == LENGTH and \
                    digest(buffer.raw) == each["marker"]:
                print("process_vm_readv", pid)
                libc.process_vm_writev(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)

            def through_file():
                with open(f"/proc/{pid}/mem", "rb") as file:
                    file.seek(each["address"])
                    return file.read(LENGTH)
            data = attempt(through_file)
            if data and digest(data) == each["marker"]:
                print("mem", pid)
        for pid in each["host_pids"]:
            if pid != os.getpid() and libc.ptrace(16, pid, None, None) == 0:  # PTRACE_ATTACH
                print("ptrace", pid)
                attempt(lambda: os.waitpid(pid, 0x40000000))
                libc.ptrace(17, pid, None, None)


def look_signals(_):
    """SIGURG is ignored by everybody but who waits for it: where there is no boundary nothing is broken."""
    for pid in range(1, 100000):
        attempt(lambda: os.kill(pid, signal.SIGURG))
    attempt(lambda: os.kill(-1, signal.SIGURG))


def look_kill(_):
    for pid in range(2, 100000):
        if pid != os.getpid():
            attempt(lambda: os.kill(pid, signal.SIGKILL))
    attempt(lambda: os.kill(-1, signal.SIGKILL))


def look_unix(neighbours):
    for each in neighbours:
        for address in ("\0" + each["name"], f"/tmp/{each['name']}.sock"):
            def reach():
                with socket.socket(socket.AF_UNIX) as made:
                    made.settimeout(2)
                    made.connect(address)
                    return made.recv(LENGTH)
            data = attempt(reach)
            if data and digest(data) == each["marker"]:
                print("unix", repr(address[:1]))


def look_ipc(neighbours):
    for each in neighbours:
        number = libc.shmget(each["key"], 0, 0)
        if number >= 0:
            address = libc.shmat(number, None, 0o10000)  # SHM_RDONLY
            if digest(ctypes.string_at(address, LENGTH)) == each["marker"]:
                print("shm")
        queue = libc.msgget(each["key"], 0)
        if queue >= 0:
            buffer = ctypes.create_string_buffer(100)
            if libc.msgrcv(queue, buffer, LENGTH, 0, 0o4000) >= 0 and digest(buffer.raw[8:]) == each["marker"]:
                print("msg")
        mq = rt.mq_open(f"/neighbour-{each['key']}".encode(), os.O_RDONLY | os.O_NONBLOCK)
        if mq >= 0:
            buffer = ctypes.create_string_buffer(8192)
            if rt.mq_receive(mq, buffer, 8192, None) >= 0 and digest(buffer.raw) == each["marker"]:
                print("mq")


def addresses():
    """The wire's two ends and all near them, the room's and the gateway's, the host's, and who listens to everybody."""
    four = ["127.0.0.1", "127.0.0.2", "0.0.0.0", *(f"192.0.0.{n}" for n in range(8)), "198.18.0.1", "11.22.33.1", "10.200.0.1",
            "255.255.255.255", "192.0.0.3", "224.0.0.1"]
    six = ["::1", "fd62:756c:6b68::1", "fd62:756c:6b68::2", "ff02::1"]
    for link in attempt(socket.if_nameindex) or []:
        six += [f"fe80::1%{link[1]}", f"ff02::1%{link[1]}"]
    own = attempt(lambda: open("/proc/net/if_inet6").read().split("\n")) or []
    six += [":".join(line[i:i + 4] for i in range(0, 32, 4)) + "%" + line.split()[-1] for line in own if line.startswith("fe80")]
    return four, six


def look_network(neighbours):
    four, six = addresses()
    for family, some in ((socket.AF_INET, four), (socket.AF_INET6, six)):
        for address in dict.fromkeys(some):
            where = attempt(lambda: socket.getaddrinfo(address, PORT, family)[0][4])
            if where is None:
                continue

            def connect():
                with socket.socket(family) as made:
                    made.settimeout(0.4)
                    made.connect(where)
                    return made.recv(LENGTH)
            data = attempt(connect)
            if data and digest(data) in [each["marker"] for each in neighbours]:
                print("tcp", address)

            def send():
                with socket.socket(family, socket.SOCK_DGRAM) as made:
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                    made.sendto(b"look", where)
            attempt(send)
    for family, kind, protocol in ((17, socket.SOCK_RAW, socket.htons(3)), (17, socket.SOCK_DGRAM, socket.htons(0x806)),
                                   (socket.AF_INET, socket.SOCK_RAW, 255), (socket.AF_INET6, socket.SOCK_RAW, 58)):
        if attempt(lambda: socket.socket(family, kind, protocol)):
            print("raw", family, protocol)


if __name__ == "__main__":
    if sys.argv[1] == "plant":
        MARKER = secrets.token_hex(LENGTH // 2).encode()
        plant()
    with open("neighbours.json") as file:
        known = json.load(file)
    globals()["look_" + sys.argv[2]](known)
    print("looked", flush=True)
