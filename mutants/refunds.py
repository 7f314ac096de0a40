"""Refunds that are given twice, above the charge or to the wrong payer, and that are not seen afterwards."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

import gateway.ledger.money
from gateway.ledger.book import Applied, Book, Refund
from gateway.ledger.desk import find_charged
from gateway.storage.tables import transfers
from mutants._patch import around, replace
from mutants.budgets import edit_statements
from mutants.registry import mutant


@mutant()
def refund_moves_money_twice() -> None:
    """A refund that comes again with its idempotency key is made again."""

    @around(Book, "_refund")
    def refund(old: Any, self: Book, command: Refund, now_ms: int) -> Applied:
        applied: Applied = old(self, command._replace(idempotency_key=None), now_ms)
        return applied


@mutant()
def refund_above_the_charge() -> None:
    """A refund may be more than what was charged."""

    @around(Book, "_refund")
    def refund(old: Any, self: Book, command: Refund, now_ms: int) -> Applied:
        hold = self.holds.get(command.hold_id)
        if hold is not None and command.amount_uc is not None:
            self.holds[hold.id] = hold._replace(charged_uc=hold.refunded_uc + command.amount_uc)
        applied: Applied = old(self, command, now_ms)
        return applied


@mutant()
def refund_not_in_statement() -> None:
    """A statement shows no refunds and ends as if there were none."""

    def edit(told: dict[str, Any]) -> dict[str, Any]:
        totals = {**told["totals"], "refundsUc": 0}
        return {**told, "refunds": [], "totals": totals, "endUc": told["endUc"] - told["totals"]["refundsUc"]}

    edit_statements(edit)


@mutant()
def refund_of_anybodys_request() -> None:
    """What one payer paid for a request is refunded in the name of any other."""

    def found(connection: Connection, _payer_id: str, request_id: str) -> Any:
        column = transfers.c
        payers = select(column.user_id).where(column.request_id == request_id, column.kind == "SETTLE")
        payer_id = connection.execute(payers.limit(1)).scalar()
        return None if payer_id is None else find_charged(connection, payer_id, request_id)

    replace(gateway.ledger.money, "find_charged", found)


@mutant()
def refund_stays_in_the_counter() -> None:
    """What was refunded still counts as spent against the month's limit."""

    @around(Book, "_count")
    def count(old: Any, self: Book, where: str, spent_uc: int, held_uc: int, now_ms: int) -> Any:
        return old(self, where, max(spent_uc, 0), held_uc, now_ms)
