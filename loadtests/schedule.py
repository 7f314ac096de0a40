"""When the calls of a load are due: one seeded, open-loop schedule, shared out among the workers.

Open loop: a call is due when the schedule says, not when an earlier one has ended, so a stall of the target
cannot hide itself by holding back the calls that would have met it. The n-th arrival is the same at any
number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from loadtests.draws import fraction


@dataclass(frozen=True, slots=True)
class Arrival:
    """The n-th call of a load, due `due_s` after its start."""

    n: int
    due_s: float


def poisson(rate_hz: float, time_s: float, seed: int) -> Iterator[Arrival]:
    """Arrivals with exponential gaps of mean 1 / rate_hz, up to time_s."""
    if rate_hz <= 0:
        raise ValueError(f"rate_hz must be > 0, got {rate_hz}")
    due_s, n = 0.0, 0
    while True:
        due_s -= math.log1p(-fraction(seed, "arrival", n)) / rate_hz
        if due_s >= time_s:
            return
        yield Arrival(n, due_s)
        n += 1


def share(arrivals: Iterator[Arrival], worker: int, workers: int) -> Iterator[Arrival]:
    """Every `workers`-th arrival, beginning with the worker's own number."""
    if not 0 <= worker < workers:
        raise ValueError(f"worker must be in [0, {workers}), got {worker}")
    return (arrival for arrival in arrivals if arrival.n % workers == worker)
