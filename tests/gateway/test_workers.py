"""Several workers are one gateway: limits, credit, idempotency keys and revoked keys hold for all of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.edge import Clock
from gateway.errors import Conflict, Unavailable
from gateway.kept_responses import KEEP_S, Kept
from gateway.limits import Limiter
from gateway.log import Log
from gateway.people.throttle import WINDOW_S, Rule, Throttle
from gateway.workers.limits import SharedLimiter
from gateway.workers.remote import Remote
from gateway.workers.replays import SharedReplays
from gateway.workers.responses import SharedResponses
from gateway.workers.roll import CUT_S, SILENT_S, Roll, Watch
from gateway.workers.throttle import SharedThrottle
from tests.gateway.crew import CREDIT, Crew, crew
from tests.gateway.databases import REDIS
from tests.gateway.making import NOW_MS, StillClock, open_money, open_store, run, take, usage_row

WORKERS = 4
CALLS = 40
NOW_S = NOW_MS // 1000
FAILURES = 6
TRIED = ("--set", "test_clock=true", "--set", f"breaker_failures={FAILURES}", "--set", "breaker_cooldown_s=30")
NOWHERE = "redis://127.0.0.1:1/0"


def test_a_crew_is_one_gateway(server_url: str, redis_prefix: str) -> None:
    """One start for all of it: four workers are slow to start."""

    async def scene() -> None:
        async with crew(server_url, redis_prefix, WORKERS, *TRIED) as gateway:
            assert len(gateway.workers) == WORKERS
            await limits_are_exact(gateway)
            await nobody_overdraws(gateway)
            await a_key_is_answered_once(gateway)
            await what_is_changed_is_known_at_once(gateway)
            await a_response_goes_on_anywhere(gateway)
            await the_clock_is_one(gateway)
            await a_target_fails_for_all(gateway)
            await a_dead_worker_is_replaced(gateway)
            audit = await gateway.admin("GET", "/ledger")
            assert (audit["problems"], audit["open_holds"]) == ([], 0)
        assert gateway.server.process.returncode == 0

    run(scene())


async def limits_are_exact(gateway: Crew) -> None:
    limit = CALLS // 2
    user_id, _, secret = await gateway.user(limits={"chat": limit})
    answers = await asyncio.gather(*(gateway.chat(secret) for _ in range(CALLS)))
    assert Counter(status for status, _, _ in answers) == {200: limit, 429: CALLS - limit}
    left = [int(headers["x-ratelimit-remaining"]) for status, headers, _ in answers if status == 200]
    assert sorted(left) == list(range(limit))
    assert len({headers["x-ratelimit-reset"] for _, headers, _ in answers}) == 1
    await gateway.admin("PATCH", f"/users/{user_id}", {"limits": {"chat": limit + 1}})
    again = await asyncio.gather(*(gateway.chat(secret) for _ in range(8)))
    assert Counter(status for status, _, _ in again) == {200: 1, 429: 7}


async def nobody_overdraws(gateway: Crew) -> None:
    """Credit for a few calls at a time: what does not fit is refused, and nothing goes below zero."""
    user_id, _, secret = await gateway.user(credits=201)
    answers = await asyncio.gather(*(gateway.chat(secret, max_tokens=100_000) for _ in range(CALLS)))
    statuses = Counter(status for status, _, _ in answers)
    assert set(statuses) <= {200, 402}
    assert statuses[402] > 0, "nothing was refused: the holds did not add up over the workers"
    user = await gateway.admin("GET", f"/users/{user_id}")
    assert 0 <= user["available_uc"] <= 201 * CREDIT
    assert user["held_uc"] == 0


async def a_key_is_answered_once(gateway: Crew) -> None:
    user_id, _, secret = await gateway.user()
    answers = await asyncio.gather(*(gateway.chat(secret, key="once") for _ in range(CALLS)))
    assert {status for status, _, _ in answers} <= {200, 409}
    for _ in range(8):
        answers.append(await gateway.chat(secret, key="once"))
        assert answers[-1][0] == 200
    assert len({body for status, _, body in answers if status == 200}) == 1
    other = await gateway.chat(secret, "Something else.", key="once")
    assert other[0] == 409
    rows = (await gateway.admin("GET", f"/users/{user_id}/usage"))["logs"]
    assert len(rows) == 1


async def what_is_changed_is_known_at_once(gateway: Crew) -> None:
    """As soon as the operator is answered no worker does otherwise any more."""
    for _ in range(3):
        _, key_id, secret = await gateway.user()
        assert {(await gateway.chat(secret))[0] for _ in range(8)} == {200}
        await gateway.admin("PATCH", f"/keys/{key_id}", {"status": "disabled"})
        assert {status for status, _, _ in await asyncio.gather(*(gateway.chat(secret) for _ in range(12)))} == {401}
        await gateway.admin("PATCH", f"/keys/{key_id}", {"status": "active"})
        assert {(await gateway.chat(secret))[0] for _ in range(8)} == {200}
        await gateway.admin("DELETE", f"/keys/{key_id}")
        assert {status for status, _, _ in await asyncio.gather(*(gateway.chat(secret) for _ in range(12)))} == {401}


async def a_response_goes_on_anywhere(gateway: Crew) -> None:
    _, _, secret = await gateway.user()
    headers = {"authorization": f"Bearer {secret}"}
    url, body = gateway.base_url + "/api/v1/responses", {"model": "gpt-5.4-mini", "input": "Say hi."}
    async with gateway.http.post(url, json=body, headers=headers) as answer:
        first = await answer.json()
    for _ in range(8):
        more = {**body, "previous_response_id": first["id"]}
        async with gateway.http.post(url, json=more, headers=headers) as answer:
            assert answer.status == 200, await answer.read()
        async with gateway.http.get(f"{url}/{first['id']}", headers=headers) as answer:
            assert answer.status == 200
    async with gateway.http.delete(f"{url}/{first['id']}", headers=headers) as answer:
        assert answer.status == 200
    async with gateway.http.get(f"{url}/{first['id']}", headers=headers) as answer:
        assert answer.status == 404


async def the_clock_is_one(gateway: Crew) -> None:
    """Moved by any worker, it is later for all of them; a window that was full is over."""
    _, _, secret = await gateway.user(limits={"chat": 1})
    statuses = [status for status, _, _ in await asyncio.gather(*(gateway.chat(secret) for _ in range(8)))]
    assert Counter(statuses) == {200: 1, 429: 7}
    told = [await gateway.admin("POST", "/clock", {"advance_ms": 700_000}) for _ in range(6)]
    assert [row["offset_ms"] for row in told] == [700_000 * (n + 1) for n in range(6)]
    statuses = [status for status, _, _ in await asyncio.gather(*(gateway.chat(secret) for _ in range(8)))]
    assert Counter(statuses) == {200: 1, 429: 7}


async def a_target_fails_for_all(gateway: Crew) -> None:
    """Failures that different workers met open the breaker for each of them."""
    _, _, secret = await gateway.user()

    async def states() -> set[str]:
        views = [await gateway.admin("GET", "/upstreams") for _ in range(12)]
        return {view["upstreams"]["openai"]["breaker"] for view in views}

    assert await states() == {"closed"}
    for _ in range(FAILURES):
        assert (await gateway.chat(secret, "Say hi. [[fault: status=401 provider=openai]]"))[0] == 200
    assert await states() == {"open"}
    await gateway.admin("POST", "/clock", {"advance_ms": 60_000})
    for _ in range(3):
        assert (await gateway.chat(secret))[0] == 200
    assert await states() == {"closed"}


async def a_dead_worker_is_replaced(gateway: Crew) -> None:
    before = gateway.workers
    os.kill(before[0], signal.SIGKILL)
    for _ in range(500):
        if len(gateway.workers) == WORKERS and gateway.workers != before:
            break
        await asyncio.sleep(0.02)
    assert len(set(gateway.workers) - set(before)) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--database", "sqlite:///{folder}/x.db"], "needs PostgreSQL"),
        (["--database", "postgresql://127.0.0.1/nowhere"], "needs Redis"),
        (["--database", "postgresql://127.0.0.1:1/x", "--set", f"redis_url={NOWHERE}"], "redis_url"),
    ],
)
def test_what_cannot_work_is_refused_in_a_line(tmp_path: Path, options: list[str], said: str) -> None:
    words = [option.format(folder=tmp_path) for option in options]
    command = [sys.executable, "-m", "gateway", "--workers", "2", "--port", "0", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_count_that_stands_still_while_somebody_looks_is_a_death() -> None:
    watch, beats = Watch(), {"a": 1, "b": 1}
    for second in range(int(SILENT_S)):
        assert watch.look(beats | {"b": second}, 100.0 + second) == []
    assert watch.look(beats | {"b": 99}, 100.0 + SILENT_S) == ["a"]


def test_who_has_no_connection_all_the_while_is_dead_sooner() -> None:
    watch, beats = Watch(), {"cut": 1, "silent": 1, "beating": 1, "back": 1}
    for second in range(int(CUT_S)):
        there = {"silent", "back"} if second == 1 else {"silent"}
        assert watch.look(beats | {"beating": second}, 100.0 + second, there) == []
    assert watch.look(beats | {"beating": 99}, 100.0 + CUT_S, {"silent"}) == ["cut"]
    assert watch.look(beats | {"beating": 100}, 101.0 + CUT_S, {"silent"}) == ["cut"]
    assert watch.look(beats | {"beating": 101}, 102.0 + CUT_S, {"silent"}) == ["cut", "back"]


def test_time_in_which_nobody_looked_kills_nobody() -> None:
    watch = Watch()
    assert watch.look({"a": 1}, 100.0) == []
    assert watch.look({"a": 1}, 100.0 + 10 * SILENT_S) == []
    assert watch.look({"a": 1}, 100.0 + 10.4 * SILENT_S) == []
    assert watch.look({"a": 1}, 100.0 + 10.8 * SILENT_S) == []
    assert watch.look({"a": 1}, 100.0 + 11 * SILENT_S) == ["a"]


def test_the_holds_of_the_dead_expire_once_and_those_of_the_living_and_of_jobs_stay(place: Path) -> None:
    async def scene() -> None:
        stores = [open_store(place, threaded=False) for _ in range(2)]
        dead, living = (open_money(store, owner=name) for store, name in zip(stores, ("dead", "living"), strict=True))
        job = open_money(stores[0], owner="job:1")
        await dead.top_up("usr_a", 10 * CREDIT)
        lost, kept, jobs = [await take(money) for money in (dead, living, job)]
        roll = Roll(stores[1], living, StillClock(), Log("error", Clock()))
        await roll.join(["dead"])
        await roll.bury("dead")
        balance = await living.balance("usr_a")
        assert balance.held_uc == kept.amount_uc + jobs.amount_uc
        moved = [move for move in await living.transfers("usr_a") if move.kind == "EXPIRE"]
        assert [(move.closes, move.note) for move in moved] == [(lost.id, "crash")]
        assert (await living.settle(kept, charge_uc=1, row=usage_row())).charged_uc == 1
        await roll.leave()
        for store in stores:
            store.close()

    run(scene())


def test_a_worker_that_left_holds_stays_on_the_roll(place: Path) -> None:
    async def scene() -> None:
        store = open_store(place, threaded=False)
        money = open_money(store, owner="me")
        await money.top_up("usr_a", 10 * CREDIT)
        hold = await take(money)
        roll = Roll(store, money, StillClock(), Log("error", Clock()))
        await roll.join()
        await roll.leave()
        assert not await roll.is_gone("me")
        await money.release(hold, "test")
        await roll.leave()
        assert await roll.is_gone("me")
        store.close()

    run(scene())


@asynccontextmanager
async def remote(prefix: str, url: str = REDIS) -> AsyncIterator[Remote]:
    made = Remote(url, prefix)
    yield made
    await made.close()


def test_a_shared_window_is_the_limiters_own(redis_prefix: str) -> None:
    """The same requests to two workers over Redis and to one in memory: the same verdicts."""

    async def scene() -> None:
        async with remote(redis_prefix) as first, remote(redis_prefix) as second:
            crew = [SharedLimiter(one, 2) for one in (first, second)]
            alone = Limiter()
            for step in range(60):
                at_s, limit = NOW_S + step * 150, 5 if step < 40 else 0 if step < 50 else 2
                assert await crew[step % 2].admit("u", "chat", limit, at_s) == alone.admit("u", "chat", limit, at_s)
            verdicts = await asyncio.gather(*(crew[n % 2].admit("v", "chat", 30, NOW_S) for n in range(100)))
            assert sum(window.admitted for window in verdicts) == 30
            assert sorted(window.remaining for window in verdicts if window.admitted) == list(range(30))

    run(scene())


def test_attempts_to_sign_in_are_counted_together(redis_prefix: str) -> None:
    """The same attempts at two workers over Redis and at one in memory: the same waits."""

    async def scene() -> None:
        rule, other = Rule("account", 4), Rule("address", 4)
        async with remote(redis_prefix) as first, remote(redis_prefix) as second:
            crew = [SharedThrottle(one, 2, 100) for one in (first, second)]
            alone = Throttle(100)
            for step in range(40):
                at_s, whose = NOW_S + step * 9, "ada@example.com \n" if step % 3 else "bob"
                assert await crew[step % 2].attempt(rule, whose, at_s) == alone.attempt(rule, whose, at_s)
                if step == 20:
                    await crew[1].forget(rule, whose)
                    alone.forget(rule, whose)
            waits = await asyncio.gather(*(crew[n % 2].attempt(other, "x", NOW_S) for n in range(10)))
            assert Counter(waits) == {0: 4, 100: 6}

    run(scene())


def test_without_redis_a_worker_admits_its_share() -> None:
    async def scene() -> None:
        async with remote("x", NOWHERE) as nowhere:
            throttle = SharedThrottle(nowhere, 4)
            waits = [await throttle.attempt(Rule("account", 10), "x", NOW_S) for _ in range(4)]
            assert waits == [0, 0, 0, WINDOW_S]
            await throttle.forget(Rule("account", 10), "x")
            assert await throttle.attempt(Rule("account", 10), "x", NOW_S) == 0
            limiter = SharedLimiter(nowhere, 4)
            windows = [await limiter.admit("u", "chat", 10, NOW_S) for _ in range(6)]
            assert [window.admitted for window in windows] == [True] * 3 + [False] * 3
            assert {window.limit for window in windows} == {10}
            assert limiter.alone

    run(scene())


class Ledger:
    """Who is gone, and what was charged, as a test has it."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.charged: set[str] = set()

    def replays(self, remote: Remote, worker: str, clock: Clock | None = None) -> SharedReplays:
        async def is_gone(other: str) -> bool:
            return other in self.gone

        async def was_charged(_payer: str, request_id: str, _at_ms: int) -> bool:
            return request_id in self.charged

        return SharedReplays(remote, clock or StillClock(), worker, is_gone, was_charged)


