"""What the stand-ins of model APIs share: a model that follows a script of shell commands.

Each command becomes one call of the agent's tool for shell commands, in order; then the model ends its turn. `hold`
names a step at which the answer waits for `release()`, so that a test can look at the agent while it runs.
"""
import threading

ATTACKER = "of-somebody-else-8c31"  # ends the key of an account that isn't the user's


class ScriptedModel:
    host = None     # where the API is
    message = None  # something said to it: path, the header with a key up to where it ends, the body with & for text

    def __init__(self, script, key, hold=None):
        self.script, self.key = script, key
        self.hold_at, self.holding, self._released = hold, threading.Event(), threading.Event()
        self.results = []  # what each tool call gave back
        self.wrong_keys = []
        self.foreign = []  # bodies that arrived with the attacker's key, which is as good as any to the API

    def release(self):
        self._released.set()

    def known(self, key, request):
        """Is this the user's key? (The real API knows the attacker's too: what came with it has been delivered.)"""
        if key == self.key:
            return True
        if key and key.endswith(ATTACKER):
            self.foreign.append(request.body.decode("utf-8", "replace"))
        else:
            self.wrong_keys.append(key)
        return False

    def next_command(self, results):
        """(number, command) of the step after these results; None when the script has come to its end."""
        self.results = max(self.results, results, key=len)
        step = len(results)
        if self.hold_at == step and not self._released.is_set():
            self.holding.set()
            self._released.wait(120)
        return (step, self.script[step]) if step < len(self.script) else None
