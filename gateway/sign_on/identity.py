"""Whom an identity provider vouches for, and what becomes of it: a user, a membership, a session.

The e-mail address must be of the provider's own domain, which the organisation holds: about others it has no say. One
is known by the subject, not by the address: an address under another subject is refused while the first is a member.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from gateway.accounts import Accounts, User
from gateway.edge import Clock
from gateway.orgs.audit import Actor
from gateway.orgs.members import Members
from gateway.orgs.orgs import role_of
from gateway.people import emails
from gateway.people.people import People
from gateway.people.sessions import Session, Sessions
from gateway.sign_on.providers import Provider
from gateway.sign_on.refusals import SignOnRefused
from gateway.storage.store import Store
from gateway.storage.tables import sso_identities

SUBJECT_MAX = 255
NAME_MAX = 200


class Services(Protocol):
    """What this needs of the gateway."""

    @property
    def clock(self) -> Clock: ...
    @property
    def store(self) -> Store: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def people(self) -> People: ...
    @property
    def members(self) -> Members: ...
    @property
    def sessions(self) -> Sessions: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """What a provider says of somebody."""

    subject: str
    email: str
    name: str | None = None


def checked(provider: Provider, identity: Identity) -> Identity:
    """The identity with its address in the form that signs in. Raises SignOnRefused."""
    email = emails.normal(identity.email)
    if email is None:
        raise SignOnRefused("the provider tells no e-mail address that can be used")
    if emails.domain_of(email) != provider.domain:
        raise SignOnRefused(f"the provider vouches for addresses of {provider.domain} only")
    if not 1 <= len(identity.subject) <= SUBJECT_MAX or not identity.subject.isprintable():
        raise SignOnRefused("the provider tells no subject that can be used")
    name = "".join(c for c in identity.name or "" if c.isprintable()).strip()[:NAME_MAX]
    return Identity(identity.subject, email, name or None)


async def admit(services: Services, provider: Provider, identity: Identity, actor: Actor) -> tuple[User, Session]:
    """Signs somebody in, who becomes a user and a member if they are not. Raises SignOnRefused, Conflict."""
    identity = checked(provider, identity)
    user = await _user(services, provider, identity)
    actor = actor._replace(user_id=user.id)
    await services.members.join(provider.org_id, user.id, provider.default_role, actor)
    return user, await services.sessions.begin(user, provider.via)


async def _user(services: Services, provider: Provider, identity: Identity) -> User:
    known = await services.store.read(lambda c: _linked(c, provider, identity.subject))
    stored = await services.people.find(identity.email)
    if known is not None:
        if stored is not None and stored.user_id != known:
            raise SignOnRefused("the e-mail address is another user's")
        user = services.accounts.user(known)
        if user is None:
            await services.accounts.reload("user", known)
            user = services.accounts.user(known)
        if user is not None:
            return user
    if stored is not None:
        await services.store.read(lambda c: _check_subject(c, provider, identity.subject, stored.user_id))
    user = await services.people.vouched(identity.email, identity.name)
    now_ms = services.clock.now_ms()
    try:
        await services.store.write(lambda c: _link(c, provider, identity.subject, user.id, now_ms))
    except Exception as error:
        if isinstance(error.__cause__, IntegrityError):  # the same sign-on, twice in one moment
            raise SignOnRefused("it was under way twice; try again") from error
        raise
    return user


def _linked(connection: Connection, provider: Provider, subject: str) -> str | None:
    """The user whom the provider means by a subject."""
    query = select(sso_identities.c.user_id).where(
        sso_identities.c.provider_id == provider.id, sso_identities.c.subject == subject
    )
    return connection.execute(query).scalar()


def _check_subject(connection: Connection, provider: Provider, subject: str, user_id: str) -> None:
    """Raises SignOnRefused while the provider means this user by another subject, and they are a member."""
    mine = (sso_identities.c.provider_id == provider.id, sso_identities.c.user_id == user_id)
    before = connection.execute(select(sso_identities.c.subject).where(*mine)).scalar()
    if before not in (None, subject) and role_of(connection, provider.org_id, user_id) is not None:
        raise SignOnRefused("the e-mail address is known under another subject")


def _link(connection: Connection, provider: Provider, subject: str, user_id: str, now_ms: int) -> None:
    """From now on the subject means this user. Raises SignOnRefused."""
    _check_subject(connection, provider, subject, user_id)
    mine = (sso_identities.c.provider_id == provider.id, sso_identities.c.user_id == user_id)
    connection.execute(delete(sso_identities).where(*mine))
    row = {"provider_id": provider.id, "subject": subject, "user_id": user_id, "created_at_ms": now_ms}
    connection.execute(insert(sso_identities).values(row))
