"""E-mail addresses that sign in: ASCII, in lower case, so that two of them are equal exactly when they look equal."""

from __future__ import annotations

import re
from typing import Final

LENGTH_MAX: Final = 254  # RFC 5321 section 4.5.3.1, without the angle brackets
LOCAL_MAX: Final = 64
LOCAL: Final = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN: Final = re.compile(rf"{LABEL}(?:\.{LABEL})+")


def normal(text: str) -> str | None:
    """The address in lower case without blanks around it; None if it is none (letters beyond ASCII are none: some of
    them turn into ASCII in lower case, and then two people have one address).
    """
    address = text.strip(" \t\r\n")
    if not address.isascii() or len(address) > LENGTH_MAX:
        return None
    local, at, domain = address.lower().rpartition("@")
    good = at and len(local) <= LOCAL_MAX and LOCAL.fullmatch(local) and DOMAIN.fullmatch(domain)
    return f"{local}@{domain}" if good else None


def domain_of(address: str) -> str:
    """What stands behind the @."""
    return address.rpartition("@")[2]
