"""The proxy port, for tools that insist on one, and opaque connections (protocol = "tcp")."""
import os
import shutil
import socket

from lab.listener import Listener
from standin import postgres
from support import Case

DATABASE = "db.example.com"

CLIENT = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
print(s.recv(100).decode(), end="", flush=True)
s.sendall(b"x" * 300000 + b"\\n")
s.shutdown(socket.SHUT_WR)
total = b""
while part := s.recv(65536): total += part
print(len(total), total[-4:])
"""


class Server:
    """Speaks first, as ssh and databases do; then says back what it hears."""

    def __init__(self, case, name, port, hang_up=False):
        self.heard = []
        self.hang_up = hang_up
        self.address = case.lab.new_address()
        case.lab.zone.add(name, self.address)
        listener = case.lab.internet_socket(socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", port), 64)
        case.addCleanup(Listener(listener, self.serve).close)

    def serve(self, connection):
        heard = [b""]
        self.heard.append(heard)
        with connection:
            try:
                connection.sendall(b"welcome\n")
                while part := connection.recv(65536):
                    heard[0] += part
                    if self.hang_up:
                        return
                    connection.sendall(part)
                connection.sendall(b"bye\n")
            except OSError:
                pass


class Proxies(Case):
    def site(self, name="api.example.com"):
        self.lab.web.site(name, lambda request: request.text(f"{request.method} {request.host}\n"))

    def ask(self, words, policy):
        return self.inside(["/bin/sh", "-c", f"curl -sS -o out -w '%{{http_code}} %{{http_connect}}' {words}; echo; cat out"], policy)

    def test_tools_that_insist_on_a_proxy(self):
        self.site()
        policy = self.grant("api.example.com") + self.grant("api.example.com", port=80, protocol="http")
        for proxy in ("-x http://127.0.0.1:3128", "-x http://proxy.corp.example:3128", "-x socks5h://127.0.0.1:3128",
                      "--socks5 127.0.0.1:3128", "-x http://[::1]:3128"):
            for url in ("https://api.example.com/v1", "-p http://api.example.com/v1"):
                with self.subTest(proxy=proxy, url=url):
                    result = self.ask(f"{proxy} {url}", policy)
                    self.assertIn("GET api.example.com", result.out, result)
        script = ("import urllib.request as u\n"
                  "o = u.build_opener(u.ProxyHandler({'https': 'http://127.0.0.1:3128'}))\n"
                  "print(o.open('https://api.example.com/v1').read())")
        result = self.ok(self.inside(["/usr/bin/python3", "-c", script], policy))
        self.assertIn("GET api.example.com", result.out)

    def test_a_proxy_opens_nothing(self):
        self.site()
        self.site("evil.example.net")
        policy = self.grant("api.example.com", path="/v1")
        for words in ("-x http://127.0.0.1:3128 https://evil.example.net/", "-x socks5h://127.0.0.1:3128 https://evil.example.net/",
                      "-x http://127.0.0.1:3128 https://api.example.com/v2",
                      # asked for one, meant another: attacks T01 and T02
                      "-x http://127.0.0.1:3128 --connect-to evil.example.net:443:api.example.com:443 -k https://evil.example.net/",
                      "-x http://127.0.0.1:3128 -H 'Host: evil.example.net' https://api.example.com/v1"):
            with self.subTest(words=words):
                result = self.ask(words, policy)
                self.assertRegex(result.out, r"^(403|421) ", result)
        result = self.ask("-x http://me:secret@127.0.0.1:3128 https://api.example.com/v1", policy)
        self.assertIn(" 403", result.out, result)
        self.assertEqual(self.lab.web.received(), [])

    def opaque(self, host=DATABASE, port=5432, more=""):
        return f'[[grant]]\nhost = "{host}"\nport = {port}\nprotocol = "tcp"\n{more}'

    def test_an_opaque_grant(self):
        server = Server(self, DATABASE, 5432)
        for policy, argv in ((self.opaque(), [DATABASE, "5432"]),
                             (self.opaque(server.address), [server.address, "5432"])):
            with self.subTest(argv=argv):
                result = self.ok(self.inside(["/usr/bin/python3", "-c", CLIENT, *argv], policy))
                self.assertIn("welcome\n300005 b'bye\\n'", result.out, result)
        self.assertEqual([len(heard[0]) for heard in server.heard], [300001, 300001])

    def test_an_opaque_grant_opens_no_other(self):
        server = Server(self, DATABASE, 5432)
        self.lab.zone.add("other.example.com", server.address)
        script = ("import socket, sys\n"
                  "for host, port in (('other.example.com', 5432), (sys.argv[1], 5432), ('db.example.com', 5433)):\n"
                  "  try:\n"
                  "    s = socket.create_connection((host, port), 10)\n"
                  "    print(host, repr(s.recv(100)))\n"
                  "  except OSError as e: print(host, type(e).__name__)\n")
        result = self.ok(self.inside(["/usr/bin/python3", "-c", script, server.address], self.opaque()))
        self.assertNotIn("welcome", result.out)
        self.assertEqual(server.heard, [])
        self.assertIn("denied", result.err)

    def test_a_budget_cuts_an_opaque_connection(self):
        server = Server(self, DATABASE, 5432)
        policy = self.opaque(more='[grant.budget]\nbytes_up = "100KB"\n')
        result = self.inside(["/usr/bin/python3", "-c", CLIENT, DATABASE, "5432"], policy)
        self.assertNotIn("300005", result.out)
        self.assertLessEqual(len(server.heard[0][0]), 100_000)

    def test_ssh_by_an_opaque_grant(self):
        """Its own words reach the server, which then hangs up."""
        server = Server(self, "git.example.com", 22, hang_up=True)
        self.inside(["ssh", "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes", "git@git.example.com", "true"],
                    self.opaque("git.example.com", 22))
        self.assertTrue(server.heard[0][0].startswith(b"SSH-2.0-"), server.heard)

    def test_psql_by_an_opaque_grant(self):
        """TLS from end to end: psql verifies the server itself, by an authority that the session was given."""
        if not shutil.which("psql"):
            self.skipTest("psql is not installed")
        server = postgres.Server(self, DATABASE, 5432, "forty-two")
        other = postgres.Server(self, "other.example.com", 5432, "never")
        authority = self.write(os.path.join(self.work, "authority.pem"), self.read(self.lab.authority.pem))
        argv = ["psql", "-XAt", "-c", "select answer", f"host={DATABASE} user=me dbname=things sslmode=verify-full "
                f"sslrootcert={authority} connect_timeout=10"]
        for arm in ("outside", "inside"):
            with self.subTest(arm=arm):
                env = {"PGPASSWORD": f"secret-{arm}"}
                result = (self.outside(argv, env=env) if arm == "outside" else
                          self.inside(argv, self.opaque() + '[env]\npass = ["PGPASSWORD"]\n', env=env))
                self.assertEqual(self.ok(result).out, "forty-two\n", result)
                self.assertEqual(server.heard.pop(), ("me", f"secret-{arm}", "select answer"))
        argv[-1] = argv[-1].replace(DATABASE, "other.example.com")
        self.assertEqual(self.ok(self.outside(argv, env={"PGPASSWORD": "x"})).out, "never\n")
        other.heard.clear()
        result = self.inside(argv, self.opaque(), env={"PGPASSWORD": "x"})
        self.assertEqual((result.status, other.heard), (2, []), result)
        self.assertIn("denied", result.err)
