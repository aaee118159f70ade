"""X38: an agent's own login. Only the session's tokens are inside, a refresh works and reaches the host's file, and
nothing of it can be used for anything else."""
import json
import os
import signal
import threading
import time

from standin.login import LoginServer
from support import Case, procs

LOGIN, API, OTHER = "login.example.com", "api.example.com", "other.example.com"
CLIENT = "client-9d1c"

POLICY = f"""
[[mount]]
path = "~/.agent"
copy = true
except = ["login.json"]
[credential.agent]
source = "login:~/.agent/login.json"
carry = {{ bearer = true }}
[credential.agent.login]
access = "oauth.accessToken"
refresh = "oauth.refreshToken"
expires = "oauth.expiresAt"
keep = ["oauth.scopes", "plan"]
[credential.agent.login.send]
client_id = "{CLIENT}"
scope = ["user:inference", "user:profile"]
[[grant]]
host = "{API}"
credential = "agent"
[[grant.allow]]
method = ["GET", "POST"]
path = "/v1/items"
[[grant]]
host = "{LOGIN}"
credential = "agent"
[[grant.allow]]
method = "POST"
path = "/oauth/token"
content_type = "application/json"
refresh = true
"""

# What a small agent does: asks, and where its token has expired refreshes it, keeps what it gets, and asks again.
AGENT = f"""
import json, os, sys, urllib.error, urllib.parse, urllib.request
FILE = os.path.expanduser("~/.agent/login.json")
def login():
    return json.load(open(FILE))
def send(url, body=None, headers={{}}, method=None):
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.read().decode(), dict(answer.headers)
def ask(token=None, host="{API}"):
    token = token or login()["oauth"]["accessToken"]
    return send("https://" + host + "/v1/items", headers={{"Authorization": "Bearer " + token}})
def refresh(host="{LOGIN}", kind="application/json", **fields):
    fields = {{"grant_type": "refresh_token", "refresh_token": login()["oauth"]["refreshToken"], "client_id": "{CLIENT}",
              **fields}}
    fields = {{name: value for name, value in fields.items() if value is not None}}
    body = json.dumps(fields) if "json" in kind else urllib.parse.urlencode(fields)
    return send("https://" + host + "/oauth/token", body.encode(), {{"Content-Type": kind}})
def keep(answer):
    file, new = login(), json.loads(answer)
    file["oauth"]["accessToken"] = new["access_token"]
    file["oauth"]["refreshToken"] = new.get("refresh_token", file["oauth"]["refreshToken"])
    with open(FILE + ".new", "w") as out:
        json.dump(file, out)
    os.rename(FILE + ".new", FILE)
def say(*what):
    print(json.dumps(what), flush=True)
"""

WORK = AGENT + """
first = ask()
say(first[0])
if first[0] == 401:
    again = refresh(scope="user:profile user:inference")
    say(again[0], again[1])
    keep(again[1])
    say(*ask()[:2])
say(login())
"""


