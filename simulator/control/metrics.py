"""What the fleet tells Prometheus, added up from the journal's entries: a request in flight costs nothing for it.

An entry is counted once: when somebody asks for the metrics, or when it leaves the journal, whichever comes first. What
is still under way waits aside. So the numbers go on when the journal forgets; only a reset of the fleet begins anew.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from simulator import edge
from simulator.answers.answer import Usage
from simulator.fleet import Fleet
from simulator.journal import PENDING, Entry, Journal, Query
from simulator.lateness import Lateness

Labelled = Mapping[tuple[str, ...], float]

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "windtunnel_fleet_"
SLICE = 2000  # entries counted before frames that are due may leave
ALIKE = 1024  # outcomes tallied apart
BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_EDGES_MS = tuple(second * 1000 for second in BUCKETS_S)


class Histogram:
    """How many durations fell below each edge."""

    __slots__ = ("counts", "sum_ms")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum_ms = 0.0

    def add(self, ms: float) -> None:
        """One duration."""
        self.counts[bisect_left(_EDGES_MS, ms)] += 1
        self.sum_ms += ms

    def merge(self, other: Histogram) -> None:
        """All durations of another one."""
        self.counts = [mine + more for mine, more in zip(self.counts, other.counts, strict=True)]
        self.sum_ms += other.sum_ms

    def buckets(self) -> list[tuple[str, float]]:
        """(upper edge in seconds, how many are not above it), as Prometheus has them."""
        told: list[tuple[str, float]] = []
        total = 0
        for edge_s, count in zip((*BUCKETS_S, None), self.counts, strict=True):
            total += count
            told.append(("+Inf" if edge_s is None else repr(edge_s), total))
        return told


class Totals:
    """Everything counted."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, ...]] = Counter()
        self.faults: Counter[tuple[str, ...]] = Counter()
        self.tokens: Counter[tuple[str, ...]] = Counter()
        self.frames: Counter[tuple[str, ...]] = Counter()
        self.bytes_sent: Counter[tuple[str, ...]] = Counter()
        self.bytes_received: Counter[tuple[str, ...]] = Counter()
        self.ttft: dict[tuple[str, ...], Histogram] = {}
        self.duration: dict[tuple[str, ...], Histogram] = {}
        self._alike: dict[int, tuple[Entry, Histogram]] = {}  # by their outcome, which the entry keeps alive

    def add(self, entry: Entry) -> None:
        """An exchange that ended. Ready-made replies of one outcome are only tallied until `settle`."""
        outcome = entry.outcome
        if entry.sent_ms is None:
            self._add(entry, 1)
            provider = (entry.subject.provider,)
            if entry.first_token_ms is not None:
                self._histogram(self.ttft, provider).add(entry.first_token_ms - entry.arrived_ms)
            if outcome.ended_ms is not None:
                self._histogram(self.duration, provider).add(outcome.ended_ms - entry.arrived_ms)
            return
        found = self._alike.get(id(outcome))
        if found is None:
            if len(self._alike) >= ALIKE:
                self.settle()
            found = self._alike[id(outcome)] = (entry, Histogram())
        found[1].add(entry.sent_ms - entry.arrived_ms)

    def settle(self) -> None:
        """Add up what was tallied."""
        for entry, times in self._alike.values():
            provider = (entry.subject.provider,)
            self._add(entry, sum(times.counts))
            self._histogram(self.duration, provider).merge(times)
            if entry.first_token_ms is not None:
                self._histogram(self.ttft, provider).merge(times)
        self._alike.clear()

    def _add(self, entry: Entry, times: int) -> None:
        subject, outcome = entry.subject, entry.outcome
        provider = (subject.provider,)
        status = "" if outcome.status is None else str(outcome.status)
        self.requests[(*provider, subject.dialect, subject.operation or "", status, outcome.ended)] += times
        self.frames[provider] += times * outcome.frames_sent
        self.bytes_sent[provider] += times * outcome.bytes_sent
        self.bytes_received[provider] += times * len(entry.body)
        for fault in outcome.faults:
            self.faults[(*provider, fault)] += times
        self._tokens(subject.provider, "told", outcome.usage_told, times)
        self._tokens(subject.provider, "true", outcome.usage_true, times)
        if outcome.tokens:
            self.tokens[(*provider, "delivered", "output")] += times * outcome.tokens

    def _tokens(self, provider: str, account: str, usage: Usage | None, times: int) -> None:
        if usage is None:
            return
        counts = {"input": usage.input_tokens, "output": usage.output_tokens}
        counts |= {"cached": usage.cached_tokens, "reasoning": usage.reasoning_tokens}
        for kind, count in counts.items():
            if count:
                self.tokens[(provider, account, kind)] += times * count

    def _histogram(self, of: dict[tuple[str, ...], Histogram], key: tuple[str, ...]) -> Histogram:
        found = of.get(key)
        if found is None:
            found = of[key] = Histogram()
        return found


