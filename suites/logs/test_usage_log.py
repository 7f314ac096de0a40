"""The usage log, against what the client and the upstream saw."""

from __future__ import annotations

import asyncio
import datetime
from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from suites.case import SETTLING_MS, Case, expect_status
from suites.doors import bearer, knock
from suites.edge import now_ms, sleep_ms, unix_s
from suites.requirement import ENDPOINTS, MODES, over, requirement

UC = 1_000_000
FAILED = ("failed", "upstream_failed")
Page = Mapping[str, Any]


async def log(case: Case, query: str = "", rows: int = 0) -> Page:
    """The caller's log, once it has `rows` rows (or after a while)."""
    started = now_ms()
    while True:
        reply = await case.get("usage", query=query)
        expect_status(reply, 200)
        page: Page = reply.json
        if len(page["logs"]) >= rows or now_ms() - started > SETTLING_MS:
            case.evidence.note("ledger", f"usage log{query}: {len(page['logs'])} rows", reply.raw[:1000].decode())
            return page
        await sleep_ms(40)


async def only_row(case: Case) -> Mapping[str, Any]:
    """The row of the only call."""
    rows = (await log(case, rows=1))["logs"]
    assert len(rows) == 1, f"{len(rows)} rows for one call"
    row: Mapping[str, Any] = rows[0]
    return row


@requirement("OBS-001")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_row_of_a_success(case: Case, endpoint: str, stream: bool) -> None:
    """Field by field."""
    reply = await case.ask(endpoint, stream=stream, answer="tokens=4 input_tokens=90 output_tokens=21 cached_tokens=30")
    expect_status(reply, 200)
    books = await case.books(rows=1)
    row = await only_row(case)
    due = {
        "model": reply.sent.document["model"],
        "requestedModel": reply.sent.document["model"],
        "status": "succeeded",
        "statusCode": 200,
        "stream": stream,
        "inputTokens": 90,
        "cachedInputTokens": 30,
        "outputTokens": 21,
        "costUc": books.charged_uc,
        "estimated": False,
        "capped": False,
        "keyId": (await case.user()).key.id,
    }
    came = {name: row[name] for name in due}
    assert came == due, f"the row says {came}; due {due}"
    assert Decimal(row["costCredits"]) * UC == row["costUc"], f"{row['costCredits']} credits are not {row['costUc']} uc"
    assert endpoint in row["endpoint"], f"endpoint {row['endpoint']!r}"


@requirement("OBS-002")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_row_of_a_failure(case: Case, endpoint: str, stream: bool) -> None:
    """All upstreams fail."""
    reply = await case.ask(endpoint, stream=stream, fault="status=500")
    expect_status(reply, 502)
    row = await only_row(case)
    assert row["status"] in FAILED, f"status {row['status']!r}"
    assert (row["statusCode"], row["costUc"]) == (502, 0), f"the row says {row}"


@requirement("OBS-002")
@over(endpoint=ENDPOINTS)
async def test_row_of_a_refusal_by_upstream(case: Case, endpoint: str) -> None:
    """The upstream says 400."""
    expect_status(await case.ask(endpoint, fault="status=400"), 400)
    row = await only_row(case)
    assert row["status"] in FAILED, f"status {row['status']!r}"
    assert (row["statusCode"], row["costUc"]) == (400, 0), f"the row says {row}"


@requirement("OBS-003")
@over(form=("authorization", "x-api-key", "x-goog-api-key"))
async def test_key_named(case: Case, form: str) -> None:
    """Two keys; the second is used."""
    user = await case.user()
    second = await case.admin.key(user.id)
    headers = bearer(second.secret) if form == "authorization" else {form: second.secret}
    expect_status(await knock(case, "messages", headers), 200)
    row = await only_row(case)
    assert row["keyId"] == second.id, f"the row names key {row['keyId']!r}; {second.id!r} was used"


@requirement("OBS-004")
@over(alias=("claude-3-5-haiku-20241022", "claude-sonnet-4-5-20250929"))
async def test_both_names(case: Case, alias: str) -> None:
    """An alias."""
    expect_status(await case.messages(model=alias), 200)
    row = await only_row(case)
    due = "claude-haiku-4-5" if "haiku" in alias else "claude-sonnet-4-6"
    assert (row["requestedModel"], row["model"]) == (alias, due), (
        f"the row names {row['requestedModel']!r} and {row['model']!r}"
    )


