"""Invitations to an organisation."""

from __future__ import annotations

import asyncio
from typing import Any

from suites.accounts.company import Company, company
from suites.case import Case, expect_status
from suites.own_gateway import own_gateway
from suites.person import Person, due, sign_up
from suites.requirement import requirement

ACCEPT = "/api/orgs/invitations/accept"
DAY_MS = 86_400_000


async def invite(firm: Company, email: str, role: str = "developer") -> dict[str, Any]:
    """An invitation by the owner, with its token."""
    return due(await firm.owner.post(firm.path("/invitations"), {"email": email, "role": role}), 201)


async def refused(person: Person, token: str) -> None:
    """It opens nothing for them."""
    expect_status(await person.post(ACCEPT, {"token": token}), 404, "not_found_error")


@requirement("ACC-027")
async def test_accepted_once(case: Case) -> None:
    """By whom it is for, five times at once; its token is shown to the one who wrote it, then."""
    firm, ada, eve = await company(case), await sign_up(case), await sign_up(case)
    made = await invite(firm, ada.email.upper())
    listed = await firm.owner.get(firm.path("/invitations"))
    assert [each["id"] for each in due(listed, 200)["invitations"]] == [made["id"]]
    log = await firm.owner.get(firm.path("/audit-log"))
    for reply in (listed, log):
        assert made["token"].encode() not in reply.raw, f"{reply.sent.url} tells the token"
    await refused(eve, made["token"])
    await refused(ada, made["id"])
    replies = await asyncio.gather(*(ada.post(ACCEPT, {"token": made["token"]}) for _ in range(5)))
    statuses = sorted(reply.status for reply in replies)
    assert statuses == [200, 404, 404, 404, 404], f"one invitation accepted five times at once: {statuses}"
    assert due(await ada.get(firm.path()), 200)["role"] == "developer"
    await refused(ada, made["token"])
    assert due(await firm.owner.get(firm.path("/invitations")), 200)["invitations"] == []


@requirement("ACC-028")
async def test_withdrawn(case: Case) -> None:
    """And one that another to the same address has replaced."""
    firm, ada = await company(case), await sign_up(case)
    first, second = await invite(firm, ada.email, "admin"), await invite(firm, ada.email, "viewer")
    await refused(ada, first["token"])
    due(await firm.owner.delete(firm.path(f"/invitations/{second['id']}")), 204)
    await refused(ada, second["token"])
    third = await invite(firm, ada.email, "viewer")
    assert due(await ada.post(ACCEPT, {"token": third["token"]}), 200)["role"] == "viewer"


@requirement("ACC-028", slow=True)
async def test_expired(case: Case) -> None:
    """Six days, then two more."""
    async with own_gateway(case) as own:
        case = await own.start()
        owner, ada, bob = await sign_up(case), await sign_up(case), await sign_up(case)
        firm = await company(case, people={"owner": owner})
        first, second = await invite(firm, ada.email), await invite(firm, bob.email)
        await case.admin.advance_clock(6 * DAY_MS)
        due(await ada.post(ACCEPT, {"token": first["token"]}), 200)
        await case.admin.advance_clock(2 * DAY_MS)
        await refused(bob, second["token"])
        assert due(await owner.get(firm.path("/invitations")), 200)["invitations"] == [], "it is still listed"
