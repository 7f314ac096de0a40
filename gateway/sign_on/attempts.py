"""A sign-on under way: what the gateway must remember between the way there and the way back.

It is kept by the browser, sealed, in a cookie of its own for the provider's path: so an answer counts only in the
browser that asked, and nothing is stored for those who never come back. That each counts once is the database's part.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from http.cookies import Morsel
from typing import Final

import orjson

from gateway import edge
from gateway.sealing import Sealer

LIFE_S: Final = 600  # to type a password and find the second factor
ID_LENGTH: Final = 32  # characters: 190 bits; also a RelayState, which has at most 80
TAG_LENGTH: Final = 12  # of the id, in the cookie's name
COOKIE: Final = "windtunnel_sso_"
COOKIE_MAX: Final = 4000
PURPOSE: Final = "sign-on"
RETURN_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way there and back."""

    id: str  # `state` of OpenID Connect, RelayState of SAML
    provider_id: str
    begun_s: int
    here: str  # where the answer is due: the redirect URI, or the assertion consumer service
    return_to: str  # where the browser goes in the end: a path of ours
    request_id: str = ""  # of a SAML request
    nonce: str = ""
    verifier: str = ""  # of PKCE


def begin(provider_id: str, now_s: int, here: str, return_to: str) -> Attempt:
    """A new one."""
    return Attempt(
        id=edge.token(ID_LENGTH),
        provider_id=provider_id,
        begun_s=now_s,
        here=here,
        return_to=own_path(return_to),
        request_id=f"_{edge.token(ID_LENGTH)}",
        nonce=edge.token(ID_LENGTH),
        verifier=edge.token(64),
    )


def own_path(text: str) -> str:
    """A path of this gateway to go to; "/" for anything else, above all for an address of somebody else's."""
    good = text.startswith("/") and not text.startswith(("//", "/\\")) and len(text) <= RETURN_MAX
    return text if good and text.isascii() and text.isprintable() and "\\" not in text else "/"


def cookie_name(attempt_id: str, *, secure: bool) -> str:
    """The name of an attempt's cookie."""
    return f"{'__Secure-' if secure else ''}{COOKIE}{attempt_id[:TAG_LENGTH]}"


def cookie(sealer: Sealer, attempt: Attempt, path: str, *, cross_site: bool) -> str:
    """The `Set-Cookie` that keeps it. `cross_site`: the answer is a form that another site posts.

    Over http no cookie can cross sites; there the provider must be of the same site, as on one machine.
    """
    secure = attempt.here.startswith("https:")
    value = sealer.seal(PURPOSE, orjson.dumps(asdict(attempt)).decode())
    return _set_cookie(attempt, path, value, LIFE_S, "None" if cross_site and secure else "Lax", secure=secure)


def no_cookie(attempt: Attempt, path: str) -> str:
    """The `Set-Cookie` that takes it away."""
    return _set_cookie(attempt, path, "", 0, "Lax", secure=attempt.here.startswith("https:"))


def find(sealer: Sealer, cookie_header: str, attempt_id: str, provider_id: str, now_s: int) -> Attempt | None:
    """The attempt of this id, if the browser brings it, it is for this provider and has not ended."""
    names = {cookie_name(attempt_id, secure=secure) for secure in (True, False)}
    for part in cookie_header.split(";"):
        name, _, value = part.strip().partition("=")
        if name not in names or len(value) > COOKIE_MAX:
            continue
        opened = sealer.open(PURPOSE, value)
        if opened is None:
            continue
        attempt = Attempt(**orjson.loads(opened))
        lasts = 0 <= now_s - attempt.begun_s <= LIFE_S
        if attempt.id == attempt_id and attempt.provider_id == provider_id and lasts:
            return attempt
    return None


def _set_cookie(attempt: Attempt, path: str, value: str, max_age_s: int, same_site: str, *, secure: bool) -> str:
    name = cookie_name(attempt.id, secure=secure)
    made: Morsel[str] = Morsel()
    made.set(name, value, value)
    made["path"], made["samesite"], made["max-age"] = path, same_site, str(max_age_s)
    made["httponly"] = "1"
    if secure:
        made["secure"] = "1"
    return made.OutputString()
