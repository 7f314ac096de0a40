"""Usage logs that lose, blur or betray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as changed
from typing import Any

from gateway import llm, usage
from gateway.edge import new_id
from gateway.endpoints import usage as endpoint
from gateway.ledger.desk import Desk, Work
from gateway.usage import UsageQuery, UsageRow
from mutants._patch import around
from mutants.registry import mutant


def edit_rows(edit: Callable[[UsageRow], UsageRow]) -> None:
    """Every row is written as `edit` makes it."""

    @around(llm, "usage_row")
    def usage_row(old: Any, *args: Any) -> UsageRow:
        return edit(old(*args))


def edit_entries(edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Every row is shown as `edit` makes it."""

    @around(usage, "entry")
    def entry(old: Any, row: Any) -> dict[str, Any]:
        return edit(old(row))


def edit_reports(edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Every page of the log is shown as `edit` makes it."""

    @around(endpoint, "report")
    def report(old: Any, *args: Any) -> dict[str, Any]:
        return edit(old(*args))


def drop_rows(is_dropped: Callable[[int, Work, list[Work]], bool]) -> None:
    """Some rows are not written; `is_dropped` gets the place in a batch, the work, and the batch."""

    @around(Desk, "apply")
    def apply(old: Any, self: Desk, connection: Any, works: list[Work]) -> Any:
        kept = [
            work._replace(row=None) if work.row and is_dropped(place, work, works) else work
            for place, work in enumerate(works)
        ]
        return old(self, connection, kept)


@mutant()
def log_row_missing() -> None:
    """A streamed call has no row."""
    drop_rows(lambda _place, work, _works: bool(work.row and work.row.stream))


@mutant()
def failed_requests_unlogged() -> None:
    """A call that failed has no row."""
    drop_rows(lambda _place, work, _works: bool(work.row and work.row.status != "succeeded"))


@mutant("GD-008")
def disconnect_status_recorded_as_success() -> None:
    """Every row says that the call succeeded."""
    edit_rows(lambda row: row._replace(status="succeeded", status_code=200))


@mutant("GD-184")
def billed_cost_missing_on_failed_requests() -> None:
    """A row of a call that did not succeed shows no cost, though some was charged."""
    edit_entries(lambda row: row if row["status"] == "succeeded" else {**row, "costUc": 0, "costCredits": "0.000000"})


@mutant()
def log_cost_differs_from_charge() -> None:
    """A row shows its cost cut to thousandths of a credit."""
    edit_entries(lambda row: {**row, "costUc": row["costUc"] // 1000 * 1000})


@mutant("GD-191")
def passthrough_call_logged_as_upstream_key() -> None:
    """A row names the upstream where the caller's key is due."""
    edit_rows(lambda row: row._replace(key_id=row.upstream or "none"))


@mutant()
def requested_model_lost() -> None:
    """A row tells the model that was charged, and not the name that was asked for."""
    edit_rows(lambda row: row._replace(requested_model=row.model))


@mutant()
def cost_by_model_wrong() -> None:
    """Costs by model count every call twice."""
    edit_reports(lambda page: {**page, "costByModel": [{**r, "costUc": r["costUc"] * 2} for r in page["costByModel"]]})


@mutant("GD-187")
def daily_aggregate_truncated() -> None:
    """Costs by model cover a hundred calls at most."""
    edit_reports(
        lambda page: {**page, "costByModel": [{**r, "requests": min(r["requests"], 100)} for r in page["costByModel"]]}
    )


@mutant()
def log_filters_ignored() -> None:
    """Every filter shows everything."""

    @around(UsageQuery, "where")
    def where(old: Any, self: UsageQuery) -> Any:
        return old(changed(self, model=None, status=None, endpoint=None, q=None))


@mutant("GD-177")
def logs_not_scoped_to_tenant() -> None:
    """A search in the log finds other users' rows, too."""

    @around(UsageQuery, "where")
    def where(old: Any, self: UsageQuery) -> Any:
        conditions = old(self)
        return conditions[1:] if self.q else conditions


@mutant("GD-190")
def logs_stored_in_local_time() -> None:
    """Times in the log are those of a clock in India, said to be UTC."""

    @around(usage, "iso_utc")
    def iso_utc(old: Any, at_ms: int) -> str:
        return str(old(at_ms + 19_800_000))


@mutant()
def top_requests_unsorted() -> None:
    """The most expensive requests are told cheapest first."""
    edit_reports(lambda page: {**page, "topExpensiveRequests": page["topExpensiveRequests"][::-1]})


@mutant("GD-189")
def log_batch_dropped_on_write_error() -> None:
    """A call whose body holds a NUL takes the rows of all calls with it that are written together."""
    bad: set[str] = set()

    @around(llm, "usage_row")
    def usage_row(old: Any, key: Any, call: Any, *rest: Any) -> UsageRow:
        row: UsageRow = old(key, call, *rest)
        if b"\\u0000" in call.raw:
            bad.add(row.request_id)
        return row

    drop_rows(lambda _place, _work, works: any(work.row and work.row.request_id in bad for work in works))


@mutant()
def log_rows_lost_under_load() -> None:
    """Of rows that are written together, the third and all after it are lost."""
    drop_rows(lambda place, _work, _works: place > 1)


@mutant()
def latency_stops_at_headers() -> None:
    """The latency in the log ends with the first token."""
    edit_rows(lambda row: row._replace(latency_ms=row.latency_ms if row.ttft_ms is None else row.ttft_ms))


@mutant()
def ttft_equals_latency() -> None:
    """The time to the first token in the log is that to the last."""
    edit_rows(lambda row: row._replace(ttft_ms=row.latency_ms))


@mutant()
def log_request_id_differs() -> None:
    """A row bears an id that the client never saw."""
    edit_rows(lambda row: row._replace(request_id=new_id("req")))


@mutant("GD-188")
def failed_attempts_cost_untracked() -> None:
    """A row tells of one attempt, however many there were."""
    edit_rows(lambda row: row._replace(attempts=1))


@mutant()
def usage_costs_as_floats() -> None:
    """Costs in the log are floating-point numbers."""
    edit_entries(lambda row: {**row, "costUc": float(row["costUc"]), "costCredits": row["costUc"] / 1e6})
