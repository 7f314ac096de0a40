"""Client side of Gemini's generateContent: what the gateway sends, and how it reads what comes back.

Pure: bytes in, facts out. Source: wire reference, chapters 7, 9 and 10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson

from gateway.chain import Failure
from gateway.sse import Event
from gateway.upstreams.problems import broken, told_failure
from gateway.upstreams.reading import Part, Told, Whole, count, decode, json_bytes, utf8

VERSION: Final = "/v1beta"
FIRST_INDEX: Final = 0  # of a candidate that does not tell its index: older models leave it out
TEXTS: Final = (("executableCode", "code"), ("codeExecutionResult", "output"))


def path(model: str, method: str) -> str:
    """Where a model's method stands below an upstream's base URL. A stream is always asked for as events."""
    return f"{VERSION}/models/{quote(model, safe='')}:{method}" + ("?alt=sse" if method.startswith("stream") else "")


def headers(key: str) -> list[tuple[str, str]]:
    """The headers of a request to an upstream; nothing of the caller's."""
    return [("x-goog-api-key", key), ("content-type", "application/json")]


def event(data: bytes) -> bytes:
    """An event as Google frames it: CRLF line ends, no name."""
    return b"data: %b\r\n\r\n" % (data.replace(b"\n", b" ") if b"\n" in data else data)


class GenerateReader:
    """Follows a stream of GenerateContentResponse events.

    The stream has no end mark: its last chunk is the one that completes it. That one is held back (`last`), so that it
    goes out when the charge is durable.
    """

    __slots__ = ("_finished", "_frame", "_framed", "_seen", "_spoken", "begun", "failure", "last", "text_bytes", "told")

    def __init__(self, framed: Callable[[bytes], bytes] = event) -> None:
        """`framed` puts a chunk into the client's framing; it is called once for each, in order."""
        self.told = Told()
        self.failure: Failure | None = None
        self.text_bytes = 0
        self.last = b""  # the chunk held back
        self.begun = False  # the answer has begun
        self._framed = framed
        self._frame = b""
        self._seen: set[Any] = set()  # indexes of candidates
        self._finished: set[Any] = set()
        self._spoken = False  # something that counts as output was delivered, thoughts aside

    @property
    def frame(self) -> bytes:
        return self._frame

    @property
    def complete(self) -> bool:
        return bool(self._finished) and self._seen <= self._finished

    def read(self, event: Event) -> Part:
        self.text_bytes = 0
        self._frame = b""
        if not event.data.strip() or event.data.startswith(b"[DONE]"):
            return Part.NOTHING
        chunk, data = decode(event.data)
        if chunk is None:
            self.failure = broken("the upstream sent a stream event that is not a JSON object")
            return Part.BROKEN
        if chunk.get("error") or event.name == b"error":
            self.failure = told_failure(chunk, data)
            return Part.ERROR
        if not chunk:
            return Part.NOTHING  # a heartbeat
        part = self._read_chunk(chunk)
        self.begun = self.begun or part >= Part.CONTENT
        held, self.last = self.last, data if self.complete else b""
        self._frame = b"".join(self._framed(ready) for ready in (held, b"" if self.complete else data) if ready)
        return part

    def _read_chunk(self, chunk: dict[str, Any]) -> Part:
        part = Part.ENDING if self.complete else Part.PREAMBLE
        if is_blocked(chunk):
            self._finished.add(FIRST_INDEX)
            part = Part.ENDING
        for candidate in candidates_of(chunk):
            index = candidate.get("index", FIRST_INDEX)
            self._seen.add(index)
            size, spoken, found = measure(candidate)
            self.text_bytes += size
            self._spoken = self._spoken or spoken
            if candidate.get("finishReason"):
                self._finished.add(index)
                part = Part.ENDING if part is Part.PREAMBLE else part
            if found:
                part = Part.CONTENT
        read_usage(chunk.get("usageMetadata"), self.told, self._spoken)
        return part


def is_blocked(reply: Mapping[str, Any]) -> bool:
    """Whether the prompt was refused: such a reply has no candidates and is whole."""
    feedback = reply.get("promptFeedback")
    return isinstance(feedback, dict) and bool(feedback.get("blockReason"))


