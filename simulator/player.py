"""Plays a script over a wire: every frame at its moment, all that is due together in one write.

Moments are deadlines counted from the request's arrival; nothing is slept for, so delays never add up. A slow reader
halts the player (`Wire.paused`), so that nothing piles up in memory.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from simulator.clock import Clock, Waiting
from simulator.head import LAST_CHUNK, NO_BODY, chunk, head
from simulator.journal import PENDING, Entry, Outcome
from simulator.lateness import Lateness
from simulator.script import Ending, Frame, Script, Trickle
from simulator.told import usage_told

WRITE_BYTES = 1 << 16  # a write grows no larger than this, but for a single larger frame


class Line(Protocol):
    """What a player needs of a wire."""

    @property
    def paused(self) -> bool: ...
    @property
    def buffered(self) -> int: ...
    @property
    def gone(self) -> bool: ...
    @property
    def closes(self) -> bool: ...
    @property
    def head_only(self) -> bool: ...
    @property
    def chunks(self) -> bool: ...
    def attend(self, listener: Player) -> None: ...
    def write(self, data: bytes) -> None: ...
    def finish(self) -> None: ...
    def cut(self) -> None: ...
    def reset(self) -> None: ...


class Player:
    """One reply under way."""

    __slots__ = (
        "_arrived_ms",
        "_clock",
        "_done",
        "_frames",
        "_head",
        "_head_bytes",
        "_held",
        "_last",
        "_lateness",
        "_next",
        "_outcome",
        "_over",
        "_script",
        "_trickled",
        "_unsent",
        "_waiting",
        "_wire",
    )

    def __init__(self, wire: Line, clock: Clock, script: Script, entry: Entry, lateness: Lateness) -> None:
        self._wire = wire
        self._clock = clock
        self._script = script
        self._outcome: Outcome = entry.outcome
        self._arrived_ms = entry.arrived_ms
        self._lateness = lateness
        self._frames: tuple[Frame, ...] = () if _bodyless(wire, script) else script.frames
        self._head = script.head_due_ms is not None
        self._head_bytes = b""  # of a head that leaves in pieces
        self._trickled = 0  # how many of its pieces left
        self._next = 0  # the first frame that was not written
        self._over = False  # all was written
        self._unsent = 0  # bytes of the last write that the system has not taken, when last seen
        self._last: tuple[Frame, ...] = ()  # the frames of that write
        self._held = False  # a slow reader kept frames back
        self._waiting: Waiting | None = None
        self._done: asyncio.Event | None = None
        self._outcome.frames_planned = sum(1 for frame in script.frames if frame.data)

    async def play(self) -> None:
        """Return once the reply ended, whoever ended it."""
        self._wire.attend(self)
        self._step()
        if self._outcome.ended == PENDING:
            self._done = asyncio.Event()
            try:
                await self._done.wait()
            except asyncio.CancelledError:
                self._end("cut")
                raise

    def on_writable(self) -> None:
        """The peer reads again."""
        self._step()

    def on_lost(self) -> None:
        """The connection is gone: a stall was meant to end so, anything else is the peer's doing."""
        self._take_back()
        self._end("stall" if self._over and self._script.ending is Ending.STALL else "peer_closed")

    def _step(self) -> None:
        """Write all that is due, then wait for what comes next, or end."""
        self._waiting = None
        while not self._wire.paused:
            self._unsent = 0
            if self._wire.gone:
                self._end("peer_closed")
                return
            if self._over:
                self._finish()
                return
            if not self._write(self._clock.now_ms()):
                self._held = False
                self._waiting = self._clock.call_at(self._due_ms(), self._step)
                return
        self._held = True

    def _due_ms(self) -> float:
        """When the next piece is due; the clock is asked for this very number, or rounding could make it wait on."""
        if not self._head:
            return self._arrived_ms + self._frames[self._next].due_ms
        due_ms, trickle = self._script.head_due_ms or 0.0, self._script.trickle
        if trickle is not None:
            due_ms += trickle.gap_ms * self._trickled
        return self._arrived_ms + due_ms

    def _write(self, now_ms: float) -> bool:
        """One write of all that is due, within bounds. False when nothing is."""
        if (self._head or self._next < len(self._frames)) and self._due_ms() > now_ms:
            return False
        parts: list[bytes] = []
        size = 0
        chunked = self._script.stream and self._wire.chunks
        if self._head:
            if self._script.trickle is not None:
                return self._trickle(now_ms, self._script.trickle)
            parts.append(head(self._script, int(now_ms // 1000), closes=self._wire.closes, chunks=self._wire.chunks))
            size = len(parts[0])
        first = at = self._next
        arrived_ms = self._arrived_ms
        while at < len(self._frames) and size < WRITE_BYTES:
            frame = self._frames[at]
            if arrived_ms + frame.due_ms > now_ms or (frame.alone and parts):
                break
            parts.append(chunk(frame.data) if chunked else frame.data)
            size += len(parts[-1])
            at += 1
            if frame.alone:
                break
        self._next = at
        self._over = at == len(self._frames)
        if self._over and chunked and self._script.ending is Ending.END and not self._wire.head_only:
            parts.append(LAST_CHUNK)
        self._send(parts, self._frames[first:at])
        return True

    def _trickle(self, now_ms: float, trickle: Trickle) -> bool:
        """Write the next piece of the head; the reply may end before the last one."""
        wire = self._wire
        if not self._trickled:
            self._head_bytes = head(self._script, int(now_ms // 1000), closes=wire.closes, chunks=wire.chunks)
        due_ms = self._due_ms() - self._arrived_ms
        at, size = self._trickled, len(self._head_bytes)
        self._trickled += 1
        piece = self._head_bytes[size * at // trickle.pieces : size * (at + 1) // trickle.pieces]
        if piece:
            wire.write(piece)
        self._outcome.bytes_sent += len(piece)
        now_ms = self._clock.now_ms()
        self._late(now_ms, due_ms)
        if self._trickled == trickle.pieces:
            self._head = False
            self._outcome.status = self._script.status
            self._outcome.head_sent_ms = now_ms
        self._over = self._head and self._trickled >= trickle.sent
        if wire.paused:
            self._unsent = wire.buffered
            self._last = ()
        return True

    def _send(self, parts: list[bytes], frames: tuple[Frame, ...]) -> None:
        """Hand one write to the wire and account for it."""
        data = b"".join(parts)
        if data:
            self._wire.write(data)
        now_ms = self._clock.now_ms()
        outcome = self._outcome
        if self._head:
            self._head = False
            outcome.status = self._script.status
            outcome.head_sent_ms = now_ms
            self._late(now_ms, self._script.head_due_ms or 0.0)
        outcome.bytes_sent += len(data)
        for frame in frames:
            self._count(frame, 1)
            if frame.tokens and outcome.first_token_ms is None:
                outcome.first_token_ms = now_ms
            self._late(now_ms, frame.due_ms)
        if self._wire.paused:
            self._unsent = self._wire.buffered
            self._last = frames

    def _count(self, frame: Frame, sign: int) -> None:
        """A frame was sent (1), or turns out not to have been (-1)."""
        outcome = self._outcome
        outcome.frames_sent += sign if frame.data else 0
        outcome.tokens += sign * frame.tokens
        outcome.text_bytes += sign * frame.text_bytes

    def _take_back(self) -> None:
        """The connection went while the system had not taken all of the last write: count only what it took."""
        unsent = self._unsent
        self._outcome.bytes_sent -= unsent
        for frame in reversed(self._last if unsent else ()):
            if unsent <= 0:
                break
            self._count(frame, -1)
            unsent -= len(frame.data)

    def _late(self, now_ms: float, due_ms: float) -> None:
        """Record by how much a delayed piece missed its moment, unless the peer held it up."""
        if due_ms <= 0 or self._held:
            return
        late_ms = max(0.0, self._clock.real_ms(now_ms - self._arrived_ms - due_ms))
        self._lateness.record(late_ms)
        outcome = self._outcome
        if outcome.lateness_ms_max is None or late_ms > outcome.lateness_ms_max:
            outcome.lateness_ms_max = late_ms

    def _finish(self) -> None:
        """All is written: end as the script says. A stall goes on until the peer closes."""
        match self._script.ending:
            case Ending.END:
                self._end("end")
                self._wire.finish()
            case Ending.CUT:
                self._end("cut")
                self._wire.cut()
            case Ending.RESET:
                self._end("reset")
                self._wire.reset()

    def _end(self, ended: str) -> None:
        outcome = self._outcome
        if outcome.ended != PENDING:
            return
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        outcome.ended = ended
        outcome.usage_told = usage_told(self._frames[: self._next], outcome.usage_told)
        outcome.ended_ms = self._clock.now_ms()
        if self._done is not None:
            self._done.set()


def _bodyless(wire: Line, script: Script) -> bool:
    return wire.head_only or script.status in NO_BODY
