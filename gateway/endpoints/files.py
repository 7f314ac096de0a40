"""GET /files/{name}: the bytes of a kept file, whole or in part, to whoever has its link.

Nothing served here can act as a page of ours: types are as sniffed, what browsers need not show is a download, and a
policy forbids the rest. Source: docs/decisions.md#files; RFC 9110 (ranges, conditions), RFC 6266 (names of downloads).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.errors import NoAccess, NotFound
from gateway.objects.kept import PATH, Kept
from gateway.objects.shelf import NAME, Missing
from gateway.services import Services
from schemas.catalogue import storage

YEAR_S: Final = 31_536_000
RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
PLAIN: Final = re.compile(r"[^A-Za-z0-9._ -]")
SAFE: Final[Mapping[str, str]] = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "cross-origin",
    "access-control-allow-origin": "*",
    "accept-ranges": "bytes",
    "referrer-policy": "no-referrer",
}


class Part(NamedTuple):
    """The bytes to send."""

    start: int
    end: int  # the first one not to send
    status: int  # 200, 206 or 416


def routes(services: Services) -> list[Route]:
    """The one path. There is no list of files."""

    async def serve(request: Request) -> Response:
        return await answer(services, request)

    return [Route(f"{PATH}{{name}}", serve, methods=["GET", "HEAD"])]


async def answer(services: Services, request: Request) -> Response:
    """The file of a link. Raises NotFound, NoAccess."""
    kept = await found(services, request.path_params["name"], request.query_params)
    headers = headers_of(kept, request.query_params, services.clock.now_ms())
    if matches(request.headers.get("if-none-match"), kept):
        return Response(status_code=304, headers=headers)
    part = part_of(request.headers, kept)
    headers["content-length"] = str(part.end - part.start)
    if part.status == 416:
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{kept.bytes}"})
    if part.status == 206:
        headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{kept.bytes}"
    if request.method == "HEAD":
        return Response(status_code=part.status, headers=headers)
    pieces = services.objects.bytes_of(kept, part.start, part.end)
    first = await first_of(pieces) if part.end > part.start else b""
    return StreamingResponse(chained(first, pieces), part.status, headers)


async def found(services: Services, name: str, query: Mapping[str, str]) -> Kept:
    """The file of a link that was not tampered with. Raises NotFound; NoAccess for a link whose time is over."""
    kept = await services.objects.named(name) if NAME.fullmatch(name) else None
    if kept is None or not (kept.is_public or kept.admits(query)):
        raise NotFound("There is no such file.")
    if not kept.is_public and int(query["expires"]) < services.clock.now_s():
        raise NoAccess("The link has expired; ask for the file again to get a new one.")
    return kept


async def first_of(pieces: AsyncIterator[bytes]) -> bytes:
    """The first bytes, so that a file that is not there is told before a head is sent. Raises NotFound."""
    try:
        return await anext(pieces)
    except (Missing, StopAsyncIteration):
        raise NotFound("There is no such file any more.") from None


async def chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """All pieces again."""
    yield first
    async for piece in rest:
        yield piece


def headers_of(kept: Kept, query: Mapping[str, str], now_ms: int) -> dict[str, str]:
    """The headers of every answer about a file."""
    until_ms = now_ms + YEAR_S * 1000 if kept.expires_at_ms is None else kept.expires_at_ms
    if not kept.is_public:
        until_ms = min(until_ms, int(query["expires"]) * 1000)
    scope, life_s = "public" if kept.is_public else "private", max(0, min(YEAR_S, (until_ms - now_ms) // 1000))
    return {
        **SAFE,
        "content-type": storage.told(kept.mime),
        "content-disposition": disposition(kept),
        "etag": etag(kept),
        "cache-control": f"{scope}, max-age={life_s}, immutable",
    }


def etag(kept: Kept) -> str:
    """The digest of the bytes, as a strong tag."""
    return f'"{kept.digest}"'


def disposition(kept: Kept) -> str:
    """To be shown, or to be downloaded under its name: once in ASCII, once as it is."""
    sort = "inline" if storage.is_inline(kept.mime) else "attachment"
    plain = PLAIN.sub("_", kept.filename)
    return f"{sort}; filename=\"{plain}\"; filename*=UTF-8''{quote(kept.filename, safe='')}"


def matches(told: str | None, kept: Kept) -> bool:
    """Whether the caller has these bytes already."""
    tags = [tag.strip().removeprefix("W/") for tag in (told or "").split(",")]
    return told is not None and ("*" in tags or etag(kept) in tags)


def part_of(headers: Mapping[str, Any], kept: Kept) -> Part:
    """What of the file is asked for. Several ranges, or a range of other bytes than these, get the whole."""
    whole = Part(0, kept.bytes, 200)
    asked = RANGE.fullmatch(headers.get("range", "").strip())
    condition = headers.get("if-range")
    if asked is None or asked[0] == "bytes=-" or (condition is not None and condition != etag(kept)):
        return whole
    if not asked[1]:
        start, end = max(0, kept.bytes - int(asked[2])), kept.bytes
    else:
        start, end = int(asked[1]), min(kept.bytes, int(asked[2]) + 1 if asked[2] else kept.bytes)
        if asked[2] and int(asked[2]) < start:
            return whole
    return Part(start, end, 206) if start < end else Part(0, 0, 416)
