"""Organisations that let in, tell, keep or charge the wrong people."""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any

from sqlalchemy import select

from gateway.accounts import Accounts, Key, User, digest
from gateway.endpoints import usage
from gateway.endpoints.api_keys import ApiKeys
from gateway.endpoints.orgs import OrgApi
from gateway.errors import NoAccess, NotFound
from gateway.orgs import audit, invitations, members, orgs
from gateway.orgs.audit import Actor, Deed
from gateway.orgs.invitations import Invitations
from gateway.orgs.orgs import Access
from gateway.orgs.permissions import OWNER, Permissions
from gateway.services import Services
from gateway.storage import tables
from mutants._patch import around, replace
from mutants.registry import mutant

YEARS_MS = 10 * 365 * 86_400_000


def allow(decide: Any) -> None:
    """Whether a role may take an action is what `decide(role, action, as it should be)` says."""

    @around(Permissions, "allows")
    def allows(old: Any, self: Permissions, role: str, action: str) -> bool:
        return bool(decide(role, action, old(self, role, action)))


@mutant()
def roles_not_checked() -> None:
    """Every member may do everything."""
    allow(lambda _role, _action, _right: True)


@mutant("GD-179")
def role_cannot_do_its_job() -> None:
    """Developers make no keys for their organisation."""
    allow(lambda role, action, right: right and (role, action) != ("developer", "keys.create"))


@mutant()
def admin_reads_audit_log() -> None:
    """Admins read the audit log."""
    allow(lambda role, action, right: right or (role, action) == ("admin", "audit.read"))


@mutant("GD-177")
def outsider_reads_organisation() -> None:
    """Whoever is signed in reads every organisation as a viewer does."""

    @around(orgs, "_judged")
    def judged(old: Any, org: Any, role: Any, actor: Actor, org_id: str, action: str) -> Any:
        return old(org, role or ("viewer" if action.endswith(".read") else None), actor, org_id, action)


@mutant()
def tenancy_is_forbidden() -> None:
    """Strangers learn by a 403 that an organisation exists."""

    @around(orgs, "_judged")
    def judged(old: Any, org: Any, *rest: Any) -> Any:
        found = old(org, *rest)
        return NoAccess("You are no member.") if org is not None and isinstance(found, NotFound) else found


@mutant("GD-176")
def cross_organisation_key_update() -> None:
    """Whoever names an organisation's key may change it."""

    @around(ApiKeys, "_key")
    async def find(old: Any, self: ApiKeys, request: Any, action: str) -> Any:
        key = self._accounts.key(request.path_params["key_id"])
        return (key, None) if key is not None and key.org_id is not None else await old(self, request, action)


@mutant("GD-178")
def org_header_trusted() -> None:
    """The organisation that a header names pays for the call."""

    @around(Services, "key_of")
    def key_of(old: Any, self: Services, exchange: Any) -> Key:
        key: Key = old(self, exchange)
        named = exchange.headers.get(b"x-org-id")
        return key if named is None else changed(key, org_id=named.decode())


@mutant()
def last_owner_leaves() -> None:
    """An organisation may lose its last owner."""
    replace(members, "_owners", lambda _connection, _org_id: 2)


@mutant()
def admin_makes_owners() -> None:
    """Admins make, change and remove owners."""
    check = members.check_owners

    def lax(connection: Any, access: Access, before: Any, after: Any) -> None:
        check(connection, changed(access, role=OWNER), before, after)

    replace(members, "check_owners", lax)
    replace(invitations, "check_owners", lax)


@mutant()
def member_pays_for_organisation() -> None:
    """Calls by an organisation's key are paid by the member who made it."""
    setattr(Key, "payer_id", property(lambda self: self.user_id))  # noqa: B010 - mypy knows it as read-only


