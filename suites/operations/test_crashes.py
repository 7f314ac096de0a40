"""Stops and crashes of a gateway of the check's own."""

from __future__ import annotations

import asyncio

import aiohttp

from suites import oracle
from suites.case import Case, expect_status
from suites.edge import sleep_ms
from suites.exchange import Reply
from suites.outcomes import Violation
from suites.own_gateway import OwnGateway, own_gateway
from suites.provisioning import Books, User
from suites.requirement import MODES, over, requirement

STREAMS = 40
LIMIT_S = 300.0  # most of it spent waiting for its turn, where few gateways may run at once


def audited(audit: dict[str, object]) -> None:
    """Nothing missing, nothing held."""
    assert audit["ok"] is True, f"the audit finds {audit['problems']}"
    assert audit["sum_uc"] == 0, f"all accounts sum to {audit['sum_uc']} uc"
    assert (audit["open_holds"], audit["held_uc"]) == (0, 0), (
        f"{audit['open_holds']} holds of {audit['held_uc']} uc are open"
    )


async def in_flight(case: Case, user: User, tokens: list[str]) -> list[asyncio.Task[Reply | None]]:
    """Many streams of one user, every one of which has begun."""

    async def one(token: str, endpoint: str, begun: asyncio.Event) -> Reply | None:
        try:
            async with await case.open(
                endpoint, stream=True, fault="latency total_ms=60000", answer="tokens=400", token=token, key=user
            ) as opened:
                await opened.until(lambda heard: len(heard.deltas) >= 1)
                begun.set()
                return await opened.rest(90)
        except (Violation, aiohttp.ClientError):
            return None
        finally:
            begun.set()

    events = [asyncio.Event() for _ in tokens]
    tasks = [case.begin(one(token, ("chat", "messages")[n % 2], events[n])) for n, token in enumerate(tokens)]
    await asyncio.gather(*(event.wait() for event in events))
    return tasks


async def crashed(own: OwnGateway, case: Case) -> tuple[User, Books]:
    """Some calls complete, many in flight, killed. The user, and the books as they were just before the flight."""
    user = await case.user()
    for stream in MODES:
        expect_status(await case.chat(stream=stream, answer="tokens=5"), 200)
    before = await case.books(rows=2)
    tasks = await in_flight(case, user, [case.fresh() for _ in range(STREAMS)])
    await own.kill()
    await asyncio.gather(*tasks)
    return user, before


@requirement("CRS-001", slow=True, limit_s=LIMIT_S)
async def test_drain(case: Case) -> None:
    """Six streams of three seconds, the signal in their middle."""
    async with own_gateway(case) as own:
        mine = await own.start()
        await mine.user()
        asked = [
            mine.ask(("chat", "messages")[n % 2], stream=True, fault="latency total_ms=3000", answer="tokens=60")
            for n in range(6)
        ]
        running = [mine.begin(asking) for asking in asked]
        for _ in range(300):
            if len(await mine.fleet.journal(f"{mine.token}.*", 0)) >= 6:
                break
            await sleep_ms(20)
        own.stop()
        for reply in await asyncio.gather(*running):
            expect_status(reply, 200)
            assert reply.error is None, f"a stream in flight ended in {reply.error}"
            assert reply.heard.terminals == 1, f"a stream in flight was cut: {reply.raw[-200:]!r}"
        status = await own.ended(15)
        assert status == 0, "still running 15 s after the last stream" if status is None else f"ended with {status}"
        again = await own.start()
        audited(dict(await again.admin.audit()))


@requirement("CRS-002", slow=True, limit_s=LIMIT_S)
async def test_kill_in_mid_stream(case: Case) -> None:
    """Killed with forty streams open; the declared policy says who pays."""
    async with own_gateway(case) as own:
        user, before = await crashed(own, await own.start())
        again = await own.start()
        books = await again.books(user)
        audited(dict(await again.admin.audit()))
        if case.policies.crash == "release":
            assert books.balance_uc == before.balance_uc, (
                f"the crash cost the user {before.balance_uc - books.balance_uc} uc"
            )
        resolved = [transfer["closes"] for transfer in books.of_kind("EXPIRE", "RELEASE")]
        assert len(resolved) == len(set(resolved)), "a hold was resolved twice"


@requirement("CRS-003", slow=True, limit_s=LIMIT_S)
@over(stream=MODES)
async def test_acknowledged_charges_survive(case: Case, stream: bool) -> None:
    """Killed in the very moment when the last reply is complete."""
    async with own_gateway(case) as own:
        mine = await own.start()
        user = await mine.user()
        asked = [
            mine.chat(stream=stream, model="gpt-5.4", answer=f"tokens=3 input_tokens={100 + n} output_tokens=9")
            for n in range(30)
        ]
        replies = await asyncio.gather(*asked)
        await own.kill()
        due = sum(oracle.price_uc("gpt-5.4", 100 + n, 9) for n in range(30))
        for reply in replies:
            expect_status(reply, 200)
        again = await own.start()
        books = await again.books(user)
        assert books.charged_uc == due, (
            f"30 complete replies are worth {due} uc; after the kill {books.charged_uc} uc are charged"
        )
        assert len(books.rows) == 30, f"30 complete replies, {len(books.rows)} log rows after the kill"


@requirement("CRS-004", slow=True, limit_s=LIMIT_S)
async def test_restart_forgets_nothing(case: Case) -> None:
    """An orderly restart."""
    async with own_gateway(case) as own:
        mine = await own.start()
        user = await mine.user()
        expect_status(await mine.chat(answer="tokens=5"), 200)
        before = await mine.books(rows=1)
        own.stop()
        assert await own.ended(15) is not None, "still running 15 s after SIGTERM"
        again = await own.start()
        status, account = await again.admin.try_call("GET", f"users/{user.id}")
        assert status == 200, f"after the restart the user is not known: {account}"
        after = await again.books(user)
        assert (after.balance_uc, after.transfers) == (before.balance_uc, before.transfers), (
            "the ledger changed over the restart"
        )
        assert [row["requestId"] for row in after.rows] == [row["requestId"] for row in before.rows], (
            "log rows were lost"
        )
        expect_status(await again.chat(), 200)


@requirement("CRS-005", slow=True, limit_s=LIMIT_S)
async def test_recovery_happens_once(case: Case) -> None:
    """Killed with streams open, then restarted twice."""
    async with own_gateway(case) as own:
        user, _ = await crashed(own, await own.start())
        first = await (await own.start()).books(user)
        await own.kill()
        again = await own.start()
        second = await again.books(user)
        assert (second.balance_uc, second.transfers) == (first.balance_uc, first.transfers), (
            "the second restart moved money"
        )
        audited(dict(await again.admin.audit()))
