"""How the replies of all workers to one question become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import orjson
from prometheus_client.core import Metric, Sample
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

from simulator.lateness import Lateness
from simulator.workers.asgi import Told

Key = tuple[str, str, tuple[tuple[str, str], ...]]
ALIKE: Final = ("_ms", "_seconds", "_info", "_scale")  # how the names of gauges end that do not add up


def lateness(replies: Sequence[Told]) -> Told:
    """The histograms of all, added up."""
    whole = Lateness()
    for reply in replies:
        told = orjson.loads(reply.body)
        whole.add(told["counts"], told["max_ms"])
    return replies[0]._replace(body=orjson.dumps(whole.summary()).decode())


def metrics(replies: Sequence[Told]) -> Told:
    """The samples of all, added up; of gauges that are no counts (the clock, lateness) the highest."""
    families: dict[str, Metric] = {}
    values: dict[Key, float] = {}
    for reply in replies:
        for family in text_string_to_metric_families(reply.body):
            families.setdefault(family.name, family)
            for sample in family.samples:
                key = (family.name, sample.name, tuple(sorted(sample.labels.items())))
                if key not in values:
                    values[key] = sample.value
                elif family.type == "gauge" and family.name.endswith(ALIKE):
                    values[key] = max(values[key], sample.value)
                else:
                    values[key] += sample.value
    for family in families.values():
        family.samples = [Sample(key[1], dict(key[2]), value) for key, value in values.items() if key[0] == family.name]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collected(list(families.values())))
    return replies[0]._replace(body=generate_latest(registry).decode())


class Collected(Collector):
    """Families that are there already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        """All of them."""
        return self._families


def explain(replies: Sequence[Told]) -> Told:
    """The requests of all, each explained where it was answered."""
    found = [one for reply in replies for one in orjson.loads(reply.body)["requests"]]
    found.sort(key=lambda one: one["arrived_ms"])
    return replies[0]._replace(body=orjson.dumps({"requests": found}).decode())


def jobs(replies: Sequence[Told]) -> Told:
    """The jobs of all; of one that several hold, because they were asked about it, one is told."""
    found = {(row["provider"], row["job"]): row for reply in replies for row in orjson.loads(reply.body)["jobs"]}
    ordered = sorted(found.values(), key=lambda row: row["submitted_ms"])
    return replies[0]._replace(body=orjson.dumps({"jobs": ordered}).decode())


def webhooks(replies: Sequence[Told]) -> Told:
    """The calls of all in the order in which they left, numbered anew."""
    told = [orjson.loads(reply.body) for reply in replies]
    calls = sorted(
        (call for one in told for call in one["webhooks"]), key=lambda call: (call["sent_ms"], call["due_ms"])
    )
    content = {"webhooks": [{**call, "n": n} for n, call in enumerate(calls, 1)]}
    content |= {name: sum(one[name] for one in told) for name in ("waiting", "under_way", "dropped")}
    return replies[0]._replace(body=orjson.dumps(content).decode())


MERGES: Final[Mapping[str, Callable[[Sequence[Told]], Told]]] = {  # by path; of any other the keeper's reply stands
    "/explain": explain,
    "/jobs": jobs,
    "/lateness": lateness,
    "/metrics": metrics,
    "/webhooks": webhooks,
}
QUERIES: Final[Mapping[str, str]] = {"/lateness": "counts=true"}  # what is asked of each instead
