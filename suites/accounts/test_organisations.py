"""Organisations: who may do what, who is told of them at all, who owns them, whose money their keys spend."""

from __future__ import annotations

from dataclasses import replace

import orjson

from suites.accounts.company import OUTSIDER, ROLES, cast, company, untouched
from suites.accounts.deeds import DEEDS, PERMISSIONS
from suites.accounts.keyring import KEYS, at, make, rich
from suites.case import Case, expect_status
from suites.person import due, sign_up
from suites.requirement import over, requirement


@requirement("ACC-021")
@over(action=tuple(PERMISSIONS))
async def test_role(case: Case, action: str) -> None:
    """Those who may not come first: they are refused and change nothing, so those who may find all as it was."""
    may, shared = PERMISSIONS[action], await company(case)
    for role in sorted(ROLES, key=lambda role: role in may):
        firm = await company(case) if action in ("org.delete", "org.transfer", "members.remove") else shared
        before = await firm.case.admin.call("GET", f"orgs/{firm.id}")
        reply = await DEEDS[action](firm, firm.people[role])
        if role in may:
            assert reply.status in (200, 201, 204), f"{role} may take {action}; came {reply}"
            continue
        expect_status(reply, 403, "access_denied")
        after = await firm.case.admin.call("GET", f"orgs/{firm.id}")
        for name in ("name", "members"):
            assert after[name] == before[name], f"{role} was refused {action}, and yet it changed {name}"


@requirement("ACC-021")
async def test_permissions_told(case: Case) -> None:
    """What the organisation says of one's role is that role."""
    firm = await company(case)
    for role in ROLES:
        told = due(await firm.people[role].get(firm.path()), 200)
        assert told["role"] == role, f"{role} is told to be {told['role']}"


@requirement("ACC-022")
@over(action=tuple(PERMISSIONS))
async def test_outsider(case: Case, action: str) -> None:
    """By every way: what one is told is what one is told of an organisation that never was."""
    firm = await untouched(case)
    reply = await DEEDS[action](firm, firm.people[OUTSIDER])
    expect_status(reply, 404, "not_found_error")
    if action.startswith("keys."):
        return
    ghost = replace(firm, id="org_000000000000000000000000")
    if action == "invitations.withdraw":
        words = await firm.people[OUTSIDER].delete(ghost.path("/invitations/inv_000000"))
    else:
        words = await DEEDS[action](ghost, firm.people[OUTSIDER])
    expect_status(words, 404, "not_found_error")
    same = orjson.dumps(reply.document).replace(firm.id.encode(), b"ORG")
    assert same == orjson.dumps(words.document).replace(ghost.id.encode(), b"ORG"), f"{reply}; of none: {words}"


@requirement("ACC-022")
@over(where=("header", "query", "body"))
async def test_organisation_is_not_taken_from_the_request(case: Case, where: str) -> None:
    """One's own key, and the id of an organisation of others: they pay nothing."""
    firm = await company(case, credits=1000)
    user = await case.user()
    if where == "header":
        headers = dict.fromkeys(("x-org-id", "x-organization-id", "openai-organization", "x-tenant-id"), firm.id)
        reply = await case.chat(headers=headers, answer="tokens=2")
    elif where == "query":
        reply = await case.chat(url=case.url("chat") + f"?orgId={firm.id}&org_id={firm.id}", answer="tokens=2")
    else:
        reply = await case.chat(orgId=firm.id, org_id=firm.id, answer="tokens=2")
    assert reply.status in (200, 400, 403), str(reply)
    assert await firm.balance_uc() == 1_000_000_000, "the organisation paid for a stranger's call"
    if reply.status == 200:
        assert (await case.books(user, rows=1)).charged_uc > 0, "the call was free"


@requirement("ACC-022")
@over(deed=("read", "change", "rotate", "delete"))
async def test_key_of_another_organisation(case: Case, deed: str) -> None:
    """The owner of one organisation names a key of another's."""
    people = await cast(case)
    theirs, mine = await company(case), await company(case, people={"owner": people[OUTSIDER]})
    key = await theirs.key()
    eve = mine.owner
    reply = await {
        "read": lambda: eve.get(at(key)),
        "change": lambda: eve.patch(at(key), {"name": "eve's"}),
        "rotate": lambda: eve.post(at(key, "/rotate")),
        "delete": lambda: eve.delete(at(key)),
    }[deed]()
    expect_status(reply, 404, "not_found_error")
    kept = due(await theirs.owner.get(at(key)), 200)
    assert (kept["name"], kept["rotatedAt"]) == ("firm", None), f"the key was changed: {kept}"


