"""Client side of OpenAI Chat Completions: what the gateway sends, and how it reads what comes back.

Pure: bytes in, facts out. Source: wire reference, chapters 1, 4, 8 and 9 (quirks of OpenAI-compatible servers).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway import sse
from gateway.chain import Failure
from gateway.sse import Event
from gateway.upstreams.problems import broken, told_failure
from gateway.upstreams.reading import Part, Told, Whole, count, decode, utf8

PATH: Final = "/v1/chat/completions"
DONE: Final = b"[DONE]"
DONE_FRAME: Final = b"data: [DONE]\n\n"
IDENTITY: Final = ("id", "object", "created", "model")
TEXT_MEMBERS: Final = ("content", "refusal")
REASONING_MEMBERS: Final = ("reasoning_content", "reasoning", "reasoning_details")


def headers(key: str, _caller: Mapping[bytes, bytes]) -> list[tuple[str, str]]:
    """The headers of a request to an upstream; nothing of the caller's."""
    return [("authorization", f"Bearer {key}"), ("content-type", "application/json")]


class ChatReader:
    """Follows a stream of chat.completion.chunk events."""

    __slots__ = ("_data", "_ended", "_finished", "_seen", "failure", "identity", "text_bytes", "told", "usage_chunk")

    def __init__(self) -> None:
        self.told = Told()
        self.failure: Failure | None = None
        self.text_bytes = 0
        self.identity: dict[str, Any] = {}  # id, object, created and model of the first chunk
        self.usage_chunk = b""  # the last chunk that had usage and nothing else: it is due at the end, once
        self._data = b""
        self._seen: set[Any] = set()  # choice indexes
        self._finished: set[Any] = set()
        self._ended = False

    @property
    def frame(self) -> bytes:
        return sse.frame(self._data)

    @property
    def complete(self) -> bool:
        return self._ended or (bool(self._finished) and self._seen <= self._finished)

    def read(self, event: Event) -> Part:
        self.text_bytes = 0
        data = self._data = event.data
        if data.startswith(DONE):
            self._ended = True
            return Part.TERMINAL
        if not data.strip():
            return Part.NOTHING
        chunk, self._data = decode(data)
        if chunk is None:
            self.failure = broken("the upstream sent a stream event that is not a JSON object")
            return Part.BROKEN
        if chunk.get("error") or event.name == b"error":
            self.failure = told_failure(chunk, data)
            return Part.ERROR
        return self._read_chunk(chunk)

    def _read_chunk(self, chunk: dict[str, Any]) -> Part:
        if not self.identity:
            self.identity = {name: chunk[name] for name in IDENTITY if name in chunk}
        usage = chunk.get("usage")
        read_usage(usage, self.told)
        choices = chunk.get("choices")
        if not choices or not isinstance(choices, list):
            if isinstance(usage, dict):
                self.usage_chunk = self._data
                return Part.NOTHING
            return Part.ENDING if self._finished else Part.PREAMBLE
        if isinstance(usage, dict):  # told beside content, perhaps in every chunk: the caller is told once, at the end
            self._data = orjson.dumps({**chunk, "usage": None})
        part = Part.PREAMBLE
        for choice in choices:
            if not isinstance(choice, dict):
                continue
            index = choice.get("index", 0)
            self._seen.add(index)
            found = has_content(choice.get("delta") or choice.get("message"))
            if found:
                part = Part.CONTENT
                self.text_bytes += message_bytes(choice.get("delta") or choice.get("message"))
            if choice.get("finish_reason"):
                self._finished.add(index)
                part = max(part, Part.CONTENT if found else Part.ENDING)
            if "usage" in choice:
                read_usage(choice["usage"], self.told)
        return part


def has_content(message: Any) -> bool:
    """Whether a delta (or message) carries anything of the answer: text, refusal, reasoning, a call, audio."""
    if not isinstance(message, dict):
        return False
    return any(value for name, value in message.items() if name != "role" and name != "name")


def message_bytes(message: Any) -> int:
    """UTF-8 bytes of text, thinking and tool arguments of a delta or message."""
    if not isinstance(message, dict):
        return 0
    size = sum(text_size(message.get(name)) for name in TEXT_MEMBERS)
    size += next((text_size(message[name]) for name in REASONING_MEMBERS if message.get(name)), 0)
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            size += arguments_size(call.get("function")) + arguments_size(call.get("custom"))
    return size + arguments_size(message.get("function_call"))


def arguments_size(function: Any) -> int:
    """Bytes of a call's arguments (or of a custom tool's input)."""
    if not isinstance(function, dict):
        return 0
    return text_size(function.get("arguments")) + text_size(function.get("input"))


def text_size(value: Any) -> int:
    """Bytes of a text: a string, or a list of parts with text."""
    if isinstance(value, str):
        return utf8(value)
    if isinstance(value, list):
        return sum(text_size(part.get("text") or part.get("thinking")) for part in value if isinstance(part, dict))
    return 0


def read_usage(usage: Any, told: Told) -> None:
    """Takes in a usage object. Counts replace earlier ones: where every chunk has usage, it is cumulative."""
    if not isinstance(usage, dict):
        return
    input_tokens = count(usage.get("prompt_tokens", usage.get("input_tokens")))
    output_tokens = count(usage.get("completion_tokens", usage.get("output_tokens")))
    if input_tokens is not None:
        told.input_tokens = input_tokens
        cached = detail(usage, "prompt_tokens_details", "cached_tokens")
        told.cached_tokens = cached or count(usage.get("prompt_cache_hit_tokens")) or 0
        told.cache_write_tokens = detail(usage, "prompt_tokens_details", "cache_write_tokens")
    if output_tokens is not None:
        told.output_tokens = output_tokens
        told.reasoning_tokens = detail(usage, "completion_tokens_details", "reasoning_tokens")


def detail(usage: dict[str, Any], group: str, name: str) -> int:
    """A count inside one of the details objects, 0 where it is missing."""
    members = usage.get(group)
    return (count(members.get(name)) or 0) if isinstance(members, dict) else 0


def read_whole(body: bytes) -> Whole | Failure:
    """Reads a chat.completion, or says why it cannot be used."""
    if (text := body.rstrip()).endswith(b"data: [DONE]"):
        body = text.removesuffix(b"data: [DONE]")
    try:
        completion = orjson.loads(body)
    except ValueError:
        return broken("the upstream's reply is not JSON" if text else "the upstream's reply is empty")
    if not isinstance(completion, dict):
        return told_failure(completion, body) if isinstance(completion, list) else broken("the reply is no JSON object")
    if completion.get("error"):
        return told_failure(completion, body)
    choices = completion.get("choices")
    if not isinstance(choices, list) or not choices:
        return told_failure(completion, body) if choices is None else broken("the upstream's reply has no choices")
    told = Told()
    read_usage(completion.get("usage"), told)
    size = 0
    for choice in choices:
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            return broken("the upstream's reply has a choice without a message")
        read_usage(choice.get("usage"), told)
        size += message_bytes(choice["message"])
    return Whole(body, told, size)
