"""GET and POST /webhooks/secret, GET /webhooks/deliveries: what signs a payer's webhooks, and how they fare."""

from __future__ import annotations

from typing import Any

from gateway.endpoints.gpu_jobs import LIMIT, LIMIT_MAX, query_of
from gateway.endpoints.usage import number
from gateway.exchange import Exchange
from gateway.gpu import outbox
from gateway.gpu.outbox import Secret
from gateway.services import Services
from gateway.usage import iso_utc

SHOWN_LENGTH = 4  # characters at the end of a secret that tell secrets apart


async def show_secret(services: Services, exchange: Exchange) -> None:
    """Whether there is a secret, and since when; the secret itself is not shown again."""
    key = services.key_of(exchange)
    found = await services.store.read(lambda c: outbox.secret_of(c, key.payer_id, services.vault))
    await exchange.respond_json(view(found, services.clock.now_ms()))


async def rotate_secret(services: Services, exchange: Exchange) -> None:
    """A new secret, shown this once. The one before signs beside it for a day."""
    key = services.key_of(exchange)
    await exchange.read_body(services.config.max_body_bytes)
    now_ms = services.clock.now_ms()
    made = await services.store.write(lambda c: outbox.rotate(c, key.payer_id, now_ms, services.vault))
    await exchange.respond_json({"secret": made.secret, **view(made, now_ms)}, 201)


async def deliveries(services: Services, exchange: Exchange) -> None:
    """The caller's webhooks, the newest first."""
    key = services.key_of(exchange)
    query = query_of(exchange)
    limit, job_id = number(query, "limit", LIMIT, LIMIT_MAX), query.get("job_id") or None
    found = await services.store.read(lambda c: outbox.listed(c, key.payer_id, job_id, limit))
    await exchange.respond_json({"deliveries": [outbox.shown(delivery) for delivery in found]})


def view(secret: Secret | None, now_ms: int) -> dict[str, Any]:
    """What may be told of a secret; one that cannot be opened any more has no hint."""
    if secret is None:
        return {"createdAt": None, "hint": None, "previousUntil": None}
    until_ms = secret.previous_until_ms if now_ms < (secret.previous_until_ms or 0) else None
    return {
        "createdAt": iso_utc(secret.created_at_ms),
        "hint": None if secret.secret is None else secret.secret[-SHOWN_LENGTH:],
        "previousUntil": None if until_ms is None else iso_utc(until_ms),
    }
