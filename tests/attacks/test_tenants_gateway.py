"""Tenants and the gateway: what one session's is worth to another is nothing (U03, T13, X35), and nothing is kept for the
next (X29)."""
import os

from attacks.test_tenants import Tenants

KEY = "real-key-tenants-17"
PAIRS = (("native", "gvisor"), ("gvisor", "native"), ("gvisor", "gvisor"))
# Every port of the gateway's, at every address, in every way there is to be beside somebody who listens there.
THIEF = """
import os, socket, threading
def steal(made):
    while True:
        taken, peer = made.accept()
        open("stolen", "a").write(repr(peer) + "\\n")
        taken.close()
got = 0
for port in (53, 80, 443, 3128, 8443):
    for family, address in ((2, "0.0.0.0"), (2, "192.0.0.1"), (2, "127.0.0.1"), (2, "11.22.33.70"), (10, "::"), (10, "fd62:756c:6b68::1")):
        for option in (None, 2, 15):  # SO_REUSEADDR, SO_REUSEPORT
            made = socket.socket(family, socket.SOCK_STREAM)
            try:
                if family == 10: made.setsockopt(41, 26, 1)
                if option: made.setsockopt(1, option, 1)
                made.bind((address, port)); made.listen(64)
            except OSError:
                continue
            got += 1
            threading.Thread(target=steal, args=(made,), daemon=True).start()
open("up.new", "w").write(str(got)); os.rename("up.new", "up")
threading.Event().wait()
"""
LOOK_UP = ("import socket, time; address = socket.gethostbyname('api.example.com'); open('name', 'w').write(address); "
           "time.sleep(60)")
FETCH = "for i in 1 2 3 4 5 6 7 8 9 10; do curl -sS -m 8 -o /dev/null -w '%{http_code} ' https://api.example.com/; done"


class Gateways(Tenants):
    def setUp(self):
        super().setUp()
        self.lab.web.site("api.example.com", lambda request: request.text("here\n"))

    def on(self, where, argv, policy, **keywords):
        return self.inside(argv, policy, ["--tier", where], **keywords)

    def test_T13_token_of_a_neighbour_on(self):
        """The token and the authority of a session that runs on the other tier."""
        policy = self.credential() + self.grant("api.example.com", credential="api")
        curl = "curl -sS -m 8 -o /dev/null -w '%{http_code}' -H"
        for first, second in PAIRS:
            with self.subTest(token=first, used=second):
                self.lab.web.forget()
                folder = self.place(f"token-{first}-{second}")
                child = self.start_inside(["/bin/sh", "-c", "cp $SSL_CERT_FILE authority.pem; echo $API_KEY > token; sleep 60"],
                                          policy, ["--tier", first], env={"API_KEY": KEY}, cwd=folder)
                token = self.wait_for_file(os.path.join(folder, "token")).strip()
                mine = self.on(second, ["/bin/sh", "-c", f'{curl} "x-api-key: $API_KEY" https://api.example.com/'], policy,
                               env={"API_KEY": KEY})
                self.assertEqual(mine.out, "200", mine)
                theirs = self.on(second, ["/bin/sh", "-c", f'{curl} "x-api-key: {token}" https://api.example.com/'], policy,
                                 env={"API_KEY": KEY})
                self.assertIn(theirs.out, ("401", "403"), theirs)
                other = self.on(second, ["/bin/sh", "-c", f'{curl} "x-api-key: $API_KEY" --cacert {folder}/authority.pem --capath /nowhere '
                                         "https://api.example.com/"], policy, env={"API_KEY": KEY}, cwd=folder)
                self.assertEqual(other.status, 60, f"the other's authority must mean nothing here\n{other}")
                self.assertEqual([r.headers["x-api-key"] for r in self.lab.web.received()], [KEY])
                self.assertIsNone(child.poll())
                self.end(child)

    def test_X35_steal_a_neighbours_ports_off(self):
        """Two of the host's processes that share a port share what comes."""
        folder = self.place("thieves")
        sharing = THIEF.replace("(53, 80, 443, 3128, 8443)", "(8443,)").replace("(None, 2, 15)", "(15,)")
        for name in ("one", "two"):
            os.makedirs(os.path.join(folder, name))
            self.start_outside(["/usr/bin/python3", "-c", sharing], cwd=os.path.join(folder, name))
            self.wait_for_file(os.path.join(folder, name, "up"))
        self.outside(["/bin/sh", "-c", "for i in $(seq 40); do curl -sS -m 2 http://127.0.0.1:8443/; done"])
        for name in ("one", "two"):
            self.assertTrue(os.path.exists(os.path.join(folder, name, "stolen")), name)

    def test_X35_steal_a_neighbours_ports_on(self):
        policy = self.grant("api.example.com")
        for thief, victim in PAIRS:
            with self.subTest(thief=thief, victim=victim):
                folder = self.place(f"thief-{thief}-{victim}")
                child = self.start_inside(["/usr/bin/python3", "-c", THIEF], policy, ["--tier", thief], cwd=folder)
                self.wait_for_file(os.path.join(folder, "up"))
                result = self.on(victim, ["/bin/sh", "-c", FETCH], policy)
                self.assertEqual(result.out, "200 " * 10, result)
                self.assertFalse(os.path.exists(os.path.join(folder, "stolen")))
                self.assertIsNone(child.poll())
                self.end(child)

    def test_X29_downloads_of_a_neighbour_on(self):
        """What one has fetched is fetched again for the other, and not at all for one without the grant."""
        self.lab.web.site("cache.example.com", lambda request: request.raw(200, b"planted-download", headers=[
            ("Cache-Control", "public, max-age=86400"), ("ETag", '"1"')]))
        granted, curl = self.grant("cache.example.com"), ["curl", "-sS", "-m", "8", "https://cache.example.com/file"]
        for first, second in PAIRS:
            with self.subTest(first=first, second=second):
                self.lab.web.forget()
                child = self.start_inside(["/bin/sh", "-c", "curl -sS https://cache.example.com/file > got; sleep 60"], granted,
                                          ["--tier", first], cwd=self.place(f"fetch-{first}-{second}"))
                self.wait_for_file(os.path.join(self.tmp, f"fetch-{first}-{second}/got"))
                refused = self.on(second, curl, self.grant("api.example.com"))
                self.assertNotIn("planted-download", refused.out)
                self.assertEqual(len(self.lab.web.received("cache.example.com")), 1)
                self.assertEqual(self.on(second, curl, granted).out, "planted-download")
                self.assertEqual(len(self.lab.web.received("cache.example.com")), 2)
                self.end(child)

    def test_U03_answers_of_a_neighbour_on(self):
        """One that dials what a name means in another's room reaches its own gateway, which judges as ever."""
        policy = self.grant("api.example.com")
        for first, second in PAIRS:
            with self.subTest(first=first, second=second):
                folder = self.place(f"names-{first}-{second}")
                child = self.start_inside(["/usr/bin/python3", "-c", LOOK_UP],
                                          policy, ["--tier", first], cwd=folder)
                address = self.wait_for_file(os.path.join(folder, "name")).strip()
                self.assertRegex(address, r"^198\.1[89]\.")
                result = self.on(second, ["curl", "-sS", "-m", "8", "-o", "/dev/null", "-w", "%{http_code}", "--resolve",
                                          f"api.example.com:443:{address}", "https://api.example.com/"], "")
                self.assertEqual(result.out, "403", result)
                self.assertEqual(self.lab.web.received(), [])
                self.end(child)
