"""Jobs of a fleet of several processes: found, changed and listed wherever they were submitted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from tests.simulator.live import Live, request
from tests.simulator.receiver import after, calls, receiving
from tests.simulator.runpod_exchange import TIMES, call, graph, later, status, submit, told
from tests.simulator.test_workers import REDIS, fleet, redis_answers

pytestmark = pytest.mark.skipif(not redis_answers(), reason=f"no Redis at {REDIS}")
POLLS = 12  # each on a connection of its own: some reach either worker


@pytest.fixture(scope="module")
def two() -> Iterator[Live]:
    with fleet(2, "--clock", "manual") as running:
        yield cast(Live, running)  # it calls as one process does


@pytest.fixture(autouse=True)
def fresh(two: Live) -> None:
    two.control("POST", "reset")


def seen(two: Live, job: str) -> set[str]:
    return {told(two, job) for _ in range(POLLS)}


def test_a_job_is_one_job_for_all_workers(two: Live) -> None:
    job = submit(two, "job-fails percent=50 attempt=1", text="[[case:shared]]")
    assert seen(two, job) == {"IN_QUEUE"}
    later(two, 6)
    assert seen(two, job) == {"FAILED"}
    assert call(two, "POST", f"echo/retry/{job}").json["status"] == "IN_QUEUE"
    assert seen(two, job) == {"IN_QUEUE"}
    later(two, 3)
    assert call(two, "POST", f"echo/cancel/{job}").json["status"] == "CANCELLED"
    assert seen(two, job) == {"CANCELLED"}
    rows: list[dict[str, Any]] = two.control("GET", "jobs?case=shared")["jobs"]
    assert [(row["state"], row["tries"], row["run_ms"]) for row in rows] == [("cancelled", 2, 1000)]


def test_the_endpoint_is_one_endpoint(two: Live) -> None:
    jobs = [submit(two, text=f"number {number}") for number in range(POLLS)]
    for _ in range(4):
        assert call(two, "GET", "echo/health").json["jobs"]["inQueue"] == POLLS
        assert {row["id"] for row in call(two, "GET", "echo/requests").json["requests"]} == set(jobs)
    call(two, "POST", "echo/purge-queue")
    assert {state for job in jobs for state in seen(two, job)} == {"404"}
    assert call(two, "GET", "echo/health").json["jobs"]["inQueue"] == 0


def test_each_item_of_a_stream_is_given_once(two: Live) -> None:
    words = [f"word{number}" for number in range(80)]
    job = submit(two, endpoint="stream", text=" ".join(words))
    found: list[str] = []
    for _ in range(22):
        later(two, 0.5)
        found += [item["output"] for item in call(two, "GET", f"stream/stream/{job}").json["stream"]]
    assert found[:80] == words
    assert found == status(two, job, "stream")["output"]


def test_one_webhook_is_called_whoever_changed_the_job(two: Live) -> None:
    with receiving() as receiver:
        jobs = [submit(two, text=f"hooked {number}", webhook=receiver.url) for number in range(6)]
        for job in jobs:
            seen(two, job)
        later(two, 3)
        for job in jobs[:3]:
            call(two, "POST", f"echo/cancel/{job}")
        made = after(two, 30)
        assert sorted(body["status"] for body in receiver.bodies) == ["CANCELLED"] * 3 + ["COMPLETED"] * 3
        assert [one["n"] for one in made] == [1, 2, 3, 4, 5, 6]
        assert len(calls(two, "&case=other")) == 0


def test_places_are_those_of_the_whole_fleet(two: Live) -> None:
    two.control("PUT", "quotas", {"runpod": [{"limit": 3, "of": "jobs"}]})
    jobs = [submit(two, text=f"number {number}") for number in range(3)]
    body = {"input": {"prompt": f"more {TIMES}"}}
    assert {call(two, "POST", "echo/run", body).status for _ in range(POLLS)} == {429}
    call(two, "POST", f"echo/cancel/{jobs[0]}")
    assert call(two, "POST", "echo/run", body).status == 200
    assert call(two, "POST", "echo/run", body).status == 429
    later(two, 10)
    (usage,) = two.control("GET", "quotas")["quotas"]["runpod"][0]["usage"]
    assert usage["used"] == 0


def test_one_queue_for_the_whole_fleet(two: Live) -> None:
    two.control("PUT", "quotas", {"runpod": [{"limit": 1, "of": "jobs", "over": "queue"}]})
    jobs = [submit(two, text=f"number {number}") for number in range(5)]
    for running in range(4):
        later(two, 5)
        assert [told(two, job) for job in jobs] == (
            ["COMPLETED"] * running + ["IN_PROGRESS"] + ["IN_QUEUE"] * (4 - running)
        )
        later(two, 5)


def test_one_balance_and_one_bill_for_the_whole_fleet(two: Live) -> None:
    two.control("PUT", "quotas", {"runpod": [{"limit": 24, "of": "balance", "unit": "seconds"}]})
    jobs = [submit(two, text=f"[[case:paid]] number {number}") for number in range(3)]
    body = {"input": {"prompt": f"more {TIMES}"}}
    assert {call(two, "POST", "echo/run", body).status for _ in range(POLLS)} == {402}
    for job in jobs:
        seen(two, job)  # every worker has a copy by now
    later(two, 10)
    (bill,) = two.control("GET", "bills?case=paid")["bills"]
    assert (bill["submits"], bill["jobs"], bill["renders"], bill["charged"]) == (3, 3, 3, {"seconds": 24.0})


def test_a_download_belongs_to_its_case_wherever_it_is_answered(two: Live) -> None:
    body = {"input": {"workflow": graph(f"[[case:files]] {TIMES}", width=64, height=64)}}
    job = call(two, "POST", "comfyui-s3/run", body).json["id"]
    later(two, 10)
    url = status(two, job, "comfyui-s3")["output"]["images"][0]["data"]
    path = "/" + url.split("/", 3)[3]
    assert {two.call(request("GET", path), "GET").status for _ in range(POLLS)} == {200}
    assert two.control("GET", "bills?case=files")["bills"][0]["downloads"] == POLLS
