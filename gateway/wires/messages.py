"""The Anthropic Messages wire: messages, and the counting of their tokens.

Source: api-reference#messages; wire reference, chapter 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway import counts, estimate, splice, sse
from gateway.body import check_messages, check_object, flag, whole_number
from gateway.chain import Failure
from gateway.errors import InvalidRequest, body
from gateway.pricing import Usage
from gateway.upstreams import anthropic_messages
from gateway.upstreams.reading import StreamReader, Whole
from gateway.wires.counting import Counting
from gateway.wires.wire import Wanted, Wire

BUDGET_MAX: Final = 1_000_000  # a larger one is the upstream's to refuse


class MessagesWire(Wire):
    """Messages in, Messages out."""

    name = "messages"
    endpoint = "/v1/messages"
    dialect = "anthropic_messages"
    path = anthropic_messages.PATH
    keepalive = b'event: ping\ndata: {"type": "ping"}\n\n'
    terminal = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

    def check(self, fields: Mapping[str, Any]) -> Wanted:
        check_messages(fields)
        check_object(fields, "thinking")
        limit = whole_number(fields, "max_tokens", 0)
        if limit is None:
            raise InvalidRequest("`max_tokens` is missing; an integer was due.")
        return Wanted(flag(fields, "stream"), limit + room(fields, limit))

    def upstream_body(self, raw: bytes, fields: Mapping[str, Any], wanted: Wanted) -> bytes:
        """With room for the thinking that was asked for: docs/decisions.md#thinking-room."""
        if wanted.limit == fields.get("max_tokens"):
            return raw
        return splice.set_member(raw, "max_tokens", orjson.dumps(wanted.limit))

    def upstream_headers(self, key: str, caller: Mapping[bytes, bytes]) -> list[tuple[str, str]]:
        return anthropic_messages.headers(key, caller)

    def reader(self, fields: Mapping[str, Any]) -> StreamReader:
        return anthropic_messages.MessagesReader(lambda: estimate.input_tokens(fields))

    def with_usage(self, body: bytes, usage: Usage) -> bytes:
        return splice.set_member(body, "usage", orjson.dumps(counts.messages(usage)))

    def read_whole(self, body: bytes) -> Whole | Failure:
        return anthropic_messages.read_whole(body)

    def assemble(self, stream: bytes) -> Whole | Failure:
        from gateway.upstreams import anthropic_modes

        return anthropic_modes.assemble(stream)

    def disassemble(self, whole: Whole) -> bytes:
        from gateway.upstreams import anthropic_modes

        return anthropic_modes.disassemble(whole.body)

    def error_frame(self, message: str) -> bytes:
        return sse.frame(orjson.dumps({"type": "error", **body("api_error", message)}), b"error")

    def mended(self, body: bytes, flaw: str) -> bytes:
        mender = anthropic_messages.MENDERS.get(flaw)
        return body if mender is None else mender(body)


class CountWire(Counting, MessagesWire):
    """Token counting: a messages body without a limit in, a number out. Free, and counted against no limit."""

    endpoint = "/v1/messages/count_tokens"
    path = anthropic_messages.COUNT_PATH

    def check(self, fields: Mapping[str, Any]) -> Wanted:
        check_messages(fields)
        return Wanted(stream=False, limit=0)

    def upstream_body(self, raw: bytes, _fields: Mapping[str, Any], _wanted: Wanted) -> bytes:
        """As it came."""
        return raw


def room(fields: Mapping[str, Any], limit: int) -> int:
    """The tokens that the limit must be raised by for thinking with a budget to fit in; 0 where it fits."""
    thinking = fields.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) and thinking.get("type") == "enabled" else None
    if not isinstance(budget, int) or isinstance(budget, bool):
        return 0
    return budget if 0 < limit <= budget <= BUDGET_MAX else 0


WIRE: Final = MessagesWire()
COUNT_WIRE: Final = CountWire()
