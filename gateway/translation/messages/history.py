"""A conversation in the order that Anthropic demands of one.

The user begins and ends it; results stand first in the turn right after their calls, one for each call; no id is there
twice, and none has a character outside Anthropic's alphabet. Source: wire reference, 6.4.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from gateway.translation.prompt import Content, Text, ToolCall, ToolResult, Turn, joined
from gateway.upstreams.anthropic_messages import plain_ids

BEGIN: Final = "Begin."  # said for a user who let the assistant begin
CONTINUE: Final = "Continue."  # and for one who let it have the last word: not every model takes that
NO_RESULT: Final = "The tool gave no result."

Place = tuple[int, int]  # of a piece: its turn, and where in the turn


def ordered(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The conversation so that it can be sent."""
    made = list(joined(_paired(joined(replace(turn, content=_said(turn.content)) for turn in turns))))
    if not made or made[0].role == "assistant":
        made.insert(0, Turn("user", (Text(BEGIN),)))
    if made[-1].role == "assistant":
        made.append(Turn("user", (Text(CONTINUE),)))
    return tuple(made)


def calls_last(turns: Iterable[Turn]) -> bool:
    """Whether the last that the assistant did was to call tools."""
    contents = [turn.content for turn in turns if turn.role == "assistant"]
    return bool(contents) and any(isinstance(piece, ToolCall) for piece in contents[-1])


def _said(content: Iterable[Content]) -> tuple[Content, ...]:
    """The content without texts that are nothing but white space, which Anthropic refuses."""
    kept: list[Content] = []
    for piece in content:
        if isinstance(piece, ToolResult):
            shown = (inner for inner in piece.content if not isinstance(inner, Text) or inner.text.strip())
            kept.append(replace(piece, content=tuple(shown)))
        elif not isinstance(piece, Text) or piece.text.strip():
            kept.append(piece)
    return tuple(kept)


def _paired(turns: tuple[Turn, ...]) -> Iterator[Turn]:
    """The turns with each call's result where it belongs; what is left of a result without a call is its content.

    A turn from which all was taken is empty.
    """
    waiting = _results(turns)
    names = _names(piece.id for turn in turns for piece in turn.content if isinstance(piece, ToolCall))
    taken: set[Place] = set()
    results: list[Content] = []
    for at, turn in enumerate(turns):
        made, results = results, []
        for number, piece in enumerate(turn.content):
            if isinstance(piece, ToolCall):
                result, place = _claimed(waiting, piece.id, at)
                taken.add(place)
                name = next(names)
                made.append(replace(piece, id=name))
                results.append(replace(result, id=name))
            elif not isinstance(piece, ToolResult):
                made.append(piece)
            elif (at, number) not in taken:
                made.extend(piece.content)
        yield Turn(turn.role, tuple(made))
    yield Turn("user", tuple(results))


def _results(turns: tuple[Turn, ...]) -> dict[str, deque[tuple[ToolResult, Place]]]:
    """The results by the ids of their calls, each with its place."""
    found: dict[str, deque[tuple[ToolResult, Place]]] = {}
    for at, turn in enumerate(turns):
        for number, piece in enumerate(turn.content):
            if isinstance(piece, ToolResult):
                found.setdefault(piece.id, deque()).append((piece, (at, number)))
    return found


def _claimed(
    waiting: dict[str, deque[tuple[ToolResult, Place]]], ident: str, called_at: int
) -> tuple[ToolResult, Place]:
    """The first result for an id after the turn of its call, with its place; one that says so where there is none."""
    results = waiting.get(ident, deque())
    while results:
        result, place = results.popleft()
        if place[0] > called_at:
            return result, place
    return ToolResult(ident, (Text(NO_RESULT),), failed=True), (-1, -1)


def _names(ids: Iterable[str]) -> Iterator[str]:
    """An id for each call, in Anthropic's alphabet: its own where it can be, and none twice."""
    told: dict[str, None] = {}
    times: dict[str, int] = {}
    for ident in ids:
        name = ident
        while name in told:
            times[ident] = times.get(ident, 1) + 1
            name = f"{ident}_{times[ident]}"
        told[name] = None
    plain = plain_ids(told)
    yield from (plain[name] for name in told)
