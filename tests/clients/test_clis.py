"""Codex CLI, Claude Code and Gemini CLI finish a task with a tool, through the gateway, and are billed for it.

Judged by the file that the tool wrote, by what the fleet saw, and by the ledger. Skipped where a program is missing.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
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

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """A call of the provisioning API."""
        head = {"authorization": f"Bearer {self.admin_token}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return called(urllib.request.Request(self.admin_url + path, data, head, method=method))


def called(request: urllib.request.Request | str) -> Any:
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.loads(reply.read())


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


@pytest.mark.parametrize("cli", CLIS, ids=lambda cli: cli.name)
def test_a_coding_agent_finishes_a_task(cli: Cli, stack: Stack, tmp_path: Path) -> None:
    """Sent: one prompt. Observed: the file, the two turns at the provider, the charge."""
    if cli.program is None:
        pytest.skip(f"{cli.name} is not on this machine; `make clis` installs it")
    user = stack.user()
    done = cli.run(TASK.format(case=cli.name), tmp_path, stack.base_url, user["key"])
    assert (done.returncode, SAID in done.stdout) == (0, True), done
    assert (tmp_path / "work" / "made.txt").read_text() == "teapot\n"
    entries = called(f"{stack.control_url}/journal?case={cli.name}")["entries"]
    assert [entry["status"] for entry in entries] == [200, 200]
    usage = urllib.request.Request(
        f"{stack.base_url}/api/api-usage", headers={"authorization": f"Bearer {user['key']}"}
    )
    logs = called(usage)["logs"]
    model = catalogue.MODELS[cli.model]
    assert {row["model"] for row in logs} == {cli.model}
    due = [row["inputTokens"] * model.input_uc + row["outputTokens"] * model.output_uc for row in logs]
    assert [row["costUc"] for row in logs] == due
    assert len(logs) == 2
    assert all(cost > 0 for cost in due)
