"""A reply played without a socket: what leaves, and when, by a clock that only this test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from simulator import providers
from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.faults import FAULTS, Fault
from simulator.fleet import Fleet
from simulator.journal import PENDING, Entry, Outcome
from simulator.judge import Fate
from simulator.lateness import Lateness
from simulator.memory import Known
from simulator.player import Player
from simulator.script import Script

ROWS = providers.load(providers.FILE, DIALECTS, 7)
LONG_MS = 10_000_000.0
Sent = list[tuple[float, bytes]]


class Recorder:
    """A wire that keeps what is written, with its moment; at the end, how it ended."""

    paused = gone = closes = head_only = False
    chunks = True
    buffered = 0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start_ms = clock.now_ms()
        self.sent: Sent = []

    def attend(self, listener: Player) -> None:
        """Nobody hangs up here."""

    def write(self, data: bytes) -> None:
        self.sent.append((self._clock.now_ms() - self._start_ms, data))

    def finish(self) -> None:
        self.write(b"<end>")

    def cut(self) -> None:
        self.write(b"<fin>")

    def reset(self) -> None:
        self.write(b"<rst>")


def still_clock() -> Clock:
    """A manual clock that nothing outside moves."""
    return Clock("manual", read=lambda: 0.0, alarm=lambda *_: lambda: None)


def known(fleet: Fleet, raw: bytes) -> Known:
    """What a fleet makes of a request in bytes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, target, _ = first.decode().split(" ")
    _, name, path = target.split("/", 2)
    path, _, query = path.partition("?")
    headers = [(name, value) for name, value in (line.split(b": ", 1) for line in lines)]
    return fleet.recognise(fleet.providers[name], method, f"/{path}", query.encode(), headers, body)


class Scripted(NamedTuple):
    """What a fleet of its own would send to one request."""

    script: Script
    outcome: Outcome
    clock: Clock
    entry: Entry
    nonce: str


def built(faults: Iterable[Mapping[str, object]]) -> tuple[Fault, ...]:
    """Faults as a file would name them."""
    return tuple(FAULTS.build(row["kind"], {k: v for k, v in row.items() if k != "kind"}) for row in faults)


def scripted(raw: bytes, faults: list[Mapping[str, object]], *, seed: int = 7, attempt: int = 1) -> Scripted:
    """The script of a request under these faults."""
    clock = still_clock()
    fleet = Fleet(ROWS, clock, seed)
    found = known(fleet, raw)
    script, outcome = fleet.fated(found, clock.now_ms(), Fate(attempt, attempt, built(faults)))
    entry = Entry(found.subject, [], b"", attempt, attempt, clock.now_ms(), outcome)
    return Scripted(script, outcome, clock, entry, found.nonces(attempt).decode())


def played(raw: bytes, faults: list[Mapping[str, object]], seed: int = 7) -> tuple[Sent, Outcome]:
    """Every write of a reply and its moment; a stall is left to the end of time and then closed by the peer."""
    script, outcome, clock, entry, _ = scripted(raw, faults, seed=seed)
    wire = Recorder(clock)

    async def play() -> None:
        player = Player(wire, clock, script, entry, Lateness())
        task = asyncio.ensure_future(player.play())
        await asyncio.sleep(0)
        clock.advance(LONG_MS)
        if outcome.ended == PENDING:
            player.on_lost()
        await task

    asyncio.run(play())
    return wire.sent, outcome
