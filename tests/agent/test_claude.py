"""X29, X30: Claude Code."""
import json
import os
import unittest

from agent.agent import MODULES, Incident
from standin.anthropic import Messages
from support import Case

CLAUDE = os.path.join(MODULES, "@anthropic-ai/claude-code-linux-x64/claude")


class ClaudeCode:
    profile, api, part = "claude", Messages, "claude"
    variable, key = "ANTHROPIC_API_KEY", "sk-ant-api03-real-key-4f1d2c-never-inside"
    login, memory = ".claude/.credentials.json", ".claude/projects/other/session.jsonl"
    # As root the CLI refuses to skip permissions without the first; it is read by the CLI only.
    settings = {"IS_SANDBOX": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}

    @staticmethod
    def command():
        return [CLAUDE, "-p", "Look after this project.", "--dangerously-skip-permissions", "--output-format", "json"]

    def said(self, result):
        return not json.loads(result.out)["is_error"]


@unittest.skipUnless(os.path.exists(CLAUDE), f"the agent is not installed ({CLAUDE}); ./dev test installs it")
class Claude(ClaudeCode, Incident, Case):
    runs = int(os.environ.get("BULKHEAD_AGENT_RUNS", "3"))
