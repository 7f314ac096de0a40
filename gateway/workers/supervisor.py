"""The supervisor: forks the workers, starts dead ones again, and drains them all on SIGTERM.

The workers accept from one listening socket, so a connection that a dead one had not yet accepted waits for another.
Each holds the reading end of a pipe of its own that the supervisor alone can write to: when the supervisor dies the
pipe ends, and they drain. By it a living worker is told the name of one that died, and a new one begins with the names
of all whose holds may still be open, so that they are given back at once.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from gateway import edge

SETTLED_S: Final = 1.0  # a worker that lived this long was well
BACKOFF_S: Final = (0.0, 0.0, 0.1, 0.2, 0.5, 1.0)  # before one is started again, by how many in a row were not
FATAL: Final = 2  # the exit code of a worker that another one would not do better than
TRIES: Final = 3  # of a worker, before the gateway was ever ready
GRACE_S: Final = 10.0  # beyond the drain, before what still runs is killed


class CannotStart(Exception):
    """A worker ended before the gateway was ready; it has said why."""


@dataclass(slots=True)
class Start:
    """What a worker is told."""

    owner: str  # its name, in the holds it makes
    place: int  # among the workers that are alive: 0 to their number
    dead: tuple[str, ...]  # names of workers that are dead
    lifeline: int  # more names of dead workers come by it, a line each; ends when the supervisor does
    ready: Callable[[], None]


@dataclass(slots=True)
class Slot:
    """A place for one worker."""

    pid: int = 0  # 0: none
    owner: str = ""
    began_s: float = 0.0
    failures: int = 0  # in a row
    start_at_s: float = 0.0
    told: int = -1  # where it says that it is ready
    line: int = -1  # where it is told who died
    dead: tuple[str, ...] = ()  # whom it was told of
    is_ready: bool = False


@dataclass(slots=True)
class Supervisor:
    """Keeps `count` workers alive until it is told to end."""

    count: int
    work: Callable[[Start], None]
    ready: Callable[[], None]
    sock: socket.socket
    drain_s: float
    slots: list[Slot] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)  # whose holds nobody has given back as yet
    stopping: int = 0  # how often it was told to end
    stop_by_s: float = 0.0
    was_ready: bool = False
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def run(self) -> None:
        """Returns when all workers have ended. Raises CannotStart."""
        waking, woken = socket.socketpair()
        for end in (waking, woken):
            end.setblocking(False)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: self.stop())
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self.selector.register(waking, selectors.EVENT_READ)
        gc.collect()
        gc.freeze()
        self.slots = [Slot() for _ in range(self.count)]
        while not (self.stopping and not any(slot.pid for slot in self.slots)):
            if not self.stopping:
                self.fill()
            for key, _ in self.selector.select(self.wait_s()):
                self.hear(waking, key)
            self.reap()
            if self.stopping and edge.monotonic() > self.stop_by_s:
                self.signal_all(signal.SIGKILL)
        if not self.was_ready:
            raise CannotStart

    def stop(self) -> None:
        """Drains all; the second time, at once."""
        self.stopping += 1
        self.stop_by_s = edge.monotonic() + self.drain_s + GRACE_S
        self.sock.close()
        self.signal_all(signal.SIGTERM)

    def signal_all(self, number: signal.Signals) -> None:
        for slot in self.slots:
            if slot.pid:
                os.kill(slot.pid, number)  # not yet waited for, so the number is nobody else's

    def wait_s(self) -> float:
        """Until the next thing is due."""
        due = [slot.start_at_s for slot in self.slots if not slot.pid] if not self.stopping else [self.stop_by_s]
        return max(0.0, min(due, default=edge.monotonic() + 60.0) - edge.monotonic())

    def fill(self) -> None:
        """Starts what is due."""
        now_s = edge.monotonic()
        for slot in self.slots:
            if not slot.pid and slot.start_at_s <= now_s:
                self.fork(slot)

    def fork(self, slot: Slot) -> None:
        told, telling = os.pipe()
        lifeline, line = os.pipe()
        os.set_blocking(line, False)
        slot.owner, slot.dead = edge.new_id("proc"), tuple(sorted(self.dead))
        slot.began_s, slot.is_ready = edge.monotonic(), False
        both = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, both)  # until the child has its own handlers
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's; the supervisor passes it on
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
                others = [end for other in self.slots for end in (other.told, other.line) if end >= 0]
                for end in (line, told, *others):
                    os.close(end)
                place = next(at for at, other in enumerate(self.slots) if other is slot)
                self.work(Start(slot.owner, place, slot.dead, lifeline, lambda: tell(telling)))
                code = 0
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 1
            finally:
                os._exit(code)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
        os.close(telling)
        os.close(lifeline)
        slot.pid, slot.told, slot.line = pid, told, line
        self.selector.register(told, selectors.EVENT_READ, slot)

    def hear(self, waking: socket.socket, key: selectors.SelectorKey) -> None:
        """A signal came, or a worker says that it is ready, or its pipe ended: it is dead, which `reap` then finds."""
        slot = key.data
        if slot is None:
            waking.recv(4096)
            return
        is_ready = bool(os.read(slot.told, 1))
        self.forget(slot)
        if not is_ready:
            return
        slot.is_ready = True
        self.dead -= set(slot.dead)
        if not self.was_ready and all(other.is_ready for other in self.slots):
            self.was_ready = True
            self.ready()

    def forget(self, slot: Slot) -> None:
        """Closes the worker's pipe."""
        if slot.told >= 0:
            self.selector.unregister(slot.told)
            os.close(slot.told)
            slot.told = -1

    def reap(self) -> None:
        """Notes who is dead, and when another is to take the place."""
        for slot in self.slots:
            pid, status = os.waitpid(slot.pid, os.WNOHANG) if slot.pid else (0, 0)
            if not pid:
                continue
            now_s = edge.monotonic()
            self.forget(slot)
            os.close(slot.line)
            slot.line = -1
            self.dead.add(slot.owner)
            self.announce(slot)
            is_well = slot.is_ready and now_s - slot.began_s >= SETTLED_S
            slot.failures = 0 if is_well else min(slot.failures + 1, len(BACKOFF_S) - 1)
            slot.pid, slot.is_ready, slot.start_at_s = 0, False, now_s + BACKOFF_S[slot.failures]
            gave_up = os.WIFEXITED(status) and os.WEXITSTATUS(status) == FATAL
            if not self.was_ready and not self.stopping and (gave_up or slot.failures >= TRIES):
                self.stop()

    def announce(self, dead: Slot) -> None:
        """Tells one living worker who died. If that one dies of it, the next to start still knows of both."""
        for slot in self.slots:
            if slot.is_ready and slot is not dead:
                with suppress(BlockingIOError, BrokenPipeError):
                    os.write(slot.line, dead.owner.encode() + b"\n")
                    return


def tell(pipe: int) -> None:
    """Says that the worker is ready."""
    os.write(pipe, b"1")
    os.close(pipe)