WHOSE = ("usr_a", "key with anything in it: \n{}")


async def claim(replays: SharedReplays, request_id: str, print_: bytes = b"p") -> Any:
    return await replays.claim(WHOSE, print_, request_id, "usr_a", NOW_MS)


def test_a_key_belongs_to_one_worker_until_its_answer_is_everybodys(redis_prefix: str) -> None:
    async def scene() -> None:
        async with remote(redis_prefix) as redis:
            ledger = Ledger()
            one, two = ledger.replays(redis, "w1"), ledger.replays(redis, "w2")
            assert (await claim(one, "r1")).running
            for other, print_, said in ((two, b"p", "still being answered"), (one, b"q", "another request")):
                with pytest.raises(Conflict, match=said):
                    await claim(other, "r2", print_)
            await one.forget(WHOSE, "r1")
            assert (await claim(two, "r3")).running
            await two.finish(WHOSE, "r3", b"text/plain", b"\0answer\xff")
            again = await claim(one, "r4")
            assert (again.answer, again.content_type, again.running) == (b"\0answer\xff", b"text/plain", False)
            await one.forget(WHOSE, "r4")  # not its own
            assert (await claim(two, "r5")).answer == b"\0answer\xff"

    run(scene())


@pytest.mark.parametrize("charged", [False, True])
def test_the_key_of_a_dead_worker_is_free_unless_it_was_charged(redis_prefix: str, charged: bool) -> None:
    async def scene() -> None:
        async with remote(redis_prefix) as redis:
            ledger = Ledger()
            dead, living = ledger.replays(redis, "dead"), ledger.replays(redis, "living")
            await claim(dead, "r1")
            with pytest.raises(Conflict, match="still being answered"):
                await claim(living, "r2")
            ledger.gone.add("dead")
            if charged:
                ledger.charged.add("r1")
                with pytest.raises(Conflict, match="answered and charged"):
                    await claim(living, "r3")
            else:
                claims = await asyncio.gather(*(claim(living, f"r{n}") for n in range(3, 9)), return_exceptions=True)
                assert sum(not isinstance(one, Exception) for one in claims) == 1
            await dead.finish(WHOSE, "r1", b"text/plain", b"too late")  # it was only asleep
            if charged:
                assert (await claim(living, "r10")).answer == b"too late"
            else:
                with pytest.raises(Conflict, match="still being answered"):
                    await claim(living, "r10")

    run(scene())


