"""The audit: it notices every kind of tampering, and says nothing of a good ledger."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.ledger.audit import replay
from gateway.ledger.transfers import WORLD, Kind, Transfer, route
from tests.gateway.making import CREDIT, NOW_MS, open_money, open_store, run, take, usage_row

TAMPERINGS = {
    "a balance changed": ("UPDATE accounts SET balance_uc = balance_uc + 1 WHERE name = 'user:usr_a'", "stored"),
    "a transfer's amount changed": (
        "UPDATE transfers SET amount_uc = amount_uc - 1 WHERE kind = 'SETTLE'",
        "resolved of",
    ),
    "a transfer lost": ("DELETE FROM transfers WHERE kind = 'RELEASE'", "resolved of"),
    "a settle lost": ("DELETE FROM transfers WHERE kind = 'SETTLE'", "its settle is 0 uc"),
    "a usage row lost": ("DELETE FROM usage_log", "has no usage row"),
    "a usage row's cost changed": ("UPDATE usage_log SET cost_uc = 0", "its settle is"),
    "a usage row of another user": ("UPDATE usage_log SET user_id = 'usr_b'", "its settle is"),
    "a usage row that nobody paid": ("UPDATE usage_log SET id = id + 1 WHERE cost_uc > 0", "no hold paid"),
    "an open hold lost": ("DELETE FROM holds", "not in the table"),
    "an open hold's amount changed": ("UPDATE holds SET amount_uc = 3", "not open in the transfers"),
    "a direction turned": (
        "UPDATE transfers SET source = destination, destination = source WHERE kind = 'SETTLE'",
        "goes from",
    ),
    "credit from nowhere": ("UPDATE transfers SET amount_uc = 1 WHERE kind = 'TOP_UP'", "takes user:usr_a to"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_the_audit_notices(place: Path, name: str) -> None:
    statement, said = TAMPERINGS[name]

    async def work() -> None:
        store = open_store(place)
        money = open_money(store)
        await money.top_up("usr_a", 10 * CREDIT)
        await money.settle(await take(money), charge_uc=5, row=usage_row())
        await take(money)
        await money.record(usage_row(status="upstream_failed", status_code=502))
        assert (await money.audit()).problems == ()
        await store.write(lambda connection: connection.execute(text(statement)))
        audit = await money.audit()
        assert not audit.ok
        assert any(said in problem for problem in audit.problems), audit.problems
        store.close()

    run(work())


def moved(ident: int, kind: Kind, amount_uc: int, closes: int | None = None) -> Transfer:
    source, destination = route(kind, "a")
    return Transfer(ident, kind, source, destination, amount_uc, "a", "r", closes, NOW_MS)


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ([moved(3, "SETTLE", 50, 2), moved(4, "RELEASE", 50, 2), moved(5, "SETTLE", 50, 2)], "resolved twice"),
        ([moved(3, "EXPIRE", 100, 2), moved(4, "EXPIRE", 100, 2)], "resolved twice"),
        ([moved(3, "SETTLE", 100, 2), moved(4, "EXPIRE", 100, 2)], "resolved twice"),
        ([moved(3, "SETTLE", 60, 2)], "60 uc resolved of 100 uc"),
        ([moved(3, "SETTLE", 60, 9)], "closes no hold"),
        ([moved(3, "SETTLE", 60, 2), moved(4, "RELEASE", 40, 2), moved(5, "REFUND", 61, 2)], "refunded 61 uc"),
    ],
)
def test_a_replay_notices(further: list[Transfer], said: str) -> None:
    done = replay([moved(1, "TOP_UP", 1000), moved(2, "HOLD", 100), *further])
    assert any(said in problem for problem in done.problems), done.problems
    assert done.balances[WORLD] == -1000


def test_a_replay_of_a_good_ledger_says_nothing() -> None:
    good = [moved(1, "TOP_UP", 1000), moved(2, "HOLD", 100), moved(3, "SETTLE", 60, 2), moved(4, "RELEASE", 40, 2)]
    done = replay([*good, moved(5, "REFUND", 60, 2), moved(6, "HOLD", 1000)])
    assert done.problems == []
    assert list(done.open_claims) == [6]


def test_the_audit_reads_one_moment_while_others_write(place: Path) -> None:
    async def work() -> None:
        store = open_store(place)
        money = open_money(store)
        await money.top_up("usr_a", 1000 * CREDIT)

        async def spend() -> None:
            for _ in range(20):
                await money.settle(await take(money), charge_uc=3, row=usage_row())

        writers = [asyncio.create_task(spend()) for _ in range(4)]
        audits = [await money.audit() for _ in range(5)]
        await asyncio.gather(*writers)
        assert all(audit.ok for audit in audits), audits
        assert (await money.balance("usr_a")).balance_uc == 1000 * CREDIT - 80 * 3
        store.close()

    run(work())
