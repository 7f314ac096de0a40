"""What a load measures: HDR histograms that merge over workers without loss, and counts.

Each latency is kept twice. *Service* runs from the moment the request was sent; *effective* from the moment
it was due, so it holds what a caller waits when the target or the load generator falls behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from hdrh.histogram import HdrHistogram

LOWEST_US = 1
HIGHEST_US = 3_600_000_000  # an hour
DIGITS = 3
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


class Metrics:
    """Histograms by (row, metric) and counts by name. Times go in as seconds and come out as milliseconds."""

    def __init__(self) -> None:
        self._histograms: dict[tuple[str, str], Any] = {}
        self.counts: Counter[str] = Counter()

    def record(self, row: str, metric: str, seconds: float) -> None:
        """Count one time; anything shorter than a microsecond counts as one."""
        histogram = self._histograms.get((row, metric))
        if histogram is None:
            histogram = self._histograms[row, metric] = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
        histogram.record_value(min(max(round(seconds * 1e6), LOWEST_US), HIGHEST_US))

    def drain(self) -> dict[str, Any]:
        """All that was recorded since the last drain, as JSON that `merge` takes in."""
        histograms = [[row, metric, h.encode().decode()] for (row, metric), h in self._histograms.items()]
        told = {"histograms": histograms, "counts": dict(self.counts)}
        self._histograms = {}
        self.counts = Counter()
        return told

    def merge(self, told: Mapping[str, Any]) -> None:
        """Add what another process drained."""
        for row, metric, encoded in told["histograms"]:
            other = HdrHistogram.decode(encoded.encode())
            own = self._histograms.setdefault((row, metric), HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS))
            own.add(other)
        self.counts.update(told["counts"])

    def rows(self) -> dict[str, dict[str, dict[str, float]]]:
        """Summaries by row and metric, in milliseconds."""
        table: dict[str, dict[str, dict[str, float]]] = {}
        for (row, metric), histogram in sorted(self._histograms.items()):
            table.setdefault(row, {})[metric] = summary(histogram)
        return table


def summary(histogram: Any) -> dict[str, float]:
    """Count, percentiles and maximum of a histogram, in milliseconds."""
    told: dict[str, float] = {"count": int(histogram.get_total_count())}
    for percentile in PERCENTILES:
        told[f"p{percentile:g}_ms"] = histogram.get_value_at_percentile(percentile) / 1000
    told["max_ms"] = histogram.get_max_value() / 1000
    return told


def table(rows: Mapping[str, Mapping[str, Mapping[str, float]]], metrics: Iterable[str]) -> str:
    """The summaries as a text table, one line for each row and metric."""
    head = f"  {'calls':<18}{'metric':<12}{'count':>8}{'p50':>10}{'p90':>10}{'p99':>10}{'p99.9':>10}{'max':>10}   ms"
    lines = [head]
    for row, of_metric in rows.items():
        for metric in metrics:
            told = of_metric.get(metric)
            if told is not None:
                times = "".join(f"{told[f'{p}_ms']:>10.1f}" for p in ("p50", "p90", "p99", "p99.9", "max"))
                lines.append(f"  {row:<18}{metric:<12}{told['count']:>8.0f}{times}")
    return "\n".join(lines)
