"""Answers and events a second, in rounds that take turns: A B C A B C, so that noise meets everyone alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median

from loadtests.bench.client import Tally, closed_loop
from loadtests.bench.subjects import MODES, SUBJECTS, Cell, Question
from loadtests.bench.wires import WIRES

CONNECTIONS = {"json": 32, "sse": 16}
TARGETS = {("json", "fleet"): 0.7, ("sse", "fleet"): 3.0, ("json", "gateway"): 0.10}
FEW_EVENTS = {"gemini": 2.0}  # of a stream to bare, on a wire whose events are large: there is less to join
PEER_TARGETS: Mapping[
    tuple[str, str], tuple[str, float | None]
] = {  # (peer, mode) -> (who of ours, how many times as fast)
    ("aimock", "json"): ("fleet", 2.0),
    ("aimock", "sse"): ("fleet", 3.0),
    ("portkey", "json"): ("gateway", 2.5),
    ("portkey", "sse"): ("gateway", None),
    ("litellm", "json"): ("gateway", 30.0),
    ("litellm", "sse"): ("gateway", None),
}


@dataclass(frozen=True, slots=True)
class Rate:
    """One cell's figures, medians over the rounds; `ratio` is that of each round to the bare application."""

    cell: Cell
    answers_s: float
    events_s: float  # 0.0 for JSON
    ratio: float
    target: float | None
    ratio_cpu: float  # the same for each second of the server's own processor time: steadier on a busy machine
    client_cpu: float  # share of one core
    server_cpu: float

    @property
    def reached(self) -> bool | None:
        return None if self.target is None else self.ratio >= self.target


async def measure(
    asked: Mapping[Cell, Question], rounds: int, window_s: float, tell: Callable[[str], None]
) -> list[Rate]:
    """Every cell's rate, from `rounds` rounds of `window_s` each."""
    tallies: dict[Cell, list[Tally]] = {cell: [] for cell in asked}
    for turn in range(rounds):
        for wire, mode, subject in product(WIRES, MODES, SUBJECTS):
            cell = Cell(wire, mode, subject)
            question = asked.get(cell)
            if question is None:
                continue
            tell(f"round {turn + 1} of {rounds}: {wire} {mode} {subject}")
            tallies[cell].append(await closed_loop(question.shot, CONNECTIONS[mode], window_s, question.server.cpu_s))
    return [_rate(cell, asked, tallies) for cell in sorted(asked, key=_order)]


def _order(cell: Cell) -> tuple[int, int, int]:
    return MODES.index(cell.mode), list(WIRES).index(cell.wire), SUBJECTS.index(cell.subject)


def _rate(cell: Cell, asked: Mapping[Cell, Question], tallies: Mapping[Cell, list[Tally]]) -> Rate:
    own, bare = tallies[cell], tallies[Cell(cell.wire, cell.mode, "bare")]
    answers_s = median(tally.per_s for tally in own)
    events = asked[cell].events
    # A gateway may add an event (usage) to a stream: events are compared with events, answers with answers.
    scale = events / asked[Cell(cell.wire, cell.mode, "bare")].events if events else 1.0
    return Rate(
        cell,
        answers_s,
        answers_s * events,
        median(mine.per_s * scale / theirs.per_s for mine, theirs in zip(own, bare, strict=True)),
        target(cell),
        median(per_cpu_s(mine) * scale / per_cpu_s(theirs) for mine, theirs in zip(own, bare, strict=True)),
        median(tally.client_cpu_s / tally.wall_s for tally in own),
        median(tally.server_cpu_s / tally.wall_s for tally in own),
    )


def target(cell: Cell) -> float | None:
    """The ratio to bare that is due, if any is."""
    if (cell.mode, cell.subject) == ("sse", "fleet"):
        return FEW_EVENTS.get(cell.wire, TARGETS["sse", "fleet"])
    return TARGETS.get((cell.mode, cell.subject))


def per_cpu_s(tally: Tally) -> float:
    """Answers for each second of the server's processor time, which is told in hundredths."""
    return tally.answers / max(tally.server_cpu_s, 0.01)


@dataclass(frozen=True, slots=True)
class Against:
    """One of ours against a peer on one wire: how many answers, or events of streams, for each of the peer's."""

    wire: str
    mode: str
    ours: str
    peer: str
    ratio: float
    target: float | None

    @property
    def reached(self) -> bool:
        return self.target is None or self.ratio >= self.target


def against(measured: Sequence[Rate]) -> list[Against]:
    """Ours against every peer that was measured: JSON by answers a second, streams by events a second."""
    by_cell = {rate.cell: rate for rate in measured}
    found = []
    for rate in measured:
        wire, mode, peer = rate.cell.wire, rate.cell.mode, rate.cell.subject
        if (peer, mode) not in PEER_TARGETS:
            continue
        name, due = PEER_TARGETS[peer, mode]
        own = by_cell[Cell(wire, mode, name)]
        ratio = own.events_s / rate.events_s if mode == "sse" else own.answers_s / rate.answers_s
        found.append(Against(wire, mode, name, peer, ratio, due))
    return found
