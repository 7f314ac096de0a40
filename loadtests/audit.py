"""The audit: the bill recomputed from the fleet's journal and the price list == the ledger == the usage log,
to the microcredit.

Joined by the case token that rides in every prompt: a case is "<user tag>.<n>", and each user of a load has a
tag and an account of their own. Where the caller noted the request id that the gateway answered with, rows
are compared one by one; the others are matched by amount within their user, so that a wrong sum is still
pinned to the cases it can come from.

Exit codes: 0 every credit is accounted for, 1 not, 2 the target or the fleet does not answer, 3 the evidence
is incomplete.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import yaml

from loadtests.bill import Line, Rule, bill
from loadtests.errors import LoadError, Unmeasurable
from loadtests.journal import Journal
from loadtests.ledger import Account, Books, Gateway

SETTLE_WAIT_S = 20.0  # bound on the time a gateway may take to settle calls that the client has left
POLL_S = 0.1
SHOWN = 20  # differences shown in the text


@dataclass(frozen=True, slots=True)
class Difference:
    """Two views of one charge that disagree. None: that view has no such row."""

    user: str
    case: str
    what: str  # "ledger" | "usage log" | "balance" | "mark" | "gateway audit"
    expected_uc: int | None
    found_uc: int | None
    note: str = ""

    def __str__(self) -> str:
        where = self.case or self.user or "-"
        text = f"{where}: {self.what}: expected {amount(self.expected_uc)}, found {amount(self.found_uc)}"
        return f"{text} ({self.note})" if self.note else text


@dataclass(slots=True)
class AuditResult:
    """What the audit found. Amounts in microcredits; None: that view cannot be read."""

    cases: int = 0
    attempts: int = 0
    users: int = 0
    expected_uc: int = 0
    ledger_uc: int | None = None
    usage_log_uc: int | None = None
    rules: dict[str, int] = field(default_factory=dict)  # upstream calls by rule of money
    differences: list[Difference] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # why no verdict can be given
    gateway: dict[str, Any] | None = None  # the gateway's own audit
    error_exit: int = 3  # the exit code when there are problems

    @property
    def exit_code(self) -> int:
        """0 conformant, 1 not, 2 unreachable, 3 no verdict."""
        if self.differences:
            return 1
        return self.error_exit if self.problems else 0

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    def to_json(self) -> dict[str, Any]:
        return {"ok": self.ok, "exit_code": self.exit_code, **asdict(self)}

    def text(self) -> str:
        """The result for people."""
        verdict = {0: "every credit is accounted for", 1: "the bill does not agree"}.get(
            self.exit_code, "no verdict: the evidence is incomplete"
        )
        rules = ", ".join(f"{count} {rule}" for rule, count in sorted(self.rules.items()))
        lines = [
            f"Audit: {verdict}",
            f"  cases        {self.cases} of {self.users} users, {self.attempts} upstream calls ({rules or 'none'})",
            f"  expected     {amount(self.expected_uc)}   from the fleet's journal and the price list",
            f"  ledger       {'not readable' if self.ledger_uc is None else amount(self.ledger_uc)}",
            f"  usage log    {'not readable' if self.usage_log_uc is None else amount(self.usage_log_uc)}",
        ]
        if self.gateway is not None:
            told = "ok" if self.gateway.get("ok") else "NOT ok"
            lines.append(f"  own audit    {told}, {self.gateway.get('open_holds')} open holds")
        lines += [f"  problem      {problem}" for problem in self.problems]
        lines += [f"  difference   {difference}" for difference in self.differences[:SHOWN]]
        if len(self.differences) > SHOWN:
            lines.append(f"  … and {len(self.differences) - SHOWN} more differences")
        return "\n".join(lines)


def amount(uc: int | None) -> str:
    """Microcredits for people, exact: "1 234 567 uc"."""
    return "no row" if uc is None else f"{uc:,} uc".replace(",", " ")


def audit(target: Mapping[str, Any], journal: Journal | None = None) -> AuditResult:
    """Audit a gateway against the fleet it was pointed at.

    `target` is a target file's content: `fleet.control_url`, `provisioning`, `usage`, and under `audit` what
    a load left there: `cases` (the journal's filter), `users` (rows of tag, id, key), `requests` (case ->
    request id) and `refused` (cases answered with an error). Without `audit` every call the fleet saw is
    taken to be of the user whose key is the target's `key`. `journal` carries on one that was read during the
    load.
    """
    result = AuditResult()
    try:
        _audit(target, journal, result)
    except LoadError as error:
        result.problems.append(str(error))
        result.error_exit = error.exit_code
    return result


def _audit(target: Mapping[str, Any], journal: Journal | None, result: AuditResult) -> None:
    about = target.get("audit") or {}
    accounts = [Account.parse(row) for row in about.get("users") or [{"key": target.get("key", "")}]]
    gateway = Gateway(target)
    journal = journal or Journal(_control_url(target), about.get("cases"))
    _settled(gateway, journal)
    result.gateway = gateway.audit()
    lines = bill(journal.entries.values(), frozenset(about.get("refused") or ()))
    books = {account.tag: gateway.books(account) for account in accounts}
    compare(lines, books, about.get("requests") or {}, result)
    own = result.gateway
    if own is not None and not own.get("ok"):
        result.differences.append(Difference("", "", "gateway audit", None, None, str(own.get("problems"))))
    _refuse_nothing(result)


def _control_url(target: Mapping[str, Any]) -> str:
    url = (target.get("fleet") or {}).get("control_url")
    if not url:
        raise Unmeasurable("the target names no fleet control URL (fleet.control_url): the journal cannot be read")
    return str(url)


def _refuse_nothing(result: AuditResult) -> None:
    """An audit that saw nothing, or could read no book, has proved nothing."""
    if not result.cases:
        result.problems.append("the fleet's journal has no call to audit")
    if result.ledger_uc is None and result.usage_log_uc is None:
        result.problems.append("neither ledger nor usage log can be read: name provisioning or usage in the target")


def _settled(gateway: Gateway, journal: Journal) -> None:
    """Wait until no upstream call is in flight and no hold is open.

    Raises Unmeasurable for calls that stay in flight; a hold that stays open is left for the comparison to show.
    """
    deadline = time.monotonic() + SETTLE_WAIT_S
    journal.read()
    while journal.pending:
        if time.monotonic() > deadline:
            raise Unmeasurable(f"{journal.pending} upstream calls were still in flight after {SETTLE_WAIT_S:g} s")
        journal.read(wait_ms=1000)
    while time.monotonic() < deadline:
        own = gateway.audit()
        if own is None or not own.get("open_holds"):
            break
        time.sleep(POLL_S)
    journal.read()


def compare(
    lines: Mapping[str, list[Line]], books: Mapping[str, Books], requests: Mapping[str, str], result: AuditResult
) -> None:
    """Fill `result` from the recomputed bill (by case), the books (by user tag) and the request ids (by case)."""
    of_user: dict[str, dict[str, list[Line]]] = defaultdict(dict)
    for case, own in lines.items():
        of_user[_tag_of(case, books)][case] = own
    result.users = len(books)
    for tag, cases in of_user.items():
        if tag not in books:
            result.problems.append(f"no account is known for {len(cases)} cases of {tag!r}")
    for tag, book in books.items():
        cases = of_user.get(tag, {})
        result.cases += len(cases)
        result.attempts += sum(len(own) for own in cases.values())
        counted = Counter(line.rule.value for own in cases.values() for line in own)
        result.rules = dict(Counter(result.rules) + counted)
        _compare_user(tag, cases, book, requests, result)


def _tag_of(case: str, books: Mapping[str, Books]) -> str:
    """The user a case belongs to; with the one tag "" every case is that user's."""
    return "" if "" in books else case.rpartition(".")[0]


