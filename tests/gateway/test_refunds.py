"""Refunds: what an operator gives back of a charge, never more than it was, and where it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from gateway.ledger.money import Refunded
from gateway.ledger.spending import Cap, key_scope, org_scope
from gateway.ledger.transfers import RefundAboveCharge
from gateway.statement import statement
from gateway.storage.store import Store
from gateway.storage.tables import spending
from tests.gateway.gpu_lab import PICTURES, open_gpu_lab
from tests.gateway.lab import CHAT_UC, Answer, Lab, completion, error, ok, open_lab, run
from tests.gateway.making import CREDIT, StillClock, open_money, open_store, take, usage_row
from tests.gateway.media_lab import draw, scripted
from tests.gateway.people_lab import close, dashboard_on, events, open_dashboard, user
from tests.gateway.picture_wires import by_path, openai

ADMIN = {"authorization": "Bearer admin"}
FUNDS_UC = 100_000 * CREDIT


@pytest.fixture
def store(place: Path) -> Iterator[Store]:
    """A store on each database in turn."""
    opened = open_store(place)
    yield opened
    opened.close()


async def refund(lab: Lab, payer: str, request_id: str, **more: Any) -> Answer:
    """A refund to `payer`: users/ID or orgs/ID."""
    return await lab.ask(f"/admin/{payer}/refunds", {"request_id": request_id, **more}, headers=ADMIN)


async def called(calls: int) -> tuple[Lab, str, list[str]]:
    """A gateway that answered so many calls, their payer, and their ids."""
    lab = await open_lab(lambda _request: ok(completion()), clock=StillClock())
    answers = [await lab.chat(max_tokens=10) for _ in range(calls)]
    assert {answer.status for answer in answers} == {200}
    return lab, f"users/{lab.user_id}", [answer.headers["x-request-id"] for answer in answers]


async def sound(lab: Lab) -> None:
    audit = await lab.services.money.audit()
    assert audit.ok, audit.problems


def test_a_charge_is_given_back_in_parts() -> None:
    async def work() -> None:
        lab, payer, [first, _] = await called(2)
        part = await refund(lab, payer, first, amount_uc=75)
        balance_uc = FUNDS_UC - 2 * CHAT_UC + 75
        told = part.json
        assert (part.status, told.pop("transfer_id")[:3]) == (201, "tr_")
        assert told == {"amount_uc": 75, "left_uc": CHAT_UC - 75, "balance_uc": balance_uc}
        above = await refund(lab, payer, first, amount_uc=CHAT_UC - 74)
        assert (above.status, above.error[0]) == (409, "conflict_error")
        rest = (await refund(lab, payer, first)).json
        assert (rest["amount_uc"], rest["left_uc"], rest["balance_uc"]) == (CHAT_UC - 75, 0, FUNDS_UC - CHAT_UC)
        for more in ({}, {"amount_uc": 1}, {"amount_uc": None}):
            assert (await refund(lab, payer, first, **more)).status == 409
        path = f"/admin/{payer}/transfers"
        moved = (await lab.ask(path, method="GET", headers=ADMIN)).json["transfers"]
        refunds = [row for row in moved if row["kind"] == "REFUND"]
        assert [(row["amount_uc"], row["request_id"]) for row in refunds] == [(75, first), (CHAT_UC - 75, first)]
        assert refunds[0]["id"] == part.json["transfer_id"]
        shown = (await lab.ask("/api/statement", method="GET")).json
        assert [(row["amountUc"], row["requestId"]) for row in shown["refunds"]] == [
            (75, first),
            (CHAT_UC - 75, first),
        ]
        assert (shown["totals"]["refundsUc"], shown["endUc"]) == (CHAT_UC, FUNDS_UC - CHAT_UC)
        await sound(lab)

    run(work())


def test_the_same_key_is_the_same_transfer() -> None:
    async def work() -> None:
        lab, payer, [first, second] = await called(2)
        part = await refund(lab, payer, first, amount_uc=75, idempotency_key="k")
        again = await refund(lab, payer, first, amount_uc=75, idempotency_key="k")
        assert (part.status, again.status, again.json) == (201, 201, part.json)
        for request_id, more in ((first, {"amount_uc": 74}), (second, {"amount_uc": 75}), (first, {}), (second, {})):
            other = await refund(lab, payer, request_id, idempotency_key="k", **more)
            assert (other.status, other.error[0]) == (409, "conflict_error"), (request_id, more)
        whole = await refund(lab, payer, second, idempotency_key="all")
        again = await refund(lab, payer, second, idempotency_key="all")
        assert (whole.status, again.status, again.json) == (201, 201, whole.json)
        assert whole.json["amount_uc"] == CHAT_UC
        await lab.services.money.top_up(lab.user_id, 5, "bought")
        assert (await refund(lab, payer, first, amount_uc=5, idempotency_key="bought")).status == 409
        assert (await lab.services.money.balance(lab.user_id)).balance_uc == FUNDS_UC + 5 - CHAT_UC + 75
        await sound(lab)

    run(work())


def test_what_charged_this_payer_nothing_is_not_found() -> None:
    async def work() -> None:
        lab = await open_lab([ok(completion()), error(400)], clock=StillClock())
        payer = f"users/{lab.user_id}"
        charged, failed = [(await lab.chat(max_tokens=10)).headers["x-request-id"] for _ in range(2)]
        assert [row["costUc"] for row in await lab.log()] == [CHAT_UC, 0]
        other = await lab.services.accounts.create_user()
        made = await lab.ask("/admin/orgs", {"name": "Acme", "owner_id": lab.user_id}, headers=ADMIN)
        flying = await take(lab.services.money, 500, lab.user_id, request_id="req_flying")
        for asked in (
            (f"users/{other.id}", charged),
            (f"orgs/{made.json['id']}", charged),
            ("users/nobody", charged),
            ("orgs/nobody", charged),
            (payer, failed),
            (payer, flying.request_id),
            (payer, "req_none\0"),
        ):
            answer = await refund(lab, *asked)
            assert (answer.status, answer.error[0]) == (404, "not_found_error"), asked
        assert (await lab.services.money.balance(lab.user_id)).balance_uc == FUNDS_UC - CHAT_UC
        await sound(lab)

    run(work())


def test_wrong_bodies_and_tokens_are_refused() -> None:
    async def work() -> None:
        lab, payer, [charged] = await called(1)
        made = await lab.ask("/admin/orgs", {"name": "Acme", "owner_id": lab.user_id}, headers=ADMIN)
        wrong: list[Any] = [
            {},
            {"request_id": None},
            {"request_id": 5},
            {"request_id": ""},
            {"request_id": "r" * 201},
            [],
            *({"request_id": charged, "amount_uc": bad} for bad in (0, -1, 1.5, "5", True, 10**16)),
            *({"request_id": charged, "idempotency_key": bad} for bad in ("", 5, "k" * 201)),
            {"request_id": charged, "amount": 5},
        ]
        for place in (payer, f"orgs/{made.json['id']}"):
            path = f"/admin/{place}/refunds"
            for body in wrong:
                answer = await lab.ask(path, body, headers=ADMIN)
                assert (answer.status, answer.error[0]) == (400, "invalid_request_error"), body
            assert (await lab.ask(path, {"request_id": charged})).status == 401
            assert (await lab.ask(path, {"request_id": charged}, headers={})).status == 401
            assert (await lab.ask(path, method="GET", headers=ADMIN)).status == 405
        assert await lab.spent_uc() == CHAT_UC

    run(work())


def test_a_picture_can_be_refunded(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await scripted(by_path({"/": openai()}), tmp_path, chains={"*": ["openai"]})
        drawn = await draw(lab)
        charged_uc = await lab.spent_uc()
        assert (drawn.status, charged_uc > 0) == (200, True)
        told = (await refund(lab, f"users/{lab.user_id}", drawn.headers["x-request-id"])).json
        assert (told["amount_uc"], told["left_uc"]) == (charged_uc, 0)
        assert await lab.spent_uc() == 0

    run(work())


def test_a_gpu_job_can_be_refunded_once_it_has_ended(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.deploy()
        ident = await lab.submitted()
        [row] = await lab.services.money.transfers(lab.user_id, 1)
        assert row.kind == "HOLD"
        payer, request_id = f"users/{lab.user_id}", str(row.request_id)
        assert (await refund(lab, payer, request_id)).status == 404
        lab.clock.advance(30_000)
        lab.runpod.end(output=PICTURES, executionTime=18_420)
        await lab.rounds(0)
        assert (await lab.job(ident))["creditsCharged"] == 56
        assert (await refund(lab, payer, request_id, amount_uc=56 * CREDIT + 1)).status == 409
        told = (await refund(lab, payer, request_id)).json
        assert (told["amount_uc"], told["left_uc"]) == (56 * CREDIT, 0)
        assert await lab.spent_uc() == 0

    run(work())


def test_a_refund_to_an_organisation_leaves_its_counters_and_is_in_its_log() -> None:
    async def work() -> None:
        lab = await open_dashboard(clock=StillClock())
        ada = await user(lab)
        org_id = await ada.org()
        await lab.services.money.top_up(org_id, 1000 * CREDIT)
        await ada.ask("PUT", f"/api/orgs/{org_id}/budget", {"monthlyLimit": 500})
        key = await ada.post("/api/api-keys", {"orgId": org_id, "spendingLimit": 400}, 201)
        body = {"model": "gpt-5.5", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}
        called = await lab.ask("/v1/chat/completions", body, headers={"authorization": f"Bearer {key['key']}"})
        request_id = called.headers["x-request-id"]
        scopes = (key_scope(key["id"]), org_scope(org_id))
        before = await lab.services.money.spending(scopes)
        assert {counter.spent_uc for counter in before.values()} == {CHAT_UC}
        for _ in range(2):
            told = await refund(lab, f"orgs/{org_id}", request_id, amount_uc=175, idempotency_key="k")
            assert (told.status, told.json["left_uc"]) == (201, CHAT_UC - 175)
            assert told.json["balance_uc"] == 1000 * CREDIT - CHAT_UC + 175
        after = await lab.services.money.spending(scopes)
        assert after == {scope: row._replace(spent_uc=CHAT_UC - 175) for scope, row in before.items()}
        log = await ada.get(f"/api/orgs/{org_id}/audit-log")
        assert [event for event in events(log) if event[0].startswith("credit.")] == [
            ("credit.refunded", told.json["transfer_id"], "done")
        ]
        [row] = [event for event in log["events"] if event["action"] == "credit.refunded"]
        assert (row["actor"]["id"], row["details"]) == ("operator", {"requestId": request_id, "amountUc": 175})
        assert (await ada.get(f"/api/orgs/{org_id}/statement"))["totals"]["refundsUc"] == 175
        await sound(lab)
        await close(lab)

    run(work())


def test_a_refund_in_the_next_month_leaves_the_month_of_the_call(store: Store) -> None:
    async def work() -> None:
        lab = await dashboard_on(store)
        money, clock = lab.services.money, lab.services.clock
        await money.top_up(lab.user_id, 10_000)
        hold = await take(
            money, 100, lab.user_id, key_id=lab.key.id, caps=(Cap(key_scope(lab.key.id), 500),), request_id="req_may"
        )
        await money.settle(hold, charge_uc=80, row=usage_row(lab.user_id, key_id=lab.key.id, request_id="req_may"))
        clock.advance(31 * 86_400_000)
        assert (await refund(lab, f"users/{lab.user_id}", "req_may", amount_uc=30)).status == 201
        [counter] = await store.read(lambda c: c.execute(select(spending)).all())
        assert (counter.period, counter.spent_uc) == ("2026-05", 50)
        months = [
            await store.read(lambda c, m=month: statement(c, lab.user_id, m, clock.now_ms()))  # type: ignore[misc]
            for month in ("2026-05", "2026-06")
        ]
        assert [month["totals"]["refundsUc"] for month in months] == [0, 30]
        assert [month["endUc"] for month in months] == [9_920, 9_950]
        await sound(lab)

    run(work())


def test_refunds_that_come_together_give_back_one_charge(store: Store) -> None:
    async def work() -> None:
        lab = await dashboard_on(store)
        money, payer = lab.services.money, f"users/{lab.user_id}"
        await money.top_up(lab.user_id, 10_000)
        for request_id in ("req_a", "req_b", "req_other"):
            hold = await take(money, 100, lab.user_id, request_id=request_id)
            await money.settle(hold, charge_uc=100, row=usage_row(lab.user_id, request_id=request_id))
        answers = await asyncio.gather(*(refund(lab, payer, "req_a") for _ in range(20)))
        assert sorted(answer.status for answer in answers) == [201] + 19 * [409]
        answers = await asyncio.gather(*(refund(lab, payer, "req_b", idempotency_key="k") for _ in range(20)))
        assert {answer.status for answer in answers} == {201}
        assert len({answer.json["transfer_id"] for answer in answers}) == 1
        assert (await money.balance(lab.user_id)).balance_uc == 9_900
        await sound(lab)

    run(work())


def test_two_processes_give_back_one_charge(server_url: str) -> None:
    async def work() -> None:
        stores = [await asyncio.to_thread(Store, server_url) for _ in range(2)]
        first, second = (open_money(store) for store in stores)
        await first.top_up("usr_a", 10_000)
        for request_id in ("req_a", "req_b"):
            hold = await take(first, 100, request_id=request_id)
            await first.settle(hold, charge_uc=100, row=usage_row(request_id=request_id))
        both = (first, second)
        charge = await second.find_charge("usr_a", "req_a")
        assert charge is not None
        parts = await asyncio.gather(*(money.refund(charge, 30) for money in both * 5), return_exceptions=True)
        assert sorted(part.left_uc for part in parts if isinstance(part, Refunded)) == [10, 40, 70]
        assert sum(isinstance(part, RefundAboveCharge) for part in parts) == 7
        charge = await first.find_charge("usr_a", "req_b")
        assert charge is not None
        wholes = await asyncio.gather(*(money.refund(charge, None, "k") for money in both * 5))
        assert len(set(wholes)) == 1
        assert (await first.balance("usr_a")).balance_uc == 9_990
        assert (await second.audit()).problems == ()
        for store in stores:
            store.close()

    run(work())


@dataclass(slots=True)
class Model:
    """What is left of each charge, and what each key was used for."""

    left_uc: dict[str, int]
    keys: dict[str, tuple[str, int | None, int, str]] = field(default_factory=dict)

    def due(self, request_id: str, amount_uc: int | None, key: str | None) -> tuple[int, int, str | None]:
        """(status, amount, transfer if it was made before); nothing changes."""
        if key in self.keys:
            used_for, asked_uc, took_uc, transfer_id = self.keys[key]
            whole = amount_uc is None and (asked_uc is None or self.left_uc[used_for] == 0)
            same = used_for == request_id and (whole or amount_uc == took_uc)
            return (201, took_uc, transfer_id) if same else (409, 0, None)
        wanted_uc = self.left_uc[request_id] if amount_uc is None else amount_uc
        return (201, wanted_uc, None) if 0 < wanted_uc <= self.left_uc[request_id] else (409, 0, None)


CHARGES = {"req_a": 40, "req_b": 7, "req_c": 1}
steps = st.lists(
    st.tuples(
        st.sampled_from(sorted(CHARGES)),
        st.none() | st.integers(1, 45),
        st.none() | st.sampled_from(["k", "l"]),
        st.sampled_from(["mine", "mine", "mine", "another's"]),
    ),
    max_size=12,
)


@given(work=steps)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_sequence_of_refunds_gives_back_more_than_was_charged(
    store: Store, work: list[tuple[str, int | None, str | None, str]]
) -> None:
    """Each answer is what a model says, the balance grows by what was told, and the audit finds nothing."""

    async def go() -> None:
        lab = await dashboard_on(store)
        money, other = lab.services.money, await lab.services.accounts.create_user()
        await money.top_up(lab.user_id, 1000)
        for request_id, charge_uc in CHARGES.items():
            hold = await take(money, 50, lab.user_id, request_id=request_id)
            await money.settle(hold, charge_uc=charge_uc, row=usage_row(lab.user_id, request_id=request_id))
        model, balance_uc = Model(dict(CHARGES)), 1000 - sum(CHARGES.values())
        for request_id, amount_uc, key, whose in work:
            payer = lab.user_id if whose == "mine" else other.id
            asked = {"amount_uc": amount_uc, "idempotency_key": key}
            answer = await refund(lab, f"users/{payer}", request_id, **asked)
            if whose != "mine":
                assert answer.status == 404
                continue
            status, due_uc, before = model.due(request_id, amount_uc, key)
            assert answer.status == status, (request_id, asked, model)
            if status == 409:
                continue
            if before is None:
                model.left_uc[request_id] -= due_uc
                balance_uc += due_uc
                if key is not None:
                    model.keys[key] = (request_id, amount_uc, due_uc, answer.json["transfer_id"])
            told = (answer.json["amount_uc"], answer.json["left_uc"], answer.json["balance_uc"])
            assert told == (due_uc, model.left_uc[request_id], balance_uc)
            assert before in (None, answer.json["transfer_id"])
        assert all(left_uc >= 0 for left_uc in model.left_uc.values())
        assert (await money.balance(lab.user_id)).balance_uc == balance_uc <= 1000
        assert (await money.balance(other.id)).balance_uc == 0
        await sound(lab)

    run(go())
