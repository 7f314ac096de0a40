"""Who is told that a limit is nearly or wholly spent, and the key that is then disabled.

The ledger writes a row for each mark that a scope passes in a month (`ledger/spending.py`), in the transaction that
passes it. From such a row the mails are put into the outbox, once: the row is ticked off in the same transaction.
Source: api-reference#gateway-features (Budget Alerts); docs/decisions.md#budget-mails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, select, update

from gateway import edge
from gateway.accounts import Accounts, Key, User
from gateway.budgets import told
from gateway.errands import Errands
from gateway.ledger.money import Money
from gateway.ledger.spending import FULL, Passed, Spending, bounds
from gateway.log import Log
from gateway.mail.outbox import Outbox
from gateway.orgs import audit, permissions
from gateway.orgs.audit import Actor, Deed
from gateway.people import emails
from gateway.storage.store import Store
from gateway.storage.tables import memberships, notices, orgs, users
from schemas.catalogue import UC_PER_USD

REASON: Final = "spending_limit"  # why a key is disabled
GATEWAY: Final = Actor("gateway")  # who acts when nobody does
NAME_MAX: Final = 60  # characters of a name in a subject


@dataclass(frozen=True, slots=True)
class Parts:
    """What notices work with."""

    store: Store
    clock: edge.Clock
    accounts: Accounts
    outbox: Outbox
    log: Log
    errands: Errands
    public_url: str | None


class Notices:
    """Hears of marks from the ledger, disables keys, writes the mails."""

    def __init__(self, parts: Parts, money: Money) -> None:
        self._parts = parts
        money.passed = self.passed
        money.refused = self.refused

    def passed(self, marks: Sequence[Passed]) -> None:
        """Marks were passed: their rows are written."""
        if marks:
            self._parts.errands.begin(self._told())

    def refused(self, counter: Spending) -> None:
        """A limit refused a hold. One that is nearly spent disables a key that is to be disabled."""
        key_id = _key_id(counter.scope)
        if counter.near and key_id is not None:
            key = self._parts.accounts.key(key_id)
            if key is not None and key.auto_disable and key.status == "active":
                self._parts.errands.begin(self._disabled(key))

    async def _told(self) -> None:
        try:
            await self.round()
        except Exception as error:  # the next round does it
            self._parts.log.write("error", "notices", error=repr(error))

    async def _disabled(self, key: Key) -> None:
        try:
            await self._disable(key)
        except Exception as error:  # its next call is refused, too
            self._parts.log.write("error", "notices", error=repr(error))

    async def round(self) -> int:
        """Acts upon every mark that nobody was told of, and hands in what is in the outbox. Returns how many marks."""
        store, accounts = self._parts.store, self._parts.accounts
        untold = select(notices).where(notices.c.told_at_ms.is_(None)).order_by(notices.c.at_ms, notices.c.mark)
        marks = await store.read(lambda c: [Passed(*row[:6]) for row in c.execute(untold)])
        done = 0
        for mark in marks:
            key_id = _key_id(mark.scope)
            key = None if key_id is None else accounts.key(key_id)
            if key is not None and mark.mark == FULL and key.auto_disable and key.status == "active":
                await self._disable(key)
            done += await store.write(lambda c, mark=mark, key=key: self._tell(c, mark, key))  # type: ignore[misc]
        await self._parts.outbox.round()
        return done

    async def _disable(self, key: Key) -> None:
        """Disables a key that has spent its limit; the audit log of its organisation says so."""
        now_ms = self._parts.clock.now_ms()

        def note(connection: Connection) -> None:
            if key.org_id is not None:
                deed = Deed("key.disabled", key.id, {"reason": REASON})
                audit.record(connection, key.org_id, GATEWAY, deed, now_ms)

        await self._parts.accounts.change_key(key, status="disabled", reason=REASON, also=note)

    def _tell(self, connection: Connection, mark: Passed, key: Key | None) -> int:
        """Ticks a mark off and puts its mails into the outbox; 0 if another worker did."""
        row = notices.c
        mine = (row.scope == mark.scope, row.period == mark.period, row.mark == mark.mark, row.told_at_ms.is_(None))
        ticked = connection.execute(update(notices).where(*mine).values(told_at_ms=self._parts.clock.now_ms()))
        if not ticked.rowcount:
            return 0
        if key is not None:
            subject, text = key_mail(mark, key, self._parts.public_url)
            addresses = _addresses([self._parts.accounts.user(key.user_id)])
        elif mark.scope.startswith("org:"):
            org_id = mark.scope.partition(":")[2]
            name = connection.execute(select(orgs.c.name).where(orgs.c.id == org_id)).scalar() or org_id
            subject, text = org_mail(mark, name, self._parts.public_url)
            addresses = _payers(connection, org_id)
        else:
            return 1  # the key was deleted meanwhile
        for address in addresses:
            self._parts.outbox.put(connection, address, subject, text)
        return 1


def _key_id(scope: str) -> str | None:
    kind, _, ident = scope.partition(":")
    return ident if kind == "key" else None


def _addresses(people: Sequence[User | None]) -> list[str]:
    found = [emails.normal(user.login or user.email or "") for user in people if user is not None]
    return list(dict.fromkeys(address for address in found if address is not None))


def _payers(connection: Connection, org_id: str) -> list[str]:
    """The addresses of those who manage an organisation's billing."""
    roles = sorted(permissions.table().actions["billing.manage"])
    query = (
        select(users.c.login, users.c.email)
        .join(memberships, memberships.c.user_id == users.c.id)
        .where(memberships.c.org_id == org_id, memberships.c.role.in_(roles))
        .order_by(memberships.c.created_at_ms, users.c.id)
    )
    found = [emails.normal(login or email or "") for login, email in connection.execute(query)]
    return list(dict.fromkeys(address for address in found if address is not None))


