"""Transfers: what the ledger is made of. Immutable, positive, double-entry.

Accounts are names: `world` (where bought credit comes from; the only one below zero), `user:{id}` (what the user can
spend), `held:{id}` (what is set aside for requests in flight) and `revenue` (what was charged). Money is an int of
microcredits (1 credit = 1_000_000 uc, 100 credits = $1).
"""

from __future__ import annotations

from typing import Literal, NamedTuple, NewType, assert_never

Account = NewType("Account", str)
TransferId = int
Kind = Literal["TOP_UP", "HOLD", "SETTLE", "RELEASE", "EXPIRE", "REFUND"]

WORLD = Account("world")
REVENUE = Account("revenue")


class LedgerError(Exception):
    """The ledger refuses a command; nothing was moved."""


class InsufficientCredits(LedgerError):
    """The user's available credit does not cover what is needed (the client's fault: 402)."""

    def __init__(self, available_uc: int, needed_uc: int) -> None:
        super().__init__(f"{available_uc} uc available, {needed_uc} uc needed")
        self.available_uc = available_uc
        self.needed_uc = needed_uc


class UnknownHold(LedgerError):
    """The user has no hold of this id (a bug of the caller)."""


class AlreadyResolved(LedgerError):
    """The hold was resolved before, and otherwise than asked now."""


class IdempotencyConflict(LedgerError):
    """The idempotency key was used before, for another content (the client's fault: 409)."""


class RefundAboveCharge(LedgerError):
    """More is to be given back than is left of the charge (the client's fault: 409)."""


class Transfer(NamedTuple):
    """One immutable movement of credit. The two accounts carry the direction, never a sign.

    Invariants: all balances sum to 0; a HOLD is resolved once, by SETTLE and RELEASE that add up to its amount (one of
    them is missing when it would be 0) or by EXPIRE. The fields are in the order of the columns of `transfers`.
    """

    id: TransferId  # rises in the order of application
    kind: Kind
    source: Account
    destination: Account
    amount_uc: int  # microcredits, > 0
    user_id: str
    request_id: str | None  # None for a top-up
    closes: TransferId | None  # the HOLD this one resolves; for a REFUND the HOLD whose charge it gives back
    created_at_ms: int
    idempotency_key: str | None = None
    note: str | None = None  # why, for an EXPIRE


def user_account(user_id: str) -> Account:
    """What the user can spend."""
    return Account("user:" + user_id)


def held_account(user_id: str) -> Account:
    """What is set aside for the user's open holds."""
    return Account("held:" + user_id)


def route(kind: Kind, user_id: str) -> tuple[Account, Account]:
    """The source and the destination of a transfer of this kind for this user."""
    match kind:
        case "TOP_UP":
            return WORLD, user_account(user_id)
        case "HOLD":
            return user_account(user_id), held_account(user_id)
        case "SETTLE":
            return held_account(user_id), REVENUE
        case "RELEASE" | "EXPIRE":
            return held_account(user_id), user_account(user_id)
        case "REFUND":
            return REVENUE, user_account(user_id)
        case _:
            assert_never(kind)
