"""Gates: requests held in flight until enough of them are there, somebody lets them go, or their time is up.

What a gate lets go is answered from then on as if it had just come. Nothing is held for ever: each request passes when
its TTL is over, so that a test run that crashed cannot hang the fleet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from simulator.clock import Clock, Waiting

GATES = 10_000  # that are remembered


@dataclass(frozen=True, slots=True)
class Hold:
    """A gate that a reply must pass."""

    gate: str
    until: int | None  # opens once so many are held; None: only when told to
    ttl_ms: float


@dataclass(slots=True, eq=False)
class Held:
    """One request at a gate."""

    go: Callable[[], None]
    ttl: Waiting


@dataclass(slots=True)
class Gate:
    """One gate and who waits there, in the order of arrival."""

    name: str
    until: int | None = None
    is_open: bool = False
    held: list[Held] = field(default_factory=list)
    released: int = 0
    expired: int = 0  # of those released: how many because their TTL was over

    def as_json(self) -> dict[str, Any]:
        """The gate as the control API tells it."""
        return {
            "name": self.name,
            "open": self.is_open,
            "held": len(self.held),
            "until": self.until,
            "released": self.released,
            "expired": self.expired,
        }


class Line(Protocol):
    """What is needed of a wire."""

    @property
    def gone(self) -> bool: ...
    def attend(self, listener: Any) -> None: ...


class Gates:
    """All gates, by name. A gate is there from the first request that comes to it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._gates: dict[str, Gate] = {}

    async def pass_all(self, holds: Sequence[Hold], line: Line) -> None:
        """Return once every gate was passed, one after the other, or the peer went away."""
        visitor = Visitor()
        line.attend(visitor)
        for hold in holds:
            if line.gone or visitor.gone:
                return
            visitor.moved.clear()
            held = self.enter(hold, visitor.moved.set)
            if held is None:
                continue
            try:
                await visitor.moved.wait()
            finally:
                self.leave(hold.gate, held)

    def enter(self, hold: Hold, go: Callable[[], None]) -> Held | None:
        """Come to a gate; None when it is open. Else `go` is called once the way is free."""
        gate = self._gate(hold.gate)
        gate.until = hold.until
        if gate.is_open:
            return None
        if hold.until is not None and len(gate.held) + 1 >= hold.until:
            gate.released += 1
            self.release(hold.gate)
            return None
        ttl = self._clock.call_at(self._clock.now_ms() + hold.ttl_ms, lambda: self._expire(gate, held))
        held = Held(go, ttl)
        gate.held.append(held)
        return held

    def _gate(self, name: str) -> Gate:
        """The gate of that name. Where there are too many, the oldest at which nobody waits is forgotten."""
        gate = self._gates.get(name)
        if gate is None:
            gate = self._gates[name] = Gate(name)
            if len(self._gates) > GATES:
                empty = next((each.name for each in self._gates.values() if not each.held and each is not gate), None)
                self._gates.pop(empty or name, None)
        return gate

    def leave(self, name: str, held: Held) -> None:
        """Go away from a gate, let through or not."""
        held.ttl.cancel()
        gate = self._gates.get(name)
        if gate is not None and held in gate.held:
            gate.held.remove(held)

    def release(self, name: str, count: int | None = None) -> int:
        """Let the `count` go that came first; None opens the gate for all, now and later. Raises KeyError."""
        gate = self._gates[name]
        gate.is_open = gate.is_open or count is None
        going = gate.held[:count]
        gate.held = gate.held[len(going) :]
        gate.released += len(going)
        for held in going:
            held.ttl.cancel()
            held.go()
        return len(going)

    def _expire(self, gate: Gate, held: Held) -> None:
        if held in gate.held:
            gate.held.remove(held)
            gate.released += 1
            gate.expired += 1
            held.go()

    def reset(self) -> None:
        """Let everybody go and forget every gate."""
        for name in self._gates:
            self.release(name)
        self._gates.clear()

    def as_json(self) -> list[dict[str, Any]]:
        """The gates as the control API tells them."""
        return [gate.as_json() for gate in self._gates.values()]


class Visitor:
    """Listens to the wire of a request that is held."""

    __slots__ = ("gone", "moved")

    def __init__(self) -> None:
        self.moved = asyncio.Event()
        self.gone = False

    def on_writable(self) -> None:
        """Nothing is written while a reply is held."""

    def on_lost(self) -> None:
        """The peer does not wait any longer."""
        self.gone = True
        self.moved.set()
