"""/usage: what was spent on which model and when, the dearest requests, and the request log with its filters."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from gateway.endpoints import usage
from gateway.errors import InvalidRequest
from gateway.orgs import permissions
from gateway.orgs.orgs import Org
from gateway.pages import charts, forms
from gateway.pages.visit import Visit
from gateway.usage import STATUSES, report

ROWS: Final = 25
DAYS: Final = {"1": "24 hours", "7": "7 days", "30": "30 days", "90": "90 days", "365": "a year"}
FILTERS: Final = ("q", "model", "status", "keyId", "minCost")


def handlers() -> list[tuple[str, str, Any]]:
    """(method, path, handler)."""
    return [("GET", "/usage", show)]


async def show(visit: Visit) -> Response:
    """The page of oneself or, with `org`, of an organisation."""
    services, caller = visit.services, visit.me
    asked = visit.request.query_params
    org, role = await chosen(visit, "usage.read")
    payer_id = caller.user.id if org is None else org.id
    filters = {name: asked[name].strip() for name in FILTERS if asked.get(name, "").strip()}
    days = asked.get("days", "30")
    problem = forms.NONE
    now_ms = services.clock.now_ms()
    told = {**filters, "days": days if days in DAYS else "30", "limit": str(ROWS)}
    try:
        query = usage.parse({**told, "cursor": asked.get("cursor", "")}, payer_id, now_ms)
    except InvalidRequest as error:
        problem = forms.problem("filters", error, filters, *FILTERS)
        query = usage.parse({"days": told["days"], "limit": str(ROWS)}, payer_id, now_ms)
    found = await services.store.read(lambda connection: report(connection, query, now_ms))
    shares = charts.shares(found["costByModel"])
    sees_balance = org is None or visit_may(role, "billing.read")
    keys = keys_of(visit, org, role)
    kept = {**filters, "days": told["days"]}
    scope = {} if org is None else {"org": org.id}
    api = "/api/api-usage" if org is None else f"/api/orgs/{org.id}/usage"
    return visit.page(
        "usage.html",
        org=org,
        orgs=await visit.orgs(),
        found=found,
        shares=shares,
        pie=charts.pie(shares, "Spending by model") if shares else None,
        bars=charts.bars(found["dailyCost"], "Spending by day"),
        balance=await services.money.balance(payer_id) if sees_balance else None,
        filters=filters,
        days=told["days"],
        periods=DAYS,
        statuses=STATUSES,
        keys=keys,
        key_names={key.id: key.name or key.prefix or key.id for key in keys},
        csv=f"{api}/export?{urlencode(kept)}",
        older=f"/usage?{urlencode({**scope, **kept, 'cursor': found['nextCursor']})}#log"
        if found["nextCursor"]
        else "",
        newest=f"/usage?{urlencode({**scope, **kept})}#log" if asked.get("cursor") else "",
        problem=problem,
    )


async def chosen(visit: Visit, action: str) -> tuple[Org | None, str]:
    """The organisation that `org` names, if it does, and the visitor's role there. Raises NotFound, NoAccess."""
    org_id = visit.request.query_params.get("org", "")
    if not org_id:
        return None, ""
    access = await visit.services.orgs.access(visit.me.actor, org_id, action)
    return access.org, access.role


def visit_may(role: str, action: str) -> bool:
    """Whether the role of an organisation allows the action."""
    return permissions.table().allows(role, action)


def keys_of(visit: Visit, org: Org | None, role: str) -> list[Any]:
    """The keys whose names may be shown."""
    accounts = visit.services.accounts
    if org is None:
        return [key for key in accounts.keys_of(visit.me.user.id) if key.org_id is None]
    return accounts.keys_of_org(org.id) if visit_may(role, "keys.read") else []
