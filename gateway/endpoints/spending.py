"""What was spent and what may be: statements, one's credits and tier, budgets of organisations.

`/api/statement` and `/api/credits` take a key or the dashboard's session, as the usage log does. Source:
api-reference#gateway-features (Budget Alerts), #teams-rbac-sso (one budget, one invoice); docs/decisions.md#budgets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import body, pricing
from gateway.endpoints import account_fields as fields
from gateway.endpoints import admin, orgs, usage
from gateway.endpoints.usage import reply
from gateway.errors import InvalidRequest, NotFound, shown
from gateway.ledger.spending import Spending, bounds, org_scope, period_of
from gateway.orgs.audit import Deed
from gateway.orgs.orgs import Access
from gateway.services import Services
from gateway.statement import statement
from gateway.usage import credits, iso_utc
from schemas.catalogue import UC_PER_USD
from schemas.catalogue.tiers import Tier, next_tier, tier_of

PREFIXES: Final = ("/api", "/api/v1", "/v1")
MONTH: Final = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")
BUDGET_MAX_UC: Final = 10**15  # ten million dollars


class Money:
    """The handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def own_statement(self, request: Request) -> Response:
        payer_id = await usage.payer_of(self._services, request)
        return await self._statement(request, payer_id)

    async def org_statement(self, request: Request, access: Access) -> Response:
        return await self._statement(request, access.org.id)

    async def _statement(self, request: Request, payer_id: str) -> Response:
        now_ms = self._services.clock.now_ms()
        period = month_of(request.query_params, now_ms)
        return reply(await self._services.store.read(lambda c: statement(c, payer_id, period, now_ms)))

    async def credits(self, request: Request) -> Response:
        payer_id = await usage.payer_of(self._services, request)
        balance = await self._services.money.balance(payer_id)
        after = next_tier(balance.topped_up_uc)
        told: dict[str, Any] = {
            **amount("balance", balance.balance_uc),
            **amount("held", balance.held_uc),
            **amount("available", balance.available_uc),
            **amount("toppedUp", balance.topped_up_uc),
            **amount("minimum", pricing.MINIMUM_BALANCE_UC),
            "tier": tier_view(tier_of(balance.topped_up_uc)),
            "nextTier": None,
        }
        if after is not None:
            told["nextTier"] = {**tier_view(after), **amount("missing", after.min_top_up_uc - balance.topped_up_uc)}
        return reply(told)

    async def read_budget(self, _request: Request, access: Access) -> Response:
        return reply(await self._budget(access.org.id))

    async def change_budget(self, request: Request, access: Access) -> Response:
        told = await fields.read(request, "monthlyLimit")
        if "monthlyLimit" not in told:
            raise InvalidRequest("`monthlyLimit` is missing; a number of credits was due, or null for none.")
        limit_uc = fields.credits_uc(told, "monthlyLimit")
        budgets, org_id = self._services.budgets, access.org.id
        deed = Deed("budget.changed", org_id, {"monthlyLimit": fields.as_credits(limit_uc)})
        await self._services.orgs.write(access, lambda c, _now: budgets.change(c, org_id, limit_uc), deed)
        await budgets.reload()
        return reply(await self._budget(org_id))

    async def set_budget(self, request: Request) -> Response:
        """The operator's way."""
        org_id = request.path_params["org_id"]
        told = await fields.read(request, "limit_uc")
        limit_uc = body.whole_number(told, "limit_uc", 0, BUDGET_MAX_UC)
        if await self._services.orgs.find(org_id) is None:
            raise NotFound(f"There is no organisation {shown(org_id)!r}.")
        await self._services.budgets.set_budget(org_id, limit_uc)
        return reply(await self._budget(org_id))

    async def _budget(self, org_id: str) -> dict[str, Any]:
        scope, period = org_scope(org_id), period_of(self._services.clock.now_ms())
        counters = await self._services.money.spending([scope])
        return budget_view(self._services.budgets.budget_uc(org_id), counters.get(scope), period)


def routes(services: Services) -> list[Route]:
    """All of them."""
    money, org, guarded = Money(services), orgs.OrgApi(services), admin.Admin(services).guarded
    own = [
        Route(prefix + path, handler, methods=["GET"])
        for prefix in PREFIXES
        for path, handler in (("/statement", money.own_statement), ("/credits", money.credits))
    ]
    one = "/api/orgs/{org_id}"
    return [
        *own,
        Route(one + "/statement", org.member("billing.read", money.org_statement), methods=["GET"]),
        Route(one + "/budget", org.member("billing.read", money.read_budget), methods=["GET"]),
        Route(one + "/budget", org.member("billing.manage", money.change_budget), methods=["PUT"]),
        Route("/admin/orgs/{org_id}/budget", guarded(money.set_budget), methods=["PUT"]),
    ]


def month_of(parameters: Mapping[str, str], now_ms: int) -> str:
    """`month`, the present one where it is missing. Raises InvalidRequest."""
    present = period_of(now_ms)
    month = parameters.get("month") or present
    if MONTH.fullmatch(month) is None or month > present:
        raise InvalidRequest(f"`month` is {shown(month)!r}; a month such as {present}, and none to come, was due.")
    return month


def amount(name: str, amount_uc: int) -> dict[str, Any]:
    """An amount in microcredits and in credits."""
    return {f"{name}Uc": amount_uc, f"{name}Credits": credits(amount_uc)}


def tier_view(tier: Tier) -> dict[str, Any]:
    """A tier, with the cumulative top-up that unlocks it."""
    return {"id": tier.id, "label": tier.label, "minTopUpUsd": f"{tier.min_top_up_uc / UC_PER_USD:.2f}"}


def budget_view(limit_uc: int | None, counter: Spending | None, period: str) -> dict[str, Any]:
    """A limit and what of it is spent and held; what has no limit is not counted."""
    told: dict[str, Any] = {
        "month": period,
        "monthlyLimit": fields.as_credits(limit_uc),
        "resetsAt": iso_utc(bounds(period)[1]),
    }
    if limit_uc is not None:
        spent_uc, held_uc = (counter.spent_uc, counter.held_uc) if counter else (0, 0)
        told |= {**amount("spent", spent_uc), **amount("held", held_uc)}
        told |= amount("remaining", max(0, limit_uc - spent_uc - held_uc))
    return told
