"""F01, F04, F05, T07, T09, W02: HTTP/2 on both sides and gRPC, with ordinary clients and with hostile ones. The server
behind, which records what reaches it, is the judge."""
import json
import os
import shutil

from standin.program import Program
from support import Case, case

HOST, PORT = "h2.example.com", 8443
PACKAGES = os.path.join(os.environ.get("BULKHEAD_AGENTS", os.path.join(case.ROOT, ".cache/agents")), "node_modules")
KEY = "real-key-77aa01"


class Server(Program):
    """tests/standin/h2_server.js."""

    def __init__(self, test, *words):
        script = os.path.join(case.ROOT, "tests/standin/h2_server.js")
        super().__init__(test, HOST, PORT, ["node", script, "{}", *test.lab.authority.pair(HOST), *words])

    requests = property(lambda self: self.seen)


class Http2(Case):
    def server(self, *words):
        made = Server(self, *words)
        self.addCleanup(made.close)
        return made

    def here(self):
        return self.grant(HOST, port=PORT)

    def curl(self, *words, policy=None, env=None):
        words = ["curl", "-sS", "-m", "30", "-w", "%{http_code} %{http_version}\\n", *words]
        return self.inside(words, policy or self.here(), env=env)

    # Ordinary clients ----------------------------------------------------------------------------------

    def test_curl_speaks_http2_all_the_way(self):
        server = self.server()
        result = self.curl("--http2", "--data", "hello ", f"https://{HOST}:{PORT}/echo")
        self.assertEqual(result.out, "hello 200 2\n", result)
        self.assertEqual([(r["version"], r["method"]) for r in server.requests], [("2.0", "POST")])
        self.assertEqual(server.requests[0]["headers"][":authority"], f"{HOST}:{PORT}")
        (request,), (upstream,) = self.recorded("http.request"), self.recorded("upstream.request")
        self.assertEqual((request["http"], upstream["http"]), ("2", "2"))

    def test_each_side_speaks_its_own_version(self):
        server = self.server()
        result = self.curl("--http1.1", f"https://{HOST}:{PORT}/trailers")
        self.assertEqual(result.out, "body\n200 1.1\n", result)
        self.assertEqual(server.requests[0]["version"], "2.0")
        self.lab.web.site("old.example.com", lambda request: request.text("old\n"))
        result = self.curl("--http2", "https://old.example.com/", policy=self.grant("old.example.com"))
        self.assertEqual(result.out, "old\n200 2\n", result)
        self.assertEqual(len(self.lab.web.received("old.example.com")), 1)

    def test_node_streams_both_ways(self):
        server = self.server()
        script = f"""
const http2 = require('http2');
const session = http2.connect('https://{HOST}:{PORT}');
let left = 21;
const done = () => {{ if (--left === 0) session.close(); }};
const ask = (headers, body, check) => {{
  const stream = session.request(headers);
  const parts = [];
  let trailers = null;
  stream.on('data', (part) => parts.push(part));
  stream.on('trailers', (fields) => trailers = fields['x-after']);
  stream.on('end', () => {{ console.log(check(Buffer.concat(parts), trailers)); done(); }});
  stream.on('error', (error) => {{ console.log('error', error.message); done(); }});
  stream.end(body);
}};
for (let i = 0; i < 10; ++i) ask({{':path': '/big'}}, undefined, (body) => body.length);
for (let i = 0; i < 10; ++i) {{
  const text = Buffer.alloc(1 << 20, String(i));
  ask({{':path': '/echo', ':method': 'POST'}}, text, (body) => body.equals(text));
}}
ask({{':path': '/trailers'}}, undefined, (body, trailers) => body + trailers);
"""
        self.write(os.path.join(self.work, "client.js"), script)
        result = self.inside(["node", "client.js"], self.here())
        self.assertEqual(sorted(result.out.split()), sorted(["4194304"] * 10 + ["true"] * 10 + ["body", "the", "end"]),
                         result)
        self.assertEqual({r["version"] for r in server.requests}, {"2.0"})

    def test_the_credential_is_exchanged(self):
        server = self.server()
        policy = self.credential(header="bearer") + self.grant(HOST, port=PORT, credential="api")
        words = f'curl -sS --http2 -H "Authorization: Bearer $API_KEY" https://{HOST}:{PORT}/'
        result = self.inside(["/bin/sh", "-c", f"echo $API_KEY; {words}"], policy, env={"API_KEY": KEY})
        self.assertNotIn(KEY, result.out)
        self.assertIn("hello", result.out)
        self.assertEqual(server.requests[0]["headers"]["authorization"], f"Bearer {KEY}")

    # Hostile ones --------------------------------------------------------------------------------------

    def raw(self, arm, cases):
        shutil.copy(os.path.join(case.ROOT, "tests/attacks/raw_h2.py"), self.work)
        self.write(os.path.join(self.work, "cases.json"), json.dumps(cases))
        argv = ["/usr/bin/python3", "raw_h2.py", HOST, str(PORT), "cases.json"]
        result = self.outside(argv, timeout=120) if arm == "off" else self.inside(argv, self.here(), timeout=120)
        self.assertEqual(result.status, 0, result)
        return json.loads(result.out)

    @staticmethod
    def fields(**changed):
        pseudo = {":method": "GET", ":scheme": "https", ":authority": f"{HOST}:{PORT}", ":path": "/attack"}
        pseudo.update({":" + name: value for name, value in changed.items()})
        return [[name, value] for name, value in pseudo.items() if value is not None]

    def elsewhere(self):
        """Another authority than the connection's: a server that serves many names serves it (T09)."""
        return [self.fields(authority="evil.example.com"), self.fields(authority=f"evil.example.com:{PORT}"),
                [*self.fields(), ["host", "evil.example.com"]], self.fields(path="/attack#x")]

    def malformed(self):
        good = self.fields()
        return [self.fields(method=None), self.fields(scheme=None), self.fields(path=None), self.fields(authority=None),
                self.fields(path=""), self.fields(path="attack"), self.fields(path="https://evil.example.com/attack"),
                self.fields(path="/a/../attack"), self.fields(path="/attack HTTP/1.1"), self.fields(scheme="http"),
                self.fields(method="CONNECT"), self.fields(method="TRACE"), self.fields(method="get"),
                [*good, [":path", "/attack"]], [*good, [":authority", "evil.example.com"]], [good[0], *good],
                [["x", "y"], *good], [*good, [":status", "200"]], [*good, [":protocol", "websocket"]],
                [*good, ["X-Upper", "a"]], [*good, ["connection", "close"]], [*good, ["transfer-encoding", "chunked"]],
                [*good, ["upgrade", "websocket"]], [*good, ["te", "gzip"]], [*good, ["keep-alive", "1"]],
                [*good, ["x", "a\r\nhost: evil.example.com"]], [*good, ["x", "a\0b"]], [*good, ["x\r\ny", "a"]],
                [*good, ["content-length", "5"]], [*good, ["host", f"{HOST}:{PORT}"], ["host", f"{HOST}:{PORT}"]],
                [*good, ["cookie", "a=b"], ["cookie", "c=d"]], [*good, ["authorization", "Bearer foreign"]],
                [*good, ["x-http-method-override", "DELETE"]], [*good, *([["x-a", "b"]] * 200)],
                [*good, ["x-a", "b" * 15000]] * 1, [*good, *([[f"x-{i}", "b" * 900] for i in range(16)])]]

    def test_F01_off(self):
        server = self.server()
        answers = self.raw("off", [{"headers": fields} for fields in self.elsewhere()])
        self.assertEqual([a.get("status") for a in answers], ["200"] * 4, answers)
        self.assertEqual(len(server.requests), 4)

    def test_F01_on(self):
        server = self.server()
        first, *answers = self.raw("on", [{"headers": fields} for fields in
                                          [self.fields(path="/control"), *self.elsewhere(), *self.malformed()]])
        self.assertEqual((first["status"], first["alpn"]), ("200", "h2"))
        for index, answer in enumerate(answers):
            refused = answer.get("status") in ("400", "403", "405", "421", "431", "501") or answer.get("reset") == 1
            self.assertTrue(refused, f"{(self.elsewhere() + self.malformed())[index]} got {answer}")
        self.assertEqual([a["status"] for a in answers[:2]], ["421", "421"])
        self.assertEqual([r["path"] for r in server.requests], ["/control"], "only the control may arrive")

    floods = ("ping", "settings", "priority", "window", "reset", "continuation", "empty", "bomb", "push")

    def test_F04_on(self):
        server = self.server()
        cases = [{"flood": flood} for flood in self.floods] + [{"headers": self.fields(path="/control")}]
        *answers, last = self.raw("on", cases)
        for flood, answer in zip(self.floods, answers):
            self.assertNotIn(answer.get("goaway"), (None, 0), f"{flood}: {answer}")
        self.assertEqual(last["status"], "200", "the gateway serves on")
        paths = [r["path"] for r in server.requests]
        self.assertEqual(paths[-1], "/control")
        # Of 5000 requests that were given up at once, what the first few made it up to.
        self.assertLess(len(paths), 300)
        self.assertIn("HTTP/2: flood", {event["what"] for event in self.recorded("net.refused")})

    def test_F04_off(self):
        server = self.server()
        (answer,) = self.raw("off", [{"flood": "ping"}])
        self.assertNotIn("goaway", answer, "Node's server answers them all, or would")
        self.assertEqual(server.requests, [])

    def test_T07_on(self):
        """Only h2 and http/1.1 are agreed on, whatever else is offered."""
        self.server()
        script = f"""
import socket, ssl
for offer in (["h2"], ["http/1.1"], ["h2", "http/1.1"], ["h3", "h2"], ["spdy/3"], ["http/1.0"], ["h2c"]):
    context = ssl.create_default_context()
    context.set_alpn_protocols(offer)
    try:
        with socket.create_connection(("{HOST}", {PORT}), 5) as plain, context.wrap_socket(plain, server_hostname="{HOST}") as tls:
            print(tls.selected_alpn_protocol())
    except ssl.SSLError:
        print("refused")
"""
        result = self.inside(["/usr/bin/python3", "-c", script], self.here())
        self.assertEqual(result.out.split(), ["h2", "http/1.1", "h2", "h2", "refused", "refused", "refused"], result)

    # gRPC ----------------------------------------------------------------------------------------------

    def calls(self, arm, policy="", words=(), env=None):
        shutil.copy(os.path.join(case.ROOT, "tests/attacks/grpc_client.js"), self.work)
        argv = ["node", "grpc_client.js", PACKAGES, f"{HOST}:{PORT}", *words]
        mount = f'[[mount]]\npath = "."\nmode = "rw"\n[[mount]]\npath = "{PACKAGES}"\nmode = "ro"\n'
        result = self.outside(argv) if arm == "off" else self.inside(argv, mount + policy, env=env)
        self.assertEqual(result.status, 0, result)
        return json.loads(result.out)

    @staticmethod
    def grpc(*paths, more=""):
        rules = "".join(f'[[grant.allow]]\npath = "{path}"\n{more}' for path in paths)
        return f'[[grant]]\nhost = "{HOST}"\nport = {PORT}\nprotocol = "grpc"\n{rules}'

    def test_F05_off(self):
        server = self.server(PACKAGES)
        out = self.calls("off")
        self.assertEqual(out["remove"], {"reply": "x"})
        self.assertIn("Delete", [r["method"] for r in server.requests])

    def test_F05_on(self):
        server = self.server(PACKAGES)
        out = self.calls("on", self.grpc("/pkg.Svc/Echo", "/pkg.Svc/Missing", "/pkg.Svc/Count", "/pkg.Svc/Chat"))
        self.assertEqual(out["echo"], {"reply": "hello"})
        self.assertEqual(out["large"], {"size": 1000000})
        self.assertEqual(out["missing"], {"code": 5, "details": "no such thing"})
        self.assertEqual(out["count"], {"messages": 1000, "last": "999"})
        self.assertEqual(out["chat"], {"messages": [f"you said word {i}" for i in range(5)]})
        for name in ("remove", "unknown"):
            self.assertEqual(out[name]["code"], 7, out[name])
            self.assertIn("Bulkhead", out[name]["details"])
        self.assertNotIn("Delete", [r["method"] for r in server.requests])
        denied = [e for e in self.recorded("http.request") if e["decision"] == "deny"]
        self.assertEqual({e["rule"] for e in denied}, {"path"})

    def test_F05_a_whole_service_and_no_other(self):
        server = self.server(PACKAGES)
        out = self.calls("on", self.grpc("/pkg.Svc/*"))
        self.assertEqual(out["remove"], {"reply": "x"})
        self.assertEqual(out["unknown"]["code"], 12, "the server's own word")
        server.requests.clear()
        out = self.calls("on", self.grpc("/pkg.Other/*"))
        self.assertEqual({name: answer.get("code") for name, answer in out.items()}, dict.fromkeys(out, 7))
        self.assertEqual(server.requests, [])

    def test_W02_budgets_count_a_calls_bytes(self):
        server = self.server(PACKAGES)
        out = self.calls("on", self.grpc("/pkg.Svc/*") + '[grant.budget]\nbytes_up = "500KB"\n')
        self.assertEqual(out["echo"], {"reply": "hello"})
        self.assertEqual(out["large"]["code"], 8, out["large"])
        out = self.calls("on", self.grpc("/pkg.Svc/*", more='max_body = "1KB"\n'))
        self.assertEqual(out["echo"], {"reply": "hello"})
        self.assertEqual(out["large"]["code"], 7, out["large"])
        self.assertTrue(server.requests)

    def test_grpc_credentials_are_exchanged(self):
        server = self.server(PACKAGES)
        policy = self.credential(header="x-api-key")
        policy += self.grpc("/pkg.Svc/Echo").replace("[[grant.allow]]", 'credential = "api"\n[[grant.allow]]', 1)
        shutil.copy(os.path.join(case.ROOT, "tests/attacks/grpc_client.js"), self.work)
        mount = f'[[mount]]\npath = "."\nmode = "rw"\n[[mount]]\npath = "{PACKAGES}"\nmode = "ro"\n'
        words = f'exec node grpc_client.js {PACKAGES} {HOST}:{PORT} x-api-key "$API_KEY"'
        result = self.inside(["/bin/sh", "-c", words], mount + policy, env={"API_KEY": KEY})
        self.assertEqual(json.loads(result.out)["echo"], {"reply": "hello"}, result)
        self.assertEqual({r["metadata"]["x-api-key"] for r in server.requests}, {KEY})
        # A foreign one is not.
        count = len(server.requests)
        out = self.calls("on", self.grpc("/pkg.Svc/*"), words=["x-api-key", "foreign"])
        self.assertEqual(out["echo"]["code"], 7)
        self.assertEqual(len(server.requests), count)
