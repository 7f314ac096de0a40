"""The end of a job: its state, its money, its row in the log, its output and its webhook, in one transaction, once.

Whoever sees the end first writes it: the update says that the job must still be open, so a second one changes nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection

from gateway import edge, scrub
from gateway.gpu import outbox, rows
from gateway.gpu.job import Job
from gateway.gpu.life import End
from gateway.gpu.results import Result
from gateway.ledger.book import Applied, Expire, Settle
from gateway.ledger.desk import Work
from gateway.ledger.money import SETTLE_RETRY_S, Apply
from gateway.ledger.transfers import AlreadyResolved, LedgerError, UnknownHold
from gateway.storage.engine import StoreError
from gateway.usage import Status, UsageRow

if TYPE_CHECKING:
    from gateway.services import Services

SHOWN: dict[str, tuple[Status, int]] = {  # state -> what the log says
    "succeeded": ("succeeded", 200),
    "failed": ("upstream_failed", 502),
    "cancelled": ("client_closed", 499),
}
REFUSED: tuple[Status, int] = ("failed", 400)


class Concluded(NamedTuple):
    """A job as it is now, and whether it ended here."""

    job: Job
    here: bool


async def finish(
    services: Services, job: Job, end: End, result: Result | None = None, *, refused: bool = False, tell: bool = True
) -> Job:
    """Ends the job, unless it has ended; as it is then.

    `refused`: the provider found the request at fault; `tell`: whether the webhook is called. Raises StoreError when
    the database refuses for seconds: the job is then as open as before.
    """
    ending = Ending(services, job, end, result or Result(), refused=refused, tell=tell)
    for delay_s in SETTLE_RETRY_S:
        try:
            done = await services.money.together(ending.write)
            break
        except StoreError:
            await edge.sleep(delay_s)
    else:
        done = await services.money.together(ending.write)
    if done.here:
        services.metrics.charged_uc += done.job.charged_uc
        if services.log.wants("info"):
            services.log.write("info", "gpu_job", **ending.row._asdict(), charged_uc=done.job.charged_uc)
    return done.job


class Ending:
    """What is written at the end of a job."""

    def __init__(self, services: Services, job: Job, end: End, result: Result, *, refused: bool, tell: bool) -> None:
        self.job = job
        self.end = end
        self.result = result
        self.tell = tell and job.webhook_url is not None
        self.now_ms = services.clock.now_ms()
        self.output_until_ms = self.now_ms + round(services.config.gpu_keep_s * 1000)
        self.message = None if end.problem is None else scrub.message(end.problem.message, services.secrets)
        status, code = REFUSED if refused else SHOWN[end.state]
        self.row = UsageRow(
            request_id=job.request_id,
            user_id=job.payer_id,
            key_id=job.key_id,
            created_at_ms=job.created_at_ms,
            endpoint=job.endpoint_path,
            model=job.slug,
            requested_model=job.slug,
            status=status,
            status_code=code,
            latency_ms=max(0, self.now_ms - job.created_at_ms),
            stream=False,
            upstream=job.upstream,
            estimated=end.bill.estimated,
            unit="gpu_ms",
            units=(end.bill.ms or 0) if end.bill.charge_uc else 0,
        )

    def write(self, connection: Connection, apply: Apply) -> Concluded:
        """All of it, unless the job has ended before. Raises what the database and the ledger raise."""
        job, end = self.job, self.end
        outputs = None if self.result.links is None else json.dumps(list(self.result.links))
        done = rows.change(
            connection,
            job.id,
            rows.IS_OPEN,
            state=end.state,
            ended_at_ms=self.now_ms,
            execution_ms=end.bill.ms,
            estimated=end.bill.estimated,
            error_type=None if end.problem is None else end.problem.type,
            error_message=self.message,
            outputs=outputs,
            lease_until_ms=0,
        )
        if done is None:
            return Concluded(rows.find(connection, job.id) or job, here=False)
        charged_uc = self.move(apply)
        # A failure costs nothing, so its idempotency key is as new.
        key = None if end.state == "failed" else done.idempotency_key
        done = rows.change(
            connection, job.id, rows.COLUMNS.state == end.state, charged_uc=charged_uc, idempotency_key=key
        )
        if self.result.output is not None:
            rows.put_output(connection, job.id, self.result.output, self.output_until_ms)
        if self.tell:
            outbox.put(connection, job, f"job.{end.state}", self.now_ms)
        return Concluded(done or job, here=True)

    def move(self, apply: Apply) -> int:
        """Settles or gives back the hold, with the row of the log; the charge in microcredits."""
        job, charge_uc = self.job, self.end.bill.charge_uc
        if charge_uc:
            outcome = apply(Work(Settle(job.hold_id, job.payer_id, charge_uc), self.row))
        else:
            reason = self.end.state if self.end.problem is None else self.end.problem.type
            outcome = apply(Work(Expire(job.hold_id, job.payer_id, reason), self.row))
        gone = isinstance(outcome, AlreadyResolved | UnknownHold) or (isinstance(outcome, Applied) and outcome.replayed)
        if gone:  # the hold's own deadline came, days later: nothing is charged
            apply(Work(None, self.row))
            return 0
        if isinstance(outcome, LedgerError):
            raise outcome
        return outcome.hold.charged_uc if isinstance(outcome, Applied) and outcome.hold is not None else 0
