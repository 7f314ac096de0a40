"""Members of an organisation: their roles, and how they leave. There is always an owner."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from gateway import edge
from gateway.accounts import Accounts
from gateway.errors import Conflict, NoAccess, NotFound, shown
from gateway.orgs import audit
from gateway.orgs.audit import Actor, Deed
from gateway.orgs.orgs import Access, Orgs, check_room, role_of
from gateway.orgs.permissions import OWNER
from gateway.storage.store import Store
from gateway.storage.tables import invitations, memberships, users

ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Member:
    """A user in an organisation."""

    user_id: str
    name: str | None
    email: str | None
    role: str
    joined_at_ms: int


class Members:
    """Lists, promotes and removes."""

    def __init__(self, store: Store, clock: edge.Clock, orgs: Orgs, accounts: Accounts) -> None:
        self._store = store
        self._clock = clock
        self._orgs = orgs
        self._accounts = accounts

    async def of(self, org_id: str) -> list[Member]:
        """All members, oldest first."""
        query = (
            select(users.c.id, users.c.name, users.c.email, memberships.c.role, memberships.c.created_at_ms)
            .join(memberships, memberships.c.user_id == users.c.id)
            .where(memberships.c.org_id == org_id)
            .order_by(memberships.c.created_at_ms, users.c.id)
        )
        return [Member(*row) for row in await self._store.read(lambda c: c.execute(query).all())]

    async def join(self, org_id: str, user_id: str, role: str, actor: Actor) -> None:
        """Makes the user a member, with an audit row; a member stays what they are. For who has let them in already."""

        def work(connection: Connection) -> None:
            if join(connection, org_id, user_id, role, self._clock.now_ms()):
                deed = Deed("member.joined", user_id, {"role": role})
                audit.record(connection, org_id, actor, deed, self._clock.now_ms())

        await self._store.write(work)

    async def change_role(self, access: Access, user_id: str, role: str) -> None:
        """Gives a member another role. Only owners make or unmake owners. Raises NotFound, NoAccess, Conflict."""

        def work(connection: Connection, now: Access) -> str:
            before = _member(connection, now, user_id)
            check_owners(connection, now, before, role)
            _set_role(connection, access.org.id, user_id, role)
            return before

        await self._orgs.write(
            access, work, lambda before: Deed("member.role_changed", user_id, {"from": before, "to": role})
        )

    async def remove(self, access: Access, user_id: str) -> None:
        """Ends a membership, one's own too. The organisation's keys that the member made are disabled: they know the
        secrets. Invitations they wrote are withdrawn. Raises NotFound, NoAccess, Conflict.
        """
        org_id = access.org.id
        deed = Deed("member.left" if access.actor.user_id == user_id else "member.removed", user_id)

        def work(connection: Connection) -> None:
            now = self._orgs.check(connection, access)
            check_owners(connection, now, _member(connection, now, user_id), None)
            mine = (memberships.c.org_id == org_id, memberships.c.user_id == user_id)
            connection.execute(delete(memberships).where(*mine))
            theirs = (invitations.c.org_id == org_id, invitations.c.invited_by == user_id)
            connection.execute(delete(invitations).where(*theirs))
            audit.record(connection, org_id, access.actor, deed, self._clock.now_ms())

        await self._accounts.disable_keys_of_member(org_id, user_id, "member_removed", work)

    async def transfer(self, access: Access, user_id: str) -> None:
        """Makes another member owner in the actor's place, who becomes an admin. Raises NotFound, Conflict."""
        if user_id == access.actor.user_id:
            raise Conflict("The organisation is yours already.")

        def work(connection: Connection, now: Access) -> None:
            _member(connection, now, user_id)
            _set_role(connection, now.org.id, user_id, OWNER)
            _set_role(connection, now.org.id, now.actor.user_id, ADMIN)

        await self._orgs.write(access, work, Deed("org.transferred", user_id, {"from": access.actor.user_id}))


def join(connection: Connection, org_id: str, user_id: str, role: str, now_ms: int) -> bool:
    """Adds a member; False if they are one already. Raises Conflict for one who is in too many organisations."""
    if role_of(connection, org_id, user_id) is not None:
        return False
    check_room(connection, user_id)
    row = {"org_id": org_id, "user_id": user_id, "role": role, "created_at_ms": now_ms}
    connection.execute(insert(memberships).values(row))
    return True


def check_owners(connection: Connection, access: Access, before: str | None, after: str | None) -> None:
    """Whether a role may change so: owners are made and unmade by owners, and one stays. Raises NoAccess, Conflict."""
    if OWNER in (before, after) and access.role != OWNER:
        raise NoAccess("Only an owner can make, change or remove an owner.")
    if before == OWNER and after != OWNER and _owners(connection, access.org.id) == 1:
        raise Conflict("The last owner cannot leave or change role; transfer the ownership first.")


def _member(connection: Connection, access: Access, user_id: str) -> str:
    """The member's role. Raises NotFound."""
    role = role_of(connection, access.org.id, user_id)
    if role is None:
        raise NotFound(f"There is no member {shown(user_id)!r}.")
    return role


def _set_role(connection: Connection, org_id: str, user_id: str, role: str) -> None:
    mine = (memberships.c.org_id == org_id, memberships.c.user_id == user_id)
    connection.execute(update(memberships).where(*mine).values(role=role))


def _owners(connection: Connection, org_id: str) -> int:
    mine = (memberships.c.org_id == org_id, memberships.c.role == OWNER)
    return connection.execute(select(func.count()).select_from(memberships).where(*mine)).scalar_one()
