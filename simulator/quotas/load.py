"""How a provider slows down under load: a curve with a knee, and past capacity a collapse.

What counts is how many requests are in flight at the provider when one is admitted, itself included, as a share u of
its `capacity`. With it two factors stretch the delays that the provider has anyway (it needs some: a latency fault, or
`--latency realistic`):

- The first byte waits in a queue: the factor grows with the square of u up to the knee, then geometrically, and is
  `factor_at_capacity` where u is 1.
- Tokens share the machine: up to the knee each stream runs nearly at full speed; from there on the streams share what
  there is, so that all of them together deliver the same; beyond `collapse_beyond` they deliver less and less.

This is the one thing in the fleet that depends on concurrency, by its nature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from simulator.problem import KINDS_BY_STATUS, Problem

KNEE_SHARE = 0.1  # of the way to `factor_at_capacity` that the first byte has gone at the knee
GAP_AT_KNEE = 1.05
COLLAPSE_POWER = 2  # total goodput falls with this power of the load
FACTOR_MAX = 1000.0
STATUSES = (503, 529, 429)


class Pace(NamedTuple):
    """What delays are multiplied by."""

    ttft: float = 1.0
    gap: float = 1.0


UNLOADED = Pace()
AT_ONCE = Pace(0.0, 0.0)  # of who is turned away: no model is waited for


@dataclass(frozen=True, slots=True)
class Load:
    """The curve of one provider."""

    capacity: int
    knee: float = 0.8
    factor_at_capacity: float = 3.0
    collapse_beyond: float = 1.2
    max_queue: int | None = None  # beyond capacity; None: everything is let in
    full: int = 503

    def pace(self, in_flight: int) -> Pace:
        """The factors for a request with which so many are in flight."""
        share = in_flight / self.capacity
        return Pace(min(FACTOR_MAX, self._ttft(share)), min(FACTOR_MAX, self._gap(share)))

    def goodput(self, in_flight: int) -> float:
        """What so many streams deliver together, in streams at full speed."""
        return in_flight / self.pace(in_flight).gap

    def refusal(self, in_flight: int) -> Problem | None:
        """What a request meets with which more would be in flight than are let in."""
        if self.max_queue is None or in_flight <= self.capacity + self.max_queue:
            return None
        return Problem(KINDS_BY_STATUS.get(self.full, "overloaded"), status=self.full)

    def _ttft(self, share: float) -> float:
        at_knee = 1 + KNEE_SHARE * (self.factor_at_capacity - 1)
        if share <= self.knee:
            return 1 + (at_knee - 1) * (share / self.knee) ** 2
        power = min(100.0, (share - self.knee) / (1 - self.knee))
        return at_knee * float((self.factor_at_capacity / at_knee) ** power)

    def _gap(self, share: float) -> float:
        if share <= self.knee:
            return 1 + (GAP_AT_KNEE - 1) * (share / self.knee) ** 2
        shared = GAP_AT_KNEE * share / self.knee  # all streams together deliver what they did at the knee
        if share <= self.collapse_beyond:
            return shared
        return shared * float((share / self.collapse_beyond) ** COLLAPSE_POWER)


def read(row: Mapping[str, Any]) -> Load:
    """The load model in a row that fits its schema."""
    return Load(**row)


SCHEMA: Mapping[str, Any] = {
    "description": "How it slows down the more requests are in flight.",
    "type": "object",
    "additionalProperties": False,
    "required": ["capacity"],
    "properties": {
        "capacity": {"type": "integer", "minimum": 1, "description": "Requests in flight that it is made for."},
        "knee": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 0.99,
            "description": "Share of capacity from which on it slows down steeply.",
        },
        "factor_at_capacity": {
            "type": "number",
            "minimum": 1,
            "description": "How many times longer the first byte takes at capacity.",
        },
        "collapse_beyond": {
            "type": "number",
            "minimum": 1,
            "description": "Share of capacity beyond which all streams together deliver less.",
        },
        "max_queue": {"type": "integer", "minimum": 0, "description": "How many more than capacity are let in."},
        "full": {"enum": list(STATUSES), "description": "What the others are answered with; 503 if not said."},
    },
}
