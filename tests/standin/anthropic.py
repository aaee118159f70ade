"""A stand-in for the Anthropic Messages API whose model follows a script of shell commands.

Each command becomes one call of the agent's Bash tool, in order; then the model ends its turn. `hold` names
steps at which the answer waits for `release()`, so that a test can look at the agent while it runs.
"""
import json
import threading


class ScriptedModel:
    def __init__(self, script, key, hold=None):
        self.script, self.key = script, key
        self.hold_at, self.holding, self._released = hold, threading.Event(), threading.Event()
        self.results = []  # what each tool call gave back
        self.wrong_keys = []

    def release(self):
        self._released.set()

    def __call__(self, request):
        path = request.path.split("?")[0]
        if path != "/v1/messages":
            return request.json("{}")
        if request.headers.get("x-api-key") != self.key:
            self.wrong_keys.append(request.headers.get("x-api-key"))
            return request.json('{"type":"error","error":{"type":"authentication_error","message":"bad key"}}', 401)
        body = json.loads(request.body)
        results = tool_results(body)
        step = len(results)
        if any(tool.get("name") == "Bash" for tool in body.get("tools", [])):
            self.results = max(self.results, results, key=len)
            if self.hold_at == step and not self._released.is_set():
                self.holding.set()
                self._released.wait(120)
            if step < len(self.script):
                return self.reply(request, body, [{
                    "type": "tool_use", "id": f"toolu_{step:04d}", "name": "Bash",
                    "input": {"command": self.script[step], "description": f"step {step}"}}], "tool_use")
        return self.reply(request, body, [{"type": "text", "text": "All done."}], "end_turn")

    def reply(self, request, body, blocks, reason):
        message = {"id": "msg_standin", "type": "message", "role": "assistant", "model": body.get("model", "m"),
                   "content": blocks, "stop_reason": reason, "stop_sequence": None,
                   "usage": {"input_tokens": 10, "output_tokens": 5}}
        if body.get("stream"):
            request.stream("text/event-stream", events(message))
        else:
            request.json(json.dumps(message))


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
