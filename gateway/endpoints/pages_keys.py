"""/manage-api-keys: one's own keys, or an organisation's. A secret is shown once, on the page after its making."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from gateway.accounts import KEYS_MAX, Key, KeyStatus, TooManyKeys
from gateway.endpoints import account_fields as fields
from gateway.endpoints.api_keys import scope_of
from gateway.endpoints.pages_sign_in import base
from gateway.endpoints.pages_usage import chosen, keys_of
from gateway.errors import Conflict, InvalidRequest, NotFound, shown
from gateway.ledger.spending import key_scope, period_of
from gateway.orgs.audit import Deed
from gateway.orgs.orgs import Access
from gateway.pages import forms
from gateway.pages.forms import NONE, Problem
from gateway.pages.visit import Visit

PATH: Final = "/manage-api-keys"
FIELDS: Final = ("name", "spendingLimit", "expiresAt", "origins", "ips")
GRACES: Final = {"0": "at once", "3600": "in an hour", "86400": "in a day", "604800": "in a week"}
REASONS: Final = {
    "user": "switched off",
    "operator": "switched off by the operator",
    "spending_limit": "monthly limit passed",
    "member_removed": "its maker left the organisation",
    "sign_in_changed": "its owner's sign-in changed",
}


def handlers() -> list[tuple[str, str, Any]]:
    """(method, path, handler)."""
    one = PATH + "/{key_id}"
    return [
        ("GET", PATH, show),
        ("POST", PATH, create),
        ("POST", one + "/status", change_status),
        ("POST", one + "/rotate", rotate),
        ("POST", one + "/delete", delete),
    ]


async def show(visit: Visit) -> Response:
    """The list and the form."""
    return await listed(visit)


async def listed(visit: Visit, problem: Problem = NONE) -> Response:
    """The page, with what was wrong with its form."""
    org, role = await chosen(visit, "keys.read")
    keys = keys_of(visit, org, role)
    limited = [key_scope(key.id) for key in keys if key.spending_limit_uc is not None]
    spent = await visit.services.money.spending(limited) if limited else {}
    period = period_of(visit.services.clock.now_ms())
    people = {key.user_id: visit.services.accounts.user(key.user_id) for key in keys}
    return visit.page(
        "keys.html",
        org=org,
        orgs=await visit.orgs(),
        role=role,
        keys=sorted(keys, key=lambda key: -key.created_at_ms),
        spent={scope: counter for scope, counter in spent.items() if counter.period == period},
        makers={user_id: user.email or user.name or user_id for user_id, user in people.items() if user is not None},
        reasons=REASONS,
        graces=GRACES,
        base=base(visit),
        problem=problem,
    )


async def create(visit: Visit) -> Response:
    """A new key."""
    caller, values = visit.me, await visit.form()
    access = await access_to(visit, "keys.create")
    try:
        told = told_of(values, visit.services.clock.now_s())
        key, secret = await visit.services.accounts.create_key(
            caller.user,
            fields.title(told, "name", required=True),
            fields.expiry_s(told, "expiresAt"),
            org_id=None if access is None else access.org.id,
            scope=scope_of(told),
            also=None if access is None else lambda c, key: note(visit, access, "key.created", key)(c),
        )
    except TooManyKeys:
        problem = forms.problem("create", Conflict(f"There are {KEYS_MAX} keys already; delete some first."), values)
        return await listed(visit, problem)
    except InvalidRequest as error:
        return await listed(visit, forms.problem("create", error, values, *FIELDS))
    return visit.go(path_of(access), f"{key.name} is ready.", secret=secret, called="API key")


async def change_status(visit: Visit) -> Response:
    """Switches a key off or on."""
    values, (key, access) = await visit.form(), await key_for(visit, "keys.change")
    status: KeyStatus = "active" if values.get("status") == "active" else "disabled"
    await visit.services.accounts.change_key(
        key, status=status, reason="user", also=also(visit, access, "key.changed", key, changes=["status"])
    )
    return visit.go(path_of(access), f"{name_of(key)} is {'active again' if status == 'active' else 'disabled'}.")


async def rotate(visit: Visit) -> Response:
    """Another secret."""
    values, (key, access) = await visit.form(), await key_for(visit, "keys.rotate")
    grace = values.get("graceSeconds", "0")
    grace_s = int(grace) if grace in GRACES else 0
    _, secret = await visit.services.accounts.rotate_key(
        key, grace_s, also(visit, access, "key.rotated", key, graceSeconds=grace_s)
    )
    ends = GRACES[str(grace_s)]
    return visit.go(
        path_of(access), f"{name_of(key)} has a new secret. The old one ends {ends}.", secret=secret, called="API key"
    )


async def delete(visit: Visit) -> Response:
    """Ends a key for good."""
    _, (key, access) = await visit.form(), await key_for(visit, "keys.delete")
    await visit.services.accounts.delete_key(key, also(visit, access, "key.deleted", key))
    return visit.go(path_of(access), f"{name_of(key)} was deleted.")


async def key_for(visit: Visit, action: str) -> tuple[Key, Access | None]:
    """The key of the path if the visitor may take the action with it. Raises NotFound, NoAccess."""
    caller, key_id = visit.me, visit.request.path_params["key_id"]
    key = visit.services.accounts.key(key_id)
    missing = NotFound(f"There is no key {shown(key_id)!r}.")
    if key is None or (key.org_id is None and key.user_id != caller.user.id):
        raise missing
    if key.org_id is None:
        return key, None
    try:
        return key, await visit.services.orgs.access(caller.actor, key.org_id, action)
    except NotFound:
        raise missing from None


async def access_to(visit: Visit, action: str) -> Access | None:
    """What lets the visitor in to the organisation of the URL, if it names one. Raises NotFound, NoAccess."""
    org_id = visit.request.query_params.get("org", "")
    return await visit.services.orgs.access(visit.me.actor, org_id, action) if org_id else None


def told_of(values: Mapping[str, str], now_s: int) -> dict[str, Any]:
    """The form as the JSON API has it. Raises InvalidRequest."""
    told = {
        **forms.told(values, "name"),
        "spendingLimit": forms.amount(values, "spendingLimit"),
        "autoDisable": bool(values.get("autoDisable")),
        "expiresAt": forms.end_of_day(values, "expiresAt", now_s),
        "origins": forms.lines(values, "origins"),
        "ips": forms.lines(values, "ips"),
    }
    return {name: value for name, value in told.items() if value is not None}


def also(visit: Visit, access: Access | None, action: str, key: Key, **details: Any) -> Any:
    """What goes with a change of an organisation's key: the check and the audit row."""
    return None if access is None else note(visit, access, action, key, **details)


def note(visit: Visit, access: Access, action: str, key: Key, **details: Any) -> Any:
    """The check and the audit row of a key's change."""
    told = {"name": key.name, "prefix": key.prefix, **details}
    return visit.services.orgs.recorder(access, Deed(action, key.id, told))


def path_of(access: Access | None) -> str:
    """The page of the keys among which a key is."""
    return PATH if access is None else f"{PATH}?org={access.org.id}"


def name_of(key: Key) -> str:
    """What a key is called."""
    return key.name or key.prefix or key.id
