"""The usage log at the dashboard: days, filters, pages, and the same as CSV."""

from __future__ import annotations

import asyncio
import csv
import datetime
import io
import re
from typing import Any

from suites.accounts.company import company
from suites.accounts.keyring import make, rich, somebody
from suites.case import SETTLING_MS, Case, expect_status
from suites.edge import now_ms, sleep_ms
from suites.exchange import Reply
from suites.person import Person, due
from suites.provisioning import Key
from suites.requirement import over, requirement

USAGE, EXPORT = "/api/api-usage", "/api/api-usage/export"
MODELS = ("gpt-5.4", "gpt-5.4-mini", "gpt-5.1")
RISKY = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")  # what spreadsheets may run
NAMES = ('=HYPERLINK("http://x.example","y")', "+1+1", "-2", "@SUM(A1)", " =1+1", "'quoted'", 'a "b", c', "＝1+1")


async def calls(case: Case, keys: list[Key]) -> int:
    """A few calls by each key, of several models and costs, one of them failed; how many."""
    asked = [
        case.chat(key=key, model=model, answer=f"tokens=2 input_tokens={50 * (n + 1)} output_tokens=3")
        for key in keys
        for n, model in enumerate(MODELS)
    ]
    asked.append(case.chat(key=keys[0], model=MODELS[0], fault="status=500"))
    replies = await asyncio.gather(*asked)
    statuses = sorted(reply.status for reply in replies)
    assert statuses == [200] * (len(asked) - 1) + [502], f"statuses {statuses}"
    return len(asked)


async def page(person: Person, query: str = "") -> dict[str, Any]:
    """The answer to a query."""
    return due(await person.get(USAGE + query), 200)


async def settled(case: Case, person: Person, count: int) -> dict[str, Any]:
    """The whole log, once it has so many rows."""
    await case.books(person.user, rows=count)
    return await page(person)


async def logged(person: Person, key: Key) -> None:
    """Return once the log has a row of the key, or after SETTLING_MS."""
    started = now_ms()
    while not (await page(person, f"?keyId={key.id}"))["logs"] and now_ms() - started < SETTLING_MS:
        await sleep_ms(50)


def read_csv(reply: Reply) -> list[dict[str, str]]:
    """The lines of an export, by column."""
    expect_status(reply, 200)
    assert reply.type == "text/csv", f"content-type {reply.headers.get('content-type')!r}"
    assert reply.complete, f"the export was cut off: {reply.cut}"
    return list(csv.DictReader(io.StringIO(reply.raw.decode(), newline="")))


def unguarded(text: str) -> str:
    """The text that a cell stands for."""
    return text.removeprefix("'")


@requirement("ACC-031")
async def test_daily_cost(case: Case) -> None:
    """Every day of the week once, in order; their sums are those of the rows."""
    ada = await rich(case)
    count = await calls(case, [await make(ada)])
    await settled(case, ada, count)
    told = await page(ada, "?days=7")
    days = [datetime.date.fromisoformat(day["date"]) for day in told["dailyCost"]]
    assert len(days) in (7, 8), f"a week has {len(days)} days"
    assert days == [days[0] + datetime.timedelta(n) for n in range(len(days))], f"days are missing: {days}"
    sums: dict[str, tuple[int, int]] = {}
    for row in told["logs"]:
        number, cost_uc = sums.get(row["createdAt"][:10], (0, 0))
        sums[row["createdAt"][:10]] = number + 1, cost_uc + row["costUc"]
    came = {day["date"]: (day["requests"], day["costUc"]) for day in told["dailyCost"] if day["requests"]}
    assert came == sums, f"dailyCost {came}; the rows sum to {sums}"
    models = sum(each["costUc"] for each in told["costByModel"])
    assert models == told["totals"]["costUc"] == sum(row["costUc"] for row in told["logs"]) > 0, f"{models}, {told}"


