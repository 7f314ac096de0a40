"""The audit against books that agree, and books that are wrong in one way each."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from loadtests import jsonhttp
from loadtests.audit import AuditResult, audit, compare
from loadtests.bill import bill
from loadtests.errors import Unmeasurable, Unreachable
from loadtests.journal import Journal
from loadtests.ledger import Account, Books, Gateway
from tests.loadtests.entries import entry

TOLD_UC = 11 * 25 + 7 * 145
CUT_UC = 3 * 25 + 6 * 145
CUT = {
    "ended": "cut",
    "frames_planned": 6,
    "frames_sent": 6,
    "usage_told": None,
    "delivered": {"tokens": 5, "text_bytes": 21},
}
ENTRIES = [
    entry(0, "t-u0.0"),
    entry(1, "t-u0.2", status=503),
    entry(2, "t-u0.2", provider="openai-eu"),
    entry(3, "t-u0.4", **CUT),
    entry(4, "t-u0.6", status=500),
]
REQUESTS = {"t-u0.0": "r0", "t-u0.2": "r2", "t-u0.4": "r4", "t-u0.6": "r6"}


def right_books() -> Books:
    spent = 2 * TOLD_UC + CUT_UC
    return Books(
        ledger={"r0": TOLD_UC, "r2": TOLD_UC, "r4": CUT_UC},
        usage={"r0": TOLD_UC, "r2": TOLD_UC, "r4": CUT_UC, "r6": 0},
        estimated={"r4"},
        held=dict.fromkeys(("r0", "r2", "r4", "r6"), 10**6),
        balance_uc=10**9 - spent,
        topped_up_uc=10**9,
    )


def compared(books: Books, requests: dict[str, str] | None = None) -> AuditResult:
    result = AuditResult()
    compare(bill(ENTRIES), {"t-u0": books}, REQUESTS if requests is None else requests, result)
    return result


@pytest.mark.parametrize("requests", [REQUESTS, {}, {"t-u0.0": "r0"}])
def test_right_books_agree_whether_or_not_request_ids_are_known(requests: dict[str, str]) -> None:
    result = compared(right_books(), requests)
    assert result.differences == []
    assert result.expected_uc == result.ledger_uc == result.usage_log_uc == 2 * TOLD_UC + CUT_UC
    assert (result.cases, result.attempts, result.users, result.exit_code) == (4, 5, 1, 0)
    assert result.rules == {"told": 2, "estimated": 1, "free": 2}


def one_uc_more_in_the_ledger(books: Books) -> None:
    assert books.ledger is not None
    books.ledger["r2"] += 1
    assert books.balance_uc is not None
    books.balance_uc -= 1


def one_uc_less_in_the_log(books: Books) -> None:
    assert books.usage is not None
    books.usage["r4"] -= 1


def row_missing_in_the_log(books: Books) -> None:
    assert books.usage is not None
    del books.usage["r6"]


def failed_attempt_charged(books: Books) -> None:
    assert books.ledger is not None
    assert books.balance_uc is not None
    books.ledger["r6"] = 5
    books.balance_uc -= 5


def phantom_charge(books: Books) -> None:
    assert books.ledger is not None
    assert books.balance_uc is not None
    books.ledger["r9"] = 7
    books.balance_uc -= 7


def hold_left_open(books: Books) -> None:
    books.held_uc = 99


def balance_off(books: Books) -> None:
    assert books.balance_uc is not None
    books.balance_uc -= 1


def estimate_unmarked(books: Books) -> None:
    books.estimated = set()


def exact_marked_estimated(books: Books) -> None:
    books.estimated = {"r4", "r0"}


def logged_twice(books: Books) -> None:
    books.twice = ["r0"]


@pytest.mark.parametrize(
    ("spoil", "what", "case", "expected_uc", "found_uc"),
    [
        (one_uc_more_in_the_ledger, "ledger", "t-u0.2", TOLD_UC, TOLD_UC + 1),
        (one_uc_less_in_the_log, "usage log", "t-u0.4", CUT_UC, CUT_UC - 1),
        (row_missing_in_the_log, "usage log", "t-u0.6", 0, None),
        (failed_attempt_charged, "ledger", "t-u0.6", 0, 5),
        (phantom_charge, "ledger", "", None, 7),
        (hold_left_open, "balance", "", 0, 99),
        (balance_off, "balance", "", 10**9 - 2 * TOLD_UC - CUT_UC, 10**9 - 2 * TOLD_UC - CUT_UC - 1),
        (estimate_unmarked, "mark", "t-u0.4", None, None),
        (exact_marked_estimated, "mark", "t-u0.0", None, None),
        (logged_twice, "usage log", "", None, None),
    ],
)
def test_each_wrong_book_is_one_difference(
    spoil: Callable[[Books], None], what: str, case: str, expected_uc: int | None, found_uc: int | None
) -> None:
    books = right_books()
    spoil(books)
    result = compared(books)
    told = [(d.what, d.case, d.expected_uc, d.found_uc) for d in result.differences]
    assert told == [(what, case, expected_uc, found_uc)]
    assert result.exit_code == 1
    assert "does not agree" in result.text()


@pytest.mark.parametrize(
    "spoil", [one_uc_more_in_the_ledger, one_uc_less_in_the_log, row_missing_in_the_log, phantom_charge]
)
def test_a_wrong_amount_is_found_without_request_ids(spoil: Callable[[Books], None]) -> None:
    books = right_books()
    spoil(books)
    assert len(compared(books, {}).differences) == 1


def test_a_charge_is_capped_by_its_hold_only_where_the_log_says_so() -> None:
    books = right_books()
    assert books.ledger is not None
    assert books.usage is not None
    books.held["r0"] = 100
    books.ledger["r0"] = books.usage["r0"] = 100
    books.balance_uc = 10**9 - 100 - TOLD_UC - CUT_UC
    assert [d.what for d in compared(copy.deepcopy(books)).differences] == ["ledger", "usage log"]
    books.capped = {"r0"}
    assert compared(books).differences == []


def test_cases_of_a_user_without_an_account_give_no_verdict() -> None:
    result = AuditResult()
    compare(bill([*ENTRIES, entry(9, "else-u7.1")]), {"t-u0": right_books()}, REQUESTS, result)
    assert result.exit_code == 3
    assert "else-u7" in result.problems[0]


class FakeDoors:
    """Answers what the fleet and the gateway would, from a table of (method, end of URL)."""

    def __init__(self, books: Books, entries: list[dict[str, Any]]) -> None:
        self.own = {"ok": True, "problems": [], "sum_uc": 0, "open_holds": 0, "held_uc": 0}
        self.books, self.entries = books, entries

    def call(self, method: str, url: str, **options: Any) -> Any:
        assert method == "GET"
        books = self.books
        since = int((options.get("query") or {}).get("since", 0))
        if url.endswith("/journal"):
            page = [e for e in self.entries if e["n"] >= since]
            return {"entries": page, "next": max([since, *[e["n"] + 1 for e in page]]), "dropped": 0}
        if url.endswith("/admin/ledger"):
            return self.own
        if url.endswith("/transfers"):
            assert books.ledger is not None
            settles = [{"kind": "SETTLE", "request_id": r, "amount_uc": a} for r, a in books.ledger.items()]
            return {"transfers": [*settles, {"kind": "HOLD", "request_id": "r0", "amount_uc": 10**6}]}
        if url.endswith("/api-usage"):
            assert options["headers"] == {"Authorization": "Bearer ck_one"}
            assert books.usage is not None
            marked = books.estimated
            return {"logs": [{"requestId": r, "costUc": a, "estimated": r in marked} for r, a in books.usage.items()]}
        assert url.endswith("/users/u-1"), url
        return {"balance_uc": books.balance_uc, "topped_up_uc": books.topped_up_uc, "held_uc": 0}


TARGET = {
    "fleet": {"control_url": "http://fleet/__fleet"},
    "provisioning": {"kind": "admin_api", "url": "http://gateway/admin", "token": "t"},
    "usage": {"url": "http://gateway/api/api-usage"},
    "audit": {
        "cases": "t-*",
        "users": [{"tag": "t-u0", "id": "u-1", "key": "ck_one"}],
        "requests": REQUESTS,
    },
}


def test_the_whole_audit_over_its_doors(monkeypatch: pytest.MonkeyPatch) -> None:
    doors = FakeDoors(right_books(), ENTRIES)
    monkeypatch.setattr(jsonhttp, "call", doors.call)
    result = audit(TARGET)
    assert (result.problems, result.differences, result.exit_code) == ([], [], 0)
    assert result.expected_uc == result.ledger_uc == result.usage_log_uc == 2 * TOLD_UC + CUT_UC
    assert "every credit is accounted for" in result.text()
    assert result.to_json()["ok"] is True


def test_a_gateway_that_finds_its_own_ledger_wrong_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    doors = FakeDoors(right_books(), ENTRIES)
    doors.own = doors.own | {"ok": False, "problems": ["sum is 1"]}
    monkeypatch.setattr(jsonhttp, "call", doors.call)
    result = audit(TARGET)
    assert [(d.what, d.note) for d in result.differences] == [("gateway audit", "['sum is 1']")]
    assert result.exit_code == 1


def test_an_audit_of_nothing_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    doors = FakeDoors(replace(right_books(), ledger={}, usage={}, balance_uc=10**9), [])
    monkeypatch.setattr(jsonhttp, "call", doors.call)
    result = audit(TARGET)
    assert result.exit_code == 3
    assert "no call to audit" in result.problems[0]


def test_a_silent_fleet_is_exit_2(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any, **__: Any) -> Any:
        raise Unreachable("nothing answers")

    monkeypatch.setattr(jsonhttp, "call", silent)
    assert audit(TARGET).exit_code == 2
    assert audit({"name": "no fleet"}).exit_code == 3


def test_with_a_key_alone_the_usage_log_is_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    doors = FakeDoors(right_books(), ENTRIES)
    monkeypatch.setattr(jsonhttp, "call", doors.call)
    alone = {"fleet": TARGET["fleet"], "usage": TARGET["usage"], "key": "ck_one"}
    result = audit(alone)
    assert (result.differences, result.ledger_uc, result.usage_log_uc) == ([], None, 2 * TOLD_UC + CUT_UC)
    assert result.exit_code == 0


class FakeJournal:
    """A fleet's journal that drops its oldest entries."""

    def __init__(self, entries: list[dict[str, Any]], dropped: int = 0) -> None:
        self.entries, self.dropped = entries, dropped

    def call(self, _: str, __: str, *, query: dict[str, Any], **___: Any) -> Any:
        page = [e for e in self.entries if e["n"] >= query["since"] and e["n"] > self.dropped]
        return {"entries": page[: query["limit"]], "next": len(self.entries) + 1, "dropped": self.dropped}


