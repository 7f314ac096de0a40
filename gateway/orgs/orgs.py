"""Organisations, and the one place that says whether somebody may do something in one.

`access` lets in (or not) before anything else happens; `write` looks again inside the transaction that changes
something, and adds the row of the audit log there. What one is no member of does not exist: 404, the same for all.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway import edge
from gateway.accounts import Accounts
from gateway.errors import Conflict, NoAccess, NotFound, shown
from gateway.orgs import audit, permissions
from gateway.orgs.audit import Actor, Deed
from gateway.storage.store import Store
from gateway.storage.tables import invitations, memberships, orgs

T = TypeVar("T")

SLUG_MAX: Final = 40
SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
MEMBERSHIPS_MAX: Final = 100  # organisations that one user makes or joins
TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Org:
    """An organisation. Its id is also the name of its account in the ledger."""

    id: str
    name: str
    slug: str
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class Access:
    """Somebody who may take an action in an organisation, as a member of a role."""

    org: Org
    role: str
    actor: Actor
    action: str


class Orgs:
    """Makes, finds, changes and deletes organisations."""

    def __init__(self, store: Store, clock: edge.Clock, accounts: Accounts) -> None:
        self._store = store
        self._clock = clock
        self._accounts = accounts

    async def access(self, actor: Actor, org_id: str, action: str) -> Access:
        """Lets a member in to take an action. Raises NotFound for all but members, NoAccess where the role forbids."""
        found = await self._store.read(lambda c: (_org(c, org_id), role_of(c, org_id, actor.user_id)))
        access = _judged(*found, actor, org_id, action)
        if isinstance(access, Access):
            return access
        if isinstance(access, NoAccess) and not action.endswith(".read"):
            await self.note(org_id, actor, Deed(action, outcome=audit.DENIED))
        raise access

    async def write(
        self, access: Access, job: Callable[[Connection, Access], T], deed: Deed | Callable[[T], Deed]
    ) -> T:
        """Runs `job`, a change to the organisation, and adds the deed to its audit log. Raises as `access` does.

        The job is given the access as it is now: the actor's role may have changed.
        """

        def work(connection: Connection) -> T:
            result = job(connection, self.check(connection, access))
            done = deed(result) if callable(deed) else deed
            audit.record(connection, access.org.id, access.actor, done, self._clock.now_ms())
            return result

        return await self._store.write(work)

    def check(self, connection: Connection, access: Access) -> Access:
        """The access as it is now, and the organisation locked against others. Raises as `access` does."""
        org = _org(connection, access.org.id, lock=True)
        role = role_of(connection, access.org.id, access.actor.user_id)
        now = _judged(org, role, access.actor, access.org.id, access.action)
        if not isinstance(now, Access):
            raise now
        return now

    def recorder(self, access: Access, deed: Deed) -> Callable[[Connection], None]:
        """Check and audit row for a transaction of somebody else's (`Accounts`)."""

        def work(connection: Connection) -> None:
            self.check(connection, access)
            audit.record(connection, access.org.id, access.actor, deed, self._clock.now_ms())

        return work

    async def note(self, org_id: str, actor: Actor, deed: Deed, *, once: bool = False) -> None:
        """Adds a row to the audit log; `once`: unless the same was done to the same target before."""

        def work(connection: Connection) -> None:
            if not (once and audit.has(connection, org_id, deed)):
                audit.record(connection, org_id, actor, deed, self._clock.now_ms())

        await self._store.write(work)

    async def find(self, org_id: str) -> Org | None:
        """The organisation of this id, unless it was deleted. For those who need no permission: the operator, SSO."""
        return await self._store.read(lambda c: _org(c, org_id))

    async def of(self, user_id: str) -> list[tuple[Org, str]]:
        """The organisations of a user and the role in each, oldest first."""
        query = (
            select(orgs, memberships.c.role)
            .join(memberships, memberships.c.org_id == orgs.c.id)
            .where(memberships.c.user_id == user_id, orgs.c.deleted_at_ms.is_(None))
            .order_by(orgs.c.created_at_ms, orgs.c.id)
        )
        rows = await self._store.read(lambda c: c.execute(query).all())
        return [(Org(row.id, row.name, row.slug, row.created_at_ms), row.role) for row in rows]

    async def create(self, owner_id: str, name: str, slug: str | None, actor: Actor) -> Org:
        """A new organisation with one owner. Raises Conflict for a `slug` that is taken."""
        for _ in range(TRIES):
            org_id, now_ms = edge.new_id("org"), self._clock.now_ms()
            try:
                return await self._store.write(lambda c: self._create(c, org_id, owner_id, name, slug, actor, now_ms))  # noqa: B023
            except Exception as error:
                if not isinstance(error.__cause__, IntegrityError):  # another process took the slug meanwhile
                    raise
        raise Conflict(f"The slug {shown(slug or slug_of(name))!r} is taken.")

    def _create(
        self, connection: Connection, org_id: str, owner_id: str, name: str, slug: str | None, actor: Actor, now_ms: int
    ) -> Org:
        check_room(connection, owner_id)
        if slug is not None and _taken(connection, slug):
            raise Conflict(f"The slug {shown(slug)!r} is taken.")
        made = Org(org_id, name, slug or _free_slug(connection, slug_of(name)), now_ms)
        row = {"id": made.id, "name": name, "slug": made.slug, "created_at_ms": now_ms}
        connection.execute(insert(orgs).values(row))
        member = {"org_id": org_id, "user_id": owner_id, "role": permissions.OWNER, "created_at_ms": now_ms}
        connection.execute(insert(memberships).values(member))
        deed = Deed("org.created", org_id, {"name": name, "slug": made.slug, "owner": owner_id})
        audit.record(connection, org_id, actor, deed, now_ms)
        return made

    async def rename(self, access: Access, name: str) -> Org:
        """Another name; the slug stays."""
        org = access.org
        change = update(orgs).where(orgs.c.id == org.id).values(name=name)
        await self.write(access, lambda c, _: c.execute(change), Deed("org.renamed", org.id, {"name": name}))
        return Org(org.id, name, org.slug, org.created_at_ms)

    async def delete(self, access: Access) -> None:
        """Ends the organisation: no members, invitations or keys any more. Its ledger, usage and audit log stay."""
        org_id, now_ms = access.org.id, self._clock.now_ms()
        note = self.recorder(access, Deed("org.deleted", org_id, {"name": access.org.name}))

        def work(connection: Connection) -> None:
            note(connection)
            connection.execute(update(orgs).where(orgs.c.id == org_id).values(deleted_at_ms=now_ms))
            for table in (memberships, invitations):
                connection.execute(delete(table).where(table.c.org_id == org_id))

        await self._accounts.delete_keys_of_org(org_id, work)


