"""What an Anthropic request costs in input tokens, and how much of it the prompt cache holds.

Text counts by `simulator.answers.tokens`. To it come 3 tokens a request, 4 a message, the hidden tool prompt (346
tokens, 313 when a tool is forced), (width x height) / 750 an image and 1,500 a document that is not text.

Cache: `cache_control` on a block, a tool or the request ends the cached prefix, which runs through tools, system and
messages in that order and counts from 1,024 tokens on. The fleet keeps no cache, so what is read and what is written
follows from the request alone: everything before the last assistant turn was sent before and is read; the rest of the
prefix is written. A first turn therefore only writes, and each later turn reads what the one before it wrote.
(Directives can say otherwise.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from simulator.answers import tokens
from simulator.media.sizes import image_size

REQUEST_TOKENS = 3
MESSAGE_TOKENS = 4
TOOLS_TOKENS = 346
FORCED_TOOLS_TOKENS = 313
IMAGE_TOKENS = 1568  # of an image whose size cannot be read: by URL, by file id, or of a format not known here
DOCUMENT_TOKENS = 1500
CACHE_MIN_TOKENS = 1024
LONG_SIDE_PX = 1568  # larger images are scaled down to it
PIXELS_PER_TOKEN = 750

_UNCOUNTED = frozenset(
    {"type", "id", "tool_use_id", "cache_control", "signature", "encrypted_content", "encrypted_index"}
)


@dataclass(frozen=True, slots=True)
class Count:
    """Input tokens of a request. `total` includes the cached and the written ones."""

    total: int
    cached: int = 0
    written: int = 0


class _Part(NamedTuple):
    """A piece of the prompt in cache order."""

    tokens: int
    ends_prefix: bool  # has a cache_control
    message: int | None = None  # index of its message


def count(body: Mapping[str, Any]) -> Count:
    """The tokens of a validated request body."""
    parts = list(_parts(body))
    total = REQUEST_TOKENS + sum(part.tokens for part in parts)
    last = max((i for i, part in enumerate(parts) if part.ends_prefix), default=-1)
    if body.get("cache_control") is not None:
        last = len(parts) - 1
    prefix = parts[: last + 1]
    prefix_tokens = sum(part.tokens for part in prefix)
    if prefix_tokens < CACHE_MIN_TOKENS:
        return Count(total)
    roles = [message["role"] for message in body["messages"]]
    answered = max((i for i, role in enumerate(roles) if role == "assistant"), default=None)
    if answered is None:
        return Count(total, 0, prefix_tokens)
    cached = sum(part.tokens for part in prefix if part.message is None or part.message < answered)
    if cached < CACHE_MIN_TOKENS:
        cached = 0
    return Count(total, cached, prefix_tokens - cached)


def cache_ttl(body: Mapping[str, Any]) -> str:
    """ "5m" or "1h": the life that the request asks for what it writes (the longest one that any block names)."""
    marks = [body.get("cache_control"), *(_mark(part) for part in _marked(body))]
    return "1h" if any(isinstance(mark, Mapping) and mark.get("ttl") == "1h" for mark in marks) else "5m"


def _marked(body: Mapping[str, Any]) -> Iterator[Any]:
    yield from body.get("tools") or ()
    system = body.get("system")
    yield from system if isinstance(system, list) else ()
    for message in body["messages"]:
        content = message["content"]
        yield from content if isinstance(content, list) else ()


def _mark(part: Any) -> Any:
    return part.get("cache_control") if isinstance(part, Mapping) else None


def _parts(body: Mapping[str, Any]) -> Iterator[_Part]:
    tools = body.get("tools") or ()
    if tools:
        choice = (body.get("tool_choice") or {}).get("type")
        yield _Part(FORCED_TOOLS_TOKENS if choice in ("any", "tool") else TOOLS_TOKENS, False)
    for tool in tools:
        yield _Part(tokens.count(orjson.dumps(tool).decode()), _mark(tool) is not None)
    system = body.get("system")
    if isinstance(system, str):
        yield _Part(tokens.count(system), False)
    for block in system if isinstance(system, list) else ():
        yield _Part(tokens.count(block["text"]), _mark(block) is not None)
    for at, message in enumerate(body["messages"]):
        yield _Part(MESSAGE_TOKENS, False, at)
        content = message["content"]
        if isinstance(content, str):
            yield _Part(tokens.count(content), False, at)
            continue
        for block in content:
            yield _Part(_block(block), _mark(block) is not None, at)


def _block(block: Mapping[str, Any]) -> int:
    match block["type"]:
        case "text":
            return tokens.count(block["text"])
        case "image":
            return _image(block["source"])
        case "document":
            source = block["source"]
            text = source.get("data") if source.get("type") == "text" else None
            return tokens.count(text) if isinstance(text, str) else DOCUMENT_TOKENS
        case "tool_result" if isinstance(block.get("content"), list):
            return sum(_block(inner) for inner in block["content"])
        case _:
            return sum(tokens.count(text) for text in _strings(block))


def _strings(value: Any) -> Iterator[str]:
    """Every text and number in a JSON value, but for ids, signatures and encrypted data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, below in value.items():
            if name not in _UNCOUNTED:
                yield from _strings(below)
    elif isinstance(value, list):
        for below in value:
            yield from _strings(below)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)


def _image(source: Mapping[str, Any]) -> int:
    size = (
        image_size(source["data"]) if source.get("type") == "base64" and isinstance(source.get("data"), str) else None
    )
    if size is None:
        return IMAGE_TOKENS
    width, height = size
    scale = min(1.0, LONG_SIDE_PX / max(width, height, 1))
    return max(1, round(width * scale) * round(height * scale) // PIXELS_PER_TOKEN)
