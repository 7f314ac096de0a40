"""Refusals in the wrong form, for the wrong reason, or that tell too much."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

from gateway import admission, app, body, errors, llm, pricing, scrub
from gateway.app import App
from gateway.attempts import Call
from gateway.errors import GatewayBug, GatewayError, InvalidRequest, NoCredit, NotFound, render
from gateway.exchange import Exchange
from gateway.server import Protocol
from gateway.services import Services
from gateway.upstreams import problems
from gateway.wires import chat, messages
from mutants._patch import around, edit_heads, replace
from mutants.registry import mutant

LARGE_BYTES: Final = 8 * 1024 * 1024


def stumble_on(is_bad: Callable[[Exchange, bytes], bool]) -> None:
    """Some requests are met with a 500."""

    @around(Exchange, "read_body")
    async def read_body(old: Any, self: Exchange, limit: int) -> bytes:
        raw: bytes = await old(self, limit)
        if is_bad(self, raw):
            raise GatewayBug("Something went wrong in the gateway.")
        return raw


def refuse_as(content_type: bytes, make: Callable[[Exchange, GatewayError], bytes | None]) -> None:
    """Refusals of which `make` makes a body go out as that, under another content type."""

    @around(Exchange, "refuse")
    async def refuse(old: Any, self: Exchange, error: GatewayError) -> None:
        if (content := make(self, error)) is None:
            await old(self, error)
            return
        self.extra_headers += error.headers
        await self.respond(error.status, content, content_type)


@mutant()
def error_body_has_code() -> None:
    """The error object has a member `code` besides."""

    @around(errors, "body")
    def error(old: Any, type_: str, message: str) -> dict[str, Any]:
        return {"error": {**old(type_, message)["error"], "code": None}}


@mutant()
def error_body_native_to_wire() -> None:
    """Errors on the Messages endpoint have the form of Anthropic's own API."""

    def native(exchange: Exchange, error: GatewayError) -> bytes | None:
        ours = render(error)
        return b'{"type":"error",' + ours[1:] if exchange.scope["path"].endswith("/messages") else None

    refuse_as(b"application/json", native)


@mutant("GD-149")
def error_under_html_type() -> None:
    """Errors go out as text/html."""
    refuse_as(b"text/html", lambda _exchange, error: render(error))


@mutant()
def unknown_path_is_html() -> None:
    """An unknown path is answered with a web page."""
    page = b"<html><body><h1>404 Not Found</h1></body></html>"
    refuse_as(b"text/html", lambda _exchange, error: page if isinstance(error, NotFound) else None)


@mutant()
def wrong_method_is_server_error() -> None:
    """A method that a path does not have makes the gateway stumble."""
    replace(app, "wrong_method", lambda *_args: GatewayBug("unexpected method"))


@mutant()
def missing_model_defaulted() -> None:
    """A request without a model is sent to one of the gateway's choice."""

    @around(body, "model_name")
    def model_name(old: Any, fields: dict[str, Any]) -> str:
        fields.setdefault("model", "gpt-5.5" if "max_tokens" not in fields else "claude-haiku-4-5")
        name: str = old(fields)
        return name


@mutant()
def bad_json_is_server_error() -> None:
    """A body that is no JSON makes the gateway stumble."""

    @around(body, "parse")
    def parse(old: Any, raw: bytes) -> dict[str, Any]:
        try:
            fields: dict[str, Any] = old(raw)
        except InvalidRequest as error:
            raise GatewayBug(error.message) from None
        return fields


@mutant()
def wrong_type_is_server_error() -> None:
    """A number of the wrong type or out of range makes the gateway stumble."""
    for endpoint in (chat, messages):

        @around(endpoint, "whole_number")
        def whole_number(old: Any, *args: Any) -> int | None:
            try:
                number: int | None = old(*args)
            except InvalidRequest as error:
                raise GatewayBug(error.message) from None
            return number


@mutant()
def large_body_is_server_error() -> None:
    """A body over eight megabytes makes the gateway stumble."""
    stumble_on(lambda _exchange, raw: len(raw) > LARGE_BYTES)


@mutant()
def deep_json_is_server_error() -> None:
    """JSON that is nested deeply makes the gateway stumble."""
    stumble_on(lambda _exchange, raw: max(raw.count(b"["), raw.count(b"{")) > 10_000)


@mutant()
def content_type_is_server_error() -> None:
    """A body that is not announced as JSON makes the gateway stumble."""
    stumble_on(lambda exchange, _raw: not exchange.headers.get(b"content-type", b"").startswith(b"application/json"))


@mutant()
def header_garbage_is_server_error() -> None:
    """What is no HTTP is answered with a 500."""

    def send_500_response(self: Protocol, _msg: str) -> None:
        self.transport.write(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()

    replace(Protocol, "send_400_response", send_500_response)


@mutant("GD-155")
def upstream_5xx_body_forwarded_verbatim() -> None:
    """An upstream's message is passed on as it is."""
    replace(scrub, "message", lambda text, _secrets=(): text)


@mutant("GD-153")
def raw_html_error_to_client() -> None:
    """The web page that an upstream sends instead of an error is taken for its message."""
    replace(problems, "default_message", lambda _status, page: page.decode("utf-8", "replace"))


@mutant()
def error_leaks_upstream_url() -> None:
    """The error tells which URL failed."""

    @around(Call, "error")
    def error(old: Any, self: Call) -> GatewayError:
        found: GatewayError = old(self)
        if self.upstream is not None:
            found.message += f" ({self.upstream.base_url})"
        return found


@mutant()
def request_id_missing() -> None:
    """Replies bear no x-request-id."""
    edit_heads(lambda headers: [pair for pair in headers if pair[0] != b"x-request-id"])


@mutant()
def request_id_repeated() -> None:
    """All replies of a process bear the same x-request-id."""
    replace(app, "request_ids", lambda: itertools.repeat("req_0000000000000000000000"))


@mutant()
def balance_judged_before_body() -> None:
    """Who has no money is told so before a bad body is complained of."""

    @around(llm, "understand")
    async def understand(old: Any, services: Services, exchange: Exchange, wire: Any) -> Call:
        balance = await services.money.balance(services.key_of(exchange).user_id)
        if balance.available_uc < pricing.MINIMUM_BALANCE_UC:
            raise admission.no_credit(balance.available_uc, pricing.MINIMUM_BALANCE_UC)
        call: Call = await old(services, exchange, wire)
        return call


@mutant("GD-056")
def insufficient_credits_type_wrong() -> None:
    """That money is missing is told as a limit that was reached."""
    replace(NoCredit, "type", "spending_limit_error")


@mutant()
def unknown_query_refused() -> None:
    """A query that the gateway does not know is an error."""

    @around(App, "answer")
    async def answer(old: Any, self: App, exchange: Exchange, path: str) -> None:
        if b"beta=" in exchange.query:
            raise InvalidRequest("The query has an unknown parameter.")
        await old(self, exchange, path)
