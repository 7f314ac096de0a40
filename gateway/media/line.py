"""The way to one vendor: sends what its steps ask for, waits between polls, and calls a job off that is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from gateway import edge
from gateway.chain import Failure, Verdict
from gateway.media.order import Made
from gateway.media.steps import Failed, Got, Send, Steps
from gateway.upstreams import problems
from gateway.upstreams.transport import Request, TransportError, read_all

if TYPE_CHECKING:
    from gateway.services import Services

TRIES: Final = 6  # of a request that may be repeated: a healthy job is not given up for a few broken polls
TRY_AGAIN_S: Final = 1.0  # before the second try; twice as long before each further one
CANCEL_S: Final = 5.0  # that a vendor may take to hear of a job that was given up

Undo = Callable[[Got], Request | None]


async def lead(services: Services, steps: Steps) -> Made:
    """Leads a vendor through its steps. Raises Failed; whatever cuts it short also calls off the job on its way."""
    send: Send | None = None
    try:
        send = next(steps)
        while True:
            if send.wait_s:
                await edge.sleep(send.wait_s * services.config.poll_factor)
            got = await (begun(services, send, send.undo) if send.undo else answered(services, send))
            send = steps.send(got)
    except StopIteration as done:
        made: Made = done.value
        return made
    except BaseException as error:
        left = not isinstance(error, Failed) or error.leaves_job
        if left and send is not None and send.cancel is not None:
            services.errands.begin(call_off(services, send.cancel))
        raise
    finally:
        steps.close()


async def begun(services: Services, send: Send, undo: Undo) -> Got:
    """The reply to a request that begins a job. Cut short, it is still awaited, so that the job can be called off.

    Raises Failed.
    """
    reply = asyncio.ensure_future(answered(services, send))
    try:
        return await asyncio.shield(reply)
    except asyncio.CancelledError:
        if not services.errands.begin(unwanted(services, reply, undo)):
            reply.cancel()
        raise


async def unwanted(services: Services, reply: asyncio.Future[Got], undo: Undo) -> None:
    """Calls a job off that nobody waits for any more, once its vendor has told what it is called."""
    with suppress(Failed):
        request = undo(await reply)
        if request is not None:
            await call_off(services, request)


async def answered(services: Services, send: Send) -> Got:
    """The reply to one request. Raises Failed where none comes."""
    wait_s = TRY_AGAIN_S
    for left in range(TRIES if send.again else 1, 0, -1):
        try:
            got = await sent(services, send)
        except TransportError as error:
            if left == 1:
                raise Failed(lost(send, error), leaves_job=True) from None
        else:
            if left == 1 or not (send.again and (got.status >= 500 or got.status == 429)):
                return got
            wait_s = max(wait_s, problems.retry_after_s(got.headers, services.clock.now_ms() / 1000) or 0.0)
        await edge.sleep(wait_s * services.config.poll_factor)
        wait_s *= 2
    raise AssertionError("the last try returns or raises")


def lost(send: Send, error: TransportError) -> Failure:
    """What a request without a reply means: one that may have been accepted is not made again by the same vendor."""
    never_left = error.kind == "connect" and not send.again
    return Failure(Verdict.RETRY if never_left else Verdict.NEXT, error.message)


async def sent(services: Services, send: Send) -> Got:
    """Sends a request and reads its reply. Raises TransportError."""
    config = services.config
    first_byte_s = config.first_byte_timeout_s if send.first_byte_s is None else send.first_byte_s
    reply = await services.transport.send(send.request, config.connect_timeout_s, first_byte_s)
    try:
        body = await read_all(reply, config.idle_timeout_s)
    finally:
        reply.close()
    return Got(reply.status, reply.headers, body, services.clock.now_ms() / 1000)


async def call_off(services: Services, request: Request) -> None:
    """Tells a vendor that a job is not wanted any more; whether it listens is its affair."""
    with suppress(TransportError, TimeoutError):
        async with asyncio.timeout(CANCEL_S):
            await sent(services, Send(request, first_byte_s=CANCEL_S))
