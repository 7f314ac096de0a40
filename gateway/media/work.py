"""One order on its way along the chain: which vendor is asked next, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway import chain, edge
from gateway.attempts import allows, failed
from gateway.breaker import Breaker
from gateway.chain import Failure, Step, Verdict
from gateway.config import Upstream
from gateway.errors import ClientError, GatewayError
from gateway.media.line import lead
from gateway.media.order import Made, Order
from gateway.media.references import References
from gateway.media.steps import Choosy, Failed, Vendor
from gateway.media.ticket import Ticket
from gateway.upstreams.media import VENDORS

if TYPE_CHECKING:
    from gateway.services import Services


class Work:
    """The attempts at one order."""

    def __init__(self, services: Services, ticket: Ticket, request_id: str) -> None:
        self.services = services
        self.ticket = ticket
        self.order = replace(ticket.order, request_id=request_id)
        self.site = ""  # of the gateway, as its caller reached it
        self.owner = ""  # of what is kept
        self.references = References(services)
        self.targets = targets_of(services, ticket)
        self.run = chain.Run([*self.targets], services.policy, partial(allows, services, ticket.model.id))
        self.upstream: Upstream | None = None  # of the present attempt, or the last
        self.breaker: Breaker | None = None  # of the present attempt, while it has no verdict
        self.failure: Failure | None = None

    async def made(self) -> Made | GatewayError:
        """What the first vendor that succeeds has made, or the error of the last. Raises Stopped."""
        step = self.run.first()
        while step is not None:
            if step.wait_s:
                await edge.sleep(step.wait_s)
            try:
                made = await self.attempt(step)
            except Failed as error:
                self.failure = error.failure
                self.lost(error.failure)
                step = self.run.after(error.failure, edge.jitter())
            except ClientError as error:
                return error
            else:
                self.won()
                return made
        return failed(self.ticket.requested_model, self.failure, self.services.secrets)

    async def attempt(self, step: Step) -> Made:
        """One vendor's work. Raises Failed; ClientError where what the request refers to cannot be had."""
        services = self.services
        upstream, vendor = self.targets[step.target]
        order = await self.references.ready(self.order, vendor)
        self.upstream = upstream
        self.breaker = services.breakers.of(upstream.name, self.ticket.model.id)
        self.breaker.begin(services.clock.monotonic())
        services.metrics.attempts[upstream.name] += 1
        at_s = services.clock.now_ms() / 1000
        order = replace(order, model=upstream.model(self.ticket.model.id), at_s=at_s)
        parts = parted(order, vendor.most_at_once)
        if len(parts) == 1:
            return await lead(services, vendor.make(order, upstream))
        try:
            return joined(await together([self.stubborn(part, vendor, upstream) for part in parts]))
        except Failed as error:
            raise Failed(chain.spent(error.failure), leaves_job=error.leaves_job) from None

    async def stubborn(self, part: Order, vendor: Vendor, upstream: Upstream) -> Made:
        """One of several parts of an order, retried by itself: the call does not fail with it. Raises Failed."""
        policy = self.services.policy
        tries = 1
        while True:
            try:
                return await lead(self.services, vendor.make(part, upstream))
            except Failed as error:
                if not chain.may_retry(policy, error.failure, tries):
                    raise
                await edge.sleep(chain.wait_s(policy, error.failure, tries, edge.jitter()))
                tries += 1

    def won(self) -> None:
        """The present attempt gave its answer."""
        if self.breaker is not None:
            self.breaker.succeed()
            self.breaker = None

    def lost(self, failure: Failure) -> None:
        """The present attempt failed."""
        breaker, self.breaker = self.breaker, None
        if breaker is None:
            return
        if failure.verdict is Verdict.STOP:
            breaker.succeed()
        else:
            self.services.metrics.failures[self.upstream.name if self.upstream else ""] += 1
            breaker.fail(self.services.clock.monotonic(), failure.retry_after_s)

    def abandon(self) -> None:
        """Ends the present attempt without a verdict on its target."""
        if self.breaker is not None:
            self.breaker.give_up()
            self.breaker = None


def parted(order: Order, most: int) -> list[Order]:
    """An order as several, none of them for more pictures than the vendor makes at once."""
    whole, rest = divmod(order.count, most)
    return [replace(order, count=count) for count in (*[most] * whole, *([rest] if rest else []))]


async def together(parts: Sequence[Coroutine[Any, Any, Made]]) -> list[Made | Failure]:
    """What came of orders that were made side by side. When one is cut short, all are."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(outcome(part)) for part in parts]
    return [task.result() for task in tasks]


async def outcome(part: Coroutine[Any, Any, Made]) -> Made | Failure:
    """What came of one order."""
    try:
        return await part
    except Failed as error:
        return error.failure


def joined(outcomes: Sequence[Made | Failure]) -> Made:
    """All that was made. Raises Failed when nothing was: with the failure that bears most hope."""
    made = [one for one in outcomes if isinstance(one, Made)]
    failures = [one for one in outcomes if isinstance(one, Failure)]
    if not made:
        raise Failed(min(failures, key=lambda failure: [*Verdict].index(failure.verdict)))
    return replace(made[0], items=[item for one in made for item in one.items])


def targets_of(services: Services, ticket: Ticket) -> dict[str, tuple[Upstream, Vendor]]:
    """The upstreams of the model's chain that can take the order, by name, in their order."""
    able = {
        upstream.name: (upstream, vendor)
        for upstream in services.chain_of(ticket.model.id).values()
        if (vendor := vendor_of(upstream, ticket)) is not None
    }
    fit = {name: (upstream, vendor) for name, (upstream, vendor) in able.items() if fits(ticket, upstream, vendor)}
    return fit or able


def fits(ticket: Ticket, upstream: Upstream, vendor: Vendor) -> bool:
    """Whether the upstream's model makes what is ordered."""
    return not isinstance(vendor, Choosy) or vendor.fits(ticket.order, upstream.model(ticket.model.id))


def vendor_of(upstream: Upstream, ticket: Ticket) -> Vendor | None:
    """The wire on which an upstream takes an order; None where it has none for it."""
    for dialect in upstream.dialects:
        if (vendor := VENDORS.get((dialect, ticket.order.kind))) is not None:
            return vendor
    return None
