"""A Responses answer as events: numbered without a gap, padded by `obfuscation`, and without any `[DONE]`.

Every event bears its name in an `event:` line and in `type`; after `type` its members are in the order of their names.
On events with a text `delta`, delta and `obfuscation` together are a multiple of 16 characters long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

import orjson

from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.responses_items import Item
from simulator.dialects.responses_object import Responses, status_of
from simulator.dialects.responses_steps import Run, Step, steps
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

    def run(self, run: Run, index: int) -> Iterator[Frame]:
        """The deltas of a text: what they share is written once."""
        before = {key: value for key, value in run.members.items() if key < "delta"}
        after = {"output_index": index, **run.members}
        names = sorted(key for key in after if key > "delta" and key != "summary_index")
        head = b'event: %b\ndata: {"type":"%b",' % (run.name.encode(), run.name.encode())
        head += (
            b"".join(b'"%b":%b,' % (key.encode(), orjson.dumps(before[key])) for key in sorted(before)) + b'"delta":'
        )
        early = b"".join(b',"%b":%b' % (key.encode(), orjson.dumps(after[key])) for key in names if key < "obfuscation")
        late = b"".join(b',"%b":%b' % (key.encode(), orjson.dumps(after[key])) for key in names if key > "obfuscation")
        late += b',"sequence_number":%d'
        if "summary_index" in after:
            late += b',"summary_index":%d' % after["summary_index"]
        late += b"}\n\n"
        dumps, number = orjson.dumps, self._number
        for at, piece in enumerate(run.pieces):
            middle = early if not run.logprobs else early.replace(b"[]", dumps([run.logprobs[at]]), 1)
            data = b"".join((head, dumps(piece), middle, self._pad(piece), late % number))
            number += 1
            self._number = number
            yield Frame(data, "delta", int(at >= run.free), len(piece.encode()))

    def _pad(self, piece: str) -> bytes:
        if not self._padded:
            return b""
        self._at = at = (self._at + PADDING_STEP) % PADDING_LENGTH
        return b',"obfuscation":"%b"' % self._padding[at : at + -len(piece) % PADDED_TO]

    def item(self, item: Item, index: int, ask: Ask, profile: Profile, serving: Serving) -> Iterator[Frame]:
        """The events of one item, from added to done."""
        for step in steps(item, index, ask, profile, serving):
            if isinstance(step, Run):
                yield from self.run(step, index)
            else:
                yield self._step(step, index)

    def _step(self, step: Step, index: int) -> Frame:
        return self.event(step.name, {"output_index": index, **step.members}, step.kind, step.tokens, step.text_bytes)


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
