"""How Vidu signs a callback: method, address and chosen headers, with the key that submitted the task.

The body is not signed, so a changed one still verifies. Source: Vidu's documentation, callback signature.
"""

from __future__ import annotations

from email.utils import formatdate
from typing import Final
from urllib.parse import urlsplit

from simulator.jobs.signing import mac

ACCESS: Final = "vidu"
NONCE: Final = "x-request-nonce"

Headers = tuple[tuple[str, str], ...]


def signed(key: bytes, url: str, nonce: str, sent_s: int) -> Headers:
    """The headers of a POST that is signed."""
    date = formatdate(sent_s, usegmt=True)
    return (
        ("Date", date),
        (NONCE, nonce),
        ("X-HMAC-SIGNED-HEADERS", f"Date;{NONCE}"),
        ("X-HMAC-ALGORITHM", "hmac-sha256"),
        ("X-HMAC-ACCESS-KEY", ACCESS),
        ("X-HMAC-SIGNATURE", mac(key, signable(url, nonce, date).encode())),
    )


def signable(url: str, nonce: str, date: str) -> str:
    """What is signed of a POST to an address."""
    parts = urlsplit(url)
    return f"POST\n{parts.path or '/'}\n{parts.query}\n{ACCESS}\n{date}\nDate:{date}\n{NONCE}:{nonce}\n"
