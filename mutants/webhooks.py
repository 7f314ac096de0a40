"""Webhooks that are not sent, sent too often, to the wrong place, or signed so that nobody can tell."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, select

from gateway import edge
from gateway.endpoints import gpu_webhooks
from gateway.gpu import delivering, deployments, outbox
from gateway.gpu.outbox import Delivery, Secret
from gateway.sealing import Vault
from gateway.storage.tables import webhook_deliveries
from mutants._patch import around, replace
from mutants.registry import mutant

Tried = tuple[int | None, str, float | None]


def edit_attempt(edit: Any) -> None:
    """What came of a try is what `edit(status, error, later_s)` makes of it."""

    @around(delivering, "attempt")
    async def attempt(old: Any, *args: Any) -> Tried:
        found: Tried = edit(*await old(*args))
        return found


def signed(key: bytes, content: bytes) -> str:
    """A signature of version 1."""
    return f"v1,{b64encode(hmac.new(key, content, sha256).digest()).decode()}"


def key_of(secret: str) -> bytes:
    """What a secret stands for."""
    return b64decode(secret.removeprefix(outbox.SECRET_PREFIX))


@mutant()
def webhook_only_of_success() -> None:
    """Webhooks tell of jobs that succeeded alone."""

    @around(outbox, "put")
    def put(old: Any, connection: Connection, job: Any, event: str, now_ms: int) -> None:
        if event == "job.succeeded":
            old(connection, job, event, now_ms)


@mutant("GD-164")
def webhook_put_out_twice() -> None:
    """Each message is put into the outbox twice."""

    @around(outbox, "put")
    def put(old: Any, *args: Any) -> None:
        old(*args)
        old(*args)


@mutant()
def webhook_secret_taken_as_text() -> None:
    """Webhooks are signed with the secret as it is written, not with what it stands for."""
    replace(
        outbox,
        "signature",
        lambda secret, ident, at_s, body: signed(secret.encode(), f"{ident}.{at_s}.".encode() + body),
    )


@mutant()
def webhook_id_unsigned() -> None:
    """The id of a webhook is not signed."""
    replace(outbox, "signature", lambda secret, _ident, at_s, body: signed(key_of(secret), f"{at_s}.".encode() + body))


@mutant()
def webhook_secret_shown_again() -> None:
    """Whoever asks about the webhook secret is shown it."""

    @around(gpu_webhooks, "view")
    def view(old: Any, secret: Secret | None, now_ms: int) -> dict[str, Any]:
        told: dict[str, Any] = old(secret, now_ms)
        return told if secret is None else {**told, "hint": secret.secret}


@mutant("GD-177")
def webhook_deliveries_of_all() -> None:
    """The list of webhooks has those of everybody."""

    def listed(connection: Connection, _payer_id: str, job_id: str | None, limit: int) -> list[Delivery]:
        where = () if job_id is None else (outbox.COLUMNS.job_id == job_id,)
        return [Delivery(*row) for row in connection.execute(select(webhook_deliveries).where(*where).limit(limit))]

    replace(outbox, "listed", listed)


@mutant()
def webhook_rotation_forgotten() -> None:
    """A rotated secret is shown, and the one before goes on to sign."""

    @around(outbox, "rotate")
    def rotate(old: Any, connection: Connection, payer_id: str, now_ms: int, vault: Vault) -> Secret:
        kept = outbox.secret_of(connection, payer_id, vault)
        made: Secret = old(connection, payer_id, now_ms, vault) if kept is None else changed(kept)
        return made

    def changed(kept: Secret) -> Secret:
        return kept._replace(secret=outbox.new_secret())


@mutant()
def webhook_old_secret_dropped() -> None:
    """A secret stops to sign in the moment when it is replaced."""
    replace(outbox, "good_secrets", lambda secret, _now_ms: [secret.secret])


@mutant()
def webhook_address_unchecked() -> None:
    """Any address may be named for webhooks."""
    replace(deployments, "webhook_url_of", lambda value, _config: value)


@mutant()
def webhook_never_retried() -> None:
    """A webhook is sent once, whatever is answered."""
    edit_attempt(lambda status, error, _later_s: (status, error, None))


@mutant("GD-164")
def webhook_id_new_each_try() -> None:
    """Each try of a webhook has an id of its own."""

    @around(outbox, "headers_of")
    def headers_of(old: Any, secrets: Any, _ident: str, at_s: int, body: bytes) -> dict[str, str]:
        headers: dict[str, str] = old(secrets, edge.new_id("msg"), at_s, body)
        return headers


@mutant()
def webhook_redirect_taken() -> None:
    """A redirect is an answer like any."""
    edit_attempt(lambda status, error, later_s: (200 if status and 300 <= status < 400 else status, error, later_s))


@mutant()
def webhook_gone_called_again() -> None:
    """A receiver that is gone for good is called again."""
    edit_attempt(lambda status, error, later_s: (status, error, 0.0 if status == delivering.GONE else later_s))
