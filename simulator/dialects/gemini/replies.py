"""How an answer is written on Gemini's wire: one JSON object, or a stream of objects of the same form.

A stream is SSE (`alt=sse`): CRLF, no event names, no terminator; or else one JSON array whose elements come as they are
made, parted by CRLF, comma, CRLF. Facts of the profile: `index` (of a candidate, told unless false), `role_first`,
`finish_message` (told unless false), `avg_logprobs`, `create_time`. Source: recorded replies of 2025 and 2026; the
array's separators from one public test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby, zip_longest
from typing import Any, Final, NamedTuple

from simulator.answers.answer import Answer, Choice, Native, Stop, ToolCall
from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.gemini import json, logprobs, native
from simulator.dialects.gemini import usage as gemini_usage
from simulator.dialects.gemini.parts import Bit, written
from simulator.script import Frame

FINISH: Final[Mapping[Stop, str]] = {
    Stop.END: "STOP",
    Stop.LENGTH: "MAX_TOKENS",
    Stop.TOOL: "STOP",
    Stop.STOP_SEQUENCE: "STOP",
    Stop.REFUSAL: "SAFETY",
    Stop.FILTER: "SAFETY",
}
CALLED: Final = "Model generated function call(s)."
BLOCKED: Final[Mapping[str, str]] = {
    "MODEL_ARMOR": "The prompt violated Prompt Injection and Jailbreak filters.",
    "PROHIBITED_CONTENT": "The prompt is blocked due to prohibited contents",
}
_HARMS: Final = ("DANGEROUS_CONTENT", "HARASSMENT", "SEXUALLY_EXPLICIT")
RATINGS: Final = [
    {"category": "HARM_CATEGORY_HATE_SPEECH", "probability": "HIGH", "blocked": True},
    *({"category": f"HARM_CATEGORY_{harm}", "probability": "NEGLIGIBLE"} for harm in _HARMS),
]
ENDINGS: Final[Mapping[str, str]] = {
    "MALFORMED_FUNCTION_CALL": "Malformed function call: print(default_api.call(",
    "MODEL_ARMOR": "The response violated Prompt Injection and Jailbreak filters.",
}


class Chunk(NamedTuple):
    """One element of a stream, and what it delivers."""

    body: dict[str, Any]
    tokens: int
    text_bytes: int
    last: bool


def whole(answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> Frame:
    """The answer as one object."""
    feedback = _feedback(answer, profile)
    bits = [written(answer, at, ask, profile, 0) for at in range(len(answer.choices))]
    body: dict[str, Any] = {}
    if feedback is None:
        body["candidates"] = [
            _candidate(at, bits[at], choice, profile, first=True, last=True) | _logprobs(bits[at], ask, profile)
            for at, choice in enumerate(answer.choices)
        ]
    body |= _rest(answer, ask, profile, feedback) | _tail(answer, profile, serving)
    text_bytes = sum(bit.text_bytes for row in bits for bit in row)
    return Frame(json.body(body), "body", answer.usage.output_tokens, text_bytes)


def _rest(answer: Answer, ask: Ask, profile: Profile, feedback: dict[str, Any] | None) -> dict[str, Any]:
    """What stands beside the candidates of a reply that is complete."""
    told = answer.told
    if feedback is not None:
        usage = {} if told is None else {"usageMetadata": gemini_usage.prompt_only(told, ask, profile)}
        return {"promptFeedback": feedback} | usage
    if told is None:
        return {}
    candidates = max(0, told.output_tokens - told.reasoning_tokens)
    tools = _tool_tokens(answer)
    made = [block.content["part"]["inlineData"] for block in _natives(answer.choices[0]) if _is_data(block)]
    modality = made[0]["mimeType"].partition("/")[0].upper() if made else ""  # "image/png" -> IMAGE
    shown = _with_fact(profile, "candidates_modality", modality) if made else profile
    return {"usageMetadata": gemini_usage.metadata(told, ask, shown, candidates, told.reasoning_tokens, tools)}


def _is_data(block: Native) -> bool:
    return "inlineData" in block.content.get("part", {})


def _with_fact(profile: Profile, name: str, value: Any) -> Profile:
    return Profile(profile.provider, profile.model, profile.snapshot, {**profile.facts, name: value})


def _natives(choice: Choice) -> Iterator[Native]:
    return (block for block in choice.blocks if isinstance(block, Native))


def _tool_tokens(answer: Answer) -> int:
    return sum(block.content.get("tool_tokens", 0) for choice in answer.choices for block in _natives(choice))


def _tail(answer: Answer, profile: Profile, serving: Serving) -> dict[str, Any]:
    """What every object ends with."""
    out: dict[str, Any] = {"modelVersion": answer.model}
    if profile.has("create_time"):
        moment = datetime.fromtimestamp(serving.now_s, UTC)
        out["createTime"] = f"{moment:%Y-%m-%dT%H:%M:%S}.{serving.seed % 1_000_000:06d}Z"
    out["responseId"] = answer.nonce
    return out


def _feedback(answer: Answer, profile: Profile) -> dict[str, Any] | None:
    """Why a prompt was not answered; None when it was."""
    reason = next((block.content.get("prompt_feedback") for block in _natives(answer.choices[0])), None)
    if reason is None:
        return None
    message = BLOCKED.get(reason, "The prompt was blocked.")
    return {"blockReason": reason} | ({"blockReasonMessage": message} if profile.has("create_time") else {})


def _candidate(
    at: int, bits: Sequence[Bit], choice: Choice, profile: Profile, *, first: bool, last: bool
) -> dict[str, Any]:
    """One candidate, whole or as far as a chunk has it."""
    ended = next((block.content["finish"] for block in _natives(choice) if "finish" in block.content), None)
    reason = ended or FINISH[choice.stop]
    out: dict[str, Any] = {}
    if bits:
        parts, role = {"parts": [bit.part for bit in bits]}, {"role": "model"}
        out["content"] = role | parts if profile.has("role_first") else parts | role
    elif reason != "MODEL_ARMOR":
        out["content"] = {"role": "model"} if reason in ("STOP", "MAX_TOKENS") else {}
    if last:
        out["finishReason"] = reason
    if at or profile.facts.get("index", True):
        out["index"] = at
    if not last:
        return out | (native.merged(choice.blocks, "first") if first else {})
    called = any(isinstance(block, ToolCall) for block in choice.blocks) and bits and "text" not in bits[-1].part
    if called and profile.facts.get("finish_message", True):
        out["finishMessage"] = CALLED
    if ended is not None and ended in ENDINGS:
        out["finishMessage"] = ENDINGS[ended]
    if reason == "SAFETY":
        out["safetyRatings"] = RATINGS
    return out | native.merged(choice.blocks, "candidate")


def _logprobs(bits: Sequence[Bit], ask: Ask, profile: Profile) -> dict[str, Any]:
    """How likely the tokens of a candidate were, in a JSON reply."""
    pieces = [piece for bit in bits for piece in bit.pieces]
    out: dict[str, Any] = {}
    if bits and profile.has("avg_logprobs"):
        out["avgLogprobs"] = logprobs.average(pieces) or -0.05
    return out | _each_logprob(pieces, 0, ask)


def _each_logprob(pieces: Sequence[str], first: int, ask: Ask) -> dict[str, Any]:
    config = ask.body.get("generationConfig", {})
    if not config.get("responseLogprobs") or not pieces:
        return {}
    return {"logprobsResult": logprobs.result(pieces, first, config.get("logprobs", 0))}


def stream(answer: Answer, ask: Ask, profile: Profile, serving: Serving, *, array: bool) -> tuple[Frame, ...]:
    """The answer as frames: events, or the elements of an array."""
    chunks = list(_chunks(answer, ask, profile, serving))
    left = max(0, answer.usage.output_tokens - sum(chunk.tokens for chunk in chunks))  # what no part delivered
    frames: list[Frame] = []
    for at, chunk in enumerate(chunks):
        if array:
            data = (b"[" if at == 0 else b"\r\n,\r\n") + json.indented(chunk.body)
        else:
            data = b"data: " + json.spaced(chunk.body) + b"\r\n\r\n"
        kind, tokens = ("stop", chunk.tokens + left) if chunk.last else ("delta", chunk.tokens)
        frames.append(Frame(data, kind, tokens, chunk.text_bytes))
    return (*frames, Frame(b"\r\n]", "end")) if array else tuple(frames)


def _chunks(answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> Iterator[Chunk]:
    """The objects of a stream, with usage as it grows."""
    tail, told, feedback = _tail(answer, profile, serving), answer.told, _feedback(answer, profile)
    if feedback is not None:
        yield Chunk(_rest(answer, ask, profile, feedback) | tail, 0, 0, last=True)
        return
    every = range(len(answer.choices))
    rows = [_together(written(answer, at, ask, profile, serving.seed + at), profile) for at in every]
    steps = list(zip_longest(*[row or [[]] for row in rows]))
    hidden = _hidden(answer, rows)
    places = [0] * len(rows)
    spoken = thoughts = 0
    for number, step in enumerate(steps):
        candidates: list[dict[str, Any]] = []
        bits = [bit for found in step for bit in found or ()]
        for at, found in enumerate(step):
            if found is None:
                continue
            last = number == max(len(rows[at]), 1) - 1
            pieces = [piece for bit in found for piece in bit.pieces]
            row = _candidate(at, found, answer.choices[at], profile, first=number == 0, last=last)
            candidates.append(row | _each_logprob(pieces, places[at], ask))
            places[at] += len(pieces)
        thoughts += sum(bit.thoughts for bit in bits)
        spoken += sum(bit.tokens - bit.thoughts for bit in bits)
        final = number == len(steps) - 1
        body: dict[str, Any] = {"candidates": candidates}
        if final:
            body |= _rest(answer, ask, profile, None)
        elif told is not None:
            most = max(0, told.output_tokens - told.reasoning_tokens)
            counted = min(spoken, most), min(thoughts + hidden, told.reasoning_tokens)
            tools = _tool_tokens(answer)
            body["usageMetadata"] = gemini_usage.metadata(told, ask, profile, *counted, tools, final=False)
        yield Chunk(body | tail, sum(bit.tokens for bit in bits), sum(bit.text_bytes for bit in bits), final)


def _hidden(answer: Answer, rows: Sequence[Sequence[Sequence[Bit]]]) -> int:
    """Tokens of thoughts that no part shows: they were thought before the first chunk."""
    shown = sum(bit.thoughts for row in rows for step in row for bit in step)
    return max(0, answer.usage.reasoning_tokens - shown)


def _together(bits: Sequence[Bit], profile: Profile) -> list[list[Bit]]:
    """The parts of each chunk: one, but for parallel calls of models whose streams have no chunk to end them."""
    if profile.has("tail_chunk") or profile.has("stream_arguments"):
        return [[bit] for bit in bits]
    out: list[list[Bit]] = []
    for calls, run in groupby(bits, key=lambda bit: "functionCall" in bit.part):
        found = list(run)
        out += [found] if calls else [[bit] for bit in found]
    return out
