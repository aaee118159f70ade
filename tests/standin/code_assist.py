"""A stand-in for Google's Code Assist API, which Gemini CLI asks with a login: the Gemini API in another dress."""
import json

from .gemini import GenerateContent


class CodeAssist(GenerateContent):
    host = "cloudcode-pa.googleapis.com"
    message = ("/v1internal:generateContent", "authorization: Bearer ya29.",
               '{"model":"gemini-x","request":{"contents":[{"parts":[{"text":"&"}]}]}}')

    def __init__(self, script, key, hold=None):
        super().__init__(script, key, hold)
        self.asked = []

    def __call__(self, request):
        function = request.path.split("?")[0].rpartition(":")[2]
        self.asked.append(function)
        bearer = (request.headers.get("authorization") or "").removeprefix("Bearer ")
        if bearer != self.key.access:  # the login server's
            self.wrong_keys.append(bearer)
            return request.json('{"error":{"code":401,"message":"bad token","status":"UNAUTHENTICATED"}}', 401)
        if function == "loadCodeAssist":
            return request.json(json.dumps({"currentTier": {"id": "free-tier", "name": "Free"},
                                            "cloudaicompanionProject": "project-of-mine"}))
        if function == "countTokens":
            return request.json('{"totalTokens":10}')
        body = json.loads(request.body)["request"]
        answer = {"response": self.answer(body), "traceId": "standin"}
        if function == "streamGenerateContent":
            request.stream("text/event-stream", [f"data: {json.dumps(answer)}\r\n\r\n"])
        else:
            request.json(json.dumps(answer))


def token_info(server):
    """oauth2.googleapis.com: the token endpoint, and what a token is good for."""
    def site(request):
        if request.path != "/tokeninfo":
            return server(request)
        if request.headers.get("authorization") != f"Bearer {server.access}":
            return request.json('{"error":"invalid_token"}', 400)
        request.json(json.dumps({"scope": "https://www.googleapis.com/auth/cloud-platform", "expires_in": 3000,
                                 "email": "me@example.com"}))
    return site