class Metrics(Collector):
    """The metrics of one fleet."""

    def __init__(self, fleet: Fleet, journal: Journal, lateness: Lateness) -> None:
        self._fleet = fleet
        self._journal = journal
        self._lateness = lateness
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self.clear()
        journal.on_leave = self.see

    def clear(self) -> None:
        """Begin anew, with the next request."""
        self.totals = Totals()
        self._next = self._journal.next_n
        self._pending: list[Entry] = []

    def see(self, n: int, entry: Entry) -> None:
        """Count an entry, unless it was counted before."""
        if n < self._next:
            return
        self._next = n + 1
        if entry.outcome.ended == PENDING:
            self._pending.append(entry)
        else:
            self.totals.add(entry)

    async def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        while self._next < self._journal.next_n:
            for n, entry in list(self._journal.find(Query(since=self._next, limit=SLICE))):
                self.see(n, entry)
            await edge.breathe()
        still: list[Entry] = []
        for entry in self._pending:
            if entry.outcome.ended == PENDING:
                still.append(entry)
            else:
                self.totals.add(entry)
        self._pending = still
        self.totals.settle()
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The families, for the registry."""
        totals = self.totals
        by = ("provider",)
        exchange = (*by, "dialect", "operation", "status", "ended")
        yield _counter("requests", "Requests by how they were answered and how that ended.", exchange, totals.requests)
        yield _counter("faults", "Faults that replies met.", (*by, "fault"), totals.faults)
        yield _counter("tokens", "Tokens told, truly used, and delivered.", (*by, "account", "kind"), totals.tokens)
        yield _counter("frames_sent", "Frames that the system took for sending.", by, totals.frames)
        yield _counter("sent_bytes", "Bytes sent, head and framing included.", by, totals.bytes_sent)
        yield _counter("received_bytes", "Bytes of request bodies.", by, totals.bytes_received)
        yield _histogram("ttft_seconds", "From arrival to the first output token, in fleet time.", by, totals.ttft)
        yield _histogram("duration_seconds", "From arrival to the end, in fleet time.", by, totals.duration)
        flying: Counter[tuple[str, ...]] = Counter((entry.subject.provider,) for entry in self._pending)
        yield _gauge("in_flight", "Requests that are being answered.", flying, by)
        refused: Labelled = {
            (name, of): count for name, door in self._fleet.doors.items() for of, count in door.refused.items()
        }
        yield _counter("refusals", "Requests that a quota or a full queue refused.", (*by, "of"), refused)
        yield from self._state()

    def _state(self) -> Iterator[Metric]:
        """How the fleet itself does."""
        lateness = self._lateness.summary()
        marks: Labelled = {(name,): lateness[f"{name}_ms"] / 1000 for name in ("p50", "p99", "max")}
        yield _gauge("lateness_seconds", "Actual minus planned moment of delayed frames, real time.", marks, ("mark",))
        yield _counter("delayed_frames", "Frames that had a delay.", (), {(): lateness["frames"]})
        yield _gauge("journal_entries", "Entries that the journal holds.", {(): len(self._journal)})
        yield _gauge("journal_dropped", "Entries that made room for newer ones.", {(): self._journal.dropped})
        clock = self._fleet.clock
        yield _gauge("clock_seconds", "The fleet's time.", {(): clock.now_ms() / 1000})
        yield _gauge("clock_scale", "Fleet seconds per real second.", {(): clock.scale})


def _counter(name: str, about: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    family = CounterMetricFamily(PREFIX + name, about, labels=labels)
    for key in sorted(values):
        family.add_metric(key, values[key])
    return family


def _gauge(name: str, about: str, values: Labelled, labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, about, labels=labels)
    for key in sorted(values):
        family.add_metric(key, values[key])
    return family


def _histogram(name: str, about: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], Histogram]) -> Metric:
    family = HistogramMetricFamily(PREFIX + name, about, labels=labels)
    for key in sorted(values):
        family.add_metric(key, values[key].buckets(), values[key].sum_ms / 1000)
    return family
