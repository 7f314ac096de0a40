"""Whether a webhook is signed as Standard Webhooks has it.

Source: the Standard Webhooks specification, "Signature scheme": `webhook-signature` holds `v1,{base64}` of HMAC-SHA256
over `{id}.{timestamp}.{body}`, several of them apart by spaces; the secret is base64 after `whsec_`; receivers allow
for five minutes between timestamp and clock.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Mapping
from typing import Final

SECRET: Final = "whsec_"
TOLERANCE_S: Final = 300
HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")


def is_secret(text: str) -> bool:
    """Whether it can be a secret."""
    try:
        return bool(b64decode(text.removeprefix(SECRET), validate=True))
    except (Error, ValueError):
        return False


def complaint(headers: Mapping[str, str], body: bytes, secret: str, now_s: float) -> str | None:
    """What is wrong with the signature of a call that arrived at `now_s`; None: it holds."""
    missing = [name for name in HEADERS if not headers.get(name)]
    if missing:
        return f"no {' and no '.join(missing)}"
    call_id, stamp, signatures = (headers[name] for name in HEADERS)
    if not stamp.isdecimal() or len(stamp) > 15:
        return "the timestamp is not a whole number of seconds"
    key = b64decode(secret.removeprefix(SECRET))
    due = b64encode(hmac.digest(key, f"{call_id}.{stamp}.".encode() + body, "sha256")).decode()
    offered = [one.partition(",") for one in signatures.split(" ")]
    if not any(version == "v1" and hmac.compare_digest(made.encode(), due.encode()) for version, _, made in offered):
        return "no v1 signature matches"
    if abs(now_s - int(stamp)) > TOLERANCE_S:
        return f"the timestamp is {abs(now_s - int(stamp)):.0f} s away"
    return None
