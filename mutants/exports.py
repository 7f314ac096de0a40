"""Days, filters, pages and files of the usage log that are not what its rows are."""

from __future__ import annotations

import csv
import io
from dataclasses import replace as changed
from typing import Any

from gateway import usage, usage_csv
from gateway.endpoints import usage as endpoint
from gateway.usage import UsageQuery, credits
from mutants._patch import around, replace
from mutants.logs import edit_reports
from mutants.registry import mutant


def edit_days(edit: Any) -> None:
    """The daily cost is what `edit` makes of it."""

    @around(usage, "_days")
    def days(old: Any, *args: Any) -> list[dict[str, Any]]:
        return [made for made in map(edit, old(*args)) if made is not None]


def edit_queries(edit: Any) -> None:
    """What is asked of the log is what `edit` makes of it."""

    @around(endpoint, "parse")
    def parse(old: Any, *args: Any) -> UsageQuery:
        made: UsageQuery = edit(old(*args))
        return made


def edit_exports(edit: Any) -> None:
    """What is asked of an export is what `edit` makes of it."""

    @around(usage_csv, "export")
    def export(old: Any, store: Any, query: UsageQuery, key_name: Any) -> Any:
        return old(store, edit(query), key_name)


@mutant()
def daily_cost_skips_empty_days() -> None:
    """Days without calls are missing in the daily cost."""
    edit_days(lambda day: day if day["requests"] else None)


@mutant()
def daily_cost_doubled() -> None:
    """The daily cost is twice that of the rows."""
    edit_days(lambda day: {**day, "costUc": 2 * day["costUc"], "costCredits": credits(2 * day["costUc"])})


@mutant()
def usage_key_filter_ignored() -> None:
    """The log cannot be filtered by key."""
    edit_queries(lambda query: changed(query, key_id=None))


@mutant("GD-190")
def usage_period_ignored() -> None:
    """The end of a period is not looked at."""
    edit_queries(lambda query: changed(query, until_ms=None))


@mutant()
def usage_pages_overlap() -> None:
    """Every page of the log begins with the last row of the one before."""
    edit_queries(
        lambda query: query if query.before is None else changed(query, before=(query.before[0], query.before[1] + 1))
    )


@mutant()
def sums_cover_the_page() -> None:
    """The totals are those of the rows on the page."""
    edit_reports(
        lambda told: {
            **told,
            "totals": {**told["totals"], "costUc": sum(row["costUc"] for row in told["logs"])},
        }
    )


@mutant()
def export_obeys_limit() -> None:
    """The export ends where a page of the log would."""

    async def export(store: Any, query: UsageQuery, key_name: Any) -> Any:
        statement = usage.page(query, query.limit)
        rows = await store.read(lambda c: c.execute(statement).mappings().all())
        entries = [usage.entry(row) for row in rows]
        yield ",".join(usage_csv.COLUMNS).encode() + b"\r\n"
        yield usage_csv.lines([{**each, "keyName": key_name(each["keyId"])} for each in entries])

    replace(usage_csv, "export", export)


@mutant()
def export_ignores_filters() -> None:
    """The export has every row, whatever was asked for."""
    edit_exports(lambda query: UsageQuery(query.user_id, query.since_ms, until_ms=query.until_ms))


@mutant()
def export_named_otherwise() -> None:
    """The export's file has no name."""

    @around(endpoint, "download")
    async def download(old: Any, *args: Any) -> Any:
        response = await old(*args)
        response.headers["content-disposition"] = "attachment"
        return response


@mutant("GD-185")
def csv_formula_in_usage_export() -> None:
    """Texts go into the export as they are."""
    replace(usage_csv, "FORMULA", frozenset())
    replace(usage_csv, "FIRST", frozenset())


@mutant("GD-186")
def csv_quote_only_not_enough() -> None:
    """Every cell of the export is quoted, and formulas are left in them."""
    replace(usage_csv, "FORMULA", frozenset())
    replace(usage_csv, "FIRST", frozenset())

    def lines(entries: list[Any]) -> bytes:
        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        writer.writerows([usage_csv.cell(each.get(name)) for name in usage_csv.COLUMNS] for each in entries)
        return out.getvalue().encode()

    replace(usage_csv, "lines", lines)


@mutant()
def csv_apostrophe_lost() -> None:
    """A text that begins with an apostrophe cannot be told from one that was given one."""
    replace(usage_csv, "FIRST", usage_csv.FIRST - {"'"})
