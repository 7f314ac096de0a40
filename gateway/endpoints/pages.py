"""The dashboard's pages: /, /sign-in, /usage, /manage-api-keys, /settings/organization, /settings/account.

Rendered here, in `gateway/pages`; what they do and show comes from the functions behind the JSON API. They are no part
of that API: docs/gateway/pages.md lists them. Source: api-reference#gateway-features, #teams-rbac-sso.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.endpoints import pages_account, pages_keys, pages_organization, pages_sign_in, pages_usage
from gateway.errors import GatewayBug, GatewayError, NotFound, Unauthenticated, shown
from gateway.exchange import Stopped
from gateway.pages.visit import STATIC, Visit, static

if TYPE_CHECKING:
    from gateway.services import Services

Handler = Callable[[Visit], Awaitable[Response]]

FOR_EVER: Final = "public, max-age=31536000, immutable"
FOR_NOW: Final = "public, max-age=300"
HEADLINES: Final = {
    400: "That did not work",
    403: "This is not yours to open",
    404: "There is nothing here",
    409: "That is not possible now",
    413: "That was too much",
    429: "Too many attempts",
    500: "Something went wrong here",
}


def routes(services: Services) -> list[Route]:
    """All pages, and their files."""
    handlers = (
        *pages_sign_in.handlers(),
        *pages_usage.handlers(),
        *pages_keys.handlers(),
        *pages_organization.handlers(),
        *pages_account.handlers(),
    )
    return [
        Route("/", framed(services, landing), methods=["GET"]),
        Route("/static/{name}", file, methods=["GET"]),
        *(Route(path, framed(services, handler), methods=[method]) for method, path, handler in handlers),
    ]


async def landing(visit: Visit) -> Response:
    """What is here."""
    return visit.page("landing.html", base=pages_sign_in.base(visit))


async def file(request: Request) -> Response:
    """A file of ours; for good where the address names its version. Raises NotFound."""
    name = request.path_params["name"]
    if name not in STATIC:
        raise NotFound(f"There is nothing at {shown(request.url.path)}.")
    data, version = static(name)
    age = FOR_EVER if request.query_params.get("v") == version else FOR_NOW
    headers = {"cache-control": age, "x-content-type-options": "nosniff", "etag": f'"{version}"'}
    return Response(data, headers=headers, media_type=STATIC[name])


def framed(services: Services, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """The handler, whose refusals are pages too. Who is not signed in, and must be, is sent to sign in and back."""

    async def answered(request: Request) -> Response:
        visit = await Visit.of(services, request)
        try:
            return await handler(visit)
        except Unauthenticated:
            there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            back = there if request.method in ("GET", "HEAD") else "/usage"
            return visit.go("/sign-in?" + urlencode({"next": back}))
        except GatewayError as error:
            return refused(visit, error)
        except (Stopped, ClientDisconnect):
            raise
        except Exception as error:
            trace, request_id = "".join(traceback.format_exception(error)), request.scope["windtunnel.request_id"]
            services.log.write("error", "bug", request_id=request_id, path=request.url.path, trace=trace)
            return refused(visit, GatewayBug("The gateway could not do this. It has been noted."))

    return answered


def refused(visit: Visit, error: GatewayError) -> Response:
    """A refusal as a page."""
    headline = HEADLINES.get(error.status, "That did not work")
    request_id = visit.request.scope.get("windtunnel.request_id", "")
    response = visit.page("error.html", error.status, headline=headline, message=error.message, request_id=request_id)
    for name, value in error.headers:
        response.headers[name.decode()] = value.decode()
    return response
