"""What a form says, and what is wrong with it: a refusal of the API, told beside the field that it is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from gateway.errors import GatewayError, InvalidRequest

NAMED: Final = re.compile(r"`(\w+)`")
LABELS: Final[Mapping[str, str]] = {
    "email": "The e-mail address",
    "password": "The password",
    "currentPassword": "The current password",
    "newPassword": "The new password",
    "name": "The name",
    "spendingLimit": "The monthly limit",
    "monthlyLimit": "The budget",
    "expiresAt": "The expiry",
    "origins": "The list of origins",
    "ips": "The list of addresses",
    "issuer": "The issuer",
    "clientId": "The client id",
    "clientSecret": "The client secret",
    "domain": "The domain",
    "metadataXml": "The metadata",
    "metadataUrl": "The metadata URL",
    "defaultRole": "The role",
    "role": "The role",
    "slug": "The slug",
    "minCost": "The lowest cost",
    "status": "The status",
}
MESSAGES: Final[Mapping[str, str]] = {
    "`email` is no e-mail address.": "Enter an e-mail address such as ada@example.com.",
    "`email` is missing.": "Enter an e-mail address.",
    "`password` is missing.": "Enter a password.",
    "`currentPassword` is wrong.": "This is not your current password.",
}
AMOUNT_DIGITS_MAX: Final = 40


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a form was refused. `about` is the name of a field; "" is the whole form."""

    form: str
    message: str
    about: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    status: int = 400

    def at(self, form: str, name: str = "") -> str:
        """What to say beside this field of this form."""
        return self.message if (self.form, self.about) == (form, name) else ""

    def value(self, form: str, name: str, default: str = "") -> str:
        """What the field said."""
        return self.values.get(name, default) if self.form == form else default


NONE: Final = Problem("", "")
SECRETS: Final = frozenset({"csrf", "password", "currentPassword", "newPassword", "clientSecret"})


def problem(form: str, error: GatewayError, values: Mapping[str, str], *fields: str) -> Problem:
    """The problem that a refusal makes; `fields` are those that the form has."""
    found = NAMED.match(error.message)
    about = found[1] if found else "password" if error.message.startswith("The password") else ""
    if about == "password" and "newPassword" in fields:
        about = "newPassword"
    message = MESSAGES.get(error.message) or NAMED.sub(lambda named: LABELS.get(named[1], named[1]), error.message)
    kept = {name: value for name, value in values.items() if name not in SECRETS}
    return Problem(form, message, about if about in fields else "", kept, error.status)


def told(values: Mapping[str, str], *names: str) -> dict[str, Any]:
    """The fields as the JSON API has them: what is empty is absent."""
    return {name: values[name] for name in names if values.get(name, "").strip()}


def amount(values: Mapping[str, str], name: str) -> int | float | None:
    """An amount of credits as JSON's number. Raises InvalidRequest."""
    text = values.get(name, "").strip().replace(",", "")
    if not text:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not text.isascii() or len(text) > AMOUNT_DIGITS_MAX:
        raise InvalidRequest(f"`{name}` is no number of credits.")
    return int(value) if value == value.to_integral_value() and abs(value) < 10**15 else float(value)


def end_of_day(values: Mapping[str, str], name: str, now_s: int) -> str | None:
    """The end, in UTC, of a day that a date field names. Raises InvalidRequest."""
    text = values.get(name, "").strip()
    if not text:
        return None
    try:
        ends = date.fromisoformat(text) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"`{name}` is no date; one such as 2027-01-31 was due.") from None
    if (ends - date(1970, 1, 1)).days * 86_400 <= now_s:
        raise InvalidRequest(f"`{name}` is over already; today or a later day was due.")
    return f"{ends.isoformat()}T00:00:00+00:00"


def lines(values: Mapping[str, str], name: str) -> list[str]:
    """The entries of a text area: one a line, or with commas or blanks between."""
    return [part for part in re.split(r"[\s,]+", values.get(name, "")) if part]