class Logins(Case):
    policy_text = POLICY

    def setUp(self):
        super().setUp()
        self.server = LoginServer("/oauth/token")
        self.asked = []
        self.lab.web.site(LOGIN, self.server)
        self.lab.web.site(API, self.api)
        self.lab.web.site(OTHER, self.other)
        self.file = os.path.join(self.home, ".agent/login.json")
        self.write(os.path.join(self.home, ".agent/settings.json"), '{"theme":"dark"}')
        self.log_in()

    def log_in(self, access=None, **more):
        self.write(self.file, json.dumps({
            "oauth": {"accessToken": access or self.server.access, "refreshToken": self.server.refresh,
                      "expiresAt": 1, "scopes": ["user:inference"], "other": "planted-beside"},
            "plan": "max", "mcp": {"token": "planted-mcp-token"}, **more}), 0o600)

    def api(self, request):
        bearer = request.headers.get("Authorization")
        self.asked.append(bearer)
        if bearer != f"Bearer {self.server.access}":
            return request.json('{"error":"expired"}', 401)
        # An echo, as error pages and debug endpoints are.
        request.json(json.dumps({"ok": True, "you": bearer, "tokens": self.server.secrets()}))

    def other(self, request):
        request.json("{}")

    def run_agent(self, script=WORK, policy=None, **keywords):
        return self.inside(["/usr/bin/python3", "-c", script], policy or self.policy_text, **keywords)

    def lines(self, result):
        return [json.loads(line) for line in result.out.splitlines()]

    def host_file(self):
        return json.loads(self.read(self.file))

    def events(self, kind):
        found = []
        for path in self.state_files():
            for line in self.read(path).splitlines():
                if line.startswith('{"v":1') and json.loads(line)["type"] == kind:
                    found.append(json.loads(line))
        return found

    def nothing_real(self, result):
        record = "".join(self.read(path) for path in self.state_files())
        for secret in self.server.secrets():
            for where, text in (("output", result.out + result.err), ("record", record)):
                self.assertNotIn(secret, text, where)

    def expired(self):
        """The API takes the host's access token no more."""
        self.server.access = "nobody has this one yet"

    # It works ---------------------------------------------------------------------------------------------

    def test_a_login_that_is_good(self):
        result = self.ok(self.run_agent())
        status, file = self.lines(result)
        self.assertEqual(status, [200])
        self.assertEqual(self.asked, [f"Bearer {self.server.access}"])
        inside = file[0]
        self.assertEqual(inside["plan"], "max")
        self.assertEqual(inside["oauth"]["scopes"], ["user:inference"])
        self.assertEqual(inside["oauth"]["expiresAt"], 1)
        self.assertEqual(set(inside), {"oauth", "plan"})
        self.assertEqual(set(inside["oauth"]), {"accessToken", "refreshToken", "expiresAt", "scopes"})
        self.assertTrue(inside["oauth"]["accessToken"].startswith("bulkhead-"))
        self.assertIn("tokens for: agent", result.err)
        self.assertEqual([event["read_from"] for event in self.events("credential.release")], ["login:~/.agent/login.json"])
        self.nothing_real(result)

    def test_expired_refreshed_and_the_host_has_the_new_one(self):
        self.expired()
        before = self.host_file()
        result = self.ok(self.run_agent())
        first, refreshed, again, file = self.lines(result)
        self.assertEqual((first, refreshed[0], again[0]), ([401], 200, 200), result)
        self.assertNotIn("real-", "".join(str(line) for line in self.lines(result)))
        self.assertEqual(self.server.seen, [{"grant_type": "refresh_token", "refresh_token": self.server.first[1],
                                             "client_id": CLIENT, "scope": "user:profile user:inference"}])
        host = self.host_file()
        self.assertEqual(host["oauth"]["accessToken"], self.server.access)
        self.assertEqual(host["oauth"]["refreshToken"], self.server.refresh)
        self.assertAlmostEqual(host["oauth"]["expiresAt"] / 1000, time.time() + 28800, delta=120)
        self.assertEqual({**host, "oauth": 0}, {**before, "oauth": 0}, "all else is as it was")
        self.assertEqual(host["oauth"]["other"], "planted-beside")
        state = os.stat(self.file)
        self.assertEqual((state.st_mode & 0o777, state.st_uid), (0o600, os.geteuid()))
        self.assertEqual(sorted(os.listdir(os.path.dirname(self.file))), ["login.json", "settings.json"])
        event, = self.events("credential.refreshed")
        self.assertEqual((event["number"], event["rotated"], event["written"], event["host"]), (2, True, True, LOGIN))
        self.nothing_real(result)

    def test_the_session_can_read_no_real_token_anywhere(self):
        self.expired()
        search = WORK + """
import subprocess
for word in ("real-access", "real-refresh", "planted-"):
    found = subprocess.run(["grep", "-rslI", "--", word, os.path.expanduser("~"), "/tmp", "/etc", "/run", "/var"],
                           capture_output=True, text=True).stdout
    say(word, found)
    def environ(pid):
        try:
            return open("/proc/" + pid + "/environ").read()
        except OSError:
            return ""
    say(word, "".join(word for pid in os.listdir("/proc") if pid.isdigit() and word in environ(pid)))
"""
        found = self.lines(self.ok(self.run_agent(search)))[-6:]
        self.assertEqual(found, [[word, ""] for word in ("real-access", "real-refresh", "planted-") for _ in (1, 2)])

    def test_two_sessions_and_the_host_share_a_login(self):
        """Each refresh replaces the token: whoever refreshes next has to use the one that the file holds by then."""
        wait = AGENT + "input()\nsay(refresh()[0])\n"
        first = self.start_inside(["/usr/bin/python3", "-c", wait], self.policy_text, stdin=-1)
        second = self.start_inside(["/usr/bin/python3", "-c", wait], self.policy(self.policy_text, "2.toml"), stdin=-1)
        for session in (first, second):
            out, err = session.communicate(b"\n", timeout=30)
            self.assertEqual(out, b"[200]\n", err)
        self.assertEqual(self.server.number, 3)
        self.assertEqual(self.host_file()["oauth"]["refreshToken"], self.server.refresh)
        third = self.start_inside(["/usr/bin/python3", "-c", wait], self.policy(self.policy_text, "3.toml"), stdin=-1)
        self.wait_until(lambda: len(self.events("credential.release")) == 3, what="the third session runs")
        self.server.renew()  # the agent on the host refreshes
        self.log_in()
        out, err = third.communicate(b"\n", timeout=30)
        self.assertEqual(out, b"[200]\n", err)
        self.assertEqual(self.host_file()["oauth"]["refreshToken"], self.server.refresh)

    def test_forms_and_jwts(self):
        self.server = LoginServer("/oauth/token", claims={"plan": "pro", "secret-claim": "planted-claim"})
        self.server.extra = {"id_token": "", "scope": "user:inference"}
        self.lab.web.site(LOGIN, self.server)
        self.server.extra["id_token"] = self.server.first[0]
        self.log_in()
        file = self.host_file()
        file["id"] = self.server.access
        file["when"] = "2026-01-01T00:00:00Z"
        self.write(self.file, json.dumps(file), 0o600)
        policy = (self.policy_text.replace('keep = ', 'id = "id"\nrefreshed = "when"\nclaims = ["plan", "exp"]\nkeep = ')
                  .replace("application/json", "application/x-www-form-urlencoded"))
        script = AGENT + """
import base64
def claims(token):
    head, body, end = token.split(".")
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, body)], end
say(ask()[0], *claims(login()["oauth"]["accessToken"]), *claims(login()["id"]))
answer = refresh(kind="application/x-www-form-urlencoded")
say(answer[0], claims(json.loads(answer[1])["access_token"]), claims(json.loads(answer[1])["id_token"]))
keep(answer[1])
say(ask()[0])
token = login()["oauth"]["accessToken"]
say(ask(token.rsplit(".", 1)[1])[0], ask("x." + token)[0], ask(token + "0")[0], ask(token.replace(".", "!", 1))[0])
"""
        result = self.ok(self.run_agent(script, policy))
        first, refreshed, again, odd = self.lines(result)
        self.assertEqual((first[0], refreshed[0], again), (200, 200, [200]), result)
        self.assertEqual(first[1][0], {"alg": "none", "typ": "JWT"})
        self.assertEqual(set(first[1][1]), {"plan", "exp"})
        self.assertEqual(first[4], "bulkhead")
        self.assertEqual(odd, [403, 403, 403, 403], "a token is as it was handed out")
        self.assertEqual(self.host_file()["oauth"]["accessToken"], self.server.access)
        self.assertNotEqual(self.host_file()["when"], "2026-01-01T00:00:00Z")
        self.assertNotIn("planted-claim", result.out)
        self.nothing_real(result)

    def test_what_is_said_of_it_beforehand(self):
        policy = self.policy(self.policy_text)
        shown = self.ok(self.bulkhead("policy", "show", "--reach", "--policy", policy)).out
        self.assertIn("login         tokens of the session's own, in place of the host's file  ~/.agent/login.json  "
                      "(credential agent)", shown)
        found = json.loads(self.ok(self.bulkhead("policy", "show", "--reach", "--json", "--policy", policy)).out)["reach"]
        one, = [one for one in found if one["how"] == "login"]
        self.assertEqual((one["at"], one["path"], one["keys"]), (self.file, "", []))
        explained = " ".join(self.ok(self.bulkhead("policy", "explain", "--policy", policy)).out.split())
        self.assertIn("read on the host from the agent's login in ~/.agent/login.json; the workload finds a file of that shape "
                      "in its place, with tokens of the session's", explained)
        self.assertIn("nothing but a refresh of the login", explained)
        shows = self.policy(self.policy_text.replace('except = ["login.json"]\n', ""), "shows.toml")
        self.assertIn("which a mount would show", self.ok(self.bulkhead("policy", "check", shows)).out)
        os.remove(self.file)
        self.assertNotIn("login  ", self.ok(self.bulkhead("policy", "show", "--reach", "--policy", policy)).out)

    def test_a_login_that_is_missing(self):
        os.remove(self.file)
        result = self.run_agent("print('ran')")
        self.assertEqual(result.status, 125, result)
        self.assertIn("log in on the host", result.err)
        optional = self.policy_text.replace("carry = {", "optional = true\ncarry = {", 1)
        result = self.ok(self.run_agent("import os; print(os.path.exists(os.path.expanduser('~/.agent/login.json')))", optional))
        self.assertEqual(result.out, "False\n")
        for text, why in (("{", "no JSON object"), ("[]", "no JSON object"), ('{"oauth":{}}', None),
                          ('{"oauth":{"accessToken":7,"refreshToken":"x"}}', "is no token")):
            self.write(self.file, text, 0o600)
            result = self.run_agent("print('ran')")
            self.assertEqual((result.status, result.out), (125, ""), result)
            self.assertIn(why or "has no token", result.err)
            result = self.ok(self.run_agent("import os; print(os.path.exists(os.path.expanduser('~/.agent/login.json')))", optional))
            self.assertEqual(result.out, "False\n")
            self.assertNotIn("tokens for", result.err)
            # Who is not logged in uses a key, and is not told each time.
            self.assertEqual("stay closed" in result.err, why is not None, result.err)

    # The boundary -----------------------------------------------------------------------------------------

    def test_only_a_refresh_is_granted_at_the_token_endpoint(self):
        script = AGENT + """
say(refresh(refresh_token="real-refresh-of-somebody-else")[0])
say(refresh(refresh_token=None)[0])
say(refresh(grant_type="authorization_code", code="x", refresh_token=None)[0])
say(refresh(grant_type="client_credentials")[0])
say(refresh(grant_type="password", username="u", password="p")[0])
say(refresh(client_id="somebody-else")[0])
say(refresh(scope="user:inference admin")[0])
say(refresh(scope="user:inference  user:profile")[0])
say(refresh(audience="x")[0])
say(refresh(kind="application/x-www-form-urlencoded")[0])
real = login()["oauth"]["refreshToken"]
post = lambda body, **headers: send("https://login.example.com/oauth/token", body.encode(), {"Content-Type": "application/json", **headers})[0]
say(post('{"grant_type":"refresh_token","grant_type":"refresh_token","refresh_token":"' + real + '"}'))
say(post('{"grant_type":"authorization_code","grant_type":"refresh_token","refresh_token":"' + real + '"}'))
say(post('{"grant_type":"refresh_token","refresh_token":"' + real + '","scope":["user:inference"]}'))
say(post('["refresh_token"]'))
say(post('{"grant_type":"refresh_token","refresh_token":"' + real + '"}', Authorization="Bearer " + login()["oauth"]["accessToken"]))
say(post('{"grant_type":"refresh_token","refresh_token":"' + real + '"}', Authorization="Basic c29tZWJvZHk6ZWxzZQ=="))
say(send("https://login.example.com/oauth/token?refresh_token=" + real, b"{}", {"Content-Type": "application/json"})[0])
say(send("https://login.example.com/oauth/authorize")[0])
say(send("https://login.example.com/oauth/token", method="GET")[0])
"""
        answers = [line[0] for line in self.lines(self.ok(self.run_agent(script)))]
        self.assertEqual(answers, [403] * len(answers), answers)
        self.assertEqual(len(answers), 19)
        self.assertEqual(self.server.seen, [])
        self.assertEqual(self.lab.web.received(LOGIN), [])
        self.assertEqual(self.host_file()["oauth"]["refreshToken"], self.server.first[1])

    def test_a_form_that_can_be_read_in_two_ways(self):
        policy = self.policy_text.replace("application/json", "application/x-www-form-urlencoded")
        script = AGENT + """
real = login()["oauth"]["refreshToken"]
def post(body):
    say(send("https://login.example.com/oauth/token", body.encode(), {"Content-Type": "application/x-www-form-urlencoded"})[0])
post("grant_type=authorization_code&grant_type=refresh_token&refresh_token=" + real)
post("grant_type=refresh_token;x=1&refresh_token=" + real)
post("grant_type=refresh_token&refresh_token=" + real + "&")
post("grant_type=refresh%5Ftoken%0a&refresh_token=" + real)
post("grant%00_type=refresh_token&refresh_token=" + real)
post("grant_type=refresh_token&refresh_token=%zz" + real)
post("grant_type=refresh_token&refresh_token=" + real + "&code=x")
"""
        answers = [line[0] for line in self.lines(self.ok(self.run_agent(script, policy)))]
        self.assertEqual(answers, [403] * 7)
        self.assertEqual(self.lab.web.received(LOGIN), [])

    def test_tokens_are_worth_nothing_elsewhere(self):
        """Sent to another granted host, used outside or in another session, or in a place where they are not exchanged."""
        script = AGENT + f"""
access, refreshing = login()["oauth"]["accessToken"], login()["oauth"]["refreshToken"]
say(ask(host="{OTHER}")[0])
say(send("https://{OTHER}/v1/items?x=" + refreshing)[0])
say(send("https://{OTHER}/v1/items", headers={{"X-Note": refreshing}})[0])
say(send("https://{OTHER}/v1/items", refreshing.encode(), {{"Content-Type": "text/plain"}})[0])
say(ask(refreshing)[0])
say(ask(access[:-1] + "2")[0])
say(ask("real-access-of-somebody-else")[0])
say(access, refreshing)
"""
        policy = self.policy_text + self.grant(OTHER, more='headers = ["x-note"]')
        result = self.ok(self.run_agent(script, policy))
        *answers, tokens = self.lines(result)
        # As a body it is any text: a token of the session's that is worth nothing there.
        self.assertEqual([line[0] for line in answers], [403, 403, 403, 200, 403, 403, 403], result)
        self.nothing_real(result)
        later = self.ok(self.run_agent(AGENT + f"say(ask({tokens[0]!r})[0])\nsay(refresh(refresh_token={tokens[1]!r})[0])\n"))
        self.assertEqual(self.lines(later), [[403], [403]])
        self.assertEqual(self.asked, [])
        self.assertEqual(self.server.seen, [])

    def test_an_answer_that_can_not_be_understood_is_kept_back(self):
        secret = lambda: json.dumps({"access_token": self.server.access, "refresh_token": self.server.refresh})
        answers = {
            "garbage": lambda r: r.text("access_token=" + self.server.access),
            "no JSON": lambda r: r.json("{" + secret()),
            "a list": lambda r: r.json("[" + secret() + "]"),
            "twice": lambda r: r.json('{"access_token":"%s","access_token":"%s"}' % (self.server.access, self.server.refresh)),
            "no access token": lambda r: r.json(json.dumps({"refresh_token": self.server.refresh})),
            "another type": lambda r: r.json(json.dumps({"access_token": [self.server.access]})),
            "a redirect": lambda r: r.raw(302, b"", headers=[("Location", f"https://{OTHER}/?t=" + self.server.access)]),
            "a redirect that repeats": lambda r: r.raw(307, secret().encode(), "application/json", [("Location", f"https://{OTHER}/")]),
            "no content": lambda r: r.raw(204, b""),
            "created": lambda r: r.raw(201, secret().encode(), "application/json"),
            "too long": lambda r: r.json(json.dumps({"access_token": self.server.access, "x": "y" * 300_000})),
        }
        script = AGENT + "for _ in range(%d):\n    answer = refresh()\n    say(answer[0], answer[1], answer[2])\n" % len(answers)
        queue = list(answers.values())

        def answer(request):
            kept = self.server.refresh
            queue.pop(0)(request)
            self.server.refresh = self.server.first[1]  # as if it had not been replaced: the next try gets as far
            return kept

        self.server.answer = answer
        result = self.ok(self.run_agent(script))
        for name, line in zip(answers, self.lines(result)):
            self.assertEqual(line[0], 502, f"{name}: {line}")
            self.assertNotIn("real-", json.dumps(line), name)
        self.assertEqual(queue, [])
        self.assertEqual(self.lab.web.received(OTHER), [])
        self.assertEqual(self.host_file()["oauth"]["refreshToken"], self.server.first[1])
        self.assertEqual(self.events("credential.refreshed"), [])
        self.nothing_real(result)

    def test_tokens_in_odd_places_of_an_answer(self):
        def answer(request):
            s = self.server
            body = json.dumps({"access_token": s.access, "refresh_token": s.refresh, "expires_in": 60, "token_type": s.access,
                               "scope": "user:inference " + s.refresh, "account": {"token": s.access}, s.refresh: 1,
                               "id_token": s.access, "note": s.refresh})
            request.raw(200, body.encode(), "application/json", [("X-Token", s.refresh), ("Set-Cookie", "t=" + s.access)])

        self.server.answer = answer
        result = self.ok(self.run_agent(AGENT + "answer = refresh()\nsay(*answer)\nkeep(answer[1])\nsay(ask()[0])\n"))
        (status, body, headers), again = self.lines(result)
        self.assertEqual((status, again), (200, [200]), result)
        self.assertNotIn("real-", body + json.dumps(headers))
        self.assertLessEqual(set(json.loads(body)), {"access_token", "refresh_token", "expires_in", "token_type", "scope"})
        self.nothing_real(result)

    def test_a_refusal_of_the_login_server_is_told_in_one_word(self):
        self.server.refresh = "another"
        result = self.ok(self.run_agent(AGENT + "say(*refresh()[:2])\n"))
        (status, body), = self.lines(result)
        self.assertEqual((status, json.loads(body)["error"]), (400, "invalid_grant"))
        self.server.refresh = self.server.first[1]
        self.server.answer = lambda r: r.raw(503, ("<html>" + self.server.access).encode(), "text/html")
        result = self.ok(self.run_agent(AGENT + "say(*refresh()[:2])\n"))
        (status, body), = self.lines(result)
        self.assertEqual((status, json.loads(body)["error"]), (503, "temporarily_unavailable"))
        self.nothing_real(result)

    def test_the_hosts_file_never_comes_in_by_a_mount(self):
        alone = self.policy_text[self.policy_text.index("[credential"):]
        for mount, why in ((f'[[mount]]\npath = "{self.home}/.agent"\nmode = "ro"\n', "would show the host's own file"),
                           (f'[[mount]]\npath = "{self.home}/.agent"\nmode = "rw"\n', "would show the host's own file"),
                           (f'[[mount]]\npath = "{self.file}"\ntarget = "/tmp/x"\n', "would show the host's own file"),
                           (f'[[mount]]\npath = "{self.home}/.agent"\ntarget = "/tmp/y"\ncopy = true\n', "in the mount's `except`")):
            result = self.run_agent("print('ran')", mount + alone)
            self.assertEqual((result.status, result.out), (125, ""), result)
            self.assertIn(why, result.err)
        # With none it stands in a folder of its own.
        self.assertEqual(self.lines(self.ok(self.run_agent(WORK, alone)))[0], [200])

    def test_a_file_that_somebody_else_has_written_is_left_alone(self):
        def answer(request):
            # Meanwhile the user logs in anew, on the host.
            self.write(self.file, json.dumps({"oauth": {"accessToken": "of-a-new-login-1", "refreshToken": "of-a-new-login-2"}}), 0o600)
            request.json(json.dumps({"access_token": self.server.access, "refresh_token": self.server.refresh}))

        self.server.answer = answer
        result = self.ok(self.run_agent(AGENT + "answer = refresh()\nsay(answer[0])\nkeep(answer[1])\nsay(ask()[0])\n"))
        self.assertEqual(self.lines(result), [[200], [200]])
        self.assertEqual(self.host_file()["oauth"]["refreshToken"], "of-a-new-login-2")
        self.assertIn("could not be given the new tokens", result.err)
        event, = self.events("credential.refreshed")
        self.assertEqual(event["written"], False)
        self.assertIn("other tokens", event["why"])
        self.nothing_real(result)

    def test_revoked_it_is_worth_nothing(self):
        session = self.start_inside(["/usr/bin/python3", "-c", AGENT + "say(ask()[0])\ninput()\nsay(ask()[0])\nsay(refresh()[0])\n"],
                                    self.policy_text, stdin=-1)
        self.assertEqual(session.stdout.readline(), b"[200]\n")
        name = json.loads(self.bulkhead("ps", "--json").out)[0]["id"]
        self.ok(self.bulkhead("revoke", name, "--credential", "agent"))
        out, err = session.communicate(b"\n", timeout=30)
        self.assertEqual(out, b"[403]\n[403]\n", err)
        self.assertEqual(self.server.seen, [])

    # Whatever is killed -----------------------------------------------------------------------------------

    def helper(self, session, name):
        found = procs.descendants_named(session.pid, name)
        self.assertEqual(len(found), 1, name)
        return found[0]

    def refreshing(self):
        session = self.start_inside(["/usr/bin/python3", "-c", AGENT + "say(0)\ninput()\nsay(refresh()[0])\n"],
                                    self.policy_text, stdin=-1)
        self.assertEqual(session.stdout.readline(), b"[0]\n")
        return session

    def whole(self):
        text = self.read(self.file)
        pair = (json.loads(text)["oauth"]["accessToken"], json.loads(text)["oauth"]["refreshToken"])
        self.assertIn(pair, (self.server.first, (self.server.access, self.server.refresh)))
        return pair

    def test_killed_between_the_answer_and_the_file(self):
        """Everything but the process that has the file dies once it was told of the new tokens: they are written."""
        session = self.refreshing()
        keeper = self.helper(session, "bulkhead-login")
        at_server = threading.Event()

        def answer(request):
            os.kill(keeper, signal.SIGSTOP)
            at_server.set()
            request.json(json.dumps({"access_token": self.server.access, "refresh_token": self.server.refresh}))

        self.server.answer = answer
        session.stdin.write(b"\n")
        session.stdin.flush()
        self.assertTrue(at_server.wait(20))
        time.sleep(1)  # egress has the answer and waits for the file
        family = procs.descendants(session.pid)
        for pid in [session.pid, *family]:
            if pid != keeper:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.assertEqual(self.whole(), self.server.first)
        os.kill(keeper, signal.SIGCONT)
        self.wait_until(lambda: self.whole() != self.server.first, what="the new tokens are in the file")
        self.wait_until(lambda: procs.is_zombie(keeper), what="the process ends")
        session.wait()

    def test_the_session_ends_while_a_refresh_is_under_way(self):
        """The answer has a moment to come in and be stored (egress/limits.h, last_refresh); after that it is too late."""
        for late, in_time in ((0.3, True), (2.5, False)):
            with self.subTest(late=late):
                session = self.refreshing()
                at_server, answered = threading.Event(), threading.Event()
                before = self.host_file()

                def answer(request):
                    at_server.set()
                    time.sleep(late)
                    request.json(json.dumps({"access_token": self.server.access, "refresh_token": self.server.refresh}))
                    answered.set()

                self.server.answer = answer
                session.stdin.write(b"\n")
                session.stdin.flush()
                self.assertTrue(at_server.wait(20))
                began = time.monotonic()
                session.terminate()
                out, err = session.communicate(timeout=30)
                took = time.monotonic() - began
                self.assertEqual(session.returncode, 143, err)
                self.assertLess(took, 2.3, "nobody waits for longer than that")
                self.assertNotIn(b"real-", out + err)
                answered.wait(20)
                if in_time:
                    self.wait_until(lambda: self.host_file()["oauth"]["refreshToken"] == self.server.refresh,
                                    what="the new tokens are in the file")
                    self.assertEqual(self.host_file()["oauth"]["accessToken"], self.server.access)
                    event, = self.events("credential.refreshed")
                    self.assertTrue(event["written"])
                else:
                    self.assertEqual(self.host_file(), before)

    def test_killed_with_the_process_that_has_the_file(self):
        """Then nothing is written, the file is whole, and the session ends: no half boundary."""
        session = self.refreshing()
        keeper = self.helper(session, "bulkhead-login")

        def answer(request):
            os.kill(keeper, signal.SIGKILL)
            request.json(json.dumps({"access_token": self.server.access, "refresh_token": self.server.refresh}))

        self.server.answer = answer
        out, err = session.communicate(b"\n", timeout=30)
        self.assertIn(b"without it there is no boundary", err)
        self.assertEqual(session.returncode, 125)
        self.assertEqual(self.whole(), self.server.first)
        self.assertNotIn(b"real-", out + err)
