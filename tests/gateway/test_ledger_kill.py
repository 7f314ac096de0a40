"""kill -9 in the middle of random ledger work, again and again: nothing acknowledged is lost, nothing is half-done."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from gateway.ledger.audit import Audit
from gateway.ledger.transfers import Transfer
from tests.gateway.ledger_worker import USERS
from tests.gateway.making import open_money, open_store, run

KILLS = 22
LINES_MAX = 80  # before a kill
PATIENCE_S = 30


@dataclass(slots=True)
class Acknowledged:
    """Everything that any of the killed processes was told is done."""

    bought: dict[str, tuple[str, int]] = field(default_factory=dict)  # key -> (user, amount)
    held: dict[int, int] = field(default_factory=dict)  # hold -> amount
    settled: dict[int, int] = field(default_factory=dict)  # hold -> charge

    def note(self, line: str) -> None:
        match line.split():
            case ["bought", user_id, amount_uc, key]:
                self.bought[key] = (user_id, int(amount_uc))
            case ["held", ident, _, amount_uc]:
                self.held[int(ident)] = int(amount_uc)
            case ["settled", ident, charged_uc]:
                self.settled[int(ident)] = int(charged_uc)
            case _:
                raise AssertionError(f"the worker says {line!r}")


class Worker:
    """The process that forks the victims."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.gateway.ledger_worker"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.buffer = b""

    def line(self) -> str:
        """The next line it prints."""
        assert self.process.stdout is not None
        while b"\n" not in self.buffer:
            if not select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
                raise AssertionError(f"nothing from the worker for {PATIENCE_S} s")
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, "the worker ended"
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode()

    def start(self, folder: Path, seed: int, fatal_point: str = "-", number: int = 0) -> int:
        """A child begins; its process id."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{folder} {seed} {fatal_point} {number}\n".encode())
        self.process.stdin.flush()
        up, pid = self.line().split()
        assert up == "up"
        return int(pid)

    def run_and_kill(self, folder: Path, seed: int, lines: int, told: Acknowledged) -> None:
        """A child works until it has acknowledged so many commands; then it is killed."""
        pid = self.start(folder, seed)
        for _ in range(lines):
            told.note(self.line())
        os.kill(pid, signal.SIGKILL)
        self.note_rest(told)

    def note_rest(self, told: Acknowledged) -> None:
        """What the child still said before it died."""
        while (line := self.line()) != "dead":
            told.note(line)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def reopened(folder: Path) -> tuple[Audit, list[Transfer], int]:
    """The audit after recovery, all transfers, and how many holds had to be expired."""

    async def look() -> tuple[Audit, list[Transfer], int]:
        store = open_store(folder)
        money = open_money(store)
        expired = await money.expire_open("restart")
        moved = [transfer for user_id in USERS for transfer in await money.transfers(user_id, 1_000_000)]
        audit = await money.audit()
        store.close()
        return audit, moved, expired

    return run(look())


def test_kill_nine_loses_nothing_acknowledged(worker: Worker, place: Path) -> None:
    told, dice, left_open = Acknowledged(), Random(20260510), 0
    for kill in range(KILLS):
        worker.run_and_kill(place, kill, dice.randrange(LINES_MAX), told)
        audit, moved, expired = reopened(place)
        left_open += expired
        assert audit.problems == ()
        assert (audit.open_holds, audit.held_uc, audit.sum_uc) == (0, 0, 0)
        assert_kept(told, moved)
    assert len(told.settled) > KILLS
    assert left_open > 0, "no kill hit an open hold"


@pytest.mark.parametrize("point", ["commit.before", "commit.after"])
def test_a_kill_at_either_side_of_a_commit(worker: Worker, place: Path, point: str) -> None:
    """After it, before the answer, a command counts though nobody heard; before it, it is as if it never came."""
    told, unheard = Acknowledged(), 0
    for kill in range(4):
        worker.start(place, kill, point, 8 + 3 * kill)
        worker.note_rest(told)
        audit, moved, _ = reopened(place)
        assert (audit.problems, audit.open_holds) == ((), 0)
        assert_kept(told, moved)
        holds = {t.id: t.amount_uc for t in moved if t.kind == "HOLD"}
        unheard += len(holds.keys() - told.held.keys())
        told.held = holds
    if point == "commit.after":
        assert unheard > 0, "no kill came between a commit and its answer"


def assert_kept(told: Acknowledged, moved: list[Transfer]) -> None:
    """Every acknowledged command is there, once."""
    by_key = {t.idempotency_key: (t.user_id, t.amount_uc) for t in moved if t.kind == "TOP_UP"}
    assert {key: by_key.get(key) for key in told.bought} == told.bought
    holds = {t.id: t.amount_uc for t in moved if t.kind == "HOLD"}
    assert {ident: holds.get(ident) for ident in told.held} == told.held
    charges = {t.closes: t.amount_uc for t in moved if t.kind == "SETTLE"}
    assert {ident: charges.get(ident, 0) for ident in told.settled} == told.settled
    expired = {t.closes for t in moved if t.kind == "EXPIRE"}
    assert not expired & told.settled.keys()
