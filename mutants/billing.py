"""Calls that are charged wrongly: rates, usage, estimates, failures and hang-ups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as changed
from typing import Any

from gateway import admission, billing, edge, estimate, llm, pricing
from gateway.accounts import Key
from gateway.app import App
from gateway.attempts import Call
from gateway.billing import FREE, Bill, Ending
from gateway.exchange import Exchange
from gateway.ledger.book import Settle
from gateway.ledger.desk import Work
from gateway.ledger.money import Money
from gateway.pricing import Usage
from gateway.services import Services
from gateway.upstreams import anthropic_messages, openai_chat
from gateway.upstreams.http1 import Http1Reply
from gateway.upstreams.reading import Told
from gateway.usage import UsageRow
from mutants._patch import around, replace
from mutants.registry import mutant
from schemas.catalogue import Model


def edit_bills(edit: Callable[[Bill, Ending], Bill]) -> None:
    """Every ending is billed as `edit` makes it."""

    @around(billing, "bill")
    def bill(old: Any, ending: Ending, *rest: Any) -> Bill:
        return edit(old(ending, *rest), ending)


def edit_usage(edit: Callable[[Usage], Usage]) -> None:
    """Every usage is charged as `edit` makes it."""
    edit_bills(lambda bill, _ending: changed(bill, usage=edit(bill.usage)))


def edit_endings(edit: Callable[[Ending, Any], Ending]) -> None:
    """Every ending is billed as if it were what `edit(ending, fields)` makes of it."""

    @around(billing, "bill")
    def bill(old: Any, ending: Ending, fields: Any, *rest: Any) -> Bill:
        billed: Bill = old(edit(ending, fields), fields, *rest)
        return billed


def edit_charges(edit: Callable[[int, Any, UsageRow], int]) -> None:
    """Every settle charges what `edit(charge, hold, row)` says."""

    @around(Money, "settle")
    async def settle(old: Any, self: Money, hold: Any, *, charge_uc: int, row: UsageRow) -> Any:
        return await old(self, hold, charge_uc=edit(charge_uc, hold, row), row=row)


@mutant()
def float_money_rounding() -> None:
    """Money is kept as dollars with six decimals, which a microcredit is too small for."""

    @around(pricing, "price_uc")
    def price_uc(old: Any, model: Model, usage: Usage) -> int:
        dollars = float(old(model, usage)) / 1e8
        return round(round(dollars, 6) * 1e8)


@mutant("GD-005")
def cost_omits_output_when_reasoning() -> None:
    """Where there are reasoning tokens, they are charged instead of the output."""
    edit_usage(lambda usage: changed(usage, output_tokens=usage.reasoning_tokens or usage.output_tokens))


@mutant("GD-017")
def output_free() -> None:
    """Output is charged at a rate of 0."""
    edit_usage(lambda usage: changed(usage, output_tokens=0))


@mutant("GD-027")
def stream_vs_buffered_charge_differs() -> None:
    """A streamed call is charged nothing, though its tokens are counted."""
    edit_charges(lambda charge_uc, _hold, row: 0 if row.stream else charge_uc)


@mutant("GD-026")
def stream_cost_zero_trusted() -> None:
    """A cost of 0 inside the upstream's usage is taken for the price."""

    def free(usage: Any, told: Told) -> None:
        if isinstance(usage, dict) and usage.get("cost") == 0:
            told.input_tokens = told.output_tokens = 0

    for dialect in (openai_chat, anthropic_messages):

        @around(dialect, "read_usage")
        def read_usage(old: Any, usage: Any, told: Told, **options: bool) -> None:
            old(usage, told, **options)
            free(usage, told)


@mutant("GD-013")
def fresh_input_lost_when_cache_large() -> None:
    """Cached tokens are taken off an input that does not include them, and what falls below 0 is lost."""

    def lose(usage: Usage) -> Usage:
        cached = usage.cached_tokens + usage.cache_write_tokens
        fresh = usage.input_tokens - cached
        return changed(usage, input_tokens=max(0, fresh - cached) + cached)

    edit_usage(lose)


@mutant()
def cached_tokens_free() -> None:
    """Tokens read from the cache are not charged."""
    edit_usage(lambda usage: changed(usage, input_tokens=usage.input_tokens - usage.cached_tokens))


