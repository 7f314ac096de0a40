"""A call for pictures, clips or sound, from its first byte to its settle: one POST, held until the work is done.

Order of the checks as for the LLM wires: key (401), body (400), tier (403), credit (402), limit (429). Who hangs up
pays nothing, and the job is called off where its vendor can; with an `Idempotency-Key` the work goes on, is charged,
and answers the same request when it comes again. Source: docs/decisions.md#media.
"""

from __future__ import annotations

import asyncio
from functools import partial

import orjson

from gateway import admission, body
from gateway.accounts import Key
from gateway.billing import Ending, Status
from gateway.errors import AllUpstreamsFailed, ClientError, GatewayBug, GatewayError
from gateway.exchange import JSON, Exchange, Stopped
from gateway.ledger.book import HoldRecord
from gateway.media.keeping import kept
from gateway.media.order import Made
from gateway.media.ticket import Endpoint, Ticket
from gateway.media.work import Work
from gateway.once import once
from gateway.services import Services
from gateway.usage import UsageRow


async def serve(services: Services, exchange: Exchange, endpoint: Endpoint) -> None:
    """Answers one call. Raises ClientError when it is not admitted."""
    key = services.key_of(exchange)
    raw = await exchange.read_body(services.config.max_body_bytes)
    ticket = endpoint.read(body.parse(raw))
    await once(services, exchange, key, raw, partial(answer, services, exchange, key, endpoint, ticket))


async def answer(
    services: Services, exchange: Exchange, key: Key, endpoint: Endpoint, ticket: Ticket
) -> tuple[Ending, int]:
    """Admits, makes, settles and answers a call: how it ended, and what it was charged in microcredits."""
    longest_s: float = getattr(services.config, endpoint.longest_option)
    hold_ms = admission.hold_ms(longest_s)
    fare = admission.Fare(ticket.model, endpoint.limit_class, ticket.bound_uc, exchange.request_id, hold_ms)
    hold, window = await admission.admit(services, key, fare)
    exchange.extra_headers += admission.rate_headers(window)
    exchange.stop.after(longest_s)
    if exchange.record is None:  # else the answer is wanted even when nobody waits for it any more
        exchange.watch()
    work = Work(services, ticket, exchange.request_id)
    work.site, work.owner = exchange.site, key.payer_id
    try:
        made, status = await run(exchange, work)
        error = made if isinstance(made, GatewayError) else None
        units = endpoint.delivered(ticket, made) if isinstance(made, Made) else 0
        ending = Ending(status, 200 if error is None and status == "succeeded" else code(status, error))
        charged_uc = await settle(services, key, exchange, endpoint, work, hold, ending, units)
        if isinstance(made, Made):
            told = endpoint.reply(ticket, made, services.clock.now_s())
            await exchange.respond(200, orjson.dumps(told), JSON)
        elif error is not None:
            await exchange.refuse(error)
    finally:
        exchange.unwatch()
    return ending, charged_uc


async def run(exchange: Exchange, work: Work) -> tuple[Made | GatewayError | None, Status]:
    """What was made or why not, whatever happens on the way; None: nobody is there to be told."""
    services = work.services
    try:
        with exchange.stop:
            made = await work.made()
            if isinstance(made, Made):
                made = delivered(work, await kept(services, work, made))
    except Stopped as stopped:
        work.abandon()
        if stopped.reason == "client_closed":
            return None, "client_closed"
        return timed_out(work), "upstream_failed"
    except asyncio.CancelledError:  # the server is ending and will not wait any longer
        work.abandon()
        return timed_out(work), "upstream_failed"
    except Exception as error:
        services.report(error, exchange)
        work.abandon()
        return GatewayBug("Something went wrong in the gateway."), "failed"
    if isinstance(made, GatewayError):
        return made, "failed" if isinstance(made, ClientError) else "upstream_failed"
    return made, "succeeded"


def delivered(work: Work, made: Made) -> Made | AllUpstreamsFailed:
    """What was made, if anything is left of it: what could not be fetched, nobody gets."""
    if made.items or made.text is not None:
        return made
    message = f"All upstreams failed for {work.ticket.requested_model}: the result could not be fetched"
    return AllUpstreamsFailed(message)


def timed_out(work: Work) -> AllUpstreamsFailed:
    """The 502 of a call whose time is over."""
    return AllUpstreamsFailed(f"All upstreams failed for {work.ticket.requested_model}: no result in time")


def code(status: Status, error: GatewayError | None) -> int:
    """What the log says of a call that did not succeed."""
    return 499 if status == "client_closed" else 500 if error is None else error.status


async def settle(
    services: Services,
    key: Key,
    exchange: Exchange,
    endpoint: Endpoint,
    work: Work,
    hold: HoldRecord,
    ending: Ending,
    units: int,
) -> int:
    """Charges what was delivered and logs it; the charge in microcredits, once that is durable."""
    ticket = work.ticket
    row = UsageRow(
        request_id=exchange.request_id,
        user_id=hold.user_id,
        key_id=key.id,
        created_at_ms=exchange.created_at_ms,
        endpoint=endpoint.endpoint,
        model=ticket.model.id,
        requested_model=ticket.requested_model,
        status=ending.status,
        status_code=ending.status_code,
        latency_ms=exchange.elapsed_ms(),
        stream=False,
        upstream=None if work.upstream is None else work.upstream.name,
        attempts=work.run.attempts,
        unit=ticket.model.unit,
        units=units,
    )
    charge_uc = units * ticket.unit_uc
    try:
        settled = await services.money.settle(hold, charge_uc=charge_uc, row=row)
    except asyncio.CancelledError:  # once more: settling twice moves nothing twice
        settled = await services.money.settle(hold, charge_uc=charge_uc, row=row)
    services.metrics.charged_uc += settled.charged_uc
    if services.log.wants("info"):
        services.log.write("info", "call", **row._asdict(), charged_uc=settled.charged_uc)
    return settled.charged_uc
