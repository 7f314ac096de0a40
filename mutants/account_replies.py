"""Replies of the dashboard's API that depart from their shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.endpoints import api_keys, auth, orgs, spending
from gateway.endpoints.auth import Auth
from gateway.orgs import audit
from mutants._edits import without
from mutants._patch import around
from mutants.accounts import remember_secrets
from mutants.registry import mutant

Edit = Callable[[dict[str, Any]], dict[str, Any]]


def edit_view(owner: Any, name: str, edit: Edit) -> None:
    """What the function shows is shown as `edit` makes it."""

    @around(owner, name)
    def view(old: Any, *args: Any) -> dict[str, Any]:
        return edit(old(*args))


@mutant()
def key_limit_as_text() -> None:
    """A key's limit is told as a text."""
    edit_view(api_keys, "view", lambda told: {**told, "spendingLimit": str(told["spendingLimit"])})


@mutant()
def key_list_with_secrets() -> None:
    """Every key is told with its secret, as long as the gateway remembers it."""
    secrets = remember_secrets()
    edit_view(api_keys, "view", lambda told: {**told, "key": secrets.get(told["id"], "ck_unknown")})


@mutant()
def organisation_without_slug() -> None:
    """An organisation is told without its name for URLs."""
    for owner in (orgs, auth):
        edit_view(owner, "org_view", without("slug"))


@mutant()
def member_without_role() -> None:
    """Members are told without their roles."""
    edit_view(orgs, "member_view", without("role"))


@mutant()
def audit_times_as_numbers() -> None:
    """The audit log tells its times as numbers."""
    edit_view(audit, "_entry", lambda told: {**told, "at": len(told["at"])})


@mutant()
def session_without_end() -> None:
    """A session does not tell when it ends."""

    @around(Auth, "_view")
    async def view(old: Any, *args: Any) -> dict[str, Any]:
        return without("expiresAt")(await old(*args))


@mutant()
def statement_in_floats() -> None:
    """A statement's sums are floating-point numbers."""
    edit_view(spending, "statement", lambda told: {**told, "startUc": told["startUc"] / 7, "endUc": told["endUc"] / 7})


@mutant()
def credits_without_tier() -> None:
    """One's credits are told without the tier's name."""
    edit_view(spending, "tier_view", without("label"))
