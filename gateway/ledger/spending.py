"""What a scope has spent in a calendar month, and what it may spend: counters, caps and the marks on the way. Pure.

A scope is `key:ID` or `org:ID`. A period is a calendar month in UTC, "2026-11". A hold counts for the month it was made
in, and so do its charge and its refunds, whenever they come. Source: api-reference#gateway-features (Budget Alerts).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from gateway.ledger.transfers import LedgerError

NEAR: Final = 80  # percent of a limit: a heads-up
FULL: Final = 100
MARKS: Final = (NEAR, FULL)


class Cap(NamedTuple):
    """What a scope may spend a month."""

    scope: str
    limit_uc: int
    fresh: bool = False  # the counter may have missed holds: it is made anew from the ledger first


class Spending(NamedTuple):
    """A counter. The fields are the columns of `spending`."""

    scope: str
    period: str
    spent_uc: int = 0  # charged, less what was refunded
    held_uc: int = 0  # by open holds
    limit_uc: int = 0  # that the latest hold was held to
    told: int = 0  # the highest mark passed so far, in percent

    def passes(self) -> tuple[int, ...]:
        """The marks that it has passed and nobody was told of."""
        return tuple(mark for mark in MARKS if self.told < mark and self.spent_uc * 100 >= self.limit_uc * mark)

    @property
    def near(self) -> bool:
        """Whether the heads-up is due, or was."""
        return self.spent_uc * 100 >= self.limit_uc * NEAR


class Passed(NamedTuple):
    """A mark was passed, for the first time in its month. The fields are the first columns of `notices`."""

    scope: str
    period: str
    mark: int  # percent
    limit_uc: int
    spent_uc: int
    at_ms: int


class SpendingLimitReached(LedgerError):
    """The hold does not fit what its scope may still spend in the month (the client's fault: 429)."""

    def __init__(self, counter: Spending, needed_uc: int) -> None:
        self.counter = counter  # with the limit that it was held to
        self.needed_uc = needed_uc
        self.passed: tuple[Passed, ...] = ()  # set by whoever keeps the marks
        spent_uc, held_uc, limit_uc = counter.spent_uc, counter.held_uc, counter.limit_uc
        super().__init__(
            f"{counter.scope} may spend {limit_uc} uc in {counter.period}: "
            f"{spent_uc} uc spent, {held_uc} uc held, {needed_uc} uc needed"
        )


def key_scope(key_id: str) -> str:
    """The scope of a key."""
    return "key:" + key_id


def org_scope(org_id: str) -> str:
    """The scope of an organisation."""
    return "org:" + org_id


def period_of(at_ms: int) -> str:
    """The month of a moment, in UTC."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{at.year:04d}-{at.month:02d}"


def bounds(period: str) -> tuple[int, int]:
    """When a month begins and when the next one does, in Unix milliseconds. Raises ValueError: it is no month."""
    year, month = int(period[:4]), int(period[5:])
    begins = datetime(year, month, 1, tzinfo=UTC)
    ends = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return round(begins.timestamp()) * 1000, round(ends.timestamp()) * 1000


def counts(period: str, scopes: Iterable[str]) -> str:
    """How a hold tells where it counts: `2026-11 key:ID org:ID`."""
    return " ".join((period, *scopes))


def counters(told: str) -> list[tuple[str, str]]:
    """(scope, period) of every counter that a hold counts in."""
    period, *scopes = told.split(" ")
    return [(scope, period) for scope in scopes]
