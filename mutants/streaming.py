"""Streams that arrive late, torn, doubled, cut or mixed up."""

from __future__ import annotations

from typing import Any

import orjson

from gateway import edge, relay, sse
from gateway.config import Config
from gateway.sse import Event, Parser
from gateway.upstreams.anthropic_messages import MessagesReader
from gateway.upstreams.openai_chat import ChatReader
from gateway.upstreams.reading import Part
from gateway.wires.chat import ChatWire
from gateway.wires.messages import MessagesWire
from gateway.wires.wire import Wire
from mutants._patch import READERS, WIRES, around, edit_frames, replace
from mutants.registry import mutant

DONE = b"data: [DONE]\n\n"


@mutant()
def sse_under_json_type() -> None:
    """A stream goes out as application/json."""
    replace(Wire, "stream_type", b"application/json")


@mutant("GD-098", "GD-094")
def response_buffered() -> None:
    """A stream is gathered up and sent at its end."""
    kept: dict[int, list[bytes]] = {}

    @around(relay.StreamAnswer, "send")
    async def send(_old: Any, self: relay.StreamAnswer, frames: bytes) -> None:
        self.committed = True
        kept.setdefault(id(self), []).append(frames)

    @around(relay.StreamAnswer, "finish")
    async def finish(old: Any, self: relay.StreamAnswer, *args: Any) -> None:
        if frames := kept.pop(id(self), None):
            await self.write(b"".join(frames))
        await old(self, *args)


@mutant("GD-089")
def done_marker_not_forwarded() -> None:
    """The terminal event of a stream is not passed on."""
    replace(relay.StreamAnswer, "last_words", lambda self, bill: self.call.wire.usage_frame(self.reader, bill.usage))


@mutant()
def done_marker_doubled() -> None:
    """The terminal event of a stream is sent twice."""

    @around(relay.StreamAnswer, "last_words")
    def last_words(old: Any, self: relay.StreamAnswer, bill: Any) -> bytes:
        words: bytes = old(self, bill)
        return words + self.terminal


@mutant("GD-100")
def usage_chunk_after_stop_dropped() -> None:
    """Reading stops at the finish reason: the usage after it reaches neither client nor bill."""

    @around(ChatReader, "read")
    def read(old: Any, self: ChatReader, event: Event) -> Part:
        if self._finished and b'"choices":[]' in event.data:
            return Part.NOTHING
        part: Part = old(self, event)
        return part

    replace(ChatWire, "usage_frame", lambda *_args: b"")


@mutant()
def usage_only_when_asked() -> None:
    """A chat stream tells its usage only to a caller who asked for it."""

    @around(ChatWire, "upstream_body")
    def upstream_body(_old: Any, _self: ChatWire, raw: bytes, *_rest: Any) -> bytes:
        return raw

    def usage_frame(_self: ChatWire, reader: ChatReader, _usage: Any) -> bytes:
        return sse.frame(reader.usage_chunk) if reader.usage_chunk else b""

    replace(ChatWire, "usage_frame", usage_frame)


@mutant("GD-086")
def crlf_framing_loses_usage() -> None:
    """Only LF ends a line of an event stream."""
    replace(Parser, "_unify_line_ends", lambda _self, chunk: chunk)


@mutant("GD-099")
def upstream_comment_ends_stream() -> None:
    """A comment in the upstream's stream is taken for its end."""

    @around(Parser, "feed")
    def feed(old: Any, self: Parser, chunk: bytes) -> list[Event]:
        if chunk.startswith(b":") or b"\n:" in chunk:
            raise sse.EventTooLarge("unexpected line")
        events: list[Event] = old(self, chunk)
        return events


@mutant()
def data_without_space_lost() -> None:
    """Events whose `data:` has no blank after it are not seen."""

    @around(Parser, "_read_lines")
    def read_lines(old: Any, self: Parser, lines: bytes) -> list[Event]:
        kept = [line for line in lines.split(b"\n") if not (line.startswith(b"data:") and line[5:6] != b" ")]
        events: list[Event] = old(self, b"\n".join(kept))
        return events


@mutant()
def sse_split_across_segments_dropped() -> None:
    """A line that is cut by the network loses its beginning."""
    replace(Parser, "_hold", lambda _self, _piece: None)


@mutant("GD-101")
def utf8_split_lossy_decode() -> None:
    """Each piece from the network is decoded by itself: a character cut in two becomes U+FFFD."""

    @around(Parser, "feed")
    def feed(old: Any, self: Parser, chunk: bytes) -> list[Event]:
        events: list[Event] = old(self, chunk.decode("utf-8", "replace").encode())
        return events