def _compare_user(
    tag: str, cases: Mapping[str, list[Line]], book: Books, requests: Mapping[str, str], result: AuditResult
) -> None:
    expected = {case: _owed(case, own, book, requests) for case, own in cases.items()}
    result.expected_uc += sum(expected.values())
    if book.ledger is not None:
        result.ledger_uc = (result.ledger_uc or 0) + sum(book.ledger.values())
        result.differences += match(tag, "ledger", expected, book.ledger, requests)
        result.differences += _conserved(tag, book)
    if book.usage is not None:
        result.usage_log_uc = (result.usage_log_uc or 0) + sum(book.usage.values())
        result.differences += match(tag, "usage log", expected, book.usage, requests)
        result.differences += [
            Difference(tag, "", "usage log", None, None, f"request {request} is logged twice") for request in book.twice
        ]
        result.differences += _marks(tag, cases, book, requests)


def _owed(case: str, lines: Iterable[Line], book: Books, requests: Mapping[str, str]) -> int:
    """What a case costs: the sum of its attempts; not above what was held, which the usage log calls capped."""
    owed = sum(line.amount_uc for line in lines)
    request = requests.get(case)
    if request in book.capped and request in book.held:
        return min(owed, book.held[request])
    return owed


def match(
    tag: str, what: str, expected: Mapping[str, int], found: Mapping[str, int], requests: Mapping[str, str]
) -> list[Difference]:
    """Where `found` (by request id) departs from `expected` (by case).

    A missing row equals zero in the ledger, where nothing moves for a free call; the usage log owes a row for
    every call.
    """
    differences = []
    left_found = dict(found)
    left_expected: dict[str, int] = {}
    for case, owed in expected.items():
        request = requests.get(case)
        if request is None:
            left_expected[case] = owed
            continue
        got = left_found.pop(request, None)
        if got != owed and not (got is None and owed == 0 and what == "ledger"):
            differences.append(Difference(tag, case, what, owed, got, f"request {request}"))
    known = set(requests.values())
    for request in [r for r, got in left_found.items() if got == 0 and (what == "ledger" or r in known)]:
        del left_found[request]
    return differences + _pair_by_amount(tag, what, left_expected, left_found)


