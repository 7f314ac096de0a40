"""What can be done in an organisation, one request each: by whom and with what outcome is permissions.yaml's to say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from suites.accounts.company import Company
from suites.accounts.keyring import KEYS, at
from suites.exchange import Reply
from suites.person import Person, due

Deed = Callable[[Company, Person], Awaitable[Reply]]
DEEDS: dict[str, Deed] = {}
PERMISSIONS: Final[Mapping[str, frozenset[str]]] = {
    row["action"]: frozenset(row["may"])
    for row in yaml.safe_load(Path(__file__).with_name("permissions.yaml").read_text())
}


def deed(action: str) -> Callable[[Deed], Deed]:
    """Register the request of an action."""

    def mark(function: Deed) -> Deed:
        DEEDS[action] = function
        return function

    return mark


def plain(action: str, method: str, path: str, document: Any = None) -> None:
    """Register an action whose request needs nothing made before."""

    async def ask(firm: Company, who: Person) -> Reply:
        return await who.request(method, firm.path(path), document)

    DEEDS[action] = ask


plain("org.read", "GET", "")
plain("org.rename", "PATCH", "", {"name": "Another Inc"})
plain("org.delete", "DELETE", "")
plain("members.list", "GET", "/members")
plain("invitations.list", "GET", "/invitations")
plain("sso.list", "GET", "/sso")
plain("billing.read", "GET", "/billing")
plain("statement.read", "GET", "/statement")
plain("budget.read", "GET", "/budget")
plain("budget.change", "PUT", "/budget", {"monthlyLimit": 12})
plain("usage.read", "GET", "/usage")
plain("usage.export", "GET", "/usage/export")
plain("audit.read", "GET", "/audit-log")


@deed("org.transfer")
async def transfer(firm: Company, who: Person) -> Reply:
    """To the viewer, or to the admin where the viewer asks."""
    heir = firm.people["admin" if who.id == firm.people["viewer"].id else "viewer"]
    return await who.post(firm.path("/transfer"), {"userId": heir.id})


@deed("members.change")
async def change_member(firm: Company, who: Person) -> Reply:
    """The billing member's role, to what it is."""
    return await who.patch(firm.path(f"/members/{firm.people['billing'].id}"), {"role": "billing"})


@deed("members.remove")
async def remove_member(firm: Company, who: Person) -> Reply:
    """Another one."""
    other = firm.people["viewer" if who.id == firm.people["developer"].id else "developer"]
    return await who.delete(firm.path(f"/members/{other.id}"))


@deed("invitations.write")
async def invite(firm: Company, who: Person) -> Reply:
    """Somebody new."""
    email = f"guest+{firm.case.fresh()}@people.example"
    return await who.post(firm.path("/invitations"), {"email": email, "role": "viewer"})


@deed("invitations.withdraw")
async def withdraw(firm: Company, who: Person) -> Reply:
    """An invitation that the owner wrote."""
    made = due(await invite(firm, firm.owner), 201)
    return await who.delete(firm.path(f"/invitations/{made['id']}"))


@deed("keys.list")
async def list_keys(firm: Company, who: Person) -> Reply:
    """All of the organisation's."""
    return await who.get(f"{KEYS}?orgId={firm.id}")


@deed("keys.create")
async def create_key(firm: Company, who: Person) -> Reply:
    """One more."""
    return await who.post(KEYS, {"name": "firm", "orgId": firm.id})


@deed("keys.read")
async def read_key(firm: Company, who: Person) -> Reply:
    """The owner's key."""
    return await who.get(at(await firm.key()))


@deed("keys.rotate")
async def rotate_key(firm: Company, who: Person) -> Reply:
    """The owner's key."""
    return await who.post(at(await firm.key(), "/rotate"))


@deed("keys.change")
async def change_key(firm: Company, who: Person) -> Reply:
    """The owner's key."""
    return await who.patch(at(await firm.key()), {"name": "renamed"})


@deed("keys.delete")
async def delete_key(firm: Company, who: Person) -> Reply:
    """The owner's key."""
    return await who.delete(at(await firm.key()))
