"""Webhooks as providers differ in them: which moments they tell, challenges, gaps, signatures, and faults of those."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.dialects.base import Kept
from simulator.dialects.runpod.serverless import RunPod
from simulator.faults import FAULTS
from simulator.jobs.desk import Call
from simulator.jobs.signing import standard_key, standard_webhooks
from tests.simulator.live import Live, running
from tests.simulator.receiver import Receiver, after, calls, receiving
from tests.simulator.runpod_exchange import call, later, submit, told

EVERY = ["queued", "running", "ended"]
SECRET = "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="
CATALOGUE = ["webhook-badly-signed", "webhook-stale-timestamp", "webhook-slow-retry"]


class Signing(RunPod):
    """RunPod's wire, with calls signed by Standard Webhooks."""

    def hook_call(self, kept: Kept, now_ms: int, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:
        headers, body = super().hook_call(kept, now_ms, call)
        return (*headers, *standard_webhooks(call.key(standard_key(SECRET)), call.id, call.sent_s, body)), body


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts a fleet whose RunPod calls by these rules."""
    monkeypatch.setitem(DIALECTS, "runpod", Signing())  # type: ignore[arg-type]
    with ExitStack() as fleets:

        def start(**webhook: Any) -> Live:
            rules = {"on": EVERY, "tries": 1, "gap_ms": 10_000, "timeout_ms": 5000, "taken": [200], **webhook}
            facts = {"vendors": ["runpod"], "rate_headers": "none", "webhook": rules}
            row = {"name": "runpod", "region": "us-east", "dialect": "runpod", "facts": facts}
            return fleets.enter_context(running(Clock("manual"), rows={"providers": [row]}))

        yield start


def states(made: list[dict[str, Any]]) -> list[str]:
    return [one["told"] for one in made]


def signed(receiver: Receiver, at: int) -> bool:
    """Whether the signature of a call is right, whatever its time."""
    headers = receiver.headers[at]
    message, sent_s = headers["webhook-id"], int(headers["webhook-timestamp"])
    return standard_webhooks(SECRET, message, sent_s, receiver.got[at])[2][1] == headers["webhook-signature"]


def test_every_change_of_state_is_told_as_it_stood(started: Any, receiver: Receiver) -> None:
    fleet = started()
    job = submit(fleet, webhook=receiver.url)
    assert states(calls(fleet)) == ["queued"]
    assert states(after(fleet, 2)) == ["queued", "running"]
    assert [one["due_ms"] - made["due_ms"] for made in after(fleet, 8)[:1] for one in calls(fleet)] == [0, 2000, 10_000]
    assert states(calls(fleet)) == ["queued", "running", "succeeded"]
    assert [body["status"] for body in receiver.bodies] == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    assert {body["id"] for body in receiver.bodies} == {job}
    assert all(signed(receiver, at) for at in range(3))
    assert len({one["message"] for one in calls(fleet)}) == 3


def test_only_the_moments_of_the_fact_are_told(started: Any, receiver: Receiver) -> None:
    fleet = started(on=["running"])
    submit(fleet, webhook=receiver.url)
    assert states(after(fleet, 20)) == ["running"]


def test_the_key_may_be_written_as_yaml_reads_it(started: Any, receiver: Receiver) -> None:
    """An `on` without quotes is a truth value there."""
    fleet = started()
    provider = fleet.runtime.fleet.providers["runpod"]
    provider.mounts[0].facts["webhook"] = {True: ["queued"]}
    submit(fleet, webhook=receiver.url)
    assert states(after(fleet, 20)) == ["queued"]


def test_the_order_holds_though_the_clock_jumps_and_the_receiver_is_slow(started: Any, receiver: Receiver) -> None:
    fleet = started()
    receiver.silent = threading.Event()
    submit(fleet, webhook=receiver.url)
    later(fleet, 60)
    while not receiver.got:
        assert fleet.control("GET", "webhooks")["under_way"]
    assert len(receiver.got) == 1  # the next one waits for the first try of this one
    receiver.silent.set()
    assert states(calls(fleet)) == ["queued", "running", "succeeded"]
    assert [body["status"] for body in receiver.bodies] == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


def test_a_job_that_is_cancelled_in_the_queue_never_runs(started: Any, receiver: Receiver) -> None:
    fleet = started()
    job = submit(fleet, webhook=receiver.url)
    later(fleet, 1)
    call(fleet, "POST", f"echo/cancel/{job}")
    assert states(after(fleet, 60)) == ["queued", "cancelled"]


def test_a_retry_tells_everything_anew(started: Any, receiver: Receiver) -> None:
    fleet = started()
    job = submit(fleet, "job-fails attempt=1", webhook=receiver.url, text="[[case:again]]")
    after(fleet, 10)
    call(fleet, "POST", f"echo/retry/{job}")
    once = ["queued", "running"]
    assert states(after(fleet, 10)) == [*once, "failed", *once, "succeeded"]
    assert len({one["message"] for one in calls(fleet)}) == 6


def test_items_that_are_taken_do_not_silence_the_webhook(started: Any, receiver: Receiver) -> None:
    fleet = started(on=["ended"])
    job = submit(fleet, endpoint="stream", webhook=receiver.url)
    later(fleet, 6)
    assert call(fleet, "GET", f"stream/stream/{job}").json["stream"]
    assert states(after(fleet, 6)) == ["succeeded"]


# --- tries ------------------------------------------------------------------------------------------------------------


def test_gaps_may_grow(started: Any, receiver: Receiver) -> None:
    fleet = started(on=["ended"], tries=4, gap_ms=[1000, 5000, 30_000], taken=["2xx"])
    receiver.answers = [500] * 3 + [204]
    submit(fleet, webhook=receiver.url)
    began_ms = fleet.control("GET", "clock")["now_ms"]
    for seconds in (10, 1, 5, 30, 100):
        made = after(fleet, seconds)
    assert [(one["sent_ms"] - began_ms) / 1000 for one in made] == [10, 11, 16, 46]
    assert [one["status"] for one in made] == [500, 500, 500, 204]


def test_each_try_is_signed_when_it_leaves(started: Any, receiver: Receiver) -> None:
    fleet = started(on=["ended"], tries=2)
    receiver.answers = [500]
    submit(fleet, webhook=receiver.url)
    after(fleet, 10)
    made = after(fleet, 10)
    assert [int(one["webhook-timestamp"]) for one in receiver.headers] == [one["sent_ms"] // 1000 for one in made]
    assert receiver.headers[0]["webhook-timestamp"] != receiver.headers[1]["webhook-timestamp"]
    assert receiver.headers[0]["webhook-id"] == receiver.headers[1]["webhook-id"] == made[0]["message"]
    assert receiver.got[0] == receiver.got[1]
    assert signed(receiver, 0)
    assert signed(receiver, 1)
    sent = dict(made[1]["headers"])
    assert sent["webhook-signature"] == receiver.headers[1]["webhook-signature"]


# --- challenges -------------------------------------------------------------------------------------------------------


def test_a_url_that_echoes_the_challenge_is_called(started: Any, receiver: Receiver) -> None:
    fleet = started(challenge=True)
    receiver.says = None
    submit(fleet, webhook=receiver.url)
    assert states(after(fleet, 10)) == ["challenge", "queued", "running", "succeeded"]
    assert list(receiver.bodies[0]) == ["challenge"]
    assert len(receiver.bodies[0]["challenge"]) == 32


@pytest.mark.parametrize(("says", "status"), [(b"", 200), (b'{"challenge": "other"}', 200), (b"[1", 200), (None, 500)])
def test_any_other_answer_to_the_challenge_and_nothing_is_called(
    started: Any, receiver: Receiver, says: bytes | None, status: int
) -> None:
    fleet = started(challenge=True)
    receiver.says, receiver.answers = says, [status]
    job = submit(fleet, webhook=receiver.url)
    (made,) = after(fleet, 10)
    assert (made["told"], made["status"]) == ("challenge", status)
    assert "not echoed" in made["error"]
    assert told(fleet, job) == "COMPLETED"
    assert fleet.control("GET", "webhooks")["waiting"] == 0


def test_a_challenge_that_is_not_answered_in_time_fails(started: Any, receiver: Receiver) -> None:
    fleet = started(challenge={"timeout_ms": 50})
    receiver.silent = threading.Event()
    submit(fleet, webhook=receiver.url)
    (made,) = after(fleet, 10)
    assert made["error"] == "no answer within 50 ms"


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_the_catalogue_is_known() -> None:
    for name in CATALOGUE:
        assert FAULTS[name].seen_at, name


def test_is_badly_signed(started: Any, receiver: Receiver) -> None:
    fleet = started(on=["ended"])
    submit(fleet, "webhook-badly-signed", webhook=receiver.url)
    after(fleet, 10)
    assert receiver.headers[0]["webhook-signature"].startswith("v1,")
    assert not signed(receiver, 0)


def test_bears_an_old_timestamp_and_a_right_signature(started: Any, receiver: Receiver) -> None:
    fleet = started(on=["ended"])
    submit(fleet, "webhook-stale-timestamp after_s=600", webhook=receiver.url)
    (made,) = after(fleet, 10)
    assert int(receiver.headers[0]["webhook-timestamp"]) == made["sent_ms"] // 1000 - 600
    assert signed(receiver, 0)


def test_is_tried_again_only_after_long(started: Any, receiver: Receiver) -> None:
    fleet = started(on=["ended"], tries=2)
    receiver.answers = [500]
    submit(fleet, "webhook-slow-retry after_s=300", webhook=receiver.url)
    assert [len(after(fleet, seconds)) for seconds in (10, 299, 1)] == [1, 1, 2]


def test_another_id_is_signed_as_well(started: Any, receiver: Receiver) -> None:
    fleet = started(on=["ended"])
    job = submit(fleet, "webhook-id-mismatch", webhook=receiver.url)
    (made,) = after(fleet, 10)
    assert signed(receiver, 0)
    assert receiver.bodies[0]["id"] != job
    assert made["job"] in job


def test_the_call_of_the_run_comes_last(started: Any, receiver: Receiver) -> None:
    fleet = started()
    submit(fleet, "out-of-order-callbacks gap_s=3", webhook=receiver.url)
    assert states(after(fleet, 10)) == ["queued", "succeeded"]
    assert states(after(fleet, 3)) == ["queued", "succeeded", "running"]
    assert [body["status"] for body in receiver.bodies] == ["IN_QUEUE", "COMPLETED", "IN_PROGRESS"]
