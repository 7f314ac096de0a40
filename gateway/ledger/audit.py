"""The audit: replays every transfer and compares the outcome with the tables that the gateway works with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from gateway.ledger.book import HoldRecord
from gateway.ledger.spending import Spending, key_scope, org_scope, period_of
from gateway.ledger.transfers import WORLD, Account, Kind, Transfer, TransferId, held_account, route
from gateway.storage.tables import accounts, holds, spending, transfers, usage_log

PROBLEMS_MAX = 100  # more would say nothing new


@dataclass(frozen=True, slots=True)
class Audit:
    """What the audit found. `ok` exactly when there are no problems."""

    ok: bool
    problems: tuple[str, ...]
    sum_uc: int  # of all balances: 0
    accounts: int
    transfers: int
    open_holds: int
    held_uc: int
    counters: int  # of spending, each recomputed


@dataclass(slots=True)
class _Claim:
    """What the transfers say of one hold."""

    hold: Transfer
    settled_uc: int = 0
    released_uc: int = 0
    refunded_uc: int = 0
    seen: set[Kind] = field(default_factory=set)

    @property
    def left_uc(self) -> int:
        return self.hold.amount_uc - self.settled_uc - self.released_uc


@dataclass(slots=True)
class Replay:
    """The ledger from its transfers alone: `add` each in order of id, then ask."""

    balances: dict[Account, int] = field(default_factory=dict)
    claims: dict[TransferId, _Claim] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, transfer: Transfer) -> None:
        """Moves the money and notes what is wrong with it."""
        self.count += 1
        source, destination, amount_uc = transfer.source, transfer.destination, transfer.amount_uc
        if (source, destination) != route(transfer.kind, transfer.user_id):
            self.problems.append(f"transfer {transfer.id} ({transfer.kind}) goes from {source} to {destination}")
        left_uc = self.balances.get(source, 0) - amount_uc
        self.balances[source] = left_uc
        self.balances[destination] = self.balances.get(destination, 0) + amount_uc
        if left_uc < 0 and source != WORLD:
            self.problems.append(f"transfer {transfer.id} ({transfer.kind}) takes {source} to {left_uc} uc")
        if transfer.kind == "HOLD":
            self.claims[transfer.id] = _Claim(transfer)
        elif transfer.kind != "TOP_UP":
            self._close(transfer)

    def _close(self, transfer: Transfer) -> None:
        """A transfer that resolves a hold, or refunds one."""
        claim = None if transfer.closes is None else self.claims.get(transfer.closes)
        if claim is None or claim.hold.user_id != transfer.user_id:
            self.problems.append(f"transfer {transfer.id} ({transfer.kind}) closes no hold: {transfer.closes}")
            return
        if transfer.kind == "REFUND":
            claim.refunded_uc += transfer.amount_uc
            if claim.refunded_uc > claim.settled_uc:
                self.problems.append(
                    f"hold {claim.hold.id}: refunded {claim.refunded_uc} uc of {claim.settled_uc} uc charged"
                )
            return
        if transfer.kind in claim.seen or "EXPIRE" in claim.seen or (transfer.kind == "EXPIRE" and claim.seen):
            self.problems.append(f"hold {claim.hold.id} is resolved twice: {transfer.kind} {transfer.id}")
        claim.seen.add(transfer.kind)
        if transfer.kind == "SETTLE":
            claim.settled_uc += transfer.amount_uc
        else:
            claim.released_uc += transfer.amount_uc

    def finish(self) -> None:
        """What can only be said at the end: no hold is resolved in part, and the balances sum to 0."""
        for claim in self.claims.values():
            if claim.seen and claim.left_uc:
                resolved_uc = claim.settled_uc + claim.released_uc
                self.problems.append(f"hold {claim.hold.id}: {resolved_uc} uc resolved of {claim.hold.amount_uc} uc")
        if self.sum_uc:
            self.problems.append(f"the balances sum to {self.sum_uc} uc, not 0")

    @property
    def sum_uc(self) -> int:
        return sum(self.balances.values())

    @property
    def open_claims(self) -> dict[TransferId, Transfer]:
        return {ident: claim.hold for ident, claim in self.claims.items() if not claim.seen}


def replay(entries: Iterable[Transfer]) -> Replay:
    """The whole ledger replayed, in order of id."""
    done = Replay()
    for transfer in entries:
        done.add(transfer)
    done.finish()
    return done


def audit(connection: Connection) -> Audit:
    """Replays all transfers and compares balances, open holds, and each settle with its one usage row."""
    in_order = select(transfers).order_by(transfers.c.id).execution_options(yield_per=1000)
    done = replay(Transfer(*row) for row in connection.execute(in_order))
    _compare_accounts(connection, done)
    _compare_holds(connection, done)
    _compare_usage(connection, done)
    counters = _compare_spending(connection, done)
    problems = done.problems
    if len(problems) > PROBLEMS_MAX:
        problems = [*problems[:PROBLEMS_MAX], f"… and {len(problems) - PROBLEMS_MAX} more"]
    open_holds = done.open_claims.values()
    return Audit(
        ok=not problems,
        problems=tuple(problems),
        sum_uc=done.sum_uc,
        accounts=len(done.balances),
        transfers=done.count,
        open_holds=len(open_holds),
        held_uc=sum(hold.amount_uc for hold in open_holds),
        counters=counters,
    )


def _compare_accounts(connection: Connection, done: Replay) -> None:
    stored = {Account(name): balance for name, balance in connection.execute(select(accounts))}
    for name in sorted(stored.keys() | done.balances.keys()):
        if stored.get(name, 0) != done.balances.get(name, 0):
            done.problems.append(f"{name}: stored {stored.get(name, 0)} uc, replayed {done.balances.get(name, 0)} uc")
    owed: dict[Account, int] = {}
    for hold in done.open_claims.values():
        owed[held_account(hold.user_id)] = owed.get(held_account(hold.user_id), 0) + hold.amount_uc
    for name, balance in done.balances.items():
        if name.startswith("held:") and balance != owed.get(name, 0):
            done.problems.append(f"{name}: {balance} uc held, {owed.get(name, 0)} uc in open holds")


def _compare_holds(connection: Connection, done: Replay) -> None:
    """The table has exactly the open holds."""
    open_holds = done.open_claims
    stored: set[TransferId] = set()
    for row in connection.execute(select(holds)):
        record = HoldRecord(*row)
        stored.add(record.id)
        hold = open_holds.get(record.id)
        if hold is None or (hold.user_id, hold.amount_uc) != (record.user_id, record.amount_uc):
            done.problems.append(
                f"hold {record.id} of {record.amount_uc} uc is in the table, but not open in the transfers"
            )
    done.problems += [f"HOLD transfer {ident} is open, but not in the table" for ident in open_holds.keys() - stored]


def _compare_usage(connection: Connection, done: Replay) -> None:
    log = usage_log.c
    logged: set[TransferId] = set()
    for ident, user_id, request_id, cost_uc in connection.execute(
        select(log.id, log.user_id, log.request_id, log.cost_uc).execution_options(yield_per=1000)
    ):
        claim = done.claims.get(ident)
        if claim is None:
            if cost_uc:
                done.problems.append(f"usage row {ident} costs {cost_uc} uc, but no hold paid for it")
            continue
        logged.add(ident)
        if (claim.hold.user_id, claim.settled_uc) != (user_id, cost_uc):
            done.problems.append(
                f"usage row {ident} ({request_id}) costs {cost_uc} uc, its settle is {claim.settled_uc} uc"
            )
    for ident, claim in done.claims.items():
        if claim.settled_uc and ident not in logged:
            done.problems.append(f"the settle of hold {ident} ({claim.settled_uc} uc) has no usage row")


def _compare_spending(connection: Connection, done: Replay) -> int:
    """Each counter has what the holds of its scope and month say: what was charged and not refunded, what is open.

    A hold's month and payer are its transfer's; its key is in the log row that it paid, or in `holds` while it is open.
    """
    stored = {(row.scope, row.period): Spending(*row) for row in connection.execute(select(spending))}
    if not stored:
        return 0
    key_of = {row.id: row.key_id for row in connection.execute(select(holds.c.id, holds.c.key_id))}
    wanted = {scope for scope, _ in stored}
    logged = connection.execute(select(usage_log.c.id, usage_log.c.key_id).execution_options(yield_per=1000))
    key_of.update((ident, key_id) for ident, key_id in logged if key_scope(key_id) in wanted)
    found = {name: [0, 0] for name in stored}
    for ident, claim in done.claims.items():
        period = period_of(claim.hold.created_at_ms)
        for scope in (key_scope(key_of.get(ident) or ""), org_scope(claim.hold.user_id)):
            if (sums := found.get((scope, period))) is not None:
                sums[0] += claim.settled_uc - claim.refunded_uc
                sums[1] += 0 if claim.seen else claim.hold.amount_uc
    for name, (spent_uc, held_uc) in found.items():
        counter = stored[name]
        if (counter.spent_uc, counter.held_uc) != (spent_uc, held_uc):
            done.problems.append(
                f"{name[0]} in {name[1]}: {counter.spent_uc} uc spent and {counter.held_uc} uc held are counted, "
                f"the replay has {spent_uc} uc and {held_uc} uc"
            )
    return len(stored)
