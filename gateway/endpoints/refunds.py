"""Refunds: an operator gives back what a request was charged, to the user or the organisation that paid it.

As `admin`: with the admin token. Source: docs/decisions.md#refunds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import body
from gateway.endpoints import account_fields as fields
from gateway.endpoints.admin import AMOUNT_MAX_UC, TEXT_MAX, Admin, Handler, text
from gateway.endpoints.admin_accounts import AdminAccounts
from gateway.endpoints.usage import reply
from gateway.errors import Conflict, NotFound, shown
from gateway.ledger.money import Refunded
from gateway.ledger.transfers import IdempotencyConflict, RefundAboveCharge
from gateway.orgs.audit import Deed
from gateway.services import Services
from gateway.usage import clean_text


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be given back; without `amount_uc` all that is left of the charge."""

    request_id: str
    amount_uc: int | None
    idempotency_key: str | None


class Refunds:
    """The handlers. Each is reached only with the admin token."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._users = Admin(services)
        self._orgs = AdminAccounts(services)

    async def of_user(self, request: Request) -> Response:
        user = self._users.user(request)
        asked = await _asked(request)
        return await self._told(user.id, await self._give_back(user.id, asked))

    async def of_org(self, request: Request) -> Response:
        org = await self._orgs.org(request)
        asked = await _asked(request)
        done = await self._give_back(org.id, asked)
        details = {"requestId": asked.request_id, "amountUc": done.transfer.amount_uc}
        deed = Deed("credit.refunded", f"tr_{done.transfer.id}", details)
        await self._services.orgs.note(org.id, self._orgs.operator(request), deed, once=True)
        return await self._told(org.id, done)

    async def _give_back(self, payer_id: str, asked: Asked) -> Refunded:
        """Raises NotFound, Conflict."""
        money, key = self._services.money, asked.idempotency_key
        hold = await money.find_charge(payer_id, asked.request_id)
        if hold is None:
            raise NotFound(f"Nothing was charged to {payer_id} for a request {shown(asked.request_id)!r}.")
        try:
            return await money.refund(hold, asked.amount_uc, key)
        except IdempotencyConflict:
            raise Conflict(f"The idempotency key {shown(key)!r} was used for something else.") from None
        except RefundAboveCharge as error:
            raise Conflict(f"That is more than is left of the charge: {error}.") from None

    async def _told(self, payer_id: str, done: Refunded) -> Response:
        balance = await self._services.money.balance(payer_id)
        told = {
            "transfer_id": f"tr_{done.transfer.id}",
            "amount_uc": done.transfer.amount_uc,
            "left_uc": done.left_uc,
            "balance_uc": balance.balance_uc,
        }
        return reply(told, 201)


def routes(services: Services) -> list[Route]:
    """The routes to refunds under /admin/users and /admin/orgs."""
    mine, guarded = Refunds(services), Admin(services).guarded
    table: list[tuple[str, Handler]] = [
        ("/admin/users/{user_id}/refunds", mine.of_user),
        ("/admin/orgs/{org_id}/refunds", mine.of_org),
    ]
    return [Route(path, guarded(handler), methods=["POST"]) for path, handler in table]


async def _asked(request: Request) -> Asked:
    """The body. Raises InvalidRequest, BodyTooLarge."""
    told: dict[str, Any] = await fields.read(request, "request_id", "amount_uc", "idempotency_key")
    request_id = clean_text(fields.text(told, "request_id", TEXT_MAX))
    amount_uc = body.whole_number(told, "amount_uc", 1, AMOUNT_MAX_UC)
    return Asked(request_id, amount_uc, text(told, "idempotency_key"))
