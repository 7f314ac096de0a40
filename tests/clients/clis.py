"""Coding agents as clients: where their programs are, and how each is pointed at a local gateway.

They are looked for on the PATH and in the user's cache (`make clis` installs them there from npm).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "windtunnel" / "clis"
TIMEOUT_S = 90
CODEX = """model_provider = "local"
model = "{model}"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
web_search = "disabled"
[features]
plugins = false
[analytics]
enabled = false
[model_providers.local]
name = "Local"
base_url = "{base_url}/api/v1"
wire_api = "responses"
env_key = "HYPEREAL_API_KEY"
"""
GEMINI = {
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "security": {"auth": {"selectedType": "gemini-api-key"}},
}


@dataclass(frozen=True, slots=True)
class Cli:
    """One program: how it is prepared and called, and which tool of its own runs a command."""

    name: str
    model: str
    tool: str
    arguments: Callable[[str], Mapping[str, str]]  # of that tool, for a shell command
    prepare: Callable[
        [Path, str, str, str], tuple[list[str], dict[str, str]]
    ]  # (home, base URL, key, model) -> arguments, variables

    @property
    def program(self) -> str | None:
        """Where it is; None: not on this machine."""
        return shutil.which(self.name) or shutil.which(self.name, path=str(CACHE / "node_modules" / ".bin"))

    def run(
        self, prompt: str, folder: Path, base_url: str, key: str, model: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """One task, in a folder of its own, by the program's own model unless told otherwise."""
        home, place = folder / "home", folder / "work"
        home.mkdir()
        place.mkdir()
        arguments, variables = self.prepare(home, base_url, key, model or self.model)
        program = self.program
        assert program is not None
        env = {"PATH": f"{Path(program).parent}:{os.environ['PATH']}", "HOME": str(home), "TMPDIR": str(folder)}
        return subprocess.run(
            [program, *arguments, prompt],
            cwd=place,
            env=env | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )


def _codex(home: Path, base_url: str, key: str, model: str) -> tuple[list[str], dict[str, str]]:
    (home / "config.toml").write_text(CODEX.format(base_url=base_url, model=model))
    return ["exec", "--skip-git-repo-check"], {"CODEX_HOME": str(home), "HYPEREAL_API_KEY": key}


def _claude(_: Path, base_url: str, key: str, model: str) -> tuple[list[str], dict[str, str]]:
    variables = {
        "ANTHROPIC_BASE_URL": f"{base_url}/api",
        "ANTHROPIC_API_KEY": key,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    return ["--model", model, "--allowedTools", "Bash", "-p"], variables


def _gemini(home: Path, base_url: str, key: str, model: str) -> tuple[list[str], dict[str, str]]:
    settings = home / ".gemini" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps(GEMINI))
    variables = {
        "GEMINI_CLI_HOME": str(home),
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
        "GOOGLE_GEMINI_BASE_URL": f"{base_url}/api/v1/gemini",
        "GEMINI_API_KEY": key,
    }
    return ["-y", "-m", model, "-p"], variables


def _described(command: str) -> Mapping[str, str]:
    return {"command": command, "description": "writes a file"}


CLIS = (
    Cli("codex", "gpt-5.3-codex", "exec_command", lambda command: {"cmd": command}, _codex),
    Cli("claude", "claude-sonnet-4-6", "Bash", _described, _claude),
    Cli("gemini", "gemini-3.1-pro", "run_shell_command", _described, _gemini),
)
