"""Secrets of callers as they lie in the database: values of `env` and the secrets that sign webhooks.

Each is sealed for its own place, so none can be put into another's. What an earlier version kept as it was is read
too, and sealed when a gateway starts. Where there is no secret to seal with (another database than SQLite, without the
option `secret_key`) they are kept as they are. Source: docs/decisions.md#secrets-at-rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, or_, select, update

from gateway.sealing import Vault
from gateway.storage.tables import deployments, webhook_secrets

MARK: Final = "sealed."  # in front of a sealed webhook secret; one that is not begins with whsec_
Env = dict[str, str | list[str]]  # name -> the value, or in a list of one the sealed value


def locked_secret(vault: Vault, payer_id: str, secret: str) -> str:
    """A webhook secret as it is kept. One that is sealed stays as it is."""
    if secret.startswith(MARK):
        return secret
    sealed = vault.seal(secret_purpose(payer_id), secret)
    return secret if sealed is None else f"{MARK}{sealed}"


def opened_secret(vault: Vault, payer_id: str, kept: str | None) -> str | None:
    """A webhook secret; None where there is none, or none that can be opened."""
    if kept is None or not kept.startswith(MARK):
        return kept
    return vault.open(secret_purpose(payer_id), kept.removeprefix(MARK))


def locked_env(vault: Vault, deployment_id: str, env: Mapping[str, str | list[str]]) -> Env:
    """Variables as they are kept. Values that are sealed stay as they are."""
    return {name: locked_value(vault, deployment_id, name, value) for name, value in env.items()}


def locked_value(vault: Vault, deployment_id: str, name: str, value: str | list[str]) -> str | list[str]:
    """One of them."""
    sealed = vault.seal(env_purpose(deployment_id, name), value) if isinstance(value, str) else None
    return value if sealed is None else [sealed]


def opened_value(vault: Vault, deployment_id: str, name: str, kept: str | list[str] | None) -> str | None:
    """The value of a variable; None where there is none, or none that can be opened."""
    return vault.open(env_purpose(deployment_id, name), kept[0]) if isinstance(kept, list) else kept


def secret_purpose(payer_id: str) -> str:
    """What a payer's webhook secrets are sealed for."""
    return f"webhook secret of {payer_id}"


def env_purpose(deployment_id: str, name: str) -> str:
    """What the value of a variable is sealed for."""
    return f"{name} of {deployment_id}"


def seal_old(connection: Connection, vault: Vault) -> int:
    """Seals what an earlier version, or a gateway without a secret, kept as it was; how many rows that were."""
    if not vault.locks:
        return 0
    secret = webhook_secrets.c
    old = select(secret.payer_id, secret.secret, secret.previous).where(
        or_(secret.secret.not_like(f"{MARK}%"), secret.previous.not_like(f"{MARK}%"))
    )
    rows = connection.execute(old).all()
    for payer_id, now, before in rows:
        values = {
            "secret": locked_secret(vault, payer_id, now),
            "previous": None if before is None else locked_secret(vault, payer_id, before),
        }
        mine = (secret.payer_id == payer_id, secret.secret == now)
        connection.execute(update(webhook_secrets).where(*mine).values(**values))
    return len(rows) + seal_old_envs(connection, vault)


def seal_old_envs(connection: Connection, vault: Vault) -> int:
    """The same, of deployments."""
    column = deployments.c
    old = select(column.id, column.env).where(column.env.like('%": "%'))  # a value that stands in no list
    rows = connection.execute(old).all()
    for ident, env in rows:
        sealed = json.dumps(locked_env(vault, ident, json.loads(env)))
        connection.execute(update(deployments).where(column.id == ident, column.env == env).values(env=sealed))
    return len(rows)
