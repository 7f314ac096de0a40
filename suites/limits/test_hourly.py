"""The hourly limit of a user."""

from __future__ import annotations

import asyncio
from typing import Any

from suites.case import Case, expect_status
from suites.doors import PAID
from suites.edge import unix_s
from suites.exchange import Reply
from suites.requirement import ENDPOINTS, MODES, over, requirement

HOUR_S = 3600
HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")


def counts(reply: Reply) -> tuple[int, int, int]:
    """Limit, remaining, reset, as the headers say."""
    missing = [name for name in HEADERS if not reply.headers.get(name, "").lstrip("-").isdigit()]
    assert not missing, f"no whole number in {missing}: {dict(reply.headers)}"
    limit, remaining, reset = (int(reply.headers[name]) for name in HEADERS)
    return limit, remaining, reset


async def limited(case: Case, endpoint: str = "chat", **options: Any) -> Reply:
    """A request that the limit must refuse."""
    reply = await case.ask(endpoint, **options)
    expect_status(reply, 429, "rate_limit_error")
    return reply


@requirement("RTL-001")
@over(endpoint=ENDPOINTS)
async def test_thousand(case: Case, endpoint: str) -> None:
    """A user without limits of its own."""
    reply = await case.ask(endpoint, answer="tokens=2")
    expect_status(reply, 200)
    assert counts(reply)[:2] == (1000, 999), f"limit and remaining {counts(reply)[:2]}; due 1000 and 999"


@requirement("RTL-002")
@over(endpoint=ENDPOINTS, limit=(1, 3))
async def test_exactly_n(case: Case, endpoint: str, limit: int) -> None:
    """One after the other."""
    await case.use(limits={"chat": limit})
    for number in range(limit):
        reply = await case.ask(endpoint, stream=number % 2 == 1, answer="tokens=2")
        expect_status(reply, 200)
    reply = await limited(case, endpoint)
    await case.nothing_upstream(reply)
    assert "hour" in (reply.error or ("", ""))[1].lower() or "limit" in (reply.error or ("", ""))[1].lower(), (
        f"the message does not name the limit: {reply}"
    )


@requirement("RTL-003")
@over(endpoint=ENDPOINTS)
async def test_refusal_headers(case: Case, endpoint: str) -> None:
    """All three, and Retry-After."""
    await case.use(limits={"chat": 1})
    admitted = await case.ask(endpoint, answer="tokens=2")
    expect_status(admitted, 200)
    reply = await limited(case, endpoint)
    limit, remaining, reset = counts(reply)
    assert (limit, remaining) == (1, 0), f"limit {limit}, remaining {remaining}"
    wait_s = int(reply.headers.get("retry-after", "-1"))
    assert 0 < wait_s <= HOUR_S, f"Retry-After {reply.headers.get('retry-after')!r}"
    assert reset == counts(admitted)[2], "the window's end moved"
    if not case.target.provisioning or not case.target.provisioning.test_clock:
        assert abs(reset - unix_s() - wait_s) <= 3, f"Reset {reset} and Retry-After {wait_s} disagree"


@requirement("RTL-004")
@over(endpoint=ENDPOINTS, stream=MODES, fault=("", "status=503 attempt=1", "status=503 failover"))
async def test_counts_once(case: Case, endpoint: str, stream: bool, fault: str) -> None:
    """Plain, retried, failed over."""
    fault = fault.replace("failover", f"provider={case.chain(endpoint)[0]}")
    await case.use(limits={"chat": 10})
    reply = await case.ask(endpoint, stream=stream, fault=fault or None, answer="tokens=20")
    expect_status(reply, 200)
    if fault:
        await case.reached("status", reply)
    after = await case.chat(answer="tokens=2")
    assert counts(after)[1] == 8, f"two requests of ten, remaining {counts(after)[1]}"


