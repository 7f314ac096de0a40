"""The verdict on a load: what was measured, whether the measurement can be believed, and the audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtests.audit import AuditResult
from loadtests.metrics import Metrics, table

SHOWN_METRICS = ("effective", "service", "ttft", "gap")
SAMPLES = 10


@dataclass(frozen=True, slots=True)
class Bounds:
    """Beyond these a run declares itself invalid, or its target wrong."""

    lag_p99_ms: float = 100.0  # of sends behind their schedule
    lateness_p99_ms: float = 100.0  # of the fleet's frames behind their plan
    dropped: float = 0.01  # share of arrivals that found no free place
    unexpected: float = 0.0  # error budget: share of calls that may end otherwise than planned


@dataclass(slots=True)
class Results:
    """Everything a run leaves behind."""

    facts: dict[str, Any]
    counts: dict[str, int]
    rows: dict[str, dict[str, dict[str, float]]]
    fleet_lateness: dict[str, Any]
    unexpected: list[dict[str, str]]  # samples
    invalid: list[str]
    over_budget: str  # "" or why
    audit: AuditResult
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def exit_code(self) -> int:
        """A wrong bill is wrong however late the run was; an answer in a run that lagged proves nothing."""
        if self.audit.exit_code == 1:
            return 1
        if self.invalid:
            return 3
        return 1 if self.over_budget else self.audit.exit_code

    def to_json(self) -> dict[str, Any]:
        return {
            "exit_code": self.exit_code,
            **self.facts,
            "counts": self.counts,
            "latency": self.rows,
            "fleet_lateness": self.fleet_lateness,
            "unexpected": self.unexpected,
            "over_budget": self.over_budget,
            "invalid": self.invalid,
            "audit": self.audit.to_json(),
        }

    def text(self) -> str:
        """The results for people."""
        facts, counts = self.facts, self.counts
        lag = self.rows.get("all", {}).get("sched_lag", {})
        late = self.fleet_lateness
        plans = ", ".join(f"{n} {name[5:]}" for name, n in sorted(counts.items()) if name.startswith("plan "))
        lines = [
            f"Load {facts['scenario']} on {facts['target']}: {facts['rate_hz']:g} calls/s for {facts['time_s']:g} s, "
            f"at most {facts['users']} at once, seed {facts['seed']}, {facts['workers']} worker(s)",
            "",
            table(self.rows, SHOWN_METRICS),
            "",
            f"  {counts.get('arrivals', 0)} arrivals, {counts.get('calls', 0)} calls ({plans})",
            f"  {counts.get('dropped', 0)} dropped, {counts.get('unfinished', 0)} unfinished, "
            f"{counts.get('unexpected', 0)} unexpected",
            f"  send lag       p50 {lag.get('p50_ms', 0):.1f}  p99 {lag.get('p99_ms', 0):.1f}  "
            f"max {lag.get('max_ms', 0):.1f} ms",
            f"  fleet lateness p50 {late['p50_ms']:.1f}  p99 {late['p99_ms']:.1f}  max {late['max_ms']:.1f} ms "
            f"({late['frames']} frames)",
        ]
        lines += [f"  unexpected  {each['case']} ({each['row']}): {each['problem']}" for each in self.unexpected]
        lines += [f"  over budget {self.over_budget}"] if self.over_budget else []
        lines += [f"  INVALID     {reason}" for reason in self.invalid]
        return "\n".join([*lines, "", self.audit.text()])


def judge(
    facts: dict[str, Any],
    measured: Mapping[str, Any],
    lateness: dict[str, Any],
    audited: AuditResult,
    bounds: Bounds,
) -> Results:
    """Results from what Locust measured, what the fleet says of its lateness, and the audit."""
    metrics = Metrics()
    metrics.merge(measured["metrics"])
    rows, counts = metrics.rows(), metrics.counts
    samples = [
        {"case": case, "request_id": request, "status": status, "row": row, "problem": problem}
        for case, request, status, row, problem in measured["calls"]
        if problem
    ]
    invalid = invalidity(counts, rows, lateness, bounds)
    if measured["done"] < measured["workers"]:
        invalid.append(f"{measured['workers'] - measured['done']} of {measured['workers']} workers never reported back")
    calls = max(1, counts["calls"])
    over = ""
    if counts["unexpected"] / calls > bounds.unexpected:
        over = f"{counts['unexpected']} of {calls} calls ended otherwise than planned; {bounds.unexpected:.2%} may"
    return Results(facts, dict(counts), rows, lateness, samples[:SAMPLES], invalid, over, audited, bounds)


def invalidity(
    counts: Counter[str],
    rows: Mapping[str, Mapping[str, Mapping[str, float]]],
    lateness: Mapping[str, Any],
    bounds: Bounds,
) -> list[str]:
    """Why the measurement cannot be believed; empty when it can."""
    reasons = []
    if not counts["calls"]:
        reasons.append("no call was made")
    lag_ms = rows.get("all", {}).get("sched_lag", {}).get("p99_ms", 0.0)
    if lag_ms > bounds.lag_p99_ms:
        reasons.append(f"sends lagged: p99 {lag_ms:.0f} ms behind schedule, {bounds.lag_p99_ms:g} ms is the bound")
    late_ms = float(lateness["p99_ms"] or 0.0)
    if late_ms > bounds.lateness_p99_ms:
        reasons.append(
            f"the fleet was late: p99 {late_ms:.0f} ms behind plan, {bounds.lateness_p99_ms:g} ms is the bound"
        )
    dropped, arrivals = counts["dropped"], max(1, counts["arrivals"])
    if dropped / arrivals > bounds.dropped:
        reasons.append(f"{dropped} of {arrivals} arrivals found no free place: raise the cap or lower the rate")
    if counts["unfinished"]:
        reasons.append(f"{counts['unfinished']} calls did not end in time")
    return reasons
