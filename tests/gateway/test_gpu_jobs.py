"""The life of GPU jobs in memory: what providers do wrong, cancellations, idempotency, tenancy, who may submit what."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.endpoints import gpu_jobs as endpoint
from gateway.gpu import background, rows, watch
from gateway.storage.tables import gpu_jobs, gpu_results, usage_log
from gateway.upstreams.memory import MemoryReply
from gateway.upstreams.transport import TransportError
from tests.gateway.gpu_lab import CLIP, COMFY, PICTURES, PNG, PROMPT, RUN, GpuLab, another, open_gpu_lab
from tests.gateway.lab import CREDIT, run

LOST = ("lost", TransportError("broken", "the connection broke"))
WAN = "/v1/gpu/wan-video"


async def states(lab: GpuLab) -> list[str]:
    return list(await lab.services.store.read(lambda c: c.execute(select(gpu_jobs.c.state)).scalars().all()))


# --- submissions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "meets", [502, 500, 408, ("x", 503), LOST, ("x", {"status": "IN_QUEUE"}), ("x", {"id": "a/b"})]
)
def test_what_may_have_been_accepted_is_not_submitted_again(tmp_path: Path, meets: Any) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        lab.runpod.submit = [meets]
        answer = await lab.ask(WAN, PROMPT)
        assert (answer.status, answer.error[0]) == (502, "api_error")
        assert len(lab.transport.requests) == 1
        assert await states(lab) == ["failed"]
        assert await lab.check() == 0

    run(work())


@pytest.mark.parametrize("meets", [429, TransportError("connect", "refused")])
def test_what_surely_was_not_accepted_is_tried_again(tmp_path: Path, meets: Any) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        lab.runpod.submit = [meets]
        await lab.submitted(WAN)
        assert len(lab.runpod.jobs) == 1
        lab.runpod.submit = [meets, meets, meets]
        answer = await lab.ask(WAN, PROMPT)
        assert answer.status == 502
        assert len(lab.runpod.jobs) == 1
        await lab.check()

    run(work())


@pytest.mark.parametrize(("status", "due"), [(400, 400), (413, 413), (422, 400), (401, 502), (403, 502), (404, 502)])
def test_refusals_of_the_provider(tmp_path: Path, status: int, due: int) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        lab.runpod.submit = [status]
        assert (await lab.ask(WAN, PROMPT)).status == due
        assert await lab.check() == 0
        (row,) = await lab.services.store.read(lambda c: c.execute(select(usage_log)).mappings().all())
        assert row["status"] == ("failed" if due in (400, 413) else "upstream_failed")

    run(work())


def test_credit_and_tier(tmp_path: Path) -> None:
    async def work() -> None:
        poor = await open_gpu_lab(tmp_path, credits=1000)
        refused = await poor.ask(WAN, PROMPT)
        assert (refused.status, refused.error[0]) == (403, "access_denied")
        assert "$19.99" in refused.error[1]
        await poor.deploy()
        await poor.submitted()
        refused = await poor.ask(RUN, PROMPT)
        assert (refused.status, refused.error[0]) == (402, "insufficient_credits")
        assert "100.00 available, 900.00 needed" in refused.error[1]
        assert len(poor.runpod.jobs) == 1, "what cannot be paid reaches no provider"
        await poor.check()

    run(work())


def test_the_minimum_balance(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path, credits=199)
        await lab.deploy(gpuTypes="AMPERE_16", maxSeconds=10)
        assert (await lab.ask(RUN, PROMPT)).status == 402
        await lab.services.money.top_up(lab.user_id, CREDIT)
        await lab.submitted()
        assert await lab.check() == 0

    run(work())


@pytest.mark.parametrize(
    ("path", "given", "message"),
    [
        (WAN, b"", "empty"),
        (WAN, b"[]", "a JSON object was due"),
        (WAN, {}, "`input` is missing"),
        (WAN, {"input": "x"}, "`input` is a string; an object was due"),
        (WAN, {"input": {}}, "`input.prompt` is missing"),
        (WAN, {"input": {"prompt": 5}}, "`input.prompt` is a number; a string was due"),
        (WAN, {"input": {"prompt": "  "}}, "`input.prompt` is empty"),
        (WAN, {"input": {"prompt": "x" * 4001}}, "has 4001 characters; at most 4000"),
        (WAN, {"input": {"prompt": "x", "seconds": 11}}, "`input.seconds` is 11; 1 to 10 was due"),
        (WAN, {"input": {"prompt": "x", "seconds": True}}, "an integer was due"),
        (WAN, {"input": {"prompt": "x", "fps": 1}}, "`input.fps` means nothing to wan-video"),
        (WAN, {"input": {"prompt": "x", "image_url": "http://127.0.0.1/x"}}, "public Internet"),
        (WAN, PROMPT | {"webhookUrl": "http://169.254.169.254/"}, "public Internet"),
        (WAN, PROMPT | {"webhookUrl": 1}, "`webhookUrl` is a number"),
        (WAN, PROMPT | {"webhook": "x"}, "'webhook' means nothing here"),
        (WAN, PROMPT | {"sync": "yes"}, "`sync` is a string; a boolean was due"),
        (RUN, {"input": {}}, "neither a `prompt` nor a `workflow`"),
        (RUN, {"input": {"prompt": "x", "size": 1}}, "`input.size` means nothing"),
        (RUN, {"input": {"prompt": "x", "seed": -1}}, "`input.seed` is -1"),
        (RUN, {"input": {"prompt": "x", "workflow_overrides": {"Sampler": 1}}}, "NODE.INPUT was due"),
        (
            RUN,
            {"input": {"prompt": "x", "workflow_overrides": {"Samplr.steps": 1}}},
            "no node in the workflow is called",
        ),
        (RUN, {"input": {"prompt": "x", "workflow_overrides": {"Sampler.stepz": 1}}}, "has no input 'stepz'"),
        (RUN, {"input": {"prompt": "x", "workflow_overrides": []}}, "an array; an object was due"),
        (RUN, {"input": {"workflow": "{"}}, "not JSON"),
        (RUN, {"input": {"workflow": {"nodes": []}}}, "exported for the API"),
        (RUN, {"input": {"workflow": {"1": 1}}}, "is no node"),
    ],
)
def test_wrong_requests_say_what_came_and_was_due(tmp_path: Path, path: str, given: Any, message: str) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.deploy()
        answer = await lab.ask(path, given)
        assert (answer.status, answer.error[0]) == (400, "invalid_request_error"), answer.body
        assert message in answer.error[1]
        assert lab.transport.requests == []

    run(work())


def test_what_does_not_exist(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        for path in ("/v1/gpu/nothing", "/v1/gpu/run/nothing"):
            assert (await lab.ask(path, PROMPT)).status == 404
        for path in ("/v1/gpu/jobs/nothing", "/v1/deployments/nothing", f"/v1/gpu/jobs/{'x' * 500}"):
            assert (await lab.ask(path, method="GET")).status == 404
        assert (await lab.ask("/v1/gpu/jobs/nothing/cancel")).status == 404
        assert (await lab.ask("/v1/gpu/jobs", method="DELETE")).status == 405
        assert (await lab.ask("/v1/gpu//x", PROMPT)).status == 404

    run(work())


def test_a_full_workflow_goes_as_it_came(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.deploy()
        graph = {
            "3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 20, "model": ["4", 0]}},
            "9": {"class_type": "SaveImage", "_meta": {"title": "Out"}, "inputs": {"images": ["3", 0]}},
        }
        given = {"workflow": graph, "seed": 7, "workflow_overrides": {"ksampler.steps": 9, "3.model": ["9", 0]}}
        await lab.submitted(input=given | {"images": [{"name": "a.png", "image": "x"}]})
        sent = lab.runpod.bodies[-1]["input"]
        assert sent["workflow"]["3"]["inputs"] == {"seed": 7, "steps": 9, "model": ["9", 0]}
        assert sent["images"] == [{"name": "a.png", "image": "x"}]
        await lab.deploy(slug="echo", dockerImage="me/handler:1")
        await lab.submitted("/v1/gpu/run/echo", input={"anything": [1, None]})
        assert lab.runpod.bodies[-1]["input"] == {"anything": [1, None]}
        assert lab.transport.requests[-1].url.endswith("/v2/echo/run")

    run(work())


# --- what providers do wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [None, 0, -5, "abc", True, float(10**14), 999_999])
def test_a_time_that_cannot_be_true_is_measured(tmp_path: Path, told: Any) -> None:
    """Last seen waiting at 10 s, seen ended at 25 s: 15 s at 2 credits, and the log says that it is an estimate."""

    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        lab.clock.advance(10_000)
        assert (await lab.job(ident))["status"] == "queued"
        lab.clock.advance(15_000)
        lab.runpod.jobs[lab.runpod.last] = {"status": "COMPLETED", "output": CLIP}
        if told is not None:
            lab.runpod.jobs[lab.runpod.last]["executionTime"] = told
        found = await lab.job(ident)
        assert (found["durationMs"], found["costCredits"]) == (15_000, 30)
        assert await lab.check() == 30 * CREDIT
        (row,) = await lab.services.store.read(lambda c: c.execute(select(usage_log)).mappings().all())
        assert row["estimated"]

    run(work())


def test_the_wait_that_the_provider_tells_shortens_the_measure(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        lab.clock.advance(30_000)
        lab.runpod.jobs[lab.runpod.last] = {"status": "COMPLETED", "output": CLIP, "delayTime": 20_000}
        assert (await lab.job(ident))["durationMs"] == 10_000

    run(work())


def test_a_faster_clock_upstream(tmp_path: Path) -> None:
    """With poll_factor 0.01 a second here is a hundred there."""

    async def work() -> None:
        lab = await open_gpu_lab(tmp_path, poll_factor=0.01)
        ident = await lab.submitted(WAN)
        lab.clock.advance(2_000)
        lab.runpod.end(output=CLIP, executionTime=156_000)
        assert (await lab.job(ident))["costCredits"] == 312
        assert await lab.check() == 312 * CREDIT

    run(work())


@pytest.mark.parametrize("word", ["SUCCEEDED", "completed", "Success", "OK_WELL"])
def test_other_words_of_success(tmp_path: Path, word: str) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        lab.clock.advance(10_000)
        lab.runpod.end(word, CLIP, executionTime=1_000)
        assert (await lab.job(ident))["status"] == "succeeded"

    run(work())


def test_a_word_that_nobody_knows_is_a_job_that_lives_until_the_deadline(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        lab.runpod.jobs[lab.runpod.last] = {"status": "PONDERING"}
        lab.runpod.obeys = False
        assert (await lab.job(ident))["status"] == "queued"
        await lab.rounds(2_400)
        assert (await lab.job(ident))["status"] == "queued"
        assert set(lab.runpod.cancelled) == {lab.runpod.last}, "past the deadline the provider is told to end it"
        await lab.rounds(600)
        told = await lab.job(ident)
        assert (told["status"], told["error"]["type"]) == ("failed", "job_timed_out")
        assert await lab.check() == 0

    run(work())


@pytest.mark.parametrize(
    "output", [None, {"status": "success_no_images", "images": []}, {}, {"images": [{"data": ""}]}]
)
@pytest.mark.parametrize("path", [RUN, "/v1/gpu/sdxl"])
def test_a_success_without_a_picture_is_a_failure(tmp_path: Path, output: Any, path: str) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.deploy()
        ident = await lab.submitted(path) if path == RUN else ""
        if path == RUN:
            lab.runpod.end(output=output, executionTime=2_000)
            told = await lab.job(ident)
            assert (told["status"], told["error"]["type"], told["creditsCharged"]) == ("failed", "no_output", 0)
        else:
            lab.runpod.before_poll = lambda: lab.runpod.end(output=output, executionTime=2_000)
            answer = await lab.ask(path, PROMPT)
            assert (answer.status, answer.error[0]) == (502, "api_error")
            assert "nothing was made" in answer.error[1]
        assert await lab.check() == 0

    run(work())


def test_a_handler_of_one_s_own_may_give_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.deploy(slug="mine", dockerImage="me/mine")
        ident = await lab.submitted("/v1/gpu/run/mine")
        lab.clock.advance(5_000)
        lab.runpod.end(executionTime=2_000)
        told = await lab.job(ident)
        assert (told["status"], told["output"], told["creditsCharged"]) == ("succeeded", None, 6)

    run(work())


def test_the_inner_word_counts(tmp_path: Path) -> None:
    """Outer success, inner failure; an exception as JSON in a text; nothing of traces, paths or hosts is passed on."""

    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        error = '{"error_type": "RuntimeError", "error_message": "boom at http://10.0.0.1/x", "hostname": "h-1"}'
        lab.runpod.end("COMPLETED", error=error)
        told = await lab.job(ident)
        assert (told["status"], told["error"]) == ("failed", {"type": "job_failed", "message": "boom at [redacted]"})
        ident = await lab.submitted(WAN)
        lab.runpod.end("COMPLETED", {"error": "oh no"})
        assert (await lab.job(ident))["error"]["message"] == "oh no"
        assert await lab.check() == 0

    run(work())


def test_the_end_is_the_end(tmp_path: Path) -> None:
    """What the provider says later (a late success, a state that goes back) changes nothing."""

    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        lab.runpod.end("TIMED_OUT")
        assert (await lab.job(ident))["status"] == "failed"
        lab.clock.advance(10_000)
        lab.runpod.end(output=CLIP, executionTime=9_000)
        await lab.rounds(100)
        assert (await lab.job(ident))["status"] == "failed"
        assert await lab.check() == 0

    run(work())


def test_a_running_job_never_goes_back_to_the_queue(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        lab.runpod.start()
        assert (await lab.job(ident))["status"] == "running"
        lab.runpod.jobs[lab.runpod.last] = {"status": "IN_QUEUE"}
        assert (await lab.job(ident))["status"] == "running"

    run(work())


@pytest.mark.parametrize("trouble", [500, 429, 401, 403, TransportError("broken", "x"), [], {"id": 1}, {"status": 5}])
def test_polls_that_fail_end_nothing(tmp_path: Path, trouble: Any) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        lab.runpod.poll = [trouble] * 3
        for _ in range(3):
            assert (await lab.job(ident))["status"] == "queued"
            lab.clock.advance(100_000)
        lab.runpod.end(output=CLIP, executionTime=1_000)
        assert (await lab.job(ident))["status"] == "succeeded"
        assert await lab.check() == 2 * CREDIT

    run(work())


def test_polls_that_fail_for_ever_end_at_the_deadline(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        lab.runpod.poll = [403] * 1000
        for _ in range(30):
            await lab.rounds(101)
        told = await lab.job(ident)
        assert told["error"]["type"] == "job_timed_out"
        assert await lab.check() == 0

    run(work())


def test_a_404_is_borne_for_half_a_minute(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        lab.runpod.poll = [404] * 3
        for _ in range(3):
            assert (await lab.job(ident))["status"] == "queued"
            lab.clock.advance(9_999)
        assert (await lab.job(ident))["status"] == "queued"
        lab.runpod.jobs.clear()
        assert (await lab.job(ident))["status"] == "queued"
        lab.clock.advance(30_000)
        told = await lab.job(ident)
        assert (told["status"], told["error"]["type"]) == ("failed", "job_lost")
        assert await lab.check() == 0

    run(work())


def test_a_result_that_cannot_be_fetched(tmp_path: Path) -> None:
    """Only the download is repeated; if it goes on failing, the job has failed and is free."""

    async def work() -> None:
        lab = await open_gpu_lab(tmp_path, poll_factor=0.001)
        link = "https://bucket.example/a.png"
        lab.runpod.files[link] = MemoryReply(403, {}, [b"<Error/>"])
        ident = await lab.submitted("/v1/gpu/flux-schnell", sync=False)
        lab.runpod.end(output={"images": [{"type": "s3_url", "data": link}]}, executionTime=900)
        assert (await lab.job(ident))["status"] == "queued"
        lab.runpod.files[link] = MemoryReply(200, {}, [PNG[:-20]])
        assert (await lab.job(ident))["status"] == "queued", "a picture without an end is not whole"
        lab.clock.advance(30)
        told = await lab.job(ident)
        assert (told["status"], told["error"]["type"]) == ("failed", "result_lost")
        assert len(lab.runpod.jobs) == 1
        assert await lab.check() == 0

    run(work())


def test_a_lost_submission_after_a_crash(tmp_path: Path) -> None:
    """A process died while it submitted: nobody submits again, the job fails once its lease is over, and is free."""

    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)

        class Died(BaseException):
            pass

        def die(request: Any) -> Any:
            lab.runpod.answer(request)
            raise Died

        lab.transport.answer = die
        with pytest.raises(Died):
            await lab.ask(WAN, PROMPT)
        lab = lab.restarted()
        await lab.services.money.expire_open("crash")
        await lab.rounds(1)
        assert await states(lab) == ["submitting"]
        assert (await lab.services.money.balance(lab.user_id)).held_uc == 1200 * CREDIT
        await lab.rounds(300)
        assert await states(lab) == ["failed"]
        assert len(lab.runpod.jobs) == 1
        assert await lab.check() == 0

    run(work())


# --- cancellations ----------------------------------------------------------------------------------------------------


def test_cancelled_before_the_start_is_free(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        lab.clock.advance(5_000)
        answer = await lab.ask(f"/v1/gpu/jobs/{ident}/cancel")
        told = answer.json
        assert (answer.status, told["status"], told["costCredits"]) == (200, "cancelled", 0)
        assert told["error"]["type"] == "job_cancelled"
        assert (await lab.ask(f"/v1/gpu/jobs/{ident}/cancel")).json == told
        assert len(lab.runpod.cancelled) == 1
        assert await lab.check() == 0

    run(work())


def test_cancelled_while_it_runs_is_charged_until_then(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        lab.clock.advance(5_000)
        await lab.job(ident)
        lab.clock.advance(1_000)
        lab.runpod.start()
        await lab.job(ident)
        lab.clock.advance(9_000)
        told = (await lab.ask(f"/v1/gpu/jobs/{ident}/cancel")).json
        assert (told["status"], told["durationMs"], told["costCredits"]) == ("cancelled", 10_000, 20)
        assert await lab.check() == 20 * CREDIT

    run(work())


def test_a_cancelled_call_at_a_flat_price_is_free(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted("/v1/gpu/sdxl", sync=False)
        lab.runpod.start()
        await lab.job(ident)
        told = (await lab.ask(f"/v1/gpu/jobs/{ident}/cancel")).json
        assert (told["status"], told["costCredits"]) == ("cancelled", 0)
        assert await lab.check() == 0

    run(work())


def test_a_cancellation_that_the_provider_ignores(tmp_path: Path) -> None:
    """It goes on and gives its result, but what ran after the cancellation is not charged."""

    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        lab.runpod.obeys = False
        ident = await lab.submitted(WAN)
        lab.runpod.start()
        await lab.job(ident)
        lab.clock.advance(10_000)
        told = (await lab.ask(f"/v1/gpu/jobs/{ident}/cancel")).json
        assert (told["status"], told["cancelRequested"]) == ("running", True)
        lab.clock.advance(100_000)
        lab.runpod.end(output=CLIP, executionTime=109_000)
        told = await lab.job(ident)
        assert (told["status"], told["costCredits"]) == ("succeeded", 20)
        assert await lab.check() == 20 * CREDIT

    run(work())


def test_a_cancellation_outlives_an_upstream_that_is_down(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        answer = lab.transport.answer

        def down(_request: Any) -> Any:
            raise TransportError("connect", "refused")

        lab.transport.answer = down
        told = (await lab.ask(f"/v1/gpu/jobs/{ident}/cancel")).json
        assert (told["status"], told["cancelRequested"]) == ("queued", True)
        lab.transport.answer = answer
        await lab.rounds(60)
        assert (await lab.job(ident))["status"] == "cancelled"
        assert await lab.check() == 0

    run(work())


def test_a_cancellation_that_nobody_asked_for_is_a_failure(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        lab.runpod.end("CANCELLED", executionTime=5_000)
        told = await lab.job(ident)
        assert (told["status"], told["error"]["type"], told["costCredits"]) == ("failed", "job_failed", 0)
        assert await lab.check() == 0

    run(work())


# --- many at once -----------------------------------------------------------------------------------------------------


def test_twenty_clients_the_poller_and_a_call_at_the_same_moment(tmp_path: Path) -> None:
    """One refund, one row, and looks that come together ask the provider once."""

    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        lab.runpod.end("FAILED", error="x")
        lab.clock.advance(60_000)
        looks: list[Coroutine[Any, Any, Any]] = [lab.job(ident) for _ in range(20)]
        await asyncio.gather(*looks, watch.poll_due(lab.services), watch.look_now(lab.services, ident))
        assert lab.runpod.polls <= 3
        moved = await lab.services.money.transfers(lab.user_id)
        assert [transfer.kind for transfer in moved] == ["TOP_UP", "HOLD", "EXPIRE"]
        assert await lab.check() == 0
        assert lab.services.gpu_looks == {}

    run(work())


def test_two_processes_settle_once(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        ident = await lab.submitted(WAN)
        lab.clock.advance(10_000)
        lab.runpod.end(output=CLIP, executionTime=5_000)
        other = lab.restarted()
        seen = await asyncio.gather(lab.job(ident), other.job(ident), *(other.job(ident) for _ in range(3)))
        assert {told["costCredits"] for told in seen} == {10}
        assert await lab.check() == 10 * CREDIT

    run(work())


def test_what_one_poller_claimed_another_leaves_alone(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.submitted(WAN)
        lab.clock.advance(60_000)
        other = lab.restarted()
        polled: list[int] = []
        answer = lab.transport.answer

        async def slowly(request: Any) -> Any:
            polled.append(await watch.poll_due(other.services))
            return answer(request)

        lab.transport.answer = slowly
        assert await watch.poll_due(lab.services) == 1
        assert polled == [0]
        assert await watch.poll_due(other.services) == 0, "it is due later"
        await other.rounds(6)
        assert lab.runpod.polls == 2

    run(work())


# --- idempotency, tenancy, lists --------------------------------------------------------------------------------------


def test_an_idempotency_key_outlives_a_restart(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        headers = {"authorization": f"Bearer {lab.secret}", "idempotency-key": "k1"}
        first = await lab.ask(WAN, PROMPT, headers=headers)
        lab = lab.restarted()
        again = await lab.ask(WAN, PROMPT, headers=headers)
        assert (again.status, again.json) == (first.status, first.json)
        assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
        other = await lab.ask(WAN, {"input": {"prompt": "another"}}, headers=headers)
        assert (other.status, other.error[0]) == (409, "conflict_error")
        assert len(lab.runpod.jobs) == 1
        lab.clock.advance(90_000_000)
        await background.tidy(lab.services)
        assert (await lab.ask(WAN, PROMPT, headers=headers)).json != first.json
        await lab.check()

    run(work())


def test_the_same_key_at_the_same_moment(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        lab.runpod.jobs["job-0-u1"] = {}
        headers = {"authorization": f"Bearer {lab.secret}", "idempotency-key": "k1"}
        answers = await asyncio.gather(*(lab.ask(WAN, PROMPT, headers=headers) for _ in range(5)))
        assert {answer.status for answer in answers} == {202}
        assert len({answer.json["id"] for answer in answers}) == 1
        assert len(lab.runpod.bodies) == 1

    run(work())


def test_a_failure_that_was_free_frees_its_key(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        headers = {"authorization": f"Bearer {lab.secret}", "idempotency-key": "k1"}
        lab.runpod.submit = [502]
        assert (await lab.ask(WAN, PROMPT, headers=headers)).status == 502
        assert (await lab.ask(WAN, PROMPT, headers=headers)).status == 202

    run(work())


def test_a_call_that_waits_may_be_repeated_and_waits_for_the_same_job(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        headers = {"authorization": f"Bearer {lab.secret}", "idempotency-key": "k1"}
        lab.runpod.before_poll = lambda: lab.runpod.end(output=PICTURES, executionTime=500)
        first = await lab.ask("/v1/gpu/sdxl", PROMPT, headers=headers)
        again = await lab.ask("/v1/gpu/sdxl", PROMPT, headers=headers)
        assert (again.status, again.json) == (200, first.json)
        assert await lab.check() == 50 * CREDIT

    run(work())


def test_who_hangs_up_finds_the_job_in_the_list(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        answer = await lab.ask("/v1/gpu/sdxl", PROMPT, hang_up=lambda _answer: True)
        assert answer.status == 0
        (listed,) = (await lab.ask("/v1/gpu/jobs", method="GET")).json["jobs"]
        assert (listed["slug"], listed["status"]) == ("sdxl", "queued")
        lab.clock.advance(5_000)
        lab.runpod.end(output=PICTURES, executionTime=500)
        assert (await lab.job(listed["id"]))["costCredits"] == 50
        assert await lab.check() == 50 * CREDIT

    run(work())


def test_a_gateway_that_drains_keeps_nobody_waiting(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        lab.services.draining = True
        answer = await lab.ask("/v1/gpu/sdxl", PROMPT)
        assert (answer.status, answer.json["status"]) == (202, "queued")

    run(work())


def test_nobody_sees_another_s_jobs_or_deployments(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.deploy(webhookUrl="https://hooks.example/x")
        ident = await lab.submitted()
        _, secret = await another(lab)
        mine, theirs = lab.secret, {"authorization": f"Bearer {secret}"}
        for method, path in (
            ("GET", f"/v1/gpu/jobs/{ident}"),
            ("POST", f"/v1/gpu/jobs/{ident}/cancel"),
            ("GET", "/v1/deployments/my-comfy-workflow"),
            ("PATCH", "/v1/deployments/my-comfy-workflow"),
            ("DELETE", "/v1/deployments/my-comfy-workflow"),
            ("POST", RUN),
        ):
            answer = await lab.ask(path, PROMPT if path == RUN else {}, method=method, headers=theirs)
            assert answer.status == 404, (method, path)
        for path in ("/v1/gpu/jobs", "/v1/deployments", "/v1/webhooks/deliveries"):
            assert all(
                value in ([], None) for value in (await lab.ask(path, method="GET", headers=theirs)).json.values()
            )
        created = await lab.ask("/v1/deployments", COMFY, headers=theirs)
        assert created.status == 201, "slugs are each payer's own"
        assert lab.secret == mine

    run(work())


def test_the_list_is_paged_and_filtered(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        idents = []
        for number in range(5):
            idents.append(await lab.submitted(WAN if number % 2 else "/v1/gpu/ltx-video"))
            lab.clock.advance(1)
        lab.runpod.end("FAILED", ident="job-1-u1")
        await lab.job(idents[0])
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await lab.ask("/v1/gpu/jobs", method="GET", query=f"limit=2&cursor={cursor}")).json
            seen += [job["id"] for job in page["jobs"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert seen == idents[::-1]
        for query, due in (("status=failed", 1), ("status=queued", 4), ("slug=wan-video", 2), ("slug=x", 0)):
            found = (await lab.ask("/v1/gpu/jobs", method="GET", query=query)).json["jobs"]
            assert len(found) == due, query
        for query in ("status=done", "limit=0", "limit=x", "cursor=5", "cursor=a-b"):
            assert (await lab.ask("/v1/gpu/jobs", method="GET", query=query)).status == 400, query

    run(work())


def test_outputs_are_kept_for_a_while(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.deploy()
        ident = await lab.submitted()
        lab.clock.advance(5_000)
        lab.runpod.end(output=PICTURES | {"errors": ["a warning"]}, executionTime=1_000)
        assert (await lab.job(ident))["output"]["errors"] == ["a warning"]
        lab.clock.advance(604_800_000)
        await background.tidy(lab.services)
        told = await lab.job(ident)
        assert (told["status"], told["output"], told["creditsCharged"]) == ("succeeded", None, 3)
        assert await lab.services.store.read(lambda c: c.execute(select(gpu_results)).all()) == []

    run(work())


# --- the provider's calls ---------------------------------------------------------------------------------------------


async def called(lab: GpuLab, url: str, body: Any) -> int:
    """The provider calls; what that begins has ended."""
    path = url.removeprefix("https://gateway.example")
    status = (await lab.ask(path, body, headers={})).status
    await asyncio.gather(*lab.services.errands._tasks)
    return status


def test_the_provider_s_call_is_a_hint_to_look(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path, public_url="https://gateway.example/")
        ident = await lab.submitted(WAN)
        url = lab.runpod.bodies[0]["webhook"]
        assert url.startswith(f"https://gateway.example/v1/gpu/callbacks/{ident}/")
        lab.clock.advance(10_000)
        forged = {"id": lab.runpod.last, "status": "COMPLETED", "executionTime": 1, "output": CLIP}
        assert await called(lab, url, forged) == 200
        assert (await states(lab)) == ["queued"], "what the call says is not believed"
        lab.runpod.end(output=CLIP, executionTime=5_000)
        for _ in range(5):
            assert await called(lab, url, forged | {"id": "another"}) == 200
        assert await states(lab) == ["succeeded"]
        assert await lab.check() == 10 * CREDIT
        assert await called(lab, url[:-1] + ("a" if url[-1] != "a" else "b"), forged) == 404
        assert await called(lab, "/v1/gpu/callbacks/nobody/x", forged) == 404

    run(work())


def test_a_call_that_comes_before_the_answer(tmp_path: Path) -> None:
    """The reply to the submission is lost, but the provider's own call has told the id."""

    async def work() -> None:
        lab = await open_gpu_lab(tmp_path, public_url="https://gateway.example")
        answer = lab.transport.answer

        async def calls_first(request: Any) -> Any:
            if not request.url.endswith("/run"):
                return answer(request)
            answer(request)
            lab.clock.advance(5_000)
            lab.runpod.end(output=CLIP, executionTime=2_000)
            assert await called(lab, lab.runpod.bodies[-1]["webhook"], {"id": lab.runpod.last}) == 200
            raise TransportError("broken", "the connection broke")

        lab.transport.answer = calls_first
        submitted = await lab.ask(WAN, PROMPT)
        assert submitted.status == 202
        await lab.rounds(0)
        assert await states(lab) == ["succeeded"]
        assert await lab.check() == 4 * CREDIT

    run(work())


