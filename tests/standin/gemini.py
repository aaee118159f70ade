"""A stand-in for generating content with Google's Gemini API."""
import json

from . import script

class GenerateContent(script.ScriptedModel):
    shell = ("run_shell_command", "bash")  # of the tools that the agents offer, the one that takes a shell command
    host = "generativelanguage.googleapis.com"
    message = ("/v1beta/models/gemini-x:generateContent", "x-goog-api-key: AIzaSy", '{"contents":[{"parts":[{"text":"&"}]}]}')

    def __call__(self, request):
        path = request.path.split("?")[0]
        function = path.rpartition(":")[2]
        if not self.known(request.headers.get("x-goog-api-key"), request):
            return request.json('{"error":{"code":401,"message":"bad key","status":"UNAUTHENTICATED"}}', 401)
        if function == "countTokens":
            return request.json('{"totalTokens":10}')
        if function not in ("generateContent", "streamGenerateContent"):
            return request.json('{"error":{"code":404,"message":"no such function","status":"NOT_FOUND"}}', 404)
        answer = self.answer(json.loads(request.body))
        if function == "streamGenerateContent":
            request.stream("text/event-stream", [f"data: {json.dumps(answer)}\r\n\r\n"])
        else:
            request.json(json.dumps(answer))

    @staticmethod
    def input_of(command, step):
        return {"command": command, "description": f"step {step}"}

    def answer(self, body):
        names = [declared.get("name") for tool in body.get("tools", []) for declared in tool.get("functionDeclarations", [])]
        name = next((name for name in names if name in self.shell), None)
        call = self.next_command(tool_results(body)) if name else None
        if call:
            step, command = call
            part = {"functionCall": {"name": name, "args": self.input_of(command, step)}}
        else:
            wanted = body.get("generationConfig", {})
            schema = wanted.get("responseJsonSchema") or wanted.get("responseSchema")
            part = {"text": json.dumps(some(schema)) if schema else "All done."}
        return {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
                "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
                "modelVersion": "standin", "responseId": "standin"}


def some(schema):
    """Anything that fits: the CLI asks small models how hard a task is, or whose turn it is."""
    if "enum" in schema:
        return schema["enum"][0]
    return {"object": lambda: {name: some(inner) for name, inner in schema.get("properties", {}).items()},
            "array": list, "integer": lambda: 50, "number": lambda: 50, "boolean": bool}.get(schema.get("type", "").lower(), str)()


def tool_results(body):
    found = []
    for content in body.get("contents", []):
        for part in content.get("parts", []):
            if "functionResponse" in part:
                response = part["functionResponse"].get("response", {})
                found.append(str(response.get("output", response.get("content", json.dumps(response)))))
    return found
