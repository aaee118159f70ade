"""A stand-in for the Anthropic Messages API."""
import json

from . import script

class Messages(script.ScriptedModel):
    shell = ("Bash", "bash")  # of the tools that the agents offer, the one that takes a shell command
    host = "api.anthropic.com"
    message = ("/v1/messages", "x-api-key: sk-ant-api03-",
               '{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"&"}]}')

    def key_of(self, request):
        return request.headers.get("x-api-key")

    def __call__(self, request):
        path = request.path.split("?")[0]
        if path != "/v1/messages":
            return request.json("{}")
        if not self.known(self.key_of(request), request):
            return request.json('{"type":"error","error":{"type":"authentication_error","message":"bad key"}}', 401)
        body = json.loads(request.body)
        name = next((tool["name"] for tool in body.get("tools", []) if tool.get("name") in self.shell), None)
        call = self.next_command(tool_results(body)) if name else None
        if call is None:
            return self.reply(request, body, [{"type": "text", "text": "All done."}], "end_turn")
        step, command = call
        self.reply(request, body, [{"type": "tool_use", "id": f"toolu_{step:04d}", "name": self.tool_of(command, name),
                                    "input": self.input_of(command, step)}], "tool_use")

    @staticmethod
    def tool_of(command, shell):
        return shell

    @staticmethod
    def input_of(command, step):
        return {"command": command, "description": f"step {step}"}

    def reply(self, request, body, blocks, reason):
        message = {"id": "msg_standin", "type": "message", "role": "assistant", "model": body.get("model", "m"),
                   "content": blocks, "stop_reason": reason, "stop_sequence": None,
                   "usage": {"input_tokens": 10, "output_tokens": 5}}
        if body.get("stream"):
            request.stream("text/event-stream", events(message))
        else:
            request.json(json.dumps(message))


class Subscribed(Messages):
    """The same for who is logged in: `key` is then the login server."""

    def known(self, key, request):
        if key == self.key.access:
            return True
        self.wrong_keys.append(key)
        return False

    def key_of(self, request):
        return (request.headers.get("authorization") or "").removeprefix("Bearer ")


def tool_results(body):
    found = []
    for message in body.get("messages", []):
        content = message.get("content")
        for block in content if isinstance(content, list) else []:
            if block.get("type") == "tool_result":
                inner = block.get("content")
                if isinstance(inner, list):
                    inner = "".join(part.get("text", "") for part in inner)
                found.append(inner or "")
    return found


def events(message):
    def event(kind, **fields):
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"

    yield event("message_start", message={**message, "content": [], "stop_reason": None})
    for index, block in enumerate(message["content"]):
        if block["type"] == "text":
            start, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            start = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield event("content_block_start", index=index, content_block=start)
        yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    yield event("message_delta", delta={"stop_reason": message["stop_reason"], "stop_sequence": None},
                usage={"output_tokens": 5})
    yield event("message_stop")
