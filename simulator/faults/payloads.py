"""The JSON inside a script, taken out, changed and put back in the hand of its wire.

A stream has an event a frame, a JSON reply is one event. What is written back keeps the frame's other lines, its key
order, spacing and padding (the spaces before the last brace of one wire, the `obfuscation` of others). An event that is
left alone stays the same frame, and a script of which nothing changed the same script.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from operator import is_
from typing import Any, NamedTuple

import orjson

from simulator.draws import word
from simulator.faults.streams import payload_span
from simulator.script import Frame, Script

PADDING = 16  # what obfuscation fills up to

Json = dict[str, Any]


class Hand(NamedTuple):
    """How a wire writes JSON."""

    indent: int = 0  # spaces; 0: all on one line
    spaced: bool = False  # a space after each colon
    padding: int = 0  # spaces before the last brace
    angles: bool = False  # `<` and `>` are escaped

    @classmethod
    def of(cls, data: bytes) -> Hand:
        """The hand of an object's bytes."""
        angles = b"\\u003" in data
        if data[1:2] in (b"\n", b"\r"):
            line = data[1:].lstrip(b"\r\n")
            return cls(len(line) - len(line.lstrip(b" ")), angles=angles)
        colon = data.find(b'":') + 2
        return cls(0, data[colon : colon + 1] == b" ", len(data) - 1 - len(data[:-1].rstrip(b" ")), angles)

    def write(self, value: object) -> bytes:
        """A value in this hand."""
        data = self._spelt(value)
        return data.replace(b"<", b"\\u003c").replace(b">", b"\\u003e") if self.angles else data

    def _spelt(self, value: object) -> bytes:
        if self.indent == 2:
            return orjson.dumps(value, option=orjson.OPT_INDENT_2)
        if self.indent:
            return json.dumps(value, indent=self.indent, ensure_ascii=False).encode()
        if self.spaced:
            return json.dumps(value, separators=(",", ": "), ensure_ascii=False).encode()
        data = orjson.dumps(value)
        return data[:-1] + b" " * self.padding + data[-1:] if self.padding else data


class Event:
    """One frame and the JSON object it holds, which is read when it is asked for."""

    __slots__ = ("_json", "_span", "frame")

    def __init__(self, frame: Frame, span: tuple[int, int], found: Json | bool | None = False) -> None:
        self.frame = frame
        self._span = span
        self._json = found  # False: not read yet

    @classmethod
    def of(cls, frame: Frame, *, stream: bool) -> Event:
        """What a frame of a stream, or of a JSON reply, holds."""
        data = frame.data
        if data.startswith(b"data: {") and data.find(b"\n") == len(data) - 2:  # most are: the quick way
            return cls(frame, (6, len(data) - 2))
        return cls(frame, (payload_span(data) if stream else None) or (data.find(b"{"), data.rfind(b"}") + 1))

    @property
    def json(self) -> Json | None:
        """The object; None where there is none (`[DONE]`, comments, what was cut)."""
        if isinstance(self._json, bool):
            begin, end = self._span
            self._json = _read(self.frame.data[begin:end])
        return self._json

    @property
    def kind(self) -> str:
        """The `type` of its object, on the wires whose events have one."""
        return str((self.json or {}).get("type") or "")

    def put(self, value: object = None) -> Event:
        """The same event, its frame written anew from its object, or from another value."""
        if value is None:
            value = found = self.json
            if found is not None and "obfuscation" in found:
                _obfuscate(found)
        begin, end = self._span
        data = self.frame.data
        written = Hand.of(data[begin:end]).write(value)
        self.frame = self.frame.but(b"".join((data[:begin], written, data[end:])))
        self._span = (begin, begin + len(written))
        return self

    def like(self, found: Json, *, kind: str | None = None, tokens: int = 0, text_bytes: int = 0) -> Event:
        """Another event, framed as this one and due at the same moment."""
        frame = self.frame._replace(kind=kind or self.frame.kind, tokens=tokens, text_bytes=text_bytes)
        return Event(frame, self._span, found).put()

    def again(self) -> Event:
        """The same bytes once more. They deliver nothing new."""
        return Event(self.frame._replace(tokens=0, text_bytes=0), self._span)


def _read(text: bytes) -> Json | None:
    """The object that a text is; None when it is none."""
    if text[:1] != b"{" or text[-1:] != b"}":
        return None
    try:
        found: Json = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found


def _obfuscate(found: Json) -> None:
    """Bring an object's padding to its new length: that of a delta, or of the whole object."""
    old = found.get("obfuscation")
    if not isinstance(old, str):
        return
    if isinstance(found.get("delta"), str):
        length = -len(found["delta"]) % PADDING
    else:
        found["obfuscation"] = ""
        length = (1 - len(orjson.dumps(found))) % PADDING
    found["obfuscation"] = old if len(old) == length else (old + word(PADDING, old))[:length]


