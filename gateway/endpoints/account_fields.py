"""JSON bodies of the dashboard's API: names in camelCase, and none that means nothing.

What is not understood is refused: a misspelled restriction must not make a key without one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from starlette.requests import Request

from gateway import body, origins
from gateway.errors import BodyTooLarge, InvalidRequest, shown
from gateway.orgs.orgs import SLUG
from gateway.origins import Network
from gateway.usage import clean_text

BODY_MAX: Final = 64 * 1024
NAME_MAX: Final = 100
LIST_MAX: Final = 50
EXPIRY_MAX_S: Final = 10**11
LIMIT_MAX: Final = Decimal(10**9)  # credits: ten million dollars
UC: Final = 1_000_000
TEXT_MAX: Final = 1000


async def read(request: Request, *names: str) -> dict[str, Any]:
    """The body's members, none but these. An empty body has none. Raises InvalidRequest, BodyTooLarge."""
    raw = b""
    async for piece in request.stream():
        raw += piece
        if len(raw) > BODY_MAX:
            raise BodyTooLarge(f"The request body is over {BODY_MAX} bytes.")
    fields = body.parse(raw) if raw.strip() else {}
    for name in fields:
        if name not in names:
            due = f"any of {', '.join(names)} was due" if names else "an empty body was due"
            raise InvalidRequest(f"{shown(name)!r} means nothing here; {due}.")
    return fields


def text(fields: Mapping[str, Any], name: str, most: int = TEXT_MAX) -> str:
    """A text that must be there. Raises InvalidRequest."""
    value = fields.get(name)
    if value is None:
        raise InvalidRequest(f"`{name}` is missing.")
    if not isinstance(value, str):
        raise InvalidRequest(f"`{name}` is {body.json_type(value)}; a string was due.")
    if not 1 <= len(value) <= most:
        raise InvalidRequest(f"`{name}` has {len(value)} characters; 1 to {most} were due.")
    return value


def title(fields: Mapping[str, Any], name: str, *, required: bool = False) -> str | None:
    """What people call something: one line, without characters that nobody sees. Raises InvalidRequest."""
    if fields.get(name) is None and not required:
        return None
    value = text(fields, name)
    seen = "".join(" " if c.isspace() else c for c in clean_text(value) if c.isspace() or _is_seen(c))
    words = " ".join(seen.split())
    if not 1 <= len(words) <= NAME_MAX:
        raise InvalidRequest(f"`{name}` has {len(words)} characters; 1 to {NAME_MAX} were due.")
    return words


def _is_seen(character: str) -> bool:
    """No control character, and none that turns the direction of what follows (U+202E and its like)."""
    return unicodedata.category(character) not in ("Cc", "Cs", "Co", "Cn") and not (
        "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069" or character in "\u200e\u200f\u061c"
    )


def slug(fields: Mapping[str, Any], name: str = "slug") -> str | None:
    """A name for URLs that may be absent or null. Raises InvalidRequest."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or SLUG.fullmatch(value) is None:
        raise InvalidRequest(f"`{name}` is {shown(value)!r}; 1 to 40 of a-z, 0-9 and hyphens within were due.")
    return value


def credits_uc(fields: Mapping[str, Any], name: str) -> int | None:
    """An amount in credits, with at most six decimals, in microcredits. Raises InvalidRequest."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidRequest(f"`{name}` is {body.json_type(value)}; a number of credits was due.")
    amount = Decimal(repr(value))
    if not amount.is_finite() or not 0 <= amount <= LIMIT_MAX or (amount * UC) % 1:
        raise InvalidRequest(f"`{name}` is {value!r}; 0 to {LIMIT_MAX} credits with at most six decimals were due.")
    return int(amount * UC)


def as_credits(amount_uc: int | None) -> int | float | None:
    """An amount in credits as JSON's number; exact, because no limit has more than fifteen digits."""
    if amount_uc is None:
        return None
    whole, part = divmod(amount_uc, UC)
    return whole if not part else float(Decimal(amount_uc) / UC)


def expiry_s(fields: Mapping[str, Any], name: str) -> int | None:
    """A moment: ISO 8601 with an offset, or Unix seconds. Raises InvalidRequest."""
    value = fields.get(name)
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
            value = None if at.tzinfo is None else int(at.timestamp())
        except (ValueError, OverflowError):
            value = None
        if value is None or value < 0:
            due = "a date and time with its offset (ISO 8601) or Unix seconds were due"
            raise InvalidRequest(f"`{name}` is {shown(fields[name])!r}; {due}.")
    return body.whole_number({name: value}, name, 0, EXPIRY_MAX_S)


def origin_list(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Origins in their one spelling, each once. Raises InvalidRequest."""
    found = []
    for value in _texts(fields, name):
        made = origins.origin(value)
        if made is None:
            raise InvalidRequest(f"`{name}` has {shown(value)!r}; an origin such as https://app.example.com was due.")
        found.append(made)
    return tuple(dict.fromkeys(found))


def network_list(fields: Mapping[str, Any], name: str) -> tuple[Network, ...]:
    """Addresses and networks, each once. Raises InvalidRequest."""
    try:
        return tuple(dict.fromkeys(origins.networks(_texts(fields, name))))
    except ValueError:
        due = "IP addresses and networks such as 203.0.113.0/24 were due"
        raise InvalidRequest(f"`{name}` is {shown(fields[name])!r}; {due}.") from None


def flag(fields: Mapping[str, Any], name: str) -> bool:
    """A boolean that may be absent or null (false). Raises InvalidRequest."""
    return body.flag(fields, name)


def _texts(fields: Mapping[str, Any], name: str) -> list[str]:
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > LIST_MAX or not all(isinstance(each, str) for each in value):
        raise InvalidRequest(f"`{name}` is no list of at most {LIST_MAX} strings.")
    return value
