"""When events arrive: at once, and every 15 seconds in silence."""

from __future__ import annotations

import asyncio
import itertools

from suites.case import Case, expect_status, expect_text
from suites.exchange import Reply
from suites.requirement import ENDPOINTS, over, requirement

TOTAL_MS = 6000  # long enough that a busy client's own delays do not matter


@requirement("STR-002", slow=True)
@over(endpoint=ENDPOINTS, encoding=("identity", "gzip, br"))
async def test_as_they_come(case: Case, endpoint: str, encoding: str) -> None:
    """Six seconds of content: the first of it must come long before the last, and much in between."""
    headers = {"accept-encoding": encoding}
    fault = f"latency total_ms={TOTAL_MS}"
    reply = await case.ask(endpoint, stream=True, fault=fault, answer="tokens=60", headers=headers)
    await case.reached("latency", reply)
    expect_status(reply, 200)
    ahead_ms = [reply.ended_ms - at_ms for at_ms, _ in reply.reader.pieces]
    assert ahead_ms[0] > TOTAL_MS / 2, (
        f"the first piece came {ahead_ms[0]:.0f} ms before the last; due about {TOTAL_MS}"
    )
    between = [ms for ms in ahead_ms if TOTAL_MS / 6 < ms < TOTAL_MS * 5 / 6]
    assert len(between) >= 3, f"{len(between)} pieces came between the first and the last second"


def keepalives(reply: Reply, endpoint: str) -> int:
    """Keepalives in the form of the wire."""
    if endpoint == "messages":
        return sum(event.name == "ping" and event.json == {"type": "ping"} for event in reply.events)
    return sum(event.is_comment for event in reply.events)


async def silent_stream(case: Case, endpoint: str, fault: str) -> None:
    """A stream with a silence a little longer than the interval: a keepalive in time, then the whole answer."""
    interval_s = case.target.timeouts.keepalive_s
    plain = await case.ask(endpoint, stream=True, answer='say="after the silence"')
    reply = await case.ask(
        endpoint, stream=True, fault=fault, answer='say="after the silence"', limit_s=interval_s + 30
    )
    await case.reached(fault.split()[0], reply)
    expect_text(reply, "after the silence")
    came = keepalives(reply, endpoint) - (keepalives(plain, endpoint) if endpoint == "messages" else 0)
    assert came >= 1, f"a silence of more than {interval_s:g} s, and no keepalive in the form of the wire"
    assert came <= 2, f"{came} keepalives in a silence of about {interval_s:g} s"
    times = [reply.head_ms, *(at_ms for at_ms, _ in reply.reader.pieces)]
    silence_s = max(later - earlier for earlier, later in itertools.pairwise(times)) / 1000
    assert silence_s <= interval_s + 4, f"nothing came for {silence_s:.1f} s"


def faults(interval_s: float) -> dict[str, str]:
    """Silences by place: before the first event, and in the middle."""
    for_ms = int((interval_s + 2.5) * 1000)
    return {"before": f"latency ttft_ms={for_ms}", "between": f"stall after_frames=1 for_ms={for_ms}"}


@requirement("STR-011", slow=True)
@over(place=("before", "between"))
async def test_messages_pings(case: Case, place: str) -> None:
    """event: ping with data {"type": "ping"}."""
    await silent_stream(case, "messages", faults(case.target.timeouts.keepalive_s)[place])


@requirement("STR-012", slow=True)
@over(place=("before", "between"))
async def test_chat_comments(case: Case, place: str) -> None:
    """Lines that begin with a colon; nothing that a client could take for a chunk."""
    await silent_stream(case, "chat", faults(case.target.timeouts.keepalive_s)[place])


@requirement("STR-013")
@over(endpoint=ENDPOINTS)
async def test_whole_under_load(case: Case, endpoint: str) -> None:
    """Forty streams at once, long ones, unevenly paced."""
    asked = [
        case.ask(endpoint, stream=True, answer="tokens=150", fault=f"latency total_ms={200 + number % 7 * 60}")
        for number in range(40)
    ]
    replies = await asyncio.gather(*asked)
    sent = {entry.row["case"]: entry.text_bytes for entry in await case.upstream()}
    for reply in replies:
        expect_status(reply, 200)
        assert reply.heard.terminals == 1, "a stream without its terminal event"
        came = len(reply.heard.delivered.encode())
        assert came == sent[reply.token], f"{came} bytes of text came, {sent[reply.token]} left the upstream"


@requirement("STR-014")
@over(endpoint=ENDPOINTS)
async def test_streams_apart(case: Case, endpoint: str) -> None:
    """Thirty streams with words of their own, interleaved."""
    words = [" ".join(f"w{number}x{place}" for place in range(12)) for number in range(30)]
    await case.user()
    asked = [case.ask(endpoint, stream=True, answer=f'say="{said}"', fault="latency total_ms=300") for said in words]
    for said, reply in zip(words, await asyncio.gather(*asked), strict=True):
        expect_text(reply, said)
