"""Who may call Kling: a key as it stands, or a token (JWT, HS256) that an access key issued and its secret key signed.

A key of the row that holds a pipe is a pair, `ACCESSKEY|SECRETKEY`, as gateways store it; any other is taken as it
stands. Source: Kling's documentation, authentication: claims `iss`, `exp` and `nbf`, all due. Which code stands for a
wrong signature (1000) and for an unknown access key (1002) is not documented.

Whether a token is good now depends on the moment, so it is decided when the reply is written (`lapsed`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from simulator.ask import Request
from simulator.problem import Problem, Refused

PAIR: Final = "|"
ALGORITHM: Final = "HS256"


def check(request: Request, keys: frozenset[str]) -> None:
    """Raise Refused unless a request bears a key, or a token signed by one."""
    told = request.headers.get("authorization", "").strip()
    if not told:
        raise _refused(1001)
    scheme, _, word = told.partition(" ")
    word = word.strip()
    if scheme.lower() != "bearer" or not word:
        raise _refused(1002)
    if PAIR in word or word not in keys:
        _signed(word, keys)


def times(request: Request) -> tuple[float, float] | None:
    """From when and until when the token of a request is good, in Unix seconds; None for a plain key."""
    word = request.headers.get("authorization", "").strip().rpartition(" ")[2]
    claims = _claims(word)
    return None if claims is None else (claims["nbf"], claims["exp"])


def lapsed(good: tuple[float, float] | None, now_ms: float) -> Problem | None:
    """Why a token is not good now."""
    if good is None:
        return None
    nbf_s, exp_s = good
    if now_ms < nbf_s * 1000:
        return Problem("authentication", code="1003")
    return Problem("authentication", code="1004") if now_ms >= exp_s * 1000 else None


def _signed(word: str, keys: frozenset[str]) -> None:
    claims = _claims(word)
    if claims is None:
        raise _refused(1002)
    pairs = [key.partition(PAIR) for key in keys]
    secrets = [secret for access, pair, secret in pairs if pair and access == claims["iss"]]
    if not secrets:
        raise _refused(1002, "access key not found")
    if not any(_is_signed(word, secret) for secret in secrets):
        raise _refused(1000, "signature is invalid")


@lru_cache(maxsize=1024)
def _claims(word: str) -> Mapping[str, Any] | None:
    """The claims of a token as far as they can be read, whoever signed it; None unless they are as they should be."""
    try:
        found = jws.extract_compact(word.encode("utf-8", "surrogatepass"))
        claims = orjson.loads(found.payload)
    except (JoseError, ValueError):
        return None
    if found.headers().get("alg") != ALGORITHM or not isinstance(claims, dict):
        return None
    numbers = [claims.get(name) for name in ("exp", "nbf")]
    is_whole = all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers)
    return claims if is_whole and isinstance(claims.get("iss"), str) else None


@lru_cache(maxsize=1024)
def _is_signed(word: str, secret: str) -> bool:
    try:
        jws.deserialize_compact(word, OctKey.import_key(secret), algorithms=[ALGORITHM])
    except (JoseError, ValueError):
        return False
    return True


def _refused(code: int, message: str | None = None) -> Refused:
    return Refused(Problem("authentication", message, code=str(code)))
