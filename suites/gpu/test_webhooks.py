"""Webhooks: who is called, what arrives, and who could have written it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from suites.case import Case, expect_status
from suites.edge import now_ms, sleep_ms, unix_s
from suites.gpu_jobs import GPU, SMALL, Gpu, Hook, ident
from suites.outcomes import Violation
from suites.own_gateway import own_gateway
from suites.requirement import over, requirement
from suites.webhook_signatures import complaint

QUIET_MS = 700  # that a call is waited for that must not come
LONGEST_GAP_MS = 72_000_000  # between two tries of the reference gateway
PRIVATE = (
    "http://10.1.2.3/done",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://0.0.0.0/",
    "http://[::1]/",
    "http://[fd00::1]/",
    "http://[::ffff:10.1.2.3]/",
    "http://167838211/",  # 10.1.2.3
    "http://0x0a010203/",
    "ftp://hooks.example/done",
    "file:///etc/passwd",
    "no url",
    "",
)


def heads(record: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a call, names in lower case."""
    return {name.lower(): value for name, value in record["headers"]}


def signed(record: Mapping[str, Any], secret: str) -> None:
    """Raise Violation unless the call is signed with the secret."""
    found = complaint(secret, heads(record), record["body"].encode(), unix_s())
    if found:
        raise Violation(f"a receiver refuses the call: {found}")


async def only(gpu: Gpu, hook: Hook) -> Mapping[str, Any]:
    """The one call of a receiver that takes the first."""
    await gpu.received(hook)
    records = await gpu.received(hook, 2, QUIET_MS)
    assert len(records) == 1, f"{len(records)} calls came; one was due"
    return records[0]


async def rotated(gpu: Gpu) -> str:
    """A new secret."""
    reply = await gpu.call("POST", "webhooks/secret")
    expect_status(reply, 201)
    return str(reply.json["secret"])


@requirement("GPU-030")
@over(outcome=("succeeded", "failed", "cancelled"))
async def test_called(case: Case, outcome: str) -> None:
    """However a job ends, its webhook tells what a poll tells, once, and signed."""
    gpu = Gpu(case)
    secret, hook = await rotated(gpu), gpu.hook()
    times = "job_stuck_in_queue" if outcome == "cancelled" else "job_times queue_s=0 cold_s=0 run_s=0.2"
    faults = ["job_fails"] if outcome == "failed" else []
    reply = await gpu.taken(case.model("gpu"), times=times, faults=faults, webhookUrl=hook.url)
    if outcome == "cancelled":
        expect_status(await gpu.call("POST", f"gpu/jobs/{ident(reply)}/cancel"), 200)
    record = await only(gpu, hook)
    signed(record, secret)
    message = orjson.loads(record["body"])
    job = await gpu.job(reply)
    assert job["status"] == outcome, f"the job is {job}"
    assert message.get("type") == f"job.{outcome}", f"the message is of type {message.get('type')!r}"
    told = {name: message["data"].get(name) for name in job}
    assert told == job, f"the webhook tells {told}, the poll {job}"


@requirement("GPU-030")
async def test_called_of_a_deployment(case: Case) -> None:
    """The address stands in the deployment; a submission may name another."""
    gpu = Gpu(case)
    mine, other = gpu.hook(), gpu.hook()
    made = await gpu.create("mine", gpuTypes=GPU, webhookUrl=mine.url)
    expect_status(made, 201)
    secret = str(made.json.get("webhookSecret"))
    await gpu.live("mine")
    first = await gpu.taken("run/mine", given=SMALL)
    second = await gpu.taken("run/mine", given=SMALL, webhookUrl=other.url)
    for reply, hook in ((first, mine), (second, other)):
        record = await only(gpu, hook)
        signed(record, secret)
        data = orjson.loads(record["body"])["data"]
        assert data.get("job_id") == ident(reply), f"the webhook tells of {data.get('job_id')}"