def test_what_was_in_flight_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = FakeJournal([entry(1), entry(2, ended="pending"), entry(3, "other"), entry(4)])
    monkeypatch.setattr(jsonhttp, "call", fleet.call)
    journal = Journal("http://fleet/__fleet", "t-*")
    journal.read()
    assert (journal.pending, sorted(journal.entries)) == (1, [1, 2, 4])
    fleet.entries[1] = entry(2)
    fleet.entries.append(entry(5, ended="pending"))
    journal.read()
    assert (journal.pending, sorted(journal.entries)) == (1, [1, 2, 4, 5])
    assert journal.entries[2]["ended"] == "end"


@pytest.mark.parametrize(("dropped", "lost"), [(0, False), (1, False), (2, True), (3, True)])
def test_entries_dropped_before_they_were_read_void_the_audit(
    monkeypatch: pytest.MonkeyPatch, dropped: int, lost: bool
) -> None:
    fleet = FakeJournal([entry(1), entry(2, ended="pending")])
    monkeypatch.setattr(jsonhttp, "call", fleet.call)
    journal = Journal("http://fleet/__fleet")
    journal.read()
    fleet.dropped = dropped
    fleet.entries += [entry(3), entry(4)]
    if lost:
        with pytest.raises(Unmeasurable, match="dropped"):
            journal.read()
    else:
        journal.read()
        assert sorted(journal.entries) == [1, 2, 3, 4]


