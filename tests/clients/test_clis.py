"""Codex CLI, Claude Code and Gemini CLI finish a task with a tool, through the gateway, and are billed for it.

They do so with another vendor's model, and when their vendor is down, by translation, too. Judged by the file that the
tool wrote, by what the fleet saw, and by the ledger. Skipped where a program is missing.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from schemas import catalogue
from tests import servers
from tests.clients.clis import CLIS, Cli

COMMAND = "echo teapot > made.txt"
TASK = "Make the file made.txt [[case:{case}]]"
SAID = "The file is made."
CODEX, CLAUDE, GEMINI = CLIS


@dataclass(frozen=True)
class Stack:
    """A fleet with scripted answers, and a gateway before it."""

    base_url: str
    admin_url: str
    admin_token: str
    control_url: str

    def user(self) -> dict[str, Any]:
        """A funded user with a key."""
        user = self.admin("POST", "/users", {"name": "agent", "amount_uc": 10**12})
        return {**user, **self.admin("POST", f"/users/{user['id']}/keys", {})}

    @contextmanager
    def outage(self, *providers: str) -> Iterator[None]:
        """Meanwhile these providers of the fleet answer nobody."""
        rule = {"name": "outage", "when": {"provider": list(providers)}, "fault": {"kind": "status", "status": 503}}
        ids = called(posted(f"{self.control_url}/faults", {"rules": [rule], "ttl_s": 300}))["ids"]
        try:
            yield
        finally:
            for identity in ids:
                called(urllib.request.Request(f"{self.control_url}/faults/{identity}", method="DELETE"))

    def served(self, case: str) -> list[str]:
        """Who answered the requests of a case, in order."""
        entries = called(f"{self.control_url}/journal?case={case}")["entries"]
        return [entry["provider"] for entry in entries if entry["status"] == 200]

    def logs(self, key: str) -> list[dict[str, Any]]:
        """The usage log of a key's owner."""
        headers = {"authorization": f"Bearer {key}"}
        logs: list[dict[str, Any]] = called(urllib.request.Request(f"{self.base_url}/api/api-usage", headers=headers))[
            "logs"
        ]
        return logs

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """A call of the provisioning API."""
        head = {"authorization": f"Bearer {self.admin_token}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return called(urllib.request.Request(self.admin_url + path, data, head, method=method))


def called(request: urllib.request.Request | str) -> Any:
    with urllib.request.urlopen(request, timeout=20) as reply:
        raw = reply.read()
    return json.loads(raw) if raw else None


def posted(url: str, body: Any) -> urllib.request.Request:
    return urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"}, method="POST")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("clis")
    fixtures = folder / "answers.json"
    rows = [
        {
            "name": cli.name,
            "when": {"prompt": f"*case:{cli.name}*"},
            "steps": [{"calls": [{"name": cli.tool, "arguments": dict(cli.arguments(COMMAND))}]}, {"say": SAID}],
        }
        for cli in CLIS
    ]
    fixtures.write_text(json.dumps({"fixtures": rows}))
    fleet = servers.start("simulator", "--fixtures", str(fixtures))
    try:
        told = fleet.told["fleet"]
        database = f"sqlite:///{folder / 'gateway.db'}"
        gateway = servers.start("gateway", "--fleet", told["base_url"], "--database", database)
        try:
            own = gateway.told["gateway"]
            yield Stack(own["base_url"], own["admin_url"], own["admin_token"], told["control_url"])
        finally:
            gateway.stop()
    finally:
        fleet.stop()


def finish(cli: Cli, stack: Stack, folder: Path, case: str, model: str) -> list[dict[str, Any]]:
    """The agent finishes its task and is billed for two turns: the rows of the log."""
    if cli.program is None:
        pytest.skip(f"{cli.name} is not on this machine; `make clis` installs it")
    user = stack.user()
    done = cli.run(TASK.format(case=case), folder, stack.base_url, user["key"], model)
    assert (done.returncode, SAID in done.stdout) == (0, True), done
    assert (folder / "work" / "made.txt").read_text() == "teapot\n"
    logs = stack.logs(user["key"])
    assert {row["model"] for row in logs} == {model}
    row = catalogue.MODELS[model]
    due = [log["inputTokens"] * row.input_uc + log["outputTokens"] * row.output_uc for log in logs]
    assert [log["costUc"] for log in logs] == due
    assert len(logs) == 2
    assert all(cost > 0 for cost in due)
    return logs


@pytest.mark.parametrize("cli", CLIS, ids=lambda cli: cli.name)
def test_a_coding_agent_finishes_a_task(cli: Cli, stack: Stack, tmp_path: Path) -> None:
    """Sent: one prompt. Observed: the file, the two turns at the provider, the charge."""
    finish(cli, stack, tmp_path, cli.name, cli.model)
    entries = called(f"{stack.control_url}/journal?case={cli.name}")["entries"]
    assert [entry["status"] for entry in entries] == [200, 200]


@pytest.mark.parametrize("model", ["glm-5", "gemini-2.5-pro-official"])
def test_codex_works_with_the_model_of_another_vendor(model: str, stack: Stack, tmp_path: Path) -> None:
    """Its vendor knows nothing of Responses: Chat Completions, or Gemini's own wire."""
    case = f"codex.{model}"
    logs = finish(CODEX, stack, tmp_path, case, model)
    due = "gemini" if model.startswith("gemini") else "aggregator"
    assert stack.served(case) == [due, due]
    assert {row["upstream"] for row in logs} == {due}
    assert {row["estimated"] for row in logs} == {False}


DOWN = {"claude": (CLAUDE, "anthropic", "openrouter"), "gemini": (GEMINI, "gemini", "aggregator")}


@pytest.mark.parametrize("name", DOWN)
def test_an_agent_goes_on_when_its_vendor_is_down(name: str, stack: Stack, tmp_path: Path) -> None:
    """Every region of the vendor answers 503 all along; a router of another dialect has the model, too."""
    cli, vendor, router = DOWN[name]
    case = f"{name}.outage"
    with stack.outage(vendor, f"{vendor}-eu"):
        logs = finish(cli, stack, tmp_path, case, cli.model)
    assert stack.served(case) == [router, router]
    assert {row["upstream"] for row in logs} == {router}
    entries = called(f"{stack.control_url}/journal?case={case}")["entries"]
    assert {entry["provider"] for entry in entries if entry["status"] == 503} == {vendor, f"{vendor}-eu"}
