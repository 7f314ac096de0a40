"""Mails at 80 % and 100 % of a limit, through a mail server in a process of its own, also one that refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

import pytest
from sqlalchemy import select

from gateway.ledger.spending import key_scope, org_scope
from gateway.mail.letter import Letter
from gateway.mail.server import server_of
from gateway.notices import Notices, Parts
from gateway.orgs.audit import Actor
from gateway.storage.tables import audit_log, mails, notices
from tests.gateway.lab import CHAT_UC, Lab, completion, ok, open_lab
from tests.gateway.making import StillClock, run
from tests.servers import Server, start

TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Fleet:
    """The fleet's mail server, as a gateway and a test see it."""

    control: str
    smtp: str  # host:port
    users: dict[str, str]
    ca: str

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self.control}/{path}", data, method=method), timeout=TIMEOUT_S) as reply:
            return json.loads(reply.read() or b"null")

    async def mails(self, case: str, count: int = 0) -> list[dict[str, Any]]:
        """What came for a case, once there are so many."""
        query = f"mails?case={case}&count={count}&wait_ms={10_000 if count else 0}"
        found: list[dict[str, Any]] = (await asyncio.to_thread(self.ask, "GET", query))["mails"]
        return found

    def fail(self, **fault: Any) -> None:
        self.ask("POST", "neighbours/mail/faults", {"faults": [fault]})


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    server: Server = start("simulator")
    try:
        told = server.told["fleet"]
        control = told["control_url"]
        with urlopen(f"{control}/neighbours", timeout=TIMEOUT_S) as reply:
            mail = json.loads(reply.read())["neighbours"]["mail"]
        ca = tmp_path_factory.mktemp("ca") / "mail.pem"
        ca.write_text(mail["certificate"])
        yield Fleet(control, "{host}:{port}".format(**told["smtp"]), mail["users"], str(ca))
    finally:
        server.stop()


async def limited(fleet: Fleet, case: str, limit_uc: int | None, *, auto_disable: bool = False, **options: Any) -> Lab:
    """A lab that mails, with a key that has a limit and a user who has an address."""
    settings = {"smtp_url": f"smtp://{fleet.smtp}", "smtp_ca": fleet.ca, "smtp_from": "billing@gateway.example"}
    lab = await open_lab(lambda _request: ok(completion()), clock=StillClock(), **{**settings, **options})
    user = lab.services.accounts.user(lab.user_id)
    assert user is not None
    await lab.services.accounts.change_user(user, {"email": f"ann+{case}@acme.example"})
    body = {"spending_limit_uc": limit_uc, "auto_disable": auto_disable}
    headers = {"authorization": "Bearer admin"}
    assert (await lab.ask(f"/admin/keys/{lab.key.id}", body, method="PATCH", headers=headers)).status == 200
    return lab


async def spend(lab: Lab) -> int:
    return (await lab.chat(max_tokens=5)).status


async def settled(lab: Lab) -> None:
    """Waits for the errands that are under way."""
    while lab.services.errands._tasks:
        await asyncio.gather(*lab.services.errands._tasks)


async def used_up(lab: Lab) -> list[int]:
    """Calls until one is refused."""
    statuses = [await spend(lab)]
    while statuses[-1] == 200:
        statuses.append(await spend(lab))
    await settled(lab)
    return statuses


def test_both_marks_are_mailed_once(fleet: Fleet) -> None:
    async def work() -> None:
        lab = await limited(fleet, "both", 20 * CHAT_UC)
        while await spend(lab) == 200:
            pass
        await asyncio.gather(*(spend(lab) for _ in range(10)))
        await settled(lab)
        heads_up, cap = await fleet.mails("both", 2)
        assert (heads_up["from"], heads_up["to"]) == ("billing@gateway.example", ["ann+both@acme.example"])
        assert heads_up["subject"].startswith("80% of the monthly limit of API key ")
        assert f"{16 * CHAT_UC / 1e6:f}".rstrip("0") in heads_up["text"]  # not a call too early, none too late
        assert "May 2026" in heads_up["text"]
        assert "has reached its monthly limit" in cap["subject"]
        assert "1 June 2026, 00:00 UTC" in cap["text"]
        names = {name.lower(): value for name, value in heads_up["headers"]}
        assert names["auto-submitted"] == "auto-generated"
        assert names["message-id"].endswith("@gateway.example>")
        assert (heads_up["tls"], len(await fleet.mails("both"))) == (True, 2)
        lab.services.clock.advance(31 * 86_400_000)
        assert await spend(lab) == 200

    run(work())


