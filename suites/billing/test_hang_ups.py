"""Clients that go away, and what they pay."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from suites import oracle
from suites.case import Case
from suites.edge import now_ms, sleep_ms
from suites.exchange import Reply
from suites.heard import Heard
from suites.outcomes import NotApplicable
from suites.provisioning import User
from suites.requirement import ENDPOINTS, over, requirement
from suites.samples import output_limit

CANCEL_MS = 4000  # "at once", on a busy machine; the upstream would go on for ten seconds and more


async def hang_up_after(
    case: Case, endpoint: str, frames: int, user: User | None = None, model: str | None = None
) -> Reply:
    """Read `frames` pieces of content, then hang up: the upstream is silent, so what was delivered is certain."""
    fault = f"stall after_frames={frames}"
    options = output_limit(endpoint, 2000)
    opened = await case.open(endpoint, stream=True, fault=fault, answer="tokens=120", key=user, model=model, **options)
    async with opened:
        await opened.until(lambda heard: len(heard.deltas) >= frames)
        return opened.hang_up()


def delivered_uc(case: Case, reply: Reply) -> int:
    """The declared charge for what a client got that hung up; on Messages the upstream had told the input."""
    if case.policies.disconnect == "free":
        return 0
    usage = reply.heard_so_far.usage
    return case.estimate_uc(reply, usage.input_tokens if usage is not None else None)


@requirement("BIL-011")
@over(endpoint=ENDPOINTS, frames=(1, 6))
async def test_delivered_is_charged(case: Case, endpoint: str, frames: int) -> None:
    """After one piece and after six."""
    if case.policies.disconnect == "charge_full":
        raise NotApplicable("the declared policy charges the whole answer")
    reply = await hang_up_after(case, endpoint, frames)
    await case.reached("stall", reply)
    books = await case.books(rows=1)
    due = delivered_uc(case, reply)
    assert books.charged_uc == due, f"charged {books.charged_uc} uc; delivered was worth {due}"
    assert len(books.of_kind("SETTLE")) <= 1, "settled more than once"
    assert books.held_uc == 0, f"{books.held_uc} uc are still held"
    assert books.row["status"] == "client_closed", f"the log says {books.row['status']!r}"
    assert books.row["costUc"] == due, f"the log says {books.row['costUc']} uc"
    assert books.row["estimated"] is True, "nobody told the usage, yet the row is not marked as estimated"


@requirement("BIL-012")
@over(endpoint=ENDPOINTS, stream=(True, False), when=("at once", "between"))
async def test_upstream_cancelled(case: Case, endpoint: str, stream: bool, when: str) -> None:
    """The upstream would go on for twenty seconds; the journal tells when its peer closed."""
    slow = "latency total_ms=20000" if stream and when == "between" else "latency ttft_ms=10000"
    asking = case.begin(
        case.open(endpoint, stream=stream, fault=slow, answer="tokens=100", token=(token := case.fresh()))
    )
    if stream and when == "between":
        async with await asking as opened:
            await opened.until(lambda heard: len(heard.deltas) >= 1)
            opened.hang_up()
    else:
        await until_pending(case, token)
        asking.cancel()
        await asyncio.wait([asking])
    gone_ms = now_ms()
    entries = await case.upstream(token, wait_ms=CANCEL_MS)
    took_ms = now_ms() - gone_ms
    assert entries, "the upstream was called"
    assert [entry.ended for entry in entries] == ["peer_closed"], (
        f"{took_ms:.0f} ms after the client went: {', '.join(map(str, entries))}"
    )


async def until_pending(case: Case, token: str) -> None:
    """Wait until the upstream has the request."""
    for _ in range(200):
        if await case.fleet.journal(token, wait_ms=0):
            return
        await sleep_ms(20)
    raise AssertionError("the request never reached an upstream")


@requirement("BIL-013")
@over(endpoint=ENDPOINTS)
async def test_no_discount_before_the_end(case: Case, endpoint: str) -> None:
    """All the content is there, the terminal event is not."""
    same: dict[str, Any] = {"token": case.fresh(), "model": case.model(endpoint), "stream": True, "answer": "tokens=30"}
    whole = await case.ask(endpoint, **same)
    frames = len(whole.heard.deltas)
    user = await case.new_user()
    async with case.scripted({"kind": "stall", "after_frames": frames}, same["token"], attempt=2):
        async with await case.open(endpoint, key=user, **same) as opened:
            await opened.until(lambda heard: len(heard.deltas) >= frames)
            reply = opened.hang_up()
        await case.reached("stall", reply)
        books = await case.books(user, rows=1)
    due = delivered_uc(case, reply)
    assert reply.heard_so_far.text == whole.heard.text, "all the content was delivered"
    assert books.charged_uc == due, f"charged {books.charged_uc} uc for the whole text; due {due}"


@requirement("BIL-014")
@over(endpoint=ENDPOINTS)
async def test_always_the_same(case: Case, endpoint: str) -> None:
    """Twelve identical hang-ups by twelve users, six at a time."""
    model = case.model(endpoint)
    users = await asyncio.gather(*(case.new_user() for _ in range(12)))
    off_by = set()
    for batch in (users[:6], users[6:]):
        replies = await asyncio.gather(*(hang_up_after(case, endpoint, 4, user, model) for user in batch))
        for user, reply in zip(batch, replies, strict=True):
            off_by.add(await case.charged(user) - delivered_uc(case, reply))
    assert off_by == {0}, f"identical hang-ups were charged off by {sorted(off_by)} uc"


@requirement("BIL-015")
@over(endpoint=ENDPOINTS, stream=(True, False))
async def test_before_any_content(case: Case, endpoint: str, stream: bool) -> None:
    """The upstream has the request and says nothing; the client leaves."""
    await case.user()
    token = case.fresh()
    model = case.model(endpoint)
    asking = case.begin(case.open(endpoint, stream=stream, fault="hang", answer="tokens=100", token=token, model=model))
    await until_pending(case, token)
    asking.cancel()
    await asyncio.wait([asking])
    await case.reached("hang", token)
    books = await case.books(rows=1)
    assert books.held_uc == 0, f"{books.held_uc} uc are still held"
    sent = case.marks(token, fault="hang", answer="tokens=100")
    most = oracle.price_uc(model, len(sent) + 40, 0)
    assert books.charged_uc <= most, (
        f"charged {books.charged_uc} uc although nothing was delivered; the input is worth {most} at most"
    )
    assert len(books.of_kind("SETTLE")) <= 1, "settled more than once"


def has_pieces(heard: Heard, count: int) -> bool:
    """Whether so much content came."""
    return len(heard.deltas) >= count


@requirement("BIL-031")
@over(endpoint=ENDPOINTS)
async def test_later_never_cheaper(case: Case, endpoint: str) -> None:
    """Hang-ups after 1, 3, 6 and 9 pieces of the same answer, and none at all.

    The faults are scripted by attempt: a fault in the prompt would make each request another question.
    """
    same: dict[str, Any] = {"token": case.fresh(), "model": case.model(endpoint), "stream": True}
    same |= {"answer": "tokens=120", **output_limit(endpoint, 2000)}
    charges = []
    for attempt, frames in enumerate((1, 3, 6, 9), 1):
        user = await case.new_user()
        async with case.scripted({"kind": "stall", "after_frames": frames}, same["token"], attempt=attempt):
            async with await case.open(endpoint, key=user, **same) as opened:
                await opened.until(partial(has_pieces, count=frames))
                opened.hang_up()
            charges.append(await case.charged(user))
    user = await case.new_user()
    async with case.scripted({"kind": "missing_usage"}, same["token"], attempt=5):
        whole = await case.ask(endpoint, key=user, **same)
    assert whole.error is None
    charges.append(await case.charged(user))
    assert charges == sorted(charges), f"charges after 1, 3, 6, 9 pieces and all: {charges}"
    assert charges[0] > 0 or case.policies.disconnect == "free", "something was delivered, nothing charged"