def test_after_a_crash_the_provider_s_call_is_waited_for(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path, public_url="https://gateway.example")

        class Died(BaseException):
            pass

        def die(request: Any) -> Any:
            lab.runpod.answer(request)
            raise Died

        for calls in (True, False):
            lab.transport.answer = die
            with pytest.raises(Died):
                await lab.ask(WAN, PROMPT)
            lab = lab.restarted()
            await lab.rounds(300)
            assert (await states(lab))[-1] == "submitting"
            if calls:
                lab.runpod.end(output=CLIP, executionTime=60_000)
                assert await called(lab, lab.runpod.bodies[-1]["webhook"], {"id": lab.runpod.last}) == 200
                assert await states(lab) == ["succeeded"]
            else:
                await lab.rounds(1_200)
                assert await states(lab) == ["succeeded", "failed"]
        assert await lab.check() == 120 * CREDIT

    run(work())


def test_only_where_others_can_reach_it_the_gateway_asks_to_be_called(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        headers = {"authorization": f"Bearer {lab.secret}", "host": "evil.example"}
        await lab.ask(WAN, PROMPT, headers=headers)
        assert "webhook" not in lab.runpod.bodies[0]
        assert endpoint.ID_LENGTH_MAX >= 12
        assert rows.IS_OPEN is not None

    run(work())
