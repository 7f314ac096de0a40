"""Webhooks of jobs, taken by a receiver on this machine: when, what, how often; and all that goes wrong with them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from simulator.clock import Clock
from simulator.control.api import openapi
from tests.simulator.live import Live, running
from tests.simulator.receiver import Receiver, after, calls, receiving
from tests.simulator.runpod_exchange import TIMES, call, later, status, submit, told

CATALOGUE = [
    "webhook-never-fires",
    "webhook-redelivered-on-slow-ack",
    "webhook-before-submit-response",
    "out-of-order-callbacks",
    "webhook-id-mismatch",
]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def test_the_end_of_a_job_is_told(fleet: Live, receiver: Receiver) -> None:
    job = submit(fleet, text="[[case:hooked]]", webhook=receiver.url)
    assert after(fleet, 9.999) == []
    (made,) = after(fleet, 0.001)
    assert receiver.bodies == [status(fleet, job)]
    assert receiver.headers[0]["content-type"] == "application/json"
    assert (made["n"], made["url"], made["status"], made["attempt"]) == (1, receiver.url, 200, 1)
    assert made["due_ms"] == fleet.control("GET", "jobs")["jobs"][0]["ended_ms"]
    assert made["body_sha256"] == sha256(receiver.got[0]).hexdigest()
    assert made["body_bytes"] == len(receiver.got[0])
    assert made["job"] in job
    assert calls(fleet, "&case=hooked") == [made]
    assert calls(fleet, "&case=other") == []
    assert after(fleet, 100) == [made]


@pytest.mark.parametrize(
    ("answers", "due"), [([500, 404], [500, 404, 200]), ([302] * 9, [302] * 3), ([201], [201, 200])]
)
def test_a_call_is_made_three_times_until_a_200(
    fleet: Live, receiver: Receiver, answers: list[int], due: list[int]
) -> None:
    receiver.answers = answers
    submit(fleet, webhook=receiver.url)
    began_ms = fleet.control("GET", "clock")["now_ms"]
    for seconds in (10, 10, 10, 10):  # an answer takes no time by a manual clock
        made = after(fleet, seconds)
    assert [one["status"] for one in made] == due
    assert [one["attempt"] for one in made] == list(range(1, len(due) + 1))
    assert [one["sent_ms"] - began_ms for one in made] == [10_000 * n for n in range(1, len(due) + 1)]
    assert len({one["body_sha256"] for one in made}) == 1


def test_a_call_says_when_it_was_due_though_the_clock_jumped(fleet: Live, receiver: Receiver) -> None:
    began_ms = fleet.control("GET", "clock")["now_ms"]
    submit(fleet, webhook=receiver.url)
    (made,) = after(fleet, 600)
    assert (made["due_ms"] - began_ms, made["sent_ms"] - began_ms) == (10_000, 600_000)


def test_the_record_keeps_to_its_schema(fleet: Live, receiver: Receiver) -> None:
    submit(fleet, webhook=receiver.url)
    after(fleet, 10)
    document = openapi()
    for path, name in (("jobs", "jobs"), ("bills", "bills"), ("webhooks", "webhooks")):
        reply = document["paths"][f"/__fleet/{path}"]["get"]["responses"]["200"]
        schema = reply["content"]["application/json"]["schema"] | {"components": document["components"]}
        content = fleet.control("GET", path)
        assert content[name]
        Draft202012Validator(schema).validate(content)


def test_every_end_is_told_in_its_own_words(fleet: Live, receiver: Receiver) -> None:
    for fault in ("job-fails", "job-times-out", "noop"):
        submit(fleet, fault, text=fault, webhook=receiver.url)
    cancelled = submit(fleet, webhook=receiver.url, text="stop")
    call(fleet, "POST", f"echo/cancel/{cancelled}")
    assert len(calls(fleet)) == 1
    assert len(after(fleet, 10)) == 4
    assert receiver.bodies[0]["status"] == "CANCELLED"
    assert sorted(body["status"] for body in receiver.bodies) == ["CANCELLED", "COMPLETED", "FAILED", "TIMED_OUT"]


def test_a_retry_is_told_as_well(fleet: Live, receiver: Receiver) -> None:
    job = submit(fleet, "job-fails attempt=1", webhook=receiver.url, text="[[case:again]]")
    after(fleet, 10)
    call(fleet, "POST", f"echo/retry/{job}")
    after(fleet, 10)
    assert [(body["id"], body["status"]) for body in receiver.bodies] == [(job, "FAILED"), (job, "COMPLETED")]


def test_jobs_that_never_end_or_are_gone_are_not_told(fleet: Live, receiver: Receiver) -> None:
    submit(fleet, "job-never-finishes", webhook=receiver.url)
    submit(fleet, "job-vanishes after_s=4", webhook=receiver.url)
    submit(fleet, "job_times run_s=60", webhook=receiver.url, policy={"ttl": 11_000})
    queued = submit(fleet, webhook=receiver.url, text="purged")
    call(fleet, "POST", "echo/purge-queue")
    assert told(fleet, queued) == "404"
    assert after(fleet, 100_000) == []


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "file:///etc/passwd", "hook", "http://[::1"])
def test_only_the_web_is_called(fleet: Live, url: str) -> None:
    submit(fleet, webhook=url)
    (made,) = after(fleet, 10)
    assert (made["status"], made["error"]) == (None, "not an http or https URL")
    assert len(after(fleet, 60)) == 1


def test_nobody_there(fleet: Live) -> None:
    submit(fleet, webhook="http://127.0.0.1:9/")
    (made,) = after(fleet, 10)
    assert made["status"] is None
    assert made["error"]
    assert len(after(fleet, 10)) == 2


def test_a_receiver_that_does_not_answer_holds_up_nothing(fleet: Live, receiver: Receiver) -> None:
    receiver.silent = threading.Event()
    job = submit(fleet, webhook=receiver.url)
    later(fleet, 10)
    assert told(fleet, job) == "COMPLETED"
    (made,) = calls(fleet)
    assert (made["status"], made["error"]) == (None, "no answer within 2000 ms")
    receiver.silent.set()
    assert [one["status"] for one in after(fleet, 10)] == [None, 200]


def test_a_reset_forgets_what_waits(fleet: Live, receiver: Receiver) -> None:
    submit(fleet, webhook=receiver.url)
    assert fleet.control("GET", "webhooks")["waiting"] == 1
    fleet.control("POST", "reset")
    assert fleet.control("GET", "webhooks") == {"webhooks": [], "waiting": 0, "under_way": 0, "dropped": 0}
    assert after(fleet, 100) == []
    assert receiver.got == []


def test_unknown_keys_of_the_query_are_told(fleet: Live) -> None:
    for path in ("webhooks?job=1", "jobs?state=queued", "webhooks?wait_ms=soon"):
        reply = fleet.call(b"GET /__fleet/%s HTTP/1.1\r\nhost: fleet\r\n\r\n" % path.encode(), "GET")
        assert reply.status == 400, path


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_never_fires(fleet: Live, receiver: Receiver) -> None:
    job = submit(fleet, "webhook-never-fires", webhook=receiver.url)
    assert after(fleet, 100) == []
    assert told(fleet, job) == "COMPLETED"


def test_comes_again_though_it_was_taken(fleet: Live, receiver: Receiver) -> None:
    submit(fleet, "webhook-redelivered-on-slow-ack times=2 gap_s=12", webhook=receiver.url)
    counts = [len(after(fleet, seconds)) for seconds in (10, 11.9, 0.1, 12, 60)]
    assert counts == [1, 1, 2, 3, 3]
    assert len(set(receiver.got)) == 1


def test_comes_before_the_reply_to_the_submission(fleet: Live, receiver: Receiver) -> None:
    text = f"[[case:early]]{TIMES}[[fault: webhook-before-submit-response ahead_ms=500]]"
    body = {"input": {"prompt": text}, "webhook": receiver.url}
    replies: list[Any] = []
    thread = threading.Thread(target=lambda: replies.append(call(fleet, "POST", "echo/run", body)))
    thread.start()
    assert fleet.seen("early")[0]["ended"] == "pending"
    (made,) = after(fleet, 0.001)
    assert made["status"] == 200
    later(fleet, 0.499)
    assert not replies
    later(fleet, 0.001)
    thread.join(20)
    assert replies[0].json == {"id": receiver.bodies[0]["id"], "status": "IN_QUEUE"}
    assert receiver.bodies[0]["status"] == "COMPLETED"


def test_an_older_state_comes_last(fleet: Live, receiver: Receiver) -> None:
    job = submit(fleet, "out-of-order-callbacks gap_s=3", webhook=receiver.url)
    assert len(after(fleet, 10)) == 1
    assert len(after(fleet, 2.9)) == 1
    assert len(after(fleet, 0.1)) == 2
    assert [(body["id"], body["status"]) for body in receiver.bodies] == [(job, "COMPLETED"), (job, "IN_PROGRESS")]


def test_names_another_id(fleet: Live, receiver: Receiver) -> None:
    job = submit(fleet, "webhook-id-mismatch", webhook=receiver.url)
    after(fleet, 10)
    (body,) = receiver.bodies
    assert body["status"] == "COMPLETED"
    assert body["id"] != job
    assert len(body["id"]) == len(job)
    assert told(fleet, body["id"]) == "404"