@mutant("GD-102")
def utf8_split_truncates_stream() -> None:
    """A piece from the network that ends inside a character is dropped."""

    @around(Parser, "feed")
    def feed(old: Any, self: Parser, chunk: bytes) -> list[Event]:
        try:
            chunk.decode()
        except UnicodeDecodeError:
            chunk = b""
        events: list[Event] = old(self, chunk)
        return events


@mutant()
def missing_done_is_failure() -> None:
    """A finished answer without the terminal event counts as failed."""
    for wire in WIRES:
        replace(READERS[wire], "complete", property(lambda self: self._ended))


@mutant()
def final_data_without_newline_lost() -> None:
    """A last event without its blank line is lost, and the stream counts as broken."""

    @around(Parser, "end")
    def end(old: Any, self: Parser) -> list[Event]:
        if not self.between_events:
            raise sse.EventTooLarge("the last event has no end")
        events: list[Event] = old(self)
        return events


@mutant("GD-087", "GD-088", "GD-091")
def cut_stream_ends_cleanly() -> None:
    """A stream that the upstream cut ends as if it were whole."""

    @around(relay.StreamAnswer, "finish")
    async def finish(old: Any, self: relay.StreamAnswer, ending: Any, bill: Any) -> None:
        if self.error is not None and self.committed:
            await self.call.exchange.end(self.terminal)
        else:
            await old(self, ending, bill)