@mutant()
def cached_tokens_charged_twice() -> None:
    """Tokens read from or written to the cache are added to an input that includes them."""
    edit_usage(lambda u: changed(u, input_tokens=u.input_tokens + u.cached_tokens + u.cache_write_tokens))


@mutant()
def reasoning_tokens_charged_twice() -> None:
    """Reasoning tokens are added to an output that includes them."""
    edit_usage(lambda usage: changed(usage, output_tokens=usage.output_tokens + usage.reasoning_tokens))


@mutant("GD-114")
def message_delta_second_usage_row() -> None:
    """The final usage of a Messages stream is charged in a second row of its own."""

    @around(llm, "settle")
    async def settle(old: Any, services: Services, key: Key, call: Call, hold: Any, ending: Ending) -> Any:
        bill, charged_uc = await old(services, key, call, hold, ending)
        if call.wire.name == "messages" and call.wanted.stream and bill.usage.output_tokens:
            again = await admission.take_hold(services, key, llm.fare(services, call))
            output = Bill(Usage(0, bill.usage.output_tokens), estimated=False)
            row = llm.usage_row(key, call, ending, output)
            await services.money.settle(again, charge_uc=pricing.price_uc(call.model, output.usage), row=row)
        return bill, charged_uc


@mutant()
def explicit_zero_usage_estimated() -> None:
    """A usage of zero that the upstream told is taken for a missing one."""

    def untold(ending: Ending, _fields: Any) -> Ending:
        told = ending.told
        zero = told is not None and (told.input_tokens, told.output_tokens) == (0, 0)
        return changed(ending, told=Told()) if zero else ending

    edit_endings(untold)


@mutant()
def missing_usage_is_free() -> None:
    """An answer whose usage the upstream did not tell costs nothing."""
    edit_bills(lambda bill, ending: FREE if bill.estimated and ending.status == "succeeded" else bill)


@mutant()
def missing_usage_unmarked() -> None:
    """An estimated charge is not marked as estimated."""
    edit_bills(lambda bill, _ending: changed(bill, estimated=False))


@mutant()
def estimate_counts_characters() -> None:
    """An estimate counts characters where it should count bytes."""

    def characters(value: Any) -> int:
        if isinstance(value, str):
            return len(value)
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return sum(map(characters, parts))

    replace(estimate, "text_bytes", characters)


@mutant("GD-007", "GD-002")
def disconnect_mid_stream_free() -> None:
    """A client that hangs up before the terminal event pays nothing."""
    edit_bills(lambda bill, ending: FREE if ending.status == "client_closed" else bill)


@mutant()
def disconnect_charges_full_hold() -> None:
    """A client that hangs up pays the most that its call could have cost."""
    edit_charges(lambda charge_uc, hold, row: hold.amount_uc if row.status == "client_closed" else charge_uc)


@mutant("GD-001")
def abandoned_billing_random() -> None:
    """Whether a client that hangs up pays is a matter of chance."""
    edit_bills(lambda bill, ending: FREE if ending.status == "client_closed" and edge.jitter() < 0.5 else bill)


@mutant("GD-009")
def disconnect_upstream_keeps_generating() -> None:
    """That the client hung up is noticed only when the answer is over."""
    replace(Exchange, "watch", lambda _self: None)


@mutant("GD-206")
def upstream_stream_left_open_on_disconnect() -> None:
    """When the client hangs up, the upstream's stream is left to itself."""
    replace(Http1Reply, "close", lambda _self: None)


@mutant()
def disconnect_before_content_charges_answer() -> None:
    """A client that hangs up before any content pays as for a whole answer."""

    def whole(ending: Ending, _fields: Any) -> Ending:
        early = ending.status == "client_closed" and not ending.delivered_bytes
        return changed(ending, told=Told(), delivered_bytes=4000) if early else ending

    edit_endings(whole)


@mutant()
def hold_leaked_on_disconnect() -> None:
    """The hold of a client that hung up is left open."""

    @around(llm, "settle")
    async def settle(old: Any, services: Services, key: Key, call: Call, hold: Any, ending: Ending) -> Any:
        if ending.status == "client_closed":
            await services.money.record(llm.usage_row(key, call, ending, FREE))
            return FREE, 0
        return await old(services, key, call, hold, ending)


