"""The usage log as CSV (RFC 4180): a line for every row, however many, and no cell that a spreadsheet would run.

A text that begins with what makes spreadsheets see a formula gets an apostrophe in front; so does one that begins with
an apostrophe, so that taking one away always gives the text back.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.storage.store import Store
from gateway.usage import UsageQuery, entry, page

COLUMNS: Final = (
    *("createdAt", "id", "requestId", "endpoint", "model", "requestedModel", "upstream", "status", "statusCode"),
    *("latencyMs", "ttftMs", "stream", "inputTokens", "cachedInputTokens", "cacheWriteTokens", "outputTokens"),
    *("reasoningTokens", "unit", "units", "costUc", "costCredits", "estimated", "capped", "attempts"),
    *("keyId", "keyName"),
)
FORMULA: Final = frozenset("=+-@＝＋－＠")
FIRST: Final = frozenset("\t\r\n'")
ROWS: Final = 1000  # read at a time

KeyName = Callable[[str], str | None]


def cell(value: Any) -> str:
    """A value as the text of a cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    risky = isinstance(value, str) and (text[:1] in FIRST or text.lstrip()[:1] in FORMULA)
    return f"'{text}" if risky and text else text


def lines(entries: list[Mapping[str, Any]]) -> bytes:
    """Entries of the log as lines."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows([cell(each.get(name)) for name in COLUMNS] for each in entries)
    return out.getvalue().encode()


async def export(store: Store, query: UsageQuery, key_name: KeyName) -> AsyncIterator[bytes]:
    """All rows of the query's period, newest first, after a line of names. Reads one page at a time."""
    head = ",".join(COLUMNS).encode() + b"\r\n"
    while True:
        statement = page(query, ROWS)
        rows = await store.read(lambda c: c.execute(statement).mappings().all())  # noqa: B023 (awaited here)
        entries = [entry(row) for row in rows]
        yield head + lines([{**each, "keyName": key_name(each["keyId"])} for each in entries])
        head = b""
        if len(rows) < ROWS:
            return
        query = replace(query, before=(rows[-1]["created_at_ms"], rows[-1]["id"]))
