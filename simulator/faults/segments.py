"""Bytes cut, or joined, without regard to frames: what TCP and proxies may do to any reply."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.answers import tokens
from simulator.answers.answer import Answer, Block, Text
from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import LINE_END, PART, is_content, is_sse, tail, with_frames
from simulator.script import Frame, Script

SEQUENCE = re.compile(rb'"sequence_number":\s*(\d+)')
CR_LF = re.compile(rb"\r(?=\n)")


def pieces(frame: Frame, cuts: range | list[int], gap_ms: float = 0.0) -> Iterator[Frame]:
    """A frame cut at these places, each piece in a write of its own; what it says is delivered with the last."""
    begin = 0
    for number, end in enumerate([*cuts, len(frame.data)]):
        due_ms = frame.due_ms + gap_ms * number
        if end == len(frame.data):
            yield frame._replace(data=tail(frame.data, begin), due_ms=due_ms, alone=True)
        else:
            yield Frame(frame.data[begin:end], PART, due_ms=due_ms, alone=True)
        begin = end


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ByteDribble(Fault):
    """Send the body a few bytes at a time, each in a segment of its own."""

    kind: ClassVar[str] = "byte_dribble"
    seen_at: ClassVar[str] = "synthetic"
    size: int = options.whole(1, low=1, about="bytes in a segment")
    gap_ms: float = options.number(0.0, about="between two segments")

    def script(self, script: Script, _: Scene) -> Script:
        frames: list[Frame] = []
        late_ms = 0.0
        for frame in script.frames:
            cuts = range(self.size, len(frame.data), self.size)
            frames += pieces(frame.later(late_ms), cuts, self.gap_ms)
            late_ms += self.gap_ms * (len(cuts) + 1)
        return replace(script, frames=tuple(frames))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Utf8Split(Fault):
    """Cut characters of several bytes in two: some words of the answer become such characters, each in two segments.

    The answer has as many tokens as before.
    """

    kind: ClassVar[str] = "utf8_split"
    seen_at: ClassVar[str] = "any CJK stream; https://github.com/musistudio/claude-code-router/pull/1672"
    every: int = options.whole(3, low=1, about="one word in so many")

    def answer(self, answer: Answer, _: Scene) -> Answer:
        return with_foreign_words(answer, self.every)

    def script(self, script: Script, _: Scene) -> Script:
        frames = tuple(part for frame in script.frames for part in pieces(frame, _inside_characters(frame.data)))
        return script if len(frames) == len(script.frames) else replace(script, frames=frames)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class HalfUtf8InJson(Fault):
    """Part characters of several bytes between two events, as tokens do: neither event is UTF-8 then.

    Some words of the answer become such characters; it has as many tokens as before. JSON is left alone.
    """

    kind: ClassVar[str] = "half_utf8_in_json"
    seen_at: ClassVar[str] = "llama.cpp; https://github.com/ggml-org/llama.cpp/pull/28926"
    still: ClassVar[bool] = True
    every: int = options.whole(3, low=1, about="one word in so many")

    def answer(self, answer: Answer, scene: Scene) -> Answer:
        return with_foreign_words(answer, self.every) if scene.ask is None or scene.ask.stream else answer

    def script(self, script: Script, _: Scene) -> Script:
        if not script.stream:
            return script
        frames = tuple(part for frame in script.frames for part in _halves(frame))
        return script if len(frames) == len(script.frames) else replace(script, frames=tuple(_renumbered(frames)))


def _halves(frame: Frame) -> list[Frame]:
    """A frame whose text bears such a character as two: the text up to the character's first byte, and from there."""
    data = frame.data
    at = next(iter(_inside_characters(data)), None) if is_content(frame) else None
    if at is None:
        return [frame]
    begin, end = data.rfind(b'"', 0, at) + 1, data.find(b'"', at)
    first = Frame(data[:at] + data[end:], frame.kind, due_ms=frame.due_ms)
    return [first, frame.but(data[:begin] + data[at:])]


def _renumbered(frames: tuple[Frame, ...]) -> Iterator[Frame]:
    """The frames, their sequence numbers without gap or repetition where the wire has any."""
    number = 0
    for frame in frames:
        found = SEQUENCE.search(frame.data)
        if found is None:
            yield frame
            continue
        yield frame.but(frame.data[: found.start(1)] + b"%d" % number + frame.data[found.end(1) :])
        number += 1


def with_foreign_words(answer: Answer, every: int) -> Answer:
    """The answer with one word in so many a character of three bytes."""

    def block(one: Block) -> Block:
        if not isinstance(one, Text):
            return one
        return Text(tuple(_foreign(piece) if at % every == 0 else piece for at, piece in enumerate(one.pieces)))

    choices = (replace(choice, blocks=tuple(map(block, choice.blocks))) for choice in answer.choices)
    return replace(answer, choices=tuple(choices))


def _foreign(piece: str) -> str:
    """A character of three bytes in place of a one-token word."""
    if tokens.count(piece) != 1 or not piece.strip():
        return piece
    return " 風" if piece.startswith(" ") else "風"


def _inside_characters(data: bytes) -> list[int]:
    """Places right after the first byte of a character of several."""
    return [at + 1 for at, byte in enumerate(data) if byte >= 0xC2 and at + 1 < len(data)]


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class CrlfSplit(Fault):
    """End every line with CR LF, the two in segments of their own."""

    kind: ClassVar[str] = "crlf_split"
    quirk: ClassVar[str] = "crlf-split-across-segments"
    seen_at: ClassVar[str] = "https://github.com/praxis-proxy/praxis/pull/739"
    gap_ms: float = options.number(0.0, about="between two segments")

    def script(self, script: Script, _: Scene) -> Script:
        if not is_sse(script):
            return script
        frames: list[Frame] = []
        late_ms = 0.0
        for frame in script.frames:
            ended = frame.but(LINE_END.sub(b"\r\n", frame.data)).later(late_ms)
            cuts = [found.end() for found in CR_LF.finditer(ended.data)]
            frames += pieces(ended, cuts, self.gap_ms)
            late_ms += self.gap_ms * len(cuts)
        return with_frames(script, frames)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Coalesced(Fault):
    """Send the whole stream at once, or so many events at a time, as one chunk when the last of them is due."""

    kind: ClassVar[str] = "coalesced"
    quirk: ClassVar[str] = "coalesced-frames"
    seen_at: ClassVar[str] = "servers that batch for brotli; https://github.com/lidge-jun/opencodex/pull/115"
    still: ClassVar[bool] = True
    frames: int | None = options.whole(None, low=2, about="how many events at a time; without it all")

    def script(self, script: Script, _: Scene) -> Script:
        if not script.stream or len(script.frames) < 2:
            return script
        step = self.frames or len(script.frames)
        rows = (script.frames[at : at + step] for at in range(0, len(script.frames), step))
        return with_frames(script, map(_joined, rows))


def _joined(frames: tuple[Frame, ...]) -> Frame:
    """Several frames as one."""
    return Frame(
        b"".join(frame.data for frame in frames),
        tokens=sum(frame.tokens for frame in frames),
        text_bytes=sum(frame.text_bytes for frame in frames),
        due_ms=max(frame.due_ms for frame in frames),
    )
