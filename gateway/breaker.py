"""Circuit breakers, one for each (upstream, model): after several failures in a row a target is left alone for a while.

    closed --failures in a row--> open --cooldown over--> half_open --success--> closed
                                   ^----------failure------------'

Pure: the time comes in as seconds of a clock that never goes back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

State = Literal["closed", "open", "half_open"]
WORSE: Final[dict[State, int]] = {"closed": 0, "half_open": 1, "open": 2}


@dataclass(slots=True)
class Breaker:
    """One target's health."""

    failures_to_open: int
    cooldown_s: float
    failures: int = 0  # in a row
    open_until: float | None = None  # None: closed
    probing: bool = False  # half open: the one trial is on its way

    def state(self, now: float) -> State:
        """What it is at this moment."""
        if self.open_until is None:
            return "closed"
        return "open" if now < self.open_until else "half_open"

    def allows(self, now: float) -> bool:
        """Whether a request may go to the target now; half open, only one at a time may."""
        match self.state(now):
            case "closed":
                return True
            case "open":
                return False
            case "half_open":
                return not self.probing

    def begin(self, now: float) -> None:
        """An attempt goes out."""
        if self.state(now) == "half_open":
            self.probing = True

    def succeed(self) -> None:
        """The target answered well."""
        self.failures = 0
        self.open_until = None
        self.probing = False

    def fail(self, now: float, retry_after_s: float | None = None) -> None:
        """The target failed; while it is open, a longer wait that it asks for prolongs the cooldown."""
        was_open = self.open_until is not None
        self.failures += 1
        self.probing = False
        if was_open or self.failures >= self.failures_to_open:
            until = now + max(self.cooldown_s, retry_after_s or 0.0)
            self.open_until = until if self.open_until is None else max(self.open_until, until)

    def give_up(self) -> None:
        """The attempt ended with no verdict on the target (the caller hung up)."""
        self.probing = False


@dataclass(slots=True)
class Breakers:
    """All of them, made on first use."""

    failures_to_open: int
    cooldown_s: float
    by_target: dict[tuple[str, str], Breaker] = field(default_factory=dict)

    def of(self, upstream: str, model: str) -> Breaker:
        """The breaker of this target."""
        found = self.by_target.get((upstream, model))
        if found is None:
            found = Breaker(self.failures_to_open, self.cooldown_s)
            self.by_target[upstream, model] = found
        return found

    def state(self, upstream: str, now: float) -> State:
        """The worst state among the upstream's models."""
        states = [breaker.state(now) for (name, _), breaker in self.by_target.items() if name == upstream]
        return max(states, key=WORSE.__getitem__, default="closed")