@requirement("ACC-023")
async def test_always_an_owner(case: Case) -> None:
    """The only one cannot leave, step down or be removed; with a second one they can."""
    firm = await company(case)
    owner, admin = firm.owner, firm.people["admin"]
    last = [
        await owner.post(firm.path("/leave")),
        await owner.patch(firm.path(f"/members/{owner.id}"), {"role": "viewer"}),
        await owner.delete(firm.path(f"/members/{owner.id}")),
    ]
    for reply in last:
        expect_status(reply, 409)
    due(await owner.patch(firm.path(f"/members/{admin.id}"), {"role": "owner"}), 200)
    due(await owner.post(firm.path("/leave")), 204)
    expect_status(await owner.get(firm.path()), 404, "not_found_error")
    assert due(await admin.get(firm.path()), 200)["role"] == "owner"


@requirement("ACC-023")
async def test_owners_are_made_by_owners(case: Case) -> None:
    """An admin makes, changes, removes and invites no owner."""
    firm = await company(case)
    owner, admin, viewer = firm.owner, firm.people["admin"], firm.people["viewer"]
    refused = [
        await admin.patch(firm.path(f"/members/{viewer.id}"), {"role": "owner"}),
        await admin.patch(firm.path(f"/members/{admin.id}"), {"role": "owner"}),
        await admin.patch(firm.path(f"/members/{owner.id}"), {"role": "viewer"}),
        await admin.delete(firm.path(f"/members/{owner.id}")),
        await admin.post(firm.path("/invitations"), {"email": f"a+{case.fresh()}@people.example", "role": "owner"}),
    ]
    for reply in refused:
        expect_status(reply, 403, "access_denied")
    roles = {member["userId"]: member["role"] for member in due(await owner.get(firm.path("/members")), 200)["members"]}
    assert roles == {firm.people[role].id: role for role in ROLES}, f"the roles are now {roles}"


@requirement("ACC-024")
async def test_organisation_pays(case: Case) -> None:
    """A member with money of their own calls by the organisation's key, then by their own."""
    ada = await rich(case, 500)
    firm = await company(case, credits=1000, people={"owner": ada})
    key, own = await firm.key(), await make(ada)
    expect_status(await case.chat(key=key, answer="tokens=50"), 200)
    left_uc = await firm.balance_uc()
    assert left_uc < 1_000_000_000, "the organisation paid nothing"
    assert (await case.admin.account(ada.id))["balance_uc"] == 500_000_000, (
        "the member paid for the organisation's call"
    )
    expect_status(await case.chat(key=own, answer="tokens=50"), 200)
    books = await case.admin.books(ada.id)
    assert [row["keyId"] for row in books.rows] == [own.id], "the member's own log has another's row"
    assert await firm.balance_uc() == left_uc, "the organisation paid for the member's own call"
    rows = due(await ada.get(firm.path("/usage")), 200)["logs"]
    assert [row["keyId"] for row in rows] == [key.id], f"the organisation's log: {rows}"
    assert due(await ada.get(KEYS), 200)["keys"][0]["id"] == own.id, "one's own keys list the organisation's"


@requirement("ACC-029")
async def test_who_is_removed(case: Case) -> None:
    """No access from the next request on, and the keys they made are disabled; others' work on."""
    bob = await sign_up(case)
    people = await cast(case)
    firm = await company(case, credits=1000, people={"owner": people["owner"], "developer": bob})
    theirs, owners = await firm.key("developer"), await firm.key()
    guest = f"guest+{case.fresh()}@people.example"
    due(await firm.owner.patch(firm.path(f"/members/{bob.id}"), {"role": "admin"}), 200)
    due(await bob.post(firm.path("/invitations"), {"email": guest, "role": "viewer"}), 201)
    for key in (theirs, owners):
        expect_status(await case.chat(key=key, answer="tokens=2"), 200)
    due(await firm.owner.delete(firm.path(f"/members/{bob.id}")), 204)
    expect_status(await bob.get(firm.path()), 404, "not_found_error")
    expect_status(await bob.get(f"{KEYS}?orgId={firm.id}"), 404, "not_found_error")
    expect_status(await case.chat(key=theirs), 401, "authentication_error")
    expect_status(await case.chat(key=owners, answer="tokens=2"), 200)
    kept = due(await firm.owner.get(at(theirs)), 200)
    assert (kept["status"], kept["statusReason"]) == ("disabled", "member_removed"), f"the key is now {kept}"
    assert due(await firm.owner.get(firm.path("/invitations")), 200)["invitations"] == [], "their invitation is open"


@requirement("ACC-030")
async def test_deleted_organisation(case: Case) -> None:
    """Its keys work no longer, and nobody is told of it, its owner neither."""
    firm = await company(case, credits=1000)
    key = await firm.key()
    expect_status(await case.chat(key=key, answer="tokens=2"), 200)
    due(await firm.owner.delete(firm.path()), 204)
    refused = await case.chat(key=key)
    expect_status(refused, 401, "authentication_error")
    await case.nothing_upstream(refused)
    for role in ROLES:
        expect_status(await firm.people[role].get(firm.path()), 404, "not_found_error")
    told = due(await firm.owner.get("/api/orgs"), 200)["orgs"]
    assert firm.id not in [org["id"] for org in told], "it is still listed"
    expect_status(await firm.owner.get(at(key)), 404, "not_found_error")
