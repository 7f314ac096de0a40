"""How an answer is written on the Chat Completions wire: one JSON object, or a stream of chunks.

Byte facts, from recorded replies: an object is indented by two and ends with a newline; chunks are compact; a stream
ends with `data: [DONE]`. `obfuscation` pads every chunk so that its JSON is 1 byte more than a multiple of 16. A single
tool call opens in the role's chunk; parallel ones have a chunk each, spaced arguments, and `usage` before `choices`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, zip_longest
from typing import Any, Final

import orjson

from simulator import tokens
from simulator.answer import Answer, Choice, Refusal, Stop, Text, Thinking, ToolCall, Usage
from simulator.ask import Ask
from simulator.blocks import arguments_json, block_tokens
from simulator.dialects import openai_logprobs
from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai_ids import completion_id
from simulator.draws import ALPHABET, dice, digest
from simulator.script import Frame

FINISH: Final[Mapping[Stop, str]] = {
    Stop.END: "stop",
    Stop.LENGTH: "length",
    Stop.TOOL: "tool_calls",
    Stop.STOP_SEQUENCE: "stop",
    Stop.REFUSAL: "stop",
    Stop.FILTER: "content_filter",
}
TIERS: Final[Mapping[str, str]] = {"flex": "flex", "priority": "priority", "fast": "priority", "scale": "scale"}
DONE: Final = Frame(b"data: [DONE]\n\n", "end")
PADDING_LENGTH: Final = 8191
PADDING_STEP: Final = 17
_DATA: Final = b"data: "
_OBFUSCATION: Final = b',"obfuscation":"'
_PADDED_END: Final = b'"}\n\n'
_PADDING_OFFSET: Final = 1 + len(_DATA) - len(_OBFUSCATION) - len(b'"}')  # what the object's length must come to


@cache
def _fingerprint(provider: str, snapshot: str) -> str:
    return f"fp_{digest(provider, snapshot).hex()[:10]}"


def fingerprint(profile: Profile) -> dict[str, str | None]:
    """The `system_fingerprint` of a model at a provider, where it has the key."""
    match profile.facts.get("fingerprint"):
        case "fp":
            return {"system_fingerprint": _fingerprint(profile.provider, profile.snapshot)}
        case "null":
            return {"system_fingerprint": None}
        case "empty":
            return {"system_fingerprint": ""}
        case _:
            return {}


def service_tier(ask: Ask, profile: Profile) -> dict[str, str]:
    """The `service_tier` used, where the model tells it."""
    if not profile.has("service_tier"):
        return {}
    return {"service_tier": TIERS.get(ask.body.get("service_tier") or "", "default")}


def usage_object(usage: Usage, profile: Profile) -> dict[str, Any]:
    """Token counts as the wire tells them."""
    told: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    if not profile.has("usage_details"):
        return told
    prompt = {"cached_tokens": usage.cached_tokens}
    if profile.has("cache_write"):
        prompt["cache_write_tokens"] = usage.cache_write_tokens
    prompt["audio_tokens"] = 0
    completion = {"reasoning_tokens": usage.reasoning_tokens, "audio_tokens": 0}
    completion |= {"accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
    if profile.has("modality_tokens"):
        prompt |= {"text_tokens": usage.input_tokens, "image_tokens": 0}
        completion["text_tokens"] = usage.output_tokens
    return told | {"prompt_tokens_details": prompt, "completion_tokens_details": completion}


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call as written: `inner` is the key that holds name and argument."""

    id: str
    inner: str
    argument: str
    name: str
    text: str  # the arguments as JSON, or a custom tool's free input
    tokens: int

    def whole(self) -> dict[str, Any]:
        """The call in one piece."""
        return {"id": self.id, "type": self.inner, self.inner: {"name": self.name, self.argument: self.text}}

    def opening(self, index: int) -> dict[str, Any]:
        """The head of the call in a stream, its argument still empty."""
        inner = {"name": self.name, self.argument: ""}
        return {"index": index, "id": self.id, "type": self.inner, self.inner: inner}


def calls(choice: Choice, ask: Ask) -> list[Call]:
    """The tool calls of a choice. Arguments of parallel calls have spaces, as the real ones do."""
    found = [block for block in choice.blocks if isinstance(block, ToolCall)]
    custom = {tool.name for tool in ask.tools if tool.kind == "custom"}
    out = []
    for block in found:
        free = block.name in custom
        spaced = json.dumps(block.arguments, ensure_ascii=False) if len(found) > 1 else arguments_json(block.arguments)
        text = str(block.arguments.get("input", "")) if free else spaced
        kind, argument = ("custom", "input") if free else ("function", "arguments")
        out.append(Call(f"call_{block.call}", kind, argument, block.name, text, block_tokens(block)))
    return out


