"""Counters of this process, in Prometheus' text format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

BREAKER_VALUES: Final = {"closed": 0, "half_open": 1, "open": 2}


class Metrics:
    """What is counted. Labels are few and fixed: endpoints, status codes, upstreams."""

    __slots__ = ("attempts", "charged_uc", "failures", "in_flight", "requests", "tokens")

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()  # (endpoint, status)
        self.attempts: Counter[str] = Counter()  # upstream
        self.failures: Counter[str] = Counter()  # upstream
        self.tokens: Counter[str] = Counter()  # direction
        self.charged_uc = 0
        self.in_flight = 0

    def render(self, breakers: Mapping[str, str]) -> str:
        """All of them as text."""
        lines: list[str] = []
        requests = ((f'endpoint="{e}",status="{s}"', n) for (e, s), n in sorted(self.requests.items()))
        family(lines, "gateway_requests_total", "counter", "Requests answered.", requests)
        family(lines, "gateway_requests_in_flight", "gauge", "Requests being answered.", [("", self.in_flight)])
        attempts = ((f'upstream="{u}"', n) for u, n in sorted(self.attempts.items()))
        family(lines, "gateway_upstream_attempts_total", "counter", "Requests sent to upstreams.", attempts)
        failures = ((f'upstream="{u}"', n) for u, n in sorted(self.failures.items()))
        family(lines, "gateway_upstream_failures_total", "counter", "Attempts that failed.", failures)
        states = ((f'upstream="{u}"', BREAKER_VALUES[s]) for u, s in breakers.items())
        family(lines, "gateway_breaker_state", "gauge", "0 closed, 1 half open, 2 open.", states)
        tokens = ((f'direction="{d}"', n) for d, n in sorted(self.tokens.items()))
        family(lines, "gateway_tokens_total", "counter", "Tokens charged.", tokens)
        family(lines, "gateway_charged_microcredits_total", "counter", "Microcredits charged.", [("", self.charged_uc)])
        return "\n".join(lines) + "\n"


def family(lines: list[str], name: str, kind: str, about: str, values: Iterable[tuple[str, int]]) -> None:
    """Appends one metric with all its label sets."""
    lines += (f"# HELP {name} {about}", f"# TYPE {name} {kind}")
    lines += (f"{name}{{{labels}}} {value}" if labels else f"{name} {value}" for labels, value in values)
