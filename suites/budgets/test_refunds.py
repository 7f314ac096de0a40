"""Refunds: what an operator gives back of a charge, never twice, never more than it was, and to nobody else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from suites.accounts.company import company
from suites.accounts.keyring import make, rich
from suites.budgets.spending import Call, call_of, credits, limited
from suites.budgets.test_statements import statement
from suites.case import Case, expect_status
from suites.exchange import Reply
from suites.gpu_jobs import Gpu
from suites.outcomes import Violation
from suites.person import Person, due
from suites.provisioning import Key
from suites.requirement import over, requirement

INSTANT = "job_times queue_s=0 cold_s=0 run_s=0"
TOGETHER = 10


def request_of(reply: Reply) -> str:
    """The id of a request, as its reply tells it. Raises Violation."""
    ident = reply.headers.get("x-request-id")
    if not ident:
        raise Violation(f"a reply without x-request-id: {reply}")
    return str(ident)


async def charged(call: Call, key: Key, payer: Person, calls: int = 1) -> list[str]:
    """The requests of so many calls, once they are in the ledger."""
    replies = [await call.make(key) for _ in range(calls)]
    for reply in replies:
        expect_status(reply, 200)
    await call.case.books(payer.user, rows=calls)
    return [request_of(reply) for reply in replies]


async def given(case: Case, payer: str, request_id: str, **asked: Any) -> Mapping[str, Any]:
    """A refund that is made. Raises Violation."""
    status, told = await case.admin.refund(payer, request_id, **asked)
    if status != 201:
        raise Violation(f"a refund {asked} of {request_id} to {payer} is answered {status} {told}; due 201")
    return dict(told)


async def denied(case: Case, due_status: int, payer: str, request_id: str, **asked: Any) -> None:
    """A refund that is refused. Raises Violation."""
    status, told = await case.admin.refund(payer, request_id, **asked)
    if status != due_status:
        raise Violation(
            f"a refund {asked} of {request_id} to {payer} is answered {status} {told}; due {due_status}",
        )


@requirement("BUD-018")
async def test_in_parts(case: Case) -> None:
    """A part, then all that is left: balance, transfers and statement have both, the log keeps the cost."""
    call, ada = call_of(case), await rich(case)
    [request_id] = await charged(call, await make(ada), ada)
    before = await case.books(ada.user)
    payer, part_uc = f"users/{ada.id}", call.cost_uc // 3
    rest_uc = call.cost_uc - part_uc
    first = await given(case, payer, request_id, amount_uc=part_uc)
    second = await given(case, payer, request_id)
    told = [(made["amount_uc"], made["left_uc"], made["balance_uc"] - before.balance_uc) for made in (first, second)]
    wanted = [(part_uc, rest_uc, part_uc), (rest_uc, 0, call.cost_uc)]
    assert told == wanted, f"amount, left and balance gained are {told}; due {wanted}"
    books = await case.books(ada.user)
    assert books.balance_uc == before.balance_uc + call.cost_uc, f"{books.balance_uc} uc after a refund of the charge"
    moved = [(row["id"], row["amount_uc"], row["request_id"]) for row in books.of_kind("REFUND")]
    due_rows = [(first["transfer_id"], part_uc, request_id), (second["transfer_id"], rest_uc, request_id)]
    assert moved == due_rows, f"the transfers have {moved}; due {due_rows}"
    assert books.row["costUc"] == call.cost_uc, f"the log says {books.row['costUc']} uc after the refund"
    shown = await statement(ada)
    rows = [(row["id"], row["amountUc"], row["requestId"]) for row in shown["refunds"]]
    assert rows == due_rows, f"the statement has the refunds {rows}; due {due_rows}"
    totals = (shown["totals"]["chargesUc"], shown["totals"]["refundsUc"])
    assert totals == (call.cost_uc, call.cost_uc), f"the statement has charges and refunds of {totals} uc"
    assert shown["endUc"] == books.balance_uc, f"it ends with {shown['endUc']} uc; the balance is {books.balance_uc}"


@requirement("BUD-018")
@over(what=("images", "gpu"))
async def test_of_any_kind(case: Case, what: str) -> None:
    """A picture and a GPU job can be given back as a call can."""
    if what == "images":
        expect_status(await case.ask("images", "A teapot.", fault=INSTANT, model=case.model("images")), 200)
    else:
        gpu = Gpu(case)
        job = await gpu.ended(await gpu.taken(case.model("gpu")))
        assert job["status"] == "succeeded", f"the job is {job}"
    user = await case.user()
    before = await case.books(rows=1)
    cost_uc = before.charged_uc
    assert cost_uc > 0, "nothing was charged"
    told = await given(case, f"users/{user.id}", before.row["requestId"])
    assert (told["amount_uc"], told["left_uc"]) == (cost_uc, 0), f"{told}; due {cost_uc} uc and nothing left"
    after = await case.books()
    gained_uc = after.balance_uc - before.balance_uc
    assert gained_uc == cost_uc, f"the balance gained {gained_uc} uc by a refund of {cost_uc} uc"
    assert after.charged_uc == 0, f"{after.charged_uc} uc are still charged by the transfers"


@requirement("BUD-019")
async def test_same_key_again(case: Case) -> None:
    """The same key again, also at the same time: one transfer; for another amount or request it is refused."""
    call, ada = call_of(case), await rich(case)
    first, second = await charged(call, await make(ada), ada, calls=2)
    before = await case.books(ada.user)
    payer, token = f"users/{ada.id}", case.fresh()
    asked = {"amount_uc": call.cost_uc // (3 * TOGETHER), "idempotency_key": token}  # all of them would fit
    made = await asyncio.gather(*(given(case, payer, first, **asked) for _ in range(TOGETHER)))
    made.append(await given(case, payer, first, **asked))
    ids = {str(told["transfer_id"]) for told in made}
    gained_uc = (await case.books(ada.user)).balance_uc - before.balance_uc
    assert gained_uc == asked["amount_uc"], f"one refund of {asked['amount_uc']} uc gave back {gained_uc} uc"
    assert len(ids) == 1, f"one key made the transfers {sorted(ids)}"
    for request_id, other in ((first, asked["amount_uc"] + 1), (second, asked["amount_uc"])):
        await denied(case, 409, payer, request_id, amount_uc=other, idempotency_key=token)
    whole = [await given(case, payer, second, idempotency_key=token + "-all") for _ in range(2)]
    assert whole[0] == whole[1], f"all that is left, twice under one key: {whole}"
    due_uc = before.balance_uc + gained_uc + call.cost_uc
    balance_uc = (await case.books(ada.user)).balance_uc
    assert balance_uc == due_uc, f"{balance_uc} uc after two refunds and two that were refused; due {due_uc} uc"


@requirement("BUD-020")
async def test_never_above_the_charge(case: Case) -> None:
    """One microcredit too much, before and after a part; then all that is left, asked for many times at once."""
    call, ada = call_of(case), await rich(case)
    first, _ = await charged(call, await make(ada), ada, calls=2)
    before = await case.books(ada.user)
    payer = f"users/{ada.id}"
    await denied(case, 409, payer, first, amount_uc=call.cost_uc + 1)
    part_uc = call.cost_uc // 2
    await given(case, payer, first, amount_uc=part_uc)
    await denied(case, 409, payer, first, amount_uc=call.cost_uc - part_uc + 1)
    answers = await asyncio.gather(*(case.admin.refund(payer, first) for _ in range(TOGETHER)))
    statuses = Counter(status for status, _ in answers)
    gained_uc = (await case.books(ada.user)).balance_uc - before.balance_uc
    assert gained_uc == call.cost_uc, f"refunds of a charge of {call.cost_uc} uc gave back {gained_uc} uc"
    assert statuses == {201: 1, 409: TOGETHER - 1}, f"{TOGETHER} refunds of all that is left: {dict(statuses)}"


@requirement("BUD-021")
async def test_of_another(case: Case) -> None:
    """What another user paid, what an organisation paid for its member, and a call that failed: 404, no money moves."""
    call, ada, bob = call_of(case), await rich(case), await rich(case)
    firm = await company(case, credits=1000, people={"owner": ada})
    [own] = await charged(call, await make(ada), ada)
    reply = await call.make(await firm.key())
    expect_status(reply, 200)
    firms, failed = request_of(reply), await call.make(await make(bob), fault="status=500")
    expect_status(failed, 502)
    before = [(await case.books(who.user)).balance_uc for who in (ada, bob)] + [await firm.balance_uc()]
    for payer, request_id in (
        (f"users/{bob.id}", own),
        (f"orgs/{firm.id}", own),
        (f"users/{ada.id}", firms),
        (f"users/{bob.id}", request_of(failed)),
        (f"users/{bob.id}", case.fresh()),
    ):
        await denied(case, 404, payer, request_id)
    after = [(await case.books(who.user)).balance_uc for who in (ada, bob)] + [await firm.balance_uc()]
    assert after == before, f"refused refunds changed the balances from {before} to {after} uc"
    told = await given(case, f"orgs/{firm.id}", firms)
    assert told["balance_uc"] == before[2] + call.cost_uc, f"{told} after a refund to the organisation"


@requirement("BUD-022")
async def test_frees_the_key(case: Case) -> None:
    """A key whose limit one call fills can be used again once that call was refunded."""
    call, ada = call_of(case), await rich(case)
    key = await limited(ada, call.held_uc + call.cost_uc // 2)
    [request_id] = await charged(call, key, ada)
    await call.refused(key)
    await given(case, f"users/{ada.id}", request_id)
    await call.served(key)


@requirement("BUD-022")
async def test_frees_the_budget(case: Case) -> None:
    """A part of a call of an organisation's is refunded: so much less is spent of its budget."""
    call, ada = call_of(case), await rich(case)
    firm = await company(case, credits=1000, people={"owner": ada})
    due(await ada.put(firm.path("/budget"), {"monthlyLimit": credits(10 * call.held_uc)}), 200)
    reply = await call.make(await firm.key())
    expect_status(reply, 200)
    await firm.balance_uc()
    spent_uc = due(await ada.get(firm.path("/budget")), 200)["spentUc"]
    assert spent_uc == call.cost_uc, f"{spent_uc} uc are spent; due {call.cost_uc}"
    part_uc = call.cost_uc // 3
    await given(case, f"orgs/{firm.id}", request_of(reply), amount_uc=part_uc)
    left_uc = due(await ada.get(firm.path("/budget")), 200)["spentUc"]
    assert left_uc == spent_uc - part_uc, f"{left_uc} uc are spent after a refund of {part_uc} of {spent_uc} uc"
