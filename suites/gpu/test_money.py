"""What GPU time costs: held before, charged by the millisecond after, whoever looks, and whatever the provider says."""

from __future__ import annotations

import asyncio

from suites.case import Case, expect_status
from suites.gpu_jobs import RUN_MS, SMALL, Gpu, cost_uc, ident, seconds_uc
from suites.provisioning import UC_PER_CREDIT
from suites.requirement import over, requirement

POLLERS = 20


@requirement("GPU-006")
@over(run_s=(0.1, 0.35, 0.8))
async def test_by_the_second(case: Case, run_s: float) -> None:
    """Parts of a second; time in the queue is no time on a GPU."""
    gpu = Gpu(case)
    slug = case.model("gpu")
    facts = await gpu.facts(slug)
    reply = await gpu.taken(slug, times=f"job_times queue_s=0.4 cold_s=0.4 run_s={run_s}")
    job = await gpu.ended(reply)
    assert job["status"] == "succeeded", f"the job is {job}"
    told_ms = (await gpu.truth(reply))["told_run_ms"]
    due = seconds_uc(told_ms, facts["creditsPerSecond"])
    books = await case.books(rows=1)
    assert job["durationMs"] == told_ms, f"durationMs is {job['durationMs']}; the provider told {told_ms}"
    charges = (cost_uc(job), books.charged_uc, books.row["costUc"])
    assert charges == (due, due, due), f"reply, ledger and log say {charges}; due {due} uc for {told_ms} ms"
    told = (books.row["status"], books.row["unit"], books.row["units"], books.row["estimated"])
    assert told == ("succeeded", "gpu_ms", told_ms, False), f"the log says {told}"


@requirement("GPU-007")
async def test_held(case: Case) -> None:
    """While a job goes on, the most that it can cost is set aside."""
    gpu = Gpu(case)
    slug = case.model("gpu")
    facts = await gpu.facts(slug)
    user = await case.user()
    reply = await gpu.taken(slug, times="job_stuck_in_queue")
    await case.reached("job_stuck_in_queue", reply)
    account = await case.admin.account(user.id)
    due = seconds_uc(facts["maxSeconds"] * 1000, facts["creditsPerSecond"])
    assert account["held_uc"] == due, f"held {account['held_uc']} uc while the job waits; due {due} uc"
    await gpu.cancelled(reply)
    books = await case.books(rows=1)
    assert books.held_uc == 0, f"{books.held_uc} uc are held of a job that was cancelled"


@requirement("GPU-007")
@over(outcome=("succeeded", "failed"))
async def test_resolved(case: Case, outcome: str) -> None:
    """At the end of a job its hold becomes its price and the rest, once."""
    gpu = Gpu(case)
    slug = case.model("gpu")
    facts = await gpu.facts(slug)
    before = await case.admin.account((await case.user()).id)
    reply = await gpu.taken(slug, faults=["job_fails"] if outcome == "failed" else [])
    job = await gpu.ended(reply)
    assert job["status"] == outcome, f"the job is {job}"
    told_ms = (await gpu.truth(reply))["told_run_ms"] if outcome == "succeeded" else 0
    price_uc = seconds_uc(told_ms, facts["creditsPerSecond"])
    books = await case.books(rows=1)
    holds, closing = books.of_kind("HOLD"), books.of_kind("SETTLE", "RELEASE", "EXPIRE")
    due = seconds_uc(facts["maxSeconds"] * 1000, facts["creditsPerSecond"])
    assert [hold["amount_uc"] for hold in holds] == [due], f"one hold of {due} uc was due: {holds}"
    assert {move["closes"] for move in closing} == {holds[0]["id"]}, f"what closed the hold names another: {closing}"
    assert sum(move["amount_uc"] for move in closing) == due, f"the hold was resolved to {closing}"
    spent_uc = before["balance_uc"] - books.balance_uc
    assert (books.held_uc, spent_uc) == (0, price_uc), f"held {books.held_uc} uc, spent {spent_uc} uc of {price_uc} uc"


