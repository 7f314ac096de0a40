"""What failing upstreams cost the user."""

from __future__ import annotations

import asyncio

from suites import oracle
from suites.case import Case, expect_status
from suites.requirement import ENDPOINTS, MODES, over, requirement

FREE = (
    "status=500", "status=429", "status=400", "status=401", "reset", "refuse", "reset when=after_headers",
    "cut_stream after_frames=0", "empty_body", "html_body status=502", "html_body status=200", "error_in_200",
)  # fmt: skip


@requirement("BIL-017")
@over(endpoint=ENDPOINTS, stream=MODES, fault=FREE)
async def test_nothing_for_nothing(case: Case, endpoint: str, stream: bool, fault: str) -> None:
    """Every upstream fails before it said anything."""
    user = await case.user()
    before_uc = int((await case.admin.account(user.id))["balance_uc"])
    reply = await case.ask(endpoint, stream=stream, fault=fault)
    await case.reached(fault.split("=")[0].split()[0], reply)
    assert reply.status >= 400 or reply.error, f"a failure was due: {reply}"
    books = await case.books(rows=1)
    assert books.balance_uc == before_uc, f"the balance fell by {before_uc - books.balance_uc} uc"
    assert books.held_uc == 0, f"{books.held_uc} uc are still held"
    assert books.row["costUc"] == 0, f"the log says {books.row['costUc']} uc"


@requirement("BIL-016")
@over(endpoint=ENDPOINTS, how=("cut_stream", "reset", "error_event"))
async def test_delivered_is_charged(case: Case, endpoint: str, how: str) -> None:
    """Five pieces of content, then death."""
    fault = f"{how} after_frames=5"
    reply = await case.ask(endpoint, stream=True, fault=fault, answer="tokens=60")
    await case.reached(how, reply)
    expect_status(reply, 200)
    books = await case.books(rows=1)
    usage = reply.heard.usage if endpoint == "messages" else None
    due = (
        0 if case.policies.upstream_death == "free" else case.estimate_uc(reply, usage.input_tokens if usage else None)
    )
    assert reply.heard.text, "content was delivered"
    assert books.charged_uc == due, f"charged {books.charged_uc} uc; delivered was worth {due}"
    assert len(books.of_kind("SETTLE")) <= 1, "settled more than once"
    assert books.held_uc == 0, f"{books.held_uc} uc are still held"
    assert books.row["status"] == "upstream_failed", f"the log says {books.row['status']!r}"


@requirement("BIL-034", slow=True)
@over(endpoint=ENDPOINTS)
async def test_stall_is_charged(case: Case, endpoint: str) -> None:
    """Five pieces of content, then silence to the idle limit."""
    limit_s = case.target.timeouts.idle_s + 10
    reply = await case.ask(endpoint, stream=True, fault="stall after_frames=5", answer="tokens=60", limit_s=limit_s)
    await case.reached("stall", reply)
    books = await case.books(rows=1)
    usage = reply.heard.usage if endpoint == "messages" else None
    due = (
        0 if case.policies.upstream_death == "free" else case.estimate_uc(reply, usage.input_tokens if usage else None)
    )
    assert books.charged_uc == due, f"charged {books.charged_uc} uc; delivered was worth {due}"
    assert books.held_uc == 0, f"{books.held_uc} uc are still held"
    assert books.row["status"] == "upstream_failed", f"the log says {books.row['status']!r}"


@requirement("BIL-018")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_error_text_free(case: Case, endpoint: str, stream: bool) -> None:
    """A long error under status 200."""
    words = "sorry " * 200
    reply = await case.ask(endpoint, stream=stream, fault=f'error_in_200 message="{words}"')
    await case.reached("error_in_200", reply)
    assert reply.status >= 400 or reply.error, f"a failure was due: {reply}"
    books = await case.books(rows=1)
    assert books.charged_uc == 0, f"charged {books.charged_uc} uc for an upstream's error"
    assert books.row["status"] in ("failed", "upstream_failed"), f"the log says {books.row['status']!r}"


@requirement("BIL-018")
@over(endpoint=ENDPOINTS)
async def test_error_after_content_not_counted(case: Case, endpoint: str) -> None:
    """Two pieces of content, then a long error: the error is no output."""
    words = "sorry " * 200
    reply = await case.ask(
        endpoint, stream=True, fault=f'error_event after_frames=2 message="{words}"', answer="tokens=60"
    )
    await case.reached("error_event", reply)
    books = await case.books(rows=1)
    most = oracle.price_uc(reply.sent.document["model"], len(reply.sent.body), 60)
    assert books.row["outputTokens"] < 60, f"{books.row['outputTokens']} output tokens for two pieces of content"
    assert books.charged_uc < most, f"charged {books.charged_uc} uc"


@requirement("BIL-019")
@over(endpoint=ENDPOINTS, stream=MODES, fault=("status=503", "error_in_200", "reset"))
async def test_only_the_answer_charged(case: Case, endpoint: str, stream: bool, fault: str) -> None:
    """The first target fails, the second answers."""
    first, second = case.chain(endpoint)[:2]
    usage = "tokens=6 input_tokens=254 output_tokens=41"
    reply = await case.ask(endpoint, stream=stream, fault=f"{fault} provider={first}", answer=usage)
    entries = await case.reached(fault.split("=")[0], reply)
    expect_status(reply, 200)
    assert entries[-1].provider == second, f"answered by {entries[-1]}"
    books = await case.books(rows=1)
    due = oracle.price_uc(reply.sent.document["model"], 254, 41)
    assert books.charged_uc == due, f"charged {books.charged_uc} uc; due {due}"
    assert len(books.of_kind("SETTLE")) == 1, f"{len(books.of_kind('SETTLE'))} settles for one request"
    assert books.row["cachedInputTokens"] == 0, "input was re-labelled as cached"


@requirement("BIL-024")
@over(endpoint=ENDPOINTS)
async def test_many_failures_free(case: Case, endpoint: str) -> None:
    """A hundred at once, streamed and not."""
    user = await case.user()
    before_uc = int((await case.admin.account(user.id))["balance_uc"])
    asked = [case.ask(endpoint, stream=number % 2 == 0, fault="status=400") for number in range(100)]
    for reply in await asyncio.gather(*asked):
        expect_status(reply, 400)
    books = await case.books(rows=100)
    assert books.balance_uc == before_uc, f"the balance changed by {books.balance_uc - before_uc} uc"
    closed = [transfer["closes"] for transfer in books.of_kind("RELEASE", "EXPIRE", "REFUND")]
    assert len(closed) == len(set(closed)), "a hold was given back twice"
    assert books.sum_uc("HOLD") == books.sum_uc("RELEASE", "EXPIRE"), "holds and releases differ"
