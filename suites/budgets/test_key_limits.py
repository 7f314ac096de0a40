"""The monthly limit of a key."""

from __future__ import annotations

import asyncio
import datetime

from suites.accounts.keyring import make, rich
from suites.budgets.spending import call_of, change, limited
from suites.case import Case, expect_status
from suites.edge import unix_s
from suites.own_gateway import own_gateway
from suites.person import due
from suites.provisioning import UC_PER_CREDIT
from suites.requirement import over, requirement


def next_month(now_s: float) -> int:
    """When the next calendar month begins in UTC, as a Unix second."""
    now = datetime.datetime.fromtimestamp(now_s, datetime.UTC)
    first = datetime.datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=datetime.UTC)
    return int(first.timestamp())


@requirement("BUD-001")
async def test_refused(case: Case) -> None:
    """Two calls fit, the third does not: it reaches nobody and costs nothing, and is told what the limit is."""
    call, ada = call_of(case), await rich(case)
    limit_uc = 2 * call.cost_uc + call.held_uc - call.cost_uc // 2
    key = await limited(ada, limit_uc)
    await call.served(key, ada, times=2)
    reply = await call.refused(key)
    await case.nothing_upstream(reply)
    books = await case.books(ada.user)
    assert books.charged_uc == 2 * call.cost_uc, f"{books.charged_uc} uc were charged; due {2 * call.cost_uc}"
    left_uc = limit_uc - 2 * call.cost_uc
    told = [int(reply.headers.get(f"x-ratelimit-{name}", "-1")) for name in ("limit", "remaining", "reset")]
    assert told[:2] == [limit_uc // UC_PER_CREDIT, left_uc // UC_PER_CREDIT], f"the headers tell {told[:2]} credits"
    moment = datetime.datetime.fromtimestamp(told[2], datetime.UTC)
    midnight = (moment.day, moment.hour, moment.minute, moment.second) == (1, 0, 0, 0)
    assert midnight, f"the reset {moment} is not the first of a month"


@requirement("BUD-001")
async def test_nothing_may_be_spent(case: Case) -> None:
    """A limit of 0, from the first call on."""
    call, ada = call_of(case), await rich(case)
    reply = await call.refused(await limited(ada, 0))
    await case.nothing_upstream(reply)


@requirement("BUD-002")
@over(stream=(False, True))
async def test_never_overshot(case: Case, stream: bool) -> None:
    """Sixteen calls at once on a new key that may spend what four cost."""
    call, ada = call_of(case), await rich(case)
    limit_uc = 4 * call.held_uc + call.cost_uc // 2
    key = await limited(ada, limit_uc)
    slow = "latency ttft_ms=400"
    replies = await asyncio.gather(*(call.make(key, stream=stream, fault=slow) for _ in range(16)))
    statuses = sorted(reply.status for reply in replies)
    served = statuses.count(200)
    books = await case.books(ada.user, rows=served)
    assert books.charged_uc <= limit_uc, f"{books.charged_uc} uc were spent of a limit of {limit_uc} uc"
    assert served >= 4, f"{served} calls were served of a limit for four"
    assert set(statuses) == {200, 429}, f"statuses {statuses}"


@requirement("BUD-003")
async def test_held_is_given_back(case: Case) -> None:
    """Calls that fail, then one that succeeds, on a limit for one."""
    call, ada = call_of(case), await rich(case)
    key = await limited(ada, call.held_uc + call.cost_uc // 2)
    for _ in range(2):
        expect_status(await call.make(key, fault="status=500"), 502)
        await case.books(ada.user)
    await call.served(key)


@requirement("BUD-004")
async def test_changes_reset_nothing(case: Case) -> None:
    """One call was made; every change leaves room for what is left after it, and no more."""
    call, ada = call_of(case), await rich(case)
    tight_uc, wide_uc = call.held_uc + call.cost_uc // 2, call.held_uc + 3 * call.cost_uc // 2
    key = await limited(ada, wide_uc)
    await call.served(key, ada)
    for fields in ({"name": "renamed"}, {"autoDisable": True}, {"autoDisable": False}, {"status": "active"}):
        await change(ada, key, spendingLimit=tight_uc / UC_PER_CREDIT)
        await change(ada, key, **fields)
        await call.refused(key)
    await change(ada, key, spendingLimit=wide_uc / UC_PER_CREDIT)
    await call.served(key)


@requirement("BUD-005")
async def test_spent_before_it_was_set(case: Case) -> None:
    """Two calls without a limit; then one that leaves no room after them, then one that does."""
    call, ada = call_of(case), await rich(case)
    key = await make(ada)
    await call.served(key, ada, times=2)
    await change(ada, key, spendingLimit=(call.cost_uc + call.held_uc) / UC_PER_CREDIT)
    await call.refused(key)
    await change(ada, key, spendingLimit=(3 * call.cost_uc + call.held_uc) / UC_PER_CREDIT)
    await call.served(key)


@requirement("BUD-006", slow=True)
async def test_calendar_month(case: Case) -> None:
    """The limit is spent; then the last seconds of the month, the first of the next, and the month after that."""
    async with own_gateway(case) as own:
        case = await own.start()
        call, ada = call_of(case), await rich(case)
        key = await limited(ada, call.held_uc + call.cost_uc // 2)
        begun_s = unix_s()
        await call.served(key, ada)
        reset_s = int((await call.refused(key)).headers["x-ratelimit-reset"])
        assert reset_s == next_month(begun_s), f"the limit ends at {reset_s}; due {next_month(begun_s)}"
        left_s = reset_s - unix_s()
        if left_s > 60:
            await case.admin.advance_clock(int((left_s - 30) * 1000))
            await call.refused(key)
            left_s = 30
        await case.admin.advance_clock(int((left_s + 1) * 1000))
        await call.served(key, ada)
        again_s = int((await call.refused(key)).headers["x-ratelimit-reset"])
        assert again_s == next_month(reset_s), f"the next month ends at {again_s}; due {next_month(reset_s)}"
        await case.admin.advance_clock((again_s - reset_s + 5) * 1000)
        await call.served(key)


@requirement("BUD-015")
async def test_refusals_count_against_nothing(case: Case) -> None:
    """Five refused calls, and the hour is as fresh as before."""
    call, ada = call_of(case), await rich(case)
    await case.admin.call("PATCH", f"users/{ada.id}", {"limits": {"chat": 3}})
    closed, own = await limited(ada, 0), await make(ada)
    await call.served(own)
    for _ in range(5):
        await call.refused(closed)
    reply = await call.make(own)
    expect_status(reply, 200)
    assert reply.headers["x-ratelimit-remaining"] == "1", f"remaining {reply.headers['x-ratelimit-remaining']}; due 1"


@requirement("BUD-016")
async def test_only_that_key(case: Case) -> None:
    """Another key of the user, without a limit and with one of its own, goes on."""
    call, ada = call_of(case), await rich(case)
    full, own, wide = await limited(ada, 0), await make(ada), await limited(ada, 10 * call.held_uc)
    await call.refused(full)
    for key in (own, wide):
        await call.served(key, ada)
    await call.refused(full)
    assert due(await ada.get(f"/api/api-keys/{own.id}"), 200)["spendingLimit"] is None