def test_the_oldest_answers_make_room(redis_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.workers.replays.ANSWERS_BYTES_MAX", 250)

    async def scene() -> None:
        async with remote(redis_prefix) as redis:
            clock = StillClock()
            replays = Ledger().replays(redis, "w", clock)
            for n in range(4):
                clock.advance(1)
                await replays.claim(("u", f"k{n}"), b"p", f"r{n}", "u", NOW_MS)
                await replays.finish(("u", f"k{n}"), f"r{n}", b"t", b"x" * 100)
            for n, kept in enumerate([False, False, True, True]):
                if kept:
                    assert (await replays.claim(("u", f"k{n}"), b"p", "again", "u", NOW_MS)).answer == b"x" * 100
                else:
                    with pytest.raises(Conflict, match="answered and charged"):
                        await replays.claim(("u", f"k{n}"), b"p", "again", "u", NOW_MS)

    run(scene())


def test_without_redis_a_key_is_refused_and_a_response_is_not_found_but_nothing_breaks() -> None:
    async def scene() -> None:
        async with remote("x", NOWHERE) as nowhere:
            with pytest.raises(Unavailable):
                await claim(Ledger().replays(nowhere, "w"), "r1")
            responses = SharedResponses(nowhere)
            await responses.add("resp_1", Kept("u", "openai", 1, 2, (), NOW_S + KEEP_S))
            with pytest.raises(Unavailable):
                await responses.look(["resp_1"])

    run(scene())


def test_a_kept_response_is_everybodys_and_its_owners_alone(redis_prefix: str) -> None:
    async def scene() -> None:
        async with remote(redis_prefix) as first, remote(redis_prefix) as second:
            one, two = SharedResponses(first), SharedResponses(second)
            kept = Kept("u", "openai", 1, 2, ("item_1", "item_2"), NOW_S + KEEP_S)
            found = await one.look([])
            found.add("resp_1", kept)
            await found.written()
            await two.add("resp_1", Kept("thief", "openai", 9, 9, ("item_1",), NOW_S + KEEP_S))
            found = await two.look(["resp_1", "resp_2"], ["item_2", "item_3"])
            assert found.find("resp_1", "u", NOW_S) == Kept("u", "openai", 1, 2, ("item_2",), NOW_S + KEEP_S)
            assert found.find("resp_1", "thief", NOW_S) is None
            assert found.holder("item_2", "u", NOW_S) is not None
            assert (found.is_known("item_2"), found.is_known("item_3")) == (True, False)
            await two.forget("resp_1")
            found = await one.look(["resp_1"], ["item_1"])
            assert found.find("resp_1", "u", NOW_S) is None
            assert not found.is_known("item_1")

    run(scene())