@requirement("RTL-005")
async def test_keys_share(case: Case) -> None:
    """Two keys, limit two."""
    user = await case.use(limits={"chat": 2})
    second = await case.admin.key(user.id)
    expect_status(await case.chat(key=user.key), 200)
    expect_status(await case.chat(key=second), 200)
    await limited(case, key=user.key)
    await limited(case, key=second)


@requirement("RTL-006")
async def test_users_apart(case: Case) -> None:
    """One at its limit, one fresh."""
    await case.use(limits={"chat": 1})
    expect_status(await case.chat(), 200)
    await limited(case)
    other = await case.new_user(limits={"chat": 1})
    expect_status(await case.chat(key=other), 200)


@requirement("RTL-007")
async def test_one_class(case: Case) -> None:
    """One request at each endpoint."""
    await case.use(limits={"chat": 2})
    expect_status(await case.chat(), 200)
    expect_status(await case.messages(), 200)
    for endpoint in PAID:
        await limited(case, endpoint)


@requirement("RTL-008")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_burst(case: Case, endpoint: str, stream: bool) -> None:
    """Thirty at once on a limit of six, with an upstream that takes its time."""
    await case.use(limits={"chat": 6})
    asked = [case.ask(endpoint, stream=stream, fault="latency ttft_ms=300", answer="tokens=2") for _ in range(30)]
    statuses = [reply.status for reply in await asyncio.gather(*asked)]
    assert set(statuses) == {200, 429}, f"statuses {sorted(set(statuses))}"
    assert statuses.count(200) == 6, f"{statuses.count(200)} of 30 were admitted on a limit of 6"
    assert len(await case.upstream()) == 6, "refused requests reached an upstream"


@requirement("RTL-009", exclusive=True)
async def test_window_ends_at_reset(case: Case) -> None:
    """The clock a second before Reset, then at it: a whole new window, once."""
    await case.use(limits={"chat": 2})
    for _ in range(2):
        expect_status(await case.chat(answer="tokens=2"), 200)
    refused = await limited(case)
    wait_s = int(refused.headers["retry-after"])
    reset = counts(refused)[2]
    assert wait_s > HOUR_S - 120, f"the window began a moment ago, and ends in {wait_s} s"
    await case.admin.advance_clock((wait_s - 30) * 1000)
    late = await limited(case)
    assert counts(late)[2] == reset, "the window's end moved"
    assert 0 < int(late.headers["retry-after"]) <= 31, (
        f"Retry-After {late.headers['retry-after']} half a minute before the end"
    )
    await case.admin.advance_clock(int(late.headers["retry-after"]) * 1000)
    for number in range(2):
        reply = await case.chat(answer="tokens=2")
        expect_status(reply, 200)
        assert counts(reply)[1] == 1 - number, f"a new window, remaining {counts(reply)[1]}"
    fresh = await limited(case)
    assert reset + HOUR_S - 5 <= counts(fresh)[2] <= reset + HOUR_S + 5, (
        f"the next window ends {counts(fresh)[2] - reset} s after this one"
    )


@requirement("RTL-009")
async def test_reset_is_a_unix_second(case: Case) -> None:
    """In seconds, within the hour (and what the test clock was moved by)."""
    reply = await case.chat(answer="tokens=2")
    reset = counts(reply)[2]
    assert -5 <= reset - unix_s() <= HOUR_S + 5, f"X-RateLimit-Reset {reset}; now it is {unix_s():.0f}"


@requirement("RTL-010")
async def test_refused_do_not_count(case: Case) -> None:
    """Bad bodies, bad keys, unknown models."""
    await case.use(limits={"chat": 2})
    expect_status(await case.chat(model="no-such-model"), 400)
    expect_status(await case.chat(messages="nonsense"), 400)
    expect_status(await case.messages(max_tokens=None), 400)
    expect_status(await case.chat(key="ck_" + "0" * 32), 401)
    reply = await case.chat(answer="tokens=2")
    expect_status(reply, 200)
    assert counts(reply)[1] == 1, f"one admitted request of two, remaining {counts(reply)[1]}"