@requirement("OBS-005")
async def test_sums(case: Case) -> None:
    """Calls of three models: succeeded, failed, cut."""
    user = await case.user()
    before_uc = int((await case.admin.account(user.id))["balance_uc"])
    for model in ("gpt-5.4", "gpt-5.4-mini"):
        await asyncio.gather(*(case.chat(model=model, stream=n % 2 == 0, answer=f"tokens={n + 2}") for n in range(4)))
    await case.messages(fault="status=500")
    await case.messages(stream=True, fault="cut_stream after_frames=3", answer="tokens=50")
    books = await case.books(rows=10)
    page = await log(case, "?days=1&limit=100", rows=10)
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in page["logs"]:
        sums[row["model"]][0] += 1
        sums[row["model"]][1] += row["costUc"]
    told = {row["model"]: [row["requests"], row["costUc"]] for row in page["costByModel"]}
    assert told == dict(sums), f"costByModel {told}; the rows sum to {dict(sums)}"
    total_uc = sum(cost for _, cost in sums.values())
    assert total_uc == before_uc - books.balance_uc, (
        f"the rows sum to {total_uc} uc; the balance fell by {before_uc - books.balance_uc}"
    )
    for row in page["costByModel"]:
        assert Decimal(row["costCredits"]) * UC == row["costUc"], (
            f"{row['costCredits']} credits are not {row['costUc']} uc"
        )


@requirement("OBS-006")
async def test_filters(case: Case) -> None:
    """Six calls of different kinds, and every filter."""
    await case.chat(model="gpt-5.4", answer="tokens=2")
    await case.chat(model="gpt-5.4-mini", answer="tokens=2")
    await case.chat(model="gpt-5.4-mini", fault="status=500")
    await case.messages(model="claude-haiku-4-5", answer="tokens=2")
    await log(case, rows=4)
    rows = (await log(case))["logs"]
    endpoint = {row["model"]: row["endpoint"] for row in rows}["claude-haiku-4-5"]
    failed = next(row["status"] for row in rows if row["statusCode"] == 502)
    counts = {
        "?model=gpt-5.4-mini": 2,
        "?model=gpt-5.4": 1,
        f"?status={failed}": 1,
        "?status=succeeded": 3,
        f"?endpoint={endpoint}": 1,
        "?q=haiku": 1,
        "?limit=2": 2,
        "?days=1&model=gpt-5.4-mini&status=succeeded": 1,
        "?model=nothing": 0,
    }
    for query, due in counts.items():
        came = len((await log(case, query))["logs"])
        assert came == due, f"{query}: {came} rows; due {due}"


@requirement("OBS-006")
async def test_bad_filters(case: Case) -> None:
    """Numbers that are none."""
    for query in ("?days=x", "?limit=-1", "?limit=1e9", "?days=0", "?limit=0", "?status=%00"):
        reply = await case.get("usage", query=query)
        assert reply.status in (200, 400), f"{query}: {reply}"


@requirement("OBS-007")
async def test_own_rows_only(case: Case) -> None:
    """Another user's call, looked for in every way."""
    mine = await case.user()
    other = await case.new_user()
    reply = await case.chat(key=other, answer="tokens=2")
    expect_status(reply, 200)
    await case.books(other, rows=1)
    foreign = (await case.admin.books(other.id)).row
    queries = (
        "",
        "?days=365&limit=1000",
        f"?q={foreign['requestId']}",
        f"?user={other.id}",
        f"?userId={other.id}",
        f"?keyId={other.key.id}",
        f"?q={other.key.id}",
    )
    for query in queries:
        page = await log(case, query)
        text = orjson.dumps(page).decode()
        assert foreign["requestId"] not in text, f"{query}: another user's row"
        assert not page["logs"], f"{query}: rows of somebody else"
    assert not (await case.admin.books(mine.id)).rows


@requirement("OBS-008")
async def test_times_in_utc(case: Case) -> None:
    """Just now, with a zone."""
    moved_s = 0.0 if case.rig.target.provisioning is None else None
    expect_status(await case.chat(), 200)
    row = await only_row(case)
    created = datetime.datetime.fromisoformat(row["createdAt"].replace("Z", "+00:00"))
    assert created.utcoffset() == datetime.timedelta(0), f"createdAt {row['createdAt']!r} is not in UTC"
    apart_s = abs(created.timestamp() - unix_s())
    assert apart_s < 120 or (moved_s is None and apart_s % 3600 < 120), (
        f"createdAt {row['createdAt']!r} is {apart_s:.0f} s from now"
    )


