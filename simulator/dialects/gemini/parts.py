"""The parts of a Gemini answer: whole, as a JSON reply bears them, and cut into what the chunks of a stream bear.

Thoughts come first and are marked; a call's arguments come whole, in one part. Facts of the profile:

    thought_signatures   "always": the first call is signed, or else the last text, in a stream as an empty part after
                         it; "tools": only where functions are declared and the model thought, and then the first part
    tail_chunk           a stream ends with a chunk of its own, whose text is empty
    call_ids             calls have an id
    stream_arguments     a request may ask for arguments piece by piece
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final, NamedTuple

from simulator.answers.answer import Answer, Native, Text, Thinking, ToolCall
from simulator.answers.blocks import arguments_json, block_tokens
from simulator.ask import Ask
from simulator.dialects.base import Profile
from simulator.dialects.gemini import rules
from simulator.dialects.gemini.partial import pieces_of
from simulator.draws import begun_at, dice

FIRST_MAX: Final = 8  # tokens in the first chunk of a text, at most
CHUNK_TOKENS: Final = (10, 50)


class Bit(NamedTuple):
    """One part, and what it delivers."""

    part: dict[str, Any]
    tokens: int = 0
    thoughts: int = 0  # of the tokens
    text_bytes: int = 0
    pieces: Sequence[str] = ()  # of visible text


def written(answer: Answer, at: int, ask: Ask, profile: Profile, key: int) -> list[Bit]:
    """The parts of one choice; of a stream, cut, with the key drawing where."""
    choice = answer.choices[at]
    bits: list[Bit] = []
    for place, block in enumerate(choice.blocks):
        cut = grouped(_pieces(block, ask), key + 101 * place) if ask.stream else (_pieces(block, ask),)
        match block:
            case Thinking():
                bits += [_thought(group) for group in cut if group]
            case Text():
                bits += [_text(group) for group in cut if group]
            case ToolCall():
                bits.append(_call(block, profile))
            case Native(content) if "part" in content:
                signed = {"thoughtSignature": rules.sign(profile, {})} if content.get("signed") else {}
                bits.append(Bit(content["part"] | signed, block.tokens))
    signed_bits = _signed(bits, answer, ask, profile)
    return _streamed(signed_bits, ask, profile) if ask.stream else signed_bits


def _pieces(block: object, ask: Ask) -> Sequence[str]:
    """The tokens of a text. The word of an enum goes without the quotes that JSON gives it."""
    if not isinstance(block, (Text, Thinking)):
        return ()
    config = ask.body.get("generationConfig", {})
    pieces = block.pieces
    if isinstance(block, Text) and config.get("responseMimeType") == "text/x.enum" and pieces[:1] == ('"',):
        return pieces[1:-1] if pieces[-1] == '"' else pieces[1:]
    return pieces


def grouped(pieces: Sequence[str], key: int) -> Iterator[Sequence[str]]:
    """The pieces in groups: a short one first, then of 10 to 50."""
    at = 0
    for size in chain((1 + key % FIRST_MAX,), begun_at(_sizes(), key)):
        if at >= len(pieces):
            return
        yield pieces[at : at + size]
        at += size


@cache
def _sizes() -> tuple[int, ...]:
    low, high = CHUNK_TOKENS
    return tuple(dice("gemini chunk sizes").choices(range(low, high + 1), k=509))


def _thought(group: Sequence[str]) -> Bit:
    text = "".join(group)
    return Bit({"text": text, "thought": True}, len(group), len(group), len(text.encode()))


def _text(group: Sequence[str]) -> Bit:
    text = "".join(group)
    return Bit({"text": text}, len(group), 0, len(text.encode()), group)


def _call(block: ToolCall, profile: Profile) -> Bit:
    call: dict[str, Any] = {"name": block.name, "args": dict(block.arguments)}
    if profile.has("call_ids"):
        call["id"] = block.call[:8].lower()
    return Bit({"functionCall": call}, block_tokens(block), 0, len(arguments_json(block.arguments).encode()))


def _signed(bits: list[Bit], answer: Answer, ask: Ask, profile: Profile) -> list[Bit]:
    """The parts, one of them with the signature of the thought behind them."""
    style = profile.facts.get("thought_signatures")
    thought = answer.usage.reasoning_tokens > 0
    if style == "tools":
        thought = thought and any(tool.kind == "function" for tool in ask.tools)
    calls = [at for at, bit in enumerate(bits) if "functionCall" in bit.part]
    texts = [at for at, bit in enumerate(bits) if "text" in bit.part and "thought" not in bit.part]
    if style is None or not (thought or (calls and style == "always")):
        return bits
    if calls:
        return _with_signature(bits, calls[0], profile)
    if not texts:
        return bits
    if style == "always" and ask.stream:
        return _with_signature([*bits, Bit({"text": ""})], len(bits), profile)
    return _with_signature(bits, texts[-1] if style == "always" else texts[0], profile)


def _with_signature(bits: list[Bit], at: int, profile: Profile) -> list[Bit]:
    part = bits[at].part
    signed = bits[at]._replace(part=part | {"thoughtSignature": rules.sign(profile, part)})
    return [*bits[:at], signed, *bits[at + 1 :]]


def _streamed(bits: list[Bit], ask: Ask, profile: Profile) -> list[Bit]:
    """The parts as a stream has them: calls perhaps in pieces, and perhaps an empty text at the end."""
    config = ask.body.get("toolConfig", {}).get("functionCallingConfig", {})
    if config.get("streamFunctionCallArguments") and profile.has("stream_arguments"):
        return list(chain.from_iterable(map(_in_pieces, bits)))
    if profile.has("tail_chunk") and bits and bits[-1].part.get("text") != "":
        return [*bits, Bit({"text": ""})]
    return bits


def _in_pieces(bit: Bit) -> Iterable[Bit]:
    """A call as its name, its arguments piece by piece, and an empty call that ends it."""
    call = bit.part.get("functionCall")
    if call is None:
        return (bit,)
    signature = {name: value for name, value in bit.part.items() if name == "thoughtSignature"}
    opening = {key: call[key] for key in ("name", "id") if key in call}
    out = [Bit({"functionCall": opening | {"willContinue": True}} | signature, bit.tokens)]
    for piece in pieces_of(call["args"]):
        said = str(next((piece[key] for key in piece if key.endswith("Value")), ""))
        out.append(Bit({"functionCall": {"partialArgs": [piece], "willContinue": True}}, text_bytes=len(said.encode())))
    return (*out, Bit({"functionCall": {}}))
