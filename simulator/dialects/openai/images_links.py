"""Links to pictures: signed, good for an hour by the fleet's clock, and pure.

Nothing is stored: a link bears what it takes to draw the picture again (`of`: size, seed and words, packed), and a
signature over all of it. It looks like the real one, a signed address of Azure Blob Storage, and so do the replies.
Source: a recorded link; the public reference of the blob service for headers and the XML of a refusal.
"""

from __future__ import annotations

import hmac
import zlib
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from email.utils import formatdate
from hashlib import sha256
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode
from uuid import UUID

import orjson

from simulator import draws
from simulator.dialects.base import Serving
from simulator.media.pictures import picture
from simulator.script import Frame, Script

FOLDER: Final = "/images/private"
EXPIRY_S: Final = 3600
DAY_S: Final = 86_400
SHOWN_LENGTH: Final = 240  # of a prompt, on the picture
_VERSION: Final = "2026-02-06"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_FAILED: Final = (
    "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly "
    "including the signature."
)


class Link(NamedTuple):
    """What the picture at the end of a link is."""

    width: int
    height: int
    seed: int
    prompt: str


def shown(prompt: str) -> str:
    """As much of a prompt as is written on a picture."""
    return prompt if len(prompt) <= SHOWN_LENGTH else f"{prompt[: SHOWN_LENGTH - 1]}…"


def signed(site: str, link: Link, secret: bytes, now_s: int) -> str:
    """The address of a picture, below `site`."""
    packed = zlib.compress(orjson.dumps([*link[:3], shown(link.prompt)]), 9)
    name = f"{FOLDER}/org-fleet/user-fleet/img-{draws.word(24, 'picture', packed)}.png"
    night_s = now_s // DAY_S * DAY_S
    query = {
        "st": _time(now_s - EXPIRY_S),
        "se": _time(now_s + EXPIRY_S),
        "sp": "r",
        "sv": _VERSION,
        "sr": "b",
        "rscd": "inline",
        "rsct": "image/png",
        "skoid": _uuid("skoid", secret),
        "sktid": _uuid("sktid", secret),
        "skt": _time(night_s),
        "ske": _time(night_s + 2 * DAY_S),
        "sks": "b",
        "skv": _VERSION,
        "of": urlsafe_b64encode(packed).decode(),
    }
    text = urlencode(query, quote_via=quote, safe="/")
    return f"{site}{name}?{text}&sig={quote(_signature(secret, name, text), safe='')}"


def fetched(path: str, query: str, serving: Serving) -> Script:
    """The picture of a link, or why it is not given."""
    text, _, _ = query.partition("&sig=")
    fields = dict(parse_qsl(query))
    name = path[path.index(FOLDER) :]
    due = _signature(serving.facts["signature_secret"], name, text)
    if not hmac.compare_digest(due.encode(), fields.get("sig", "").encode("utf-8", "surrogatepass")):
        return _refused("Signature did not match. String to sign used was r", serving)
    start_s, end_s = _seconds(fields["st"]), _seconds(fields["se"])
    if not start_s <= serving.now_s < end_s:
        told = ", ".join(
            f"{word} [{formatdate(at, usegmt=True)}]"
            for word, at in (("Start", start_s), ("Expiry", end_s), ("Current", serving.now_s))
        )
        return _refused(f"Signature not valid in the specified time frame: {told.replace('], ', '] - ')}", serving)
    width, height, seed, prompt = orjson.loads(zlib.decompress(urlsafe_b64decode(fields["of"])))
    data = picture(prompt, width, height, "png", seed)
    made_s = end_s - EXPIRY_S
    headers = (
        ("content-type", "image/png"),
        ("cache-control", f"private, max-age={end_s - serving.now_s}"),
        ("content-disposition", "inline"),
        ("last-modified", formatdate(made_s, usegmt=True)),
        ("accept-ranges", "bytes"),
        ("etag", f'"0x{draws.digest(data).hex()[:15].upper()}"'),
        *_blob(serving),
        ("x-ms-creation-time", formatdate(made_s, usegmt=True)),
        ("x-ms-blob-type", "BlockBlob"),
    )
    return Script(200, headers, (Frame(data, "body"),))


def _refused(detail: str, serving: Serving) -> Script:
    request = _uuid("request", serving.seed, serving.now_s)
    body = (
        '\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code>'
        f"<Message>{_FAILED}\nRequestId:{request}\nTime:{_time(serving.now_s)[:-1]}.0000000Z</Message>"
        f"<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail></Error>"
    )
    headers = (("content-type", "application/xml"), *_blob(serving), ("x-ms-error-code", "AuthenticationFailed"))
    return Script(403, headers, (Frame(body.encode(), "body"),))


def _blob(serving: Serving) -> tuple[tuple[str, str], ...]:
    return (
        ("server", "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0"),
        ("x-ms-request-id", _uuid("request", serving.seed, serving.now_s)),
        ("x-ms-version", _VERSION),
    )


def _signature(secret: bytes, name: str, text: str) -> str:
    return b64encode(hmac.digest(secret, f"{name}\n{text}".encode("utf-8", "surrogatepass"), sha256)).decode()


def _uuid(*parts: Any) -> str:
    return str(UUID(int=draws.integer(*parts), version=4))


def _time(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime(_TIME)


def _seconds(text: str) -> int:
    return int(datetime.strptime(text, _TIME).replace(tzinfo=UTC).timestamp())