@requirement("GPU-031")
async def test_secret_once(case: Case) -> None:
    """Where the first is needed, and never again."""
    gpu = Gpu(case)
    hook = gpu.hook()
    first = await gpu.taken(case.model("gpu"), webhookUrl=hook.url)
    secret = str(first.json.get("webhookSecret"))
    signed(await only(gpu, hook), secret)
    second = await gpu.taken(case.model("gpu"), webhookUrl=hook.url)
    shown = [second, await gpu.call("GET", "webhooks/secret"), await gpu.call("GET", "webhooks/deliveries")]
    shown.append(await gpu.call("GET", f"gpu/jobs/{ident(first)}"))
    for reply in shown:
        assert secret.encode() not in reply.raw, f"the secret is shown again: {reply}"
    assert "webhookSecret" not in second.json, "a second secret was made"
    other = await gpu.call("GET", "webhooks/deliveries", key=await case.new_user())
    assert other.json.get("deliveries") == [], f"somebody else sees {other}"


@requirement("GPU-032")
async def test_rotation(case: Case) -> None:
    """The new secret signs, and for a while the old one beside it, but none before that."""
    gpu = Gpu(case)
    secrets = [await rotated(gpu) for _ in range(3)]
    assert len(set(secrets)) == 3, "a rotation gave the secret there was"
    hook = gpu.hook()
    await gpu.taken(case.model("gpu"), webhookUrl=hook.url)
    record = await only(gpu, hook)
    signed(record, secrets[2])
    signed(record, secrets[1])
    assert complaint(secrets[0], heads(record), record["body"].encode(), unix_s()), "a secret that is gone still signs"


@requirement("GPU-033")
@over(url=PRIVATE)
async def test_private_addresses(case: Case, url: str) -> None:
    """In a submission, and in a deployment."""
    gpu = Gpu(case)
    reply = await gpu.submit(case.model("gpu"), webhookUrl=url)
    expect_status(reply, 400, "invalid_request_error")
    await case.nothing_upstream(reply)
    assert not (await case.books()).of_kind("HOLD"), "a refused call held credit"
    expect_status(await gpu.create("mine", webhookUrl=url), 400, "invalid_request_error")


async def delivery(gpu: Gpu, job: str, tries: int) -> Mapping[str, Any]:
    """How a job's webhook fares, once that many tries are over."""
    started = now_ms()
    while now_ms() - started < 10_000:
        reply = await gpu.call("GET", f"webhooks/deliveries?job_id={job}")
        expect_status(reply, 200)
        found: list[Mapping[str, Any]] = reply.json["deliveries"]
        if found and found[0]["attempts"] >= tries:
            return found[0]
        await sleep_ms(30)
    raise Violation(f"after 10 s no try number {tries}: {reply}")


@requirement("GPU-034", slow=True)
async def test_retried(case: Case) -> None:
    """Two 500s, then a redirect, then taken; another receiver is gone, and is not called again."""
    async with own_gateway(case) as own:
        mine = await own.start()
        gpu = Gpu(mine)
        secret, busy, gone = await rotated(gpu), gpu.hook(), gpu.hook()
        await mine.fleet.hurt_receiver(busy.case, kind="status", status=500, times=2)
        await mine.fleet.hurt_receiver(gone.case, kind="status", status=410)
        jobs = [ident(await gpu.taken(mine.model("gpu"), webhookUrl=hook.url)) for hook in (busy, gone)]
        for tries in (1, 2, 3, 4):
            await delivery(gpu, jobs[0], tries)
            await delivery(gpu, jobs[1], 1)
            if tries == 2:
                await mine.fleet.hurt_receiver(busy.case, kind="redirect", times=1)
            await mine.admin.advance_clock(LONGEST_GAP_MS)
        records = await gpu.received(busy, 5, QUIET_MS)
        assert [record["status"] for record in records] == [500, 500, 307, 200], (
            f"the receiver answered {[record['status'] for record in records]}"
        )
        assert len(await gpu.received(gone, 2, QUIET_MS)) == 1, "a receiver that is gone (410) was called again"
        assert len({heads(record)["webhook-id"] for record in records}) == 1, "a try has another id"
        assert len({record["body"] for record in records}) == 1, "a try has another body"
        for record in records:
            signed(record, secret)
        assert (await delivery(gpu, jobs[0], 4))["status"] == "delivered", "taken, and not told as delivered"
        assert (await delivery(gpu, jobs[1], 1))["status"] == "failed", "410, and not told as failed"