@requirement("RTL-010")
@over(endpoint=ENDPOINTS)
async def test_admitted_failures(case: Case, endpoint: str) -> None:
    """All upstreams fail; whether that counts is declared."""
    await case.use(limits={"chat": 5})
    reply = await case.ask(endpoint, fault="status=500")
    await case.reached("status", reply)
    expect_status(reply, 502)
    remaining = counts(await case.chat(answer="tokens=2"))[1]
    due = 3 if case.policies.failed_requests_count else 4
    assert remaining == due, f"remaining {remaining} of 5 after a failure and a success; due {due}"


@requirement("RTL-011")
async def test_forged_address(case: Case) -> None:
    """A new address in every header that proxies write."""
    await case.use(limits={"chat": 1})
    expect_status(await case.chat(), 200)
    names = ("x-forwarded-for", "x-real-ip", "forwarded", "cf-connecting-ip", "true-client-ip", "x-client-ip")
    for number, name in enumerate(names):
        value = f"for=203.0.113.{number}" if name == "forwarded" else f"203.0.113.{number}"
        await limited(case, headers={name: value})


@requirement("RTL-012")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_refusal_holds_nothing(case: Case, endpoint: str, stream: bool) -> None:
    """Three refusals."""
    await case.use(limits={"chat": 1})
    expect_status(await case.chat(answer="tokens=2"), 200)
    for _ in range(3):
        await case.nothing_upstream(await limited(case, endpoint, stream=stream))
    books = await case.books()
    assert books.held_uc == 0, f"{books.held_uc} uc are still held"
    assert len(books.of_kind("SETTLE")) == 1, "a refused request was charged"


@requirement("RTL-013")
async def test_reading_does_not_count(case: Case) -> None:
    """Lists and logs, ten times each, on a limit of two."""
    await case.use(limits={"chat": 2})
    for _ in range(10):
        expect_status(await case.get("models"), 200)
        expect_status(await case.get("usage"), 200)
    reply = await case.chat(answer="tokens=2")
    expect_status(reply, 200)
    assert counts(reply)[1] == 1, f"one request of two, remaining {counts(reply)[1]}"


@requirement("RTL-014")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_upstream_limit_is_not_the_users(case: Case, endpoint: str, stream: bool) -> None:
    """Every upstream says 429 with a Retry-After that is too long to wait for."""
    reply = await case.ask(endpoint, stream=stream, fault="status=429 retry_after_s=30")
    await case.reached("status", reply)
    expect_status(reply, 502, "api_error")
    wait = reply.headers.get("retry-after")
    assert wait is not None, "Retry-After is lost"
    assert float(wait) >= 30, f"Retry-After {wait}; the upstream said 30"


@requirement("RTL-015")
async def test_money_before_quota(case: Case) -> None:
    """200 credits, one request: then neither money nor quota is left."""
    await case.use(credits=200, limits={"chat": 1})
    expect_status(await case.chat(answer="tokens=2", max_completion_tokens=16), 200)
    expect_status(await case.chat(max_completion_tokens=16), 402, "insufficient_credits")


@requirement("RTL-016")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_headers_on_admitted(case: Case, endpoint: str, stream: bool) -> None:
    """Three in a row."""
    await case.use(limits={"chat": 9})
    remaining = []
    for _ in range(3):
        reply = await case.ask(endpoint, stream=stream, answer="tokens=2")
        expect_status(reply, 200)
        remaining.append(counts(reply)[1])
    assert remaining == [8, 7, 6], f"remaining {remaining}"


@requirement("RTL-017")
@over(endpoint=ENDPOINTS)
async def test_refusal_of_a_stream(case: Case, endpoint: str) -> None:
    """Asked for a stream, refused in JSON."""
    await case.use(limits={"chat": 1})
    expect_status(await case.ask(endpoint, stream=True, answer="tokens=2"), 200)
    reply = await limited(case, endpoint, stream=True)
    assert reply.type == "application/json", f"content-type {reply.type}"