@requirement("GPU-008")
async def test_cap(case: Case) -> None:
    """A deployment of five seconds at most, a provider that tells more of a job that ran for as long as that can be."""
    gpu = Gpu(case)
    made = await gpu.deploy(maxSeconds=5)
    times = "job_times queue_s=0 cold_s=0 run_s=0.5"
    reply = await gpu.taken("run/mine", times=times, faults=["wrong_execution_time factor=16"], given=SMALL)
    await case.reached("wrong_execution_time", reply)
    job = await gpu.ended(reply)
    due = seconds_uc(5000, made["creditsPerSecond"])
    assert job["status"] == "succeeded", f"the job is {job}"
    assert (await gpu.truth(reply))["told_run_ms"] == 8000, "the provider tells eight seconds"
    books = await case.books(rows=1)
    assert (cost_uc(job), books.charged_uc) == (due, due), f"charged {books.charged_uc} uc; due {due} uc, the most"


@requirement("GPU-009")
@over(factor=(0, 1_000_000))
async def test_lies(case: Case, factor: int) -> None:
    """None at all, and four days in a third of a second: charged is what was measured, and marked."""
    gpu = Gpu(case)
    case.model("gpu")
    known = {slug: await gpu.facts(slug) for slug in case.target.models["gpu"]}
    slug, facts = max(known.items(), key=lambda row: row[1]["maxSeconds"])  # what is measured is far below its hold
    reply = await gpu.taken(slug, faults=[f"wrong_execution_time factor={factor}"])
    await case.reached("wrong_execution_time", reply)
    job = await gpu.ended(reply)
    told_ms = (await gpu.truth(reply))["told_run_ms"]
    assert told_ms == RUN_MS * factor, f"the provider tells {told_ms} ms"
    assert job["status"] == "succeeded", f"the job is {job}"
    books = await case.books(rows=1)
    most = seconds_uc(facts["maxSeconds"] * 1000, facts["creditsPerSecond"])
    assert 0 < books.charged_uc < most, f"charged {books.charged_uc} uc for {RUN_MS} ms; at most are {most} uc"
    assert (cost_uc(job), books.row["costUc"]) == (books.charged_uc, books.charged_uc), f"the job says {job}"
    assert books.row["estimated"] is True, "the log does not say that the time is an estimate"


@requirement("GPU-012")
@over(outcome=("succeeded", "failed"))
async def test_nobody_polls(case: Case, outcome: str) -> None:
    """Submitted, and never asked about: only the ledger is looked at."""
    gpu = Gpu(case)
    faults = ["webhook_never_fires", *(["job_fails"] if outcome == "failed" else [])]
    reply = await gpu.taken(case.model("gpu"), faults=faults)
    await case.reached("webhook_never_fires", reply)
    books = await case.books(rows=1)
    assert books.held_uc == 0, f"{books.held_uc} uc are still held of a job that ended long ago"
    due = "succeeded" if outcome == "succeeded" else "upstream_failed"
    assert books.row["status"] == due, f"the log says {books.row['status']}"
    assert (books.charged_uc > 0) is (outcome == "succeeded"), f"charged {books.charged_uc} uc"


@requirement("GPU-013")
@over(outcome=("succeeded", "failed"))
async def test_many_pollers(case: Case, outcome: str) -> None:
    """Twenty clients poll while the job ends, and go on for a while."""
    gpu = Gpu(case)
    user = await case.user()
    before = await case.admin.account(user.id)
    reply = await gpu.taken(case.model("gpu"), faults=["job_fails"] if outcome == "failed" else [])
    jobs = await asyncio.gather(*(gpu.ended(reply) for _ in range(POLLERS)))
    assert all(job == jobs[0] for job in jobs), "those who polled were told different ends"
    assert jobs[0]["status"] == outcome, f"the job is {jobs[0]}"
    await asyncio.gather(*(gpu.job(reply) for _ in range(POLLERS)))
    books = await case.books(rows=1)
    due = cost_uc(jobs[0])
    assert books.row["costUc"] == due, f"the log says {books.row['costUc']} uc; due {due} uc"
    assert before["balance_uc"] - books.balance_uc == due, (
        f"spent {before['balance_uc'] - books.balance_uc} uc; due {due} uc"
    )
    assert sum(books.settles.values()) == (1 if due else 0), f"settled {dict(books.settles)}"


