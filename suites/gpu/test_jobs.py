"""Jobs of hosted models: how they are submitted, polled, waited for, listed and called off."""

from __future__ import annotations

from urllib.parse import urlsplit

from suites.case import Case, expect_status
from suites.edge import sleep_ms
from suites.gpu_jobs import ENDED, QUICK, SMALL, Gpu, cost_uc, ident, seconds_uc
from suites.provisioning import UC_PER_CREDIT
from suites.requirement import requirement

SECONDS = "job_times queue_s=0.3 cold_s=0 run_s=0.3"
FOR_EVER = "job_times queue_s=0 cold_s=0 run_s=9"  # with `job_never_finishes`
ORDER = ("queued", "running", *ENDED)


@requirement("GPU-001")
async def test_list(case: Case) -> None:
    """Every row has a price and a limit, and stands alone as it stands in the list."""
    gpu = Gpu(case)
    wanted = {case.model("gpu"), case.model("gpu_calls")}
    reply = await gpu.call("GET", "gpu")
    expect_status(reply, 200)
    rows = {row["slug"]: row for row in reply.json["data"]}
    assert wanted <= rows.keys(), f"the list lacks {wanted - rows.keys()}"
    for slug, row in rows.items():
        prices = [row[name] for name in ("creditsPerCall", "creditsPerSecond") if name in row]
        assert len(prices) == 1, f"{slug} has {len(prices)} prices; one was due"
        assert prices[0] > 0, f"{slug} costs {prices[0]}"
        assert row.get("maxSeconds", 0) > 0, f"{slug} tells no longest time: {row}"
    for slug in wanted:
        assert await gpu.facts(slug) == rows[slug], f"{slug} alone is another than in the list"


@requirement("GPU-002")
async def test_inline(case: Case) -> None:
    """A picture: the answer is its end, the link leads to a whole PNG, and the price is that of a call."""
    gpu = Gpu(case)
    slug = case.model("gpu_calls")
    facts = await gpu.facts(slug)
    reply = await gpu.submit(slug, given=SMALL)
    expect_status(reply, 200)
    await case.reached("job_times", reply)
    job = reply.json
    assert job.get("status") == "succeeded", f"the status is {job.get('status')!r}"
    assert len(job.get("outputs", [])) == 1, f"one picture was due: {job}"
    picture = await case.request("GET", job["outputs"][0])
    expect_status(picture, 200)
    assert picture.raw.startswith(b"\x89PNG"), f"no PNG: {picture.raw[:16]!r}"
    assert b"IEND" in picture.raw[-12:], "the picture is cut off"
    told_ms = (await gpu.truth(reply))["told_run_ms"]
    assert job.get("durationMs") == told_ms, f"durationMs is {job.get('durationMs')}; due {told_ms}"
    due = facts["creditsPerCall"] * UC_PER_CREDIT
    books = await case.books(rows=1)
    assert (cost_uc(job), books.charged_uc, books.row["costUc"]) == (due, due, due), "a call has one price"


@requirement("GPU-003")
async def test_queued(case: Case) -> None:
    """The answer comes long before the job ends, and its poll URL leads to the job."""
    gpu = Gpu(case)
    reply = await gpu.taken(case.model("gpu"), times=SECONDS)
    assert reply.json.get("status") == "queued", f"the status is {reply.json.get('status')!r}"
    url = str(reply.json.get("pollUrl"))
    assert url.endswith(f"/gpu/jobs/{ident(reply)}"), f"the poll URL is {url}"
    polled = await case.request(
        "GET",
        case.target.root_url + url if url.startswith("/") else url,
        headers={"authorization": f"Bearer {await case.secret(None)}"},
    )
    expect_status(polled, 200)
    assert ident(polled) == ident(reply), f"the poll URL leads to {polled}"
    assert polled.json["status"] in ORDER, f"the state is {polled.json['status']!r}"
    await gpu.ended(reply)


