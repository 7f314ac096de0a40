"""The quirks of usage, by their names in the catalogue: what the wire tells, and what the journal knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator.faults import FAULTS
from tests.simulator.live import Live, Reply, running
from tests.simulator.quirks import (
    REASONER,
    chat,
    choices,
    events,
    message,
    met,
    new_case,
    own_text,
    said,
    usages,
)

CATALOGUE = [
    "usage-null-each",
    "usage-cumulative-each",
    "usage-in-finish-frame",
    "usage-twice",
    "usage-in-choice",
    "usage-missing",
    "usage-renamed",
    "usage-details-null",
    "usage-total-mismatch",
    "usage-empty-object",
    "anthropic-zero-start",
    "anthropic-double-count",
]
INPUTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
Check = Callable[[Reply, dict[str, Any]], bool]
Told = tuple[int, int] | None  # input and output


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def unasked(fault: str = "", **more: Any) -> bytes:
    return chat(fault, usage=False, **more)


def reasoned(fault: str = "", **more: Any) -> bytes:
    return chat(fault, answer="reasoning tokens=12 reasoning_tokens=20", **REASONER, **more)


def older(fault: str = "", **more: Any) -> bytes:
    return message(fault, model="claude-3-haiku-20240307", **more)


def last(reply: Reply) -> dict[str, Any]:
    return usages(reply)[-1]


def finish(reply: Reply) -> dict[str, Any]:
    """The chunk that finishes."""
    return next(event for event in events(reply) if any(row["finish_reason"] for row in event["choices"]))


def at(reply: Reply, kind: str) -> dict[str, Any]:
    """The usage of an Anthropic event."""
    event = next(event for event in events(reply) if event["type"] == kind)
    usage: dict[str, Any] = event["message"]["usage"] if kind == "message_start" else event["usage"]
    return usage


def empty_choices(reply: Reply) -> int:
    return sum(not event["choices"] for event in events(reply))


HONEST = "true"  # told as it is
# fault, request, what must be true of (reply, true usage), what the journal has as told
STREAMS: list[tuple[str, Callable[..., bytes], Check, Any]] = [
    ("usage-null-each", unasked, lambda r, _: all(event["usage"] is None for event in events(r)), None),
    ("usage-null-each", chat, lambda r, _: all("usage" in event for event in events(r)), HONEST),
    ("usage-cumulative-each", chat, lambda r, _: _counted(r) == [*range(1, 13), 12], HONEST),
    ("usage-cumulative-each", unasked, lambda r, _: _counted(r) == [*range(1, 13)], HONEST),
    (
        "usage-cumulative-each",
        message,
        lambda r, _: _growing(r)[-1] == 12 and sorted(_growing(r)) == _growing(r),
        HONEST,
    ),
    ("usage-in-finish-frame", chat, lambda r, u: finish(r)["usage"]["completion_tokens"] == u["output_tokens"], HONEST),
    ("usage-in-finish-frame", unasked, lambda r, _: empty_choices(r) == 0 and len(usages(r)) == 1, HONEST),
    ("usage-twice", chat, lambda r, _: len(usages(r)) == 2 and usages(r)[0] == usages(r)[1], HONEST),
    ("usage-twice place=choice", chat, lambda r, _: finish(r)["choices"][0]["usage"] == last(r), HONEST),
    ("usage-twice place=x_groq", chat, lambda r, _: finish(r)["x_groq"]["usage"] == finish(r)["usage"], HONEST),
    (
        "usage-in-choice",
        chat,
        lambda r, _: choices(r)[-1]["usage"]["completion_tokens"] == 12 and not usages(r),
        HONEST,
    ),
    ("usage-in-choice", unasked, lambda r, _: choices(r)[-1]["usage"]["total_tokens"] > 12, HONEST),
    ("usage-missing", chat, lambda r, _: not usages(r), None),
    ("usage-missing", message, lambda r, _: b'"usage"' not in r.body, None),
    ("usage-renamed", chat, lambda r, u: last(r)["output_tokens"] == u["output_tokens"], HONEST),
    ("usage-renamed", chat, lambda r, _: "prompt_tokens" not in last(r) and "total_tokens" in last(r), HONEST),
    ("usage-details-null", chat, lambda r, _: last(r)["prompt_tokens_details"] is None, HONEST),
    ("usage-total-mismatch", chat, lambda r, _: last(r)["total_tokens"] - _sum(last(r)) == 28, HONEST),
    ("usage-total-mismatch by=5", chat, lambda r, _: last(r)["total_tokens"] - _sum(last(r)) == 5, HONEST),
    ("usage-total-mismatch form=output", reasoned, lambda r, _: last(r)["total_tokens"] - _sum(last(r)) == 20, HONEST),
    ("usage-empty-object", chat, lambda r, _: usages(r) == [{}], None),
    ("usage-empty-object", message, lambda r, _: (at(r, "message_start"), at(r, "message_delta")) == ({}, {}), None),
    ("anthropic-zero-start", message, lambda r, _: not any(at(r, "message_start")[key] for key in INPUTS), HONEST),
    ("anthropic-zero-start", message, lambda r, _: at(r, "message_start")["output_tokens"] == 0, HONEST),
    ("anthropic-zero-start", message, lambda r, u: at(r, "message_delta")["input_tokens"] == u["input_tokens"], HONEST),
    ("anthropic-zero-start", older, lambda r, u: at(r, "message_delta")["input_tokens"] == u["input_tokens"], HONEST),
    ("anthropic-double-count", message, lambda r, _: _doubled(r), HONEST),
    ("anthropic-double-count", older, lambda r, _: _doubled(r), HONEST),
    ("wrong-usage factor=3", chat, lambda r, u: last(r)["completion_tokens"] == 3 * u["output_tokens"], 36),
    ("wrong-usage output_tokens=1", message, lambda r, _: at(r, "message_delta")["output_tokens"] == 1, 1),
    ("usage-zero-cost", chat, lambda r, _: last(r)["cost"] == 0, HONEST),
]


def _counted(reply: Reply) -> list[int]:
    return [usage["completion_tokens"] for usage in usages(reply)]


def _growing(reply: Reply) -> list[int]:
    deltas = [event for event in events(reply) if event["type"] == "content_block_delta"]
    return [event["usage"]["output_tokens"] for event in deltas]


def _sum(usage: dict[str, Any]) -> int:
    return int(usage["prompt_tokens"] + usage["completion_tokens"])


def _doubled(reply: Reply) -> bool:
    start, delta = at(reply, "message_start"), at(reply, "message_delta")
    return all(start.get(key) == delta.get(key) for key in INPUTS) and delta["input_tokens"] > 0


@pytest.mark.parametrize(
    ("fault", "make", "check", "told"), STREAMS, ids=[f"{row[0]}-{row[1].__name__}" for row in STREAMS]
)
def test_quirk_of_a_stream(fleet: Live, fault: str, make: Callable[..., bytes], check: Check, told: Any) -> None:
    case = new_case()
    reply = fleet.call(make(fault, case=case))
    entry = met(fleet, case)
    true = entry["usage_true"]
    assert check(reply, true)
    assert entry["faults"] == [FAULTS.kind(fault.split()[0])]
    assert true["output_tokens"] == entry["delivered"]["tokens"]
    if told is None or told == HONEST:
        assert entry["usage_told"] == (true if told else None)
    else:
        assert entry["usage_told"]["output_tokens"] == told


BODIES: list[tuple[str, Callable[..., bytes], Callable[[dict[str, Any]], bool]]] = [
    ("usage-renamed", chat, lambda usage: usage["output_tokens"] == 12 and "prompt_tokens" not in usage),
    ("usage-details-null", chat, lambda usage: usage["completion_tokens_details"] is None),
    ("usage-total-mismatch", chat, lambda usage: usage["total_tokens"] - _sum(usage) == 28),
    ("usage-empty-object", chat, lambda usage: usage == {}),
    ("usage-empty-object", message, lambda usage: usage == {}),
    ("usage-zero-cost", message, lambda usage: usage["cost"] == 0 and usage["output_tokens"] == 12),
]


@pytest.mark.parametrize(("fault", "make", "check"), BODIES, ids=[f"{row[0]}-{row[1].__name__}" for row in BODIES])
def test_quirk_of_a_json_reply(
    fleet: Live, fault: str, make: Callable[..., bytes], check: Callable[[dict[str, Any]], bool]
) -> None:
    assert check(fleet.call(make(fault, stream=False)).json["usage"])


def test_nothing_is_told_of_a_missing_usage_wherever_it_should_go(fleet: Live) -> None:
    for name in (
        "usage-in-finish-frame",
        "usage-in-choice",
        "usage-twice",
        "usage-cumulative-each",
        "empty-choices-last",
    ):
        assert b'"usage":{' not in fleet.call(chat(f"usage-missing; {name}")).body, name


def test_usage_leaves_the_text_alone(fleet: Live) -> None:
    text, own = said(fleet.call(chat())), own_text(fleet.call(message()))
    for name in CATALOGUE:
        assert said(fleet.call(chat(name))) == text != "", name
        assert own_text(fleet.call(message(name))) == own != "", name


def test_lies_add_up(fleet: Live) -> None:
    case = new_case()
    reply = fleet.call(chat("wrong-usage factor=2; usage-renamed; usage-twice; usage-cumulative-each", case=case))
    told = usages(reply)
    assert told[-1]["output_tokens"] == 24
    entry = met(fleet, case)
    assert (entry["usage_true"]["output_tokens"], entry["usage_told"]["output_tokens"]) == (12, 24)


def test_the_catalogue_is_known() -> None:
    for name in CATALOGUE:
        assert name in FAULTS, name
        assert FAULTS[name].seen_at, name