def _joined(choice: Choice, kind: type[Text] | type[Thinking]) -> tuple[str, ...]:
    """The pieces of all blocks of one kind."""
    rows = [block.pieces for block in choice.blocks if isinstance(block, kind)]
    return rows[0] if len(rows) == 1 else tuple(chain.from_iterable(rows))


def _refusal(choice: Choice) -> str | None:
    return next((block.text for block in choice.blocks if isinstance(block, Refusal)), None)


def message(choice: Choice, ask: Ask, profile: Profile) -> dict[str, Any]:
    """The assistant's message."""
    pieces, refusal, called = _joined(choice, Text), _refusal(choice), calls(choice, ask)
    content = None if not pieces and (refusal is not None or called) else "".join(pieces)
    out: dict[str, Any] = {"role": "assistant", "content": content}
    if thought := _joined(choice, Thinking):
        out["reasoning_content"] = "".join(thought)
    if called:
        out["tool_calls"] = [call.whole() for call in called]
    if profile.has("refusal_key") or refusal is not None:
        out["refusal"] = refusal
    if profile.has("annotations"):
        out["annotations"] = []
    return out


def whole(answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> Frame:
    """The answer as one object."""
    choices: list[dict[str, Any]] = []
    for index, choice in enumerate(answer.choices):
        said = message(choice, ask, profile)
        if profile.has("usage_first"):
            choices.append({"message": said, "finish_reason": FINISH[choice.stop], "index": index})
            continue
        row: dict[str, Any] = {"index": index, "message": said}
        if profile.has("logprobs_key"):
            row["logprobs"] = openai_logprobs.whole(_joined(choice, Text), ask)
        choices.append(row | {"finish_reason": FINISH[choice.stop]})
    out: dict[str, Any] = {"id": completion_id(answer.nonce, serving.seed), "object": "chat.completion"}
    out |= {"created": answer.created_s, "model": answer.model}
    usage = {} if answer.told is None else {"usage": usage_object(answer.told, profile)}
    parts = (usage, {"choices": choices}) if profile.has("usage_first") else ({"choices": choices}, usage)
    out |= parts[0] | parts[1] | service_tier(ask, profile) | fingerprint(profile)
    data = orjson.dumps(out, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    tokens_shown = sum(block_tokens(block) for choice in answer.choices for block in choice.blocks)
    return Frame(data, "body", tokens_shown, sum(_text_bytes(row["message"]) for row in choices))


def _text_bytes(said: Mapping[str, Any]) -> int:
    """UTF-8 bytes of text, reasoning and tool arguments in a message."""
    texts = [said.get(key) or "" for key in ("content", "reasoning_content", "refusal")]
    for call in said.get("tool_calls", ()):
        inner = call[call["type"]]
        texts.append(inner["arguments" if call["type"] == "function" else "input"])
    return sum(len(text.encode()) for text in texts)


@dataclass(frozen=True, slots=True)
class Part:
    """One chunk of a choice that is more than a piece of text, before it is framed."""

    delta: bytes
    kind: str = "delta"
    tokens: int = 0
    text_bytes: int = 0
    finish: bytes = b"null"
    logprobs: bytes = b"null"
    usage_first: bool = False


def _opening(profile: Profile, *, thinks: bool) -> Part:
    """The chunk that names the role, where text follows."""
    delta: dict[str, Any] = {"role": "assistant", "content": ""}
    if thinks:
        delta["reasoning_content"] = ""
    return Part(orjson.dumps(delta | _no_refusal(profile)), "start")


def _no_refusal(profile: Profile) -> dict[str, Any]:
    return {"refusal": None} if profile.has("refusal_key") else {}


def _call_parts(called: Sequence[Call], profile: Profile, *, alone: bool) -> Iterator[Part]:
    """The chunks of tool calls; `alone` when nothing was said before them."""
    parallel = len(called) > 1
    if alone and parallel:
        yield Part(b'{"role":"assistant","content":null}', "start", usage_first=True)
    for at, call in enumerate(called):
        opening: dict[str, Any] = {"tool_calls": [call.opening(at)]}
        if alone and not parallel:
            opening = {"role": "assistant", "content": None} | opening | _no_refusal(profile)
        told = tokens.split(call.text)
        yield Part(orjson.dumps(opening), "delta", call.tokens - len(told), usage_first=parallel)
        for piece in told:
            inner = orjson.dumps({"tool_calls": [{"index": at, call.inner: {call.argument: piece}}]})
            yield Part(inner, "delta", 1, len(piece.encode()), usage_first=parallel)


def _likely_parts(pieces: Sequence[str], logprobs: Sequence[bytes]) -> Iterator[Part]:
    """The chunks of a text with log probabilities."""
    for piece, chances in zip(pieces, logprobs, strict=True):
        yield Part(b'{"content":%b}' % orjson.dumps(piece), "delta", 1, len(piece.encode()), logprobs=chances)


@cache
def _padding() -> bytes:
    """Random letters and digits that every stream takes its padding from, each from a place of its own."""
    return "".join(dice("obfuscation").choices(ALPHABET, k=PADDING_LENGTH + 16)).encode()


class _Framer:
    """Frames the chunks of one reply: what all of them share is written once."""

    def __init__(self, answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> None:
        options: Mapping[str, Any] = ask.body.get("stream_options") or {}
        head: dict[str, Any] = {
            "id": completion_id(answer.nonce, serving.seed),
            "object": "chat.completion.chunk",
            "created": answer.created_s,
            "model": answer.model,
        }
        head |= service_tier(ask, profile) | fingerprint(profile)
        self.head = _DATA + orjson.dumps(head)[:-1]
        self.usage = bool(options.get("include_usage"))
        self.null = b',"usage":null' if self.usage else b""
        self.padded = profile.has("obfuscation") and options.get("include_obfuscation") is not False
        self.logprobs = profile.has("logprobs_key")
        self.padding = _padding()
        self.at = serving.seed % PADDING_LENGTH

    def ended(self, data: bytes) -> bytes:
        """These bytes, which lack the last brace, as a frame, padded."""
        if not self.padded:
            return data + b"}\n\n"
        self.at = at = (self.at + PADDING_STEP) % PADDING_LENGTH
        return b"".join((data, _OBFUSCATION, self.padding[at : at + (_PADDING_OFFSET - len(data)) % 16], _PADDED_END))

    def choice(self, index: int, choice: Choice, ask: Ask, profile: Profile) -> list[Frame]:
        """The frames of one choice, from the role to the finish."""
        pieces, thought, called = _joined(choice, Text), _joined(choice, Thinking), calls(choice, ask)
        alone = bool(called) and not pieces and not thought
        frames = [] if alone else [self.part(index, _opening(profile, thinks=bool(thought)))]
        frames += self.pieces(index, b"reasoning_content", thought)
        if logprobs := openai_logprobs.each(pieces, ask):
            frames += [self.part(index, part) for part in _likely_parts(pieces, logprobs)]
        else:
            frames += self.pieces(index, b"content", pieces)
        frames += self.pieces(index, b"refusal", tokens.split(_refusal(choice) or ""))
        frames += [self.part(index, part) for part in _call_parts(called, profile, alone=alone)]
        frames.append(self.part(index, Part(b"{}", "stop", finish=b'"%b"' % FINISH[choice.stop].encode())))
        return frames

    def pieces(self, index: int, key: bytes, pieces: Sequence[str]) -> list[Frame]:
        """The frames of a text, a token each: one beginning and one end for all of them."""
        head = self.head + b',"choices":[{"index":%d,"delta":{"%b":' % (index, key)
        tail = b"}" + self.end(b"null", b"null") + self.null
        ended, dumps = self.ended, orjson.dumps
        return [Frame(ended(head + dumps(piece) + tail), "delta", 1, len(piece.encode())) for piece in pieces]

    def part(self, index: int, part: Part) -> Frame:
        """The frame of any other part."""
        delta = b',"choices":[{"index":%d,"delta":%b' % (index, part.delta)
        choices = delta + self.end(part.logprobs, part.finish)
        data = self.null + choices if part.usage_first else choices + self.null
        return Frame(self.ended(self.head + data), part.kind, part.tokens, part.text_bytes)

    def end(self, logprobs: bytes, finish: bytes) -> bytes:
        """What follows the delta in a choice."""
        return (b',"logprobs":' + logprobs if self.logprobs else b"") + b',"finish_reason":' + finish + b"}]"

    def told(self, usage: Usage, profile: Profile) -> Frame:
        """The frame that tells the usage."""
        counts = orjson.dumps(usage_object(usage, profile))
        return Frame(self.ended(self.head + b',"choices":[],"usage":' + counts), "usage")


def stream(answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> tuple[Frame, ...]:
    """The answer as chunks: choices take turns, then the usage when it was asked for, then `[DONE]`."""
    framer = _Framer(answer, ask, profile, serving)
    rows = [framer.choice(index, choice, ask, profile) for index, choice in enumerate(answer.choices)]
    frames = rows[0] if len(rows) == 1 else [f for turn in zip_longest(*rows) for f in turn if f is not None]
    if framer.usage and answer.told is not None:
        frames.append(framer.told(answer.told, profile))
    return (*frames, DONE)
