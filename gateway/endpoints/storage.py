"""The storage API: files that users keep here, for references, data sets and models.

    POST /storage            a form (`file`, `kind`, `filename`, `contentType`, `public`), or the bytes as they are
    GET /storage             `kind`, `origin`, `limit`, `cursor`
    GET, DELETE /storage/{id}

A file belongs to who pays for the key. Source: api-reference#sdk (client.storage); its wire: docs/decisions.md#storage.
"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, NamedTuple, cast

import orjson
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive

from gateway.accounts import Key
from gateway.endpoints.usage import number, reply
from gateway.errors import BodyTooLarge, InvalidRequest, NotFound, shown
from gateway.exchange import first_values, site_of
from gateway.objects.files import Page
from gateway.objects.incoming import Incoming, incoming
from gateway.objects.kept import Kept
from gateway.services import Services
from gateway.usage import iso_utc
from schemas.catalogue import storage

PATHS: Final = ("/api/v1/storage", "/v1/storage")
LIMIT, LIMIT_MAX = 50, 500
FORM_SPARE_BYTES: Final = 64 * 1024  # for what a form has beside the file
SPOOL_BYTES: Final = 1024 * 1024  # of a file that waits in memory; a larger one in a temporary file
ORIGINS: Final = ("upload", "made")
TYPE_UNTOLD: Final = frozenset({"", "application/x-www-form-urlencoded"})  # what clients say who say nothing


class Told(NamedTuple):
    """What the caller says of the file."""

    filename: str | None
    mime: str | None
    kind: str | None
    is_public: bool


def routes(services: Services) -> list[Route]:
    """The documented paths and their alias."""

    async def create(request: Request) -> Response:
        key = services.authenticate(request)
        async with arriving(services, request) as given:
            kept = await services.objects.upload(given, key.payer_id, key.id)
        return reply(shown_as(services, request, kept), 201)

    async def listing(request: Request) -> Response:
        key = services.authenticate(request)
        page = page_of(request.query_params, key)
        rows = await services.objects.page(page)
        more = len(rows) > page.limit
        told = [shown_as(services, request, kept) for kept in rows[: page.limit]]
        return reply({"data": told, "hasMore": more, "nextCursor": cursor(rows[page.limit - 1]) if more else None})

    async def one(request: Request) -> Response:
        return reply(shown_as(services, request, await own(services, request)))

    async def drop(request: Request) -> Response:
        kept = await own(services, request)
        await services.objects.drop(kept)
        return reply({"id": kept.id, "deleted": True})

    made = [(("GET",), listing), (("POST",), create)]
    found = [Route(path, handler, methods=list(methods)) for path in PATHS for methods, handler in made]
    for path in PATHS:
        found += [Route(f"{path}/{{id}}", one, methods=["GET"]), Route(f"{path}/{{id}}", drop, methods=["DELETE"])]
    return found


async def own(services: Services, request: Request) -> Kept:
    """The caller's own file. Raises NotFound, also for others' files."""
    key = services.authenticate(request)
    kept = await services.objects.find(key.payer_id, request.path_params["id"])
    if kept is None:
        raise NotFound(f"There is no file {shown(request.path_params['id'])!r}.")
    return kept


def shown_as(services: Services, request: Request, kept: Kept) -> dict[str, Any]:
    """A file as the API shows it; its link is new each time."""
    site = site_of(request.scope, first_values(request.scope["headers"]).get(b"host", b""))
    return {
        "id": kept.id,
        "url": services.objects.link(kept, site),
        "filename": kept.filename,
        "contentType": kept.mime,
        "kind": kept.kind,
        "bytes": kept.bytes,
        "sha256": kept.digest,
        "public": kept.is_public,
        "origin": kept.origin,
        "createdAt": iso_utc(kept.created_at_ms),
        "expiresAt": None if kept.expires_at_ms is None else iso_utc(kept.expires_at_ms),
    }


# --- lists ------------------------------------------------------------------------------------------------------------


def page_of(parameters: Mapping[str, str], key: Key) -> Page:
    """The page that the query asks for. Raises InvalidRequest."""
    kind, origin = parameters.get("kind"), parameters.get("origin", "upload")
    if kind is not None and kind not in storage.kinds():
        raise InvalidRequest(f"`kind` is {shown(kind)!r}; one of {', '.join(storage.kinds())} was due.")
    if origin not in ORIGINS:
        raise InvalidRequest(f"`origin` is {shown(origin)!r}; one of {', '.join(ORIGINS)} was due.")
    before = position(parameters.get("cursor") or None)
    limit = number(parameters, "limit", LIMIT, LIMIT_MAX)
    return Page(key.payer_id, "made" if origin == "made" else "upload", kind, before, limit)


def cursor(last: Kept) -> str:
    """Where the next page begins."""
    return urlsafe_b64encode(orjson.dumps([last.created_at_ms, last.id])).decode().rstrip("=")


def position(told: str | None) -> tuple[int, str] | None:
    """What a cursor means. Raises InvalidRequest for one that is not ours."""
    if told is None:
        return None
    try:
        at_ms, ident = orjson.loads(urlsafe_b64decode(told + "=" * (-len(told) % 4)))
    except (ValueError, TypeError):
        at_ms, ident = None, None
    if type(at_ms) is not int or not 0 <= at_ms < 2**53 or not isinstance(ident, str) or "\0" in ident:
        raise InvalidRequest("`cursor` is none that a list has told.")
    return at_ms, ident


# --- uploads ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def arriving(services: Services, request: Request) -> AsyncIterator[Incoming]:
    """The file that a request brings, for as long as it is being kept. Raises InvalidRequest, BodyTooLarge."""
    most = services.config.file_bytes_max
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise InvalidRequest("The request body is compressed; send it without Content-Encoding.")
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > most + FORM_SPARE_BYTES:
        raise too_large(most)
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        async with form(request, most) as (data, told):
            yield await checked(data, told, most)
    else:
        with cast(BinaryIO, SpooledTemporaryFile(SPOOL_BYTES)) as data:
            await gather(request, data, most)
            yield await checked(data, raw_told(request), most)


async def checked(data: BinaryIO, told: Told, most: int) -> Incoming:
    """The file, measured off the event loop. Raises InvalidRequest, BodyTooLarge."""
    given = await asyncio.to_thread(incoming, data, *told)
    if given.bytes > most:
        raise too_large(most)
    if not given.bytes:
        raise InvalidRequest("The file is empty.")
    return given


async def gather(request: Request, data: BinaryIO, most: int) -> None:
    """Writes the body into a file. Raises BodyTooLarge."""
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise too_large(most)
        if piece:
            await asyncio.to_thread(data.write, piece)


def raw_told(request: Request) -> Told:
    """What the query and the headers say of bytes that came as they are."""
    query, mime = request.query_params, request.headers.get("content-type", "")
    told = query.get("contentType") or (None if mime in TYPE_UNTOLD else mime)
    return Told(query.get("filename"), told, query.get("kind"), flag(query.get("public")))


@asynccontextmanager
async def form(request: Request, most: int) -> AsyncIterator[tuple[BinaryIO, Told]]:
    """The file of a form, and what its fields say of it. Raises InvalidRequest, BodyTooLarge."""
    limited = Request(request.scope, at_most(request.receive, most + FORM_SPARE_BYTES))
    try:
        fields = await limited.form(max_files=1, max_fields=20, max_part_size=FORM_SPARE_BYTES)
    except (MultiPartException, FormParserError) as error:
        raise InvalidRequest(f"The form cannot be read: {shown(getattr(error, 'message', '') or str(error))}") from None
    try:
        file = next((value for _, value in fields.multi_items() if isinstance(value, UploadFile)), None)
        if file is None:
            raise InvalidRequest("`file` is missing: a part of the form with a file name was due.")
        texts = {name: value for name, value in fields.multi_items() if isinstance(value, str)}
        mime = texts.get("contentType") or texts.get("content_type") or file.content_type
        name = texts.get("filename") or file.filename
        yield file.file, Told(name, mime, texts.get("kind") or None, flag(texts.get("public") or None))
    finally:
        await fields.close()


def at_most(receive: Receive, most: int) -> Receive:
    """The same, until more than so many bytes have come. Raises BodyTooLarge."""
    left = most

    async def limited() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise too_large(most)
        return message

    return limited


def flag(text: str | None) -> bool:
    """Yes or no. Raises InvalidRequest."""
    if text not in (None, "true", "false"):
        raise InvalidRequest(f"`public` is {shown(text)!r}; true or false was due.")
    return text == "true"


def too_large(most: int) -> BodyTooLarge:
    """The file is over the limit."""
    return BodyTooLarge(f"The file is over {most} bytes.")
