"""How an answer is written as a stream of chunks on the Chat Completions wire, in the form of its vendor.

A choice is a row of runs: chunks for one part of it that differ in a piece of text alone, so that everything else is
written once. The first and the last chunk of a choice may be of a template of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

from simulator.answers import tokens
from simulator.answers.answer import Answer, Choice, Stop, Text, Thinking, Usage
from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai import forms
from simulator.dialects.openai import logprobs as openai_logprobs
from simulator.dialects.openai.forms import Form
from simulator.dialects.openai.templates import ABSENT
from simulator.dialects.openai.values import TAGS, Call, calls, common, counts, finish, joined, refusal
from simulator.draws import ALPHABET, dice
from simulator.script import Frame

PADDING_LENGTH: Final = 8191
PADDING_STEP: Final = 17
PADDING_BLOCK: Final = 16  # an object is padded to 1 byte more than a multiple of this
LETTERS: Final = b"abcdefghijklmnopqrstuvwxyz0123456789"
_DATA: Final = b"data: "
_PIECE: Final = "\ue000piece\ue000"  # two marks that no template and no sensible name holds
_PADDING: Final = "\ue000padding\ue000"
_PIECE_MARK: Final = orjson.dumps(_PIECE)
_PADDING_MARK: Final = _PADDING.encode()


class Run(NamedTuple):
    """Chunks for one part of a choice, one for each piece; without pieces, one chunk."""

    part: str
    pieces: tuple[str, ...] | None = None
    kind: str = "delta"
    tokens: int = 0  # of the one chunk; a piece is a token each
    text_bytes: int = 0
    slots: Mapping[str, Any] = MappingProxyType({})
    finish: bool = False

    def parted(self, at: int) -> tuple[Run, Run]:
        """The pieces up to one of them, and the rest."""
        pieces = self.pieces or ()
        return self._replace(pieces=pieces[:at]), self._replace(pieces=pieces[at:])


def one(part: str, pieces: Sequence[str], **slots: Any) -> Run:
    """All pieces in one chunk."""
    text = "".join(pieces)
    return Run(part, None, "delta", len(pieces), len(text.encode()), {"piece": text, **slots})


@cache
def _padding() -> bytes:
    """Random letters and digits that every stream takes its padding from, each from a place of its own."""
    return "".join(dice("obfuscation").choices(ALPHABET, k=PADDING_LENGTH + PADDING_BLOCK)).encode()


class _Writer:
    """Writes the chunks of one reply."""

    def __init__(self, answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> None:
        self.form: Form = forms.of(profile)
        options: Mapping[str, Any] = ask.body.get("stream_options") or {}
        self.values = common(answer, ask, profile, serving, self.form)
        self.asked = self.values["asked"] = bool(options.get("include_usage"))
        self.usage = self.values["usage"]
        self.answer = answer
        self.ask = ask
        self.profile = profile
        self.end = 2 * self.form.stream.line_end.encode()
        self.aligned = self.form.stream.padding == "aligned"
        padded = not self.aligned or (profile.has("obfuscation") and options.get("include_obfuscation") is not False)
        self.values["padding"] = _PADDING if padded else ABSENT
        self.padding = _padding()
        self.offset = 1 + len(_DATA) + len(self.end)  # so much longer than its object is a frame, and that one byte
        self.at = serving.seed % PADDING_LENGTH
        self.first = "first" in self.form.chunks

    def stream(self) -> list[Frame]:
        """All frames: choices take turns, then the usage where its place is there, then `[DONE]`."""
        form = self.form
        frames = [Frame(_DATA + orjson.dumps(chunk) + self.end, "start") for chunk in form.stream.before]
        rows = [self.choice(index, choice) for index, choice in enumerate(self.answer.choices)]
        ends = [row.pop() for row in rows] if form.stream.usage_in_finish else []  # the last chunk of all tells it
        frames += rows[0] if len(rows) == 1 else [f for turn in zip_longest(*rows) for f in turn if f is not None]
        frames += ends
        wanted = {"always": True, "asked": self.asked}.get(form.stream.usage_chunk, False)
        if wanted and self.usage is not ABSENT:
            self.values |= {"choices": [], "usage": self.usage}
            frames.append(Frame(self.framed(orjson.dumps(form.chunk("usage")(self.values))), "usage"))
        if form.stream.done:
            frames.append(Frame(_DATA + b"[DONE]" + self.end, "end"))
        return frames

    def choice(self, index: int, choice: Choice) -> list[Frame]:
        """The frames of one choice, from the role to the finish."""
        form, values = self.form, self.values
        last = index == len(self.answer.choices) - 1
        pieces, thought = self.texts(choice)
        called = calls(choice, self.ask, form)
        values |= {"index": index, "thinks": bool(thought), "called": bool(called), "said": bool(pieces)}
        values["usage"] = self.usage if last else ABSENT
        values["finish"] = finish(choice, form)
        found = [Run("found", None, "start")] if "found" in form.deltas and values["searched"] else []
        waiting = form.stream.waiting if isinstance(form.stream.waiting, int) else values.get(form.stream.waiting, 0)
        runs = [
            *found,
            *self.opening(pieces, thought, called),
            *[Run("waiting", None, "start")] * waiting,
            *self.thoughts(thought),
            *self.text(pieces, after=bool(thought)),
        ]
        if (declined := refusal(choice)) is not None and "refusal" in form.deltas:
            runs.append(Run("refusal", tuple(tokens.split(declined))))
        runs += self.calls(called, alone=not pieces and not thought)
        runs = self.with_first([run for run in runs if run.pieces != ()])
        runs += self.ends(choice, runs, thought=bool(thought), pieces=bool(pieces))
        frames: list[Frame] = []
        shown = 0
        for run in runs:
            made = self.run(run, shown)
            shown += sum(frame.tokens for frame in made) if form.stream.growing else 0
            frames += made
        return frames

    def texts(self, choice: Choice) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(pieces of the text, pieces of the thoughts), as the form has them."""
        pieces, thought = joined(choice, Text), joined(choice, Thinking)
        declined = refusal(choice)
        if declined is not None and "refusal" not in self.form.deltas:
            pieces = (*pieces, *tokens.split(declined))
        return pieces, () if self.form.stream.thoughts == "hidden" else thought

    def opening(self, pieces: Sequence[str], thought: Sequence[str], called: Sequence[Call]) -> list[Run]:
        """The chunk that names the role; a single call opens in it, where the form has it so."""
        deltas = self.form.deltas
        begins = "thought" if thought else "text" if pieces else "call" if called else ""
        if f"first_{begins}" in deltas:
            return []
        if begins == "call":
            if len(called) == 1 and "opening_call" in deltas:
                return []
            if "opening_calls" in deltas:
                return [Run("opening_calls", None, "start")]
        return [Run("opening", None, "start")] if "opening" in deltas else []

    def thoughts(self, thought: tuple[str, ...]) -> list[Run]:
        """The chunks of reasoning."""
        style = self.form.stream.thoughts
        if not thought:
            return []
        if style == "tags":
            tags = [Run("text", None, "delta", 0, len(tag.encode()), {"piece": tag}) for tag in TAGS]
            return [tags[0], Run("text", thought), tags[1]]
        runs = [one("thought", thought) if style == "one" else Run("thought", thought)]
        return [*runs, Run("thought_end", None, "start")] if "thought_end" in self.form.deltas else runs

    def text(self, pieces: tuple[str, ...], *, after: bool) -> list[Run]:
        """The chunks of the text, each with its log probabilities if they were asked for."""
        part = "text_after" if after and "text_after" in self.form.deltas else "text"
        logprobs = openai_logprobs.each(pieces, self.ask)
        if not logprobs:
            return [Run(part, pieces)]
        return [one(part, (piece,), logprobs=told) for piece, told in zip(pieces, logprobs, strict=True)]

    def calls(self, called: Sequence[Call], *, alone: bool) -> Iterator[Run]:
        """The chunks of tool calls; `alone` when nothing was said before them."""
        style = self.form.stream.arguments
        parallel = len(called) > 1
        for call in called:
            told = tuple(tokens.split(call.text))
            count = {"whole": len(told), "first": min(len(told), 1)}.get(style, 0)
            head = "".join(told[:count])
            opens = "opening_call" if alone and not parallel and "opening_call" in self.form.deltas else "call"
            slots = {**call.values(head), "call_template": "call_opening", "parallel": parallel}
            yield Run(opens, None, "delta", call.tokens - len(told) + count, len(head.encode()), slots)
            slots = {**call.values(""), "call_template": "call_piece", "parallel": parallel}
            if style == "one":
                yield one("argument", told, **slots)
            else:
                yield Run("argument", told[count:], slots=slots)

    def with_first(self, runs: list[Run]) -> list[Run]:
        """The runs, the first chunk with the template that the form has for it."""
        if not runs or f"first_{runs[0].part}" not in self.form.deltas:
            return runs
        head, tail = (runs[0], None) if runs[0].pieces is None else runs[0].parted(1)
        rest = [tail] if tail is not None and tail.pieces else []
        return [head._replace(part=f"first_{head.part}"), *rest, *runs[1:]]

    def ends(self, choice: Choice, runs: list[Run], *, thought: bool, pieces: bool) -> list[Run]:
        """The chunks that end a choice; the last of `runs` is changed when it finishes as well."""
        form = self.form
        ways = {"call": choice.stop is Stop.TOOL, "text": pieces, "length": choice.stop is Stop.LENGTH and pieces}
        merged = bool(runs) and any(ways[way] for way in form.stream.finish_with)
        ends: list[Run] = []
        if merged:
            last = runs.pop()
            if last.pieces is not None and len(last.pieces) > 1:
                head, last = last.parted(len(last.pieces) - 1)
                runs.append(head)
            ends.append(last._replace(finish=True))
        else:
            if pieces and "closing" in form.deltas:
                ends.append(Run("closing", None, "start"))
            if ways["call"] and "closing_calls" in form.deltas:
                ends.append(Run("closing_calls", None, "start", slots={"at": 0}))
            after = thought and "finish_after" in form.deltas
            ends.append(Run("finish_after" if after else "finish", None, "stop", finish=True))
        if "again" in form.deltas:
            ends.append(Run("again", None, "stop"))
        return ends

    def run(self, run: Run, shown: int) -> list[Frame]:
        """The frames of a run; `shown` tokens were told before it."""
        if run.pieces is None:
            return [Frame(self.framed(self.unframed(run, shown + run.tokens)), run.kind, run.tokens, run.text_bytes)]
        if self.form.stream.growing or run.finish or self.first:
            return [
                frame
                for at, piece in enumerate(run.pieces, 1)
                for frame in self.run(one(run.part, (piece,), **run.slots)._replace(finish=run.finish), shown + at - 1)
            ]
        parts = self.unframed(run._replace(pieces=None, slots={**run.slots, "piece": _PIECE}), shown).split(_PIECE_MARK)
        before, mark, after = parts[-1].partition(_PADDING_MARK)
        rest = after + self.end
        parts[0], parts[-1] = _DATA + parts[0], before if mark else before + rest
        dumps, padded = orjson.dumps, self.padded
        return [
            Frame(
                padded(dumps(piece).join(parts), rest) if mark else dumps(piece).join(parts),
                "delta",
                1,
                len(piece) if piece.isascii() else len(piece.encode()),
            )
            for piece in run.pieces
        ]

    def framed(self, data: bytes) -> bytes:
        """The JSON of a chunk as a frame."""
        before, mark, after = data.partition(_PADDING_MARK)
        return self.padded(_DATA + before, after + self.end) if mark else b"".join((_DATA, data, self.end))

    def padded(self, before: bytes, rest: bytes) -> bytes:
        """A frame with padding between its two parts."""
        self.at = at = (self.at + PADDING_STEP) % PADDING_LENGTH
        if self.aligned:
            return b"".join(
                (before, self.padding[at : at + (self.offset - len(before) - len(rest)) % PADDING_BLOCK], rest)
            )
        return b"".join((before, LETTERS[: 1 + at % len(LETTERS)], rest))

    def unframed(self, run: Run, shown: int) -> bytes:
        """The JSON of the chunk of a run."""
        form, values = self.form, {**self.values, **run.slots}
        part = "finish" if run.finish else run.part
        if "call_template" in run.slots:
            values["call"] = form.templates[run.slots["call_template"]](values)
        if form.stream.growing:
            values["usage_so_far"] = self.so_far(shown, finished=run.finish)
        values["delta"] = form.deltas[run.part](values)
        values["choices"] = [form.row(part)(values)]
        if self.first:
            self.first = False
            part = part if run.finish else "first"
        if run.slots.get("parallel") or run.part == "opening_calls":
            part = "parallel" if "parallel" in form.chunks and not run.finish else part
        return orjson.dumps(form.chunk(part)(values))

    def so_far(self, shown: int, *, finished: bool) -> Any:
        """The usage as a chunk in mid-stream tells it."""
        told = self.answer.told
        if told is None:
            return ABSENT
        if finished and self.usage is not ABSENT:
            return self.usage
        usage = Usage(told.input_tokens, min(shown, told.output_tokens), told.cached_tokens)
        return self.form.templates["usage"]({**self.values, **counts(usage)})


def stream(answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> tuple[Frame, ...]:
    """The answer as chunks."""
    return tuple(_Writer(answer, ask, profile, serving).stream())
