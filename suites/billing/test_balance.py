"""Who may spend, and how much."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from suites import oracle
from suites.case import Case, expect_status
from suites.doors import PAID
from suites.outcomes import HarnessError
from suites.provisioning import UC_PER_CREDIT, Books
from suites.raw import at_once, request_bytes
from suites.requirement import ENDPOINTS, MODES, over, requirement

DEAR: dict[str, dict[str, Any]] = {  # requests whose hold is more than a hundred credits
    "chat": {"model": "gpt-5.2", "max_completion_tokens": 500_000},
    "messages": {"model": "claude-opus-4-6", "max_tokens": 128_000},
}
REPEATED = 20
SMALL: dict[str, dict[str, Any]] = {"chat": {"max_completion_tokens": 16}, "messages": {"max_tokens": 16}}


@requirement("BIL-020")
@over(endpoint=ENDPOINTS, stream=MODES, uc=(0, 1, 199_999_999))
async def test_under_the_minimum(case: Case, endpoint: str, stream: bool, uc: int) -> None:
    """Nothing, next to nothing, and a microcredit short."""
    await case.use(uc=uc)
    reply = await case.ask(endpoint, stream=stream, **SMALL[endpoint])
    expect_status(reply, 402, "insufficient_credits")
    await case.nothing_upstream(reply)
    books = await case.books()
    assert (books.balance_uc, books.held_uc) == (uc, 0), "a refused request moved money"


@requirement("BIL-020")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_exactly_the_minimum(case: Case, endpoint: str, stream: bool) -> None:
    """200 credits are enough; what is left after the call is not."""
    await case.use(uc=oracle.MINIMUM_BALANCE_UC)
    expect_status(await case.ask(endpoint, stream=stream, answer="tokens=3", **SMALL[endpoint]), 200)
    assert await case.charged() > 0, "the call was not free"
    for other in PAID:
        reply = await case.ask(other, **SMALL[other])
        expect_status(reply, 402, "insufficient_credits")
        await case.nothing_upstream(reply)


@requirement("BIL-021")
@over(endpoint=ENDPOINTS, stream=MODES, spare_uc=(-1, 0))
async def test_estimate_against_balance(case: Case, endpoint: str, stream: bool, spare_uc: int) -> None:
    """A balance of exactly the most the request can cost, and one microcredit less."""
    prompt = "gizmos " * (1 if endpoint == "chat" else 90_000)
    fields: dict[str, Any] = {"stream": stream, "answer": "tokens=3", **DEAR[endpoint]}
    token = case.fresh()
    document = await case.document(endpoint, token, prompt, dict(fields))
    cost_uc = oracle.hold_uc(document, case.encode(document))
    if cost_uc <= oracle.MINIMUM_BALANCE_UC:
        raise HarnessError(f"the request costs {cost_uc} uc at most, which is below the minimum balance")
    await case.use(uc=cost_uc + spare_uc)
    reply = await case.ask(endpoint, prompt, token=token, **fields)
    if spare_uc < 0:
        expect_status(reply, 402, "insufficient_credits")
        await case.nothing_upstream(reply)
    else:
        expect_status(reply, 200)


@requirement("BIL-021")
@over(stream=MODES)
async def test_estimate_counts_choices(case: Case, stream: bool) -> None:
    """One answer would fit, eight do not."""
    await case.use(credits=250)
    options: dict[str, Any] = {
        "model": "gpt-5.2",
        "stream": stream,
        "max_completion_tokens": 100_000,
        "answer": "tokens=3",
    }
    expect_status(await case.chat(**options), 200)
    reply = await case.chat(n=8, **options)
    expect_status(reply, 402, "insufficient_credits")
    await case.nothing_upstream(reply)


@requirement("BIL-021")
async def test_estimate_counts_input(case: Case) -> None:
    """A prompt of a megabyte."""
    await case.use(credits=210)
    reply = await case.chat("word " * 320_000, model="gpt-5.2-official", max_completion_tokens=16)
    expect_status(reply, 402, "insufficient_credits")
    await case.nothing_upstream(reply)


def covered(books: Books, admitted: int) -> str:
    """What overdrew, in words; "" when nothing did."""
    if books.balance_uc < 0:
        return f"the balance is {books.balance_uc} uc"
    most = max((transfer["amount_uc"] for transfer in books.of_kind("HOLD")), default=0)
    top_ups = books.sum_uc("TOP_UP")
    return f"{admitted} requests of {most} uc were admitted on {top_ups} uc" if admitted * most > top_ups else ""


@requirement("BIL-022")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_never_overdrawn(case: Case, endpoint: str, stream: bool) -> None:
    """Thirty at once; the money is enough for few, and each one costs all it may."""
    fields = DEAR[endpoint]
    user = await case.use(credits=650)
    limit = next(value for value in fields.values() if isinstance(value, int))
    answer = f"tokens=3 input_tokens=100 output_tokens={limit}"
    asked = [case.ask(endpoint, stream=stream, fault="latency ttft_ms=400", answer=answer, **fields) for _ in range(30)]
    statuses = [reply.status for reply in await asyncio.gather(*asked)]
    assert set(statuses) <= {200, 402}, f"statuses {sorted(set(statuses))}"
    books = await case.books(user, rows=statuses.count(200))
    problem = covered(books, statuses.count(200))
    assert not problem, problem
    assert statuses.count(200) >= 1, "the first request was covered"
    assert len(await case.upstream()) == statuses.count(200), "refused requests reached an upstream"


@requirement("BIL-023")
async def test_reading_is_free(case: Case) -> None:
    """Lists, logs and refusals, twenty times each."""
    user = await case.user()
    before = await case.admin.books(user.id)
    for _ in range(20):
        expect_status(await case.get("models"), 200)
        expect_status(await case.get("usage"), 200)
        expect_status(await case.chat(model="no-such-model"), 400)
    books = await case.books()
    assert books.balance_uc == before.balance_uc, f"the balance fell by {before.balance_uc - books.balance_uc} uc"
    assert books.transfers == before.transfers, f"money moved: {books.transfers[len(before.transfers) :]}"


@requirement("BIL-025")
async def test_top_up_exact(case: Case) -> None:
    """At once, to the microcredit, and once for one key, however often and however fast it is repeated."""
    user = await case.use(uc=0)
    await case.admin.top_up(user.id, 123_456_789)
    assert (await case.admin.account(user.id))["balance_uc"] == 123_456_789
    hook = case.admin.hook
    asked = case.encode({"amount_uc": 5 * UC_PER_CREDIT, "idempotency_key": f"{case.token}-again"})
    headers = {"authorization": f"Bearer {hook.token}", "content-type": "application/json"}
    raw = request_bytes("POST", f"{hook.url}/users/{user.id}/top-ups", headers, asked)
    made = [parse_body(reply) for reply in await at_once(hook.url, raw, REPEATED)]
    books = await case.books()
    due = 123_456_789 + 5 * UC_PER_CREDIT
    assert books.balance_uc == due, f"one top-up sent {REPEATED} times at once: balance {books.balance_uc}; due {due}"
    transfers = {row["transfer_id"] for row in made if "transfer_id" in row}
    assert len(transfers) == 1, f"each repetition must name the same transfer: {transfers}"


def parse_body(reply: bytes) -> dict[str, Any]:
    """The JSON body of a raw reply."""
    document = orjson.loads(reply.partition(b"\r\n\r\n")[2] or b"{}")
    return document if isinstance(document, dict) else {}


@requirement("BIL-032")
async def test_balance_is_the_sum(case: Case) -> None:
    """Topped up, charged, failed, topped up again."""
    user = await case.use(credits=300)
    steps = [
        case.chat(answer="tokens=5"),
        case.messages(stream=True, answer="tokens=5"),
        case.chat(fault="status=400"),
        case.admin.top_up(user.id, 7),
        case.chat(stream=True, fault="cut_stream after_frames=2", answer="tokens=20"),
    ]
    for step in steps:
        await step
        books = await case.books()
        incoming = books.sum_uc("TOP_UP", "RELEASE", "EXPIRE", "REFUND")
        assert books.balance_uc == incoming - books.sum_uc("HOLD"), (
            f"balance {books.balance_uc}; the transfers sum to {incoming - books.sum_uc('HOLD')}"
        )


@requirement("BIL-028", exclusive=True)
async def test_audit_clean(case: Case) -> None:
    """After everything else: nothing is held, nothing is missing."""
    for stream in MODES:
        expect_status(await case.chat(stream=stream), 200)
    await case.books(rows=2)
    audit = await case.admin.audit()
    case.evidence.note("ledger", "audit", str(audit))
    assert audit["ok"] is True, f"the audit finds {audit['problems']}"
    assert audit["sum_uc"] == 0, f"all accounts sum to {audit['sum_uc']} uc"
    assert (audit["open_holds"], audit["held_uc"]) == (0, 0), (
        f"{audit['open_holds']} holds of {audit['held_uc']} uc are open"
    )
