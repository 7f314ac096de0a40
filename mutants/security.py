"""What passes between caller and upstream, and should not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace as changed
from typing import Any, Final
from urllib.parse import unquote

from gateway import auth
from gateway.accounts import Accounts, Key
from gateway.attempts import Call
from gateway.auth import bearer
from gateway.chain import Failure, Step
from gateway.endpoints import admin
from gateway.endpoints.admin import Admin, Handler
from gateway.upstreams import anthropic_messages
from gateway.upstreams.transport import Reply, Request
from mutants._patch import around, replace
from mutants.registry import mutant
from schemas import catalogue
from schemas.catalogue import Model

ORIGIN: Final = (b"x-forwarded-for", b"x-real-ip", b"forwarded", b"via", b"cf-connecting-ip", b"true-client-ip")
FRAMING: Final = ("content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "date")


def edit_calls(edit: Callable[[Call, Request], Request]) -> None:
    """Every request to an upstream goes out as `edit` makes it."""

    @around(Call, "request")
    def request(old: Any, self: Call, upstream: Any) -> Request:
        return edit(self, old(self, upstream))


def pass_on(names: Callable[[Call], Iterable[bytes]]) -> None:
    """Some of the caller's headers go on to the upstream."""

    def edit(call: Call, request: Request) -> Request:
        known = call.exchange.headers
        more = [(name.decode(), known[name].decode("latin-1")) for name in names(call) if name in known]
        return changed(request, headers=[*request.headers, *more])

    edit_calls(edit)


@mutant()
def client_key_forwarded() -> None:
    """The caller's key goes on to the upstream, in a header of its own."""

    def edit(call: Call, request: Request) -> Request:
        secret = auth.secret(call.exchange.headers, call.exchange.query) or ""
        return changed(request, headers=[*request.headers, ("x-client-key", secret)])

    edit_calls(edit)


@mutant()
def upstream_credential_in_two_forms() -> None:
    """Upstreams get the gateway's key in the form of both wires."""

    def edit(call: Call, request: Request) -> Request:
        names = {name for name, _ in request.headers}
        key = call.upstream.key if call.upstream is not None else ""
        more = ("x-api-key", key) if "authorization" in names else ("authorization", f"Bearer {key}")
        return changed(request, headers=[*request.headers, more])

    edit_calls(edit)


@mutant("GD-147")
def query_key_forwarded_upstream() -> None:
    """The caller's query goes on to the upstream, with the key in it."""

    def edit(call: Call, request: Request) -> Request:
        query = call.exchange.query.decode("latin-1")
        return changed(request, url=f"{request.url}?{query}") if query else request

    edit_calls(edit)


@mutant("GD-195")
def origin_ip_forwarded_upstream() -> None:
    """Headers that tell where the caller is go on to the upstream."""
    pass_on(lambda _call: ORIGIN)


@mutant("GD-193")
def hop_by_hop_forwarded() -> None:
    """Headers that are for the next hop alone go on to the upstream."""

    def hops(call: Call) -> list[bytes]:
        named = call.exchange.headers.get(b"connection", b"").split(b",")
        return [b"te", b"trailer", *(name.strip() for name in named if name.strip() not in (b"keep-alive", b"close"))]

    pass_on(hops)


@mutant("GD-192")
def crlf_in_forwarded_header() -> None:
    """Percent-encoded characters in anthropic-beta are decoded: a line break makes a new header."""
    replace(anthropic_messages, "beta_names", lambda value: [unquote(value.decode("latin-1"))] if value else [])


@mutant("GD-194")
def caller_host_forwarded() -> None:
    """The Host header of the caller's choice is passed on to the upstream as the address it came for."""

    def edit(call: Call, request: Request) -> Request:
        host = call.exchange.headers.get(b"host", b"").decode("latin-1")
        return changed(request, headers=[*request.headers, ("x-forwarded-host", host)])

    edit_calls(edit)


@mutant("GD-196")
def upstream_headers_forwarded() -> None:
    """The headers of an upstream's reply reach the client, those of the gateway's account among them."""

    @around(Call, "open")
    async def open_(old: Any, self: Call, step: Step) -> Reply | Failure:
        reply: Reply | Failure = await old(self, step)
        if not isinstance(reply, Failure):
            told = {name: value for name, value in reply.headers.items() if name not in FRAMING}
            self.exchange.extra_headers += [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
        return reply


@mutant("GD-197")
def resource_id_path_traversal() -> None:
    """A model id may go on as a path: what stands behind it is not looked at."""

    @around(catalogue, "find")
    def find(old: Any, name: str) -> Model | None:
        model: Model | None = old(name.partition("/")[0])
        return model


@mutant()
def admin_open_to_all() -> None:
    """Provisioning asks for no token."""
    replace(Admin, "guarded", lambda _self, handler: handler)


@mutant()
def admin_takes_user_keys() -> None:
    """Provisioning takes any caller's key for its token."""

    @around(Admin, "guarded")
    def guarded(old: Any, self: Admin, handler: Handler) -> Handler:
        closed: Handler = old(self, handler)

        async def guard(request: Any) -> Any:
            secret = bearer(dict(request.scope["headers"])) or ""
            return await (closed if self._accounts.find(secret) is None else handler)(request)

        return guard


@mutant("GD-145")
def keys_listed_in_full() -> None:
    """Whoever lists a user's keys sees them whole."""
    secrets: dict[str, str] = {}

    @around(Accounts, "create_key")
    async def create_key(old: Any, self: Accounts, *args: Any, **options: Any) -> tuple[Key, str]:
        key, secret = await old(self, *args, **options)
        secrets[key.id] = secret
        return key, secret

    @around(admin, "_key_view")
    def key_view(old: Any, key: Key) -> dict[str, Any]:
        return {**old(key), "key": secrets.get(key.id)}
