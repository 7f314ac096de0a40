"""Limits that are overshot, forgotten or told wrongly, and statements that do not add up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, select, update

import gateway.ledger.book
import gateway.ledger.desk
import gateway.ledger.money
import gateway.statement
from gateway import admission, budgets, notices
from gateway.accounts import Accounts, Key
from gateway.budgets import Budgets
from gateway.endpoints import spending as endpoint
from gateway.errors import NoCredit, SpendingLimit
from gateway.ledger import recount
from gateway.ledger.book import Book
from gateway.ledger.spending import FULL, NEAR, Cap, Spending, bounds, key_scope, period_of
from gateway.ledger.transfers import user_account
from gateway.notices import Notices
from gateway.people import emails
from gateway.storage import tables
from mutants._patch import around, replace
from mutants.registry import mutant

LATE_MS = 5 * 86_400_000


def edit_caps(edit: Any) -> None:
    """The caps of a key's calls are what `edit(key, caps)` makes of them."""

    @around(Budgets, "caps")
    def caps(old: Any, self: Budgets, key: Key) -> tuple[Cap, ...]:
        return tuple(edit(key, old(self, key)))


def edit_periods(edit: Any) -> None:
    """The month that a moment counts in is what `edit` says."""
    for module in (gateway.ledger.book, gateway.ledger.desk, gateway.ledger.money):
        replace(module, "period_of", edit)


def edit_marks(edit: Any) -> None:
    """The marks that a counter has just passed are what `edit(counter, marks)` says."""

    @around(Spending, "passes")
    def passes(old: Any, self: Spending) -> tuple[int, ...]:
        return tuple(edit(self, old(self)))


def edit_refusals(edit: Any) -> None:
    """A call that does not fit a limit is refused with what `edit` makes of the error."""

    @around(budgets, "refusal")
    def refusal(old: Any, *args: Any) -> Any:
        return edit(old(*args))


def edit_statements(edit: Any) -> None:
    """Statements are what `edit` makes of them."""

    @around(endpoint, "statement")
    def statement(old: Any, *args: Any) -> dict[str, Any]:
        told: dict[str, Any] = edit(old(*args))
        return told


@mutant("GD-035")
def spending_limit_ignored() -> None:
    """Keys have no limits."""
    edit_caps(lambda _key, caps: [cap for cap in caps if not cap.scope.startswith("key:")])


@mutant()
def spending_limit_told_as_402() -> None:
    """A call that does not fit a limit is refused as one without credit."""
    edit_refusals(lambda error: NoCredit(str(error)))


@mutant("GD-047")
def spending_limit_headers_missing() -> None:
    """A call that does not fit a limit is refused without the limit's headers."""
    edit_refusals(lambda error: SpendingLimit(str(error), []))


@mutant("GD-034")
def limit_ignores_what_is_held() -> None:
    """A limit counts what was spent and not what calls in flight hold."""

    @around(Book, "_claimed")
    def claimed(old: Any, self: Book, command: Any, period: str) -> Any:
        held = {scope: counter.held_uc for (scope, month), counter in self.spending.items() if month == period}
        caps = tuple(cap._replace(limit_uc=cap.limit_uc + held.get(cap.scope, 0)) for cap in command.caps)
        return old(self, command._replace(caps=caps), period)


@mutant()
def limit_keeps_what_failed() -> None:
    """What was held for a call that failed is lost to the limit."""

    @around(Book, "_count")
    def count(old: Any, self: Book, where: str, spent_uc: int, held_uc: int, now_ms: int) -> Any:
        return old(self, where, spent_uc, held_uc if spent_uc else 0, now_ms)


@mutant("GD-033", "GD-038")
def budget_edit_resets_usage() -> None:
    """Changing a key sets what it has spent to zero."""

    @around(Accounts, "change_key")
    async def change_key(old: Any, self: Accounts, key: Key, **told: Any) -> Key:
        changed: Key = await old(self, key, **told)
        spending = tables.spending
        reset = update(spending).where(spending.c.scope == key_scope(key.id)).values(spent_uc=0)
        await self._store.write(lambda c: c.execute(reset))
        return changed


@mutant()
def limit_counts_from_its_setting() -> None:
    """What was spent before a limit was set does not count."""
    replace(recount, "_charged_uc", lambda *_: 0)


@mutant("GD-036")
def cap_never_resets() -> None:
    """The month of a limit never ends."""
    months: list[str] = []

    def first(at_ms: int) -> str:
        months.append(period_of(at_ms))
        return months[0]

    edit_periods(first)


@mutant("GD-037")
def cap_reset_30d_not_month() -> None:
    """A limit begins anew some days after the month does."""
    edit_periods(lambda at_ms: period_of(at_ms - LATE_MS))


@mutant("GD-039")
def org_cap_never_resets() -> None:
    """An organisation's budget counts what was spent in the month before, too."""

    @around(recount, "_charged_uc")
    def charged_uc(old: Any, connection: Connection, payer_id: str, scope: str, period: str) -> int:
        charged: int = old(connection, payer_id, scope, period)
        if scope.startswith("org:"):
            before = date.fromtimestamp(bounds(period)[0] / 1000) - timedelta(days=2)
            charged += old(connection, payer_id, scope, f"{before:%Y-%m}")
        return charged


