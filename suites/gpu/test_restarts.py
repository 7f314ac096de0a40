"""Jobs outlive the process that took them: kill -9, restart, and jobs that never end by themselves."""

from __future__ import annotations

from suites.case import Case, expect_status
from suites.gpu_jobs import Gpu, Hook, cost_uc, ident, seconds_uc
from suites.own_gateway import own_gateway
from suites.requirement import requirement

STUCK_MS = 4_000_000  # longer than the reference gateway lets a job wait, run and be called off
LATE_MS = 2_520_000  # longer than it lets a job wait and run


async def called_once(gpu: Gpu, hook: Hook) -> None:
    """Raise unless the receiver was called, once."""
    await gpu.received(hook)
    records = await gpu.received(hook, 2, 700)
    assert len(records) == 1, f"{len(records)} webhooks came of a job over a restart; one was due"


@requirement("GPU-035", slow=True)
async def test_kill(case: Case) -> None:
    """One job ends while the gateway is dead, one fails, one still waits when it is back."""
    async with own_gateway(case) as own:
        mine = await own.start()
        gpu, user, slug = Gpu(mine), await mine.user(), mine.model("gpu")
        facts = await gpu.facts(slug)
        hook = gpu.hook()
        times = "job_times queue_s=0 cold_s=0 run_s=1"
        headers = {"idempotency-key": "before the kill"}
        good = await gpu.taken(slug, times=times, webhookUrl=hook.url, headers=headers)
        bad = await gpu.taken(slug, times=times, faults=["job_fails"])
        waits = await gpu.taken(slug, times="job_stuck_in_queue")
        await own.kill()
        again = await own.start()
        gpu = Gpu(again)
        held_uc = (await again.admin.account(user.id))["held_uc"]
        most = seconds_uc(facts["maxSeconds"] * 1000, facts["creditsPerSecond"])
        assert held_uc in (most, 2 * most, 3 * most), f"after the kill {held_uc} uc are held; a job still waits"
        jobs = [await gpu.ended(good), await gpu.ended(bad)]
        assert [job["status"] for job in jobs] == ["succeeded", "failed"], f"after the kill the jobs are {jobs}"
        assert (await gpu.job(waits))["status"] == "queued", "the waiting job did not outlive the kill"
        repeat = await gpu.call("POST", f"gpu/{slug}", good.sent.document, headers=headers)
        assert ident(repeat) == ident(good), "the idempotency key did not outlive the kill"
        expect_status(await gpu.call("POST", f"gpu/jobs/{ident(waits)}/cancel"), 200)
        await called_once(gpu, hook)
        books = await again.books(user, rows=3)
        assert (books.charged_uc, books.held_uc) == (cost_uc(jobs[0]), 0), (
            f"charged {books.charged_uc} uc, held {books.held_uc} uc; due {cost_uc(jobs[0])} uc, none"
        )
        resolved = [transfer["closes"] for transfer in books.of_kind("SETTLE", "EXPIRE")]
        assert len(resolved) == len(set(resolved)) == 3, f"three jobs, resolved {resolved}"
        audit = await again.admin.audit()
        assert audit["ok"] is True, f"the audit finds {audit['problems']}"
        for reply in (good, bad, waits):
            assert len(await gpu.submissions(reply)) == 1, "a job was submitted again after the kill"


@requirement("GPU-014", slow=True)
async def test_stuck(case: Case) -> None:
    """No worker is ever free, nobody asks; an hour passes."""
    async with own_gateway(case) as own:
        mine = await own.start()
        gpu, user = Gpu(mine), await mine.user()
        reply = await gpu.taken(mine.model("gpu"), times="job_stuck_in_queue")
        await mine.reached("job_stuck_in_queue", reply)
        await mine.admin.advance_clock(STUCK_MS)
        books = await mine.books(user, rows=1)
        assert (books.charged_uc, books.held_uc) == (0, 0), f"charged {books.charged_uc} uc, held {books.held_uc} uc"
        job = await gpu.job(reply)
        assert job["status"] == "failed", f"the job is {job}"
        assert (await gpu.truth(reply))["state"] == "cancelled", "the provider was not told to forget the job"


@requirement("GPU-036", slow=True)
async def test_late_success(case: Case) -> None:
    """The job is past its time, and the provider deaf to being told so: it ends seconds later."""
    async with own_gateway(case) as own:
        mine = await own.start()
        gpu, user, slug = Gpu(mine), await mine.user(), mine.model("gpu")
        facts = await gpu.facts(slug)
        times = "job_times queue_s=0 cold_s=0 run_s=5"
        reply = await gpu.taken(slug, times=times, faults=["cancel_ignored"])
        await gpu.seen(reply, "running")
        await mine.admin.advance_clock(LATE_MS)
        early = await gpu.job(reply)
        assert early["status"] == "running", f"before the provider's verdict the job is {early}"
        most = seconds_uc(facts["maxSeconds"] * 1000, facts["creditsPerSecond"])
        held_uc = (await mine.admin.account(user.id))["held_uc"]
        assert held_uc == most, f"before the provider's verdict {held_uc} uc are held; due {most} uc"
        job = await gpu.ended(reply)
        assert any("/cancel/" in entry.row["path"] for entry in await mine.upstream(reply)), "it was not called off"
        assert job["status"] == "succeeded", f"after a late success the job is {job}"
        told_ms = (await gpu.truth(reply))["told_run_ms"]
        books = await mine.books(user, rows=1)
        due = seconds_uc(told_ms, facts["creditsPerSecond"])
        assert (cost_uc(job), books.charged_uc) == (due, due), f"charged {books.charged_uc} uc; due {due} uc"