def test_what_was_dropped_before_the_run_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = FakeJournal([entry(1), entry(2)], dropped=2)
    monkeypatch.setattr(jsonhttp, "call", fleet.call)
    journal = Journal("http://fleet/__fleet")
    with pytest.raises(Unmeasurable):
        journal.read()
    journal.skip()
    fleet.entries.append(entry(3))
    journal.read()
    assert sorted(journal.entries) == [3]


def test_books_net_refunds_and_name_requests_logged_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    transfers = [
        {"kind": "TOP_UP", "request_id": "", "amount_uc": 100},
        {"kind": "HOLD", "request_id": "r", "amount_uc": 50},
        {"kind": "SETTLE", "request_id": "r", "amount_uc": 30},
        {"kind": "RELEASE", "request_id": "r", "amount_uc": 20},
        {"kind": "REFUND", "request_id": "r", "amount_uc": 4},
    ]
    answers: dict[str, Any] = {
        "users/u-1": {"balance_uc": 74, "topped_up_uc": 100, "held_uc": 0},
        "users/u-1/transfers": {"transfers": transfers},
        "users/u-1/usage": {"logs": [{"requestId": "r", "costUc": 13}, {"requestId": "r", "costUc": 13}]},
    }
    monkeypatch.setattr(jsonhttp, "call", lambda _, url, **__: answers[url.removeprefix("http://g/")])
    gateway = Gateway({"provisioning": {"kind": "admin_api", "url": "http://g", "token": "t"}})
    books = gateway.books(Account("t", "u-1"))
    assert (books.ledger, books.held, books.usage, books.twice) == ({"r": 26}, {"r": 50}, {"r": 26}, ["r"])
