"""GPU jobs that are held, charged or given back wrongly."""

from __future__ import annotations

from typing import Any

from gateway.endpoints import gpu, gpu_jobs
from gateway.gpu import life, results, settling, submit
from gateway.gpu.job import SECOND_MS, Job, price_uc
from gateway.gpu.life import Bill, End
from gateway.gpu.results import NOTHING, Result
from gateway.ledger.book import Applied, Hold, Settle
from gateway.ledger.desk import Work
from gateway.services import Services
from mutants._patch import around, replace
from mutants.registry import mutant
from schemas.catalogue import UC_PER_CREDIT

GENEROUS = 10  # times the hold that is due: so that it does not hide what is charged too much


def edit_bill(edit: Any) -> None:
    """What a job that succeeded is charged is what `edit(job, told, bill)` makes of it."""

    @around(life, "bill")
    def bill(old: Any, job: Job, told: Any, now_ms: int, factor: float) -> Bill:
        found: Bill = edit(job, told, old(job, told, now_ms, factor))
        return found


def edit_price(owner: Any, edit: Any) -> None:
    """The price of so many milliseconds is what `edit(old, unit, rate_uc, ms)` makes of it, where `owner` asks."""

    @around(owner, "price_uc")
    def price(old: Any, unit: str, rate_uc: int, ms: int) -> int:
        found: int = edit(old, unit, rate_uc, ms)
        return found


@mutant()
def gpu_call_priced_by_the_second() -> None:
    """A call that has one price is charged by its time."""
    edit_price(life, lambda old, _unit, rate_uc, ms: old("second", min(rate_uc, 3 * UC_PER_CREDIT), ms))


@mutant()
def gpu_credits_rounded_down() -> None:
    """GPU time is rounded down to a whole credit."""
    edit_price(life, lambda _old, _unit, rate_uc, ms: ms * rate_uc // (SECOND_MS * UC_PER_CREDIT) * UC_PER_CREDIT)


@mutant()
def gpu_seconds_rounded_up_first() -> None:
    """Each begun second of GPU time is charged."""
    edit_price(life, lambda old, unit, rate_uc, ms: old(unit, rate_uc, -(-ms // SECOND_MS) * SECOND_MS))


@mutant()
def gpu_queue_charged() -> None:
    """The time in the queue is charged as time on a GPU."""

    @around(life, "bill")
    def bill(old: Any, job: Job, told: Any, now_ms: int, factor: float) -> Bill:
        waited = told._replace(execution_ms=(told.execution_ms or 0) + (told.delay_ms or 0))
        found: Bill = old(job, waited, now_ms, factor)
        return found


@mutant()
def gpu_hold_of_one_second() -> None:
    """What is held for a job is the price of one second."""
    edit_price(submit, lambda old, unit, rate_uc, _ms: old(unit, rate_uc, SECOND_MS))


@mutant()
def gpu_charges_the_hold() -> None:
    """A job is charged all that was held for it."""
    edit_bill(lambda job, _told, bill: bill._replace(charge_uc=job.hold_uc))


@mutant()
def gpu_cap_ignored() -> None:
    """What a job may cost is not bounded by its longest time."""
    edit_price(submit, lambda old, unit, rate_uc, ms: GENEROUS * old(unit, rate_uc, ms))


@mutant()
def gpu_told_time_believed() -> None:
    """Any execution time that the provider tells is charged."""

    def edit(job: Job, told: Any, bill: Bill) -> Bill:
        ms = told.execution_ms
        return Bill(ms, price_uc(job.unit, job.rate_uc, ms)) if ms else bill

    edit_bill(edit)


@mutant()
def gpu_zero_time_free() -> None:
    """A job of which the provider tells no time is free."""
    edit_bill(lambda _job, told, bill: bill if told.execution_ms else Bill(0, 0, estimated=True))


@mutant()
def gpu_estimate_unmarked() -> None:
    """A time that was measured is not marked as an estimate."""
    edit_bill(lambda _job, _told, bill: bill._replace(estimated=False))


@mutant("GD-157")
def gpu_failure_charged() -> None:
    """A job that failed is charged a second."""

    @around(life, "judge")
    def judge(old: Any, job: Job, *rest: Any) -> Any:
        verdict = old(job, *rest)
        is_failure = isinstance(verdict, End) and verdict.state == "failed"
        return verdict._replace(bill=Bill(SECOND_MS, UC_PER_CREDIT)) if is_failure else verdict


@mutant("GD-014")
def gpu_hold_kept_on_failure() -> None:
    """What was held for a job that failed stays held."""

    @around(settling.Ending, "move")
    def move(old: Any, self: settling.Ending, apply: Any) -> int:
        if self.end.bill.charge_uc:
            charged_uc: int = old(self, apply)
            return charged_uc
        apply(Work(None, self.row))
        return 0


@mutant("GD-158")
def gpu_empty_taken_for_success() -> None:
    """A job in whose result there is nothing has succeeded, and is charged."""

    @around(results, "result_of")
    async def result_of(old: Any, services: Services, job: Job, output: Any) -> Any:
        found = await old(services, job, output)
        return Result(output={"images": []}, links=[]) if found is NOTHING else found


@mutant("GD-162")
def gpu_each_poll_refunds() -> None:
    """Whoever asks about a job that failed gets its hold back once more."""

    @around(gpu_jobs, "respond")
    async def respond(old: Any, services: Services, exchange: Any, job: Job) -> None:
        if job.state == "failed":
            await services.money.top_up(job.payer_id, job.hold_uc)
        await old(services, exchange, job)


@mutant("GD-162")
def gpu_each_poll_charges() -> None:
    """Whoever asks about a job that succeeded pays for it once more."""

    def again(job: Job, apply: Any) -> None:
        held = apply(Work(Hold(job.payer_id, job.charged_uc, job.request_id, 2**53)))
        if isinstance(held, Applied) and held.hold is not None:
            apply(Work(Settle(held.hold.id, job.payer_id, job.charged_uc)))

    @around(gpu_jobs, "respond")
    async def respond(old: Any, services: Services, exchange: Any, job: Job) -> None:
        if job.state == "succeeded" and job.charged_uc:
            await services.money.together(lambda _connection, apply: again(job, apply))
        await old(services, exchange, job)


@mutant()
def gpu_cancel_charges_the_hold() -> None:
    """A job that its caller cancelled is charged all that was held for it."""
    replace(life, "bill_of_cancelled", lambda job, *_rest: Bill(job.max_ms, job.hold_uc))


@mutant()
def gpu_cancelled_run_free() -> None:
    """A job that its caller cancelled is free, however long it ran."""
    replace(life, "bill_of_cancelled", lambda *_args: Bill())


@mutant()
def gpu_credit_unchecked() -> None:
    """A job needs no more credit than a microcredit."""

    @around(submit, "hold_of")
    def hold_of(old: Any, *args: Any) -> Hold:
        hold: Hold = old(*args)
        return hold._replace(amount_uc=1, minimum_uc=0)


@mutant()
def deployment_other_price_charged() -> None:
    """Jobs of deployments cost a credit a second, whatever is told."""

    @around(gpu, "answer")
    async def answer(old: Any, *args: Any, inline: bool) -> None:
        order = args[4]
        args = (*args[:4], order._replace(rate_uc=UC_PER_CREDIT) if order.kind == "deployment" else order)
        await old(*args, inline=inline)
