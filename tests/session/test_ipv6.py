"""IPv6: in the room, and from egress to the outside. D01, D02 in IPv6's many spellings of an address."""
import json
import os
import socket

from lab import dns
from support import Case

SIX, SEVEN = "2a0e:aa00:2::6", "2a0e:aa00:2::7"
DEAD = "11.22.35.9"  # no answer, not even a refusal
V6ONLY = [[socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1]]


class Ipv6(Case):
    def site(self, name, addresses):
        self.lab.web.site(name, lambda request: request.text(f"{request.host} at {request.address}\n"), addresses)

    def sent(self):
        folder = os.path.join(self.home, ".local/state/bulkhead/evidence")
        lines = []
        for name in os.listdir(folder):
            with open(os.path.join(folder, name)) as file:
                lines += [json.loads(line) for line in file]
        return [line["address"] for line in lines if line["type"] in ("upstream.request", "upstream.open")]

    def curl(self, url, policy, *options):
        return self.inside(["curl", "-sS", *options, url], policy)

    def test_a_host_that_has_nothing_else(self):
        self.site("six.example.com", [SIX])
        result = self.ok(self.curl("https://six.example.com/", self.grant("six.example.com")))
        self.assertEqual(result.out, f"six.example.com at {SIX}\n")
        self.assertEqual(self.sent(), [SIX])

    def test_a_host_whose_ipv4_is_dead(self):
        """Unanswered, and refused."""
        self.site("both.example.com", [DEAD, SIX])
        self.site("closed.example.com", ["11.22.33.200", SEVEN])  # in the network, and nobody's
        policy = self.grant("both.example.com") + self.grant("closed.example.com")
        result = self.ok(self.inside(["/bin/sh", "-c", "curl -sS https://both.example.com/ https://closed.example.com/"],
                                     policy))
        self.assertEqual(result.out, f"both.example.com at {SIX}\nclosed.example.com at {SEVEN}\n")

    def test_ipv4_comes_first_where_there_are_both(self):
        address = self.lab.new_address()
        self.site("both.example.com", [SIX, address])
        result = self.ok(self.curl("https://both.example.com/", self.grant("both.example.com")))
        self.assertEqual(result.out, f"both.example.com at {address}\n")

    def test_an_address_granted_as_such(self):
        self.site(f"[{SIX}]", [])
        policy = (self.grant(SIX) + self.grant(SIX, port=80, protocol="http")
                  + f'[[grant]]\nhost = "{SIX}"\nport = 7777\nprotocol = "tcp"\n')
        listener = self.lab.internet_socket(socket.AF_INET6, socket.SOCK_STREAM, ("::", 7777), 4, V6ONLY)
        self.addCleanup(listener.close)
        script = (f"curl -sS 'https://[{SIX}]/' 'http://[{SIX}]/';"
                  f"/usr/bin/python3 -c \"import socket; s = socket.create_connection(('{SIX}', 7777), 10); s.sendall(b'x');"
                  f" s.shutdown(1); print(s.recv(1))\";"
                  # Others are not meant, however near.
                  f"curl -sS -o /dev/null -w '%{{http_code}}\\n' 'https://[{SEVEN}]/' 'http://[{SIX}]:8080/'; true")
        child = self.start_inside(["/bin/sh", "-c", script], policy)
        listener.settimeout(30)
        connection, _ = listener.accept()
        with connection:
            self.assertEqual(connection.recv(10), b"x")
        out, err = child.communicate(timeout=60)
        text = out.decode() + err.decode()
        self.assertEqual(text.count(f"[{SIX}] at {SIX}"), 2, text)
        self.assertIn("b''", text)
        self.assertIn("403", text)
        self.assertEqual(self.sent().count(SIX), 3)

    def test_D01_D02_no_name_leads_inside(self):
        """Addresses of the inside, and IPv4 ones in every place where IPv6 can hide them; also this machine's own."""
        own, own6 = self.lab.host_address, "2a0e:aa00:1::1"
        hexed = "".join(f"{int(part):02x}" for part in own.split("."))
        halves = hexed[:4] + ":" + hexed[4:]
        addresses = ["fe80::1", "fd12:3456::5", "fc00::1", "fec0::1", "::1", "::", "ff02::1", "2001:db8::1", "100::1",
                     "::ffff:10.0.0.5", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::10.0.0.5", "::ffff:0:10.0.0.5",
                     "64:ff9b::a00:5", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:5",
                     "2002:a00:5::1", "2002:7f00:1::1", "2002:808:808::1",
                     "2001:0:808:808::f5ff:fffa",
                     own6, f"::ffff:{own}", f"64:ff9b::{halves}", f"2002:{halves}::1"]
        six = [[socket.SOL_SOCKET, socket.SO_REUSEADDR, 1]]  # IPv4, too: mapped
        listener = self.lab.host_socket(socket.AF_INET6, socket.SOCK_STREAM, ("::", 80), 16,
                                        [*six, [socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0]])
        self.lab.web.listen(listener, False)
        self.addCleanup(lambda: (listener.shutdown(socket.SHUT_RDWR), listener.close()))
        self.site("good.example.com", [SIX])
        names = []
        for index, address in enumerate(addresses):
            self.site(f"n{index}.example.com", [address])
            names.append(f"n{index}.example.com")
        policy = "".join(self.grant(name, port=80, protocol="http") for name in [*names, "good.example.com"])
        script = "".join(f"curl -sS -m 20 -o /dev/null -w '%{{http_code}} {name}\\n' http://{name}/\n"
                         for name in [*names, "good.example.com"])
        result = self.ok(self.inside(["/bin/sh", "-c", script], policy, timeout=120))
        self.assertIn("200 good.example.com", result.out)
        for name, address in zip(names, addresses):
            self.assertEqual(self.lab.web.received(name), [], address)
            self.assertIn(f"403 {name}\n", result.out, address)

    def test_a_name_server_by_ipv6(self):
        self.site("six.example.com", [SIX])
        at = ("2a0e:aa00:1::53", 53)
        sockets = [self.lab.internet_socket(socket.AF_INET6, socket.SOCK_DGRAM, at, options=V6ONLY),
                   self.lab.internet_socket(socket.AF_INET6, socket.SOCK_STREAM, at, 4, options=V6ONLY)]
        for one in sockets:
            self.addCleanup(one.close)
        dns.start(self.lab.zone, *sockets)
        policy = self.write("six.toml", f'version = 1\ndns = ["[{at[0]}]:53"]\n'
                                        f'upstream_ca = ["{self.lab.authority.pem}"]\n' + self.grant("six.example.com"))
        self.assertEqual(self.ok(self.curl("https://six.example.com/", policy)).out, f"six.example.com at {SIX}\n")

    def test_the_room_has_it(self):
        """Names have IPv6 addresses inside, every IPv6 address is the gateway, and ::1 is the workload's own."""
        self.site("api.example.com", [SIX])
        script = r"""
import socket, subprocess, struct, threading
family = socket.AF_INET6
found = socket.getaddrinfo("api.example.com", 443, family)[0][4][0]
print("name", found.startswith("fd0b:1bad:face:"))
print("six", subprocess.run(["curl", "-6", "-sS", "https://api.example.com/"], capture_output=True, text=True).stdout)
for address in ("2606:4700::1111", "fe80::9", "fd00::7", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"):
    s = socket.socket(family)
    s.settimeout(10)
    try:
        s.connect((address, 80, 0, 1 if address.startswith("fe80") else 0))
        s.sendall(b"GET / HTTP/1.1\r\nHost: nobody.example.com\r\n\r\n")
        print(address, s.recv(4096).split(b" ")[1].decode())
    except OSError as error:
        print(address, "error", error)
    s = socket.socket(family)
    s.settimeout(10)
    try:
        s.connect((address, 9999, 0, 1 if address.startswith("fe80") else 0))
        print(address, "open")
    except ConnectionRefusedError:
        print(address, "refused")
    except OSError as error:
        print(address, "error", error)
query = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"\3api\7example\3com\0" + struct.pack("!HH", 28, 1)
u = socket.socket(family, socket.SOCK_DGRAM)
u.settimeout(10)
u.sendto(query, ("2001:4860:4860::8888", 53))
answer, peer = u.recvfrom(512)
print("dns", peer[0], struct.unpack("!H", answer[6:8])[0])
own = socket.create_server(("::1", 9001), family=family)
threading.Thread(target=lambda: own.accept()[0].sendall(b"mine")).start()
print(socket.create_connection(("::1", 9001)).recv(4).decode())
"""
        result = self.ok(self.inside(["/usr/bin/python3", "-c", script], self.grant("api.example.com")))
        self.assertIn("name True\n", result.out, result)
        self.assertIn(f"six api.example.com at {SIX}", result.out)
        for address in ("2606:4700::1111", "fd00::7", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"):
            self.assertIn(f"\n{address} 403\n{address} refused\n", result.out)
        self.assertNotIn("open", result.out)
        self.assertIn("dns 2001:4860:4860::8888 1\n", result.out)
        self.assertIn("mine\n", result.out)
        self.assertEqual(self.sent(), [SIX])
