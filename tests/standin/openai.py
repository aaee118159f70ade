"""A stand-in for OpenAI's Responses API."""
import json

from . import script


class Responses(script.ScriptedModel):
    host = "api.openai.com"
    message = ("/v1/responses", "authorization: Bearer sk-proj-", '{"model":"gpt-x","input":"&"}')

    base = "/v1"

    def __call__(self, request):
        path = request.path.split("?")[0]
        if not self.known((request.headers.get("Authorization") or "").removeprefix("Bearer "), request):
            return request.json('{"error":{"message":"bad key","type":"invalid_request_error","code":"invalid_api_key"}}', 401)
        if path == self.base + "/models":
            return request.json('{"object":"list","data":[],"models":[]}')
        if path != self.base + "/responses" or request.method != "POST":
            return request.json('{"error":{"message":"no such function","type":"invalid_request_error"}}', 404)
        body = json.loads(request.body)
        make = self.call_of(tools(body))
        call = self.next_command(tool_results(body)) if make else None
        if call:
            step, command = call
            item = {**make(command), "id": f"fc_{step:04d}", "call_id": f"call_{step:04d}", "status": "completed"}
        else:
            item = {"type": "message", "id": "msg_standin", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": "All done.", "annotations": []}]}
        self.reply(request, body, item)

    @staticmethod
    def call_of(offered):
        return shell_call(offered)

    @staticmethod
    def reply(request, body, item):
        response = {"id": "resp_standin", "object": "response", "created_at": 1767225600, "status": "completed",
                    "model": body.get("model", "m"), "output": [item],
                    "usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 5,
                              "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15}}
        if body.get("stream"):
            request.stream("text/event-stream", events(response))
        else:
            request.json(json.dumps(response))


class ChatGPT(Responses):
    """The same for who is logged in with ChatGPT: `key` is then the login server."""
    host, base = "chatgpt.com", "/backend-api/codex"

    def __call__(self, request):
        if request.path != "/backend-api/wham/accounts/check":
            return super().__call__(request)
        account = {"id": "account-1", "account_user_id": "user-1", "account_user_role": "standard-user",
                   "structure": "personal", "plan_type": "pro", "is_zdr": False, "is_openai_internal": False,
                   "workspace_backend_origin": "NO_CONSTRAINT", "account_routing_override": "NO_CONSTRAINT"}
        request.json(json.dumps({"accounts": [account], "default_account_id": "account-1", "account_ordering": ["account-1"]}))

    def known(self, key, request):
        if key == self.key.access:
            return True
        self.wrong_keys.append(key)
        return False


def tools(body):
    """{name: tool} of what the request offers; newer models are told their tools in the input."""
    offered = list(body.get("tools", []))
    for item in body["input"] if isinstance(body.get("input"), list) else []:
        offered += item.get("tools", [])
    for tool in list(offered):
        offered += [{**inner, "namespace": tool["name"]} for inner in tool.get("tools", [])]
    return {tool.get("name"): tool for tool in offered}


def javascript(offered, code):
    """A call of the tool of an agent whose model writes JavaScript."""
    namespace = offered["exec"].get("namespace")
    return {"type": "custom_tool_call", "name": "exec", **({"namespace": namespace} if namespace else {}), "input": code}


def shell_call(offered):
    """How the agent that offers these tools is asked to run a shell command; None: it can't."""
    if "exec_command" in offered:  # Codex
        return lambda command: function("exec_command", {"cmd": command, "yield_time_ms": 30000})
    if "exec" in offered:  # Codex with a model that writes JavaScript
        def script(command):
            words = json.dumps({"cmd": command, "yield_time_ms": 30000})
            return javascript(offered, f"const r = await tools.exec_command({words}); text(r.output);")
        return script
    if "bash" in offered:  # opencode
        return lambda command: function("bash", {"command": command, "description": "a step"})
    return None


def function(name, arguments):
    return {"type": "function_call", "name": name, "arguments": json.dumps(arguments)}


def tool_results(body):
    found = []
    for item in body["input"] if isinstance(body.get("input"), list) else []:
        if item.get("type") in ("function_call_output", "custom_tool_call_output"):
            output = item.get("output")
            if isinstance(output, list):
                output = "".join(part.get("text", "") for part in output)
            found.append(output or "")
    return found


def events(response):
    number = 0

    def event(kind, **fields):
        nonlocal number
        number += 1
        return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': number, **fields})}\n\n"

    item = response["output"][0]
    yield event("response.created", response={**response, "status": "in_progress", "output": [], "usage": None})
    if item["type"] == "message":
        text, place = item["content"][0]["text"], {"item_id": item["id"], "output_index": 0, "content_index": 0}
        yield event("response.output_item.added", output_index=0, item={**item, "content": [], "status": "in_progress"})
        yield event("response.content_part.added", part={"type": "output_text", "text": "", "annotations": []}, **place)
        yield event("response.output_text.delta", delta=text, **place)
        yield event("response.output_text.done", text=text, **place)
        yield event("response.content_part.done", part=item["content"][0], **place)
    elif item["type"] == "function_call":
        place = {"item_id": item["id"], "output_index": 0}
        yield event("response.output_item.added", output_index=0, item={**item, "arguments": "", "status": "in_progress"})
        yield event("response.function_call_arguments.delta", delta=item["arguments"], **place)
        yield event("response.function_call_arguments.done", arguments=item["arguments"], **place)
    yield event("response.output_item.done", output_index=0, item=item)
    yield event("response.completed", response=response)
