"""A Responses answer as events: numbered without a gap, padded by `obfuscation`, and without any `[DONE]`.

Every event bears its name in an `event:` line and in `type`; after `type` its members are in the order of their names.
On events with a text `delta`, delta and `obfuscation` together are a multiple of 16 characters long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import orjson

from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.responses.items import Item
from simulator.dialects.responses.object import Responses, status_of
from simulator.dialects.responses.steps import Run, Step, steps
from simulator.draws import ALPHABET, dice
from simulator.script import Frame

PADDED_TO: Final = 16
PADDING_LENGTH: Final = 8191
PADDING_STEP: Final = 17


@cache
def _padding() -> bytes:
    """Random letters and digits that every stream takes its padding from, each from a place of its own."""
    return "".join(dice("responses obfuscation").choices(ALPHABET, k=PADDING_LENGTH + PADDED_TO)).encode()


class Framer:
    """Frames the events of one response."""

    def __init__(self, seed: int, *, padded: bool) -> None:
        self._padded = padded
        self._padding = _padding()
        self._at = seed % PADDING_LENGTH
        self._number = 0

    def event(self, name: str, members: Mapping[str, Any], kind: str, tokens: int = 0, text_bytes: int = 0) -> Frame:
        """One event."""
        whole = {**members, "sequence_number": self._number}
        self._number += 1
        data = orjson.dumps({"type": name} | {key: whole[key] for key in sorted(whole)})
        return Frame(b"event: %b\ndata: %b\n\n" % (name.encode(), data), kind, tokens, text_bytes)

    def run(self, run: Run, index: int) -> list[Frame]:
        """The deltas of a text: what they share is written once."""
        head, early, late = _around(run, index)
        dumps, number, padding, padded = orjson.dumps, self._number, self._padding, self._padded
        at, free = self._at, run.free
        frames: list[Frame] = []
        for place, piece in enumerate(run.pieces):
            middle = early.replace(b"[]", dumps([run.logprobs[place]]), 1) if run.logprobs else early
            if padded:
                at = (at + PADDING_STEP) % PADDING_LENGTH
                filler = b',"obfuscation":"%b"' % padding[at : at + -len(piece) % PADDED_TO]
                data = b"".join((head, dumps(piece), middle, filler, late % number))
            else:
                data = b"".join((head, dumps(piece), middle, late % number))
            number += 1
            frames.append(Frame(data, "delta", int(place >= free), len(piece.encode())))
        self._number, self._at = number, at
        return frames

    def item(self, item: Item, index: int, ask: Ask, profile: Profile, serving: Serving) -> list[Frame]:
        """The events of one item, from added to done."""
        frames: list[Frame] = []
        for step in steps(item, index, ask, profile, serving):
            if isinstance(step, Run):
                frames += self.run(step, index)
            else:
                frames.append(self._step(step, index))
        return frames

    def _step(self, step: Step, index: int) -> Frame:
        return self.event(step.name, {"output_index": index, **step.members}, step.kind, step.tokens, step.text_bytes)


def _around(run: Run, index: int) -> tuple[bytes, bytes, bytes]:
    """What stands around the deltas of a text: before each, between it and its padding, and after that."""
    members = {"output_index": index, "sequence_number": 0, **run.members}
    told = {key: b'"%b":%b' % (key.encode(), orjson.dumps(members[key])) for key in sorted(members)}
    told["sequence_number"] = b'"sequence_number":%d'
    name = run.name.encode()
    before = b"".join(text + b"," for key, text in told.items() if key < "delta")
    early = b"".join(b"," + text for key, text in told.items() if "delta" < key < "obfuscation")
    late = b"".join(b"," + text for key, text in told.items() if key > "obfuscation")
    return b'event: %b\ndata: {"type":"%b",%b"delta":' % (name, name, before), early, late + b"}\n\n"


def stream(
    response: Responses,
    items: Sequence[Item],
    ask: Ask,
    profile: Profile,
    serving: Serving,
    completed_s: int,
) -> tuple[Frame, ...]:
    """All events of an answer. One in the background is queued first, and is not padded."""
    background = bool(ask.body.get("background"))
    options: Mapping[str, Any] = ask.body.get("stream_options") or {}
    padded = profile.has("obfuscation") and options.get("include_obfuscation") is not False and not background
    framer = Framer(serving.seed, padded=padded)
    begun = "queued" if background else "in_progress"
    frames = [framer.event("response.created", {"response": response.as_of(begun, in_stream=True)}, "start")]
    if background:
        frames.append(framer.event("response.queued", {"response": response.as_of(begun, in_stream=True)}, "start"))
    under_way = response.as_of("in_progress", in_stream=True)
    frames.append(framer.event("response.in_progress", {"response": under_way}, "start"))
    for index, item in enumerate(items):
        frames += framer.item(item, index, ask, profile, serving)
    if len(items):
        frames[-1] = frames[-1]._replace(kind="stop")
    status = status_of(response.answer)
    last = {"response": response.as_of(status, completed_s, in_stream=True)}
    return (*frames, framer.event(f"response.{status}", last, "end"))
