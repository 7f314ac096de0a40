"""Client side of Anthropic Messages: what the gateway sends, and how it reads what comes back.

Pure: bytes in, facts out. Source: wire reference, chapters 6 and 9.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from itertools import count as count_from
from typing import Any, Final

import orjson

from gateway import estimate, splice, sse
from gateway.chain import Failure
from gateway.splice import Span
from gateway.sse import Event
from gateway.upstreams.problems import broken, told_failure
from gateway.upstreams.reading import Part, Told, Whole, count, decode, json_bytes, utf8

PATH: Final = "/v1/messages"
COUNT_PATH: Final = "/v1/messages/count_tokens"
DEFAULT_VERSION: Final = "2023-06-01"
PLAIN: Final = re.compile(r"[\x21-\x7e]{1,128}")
TOOL_ID: Final = re.compile(r"[A-Za-z0-9_-]+")
NOT_IN_TOOL_ID: Final = re.compile(r"[^A-Za-z0-9_-]")
ID_MEMBERS: Final = ("id", "tool_use_id")
THINKING: Final = frozenset({"thinking", "redacted_thinking"})
EMPTY_STARTS: Final = frozenset({"text", "thinking", "tool_use", "server_tool_use", "compaction"})
INPUT_PARTS: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
TEXT_MEMBERS: Final = ("text", "thinking", "partial_json")


def headers(key: str, caller: Mapping[bytes, bytes]) -> list[tuple[str, str]]:
    """The headers of a request to an upstream: of the caller's, the version and the union of beta names."""
    version = caller.get(b"anthropic-version", b"").decode("latin-1").strip()
    version = version if PLAIN.fullmatch(version) else DEFAULT_VERSION
    made = [("x-api-key", key), ("anthropic-version", version), ("content-type", "application/json")]
    if betas := beta_names(caller.get(b"anthropic-beta", b"")):
        made.append(("anthropic-beta", ",".join(betas)))
    return made


def beta_names(value: bytes) -> list[str]:
    """Every name of a comma list (of several headers joined by commas) once, in order, if it can stand in a header."""
    names = (name.strip() for name in value.decode("latin-1").split(","))
    return list(dict.fromkeys(name for name in names if PLAIN.fullmatch(name)))


class MessagesReader:
    """Follows a stream of message events."""

    __slots__ = (
        "_data", "_delivered_bytes", "_ended", "_estimate_input", "_id", "_kind", "_stopped",
        "failure", "text_bytes", "told",
    )  # fmt: skip

    def __init__(self, estimate_input: Callable[[], int] = lambda: 0) -> None:
        """`estimate_input` counts the input for an upstream that does not."""
        self._estimate_input = estimate_input
        self._delivered_bytes = 0
        self.told = Told()
        self.failure: Failure | None = None
        self.text_bytes = 0
        self._data = b""
        self._kind = b""
        self._id: Any = None  # of the message, once it has started
        self._stopped = False  # a stop reason was told
        self._ended = False

    @property
    def frame(self) -> bytes:
        return sse.frame(self._data, self._kind)

    @property
    def complete(self) -> bool:
        return self._ended or self._stopped

    def read(self, event: Event) -> Part:
        self.text_bytes = 0
        data = self._data = event.data
        if not data.strip() or data.startswith(b"[DONE]"):
            return Part.NOTHING
        message, self._data = decode(data)
        if message is None:
            self.failure = broken("the upstream sent a stream event that is not a JSON object")
            return Part.BROKEN
        kind = message.get("type")
        if kind == "error" or event.name == b"error" or (kind is None and message.get("error")):
            self.failure = told_failure(message, data)
            return Part.ERROR
        if not isinstance(kind, str):
            kind = (event.name or b"").decode("latin-1")
        self._kind = kind.encode()
        reader = READERS.get(kind)
        part = Part.PREAMBLE if reader is None else reader(self, message)
        self._delivered_bytes += self.text_bytes
        return part

    def _message_start(self, event: dict[str, Any]) -> Part:
        message = event.get("message")
        message = message if isinstance(message, dict) else {}
        if self._id is not None:
            if message.get("id") == self._id:
                return Part.NOTHING  # said twice
            self.failure = broken("the upstream began a second message inside the first")
            return Part.BROKEN
        self._id = message.get("id") or ""
        if not isinstance(message.get("usage"), dict):
            usage = {"input_tokens": self._estimate_input(), "output_tokens": 0}
            self._data = orjson.dumps({**event, "message": {**message, "usage": usage}})
        read_usage(message.get("usage"), self.told, final=False)
        return Part.PREAMBLE

    def _content_block_start(self, event: dict[str, Any]) -> Part:
        block = event.get("content_block")
        block = block if isinstance(block, dict) else {}
        self.text_bytes = block_bytes(block) if block.get("type") in ("text", "thinking") else 0
        is_empty = block.get("type") in EMPTY_STARTS and not self.text_bytes
        return Part.PREAMBLE if is_empty else Part.CONTENT

    def _content_block_delta(self, event: dict[str, Any]) -> Part:
        delta = event.get("delta")
        if not isinstance(delta, dict):
            return Part.PREAMBLE
        self.text_bytes = sum(utf8(delta[name]) for name in TEXT_MEMBERS if isinstance(delta.get(name), str))
        return Part.CONTENT if any(bool(value) for name, value in delta.items() if name != "type") else Part.PREAMBLE

    def _content_block_stop(self, _event: dict[str, Any]) -> Part:
        return Part.CONTENT

    def _message_delta(self, event: dict[str, Any]) -> Part:
        if not isinstance(event.get("usage"), dict):
            usage = {"output_tokens": estimate.tokens(self._delivered_bytes)}
            self._data = orjson.dumps({**event, "usage": usage})
        read_usage(event.get("usage"), self.told, final=True)
        delta = event.get("delta")
        if isinstance(delta, dict) and delta.get("stop_reason"):
            self._stopped = True
        return Part.ENDING

    def _message_stop(self, _event: dict[str, Any]) -> Part:
        self._ended = True
        return Part.TERMINAL

    def _ping(self, _event: dict[str, Any]) -> Part:
        return Part.PING


