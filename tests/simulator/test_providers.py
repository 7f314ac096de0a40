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
    dialects = [row.mounts[0].dialect.name for row in rows.values()]
    regions = {row.region for row in rows.values() if row.mounts[0].dialect.name == "openai_chat"}
    assert dialects.count("openai_chat") >= 2
    assert dialects.count("anthropic_messages") >= 2
    assert len(regions) >= 2
    assert rows["openai"].key == "sk-fleet-openai"
    assert rows["anthropic-eu"].key == "sk-ant-fleet-anthropic-eu"
    assert rows["openai"].mounts[0].profile("openai", "gpt-4o") is not None
    assert rows["openai"].mounts[0].profile("openai", "deepseek-v3.2") is None
    assert rows["aggregator"].mounts[0].profile("aggregator", "deepseek-v3.2") is not None
    assert rows["anthropic"].mounts[0].profile("anthropic", "claude-sonnet-4-5") is not None
    assert set(rows["openai"].mounts[0].snapshots()).isdisjoint(rows["aggregator"].mounts[0].snapshots())


def test_a_row_s_own_keys_and_faults() -> None:
    row = read({**ROW, "keys": ["k1", "k2"], "faults": [{"kind": "latency", "ttft_ms": 5}], "facts": {"x": 1}})["acme"]
    assert row.keys == {"k1", "k2"}
    assert row.key == "k1"
    assert [fault.kind for fault in row.faults] == ["latency"]
    assert row.mounts[0].facts["x"] == 1


def test_the_seed_decides_the_signing_secret() -> None:
    first, again, other = (read(ROW, seed=seed)["acme"].mounts[0].facts["signature_secret"] for seed in (1, 1, 2))
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
    route = read(ROW)["acme"].route(method, path)
    assert (route.operation, route.path_exists) == found


class Jobs:
    """A dialect with parameters in its paths."""

    name = "jobs"
    root = "/v1"
    operations = {("GET", "/jobs/{id}"): "job", ("POST", "/jobs/{id}:cancel"): "cancel"}  # noqa: RUF012


def jobs(**row: Any) -> providers.Provider:
    rows = {"providers": [{"name": "x", "region": "r", **row}]}
    return providers.read(rows, {"jobs": Jobs()}, seed=1)["x"]  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("method", "path", "operation", "params", "exists"),
    [
        ("GET", "/v1/jobs/a1", "job", {"id": "a1"}, True),
        ("POST", "/v1/jobs/a1", None, {}, True),
        ("POST", "/v1/jobs/a1:cancel", "cancel", {"id": "a1"}, True),
        ("GET", "/v1/jobs/", None, {}, False),
        ("GET", "/v1/jobs/a/b", None, {}, False),
    ],
)
def test_parameters_in_a_path(method: str, path: str, operation: str, params: dict[str, str], exists: bool) -> None:
    route = jobs(dialect="jobs").route(method, path)
    assert (route.operation, route.params, route.path_exists) == (operation, params, exists)


def test_a_dialect_is_mounted_where_its_row_says() -> None:
    row = jobs(dialects=[{"dialect": "jobs", "at": ["", "/api/{zone}"], "facts": {"slow": True}}], facts={"x": 1})
    assert row.route("GET", "/jobs/a").operation == "job"
    assert row.route("GET", "/api/eu/jobs/a").params == {"zone": "eu", "id": "a"}
    assert row.route("GET", "/v1/jobs/a").path_exists is False
    assert row.mounts[0].facts.items() >= {"x": 1, "slow": True}.items()
    assert row.describe("http://h")["dialects"] == {"jobs": "http://h/x"}


@pytest.mark.parametrize(
    ("rows", "flaw"),
    [
        ([], "providers: came []; due a list that is not empty"),
        ([{}], "providers[0]: came no name; due name: a text like"),
        ([{**ROW, "nme": 1}], "providers[0].nme: came an unknown key; due one of name, about, dialect, tape, dialects"),
        ([{**ROW, "name": "A B"}], 'providers[0].name: came "A B"; due a text like'),
        ([{**ROW, "dialect": "morse"}], "providers[0].dialect: came 'morse'; due one of openai_chat"),
        (
            [{**ROW, "dialects": ["openai_chat"]}],
            "providers[0]: came dialect and dialects; due one of dialect, dialects and tape",
        ),
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
