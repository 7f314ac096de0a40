"""Organisations for checks: six people who are made once a gateway, and as many organisations of theirs as are needed.

firm = await company(case)
reply = await firm.people["viewer"].get(f"/api/orgs/{firm.id}/audit-log")
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from suites.case import Case
from suites.person import Person, due, sign_up
from suites.provisioning import UC_PER_CREDIT, Key

ROLES: Final = ("owner", "admin", "developer", "billing", "viewer")
OUTSIDER: Final = "outsider"  # member of nothing


@dataclass(frozen=True, slots=True)
class Company:
    """An organisation with a member of every role, and somebody who is no member."""

    case: Case
    id: str
    name: str
    people: Mapping[str, Person]

    @property
    def owner(self) -> Person:
        return self.people["owner"]

    def path(self, rest: str = "") -> str:
        """A path below the organisation."""
        return f"/api/orgs/{self.id}{rest}"

    async def key(self, role: str = "owner", **fields: Any) -> Key:
        """A key of the organisation, made by the member of a role."""
        person = self.people[role]
        made = due(await person.post("/api/api-keys", {"name": "firm", "orgId": self.id, **fields}), 201)
        return Key(made["id"], made["key"], person.id)

    async def balance_uc(self) -> int:
        """What the organisation has, once nothing is held of it."""
        for _ in range(200):
            account = await self.case.admin.call("GET", f"orgs/{self.id}")
            if account["held_uc"] == 0:
                break
        return int(account["balance_uc"])

    async def events(self, query: str = "") -> list[dict[str, Any]]:
        """The audit log as its owner sees it, newest first."""
        events: list[dict[str, Any]] = due(await self.owner.get(self.path(f"/audit-log{query}")), 200)["events"]
        return events


async def cast(case: Case) -> Mapping[str, Person]:
    """A person for each role and an outsider, made by the first check that asks. Who changes them spoils the others."""
    common = case.rig.common
    if "cast" not in common:
        common["cast"] = asyncio.ensure_future(_sign_up_all(case))
    people: Mapping[str, Person] = await asyncio.shield(common["cast"])
    return {role: person.at(case) for role, person in people.items()}


async def _sign_up_all(case: Case) -> Mapping[str, Person]:
    roles = (*ROLES, OUTSIDER)
    people = await asyncio.gather(*(sign_up(case, role.title()) for role in roles))
    return dict(zip(roles, people, strict=True))


async def untouched(case: Case) -> Company:
    """An organisation of the cast that checks share: nobody changes anything in it but by adding to it."""
    common = case.rig.common
    if "untouched" not in common:
        common["untouched"] = asyncio.ensure_future(company(case))
    firm: Company = await asyncio.shield(common["untouched"])
    return replace(firm, case=case, people=await cast(case))


async def company(
    case: Case, credits: int = 0, people: Mapping[str, Person] | None = None, name: str = "Acme Inc"
) -> Company:
    """A new organisation of the cast (or of `people`, by role), with so much credit."""
    people = await cast(case) if people is None else people
    asked: dict[str, Any] = {"name": name, "owner_id": people["owner"].id}
    if credits:
        asked["amount_uc"] = credits * UC_PER_CREDIT
    made = await case.admin.call("POST", "orgs", asked)
    for role in ROLES[1:]:
        if role in people:
            member = {"user_id": people[role].id, "role": role}
            await case.admin.call("POST", f"orgs/{made['id']}/members", member)
    return Company(case, made["id"], name, people)
