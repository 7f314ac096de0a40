"""Sends what lies in the outbox, in the background: several workers may, and none sends what another has in hand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, update

from gateway import guard
from gateway.gpu import leases, outbox
from gateway.gpu.outbox import COLUMNS, Delivery
from gateway.storage.tables import webhook_deliveries
from gateway.upstreams import problems
from schemas.catalogue.gpu import WEBHOOKS

if TYPE_CHECKING:
    from gateway.services import Services

AT_ONCE: Final = 32
SPARE_S: Final = 20  # that a claim outlasts the longest try
GONE: Final = 410  # the receiver wants nothing any more
WAIT_MAX_S: Final = 86_400  # of a receiver that asks to be called later
PENDING: Final = COLUMNS.state == "pending"
ERROR_LENGTH_MAX: Final = 300
LOST: Final = (
    "The webhook secret cannot be opened: the gateway's `secret_key` was changed. POST /v1/webhooks/secret makes one."
)


async def deliver_due(services: Services) -> int:
    """Sends what is due, once each; how many that were."""
    now_ms = services.clock.now_ms()
    real_ms = now_ms - services.clock.offset_ms
    due = (webhook_deliveries, COLUMNS.next_at_ms, PENDING, now_ms, real_ms)
    if not await services.store.read(lambda c: leases.is_due(c, *due)):
        return 0
    until_ms = real_ms + round((WEBHOOKS.timeout_s + SPARE_S) * 1000)
    owner = services.money.owner
    claimed = await services.store.write(lambda c: leases.claim(c, *due, owner, until_ms, AT_ONCE))
    await asyncio.gather(*(deliver(services, Delivery(*row)) for row in claimed))
    return len(claimed)


async def deliver(services: Services, delivery: Delivery) -> None:
    """One try, and what came of it."""
    status, error, later_s = await attempt(services, delivery)
    now_ms = services.clock.now_ms()
    values: dict[str, Any] = {"tries": delivery.tries + 1, "last_status": status, "lease_until_ms": 0}
    values["last_error"] = error[:ERROR_LENGTH_MAX] or None
    if status is not None and 200 <= status < 300:
        values |= {"state": "delivered", "ended_at_ms": now_ms}
    elif later_s is None or delivery.tries >= len(WEBHOOKS.gaps_s):
        values |= {"state": "failed", "ended_at_ms": now_ms}
    else:
        gap_s = max(WEBHOOKS.gaps_s[delivery.tries], min(later_s, WAIT_MAX_S))
        values["next_at_ms"] = now_ms + round(gap_s * 1000)
    await services.store.write(lambda c: note(c, delivery, values))


def note(connection: Connection, delivery: Delivery, values: dict[str, Any]) -> None:
    """Writes what came of a try, unless another worker did: the number of tries tells."""
    mine = (COLUMNS.id == delivery.id, PENDING, COLUMNS.tries == delivery.tries)
    connection.execute(update(webhook_deliveries).where(*mine).values(**values))


async def attempt(services: Services, delivery: Delivery) -> tuple[int | None, str, float | None]:
    """(the answer's status, what went wrong, how long to wait at least); None for the last: it is of no use."""
    now_ms = services.clock.now_ms()
    body, secret = await services.store.read(
        lambda c: (outbox.body_of(c, delivery), outbox.secret_of(c, delivery.payer_id, services.vault))
    )
    if body is None or secret is None:
        return None, "There is nothing to send.", None
    secrets = outbox.good_secrets(secret, now_ms)
    if not secrets:
        services.log.write("error", "webhook_secret", payer_id=delivery.payer_id, error=LOST)
        return None, LOST, 0.0
    at_s = (now_ms - services.clock.offset_ms) // 1000  # real time: receivers refuse what is minutes away from theirs
    headers = outbox.headers_of(secrets, delivery.id, at_s, body)
    try:
        answer = await guard.call(
            services,
            delivery.url,
            method="POST",
            headers=headers,
            body=body,
            most_bytes=None,
            timeout_s=WEBHOOKS.timeout_s,
        )
    except guard.Unreachable as error:
        return None, error.message, 0.0
    except guard.Refused as error:
        return None, error.message, None
    if 200 <= answer.status < 300:
        return answer.status, "", 0.0
    later_s = problems.retry_after_s(answer.headers, at_s) or 0.0
    return answer.status, f"The answer had status {answer.status}.", None if answer.status == GONE else later_s
