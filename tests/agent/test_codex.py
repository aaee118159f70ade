"""X29, X30: Codex CLI, as npm installs it: a launcher for Node.js and a program."""
import os
import unittest

from agent.agent import MODULES, Incident
from standin.openai import Responses
from support import Case

CODEX = os.path.join(MODULES, ".bin/codex")

# What the profile says, for the arm that has none. Without the first two Codex asks for a login and never looks at the
# variable, without the last it runs each command in a sandbox of its own.
SETTINGS = ["-c", 'model_provider="openai-key"', "-c", 'model_providers.openai-key={ name = "OpenAI with a key", '
            'base_url = "https://api.openai.com/v1", env_key = "OPENAI_API_KEY", wire_api = "responses" }',
            "-c", 'sandbox_mode="danger-full-access"']


class CodexCli:
    profile, api, part = "codex", Responses, "codex"
    variable, key = "OPENAI_API_KEY", "sk-proj-real-key-77b0aa-never-inside"
    login, memory = ".codex/auth.json", ".codex/memories_99.sqlite"

    @staticmethod
    def command():
        return [CODEX, "exec", "Look after this project."]

    def outside(self, argv, **keywords):
        return super().outside([argv[0], *SETTINGS, *argv[1:]], **keywords)

    def start_outside(self, argv, **keywords):
        return super().start_outside([argv[0], *SETTINGS, *argv[1:]], **keywords)


@unittest.skipUnless(os.path.exists(CODEX), f"the agent is not installed ({CODEX}); ./dev test installs it")
class Codex(CodexCli, Incident, Case):
    pass
