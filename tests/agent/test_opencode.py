"""X29, X30: opencode, with each of the providers its profile has a key for. The program as npm has it: its package
`opencode-ai` only picks one of several, for the machine's kind, and this one runs on all."""
import os
import unittest

from agent.agent import MODULES, Contained, Incident
from standin.anthropic import Messages
from standin.gemini import GenerateContent
from standin.openai import Responses
from support import Case

OPENCODE = os.path.join(MODULES, "opencode-linux-x64-baseline/bin/opencode")


class Opencode:
    profile, part, model = "opencode", "opencode", None
    login, memory = ".local/share/opencode/auth.json", ".local/share/opencode/storage/session/other.json"

    def command(self):
        return [OPENCODE, "run", "--auto", "--model", self.model, "Look after this project."]


installed = unittest.skipUnless(os.path.exists(OPENCODE),
                                f"the agent is not installed ({OPENCODE}); ./dev test installs it")


@installed
class WithAnthropic(Opencode, Incident, Case):
    api, model = Messages, "anthropic/claude-sonnet-4-5"
    variable, key = "ANTHROPIC_API_KEY", "sk-ant-api03-real-key-b7e015-never-inside"


@installed
class WithOpenAI(Opencode, Contained, Case):
    api, model = Responses, "openai/gpt-5"
    variable, key = "OPENAI_API_KEY", "sk-proj-real-key-02d9fe-never-inside"


@installed
class WithGemini(Opencode, Contained, Case):
    api, model = GenerateContent, "google/gemini-2.5-pro"
    variable, key = "GOOGLE_GENERATIVE_AI_API_KEY", "AIzaSyRealKey-c40a17-never-inside"