def edit_events(edit: Any) -> None:
    """Rows of the audit log are written as `edit(actor, deed)` makes them; None: not at all."""

    @around(audit, "record")
    def record(old: Any, connection: Any, org_id: str, actor: Actor, deed: Deed, at_ms: int) -> None:
        made = edit(actor, deed)
        if made is not None:
            old(connection, org_id, *made, at_ms)


@mutant()
def audit_row_missing() -> None:
    """A change of a member's role leaves no row in the audit log."""
    edit_events(lambda actor, deed: None if deed.action == "member.role_changed" else (actor, deed))


@mutant()
def audit_refusals_missing() -> None:
    """What a role forbade leaves no row in the audit log."""
    edit_events(lambda actor, deed: None if deed.outcome == audit.DENIED else (actor, deed))


@mutant()
def audit_without_address() -> None:
    """The audit log does not tell from where something was done."""
    edit_events(lambda actor, deed: (actor._replace(ip=None), deed))


@mutant("GD-175")
def audit_log_without_tenant() -> None:
    """The audit log of an organisation has every organisation's rows."""

    def page(connection: Any, _org_id: str, limit: int, before: int | None = None) -> list[dict[str, Any]]:
        log, users = tables.audit_log, tables.users
        joined = log.outerjoin(users, users.c.id == log.c.actor_id)
        query = select(log, users.c.email, users.c.name).select_from(joined).order_by(log.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(log.c.id < before)
        return [audit._entry(row) for row in connection.execute(query)]

    replace(audit, "page", page)


@mutant()
def audit_cursor_ignored() -> None:
    """Every page of the audit log is the first."""

    @around(audit, "page")
    def page(old: Any, connection: Any, org_id: str, limit: int, _before: int | None = None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = old(connection, org_id, limit, None)
        return rows


@mutant()
def invitation_for_anybody() -> None:
    """Whoever has an invitation's token can use it."""

    @around(Invitations, "accept")
    async def accept(old: Any, self: Invitations, user: User, token: str, actor: Actor) -> Any:
        table = tables.invitations.c
        query = select(table.email).where(table.digest == digest(token))
        email = await self._store.read(lambda c: c.execute(query).scalar())
        return await old(self, changed(user, login=email), token, actor)


@mutant()
def invitation_accepted_twice() -> None:
    """An invitation is not used up."""
    replace(invitations, "_take", lambda _connection, _invitation_id: True)


@mutant()
def invitation_never_expires() -> None:
    """An invitation lasts for years."""
    replace(invitations, "LIFE_MS", YEARS_MS)


@mutant()
def withdrawn_invitation_works() -> None:
    """Withdrawing an invitation is noted and does nothing."""

    async def withdraw(self: Invitations, access: Access, invitation_id: str) -> None:
        await self._orgs.write(access, lambda _c, _now: None, Deed("invitation.withdrawn", invitation_id))

    replace(Invitations, "withdraw", withdraw)


@mutant()
def removed_member_keeps_keys() -> None:
    """The organisation's keys that a removed member made work on."""

    async def disable(self: Accounts, _org_id: str, _user_id: str, _reason: str, also: Any) -> None:
        await self._store.write(also)

    replace(Accounts, "disable_keys_of_member", disable)


@mutant()
def deleted_organisation_keys_work() -> None:
    """The keys of a deleted organisation work on."""

    async def delete_keys(self: Accounts, _org_id: str, also: Any) -> None:
        await self._store.write(also)

    replace(Accounts, "delete_keys_of_org", delete_keys)


@mutant()
def own_usage_of_any_organisation() -> None:
    """The usage log is that of whatever organisation the query names."""

    @around(usage, "payer_of")
    async def payer_of(old: Any, services: Any, request: Any) -> str:
        payer_id: str = await old(services, request)
        return request.query_params.get("orgId") or payer_id


@mutant()
def organisation_usage_is_the_members() -> None:
    """The usage of an organisation shows what the member who asks has used."""

    async def answer(self: OrgApi, request: Any, access: Access) -> Any:
        return await usage.answer(self._services, request, access.actor.user_id)

    replace(OrgApi, "usage", answer)
