"""connect(2) goes through the broker: what a program expects of it still holds."""
import os

from support import Case

PROGRAM = r'''
import multiprocessing, os, socket, threading, time

def unix(path, family=socket.AF_UNIX):
    server = socket.socket(family); server.bind(path); server.listen(1)
    client = socket.socket(family); client.connect(path)
    peer, _ = server.accept(); peer.send(b"x")
    assert client.recv(1) == b"x"
    return server

unix("/tmp/a.sock"); print("absolute")
os.chdir("/tmp"); unix("b.sock"); print("relative")
unix("\0abstract"); print("abstract")
unix(os.path.expanduser("~/c.sock")); print("home")
unix("/run/user/%d/d.sock" % os.getuid()); print("runtime")

server = socket.create_server(("127.0.0.1", 9000), backlog=400)
assert socket.create_connection(("127.0.0.1", 9000)).getpeername() == ("127.0.0.1", 9000); print("tcp")
assert socket.create_connection(("127.0.0.1", 9000), timeout=5); print("tcp with a timeout")
six = socket.create_server(("::1", 9001), family=socket.AF_INET6)
socket.create_connection(("::1", 9001)); print("tcp6")
try: socket.create_connection(("127.0.0.1", 9999))
except ConnectionRefusedError: print("refused")
try: socket.socket(socket.AF_UNIX).connect("/tmp/nothing")
except FileNotFoundError: print("absent")
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.connect(("127.0.0.1", 53)); print("udp")

failed = []
def one():
    try: socket.create_connection(("127.0.0.1", 9000))
    except OSError as error: failed.append(error)
threads = [threading.Thread(target=one) for _ in range(200)]
[t.start() for t in threads]; [t.join() for t in threads]
assert not failed, failed; print("many")

# A connect that has to wait for its server stops nobody else's.
slow = socket.socket(socket.AF_UNIX); slow.bind("/tmp/slow.sock"); slow.listen(0)
through = []
def wait():
    client = socket.socket(socket.AF_UNIX); client.connect("/tmp/slow.sock"); through.append(client)
waiting = [threading.Thread(target=wait, daemon=True) for _ in range(3)]
[t.start() for t in waiting]; time.sleep(0.3)
assert len(through) < 3
begin = time.monotonic(); socket.create_connection(("127.0.0.1", 9000)); assert time.monotonic() - begin < 1
for _ in range(3): slow.accept()
[t.join(5) for t in waiting]; assert len(through) == 3; print("waiting")

with multiprocessing.Manager() as manager:
    assert manager.dict({"a": 1})["a"] == 1
print("manager")
'''

# By the system call itself, whose error nobody mends; the handler lets the kernel ask again (SA_RESTART).
SIGNALS = r'''
import collections, ctypes, os, signal, socket, struct, threading
libc = ctypes.CDLL(None, use_errno=True)
path = b"/tmp/s.sock"
server = socket.socket(socket.AF_UNIX); server.bind(path); server.listen(4096)
def take():
    while True: server.accept()[0].close()
threading.Thread(target=take, daemon=True).start()
signals = [0]
signal.signal(signal.SIGALRM, lambda *_: signals.__setitem__(0, signals[0] + 1))
signal.siginterrupt(signal.SIGALRM, False)
address = struct.pack("H", socket.AF_UNIX) + path + b"\0"
outcomes = collections.Counter()
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
for _ in range(5000):
    client = socket.socket(socket.AF_UNIX)
    done = libc.connect(client.fileno(), address, len(address))
    outcomes["connected" if done == 0 else os.strerror(ctypes.get_errno())] += 1
    client.close()
signal.setitimer(signal.ITIMER_REAL, 0)
print(dict(outcomes), signals[0] > 100)
'''


class Sockets(Case):
    def test_X36_a_signal_makes_nobody_connect_twice(self):
        path = self.write(os.path.join(self.work, "signals.py"), SIGNALS)
        result = self.ok(self.inside(["python3", path], timeout=120))
        self.assertEqual(result.out, "{'connected': 5000} True\n", result)

    def test_connect_does_what_it_does_outside(self):
        path = self.write(os.path.join(self.work, "sockets.py"), PROGRAM)
        result = self.ok(self.inside(["python3", path]))
        self.assertEqual(result.out.split("\n")[:-1], [
            "absolute", "relative", "abstract", "home", "runtime", "tcp", "tcp with a timeout", "tcp6", "refused", "absent",
            "udp", "many", "waiting", "manager"], result)
