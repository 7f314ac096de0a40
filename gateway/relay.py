"""The answer to a call: as a stream relayed event by event, or whole.

A stream's beginning is held back until it carries content, so that another upstream can still take over; its last event
is held back until the charge is durable. Events go out whole, so keepalives only ever stand between two of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from enum import Enum
from typing import Final, TypeVar

from gateway import edge
from gateway.attempts import Call
from gateway.billing import Bill, Ending
from gateway.chain import Failure, Step
from gateway.errors import AllUpstreamsFailed, GatewayError
from gateway.exchange import JSON, Reason, Stopped
from gateway.sse import Event, EventTooLarge, Parser
from gateway.upstreams import problems
from gateway.upstreams.reading import Part, StreamReader
from gateway.upstreams.transport import BODY_BYTES_MAX, Reply, TransportError, read_all

T = TypeVar("T")

STREAM_HEADERS: Final = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
HELD_FRAMES_MAX: Final = 1000  # of a beginning without content; then it goes out as it is
CUT: Final = "the upstream ended the stream in mid-answer"


class Progress(Enum):
    """How far an upstream's answer is."""

    GOING = "going"
    WHOLE = "whole"


class WholeAnswer:
    """An answer in one piece."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.body = b""
        self.error: GatewayError | None = None

    async def run(self) -> Ending:
        """Asks the chain. Raises Stopped."""
        call = self.call
        step = call.first()
        while step is not None:
            if step.wait_s:
                await edge.sleep(step.wait_s)
            answer = await call.whole(step)
            if not isinstance(answer, Failure):
                call.won()
                self.body = answer.body
                return Ending("succeeded", 200, answer.told, answer.text_bytes)
            step = call.after(answer)
        self.error = call.error()
        return call.ending(self.error)

    def stopped(self, reason: Reason) -> Ending:
        """The ending of a call that was cut short."""
        return cut_short(self, reason, delivered=False)

    async def finish(self, ending: Ending, bill: Bill) -> None:
        """Answers the client."""
        exchange = self.call.exchange
        if self.error is not None:
            await exchange.refuse(self.error)
        elif ending.status == "succeeded":
            if bill.estimated:
                self.body = self.call.wire.with_usage(self.body, bill.usage)
            await exchange.respond(200, self.body, JSON)


class StreamAnswer:
    """An answer relayed as it comes."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.config = call.services.config
        self.error: GatewayError | None = None
        self.reader: StreamReader | None = None
        self.committed = False  # content has gone out: no other upstream may take over
        self.terminal = b""
        self._held: list[bytes] = []  # frames of a beginning without content
        self._written_at = call.exchange.started
        self._writing = False

    async def run(self) -> Ending:
        """Asks the chain and relays all but the last event. Raises Stopped."""
        call = self.call
        call.exchange.extra_headers += STREAM_HEADERS
        step = call.first()
        while step is not None:
            if step.wait_s:
                await self.meanwhile(edge.sleep(step.wait_s))
            failure = await self.attempt(step)
            if not isinstance(failure, Failure):
                call.won()
                return Ending("succeeded", 200, call.told, call.delivered_bytes)
            if self.committed:
                call.lost(failure)
                self.error = AllUpstreamsFailed(f"The upstream failed in mid-answer: {call.safe(failure.message)}")
                return Ending("upstream_failed", 502, call.told, call.delivered_bytes)
            step = call.after(failure)
        self.error = call.error()
        return call.ending(self.error)

    def stopped(self, reason: Reason) -> Ending:
        """The ending of a call that was cut short. A client that did not read until the time was over has left, too."""
        return cut_short(self, "client_closed" if self._writing else reason, delivered=self.committed)

    async def finish(self, ending: Ending, bill: Bill) -> None:
        """Sends the last event (or the error), when the charge is durable."""
        call, exchange = self.call, self.call.exchange
        if ending.status == "succeeded":
            last_words = self.last_words(bill)
        elif self.error is not None and not exchange.begun:
            exchange.extra_headers = [header for header in exchange.extra_headers if header not in STREAM_HEADERS]
            await exchange.refuse(self.error)
            return
        elif self.error is not None:
            last_words = call.wire.error_frame(self.error.message)
            if call.wire.cuts_after_error:
                await exchange.break_off(last_words)
                return
        else:
            exchange.abort()
            return
        try:
            with exchange.stop:
                await exchange.end(last_words)
        except Stopped:
            await exchange.leave(last_words)

    def last_words(self, bill: Bill) -> bytes:
        """What ends a stream that succeeded."""
        return self.call.speech.closing(self.reader, self.terminal, bill)

    async def attempt(self, step: Step) -> Failure | Progress:
        """One attempt; WHOLE when its answer went out but for the last event."""
        started = edge.monotonic()
        reply = await self.meanwhile(self.call.open(step))
        if isinstance(reply, Failure):
            return reply
        self._held.clear()
        self.reader = self.call.speech.reader()
        self.terminal = self.call.speech.terminal
        self.call.told = self.reader.told
        try:
            return await self.follow(reply, self.reader, started + self.config.first_byte_timeout_s)
        except TransportError as error:
            return Progress.WHOLE if self.reader.complete else problems.broken(error.message)
        except EventTooLarge as error:
            return problems.broken(str(error))

    async def follow(self, reply: Reply, reader: StreamReader, deadline: float) -> Failure | Progress:
        """Relays a reply to its end."""
        parser = Parser()
        head = await self.read_head(reply, deadline)
        if head[:1] in (b"{", b"["):
            return await self.convert(reply, reader, head)
        if head[:1] == b"<":
            return problems.broken("the upstream sent a web page instead of a stream")
        chunk = head
        while chunk:
            events = parser.feed(chunk)
            if events and (verdict := await self.relay(events, reader)) is not Progress.GOING:
                return verdict
            now = edge.monotonic()
            if not reader.complete:
                deadline = now + self.config.idle_timeout_s
            elif events:
                deadline = now + self.config.finish_grace_s
            chunk = await self.read(reply, deadline)
        return await self.at_end(parser.end(), reader)

    async def at_end(self, events: list[Event], reader: StreamReader) -> Failure | Progress:
        """The stream has ended by itself: well, if the answer is whole."""
        if events and (verdict := await self.relay(events, reader)) is not Progress.GOING:
            return verdict
        if not reader.complete:
            return problems.broken(CUT if self.committed or self._held else "the upstream sent an empty stream")
        return Progress.WHOLE

    async def relay(self, events: Iterable[Event], reader: StreamReader) -> Failure | Progress:
        """Passes events on. GOING while more are due."""
        frames = self._held
        size = 0
        commit = self.committed
        verdict: Failure | Progress = Progress.GOING
        for event in events:
            part = reader.read(event)
            if part is Part.CONTENT or part is Part.ENDING:
                commit = True
                size += reader.text_bytes
                frames.append(reader.frame)
            elif part is Part.PREAMBLE or (part is Part.PING and commit):
                frames.append(reader.frame)
            elif part is Part.TERMINAL or part is Part.CLOSING:
                if part is Part.CLOSING:
                    commit = True
                    size += reader.text_bytes
                verdict = self.read_terminal(reader, commit)
                break
            elif part is Part.ERROR or part is Part.BROKEN:
                verdict = reader.failure or problems.broken(CUT)
                break
        if commit or len(frames) > HELD_FRAMES_MAX:
            await self.send(b"".join(frames))
            frames.clear()
            self.call.delivered_bytes += size
        return verdict

    def read_terminal(self, reader: StreamReader, commit: bool) -> Failure | Progress:
        """The last event has come: the answer is whole, unless there was none."""
        if not commit:
            return problems.broken("the upstream's answer is empty")
        self.terminal = reader.frame
        return Progress.WHOLE

    async def convert(self, reply: Reply, reader: StreamReader, head: bytes) -> Failure | Progress:
        """An upstream that answered with JSON where a stream was asked for."""
        rest = await self.meanwhile(read_all(reply, self.config.idle_timeout_s, BODY_BYTES_MAX))
        stream = self.call.speech.as_stream(head + rest)
        if isinstance(stream, Failure):
            return stream
        verdict = await self.relay(Parser().feed(stream), reader)
        if verdict is Progress.GOING:
            return Progress.WHOLE if reader.complete else problems.broken("the upstream's answer is empty")
        return verdict

    async def read_head(self, reply: Reply, deadline: float) -> bytes:
        """The first bytes that are not blank, b"" when there are none."""
        while chunk := await self.read(reply, deadline):
            if head := chunk.lstrip():
                return head.removeprefix(b"\xef\xbb\xbf")
            deadline = edge.monotonic() + self.config.idle_timeout_s
        return b""

    async def read(self, reply: Reply, deadline: float) -> bytes:
        """The next bytes of the upstream; keepalives go out meanwhile. Raises TransportError after the deadline."""
        while True:
            now = edge.monotonic()
            due = self._written_at + self.config.keepalive_s
            try:
                return await reply.read(max(0.0, min(due, deadline) - now))
            except TimeoutError:
                now = edge.monotonic()
                if now >= deadline:
                    raise TransportError("timeout", "the upstream fell silent") from None
                if now >= due:
                    await self.keepalive()

    async def meanwhile(self, work: Awaitable[T]) -> T:
        """The result of `work`; keepalives go out until it is there."""
        task = asyncio.ensure_future(work)
        try:
            while True:
                due = self._written_at + self.config.keepalive_s
                done, _ = await asyncio.wait((task,), timeout=max(0.0, due - edge.monotonic()))
                if done:
                    return task.result()
                await self.keepalive()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))

    async def keepalive(self) -> None:
        """Tells the client that the call is alive."""
        await self.write(self.call.wire.keepalive)

    async def send(self, frames: bytes) -> None:
        """Sends events that carry content: from now on the stream is this upstream's."""
        if not self.committed:
            self.committed = True
            self.call.ttft_ms = self.call.exchange.elapsed_ms()
        await self.write(frames)

    async def write(self, data: bytes) -> None:
        """Writes to the client, beginning the response if need be."""
        exchange = self.call.exchange
        self._writing = True
        if not exchange.begun:
            await exchange.begin(200, self.call.wire.stream_type)
        if data:
            await exchange.write(data)
        self._writing = False
        self._written_at = edge.monotonic()


Answer = WholeAnswer | StreamAnswer


def cut_short(answer: Answer, reason: Reason, delivered: bool) -> Ending:
    """The ending of a call that was stopped by the clock, or by the caller, who pays for what was done so far."""
    call = answer.call
    told = call.told if call.asked else None
    call.abandon()
    if reason == "client_closed":
        return Ending("client_closed", 499, told, call.delivered_bytes)
    message = f"no whole answer within {call.services.config.total_timeout_s:g} s"
    if delivered:
        answer.error = AllUpstreamsFailed(f"The upstream failed in mid-answer: {message}")
        return Ending("upstream_failed", 504, told, call.delivered_bytes)
    answer.error = AllUpstreamsFailed(f"All upstreams failed for {call.requested_model}: {message}")
    return call.ending(answer.error)
