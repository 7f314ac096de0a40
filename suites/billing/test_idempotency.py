"""Requests that are sent again under the same Idempotency-Key."""

from __future__ import annotations

import asyncio
from typing import Any

from suites.case import Case, expect_status, expect_text
from suites.requirement import ENDPOINTS, MODES, over, requirement


def same_request(case: Case, endpoint: str, stream: bool, **options: Any) -> dict[str, Any]:
    """What `ask` needs to send the same bytes under the same key each time."""
    token = case.fresh()
    return {
        "endpoint": endpoint,
        "token": token,
        "stream": stream,
        "model": case.model(endpoint),
        "answer": "tokens=7",
        "headers": {"idempotency-key": f"key-{token}"},
        **options,
    }


@requirement("BIL-035")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_answered_again_charged_once(case: Case, endpoint: str, stream: bool) -> None:
    """Three times, one after the other."""
    again = same_request(case, endpoint, stream)
    first = await case.ask(**again)
    expect_status(first, 200)
    for _ in range(2):
        reply = await case.ask(**again)
        assert reply.status in (200, 409), f"the answer again or 409 was due; came {reply}"
        if reply.status == 200:
            expect_text(reply, first.heard.text)
            assert reply.heard.stop == first.heard.stop, f"stopped by {reply.heard.stop!r} when sent again"
    books = await case.books(rows=1)
    assert len(await case.upstream(first)) == 1, "the upstream was called again"
    assert len(books.of_kind("SETTLE")) == 1, f"charged {len(books.of_kind('SETTLE'))} times"


@requirement("BIL-035")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_once_at_the_same_time(case: Case, endpoint: str, stream: bool) -> None:
    """Six at once, while the upstream takes its time."""
    again = same_request(case, endpoint, stream, fault="latency ttft_ms=500")
    replies = await asyncio.gather(*(case.ask(**again) for _ in range(6)))
    statuses = sorted(reply.status for reply in replies)
    assert set(statuses) <= {200, 409}, f"statuses {statuses}"
    assert 200 in statuses, "none was served"
    books = await case.books(rows=1)
    assert len(await case.upstream(again["token"])) == 1, "the upstream was called more than once"
    assert len(books.of_kind("SETTLE")) == 1, f"charged {len(books.of_kind('SETTLE'))} times"


@requirement("BIL-035")
@over(endpoint=ENDPOINTS)
async def test_another_request_under_the_key(case: Case, endpoint: str) -> None:
    """The key stands for one request; another one under it is refused, and one under another key is made."""
    again = same_request(case, endpoint, False)
    expect_status(await case.ask(**again), 200)
    reply = await case.ask(**(again | {"answer": "tokens=8"}))
    assert 400 <= reply.status < 500, f"another request under a used key: {reply}"
    expect_status(await case.ask(**(again | {"headers": {"idempotency-key": "another"}})), 200)
    assert len(await case.upstream(again["token"])) == 2, "two of the three requests are made"


@requirement("BIL-036")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_failure_may_be_made_again(case: Case, endpoint: str, stream: bool) -> None:
    """All targets fail at first; the retry under the same key is what such keys are for."""
    attempts = len(case.chain(endpoint)) * (case.target.retries + 1)
    again = same_request(case, endpoint, stream, fault=f"status=503 call=1-{attempts}")
    failed = await case.ask(**again)
    await case.reached("status", failed)
    expect_status(failed, 502, "api_error")
    expect_status(await case.ask(**again), 200)
    books = await case.books(rows=2)
    assert len(books.of_kind("SETTLE")) == 1, f"charged {len(books.of_kind('SETTLE'))} times"


@requirement("BIL-036")
async def test_key_is_the_users_own(case: Case) -> None:
    """Two users, the same key, the same bytes: two calls."""
    again = same_request(case, "chat", False)
    expect_status(await case.ask(**again), 200)
    other = await case.new_user()
    expect_status(await case.ask(**again, key=other), 200)
    assert len(await case.upstream(again["token"])) == 2, "another user's answer was replayed"
    assert await case.charged(other) > 0, "the other user was not charged"
