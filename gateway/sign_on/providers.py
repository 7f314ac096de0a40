"""The identity providers of organisations, and whose each e-mail domain is.

A provider signs people on only while its organisation holds its domain: the operator says so (`/admin/sso/domains`), or
`sso_trust_domains` lets the first claim count. Else anybody could say for whom they vouch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway import edge
from gateway.errors import Conflict, NotFound, shown
from gateway.orgs.audit import Deed
from gateway.orgs.orgs import Access, Orgs
from gateway.storage.store import Store
from gateway.storage.tables import orgs, sessions, sso_domains, sso_identities, sso_providers, sso_uses

PER_ORG_MAX: Final = 20
OIDC: Final = "oidc"
SAML: Final = "saml"


@dataclass(frozen=True, slots=True)
class Provider:
    """One of them. `settings`: see `settings.py`; `secret` is sealed."""

    id: str
    org_id: str
    type: str
    domain: str
    enabled: bool
    default_role: str
    settings: Mapping[str, Any]
    secret: str | None = field(repr=False)
    checked_at_ms: int | None
    problem: str | None
    created_at_ms: int
    is_verified: bool = False  # whether the organisation holds the domain

    @property
    def reachable(self) -> bool:
        """The green check."""
        return self.checked_at_ms is not None and self.problem is None

    @property
    def via(self) -> str:
        """What its sessions are called."""
        return f"sso:{self.id}"

    @property
    def secret_purpose(self) -> str:
        """What its client's secret is sealed for."""
        return f"client secret of {self.id}"


class Providers:
    """Keeps them."""

    def __init__(self, store: Store, clock: edge.Clock, orgs: Orgs) -> None:
        self._store = store
        self._clock = clock
        self._orgs = orgs

    async def create(self, access: Access, provider: Provider, *, trusted: bool) -> Provider:
        """Adds a provider; `trusted` makes its domain the organisation's. Raises Conflict."""

        def work(connection: Connection) -> None:
            count = select(func.count()).select_from(sso_providers).where(sso_providers.c.org_id == provider.org_id)
            if connection.execute(count).scalar_one() >= PER_ORG_MAX:
                raise Conflict(f"An organisation has at most {PER_ORG_MAX} identity providers.")
            self._check_domain(connection, provider, trusted=trusted)
            connection.execute(insert(sso_providers).values(_row(provider)))

        await self._change(access, work, Deed("sso.created", provider.id, _told(provider)))
        return await self._found(provider.id)

    async def change(self, access: Access, before: Provider, after: Provider, *, trusted: bool) -> Provider:
        """Puts `after` in place of `before`. Who is who there is forgotten when it became another provider, and its
        sessions end with it or when it is switched off. Raises Conflict, NotFound.
        """

        def work(connection: Connection) -> None:
            self._check_domain(connection, after, trusted=trusted)
            changed = update(sso_providers).where(sso_providers.c.id == before.id).values(_row(after))
            if not connection.execute(changed).rowcount:
                raise no_provider(before.id)
            is_another = authority(before) != authority(after)
            if is_another:
                connection.execute(delete(sso_identities).where(sso_identities.c.provider_id == before.id))
            if is_another or not after.enabled:
                connection.execute(delete(sessions).where(sessions.c.via == before.via))

        await self._change(access, work, Deed("sso.changed", before.id, _told(after)))
        return await self._found(before.id)

    async def delete(self, access: Access, provider: Provider) -> None:
        """Ends a provider and its sessions."""

        def work(connection: Connection) -> None:
            connection.execute(delete(sessions).where(sessions.c.via == provider.via))
            connection.execute(delete(sso_identities).where(sso_identities.c.provider_id == provider.id))
            connection.execute(delete(sso_providers).where(sso_providers.c.id == provider.id))

        await self._change(access, work, Deed("sso.deleted", provider.id, _told(provider)))

    async def note(self, provider: Provider, settings: Mapping[str, Any], problem: str | None) -> None:
        """Keeps what was learnt of a provider by looking at it."""
        values = {"settings": json.dumps(dict(settings)), "problem": problem, "checked_at_ms": self._clock.now_ms()}
        await self._store.write(
            lambda c: c.execute(update(sso_providers).where(sso_providers.c.id == provider.id).values(values))
        )

    async def of_org(self, org_id: str) -> list[Provider]:
        """An organisation's, oldest first."""
        query = _query().where(sso_providers.c.org_id == org_id)
        query = query.order_by(sso_providers.c.created_at_ms, sso_providers.c.id)
        return [_provider(row) for row in await self._store.read(lambda c: c.execute(query).all())]

    async def find(self, provider_id: str) -> Provider | None:
        """The provider of this id, unless its organisation was deleted."""
        query = _query().where(sso_providers.c.id == provider_id, orgs.c.deleted_at_ms.is_(None))
        row = await self._store.read(lambda c: c.execute(query).first())
        return None if row is None else _provider(row)

    async def of_domain(self, domain: str) -> Provider | None:
        """The provider that signs on whoever has an address of this domain."""
        query = _query().where(
            sso_providers.c.domain == domain,
            sso_providers.c.enabled,
            sso_domains.c.org_id.is_not(None),
            orgs.c.deleted_at_ms.is_(None),
        )
        row = await self._store.read(lambda c: c.execute(query).first())
        return None if row is None else _provider(row)

    async def domains(self) -> list[dict[str, Any]]:
        """The verified domains, by name."""
        rows = await self._store.read(lambda c: c.execute(select(sso_domains).order_by(sso_domains.c.domain)).all())
        return [{"domain": row.domain, "org_id": row.org_id, "verified_at_ms": row.verified_at_ms} for row in rows]

    async def verify(self, domain: str, org_id: str) -> dict[str, Any]:
        """Says that a domain is an organisation's, whosever it was. Raises NotFound."""
        row = {"domain": domain, "org_id": org_id, "verified_at_ms": self._clock.now_ms()}

        def work(connection: Connection) -> None:
            exists = select(orgs.c.id).where(orgs.c.id == org_id, orgs.c.deleted_at_ms.is_(None))
            if connection.execute(exists).first() is None:
                raise NotFound(f"There is no organisation {shown(org_id)!r}.")
            _release(connection, domain, keep=org_id)
            connection.execute(delete(sso_domains).where(sso_domains.c.domain == domain))
            connection.execute(insert(sso_domains).values(row))

        await self._store.write(work)
        return row

    async def release(self, domain: str) -> None:
        """Says that a domain is nobody's. Raises NotFound."""

        def work(connection: Connection) -> None:
            _release(connection, domain)
            if not connection.execute(delete(sso_domains).where(sso_domains.c.domain == domain)).rowcount:
                raise NotFound(f"The domain {shown(domain)!r} is nobody's.")

        await self._store.write(work)

    async def use(self, until_ms: int, *names: str) -> bool:
        """Marks things as used until then; False, and nothing is marked, if any was used before."""
        now_ms = self._clock.now_ms()
        hashed = [sha256(name.encode()).hexdigest() for name in names]

        def work(connection: Connection) -> None:
            connection.execute(delete(sso_uses).where(sso_uses.c.expires_at_ms < now_ms))
            connection.execute(insert(sso_uses), [{"digest": one, "expires_at_ms": until_ms} for one in hashed])

        try:
            await self._store.write(work)
        except Exception as error:
            if isinstance(error.__cause__, IntegrityError):
                return False
            raise
        return True

    async def _found(self, provider_id: str) -> Provider:
        found = await self.find(provider_id)
        if found is None:  # deleted in this moment
            raise no_provider(provider_id)
        return found

    def _check_domain(self, connection: Connection, provider: Provider, *, trusted: bool) -> None:
        """Raises Conflict for a domain that is another organisation's, or another provider's of this one."""
        rivals = select(sso_providers.c.id).where(
            sso_providers.c.org_id == provider.org_id,
            sso_providers.c.domain == provider.domain,
            sso_providers.c.id != provider.id,
        )
        if connection.execute(rivals).first() is not None:
            raise Conflict(f"Another identity provider has the domain {shown(provider.domain)!r} already.")
        held = (
            select(sso_domains.c.org_id)
            .join(orgs, orgs.c.id == sso_domains.c.org_id)
            .where(sso_domains.c.domain == provider.domain)
        )
        holder = connection.execute(held).scalar()
        if holder not in (None, provider.org_id):
            raise Conflict(f"The domain {shown(provider.domain)!r} belongs to another organisation.")
        if trusted and holder is None:
            row = {"domain": provider.domain, "org_id": provider.org_id, "verified_at_ms": self._clock.now_ms()}
            connection.execute(insert(sso_domains).values(row))

    async def _change(self, access: Access, work: Callable[[Connection], None], deed: Deed) -> None:
        try:
            await self._orgs.write(access, lambda connection, _access: work(connection), deed)
        except Exception as error:
            if isinstance(error.__cause__, IntegrityError):  # by another process in this moment
                raise Conflict("The identity providers were changed meanwhile; try again.") from error
            raise


