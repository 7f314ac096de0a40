"""What goes on without a caller: jobs are polled, webhooks sent, old results forgotten. One task of every worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from gateway import edge
from gateway.gpu import delivering, rows, sealed, watch

if TYPE_CHECKING:
    from gateway.services import Services

ROUND_S: Final = 1.0  # between two rounds that find nothing
LEAST_S: Final = 0.02
TIDY_S: Final = 300.0
KEY_MS: Final = 86_400_000  # that an idempotency key is kept


async def run(services: Services) -> None:
    """For ever."""
    await services.store.write(lambda c: rows.hurry(c, services.clock.now_ms()))
    await services.store.write(lambda c: sealed.seal_old(c, services.vault))
    if not services.vault.locks:
        told = "values of `env` and webhook secrets are kept as they are: set `secret_key` to have them sealed"
        services.log.write("warning", "unsealed", problem=told)
    await asyncio.gather(
        again_and_again(services, "gpu_poll", watch.poll_due, pause_s(services)),
        again_and_again(services, "gpu_webhooks", delivering.deliver_due, pause_s(services)),
        again_and_again(services, "gpu_tidy", tidy, TIDY_S),
    )


async def again_and_again(
    services: Services, name: str, work: Callable[[Services], Awaitable[int]], idle_s: float
) -> None:
    """Does the work for ever, at once again while there is more. What goes wrong is logged, and tried again."""
    while True:
        done = 0
        try:
            done = await work(services)
        except Exception as error:
            services.log.write("error", name, error=repr(error))
        await edge.sleep(LEAST_S if done else idle_s)


async def tidy(services: Services) -> int:
    """Forgets what is past its time."""
    now_ms = services.clock.now_ms()
    await services.store.write(lambda c: rows.forget_old(c, now_ms, now_ms - KEY_MS))
    return 0


def pause_s(services: Services) -> float:
    """Between two rounds: shorter where the upstream's clock is faster."""
    config = services.config
    return max(LEAST_S, min(ROUND_S, config.gpu_poll_s) * min(1.0, config.poll_factor))
