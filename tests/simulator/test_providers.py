"""The rows of the fleet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator import providers
from simulator.dialects import DIALECTS
from simulator.faults import Flawed


def read(*rows: dict[str, Any], seed: int = 1) -> dict[str, providers.Provider]:
    return providers.read({"providers": list(rows)}, DIALECTS, seed)


ROW = {"name": "acme", "dialect": "openai_chat", "region": "moon-1"}


def test_the_shipped_fleet() -> None:
    rows = providers.load(providers.FILE, DIALECTS, 1)
    dialects = [row.dialect.name for row in rows.values()]
    regions = {row.region for row in rows.values() if row.dialect.name == "openai_chat"}
    assert dialects.count("openai_chat") >= 2
    assert dialects.count("anthropic_messages") >= 2
    assert len(regions) >= 2
    assert rows["openai"].key == "sk-fleet-openai"
    assert rows["anthropic-eu"].key == "sk-ant-fleet-anthropic-eu"
    assert rows["openai"].profile("gpt-4o") is not None
    assert rows["openai"].profile("deepseek-v3.2") is None
    assert rows["aggregator"].profile("deepseek-v3.2") is not None
    assert rows["anthropic"].profile("claude-sonnet-4-5") is not None
    assert set(rows["openai"].snapshots()).isdisjoint(rows["aggregator"].snapshots())


def test_a_row_s_own_keys_and_faults() -> None:
    row = read({**ROW, "keys": ["k1", "k2"], "faults": [{"kind": "latency", "ttft_ms": 5}], "facts": {"x": 1}})["acme"]
    assert row.keys == {"k1", "k2"}
    assert row.key == "k1"
    assert [fault.kind for fault in row.faults] == ["latency"]
    assert row.facts["x"] == 1


def test_the_seed_decides_the_signing_secret() -> None:
    first, again, other = (read(ROW, seed=seed)["acme"].facts["signature_secret"] for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("POST", "/v1/chat/completions", ("generate", True)),
        ("GET", "/v1/chat/completions", (None, True)),
        ("GET", "/v1/models", ("list_models", True)),
        ("GET", "/v1/nothing", (None, False)),
        ("GET", "/", (None, False)),
    ],
)
def test_operations(method: str, path: str, found: tuple[str | None, bool]) -> None:
    assert read(ROW)["acme"].operation(method, path) == found


class ById:
    """A dialect with an id in a path."""

    name = "by_id"
    operations = {("GET", "/v1/jobs/{id}"): "job"}  # noqa: RUF012


def test_a_path_may_end_in_an_id() -> None:
    row = providers.Provider("x", ById(), "r", frozenset(), "", {})  # type: ignore[arg-type]
    assert row.operation("GET", "/v1/jobs/a1") == ("job", True)
    assert row.operation("POST", "/v1/jobs/a1") == (None, True)
    assert row.operation("GET", "/v1/jobs/") == (None, False)
    assert row.operation("GET", "/v1/jobs/a/b") == (None, False)


@pytest.mark.parametrize(
    ("rows", "flaw"),
    [
        ([], "providers: came []; due a list that is not empty"),
        ([{}], "providers[0]: came no name; due name: a text like"),
        ([{**ROW, "nme": 1}], "providers[0].nme: came an unknown key; due one of name, about, dialect"),
        ([{**ROW, "name": "A B"}], 'providers[0].name: came "A B"; due a text like'),
        ([{**ROW, "dialect": "morse"}], "providers[0].dialect: came 'morse'; due one of openai_chat"),
        ([ROW, ROW], "providers[1].name: came 'acme'; due a name that no other row has"),
        ([{**ROW, "name": "__fleet"}], "providers[0].name"),
        ([{**ROW, "faults": [{"kind": "stal"}]}], 'providers[0].faults[0].kind: came "stal"; due one of'),
        ([{**ROW, "faults": [{"kind": "latency", "ttft_ms": "soon"}]}], "providers[0].faults[0].ttft_ms: came 'soon'"),
        ([{**ROW, "keys": []}], "providers[0].keys: came []"),
    ],
)
def test_what_is_wrong_is_told(rows: list[dict[str, Any]], flaw: str) -> None:
    with pytest.raises(Flawed) as caught:
        read(*rows)
    assert str(caught.value.flaws[0]).startswith(flaw)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Flawed, match="came No such file or directory; due a fleet file"):
        providers.load(tmp_path / "none.yaml", DIALECTS, 1)
