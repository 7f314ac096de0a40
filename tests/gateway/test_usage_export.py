"""The usage log over days, by filters and pages, and as CSV that no spreadsheet runs."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from gateway import usage_csv, usage_days
from gateway.endpoints import usage as endpoint
from gateway.errors import InvalidRequest
from gateway.storage.store import Store
from gateway.storage.tables import usage_log
from gateway.usage import DAY_MS, UsageQuery, cursor, from_cursor, report
from simulator.rules.from_log import read_log
from tests.gateway.lab import run
from tests.gateway.making import NOW_MS, StillClock, usage_row
from tests.gateway.people_lab import call_with, close, open_dashboard, user

TEXTS = st.text(max_size=30) | st.text("=+-@'\t\r\n \",;aé＝", max_size=8)
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Tehran",
]


def undone(cell: str) -> str:
    """The text that a cell was made of."""
    return cell.removeprefix("'")


def entry(**fields: Any) -> dict[str, Any]:
    return {**dict.fromkeys(usage_csv.COLUMNS), **fields}


@given(st.lists(st.tuples(TEXTS, TEXTS, st.integers(0, 10**15), st.booleans()), max_size=8))
def test_csv_round_trip(rows: list[tuple[str, str, int, bool]]) -> None:
    entries = [entry(model=model, keyName=name, costUc=cost, stream=flag) for model, name, cost, flag in rows]
    data = usage_csv.lines(entries).decode("utf-8", "surrogatepass") if rows else ""
    read = [dict(zip(usage_csv.COLUMNS, row, strict=True)) for row in csv.reader(io.StringIO(data, newline=""))]
    assert [(undone(r["model"]), undone(r["keyName"]), int(r["costUc"]), r["stream"] == "true") for r in read] == rows
    for row in read:
        for cell in row.values():
            assert cell[:1] not in {*"=+-@\t\r\n", "＝", "＋", "－", "＠"}
            assert cell.lstrip()[:1] not in set("=+-@")
    assert data.replace("\r\n", "").count("\n") == sum(
        text.count("\n") - text.count("\r\n") for r in rows for text in r[:2]
    )


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        *((text, "'" + text) for text in ("=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", " =1", "'=1", "＝1")),
        *((text, text) for text in ("", "plain", "a=1", "1-1", "gpt-5.5", "\u00e9")),
        *((None, ""), (True, "true"), (False, "false"), (-5, "-5"), (0, "0")),
    ],
)
def test_cells(value: Any, cell: str) -> None:
    assert usage_csv.cell(value) == cell


async def fill(store: Store, rows: list[dict[str, Any]]) -> None:
    """Rows of the log as the ledger would write them."""
    known = {"cost_uc": 1, "capped": False}
    full = [
        {**usage_row()._asdict(), **known, "id": number, "request_id": f"req_{number}", **row}
        for number, row in enumerate(rows, 1)
    ]
    await store.write(lambda c: c.execute(insert(usage_log), full))


def test_the_export_has_every_row_however_many() -> None:
    async def work() -> None:
        lab = await open_dashboard(clock=StillClock())
        ada = await user(lab)
        count = 2 * usage_csv.ROWS + 345
        mine = [{"user_id": ada.user_id, "created_at_ms": NOW_MS - number // 7} for number in range(count)]
        await fill(lab.services.store, [*mine, {"user_id": "usr_other", "created_at_ms": NOW_MS}])
        answer = await ada.ask("GET", "/api/api-usage/export", query="days=30&limit=5")
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
        assert answer.headers["content-disposition"] == 'attachment; filename="hypereal-usage-2026-05-10.csv"'
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.writes) > 3  # in pieces
        read = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
        assert len(read) == count
        assert len({row["id"] for row in read}) == count
        times = [row["createdAt"] for row in read]
        assert times == sorted(times, reverse=True)
        assert not answer.body.startswith(b"\xef\xbb\xbf")
        lines = answer.body.split(b"\r\n")
        assert (len(lines), lines[-1]) == (count + 2, b"")
        assert len(read_log(answer.body.decode())) == count  # what makes scenarios of logs reads it
        await close(lab)

    run(work())


def test_the_export_of_nothing_is_a_line_of_names() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        answer = await ada.ask("GET", "/api/api-usage/export")
        assert answer.body == ",".join(usage_csv.COLUMNS).encode() + b"\r\n"
        await close(lab)

    run(work())


def test_whose_log_it_is() -> None:
    async def work() -> None:
        lab = await open_dashboard(clock=StillClock())
        ada, bob = await user(lab), await user(lab, "bob@example.com")
        key = await ada.post("/api/api-keys", {"name": '=HYPERLINK("http://x")'}, 201)
        rows = [{"user_id": ada.user_id, "key_id": key["id"], "model": "@SUM(1)", "created_at_ms": NOW_MS - 1}]
        await fill(lab.services.store, rows)
        by_key = await call_with(lab, key["key"], "/api/api-usage/export")
        by_cookie = await ada.ask("GET", "/api/api-usage/export")
        assert by_key.body == by_cookie.body
        [row] = csv.DictReader(io.StringIO(by_key.body.decode(), newline=""))
        assert (row["keyName"], row["model"]) == ('\'=HYPERLINK("http://x")', "'@SUM(1)")
        for path in ("/api/api-usage", "/api/api-usage/export"):
            assert b"SUM" not in (await bob.ask("GET", path, query=f"userId={ada.user_id}&keyId={key['id']}")).body
            assert (await lab.ask(path, method="GET", headers={})).status == 401
            assert (await lab.ask(path, method="GET", headers={"cookie": "windtunnel_session=x"})).status == 401
            assert (await lab.ask(path, method="GET", headers={"cookie": "a=b", "x-api-key": "ck_no"})).status == 401
        await close(lab)

    run(work())


def test_an_export_that_breaks_never_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        lab = await open_dashboard(clock=StillClock())
        ada = await user(lab)
        await fill(lab.services.store, [{"user_id": ada.user_id}] * (usage_csv.ROWS + 1))
        real, left = Store.read, 0

        async def read(self: Store, job: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise RuntimeError("the disk is gone")
            return await real(self, job)

        monkeypatch.setattr(Store, "read", read)
        left = 2  # the session and the first page
        answer = await ada.ask("GET", "/api/api-usage/export")
        assert (answer.status, answer.ended) == (200, False)
        left = 1
        answer = await ada.ask("GET", "/api/api-usage/export")
        assert (answer.status, answer.error[0]) == (500, "internal_error")
        await close(lab)

    lines: list[str] = []
    monkeypatch.setattr("sys.stderr.write", lines.append)
    run(work())


def parse(**parameters: str) -> UsageQuery:
    return endpoint.parse(parameters, "usr_a", NOW_MS)


def test_filters_and_pages() -> None:
    async def work() -> None:
        lab = await open_dashboard(clock=StillClock())
        ada = await user(lab)
        rows = [
            {
                "user_id": ada.user_id,
                "created_at_ms": NOW_MS - number // 3 * 60_000 - 1,
                "key_id": f"key_{number % 2}",
                "cost_uc": number * 100_000,
                "status": "failed" if number % 5 == 0 else "succeeded",
            }
            for number in range(25)
        ]
        await fill(lab.services.store, rows)
        whole = await ada.get("/api/api-usage")
        assert (len(whole["logs"]), whole["nextCursor"]) == (25, None)
        assert whole["totals"] == {
            "requests": 25,
            "failedRequests": 5,
            "costUc": 30_000_000,
            "costCredits": "30.000000",
            "inputTokens": 250,
            "outputTokens": 500,
        }
        seen, page = [], ""
        while page is not None:
            got = await ada.get("/api/api-usage", f"limit=7&cursor={page}")
            assert got["totals"] == whole["totals"]
            seen += got["logs"]
            page = got["nextCursor"]
        assert seen == whole["logs"]
        assert {row["keyId"] for row in (await ada.get("/api/api-usage", "keyId=key_1"))["logs"]} == {"key_1"}
        dear = await ada.get("/api/api-usage", "minCost=2.25")
        assert [row["costCredits"] for row in dear["topExpensiveRequests"]] == ["2.400000", "2.300000"]
        short = await ada.get("/api/api-usage", "from=2026-05-09T23:58:00Z&to=2026-05-09T23:59:59.999Z")
        assert len(short["logs"]) == 3
        assert (await ada.get("/api/api-usage", "to=2026-05-08"))["totals"]["requests"] == 0
        assert (await ada.get("/api/api-usage", "from=2026-05-09&to=2026-05-09"))["totals"]["requests"] == 25
        assert sum(day["costUc"] for day in whole["dailyCost"]) == whole["totals"]["costUc"]
        assert sum(each["costUc"] for each in whole["costByModel"]) == whole["totals"]["costUc"]
        assert len(whole["dailyCost"]) == 31
        assert (whole["dailyCost"][0]["date"], whole["dailyCost"][-1]["date"]) == ("2026-04-10", "2026-05-10")
        await close(lab)

    run(work())


@pytest.mark.parametrize(
    ("parameters", "since", "until"),
    [
        ({"from": "2026-05-01"}, "2026-05-01T00:00:00+00:00", None),
        ({"from": "2026-05-01", "to": "2026-05-02"}, "2026-05-01T00:00:00+00:00", "2026-05-03T00:00:00+00:00"),
        ({"to": "2026-05-02", "days": "1"}, "2026-05-02T00:00:00+00:00", "2026-05-03T00:00:00+00:00"),
        ({"from": "2026-05-01T12:00:00+02:00"}, "2026-05-01T10:00:00+00:00", None),
        ({"from": "2026-05-01", "tz": "Europe/Berlin"}, "2026-04-30T22:00:00+00:00", None),
        ({"from": "2026-05-01T12:00:00", "tz": "Asia/Kolkata"}, "2026-05-01T06:30:00+00:00", None),
    ],
)
def test_periods(parameters: dict[str, str], since: str, until: str | None) -> None:
    query = parse(**parameters)
    assert query.since_ms == datetime.fromisoformat(since).timestamp() * 1000
    assert query.until_ms == (None if until is None else datetime.fromisoformat(until).timestamp() * 1000)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("from", text) for text in ("yesterday", "2026-13-01", "0001-01-01", "9999-12-31", "2026-05-01T25:00Z", "1")),
        *(("to", text) for text in ("2026-02-30", "-1", "9999-12-31T23:59:59Z")),
        *(
            ("tz", text)
            for text in ("Mars", "../etc/passwd", "/etc/passwd", "America", "x" * 200, "é", "Europe/Berlin/")
        ),
        *(("minCost", text) for text in ("-1", "1e3", "x", "0.0000001", "1" * 10)),
        *(("cursor", text) for text in ("x", "1", "-", "g-1", "1-1-1", "f" * 40)),
    ],
)
def test_wrong_parameters_are_told(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest, match=f"`{name}` is"):
        parse(**{name: value})


def test_a_period_ends_after_it_begins_and_is_not_endless() -> None:
    with pytest.raises(InvalidRequest, match="not before"):
        parse(**{"from": "2026-05-02", "to": "2026-05-01"})
    with pytest.raises(InvalidRequest, match="over 3650 days"):
        parse(**{"from": "2000-01-01"})
    assert parse(**{"from": "2026-05-11"}).since_ms > NOW_MS  # nothing yet


@given(st.integers(0, 2**43), st.integers(1, 2**59))
def test_cursors(at_ms: int, ident: int) -> None:
    assert from_cursor(cursor(at_ms, ident)) == (at_ms, ident)


@given(st.sampled_from(ZONES), st.integers(0, 2 * 366 * 24 * 4), st.lists(st.integers(0, 400 * 24 * 60), max_size=30))
@settings(max_examples=60, deadline=None)
def test_days_are_those_of_the_zone(name: str, start_quarter: int, minutes: list[int]) -> None:
    """Against Python's own calendar, over changes of the clock, with SQLite doing the sums."""
    since_ms = 1_735_689_600_000 + start_quarter * 900_000  # from 2025 on
    moments = [since_ms + minute * 60_000 for minute in minutes]
    end_ms = max([since_ms, *moments])

    async def work() -> dict[str, Any]:
        store = Store("sqlite://", threaded=False)
        if moments:
            await fill(store, [{"created_at_ms": at_ms} for at_ms in moments])
        query = UsageQuery("usr_a", since_ms, zone=name)
        told = await store.read(lambda c: report(c, query, end_ms))
        store.close()
        return told

    told = asyncio.run(work())
    zone = ZoneInfo(name)

    def local(at_ms: int) -> date:
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).date()

    due: dict[str, int] = {}
    day = local(since_ms)
    while day <= local(end_ms):
        due[day.isoformat()] = 0
        day += timedelta(days=1)
    for at_ms in moments:
        due[local(at_ms).isoformat()] += 1
    assert {row["date"]: row["requests"] for row in told["dailyCost"]} == due
    assert sum(row["costUc"] for row in told["dailyCost"]) == len(moments)


def test_days_do_not_depend_on_where_the_server_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        offsets = usage_days.offsets("UTC", NOW_MS - DAY_MS, NOW_MS)
        numbers = list(usage_days.numbers(offsets, NOW_MS - DAY_MS, NOW_MS + 1))
        assert [usage_days.date_of(number) for number in numbers] == ["2026-05-09", "2026-05-10"]
        assert parse(**{"from": "2026-05-10"}).since_ms == NOW_MS
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_log_of_an_organisation_is_its_members() -> None:
    async def work() -> None:
        lab = await open_dashboard(clock=StillClock())
        ada, bob = await user(lab), await user(lab, "bob@example.com")
        org_id = await ada.org()
        await fill(lab.services.store, [{"user_id": org_id, "created_at_ms": NOW_MS - 1, "model": "tagged"}])
        for path in (f"/api/orgs/{org_id}/usage", f"/api/orgs/{org_id}/usage/export"):
            assert b"tagged" in (await ada.ask("GET", path)).body
            refused = await bob.ask("GET", path)
            assert (refused.status, b"tagged" in refused.body) == (404, False)
        assert (await ada.get("/api/api-usage"))["logs"] == []
        await close(lab)

    run(work())