@requirement("GPU-015")
@over(fault=("submit_5xx_after_accept", "reset", "malformed_body"))
async def test_lost_reply(case: Case, fault: str) -> None:
    """The provider took the job, its reply is lost: 502, free, and never submitted again."""
    gpu = Gpu(case)
    reply = await gpu.submit(case.model("gpu"), faults=[fault])
    await case.reached(fault, reply)
    expect_status(reply, 502, "api_error")
    books = await case.books(rows=1)
    assert (books.charged_uc, books.held_uc) == (0, 0), f"charged {books.charged_uc} uc, held {books.held_uc} uc"
    assert len(await gpu.submissions(reply)) == 1, "what may have been accepted was submitted again"


@requirement("GPU-015")
async def test_refused_once(case: Case) -> None:
    """A provider that says 429 took nothing: it is asked again."""
    gpu = Gpu(case)
    reply = await gpu.submit(case.model("gpu"), faults=["status=429 attempt=1"])
    await case.reached("status", reply)
    expect_status(reply, 202)
    job = await gpu.ended(reply)
    assert job["status"] == "succeeded", f"the job is {job}"
    assert len(await gpu.submissions(reply)) == 2, "a second submission was due"
    assert sum((await case.books(rows=1)).settles.values()) == 1, "charged once was due"


@requirement("GPU-017")
async def test_same_key(case: Case) -> None:
    """Five at the same moment and one after the end."""
    gpu = Gpu(case)
    slug, token, headers = case.model("gpu"), case.fresh(), {"idempotency-key": "one-job"}
    replies = await asyncio.gather(*(gpu.taken(slug, token=token, headers=headers) for _ in range(5)))
    await gpu.ended(replies[0])
    replies.append(await gpu.submit(slug, token=token, headers=headers))
    names = {ident(reply) for reply in replies}
    assert len(names) == 1, f"the same request under the same key made the jobs {names}"
    assert len(await gpu.submissions(token)) == 1, "the provider was given the job again"
    books = await case.books(rows=1)
    assert (len(books.of_kind("HOLD")), len(books.of_kind("SETTLE"))) == (1, 1), f"transfers {books.transfers}"


@requirement("GPU-017")
async def test_key_of_another_request(case: Case) -> None:
    """The same key with another prompt."""
    gpu = Gpu(case)
    slug, headers = case.model("gpu"), {"idempotency-key": "one-job"}
    first = await gpu.taken(slug, headers=headers)
    other = await gpu.submit(slug, headers=headers)
    expect_status(other, 409, "conflict_error")
    await case.nothing_upstream(other)
    await gpu.ended(first)
    assert sum((await case.books(rows=1)).settles.values()) == 1, "charged once was due"


@requirement("GPU-017")
async def test_key_of_a_failure(case: Case) -> None:
    """A job that failed was free, and frees its key: the retry is a job of its own."""
    gpu = Gpu(case)
    slug, token, headers = case.model("gpu"), case.fresh(), {"idempotency-key": "one-job"}
    faults = ["job_fails attempt=1"]
    first = await gpu.taken(slug, token=token, headers=headers, faults=faults)
    assert (await gpu.ended(first))["status"] == "failed", "the first job fails"
    again = await gpu.taken(slug, token=token, headers=headers, faults=faults)
    await case.reached("job_fails", token)
    assert ident(again) != ident(first), "the retry got the job that had failed"
    job = await gpu.ended(again)
    assert job["status"] == "succeeded", f"the retry is {job}"
    books = await case.books(rows=2)
    assert books.charged_uc == cost_uc(job) > 0, f"charged {books.charged_uc} uc"
    assert books.held_uc % UC_PER_CREDIT == 0 == books.held_uc, f"held {books.held_uc} uc"
