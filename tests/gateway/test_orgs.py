"""Organisations: what each role may do, how members come and go, and that nobody sees or changes another's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from gateway.accounts import Accounts
from gateway.endpoints.orgs import OrgApi
from gateway.errors import Conflict, NoAccess, NotFound
from gateway.orgs import permissions
from gateway.orgs.audit import Actor
from gateway.orgs.members import join
from gateway.orgs.orgs import MEMBERSHIPS_MAX, SLUG, SLUG_MAX, slug_of
from gateway.storage.tables import memberships
from tests.gateway.lab import CREDIT, Lab, run
from tests.gateway.making import StillClock, open_store
from tests.gateway.people_lab import Browser, call_with, close, dashboard_on, dumped, events, open_dashboard, user

ROLES = ("owner", "admin", "developer", "billing", "viewer")
TABLE = permissions.table()
# The reference's own words, read again: not the file's.
REFERENCE = {
    "admin": {
        "members.manage",
        "keys.create",
        "keys.change",
        "keys.rotate",
        "keys.delete",
        "sso.manage",
        "webhooks.manage",
    },
    "developer": {"keys.create", "keys.delete", "workflows.manage", "gpus.manage"},
    "billing": {"billing.read", "billing.manage", "audit.read"},
    "viewer": {"keys.read", "billing.read", "audit.read"},
}
DECIDED = {  # docs/decisions.md#roles
    "admin": {"org.read", "members.read", "keys.read", "sso.read", "webhooks.read", "usage.read"},
    "developer": {"org.read", "keys.read", "keys.rotate", "workflows.read", "gpus.read", "usage.read"},
    "billing": {"org.read", "usage.read"},
    "viewer": {"org.read", "usage.read"},
}


async def team(lab: Lab) -> tuple[str, dict[str, Browser]]:
    """An organisation with a member of each role."""
    people = {role: await user(lab, f"{role}@example.com") for role in ROLES}
    org_id = await people["owner"].org("Acme Inc")
    for role in ROLES[1:]:
        await people["owner"].invited(org_id, people[role], role)
    return org_id, people


def test_the_table_is_the_reference() -> None:
    assert TABLE.roles == ROLES
    assert TABLE.of("owner") == list(TABLE.actions)
    for role in ROLES[1:]:
        assert set(TABLE.of(role)) == REFERENCE[role] | DECIDED[role]
        assert not REFERENCE[role] & DECIDED[role]


def test_a_table_that_names_no_role_is_refused() -> None:
    with pytest.raises(ValueError, match="are no roles"):
        permissions.read({"roles": ["owner"], "actions": {"x": ["boss"]}})


def test_every_role_may_do_what_the_table_says_and_nothing_else() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        org_id, people = await team(lab)
        outsider = await user(lab, "outsider@example.com")
        for action in TABLE.actions:
            for role, browser in people.items():
                asked = lab.services.orgs.access(Actor(browser.user_id), org_id, action)
                if role in TABLE.actions[action]:
                    assert (await asked).role == role
                else:
                    with pytest.raises(NoAccess):
                        await asked
            with pytest.raises(NotFound):
                await lab.services.orgs.access(Actor(outsider.user_id), org_id, action)
        with pytest.raises(KeyError):
            await lab.services.orgs.access(Actor(people["owner"].user_id), org_id, "no.action")
        await close(lab)

    run(work())


BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", ""): {"name": "New"},
    ("POST", "/invitations"): {"email": "new@example.com", "role": "viewer"},
    ("PATCH", "/members/{user_id}"): {"role": "developer"},
}
ROUTES = [(route.method, route.path, route.action) for route in OrgApi(MagicMock()).table()]
KEY_ROUTES = [
    ("POST", "/api/api-keys", "keys.create"),
    ("GET", "/api/api-keys", "keys.read"),
    ("GET", "/api/api-keys/{key_id}", "keys.read"),
    ("PATCH", "/api/api-keys/{key_id}", "keys.change"),
    ("POST", "/api/api-keys/{key_id}/rotate", "keys.rotate"),
    ("DELETE", "/api/api-keys/{key_id}", "keys.delete"),
]


@pytest.mark.parametrize(("method", "path", "action"), ROUTES)
@pytest.mark.parametrize("role", [*ROLES, "outsider"])
def test_every_route_asks_the_table(method: str, path: str, action: str, role: str) -> None:
    async def work() -> None:
        lab = await open_dashboard()
        org_id, people = await team(lab)
        people["outsider"] = await user(lab, "outsider@example.com")
        body = BODIES.get((method, path), {"userId": people["viewer"].user_id} if path == "/transfer" else None)
        where = f"/api/orgs/{org_id}{path}".replace("{user_id}", people["viewer"].user_id)
        answer = await people[role].ask(method, where, body)
        if role == "outsider":
            assert (answer.status, answer.error[0]) == (404, "not_found_error")
        elif role in TABLE.actions[action]:
            assert answer.status in (200, 201, 204, 404, 409), answer.body
            assert answer.status != 404 or "{invitation_id}" in path
            assert answer.status != 409 or (role, path) == ("owner", "/leave")
        else:
            assert (answer.status, answer.error[0]) == (403, "access_denied")
        await close(lab)

    run(work())


@pytest.mark.parametrize(("method", "path", "action"), KEY_ROUTES)
@pytest.mark.parametrize("role", [*ROLES, "outsider"])
def test_every_route_of_keys_asks_the_table(method: str, path: str, action: str, role: str) -> None:
    async def work() -> None:
        lab = await open_dashboard()
        org_id, people = await team(lab)
        people["outsider"] = await user(lab, "outsider@example.com")
        made = await people["owner"].post("/api/api-keys", {"orgId": org_id, "name": "ours"}, 201)
        assert made["orgId"] == org_id
        where = path.replace("{key_id}", made["id"])
        body = {"orgId": org_id} if action == "keys.create" else {}
        query = f"orgId={org_id}" if path == "/api/api-keys" and method == "GET" else ""
        answer = await people[role].ask(method, where, body, query=query)
        if role == "outsider":
            assert answer.status == 404
        elif role in TABLE.actions[action]:
            assert answer.status in (200, 201, 204), answer.body
        else:
            assert (answer.status, answer.error[0]) == (403, "access_denied")
        untouched = role == "outsider" or role not in TABLE.actions[action]
        if untouched:
            assert (await call_with(lab, made["key"])).status == 200
            assert len(lab.services.accounts.keys_of_org(org_id)) == 1
        await close(lab)

    run(work())


def test_an_organisation_from_first_to_last() -> None:
    async def work() -> None:
        lab = await open_dashboard(clock=StillClock())
        ada = await user(lab)
        answer = await ada.ask("POST", "/api/orgs", {"name": "Acme Inc"})
        made = answer.json
        assert (answer.status, made["slug"], made["role"]) == (201, "acme-inc", "owner")
        path = f"/api/orgs/{made['id']}"
        assert await ada.get(path) == {**made, "permissions": list(TABLE.actions)}
        assert await ada.get("/api/orgs") == {"orgs": [made]}
        assert (await ada.get("/api/auth/session"))["orgs"] == [made]
        renamed = (await ada.ask("PATCH", path, {"name": "Acme & Söhne"})).json
        assert (renamed["name"], renamed["slug"]) == ("Acme & Söhne", "acme-inc")
        key = await ada.post("/api/api-keys", {"orgId": made["id"]}, 201)
        assert (await ada.ask("DELETE", path)).status == 204
        assert (await call_with(lab, key["key"])).status == 401
        assert (await ada.ask("GET", path)).status == 404
        assert (await ada.get("/api/orgs"))["orgs"] == []
        again = await ada.post("/api/orgs", {"name": "Acme Inc"}, 201)
        assert again["slug"] == "acme-inc-2"  # what others may still link to is not given away
        await close(lab)

    run(work())


def test_slugs_are_unique() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        names = ["Acme", "acme!", "ACME 2", "Ácme", "acme", "日本", "---", "x" * 90, "x" * 90, "x" * 90]
        made = [(await ada.post("/api/orgs", {"name": name}, 201))["slug"] for name in names]
        assert len(set(made)) == len(made)
        assert made[:6] == ["acme", "acme-2", "acme-2-2", "acme-3", "acme-4", "org"]
        assert all(SLUG.fullmatch(slug) for slug in made)
        many = await asyncio.gather(*(ada.ask("POST", "/api/orgs", {"name": "At once"}) for _ in range(5)))
        assert len({answer.json["slug"] for answer in many}) == 5
        taken = await ada.ask("POST", "/api/orgs", {"name": "x", "slug": "acme"})
        assert (taken.status, taken.error[0]) == (409, "conflict_error")
        for slug in ("", "-a", "a-", "A", "a b", "ä", 5, "x" * (SLUG_MAX + 1)):
            assert (await ada.ask("POST", "/api/orgs", {"name": "x", "slug": slug})).status == 400
        await close(lab)

    run(work())


@pytest.mark.parametrize("name", ["", " ", "\u200e", "x" * 101, 5, None, ["a"]])
def test_names_are_something(name: Any) -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        assert (await ada.ask("POST", "/api/orgs", {"name": name})).status == 400
        await close(lab)

    run(work())


@settings(max_examples=200)
@given(st.text(max_size=120))
def test_any_name_has_a_slug(name: str) -> None:
    assert SLUG.fullmatch(slug_of(name))


def test_the_organisation_pays_for_its_keys() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        org_id = await ada.org()
        made = await ada.post("/api/api-keys", {"orgId": org_id, "name": "=cmd"}, 201)
        headers = {"authorization": f"Bearer {made['key']}"}
        body = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hi"}]}
        assert (await lab.ask("/api/v1/chat/completions", body, headers=headers)).status == 402
        admin = {"authorization": "Bearer admin"}
        path = f"/admin/orgs/{org_id}"
        for _ in range(2):  # the same key moves money once
            top_up = {"amount_uc": 1000 * CREDIT, "idempotency_key": "one"}
            told = await lab.ask(path + "/top-ups", top_up, headers=admin)
            assert (told.status, told.json["balance_uc"]) == (201, 1000 * CREDIT)
        assert (await lab.ask(path + "/top-ups", {**top_up, "amount_uc": 1}, headers=admin)).status == 409
        assert (await lab.ask("/api/v1/chat/completions", body, headers=headers)).status == 200
        shown = await ada.get(f"/api/orgs/{org_id}/usage")
        [row] = shown["logs"]
        assert row["keyId"] == made["id"]
        billing = await ada.get(f"/api/orgs/{org_id}/billing")
        assert billing["balanceUc"] == 1000 * CREDIT - row["costUc"]
        assert [each["amountCredits"] for each in billing["topUps"]] == ["1000.000000"]
        assert (await ada.get("/api/api-usage"))["logs"] == []
        exported = await ada.ask("GET", f"/api/orgs/{org_id}/usage/export")
        assert exported.body.count(b"\r\n") == 2
        assert b",'=cmd\r\n" in exported.body
        moved = (await lab.ask(path + "/transfers", method="GET", headers=admin)).json["transfers"]
        assert [each["kind"] for each in moved] == ["TOP_UP", "HOLD", "SETTLE", "RELEASE"]
        assert (await lab.ask(path + "/usage", method="GET", headers=admin)).json["logs"] == [row]
        audit = await lab.services.money.audit()
        assert audit.ok, audit.problems
        await close(lab)

    run(work())


def test_the_operator_makes_organisations() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada, bob = await user(lab), await user(lab, "bob@example.com")
        admin = {"authorization": "Bearer admin"}
        body = {"name": "Acme", "owner_id": ada.user_id, "amount_uc": 5 * CREDIT}
        made = await lab.ask("/admin/orgs", body, headers=admin)
        assert made.status == 201
        path = f"/admin/orgs/{made.json['id']}"
        member = await lab.ask(path + "/members", {"user_id": bob.user_id, "role": "developer"}, headers=admin)
        assert (member.status, member.json["role"]) == (201, "developer")
        stranger = {"user_id": lab.user_id, "name": "k"}
        assert (await lab.ask(path + "/keys", stranger, headers=admin)).status == 404
        key = await lab.ask(path + "/keys", {**stranger, "user_id": bob.user_id, "spendingLimit": 5}, headers=admin)
        assert (key.status, key.json["orgId"], key.json["spendingLimit"]) == (201, made.json["id"], 5)
        shown = (await lab.ask(path, method="GET", headers=admin)).json
        assert {each["userId"]: each["role"] for each in shown["members"]} == {
            ada.user_id: "owner",
            bob.user_id: "developer",
        }
        assert [each["id"] for each in shown["keys"]] == [key.json["id"]]
        assert shown["balance_uc"] == 5 * CREDIT
        for missing in ("/admin/orgs/org_x", "/admin/orgs/org_x/usage", "/admin/orgs/org_x/transfers"):
            assert (await lab.ask(missing, method="GET", headers=admin)).status == 404
            assert (await lab.ask(missing, method="GET", headers={})).status == 401
            assert (await lab.ask(missing, method="GET")).status == 401
        assert (await lab.ask("/admin/orgs", {"name": "x", "owner_id": "usr_x"}, headers=admin)).status == 404
        await close(lab)

    run(work())


def test_the_whole_story_on_each_database(place: Path) -> None:
    """People, keys, organisations and their logs: SQL that both databases understand alike."""

    async def work() -> None:
        lab = await dashboard_on(open_store(place))
        ada, bob = await user(lab), await user(lab, "bob@example.com")
        assert (await Browser(lab).sign_up("ada@example.com")).status == 409
        many = await asyncio.gather(*(ada.ask("POST", "/api/orgs", {"name": "Acme"}) for _ in range(3)))
        assert {answer.json["slug"] for answer in many} == {"acme", "acme-2", "acme-3"}
        org_id = many[0].json["id"]
        await ada.invited(org_id, bob, "admin")
        key = await bob.post("/api/api-keys", {"orgId": org_id, "spendingLimit": 5, "ips": ["127.0.0.1"]}, 201)
        new = await bob.post(f"/api/api-keys/{key['id']}/rotate", {"graceSeconds": 9})
        assert [(await call_with(lab, each["key"])).status for each in (key, new)] == [200, 200]
        await lab.services.money.top_up(org_id, 1000 * CREDIT)
        headers = {"authorization": f"Bearer {new['key']}"}
        body = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hi"}]}
        assert (await lab.ask("/api/v1/chat/completions", body, headers=headers)).status == 200
        for zone in ("UTC", "Europe/Berlin"):
            told = await ada.get(f"/api/orgs/{org_id}/usage", f"tz={zone}&days=400&q=GPT&minCost=0.000001")
            assert told["totals"]["requests"] == sum(day["requests"] for day in told["dailyCost"]) == 1
            assert len(told["logs"]) == 1
        assert (await ada.ask("GET", f"/api/orgs/{org_id}/usage/export")).body.count(b"\r\n") == 2
        assert (await ada.get(f"/api/orgs/{org_id}/billing"))["toppedUpUc"] == 1000 * CREDIT
        assert (await ada.ask("DELETE", f"/api/orgs/{org_id}/members/{bob.user_id}")).status == 204
        assert (await call_with(lab, new["key"])).status == 401
        assert (await ada.ask("POST", f"/api/orgs/{org_id}/leave")).status == 409
        log = await ada.get(f"/api/orgs/{org_id}/audit-log")
        assert [action for action, _, _ in events(log)] == [
            *("org.created", "member.invited", "member.joined", "key.created", "key.rotated", "member.removed"),
        ]
        reopened = Accounts(lab.services.store, lab.services.clock)
        assert reopened.key(key["id"]) == lab.services.accounts.key(key["id"])
        assert (await ada.ask("DELETE", f"/api/orgs/{org_id}")).status == 204
        assert (await ada.ask("POST", "/api/auth/sign-out", {"everywhere": True})).status == 204
        await close(lab)

    run(work())


def test_invitations() -> None:
    async def work() -> None:
        clock = StillClock()
        lab = await open_dashboard(clock=clock)
        ada, bob, eve = await user(lab), await user(lab, "bob@example.com"), await user(lab, "eve@example.com")
        org_id = await ada.org()
        path = f"/api/orgs/{org_id}/invitations"
        first = await ada.post(path, {"email": "BOB@example.com", "role": "viewer"}, 201)
        second = await ada.post(path, {"email": "bob@example.com", "role": "developer"}, 201)
        shown = await ada.get(path)
        assert [(each["email"], each["role"]) for each in shown["invitations"]] == [("bob@example.com", "developer")]
        assert second["token"] not in str(shown)
        stored = await lab.services.store.read(lambda c: c.exec_driver_sql("SELECT * FROM invitations").all())
        assert second["token"] not in repr(stored)
        accept = "/api/orgs/invitations/accept"
        nothing = await bob.ask("POST", accept, {"token": "inv_unknown"})
        for browser, token in ((bob, first["token"]), (eve, second["token"])):
            refused = await browser.ask("POST", accept, {"token": token})
            assert (refused.status, refused.body) == (404, nothing.body)
        joined = await bob.post(accept, {"token": second["token"]})
        assert (joined["id"], joined["role"]) == (org_id, "developer")
        assert (await bob.ask("POST", accept, {"token": second["token"]})).status == 404
        assert (await ada.ask("POST", path, {"email": "bob@example.com", "role": "viewer"})).status == 409
        third = await ada.post(path, {"email": "eve@example.com", "role": "viewer"}, 201)
        assert (await ada.ask("DELETE", f"{path}/{third['id']}")).status == 204
        assert (await ada.ask("DELETE", f"{path}/{third['id']}")).status == 404
        assert (await eve.ask("POST", accept, {"token": third["token"]})).status == 404
        fourth = await ada.post(path, {"email": "eve@example.com", "role": "viewer"}, 201)
        clock.advance(7 * 86_400_000)
        assert (await eve.ask("POST", accept, {"token": fourth["token"]})).status == 404
        assert (await ada.get(path))["invitations"] == []
        for wrong in ({"email": "no", "role": "viewer"}, {"email": "a@b.c", "role": "boss"}, {"email": "a@b.c"}):
            assert (await ada.ask("POST", path, wrong)).status == 400
        await close(lab)

    run(work())


def test_an_invitation_is_accepted_once() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada, bob = await user(lab), await user(lab, "bob@example.com")
        org_id = await ada.org()
        body = {"email": bob.email, "role": "viewer"}
        token = (await ada.post(f"/api/orgs/{org_id}/invitations", body, 201))["token"]
        many = await asyncio.gather(
            *(bob.ask("POST", "/api/orgs/invitations/accept", {"token": token}) for _ in range(5))
        )
        assert sorted(answer.status for answer in many) == [200, 404, 404, 404, 404]
        await close(lab)

    run(work())


def test_only_owners_make_and_unmake_owners() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        org_id, people = await team(lab)
        path = f"/api/orgs/{org_id}"
        admin, owner = people["admin"], people["owner"]
        for method, below, body in (
            ("PATCH", f"/members/{admin.user_id}", {"role": "owner"}),
            ("PATCH", f"/members/{owner.user_id}", {"role": "viewer"}),
            ("DELETE", f"/members/{owner.user_id}", None),
            ("POST", "/invitations", {"email": "new@example.com", "role": "owner"}),
        ):
            assert (await admin.ask(method, path + below, body)).status == 403
        assert (await owner.ask("PATCH", f"{path}/members/{admin.user_id}", {"role": "owner"})).status == 200
        assert (await admin.ask("PATCH", f"{path}/members/{owner.user_id}", {"role": "viewer"})).status == 200
        assert (await owner.ask("DELETE", path)).status == 403
        await close(lab)

    run(work())


def test_the_last_owner_stays() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        org_id, people = await team(lab)
        path, owner, viewer = f"/api/orgs/{org_id}", people["owner"], people["viewer"]
        for method, below, body in (
            ("POST", "/leave", None),
            ("DELETE", f"/members/{owner.user_id}", None),
            ("PATCH", f"/members/{owner.user_id}", {"role": "admin"}),
        ):
            answer = await owner.ask(method, path + below, body)
            assert (answer.status, answer.error[0]) == (409, "conflict_error")
        assert (await owner.ask("POST", path + "/transfer", {"userId": "usr_x"})).status == 404
        assert (await owner.ask("POST", path + "/transfer", {"userId": owner.user_id})).status == 409
        assert (await owner.post(path + "/transfer", {"userId": viewer.user_id}))["role"] == "admin"
        assert (await viewer.get(path))["role"] == "owner"
        assert (await owner.ask("POST", path + "/transfer", {"userId": owner.user_id})).status == 403
        assert (await owner.ask("POST", path + "/leave")).status == 204
        assert (await owner.ask("GET", path)).status == 404
        await viewer.ask("PATCH", f"{path}/members/{people['admin'].user_id}", {"role": "owner"})
        both = await asyncio.gather(*(each.ask("POST", path + "/leave") for each in (viewer, people["admin"])))
        assert sorted(answer.status for answer in both) == [204, 409]
        await close(lab)

    run(work())


def test_who_is_removed_leaves_nothing_behind() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        org_id, people = await team(lab)
        owner, admin = people["owner"], people["admin"]
        path = f"/api/orgs/{org_id}"
        theirs = await admin.post("/api/api-keys", {"orgId": org_id}, 201)
        own = await admin.post("/api/api-keys", {}, 201)
        ours = await owner.post("/api/api-keys", {"orgId": org_id}, 201)
        second = await user(lab, "second@example.com")
        back_door = await admin.post(path + "/invitations", {"email": second.email, "role": "admin"}, 201)
        assert (await owner.ask("DELETE", f"{path}/members/{admin.user_id}")).status == 204
        assert [(await call_with(lab, key["key"])).status for key in (theirs, own, ours)] == [401, 200, 200]
        shown = await owner.get(f"/api/api-keys/{theirs['id']}")
        assert (shown["status"], shown["statusReason"]) == ("disabled", "member_removed")
        assert (await second.ask("POST", "/api/orgs/invitations/accept", {"token": back_door["token"]})).status == 404
        assert (await admin.ask("GET", path)).status == 404
        assert (await admin.ask("GET", f"/api/api-keys/{theirs['id']}")).status == 404
        assert (await owner.ask("DELETE", f"{path}/members/{admin.user_id}")).status == 404
        rotated = await owner.post(f"/api/api-keys/{theirs['id']}/rotate")
        await owner.ask("PATCH", f"/api/api-keys/{theirs['id']}", {"status": "active"})
        assert [(await call_with(lab, key)).status for key in (theirs["key"], rotated["key"])] == [401, 200]
        await close(lab)

    run(work())


def test_a_role_that_is_lost_between_the_check_and_the_change_changes_nothing() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        org_id, people = await team(lab)
        orgs, members = lab.services.orgs, lab.services.members
        admin, owner = Actor(people["admin"].user_id), Actor(people["owner"].user_id)
        stale = await orgs.access(admin, org_id, "members.manage")
        await members.change_role(await orgs.access(owner, org_id, "members.manage"), admin.user_id, "viewer")
        with pytest.raises(NoAccess):
            await members.change_role(stale, people["viewer"].user_id, "admin")
        with pytest.raises(NoAccess):
            await members.remove(stale, people["viewer"].user_id)
        with pytest.raises(NoAccess):
            await lab.services.invitations.invite(stale, "a@b.c", "admin")
        await members.remove(await orgs.access(owner, org_id, "members.manage"), admin.user_id)
        with pytest.raises(NotFound):
            await members.change_role(stale, people["viewer"].user_id, "admin")
        await close(lab)

    run(work())


def test_nobody_is_in_more_organisations_than_may_be() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        rows = [
            {"org_id": f"org_{n}", "user_id": ada.user_id, "role": "viewer", "created_at_ms": 0} for n in range(100)
        ]
        assert len(rows) == MEMBERSHIPS_MAX
        orgs = [{"id": f"org_{n}", "name": "x", "slug": f"x{n}", "created_at_ms": 0} for n in range(100)]

        def fill(connection: Any) -> None:
            from gateway.storage.tables import orgs as table

            connection.execute(table.insert(), orgs)
            connection.execute(memberships.insert(), rows)

        await lab.services.store.write(fill)
        assert (await ada.ask("POST", "/api/orgs", {"name": "One more"})).status == 409
        with pytest.raises(Conflict):
            await lab.services.store.write(lambda c: join(c, "org_x", ada.user_id, "viewer", 0))
        await close(lab)

    run(work())


NAMES = st.integers(0, 3)
READS = ("", "/members", "/invitations", "/audit-log", "/usage", "/usage/export", "/billing")


class Tenancy(RuleBasedStateMachine):
    """Four people do what they like in and to organisations; a model says what must come of it.

    Who is no member is told 404 as for what does not exist, and no word of the organisation; whose role forbids it,
    403; and neither changes anything.
    """

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.lab = self.loop.run_until_complete(open_dashboard())
        self.people = [self.loop.run_until_complete(user(self.lab, f"u{n}@example.com")) for n in range(4)]
        self.orgs: list[str] = []
        self.members: dict[str, dict[int, str]] = {}
        self.keys: dict[str, tuple[str, int, bool]] = {}  # id -> organisation, maker, active
        self.done: dict[str, int] = {}  # rows of the audit log that tell something done
        for owner, others in ((0, {1: "admin", 2: "developer"}), (3, {1: "billing", 2: "viewer"})):
            self.create(owner)
            for other, role in others.items():
                self.invite(owner, len(self.orgs) - 1, other, role)
            self.make_key(owner, len(self.orgs) - 1)
        self.make_key(2, 0)

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.run_until_complete(close(self.lab))
            self.loop.close()

    def ask(self, who: int, method: str, path: str, body: Any = None, query: str = "") -> Any:
        return self.loop.run_until_complete(self.people[who].ask(method, path, body, query=query))

    def org(self, number: int) -> str:
        return self.orgs[number % len(self.orgs)]

    def judged(self, who: int, org_id: str, action: str, answer: Any) -> bool:
        """Whether the actor was let in, as the model says they must be."""
        role = self.members[org_id].get(who)
        if role is None:
            assert answer.status == 404, answer.body
            assert "secret-" not in dumped(answer)
            return False
        if role not in TABLE.actions[action]:
            assert answer.status == 403
            return False
        return True

    @rule(who=NAMES)
    def create(self, who: int) -> None:
        if len(self.orgs) < 4:
            answer = self.ask(who, "POST", "/api/orgs", {"name": f"secret-{len(self.orgs)}"})
            org_id = answer.json["id"]
            self.orgs.append(org_id)
            self.members[org_id], self.done[org_id] = {who: "owner"}, 1

    @precondition(lambda self: self.orgs)
    @rule(who=NAMES, number=NAMES, other=NAMES, role=st.sampled_from(ROLES))
    def invite(self, who: int, number: int, other: int, role: str) -> None:
        org_id = self.org(number)
        body = {"email": self.people[other].email, "role": role}
        answer = self.ask(who, "POST", f"/api/orgs/{org_id}/invitations", body)
        if not self.judged(who, org_id, "members.manage", answer):
            return
        if role == "owner" and self.members[org_id][who] != "owner":
            assert answer.status == 403
        elif other in self.members[org_id]:
            assert answer.status == 409
        else:
            assert answer.status == 201
            token = {"token": answer.json["token"]}
            for stranger in range(4):
                if stranger != other:
                    assert self.ask(stranger, "POST", "/api/orgs/invitations/accept", token).status == 404
            assert self.ask(other, "POST", "/api/orgs/invitations/accept", token).status == 200
            self.members[org_id][other] = role
            self.done[org_id] += 2

    @precondition(lambda self: self.orgs)
    @rule(who=NAMES, number=NAMES, other=NAMES, role=st.sampled_from(ROLES))
    def promote(self, who: int, number: int, other: int, role: str) -> None:
        org_id = self.org(number)
        path = f"/api/orgs/{org_id}/members/{self.people[other].user_id}"
        answer = self.ask(who, "PATCH", path, {"role": role})
        if self.judged(who, org_id, "members.manage", answer) and self.may_change(answer, org_id, who, other, role):
            assert answer.status == 200
            self.members[org_id][other] = role
            self.done[org_id] += 1

    @precondition(lambda self: self.orgs)
    @rule(who=NAMES, number=NAMES, other=NAMES)
    def remove(self, who: int, number: int, other: int) -> None:
        org_id = self.org(number)
        answer = self.ask(who, "DELETE", f"/api/orgs/{org_id}/members/{self.people[other].user_id}")
        if self.judged(who, org_id, "members.manage", answer) and self.may_change(answer, org_id, who, other, None):
            self.gone(answer, org_id, other)

    @precondition(lambda self: self.orgs)
    @rule(who=NAMES, number=NAMES)
    def leave(self, who: int, number: int) -> None:
        org_id = self.org(number)
        answer = self.ask(who, "POST", f"/api/orgs/{org_id}/leave")
        if self.judged(who, org_id, "org.read", answer) and self.may_change(answer, org_id, who, who, None):
            self.gone(answer, org_id, who)

    def may_change(self, answer: Any, org_id: str, who: int, other: int, role: str | None) -> bool:
        members = self.members[org_id]
        if other not in members:
            assert answer.status == 404
            return False
        if "owner" in (members[other], role) and members[who] != "owner":
            assert answer.status == 403
            return False
        if members[other] == "owner" != role and list(members.values()).count("owner") == 1:
            assert answer.status == 409
            return False
        return True

    def gone(self, answer: Any, org_id: str, other: int) -> None:
        assert answer.status == 204
        del self.members[org_id][other]
        self.done[org_id] += 1
        for key_id, (owner, maker, _) in self.keys.items():
            if (owner, maker) == (org_id, other):
                self.keys[key_id] = (owner, maker, False)

    @precondition(lambda self: self.orgs)
    @rule(who=NAMES, number=NAMES, other=NAMES)
    def transfer(self, who: int, number: int, other: int) -> None:
        org_id = self.org(number)
        answer = self.ask(who, "POST", f"/api/orgs/{org_id}/transfer", {"userId": self.people[other].user_id})
        if self.judged(who, org_id, "org.transfer", answer):
            if who == other:
                assert answer.status == 409
            elif other not in self.members[org_id]:
                assert answer.status == 404
            else:
                assert answer.status == 200
                self.members[org_id] |= {who: "admin", other: "owner"}
                self.done[org_id] += 1

    @precondition(lambda self: self.orgs)
    @rule(who=NAMES, number=NAMES)
    def make_key(self, who: int, number: int) -> None:
        org_id = self.org(number)
        answer = self.ask(who, "POST", "/api/api-keys", {"name": "secret-key", "orgId": org_id})
        if self.judged(who, org_id, "keys.create", answer):
            self.keys[answer.json["id"]] = (org_id, who, True)
            self.done[org_id] += 1

    @precondition(lambda self: self.keys)
    @rule(who=NAMES, number=st.integers(0, 50), active=st.booleans())
    def switch_key(self, who: int, number: int, active: bool) -> None:
        key_id, (org_id, maker, _) = list(self.keys.items())[number % len(self.keys)]
        answer = self.ask(who, "PATCH", f"/api/api-keys/{key_id}", {"status": "active" if active else "disabled"})
        if self.judged(who, org_id, "keys.change", answer):
            assert answer.status == 200
            self.keys[key_id] = (org_id, maker, active)
            self.done[org_id] += 1

    @precondition(lambda self: self.keys)
    @rule(who=NAMES, number=st.integers(0, 50))
    def rotate_key(self, who: int, number: int) -> None:
        key_id, (org_id, _, _) = list(self.keys.items())[number % len(self.keys)]
        answer = self.ask(who, "POST", f"/api/api-keys/{key_id}/rotate")
        if self.judged(who, org_id, "keys.rotate", answer):
            assert answer.status == 200
            self.done[org_id] += 1

    @precondition(lambda self: self.keys)
    @rule(who=NAMES, number=st.integers(0, 50))
    def delete_key(self, who: int, number: int) -> None:
        key_id, (org_id, _, _) = list(self.keys.items())[number % len(self.keys)]
        answer = self.ask(who, "DELETE", f"/api/api-keys/{key_id}")
        if self.judged(who, org_id, "keys.delete", answer):
            assert answer.status == 204
            del self.keys[key_id]
            self.done[org_id] += 1

    @precondition(lambda self: self.orgs)
    @rule(who=NAMES, number=NAMES, path=st.sampled_from(READS))
    def look(self, who: int, number: int, path: str) -> None:
        org_id = self.org(number)
        action = next(action for method, below, action in ROUTES if (method, below) == ("GET", path))
        answer = self.ask(who, "GET", f"/api/orgs/{org_id}{path}")
        if self.judged(who, org_id, action, answer):
            assert answer.status == 200
            others = [f"secret-{n}" for n, other in enumerate(self.orgs) if other != org_id]
            assert not any(name in dumped(answer) for name in others)

    @rule(who=NAMES)
    def own_things(self, who: int) -> None:
        mine = {org_id for org_id, members in self.members.items() if who in members}
        assert {org["id"] for org in self.ask(who, "GET", "/api/orgs").json["orgs"]} == mine
        assert self.ask(who, "GET", "/api/api-keys").json == {"keys": []}

    @precondition(lambda self: len(self.orgs) > 1)
    @rule(who=NAMES, number=NAMES)
    def delete(self, who: int, number: int) -> None:
        org_id = self.org(number)
        answer = self.ask(who, "DELETE", f"/api/orgs/{org_id}")
        if self.judged(who, org_id, "org.delete", answer):
            assert answer.status == 204
            self.members[org_id] = {}
            self.keys = {key_id: told for key_id, told in self.keys.items() if told[0] != org_id}
            self.done[org_id] += 1

    @invariant()
    def the_database_is_the_model(self) -> None:
        if not hasattr(self, "loop"):
            return
        ids = {browser.user_id: number for number, browser in enumerate(self.people)}
        rows = self.lab.services.store.read_now(lambda c: c.execute(select(memberships)).all())
        found: dict[str, dict[int, str]] = {org_id: {} for org_id in self.orgs}
        for row in rows:
            found[row.org_id][ids[row.user_id]] = row.role
        assert found == self.members
        keys = [key for org_id in self.orgs for key in self.lab.services.accounts.keys_of_org(org_id)]
        assert {key.id: (key.org_id, ids[key.user_id], key.status == "active") for key in keys} == self.keys
        for members in self.members.values():
            assert not members or "owner" in members.values()
        query = "SELECT org_id, count(*) FROM audit_log WHERE outcome = 'done' GROUP BY org_id"
        counts = self.lab.services.store.read_now(lambda c: c.exec_driver_sql(query).all())
        assert {row[0]: row[1] for row in counts} == self.done


TestTenancy = Tenancy.TestCase
TestTenancy.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
