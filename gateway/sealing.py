"""What is kept or given away sealed: clients' secrets in the database, a sign-on under way in the browser's cookie.

AES-256-GCM under a key for each purpose, made from one secret: the option `secret_key`, else a file beside the SQLite
database, `NAME.key`, made when it is first needed and readable by its owner alone. Who has the database without that
secret can read nothing sealed.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from functools import cache
from hashlib import sha256
from hmac import digest
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from gateway import edge
from gateway.config import Config
from gateway.storage.engine import is_memory

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12


class Sealer:
    """Seals and opens texts, each for one purpose: what was sealed for another cannot be opened."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def seal(self, purpose: str, text: str) -> str:
        """The text, sealed: letters, digits, - and _."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = edge.random_bytes(NONCE_BYTES)
        made = AESGCM(self._key(purpose)).encrypt(nonce, text.encode(), purpose.encode())
        return urlsafe_b64encode(nonce + made).decode().rstrip("=")

    def open(self, purpose: str, sealed: str) -> str | None:
        """The text; None where it was not sealed so."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            data = urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
            made = AESGCM(self._key(purpose)).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], purpose.encode())
            return made.decode()
        except (InvalidTag, ValueError):
            return None

    def _key(self, purpose: str) -> bytes:
        return digest(self._secret, b"windtunnel seal " + purpose.encode(), sha256)


class Vault:
    """The sealer of a gateway; its secret is read, or made, when it is first needed."""

    def __init__(self, config: Config, database: str) -> None:
        self._config = config
        self._database = database
        self._sealer: Sealer | None = None

    @property
    def locks(self) -> bool:
        """Whether there is a secret to seal with; with another database than SQLite the operator must choose it."""
        return self._config.secret_key is not None or has_place(self._database)

    @property
    def sealer(self) -> Sealer | None:
        """The sealer; None where the operator must choose a secret first."""
        if self._sealer is None and self.locks:
            self._sealer = Sealer(secret_of(self._config, self._database))
        return self._sealer

    def seal(self, purpose: str, text: str) -> str | None:
        """The text, sealed; None where there is no secret to do it with."""
        sealer = self.sealer
        return None if sealer is None else sealer.seal(purpose, text)

    def open(self, purpose: str, sealed: str) -> str | None:
        """The text; None where it was sealed with another secret, or the one that it was sealed with is gone."""
        sealer = self.sealer
        return None if sealer is None else sealer.open(purpose, sealed)


def has_place(database: str) -> bool:
    """Whether a secret of this database's own has a place to be: the process that it lives in, or beside its file."""
    return is_memory(database) or make_url(database).get_backend_name() == "sqlite"


def secret_of(config: Config, database: str) -> bytes:
    """The secret of this gateway, where `Vault.locks`."""
    if config.secret_key is not None:
        return sha256(config.secret_key.encode()).digest()
    return passing_key() if is_memory(database) else kept_key(Path(f"{make_url(database).database}.key"))


@cache
def passing_key() -> bytes:
    """The key for what lives no longer than this process."""
    return edge.random_bytes(KEY_BYTES)


def kept_key(file: Path) -> bytes:
    """The key in a file, which is made whole or not at all."""
    if not file.exists():
        draft = file.with_name(f"{file.name}.{edge.token(12)}")
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as made:
            made.write(edge.random_bytes(KEY_BYTES).hex())
            made.flush()
            os.fsync(made.fileno())
        with suppress(FileExistsError):  # another process was quicker
            os.link(draft, file)
        draft.unlink()
    return bytes.fromhex(file.read_text().strip())