@requirement("GPU-004")
async def test_order(case: Case) -> None:
    """Polled from the submission to the end."""
    gpu = Gpu(case)
    reply = await gpu.taken(case.model("gpu"), times=SECONDS)
    states = [job["status"] for job in await gpu.seen(reply, *ENDED)]
    assert states == sorted(states, key=ORDER.index), f"a state went back: {states}"
    assert states[-1] == "succeeded", f"the states are {states}"


@requirement("GPU-004")
async def test_as_upstream(case: Case) -> None:
    """One job that no worker takes, and one that runs for ever; both called off in the end."""
    gpu = Gpu(case)
    waits = await gpu.taken(case.model("gpu"), times="job_stuck_in_queue")
    runs = await gpu.taken(case.model("gpu"), times=FOR_EVER, faults=["job_never_finishes"])
    await case.reached("job_stuck_in_queue", waits)
    await case.reached("job_never_finishes", runs)
    assert (await gpu.seen(runs, "running", *ENDED))[-1]["status"] == "running", "the job runs for ever"
    assert [(await gpu.job(waits))["status"] for _ in range(3)] == ["queued"] * 3, "the job waits for ever"
    for reply in (waits, runs):
        await gpu.cancelled(reply)


@requirement("GPU-004")
async def test_failing_polls(case: Case) -> None:
    """The job runs, then every poll upstream fails for a while: nothing is known anew."""
    gpu = Gpu(case)
    reply = await gpu.taken(case.model("gpu"), times=FOR_EVER, faults=["job_never_finishes"])
    await gpu.seen(reply, "running")
    async with case.scripted({"kind": "status", "status": 500}, reply.token, operation="status"):
        states = [(await gpu.job(reply))["status"] for _ in range(3)]
        await case.reached("status", reply, wait_ms=500)
    assert states == ["running"] * 3, f"after `running`, while polls upstream failed: {states}"
    await gpu.cancelled(reply)


@requirement("GPU-004")
async def test_regress(case: Case) -> None:
    """The provider tells an ended job as running again; its caller was told that it succeeded."""
    gpu = Gpu(case)
    faults = ["status_regress_after_completion after_s=1 for_s=6"]
    reply = await gpu.taken(case.model("gpu"), faults=faults)
    before = await gpu.ended(reply)
    await case.reached("status_regress_after_completion", reply)
    assert before["status"] == "succeeded", f"the job is {before}"
    await sleep_ms(1100)
    for _ in range(3):
        assert await gpu.job(reply) == before, "a job that had ended changed"


@requirement("GPU-005")
async def test_waited_for(case: Case) -> None:
    """`sync` on a model that is not waited for by itself."""
    reply = await Gpu(case).submit(case.model("gpu"), sync=True)
    expect_status(reply, 200)
    await case.reached("job_times", reply)
    assert reply.json.get("status") == "succeeded", f"the status is {reply.json.get('status')!r}"


@requirement("GPU-005")
async def test_not_waited_for(case: Case) -> None:
    """`sync: false` on a model that is waited for by itself."""
    gpu = Gpu(case)
    reply = await gpu.taken(case.model("gpu_calls"), given=SMALL, sync=False, times=SECONDS)
    assert (await gpu.ended(reply))["status"] == "succeeded"


@requirement("GPU-005")
async def test_waited_for_in_vain(case: Case) -> None:
    """A job that fails while its caller waits."""
    reply = await Gpu(case).submit(case.model("gpu"), sync=True, faults=["job_fails"])
    await case.reached("job_fails", reply)
    expect_status(reply, 502, "api_error")
    books = await case.books(rows=1)
    assert books.charged_uc == 0, f"a failure cost {books.charged_uc} uc"


@requirement("GPU-016")
async def test_cancel_waiting(case: Case) -> None:
    """A job that no worker takes; cancelled twice."""
    gpu = Gpu(case)
    reply = await gpu.taken(case.model("gpu"), times="job_stuck_in_queue")
    await case.reached("job_stuck_in_queue", reply)
    expect_status(await gpu.call("POST", f"gpu/jobs/{ident(reply)}/cancel"), 200)
    job = await gpu.ended(reply)
    assert (job["status"], cost_uc(job)) == ("cancelled", 0), f"the job is {job}"
    again = await gpu.call("POST", f"gpu/jobs/{ident(reply)}/cancel")
    expect_status(again, 200)
    assert again.json == job, f"a second cancellation changed the job: {again}"
    assert (await gpu.truth(reply))["state"] == "cancelled", "the provider goes on with the job"
    assert (await case.books(rows=1)).charged_uc == 0, "a job that never ran was charged"


