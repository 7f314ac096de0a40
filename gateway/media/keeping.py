"""What was made, in the form its caller wants: files whose links die soon, or need a key, are kept by the gateway."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from gateway import edge
from gateway.chain import Failure, Verdict
from gateway.media.line import answered
from gateway.media.order import Item, Made
from gateway.media.steps import Failed, Got, Send, refuse
from gateway.upstreams.transport import Request

if TYPE_CHECKING:
    from gateway.media.work import Work
    from gateway.services import Services

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
REDIRECTS_MAX: Final = 4
FOUND_S: Final = (1.0, 2.0, 4.0, 8.0, 0.0)  # after each try that finds nothing
FETCH_S: Final = 30.0  # that a vendor's storage may take to send the first byte of a file


async def kept(services: Services, work: Work, made: Made) -> Made:
    """The same, every item with a link that lasts, or with its bytes where those were asked for.

    Only the file is fetched again when fetching fails: what was rendered is not rendered anew. Raises nothing: an item
    that cannot be fetched keeps the link it has, and one without any is left out.
    """
    items = await asyncio.gather(*(ready(services, work, item) for item in made.items))
    return replace(made, items=[item for item in items if item is not None])


async def ready(services: Services, work: Work, item: Item) -> Item | None:
    """One item as its caller wants it."""
    order = work.order
    if item.data is None and (item.short_lived or order.as_base64) and item.url is not None:
        try:
            item = await fetched(services, item)
        except Failed:
            return None if item.headers or order.as_base64 else item
    if item.data is None or order.as_base64:
        return item
    url = await services.objects.publish(item.data, item.mime, order.request_id, owner=work.owner, site=work.site)
    return replace(item, url=url, short_lived=False, headers=())


async def fetched(services: Services, item: Item) -> Item:
    """The item with its bytes. Raises Failed."""
    request = Request(item.url or "", list(item.headers), b"", "GET", once=True)
    for _ in range(1 + REDIRECTS_MAX):
        got = await found(services, request)
        if got.status not in REDIRECTS:
            break
        request = redirected(request, got)
    else:
        raise Failed(Failure(Verdict.NEXT, "the upstream's link leads nowhere"))
    refuse(got)
    mime = item.mime or got.headers.get("content-type", "application/octet-stream").split(";")[0]
    return replace(item, data=got.body, mime=mime)


async def found(services: Services, request: Request) -> Got:
    """What is behind a link. A new file may not be known everywhere at once. Raises Failed."""
    for wait_s in FOUND_S:
        got = await answered(services, Send(request, again=True, first_byte_s=FETCH_S))
        if got.status != 404:
            break
        await edge.sleep(wait_s * services.config.poll_factor)
    return got


def redirected(request: Request, got: Got) -> Request:
    """The request that a redirect asks for: the key goes to no other host than before. Raises Failed."""
    url = urljoin(request.url, got.headers.get("location", ""))
    if not url.startswith(("http://", "https://")):
        raise Failed(Failure(Verdict.NEXT, "the upstream's link leads nowhere", got.status))
    same = urlsplit(url)[:2] == urlsplit(request.url)[:2]
    return replace(request, url=url, headers=request.headers if same else ())
