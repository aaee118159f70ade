"""A company's proxy between egress and everything outside ([upstream])."""
import json
import os

from lab.proxy import Proxy
from support import Case

from .test_proxies import CLIENT, DATABASE, Server

PASSWORD = "planted-corp-55d1"


class Upstream(Case):
    def proxy(self, **options):
        made = Proxy(self.lab, **options)
        self.addCleanup(made.close)
        return made

    def upstream(self, proxy, more=""):
        """[upstream], after every key at the top."""
        text = f'[upstream]\nproxy = "{proxy.url}"\n{more}'
        if proxy.password is not None:
            text += ('credential = "corp"\n[credential.corp]\nsource = "env:CORP_PASSWORD"\n'
                     f'carry = {{ basic = "{proxy.user}" }}\n')
        return text

    def site(self, name="api.example.com", **options):
        return self.lab.web.site(name, lambda request: request.text(f"{request.method} {request.host}\n"), **options)

    def events(self, kind=None):
        folder = os.path.join(self.home, ".local/state/bulkhead/evidence")
        lines = []
        for name in os.listdir(folder):
            with open(os.path.join(folder, name)) as file:
                lines += [json.loads(line) for line in file]
        return [line for line in lines if kind is None or line["type"] == kind]

    def curl(self, url, policy, **options):
        return self.inside(["curl", "-sS", "-w", "%{http_code}", url], policy, **options)

    def test_everything_goes_through_it_by_the_checked_address(self):
        address = self.site()
        database = Server(self, DATABASE, 5432)
        proxy = self.proxy(password=PASSWORD)
        policy = (self.upstream(proxy) + self.grant("api.example.com")
                  + self.grant("api.example.com", port=80, protocol="http")
                  + f'[[grant]]\nhost = "{DATABASE}"\nport = 5432\nprotocol = "tcp"\n')
        script = ("curl -sS https://api.example.com/a; curl -sS http://api.example.com/b;"
                  f"/usr/bin/python3 - {DATABASE} 5432 <<'EOF'\n{CLIENT}\nEOF\n"
                  "env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'")
        result = self.ok(self.inside(["/bin/sh", "-c", script], policy, env={"CORP_PASSWORD": PASSWORD}))
        self.assertEqual(result.out.count("GET api.example.com"), 2, result)
        self.assertIn("welcome\n", result.out)
        self.assertIn("300005", result.out)
        self.assertEqual(sorted(proxy.authorities()),
                         sorted([f"{address}:443", f"{address}:80", f"{database.address}:5432"]))
        for request in self.lab.web.received():
            self.assertNotEqual(request.peer[0], self.lab.host_address, "it was dialled directly")
            self.assertNotIn("Proxy-Authorization", dict(request.header_list))
        # The secret is in egress and on the way to the proxy, and nowhere else.
        self.assertNotIn(PASSWORD, result.out + result.err)
        self.assertNotIn("CORP_PASSWORD", result.out)
        for path in self.state_files():
            self.assertNotIn(PASSWORD, self.read(path))
        sent = self.events("upstream.request")
        self.assertEqual({event["proxy"] for event in sent}, {f"{proxy.address}:3128"})
        self.assertEqual({event["address"] for event in sent}, {address})
        self.assertIn({"credential": "corp", "read_from": "env:CORP_PASSWORD", "to": "proxy"},
                      [{k: e[k] for k in ("credential", "read_from", "to")} for e in self.events("credential.release")])

    def test_beside_a_credential_of_its_own(self):
        """Each egress holds its credential and the proxy's."""
        self.site("free.example.com")
        self.lab.web.site("api.example.com", lambda request: request.text(request.headers.get("x-api-key") or "none"))
        proxy = self.proxy(password=PASSWORD)
        policy = (self.upstream(proxy) + self.credential() + self.grant("api.example.com", credential="api")
                  + self.grant("free.example.com"))
        result = self.ok(self.inside(
            ["/bin/sh", "-c", "curl -sS -H \"x-api-key: $API_KEY\" https://api.example.com/; curl -sS https://free.example.com/"],
            policy, env={"CORP_PASSWORD": PASSWORD, "API_KEY": "planted-api-9911"}))
        self.assertEqual(self.lab.web.received("api.example.com")[0].headers["x-api-key"], "planted-api-9911")
        self.assertIn("GET free.example.com", result.out)
        self.assertEqual(len(proxy.authorities()), 2)

    def test_an_egress_that_is_not_needed_after_all(self):
        """Nobody takes the proxy's password there, and the session runs."""
        proxy = self.proxy(password=PASSWORD)
        optional = self.credential() + "optional = true\n" + self.grant("api.example.com", credential="api")
        self.site("free.example.com")
        for more, words in (("", ["true"]), (self.grant("free.example.com"), ["curl", "-sS", "https://free.example.com/"])):
            self.ok(self.inside(words, self.upstream(proxy) + optional + more, env={"CORP_PASSWORD": PASSWORD}))

    def test_a_wrong_password_and_none(self):
        self.site()
        proxy = self.proxy(password=PASSWORD)
        for environment, more in (({"CORP_PASSWORD": "planted-wrong"}, self.upstream(proxy)),
                                  ({}, f'[upstream]\nproxy = "{proxy.url}"\n')):
            result = self.curl("https://api.example.com/", more + self.grant("api.example.com"), env=environment)
            self.assertIn("502", result.out, result)
            self.assertIn("407", result.out, result)
            self.assertIn("credential" if environment else "[upstream]", result.out)
            self.assertNotIn("planted-wrong", result.out + result.err)
        missing = self.curl("https://api.example.com/", self.upstream(proxy) + self.grant("api.example.com"))
        self.assertEqual(missing.status, 125, missing)
        self.assertIn("CORP_PASSWORD", missing.err)
        self.assertEqual(self.lab.web.received(), [])

    def test_a_private_address_is_still_refused(self):
        """D01, D02: neither by a granted name nor by the proxy's own address."""
        self.site("inner.example.com", addresses=["10.1.2.3"])
        proxy = self.proxy(port=8888)  # 3128 is the room's own, inside
        self.lab.zone.add("sly.example.com", proxy.address)
        policy = (self.upstream(proxy) + self.grant("inner.example.com")
                  + self.grant("sly.example.com", port=8888, protocol="http"))
        result = self.inside(["/bin/sh", "-c", "curl -sS https://inner.example.com/; curl -sS http://sly.example.com:8888/"],
                             policy)
        self.assertIn("a private network", result.out)
        self.assertIn("is the proxy of [upstream]", result.out)
        self.assertEqual(proxy.asked, [])
        self.assertEqual(self.lab.web.received(), [])
        named = self.curl("http://10.9.8.7:8888/", self.upstream(proxy)
                          + self.grant("10.9.8.7", port=8888, protocol="http"))
        self.assertEqual(named.status, 125)
        self.assertIn("no grant may lead to", named.err)

    def test_no_proxy(self):
        self.site("api.corp.example")
        proxy = self.proxy()
        policy = self.upstream(proxy, 'no_proxy = ["*.corp.example"]\n') + self.grant("api.corp.example")
        self.assertIn("GET api.corp.example", self.ok(self.curl("https://api.corp.example/", policy)).out)
        self.assertEqual(proxy.asked, [])

    def test_names_resolved_by_the_proxy_are_said_to_be_unchecked(self):
        self.site()
        proxy = self.proxy()
        policy = self.upstream(proxy, 'resolve = "proxy"\n') + self.grant("api.example.com")
        result = self.ok(self.curl("https://api.example.com/", policy))
        self.assertIn("GET api.example.com", result.out)
        self.assertEqual(proxy.authorities(), ["api.example.com:443"])
        self.assertEqual(self.lab.zone.asked_about("example.com"), [])
        self.assertIn("checked addresses (the proxy resolves names)", result.err)
        self.assertIn("checked addresses (the proxy resolves names)", self.events("session.start")[0]["missing"])
        self.assertEqual(self.events("upstream.request")[0]["address"], "")
        self.assertEqual(self.events("session.policy")[0]["policy"]["upstream"]["resolve"], "proxy")
        # doctor knows it of the user's own policy.
        self.write(os.path.join(self.home, ".config/bulkhead/policy.toml"), self.read(self.policy(policy)))
        report = self.bulkhead("doctor", "--json")
        states = {g["id"]: g["state"] for g in json.loads(report.out)["guarantees"]}
        self.assertEqual(states["net-address"], "missing")
        self.assertIn("Given up by your own policy (net-address)", self.bulkhead("doctor").out)

    def test_in_tls_itself(self):
        self.site()
        proxy = self.proxy(tls=self.lab.authority.context("10.9.8.7"), password=PASSWORD)
        policy = self.upstream(proxy) + self.grant("api.example.com")
        result = self.ok(self.curl("https://api.example.com/", policy, env={"CORP_PASSWORD": PASSWORD}))
        self.assertIn("GET api.example.com", result.out)

    def test_a_proxy_that_lies(self):
        self.site()
        for number, (lies, text) in enumerate(((b"nonsense\r\n\r\n", "gave an answer that is none"),
                                               (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake", "put a body"),
                                               (b"HTTP/1.1 200 OK\r\n\r\n" + b"\x15\x03\x03" * 100, "sent bytes behind"),
                                               (b"", "closed the connection"))):
            proxy = self.proxy(port=4000 + number, lies=lies)
            result = self.curl("https://api.example.com/", self.upstream(proxy) + self.grant("api.example.com"))
            self.assertIn(text, result.out, result)
        self.assertEqual(self.lab.web.received(), [])

    def test_one_in_the_environment_is_not_used_but_named(self):
        proxy = self.proxy()
        policy = self.grant("gone.example.com")
        result = self.curl("https://gone.example.com/", policy, env={"HTTPS_PROXY": f"http://labu:planted-x@{proxy.address}:3128"})
        self.assertIn("write [upstream] proxy", result.out, result)
        self.assertNotIn("planted-x", result.out + result.err)
        self.assertEqual(proxy.asked, [])
        self.assertNotIn("write [upstream]", self.curl("https://gone.example.com/", policy).out)

    def test_what_a_policy_may_not_say(self):
        proxy = self.proxy()
        for text, why in ((f'[upstream]\nproxy = "http://labu:{PASSWORD}@{proxy.address}:3128"\n', "would stand in the policy"),
                          ('[upstream]\nproxy = "socks5://10.9.8.7:1080"\n', "http:// or https://"),
                          ('[upstream]\nproxy = "http://10.9.8.7"\n', "the port is missing"),
                          ('[upstream]\nproxy = "http://10.9.8.7:3128"\ncredential = "corp"\n', "nowhere defined"),
                          ('[upstream]\nproxy = "http://10.9.8.7:3128"\nresolve = "both"\n', "resolve")):
            result = self.inside(["true"], text)
            self.assertEqual(result.status, 125, result)
            self.assertIn(why, result.err)
            self.assertNotIn(PASSWORD, result.err)