@requirement("GPU-016")
async def test_cancel_running(case: Case) -> None:
    """A job that would run for ever: charged until its caller had enough."""
    gpu = Gpu(case)
    slug = case.model("gpu")
    facts = await gpu.facts(slug)
    reply = await gpu.taken(slug, times=FOR_EVER, faults=["job_never_finishes"])
    await case.reached("job_never_finishes", reply)
    await gpu.seen(reply, "running")
    expect_status(await gpu.call("POST", f"gpu/jobs/{ident(reply)}/cancel"), 200)
    job = await gpu.ended(reply)
    assert job["status"] == "cancelled", f"the job is {job}"
    truth = await gpu.truth(reply)
    assert truth["state"] == "cancelled", "the provider goes on with the job"
    books = await case.books(rows=1)
    most = seconds_uc(truth["told_run_ms"], facts["creditsPerSecond"])
    assert cost_uc(job) == books.charged_uc, f"the job says {cost_uc(job)} uc, the ledger {books.charged_uc} uc"
    assert 0 < books.charged_uc <= most, f"charged {books.charged_uc} uc for {truth['run_ms']} ms; at most {most} uc"


@requirement("GPU-018")
async def test_pages(case: Case) -> None:
    """Three jobs, two to a page; and those of one state."""
    gpu = Gpu(case)
    good = [ident(await gpu.taken(case.model("gpu"), times=QUICK)) for _ in range(2)]
    bad = ident(await gpu.taken(case.model("gpu"), faults=["job_fails"]))
    for one in (*good, bad):
        await gpu.ended(one)
    first = await gpu.call("GET", "gpu/jobs?limit=2")
    expect_status(first, 200)
    rest = await gpu.call("GET", f"gpu/jobs?limit=2&cursor={first.json['next']}")
    expect_status(rest, 200)
    pages = [[row["id"] for row in page.json["jobs"]] for page in (first, rest)]
    assert pages == [[bad, good[1]], [good[0]]], f"pages {pages}; due the newest first"
    assert rest.json.get("next") is None, f"after the last page comes {rest.json['next']!r}"
    failed = await gpu.call("GET", "gpu/jobs?status=failed")
    assert [row["id"] for row in failed.json["jobs"]] == [bad], f"the failed jobs are {failed}"


@requirement("GPU-037")
async def test_forged_calls(case: Case) -> None:
    """Whoever calls in the provider's place, five times, with another end and another time than the true ones."""
    gpu = Gpu(case)
    slug = case.model("gpu")
    facts = await gpu.facts(slug)
    reply = await gpu.taken(slug)
    entry = (await gpu.submissions(reply))[0]
    asked = str(entry.body.get("webhook") or "")  # where the provider was asked to call, if it was
    path = urlsplit(asked).path if asked else f"/v1/gpu/callbacks/{ident(reply)}/guessed"
    forged = {"id": "forged", "status": "COMPLETED", "executionTime": 99_000, "output": {"text": "forged"}}
    for _ in range(5):
        await case.request("POST", case.target.root_url + path, body=case.encode(forged))
    job = await gpu.ended(reply)
    for _ in range(2):
        await case.request("POST", case.target.root_url + path, body=case.encode(forged))
    told_ms = (await gpu.truth(reply))["told_run_ms"]
    due = seconds_uc(told_ms, facts["creditsPerSecond"])
    books = await case.books(rows=1)
    assert job["durationMs"] == told_ms, f"durationMs is {job['durationMs']}; the provider told {told_ms}"
    assert (cost_uc(job), books.charged_uc) == (due, due), f"charged {books.charged_uc} uc; due {due} uc"
    assert sum(books.settles.values()) == 1, f"settled {dict(books.settles)}"
