"""`--publish`: a server inside, reached from the host; and that nothing goes the other way by it."""
import json
import os
import signal
import socket

from support import Case, procs

SERVER = """
import http.server, os, sys, threading
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ("inside " + self.path).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
address = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
if ":" in address:
    import socket
    http.server.ThreadingHTTPServer.address_family = socket.AF_INET6
server = http.server.ThreadingHTTPServer((address, int(sys.argv[1])), Answer)
open("listening", "w").write("yes")
server.serve_forever()
"""


class Publish(Case):
    anywhere, anywhere6 = "127.0.0.1", "::1"  # where a server inside has to listen
    seen_from = "127.0.0.1"                   # whom it sees as its client

    def events(self, kind):
        folder = os.path.join(self.home, ".local/state/bulkhead/evidence")
        lines = []
        for name in os.listdir(folder):
            with open(os.path.join(folder, name)) as file:
                lines += [json.loads(line) for line in file]
        return [line for line in lines if line["type"] == kind]

    def serve(self, *options, port=8000, address=None, policy="", wait=True):
        child = self.start_inside(["/usr/bin/python3", "-c", SERVER, str(port), address or self.anywhere], policy, options)
        if wait:
            self.wait_for_file("listening")
        return child

    def get(self, url, *options):
        return self.outside(["curl", "-sS", "-m", "10", *options, url])

    def end(self, child, number=signal.SIGTERM):
        child.send_signal(number)
        out, err = child.communicate(timeout=20)
        return out.decode() + err.decode()

    def test_a_server_inside_is_reached(self):
        child = self.serve("--publish", "8080:8000", "--publish", "9000")
        self.assertEqual(self.ok(self.get("http://127.0.0.1:8080/a")).out, "inside /a")
        # On the loopback, and nowhere else.
        self.assertNotEqual(self.get(f"http://{self.lab.host_address}:8080/").status, 0)
        self.assertNotEqual(self.get("http://[::1]:8080/").status, 0)
        # Nobody listens at the other yet: refused, and the session goes on.
        self.assertNotEqual(self.get("http://127.0.0.1:9000/").status, 0)
        self.assertEqual(self.ok(self.get("http://127.0.0.1:8080/b")).out, "inside /b")
        listed = self.bulkhead("ps")
        self.assertIn("127.0.0.1:8080 -> 8000", listed.out)
        self.assertEqual(json.loads(self.bulkhead("ps", "--json").out)[0]["published"],
                         ["127.0.0.1:8080 -> 8000", "127.0.0.1:9000 -> 9000"])
        session = json.loads(self.bulkhead("ps", "--json").out)[0]["id"]
        self.assertEqual(self.ok(self.bulkhead("reload", session)).out, "nothing has changed\n")
        text = self.end(child)
        self.assertIn("published: 127.0.0.1:8080 -> 8000, 127.0.0.1:9000 -> 9000", text)
        self.assertIn("nobody inside listened at port 9000, which is published at 9000", text)
        self.assertNotIn("nobody inside listened at port 8000", text)
        self.assertNotIn("warning", text)
        # It has ended with the session.
        self.assertNotEqual(self.get("http://127.0.0.1:8080/").status, 0)
        opened, ended = self.events("publish.open"), self.events("publish.end")
        self.assertEqual([e["port"] for e in opened], [8080, 8080])
        self.assertEqual(sorted(e["reason"] for e in ended), ["end", "end", "refused"])
        self.assertTrue(all(e["peer"].startswith("127.0.0.1:") and e["source"] == "relay" for e in ended), ended)
        self.assertTrue(all(e["bytes_in"] > 0 and e["bytes_out"] > 0 for e in ended if e["reason"] == "end"))
        self.assertEqual(self.events("session.policy")[0]["policy"]["publish"], ["127.0.0.1:8080:8000", "127.0.0.1:9000:9000"])

    def test_in_the_policy_and_other_addresses(self):
        child = self.serve(policy=f'publish = ["{self.lab.host_address}:8081:8000", "[::1]:8082:8000"]\n')
        self.assertEqual(self.ok(self.get(f"http://{self.lab.host_address}:8081/x")).out, "inside /x")
        self.assertEqual(self.ok(self.get("http://[::1]:8082/y")).out, "inside /y")
        self.assertNotEqual(self.get("http://127.0.0.1:8081/").status, 0)
        text = self.end(child)
        self.assertIn(f"warning: {self.lab.host_address}:8081 -> 8000 can be reached from other machines", text)
        self.assertEqual(text.count("warning"), 1)

    def test_a_server_that_has_only_ipv6(self):
        child = self.serve("--publish", "8080:8000", address=self.anywhere6)
        self.assertEqual(self.ok(self.get("http://127.0.0.1:8080/six")).out, "inside /six")
        self.end(child)

    def test_a_server_that_listens_late(self):
        child = self.start_inside(["/bin/sh", "-c", "until [ -e go ]; do sleep .05; done; exec /usr/bin/python3 -c \"$0\" 8000 $1",
                                   SERVER, self.anywhere], "", ["--publish", "8080:8000"])
        self.wait_until(lambda: "8080" in self.bulkhead("ps").out, 20, "the session runs")
        self.wait_until(lambda: self.get("http://127.0.0.1:8080/").status in (52, 56), 20, "it is reset, not refused")
        self.write(os.path.join(self.work, "go"), "go")
        self.wait_for_file("listening")
        self.assertEqual(self.ok(self.get("http://127.0.0.1:8080/late")).out, "inside /late")
        self.end(child)

    def test_much_both_ways_and_half_closed(self):
        echo = ("import socket\ns = socket.create_server(('ANYWHERE', 8000))\nopen('listening', 'w').write('x')\n"
                "c, _ = s.accept()\ntotal = 0\n"
                "while part := c.recv(65536): total += len(part)\n"
                "c.sendall(b'y' * total + b'.')\nc.close()\n")
        # What nobody took by then goes with the session.
        echo += "import os, time\nwhile not os.path.exists('taken'): time.sleep(0.05)\n"
        child = self.start_inside(["/usr/bin/python3", "-c", echo.replace("ANYWHERE", self.anywhere)], "", ["--publish", "8080:8000"])
        self.wait_for_file("listening")
        client = ("import socket\ns = socket.create_connection(('127.0.0.1', 8080))\ns.sendall(b'x' * 20_000_000)\n"
                  "s.shutdown(socket.SHUT_WR)\ntotal = 0\nlast = b''\n"
                  "while part := s.recv(65536): total, last = total + len(part), part[-1:]\nprint(total, last)\n")
        self.assertEqual(self.ok(self.outside(["/usr/bin/python3", "-c", client])).out, "20000001 b'.'\n")
        self.write("work/taken", "")
        child.communicate(timeout=20)
        self.assertEqual(self.events("publish.end")[0]["bytes_in"], 20_000_000)

    def test_what_is_refused_before_anything_runs(self):
        taken = self.lab.host_socket(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 8085), 4)
        self.addCleanup(taken.close)
        for options, policy, text in (
                (["--publish", "8085:80"], "", "inside, port 80 is the gateway's"),
                (["--publish", "8085:8000"], "", "port 8085 is taken on this machine; choose another, like --publish 8086:8000"),
                (["--publish", "8086:5432"], self.grant("db.example.com", port=5432, protocol="http"), "is the gateway's"),
                (["--publish", "0"], "", "a port is a number from 1 to 65535"),
                (["--publish", "127.0.0.1"], "", "there is no port"),
                (["--publish", "9.9.9.9:8086:1"], "", "is no address of this machine"),
                (["--publish", "host.example.com:8086:1"], "", "is no address"),
                (["--publish", "8086", "--publish", "8086:1"], "", "published twice"),
                (["--publish", "8086"], self.grant("127.0.0.1", port=8086, protocol="http"), "leads back inside")):
            result = self.inside(["/bin/sh", "-c", "touch ran"], policy, options)
            self.assertEqual(result.status, 125, result)
            self.assertIn(text, result.err)
        self.assertEqual(os.listdir(self.work), [])

    def test_no_way_out_by_it(self):
        """Attack U04: the workload neither reaches the host's loopback nor has its port, and can't wear it out."""
        secret = self.lab.host_socket(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 8090), 4)
        secret.settimeout(1)
        self.addCleanup(secret.close)
        script = """
import os, socket
def tried(what, action):
    try:
        action()
        print(what, "done")
    except OSError as error:
        print(what, type(error).__name__)
for port in (8090, 8080):
    tried(f"dial {port}", lambda: socket.create_connection(("127.0.0.1", port), 5))
# The host's side has its own: this one is only in the room.
mine = socket.create_server(("0.0.0.0", 8080))
print("bind done")
server = socket.create_server(("ANYWHERE", 8000), backlog=200)
open("listening", "w").write("x")
peer, address = server.accept()
print("peer", address[0])
peer.close()
# What was accepted does not lead back to where it came from.
tried("dial peer", lambda: socket.create_connection(address, 5))
print("unix", sorted(name for name in open("/proc/net/unix").read().split() if "bulkhead" in name or "relay" in name))
held = [server.accept()[0] for _ in range(int(os.environ["HELD"]))]
open("held", "w").write("x")
mine.settimeout(2)
tried("accept", mine.accept)
"""
        child = self.start_inside(["/usr/bin/python3", "-c", script.replace("ANYWHERE", self.anywhere)], "[env]\npass = [\"HELD\"]\n", ["--publish", "8080:8000"],
                                  env={"HELD": "40"})
        self.wait_for_file("listening")
        clients = []

        def dial():
            made = self.lab.host_socket(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
            made.settimeout(10)
            made.connect(("127.0.0.1", 8080))
            clients.append(made)
            self.addCleanup(made.close)
            return made

        dial()
        for _ in range(40):
            dial()
        self.wait_for_file("held")
        out, err = child.communicate(timeout=30)
        text = out.decode()
        self.assertIn("dial 8090 ConnectionRefusedError", text, err)
        self.assertIn("dial 8080 ConnectionRefusedError", text)
        self.assertIn(f"peer {self.seen_from}", text)
        self.assertIn("dial peer ConnectionRefusedError", text)
        self.assertIn("unix []", text)
        self.assertRegex(text, "accept (TimeoutError|timeout)")
        with self.assertRaises(OSError):
            secret.accept()
        # Those it kept end with the session.
        for one in clients:
            try:
                self.assertEqual(one.recv(10), b"")
            except ConnectionResetError:
                pass

    def test_the_relay_dies_and_so_does_the_session(self):
        """X23."""
        child = self.serve("--publish", "8080:8000")
        relay = [pid for pid in procs.descendants(child.pid) if procs.part_of_bulkhead(pid) == "bulkhead-relay"]
        self.assertEqual(len(relay), 1)
        os.kill(relay[0], signal.SIGKILL)
        _, err = child.communicate(timeout=20)
        self.assertEqual(child.returncode, 125)
        self.assertIn("relay died (signal 9)", err.decode())
        self.assertNotEqual(self.get("http://127.0.0.1:8080/").status, 0)


class GvisorPublish(Publish):
    """gVisor has a stack of its own, beyond the room's wire."""
    tier = "gvisor"
    anywhere, anywhere6 = "0.0.0.0", "::"
    seen_from = "192.0.0.1"

    def test_its_own_loopback_is_not_reached(self):
        child = self.serve("--publish", "8080:8000", address="127.0.0.1")
        self.assertNotEqual(self.get("http://127.0.0.1:8080/").status, 0)
        self.assertIn("a server is reached at 0.0.0.0 or [::], not at its own 127.0.0.1", self.end(child))
        self.assertEqual([e["reason"] for e in self.events("publish.end")], ["refused"])
