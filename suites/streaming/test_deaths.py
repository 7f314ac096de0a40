"""Upstreams that die, stall or complain in the middle of a stream."""

from __future__ import annotations

from typing import Any

from suites.case import Case, expect_status
from suites.exchange import Reply
from suites.requirement import ENDPOINTS, over, requirement


def ended_in_error(reply: Reply) -> None:
    """An error event and no terminal event, after content."""
    expect_status(reply, 200)
    assert reply.heard.text, f"content was due before the error: {reply}"
    assert reply.heard.terminals == 0, "the stream ends as if the answer were whole"
    assert reply.heard.error is not None, f"no error event; the stream ends with {reply.raw[-300:]!r}"


@requirement("STR-008")
@over(endpoint=ENDPOINTS, how=("cut_stream", "reset"), frames=(1, 3))
async def test_upstream_dies(case: Case, endpoint: str, how: str, frames: int) -> None:
    """FIN and RST after some content."""
    fault = f"{how} after_frames={frames}" + (" when=after_headers" if how == "reset" else "")
    reply = await case.ask(endpoint, stream=True, fault=fault, answer="tokens=40")
    await case.reached(how, reply)
    ended_in_error(reply)


@requirement("STR-008")
@over(endpoint=ENDPOINTS)
async def test_dies_within_an_event(case: Case, endpoint: str) -> None:
    """Cut inside a line, after whole events."""
    at = {"chat": 1100, "messages": 1000}[endpoint]
    reply = await case.ask(endpoint, stream=True, fault=f"cut_stream after_bytes={at}", answer="tokens=60")
    await case.reached("cut_stream", reply)
    ended_in_error(reply)


@requirement("STR-008")
@over(endpoint=ENDPOINTS)
async def test_dies_after_the_last_content(case: Case, endpoint: str) -> None:
    """All content came; the finish never did."""
    same: dict[str, Any] = {"token": case.fresh(), "model": case.model(endpoint), "stream": True, "answer": "tokens=12"}
    whole = await case.ask(endpoint, **same)
    fault = {"kind": "cut_stream", "after_frames": len(whole.heard.deltas)}
    async with case.scripted(fault, same["token"], attempt=2):
        reply = await case.ask(endpoint, **same)
    await case.reached("cut_stream", reply)
    ended_in_error(reply)
    assert reply.heard.text == whole.heard.text, "all the content was delivered"
    assert reply.heard.stop is None, f"the gateway made up a finish: {reply.heard.stop!r}"


@requirement("STR-009", slow=True)
@over(endpoint=ENDPOINTS, frames=(1, 4))
async def test_stall_ends(case: Case, endpoint: str, frames: int) -> None:
    """Silence with the socket open: the idle limit, an error event, the end."""
    limit_s = case.target.timeouts.idle_s + 10
    reply = await case.ask(
        endpoint, stream=True, fault=f"stall after_frames={frames}", answer="tokens=40", limit_s=limit_s
    )
    await case.reached("stall", reply)
    ended_in_error(reply)


@requirement("STR-010")
@over(endpoint=ENDPOINTS)
async def test_error_event_passed_on(case: Case, endpoint: str) -> None:
    """The upstream says why it stops."""
    fault = 'error_event after_frames=3 message="the model is overloaded just now"'
    reply = await case.ask(endpoint, stream=True, fault=fault, answer="tokens=40")
    await case.reached("error_event", reply)
    ended_in_error(reply)
    kind, message = reply.heard.error or ("", "")
    assert "overloaded just now" in message, f"the reason is lost: {message!r}"
    assert kind, "the error has no type"


@requirement("STR-017")
@over(endpoint=ENDPOINTS)
async def test_broken_event(case: Case, endpoint: str) -> None:
    """One event's JSON lacks its end; the ones after it are sound."""
    reply = await case.ask(endpoint, stream=True, fault="malformed_body after_frames=3", answer="tokens=40")
    await case.reached("malformed_body", reply)
    ended_in_error(reply)
