"""A stand-in for the token endpoint of an agent's login (RFC 6749), which replaces the refresh token at every use."""
import base64
import json
import threading
import time
import urllib.parse


def jwt(claims):
    part = lambda data: base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")
    signature = base64.urlsafe_b64encode(f"real-signature-{claims.get('n', 0)}-never-inside".encode()).decode().rstrip("=")
    return f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}.{signature}"


class LoginServer:
    """`access`, `refresh`: the tokens that are good now. `claims`: access tokens are JWTs with these in them."""

    def __init__(self, path, rotates=True, claims=None, extra=None):
        self.path, self.rotates, self.claims, self.extra = path, rotates, claims, extra or {}
        self.number = 0
        self.seen = []  # the fields of every refresh that arrived
        self.answered = []
        self.answer = None  # in place of the usual one: a function of the request
        self.lock = threading.Lock()
        self.renew()
        self.first = (self.access, self.refresh)

    def renew(self):
        self.number += 1
        self.access = f"real-access-{self.number}-5d0c77e1-never-inside"
        if self.claims is not None:
            self.access = jwt({**self.claims, "n": self.number, "exp": int(time.time()) + 3600})
        if self.rotates or self.number == 1:
            self.refresh = f"real-refresh-{self.number}-a1b2c3d4-never-inside"

    def __call__(self, request):
        if request.method != "POST" or request.path != self.path:
            return request.json('{"error":"not_found"}', 404)
        body = request.body.decode()
        if "json" in request.headers.get("Content-Type", ""):
            fields = json.loads(body)
        else:
            fields = dict(urllib.parse.parse_qsl(body, keep_blank_values=True, strict_parsing=True))
        with self.lock:
            self.seen.append(fields)
            if fields.get("grant_type") != "refresh_token" or fields.get("refresh_token") != self.refresh:
                return request.json('{"error":"invalid_grant","error_description":"Refresh token not found or invalid"}', 400)
            self.renew()
            if self.answer:
                return self.answer(request)
            answer = {"token_type": "Bearer", "access_token": self.access, "expires_in": 28800, **self.extra}
            if self.rotates:
                answer["refresh_token"] = self.refresh
            self.answered.append(answer)
            request.json(json.dumps(answer))

    def secrets(self):
        """Every token it has ever handed out."""
        out = [f"real-refresh-{n}-a1b2c3d4-never-inside" for n in range(1, self.number + 1)]
        if self.claims is None:
            return out + [f"real-access-{n}-5d0c77e1-never-inside" for n in range(1, self.number + 1)]
        return out + [jwt({"n": n}).rsplit(".", 1)[1] for n in range(1, self.number + 1)]
