"""What can be asked of a response that an upstream keeps: itself, its input, that it be cancelled or deleted.

Each goes to the upstream that keeps it, for the user who made it alone, free of charge.
Source: wire reference, 2.1; docs/decisions.md#kept-responses.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

import orjson

from gateway import attempts, edge, llm
from gateway.chain import Failure, Run, Verdict
from gateway.config import Upstream
from gateway.errors import AllUpstreamsFailed, GatewayError, InvalidRequest, NotFound, shown
from gateway.exchange import Exchange, Stopped
from gateway.kept_responses import Kept, KeptResponses
from gateway.services import Services
from gateway.upstreams import openai_chat, openai_responses, problems
from gateway.upstreams.transport import Request, TransportError, read_all

QUERY: Final = frozenset({"include", "include[]", "after", "before", "limit", "order"})
FIELDS_MAX: Final = 100  # of a query
MISSING: Final = 404


class Asking:
    """One request about one kept response."""

    def __init__(self, services: Services, exchange: Exchange, known: KeptResponses) -> None:
        """Raises Unauthenticated, NotFound, InvalidRequest."""
        self.services = services
        self.exchange = exchange
        self.method: str = exchange.scope["method"]
        rest = exchange.scope["path"].rstrip("/").partition("/responses/")[2]
        verb = verb_of(rest)
        self.response_id: str = rest.removesuffix(verb)
        self.kept = self.find(known)
        self.upstream = services.config.upstreams[self.kept.upstream]
        self.below = quote(self.response_id, safe="") + verb
        self.query = passed_on(exchange.query)

    def find(self, known: KeptResponses) -> Kept:
        """The response, which must be the caller's. Raises Unauthenticated, NotFound."""
        user_id = self.services.key_of(self.exchange).user_id
        kept = known.find(self.response_id, user_id, self.services.clock.now_s())
        if kept is None or kept.upstream not in self.services.config.upstreams:
            raise missing(self.response_id)
        return kept

    async def forget(self) -> None:
        """It is there no longer."""
        if self.services.shared is None:
            self.services.kept_responses.forget(self.response_id)
        else:
            await self.services.shared.responses.forget(self.response_id)

    async def ask(self) -> bytes:
        """The upstream's answer. What only reads is tried again. Raises GatewayError."""
        policy = self.services.policy
        run = Run([self.upstream.name], policy)
        step = run.first()
        failure: Failure | None = None
        while step is not None:
            if step.wait_s:
                await edge.sleep(step.wait_s)
            answer = await self.attempt(self.upstream)
            if not isinstance(answer, Failure):
                return answer
            failure = answer
            step = run.after(failure, edge.jitter()) if self.method == "GET" else None
        if failure is not None and failure.status == MISSING:
            await self.forget()
            raise missing(self.response_id)
        raise self.error(failure)

    async def attempt(self, upstream: Upstream) -> bytes | Failure:
        """One attempt."""
        services = self.services
        services.metrics.attempts[upstream.name] += 1
        url = f"{upstream.base_url}{openai_responses.PATH}/{self.below}{self.query}"
        request = Request(url, openai_chat.headers(upstream.key, {}), b"", self.method, once=True)
        config = services.config
        try:
            reply = await services.transport.send(request, config.connect_timeout_s, config.first_byte_timeout_s)
        except TransportError as error:
            return self.failed(problems.broken(error.message))
        try:
            if 200 <= reply.status < 300:
                body = await read_all(reply, config.idle_timeout_s)
                return body if is_object(body) else self.failed(problems.broken("the upstream's reply is not JSON"))
            body = await attempts.error_body(reply)
        except TransportError as error:
            return self.failed(problems.broken(error.message))
        finally:
            reply.close()
        return self.failed(problems.http_failure(reply.status, reply.headers, body, services.clock.now_ms() / 1000))

    def failed(self, failure: Failure) -> Failure:
        """The failure, counted unless it is the request's."""
        if failure.verdict is not Verdict.STOP:
            self.services.metrics.failures[self.upstream.name] += 1
        return failure

    def error(self, failure: Failure | None) -> GatewayError:
        """The error the caller sees."""
        return attempts.failed(shown(self.response_id), failure, self.services.secrets)


def is_object(body: bytes) -> bool:
    """Whether a body is a JSON object."""
    try:
        return isinstance(orjson.loads(body), dict)
    except ValueError:
        return False


def missing(response_id: str) -> NotFound:
    """The 404 of a response that is unknown, forgotten, or another user's."""
    return NotFound(f"Response with id '{shown(response_id)}' not found.")


def passed_on(query: bytes) -> str:
    """The query for the upstream: what it knows, and never a key. Raises InvalidRequest."""
    try:
        fields = parse_qsl(query.decode("latin-1"), max_num_fields=FIELDS_MAX)
    except ValueError:
        raise InvalidRequest(f"The query has over {FIELDS_MAX} fields.") from None
    if dict(fields).get("stream", "false").lower() not in ("false", "0"):
        raise InvalidRequest("A kept response is not streamed again; ask for it without `stream`.")
    known = [(name, value) for name, value in fields if name in QUERY]
    return f"?{urlencode(known)}" if known else ""


def verb_of(rest: str) -> str:
    """What is asked of a response, by what follows `/responses/` in the path; "" for the response itself."""
    _, slash, last = rest.rpartition("/")
    return slash + last if slash + last in METHODS else ""


async def known(services: Services, exchange: Exchange) -> KeptResponses:
    """What is known of the response that is asked for. Raises Unauthenticated, Unavailable."""
    if services.shared is None:
        return services.kept_responses
    services.key_of(exchange)
    rest = exchange.scope["path"].rstrip("/").partition("/responses/")[2]
    return await services.shared.responses.look([rest.removesuffix(verb_of(rest))])


async def serve(services: Services, exchange: Exchange) -> None:
    """Answers one request. Raises GatewayError."""
    asking = Asking(services, exchange, await known(services, exchange))
    llm.watch(services, exchange)
    try:
        with exchange.stop:
            body = await asking.ask()
    except Stopped as stopped:
        if stopped.reason == "client_closed":
            return
        raise AllUpstreamsFailed(f"All upstreams failed for {shown(asking.response_id)}: no answer in time") from None
    finally:
        exchange.unwatch()
    if asking.method == "DELETE":
        await asking.forget()
    await exchange.respond(200, body)


METHODS: Final[Mapping[str, Mapping[str, Callable[[Services, Exchange], Awaitable[None]]]]] = {
    "": {"GET": serve, "DELETE": serve},
    "/cancel": {"POST": serve},
    "/input_items": {"GET": serve},
}
