"""The usage log: filters, sums over the whole period, UTC, and rows with values no table likes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.endpoints import usage as endpoint
from gateway.errors import InvalidRequest
from gateway.storage.store import Store
from gateway.usage import (
    DAY_MS,
    INTEGER_MAX,
    TEXT_MAX,
    TOP_EXPENSIVE,
    UsageQuery,
    clean_text,
    credits,
    iso_utc,
    report,
    storable,
)
from tests.gateway.databases import DATABASES, database_in
from tests.gateway.making import CREDIT, NOW_MS, open_money, open_store, run, take, usage_row


async def filled(store: Store) -> None:
    """A log of 30 paid calls (costs 1…30 uc) of two models, one failure, one older call, and one of another user."""
    money = open_money(store)
    await money.top_up("usr_a", 100 * CREDIT)
    await money.top_up("usr_b", 100 * CREDIT)
    for n in range(1, 31):
        model = "gpt-5-mini" if n % 3 else "claude-haiku-4-5"
        row = usage_row(request_id=f"req_{n:02}", created_at_ms=NOW_MS + n, model=model, requested_model=model)
        await money.settle(await take(money), charge_uc=n, row=row)
    failed: dict[str, Any] = {
        "status": "upstream_failed",
        "status_code": 502,
        "model": "gpt-5_mini",
        "requested_model": "old%alias",
    }
    await money.record(usage_row(request_id="req_failed", created_at_ms=NOW_MS + 31, upstream=None, **failed))
    old = usage_row(request_id="req_old", created_at_ms=NOW_MS - DAY_MS - 1, endpoint="/v1/messages")
    await money.settle(await take(money), charge_uc=1000, row=old)
    await money.settle(await take(money, user_id="usr_b"), charge_uc=77, row=usage_row("usr_b", request_id="req_b"))


def ids(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["requestId"] for entry in entries]


@pytest.fixture(scope="module", params=DATABASES)
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a filled store, on each database in turn."""
    with database_in(tmp_path_factory.mktemp("log"), request.param) as folder:
        fill_log(folder)
        yield folder


def fill_log(folder: Path) -> None:
    """Opens, fills and closes the store."""

    async def fill() -> None:
        store = open_store(folder)
        await filled(store)
        store.close()

    run(fill())


def ask(folder: Path, **filters: Any) -> dict[str, Any]:
    """The report of usr_a over the last day, as of the newest row."""

    async def work() -> dict[str, Any]:
        store = open_store(folder)
        query = UsageQuery(**{"user_id": "usr_a", "since_ms": NOW_MS - DAY_MS, **filters})
        told = await store.read(lambda connection: report(connection, query))
        store.close()
        return told

    return run(work())


def test_newest_first_and_sums_of_the_whole_period(log: Path) -> None:
    told = ask(log, limit=3)
    assert ids(told["logs"]) == ["req_failed", "req_30", "req_29"]
    assert told["costByModel"] == [
        {"model": "gpt-5-mini", "requests": 20, "costUc": 300, "costCredits": "0.000300"},
        {"model": "claude-haiku-4-5", "requests": 10, "costUc": 165, "costCredits": "0.000165"},
        {"model": "gpt-5_mini", "requests": 1, "costUc": 0, "costCredits": "0.000000"},
    ]
    assert ids(told["topExpensiveRequests"]) == [f"req_{n}" for n in range(30, 30 - TOP_EXPENSIVE, -1)]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"model": "claude-haiku-4-5"}, [f"req_{n:02}" for n in range(30, 0, -3)]),
        ({"model": "old%alias"}, ["req_failed"]),
        ({"status": "upstream_failed"}, ["req_failed"]),
        ({"status": "502"}, ["req_failed"]),
        ({"status": "client_closed"}, []),
        ({"endpoint": "/v1/messages"}, []),
        ({"endpoint": "/v1/messages", "since_ms": 0}, ["req_old"]),
        ({"q": "REQ_0"}, [f"req_0{n}" for n in range(9, 0, -1)]),
        ({"q": "5_m"}, ["req_failed"]),
        ({"q": "old%a"}, ["req_failed"]),
        ({"q": "502"}, ["req_failed"]),
        ({"q": "HAIKU", "limit": 2}, ["req_30", "req_27"]),
        ({"q": "req_b", "since_ms": 0}, []),
        ({"user_id": "usr_b"}, ["req_b"]),
        ({"user_id": "usr_c"}, []),
    ],
)
def test_filters(log: Path, filters: dict[str, Any], expected: list[str]) -> None:
    told = ask(log, **filters)
    assert ids(told["logs"]) == expected
    if "limit" not in filters:
        assert sum(row["requests"] for row in told["costByModel"]) == len(expected)


