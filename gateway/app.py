"""The ASGI application: which path and method goes where, and what every response has in common.

The endpoints that carry the traffic are found in one dictionary and called directly; the rest are Starlette routes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import count
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.routing import Match, Route

from gateway import edge
from gateway.endpoints import (
    admin,
    admin_accounts,
    api_keys,
    audio,
    auth,
    chat,
    files,
    gemini,
    gpu_paths,
    health,
    images,
    messages,
    models,
    orgs,
    pages,
    refunds,
    responses,
    responses_kept,
    spending,
    sso,
    storage,
    usage,
    videos,
)
from gateway.errors import GatewayBug, GatewayError, NotFound, WrongMethod, shown
from gateway.exchange import Exchange, Message, Receive, Scope, Send, Stopped
from gateway.services import Services
from gateway.wires import gemini_errors

Handler = Callable[[Services, Exchange], Awaitable[None]]

# What SDKs make of the documented base URL, besides the documented paths and their alias: docs/decisions.md
PREFIXES: Final = ("/api/v1", "/v1")
REPEATED: Final = ("/api/v1/v1", "/v1/v1")

OPENAI: Final[Mapping[str, Mapping[str, Handler]]] = {
    "/chat/completions": {"POST": chat.complete},
    "/responses": {"POST": responses.create},
    "/responses/input_tokens": {"POST": responses.count_tokens},
    "/gemini": {"POST": gemini.create},
    "/images/generations": {"POST": images.create},
    "/images/generate": {"POST": images.create},
    "/audio/generations": {"POST": audio.create},
    "/video/generations": {"POST": videos.create},
    "/videos/generations": {"POST": videos.create},
}
ANTHROPIC: Final[Mapping[str, Mapping[str, Handler]]] = {
    "/messages": {"POST": messages.create},
    "/messages/count_tokens": {"POST": messages.count_tokens},
    "/models": {"GET": models.list_models, "HEAD": models.list_models},
}
PUBLIC: Final[Mapping[str, Mapping[str, Handler]]] = {
    "/healthz": {"GET": health.health, "HEAD": health.health},
    "/metrics": {"GET": health.metrics, "HEAD": health.metrics},
}
ONE_RESPONSE: Final = responses_kept.METHODS
ONE_MODEL: Final[Mapping[str, Handler]] = {"GET": models.show_model, "HEAD": models.show_model}


def table() -> dict[str, Mapping[str, Handler]]:
    """Every fixed path of the callers' API."""
    paths = {prefix + path: methods for prefix in PREFIXES for path, methods in {**OPENAI, **ANTHROPIC}.items()}
    return paths | {prefix + path: methods for prefix in REPEATED for path, methods in ANTHROPIC.items()}


class App:
    """The gateway as an ASGI application."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.table = table()
        self.request_ids = request_ids()
        self.routes: list[Route] = [
            *usage.routes(services),
            *files.routes(services),
            *storage.routes(services),
            *auth.routes(services),
            *api_keys.routes(services),
            *orgs.routes(services),
            *sso.routes(services),
            *admin.routes(services),
            *admin_accounts.routes(services),
            *refunds.routes(services),
            *spending.routes(services),
            *pages.routes(services),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services = self.services
        exchange = Exchange(scope, receive, send, next(self.request_ids), services.clock.now_ms())
        if services.tracing is None:
            await self.serve(exchange)
        else:
            with services.tracing.request(exchange):
                await self.serve(exchange)

    async def serve(self, exchange: Exchange) -> None:
        """Answers a request, whatever becomes of it."""
        services, scope = self.services, exchange.scope
        services.metrics.in_flight += 1
        path = scope["path"]
        try:
            await self.answer(exchange, path)
        except GatewayError as error:
            await self.refuse(exchange, error)
        except (Stopped, ClientDisconnect):
            exchange.abort()
        except Exception as error:
            services.report(error, exchange)
            await self.refuse(exchange, GatewayBug("Something went wrong in the gateway."))
        finally:
            services.metrics.in_flight -= 1
            label = self.label(path)
            services.metrics.requests[label, exchange.status] += 1
            services.metrics.took(label, edge.monotonic() - exchange.started)

    async def answer(self, exchange: Exchange, path: str) -> None:
        """Finds who answers. Raises GatewayError."""
        method = exchange.scope["method"]
        methods = self.table.get(path)
        if methods is None and (methods := gemini.find(path)) is not None:
            exchange.render = gemini_errors.render
        methods = methods or self.find(path)
        if methods is not None:
            handler = methods.get(method)
            if handler is None:
                if path.rstrip("/") not in PUBLIC:
                    self.services.key_of(exchange)
                raise wrong_method(method, methods)
            await handler(self.services, exchange)
        else:
            await self.answer_route(exchange, path)

    def find(self, path: str) -> Mapping[str, Handler] | None:
        """The methods of a path that is not in the table as it stands."""
        bare = path.rstrip("/")
        if bare in self.table:
            return self.table[bare]
        if bare in PUBLIC:
            return PUBLIC[bare]
        before, found, rest = bare.partition("/responses/")
        if found and before in PREFIXES:
            return ONE_RESPONSE[responses_kept.verb_of(rest)]
        if (gpu := gpu_paths.find(bare)) is not None:
            return gpu
        before, found, _ = path.partition("/models/")
        return ONE_MODEL if found and before in (*PREFIXES, *REPEATED) and bare != before + "/models" else None

    async def answer_route(self, exchange: Exchange, path: str) -> None:
        """Hands the request to one of the Starlette routes. Raises NotFound, WrongMethod."""
        scope = {**exchange.scope, "windtunnel.request_id": exchange.request_id}
        if len(path) > 1 and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/")}
        allowed: set[str] = set()
        for route in self.routes:
            match, child = route.matches(scope)
            if match is Match.FULL:
                await route.handle({**scope, **child}, exchange.receive, sender(self.services, exchange))
                return
            if match is Match.PARTIAL:
                allowed |= route.methods or set()
        if allowed:
            raise wrong_method(scope["method"], sorted(allowed))
        raise NotFound(f"There is nothing at {shown(path)}.")

    async def refuse(self, exchange: Exchange, error: GatewayError) -> None:
        """Answers with an error, or hangs up when an answer has begun already."""
        if exchange.begun:
            exchange.abort()
        else:
            await exchange.refuse(error)

    def label(self, path: str) -> str:
        """A path for the counters: one of few."""
        if path in self.table or path in PUBLIC:
            return path
        if gemini.find(path) is not None:
            return "/api/v1/gemini"
        if gpu_paths.find(path) is not None:
            return "/v1/gpu"
        return "/admin" if path.startswith("/admin/") else "other"


def request_ids() -> Iterator[str]:
    """Ids of requests: unlike any of another process, and without a system call for each."""
    ours = edge.token(14)
    return (f"req_{ours}{number:08x}" for number in count())


def wrong_method(method: str, allowed: Mapping[str, Handler] | list[str]) -> WrongMethod:
    """The 405, with what would be allowed."""
    names = ", ".join(allowed)
    return WrongMethod(f"{shown(method)} is not allowed here; {names} was due.", [(b"allow", names.encode())])


def sender(services: Services, exchange: Exchange) -> Send:
    """A `send` that gives a Starlette response what every response has."""

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            if services.membership is not None:
                await services.membership.news.settled()
            exchange.begun = True
            exchange.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", exchange.request_id.encode())]
            message = {**message, "headers": headers}
        await exchange.send(message)

    return send