@mutant()
def upstream_death_free() -> None:
    """What was delivered before the upstream died is not charged."""
    edit_bills(lambda bill, ending: FREE if ending.status == "upstream_failed" else bill)


@mutant()
def upstream_death_charges_hold() -> None:
    """When the upstream dies in mid-answer, the whole hold is charged."""
    edit_charges(lambda uc, hold, row: hold.amount_uc if row.status == "upstream_failed" and uc else uc)


@mutant("GD-004")
def cancelled_stream_tokens_unbilled() -> None:
    """What was delivered before the gateway gave up on a silent upstream is not charged."""

    @around(llm, "run")
    async def run(old: Any, services: Services, call: Call, answer: Any) -> Ending:
        ending: Ending = await old(services, call, answer)
        if answer.error is not None and "silent" in answer.error.message:
            return changed(ending, told=None)
        return ending


@mutant("GD-014")
def hold_leaked_on_exception() -> None:
    """The hold of a call whose upstreams failed is left open."""

    @around(llm, "settle")
    async def settle(old: Any, services: Services, key: Key, call: Call, hold: Any, ending: Ending) -> Any:
        if ending.status == "upstream_failed" and ending.told is None:
            await services.money.record(llm.usage_row(key, call, ending, FREE))
            return FREE, 0
        return await old(services, key, call, hold, ending)


@mutant()
def failed_request_charged_estimate() -> None:
    """A call that failed before any content costs its estimated input."""

    def told(ending: Ending, _fields: Any) -> Ending:
        return ending if ending.told or ending.status == "failed" else changed(ending, told=Told())

    edit_endings(told)


@mutant("GD-019")
def partial_error_text_billed_as_output() -> None:
    """The text of an upstream's error is charged as output."""

    @around(llm, "settle")
    async def settle(old: Any, services: Services, key: Key, call: Call, hold: Any, ending: Ending) -> Any:
        if call.failure is not None and ending.told is None:
            ending = changed(ending, told=Told(0), delivered_bytes=len(call.failure.message))
        return await old(services, key, call, hold, ending)


@mutant()
def failed_attempts_charged() -> None:
    """Every attempt is charged as much as the one that answered."""
    edit_charges(lambda charge_uc, _hold, row: charge_uc * row.attempts)


@mutant("GD-011")
def failover_input_billed_as_cached() -> None:
    """After a failover all input is logged as read from the cache."""

    @around(llm, "usage_row")
    def usage_row(old: Any, *args: Any) -> UsageRow:
        row: UsageRow = old(*args)
        return row._replace(cached_input_tokens=row.input_tokens) if row.attempts > 1 else row


@mutant()
def only_first_choice_charged() -> None:
    """Of several answers asked for, one is charged."""

    @around(billing, "bill")
    def bill(old: Any, ending: Ending, fields: Any, *rest: Any) -> Bill:
        whole: Bill = old(ending, fields, *rest)
        share = whole.usage.output_tokens // (fields.get("n") or 1)
        return changed(whole, usage=changed(whole.usage, output_tokens=share))


async def take_fee(services: Services, key: Key, exchange: Any) -> None:
    """Counts a call against the limit and charges it a thousandth of a credit."""
    services.limiter.admit(key.user_id, "chat", key.limits["chat"], services.clock.now_s())
    hold = await services.money.hold(
        user_id=key.user_id, amount_uc=1000, minimum_uc=0, request_id=exchange.request_id, deadline_ms=2**53
    )
    await services.money._do(Work(Settle(hold.id, key.user_id, 1000)))


@mutant("GD-016")
def informational_call_consumes_quota() -> None:
    """Listing models and reading usage cost something and count against the limit."""

    @around(App, "answer")
    async def answer(old: Any, self: App, exchange: Any, path: str) -> None:
        if path.endswith(("/models", "/api-usage")):
            await take_fee(self.services, self.services.key_of(exchange), exchange)
        await old(self, exchange, path)


@mutant()
def count_tokens_charged() -> None:
    """Counting tokens costs something."""

    @around(App, "answer")
    async def answer(old: Any, self: App, exchange: Any, path: str) -> None:
        if path.endswith("/count_tokens"):
            await take_fee(self.services, self.services.key_of(exchange), exchange)
        await old(self, exchange, path)
