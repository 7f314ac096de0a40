"""Client side of OpenAI Responses: what the gateway sends, and how it reads what comes back.

Pure: bytes in, facts out. Source: wire reference, chapters 2, 4 and 9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from gateway import splice, sse
from gateway.chain import Failure
from gateway.sse import Event
from gateway.upstreams.problems import broken, told_failure
from gateway.upstreams.reading import Part, Told, Whole, count, decode, utf8

PATH: Final = "/v1/responses"
COUNT_PATH: Final = "/v1/responses/input_tokens"
BEGINNINGS: Final = frozenset({"response.created", "response.queued", "response.in_progress", "keepalive"})
CLOSINGS: Final = frozenset({"response.completed", "response.incomplete"})
FAILURES: Final = frozenset({"error", "response.failed", "response.cancelled"})
WHOLE_STATUSES: Final = ("completed", "incomplete")
EMPTY_ITEMS: Final = ("message", "reasoning", "function_call", "custom_tool_call")  # when they are added
NUMBER_MAX: Final = 2**53  # of an event
END_MARK: Final = b"data: [DONE]"  # of Chat Completions; here nobody should send it
SOUND: Final = "response.audio.delta"  # base64, not text
ITEM_TEXTS: Final = ("arguments", "input", "code")
PART_TEXTS: Final = ("text", "refusal", "transcript")


class ResponsesReader:
    """Follows a stream of response events."""

    __slots__ = (
        "_counted", "_ended", "_items", "_kind",
        "answer", "began", "data", "failure", "next_number", "shown", "text_bytes", "told",
    )  # fmt: skip

    def __init__(self) -> None:
        self.told = Told()
        self.failure: Failure | None = None
        self.text_bytes = 0
        self.began: dict[str, Any] = {}  # the response as the first event told it
        self.answer: dict[str, Any] = {}  # the response as the last event told it
        self.next_number = 0  # of the next event
        self.shown = False  # the answer has begun, so that the client has seen its events
        self.data = b""  # of the event read last, as it is passed on
        self._kind = b""
        self._items: dict[int | None, dict[str, Any]] = {}  # finished ones, for a last event that leaves them out
        self._counted: dict[int | None, int] = {}  # bytes told in pieces, by output item
        self._ended = False

    @property
    def frame(self) -> bytes:
        return sse.frame(self.data, self._kind)

    @property
    def complete(self) -> bool:
        return self._ended

    def read(self, event: Event) -> Part:
        self.text_bytes = 0
        data = self.data = event.data
        if not data.strip() or data.startswith(b"[DONE]"):
            return Part.NOTHING
        told, self.data = decode(data)
        if told is None:
            self.failure = broken("the upstream sent a stream event that is not a JSON object")
            return Part.BROKEN
        kind = told.get("type")
        if not isinstance(kind, str):
            kind = (event.name or b"").decode("latin-1")
        if kind in FAILURES or (not kind and told.get("error")):
            self.failure = told_failure(told, data)
            return Part.ERROR
        if not kind or not kind.isprintable():
            self.failure = broken("the upstream sent an event that is not of the Responses wire")
            return Part.BROKEN if told else Part.NOTHING
        self._kind = kind.encode()
        number = count(told.get("sequence_number"))
        self.next_number = (self.next_number if number is None or number > NUMBER_MAX else number) + 1
        part = self._read_kind(kind, told)
        self.shown = self.shown or part is Part.CONTENT
        return part

    def _read_kind(self, kind: str, told: dict[str, Any]) -> Part:
        response = told.get("response")
        if kind in BEGINNINGS:
            return self._begin(response if isinstance(response, dict) else {}, kind)
        if kind in CLOSINGS:
            return self._close(told, response if isinstance(response, dict) else {}, kind)
        item = told.get("item")
        if kind == "response.output_item.added":
            empty = isinstance(item, dict) and item.get("type") in EMPTY_ITEMS and not item_bytes(item)
            return Part.PREAMBLE if empty else Part.CONTENT
        if kind == "response.output_item.done":
            at = count(told.get("output_index"))
            if isinstance(item, dict):
                self._items[at] = item
            self._rest(at, item)
            return Part.CONTENT
        if kind == "response.content_part.added" or kind == "response.reasoning_summary_part.added":
            return Part.PREAMBLE
        delta = told.get("delta")
        if isinstance(delta, str) and kind != SOUND:
            self.text_bytes = utf8(delta)
            at = count(told.get("output_index"))
            self._counted[at] = self._counted.get(at, 0) + self.text_bytes
            return Part.CONTENT if delta else Part.PREAMBLE
        return Part.CONTENT

    def _rest(self, at: int | None, item: Any) -> None:
        """Counts what of a finished item was not told in pieces."""
        size = item_bytes(item)
        told = self._counted.get(at, 0)
        self._counted[at] = max(size, told)
        self.text_bytes += max(0, size - told)

    def _begin(self, response: dict[str, Any], kind: str) -> Part:
        if self.began and kind == "response.created":
            if response.get("id") == self.began.get("id"):
                return Part.NOTHING  # said twice
            self.failure = broken("the upstream began a second response inside the first")
            return Part.BROKEN
        self.began = self.began or response
        return Part.PREAMBLE

    def _close(self, told: dict[str, Any], response: dict[str, Any], kind: str) -> Part:
        self._ended = True
        read_usage(response.get("usage"), self.told)
        output = response.get("output")
        output = output if isinstance(output, list) else []
        if not output and self._items:
            output = [self._items[at] for at in sorted(self._items, key=lambda at: -1 if at is None else at)]
            response = {**response, "output": output}
            self.data = orjson.dumps({**told, "response": response})
        self.answer = response
        for at, item in enumerate(output):
            self._rest(at, item)
        return Part.CLOSING if output or kind == "response.incomplete" else Part.TERMINAL


def item_bytes(item: Any) -> int:
    """UTF-8 bytes of an output item's text, thinking and tool arguments."""
    if not isinstance(item, dict):
        return 0
    size = sum(utf8(item[name]) for name in ITEM_TEXTS if isinstance(item.get(name), str))
    for name in ("content", "summary"):
        parts = item.get(name)
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                size += sum(utf8(part[text]) for text in PART_TEXTS if isinstance(part.get(text), str))
    return size


