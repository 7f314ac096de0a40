"""What a request that succeeds costs."""

from __future__ import annotations

from suites import oracle
from suites.case import Case, expect_status
from suites.exchange import Reply
from suites.heard import Told
from suites.outcomes import HarnessError
from suites.provisioning import Books
from suites.requirement import ENDPOINTS, MODES, over, requirement
from suites.samples import output_limit

USAGES = (
    "input_tokens=1 output_tokens=1",
    "input_tokens=999 output_tokens=333",
    "input_tokens=123457 output_tokens=7",
    "input_tokens=3 output_tokens=401",
)


async def paid(case: Case, reply: Reply) -> tuple[Books, Told]:
    """The books after one request that succeeded, and the usage that its upstream told."""
    expect_status(reply, 200)
    entry = await case.one_upstream_call(reply)
    return await case.books(rows=1), entry.usage


@requirement("BIL-001")
@over(endpoint=ENDPOINTS, stream=MODES, usage=USAGES)
async def test_settles_to_usage(case: Case, endpoint: str, stream: bool, usage: str) -> None:
    """Small and odd numbers, where rounding and swapped rates show. A large limit keeps the hold above the charge."""
    limit = output_limit(endpoint, 50_000)
    reply = await case.ask(endpoint, stream=stream, answer=f"tokens=3 {usage}", **limit)
    books, usage_told = await paid(case, reply)
    due = oracle.charge_uc(reply.sent.document["model"], usage_told)
    assert books.charged_uc == due, f"charged {books.charged_uc} uc for {usage_told}; due {due}"


@requirement("BIL-002")
@over(endpoint=ENDPOINTS)
async def test_streamed_costs_the_same(case: Case, endpoint: str) -> None:
    """Two users, one usage, one model."""
    charges = {}
    model = case.model(endpoint)
    for stream in MODES:
        user = await case.new_user()
        reply = await case.ask(
            endpoint, stream=stream, key=user, model=model, answer="tokens=9 input_tokens=321 output_tokens=123"
        )
        expect_status(reply, 200)
        charges[stream] = await case.charged(user)
    assert charges[True] == charges[False] > 0, f"streamed {charges[True]} uc, not streamed {charges[False]} uc"


@requirement("BIL-003")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_upstream_cost_ignored(case: Case, endpoint: str, stream: bool) -> None:
    """The upstream says that it was free."""
    reply = await case.ask(
        endpoint, stream=stream, fault="usage_zero_cost", answer="tokens=5 input_tokens=80 output_tokens=20"
    )
    entry = (await case.reached("usage_zero_cost", reply))[-1]
    expect_status(reply, 200)
    assert await case.charged() == oracle.charge_uc(reply.sent.document["model"], entry.usage)


@requirement("BIL-004")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_hold_resolved_once(case: Case, endpoint: str, stream: bool) -> None:
    """The transfers of one request."""
    books, _ = await paid(case, await case.ask(endpoint, stream=stream, answer="tokens=5"))
    holds, settles, releases = books.of_kind("HOLD"), books.of_kind("SETTLE"), books.of_kind("RELEASE")
    assert [len(holds), len(settles)] == [1, 1], f"{len(holds)} holds and {len(settles)} settles for one request"
    assert len(releases) <= 1, f"{len(releases)} releases of one hold"
    parts = books.sum_uc("SETTLE", "RELEASE")
    assert parts == holds[0]["amount_uc"], f"settle and release are {parts} uc; the hold was {holds[0]['amount_uc']}"
    assert {t["closes"] for t in settles + releases} == {holds[0]["id"]}, "settle and release do not name the hold"
    assert books.held_uc == 0, f"{books.held_uc} uc are still held"
    assert not books.of_kind("REFUND", "EXPIRE"), "a plain success needs no refund"


@requirement("BIL-005")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_three_ways_the_same(case: Case, endpoint: str, stream: bool) -> None:
    """Balance, ledger, log."""
    user = await case.user()
    before_uc = int((await case.admin.account(user.id))["balance_uc"])
    books, _ = await paid(case, await case.ask(endpoint, stream=stream, answer="tokens=7"))
    assert before_uc - books.balance_uc == books.charged_uc == books.row["costUc"] > 0, (
        f"balance -{before_uc - books.balance_uc}, ledger settled {books.charged_uc}, log says {books.row['costUc']}"
    )


@requirement("BIL-006")
@over(endpoint=ENDPOINTS, stream=MODES, cached=(0, 1500, 1990), written=(0, 7))
async def test_cached_at_input_rate(case: Case, endpoint: str, stream: bool, cached: int, written: int) -> None:
    """Cached tokens from none to nearly all; with an upstream that counts them apart and one that counts them in."""
    usage = f"tokens=3 input_tokens=2000 output_tokens=10 cached_tokens={cached} cache_write_tokens={written}"
    limit = output_limit(endpoint, 20_000)
    reply = await case.ask(endpoint, stream=stream, answer=usage, **limit)
    books, usage_told = await paid(case, reply)
    due = oracle.price_uc(reply.sent.document["model"], 2000, 10)
    assert usage_told.input_tokens == 2000, "the fleet counts cached tokens as input"
    assert books.charged_uc == due, f"charged {books.charged_uc} uc for {usage_told}; due {due}"