READERS: Final = {
    "message_start": MessagesReader._message_start,
    "content_block_start": MessagesReader._content_block_start,
    "content_block_delta": MessagesReader._content_block_delta,
    "content_block_stop": MessagesReader._content_block_stop,
    "message_delta": MessagesReader._message_delta,
    "message_stop": MessagesReader._message_stop,
    "ping": MessagesReader._ping,
}


def read_usage(usage: Any, told: Told, final: bool) -> None:
    """Takes in a usage object. Input excludes what was read from or written to the cache: all three are added up.

    Later counts replace earlier ones, never add to them; the output count of message_start is not final and not read.
    """
    if not isinstance(usage, dict):
        return
    fresh, written, cached = (count(usage.get(name)) for name in INPUT_PARTS)
    total = (fresh or 0) + (written or 0) + (cached or 0)
    if fresh is not None and (total > 0 or told.input_tokens is None):
        told.input_tokens = total
        told.cached_tokens = cached or 0
        told.cache_write_tokens = written or 0
    if final and (output_tokens := count(usage.get("output_tokens"))) is not None:
        told.output_tokens = output_tokens
        details = usage.get("output_tokens_details")
        told.reasoning_tokens = (count(details.get("thinking_tokens")) or 0) if isinstance(details, dict) else 0


def block_bytes(block: dict[str, Any]) -> int:
    """UTF-8 bytes of a content block's text, thinking or tool arguments (as compact JSON)."""
    if block.get("type") in ("tool_use", "server_tool_use"):
        return json_bytes(block["input"]) if block.get("input") else 0
    return sum(utf8(block[name]) for name in ("text", "thinking") if isinstance(block.get(name), str))


def read_whole(body: bytes) -> Whole | Failure:
    """Reads a message, or says why it cannot be used."""
    try:
        message = orjson.loads(body)
    except ValueError:
        return broken("the upstream's reply is not JSON" if body.strip() else "the upstream's reply is empty")
    if not isinstance(message, dict):
        return told_failure(message, body) if isinstance(message, list) else broken("the reply is not a JSON object")
    if message.get("type") == "error" or message.get("error"):
        return told_failure(message, body)
    content = message.get("content")
    if not isinstance(content, list):
        return told_failure(message, body)
    if not content and not message.get("stop_reason"):
        return broken("the upstream's reply has no content")
    told = Told()
    read_usage(message.get("usage"), told, final=True)
    return Whole(body, told, sum(block_bytes(block) for block in content if isinstance(block, dict)))


def without_thinking(body: bytes) -> bytes:
    """The request without the thinking and redacted_thinking blocks of its history, all other bytes as they were.

    A message that held nothing else is left out too, so that no message is empty. What remains still begins with the
    user, because only assistant messages carry thinking. If a tool loop goes on, which must not begin without thinking
    where thinking is enabled, it is disabled for this once.
    """
    stripped = without_blocks(body)
    return body if stripped == body else with_thinking_off(stripped)


