"""Looks at jobs upstream: when their callers ask, when the provider calls, and by itself at those nobody asks for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection

from gateway.gpu import leases, life, results, rows
from gateway.gpu.job import Job
from gateway.gpu.life import End, Missing, Note, Seen, Trouble
from gateway.gpu.results import Result
from gateway.gpu.settling import finish
from gateway.storage.tables import gpu_jobs
from gateway.upstreams import runpod
from gateway.upstreams.runpod import Told
from gateway.upstreams.transport import Request, TransportError, read_all

if TYPE_CHECKING:
    from gateway.config import Upstream
    from gateway.services import Services

POLL_S: Final = 10.0  # that the upstream may take to answer a poll
REPLY_BYTES_MAX: Final = 64 * 1024 * 1024
AT_ONCE: Final = 64  # jobs of one round
LEASE_S: Final = 60.0  # that a round may take
YOUNG_S: Final = 600  # jobs older than that are polled less often
OLD_FACTOR: Final = 6
LEAST_MS: Final = 20  # from one look to the next
UNANSWERED_MS: Final = 600_000  # that the provider's call is waited for, beyond the longest run, after a crash

Looks = dict[str, "asyncio.Task[Job | None]"]


async def look(services: Services, job_id: str) -> Job | None:
    """The job after a look at it upstream; None: there is none. Looks that come together are one."""
    looks = services.gpu_looks
    task = looks.get(job_id)
    if task is None:
        task = looks[job_id] = asyncio.get_running_loop().create_task(look_now(services, job_id))
        task.add_done_callback(lambda done: forget(looks, job_id, done))
    return await asyncio.shield(task)


def forget(looks: Looks, job_id: str, done: asyncio.Task[Job | None]) -> None:
    """The look is over; nobody may be there any more to hear how."""
    if looks.get(job_id) is done:
        del looks[job_id]
    if not done.cancelled():
        done.exception()


async def look_now(services: Services, job_id: str) -> Job | None:
    """One look, and what follows from it."""
    job = await services.store.read(lambda c: rows.find(c, job_id))
    if job is None or not job.open:
        return job
    if job.state == "submitting":
        job = await taken_up(services, job)
        if job.provider_job_id is None or not job.open:
            return job
    upstream = services.config.upstreams.get(job.upstream)
    if upstream is None:
        return await conclude(services, job, Trouble("there is no such upstream"))
    if life.is_unwanted(job, services.clock.now_ms()):
        await call_off(services, upstream, job.endpoint, job.provider_job_id or "")
    return await conclude(services, job, await seen_at(services, upstream, job))


async def conclude(services: Services, job: Job, seen: Seen) -> Job:
    """Notes what was seen, or ends the job."""
    now_ms = services.clock.now_ms()
    verdict = life.judge(job, seen, now_ms, services.config.poll_factor)
    result: Result | None = None
    if isinstance(verdict, End) and verdict.state == "succeeded":
        try:
            made = await results.result_of(services, job, verdict.output)
        except results.Unfetched:
            since_ms = job.missing_since_ms or now_ms
            if now_ms - since_ms < life.LOST_MS * services.config.poll_factor and now_ms < job.deadline_ms:
                noted = life.note(job, seen, now_ms)
                return await write_note(services, job, noted._replace(missing_since_ms=since_ms))
            verdict = End("failed", verdict.bill._replace(charge_uc=0), results.UNFETCHED)
        else:
            if isinstance(made, Result):
                result = made
            else:
                verdict = End("failed", verdict.bill._replace(charge_uc=0), made)
    if isinstance(verdict, Note):
        return await write_note(services, job, verdict)
    return await finish(services, job, verdict, result)


async def write_note(services: Services, job: Job, noted: Note) -> Job:
    """Keeps what was seen, where it is news. A job that ended meanwhile stays as it is."""
    before = (job.state, job.waiting_seen_ms, job.running_seen_ms, job.missing_since_ms)
    if before == noted:
        return job
    alive = rows.IS_OPEN & (rows.COLUMNS.state != "running") if noted.state == "queued" else rows.IS_OPEN

    def write(connection: Connection) -> Job:
        return rows.change(connection, job.id, alive, **noted._asdict()) or rows.find(connection, job.id) or job

    return await services.store.write(write)


async def taken_up(services: Services, job: Job) -> Job:
    """A job whose submission nobody works on any more: its process died. It is never submitted again.

    If the provider calls, that tells its id; where it was asked to, that is waited for. Else the job has failed.
    """
    now_ms = services.clock.now_ms()
    if job.lease_until_ms > now_ms - services.clock.offset_ms and job.lease_owner != poller_of(services):
        return job
    if job.hinted_id is not None:
        return await services.store.write(lambda c: adopt(c, job))
    if job.callback_digest is not None and now_ms < min(job.deadline_ms, job.sent_at_ms + job.max_ms + UNANSWERED_MS):
        return job
    return await finish(services, job, End("failed", problem=life.INTERRUPTED))


def adopt(connection: Connection, job: Job) -> Job:
    """The job under the id that the provider's call told."""
    unanswered = rows.COLUMNS.state == "submitting"
    values = {"state": "queued", "provider_job_id": job.hinted_id}
    return rows.change(connection, job.id, unanswered, **values) or rows.find(connection, job.id) or job


