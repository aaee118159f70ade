"""AWS Signature Version 4, both ends of it: a client that signs, and a check of what was signed.

Written from AWS's documentation ("Create a signed request"), on its own: nothing here knows the gateway's code.
As a program: sigv4.py METHOD HOST TARGET [OPTION=VALUE…], signing with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY;
options are body, payload (a word in place of the hash; "none": no header), region, service, key, secret, tamper, and
header.NAME. Prints the status and the body.
"""
import datetime
import hashlib
import hmac
import http.client
import os
import ssl
import sys
import urllib.parse

EMPTY = hashlib.sha256(b"").hexdigest()


def quoted(text):
    return urllib.parse.quote(text, safe="-._~")


def canonical(method, target, headers, signed, payload, service):
    path, _, query = target.partition("?")
    if service == "s3":
        path = urllib.parse.quote(urllib.parse.unquote(path), safe="/-._~")
    else:
        path = urllib.parse.quote(path, safe="/-._~")
    pairs = sorted((quoted(urllib.parse.unquote(k)), quoted(urllib.parse.unquote(v)))
                   for k, _, v in (part.partition("=") for part in query.split("&") if part))
    lines = [method, path, "&".join(f"{k}={v}" for k, v in pairs)]
    lines += [f"{name}:{' '.join(headers[name].split())}" for name in signed]
    return "\n".join(lines + ["", ";".join(signed), payload])


def signature(secret, date, region, service, text):
    key = ("AWS4" + secret).encode()
    for part in (date[:8], region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(text.encode()).hexdigest()}"
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def wrong(request, key_id, secret, region, service, session=None):
    """What is wrong with a request that arrived at a stand-in; "" for nothing."""
    headers = {name.lower(): value for name, value in request.header_list}
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme != "AWS4-HMAC-SHA256":
        return "not signed"
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    if parts["Credential"] != f"{key_id}/{headers['x-amz-date'][:8]}/{region}/{service}/aws4_request":
        return "credential " + parts["Credential"]
    if headers.get("x-amz-security-token") != session:
        return "session token"
    signed = parts["SignedHeaders"].split(";")
    unsigned = [n for n in headers if (n.startswith("x-amz-") or n in ("host", "content-type")) and n not in signed]
    if unsigned:
        return f"unsigned {unsigned}"
    body = hashlib.sha256(request.body).hexdigest()
    payload = headers.get("x-amz-content-sha256", body)
    if len(payload) == 64 and payload != body:
        return "body"
    now = datetime.datetime.now(datetime.timezone.utc)
    then = datetime.datetime.strptime(headers["x-amz-date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
    if abs((now - then).total_seconds()) > 300:
        return "time"
    text = canonical(request.method, request.path, headers, signed, payload, service)
    expected = signature(secret, headers["x-amz-date"], region, service, text)
    return "" if hmac.compare_digest(expected, parts["Signature"]) else "signature of " + text


def main():
    method, host, target, *rest = sys.argv[1:]
    options = dict(part.split("=", 1) for part in rest)
    body = options.get("body", "").encode()
    region, service = options.get("region", "eu-central-1"), options.get("service", "s3")
    key, secret = (options.get(k) or os.environ[v] for k, v in (("key", "AWS_ACCESS_KEY_ID"), ("secret", "AWS_SECRET_ACCESS_KEY")))
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    payload = options.get("payload", hashlib.sha256(body).hexdigest())
    headers = {"host": host, "x-amz-date": date}
    if payload != "none":
        headers["x-amz-content-sha256"] = payload
    headers.update({name[7:]: value for name, value in options.items() if name.startswith("header.")})
    text = canonical(method, target, headers, sorted(headers),
                     hashlib.sha256(body).hexdigest() if payload == "none" else payload, service)
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={key}/{date[:8]}/{region}/{service}/aws4_request, "
                                f"SignedHeaders={';'.join(sorted(headers))}, "
                                f"Signature={signature(secret, date, region, service, text)}")
    if "tamper" in options:
        body = options["tamper"].encode()
    connection = http.client.HTTPSConnection(host, context=ssl.create_default_context(), timeout=20)
    try:
        if options.get("chunked"):
            headers["transfer-encoding"] = "chunked"
            connection.request(method, target, iter([body]), headers, encode_chunked=True)
        else:
            connection.request(method, target, body or None, headers)
        answer = connection.getresponse()
        print(answer.status)
        print(answer.read().decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException) as error:
        print("cut", type(error).__name__)


if __name__ == "__main__":
    main()