def _pair_by_amount(tag: str, what: str, expected: dict[str, int], found: dict[str, int]) -> list[Difference]:
    """Pair what has no known request id by equal amounts; whatever stays over is a difference."""
    by_amount: dict[int, list[str]] = defaultdict(list)
    for request, got in found.items():
        by_amount[got].append(request)
    over = []
    for case, owed in sorted(expected.items()):
        if by_amount.get(owed):
            by_amount[owed].pop()
        elif owed or what != "ledger":
            over.append((case, owed))
    strays = sorted((got, request) for got, requests in by_amount.items() for request in requests)
    differences = []
    for case, owed in sorted(over, key=lambda pair: pair[1]):
        if strays:
            got, request = strays.pop(0)
            differences.append(Difference(tag, case, what, owed, got, f"request {request}"))
        else:
            differences.append(Difference(tag, case, what, owed, None))
    differences += [
        Difference(tag, "", what, None, got, f"request {request}, of which the fleet saw nothing")
        for got, request in strays
    ]
    return differences


def _conserved(tag: str, book: Books) -> list[Difference]:
    """Top-ups less charges must be the balance, with nothing left on hold."""
    assert book.ledger is not None
    differences = []
    if book.balance_uc is not None and book.topped_up_uc is not None:
        due = book.topped_up_uc - sum(book.ledger.values())
        if due != book.balance_uc:
            differences.append(Difference(tag, "", "balance", due, book.balance_uc, "top-ups less charges"))
    if book.held_uc:
        differences.append(Difference(tag, "", "balance", 0, book.held_uc, "still on hold"))
    return differences


def _marks(tag: str, cases: Mapping[str, list[Line]], book: Books, requests: Mapping[str, str]) -> list[Difference]:
    """An estimate must be marked as one in the usage log, and nothing else may be."""
    differences = []
    for case, lines in cases.items():
        request = requests.get(case)
        if request is None or book.usage is None or request not in book.usage:
            continue
        due = any(line.rule is Rule.ESTIMATED for line in lines)
        if due != (request in book.estimated):
            note = f"request {request} is {'not ' if due else ''}marked estimated"
            differences.append(Difference(tag, case, "mark", None, None, note))
    return differences


def read_target(path: str) -> dict[str, Any]:
    """A target file, YAML or JSON."""
    with open(path, encoding="utf-8") as file:
        content = yaml.safe_load(file)
    if not isinstance(content, dict):
        raise Unmeasurable(f"{path} holds {type(content).__name__}, a mapping was due")
    return content


def main(target: Mapping[str, Any], *, as_json: bool = False) -> int:
    """Run the audit, print its result and return its exit code: what `windtunnel audit` calls."""
    result = audit(target)
    print(json.dumps(result.to_json(), indent=2) if as_json else result.text())
    return result.exit_code
