"""Rows of quotas as files and the control API have them: their schema, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.faults import Flaw, Flawed
from simulator.quotas.limiter import ESTIMATE, Limit
from simulator.rules.selectors import read_globs
from simulator.rules.timeline import read_time_ms

DAY_MS = 86_400_000
PER_DUE = 'a time of at least 1 ms, such as "1m", "10s" or "1d"'
KINDS = ("fixed", "sliding", "token_bucket")
OF = ("requests", "input_tokens", "output_tokens", "tokens", "concurrency", "jobs", "balance")
TIMELESS = {
    "concurrency": "it counts what is in flight",
    "jobs": "it counts what is in flight",
    "balance": "it does not come back with time",
}
ONLY = {"over": "jobs", "slots": "jobs", "unit": "balance"}  # keys that only one kind of quota has
BY = ("key", "org", "model")


def read(rows: Sequence[Mapping[str, Any]], where: str = "quotas") -> tuple[Limit, ...]:
    """The quotas in rows that fit their schema. Raises Flawed for what a schema cannot say."""
    limits: list[Limit] = []
    flaws: list[Flaw] = []
    for index, row in enumerate(rows):
        try:
            limits.append(_limit(row))
        except ValueError as error:
            flaws.append(Flaw(f"{where}[{index}]", repr(dict(row)), str(error)))
    if flaws:
        raise Flawed(flaws)
    return tuple(limits)


def _limit(row: Mapping[str, Any]) -> Limit:
    of, kind = row.get("of", "requests"), row.get("kind", "sliding")
    burst = row.get("burst")
    if of in TIMELESS and set(row) & {"per", "kind", "burst"}:
        raise ValueError(f"{of} without per, kind and burst: {TIMELESS[of]}")
    for name, owner in ONLY.items():
        if name in row and of != owner:
            raise ValueError(f"{name} only with of: {owner}")
    if of == "balance" and "unit" not in row:
        raise ValueError("unit: what the balance is counted in, as the provider charges (credits, usd, seconds)")
    if of != "balance" and row["limit"] != int(row["limit"]):
        raise ValueError("limit: a whole number, but for a balance")
    if burst is not None and kind != "token_bucket":
        raise ValueError("burst only with kind: token_bucket")
    return Limit(
        limit=row["limit"] if of == "balance" else int(row["limit"]),
        of=of,
        per_ms=None if of in TIMELESS else read_per_ms(row.get("per", "1m")),
        kind=kind,
        by=tuple(row.get("by", ("key", "model"))),
        burst=burst,
        models=read_globs(row["models"]) if "models" in row else (),
        operations=read_globs(row["operations"]) if "operations" in row else (),
        count=row.get("count", "actual"),
        cached=row.get("cached", "counted"),
        estimate=row.get("estimate", ESTIMATE),
        over=row.get("over", "refuse"),
        slots=row.get("slots", "job"),
        unit=row.get("unit", ""),
    )


def read_per_ms(value: object) -> int:
    """Whole milliseconds of a time; days as `1d`. Raises ValueError with what was due."""
    text = value.strip() if isinstance(value, str) else ""
    try:
        ms = float(text[:-1]) * DAY_MS if text.endswith("d") else read_time_ms(value)
    except ValueError:
        raise ValueError(f"per: {PER_DUE}") from None
    if not 1 <= ms <= 366 * DAY_MS or ms != int(ms):
        raise ValueError(f"per: {PER_DUE}")
    return int(ms)


ROW_SCHEMA: Mapping[str, Any] = {
    "description": "So much of something, in so much time, for everyone counted together.",
    "type": "object",
    "additionalProperties": False,
    "required": ["limit"],
    "properties": {
        "limit": {
            "type": "number",
            "minimum": 0,
            "description": "How much, whole but for a balance; 0 refuses everything.",
        },
        "of": {"enum": list(OF), "description": "What is counted; requests if nothing is said."},
        "per": {"description": f"{PER_DUE}; 1m if nothing is said", "type": ["string", "number"]},
        "kind": {"enum": list(KINDS), "description": "How it is counted; sliding if nothing is said."},
        "burst": {"type": "integer", "minimum": 1, "description": "What a token bucket holds; `limit` if not said."},
        "by": {
            "description": "Who is counted together: key and model if nothing is said; []: everyone.",
            "type": "array",
            "uniqueItems": True,
            "items": {"enum": list(BY)},
        },
        "models": {"$ref": "#/$defs/globs", "description": "Dated names of the models it concerns; all, if not said."},
        "operations": {"$ref": "#/$defs/globs", "description": "Operations it concerns; all but count_tokens, if not."},
        "count": {"enum": ["actual", "admission"], "description": "Whether tokens are corrected once the reply ended."},
        "cached": {"enum": ["counted", "free"], "description": "Whether input read from a cache counts."},
        "estimate": {"type": "integer", "minimum": 0, "description": "Output assumed where nobody names the most."},
        "over": {
            "enum": ["refuse", "queue"],
            "description": "Jobs: what becomes of those for which there is no room; refused if nothing is said.",
        },
        "slots": {
            "enum": ["job", "result"],
            "description": "Jobs: whether one takes one place or one for each of its results; one if nothing is said.",
        },
        "unit": {"type": "string", "minLength": 1, "description": "Balance: the provider's unit, e.g. credits."},
    },
}


def schema() -> dict[str, Any]:
    """Of the quotas of one provider."""
    return {"description": "What it admits at most.", "type": "array", "items": dict(ROW_SCHEMA)}
