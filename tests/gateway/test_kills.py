"""kill -9 of workers at random moments, under load: nothing is lost, made up or left held.

`make kills` kills 200 times (WINDTUNNEL_KILLS); a plain test run does not: four workers that die all the time want
the machine to themselves.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter

import pytest

from gateway.storage.store import Store
from tests.gateway.crew import CREDIT, Crew, Storm, crew
from tests.gateway.making import run

KILLS = int(os.environ.get("WINDTUNNEL_KILLS", "0"))
WORKERS = 4
USERS = 3
CLIENTS = 12
CALLS_MAX = 1_000_000  # an hour: the slower the deaths come, the more calls there are


async def nothing_held(crew: Crew) -> dict[str, object]:
    """The audit, once no hold is open: all of the dead are given back, and nothing is in flight."""
    for _ in range(300):
        audit: dict[str, object] = await crew.admin("GET", "/ledger")
        if not audit["open_holds"]:
            break
        await asyncio.sleep(0.1)
    return audit


@pytest.mark.skipif(not KILLS, reason="kills workers only when asked to: `make kills`")
def test_kills_lose_make_up_and_strand_nothing(server_url: str, redis_prefix: str) -> None:
    async def scene() -> None:
        async with crew(server_url, redis_prefix, WORKERS) as gateway:
            users = [await gateway.user(limits={"chat": CALLS_MAX}) for _ in range(USERS)]
            storm = Storm(gateway, [secret for _, _, secret in users])
            tally = await storm.rage(CLIENTS, KILLS)
            audit = await nothing_held(gateway)
            assert audit["problems"] == []
            assert (audit["ok"], audit["open_holds"], audit["held_uc"], audit["sum_uc"]) == (True, 0, 0, 0)
            charged: Counter[str] = Counter()
            for user_id, _, _ in users:
                moved = (await gateway.admin("GET", f"/users/{user_id}/transfers?limit=1000000"))["transfers"]
                mine = [move for move in moved if move["kind"] == "SETTLE"]
                charged.update(move["request_id"] for move in mine)
                user = await gateway.admin("GET", f"/users/{user_id}")
                assert user["balance_uc"] == 100_000 * CREDIT - sum(move["amount_uc"] for move in mine)
            assert set(charged.values()) == {1}, "a request was charged twice"
            assert {tally.answered[key] for key in tally.answered} - charged.keys() == set(), (
                "an answer was not charged"
            )
            assert len(charged) == tally.ended, "a call was charged more than once, or never"
            print(
                f"{storm.killed} kills, {tally.broken} broken connections, {len(tally.answered)} answers, "
                f"{len(tally.replayed)} replayed, {len(tally.charged)} charged but unheard, "
                f"{audit['transfers']} transfers"
            )

    run(scene())
    store = Store(server_url)
    assert store.read_now(lambda c: c.exec_driver_sql("SELECT count(*) FROM workers").scalar()) == 0
    store.close()
