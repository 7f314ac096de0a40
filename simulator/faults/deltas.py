"""How a stream cuts its answer: a piece said twice, or everything in one piece."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from simulator.faults import options, payloads
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.payloads import Event, Json
from simulator.script import Script

JOINED: Final = frozenset({"text", "thinking", "partial_json", "delta", "content", "reasoning_content", "refusal"})
JOINED_INSIDE: Final = frozenset({"arguments", "input"})


def says_text(event: Event) -> bool:
    """Whether an event brings visible text, on any wire."""
    found = event.json or {}
    if any(payloads.said(choice).get("content") for choice in payloads.choices(found)):
        return True
    if any(part.get("text") and not part.get("thought") for part in _parts(found)):
        return True
    delta = found.get("delta")
    return event.kind == "response.output_text.delta" or (isinstance(delta, dict) and bool(delta.get("text")))


def _parts(found: Json) -> list[Json]:
    """The parts of a Gemini chunk."""
    rows = found.get("candidates")
    contents = [row.get("content") or {} for row in rows] if isinstance(rows, list) else []
    return [part for content in contents for part in content.get("parts") or []]


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateDelta(Fault):
    """Send some pieces of the text twice. The journal counts what is repeated once."""

    kind: ClassVar[str] = "duplicate_delta"
    seen_at: ClassVar[str] = "xAI (a changelog of the Vercel AI SDK)"
    still: ClassVar[bool] = True
    every: int = options.whole(3, low=1, about="one piece in so many")

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, self._stuttered)

    def _stuttered(self, told: list[Event]) -> Iterator[Event]:
        pieces = 0
        for event in told:
            yield event
            if says_text(event):
                pieces += 1
                if pieces % self.every == 0:
                    yield event.again()


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class OneBigChunk(Fault):
    """Send the whole answer in one event, when its last piece is due (on the wires with blocks, one for each block)."""

    kind: ClassVar[str] = "one_big_chunk"
    seen_at: ClassVar[str] = "Gemini (short answers)"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, _gathered)


def _gathered(told: list[Event]) -> Iterator[Event]:
    """Every run of events about the same thing as one event, in the place of its last."""
    runs: dict[Hashable, list[Event]] = {}
    for event in told:
        if (key := _subject(event)) is not None:
            runs.setdefault(key, []).append(event)
    last = {id(run[-1]): run for run in runs.values() if len(run) > 1}
    merged = {id(event) for run in last.values() for event in run}
    for event in told:
        run = last.get(id(event))
        if run is not None:
            yield _one(run)
        elif id(event) not in merged:
            yield event


def _subject(event: Event) -> Hashable:
    """What an event says a part of; None when nothing is to be joined to it."""
    found = event.json or {}
    rows = payloads.choices(found)
    if rows:
        return ("choice", rows[0].get("index"))
    if isinstance(found.get("candidates"), list) and event.frame.data.startswith(b"data:"):
        return "candidates"
    delta = found.get("delta")
    if isinstance(delta, dict) and "index" in found and delta.get("type") != "citations_delta":
        return (found["index"], delta.get("type"))
    if isinstance(delta, str):
        return (event.kind, *(found.get(key) for key in ("item_id", "content_index", "summary_index")))
    return None


def _one(run: list[Event]) -> Event:
    """The events of a run as one."""
    whole = run[0].json or {}
    for event in run[1:]:
        _join(whole, event.json or {})
    frames = [event.frame for event in run]
    last = run[-1]
    out = last.like(whole, kind="delta", tokens=sum(f.tokens for f in frames))
    out.frame = out.frame._replace(text_bytes=sum(f.text_bytes for f in frames))
    return out


def _join(whole: Json, more: Json, joined: frozenset[str] = JOINED) -> None:
    """Add what another piece says to the pieces before, in place: texts end to end, lists by index or end to end."""
    for name, value in more.items():
        old = whole.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            _join(old, value, joined | JOINED_INSIDE if name in ("function", "custom") else joined)
        elif name in joined and isinstance(old, str) and isinstance(value, str):
            whole[name] = old + value
        elif isinstance(old, list) and isinstance(value, list):
            whole[name] = _listed(name, old, value)
        elif value is not None or name not in whole:
            whole[name] = value


def _listed(name: str, old: list[Any], new: list[Any]) -> list[Any]:
    if name == "parts":
        return _joined_parts([*old, *new])
    if name in ("content", "refusal"):  # log probabilities
        return [*old, *new]
    if name not in ("choices", "candidates", "tool_calls"):
        return new
    rows: dict[Any, Json] = {row.get("index", at): row for at, row in enumerate(old)}
    for at, row in enumerate(new):
        if row.get("index", at) in rows:
            _join(rows[row.get("index", at)], row)
        else:
            rows[row.get("index", at)] = row
    return list(rows.values())


def _joined_parts(parts: list[Json]) -> list[Json]:
    """Gemini's parts, texts of a kind end to end."""
    out: list[Json] = []
    for part in parts:
        before = out[-1] if out else {}
        if "text" in part and "text" in before and part.get("thought") == before.get("thought"):
            out[-1] = before | part | {"text": before["text"] + part["text"]}
        else:
            out.append(part)
    return out
