"""The plan of a job that nothing goes wrong with: how long it waits, starts and runs, drawn by its request.

The fact `pace` of a model says it in delays (numbers or distributions, `simulator/pacing/latency.py`):

    pace: {queue_ms: lognormal p50=300 p99=4000, cold_share: 0.2, cold_ms: lognormal p50=8000 p99=60000,
           run_ms: lognormal p50=800 p99=3000, unit_ms: 180, ahead_max: 4}

`unit_ms` is added for each unit of the work: a step of a sampler, a second of a clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import Any

from simulator import draws
from simulator.jobs.job import Plan
from simulator.pacing import latency


@lru_cache(maxsize=256)
def _delay(written: str | float) -> latency.Distribution:
    return latency.read(written)


def _drawn(pace: Mapping[str, Any], name: str, dice: Random) -> int:
    return round(_delay(pace[name]).draw(dice)) if name in pace else 0


def drawn(pace: Mapping[str, Any], units: int, *key: object) -> Plan:
    """The plan of a job of so many units of work. The same key gives the same plan."""
    dice = draws.dice("job", *key)
    queue_ms = _drawn(pace, "queue_ms", dice)
    cold_ms = _drawn(pace, "cold_ms", dice)
    is_cold = dice.random() < float(pace.get("cold_share", 0.0))
    run_ms = _drawn(pace, "run_ms", dice) + units * _drawn(pace, "unit_ms", dice)
    ahead = draws.between(dice, 0, int(pace.get("ahead_max", 0)))
    plan = Plan(queue_ms=queue_ms, cold_ms=cold_ms if is_cold else 0, run_ms=max(1, run_ms), ahead=ahead)
    return replace(plan, units=units, steps=units)
