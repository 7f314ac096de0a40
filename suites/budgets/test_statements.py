"""Statements and credits: what was there, what came, what went, what is left."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from suites.accounts.keyring import make, rich
from suites.budgets.spending import call_of
from suites.case import Case, expect_status
from suites.edge import now_ms, sleep_ms
from suites.own_gateway import own_gateway
from suites.person import Person, due
from suites.requirement import requirement

STATEMENT, CREDITS = "/api/statement", "/api/credits"
LONG = "latency ttft_ms=12000"  # until then the call is in flight
MODELS = ("gpt-5.4", "gpt-5.4-mini", "gpt-5.4")
FIRST_UC, SECOND_UC = 700_000_000, 41_000_001


async def statement(person: Person, month: str = "") -> dict[str, Any]:
    """A month's statement, which must add up in itself."""
    told = due(await person.get(STATEMENT + (f"?month={month}" if month else "")), 200)
    moved_uc = told["totals"]["topUpsUc"] + told["totals"]["refundsUc"] - told["totals"]["chargesUc"]
    assert told["startUc"] + moved_uc == told["endUc"], f"it does not add up: {told}"
    sums = {
        "topUpsUc": sum(row["amountUc"] for row in told["topUps"]),
        "refundsUc": sum(row["amountUc"] for row in told["refunds"]),
        "chargesUc": sum(row["costUc"] for row in told["charges"]),
    }
    came = {name: told["totals"][name] for name in sums}
    assert came == sums, f"the totals {came} are not those of the rows, {sums}"
    return told


@requirement("BUD-012")
async def test_adds_up(case: Case) -> None:
    """Two top-ups, calls of two models and one that failed: start and end are the balances before and after."""
    ada = await rich(case, 0)
    await case.admin.top_up(ada.id, FIRST_UC)
    await case.admin.top_up(ada.id, SECOND_UC)
    key = await make(ada)
    replies = await asyncio.gather(*(case.chat(key=key, model=model, answer="tokens=30") for model in MODELS))
    for reply in replies:
        expect_status(reply, 200)
    expect_status(await case.chat(key=key, model=MODELS[0], fault="status=500"), 502)
    books = await case.books(ada.user, rows=4)
    told = await statement(ada)
    assert told["startUc"] == 0, f"it starts with {told['startUc']} uc"
    assert [row["amountUc"] for row in told["topUps"]] == [FIRST_UC, SECOND_UC], f"the top-ups are {told['topUps']}"
    assert told["endUc"] == books.balance_uc, f"it ends with {told['endUc']} uc; the balance is {books.balance_uc}"
    sums: Counter[str] = Counter()
    for row in books.rows:
        sums[row["model"]] += row["costUc"]
    charges = {row["model"]: row["costUc"] for row in told["charges"]}
    assert charges == {model: uc for model, uc in sums.items() if uc}, f"charges {charges}; the log tells {dict(sums)}"
    requests = {row["model"]: row["requests"] for row in told["charges"]}
    assert requests == dict(Counter(MODELS)), f"requests {requests}; due {dict(Counter(MODELS))}"


@requirement("BUD-012")
async def test_held_does_not_show(case: Case) -> None:
    """A call is in flight: what is held for it is still there."""
    call, ada = call_of(case), await rich(case)
    key = await make(ada)
    flying = case.begin(call.make(key, fault=LONG))
    account = await _once_held(case, ada)
    told = await statement(ada)
    assert account["held_uc"] > 0, "nothing is held for a call in flight"
    assert told["endUc"] == account["balance_uc"], f"the statement ends with {told['endUc']} uc; {account}"
    flying.cancel()


async def _once_held(case: Case, ada: Person) -> dict[str, Any]:
    """The account, as soon as something is held of it."""
    started = now_ms()
    while True:
        account = dict(await case.admin.account(ada.id))
        if account["held_uc"] or now_ms() - started > 6000:
            return account
        await sleep_ms(20)


@requirement("BUD-013", slow=True)
async def test_months_follow_each_other(case: Case) -> None:
    """Credit and a call in each of two months: the second starts with what the first ended with."""
    async with own_gateway(case) as own:
        case = await own.start()
        ada = await rich(case)
        key = await make(ada)
        expect_status(await case.chat(key=key, answer="tokens=30"), 200)
        await case.books(ada.user, rows=1)
        first = await statement(ada)
        assert first["complete"] is False
        await case.admin.advance_clock(32 * 86_400_000)
        ada = await _again(ada)
        await case.admin.top_up(ada.id, SECOND_UC)
        expect_status(await case.chat(key=key, answer="tokens=30"), 200)
        books = await case.books(ada.user, rows=2)
        second, before = await statement(ada), await statement(ada, first["month"])
        assert second["month"] > first["month"], f"the month after {first['month']} is {second['month']}"
        assert before == first | {"complete": True}, f"a past month changed from {first} to {before}"
        assert second["startUc"] == first["endUc"], f"{second['startUc']} uc follow {first['endUc']} uc"
        assert second["endUc"] == books.balance_uc, f"it ends with {second['endUc']} uc; {books.balance_uc} are there"
        empty = await ada.get(f"{STATEMENT}?month=2999-01")
        expect_status(empty, 400, "invalid_request_error")


async def _again(person: Person) -> Person:
    """The same person after their session ended of itself."""
    due(await person.sign_in(), 200)
    return person


@requirement("BUD-014")
async def test_credits(case: Case) -> None:
    """A call is in flight: balance, held and available are the ledger's; then the tier and what the next one lacks."""
    call, ada = call_of(case), await rich(case)
    key = await make(ada)
    flying = case.begin(call.make(key, fault=LONG))
    account = await _once_held(case, ada)
    told = due(await ada.get(CREDITS), 200)
    names = {
        "balanceUc": "balance_uc",
        "heldUc": "held_uc",
        "availableUc": "available_uc",
        "toppedUpUc": "topped_up_uc",
    }
    came, wanted = {name: told[name] for name in names}, {name: account[kept] for name, kept in names.items()}
    assert came == wanted, f"credits tell {came}; the ledger {wanted}"
    assert told["availableUc"] == told["balanceUc"] - told["heldUc"] < told["balanceUc"], f"{came}"
    lacking_uc = told["nextTier"]["missingUc"]
    flying.cancel()
    await case.admin.top_up(ada.id, lacking_uc)
    after = due(await ada.get(CREDITS), 200)
    assert after["tier"]["id"] == told["nextTier"]["id"], f"with what was lacking the tier is {after['tier']}"
