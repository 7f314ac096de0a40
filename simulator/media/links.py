"""Links to results: signed as a vendor's storage signs them, good for a while by the fleet's clock, and pure.

Nothing is stored: a link bears what it takes to make its content again (`of`), and a signature over all of it. What it
looks like and how it is refused is a style of `buckets.yaml`.
"""

from __future__ import annotations

import hmac
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import orjson
import yaml

from simulator import draws
from simulator.script import Frame, Script

FILE: Final = Path(__file__).parent / "buckets.yaml"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


class Opened(NamedTuple):
    """A link that is in order: what it is of, and until when it is good."""

    content: Any
    end_s: int


@cache
def styles() -> Mapping[str, Any]:
    """The styles of `buckets.yaml`, by name."""
    found: Mapping[str, Any] = yaml.safe_load(FILE.read_bytes())
    return found


def signed(
    style: str,
    url: str,
    path: str,
    content: Any,
    secret: bytes,
    made_s: int,
    ttl_s: int,
    gone: int = 403,
    kind: str = "application/octet-stream",
) -> str:
    """The address `url`, which the fleet serves at `path`, for so long; then it answers 403 or 404 (`gone`).

    `content` is anything JSON has: what the file is made of again when somebody fetches it.
    """
    row = styles()[style]
    packed = zlib.compress(orjson.dumps([gone, made_s + ttl_s, content]), 9)
    date = datetime.fromtimestamp(made_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    told = {
        "date": date,
        "day": date[:8],
        "made": _time(made_s),
        "end": _time(made_s + ttl_s),
        "end_s": made_s + ttl_s,
        "ttl": ttl_s,
        "id": draws.word(20, "bucket", secret).upper(),
        "kind": kind,
    }
    query = {name: str(value).format_map(told) for name, value in row["query"].items()}
    text = urlencode(query | {"of": urlsafe_b64encode(packed).decode()}, quote_via=quote, safe="")
    return f"{url}?{text}&{row['signature']}={_signature(secret, path, text)}"


def opened(style: str, path: str, query: str, secret: bytes, now_s: int) -> Opened | Script:
    """What the link is of, or the refusal as a Script."""
    text, _, told = query.rpartition(f"&{styles()[style]['signature']}=")
    if not hmac.compare_digest(_signature(secret, path, text).encode(), told.encode("utf-8", "surrogatepass")):
        return _refused(style, "forged", path, now_s)
    packed = next(part[3:] for part in text.split("&") if part.startswith("of="))
    gone, end_s, content = orjson.loads(zlib.decompress(urlsafe_b64decode(packed.replace("%3D", "="))))
    if now_s < end_s:
        return Opened(content, end_s)
    return _refused(style, "gone" if gone == 404 else "expired", path, now_s, end_s)


def served(style: str, data: bytes, kind: str, now_s: int, *headers: tuple[str, str]) -> Script:
    """An object of the bucket."""
    told = (
        ("content-type", kind),
        ("last-modified", formatdate(now_s, usegmt=True)),
        ("etag", f'"{draws.digest(data).hex()}"'),
        ("accept-ranges", "bytes"),
        *headers,
        *styles()[style]["headers"].items(),
    )
    return Script(200, told, (Frame(data, "body"),))


def _refused(style: str, why: str, path: str, now_s: int, end_s: int | None = None) -> Script:
    row = styles()[style]
    status, code, message = row["refused"][why]
    request = draws.word(16, "request", path, now_s).upper()
    more = f"<Expires>{_time(end_s)}</Expires><ServerTime>{_time(now_s)}</ServerTime>" if why == "expired" else ""
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}'
        f"<RequestId>{request}</RequestId><HostId>{draws.word(56, 'host', path, now_s)}</HostId></Error>"
    )
    headers = (("content-type", "application/xml"), (row["request_header"], request), *row["headers"].items())
    return Script(status, headers, (Frame(body.encode(), "body"),))


def _signature(secret: bytes, path: str, text: str) -> str:
    return hmac.new(secret, f"{path}\n{text}".encode("utf-8", "surrogatepass"), sha256).hexdigest()


def _time(at_s: int | None) -> str:
    return "" if at_s is None else datetime.fromtimestamp(at_s, UTC).strftime(_TIME)
