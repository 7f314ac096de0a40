"""Bytes cut, or joined, without regard to frames: what TCP and proxies may do to any reply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from simulator import tokens
from simulator.answer import Answer, Block, Text
from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.script import Frame, Script

PART = "part"  # the kind of a frame's bytes but for the last


def pieces(frame: Frame, cuts: range | list[int], gap_ms: float = 0.0) -> Iterator[Frame]:
    """A frame cut at these places, each piece in a write of its own; what it says is delivered with the last."""
    begin = 0
    for number, end in enumerate([*cuts, len(frame.data)]):
        data, due_ms = frame.data[begin:end], frame.due_ms + gap_ms * number
        if end == len(frame.data):
            yield frame._replace(data=data, due_ms=due_ms, alone=True)
        else:
            yield Frame(data, PART, due_ms=due_ms, alone=True)
        begin = end


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ByteDribble(Fault):
    """Send the body a few bytes at a time, each in a segment of its own."""

    kind: ClassVar[str] = "byte_dribble"
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
    every: int = options.whole(3, low=1, about="one word in so many")

    def answer(self, answer: Answer, _: Scene) -> Answer:
        choices = tuple(
            replace(choice, blocks=tuple(self._block(block) for block in choice.blocks)) for choice in answer.choices
        )
        return replace(answer, choices=choices)

    def _block(self, block: Block) -> Block:
        if not isinstance(block, Text):
            return block
        return Text(tuple(_foreign(piece) if at % self.every == 0 else piece for at, piece in enumerate(block.pieces)))

    def script(self, script: Script, _: Scene) -> Script:
        frames = tuple(part for frame in script.frames for part in pieces(frame, _inside_characters(frame.data)))
        return script if len(frames) == len(script.frames) else replace(script, frames=frames)


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
class Coalesced(Fault):
    """Send the whole stream at once, as one chunk, when its last event is due."""

    kind: ClassVar[str] = "coalesced"

    def script(self, script: Script, _: Scene) -> Script:
        if not script.stream or len(script.frames) < 2:
            return script
        whole = Frame(
            b"".join(frame.data for frame in script.frames),
            tokens=sum(frame.tokens for frame in script.frames),
            text_bytes=sum(frame.text_bytes for frame in script.frames),
            due_ms=max(frame.due_ms for frame in script.frames),
        )
        return replace(script, frames=(whole,))
