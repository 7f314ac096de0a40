"""One admitted call and its attempts: asks one target after another until one answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gateway import chain, edge, scrub
from gateway.billing import Ending
from gateway.breaker import Breaker
from gateway.chain import Failure, Step, Verdict
from gateway.config import Upstream
from gateway.errors import AllUpstreamsFailed, BodyTooLarge, ClientError, GatewayError, InvalidRequest
from gateway.speeches import Speeches
from gateway.translation.prompt import Untranslatable
from gateway.upstreams import problems
from gateway.upstreams.reading import Told, Whole
from gateway.upstreams.transport import Reply, Request, TransportError, read_all
from gateway.wires.wire import Wanted, Wire
from schemas.catalogue import Model

if TYPE_CHECKING:
    from gateway.exchange import Exchange
    from gateway.services import Services

ERROR_BODY_S = 5.0  # what an upstream may take to send the body of an error


class Call:
    """Everything known about one call, from its admission to its settle."""

    __slots__ = (
        "asked",
        "breaker",
        "delivered_bytes",
        "exchange",
        "failure",
        "fields",
        "model",
        "raw",
        "reply",
        "requested_model",
        "run",
        "services",
        "speech",
        "speeches",
        "told",
        "ttft_ms",
        "upstream",
        "upstreams",
        "wanted",
        "wire",
    )  # fmt: skip

    def __init__(
        self,
        services: Services,
        exchange: Exchange,
        wire: Wire,
        model: Model,
        requested_model: str,
        fields: Mapping[str, Any],
        raw: bytes,
        wanted: Wanted,
    ) -> None:
        self.services = services
        self.exchange = exchange
        self.wire = wire
        self.model = model
        self.requested_model = requested_model
        self.fields = fields
        self.raw = raw
        self.wanted = wanted
        self.upstreams = services.chain_of(model.id)
        self.speeches = Speeches(wire, model, services.route_of(model.id, wire), fields, raw, wanted, services.clock)
        self.speech = self.speeches.own  # of the present attempt, or the last
        self.run = chain.Run(self.speeches.targets(), services.policy, self.allows)
        self.upstream: Upstream | None = None  # of the present attempt, or the last
        self.breaker: Breaker | None = None  # of the present attempt, while it has no verdict
        self.reply: Reply | None = None
        self.asked = False  # an upstream has been sent the request and has not refused it
        self.failure: Failure | None = None
        self.told = Told()
        self.delivered_bytes = 0
        self.ttft_ms: int | None = None

    def first(self) -> Step | None:
        """The first attempt."""
        return self.run.first()

    def after(self, failure: Failure) -> Step | None:
        """Closes a failed attempt and gives the next one; None when the call has failed."""
        self.failure = failure
        self.lost(failure)
        if failure.flaw is not None and self.speech.mend(failure.flaw):
            return self.run.again()
        return self.run.after(failure, edge.jitter())

    def allows(self, target: str) -> bool:
        """Whether the target's breaker lets an attempt through, and the call can be put in its dialect."""
        return allows(self.services, self.model.id, target) and self.speeches.fits(target)

    async def open(self, step: Step) -> Reply | Failure:
        """Sends the request of an attempt: the reply once the head of a success has come, or the failure."""
        services = self.services
        speech = self.speeches.to(step.target)
        if isinstance(speech, Untranslatable):  # tried all the same, because every breaker is open
            return self.failure or Failure(Verdict.NEXT, str(speech))
        self.speech = speech
        upstream = self.upstream = self.upstreams[step.target]
        self.breaker = services.breakers.of(upstream.name, self.model.id)
        self.breaker.begin(services.clock.monotonic())
        services.metrics.attempts[upstream.name] += 1
        config = services.config
        self.asked = True
        try:
            reply = await self.send(upstream, config.connect_timeout_s, config.first_byte_timeout_s)
        except TransportError as error:
            return Failure(Verdict.RETRY, error.message)
        self.reply = reply
        if 200 <= reply.status < 300:
            return reply
        body = await error_body(reply)
        return problems.http_failure(reply.status, reply.headers, body, services.clock.now_ms() / 1000)

    async def send(self, upstream: Upstream, connect_s: float, first_byte_s: float) -> Reply:
        """Sends the request, traced where that is configured. Raises TransportError."""
        transport, tracing, request = self.services.transport, self.services.tracing, self.request(upstream)
        if tracing is None:
            return await transport.send(request, connect_s, first_byte_s)
        with tracing.attempt(upstream.name, self.model.id, request.url) as headers:
            reply = await transport.send(
                replace(request, headers=[*request.headers, *headers]), connect_s, first_byte_s
            )
            tracing.note({"http.response.status_code": reply.status})
            return reply

    def request(self, upstream: Upstream) -> Request:
        """The request for one upstream."""
        return self.speech.request(upstream, self.model.id, self.exchange.headers)

    async def whole(self, step: Step) -> Whole | Failure:
        """One attempt at an answer that is not a stream."""
        reply = await self.open(step)
        if isinstance(reply, Failure):
            return reply
        try:
            body = await read_all(reply, self.services.config.idle_timeout_s)
        except TransportError as error:
            return problems.broken(error.message)
        return self.speech.whole(body)

    def won(self) -> None:
        """The present attempt gave its answer."""
        if self.breaker is not None:
            self.breaker.succeed()
            self.breaker = None
        if self.upstream is not None:
            self.speech.won(self.upstream.name)

    def lost(self, failure: Failure) -> None:
        """The present attempt failed."""
        self.close()
        self.asked = False
        if self.breaker is None:
            return
        if failure.verdict is Verdict.STOP:
            self.breaker.succeed()
        else:
            self.services.metrics.failures[self.upstream.name if self.upstream else ""] += 1
            self.breaker.fail(self.services.clock.monotonic(), failure.retry_after_s)
        self.breaker = None

    def close(self) -> None:
        """Lets go of the upstream: it sees the connection close unless its answer was read to the end."""
        if self.reply is not None:
            self.reply.close()
            self.reply = None

    def abandon(self) -> None:
        """Ends the present attempt without a verdict on its target."""
        self.close()
        if self.breaker is not None:
            self.breaker.give_up()
            self.breaker = None

    def error(self) -> GatewayError:
        """The error of a call whose attempts have failed."""
        return failed(self.requested_model, self.failure, self.secrets())

    def safe(self, message: str) -> str:
        """A message of an upstream, fit for the caller."""
        return scrub.message(message, self.secrets())

    def secrets(self) -> Sequence[str]:
        """What no message may hold: the keys and the addresses of all upstreams."""
        return self.services.secrets

    def ending(self, error: GatewayError) -> Ending:
        """The (free) ending of a call that failed before any content."""
        return Ending("failed" if isinstance(error, ClientError) else "upstream_failed", error.status)


def allows(services: Services, model_id: str, target: str) -> bool:
    """Whether the target's breaker lets an attempt through."""
    breaker = services.breakers.of(target, model_id)
    return breaker.open_until is None or breaker.allows(services.clock.monotonic())


def failed(model: str, failure: Failure | None, secrets: Sequence[str]) -> GatewayError:
    """The error the caller sees: a refusal of the request itself is passed on, everything else is a 502."""
    if failure is None:
        return AllUpstreamsFailed(f"All upstreams failed for {model}: there is none")
    message = scrub.message(failure.message, secrets)
    if failure.verdict is Verdict.STOP:
        return BodyTooLarge(message) if failure.status == 413 else InvalidRequest(message)
    headers = []
    if failure.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, -int(-failure.retry_after_s // 1))))
    return AllUpstreamsFailed(f"All upstreams failed for {model}: {message}", headers)


async def error_body(reply: Reply) -> bytes:
    """As much of an error's body as comes soon; the message is worth little waiting."""
    pieces: list[bytes] = []
    size = 0
    with suppress(TimeoutError, TransportError):
        while size < problems.BODY_BYTES_READ and (piece := await reply.read(ERROR_BODY_S)):
            pieces.append(piece)
            size += len(piece)
    return b"".join(pieces)
