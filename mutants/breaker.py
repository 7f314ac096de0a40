"""Circuit breakers that open too soon, too late, or for ever."""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any

from gateway.attempts import Call
from gateway.breaker import Breaker, Breakers
from gateway.chain import Failure, Verdict
from mutants._patch import around, replace
from mutants.registry import mutant


@mutant()
def breaker_never_opens() -> None:
    """A target that keeps failing is asked on."""
    replace(Breaker, "allows", lambda _self, _now: True)


@mutant()
def breaker_never_half_opens() -> None:
    """A target that was left alone is never asked again."""
    replace(Breaker, "allows", lambda self, _now: self.open_until is None)


@mutant()
def breaker_opens_on_4xx() -> None:
    """Requests that a target refuses as wrong count as its failures."""

    @around(Call, "lost")
    def lost(old: Any, self: Call, failure: Failure) -> None:
        old(self, changed(failure, verdict=Verdict.RETRY))


@mutant("GD-077")
def single_blip_disables_upstream() -> None:
    """One failure takes a target out for an hour."""

    @around(Breakers, "of")
    def of(old: Any, self: Breakers, upstream: str, model: str) -> Breaker:
        breaker: Breaker = old(self, upstream, model)
        breaker.failures_to_open, breaker.cooldown_s = 1, 3600
        return breaker
