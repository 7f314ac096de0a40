"""Single sign-on: an organisation with an identity provider, which the fleet plays, and browsers that go through both.

org = await organisation(case)                      # holds an e-mail domain that nobody else has
provider = await org.provider("oidc")
bob = org.browser("bob")
end = await sign_on(bob, provider)                  # 303 and a session, or why not
Source: api-reference#teams-rbac-sso, decision#sso-…; the providers: docs/neighbours.md.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from suites.case import Case
from suites.exchange import Reply
from suites.forms import FORM, form_of
from suites.outcomes import HarnessError, Violation
from suites.person import Person, due, sign_up

TENANT: Final = "acme"
PASSWORD: Final = "correct-horse"  # of every account of the fleet's providers
SESSION: Final = "/api/auth/session"
KINDS: Final = ("oidc", "saml")
OWNERS: Final = 6  # each may have a hundred organisations


@dataclass
class Organisation:
    """An organisation, its owner, and the fleet's tenant for it: all of one case."""

    case: Case
    owner: Person
    id: str
    tag: str

    @property
    def domain(self) -> str:
        """Of its e-mail addresses."""
        return f"{self.tag}.{TENANT}.example"

    @property
    def path(self) -> str:
        """Where its identity providers are."""
        return f"/api/orgs/{self.id}/sso"

    def told(self, kind: str, **more: Any) -> dict[str, Any]:
        """What is told of the fleet's provider; `more` comes on top, None takes away."""
        site = self.case.fleet.site
        facts: dict[str, Any] = {
            "oidc": {
                "issuer": f"{site}/__oidc/{TENANT}~{self.tag}",
                "clientId": "windtunnel",
                "clientSecret": "windtunnel-secret",
            },
            "saml": {"metadataUrl": f"{site}/__saml/{TENANT}~{self.tag}/metadata"},
        }[kind]
        told = {"type": kind, "domain": self.domain, **facts, **more}
        return {name: value for name, value in told.items() if value is not None}

    async def provider(self, kind: str, **more: Any) -> dict[str, Any]:
        """A provider that was put, as the gateway shows it. Raises Violation."""
        return due(await self.owner.post(self.path, self.told(kind, **more)), 201)

    async def hurt(self, neighbour: str, kind: str, **options: Any) -> None:
        """A fault of its provider, from now on."""
        self.case.evidence.note("upstream", f"{neighbour} is to fail: {kind}", str(options or ""))
        await self.case.fleet.hurt(neighbour, self.tag, kind, **options)

    async def roles(self) -> dict[str, str]:
        """The members' roles by their addresses."""
        found = due(await self.owner.get(f"/api/orgs/{self.id}/members"), 200)
        return {str(one["email"]): str(one["role"]) for one in found["members"]}

    def address(self, name: str) -> str:
        """Of one of the tenant's accounts: ann, bob, zoe."""
        return f"{name}@{self.domain}"

    def browser(self, name: str) -> Person:
        """The browser of one of them, new to the gateway."""
        return Person(self.case, self.address(name), PASSWORD)


async def organisation(case: Case, *, verified: bool = True) -> Organisation:
    """A new organisation; the operator has said that it holds its domain, unless not."""
    owner = await an_owner(case)
    made = due(await owner.post("/api/orgs", {"name": "Acme Robotics"}), 201)
    org = Organisation(case, owner, str(made["id"]), case.fresh().replace(".", "-"))
    if verified:
        await hold(case, org.domain, org.id)
    return org


async def an_owner(case: Case) -> Person:
    """One of a few people who own the organisations of all checks: to hash a password takes longer than most checks."""
    pool = case.rig.common.setdefault("owners", {})
    number = zlib.crc32(case.check.encode()) % OWNERS
    if number not in pool:
        pool[number] = asyncio.ensure_future(sign_up(case))
    owner: Person = await asyncio.shield(pool[number])
    return owner.at(case)


async def hold(case: Case, domain: str, org_id: str) -> None:
    """The operator says whose a domain is."""
    await case.admin.call("PUT", f"sso/domains/{domain}", {"org_id": org_id})


async def sign_on(person: Person, provider: Mapping[str, Any], **query: str) -> Reply:
    """Goes to the provider and back: what the gateway says in the end."""
    there = await person.get(str(provider["loginUrl"]) + (f"?{urlencode(query)}" if query else ""))
    return there if there.status != 303 else await back(person, await consented(person, there))


async def consented(person: Person, there: Reply, login: str | None = None) -> Reply:
    """What the provider answers to the form that somebody filled in where the gateway sent them."""
    form = form_of(await person.get(there.headers["location"]))
    filled = form.body(username=login or person.email, password=PASSWORD)
    answer = await person.request("POST", form.action, body=filled, headers=FORM)
    if answer.status not in (200, 303):
        raise HarnessError(f"the fleet's identity provider signs nobody on: {answer}")
    return answer


async def back(person: Person, answer: Reply) -> Reply:
    """Back to the gateway, by a redirect or by a form that sends itself."""
    if answer.status == 303:
        return await person.get(answer.headers["location"])
    form = form_of(answer)
    return await person.request("POST", form.action, body=form.body(), headers=FORM)


async def who(person: Person) -> str | None:
    """Whose session a browser has."""
    reply = await person.get(SESSION)
    return str(reply.json["user"]["email"]) if reply.status == 200 else None


def expect_session(end: Reply) -> None:
    """Raise Violation unless a sign-on ended well."""
    if end.status != 303 or "set-cookie" not in end.headers:
        raise Violation(f"303 with a session was due; came {end}")


async def expect_refused(person: Person, org: Organisation, end: Reply, *statuses: int) -> None:
    """Raise Violation unless a sign-on ended with one of these (403), without a session, a user or a member."""
    if end.status not in (statuses or (403,)):
        raise Violation(f"due {' or '.join(map(str, statuses or (403,)))}; came {end}")
    email = await who(person)
    if email is not None:
        raise Violation(f"the sign-on was refused with {end.status}, and yet there is a session of {email}")
    if person.email in await org.roles():
        raise Violation(f"the sign-on was refused with {end.status}, and yet {person.email} is a member")