def key_mail(mark: Passed, key: Key, public_url: str | None) -> tuple[str, str]:
    """Subject and text for the user whose key it is."""
    name = f'"{_short(key.name)}"' if key.name else key.prefix or key.id
    whose = f"Your API key {name}" + (f" ({key.prefix}…)" if key.prefix and key.name else "")
    month, anew = _month(mark.period)
    if mark.mark < FULL:
        end = "it is then disabled until you enable it again" if key.auto_disable else f"they work again on {anew}"
        what = (
            f"Its calls go on as before. Once the limit is reached they are refused with\n"
            f"429 spending_limit_error; {end}."
        )
        subject = f"{mark.mark}% of the monthly limit of API key {name} is spent"
    elif key.auto_disable:
        what = (
            "The key was disabled, as you asked for this case: its calls are refused with\n401 authentication_error, "
            "also in the next month, until you enable it again."
        )
        subject = f"API key {name} has reached its monthly limit and was disabled"
    else:
        what = f"Calls that do not fit are refused with 429 spending_limit_error.\nThe key works again on {anew}."
        subject = f"API key {name} has reached its monthly limit"
    return subject, _text(whose, mark, month, what, public_url, "/manage-api-keys")


def org_mail(mark: Passed, name: str, public_url: str | None) -> tuple[str, str]:
    """Subject and text for those who manage the billing of an organisation."""
    month, anew = _month(mark.period)
    if mark.mark < FULL:
        what = (
            "The calls of its keys go on as before. Once the budget is spent they are refused\n"
            f"with 429 spending_limit_error; they work again on {anew}."
        )
        subject = f"{mark.mark}% of the monthly budget of {_short(name)} is spent"
    else:
        what = (
            f"Calls of its keys that do not fit are refused with 429 spending_limit_error.\nThey work again on {anew}."
        )
        subject = f"{_short(name)} has reached its monthly budget"
    return subject, _text(f"Your organisation {_short(name)}", mark, month, what, public_url, "/settings/organization")


def _text(whose: str, mark: Passed, month: str, what: str, public_url: str | None, page: str) -> str:
    site = (public_url or "").rstrip("/")
    spent, limit = _usd(mark.spent_uc), _usd(mark.limit_uc)
    return (
        f"Hello,\n\n{whose} has spent\n{told(mark.spent_uc)} of its {told(mark.limit_uc)} credits for {month}\n"
        f"({spent} of {limit}).\n\n{what}\n\nWhat it was spent on: {site}/usage\nTo change the limit: {site}{page}\n\n"
        "This is told once a month for each limit, at 80% and at 100%.\n"
    )


def _month(period: str) -> tuple[str, str]:
    """("November 2026", "1 December 2026, 00:00 UTC")."""
    begins_ms, ends_ms = bounds(period)
    begins, ends = datetime.fromtimestamp(begins_ms // 1000, UTC), datetime.fromtimestamp(ends_ms // 1000, UTC)
    return f"{begins:%B %Y}", f"{ends.day} {ends:%B %Y}, 00:00 UTC"


def _usd(amount_uc: int) -> str:
    return f"${amount_uc / UC_PER_USD:,.2f}"


def _short(text: str) -> str:
    """A name on one line, without what could be taken for more than a name."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= NAME_MAX else line[: NAME_MAX - 1] + "…"
