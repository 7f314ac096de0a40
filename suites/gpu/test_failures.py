"""Jobs that come to nothing are told as failed, and are free."""

from __future__ import annotations

from suites.case import Case
from suites.gpu_jobs import SMALL, Gpu, cost_uc
from suites.requirement import over, requirement


async def free(case: Case, gpu: Gpu, slug: str, fault: str, **options: object) -> None:
    """Raise unless a job that meets the fault is told as failed, with a reason, and nothing is charged or held."""
    user = await case.user()
    before = await case.admin.account(user.id)
    reply = await gpu.taken(slug, faults=[fault], **options)
    await case.reached(fault.partition(" ")[0], reply)
    job = await gpu.ended(reply)
    assert job["status"] == "failed", f"the job is {job}"
    error = job.get("error") or {}
    assert error.get("type"), f"no reason is told: {job}"
    assert error.get("message"), f"no reason is told: {job}"
    assert cost_uc(job) == 0, f"the job says that it cost {cost_uc(job)} uc"
    books = await case.books(rows=1)
    assert (books.charged_uc, books.held_uc) == (0, 0), f"charged {books.charged_uc} uc, held {books.held_uc} uc"
    assert books.balance_uc == before["balance_uc"], f"{before['balance_uc']} uc became {books.balance_uc} uc"
    given_uc = books.sum_uc("RELEASE", "EXPIRE")
    assert given_uc == books.sum_uc("HOLD"), f"{books.sum_uc('HOLD')} uc were held, {given_uc} uc given back"
    told = (books.row["status"], books.row["costUc"])
    assert told == ("upstream_failed", 0), f"the log says {told}"


@requirement("GPU-010")
@over(fault=("job_fails", "job_times_out", "job_cancelled", "job_vanishes after_s=0.1"))
async def test_free(case: Case, fault: str) -> None:
    """It fails half-way, times out, is cancelled by the provider, or is not there any more."""
    await free(case, Gpu(case), case.model("gpu"), fault)


@requirement("GPU-010")
async def test_contradiction(case: Case) -> None:
    """The outer word says that it is complete, the inner one why it failed."""
    gpu = Gpu(case)
    drift = "status_words_drift word=FAILED becomes=COMPLETED"
    reply = await gpu.taken(case.model("gpu"), faults=["job_fails", drift])
    await case.reached("status_words_drift", reply)
    job = await gpu.ended(reply)
    assert job["status"] == "failed", f"the job is {job}"
    assert (await case.books(rows=1)).charged_uc == 0, "a failure was charged"


@requirement("GPU-011")
@over(form=("empty", "failed"))
async def test_moderated(case: Case, form: str) -> None:
    """The picture was rendered and withheld: a success with nothing in it, or a failure."""
    fault = f"moderation_after_render form={form}"
    await free(case, Gpu(case), case.model("gpu_calls"), fault, given=SMALL, sync=False)


@requirement("GPU-011")
async def test_moderated_deployment(case: Case) -> None:
    """The same of a ComfyUI container of the caller's own."""
    gpu = Gpu(case)
    await gpu.deploy()
    await free(case, gpu, "run/mine", "moderation_after_render form=empty", given=SMALL)