def no_provider(provider_id: str) -> NotFound:
    """What is told of a provider that there is not."""
    return NotFound(f"There is no identity provider {shown(provider_id)!r}.")


def authority(provider: Provider) -> tuple[str, str | None]:
    """Whose word counts: with another, subjects mean other people."""
    return provider.type, provider.settings.get("issuer") or provider.settings.get("entity_id")


def _release(connection: Connection, domain: str, keep: str | None = None) -> None:
    """Ends the sessions of all providers of a domain, but the organisation's that keeps it."""
    theirs = select(sso_providers.c.id).where(sso_providers.c.domain == domain, sso_providers.c.org_id != (keep or ""))
    for provider_id in connection.execute(theirs).scalars().all():
        connection.execute(delete(sessions).where(sessions.c.via == f"sso:{provider_id}"))


def _query() -> Any:
    held = (sso_domains.c.domain == sso_providers.c.domain) & (sso_domains.c.org_id == sso_providers.c.org_id)
    return (
        select(sso_providers, sso_domains.c.verified_at_ms)
        .join(orgs, orgs.c.id == sso_providers.c.org_id)
        .outerjoin(sso_domains, held)
    )


def _provider(row: Row[Any]) -> Provider:
    return Provider(
        row.id,
        row.org_id,
        row.type,
        row.domain,
        bool(row.enabled),
        row.default_role,
        json.loads(row.settings),
        row.secret,
        row.checked_at_ms,
        row.problem,
        row.created_at_ms,
        row.verified_at_ms is not None,
    )


def _row(provider: Provider) -> dict[str, Any]:
    return {
        "id": provider.id,
        "org_id": provider.org_id,
        "type": provider.type,
        "domain": provider.domain,
        "enabled": provider.enabled,
        "default_role": provider.default_role,
        "settings": json.dumps(dict(provider.settings)),
        "secret": provider.secret,
        "checked_at_ms": provider.checked_at_ms,
        "problem": provider.problem,
        "created_at_ms": provider.created_at_ms,
    }


def _told(provider: Provider) -> dict[str, Any]:
    """What the audit log says of it."""
    kind, authority_ = authority(provider)
    told = {"type": kind, "domain": provider.domain, "authority": authority_, "enabled": provider.enabled}
    return {**told, "default_role": provider.default_role}
