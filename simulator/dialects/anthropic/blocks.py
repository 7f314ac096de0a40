"""Content blocks of an Anthropic answer: whole, as a JSON reply bears them, and cut into the deltas of a stream.

| block              | in its start             | deltas                                                     |
| ------------------ | ------------------------ | ---------------------------------------------------------- |
| text               | empty text               | citations first, then text                                 |
| thinking           | empty text and signature | text, then one signature; with the text omitted, only that |
| redacted_thinking  | everything               | none                                                       |
| tool_use and alike | empty input              | an empty piece of JSON, then the input's                   |
| compaction         | null content             | the content                                                |
| results            | everything               | none                                                       |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain
from typing import Any, Final, NamedTuple

from simulator.answers import tokens
from simulator.answers.answer import Answer, Native, Refusal, Text, Thinking, ToolCall
from simulator.ask import Ask
from simulator.dialects.anthropic import rules
from simulator.dialects.base import Profile
from simulator.draws import begun_at, dice

PIECES_MAX: Final = 8  # of a text, in one delta: several words, as recorded
DIRECT: Final = {"type": "direct"}


class Delta(NamedTuple):
    """One delta of a block, with what it delivers. (A tuple, for speed: a stream has many.)"""

    content: Mapping[str, Any]
    tokens: int = 0
    text_bytes: int = 0


Cut = Callable[[Sequence[str]], Iterable[Sequence[str]]]  # how the pieces of a text are put together to deltas


@dataclass(frozen=True, slots=True)
class Wire:
    """One content block: `whole` in a JSON reply; in a stream `start` and then `deltas`."""

    whole: dict[str, Any]
    start: dict[str, Any]
    deltas: tuple[Delta, ...] = ()
    start_tokens: int = 0  # delivered by the start itself


def written(answer: Answer, ask: Ask, profile: Profile, seed: int) -> list[Wire]:
    """The blocks of an answer; of a JSON reply each text is one delta. A refusal and an empty text leave none."""
    out: list[Wire] = []
    for at, block in enumerate(answer.choices[0].blocks):
        cut = partial(grouped, key=seed + 101 * at) if ask.stream else uncut
        match block:
            case Text():
                if block.text:
                    out.append(_text(block.pieces, cut))
            case Thinking():
                redacted = rules.redacts_thinking(ask.body)
                out.append(_redacted(block, profile) if redacted else _thinking(block, ask, profile, cut))
            case ToolCall():
                out.append(_tool_use(block, profile, cut))
            case Native():
                out.append(_native(block, cut))
            case Refusal():
                continue
    return out


def uncut(pieces: Sequence[str]) -> Iterable[Sequence[str]]:
    """All pieces as one."""
    return (pieces,)


def grouped(pieces: Sequence[str], key: int) -> Iterator[Sequence[str]]:
    """The pieces in groups of 1 to 8: the first comes alone, the other sizes hang on the key."""
    at = 0
    for size in chain((1,), begun_at(_sizes(), key)):
        if at >= len(pieces):
            return
        yield pieces[at : at + size]
        at += size


@cache
def _sizes() -> tuple[int, ...]:
    return tuple(dice("delta sizes").choices(range(1, PIECES_MAX + 1), k=509))


def _deltas(kind: str, name: str, groups: Iterable[Sequence[str]]) -> list[Delta]:
    """A delta for each group of tokens."""
    texts = [("".join(group), len(group)) for group in groups]
    return [Delta({"type": kind, name: text}, size, len(text.encode())) for text, size in texts if text]


def _text(pieces: Sequence[str], cut: Cut) -> Wire:
    deltas = tuple(_deltas("text_delta", "text", cut(pieces)))
    return Wire({"type": "text", "text": "".join(pieces)}, {"type": "text", "text": ""}, deltas)


def _cited(content: dict[str, Any], cut: Cut) -> Wire:
    """Text with its citations before it. It is free of charge, as everything that server tools bring along."""
    plain = _text(tokens.split(content["text"]), cut)
    citations = content.get("citations") or []
    cited = tuple(Delta({"type": "citations_delta", "citation": citation}) for citation in citations)
    return Wire(
        {"citations": citations} | plain.whole,
        {"citations": []} | plain.start,
        (*cited, *(delta._replace(tokens=0) for delta in plain.deltas)),
    )


def _thinking(block: Thinking, ask: Ask, profile: Profile, cut: Cut) -> Wire:
    shown = rules.shows_thinking(ask.body, profile)
    text = block.text if shown else ""
    signature = (block.signature if shown else "") or rules.sign(profile, text)
    deltas = _deltas("thinking_delta", "thinking", cut(block.pieces))
    last = Delta({"type": "signature_delta", "signature": signature})
    if not shown:
        deltas, last = [], Delta(last.content, tokens.count(block.text))
    return Wire(
        {"type": "thinking", "thinking": text, "signature": signature},
        {"type": "thinking", "thinking": "", "signature": ""},
        (*deltas, last),
    )


def _redacted(block: Thinking, profile: Profile) -> Wire:
    whole = {"type": "redacted_thinking", "data": rules.sign(profile, rules.REDACTED)}
    return Wire(whole, whole, start_tokens=tokens.count(block.text))


def _tool_use(block: ToolCall, profile: Profile, cut: Cut) -> Wire:
    whole: dict[str, Any] = {"type": "tool_use", "id": f"toolu_01{block.call[:22]}", "name": block.name}
    whole["input"] = dict(block.arguments)
    if profile.facts.get("caller", True):
        whole["caller"] = DIRECT
    return replace(_with_input(whole, cut), start_tokens=tokens.count(block.name))


def _with_input(whole: dict[str, Any], cut: Cut) -> Wire:
    """A call: its input travels as pieces of JSON after an empty one; an empty input sends only that.

    The JSON has spaces after `:` and `,`, as recorded.
    """
    data = json.dumps(whole["input"], ensure_ascii=False) if whole["input"] else ""
    pieces = _deltas("input_json_delta", "partial_json", cut(tokens.split(data)))
    first = Delta({"type": "input_json_delta", "partial_json": ""})
    return Wire(whole, {**whole, "input": {}}, (first, *pieces))


def _native(block: Native, cut: Cut) -> Wire:
    content = dict(block.content)
    match content["type"]:
        case "text":
            return _cited(content, cut)
        case "compaction":
            summary = content["content"]
            delta = Delta({"type": "compaction_delta", "content": summary}, 0, len(summary.encode()))
            return Wire(content, {"type": "compaction", "content": None}, (delta,))
        case _ if block.streamed_input:
            return _with_input(content, cut)
        case _:
            return Wire(content, content)