@requirement("OBS-009")
async def test_dearest_first(case: Case) -> None:
    """Fourteen calls of rising cost."""
    await asyncio.gather(
        *(case.chat(model="gpt-5.4", answer=f"tokens=2 input_tokens={100 * n} output_tokens=1") for n in range(1, 15))
    )
    page = await log(case, rows=14)
    costs = [row["costUc"] for row in page["topExpensiveRequests"]]
    due = sorted((row["costUc"] for row in page["logs"]), reverse=True)[:10]
    assert costs == due, f"topExpensiveRequests {costs}; due {due}"


@requirement("OBS-010")
async def test_awkward_rows(case: Case) -> None:
    """Model names and users that stores stumble over, among good calls."""
    good = [case.chat(answer="tokens=2") for _ in range(8)]
    strange = [
        case.chat(user="nul \x00 here", answer="tokens=2"),
        case.chat(user="'; DROP TABLE logs; --", answer="tokens=2"),
        case.chat(user="=cmd()", answer="tokens=2"),
    ]
    refused = [case.chat(model=f"x{mark}y") for mark in ("\x00", "\x1b[31m", "\U0001f4a3", "a" * 3000)]
    replies = await asyncio.gather(*good, *strange, *refused)
    served = sum(reply.status == 200 for reply in replies)
    rows = (await log(case, rows=served))["logs"]
    came = sum(row["status"] == "succeeded" for row in rows)
    assert came == served >= 8, f"{served} calls were served, {came} rows are there"


@requirement("OBS-011")
@over(endpoint=ENDPOINTS)
async def test_times_measured(case: Case, endpoint: str) -> None:
    """First content after 300 ms, the end after 900 ms."""
    reply = await case.ask(endpoint, stream=True, fault="latency ttft_ms=300 total_ms=900", answer="tokens=40")
    expect_status(reply, 200)
    row = await only_row(case)
    took_ms = reply.ended_ms - reply.started_ms
    assert 250 <= row["ttftMs"] <= row["latencyMs"], f"ttftMs {row['ttftMs']}, latencyMs {row['latencyMs']}"
    assert row["ttftMs"] < row["latencyMs"] - 200, f"ttftMs {row['ttftMs']} is the whole latency {row['latencyMs']}"
    assert 850 <= row["latencyMs"] <= took_ms + 50, f"latencyMs {row['latencyMs']}; the client waited {took_ms:.0f}"


@requirement("OBS-012")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_request_id(case: Case, endpoint: str, stream: bool) -> None:
    """The header and the row."""
    reply = await case.ask(endpoint, stream=stream)
    row = await only_row(case)
    assert row["requestId"] == reply.headers.get("x-request-id"), (
        f"{row['requestId']!r} in the log, {reply.headers.get('x-request-id')!r} in the header"
    )


@requirement("OBS-013")
async def test_burst_complete(case: Case) -> None:
    """120 calls in one burst."""
    count = 120
    replies = await asyncio.gather(
        *(case.chat(model="gpt-5.4", answer="tokens=2", stream=n % 3 == 0) for n in range(count))
    )
    statuses = Counter(reply.status for reply in replies)
    assert statuses == {200: count}, f"statuses {dict(statuses)}"
    page = await log(case, "?limit=1000", rows=count)
    assert len(page["logs"]) == count, f"{count} calls, {len(page['logs'])} rows"
    assert page["costByModel"][0]["requests"] == count, f"costByModel counts {page['costByModel']}"
    ids = {row["requestId"] for row in page["logs"]}
    assert ids == {reply.headers["x-request-id"] for reply in replies}, "rows and replies differ"


@requirement("OBS-014")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_attempts_told(case: Case, endpoint: str, stream: bool) -> None:
    """Two failures, then an answer."""
    first = case.chain(endpoint)[0]
    reply = await case.ask(endpoint, stream=stream, fault=f"status=503 provider={first}")
    calls = len(await case.reached("status", reply))
    row = await only_row(case)
    told = len(row["attempts"]) if isinstance(row["attempts"], list) else row["attempts"]
    assert told == calls, f"the row tells {told} attempts; there were {calls}"
    plain = (await case.ask(endpoint, key=(other := await case.new_user()))).status
    assert plain == 200
    direct = (await case.books(other, rows=1)).row
    assert direct["upstream"], "the row names no upstream"
    assert row["upstream"] != direct["upstream"], (
        f"both rows name {row['upstream']!r}; the first was answered by the second target"
    )
