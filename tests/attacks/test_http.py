"""C01, C02, H01-H03: requests that carry a foreign key, or that two parsers could read differently."""
import json
import os
import shutil

from support import Case, case

KEY = "real-key-9d3b71"
HOST = "api.example.com"


def echo(request):
    request.text("arrived\n")


class Http(Case):
    def setUp(self):
        super().setUp()
        self.lab.web.site(HOST, echo)

    def curl(self, arm, header, policy, *, env=None):
        """The status of one curl call with the given -H arguments; `$API_KEY` is what the arm's environment holds."""
        words = " ".join(f'-H "{line}"' for line in header)
        argv = ["/bin/sh", "-c", f"curl -sS -o /dev/null -w '%{{http_code}}' {words} https://{HOST}/v1/items"]
        run = self.outside if arm == "off" else lambda argv, **k: self.inside(argv, policy, **k)
        return run(argv, env=env or {"API_KEY": KEY}).out.strip()

    def foreign(self, word):
        return [r for r in self.lab.web.received(HOST) if any(word in value for _, value in r.header_list)]

    bearer = property(lambda self: self.credential(header="bearer") + self.grant(HOST, credential="api"))

    def test_C01_control(self):
        self.assertEqual(self.curl("on", ["Authorization: Bearer $API_KEY"], self.bearer), "200")
        (request,) = self.lab.web.received(HOST)
        self.assertEqual(request.headers["Authorization"], f"Bearer {KEY}")

    doubles = (["Authorization: Bearer $API_KEY", "Authorization: Bearer attacker-key"],
               ["Authorization: Bearer attacker-key", "Authorization: Bearer $API_KEY"],
               ["Authorization: Bearer $API_KEY, Bearer attacker-key"],
               ["Authorization: Bearer attacker-key, Bearer $API_KEY"],
               ["Authorization: Bearer $API_KEY", "authorization: Basic YXR0YWNrZXI6a2V5"])

    def test_C01_off(self):
        for header in self.doubles[:4]:
            self.assertEqual(self.curl("off", header, ""), "200", header)
        self.assertEqual(len(self.foreign("attacker-key")), 4)

    def test_C01_on(self):
        for header in self.doubles:
            self.assertIn(self.curl("on", header, self.bearer), ("400", "403"), header)
        self.assertEqual(self.lab.web.received(HOST), [])

    carriers = ("x-api-key", "api-key", "x-goog-api-key", "private-token", "x-auth-token", "proxy-authorization",
                "authorization", "cookie", "x-amz-security-token", "x-vault-token", "circle-token")

    def test_C02_off(self):
        for name in self.carriers:
            self.assertEqual(self.curl("off", [f"{name}: attacker-key"], ""), "200", name)
        self.assertEqual(len(self.foreign("attacker-key")), len(self.carriers))

    def test_C02_on(self):
        # In one session: each carrier beside the right token, and each alone.
        script = "".join(
            f'curl -sS -o /dev/null -w "%{{http_code}} {name}\\n" -H "{name}: attacker-key" {own} https://{HOST}/v1/items\n'
            for name in self.carriers for own in ("", '-H "Authorization: Bearer $API_KEY"') if name != "authorization" or not own)
        result = self.inside(["/bin/sh", "-c", script], self.bearer, env={"API_KEY": KEY})
        lines = result.out.split("\n")[:-1]
        self.assertEqual(len(lines), 2 * len(self.carriers) - 1, result)
        for line in lines:
            # A cookie may also be dropped instead of refused: what counts is that it doesn't arrive.
            allowed = ("400", "403", "200") if line.endswith("cookie") else ("400", "403")
            self.assertIn(line.split()[0], allowed, line)
        self.assertEqual(self.foreign("attacker-key"), [])

    # Raw requests ------------------------------------------------------------------------------------------

    def raw(self, arm, requests):
        shutil.copy(os.path.join(case.ROOT, "tests/attacks/raw_https.py"), self.work)
        self.write(os.path.join(self.work, "requests.json"), json.dumps(requests))
        argv = ["/usr/bin/python3", "raw_https.py", HOST, "requests.json"]
        policy = self.grant(HOST)
        result = self.outside(argv) if arm == "off" else self.inside(argv, policy)
        self.assertEqual(result.status, 0, result)
        return [answer.split("\r\n")[0] for answer in json.loads(result.out)]

    H01 = ["GET https://evil-collector.com/v1/items HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
           "GET https://api.example.com/v1/items HTTP/1.1\r\nHost: evil-collector.com\r\n\r\n",
           "GET /v1/items HTTP/1.1\r\nHost: evil-collector.com\r\n\r\n"]
    H02 = ["GET /v1/items HTTP/1.1\r\nHost: api.example.com\r\nHost: evil-collector.com\r\n\r\n",
           "GET /v1/items HTTP/1.1\r\nHost: evil-collector.com\r\nHost: api.example.com\r\n\r\n",
           "GET /v1/items HTTP/1.1\r\n\r\n",
           "GET /v1/items HTTP/1.1\r\nHost: \r\n\r\n",
           "GET /v1/items HTTP/1.1\r\nHost: api.example.com@evil-collector.com\r\n\r\n",
           "GET /v1/items HTTP/1.1\r\nHost: evil-collector.com@api.example.com\r\n\r\n",
           "GET /v1/items HTTP/1.1\r\nHost: api.example.com, evil-collector.com\r\n\r\n"]
    H03 = ["POST /v1/items HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 4\r\n"
           "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
           "POST /v1/items HTTP/1.1\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\n"
           "Content-Length: 4\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: api.example.com\r\n\r\n"]

    def refused(self, requests, statuses):
        control = "GET /v1/items HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n"
        first, *answers = self.raw("on", [control, *requests])
        self.assertTrue(first.startswith("HTTP/1.1 200"), first)
        for request, answer in zip(requests, answers):
            self.assertIn(answer[9:12], statuses, f"{request!r} got {answer!r}")
        self.assertEqual(len(self.lab.web.received()), 1, "only the control may arrive")

    def arrives(self, requests):
        self.raw("off", requests)
        self.assertGreaterEqual(len(self.lab.web.received()), len(requests), self.lab.web.received())

    def test_H01_off(self):
        self.arrives(self.H01)

    def test_H01_on(self):
        self.refused(self.H01, ("421", "400"))

    def test_H02_off(self):
        self.arrives(self.H02)

    def test_H02_on(self):
        self.refused(self.H02, ("400", "421"))

    def test_H03_off(self):
        self.arrives(self.H03)
        self.assertTrue(self.lab.web.received(path="/smuggled"), "the second request inside the first is seen")

    def test_H03_on(self):
        self.refused(self.H03, ("400",))
