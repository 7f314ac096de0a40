"""Jobs in the database. Whatever changes one says which state it must be in: whoever comes second changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update

from gateway.gpu.job import OPEN, Job
from gateway.storage.tables import gpu_jobs, gpu_results

COLUMNS: Final = gpu_jobs.c
# Written out, so that the database sees that the index on open jobs serves it.
IS_OPEN: Final[ColumnElement[bool]] = or_(*(COLUMNS.state == state for state in OPEN))


class Wanted(NamedTuple):
    """Which of a payer's jobs are listed, the newest first."""

    payer_id: str
    limit: int
    states: Sequence[str] = ()
    slug: str | None = None
    before: tuple[int, str] | None = None  # (created_at_ms, id): where the page before ended


def put(connection: Connection, job: Job) -> None:
    """A new job."""
    connection.execute(insert(gpu_jobs).values(**job._asdict()))


def find(connection: Connection, job_id: str) -> Job | None:
    """The job of this id, whoever's it is."""
    row = connection.execute(select(gpu_jobs).where(COLUMNS.id == job_id)).first()
    return None if row is None else Job(*row)


def find_keyed(connection: Connection, user_id: str, idempotency_key: str) -> Job | None:
    """The job that was made under an idempotency key."""
    where = (COLUMNS.user_id == user_id, COLUMNS.idempotency_key == idempotency_key)
    row = connection.execute(select(gpu_jobs).where(*where)).first()
    return None if row is None else Job(*row)


def listed(connection: Connection, wanted: Wanted) -> list[Job]:
    """A page of a payer's jobs."""
    where: list[ColumnElement[bool]] = [COLUMNS.payer_id == wanted.payer_id]
    if wanted.states:
        where.append(COLUMNS.state.in_(wanted.states))
    if wanted.slug is not None:
        where.append(COLUMNS.slug == wanted.slug)
    if wanted.before is not None:
        at_ms, ident = wanted.before
        where.append(or_(COLUMNS.created_at_ms < at_ms, (COLUMNS.created_at_ms == at_ms) & (COLUMNS.id < ident)))
    newest = select(gpu_jobs).where(*where).order_by(COLUMNS.created_at_ms.desc(), COLUMNS.id.desc())
    return [Job(*row) for row in connection.execute(newest.limit(wanted.limit))]


def change(connection: Connection, job_id: str, where: ColumnElement[bool], **values: Any) -> Job | None:
    """Changes the job if the condition holds; as it is now. None: it did not hold."""
    done = connection.execute(update(gpu_jobs).where(COLUMNS.id == job_id, where).values(**values))
    return find(connection, job_id) if done.rowcount == 1 else None


def output(connection: Connection, job_id: str) -> Any:
    """What the job's worker gave; None where that is not kept any more."""
    told = connection.execute(select(gpu_results.c.output).where(gpu_results.c.job_id == job_id)).scalar()
    return None if told is None else json.loads(told)


def put_output(connection: Connection, job_id: str, value: Any, until_ms: int) -> None:
    """Keeps what a worker gave."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))  # no lone surrogate and no NUL, for any database
    connection.execute(insert(gpu_results).values(job_id=job_id, output=text, until_ms=until_ms))


def hurry(connection: Connection, now_ms: int) -> None:
    """Lets open jobs be looked at now: after a start, whatever the clock said before."""
    connection.execute(update(gpu_jobs).where(IS_OPEN, COLUMNS.poll_after_ms > now_ms).values(poll_after_ms=now_ms))


def forget_old(connection: Connection, now_ms: int, keys_before_ms: int) -> None:
    """Drops results past their time, and the idempotency keys of jobs made before `keys_before_ms`."""
    connection.execute(delete(gpu_results).where(gpu_results.c.until_ms <= now_ms))
    old = (COLUMNS.idempotency_key.is_not(None), COLUMNS.created_at_ms < keys_before_ms)
    connection.execute(update(gpu_jobs).where(*old).values(idempotency_key=None))
