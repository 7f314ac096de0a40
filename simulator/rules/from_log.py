"""Yesterday's outage as a scenario: from a gateway's usage log, how often each provider failed, and how slow it was.

Reads the JSON of `GET /api/api-usage`, a list or lines of such entries, and CSV. Per provider and stretch of time: a
rule for each status of 400 and above with its share of the requests, then one for the rest, each with its latencies.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import yaml

from simulator.faults import Flaw, Flawed

COLUMNS: dict[str, tuple[str, ...]] = {  # what we need -> what logs call it
    "provider": ("upstream", "provider"),
    "status": ("statusCode", "status_code", "status"),
    "at": ("createdAt", "created_at", "timestamp", "at"),
    "latency_ms": ("latencyMs", "latency_ms"),
    "ttft_ms": ("ttftMs", "ttft_ms"),
}
NEEDED = ("provider", "status", "at")
WORDS = {"succeeded": 200, "success": 200, "ok": 200}
CLIENT_CLOSED = 499  # the caller's doing: says nothing about the provider
PERCENTS = (0, 10, 25, 50, 75, 90, 95, 99, 100)


@dataclass(frozen=True, slots=True)
class Call:
    """One row of a log."""

    provider: str
    at_ms: float
    status: int
    latency_ms: float | None = None
    ttft_ms: float | None = None


def read_log(text: str, columns: Mapping[str, str] | None = None, names: Mapping[str, str] | None = None) -> list[Call]:
    """The calls in a log, oldest first; rows that reached no provider are left out. Raises Flawed.

    `columns` says what the log calls our columns; `names` what our fleet calls its providers.
    """
    rows = _rows(text)
    where = _columns(rows, columns or {})
    calls = [_call(row, where, names or {}, number) for number, row in enumerate(rows, 1)]
    found = sorted((call for call in calls if call is not None), key=lambda call: call.at_ms)
    if not found:
        raise Flawed([Flaw("the log", f"{len(rows)} rows without a provider", "a row that names its provider")])
    return found


def _rows(text: str) -> list[Mapping[str, Any]]:
    """The rows of JSON, lines of JSON, or CSV."""
    start = text.lstrip("\ufeff \t\r\n")[:1]
    found = _json_rows(text) if start in ("{", "[") else list(csv.DictReader(io.StringIO(text.lstrip("\ufeff"))))
    if not found or not all(isinstance(row, Mapping) for row in found):
        raise Flawed([Flaw("the log", "no rows", "JSON with a list `logs`, or CSV with a line of column names")])
    return found


def _json_rows(text: str) -> list[Any]:
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            return [orjson.loads(line) for line in text.splitlines() if line.strip()]
        except orjson.JSONDecodeError:
            raise Flawed([Flaw("the log", str(error), "JSON, or CSV")]) from None
    if isinstance(data, Mapping) and not isinstance(data.get("logs"), list):
        return [data]
    return list(data["logs"] if isinstance(data, Mapping) else data)


def _columns(rows: Sequence[Mapping[str, Any]], said: Mapping[str, str]) -> dict[str, str]:
    """What the log calls each of our columns. Raises Flawed."""
    there = {name for row in rows[:1000] for name in row if isinstance(name, str)}
    flaws = [Flaw("columns", repr(name), f"one of {', '.join(COLUMNS)}") for name in said if name not in COLUMNS]
    listed = ", ".join(sorted(there))
    flaws += [Flaw(f"columns.{name}", repr(said[name]), f"one of {listed}") for name in said if said[name] not in there]
    where = {name: next((alias for alias in aliases if alias in there), "") for name, aliases in COLUMNS.items()}
    where |= said
    for name in NEEDED:
        if not where[name]:
            flaws.append(
                Flaw(
                    f"columns.{name}", "no such column", f"one of {', '.join(COLUMNS[name])}, or say which of {listed}"
                )
            )
    if flaws:
        raise Flawed(flaws)
    return where


def _call(row: Mapping[str, Any], where: Mapping[str, str], names: Mapping[str, str], number: int) -> Call | None:
    provider = row.get(where["provider"])
    if provider in (None, ""):
        return None
    return Call(
        names.get(str(provider), str(provider)),
        _moment(row.get(where["at"]), f"row {number}.{where['at']}"),
        _status(row.get(where["status"]), f"row {number}.{where['status']}"),
        _milliseconds(row.get(where["latency_ms"]), f"row {number}.{where['latency_ms']}"),
        _milliseconds(row.get(where["ttft_ms"]), f"row {number}.{where['ttft_ms']}"),
    )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if 0 <= found < 1e15 else None


def _moment(value: object, where: str) -> float:
    number = _number(value)
    if number is not None:
        return number if number > 1e11 else number * 1000
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise Flawed([Flaw(where, repr(value), "an ISO 8601 time, or Unix seconds or milliseconds")]) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000


def _status(value: object, where: str) -> int:
    number = WORDS.get(str(value).lower(), _number(value))
    if number is None or number != int(number) or not 100 <= number <= 599:
        raise Flawed([Flaw(where, repr(value), "an HTTP status")])
    return int(number)


def _milliseconds(value: object, where: str) -> float | None:
    if value in (None, ""):
        return None
    number = _number(value)
    if number is None or number >= 1e9:
        raise Flawed([Flaw(where, repr(value), "milliseconds >= 0, or nothing")])
    return number


def to_scenario(calls: Sequence[Call], bucket_ms: float, name: str = "from-log") -> dict[str, Any]:
    """A scenario file that does to requests what the log says was done to these, per provider and `bucket_ms`."""
    start_ms = calls[0].at_ms // bucket_ms * bucket_ms
    stretches: dict[tuple[int, str], list[Call]] = defaultdict(list)
    for call in calls:
        stretches[int((call.at_ms - start_ms) // bucket_ms), call.provider].append(call)
    rules = [
        rule
        for (number, provider), found in sorted(stretches.items())
        for rule in _rules(provider, found, number * bucket_ms / 1000, bucket_ms / 1000)
    ]
    begin, end = (
        datetime.fromtimestamp(ms / 1000, UTC).isoformat("T", "seconds") for ms in (start_ms, calls[-1].at_ms)
    )
    failed = sum(is_error(call) for call in calls)
    providers = sorted({call.provider for call in calls})
    whom = ", ".join(providers)
    about = f"What a log says of {len(calls)} requests to {whom} from {begin} to {end}: {failed} of them failed."
    return {"name": name, "about": about, "rules": rules}


def is_error(call: Call) -> bool:
    """Whether the provider failed."""
    return call.status >= 400 and call.status != CLIENT_CLOSED


def _rules(provider: str, calls: list[Call], at_s: float, for_s: float) -> Iterable[dict[str, Any]]:
    """One stretch of one provider. Each share is of what the rules before it left over."""
    by_status: dict[int, list[Call]] = defaultdict(list)
    for call in calls:
        by_status[call.status if is_error(call) else 0].append(call)
    left = len(calls)
    for status in sorted(by_status, reverse=True):
        found = by_status[status]
        fault = [{"kind": "status", "status": status}] if status else []
        fault += _latency([call for call in found if call.status != CLIENT_CLOSED])
        chance = len(found) / left
        left -= len(found)
        if fault:
            yield {
                "name": f"{provider} {at_s:g}s {status or 'rest'}",
                "when": {"provider": provider},
                "at": at_s,
                "for": for_s,
                **({"chance": chance} if chance < 1 else {}),
                "otherwise": True,
                "fault": fault,
            }


def _latency(calls: Sequence[Call]) -> list[dict[str, Any]]:
    """The fault that makes requests as slow as these were; none when the log does not tell."""
    first_ms = percentiles([call.ttft_ms for call in calls if call.ttft_ms is not None])
    total_ms = percentiles([call.latency_ms for call in calls if call.latency_ms is not None])
    options = {"ttft_ms": first_ms, "total_ms": total_ms}
    given = {name: value for name, value in options.items() if value is not None}
    return [{"kind": "latency", **given}] if given else []


def percentiles(values: Sequence[float]) -> str | float | None:
    """A distribution as files write it; a number when all are alike, None when there are none."""
    ordered = sorted(values)
    if not ordered:
        return None
    if ordered[0] == ordered[-1]:
        return ordered[0]
    points = []
    for percent in PERCENTS:
        at = percent / 100 * (len(ordered) - 1)
        low, part = int(at), at - int(at)
        high = min(low + 1, len(ordered) - 1)
        points.append(f"p{percent}={ordered[low] + (ordered[high] - ordered[low]) * part:.10g}")
    return " ".join(["percentiles", *points])


def dump(data: Mapping[str, Any]) -> str:
    """A scenario file as text."""
    return str(yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, width=120, default_flow_style=None))