@requirement("BIL-007")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_reasoning_once(case: Case, endpoint: str, stream: bool) -> None:
    """300 of 400 output tokens are reasoning."""
    reply = await case.ask(
        endpoint, stream=stream, answer="tokens=5 input_tokens=50 output_tokens=400 reasoning_tokens=300"
    )
    books, usage_told = await paid(case, reply)
    due = oracle.price_uc(reply.sent.document["model"], 50, 400)
    assert books.charged_uc == due, f"charged {books.charged_uc} uc for {usage_told}; due {due}"


@requirement("BIL-008")
@over(endpoint=ENDPOINTS)
async def test_growing_usage_once(case: Case, endpoint: str) -> None:
    """Usage in every chunk; on Messages the start and the end tell it both, always."""
    reply = await case.ask(
        endpoint, stream=True, fault="usage_every_chunk", answer="tokens=10 input_tokens=50 output_tokens=10"
    )
    entry = (await case.reached("usage_every_chunk", reply))[-1]
    expect_status(reply, 200)
    books = await case.books(rows=1)
    due = oracle.charge_uc(reply.sent.document["model"], entry.usage)
    assert books.charged_uc == due, f"charged {books.charged_uc} uc for {entry.usage}; due {due}"
    assert len(books.rows) == 1, f"{len(books.rows)} log rows for one request"


@requirement("BIL-009")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_zero_believed(case: Case, endpoint: str, stream: bool) -> None:
    """Text came, and the upstream says it cost nothing."""
    reply = await case.ask(
        endpoint, stream=stream, fault="wrong_usage input_tokens=0 output_tokens=0", answer="tokens=9"
    )
    await case.reached("wrong_usage", reply)
    expect_status(reply, 200)
    books = await case.books(rows=1)
    assert books.charged_uc == 0, f"charged {books.charged_uc} uc although the upstream told a usage of zero"


@requirement("BIL-010")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_estimate_when_untold(case: Case, endpoint: str, stream: bool) -> None:
    """No usage at all: the declared rule, and its mark."""
    reply = await case.ask(
        endpoint, "Grüße 漢字 aus dem Windkanal. " * 8, stream=stream, fault="missing_usage", answer="tokens=25"
    )
    entry = (await case.reached("missing_usage", reply))[-1]
    expect_status(reply, 200)
    if entry.told is not None:
        raise HarnessError(f"the fleet told usage all the same: {entry}")
    books = await case.books(rows=1)
    due = case.estimate_uc(reply)
    assert books.charged_uc == due, f"charged {books.charged_uc} uc; the declared estimate is {due}"
    assert books.row["estimated"] is True, "the log row is not marked as estimated"


@requirement("BIL-026")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_capped_at_hold(case: Case, endpoint: str, stream: bool) -> None:
    """The upstream claims a million tokens for a small request."""
    limit = output_limit(endpoint, 16)
    reply = await case.ask(endpoint, stream=stream, answer="tokens=3 input_tokens=900000 output_tokens=900000", **limit)
    books, usage_told = await paid(case, reply)
    held_uc = books.sum_uc("HOLD")
    assert oracle.charge_uc(reply.sent.document["model"], usage_told) > held_uc, "the claim is above the hold"
    assert books.charged_uc == held_uc, f"charged {books.charged_uc} uc; the hold was {held_uc}"
    assert books.row["capped"] is True, "the log row is not marked as capped"
    assert books.held_uc == 0


@requirement("BIL-027")
@over(endpoint=ENDPOINTS, stream=MODES, limit=(16, 3000, None))
async def test_hold_is_the_bound(case: Case, endpoint: str, stream: bool, limit: int | None) -> None:
    """With the caller's limit and with the model's."""
    if endpoint == "messages" and limit is None:
        limit = 512
    options = output_limit(endpoint, limit)
    reply = await case.ask(endpoint, stream=stream, answer="tokens=3", **options)
    books, _ = await paid(case, reply)
    due = oracle.hold_uc(reply.sent.document, reply.sent.body)
    assert books.sum_uc("HOLD") == due, f"held {books.sum_uc('HOLD')} uc; the bound is {due}"


@requirement("BIL-027")
async def test_hold_counts_choices(case: Case) -> None:
    """Four answers asked for."""
    reply = await case.chat(answer="tokens=3", n=4, max_completion_tokens=100)
    books, _ = await paid(case, reply)
    due = oracle.hold_uc(reply.sent.document, reply.sent.body)
    assert books.sum_uc("HOLD") == due, f"held {books.sum_uc('HOLD')} uc for n=4; the bound is {due}"


@requirement("BIL-029")
@over(alias=("claude-sonnet-4-5-20250929", "claude-3-5-sonnet-20241022", "claude-3-5-haiku-20241022"), stream=MODES)
async def test_alias_price(case: Case, alias: str, stream: bool) -> None:
    """An alias, whose upstream answers under a dated name besides."""
    reply = await case.messages(model=alias, stream=stream, answer="tokens=3 input_tokens=77 output_tokens=33")
    books, usage_told = await paid(case, reply)
    assert books.charged_uc == oracle.charge_uc(alias, usage_told)


@requirement("BIL-030")
@over(stream=MODES)
async def test_all_choices_charged(case: Case, stream: bool) -> None:
    """Three answers."""
    reply = await case.chat(n=3, stream=stream, answer="tokens=20", max_completion_tokens=600)
    books, usage_told = await paid(case, reply)
    assert usage_told.output_tokens >= 60, f"the fleet counts all answers: {usage_told}"
    assert books.charged_uc == oracle.charge_uc(reply.sent.document["model"], usage_told)
