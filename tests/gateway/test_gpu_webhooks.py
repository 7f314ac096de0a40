"""Webhooks to callers, judged by the official library: signatures, tries, secrets, the outbox."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks.webhooks
from standardwebhooks import Webhook, WebhookVerificationError

from gateway.gpu import delivering, outbox, watch
from gateway.upstreams.transport import Request
from schemas.catalogue.gpu import WEBHOOKS
from tests.gateway.gpu_lab import CLIP, HOOKED, PICTURES, PROMPT, GpuLab, another, open_gpu_lab
from tests.gateway.lab import run
from tests.gateway.making import NOW_MS

WAN = "/v1/gpu/wan-video"


@pytest.fixture(autouse=True)
def _library_s_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library lives at the moment at which our clock stands."""

    class Then(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.fromtimestamp(NOW_MS / 1000, tz or UTC)

    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", Then)


def verified(request: Request, secret: str) -> Any:
    """The event, if its signature holds."""
    return Webhook(secret).verify(request.body, dict(request.headers))


async def deliveries(lab: GpuLab) -> list[Any]:
    found: list[Any] = (await lab.ask("/v1/webhooks/deliveries", method="GET")).json["deliveries"]
    return found


async def new_secret(lab: GpuLab) -> str:
    answer = await lab.ask("/v1/webhooks/secret")
    assert answer.status == 201
    return str(answer.json["secret"])


@pytest.mark.parametrize(
    ("status", "event"), [("COMPLETED", "job.succeeded"), ("FAILED", "job.failed"), ("CANCELLED", "job.cancelled")]
)
def test_every_end_is_told_once_and_signed(tmp_path: Path, status: str, event: str) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        submitted = (await lab.ask(WAN, PROMPT | {"webhookUrl": HOOKED})).json
        secret, ident = submitted["webhookSecret"], submitted["id"]
        assert secret.startswith("whsec_")
        assert "webhookSecret" not in (await lab.ask(WAN, PROMPT | {"webhookUrl": HOOKED})).json, "it is shown once"
        if status == "CANCELLED":
            await lab.ask(f"/v1/gpu/jobs/{ident}/cancel")
        else:
            lab.runpod.end(status, CLIP, ident="job-1-u1", executionTime=1_000)
        told = await lab.job(ident)
        while await delivering.deliver_due(lab.services):
            pass
        (request,) = lab.runpod.received
        assert (request.url, request.method) == (HOOKED, "POST")
        body = verified(request, secret)
        assert (body["type"], body["timestamp"]) == (event, "2026-05-10T00:00:00.000Z")
        assert body["data"] == {**told, "slug": "wan-video", "pollUrl": f"/v1/gpu/jobs/{ident}"} | (
            {"outputs": body["data"]["outputs"]} if "outputs" in told else {}
        )
        (one,) = await deliveries(lab)
        assert (one["status"], one["attempts"], one["lastStatus"], one["event"]) == ("delivered", 1, 200, event)
        assert one["id"] == dict(request.headers)["webhook-id"]
        assert await delivering.deliver_due(lab.services) == 0

    run(work())


def test_a_deployment_s_webhook_tells_the_output(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        made = await lab.deploy(webhookUrl=HOOKED)
        ident = await lab.submitted()
        lab.clock.advance(5_000)
        lab.runpod.end(output=PICTURES, executionTime=1_000)
        await lab.job(ident)
        await lab.rounds(0)
        body = verified(lab.runpod.received[0], made["webhookSecret"])
        assert body["data"]["output"]["images"][0].startswith("data:image/png;base64,")

    run(work())


def test_a_large_output_is_left_out(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.deploy(webhookUrl=HOOKED, dockerImage="me/mine")
        ident = await lab.submitted()
        lab.clock.advance(5_000)
        lab.runpod.end(output="x" * (outbox.OUTPUT_BYTES_MAX + 1), executionTime=1_000)
        await lab.rounds(60)
        data = json.loads(lab.runpod.received[0].body)["data"]
        assert (data["output"], data["outputOmitted"], data["job_id"]) == (None, True, ident)

    run(work())


def test_tries_and_their_gaps(tmp_path: Path) -> None:
    """The same id and bytes each time, another time and signature; then it is given up."""

    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        lab.runpod.receiver = [500] * 100
        await lab.submitted(WAN, webhookUrl=HOOKED)
        lab.runpod.end("FAILED")
        await lab.rounds(10)
        for number, gap_s in enumerate(WEBHOOKS.gaps_s):
            assert len(lab.runpod.received) == number + 1
            await lab.rounds(gap_s - 1)
            assert len(lab.runpod.received) == number + 1
            await lab.rounds(1)
        await lab.rounds(10**6)
        requests = lab.runpod.received
        assert len(requests) == len(WEBHOOKS.gaps_s) + 1
        heads = [dict(request.headers) for request in requests]
        assert len({head["webhook-id"] for head in heads}) == len({request.body for request in requests}) == 1
        assert len({head["webhook-timestamp"] for head in heads}) == len(requests)
        (one,) = await deliveries(lab)
        assert (one["status"], one["attempts"], one["lastStatus"]) == ("failed", len(requests), 500)

    run(work())


def test_what_a_receiver_may_say(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        for statuses, state in (([204], "delivered"), ([410], "failed"), ([302], "pending"), ([503], "pending")):
            lab.runpod.receiver = list(statuses)
            await lab.submitted(WAN, webhookUrl=HOOKED)
            lab.runpod.end("FAILED")
            lab.clock.advance(6_000)
            await watch.poll_due(lab.services)
            await delivering.deliver_due(lab.services)
            found = {one["lastStatus"]: one["status"] for one in await deliveries(lab)}
            assert found[statuses[0]] == state

    run(work())


def test_a_private_address_is_never_called(tmp_path: Path) -> None:
    """Its name was public when it was saved."""

    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)

        async def private(_host: str, _port: int) -> list[str]:
            return ["127.0.0.1"]

        await lab.submitted(WAN, webhookUrl=HOOKED)
        lab.services.resolve = private
        lab.runpod.end("FAILED")
        await lab.rounds(10)
        assert lab.runpod.received == []
        (one,) = await deliveries(lab)
        assert (one["status"], one["lastStatus"]) == ("failed", None)
        assert "127.0.0.1" not in str(one["lastError"])

    run(work())


def test_a_rotated_secret_signs_beside_the_new_one_for_a_day(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        assert (await lab.ask("/v1/webhooks/secret", method="GET")).json["hint"] is None
        old = await new_secret(lab)
        shown = (await lab.ask("/v1/webhooks/secret", method="GET")).json
        assert (shown["hint"], "secret" in shown) == (old[-4:], False)
        new = await new_secret(lab)
        await lab.submitted(WAN, webhookUrl=HOOKED)
        lab.runpod.end("FAILED")
        await lab.rounds(10)
        for secret in (old, new):
            verified(lab.runpod.received[0], secret)
        with pytest.raises(WebhookVerificationError):
            verified(lab.runpod.received[0], "whsec_" + "a" * 32)
        lab.clock.advance(WEBHOOKS.rotated_s * 1000)
        await lab.submitted(WAN, webhookUrl=HOOKED)
        lab.runpod.end("FAILED")
        await lab.rounds(10)
        assert len(dict(lab.runpod.received[1].headers)["webhook-signature"].split(" ")) == 1

    run(work())


def test_a_submission_that_failed_is_told_by_its_answer_alone(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        lab.runpod.submit = [500]
        assert (await lab.ask(WAN, PROMPT | {"webhookUrl": HOOKED})).status == 502
        await lab.rounds(100)
        assert (lab.runpod.received, await deliveries(lab)) == ([], [])

    run(work())


def test_a_process_that_dies_between_sending_and_noting_sends_the_same_again(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.submitted(WAN, webhookUrl=HOOKED)
        lab.runpod.end("FAILED")
        lab.clock.advance(10_000)
        await watch.poll_due(lab.services)

        class Died(BaseException):
            pass

        def die(request: Request) -> Any:
            lab.runpod.answer(request)
            raise Died

        lab.transport.answer = die
        with pytest.raises(Died):
            await delivering.deliver_due(lab.services)
        lab = lab.restarted()
        await lab.rounds(1)
        assert len(lab.runpod.received) == 1, "somebody else may have it in hand"
        await lab.rounds(60)
        first, second = lab.runpod.received
        assert dict(first.headers)["webhook-id"] == dict(second.headers)["webhook-id"]
        assert first.body == second.body
        await lab.rounds(10**5)
        assert len(lab.runpod.received) == 2

    run(work())


def test_secrets_are_each_payer_s_own(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        mine = await new_secret(lab)
        _, other = await another(lab)
        theirs = await lab.ask("/v1/webhooks/secret", headers={"authorization": f"Bearer {other}"})
        assert theirs.json["secret"] != mine

    run(work())
