"""A call on one of the LLM wires, from its first byte to its settle.

Order of the checks: key (401), body (400), tier (403), credit (402), limit (429). Source: docs/decisions.md.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from gateway import admission, billing, body, estimate, pricing
from gateway.accounts import Key
from gateway.admission import Fare
from gateway.attempts import Call
from gateway.billing import Bill, Ending
from gateway.errors import AllUpstreamsFailed, GatewayBug
from gateway.exchange import Exchange, Stopped
from gateway.ledger.book import HoldRecord
from gateway.once import once
from gateway.relay import Answer, StreamAnswer, WholeAnswer
from gateway.services import Services
from gateway.upstreams.reading import Whole
from gateway.usage import UsageRow
from gateway.wires.wire import Wire


async def serve(services: Services, exchange: Exchange, wire: Wire) -> None:
    """Answers one call. Raises ClientError when it is not admitted."""
    key = services.key_of(exchange)
    call = await understand(services, exchange, wire)
    await once(services, exchange, key, call.raw, partial(answer, services, key, call))


async def understand(services: Services, exchange: Exchange, wire: Wire) -> Call:
    """Reads and checks the request. Raises InvalidRequest, BodyTooLarge."""
    raw = await exchange.read_body(services.config.max_body_bytes)
    fields = body.parse(raw)
    wire = wire.chosen(fields)
    name = wire.model_of(fields)
    model = admission.find_model(name, wire)
    admission.check_served(services, model, wire)
    if wire.looks_up:
        await wire.look_up(fields)
    return Call(services, exchange, wire, model, name, fields, raw, wire.check(fields))


async def answer(services: Services, key: Key, call: Call) -> tuple[Ending, int]:
    """Admits, makes, settles and answers a call: how it ended, and what it was charged in microcredits."""
    exchange = call.exchange
    hold, window = await admission.admit(services, key, fare(services, call))
    exchange.extra_headers += admission.rate_headers(window)
    watch(services, exchange)
    try:
        work = StreamAnswer(call) if call.wanted.stream else WholeAnswer(call)
        ending = await run(services, call, work)
        bill, charged_uc = await settle(services, key, call, hold, ending)
        if call.wire.looks_up:
            await call.wire.noted()
        await work.finish(ending, bill)
    finally:
        exchange.unwatch()
        call.close()
    return ending, charged_uc


def fare(services: Services, call: Call) -> Fare:
    """The most that a call may cost, and which hour it counts against."""
    wanted, model = call.wanted, call.model
    input_bound = wanted.prior_tokens + estimate.input_bound(call.raw, call.fields)
    bound_uc = pricing.hold_uc(model, input_bound, estimate.output_bound(wanted.limit, wanted.answers, model))
    hold_ms = admission.hold_ms(services.config.total_timeout_s)
    return Fare(model, call.wire.limit_class, bound_uc, call.exchange.request_id, hold_ms)


def watch(services: Services, exchange: Exchange) -> None:
    """From now on the call's time is bounded, and a hang-up is noticed."""
    exchange.stop.after(services.config.total_timeout_s)
    exchange.watch()


async def run(services: Services, call: Call, work: Answer) -> Ending:
    """The answer's ending, whatever happens on the way."""
    try:
        with call.exchange.stop:
            return await work.run()
    except Stopped as stopped:
        return work.stopped(stopped.reason)
    except asyncio.CancelledError:  # the server is ending and will not wait any longer
        return work.stopped("timeout")
    except Exception as error:
        services.report(error, call.exchange)
        call.abandon()
        work.error = GatewayBug("Something went wrong in the gateway.")
        return Ending("failed", 500)


async def settle(services: Services, key: Key, call: Call, hold: HoldRecord, ending: Ending) -> tuple[Bill, int]:
    """Charges what the ending costs and logs it; the bill and the charge in microcredits, once that is durable."""
    bill = billing.bill(ending, call.fields, call.wanted.prior_tokens)
    price_uc = pricing.price_uc(call.model, bill.usage)
    row = usage_row(key, call, ending, bill)
    try:
        settled = await services.money.settle(hold, charge_uc=price_uc, row=row)
    except asyncio.CancelledError:  # once more: settling twice moves nothing twice
        settled = await services.money.settle(hold, charge_uc=price_uc, row=row)
    services.metrics.charged_uc += settled.charged_uc
    services.metrics.tokens["input"] += bill.usage.input_tokens
    services.metrics.tokens["output"] += bill.usage.output_tokens
    if services.tracing is not None:
        services.tracing.note(traced(row, settled.charged_uc))
    if services.log.wants("info"):
        services.log.write("info", "call", **call_facts(row, settled.charged_uc))
    return bill, settled.charged_uc


def usage_row(key: Key, call: Call, ending: Ending, bill: Bill) -> UsageRow:
    """The log row of a call."""
    exchange, usage = call.exchange, bill.usage
    return UsageRow(
        request_id=exchange.request_id,
        user_id=key.payer_id,
        key_id=key.id,
        created_at_ms=exchange.created_at_ms,
        endpoint=call.wire.endpoint,
        model=call.model.id,
        requested_model=call.requested_model,
        status=ending.status,
        status_code=ending.status_code,
        latency_ms=exchange.elapsed_ms(),
        stream=call.wanted.stream,
        upstream=None if call.upstream is None else call.upstream.name,
        ttft_ms=call.ttft_ms,
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        estimated=bill.estimated,
        attempts=call.run.attempts,
    )


def traced(row: UsageRow, charged_uc: int) -> dict[str, Any]:
    """A log row for the span of its request."""
    return {
        "gen_ai.request.model": row.model,
        "gen_ai.usage.input_tokens": row.input_tokens,
        "gen_ai.usage.output_tokens": row.output_tokens,
        "windtunnel.upstream": row.upstream,
        "windtunnel.attempts": row.attempts,
        "windtunnel.charged_uc": charged_uc,
    }


def call_facts(row: UsageRow, charged_uc: int) -> dict[str, Any]:
    """A log row for the structured log."""
    return {**row._asdict(), "charged_uc": charged_uc}


async def serve_free(services: Services, exchange: Exchange, wire: Wire) -> None:
    """Answers a call that costs nothing and counts against no limit. Raises ClientError, AllUpstreamsFailed."""
    services.key_of(exchange)
    call = await understand(services, exchange, wire)
    watch(services, exchange)
    try:
        with exchange.stop:
            whole = await ask_free(call)
    except Stopped as stopped:
        call.abandon()
        if stopped.reason == "client_closed":
            return
        raise AllUpstreamsFailed(f"All upstreams failed for {call.requested_model}: no answer in time") from None
    finally:
        exchange.unwatch()
        call.close()
    await exchange.respond(200, whole.body)


async def ask_free(call: Call) -> Whole:
    """The first good answer of the chain."""
    work = WholeAnswer(call)
    await work.run()
    if work.error is not None:
        raise work.error
    return Whole(work.body, call.told, 0)
