"""Waiting inline for a job: until it ends, or the time for that is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway import edge
from gateway.gpu.watch import look

if TYPE_CHECKING:
    from gateway.gpu.job import Job
    from gateway.services import Services

FIRST_S: Final = 0.25  # from one look to the next, at first
GROWTH: Final = 1.3
MOST_S: Final = 2.0
LEAST_S: Final = 0.02


async def end_of(services: Services, job: Job) -> Job:
    """The job when it has ended, when nobody may wait any longer, or when this process is about to end."""
    clock = services.clock
    until_s = clock.monotonic() + services.config.gpu_inline_s
    wait_s = FIRST_S
    while job.open:
        job = await look(services, job.id) or job
        left_s = until_s - clock.monotonic()
        if not job.open or left_s <= 0 or services.draining:
            break
        await edge.sleep(max(LEAST_S, min(left_s, wait_s * services.config.poll_factor)))
        wait_s = min(MOST_S, wait_s * GROWTH)
    return job
