"""Statements add up to the microcredit and lead from month to month; credits and tiers are what the catalogue says."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledger.money import Money
from gateway.ledger.spending import period_of
from gateway.orgs.audit import Actor
from gateway.statement import statement
from gateway.storage.store import Store
from schemas.catalogue import MODELS, UC_PER_USD
from schemas.catalogue.tiers import next_tier, tier_of, tiers
from tests.gateway.lab import CHAT_UC, Lab, completion, ok, open_lab
from tests.gateway.making import CREDIT, StillClock, run, take, usage_row

DAY_MS = 86_400_000
steps = st.lists(
    st.tuples(
        st.sampled_from(["top_up", "call", "open", "refund", "settle_late", "wait"]),
        st.integers(1, 5000),
        st.sampled_from(["gpt-5.5", "glm-5"]),
    ),
    max_size=40,
)


@given(steps)
@settings(max_examples=40, deadline=None)
def test_statements_add_up_and_lead_into_each_other(work: list[tuple[str, int, str]]) -> None:
    async def go() -> None:
        store, clock = Store("sqlite://", threaded=False), StillClock()
        money = Money(store, clock)
        await money.top_up("usr_a", 1_000_000)
        charged: list[Any] = []
        left_open: list[Any] = []
        months = {period_of(clock.now_ms())}
        for what, amount_uc, model in work:
            row = usage_row(model=model, created_at_ms=clock.now_ms())
            if what == "top_up":
                await money.top_up("usr_a", amount_uc)
                await money.top_up("usr_b", amount_uc)  # another's, which must not show
            elif what == "call":
                hold = await take(money, amount_uc)
                await money.settle(hold, charge_uc=amount_uc // 2, row=row)
                charged += [hold] if amount_uc > 1 else []
            elif what == "open":
                left_open.append(await take(money, amount_uc))
            elif what == "settle_late" and left_open:
                hold = left_open.pop()
                await money.settle(hold, charge_uc=1, row=row)
            elif what == "refund" and charged:
                await money.refund(charged.pop(), 1)
            elif what == "wait":
                clock.advance(11 * DAY_MS)
                months.add(period_of(clock.now_ms()))
        now_ms = clock.now_ms()
        told = [await store.read(lambda c, m=month: statement(c, "usr_a", m, now_ms)) for month in sorted(months)]  # type: ignore[misc]
        before_uc = 0
        for month in told:
            sums = {name: month["totals"][f"{name}Uc"] for name in ("topUps", "charges", "refunds")}
            assert month["startUc"] == before_uc
            before_uc = month["startUc"] + sums["topUps"] + sums["refunds"] - sums["charges"]
            assert month["endUc"] == before_uc
            assert sum(row["costUc"] for row in month["charges"]) == sums["charges"]
            assert sum(row["amountUc"] for row in month["topUps"]) == sums["topUps"]
            assert sum(row["amountUc"] for row in month["refunds"]) == sums["refunds"]
        assert before_uc == (await money.balance("usr_a")).balance_uc
        assert [month["complete"] for month in told] == [True] * (len(told) - 1) + [False]
        store.close()

    run(go())


async def called(calls: int = 2, **options: Any) -> Lab:
    lab = await open_lab(lambda _request: ok(completion()), clock=StillClock(), **options)
    for _ in range(calls):
        assert (await lab.chat(max_tokens=10)).status == 200
    return lab


def test_a_statement_over_http() -> None:
    async def work() -> None:
        lab = await called()
        for path in ("/api/statement", "/api/v1/statement", "/v1/statement"):
            answer = await lab.ask(path, method="GET", query="month=2026-05")
            told = answer.json
            assert (answer.status, told["month"], told["complete"]) == (200, "2026-05", False)
            assert (told["from"], told["to"]) == ("2026-05-01T00:00:00.000Z", "2026-06-01T00:00:00.000Z")
            (charge,) = told["charges"]
            assert charge == {"model": "gpt-5.5", "requests": 2, "costUc": 2 * CHAT_UC, "costCredits": "0.001950"}
            assert told["startUc"] == 0
            assert told["endUc"] == 100_000 * CREDIT - 2 * CHAT_UC
        april = (await lab.ask("/api/statement", method="GET", query="month=2026-04")).json
        assert (april["startUc"], april["endUc"], april["topUps"], april["complete"]) == (0, 0, [], True)
        assert (await lab.ask("/api/statement", method="GET")).json["month"] == "2026-05"
        for month in ("2026-06", "2026-13", "2026-5", "1999-01", "x", "2026-05-01", "٢026-05"):
            refused = await lab.ask("/api/statement", method="GET", query=f"month={month}".encode().decode("latin-1"))
            assert (refused.status, refused.error[0]) == (400, "invalid_request_error")

    run(work())


def test_ones_own_statement_needs_a_key_or_a_session() -> None:
    async def work() -> None:
        lab = await called()
        user = lab.services.accounts.user(lab.user_id)
        assert user is not None
        session = await lab.services.sessions.begin(user)
        cookie = {"cookie": lab.services.sessions.cookie(session).partition(";")[0]}
        for path in ("/api/statement", "/api/credits"):
            assert (await lab.ask(path, method="GET", headers={})).status == 401
            assert (await lab.ask(path, method="GET", headers={"authorization": "Bearer ck_wrong"})).status == 401
            by_cookie, by_key = await lab.ask(path, method="GET", headers=cookie), await lab.ask(path, method="GET")
            assert (by_cookie.status, by_cookie.json) == (200, by_key.json)
            assert (await lab.ask(path, method="POST")).status == 405

    run(work())


def test_an_organisations_statement_and_budget_are_its_members() -> None:
    async def work() -> None:
        lab = await called(0)
        services = lab.services
        org = await services.orgs.create(lab.user_id, "Acme", None, Actor(lab.user_id))
        people = {"owner": services.accounts.user(lab.user_id)}
        for role in ("billing", "viewer", "developer"):
            people[role] = await services.accounts.create_user(email=f"{role}@acme.example")
            await services.members.join(org.id, people[role].id, role, Actor("operator"))
        people["stranger"] = await services.accounts.create_user()

        async def ask(who: str, path: str, body: Any = None) -> int:
            user = people[who]
            assert user is not None
            session = await services.sessions.begin(user)
            cookie = services.sessions.cookie(session).partition(";")[0]
            headers = {"cookie": cookie, "x-csrf-token": session.csrf_token}
            method = "GET" if body is None else "PUT"
            return (await lab.ask(f"/api/orgs/{org.id}/{path}", body, method=method, headers=headers)).status

        for path in ("statement", "budget"):
            told = {who: await ask(who, path) for who in people}
            assert told == {"owner": 200, "billing": 200, "viewer": 200, "developer": 403, "stranger": 404}
        wanted = {"monthlyLimit": 12.5}
        told = {who: await ask(who, "budget", wanted) for who in people}
        assert told == {"owner": 200, "billing": 200, "viewer": 403, "developer": 403, "stranger": 404}
        assert services.budgets.budget_uc(org.id) == 12_500_000
        for wrong in ({}, {"monthlyLimit": -1}, {"monthlyLimit": "5"}, {"monthlyLimit": 1e-7}, {"limit": 5}):
            assert await ask("owner", "budget", wrong) == 400
        assert await ask("owner", "budget", {"monthlyLimit": None}) == 200
        assert services.budgets.budget_uc(org.id) is None

    run(work())


def test_credits_tell_the_tier_and_the_next() -> None:
    async def work() -> None:
        lab = await open_lab([], credits=1_998)
        told = (await lab.ask("/api/credits", method="GET")).json
        assert told["tier"] == {"id": "free", "label": "Free", "minTopUpUsd": "0.00"}
        assert (told["nextTier"]["id"], told["nextTier"]["missingCredits"]) == ("starter", "1.000000")
        assert (told["balanceUc"], told["availableUc"], told["heldUc"]) == (1_998 * CREDIT, 1_998 * CREDIT, 0)
        await lab.services.money.top_up(lab.user_id, CREDIT)
        hold = await take(lab.services.money, 300 * CREDIT, lab.user_id)
        told = (await lab.ask("/api/credits", method="GET")).json
        assert (told["tier"]["id"], told["nextTier"]["id"]) == ("starter", "pro")
        assert (told["availableCredits"], told["heldCredits"]) == ("1699.000000", "300.000000")
        await lab.services.money.release(hold, "test")
        await lab.services.money.top_up(lab.user_id, 10_000 * CREDIT)
        told = (await lab.ask("/api/credits", method="GET")).json
        assert (told["tier"]["id"], told["nextTier"]) == ("pro", None)

    run(work())


def test_every_models_sum_is_a_tiers() -> None:
    sums = {tier.min_top_up_uc for tier in tiers()}
    assert {model.min_top_up_uc for model in MODELS.values()} <= sums
    assert {model.min_top_up_uc for model in MODELS.values() if model.kind != "llm"} == {1_999 * UC_PER_USD // 100}


@given(st.integers(-5, 10**13))
def test_a_sum_lies_in_its_tier(topped_up_uc: int) -> None:
    tier, after = tier_of(topped_up_uc), next_tier(topped_up_uc)
    assert tier.min_top_up_uc <= max(0, topped_up_uc)
    assert after is None or topped_up_uc < after.min_top_up_uc
    assert after is None or tiers().index(after) == tiers().index(tier) + 1


def test_a_refusal_names_the_tier() -> None:
    async def work() -> None:
        lab = await open_lab([], credits=2_500)
        kind, message = (await lab.chat(model="gpt-5-pro-official")).error
        assert kind == "access_denied"
        assert "the Pro tier, a cumulative top-up of $99.99; yours is $25.00 (Starter)" in message

    asyncio.run(work())
