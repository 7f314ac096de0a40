"""What an OpenID provider tells of itself: its document and its keys, kept for a while in this process.

Source: OpenID Connect Discovery 1.0 sections 3 and 4, RFC 7517 (JWK), RFC 8414.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway import guard
from gateway.sign_on.refusals import ProviderFailed

if TYPE_CHECKING:
    from gateway.services import Services

WELL_KNOWN: Final = "/.well-known/openid-configuration"
LIFE_S: Final = 600  # of what is kept
KEPT_MAX: Final = 1000  # issuers
DOCUMENT_BYTES_MAX: Final = 256 * 1024
KEYS_BYTES_MAX: Final = 512 * 1024
KEYS_MAX: Final = 200
BASIC, POST, NONE = "client_secret_basic", "client_secret_post", "none"


@dataclass(frozen=True, slots=True)
class Issuer:
    """The part of the document that is used. Every URL was checked by the guard."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    token_auth: tuple[str, ...]
    tells_iss: bool  # whether the callback bears `iss` (RFC 9207)


@dataclass(slots=True)
class Known:
    """What is kept of one issuer, and since when (seconds of the monotonic clock)."""

    document: Issuer
    document_at: float
    keys: tuple[Mapping[str, Any], ...] = ()
    keys_at: float | None = None


class Issuers:
    """What is kept of all of them."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Known] = OrderedDict()

    async def document(self, services: Services, issuer: str, *, fresh: bool = False) -> Issuer:
        """The issuer's document. Raises ProviderFailed."""
        now = services.clock.monotonic()
        known = self._known.get(issuer)
        if known is None or fresh or now - known.document_at > LIFE_S:
            known = Known(await fetch_document(services, issuer), now)
            self._known[issuer] = known
            self._known.move_to_end(issuer)
            if len(self._known) > KEPT_MAX:
                self._known.popitem(last=False)
        return known.document

    async def keys(
        self, services: Services, issuer: str, *, fresh: bool = False
    ) -> tuple[Sequence[Mapping[str, Any]], bool]:
        """The issuer's keys, and whether they were fetched just now. Raises ProviderFailed."""
        document = await self.document(services, issuer)
        known, now = self._known[issuer], services.clock.monotonic()
        if not fresh and known.keys_at is not None and now - known.keys_at <= LIFE_S:
            return known.keys, False
        known.keys = await fetch_keys(services, document)
        known.keys_at = now
        return known.keys, True

    def forget(self, issuer: str) -> None:
        """Look again next time."""
        self._known.pop(issuer, None)


async def fetch_document(services: Services, issuer: str) -> Issuer:
    """The document that the issuer publishes. Raises ProviderFailed."""
    told = await fetch_json(services, issuer.rstrip("/") + WELL_KNOWN, DOCUMENT_BYTES_MAX)
    named = told.get("issuer")
    if not isinstance(named, str) or named.rstrip("/") != issuer.rstrip("/"):
        raise ProviderFailed("its discovery document is that of another issuer.")
    auth = told.get("token_endpoint_auth_methods_supported", [BASIC])
    return Issuer(
        named,
        endpoint(services, told, "authorization_endpoint"),
        endpoint(services, told, "token_endpoint"),
        endpoint(services, told, "jwks_uri"),
        endpoint(services, told, "userinfo_endpoint") if told.get("userinfo_endpoint") else None,
        tuple(one for one in auth if isinstance(one, str)) if isinstance(auth, list) else (BASIC,),
        told.get("authorization_response_iss_parameter_supported") is True,
    )


def endpoint(services: Services, told: Mapping[str, Any], name: str) -> str:
    """A URL of the document. Raises ProviderFailed."""
    url = told.get(name)
    if not isinstance(url, str):
        raise ProviderFailed(f"its discovery document has no `{name}`.")
    try:
        return guard.checked(url, services.config, https=True)
    except guard.Refused as refused:
        raise ProviderFailed(f"`{name}` of its discovery document cannot be used: {refused.message}") from None


async def fetch_keys(services: Services, document: Issuer) -> tuple[Mapping[str, Any], ...]:
    """The issuer's keys as it tells them. Raises ProviderFailed."""
    told = await fetch_json(services, document.jwks_uri, KEYS_BYTES_MAX)
    keys = told.get("keys")
    if not isinstance(keys, list) or not 1 <= len(keys) <= KEYS_MAX:
        raise ProviderFailed(f"its set of keys is none, is empty, or has more than {KEYS_MAX}.")
    return tuple(key for key in keys if isinstance(key, dict))


async def fetch_json(services: Services, url: str, most_bytes: int) -> dict[str, Any]:
    """The JSON object at a URL of the provider. Raises ProviderFailed."""
    timeout_s = services.config.sso_timeout_s
    try:
        data, _ = await guard.fetch(services, url, most_bytes, timeout_s, https=True)
    except (guard.Unreachable, guard.Refused) as error:
        raise ProviderFailed(error.message) from None
    return json_object(data)


def json_object(data: bytes) -> dict[str, Any]:
    """A JSON object. Raises ProviderFailed."""
    try:
        told = orjson.loads(data)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise ProviderFailed("it answers with what is no JSON object.")
    return told
