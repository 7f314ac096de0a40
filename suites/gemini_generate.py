"""Gemini's generateContent wire as a client writes and reads it.

Source: api-reference#gemini; Google's GenerateContent reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from suites import openai_chat
from suites.heard import Call, Heard, Told
from suites.sse import Event

NAME = "gemini"


def body(model: str, prompt: str, stream: bool) -> dict[str, Any]:
    """The smallest request on the documented path."""
    asked: dict[str, Any] = {"model": model, "contents": [{"role": "user", "parts": [{"text": prompt}]}]}
    return asked | {"stream": True} if stream else asked


def read_usage(usage: Any) -> Told | None:
    """A usageMetadata: what tools put into the prompt is input, thoughts are output."""
    if not isinstance(usage, dict) or "promptTokenCount" not in usage:
        return None
    thoughts = usage.get("thoughtsTokenCount") or 0
    return Told(
        input_tokens=usage["promptTokenCount"] + (usage.get("toolUsePromptTokenCount") or 0),
        output_tokens=(usage.get("candidatesTokenCount") or 0) + thoughts,
        cached_tokens=usage.get("cachedContentTokenCount") or 0,
        reasoning_tokens=thoughts,
    )


def read_json(document: Any) -> Heard:
    """What a JSON body says, in Gemini's shape or in OpenAI's."""
    if isinstance(document, dict) and "choices" in document:
        return openai_chat.read_json(document)
    heard = Heard(error=openai_chat.read_error(document))
    if heard.error is None and isinstance(document, dict):
        _read_chunk(heard, document, 0.0)
    return heard


def read_stream(events: Iterable[Event]) -> Heard:
    """What the events of a stream say so far, in Gemini's shape or in OpenAI's. `blocks` are the parts."""
    told = list(events)
    if any(isinstance(event.json, dict) and "choices" in event.json for event in told):
        return openai_chat.read_stream(told)
    return read_chunks((event.json, event.at_ms) for event in told)


def read_chunks(chunks: Iterable[tuple[Any, float]]) -> Heard:
    """What chunks and the times of their arrival say."""
    heard = Heard()
    for chunk, at_ms in chunks:
        if isinstance(chunk, dict):
            heard.error = heard.error or openai_chat.read_error(chunk)
            _read_chunk(heard, chunk, at_ms)
    return heard


def _read_chunk(heard: Heard, chunk: Mapping[str, Any], at_ms: float) -> None:
    heard.id, heard.model = str(chunk.get("responseId", heard.id)), str(chunk.get("modelVersion", heard.model))
    usage = read_usage(chunk.get("usageMetadata"))
    if usage is not None:
        heard.usage, heard.usages = usage, heard.usages + 1
    for candidate in chunk.get("candidates") or ():
        index = candidate.get("index", 0)
        for part in (candidate.get("content") or {}).get("parts") or ():
            _read_part(heard, part, index)
            heard.deltas.append(at_ms)
        if candidate.get("finishReason"):
            heard.stops[index] = candidate["finishReason"]


def _read_part(heard: Heard, part: Mapping[str, Any], index: int) -> None:
    heard.blocks.append(dict(part))
    if part.get("thoughtSignature"):
        heard.signatures.append(part["thoughtSignature"])
    if part.get("thought"):
        heard.thinking += part.get("text", "")
    elif "text" in part:
        heard.texts[index] = heard.texts.get(index, "") + part["text"]
    if "functionCall" in part:
        call = part["functionCall"]
        heard.calls.append(Call(call.get("id", ""), call["name"], "", len(heard.calls)))