def with_thinking_off(body: bytes) -> bytes:
    """The request, with thinking disabled if a tool loop goes on that began without."""
    return splice.set_member(body, "thinking", b'{"type":"disabled"}') if lacks_thinking(orjson.loads(body)) else body


def lacks_thinking(fields: Mapping[str, Any]) -> bool:
    """Whether thinking is enabled and the last assistant message calls tools without it."""
    thinking = fields.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return False
    contents = (turn.get("content") for turn in reversed(fields["messages"]) if turn.get("role") == "assistant")
    content = next(contents, None)
    kinds = [block.get("type") for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    return "tool_use" in kinds and kinds[0] not in THINKING


def without_blocks(body: bytes) -> bytes:
    """The request without the thinking blocks, and without the messages that held nothing else."""
    messages = next((member.value for member in splice.members(body) if member.name == "messages"), None)
    if messages is None:
        return body
    edits: list[tuple[Span, bytes]] = []
    emptied: list[Span] = []
    for span in splice.elements(body, messages.start):
        content = next((m.value for m in splice.members(body, span.start) if m.name == "content"), None)
        if content is None or body[content.start : content.start + 1] != b"[":
            continue
        blocks = list(splice.elements(body, content.start))
        gone = [block for block in blocks if is_thinking(body, block)]
        if gone and len(gone) == len(blocks):
            emptied.append(span)
        elif gone:
            kept = [body[block.start : block.end] for block in blocks if block not in gone]
            edits.append((content, b"[" + b",".join(kept) + b"]"))
    if emptied:
        return _without_messages(body, messages, edits, emptied)
    return splice.replace(body, edits) if edits else body


def _without_messages(body: bytes, messages: Span, edits: list[tuple[Span, bytes]], emptied: list[Span]) -> bytes:
    kept: list[bytes] = []
    for span in splice.elements(body, messages.start):
        if span in emptied:
            continue
        inner = [
            (Span(e.start - span.start, e.end - span.start), v) for e, v in edits if span.start <= e.start < span.end
        ]
        kept.append(splice.replace(body[span.start : span.end], inner))
    return splice.replace(body, [(messages, b"[" + b",".join(kept) + b"]")])


def with_plain_tool_ids(body: bytes) -> bytes:
    """The request with the ids of tool calls, and what refers to them, in the alphabet that Anthropic takes."""
    told: list[tuple[Span, str]] = []
    for block in history_blocks(body):
        for member in splice.members(body, block.start):
            value = orjson.loads(body[member.value.start : member.value.end]) if member.name in ID_MEMBERS else None
            if isinstance(value, str):
                told.append((member.value, value))
    plain = plain_ids([value for _, value in told])
    return splice.replace(body, [(span, orjson.dumps(plain[value])) for span, value in told if plain[value] != value])


def plain_ids(told: Iterable[str]) -> dict[str, str]:
    """What each id becomes: itself where it is plain already, and different ids stay different."""
    distinct = dict.fromkeys(told)
    made = {value: value for value in distinct if TOOL_ID.fullmatch(value)}
    used = set(made)
    for value in distinct:
        if value not in made:
            stem = NOT_IN_TOOL_ID.sub("_", value) or "_"
            name = next(name for name in chain([stem], (f"{stem}_{n}" for n in count_from(2))) if name not in used)
            made[value] = name
            used.add(name)
    return made


def history_blocks(body: bytes) -> Iterator[Span]:
    """The content blocks of every message."""
    messages = next((member.value for member in splice.members(body) if member.name == "messages"), None)
    for span in splice.elements(body, messages.start) if messages is not None else ():
        for member in splice.members(body, span.start):
            if member.name == "content" and body[member.value.start : member.value.start + 1] == b"[":
                yield from (b for b in splice.elements(body, member.value.start) if body[b.start : b.start + 1] == b"{")


def is_thinking(body: bytes, block: Span) -> bool:
    """Whether a content block is thinking, plain or redacted."""
    if body[block.start : block.start + 1] != b"{":
        return False
    for member in splice.members(body, block.start):
        if member.name == "type":
            return orjson.loads(body[member.value.start : member.value.end]) in THINKING
    return False


MENDERS: Final = {
    "signature": without_thinking,
    "unthought": with_thinking_off,
    "tool_id": with_plain_tool_ids,
}
