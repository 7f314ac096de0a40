"""What a provider charged for each case, and for what: submissions, jobs, renders, downloads.

Read off the journal, whose entries say what was asked and billed at once, and off the jobs on the shelf. So it tells as
much as those two remember.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.jobs.desk import BEGIN, effect
from simulator.journal import Entry
from simulator.providers import Provider

Json = dict[str, Any]
Key = tuple[str | None, str]  # case, provider
COUNTS = ("requests", "submits", "downloads", "broken_downloads", "jobs", "renders", "input_tokens", "output_tokens")


@dataclass(slots=True)
class Bill:
    """Of one case at one provider."""

    counts: Counter[str] = field(default_factory=Counter)
    charged: Counter[str] = field(default_factory=Counter)  # by unit

    def charge(self, costs: Mapping[str, float]) -> None:
        """So much more."""
        for unit, amount in costs.items():
            self.charged[unit] += amount  # type: ignore[assignment]  # a Counter adds any number

    def as_json(self, key: Key) -> Json:
        """As the control API tells it."""
        case, provider = key
        costs = {unit: round(amount, 9) for unit, amount in sorted(self.charged.items())}
        return {"case": case, "provider": provider, **{name: self.counts[name] for name in COUNTS}, "charged": costs}


def of_requests(entries: Iterable[Entry], providers: Mapping[str, Provider]) -> list[Json]:
    """What the requests of each case and provider amount to."""
    bills: dict[Key, Bill] = {}
    for entry in entries:
        bill = bills.setdefault((entry.subject.case, entry.subject.provider), Bill())
        bill.counts.update(_counted(entry, providers))
        usage = entry.outcome.usage_true
        if usage is not None:
            bill.counts.update({"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens})
        bill.charge(dict(entry.outcome.billed))
    return [bill.as_json(key) for key, bill in bills.items()]


def _counted(entry: Entry, providers: Mapping[str, Provider]) -> Iterator[str]:
    """What one request counts as; a word for each time."""
    subject, outcome = entry.subject, entry.outcome
    yield "requests"
    row = providers.get(subject.provider)
    mounts = () if row is None else row.mounts
    dialect = next((mount.dialect for mount in mounts if mount.dialect.name == subject.dialect), None)
    if effect(dialect, subject.operation) == BEGIN:
        yield "submits"
    elif subject.operation in downloads(dialect):
        yield "downloads" if outcome.status == 200 and outcome.ended == "end" else "broken_downloads"


def downloads(dialect: object) -> frozenset[str]:
    """The operations of a wire that fetch a file."""
    found: frozenset[str] = getattr(dialect, "downloads", frozenset())
    return found


def total(requests: Iterable[Json], jobs: Iterable[Json]) -> list[Json]:
    """Rows of `of_requests`, of any number of workers, and rows of jobs, each job once: as one."""
    bills: dict[Key, Bill] = {}
    for row in requests:
        bill = bills.setdefault((row["case"], row["provider"]), Bill())
        bill.counts.update({name: row[name] for name in COUNTS})
        bill.charge(row["charged"])
    for job in jobs:
        bill = bills.setdefault((job["case"], job["provider"]), Bill())
        bill.counts.update({"jobs": 1, "renders": job["renders"]})
        bill.charge(job["charged"])
    return [bill.as_json(key) for key, bill in sorted(bills.items(), key=lambda pair: (pair[0][0] or "", pair[0][1]))]