def events(script: Script) -> list[Event]:
    """All events of a reply, in order."""
    stream = script.stream
    return [Event.of(frame, stream=stream) for frame in script.frames]


def written(script: Script, told: Iterable[Event]) -> Script:
    """The script with these events; the same one when they are its own."""
    return _with(script, [event.frame for event in told])


def _with(script: Script, frames: list[Frame]) -> Script:
    if len(frames) == len(script.frames) and all(map(is_, frames, script.frames)):
        return script
    return replace(script, frames=tuple(frames))


def edit(
    script: Script, change: Callable[[Json], bool], quick: Callable[[bytes], bytes | None] | None = None
) -> Script:
    """Every object changed in place by `change`, which says whether it did.

    `quick` may do the same to the bytes of a stream's frame; None where it cannot. It must keep to what JSON texts
    cannot hold: a key with its quotes is never inside one. It is not asked where padding would have to follow.
    """
    stream = script.stream
    frames: list[Frame] = []
    for frame in script.frames:
        data = frame.data
        if quick is not None and stream and b'"obfuscation"' not in data and (made := quick(data)) is not None:
            frames.append(frame if made is data else frame.but(made))
            continue
        event = Event.of(frame, stream=stream)
        if event.json is not None and change(event.json):
            event.put()
        frames.append(event.frame)
    return _with(script, frames)


def recast(script: Script, change: Callable[[list[Event]], Iterable[Event]]) -> Script:
    """A stream of other events, numbered anew where its wire numbers them. JSON, one array too, is left alone."""
    if not script.stream or not script.frames or script.frames[0].data.startswith(b"["):
        return script
    return written(script, _numbered(change(events(script))))


def numbered(script: Script) -> Script:
    """A stream whose events were put together anew, numbered where its wire numbers them."""
    return written(script, _numbered(events(script)))


def _numbered(told: Iterable[Event]) -> Iterator[Event]:
    number = 0
    for event in told:
        if b'"sequence_number"' in event.frame.data and event.json is not None and "sequence_number" in event.json:
            if event.json["sequence_number"] != number:
                event.json["sequence_number"] = number
                event.put()
            number += 1
        yield event


def all_of(rows: Iterable[Json], change: Callable[[Json], bool]) -> bool:
    """Every one of some objects changed in place; whether any was."""
    changed = False
    for row in rows:
        changed = change(row) or changed
    return changed


def choices(found: Json | None) -> list[Json]:
    """The choices of a chunk, or of a chat completion."""
    rows = (found or {}).get("choices")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def said(choice: Json) -> Json:
    """What a choice says: its delta, or its message; empty where it has neither."""
    part = choice.get("delta", choice.get("message"))
    return part if isinstance(part, dict) else {}


def calls(choice: Json) -> list[Json]:
    """The tool calls of a choice, or the pieces of them."""
    rows = said(choice).get("tool_calls")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def each_choice(
    script: Script, change: Callable[[Json], bool], quick: Callable[[bytes], bytes | None] | None = None
) -> Script:
    """Every choice changed in place."""
    return edit(script, lambda found: all_of(choices(found), change), quick)


def unless(key: bytes) -> Callable[[bytes], bytes | None]:
    """The quick way past frames that have no such key: they stay as they are."""
    return lambda data: None if key in data else data


def is_chunk(found: Json | None) -> bool:
    """Whether it is a chunk of a chat stream."""
    return found is not None and isinstance(found.get("choices"), list)


def finishes(event: Event) -> bool:
    """Whether a chunk says why a choice ended."""
    if b'"finish_reason":null' in event.frame.data and event.frame.data.count(b'"finish_reason"') == 1:
        return False  # the quick way past most chunks
    return any(choice.get("finish_reason") for choice in choices(event.json))


def place(told: list[Event], test: Callable[[Event], bool]) -> int | None:
    """Where the last event is that passes."""
    return next((at for at in range(len(told) - 1, -1, -1) if test(told[at])), None)


def walk(value: object) -> Iterator[Json]:
    """Every object within a value, itself included."""
    if isinstance(value, dict):
        yield value
        for below in value.values():
            yield from walk(below)
    elif isinstance(value, list):
        for below in value:
            yield from walk(below)


def first(pairs: Json, rest: Json) -> None:
    """Put keys before all others of an object, in place."""
    kept = {name: value for name, value in rest.items() if name not in pairs}
    rest.clear()
    rest.update(pairs | kept)
