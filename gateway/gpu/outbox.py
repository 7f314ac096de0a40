"""Webhooks to callers: secrets, the outbox, and what is sent, by the Standard Webhooks specification.

A message is put into the outbox in the transaction that ends its job, so there is one for each end and none without. It
is sent until it is taken, at least once; its id and its bytes are the same at each try, its time and signature are the
try's.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, insert, select, update

from gateway import edge
from gateway.gpu import rows, views
from gateway.gpu.job import Job
from gateway.gpu.sealed import locked_secret, opened_secret
from gateway.sealing import Vault
from gateway.storage.tables import webhook_deliveries, webhook_secrets
from gateway.usage import iso_utc
from schemas.catalogue.gpu import WEBHOOKS

SECRET_PREFIX: Final = "whsec_"
SECRET_LENGTH: Final = 32  # characters of [0-9A-Za-z] that the key is made of: 190 random bits
OUTPUT_BYTES_MAX: Final = 4 * 1024 * 1024  # of an output that goes along; of a larger one only its address
COLUMNS: Final = webhook_deliveries.c


class Delivery(NamedTuple):
    """A message and how it fares: the fields are the columns of `webhook_deliveries`, in order."""

    id: str
    payer_id: str
    job_id: str
    event: str
    url: str
    state: str
    tries: int
    created_at_ms: int
    next_at_ms: int
    lease_owner: str | None
    lease_until_ms: int
    last_status: int | None
    last_error: str | None
    ended_at_ms: int | None


class Secret(NamedTuple):
    """A payer's secrets: the one that signs, and for a while the one before it."""

    payer_id: str
    secret: str | None  # None: it cannot be opened, because `secret_key` was changed
    created_at_ms: int
    previous: str | None
    previous_until_ms: int | None


def secret_of(connection: Connection, payer_id: str, vault: Vault) -> Secret | None:
    """The payer's secrets."""
    row = connection.execute(select(webhook_secrets).where(webhook_secrets.c.payer_id == payer_id)).first()
    if row is None:
        return None
    found = Secret(*row)
    now, before = (opened_secret(vault, payer_id, text) for text in (found.secret, found.previous))
    return found._replace(secret=now, previous=before)


def first_secret(connection: Connection, payer_id: str, now_ms: int, vault: Vault) -> str | None:
    """A secret for a payer who has none, to be shown once; None for one who has."""
    if secret_of(connection, payer_id, vault) is not None:
        return None
    made = Secret(payer_id, new_secret(), now_ms, None, None)
    connection.execute(insert(webhook_secrets).values(**kept(made, vault)))
    return made.secret


def rotate(connection: Connection, payer_id: str, now_ms: int, vault: Vault) -> Secret:
    """A new secret; the old one, if it can be opened, signs beside it for a day."""
    old = secret_of(connection, payer_id, vault)
    before = None if old is None else old.secret
    until_ms = None if before is None else now_ms + WEBHOOKS.rotated_s * 1000
    made = Secret(payer_id, new_secret(), now_ms, before, until_ms)
    if old is None:
        connection.execute(insert(webhook_secrets).values(**kept(made, vault)))
    else:
        mine = webhook_secrets.c.payer_id == payer_id
        connection.execute(update(webhook_secrets).where(mine).values(**kept(made, vault)))
    return made


def kept(secret: Secret, vault: Vault) -> dict[str, Any]:
    """Secrets as the row that they are kept in."""
    texts = {"secret": secret.secret, "previous": secret.previous}
    locked = {
        name: None if text is None else locked_secret(vault, secret.payer_id, text) for name, text in texts.items()
    }
    return secret._asdict() | locked


def new_secret() -> str:
    """A secret in the form of the specification: whsec_ and base64."""
    return SECRET_PREFIX + b64encode(edge.token(SECRET_LENGTH).encode()).decode()


def put(connection: Connection, job: Job, event: str, now_ms: int) -> None:
    """A message about a job, to be sent at once."""
    made = Delivery(
        id=edge.new_id("msg"),
        payer_id=job.payer_id,
        job_id=job.id,
        event=event,
        url=job.webhook_url or "",
        state="pending",
        tries=0,
        created_at_ms=now_ms,
        next_at_ms=now_ms,
        lease_owner=None,
        lease_until_ms=0,
        last_status=None,
        last_error=None,
        ended_at_ms=None,
    )
    connection.execute(insert(webhook_deliveries).values(**made._asdict()))


def listed(connection: Connection, payer_id: str, job_id: str | None, limit: int) -> list[Delivery]:
    """A payer's deliveries, the newest first."""
    where = [COLUMNS.payer_id == payer_id, *([] if job_id is None else [COLUMNS.job_id == job_id])]
    newest = select(webhook_deliveries).where(*where).order_by(COLUMNS.created_at_ms.desc(), COLUMNS.id.desc())
    return [Delivery(*row) for row in connection.execute(newest.limit(limit))]


def shown(delivery: Delivery) -> dict[str, Any]:
    """A delivery as its caller sees it."""
    is_open = delivery.state == "pending"
    return {
        "id": delivery.id,
        "event": delivery.event,
        "jobId": delivery.job_id,
        "url": delivery.url,
        "status": delivery.state,
        "attempts": delivery.tries,
        "createdAt": iso_utc(delivery.created_at_ms),
        "nextAttemptAt": iso_utc(delivery.next_at_ms) if is_open else None,
        "endedAt": None if delivery.ended_at_ms is None else iso_utc(delivery.ended_at_ms),
        "lastStatus": delivery.last_status,
        "lastError": delivery.last_error,
    }


def body_of(connection: Connection, delivery: Delivery) -> bytes | None:
    """What is sent, the same at each try: it tells of a job that has ended. None: there is no such job."""
    job = rows.find(connection, delivery.job_id)
    if job is None:
        return None
    output = rows.output(connection, job.id) if job.kind == "deployment" else None
    data = {**views.shown(job, output, job.site), "slug": job.slug, "pollUrl": views.poll_url(job)}
    told = {"type": delivery.event, "timestamp": iso_utc(delivery.created_at_ms), "data": data}
    body = orjson.dumps(told)
    if len(body) > OUTPUT_BYTES_MAX:
        data |= {"output": None, "outputOmitted": True}
        body = orjson.dumps(told)
    return body


def headers_of(secrets: Sequence[str], message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The headers of a try: one signature for each secret that is good."""
    signatures = " ".join(signature(secret, message_id, at_s, body) for secret in secrets)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": signatures,
    }


def signature(secret: str, message_id: str, at_s: int, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of `id.timestamp.body`, in base64."""
    key = b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = hmac.new(key, f"{message_id}.{at_s}.".encode() + body, sha256).digest()
    return f"v1,{b64encode(signed).decode()}"


def good_secrets(secret: Secret, now_ms: int) -> list[str]:
    """The secrets that sign at a moment; none where the newest cannot be opened."""
    if secret.secret is None:
        return []
    old = secret.previous if now_ms < (secret.previous_until_ms or 0) else None
    return [secret.secret, *([] if old is None else [old])]
