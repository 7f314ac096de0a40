"""GPU jobs that are submitted, looked at, cancelled, repeated or kept wrongly."""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any, cast

from sqlalchemy import Connection, delete, select

from gateway.chain import Failure, Verdict
from gateway.endpoints import gpu, gpu_jobs, gpu_paths
from gateway.exchange import Exchange
from gateway.gpu import background, life, rows, settling, watch
from gateway.gpu import submit as submission
from gateway.gpu.job import Job
from gateway.gpu.life import End, Note, Trouble
from gateway.ledger.book import HoldRecord
from gateway.ledger.money import Money
from gateway.services import Services
from gateway.storage.tables import gpu_jobs as table
from gateway.storage.tables import holds
from gateway.upstreams import runpod
from gateway.upstreams.runpod import Told
from mutants._patch import around, replace
from mutants.registry import mutant


def edit_tried(edit: Any) -> None:
    """What comes of each submission upstream is what `edit` makes of a failure."""

    @around(submission, "tried")
    async def tried(old: Any, *args: Any) -> str | Failure:
        answer = await old(*args)
        found: str | Failure = edit(answer) if isinstance(answer, Failure) else answer
        return found


@mutant("GD-165")
def gpu_callback_believed() -> None:
    """Whoever calls about a job ends it as the call says."""

    async def callback(services: Services, exchange: Exchange) -> None:
        job = await services.store.read(lambda c: rows.find(c, gpu_jobs.segment(exchange, -2)))
        told = runpod.read_status(await exchange.read_body(services.config.max_body_bytes))
        if job is not None and told is not None and job.open:
            await watch.conclude(services, job, told)
        await exchange.respond_json({"ok": True})

    cast("dict[str, Any]", gpu_paths.TABLE["gpu", "callbacks", "", ""])["POST"] = callback


@mutant()
def gpu_failed_poll_back_to_queued() -> None:
    """A poll that fails upstream puts a running job back into the queue."""

    @around(life, "note")
    def note(old: Any, job: Job, seen: Any, now_ms: int) -> Note:
        noted: Note = old(job, seen, now_ms)
        return noted._replace(state="queued", running_seen_ms=None) if isinstance(seen, Trouble) else noted

    async def write_note(services: Services, job: Job, noted: Note) -> Job:
        def write(connection: Connection) -> Job:
            return rows.change(connection, job.id, rows.IS_OPEN, **noted._asdict()) or job

        return await services.store.write(write)

    replace(watch, "write_note", write_note)


@mutant()
def gpu_ended_job_runs_again() -> None:
    """A job that has ended is shown as the provider tells it now."""

    @around(gpu_jobs, "looked_at")
    async def looked_at(old: Any, services: Services, job: Job) -> Job:
        if job.open:
            kept: Job = await old(services, job)
            return kept
        seen = await watch.seen_at(services, services.config.upstreams[job.upstream], job)
        is_back = isinstance(seen, Told) and seen.state in ("queued", "running")
        return job._replace(state="running") if is_back else job


@mutant()
def gpu_outer_word_believed() -> None:
    """The outer word of the provider's state counts, whatever stands within."""

    @around(runpod, "read_status")
    def read_status(old: Any, body: bytes) -> Told | None:
        told: Told | None = old(body)
        word = (runpod.decoded(body) or {}).get("status", "")
        if told is None or runpod.WORDS.get(word) != "succeeded":
            return told
        return told._replace(state="succeeded", output=told.output or {"text": told.error})


@mutant("GD-159")
def gpu_settled_only_when_polled() -> None:
    """Nobody looks at a job but its caller."""

    async def poll_due(_services: Services) -> int:
        return 0

    replace(watch, "poll_due", poll_due)


@mutant("GD-161")
def gpu_stuck_for_ever() -> None:
    """A job that no worker takes is never called off."""
    replace(life, "is_unwanted", lambda job, _now_ms: job.cancel_at_ms is not None)


@mutant("GD-163")
def gpu_timeout_before_verdict() -> None:
    """A job that is past its time has failed, whatever becomes of it upstream."""

    @around(life, "judge")
    def judge(old: Any, job: Job, seen: Any, now_ms: int, factor: float) -> Any:
        return End("failed", problem=life.TIMED_OUT) if now_ms >= job.deadline_ms else old(job, seen, now_ms, factor)


@mutant()
def gpu_submitted_again_after_lost_reply() -> None:
    """A submission that may have been accepted is made again."""
    edit_tried(lambda answer: changed(answer, verdict=Verdict.RETRY))


@mutant()
def gpu_429_is_final() -> None:
    """A provider that was too busy to take a job is not asked again."""
    edit_tried(lambda answer: changed(answer, verdict=Verdict.NEXT) if answer.status == 429 else answer)


@mutant()
def gpu_cancel_not_passed_on() -> None:
    """A cancellation is noted, and the provider not told."""

    async def call_off(*_args: Any) -> None:
        return None

    replace(watch, "call_off", call_off)


@mutant("GD-015")
def gpu_idempotency_key_ignored() -> None:
    """Submissions of jobs do not look at Idempotency-Key."""

    @around(gpu, "caller_of")
    def caller_of(old: Any, *args: Any) -> Any:
        return old(*args)._replace(idempotency_key=None)


@mutant()
def gpu_idempotency_body_ignored() -> None:
    """Another request under the same Idempotency-Key gets the first one's job."""

    @around(gpu, "caller_of")
    def caller_of(old: Any, *args: Any) -> Any:
        return old(*args)._replace(fingerprint="the same")


@mutant()
def gpu_failure_keeps_key() -> None:
    """The Idempotency-Key of a job that failed stays used."""

    @around(settling.Ending, "write")
    def write(old: Any, self: settling.Ending, connection: Connection, apply: Any) -> Any:
        done = old(self, connection, apply)
        if done.here and done.job.state == "failed":
            key = self.job.idempotency_key
            rows.change(connection, done.job.id, rows.COLUMNS.state == "failed", idempotency_key=key)
        return done


@mutant("GD-160")
def gpu_jobs_lost_on_restart() -> None:
    """At a start the jobs under way are forgotten, and their holds are not."""

    @around(background, "run")
    async def run(old: Any, services: Services) -> None:
        await services.store.write(lambda c: c.execute(delete(table).where(rows.IS_OPEN)))
        await old(services)


@mutant()
def gpu_holds_expired_on_restart() -> None:
    """At a start the holds of jobs are given back as if they were of calls."""

    @around(Money, "expire_open")
    async def expire_open(_old: Any, self: Money, reason: str) -> int:
        stale = select(holds).where(holds.c.owner != self.owner)
        found = await self._store.read(lambda c: [HoldRecord(*row) for row in c.execute(stale)])
        return await self._expire(found, reason)