def candidates_of(reply: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The candidates of a reply or chunk."""
    candidates = reply.get("candidates")
    return [one for one in candidates if isinstance(one, dict)] if isinstance(candidates, list) else []


def parts_of(candidate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parts of a candidate; blocked ones have none, or no content at all."""
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def measure(candidate: Mapping[str, Any]) -> tuple[int, bool, bool]:
    """(UTF-8 bytes of text, thoughts and arguments; whether any output but thoughts is there; whether anything is)."""
    size, spoken, found = 0, False, False
    for part in parts_of(candidate):
        size += part_bytes(part)
        says = any(bool(value) for name, value in part.items() if name not in ("thought", "thoughtSignature"))
        spoken = spoken or (says and not part.get("thought"))
        found = found or says or bool(part.get("thoughtSignature"))
    return size, spoken, found


def part_bytes(part: Mapping[str, Any]) -> int:
    """UTF-8 bytes of text, thought, code and tool arguments of a part."""
    text = part.get("text")
    size = utf8(text) if isinstance(text, str) else 0
    for member, name in TEXTS:
        inner = part.get(member)
        if isinstance(inner, dict) and isinstance(inner.get(name), str):
            size += utf8(inner[name])
    call = part.get("functionCall")
    if isinstance(call, dict):
        size += json_bytes(call["args"]) if call.get("args") else 0
        for piece in call.get("partialArgs") or ():
            value = piece.get("stringValue") if isinstance(piece, dict) else None
            size += utf8(value) if isinstance(value, str) else 0
    return size


def read_usage(usage: Any, told: Told, spoken: bool) -> None:
    """Takes in a usageMetadata. In a stream every chunk has one, cumulative: the last replaces those before it.

    The count of candidates is left out while it is zero; one that is missing though the model has `spoken` is unknown.
    """
    if not isinstance(usage, dict):
        return
    prompt = count(usage.get("promptTokenCount"))
    if prompt is not None:
        told.input_tokens = prompt + (count(usage.get("toolUsePromptTokenCount")) or 0)
        told.cached_tokens = count(usage.get("cachedContentTokenCount")) or 0
    candidates = count(usage.get("candidatesTokenCount"))
    thoughts = count(usage.get("thoughtsTokenCount")) or 0
    if candidates is None and prompt is not None and not spoken:
        candidates = 0
    if candidates is not None:
        told.output_tokens = candidates + thoughts
        told.reasoning_tokens = thoughts


def read_whole(body: bytes) -> Whole | Failure:
    """Reads a GenerateContentResponse (or an array of chunks that amounts to one), or says why it cannot be used."""
    try:
        reply = orjson.loads(body)
    except ValueError:
        return broken("the upstream's reply is not JSON" if body.strip() else "the upstream's reply is empty")
    if isinstance(reply, list):
        from gateway.upstreams import gemini_generate_modes

        return gemini_generate_modes.assemble_chunks(reply)
    if not isinstance(reply, dict):
        return broken("the reply is no JSON object")
    return read_reply(reply, body)


def read_reply(reply: dict[str, Any], body: bytes) -> Whole | Failure:
    """As `read_whole`, of a decoded object."""
    if reply.get("error"):
        return told_failure(reply, body)
    candidates = candidates_of(reply)
    if not candidates and not is_blocked(reply):
        return told_failure(reply, body) if "candidates" not in reply else broken("the reply has no candidates")
    measured = [measure(candidate) for candidate in candidates]
    told = Told()
    read_usage(reply.get("usageMetadata"), told, spoken=any(spoken for _, spoken, _ in measured))
    return Whole(body, told, sum(size for size, _, _ in measured))


def read_count(body: bytes) -> Whole | Failure:
    """Reads a CountTokensResponse, or says why it cannot be used."""
    try:
        answer = orjson.loads(body)
    except ValueError:
        return broken("the upstream's reply is not JSON")
    if not isinstance(answer, dict) or count(answer.get("totalTokens")) is None:
        return told_failure(answer, body)
    return Whole(body, Told(), 0)