@mutant()
def mid_stream_error_becomes_stop() -> None:
    """A stream that died is given a finish reason and its terminal event."""
    chat = b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"x","choices":[{"index":0,"delta":{},'
    stop = {
        "chat": chat + b'"finish_reason":"stop"}]}\n\n' + DONE,
        "messages": sse.frame(
            orjson.dumps(
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}
            ),
            b"message_delta",
        )
        + MessagesWire.terminal,
    }

    @around(relay.StreamAnswer, "finish")
    async def finish(old: Any, self: relay.StreamAnswer, ending: Any, bill: Any) -> None:
        if self.error is not None and self.committed:
            await self.call.exchange.end(stop[self.call.wire.name])
        else:
            await old(self, ending, bill)


@mutant("GD-081")
def stream_stall_hangs_forever() -> None:
    """Nothing ends a stream whose upstream fell silent."""

    @around(Config, "__init__")
    def init(old: Any, self: Config, *args: Any, **kwargs: Any) -> None:
        old(self, *args, **{**kwargs, "idle_timeout_s": 86_400.0})


@mutant()
def upstream_error_event_swallowed() -> None:
    """An error event of the upstream is dropped, and the stream ends without a word."""

    @around(relay.StreamAnswer, "finish")
    async def finish(old: Any, self: relay.StreamAnswer, ending: Any, bill: Any) -> None:
        if self.error is not None and self.committed:
            await self.call.exchange.end(b"")
        else:
            await old(self, ending, bill)


@mutant("GD-085")
def chunks_lost_under_load() -> None:
    """When many streams run at once, some pieces get lost."""
    running: set[int] = set()
    count = 0

    @around(relay.StreamAnswer, "run")
    async def run(old: Any, self: relay.StreamAnswer) -> Any:
        running.add(id(self))
        try:
            return await old(self)
        finally:
            running.discard(id(self))

    @around(relay.StreamAnswer, "relay")
    async def relay_(old: Any, self: relay.StreamAnswer, events: list[Event], reader: Any) -> Any:
        nonlocal count
        count += len(running) > 10 and self.committed
        if count >= 20 and not reader.complete:
            count = 0
            return relay.Progress.GOING
        return await old(self, events, reader)


@mutant()
def streams_cross_over() -> None:
    """A piece of one stream now and then ends up in another that runs at the same time."""
    running: dict[int, relay.StreamAnswer] = {}
    count = 0

    @around(relay.StreamAnswer, "send")
    async def send(old: Any, self: relay.StreamAnswer, frames: bytes) -> None:
        nonlocal count
        running[id(self)] = self
        count += 1
        other = next((a for a in running.values() if a is not self and a.call.wire is self.call.wire), None)
        if count % 5 == 0 and other is not None and other.committed:
            await old(other, frames)
        await old(self, frames)

    @around(relay.StreamAnswer, "finish")
    async def finish(old: Any, self: relay.StreamAnswer, *args: Any) -> None:
        running.pop(id(self), None)
        await old(self, *args)


@mutant("GD-092")
def finish_reason_never_sent() -> None:
    """The event that tells why the answer ended is not passed on."""

    @around(ChatReader, "read")
    def read(old: Any, self: ChatReader, event: Event) -> Part:
        part: Part = old(self, event)
        return Part.NOTHING if b'"finish_reason":"' in event.data else part


@mutant()
def chunk_ids_change() -> None:
    """Every chunk of a stream bears an id of its own."""
    count = 0

    def renamed(_reader: Any, frame: bytes) -> bytes:
        nonlocal count
        count += 1
        return frame.replace(b'"id":"chatcmpl-', b'"id":"chatcmpl-%d' % count, 1)

    edit_frames(renamed, (ChatWire,))


@mutant("GD-125")
def gemini_cumulative_usage_summed() -> None:
    """Usage that grows in every chunk is added up."""
    from gateway.upstreams import openai_chat

    @around(openai_chat, "read_usage")
    def read_usage(old: Any, usage: Any, told: Any) -> None:
        before = (told.input_tokens or 0, told.output_tokens or 0)
        old(usage, told)
        if isinstance(usage, dict) and told.input_tokens is not None:
            told.input_tokens += before[0]
            told.output_tokens = (told.output_tokens or 0) + before[1]


@mutant()
def usage_in_every_chunk_forwarded() -> None:
    """Where the upstream tells its usage in every chunk, so does the gateway."""

    def told(reader: Any, frame: bytes) -> bytes:
        tokens = reader.told.output_tokens
        if tokens is None or b'"choices":[{' not in frame:
            return frame
        usage = {"prompt_tokens": reader.told.input_tokens, "completion_tokens": tokens, "total_tokens": tokens}
        return sse.frame(orjson.dumps({**orjson.loads(frame.removeprefix(b"data:")), "usage": usage}))

    edit_frames(told, (ChatWire,))


@mutant()
def broken_event_skipped() -> None:
    """An event that is not JSON is left out, and the stream goes on."""
    for wire in WIRES:

        @around(READERS[wire], "read")
        def read(old: Any, self: Any, event: Event) -> Part:
            part: Part = old(self, event)
            return Part.NOTHING if part is Part.BROKEN else part


@mutant()
def chunk_dropped() -> None:
    """The second piece of every stream is lost."""
    counts: dict[int, int] = {}

    def nth(reader: Any, frame: bytes) -> bytes:
        counts[id(reader)] = counts.get(id(reader), 0) + (reader.text_bytes > 0)
        return b"" if reader.text_bytes and counts[id(reader)] == 2 else frame

    edit_frames(nth)


@mutant()
def chunk_duplicated() -> None:
    """The second piece of every stream is sent twice."""
    counts: dict[int, int] = {}

    def nth(reader: Any, frame: bytes) -> bytes:
        counts[id(reader)] = counts.get(id(reader), 0) + (reader.text_bytes > 0)
        return frame * 2 if reader.text_bytes and counts[id(reader)] == 2 else frame

    edit_frames(nth)


@mutant("GD-112")
def duplicate_message_start() -> None:
    """A Messages stream begins twice."""
    edit_frames(lambda _reader, frame: frame * 2 if b"event: message_start" in frame else frame, (MessagesWire,))


@mutant()
def message_stop_missing() -> None:
    """A Messages stream ends without message_stop."""
    replace(MessagesWire, "terminal", b"")

    @around(MessagesReader, "read")
    def read(old: Any, self: MessagesReader, event: Event) -> Part:
        part: Part = old(self, event)
        if part is Part.TERMINAL:
            self._data, self._kind = b"{}", b"x"
        return part

    @around(relay.StreamAnswer, "last_words")
    def last_words(old: Any, self: relay.StreamAnswer, bill: Any) -> bytes:
        return b"" if isinstance(self.call.wire, MessagesWire) else bytes(old(self, bill))


@mutant("GD-095")
def heartbeat_only_after_finish_hangs() -> None:
    """After the finish reason, the stream is held open for as long as the upstream's connection is."""

    @around(relay.StreamAnswer, "read")
    async def read(old: Any, self: relay.StreamAnswer, reply: Any, deadline: float) -> bytes:
        if self.reader is not None and self.reader.complete:
            deadline = edge.monotonic() + 3600
        chunk: bytes = await old(self, reply, deadline)
        return chunk


@mutant("GD-205")
def state_leak_between_pooled_requests() -> None:
    """After a stream that broke off, later ones end without their last event."""
    broken: list[Any] = []

    @around(relay.StreamAnswer, "finish")
    async def finish(old: Any, self: relay.StreamAnswer, *args: Any) -> None:
        broken.extend([self.error] if self.error is not None and self.committed else [])
        await old(self, *args)

    @around(relay.StreamAnswer, "last_words")
    def last_words(old: Any, self: relay.StreamAnswer, bill: Any) -> bytes:
        return b"" if broken else bytes(old(self, bill))