# --- the upstream -----------------------------------------------------------------------------------------------------


async def seen_at(services: Services, upstream: Upstream, job: Job) -> Seen:
    """How the job stands upstream."""
    request = runpod.status(upstream, job.endpoint, job.provider_job_id or "")
    try:
        status, body = await asked(services, request)
    except TransportError as error:
        return Trouble(error.message)
    if status == 404:
        return Missing()
    told: Told | None = runpod.read_status(body) if status < 300 else None
    return Trouble(f"the upstream answered with status {status}") if told is None else told


async def call_off(services: Services, upstream: Upstream, endpoint: str, provider_job_id: str) -> None:
    """Tells the upstream to end a job. Whether it does is seen by the next look, not by what it says to this."""
    try:
        await asked(services, runpod.cancel(upstream, endpoint, provider_job_id))
    except TransportError as error:
        services.log.write("info", "gpu_cancel", error=error.message)


async def asked(services: Services, request: Request) -> tuple[int, bytes]:
    """Status and body of a reply. Raises TransportError."""
    config = services.config
    patience_s = min(POLL_S, config.first_byte_timeout_s)
    reply = await services.transport.send(request, config.connect_timeout_s, patience_s)
    try:
        return reply.status, await read_all(reply, min(POLL_S, config.idle_timeout_s), REPLY_BYTES_MAX)
    finally:
        reply.close()


# --- the poller -------------------------------------------------------------------------------------------------------


async def poll_due(services: Services) -> int:
    """Looks at the jobs that are due, at most a round of them; how many that were."""
    clock = services.clock
    now_ms = clock.now_ms()
    real_ms = now_ms - clock.offset_ms
    due = (gpu_jobs, rows.COLUMNS.poll_after_ms, rows.IS_OPEN, now_ms, real_ms)
    if not await services.store.read(lambda c: leases.is_due(c, *due)):
        return 0
    owner, until_ms = poller_of(services), real_ms + round(LEASE_S * 1000)
    claimed = [
        Job(*row) for row in await services.store.write(lambda c: leases.claim(c, *due, owner, until_ms, AT_ONCE))
    ]
    outcomes = await asyncio.gather(*(look(services, job.id) for job in claimed), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            services.log.write("error", "gpu_poll", error=repr(outcome))
    await services.store.write(lambda c: let_go(c, services, owner, claimed))
    return len(claimed)


def let_go(connection: Connection, services: Services, owner: str, claimed: list[Job]) -> None:
    """The next look at these jobs comes after a while; any worker may make it."""
    now_ms = services.clock.now_ms()
    for job in claimed:
        mine = rows.IS_OPEN & (rows.COLUMNS.lease_owner == owner)
        after_ms = now_ms + gap_ms(services, now_ms - job.created_at_ms)
        values: dict[str, Any] = {"lease_owner": None, "lease_until_ms": 0, "poll_after_ms": after_ms}
        rows.change(connection, job.id, mine, **values)


def gap_ms(services: Services, age_ms: int) -> int:
    """From one look of the poller to the next."""
    old = OLD_FACTOR if age_ms > YOUNG_S * 1000 else 1
    return max(LEAST_MS, round(services.config.gpu_poll_s * services.config.poll_factor * old * 1000))


def poller_of(services: Services) -> str:
    """Under which name this process claims jobs to poll them; it submits under another."""
    return f"{services.money.owner}/poller"