def test_an_entry_has_every_documented_member(log: Path) -> None:
    entry = ask(log, q="req_07")["logs"][0]
    assert entry.pop("id").startswith("log_")
    assert entry == {
        "requestId": "req_07",
        "createdAt": "2026-05-10T00:00:00.007Z",
        "endpoint": "/v1/chat/completions",
        "model": "gpt-5-mini",
        "requestedModel": "gpt-5-mini",
        "upstream": "openai",
        "status": "succeeded",
        "statusCode": 200,
        "latencyMs": 120,
        "ttftMs": 40,
        "stream": False,
        "inputTokens": 10,
        "cachedInputTokens": 0,
        "cacheWriteTokens": 0,
        "outputTokens": 20,
        "reasoningTokens": 0,
        "unit": None,
        "units": 0,
        "costUc": 7,
        "costCredits": "0.000007",
        "estimated": False,
        "capped": False,
        "keyId": "key_1",
        "attempts": 1,
    }


def test_times_are_utc_wherever_the_server_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert iso_utc(NOW_MS - 1) == "2026-05-09T23:59:59.999Z"
        assert iso_utc(0) == "1970-01-01T00:00:00.000Z"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("amount_uc", "text"),
    [(0, "0.000000"), (1, "0.000001"), (1_234_567, "1.234567"), (10**15, "1000000000.000000"), (-5, "-0.000005")],
)
def test_credits_are_exact(amount_uc: int, text: str) -> None:
    assert credits(amount_uc) == text


def test_rows_of_strangers_become_storable(place: Path) -> None:
    wild = usage_row(requested_model="a\0b\ud800c", model="😀" * TEXT_MAX, input_tokens=10**30, output_tokens=-(10**30))
    tame = storable(wild)
    assert tame.requested_model == "a\ufffdb\ufffdc"
    assert len(tame.model) == TEXT_MAX
    assert (tame.input_tokens, tame.output_tokens) == (INTEGER_MAX, -INTEGER_MAX)
    assert tame.stream is False
    assert storable(tame) == tame

    async def work() -> None:
        store = open_store(place)
        money = open_money(store)
        await money.top_up("usr_a", CREDIT)
        await money.settle(await take(money), charge_uc=1, row=wild)
        await money.record(wild)
        told = await store.read(lambda connection: report(connection, UsageQuery("usr_a", 0)))
        assert [entry["requestedModel"] for entry in told["logs"]] == ["a\ufffdb\ufffdc"] * 2
        assert (await money.audit()).ok
        store.close()

    run(work())


@pytest.mark.parametrize("text", ["", "plain", "ünï😀", "\U0010ffff"])
def test_good_text_stays(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, UsageQuery("u", NOW_MS - 30 * DAY_MS)),
        ({"days": "1", "limit": "5"}, UsageQuery("u", NOW_MS - DAY_MS, 5)),
        ({"days": "", "limit": "", "q": "", "model": ""}, UsageQuery("u", NOW_MS - 30 * DAY_MS)),
        ({"status": "404", "q": "x", "key": "ck_1"}, UsageQuery("u", NOW_MS - 30 * DAY_MS, status="404", q="x")),
    ],
)
def test_parameters(parameters: Mapping[str, str], expected: UsageQuery) -> None:
    assert endpoint.parse(parameters, "u", NOW_MS) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("days", "0"), ("days", "-1"), ("days", "abc"), ("days", "3651"), ("days", "1.5"), ("days", "9" * 5000),
        ("days", "²"), ("limit", "0"), ("limit", "10001"), ("limit", " 5"), ("status", "fine"), ("status", "20"),
        ("status", "²00"), ("q", "x" * 300), ("q", "\0"), ("model", "m" * 300), ("endpoint", "\0"),
    ],
)  # fmt: skip
def test_wrong_parameters_are_told(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest, match=f"`{name}`.*due"):
        endpoint.parse({name: value}, "u", NOW_MS)
