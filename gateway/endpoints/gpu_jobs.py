"""GET /gpu/jobs, GET /gpu/jobs/{id}, POST /gpu/jobs/{id}/cancel, and where the provider calls when a job has ended.

Source: api-reference#comfyui-as-api ("we live-poll the worker on each request"), #gpu-models;
docs/decisions.md#gpu-jobs.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final
from urllib.parse import parse_qsl

from sqlalchemy import Connection

from gateway.endpoints.usage import number
from gateway.errors import InvalidRequest, NotFound, shown
from gateway.exchange import Exchange
from gateway.gpu import rows, views, watch
from gateway.gpu.job import STATES, Job
from gateway.services import Services
from gateway.storage.engine import StoreError
from gateway.upstreams import runpod

LIMIT, LIMIT_MAX = 50, 200
QUERY_FIELDS_MAX: Final = 20
ID_LENGTH_MAX: Final = 64


async def show(services: Services, exchange: Exchange) -> None:
    """How a job stands, after a look at it upstream."""
    key = services.key_of(exchange)
    job = await looked_at(services, await own_job(services, key.payer_id, segment(exchange, -1)))
    await respond(services, exchange, job)


async def listed(services: Services, exchange: Exchange) -> None:
    """The caller's jobs, the newest first, as they were last seen."""
    key = services.key_of(exchange)
    query = query_of(exchange)
    limit = number(query, "limit", LIMIT, LIMIT_MAX)
    wanted = rows.Wanted(key.payer_id, limit + 1, states_of(query), query.get("slug") or None, cursor_of(query))
    found = await services.store.read(lambda c: rows.listed(c, wanted))
    page = found[:limit]
    more = f"{page[-1].created_at_ms}-{page[-1].id}" if len(found) > limit else None
    await exchange.respond_json({"jobs": [views.listed(job) for job in page], "next": more})


async def cancel(services: Services, exchange: Exchange) -> None:
    """Ends a job before its time; one that has ended stays as it is. What ran until then is charged."""
    key = services.key_of(exchange)
    await exchange.read_body(services.config.max_body_bytes)
    job = await own_job(services, key.payer_id, segment(exchange, -2))
    if job.open:
        job = await services.store.write(lambda c: mark_cancelled(c, job, services.clock.now_ms()))
        job = await looked_at(services, job)
    await respond(services, exchange, job)


async def callback(services: Services, exchange: Exchange) -> None:
    """The provider says that a job has ended. That is a hint to look, and no more: nobody signs these calls.

    The address is known to the provider alone. The id in the body is kept where the submission's answer has not come.
    """
    job_id, token = segment(exchange, -2), segment(exchange, -1)
    job = await services.store.read(lambda c: rows.find(c, job_id)) if len(job_id) <= ID_LENGTH_MAX else None
    due = "" if job is None else job.callback_digest or ""
    if job is None or not compare_digest(sha256(token.encode("utf-8", "surrogatepass")).hexdigest(), due):
        raise NotFound("There is nothing here.")
    raw = await exchange.read_body(services.config.max_body_bytes)
    if job.open:
        told = runpod.job_id_of(raw)
        if job.provider_job_id is None and told is not None:
            await services.store.write(lambda c: hint(c, job, told))
        if not services.errands.begin(look(services, job)):
            await services.store.write(lambda c: rows.change(c, job.id, rows.IS_OPEN, poll_after_ms=0))
    await exchange.respond_json({"ok": True})


async def look(services: Services, job: Job) -> None:
    """A look that nobody waits for."""
    try:
        await watch.look(services, job.id)
    except Exception as error:
        services.log.write("error", "gpu_poll", error=repr(error))


async def looked_at(services: Services, job: Job) -> Job:
    """The job after a look upstream; as it was last seen where the database refuses to keep what was seen."""
    if not job.open:
        return job
    try:
        return await watch.look(services, job.id) or job
    except StoreError as error:
        services.log.write("error", "gpu_poll", error=repr(error))
        return job


async def respond(services: Services, exchange: Exchange, job: Job) -> None:
    """Answers with a job."""
    output = None
    if job.kind == "deployment" and job.state == "succeeded":
        output = await services.store.read(lambda c: rows.output(c, job.id))
    await exchange.respond_json(views.shown(job, output, exchange.site))


async def own_job(services: Services, payer_id: str, job_id: str) -> Job:
    """The payer's job of this id: the one place where it is decided whose a job is. Raises NotFound."""
    job = await services.store.read(lambda c: rows.find(c, job_id)) if len(job_id) <= ID_LENGTH_MAX else None
    if job is None or job.payer_id != payer_id:
        raise NotFound(f"There is no job {shown(job_id)!r}.")
    return job


def mark_cancelled(connection: Connection, job: Job, now_ms: int) -> Job:
    """Notes the first cancellation: the poller goes on with it if the upstream does not hear of it now."""
    unmarked = rows.IS_OPEN & rows.COLUMNS.cancel_at_ms.is_(None)
    values = {"cancel_at_ms": now_ms, "poll_after_ms": now_ms}
    return rows.change(connection, job.id, unmarked, **values) or rows.find(connection, job.id) or job


def hint(connection: Connection, job: Job, provider_job_id: str) -> None:
    """Keeps the id that the provider's call told, while nobody knows a better one."""
    unknown = rows.IS_OPEN & rows.COLUMNS.provider_job_id.is_(None) & rows.COLUMNS.hinted_id.is_(None)
    rows.change(connection, job.id, unknown, hinted_id=provider_job_id, poll_after_ms=0)


def segment(exchange: Exchange, number_: int) -> str:
    """A segment of the path."""
    return str(exchange.scope["path"]).rstrip("/").split("/")[number_]


def query_of(exchange: Exchange) -> dict[str, str]:
    """The parameters of the URL; of a repeated one the last. Raises InvalidRequest."""
    try:
        return dict(parse_qsl(exchange.query.decode("latin-1"), max_num_fields=QUERY_FIELDS_MAX))
    except ValueError:
        raise InvalidRequest(f"The URL has too many parameters; at most {QUERY_FIELDS_MAX} were due.") from None


def states_of(query: dict[str, Any]) -> tuple[str, ...]:
    """The states in the database that `status` asks for. Raises InvalidRequest."""
    status = query.get("status")
    if not status:
        return ()
    if status not in STATES:
        raise InvalidRequest(f"`status` is {shown(status)!r}; one of {', '.join(STATES)} was due.")
    return ("submitting", "queued") if status == "queued" else (status,)


def cursor_of(query: dict[str, Any]) -> tuple[int, str] | None:
    """Where the page before ended. Raises InvalidRequest."""
    cursor = query.get("cursor")
    if not cursor:
        return None
    at_ms, _, ident = cursor.partition("-")
    if not (at_ms.isascii() and at_ms.isdigit() and len(at_ms) <= 15 and 1 <= len(ident) <= ID_LENGTH_MAX):
        raise InvalidRequest(f"`cursor` is {shown(cursor)!r}; the `next` of a page was due.")
    return int(at_ms), ident