def read_usage(usage: Any, told: Told) -> None:
    """Takes in a usage object. Cached input is a part of the input, reasoning a part of the output."""
    if not isinstance(usage, dict):
        return
    input_tokens, output_tokens = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    if input_tokens is not None:
        told.input_tokens = input_tokens
        told.cached_tokens = detail(usage, "input_tokens_details", "cached_tokens")
        told.cache_write_tokens = detail(usage, "input_tokens_details", "cache_write_tokens")
    if output_tokens is not None:
        told.output_tokens = output_tokens
        told.reasoning_tokens = detail(usage, "output_tokens_details", "reasoning_tokens")


def detail(usage: Mapping[str, Any], group: str, name: str) -> int:
    """A count inside one of the details objects, 0 where it is missing."""
    members = usage.get(group)
    return (count(members.get(name)) or 0) if isinstance(members, dict) else 0


def read_object(body: bytes) -> dict[str, Any] | Failure:
    """The finished response in a body, or why it cannot be used."""
    body = without_end_mark(body)
    try:
        response = orjson.loads(body)
    except ValueError:
        return broken("the upstream's reply is not JSON" if body.strip() else "the upstream's reply is empty")
    if not isinstance(response, dict):
        return told_failure(response, body) if isinstance(response, list) else broken("the reply is no JSON object")
    output, status = response.get("output"), response.get("status")
    if response.get("error") or status == "failed" or not isinstance(output, list):
        return told_failure(response, body)
    if status is not None and status not in WHOLE_STATUSES:
        return broken("the upstream's response is not finished")
    if not output and status != "incomplete":
        return broken("the upstream's reply has no output")
    if not all(isinstance(item, dict) for item in output):
        return broken("the upstream's reply has an output item that is not an object")
    return response


def without_end_mark(body: bytes) -> bytes:
    """The body without the `[DONE]` that some servers put after it."""
    text = body.rstrip()
    return text.removesuffix(END_MARK) if text.endswith(END_MARK) else body


def whole_of(response: Mapping[str, Any], body: bytes) -> Whole:
    """A finished response, read."""
    told = Told()
    read_usage(response.get("usage"), told)
    return Whole(body, told, output_bytes(response))


def output_bytes(response: Mapping[str, Any]) -> int:
    """UTF-8 bytes of all output items' text, thinking and tool arguments."""
    output = response.get("output")
    return sum(map(item_bytes, output)) if isinstance(output, list) else 0


def item_ids(response: Mapping[str, Any]) -> tuple[str, ...]:
    """The ids of the output items."""
    output = response.get("output")
    ids = (item.get("id") for item in output if isinstance(item, dict)) if isinstance(output, list) else ()
    return tuple(found for found in ids if isinstance(found, str))


def without_sealed_reasoning(body: bytes) -> bytes:
    """The request without the encrypted reasoning of its history, which can be read only where it was written."""
    return without_items(body, is_sealed)


def without_items(body: bytes, is_gone: Callable[[Any], bool]) -> bytes:
    """The request without some items of its history, all other bytes as they were; the same if none would be left."""
    history = next((member.value for member in splice.members(body) if member.name == "input"), None)
    if history is None or body[history.start : history.start + 1] != b"[":
        return body
    items = [(span, orjson.loads(body[span.start : span.end])) for span in splice.elements(body, history.start)]
    gone = [span for span, item in items if is_gone(item)]
    return splice.without(body, history, gone) if gone and len(gone) < len(items) else body


def is_sealed(item: Any) -> bool:
    """Whether an input item is encrypted reasoning."""
    return isinstance(item, dict) and item.get("type") == "reasoning" and bool(item.get("encrypted_content"))
