"""The bytes of streams: framing on the way in, framing on the way out."""

from __future__ import annotations

from typing import Any

from suites import oracle
from suites.case import Case, expect_status, expect_text
from suites.requirement import ENDPOINTS, over, requirement
from suites.samples import CJK

PROMPT_S = 10.0  # what is over at once, on a busy machine
QUIRKS = (
    "crlf", "cr_only", "data_no_space", "comments every=1", "byte_dribble size=1", "byte_dribble size=7", "utf8_split",
    "bom", "multi_line_data", "coalesced", "double_done", "heartbeat_after_finish",
)  # fmt: skip


@requirement("STR-001")
@over(endpoint=ENDPOINTS)
async def test_head(case: Case, endpoint: str) -> None:
    """Status and headers."""
    reply = await case.ask(endpoint, stream=True)
    expect_status(reply, 200)
    assert reply.type == "text/event-stream", f"content-type {reply.headers.get('content-type')}"
    assert "no-cache" in reply.headers.get("cache-control", "no-cache"), "streams must not be cached"
    assert "content-length" not in reply.headers, "a stream has no length"


@requirement("STR-003")
@over(endpoint=ENDPOINTS, quirk=(None, "double_done", "missing_done"))
async def test_terminal_once(case: Case, endpoint: str, quirk: str | None) -> None:
    """The upstream's own terminal event, twice it, and none."""
    reply = await case.ask(endpoint, stream=True, fault=quirk, answer="tokens=6")
    if quirk:
        await case.reached(quirk, reply)
    expect_status(reply, 200)
    assert reply.heard.terminals == 1, f"{reply.heard.terminals} terminal events"
    assert reply.heard.after_terminal == 0, "events after the terminal one"
    assert reply.complete, f"the connection was cut: {reply.cut}"


@requirement("STR-004")
@over(endpoint=ENDPOINTS, asked=(True, False, None))
async def test_usage_at_the_end(case: Case, endpoint: str, asked: bool | None) -> None:
    """Asked for, refused, not mentioned."""
    options: dict[str, Any] = (
        {"stream_options": {"include_usage": asked}} if asked is not None and endpoint == "chat" else {}
    )
    reply = await case.ask(endpoint, stream=True, answer="tokens=6 input_tokens=33 output_tokens=11", **options)
    expect_status(reply, 200)
    assert reply.heard.usage is not None, "no usage in the stream"
    assert (reply.heard.usage.input_tokens, reply.heard.usage.output_tokens) == (33, 11)
    assert reply.heard.usages == 1, f"usage came {reply.heard.usages} times"


@requirement("STR-005")
@over(endpoint=ENDPOINTS, quirk=QUIRKS)
async def test_quirk_changes_nothing(case: Case, endpoint: str, quirk: str) -> None:
    """Content, stop, usage and charge as told by the journal."""
    reply = await case.ask(endpoint, stream=True, fault=quirk, answer="tokens=12 input_tokens=210 output_tokens=77")
    entry = (await case.reached(quirk.split()[0], reply))[-1]
    expect_status(reply, 200)
    assert reply.error is None, f"the stream ended in {reply.error}"
    assert len(reply.heard.delivered.encode()) == entry.text_bytes, (
        f"{len(reply.heard.delivered.encode())} bytes of text came, {entry.text_bytes} left the upstream"
    )
    assert reply.heard.stop in ("stop", "end_turn"), f"stopped by {reply.heard.stop!r}"
    due, charged = oracle.price_uc(reply.sent.document["model"], 210, 77), await case.charged()
    assert charged == due, f"charged {charged} uc for 210 and 77 tokens; due {due}"


@requirement("STR-006")
@over(
    endpoint=ENDPOINTS, cut=("byte_dribble size=1", "byte_dribble size=2", "byte_dribble size=5", "utf8_split every=1")
)
async def test_characters_whole(case: Case, endpoint: str, cut: str) -> None:
    """Japanese, emoji, Hebrew, accents; cut everywhere."""
    reply = await case.ask(endpoint, stream=True, fault=cut, answer=f'say="{CJK}"' if "dribble" in cut else "tokens=30")
    entry = (await case.reached(cut.split()[0], reply))[-1]
    expect_status(reply, 200)
    assert "\ufffd" not in reply.heard.text, f"characters were lost: {reply.heard.text!r}"
    if "dribble" in cut:
        expect_text(reply, CJK)
    assert len(reply.heard.text.encode()) == entry.text_bytes, "bytes of text were lost"


@requirement("STR-007")
@over(endpoint=ENDPOINTS, quirk=("missing_done", "unterminated_last_frame"))
async def test_complete_without_terminal(case: Case, endpoint: str, quirk: str) -> None:
    """The finish was told; what is missing is the terminal event, or the blank line after the usage."""
    faults = ["missing_done"] if quirk == "missing_done" else ["missing_done", quirk]
    reply = await case.ask(
        endpoint, stream=True, fault=faults, answer='say="all of it" input_tokens=70 output_tokens=30'
    )
    await case.reached(quirk, reply)
    expect_text(reply, "all of it")
    due = oracle.price_uc(reply.sent.document["model"], 70, 30)
    assert await case.charged() == due, "the last usage was lost"
    assert reply.heard.terminals == 1, "a complete answer ends with the terminal event"


@requirement("STR-015")
async def test_chat_bookkeeping(case: Case) -> None:
    """Role, finish, id."""
    reply = await case.chat(stream=True, answer="tokens=9")
    expect_status(reply, 200)
    ids = {event.json["id"] for event in reply.events if isinstance(event.json, dict) and "id" in event.json}
    assert len(ids) == 1, f"ids {ids}"
    assert reply.heard.starts == 1, f"the role came {reply.heard.starts} times"
    finishes = [
        e for e in reply.events if isinstance(e.json, dict) and any(c.get("finish_reason") for c in e.json["choices"])
    ]
    assert len(finishes) == 1, f"finish_reason came {len(finishes)} times"


@requirement("STR-016")
@over(endpoint=ENDPOINTS)
async def test_growing_usage(case: Case, endpoint: str) -> None:
    """Cumulative usage in every chunk."""
    reply = await case.ask(
        endpoint, stream=True, fault="usage_every_chunk", answer="tokens=10 input_tokens=50 output_tokens=10"
    )
    entry = (await case.reached("usage_every_chunk", reply))[-1]
    expect_status(reply, 200)
    came, due = reply.heard.usage, entry.usage
    assert came is not None, "no usage in the stream"
    assert (came.input_tokens, came.output_tokens) == (due.input_tokens, due.output_tokens), (
        f"usage {came}; the upstream's final one is {due}"
    )
    assert reply.heard.usages == 1, f"usage came {reply.heard.usages} times"


@requirement("STR-019", slow=True)
@over(endpoint=ENDPOINTS, quirk=("", "missing_done"))
async def test_upstream_stays_open(case: Case, endpoint: str, quirk: str) -> None:
    """All was said, with and without the terminal event, and the upstream's socket stays open."""
    faults = [*([quirk] if quirk else []), "stall after_frames=9999"]
    limit_s = case.target.timeouts.idle_s + 10 if quirk else PROMPT_S
    answer = 'say="all of it" input_tokens=70 output_tokens=30'
    reply = await case.ask(endpoint, stream=True, fault=faults, answer=answer, limit_s=limit_s)
    await case.reached("stall", reply)
    expect_text(reply, "all of it")
    assert reply.heard.terminals == 1, f"{reply.heard.terminals} terminal events"
    due, charged = oracle.price_uc(reply.sent.document["model"], 70, 30), await case.charged()
    assert charged == due, f"charged {charged} uc; due {due}"