def test_a_key_is_disabled_at_its_limit_where_it_is_asked(fleet: Fleet) -> None:
    async def work() -> None:
        lab = await limited(fleet, "off", 20 * CHAT_UC, auto_disable=True)
        statuses = await used_up(lab)
        assert statuses[-1] in (401, 429)
        key = lab.services.accounts.key(lab.key.id)
        assert key is not None
        assert (key.status, key.status_reason) == ("disabled", "spending_limit")
        assert await spend(lab) == 401
        *_, cap = await fleet.mails("off", 2)
        assert "was disabled" in cap["subject"]
        await lab.services.accounts.change_key(key, status="active")
        assert await spend(lab) == 429  # and that disables it again, without another mail
        await settled(lab)
        assert await spend(lab) == 401
        assert len(await fleet.mails("off")) == 2

    run(work())


def test_a_large_request_neither_mails_nor_disables(fleet: Fleet) -> None:
    async def work() -> None:
        lab = await limited(fleet, "large", 100 * CHAT_UC, auto_disable=True)
        assert (await lab.chat(max_tokens=1_000_000)).status == 429
        await settled(lab)
        assert await spend(lab) == 200
        assert await fleet.mails("large") == []

    run(work())


def test_many_workers_mail_once(fleet: Fleet) -> None:
    """Each with its own view of the same rows."""

    async def work() -> None:
        lab = await limited(fleet, "many", 20 * CHAT_UC)
        services = lab.services
        others = [
            Parts(
                services.store, services.clock, services.accounts, services.outbox, services.log, services.errands, None
            )
            for _ in range(5)
        ]
        rounds = [Notices(parts, services.money) for parts in others]
        services.money.passed = lambda _marks: None
        await used_up(lab)
        told = await asyncio.gather(*(each.round() for each in rounds))
        assert sum(told) == 2
        assert len(await fleet.mails("many", 2)) == 2

    run(work())


def test_a_server_that_refuses_gets_the_mail_later(fleet: Fleet) -> None:
    async def work() -> None:
        lab = await limited(fleet, "later", 20 * CHAT_UC)
        fleet.fail(kind="greylist", case="later", times=2)
        fleet.fail(kind="defer_data", case="later", times=2)
        await used_up(lab)
        outcomes = [mail["outcome"] for mail in await fleet.mails("later", 2)]
        assert outcomes == ["deferred", "deferred"]
        assert await lab.services.outbox.round() == 0  # not before its time
        for wait_s in (30, 120):
            lab.services.clock.advance(wait_s * 1000)
            await lab.services.outbox.round()
        outcomes = [mail["outcome"] for mail in await fleet.mails("later", 6)]
        assert outcomes == ["deferred"] * 4 + ["taken"] * 2
        rows = await lab.services.store.read(lambda c: c.execute(select(mails)).all())
        assert [(row.state, row.tries, row.problem) for row in rows] == [("sent", 3, None)] * 2

    run(work())


@pytest.mark.parametrize("kind", ["refuse_connection", "drop_connection", "refuse_starttls", "refuse_auth"])
def test_a_server_that_recovers_gets_every_mail(fleet: Fleet, kind: str) -> None:
    async def work() -> None:
        case = kind.replace("_", "")
        user, password = next(iter(fleet.users.items()))
        lab = await limited(fleet, case, 20 * CHAT_UC, smtp_url=f"smtp://{user}:{password}@{fleet.smtp}")
        fleet.ask("PUT", "neighbours/mail", {"faults": [{"kind": kind}]})  # before a case is known
        await used_up(lab)
        rows = await lab.services.store.read(lambda c: c.execute(select(mails)).all())
        assert [(row.state, row.tries) for row in rows] == [("due", 1)] * 2
        assert all(password not in row.problem for row in rows)
        fleet.ask("PUT", "neighbours/mail", {"faults": []})
        lab.services.clock.advance(30_000)
        assert await lab.services.outbox.round() == 2
        taken = [mail for mail in await fleet.mails(case, 2) if mail["outcome"] == "taken"]
        assert [(mail["tls"], mail["user"]) for mail in taken] == [(True, user)] * 2

    run(work())


def test_an_address_that_is_refused_is_given_up(fleet: Fleet) -> None:
    async def work() -> None:
        lab = await limited(fleet, "nobody", 20 * CHAT_UC)
        fleet.fail(kind="refuse_recipient", case="nobody")
        await used_up(lab)
        rows = await lab.services.store.read(lambda c: c.execute(select(mails)).all())
        assert [(row.state, row.tries) for row in rows] == [("failed", 1)] * 2
        assert "550" in rows[0].problem

    run(work())


def test_a_certificate_that_nobody_vouches_for_is_refused(fleet: Fleet) -> None:
    async def work() -> None:
        lab = await limited(fleet, "foreign", 20 * CHAT_UC, smtp_ca=None)
        await used_up(lab)
        rows = await lab.services.store.read(lambda c: c.execute(select(mails)).all())
        assert [row.state for row in rows] == ["due", "due"]
        assert await fleet.mails("foreign") == []

    run(work())


