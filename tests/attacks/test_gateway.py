"""The catalogue's rows about names, TLS, HTTP/1, paths and credentials (gateway_rows.py), every variant in both arms. The servers
behind, which write down every byte, are the judge."""
import json
import os
import re
import shutil
import socket
from collections import defaultdict

from attacks.gateway_rows import EVIL_NAMES, HOST, OTHER, PLAIN, WILD, rows
from lab.recorder import Recorder
from support import Case, case

KEY = "real-key-5e0c44"
ELSEWHERE = ("hooks.slack.com", "discord.com", "api.telegram.org", "api-example-com.translate.goog", "web.archive.org", "metadata.google.internal")


class Gateway(Case):
    def setUp(self):
        super().setUp()
        self.good = Recorder(self.lab, HOST, OTHER, PLAIN, "one." + WILD)
        self.evil = Recorder(self.lab, *EVIL_NAMES, *ELSEWHERE)
        self.addCleanup(self.good.close)
        self.addCleanup(self.evil.close)
        self.rows = list(rows())
        self.marks = [f"{row.id}-{number}-" for number, row in enumerate(self.rows)]

    def cases(self):
        made = []
        for row, mark in zip(self.rows, self.marks):
            # Also where a step before the request says it.
            made.append(json.loads(json.dumps(row.case).replace("{M}", mark)))
        return made

    @property
    def rules(self):
        rule = 'query = ["q"]\nheaders = []\nmax_body = "1KB"\n'
        allow = lambda method, path: f'[[grant.allow]]\nmethod = {json.dumps(method)}\npath = "{path}"\n{rule}'
        reads = "".join(allow(["GET", "HEAD", "OPTIONS", "DELETE"], path).replace('max_body = "1KB"\n', "max_body = 0\n")
                        for path in ("/none/*", "/one/*", "/two/{id}/edit"))
        return (self.credential(header="bearer") + f'[[grant]]\nhost = "{HOST}"\ncredential = "api"\n' + allow(["GET", "POST"], "/m/**") + reads
                + f'[[grant]]\nhost = "{OTHER}"\n' + allow(["GET", "POST"], "/m/**")
                + f'[[grant]]\nhost = "{PLAIN}"\nprotocol = "http"\n' + allow(["GET", "POST"], "/m/**")
                + f'[[grant]]\nhost = "*.{WILD}"\nlabels = 2\n' + allow(["GET"], "/m/**"))

    def carry_out(self, arm, cases, env=None):
        shutil.copy(os.path.join(case.ROOT, "tests/attacks/raw_client.py"), self.work)
        self.write(os.path.join(self.work, "cases.json"), json.dumps(cases))
        argv = ["/usr/bin/python3", "raw_client.py", "cases.json"]
        env = {"API_KEY": KEY, **(env or {})}
        if arm == "off":
            result = self.outside(argv, env={**env, "NO_PROXY_PORT": "1"}, timeout=300)
        else:
            result = self.inside(argv, self.rules, env=env, timeout=300)
        self.assertEqual(result.status, 0, result)
        return json.loads(result.out)

    def arrived(self, mark):
        return self.good.with_(mark.encode()) + self.evil.with_(mark.encode())

    def test_without_the_boundary_they_arrive(self):
        self.carry_out("off", [one for one, row in zip(self.cases(), self.rows) if row.off])
        missing = [f"{row.id} {row.what}" for row, mark in zip(self.rows, self.marks) if row.off and not self.arrived(mark)]
        self.assertEqual(missing, [])

    def test_behind_the_boundary_none_does(self):
        control = {"to": [HOST, 443], "sni": HOST, "send": [f"GET /m/control HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {{TOKEN}}\r\n\r\n"]}
        controls = [control, {**control, "to": ["x", 1], "via": [f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n"]},
                    {**control, "to": ["x", 1], "via": [["socks", HOST, 443]]},
                    {"to": [PLAIN, 80], "sni": None, "send": [f"GET /m/control HTTP/1.1\r\nHost: {PLAIN}\r\n\r\n"]}]
        answers = self.carry_out("on", [*self.cases(), *controls])
        for answer in answers[len(self.rows):]:
            self.assertRegex(answer, r"^HTTP/1\.1 200 ")
        arrived = b"".join(self.good.with_(b"/m/control"))
        self.assertEqual(arrived.count(b"/m/control"), len(controls), "each of them once")
        wrong = defaultdict(list)
        for row, mark, answer in zip(self.rows, self.marks, answers):
            heard = b"\n".join(self.arrived(mark)).decode("latin-1")
            # A connection may carry several requests: the one that is meant.
            heard = "\n".join(part for part in re.split(r"(?=(?:GET|POST|HEAD|DELETE|OPTIONS|PUT) )", heard) if mark in part)
            if row.cleaned is None and heard:
                wrong[row.id].append(f"{row.what}: arrived: {heard!r}")
            if row.cleaned is not None and heard and any(word in heard for word in row.cleaned):
                wrong[row.id].append(f"{row.what}: arrived uncleaned: {heard!r}")
            if row.cleaned is not None and heard and not all(word in heard for word in row.seen):
                wrong[row.id].append(f"{row.what}: arrived without {row.seen}: {heard!r}")
            if not re.match(row.answer + ("" if row.cleaned else r"|end: |cut: |^$|error: (ConnectionReset|SSL|EOF)"), answer, re.S):
                wrong[row.id].append(f"{row.what}: {row.case} was told {answer[:200]!r}")
        self.assertEqual(dict(wrong), {})
        self.assertEqual(self.evil.heard, [], "nothing reached the attacker's servers")
        self.assertEqual({name.lower() for name, _ in self.lab.zone.questions} - {HOST, OTHER, PLAIN}, set(), "names that were asked about")
        self.assertNotIn(b"sk-attacker", self.good.everything())
