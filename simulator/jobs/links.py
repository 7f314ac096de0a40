"""Links to the results of jobs: signed as a bucket's are, good for a while by the fleet's clock, and pure.

Nothing is stored: a link bears what it takes to make its content again (`of`), and a signature over all of it. It looks
like an address that S3 signed beforehand, and so do the replies. Source: the public reference of S3 (query
authentication, error responses).
"""

from __future__ import annotations

import hmac
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from email.utils import formatdate
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

import orjson

from simulator import draws
from simulator.script import Frame, Script

_DATE: Final = "%Y%m%dT%H%M%SZ"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_ERRORS: Final = {
    "AccessDenied": (403, "Request has expired"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "SignatureDoesNotMatch": (
        403,
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
    ),
}


def signed(url: str, path: str, content: Any, secret: bytes, made_s: int, ttl_s: int, gone: int = 403) -> str:
    """The address `url`, which the fleet serves at `path`, for so long; then it answers 403 or 404 (`gone`)."""
    packed = zlib.compress(orjson.dumps([gone, content]), 9)
    date = datetime.fromtimestamp(made_s, UTC).strftime(_DATE)
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{draws.word(20, 'bucket', secret).upper()}/{date[:8]}/us-east-1/s3/aws4_request",
        "X-Amz-Date": date,
        "X-Amz-Expires": str(ttl_s),
        "X-Amz-SignedHeaders": "host",
        "of": urlsafe_b64encode(packed).decode(),
    }
    text = urlencode(query, quote_via=quote, safe="")
    return f"{url}?{text}&X-Amz-Signature={_signature(secret, path, text)}"


def opened(path: str, query: str, secret: bytes, now_s: int) -> Any:
    """What the link is of, or the refusal as a Script."""
    text, _, told = query.partition("&X-Amz-Signature=")
    if not hmac.compare_digest(_signature(secret, path, text).encode(), told.encode("utf-8", "surrogatepass")):
        return _refused("SignatureDoesNotMatch", path, now_s)
    fields = dict(parse_qsl(text))
    gone, content = orjson.loads(zlib.decompress(urlsafe_b64decode(fields["of"])))
    made = datetime.strptime(fields["X-Amz-Date"], _DATE).replace(tzinfo=UTC)
    end_s = int(made.timestamp()) + int(fields["X-Amz-Expires"])
    if now_s < end_s:
        return content
    if gone == 404:
        return _refused("NoSuchKey", path, now_s)
    more = f"<X-Amz-Expires>{fields['X-Amz-Expires']}</X-Amz-Expires><Expires>{_time(end_s)}</Expires>"
    return _refused("AccessDenied", path, now_s, f"{more}<ServerTime>{_time(now_s)}</ServerTime>")


def served(data: bytes, kind: str, now_s: int) -> Script:
    """An object of the bucket."""
    headers = (
        ("content-type", kind),
        ("last-modified", formatdate(now_s, usegmt=True)),
        ("etag", f'"{draws.digest(data).hex()}"'),
        ("accept-ranges", "bytes"),
        ("server", "AmazonS3"),
    )
    return Script(200, headers, (Frame(data, "body"),))


def _refused(code: str, path: str, now_s: int, more: str = "") -> Script:
    status, message = _ERRORS[code]
    request = draws.word(16, "request", path, now_s).upper()
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}'
        f"<RequestId>{request}</RequestId><HostId>{draws.word(56, 'host', path, now_s)}</HostId></Error>"
    )
    headers = (("content-type", "application/xml"), ("x-amz-request-id", request), ("server", "AmazonS3"))
    return Script(status, headers, (Frame(body.encode(), "body"),))


def _signature(secret: bytes, path: str, text: str) -> str:
    return hmac.new(secret, f"{path}\n{text}".encode("utf-8", "surrogatepass"), sha256).hexdigest()


def _time(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime(_TIME)