@requirement("ACC-032")
async def test_filters(case: Case) -> None:
    """By key, cost, status code and time; sums follow the filter."""
    ada = await rich(case)
    first, second = await make(ada), await make(ada)
    count = await calls(case, [first, second])
    rows = (await settled(case, ada, count))["logs"]
    assert len(rows) == count, f"{len(rows)} rows of {count} calls"
    costs = sorted(row["costUc"] for row in rows)
    middle = costs[count // 2]
    newest = rows[0]["createdAt"]
    queries = {
        f"?keyId={second.id}": [row for row in rows if row["keyId"] == second.id],
        f"?minCost={middle / 1e6:.6f}": [row for row in rows if row["costUc"] >= middle],
        "?status=502": [row for row in rows if row["statusCode"] == 502],
        f"?keyId={first.id}&model={MODELS[1]}": [r for r in rows if (r["keyId"], r["model"]) == (first.id, MODELS[1])],
        f"?from={newest}": [row for row in rows if row["createdAt"] >= newest],
        f"?to={newest}": [row for row in rows if row["createdAt"] < newest],
        f"?from={newest[:10]}&to={newest[:10]}": [row for row in rows if row["createdAt"][:10] == newest[:10]],
        "?from=2020-01-01&to=2020-12-31": [],
        f"?keyId={first.id}x": [],
    }
    for query, wanted in queries.items():
        told = await page(ada, query)
        assert told["logs"] == wanted, f"{query}: {len(told['logs'])} rows; due {len(wanted)}"
        sum_uc = sum(row["costUc"] for row in wanted)
        assert told["totals"]["costUc"] == sum_uc, f"{query}: totals {told['totals']}; the rows cost {sum_uc}"


@requirement("ACC-033")
async def test_pages(case: Case) -> None:
    """Two at a time: every row once, newest first; sums cover the period, whatever the page."""
    ada = await rich(case)
    count = await calls(case, [await make(ada), await make(ada)])
    whole = await settled(case, ada, count)
    rows, cursor = [], ""
    for _ in range(count):
        told = await page(ada, f"?limit=2{cursor}")
        rows += told["logs"]
        for name in ("costByModel", "totals", "topExpensiveRequests"):
            assert told[name] == whole[name], f"{name} of a page is not that of the period"
        if told["nextCursor"] is None:
            break
        cursor = f"&cursor={told['nextCursor']}"
    assert rows == whole["logs"], f"{len(rows)} rows on pages; {len(whole['logs'])} in all"


@requirement("ACC-034")
async def test_export(case: Case) -> None:
    """Every row and column as the JSON has them; the file's name has the day."""
    ada = await rich(case)
    key = await make(ada)
    count = await calls(case, [key, await make(ada)])
    rows = (await settled(case, ada, count))["logs"]
    reply = await ada.get(EXPORT + "?days=30")
    lines = read_csv(reply)
    head = reply.headers.get("content-disposition", "")
    assert re.fullmatch(r'attachment; filename="hypereal-usage-\d{4}-\d\d-\d\d\.csv"', head), f"file name {head!r}"
    assert [line["requestId"] for line in lines] == [row["requestId"] for row in rows], "other rows, or another order"
    for line, row in zip(lines, rows, strict=True):
        told = {name: "" if row[name] is None else str(row[name]) for name in line if name in row}
        told |= {name: text.lower() for name, text in told.items() if text in ("True", "False")}
        came = {name: unguarded(line[name]) for name in told}
        assert came == told, f"the line {came} is not the row {told}"
    few = read_csv(await ada.get(f"{EXPORT}?keyId={key.id}&status=502"))
    assert [line["statusCode"] for line in few] == ["502"], f"the filters of the export gave {few}"


@requirement("ACC-034")
async def test_export_is_whole(case: Case) -> None:
    """`limit` means nothing to a file."""
    ada = await rich(case)
    key = await make(ada)
    count = await calls(case, [key])
    await settled(case, ada, count)
    lines = read_csv(await ada.get(f"{EXPORT}?limit=2"))
    assert len(lines) == count, f"{len(lines)} lines of {count} rows"


@requirement("ACC-035")
@over(name=NAMES)
async def test_no_cell_runs(case: Case, name: str) -> None:
    """A key's name that a spreadsheet would take for a formula; taking an apostrophe off gives it back."""
    ada = await somebody(case)
    key = await make(ada, name=name)
    expect_status(await case.chat(key=key, answer="tokens=2"), 200)
    await logged(ada, key)
    [line] = read_csv(await ada.get(f"{EXPORT}?keyId={key.id}"))
    for column, cell in line.items():
        assert not RISKY.match(cell), f"the cell {column} is {cell!r}, which a spreadsheet runs"
    kept = due(await ada.get(f"/api/api-keys/{key.id}"), 200)["name"]
    assert unguarded(line["keyName"]) == kept, f"the cell {line['keyName']!r} is not the name {kept!r}"
    assert kept.strip() == name.strip(), f"the name became {kept!r}"


@requirement("ACC-036")
async def test_usage_of_an_organisation(case: Case) -> None:
    """Its rows are told to its members alone, and theirs to nobody there."""
    ada = await rich(case)
    firm = await company(case, credits=1000, people={"owner": ada})
    other = await company(case)
    own, theirs = await make(ada), await firm.key()
    for key in (own, theirs):
        expect_status(await case.chat(key=key, answer="tokens=2"), 200)
    await firm.balance_uc()
    told = due(await ada.get(firm.path("/usage")), 200)["logs"]
    assert [row["keyId"] for row in told] == [theirs.id], f"the organisation's log has {told}"
    lines = read_csv(await ada.get(firm.path("/usage/export")))
    assert [line["keyId"] for line in lines] == [theirs.id], f"the organisation's file has {lines}"
    await settled(case, ada, 1)
    mine = await page(ada, f"?orgId={firm.id}")
    assert [row["keyId"] for row in mine["logs"]] == [own.id], f"one's own log has {mine['logs']}"
    for query in ("", f"?orgId={firm.id}", f"?keyId={theirs.id}", f"?user={firm.id}"):
        found = due(await other.owner.get(other.path(f"/usage{query}")), 200)["logs"]
        assert found == [], f"{query}: another organisation's rows"
