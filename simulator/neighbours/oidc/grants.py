"""What a user allowed a client: the memory behind codes and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.neighbours.accounts import Account, Client
from simulator.neighbours.vault import Vault

CODE_S, ACCESS_S, REFRESH_S = 60, 3600, 30 * 24 * 3600
SCOPES = ("openid", "profile", "email", "groups", "offline_access")


@dataclass(slots=True, eq=False)
class Grant:
    """One sign-on of one user at one client."""

    client: Client
    account: Account
    tenant: str  # the segment of its path
    case: str | None
    redirect_uri: str
    scopes: tuple[str, ...]
    nonce: str | None
    challenge: str | None  # S256 of the verifier
    signed_on_s: int
    session: str
    redeemed: bool = False  # its code was
    revoked: bool = False


@dataclass(slots=True, eq=False)
class Refresh:
    """One refresh token: good once."""

    grant: Grant
    spent: bool = False


class Grants:
    """All codes and tokens of the provider."""

    def __init__(self, seed: int) -> None:
        self.codes: Vault[Grant] = Vault(seed, "code", CODE_S)
        self.access: Vault[Grant] = Vault(seed, "at", ACCESS_S)
        self.refresh: Vault[Refresh] = Vault(seed, "rt", REFRESH_S)

    def clear(self) -> None:
        """Forget all."""
        self.codes.clear()
        self.access.clear()
        self.refresh.clear()


def about(grant: Grant) -> dict[str, Any]:
    """The claims on the user that the scopes give."""
    account = grant.account
    claims: dict[str, Mapping[str, Any]] = {
        "profile": {
            "name": account.name,
            "given_name": account.given_name,
            "family_name": account.family_name,
            "preferred_username": account.login,
        },
        "email": {"email": account.login, "email_verified": account.email_verified},
        "groups": {"groups": list(account.groups)},
    }
    subject = account.subject(grant.tenant.partition("~")[0])
    return {"sub": subject} | {name: value for scope in grant.scopes for name, value in claims.get(scope, {}).items()}