def test_an_organisations_budget_is_told_to_those_who_pay(fleet: Fleet) -> None:
    async def work() -> None:
        lab = await limited(fleet, "org", None)
        services = lab.services
        org = await services.orgs.create(lab.user_id, "Acme\u202e Inc", None, Actor(lab.user_id))
        for role in ("billing", "developer"):
            member = await services.accounts.create_user(email=f"{role}+org@acme.example")
            await services.members.join(org.id, member.id, role, Actor("operator"))
        await services.money.top_up(org.id, 10**12)
        user = services.accounts.user(lab.user_id)
        assert user is not None
        _, lab.secret = await services.accounts.create_key(user, org_id=org.id)
        headers = {"authorization": "Bearer admin"}
        body = {"limit_uc": 20 * CHAT_UC}
        answer = await lab.ask(f"/admin/orgs/{org.id}/budget", body, method="PUT", headers=headers)
        assert answer.json["remainingUc"] == 20 * CHAT_UC
        await used_up(lab)
        found = await fleet.mails("org", 4)
        assert (
            sorted(mail["to"][0] for mail in found) == ["ann+org@acme.example"] * 2 + ["billing+org@acme.example"] * 2
        )
        assert {mail["subject"] for mail in found} == {
            "80% of the monthly budget of Acme Inc is spent",
            "Acme Inc has reached its monthly budget",
        }
        (counter,) = (await services.money.spending([org_scope(org.id)])).values()
        assert counter.spent_uc <= 20 * CHAT_UC

    run(work())


def test_an_organisations_key_that_is_disabled_stands_in_the_audit_log(fleet: Fleet) -> None:
    async def work() -> None:
        lab = await limited(fleet, "log", None)
        services = lab.services
        org = await services.orgs.create(lab.user_id, "Acme", None, Actor(lab.user_id))
        await services.money.top_up(org.id, 10**12)
        user = services.accounts.user(lab.user_id)
        assert user is not None
        key, lab.secret = await services.accounts.create_key(user, org_id=org.id)
        body = {"spending_limit_uc": 20 * CHAT_UC, "auto_disable": True}
        await lab.ask(f"/admin/keys/{key.id}", body, method="PATCH", headers={"authorization": "Bearer admin"})
        await used_up(lab)
        rows = await services.store.read(lambda c: c.execute(select(audit_log)).all())
        assert ("key.disabled", key.id, "gateway") in [(row.action, row.target, row.actor_id) for row in rows]
        counters = await services.money.spending([key_scope(key.id)])
        assert counters[key_scope(key.id)].told == 100

    run(work())


def test_a_mark_that_a_crash_left_untold_is_told_by_the_next_process(fleet: Fleet) -> None:
    async def work() -> None:
        lab = await limited(fleet, "crash", 20 * CHAT_UC)
        lab.services.money.passed = lambda _marks: None  # it dies before it can act
        await used_up(lab)
        rows = await lab.services.store.read(lambda c: c.execute(select(notices.c.told_at_ms)).all())
        assert [row.told_at_ms for row in rows] == [None, None]
        assert await lab.services.notices.round() == 2
        assert await lab.services.notices.round() == 0
        assert len(await fleet.mails("crash", 2)) == 2

    run(work())


def test_without_a_mail_server_nothing_piles_up() -> None:
    async def work() -> None:
        lab = await open_lab(lambda _request: ok(completion()), clock=StillClock())
        body = {"spending_limit_uc": 20 * CHAT_UC}
        await lab.ask(f"/admin/keys/{lab.key.id}", body, method="PATCH", headers={"authorization": "Bearer admin"})
        await used_up(lab)
        assert await lab.services.store.read(lambda c: c.execute(select(mails)).all()) == []
        assert await lab.services.notices.round() == 0

    run(work())


@pytest.mark.parametrize("url", ["", "smtp://", "http://host", "smtp://host/path", "smtp://host:99999", "host:25"])
def test_what_is_no_mail_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="was due"):
        server_of(url, "a@b.example")


def test_a_mail_servers_url_is_read() -> None:
    server = server_of("smtps://us%40er:p%2Fw@mail.example", "a@b.example")
    assert (server.host, server.port, server.user, server.password, server.tls) == (
        *("mail.example", 465, "us@er", "p/w"),
        True,
    )
    assert "p/w" not in repr(server)


def test_no_header_can_be_smuggled_in() -> None:
    from gateway.mail.smtp import message_of

    good = Letter("m@x", "ann@acme.example", "S", "T", 0)
    assert b"Bcc" not in bytes(message_of(good, "a@b.example"))
    with pytest.raises(ValueError, match=r"linefeed|newline|carriage"):
        message_of(good._replace(subject="S\r\nBcc: eve@evil.example"), "a@b.example")
