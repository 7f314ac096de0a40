"""Invitations to an organisation: by e-mail address, accepted with a token by whoever signs in with that address."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select

from gateway import edge
from gateway.accounts import User, digest
from gateway.errors import Conflict, NotFound, shown
from gateway.orgs import audit
from gateway.orgs.audit import Actor, Deed
from gateway.orgs.members import check_owners, join
from gateway.orgs.orgs import Access, Orgs
from gateway.storage.store import Store
from gateway.storage.tables import invitations, memberships, orgs, users

TOKEN_PREFIX: Final = "inv_"
TOKEN_LENGTH: Final = 43  # characters of edge.token: 256 bits
LIFE_MS: Final = 7 * 86_400_000
OPEN_MAX: Final = 500  # of an organisation


@dataclass(frozen=True, slots=True)
class Invitation:
    """One that nobody has accepted yet."""

    id: str
    email: str
    role: str
    invited_by: str
    created_at_ms: int
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """Where an invitation led."""

    org_id: str
    role: str
    joined: bool  # False: was a member already


class Invitations:
    """Invites, lists, withdraws and accepts."""

    def __init__(self, store: Store, clock: edge.Clock, orgs_: Orgs) -> None:
        self._store = store
        self._clock = clock
        self._orgs = orgs_

    async def invite(self, access: Access, email: str, role: str) -> tuple[Invitation, str]:
        """An invitation and its token, which is never shown again. It takes the place of one to the same address.

        `email` is in its normal form. Raises NoAccess, Conflict.
        """
        org_id, now_ms = access.org.id, self._clock.now_ms()
        made = Invitation(edge.new_id("inv"), email, role, access.actor.user_id, now_ms, now_ms + LIFE_MS)
        token = TOKEN_PREFIX + edge.token(TOKEN_LENGTH)
        row = {**asdict(made), "org_id": org_id, "digest": digest(token)}

        def work(connection: Connection, now: Access) -> None:
            check_owners(connection, now, None, role)
            if _is_member(connection, org_id, email):
                raise Conflict(f"{shown(email)} is a member already.")
            mine = invitations.c.org_id == org_id
            connection.execute(delete(invitations).where(mine, invitations.c.expires_at_ms <= now_ms))
            connection.execute(delete(invitations).where(mine, invitations.c.email == email))
            if connection.execute(select(func.count()).select_from(invitations).where(mine)).scalar_one() >= OPEN_MAX:
                raise Conflict(f"There are {OPEN_MAX} open invitations already.")
            connection.execute(insert(invitations).values(row))

        await self._orgs.write(access, work, Deed("member.invited", made.id, {"email": email, "role": role}))
        return made, token

    async def of(self, org_id: str) -> list[Invitation]:
        """The open invitations, oldest first."""
        table = invitations.c
        query = (
            select(table.id, table.email, table.role, table.invited_by, table.created_at_ms, table.expires_at_ms)
            .where(table.org_id == org_id, table.expires_at_ms > self._clock.now_ms())
            .order_by(table.created_at_ms, table.id)
        )
        return [Invitation(*row) for row in await self._store.read(lambda c: c.execute(query).all())]

    async def withdraw(self, access: Access, invitation_id: str) -> None:
        """Takes it back. Raises NotFound."""

        def work(connection: Connection, now: Access) -> None:
            mine = (invitations.c.org_id == now.org.id, invitations.c.id == invitation_id)
            if not connection.execute(delete(invitations).where(*mine)).rowcount:
                raise NotFound(f"There is no invitation {shown(invitation_id)!r}.")

        await self._orgs.write(access, work, Deed("invitation.withdrawn", invitation_id))

    async def accept(self, user: User, token: str, actor: Actor) -> Accepted:
        """Makes the user a member. Raises NotFound for a token that is unknown, used, expired or of another address."""
        now_ms = self._clock.now_ms()

        def work(connection: Connection) -> Accepted:
            table = invitations.c
            query = (
                select(table.id, table.org_id, table.role, table.email)
                .join(orgs, orgs.c.id == table.org_id)
                .where(table.digest == digest(token), table.expires_at_ms > now_ms, orgs.c.deleted_at_ms.is_(None))
            )
            row = connection.execute(query).first()
            if row is None or row.email != user.login or not _take(connection, row.id):
                raise NotFound("There is no such invitation to your e-mail address, or it has expired.")
            joined = join(connection, row.org_id, user.id, row.role, now_ms)
            if joined:
                deed = Deed("member.joined", user.id, {"role": row.role, "invitation": row.id})
                audit.record(connection, row.org_id, actor, deed, now_ms)
            return Accepted(row.org_id, row.role, joined)

        return await self._store.write(work)


def _is_member(connection: Connection, org_id: str, email: str) -> bool:
    query = (
        select(users.c.id)
        .join(memberships, memberships.c.user_id == users.c.id)
        .where(memberships.c.org_id == org_id, users.c.login == email)
    )
    return connection.execute(query).first() is not None


def _take(connection: Connection, invitation_id: str) -> bool:
    """Uses the invitation up; False if somebody else just has."""
    return bool(connection.execute(delete(invitations).where(invitations.c.id == invitation_id)).rowcount)
