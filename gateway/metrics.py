"""Counters of this process, in Prometheus' text format."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
BREAKER_VALUES: Final = {"closed": 0, "half_open": 1, "open": 2}


class Metrics:
    """What is counted. Labels are few and fixed: endpoints, status codes, upstreams."""

    __slots__ = ("attempts", "charged_uc", "failures", "in_flight", "requests", "seconds", "times", "tokens")

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()  # (endpoint, status)
        self.attempts: Counter[str] = Counter()  # upstream
        self.failures: Counter[str] = Counter()  # upstream
        self.tokens: Counter[str] = Counter()  # direction
        self.times: dict[str, list[int]] = {}  # endpoint -> requests by bucket, the slower ones last
        self.seconds: Counter[str] = Counter()  # endpoint -> all of them together, in microseconds
        self.charged_uc = 0
        self.in_flight = 0

    def took(self, endpoint: str, seconds: float) -> None:
        """Counts how long a request took, to its last byte."""
        times = self.times.get(endpoint)
        if times is None:
            times = self.times[endpoint] = [0] * (len(BUCKETS_S) + 1)
        times[bisect_left(BUCKETS_S, seconds)] += 1
        self.seconds[endpoint] += round(seconds * 1e6)

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
        histogram(lines, self.times, self.seconds)
        return "\n".join(lines) + "\n"


def histogram(lines: list[str], times: Mapping[str, list[int]], seconds: Mapping[str, int]) -> None:
    """Appends how long requests took."""
    if not times:
        return
    name = "gateway_request_seconds"
    lines += (f"# HELP {name} From a request to the last byte of its answer.", f"# TYPE {name} histogram")
    for endpoint, counts in sorted(times.items()):
        label, total = f'endpoint="{endpoint}"', 0
        for bound, count in zip((*(f"{bound:g}" for bound in BUCKETS_S), "+Inf"), counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{{label},le="{bound}"}} {total}')
        lines.append(f"{name}_sum{{{label}}} {seconds[endpoint] / 1e6:.6f}")
        lines.append(f"{name}_count{{{label}}} {total}")


def family(lines: list[str], name: str, kind: str, about: str, values: Iterable[tuple[str, int]]) -> None:
    """Appends one metric with all its label sets."""
    lines += (f"# HELP {name} {about}", f"# TYPE {name} {kind}")
    lines += (f"{name}{{{labels}}} {value}" if labels else f"{name} {value}" for labels, value in values)
