"""The audit log: every change of an organisation, by whom and from where; added to, never changed; of one tenant."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.orgs.audit import Actor, Deed, page
from gateway.storage.store import Store
from tests.gateway.lab import CREDIT, run
from tests.gateway.making import StillClock
from tests.gateway.people_lab import close, dumped, events, open_dashboard, user

GATEWAY = Path(__file__).parents[2] / "gateway"


def test_everything_that_is_done_is_told() -> None:
    async def work() -> None:
        lab = await open_dashboard(clock=StillClock())
        ada, bob = await user(lab, name="Ada"), await user(lab, "bob@example.com", "2001:db8::7")
        org_id = await ada.org()
        path = f"/api/orgs/{org_id}"
        await ada.invited(org_id, bob, "admin")
        withdrawn = await ada.post(path + "/invitations", {"email": "eve@example.com", "role": "viewer"}, 201)
        await ada.ask("DELETE", f"{path}/invitations/{withdrawn['id']}")
        await ada.ask("PATCH", path, {"name": "Acme 2"})
        key = (await bob.post("/api/api-keys", {"name": "prod", "orgId": org_id}, 201))["id"]
        await bob.ask("PATCH", f"/api/api-keys/{key}", {"spendingLimit": 5, "name": "prod-eu"})
        await bob.post(f"/api/api-keys/{key}/rotate", {"graceSeconds": 60})
        await bob.ask("DELETE", path)
        await bob.ask("DELETE", f"/api/api-keys/{key}")
        await ada.ask("PATCH", f"{path}/members/{bob.user_id}", {"role": "viewer"})
        await bob.ask("PATCH", f"{path}/members/{ada.user_id}", {"role": "viewer"})
        await ada.post(path + "/transfer", {"userId": bob.user_id})
        await ada.ask("POST", path + "/leave")
        admin = {"authorization": "Bearer admin"}
        for _ in range(2):
            body = {"amount_uc": CREDIT, "idempotency_key": "k"}
            await lab.ask(f"/admin/orgs/{org_id}/top-ups", body, headers=admin)
        told = await bob.get(path + "/audit-log")
        assert [(action, outcome) for action, _, outcome in events(told)] == [
            ("org.created", "done"),
            ("member.invited", "done"),
            ("member.joined", "done"),
            ("member.invited", "done"),
            ("invitation.withdrawn", "done"),
            ("org.renamed", "done"),
            ("key.created", "done"),
            ("key.changed", "done"),
            ("key.rotated", "done"),
            ("org.delete", "denied"),
            ("key.deleted", "done"),
            ("member.role_changed", "done"),
            ("members.manage", "denied"),
            ("org.transferred", "done"),
            ("member.left", "done"),
            ("credit.topped_up", "done"),
        ]
        rows = {event["action"]: event for event in told["events"]}
        made = rows["key.created"]
        assert made["target"] == key
        assert made["ip"] == "2001:db8::7"
        assert made["at"] == "2026-05-10T00:00:00.000Z"
        assert made["actor"] == {"id": bob.user_id, "email": "bob@example.com", "name": None}
        assert made["details"]["name"] == "prod"
        assert made["requestId"] in {answer.headers["x-request-id"] for answer in bob.answers}
        assert rows["key.changed"]["details"]["changes"] == ["name", "spendingLimit"]
        assert rows["member.role_changed"]["details"] == {"from": "admin", "to": "viewer"}
        assert rows["org.created"]["actor"]["name"] == "Ada"
        assert rows["credit.topped_up"]["actor"]["id"] == "operator"
        assert rows["credit.topped_up"]["details"] == {"amountUc": CREDIT}
        await close(lab)

    run(work())


def test_what_is_refused_changes_nothing_and_is_not_told_as_done() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        org_id = await ada.org()
        path = f"/api/orgs/{org_id}"
        before = events(await ada.get(path + "/audit-log"))
        for method, below, body in (
            ("POST", "/leave", None),
            ("PATCH", f"/members/{ada.user_id}", {"role": "viewer"}),
            ("DELETE", "/members/usr_x", None),
            ("PATCH", "", {"name": ""}),
            ("DELETE", "/invitations/inv_x", None),
        ):
            assert (await ada.ask(method, path + below, body)).status in (400, 404, 409)
        assert events(await ada.get(path + "/audit-log")) == before == [("org.created", org_id, "done")]
        await close(lab)

    run(work())


def test_pages() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        org_id = await ada.org()
        path = f"/api/orgs/{org_id}/audit-log"
        for number in range(24):
            await lab.services.orgs.note(org_id, Actor("operator"), Deed("test", str(number)))
        whole = (await ada.get(path, "limit=1000"))["events"]
        assert [event["target"] for event in whole] == [*map(str, reversed(range(24))), org_id]
        pages, cursor = [], ""
        while cursor is not None:
            got = await ada.get(path, f"limit=10&cursor={cursor}")
            pages.append(got["events"])
            cursor = got["nextCursor"]
        assert [len(one) for one in pages] == [10, 10, 5]
        assert [event for one in pages for event in one] == whole
        for wrong in ("cursor=x", "cursor=aud_-1", "cursor=" + "9" * 30, "limit=0", "limit=1001"):
            assert (await ada.ask("GET", path, query=wrong)).status == 400
        await close(lab)

    run(work())


def test_nobody_reads_another_tenants_events() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada, bob = await user(lab), await user(lab, "bob@example.com")
        mine, theirs = await ada.org("secret-a"), await bob.org("secret-b")
        await ada.post("/api/api-keys", {"name": "secret-a", "orgId": mine}, 201)
        for query in ("", "limit=1000", "cursor=aud_999999", f"orgId={mine}", f"org_id={mine}"):
            answer = await bob.ask("GET", f"/api/orgs/{theirs}/audit-log", query=query)
            assert answer.status == 200
            assert "secret-a" not in dumped(answer)
        headers = {"x-org-id": mine, "openai-organization": mine}
        answer = await bob.ask("GET", f"/api/orgs/{theirs}/audit-log", headers=headers)
        assert "secret-a" not in dumped(answer)
        assert (await bob.ask("GET", f"/api/orgs/{mine}/audit-log", headers=headers)).status == 404
        await close(lab)

    run(work())


def test_a_change_and_its_row_are_there_together_or_not_at_all() -> None:
    """The row cannot be written: then the change is undone with it."""

    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        org_id = await ada.org()
        await lab.services.store.write(lambda c: c.exec_driver_sql("DROP TABLE audit_log"))
        assert (await ada.ask("PATCH", f"/api/orgs/{org_id}", {"name": "Lost"})).status == 500
        assert (await ada.get(f"/api/orgs/{org_id}"))["name"] == "Acme Inc"
        assert (await ada.ask("POST", "/api/api-keys", {"orgId": org_id})).status == 500
        assert lab.services.accounts.keys_of_org(org_id) == []
        assert (await ada.ask("DELETE", f"/api/orgs/{org_id}")).status == 500
        assert (await ada.get("/api/orgs"))["orgs"] != []
        await close(lab)

    run(work())


def test_rows_of_many_at_once_are_all_there() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        org_id = await ada.org()
        await asyncio.gather(*(ada.ask("POST", "/api/api-keys", {"orgId": org_id}) for _ in range(20)))
        store: Store = lab.services.store
        rows = await store.read(lambda c: page(c, org_id, 100))
        keys = {key.id for key in lab.services.accounts.keys_of_org(org_id)}
        assert {row["target"] for row in rows if row["action"] == "key.created"} == keys
        assert len(keys) == 20
        await close(lab)

    run(work())


@pytest.mark.parametrize("word", ["update(audit_log", "delete(audit_log", "audit_log.update", "audit_log.delete"])
def test_no_code_changes_or_removes_rows(word: str) -> None:
    found = [path.name for path in GATEWAY.rglob("*.py") if word in path.read_text()]
    assert found == []
