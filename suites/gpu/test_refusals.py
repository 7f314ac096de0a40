"""What is refused of GPU calls: with which status, before anything was begun, and free."""

from __future__ import annotations

from typing import Any

from suites.case import Case, expect_status
from suites.exchange import Reply
from suites.gpu_jobs import SMALL, Gpu, ident
from suites.provisioning import UC_PER_CREDIT
from suites.requirement import over, requirement

PLACES = (
    ("GET", "gpu"),
    ("POST", "gpu/{slug}"),
    ("POST", "gpu/run/mine"),
    ("GET", "gpu/jobs"),
    ("GET", "gpu/jobs/abc"),
    ("POST", "gpu/jobs/abc/cancel"),
    ("GET", "deployments"),
    ("POST", "deployments"),
    ("DELETE", "deployments/mine"),
    ("POST", "webhooks/secret"),
)


async def untouched(case: Case, reply: Reply) -> None:
    """Raise unless no upstream was asked and no credit moved."""
    await case.nothing_upstream(reply)
    books = await case.books()
    assert not books.of_kind("HOLD", "SETTLE"), f"a refused call moved credit: {books.transfers}"


@requirement("GPU-025")
@over(place=PLACES, key=("", "ck_nobody_was_ever_given_this_key_0"))
async def test_key(case: Case, place: tuple[str, str], key: str) -> None:
    """No key, and an unknown one, at every address."""
    method, path = place
    body = {"input": {"prompt": f"A cat. {case.marks(case.fresh())}"}} if method == "POST" else None
    reply = await Gpu(case).call(method, path.format(slug=case.model("gpu")), body, key=key)
    expect_status(reply, 401, "authentication_error")
    await case.nothing_upstream()


@requirement("GPU-026")
async def test_credit(case: Case) -> None:
    """A credit less than the longest job of a deployment costs; then just enough."""
    gpu = Gpu(case)
    await case.use(credits=0)
    made = await gpu.deploy(maxSeconds=300)
    due = 300 * made["creditsPerSecond"]
    user = await case.user()
    await case.admin.top_up(user.id, (due - 1) * UC_PER_CREDIT)
    reply = await gpu.submit("run/mine", given=SMALL)
    expect_status(reply, 402, "insufficient_credits")
    await untouched(case, reply)
    await case.admin.top_up(user.id, UC_PER_CREDIT)
    expect_status(await gpu.submit("run/mine", given=SMALL), 202)


@requirement("GPU-026")
async def test_credit_is_held(case: Case) -> None:
    """Credit for one job and a half: a second is refused while the first waits, and taken after that."""
    gpu = Gpu(case)
    await case.use(credits=0)
    made = await gpu.deploy(maxSeconds=300)
    await case.admin.top_up((await case.user()).id, 450 * made["creditsPerSecond"] * UC_PER_CREDIT)
    first = await gpu.taken("run/mine", given=SMALL, times="job_stuck_in_queue")
    await case.reached("job_stuck_in_queue", first)
    second = await gpu.submit("run/mine", given=SMALL)
    expect_status(second, 402, "insufficient_credits")
    await case.nothing_upstream(second)
    expect_status(await gpu.call("POST", f"gpu/jobs/{ident(first)}/cancel"), 200)
    await gpu.ended(first)
    expect_status(await gpu.submit("run/mine", given=SMALL), 202)


@requirement("GPU-027")
@over(kind=("gpu", "gpu_calls"))
async def test_tier(case: Case, kind: str) -> None:
    """A microcredit short of $19.99."""
    await case.use(uc=1_998_999_999)
    reply = await Gpu(case).submit(case.model(kind))
    expect_status(reply, 403, "access_denied")
    await untouched(case, reply)


@requirement("GPU-028")
@over(path=("gpu/{model}", "gpu/run/{model}", "gpu/jobs/{model}", "deployments/{model}", "gpu/jobs/{model}/cancel"))
async def test_unknown(case: Case, path: str) -> None:
    """A model, a deployment, a job that there is not."""
    gpu = Gpu(case)
    path = path.format(model="no-such-thing")
    is_submission = path in ("gpu/no-such-thing", "gpu/run/no-such-thing")
    method = "POST" if is_submission or path.endswith("cancel") else "GET"
    body = gpu.order(case.fresh(), [], {}, {}) if is_submission else None
    expect_status(await gpu.call(method, path, body), 404, "not_found_error")
    await case.nothing_upstream()


WRONG: tuple[tuple[str, Any], ...] = (
    ("no_input", {"sync": False}),
    ("input_list", {"input": ["A cat."]}),
    ("no_prompt", {"input": {}}),
    ("prompt_number", {"input": {"prompt": 7}}),
    ("prompt_empty", {"input": {"prompt": " "}}),
    ("seed_text", {"input": {"prompt": "A cat.", "seed": "7"}}),
    ("unknown_input", {"input": {"prompt": "A cat.", "colour": "red"}}),
    ("sync_text", {"input": {"prompt": "A cat."}, "sync": "yes"}),
    ("unknown_member", {"input": {"prompt": "A cat."}, "priority": 1}),
)


@requirement("GPU-029")
@over(kind=("gpu", "gpu_calls"), wrong=WRONG)
async def test_wrong_input(case: Case, kind: str, wrong: tuple[str, Any]) -> None:
    """Missing, of another type, empty, unknown."""
    token = case.fresh()
    body = wrong[1]
    given = body.get("input")
    if isinstance(given, dict) and isinstance(given.get("prompt"), str) and given["prompt"].strip():
        body = {**body, "input": {**given, "prompt": f"A cat. {case.marks(token)}"}}
    reply = await Gpu(case).call("POST", f"gpu/{case.model(kind)}", body, token=token)
    expect_status(reply, 400, "invalid_request_error")
    await untouched(case, reply)


@requirement("GPU-029")
@over(body=(b"", b"{", b"[]", b'"x"'))
async def test_wrong_body(case: Case, body: bytes) -> None:
    """What is no JSON object."""
    headers = {"authorization": f"Bearer {await case.secret(None)}", "content-type": "application/json"}
    url = f"{case.target.openai_url}/gpu/{case.model('gpu')}"
    reply = await case.request("POST", url, headers=headers, body=body)
    expect_status(reply, 400, "invalid_request_error")
    assert not (await case.books()).of_kind("HOLD"), "a refused call held credit"