@mutant("GD-040")
def threshold_alert_too_early() -> None:
    """The heads-up comes when half of a limit is spent."""
    early = 50
    edit_marks(
        lambda counter, marks: (
            (NEAR,) if counter.told < NEAR and counter.spent_uc * 100 >= counter.limit_uc * early else marks
        )
    )


@mutant("GD-032")
def heads_up_missing() -> None:
    """Nobody is told that a limit is nearly spent."""
    edit_marks(lambda _counter, marks: [mark for mark in marks if mark != NEAR])


@mutant()
def hard_cap_mail_missing() -> None:
    """Nobody is told that a limit is reached."""
    edit_marks(lambda _counter, marks: [mark for mark in marks if mark != FULL])
    replace(Book, "refused", lambda _self, _error, _now_ms: ())


@mutant()
def mail_of_every_refusal() -> None:
    """Every call that a limit refuses is told by a mail."""

    @around(Notices, "refused")
    def refused(old: Any, self: Notices, counter: Spending) -> None:
        old(self, counter)
        key = self._parts.accounts.key(counter.scope.partition(":")[2])
        user = None if key is None else self._parts.accounts.user(key.user_id)
        if user is not None and user.login:
            self._parts.errands.begin(mail(self, user.login))

    async def mail(told: Notices, address: str) -> None:
        outbox, store = told._parts.outbox, told._parts.store
        await store.write(lambda c: outbox.put(c, address, "A call was refused: the limit is reached", "As above."))
        await outbox.round()


@mutant()
def auto_disable_ignored() -> None:
    """A key that is to be disabled at its limit stays active."""

    async def disable(_self: Notices, _key: Key) -> None:
        return None

    replace(Notices, "_disable", disable)


@mutant()
def auto_disable_always() -> None:
    """Every key is disabled at its limit."""
    setattr(Key, "auto_disable", property(lambda _self: True))  # noqa: B010 - mypy knows it as read-only


@mutant()
def organisation_budget_ignored() -> None:
    """An organisation's budget bounds nothing."""
    edit_caps(lambda _key, caps: [cap for cap in caps if not cap.scope.startswith("org:")])


@mutant()
def organisation_budget_per_key() -> None:
    """Every key of an organisation may spend its whole budget."""

    def edit(key: Key, caps: Sequence[Cap]) -> list[Cap]:
        return [cap._replace(scope=key_scope(key.id)) for cap in caps if cap.scope.startswith("org:")]

    edit_caps(edit)


@mutant()
def budget_mail_to_every_member() -> None:
    """Mails of an organisation's budget go to all of its members."""

    def payers(connection: Connection, org_id: str) -> list[str]:
        users, memberships = tables.users, tables.memberships
        mine = select(users.c.login).join(memberships, memberships.c.user_id == users.c.id)
        found = connection.execute(mine.where(memberships.c.org_id == org_id)).scalars()
        return [address for login in found if (address := emails.normal(login or ""))]

    replace(notices, "_payers", payers)


@mutant()
def statement_counts_what_is_held() -> None:
    """A statement shows what calls in flight hold as spent."""
    replace(gateway.statement, "held_account", user_account)


@mutant()
def statement_leaves_out_top_ups() -> None:
    """A statement shows the last top-up only."""
    edit_statements(lambda told: {**told, "topUps": told["topUps"][-1:]})


@mutant()
def statement_starts_from_nothing() -> None:
    """Every month's statement starts with nothing."""

    def edit(told: dict[str, Any]) -> dict[str, Any]:
        return {**told, "startUc": 0, "endUc": told["endUc"] - told["startUc"]}

    edit_statements(edit)


@mutant()
def credits_tell_nothing_held() -> None:
    """One's credits are told as if no call were in flight."""

    @around(endpoint, "amount")
    def amount(old: Any, name: str, amount_uc: int) -> dict[str, Any]:
        told: dict[str, Any] = old(name, 0 if name == "held" else amount_uc)
        return told


@mutant()
def spending_refusal_counts_against_hour() -> None:
    """A call that a limit refuses counts against the hour."""

    @around(admission, "take_hold")
    async def take_hold(old: Any, services: Any, key: Key, fare: Any) -> Any:
        try:
            return await old(services, key, fare)
        except SpendingLimit:
            await admission.counted(services, key, fare.limit_class)
            raise


@mutant()
def key_limit_stops_the_user() -> None:
    """Once a key has reached its limit, all keys of its user are refused."""
    stopped: dict[str, SpendingLimit] = {}

    @around(admission, "take_hold")
    async def take_hold(old: Any, services: Any, key: Key, fare: Any) -> Any:
        if key.user_id in stopped:
            raise stopped[key.user_id]
        try:
            return await old(services, key, fare)
        except SpendingLimit as error:
            stopped[key.user_id] = error
            raise


@mutant()
def dear_call_reaches_the_limit() -> None:
    """Any call that does not fit counts as the limit reached, however little was spent."""
    setattr(Spending, "near", property(lambda _self: True))  # noqa: B010 - mypy knows it as read-only