def slug_of(name: str) -> str:
    """A name for URLs: lower-case ASCII letters, digits and single hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG_MAX].strip("-") or "org"


def role_of(connection: Connection, org_id: str, user_id: str) -> str | None:
    """The user's role in the organisation, if they are a member."""
    query = select(memberships.c.role).where(memberships.c.org_id == org_id, memberships.c.user_id == user_id)
    return connection.execute(query).scalar()


def check_room(connection: Connection, user_id: str) -> None:
    """Raises Conflict for a user who is in as many organisations as may be."""
    query = select(func.count()).select_from(memberships).where(memberships.c.user_id == user_id)
    if connection.execute(query).scalar_one() >= MEMBERSHIPS_MAX:
        raise Conflict(f"Nobody can be in more than {MEMBERSHIPS_MAX} organisations.")


def no_org(org_id: str) -> NotFound:
    """What all but members are told."""
    return NotFound(f"There is no organisation {shown(org_id)!r}.")


def _judged(org: Org | None, role: str | None, actor: Actor, org_id: str, action: str) -> Access | NotFound | NoAccess:
    allowed = role is not None and permissions.table().allows(role, action)
    if org is None or role is None:
        return no_org(org_id)
    return Access(org, role, actor, action) if allowed else NoAccess(f"The role {role!r} does not allow {action!r}.")


def _org(connection: Connection, org_id: str, *, lock: bool = False) -> Org | None:
    query: Any = select(orgs).where(orgs.c.id == org_id, orgs.c.deleted_at_ms.is_(None))
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else Org(row.id, row.name, row.slug, row.created_at_ms)


def _taken(connection: Connection, slug: str) -> bool:
    return connection.execute(select(orgs.c.id).where(orgs.c.slug == slug)).first() is not None


def _free_slug(connection: Connection, base: str) -> str:
    """`base`, or the first of base-2, base-3, … that is free."""
    taken = set(connection.execute(select(orgs.c.slug).where(orgs.c.slug.startswith(base, autoescape=True))).scalars())
    number, slug = 1, base
    while slug in taken:
        number += 1
        end = f"-{number}"
        slug = base[: SLUG_MAX - len(end)].rstrip("-") + end
        taken |= {slug} if _taken(connection, slug) else set()
    return slug
