"""The OpenAI Chat Completions wire.

Source: api-reference#chat-completions; wire reference, chapter 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway import counts, splice, sse
from gateway.body import check_messages, check_object, flag, whole_number
from gateway.chain import Failure
from gateway.errors import body
from gateway.pricing import Usage
from gateway.upstreams import openai_chat
from gateway.upstreams.reading import StreamReader, Whole
from gateway.wires.wire import Wanted, Wire

ANSWERS_MAX: Final = 128
WITH_USAGE: Final = b'"stream_options":{"include_usage":true}}'


class ChatWire(Wire):
    """Chat Completions in, Chat Completions out."""

    name = "chat"
    endpoint = "/v1/chat/completions"
    dialect = "openai_chat"
    path = openai_chat.PATH
    keepalive = b": keepalive\n\n"
    terminal = openai_chat.DONE_FRAME

    def check(self, fields: Mapping[str, Any]) -> Wanted:
        check_messages(fields)
        stream = flag(fields, "stream")
        check_object(fields, "stream_options")
        newer = whole_number(fields, "max_completion_tokens", 1)
        older = whole_number(fields, "max_tokens", 1)
        answers = whole_number(fields, "n", 1, ANSWERS_MAX) or 1
        return Wanted(stream, newer if newer is not None else older, answers)

    def upstream_headers(self, key: str, caller: Mapping[bytes, bytes]) -> list[tuple[str, str]]:
        return openai_chat.headers(key, caller)

    def upstream_body(self, raw: bytes, fields: Mapping[str, Any], wanted: Wanted) -> bytes:
        """A stream must end with its usage: for the bill, and because the reference promises it to the caller."""
        if not wanted.stream:
            return raw
        options = fields.get("stream_options")
        if "stream_options" not in fields:
            return raw.rstrip(splice.BLANKS)[:-1] + b"," + WITH_USAGE
        if isinstance(options, dict) and options.get("include_usage") is True:
            return raw
        return splice.set_member(raw, "stream_options", orjson.dumps({**(options or {}), "include_usage": True}))

    def reader(self, _fields: Mapping[str, Any]) -> StreamReader:
        return openai_chat.ChatReader()

    def with_usage(self, body: bytes, usage: Usage) -> bytes:
        return splice.set_member(body, "usage", orjson.dumps(counts.chat(usage)))

    def read_whole(self, body: bytes) -> Whole | Failure:
        return openai_chat.read_whole(body)

    def assemble(self, stream: bytes) -> Whole | Failure:
        from gateway.upstreams import openai_chat_modes

        return openai_chat_modes.assemble(stream)

    def disassemble(self, whole: Whole) -> bytes:
        from gateway.upstreams import openai_chat_modes

        return openai_chat_modes.disassemble(whole.body)

    def usage_frame(self, reader: StreamReader, usage: Usage) -> bytes:
        """The upstream's own last word on usage; one of ours where it had none, or told it beside content."""
        assert isinstance(reader, openai_chat.ChatReader)
        told = reader.told
        if reader.usage_chunk and told.input_tokens is not None and told.output_tokens is not None:
            return sse.frame(reader.usage_chunk)
        return sse.frame(orjson.dumps({**reader.identity, "choices": [], "usage": counts.chat(usage)}))

    def error_frame(self, message: str) -> bytes:
        return sse.frame(orjson.dumps(body("api_error", message)))


WIRE: Final = ChatWire()
