"""Long jobs that go wrong, each by its name in the list of failure modes, seen by a client that polls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simulator.clock import Clock
from simulator.faults import FAULTS
from tests.simulator.live import RESET, Live, running
from tests.simulator.runpod_exchange import TIMES, call, graph, later, status, submit, told
from tests.simulator.test_runpod import fetch

CATALOGUE = [
    "job-times",
    "job-stuck-in-queue",
    "pending-forever-but-charged",
    "job-fails",
    "job-times-out",
    "job-lost",
    "transient-404-after-submit",
    "status-regress-after-completion",
    "timeout-refund-then-late-success",
    "cancel-ignored",
    "result-url-expired",
    "zero-second-billing",
    "moderation-as-success",
    "progress-never-advances",
    "job-executed-twice",
    "duplicate-submit-on-retry",
]


@pytest.fixture
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def story(fleet: Live, job: str, *moments: float, endpoint: str = "echo") -> list[str]:
    """What a poll is told at these seconds from the submission."""
    states: list[str] = []
    now = 0.0
    for moment in moments:
        later(fleet, moment - now)
        now = moment
        states.append(told(fleet, job, endpoint))
    return states


def truth(fleet: Live) -> dict[str, Any]:
    """The one job as it truly stands."""
    (row,) = fleet.control("GET", "jobs")["jobs"]
    found: dict[str, Any] = row
    return found


def test_the_catalogue_is_known() -> None:
    for name in CATALOGUE:
        assert name in FAULTS, name
        assert FAULTS[name].seen_at, name


def test_the_usual_story(fleet: Live) -> None:
    """What the others are measured against."""
    job = submit(fleet)
    assert story(fleet, job, 0, 1, 2, 9, 10, 60) == ["IN_QUEUE"] * 2 + ["IN_PROGRESS"] * 2 + ["COMPLETED"] * 2


def test_stuck_in_the_queue_until_its_ttl(fleet: Live) -> None:
    job = submit(fleet, "job-stuck-in-queue")
    assert story(fleet, job, 1, 600, 86_399, 86_400) == ["IN_QUEUE"] * 3 + ["404"]
    cancelled = submit(fleet, "job-stuck-in-queue", text="other")
    call(fleet, "POST", f"echo/cancel/{cancelled}")
    assert told(fleet, cancelled) == "CANCELLED"


def test_never_finishes_whatever_its_limit(fleet: Live) -> None:
    job = submit(fleet, "pending-forever-but-charged", policy={"executionTimeout": 5000})
    assert story(fleet, job, 1, 3, 60, 86_399) == ["IN_QUEUE"] + ["IN_PROGRESS"] * 3
    assert truth(fleet)["run_ms"] == 86_397_000
    later(fleet, 1)
    assert told(fleet, job) == "404"


@pytest.mark.parametrize(("percent", "run_ms"), [(0, 0), (25, 2000), (100, 8000)])
def test_fails_at_a_share_of_its_run(fleet: Live, percent: int, run_ms: int) -> None:
    job = submit(fleet, f"job-fails percent={percent} message='no luck'")
    later(fleet, 2 + run_ms / 1000 - 0.001)
    assert told(fleet, job) == ("IN_PROGRESS" if run_ms else "IN_QUEUE")
    later(fleet, 0.001)
    failed = status(fleet, job)
    assert (failed["status"], failed.get("executionTime", 0)) == ("FAILED", run_ms)
    assert '"error_message":"no luck"' in failed["error"]


def test_times_out_at_a_share_of_its_run(fleet: Live) -> None:
    job = submit(fleet, "job-times-out percent=50")
    assert story(fleet, job, 5.9, 6, 60) == ["IN_PROGRESS", "TIMED_OUT", "TIMED_OUT"]
    assert call(fleet, "POST", f"echo/retry/{job}").json["status"] == "IN_QUEUE"


def test_vanishes(fleet: Live) -> None:
    job = submit(fleet, "job-vanishes after_s=4")
    assert story(fleet, job, 1, 3.9, 4, 20) == ["IN_QUEUE", "IN_PROGRESS", "404", "404"]
    assert call(fleet, "POST", f"echo/cancel/{job}").status == 404


def test_is_not_found_at_first(fleet: Live) -> None:
    job = submit(fleet, "transient-404-after-submit for_s=3")
    assert story(fleet, job, 0, 2.9, 3, 10) == ["404", "404", "IN_PROGRESS", "COMPLETED"]


def test_goes_back_after_its_end(fleet: Live) -> None:
    job = submit(fleet, "status-regress-after-completion after_s=2 for_s=5")
    assert story(fleet, job, 10, 11.9, 12, 16.9, 17) == ["COMPLETED"] * 2 + ["IN_PROGRESS"] * 2 + ["COMPLETED"]


def test_succeeds_after_everybody_gave_up(fleet: Live) -> None:
    policy = {"executionTimeout": 30_000}
    silent = submit(fleet, "late-success after_s=900", policy=policy)
    assert story(fleet, silent, 60, 899, 900) == ["IN_PROGRESS", "IN_PROGRESS", "COMPLETED"]
    lost = submit(fleet, "late-success after_s=900 told=timed_out", policy=policy)
    assert story(fleet, lost, 31, 32, 899, 900) == ["IN_PROGRESS", "TIMED_OUT", "TIMED_OUT", "COMPLETED"]
    assert status(fleet, lost)["executionTime"] == 898_000


def test_says_that_it_is_cancelled_and_goes_on(fleet: Live) -> None:
    job = submit(fleet, "cancel-ignored")
    later(fleet, 3)
    assert call(fleet, "POST", f"echo/cancel/{job}").json["status"] == "CANCELLED"
    assert told(fleet, job) == "IN_PROGRESS"
    later(fleet, 7)
    assert told(fleet, job) == "COMPLETED"
    assert truth(fleet)["cancelled_ms"] is not None


@pytest.mark.parametrize(("options", "code"), [("", 403), ("status=404", 404), ("after_s=60", 200)])
def test_the_link_to_the_result_is_dead(fleet: Live, options: str, code: int) -> None:
    text = f"A cat {TIMES}[[fault: result-url-expired {options}]]"
    job = call(fleet, "POST", "comfyui-s3/run", {"input": {"workflow": graph(text)}}).json["id"]
    later(fleet, 10)
    url = status(fleet, job, "comfyui-s3")["output"]["images"][0]["data"]
    assert fetch(fleet, url).status == code
    later(fleet, 60)
    late = fetch(fleet, url)
    assert late.status == (404 if code == 404 else 403)
    assert (b"NoSuchKey" if code == 404 else b"Request has expired") in late.body


@pytest.mark.parametrize(("factor", "told_ms"), [(0, 0), (0.5, 4000), (3, 24_000)])
def test_tells_a_wrong_execution_time(fleet: Live, factor: float, told_ms: int) -> None:
    job = submit(fleet, f"wrong-execution-time factor={factor}")
    later(fleet, 10)
    assert status(fleet, job)["executionTime"] == told_ms
    row = truth(fleet)
    assert (row["run_ms"], row["told_run_ms"]) == (8000, told_ms)


def test_the_output_is_moderated_after_the_render(fleet: Live) -> None:
    empty, failed = (submit(fleet, f"moderation-as-success form={form}", text=form) for form in ("empty", "failed"))
    text = f"A cat {TIMES}[[fault: moderation-as-success]]"
    pictures = call(fleet, "POST", "comfyui/run", {"input": {"workflow": graph(text)}}).json["id"]
    later(fleet, 10)
    nothing = status(fleet, empty)
    assert (nothing["status"], nothing["executionTime"], "output" in nothing) == ("COMPLETED", 8000, False)
    refused = status(fleet, failed)
    assert (refused["status"], refused["executionTime"]) == ("FAILED", 8000)
    assert "Content moderated" in refused["error"]
    assert status(fleet, pictures, "comfyui")["output"] == {"status": "success_no_images", "images": []}


def test_progress_never_advances(fleet: Live) -> None:
    usual = submit(fleet, endpoint="progress", text="a b c d")
    frozen = submit(fleet, "progress-never-advances", endpoint="progress", text="a b c d")
    later(fleet, 9)
    assert not status(fleet, usual, "progress")["output"].startswith("0/")
    assert status(fleet, frozen, "progress")["output"].startswith("0/")
    later(fleet, 1)
    assert told(fleet, frozen, "progress") == "COMPLETED"


def test_is_executed_twice_and_both_runs_are_told(fleet: Live) -> None:
    job = submit(fleet, "job-executed-twice", endpoint="progress", text="a b c d")
    later(fleet, 9.9)
    late = status(fleet, job, "progress")
    later(fleet, 0.2)
    anew = status(fleet, job, "progress")
    assert int(late["output"].split("/")[0]) > int(anew["output"].split("/")[0])
    later(fleet, 8)
    assert status(fleet, job, "progress")["executionTime"] == 16_000
    assert call(fleet, "GET", "progress/health").json["jobs"]["retried"] == 1
    assert truth(fleet)["runs"] == 2


@pytest.mark.parametrize(
    ("fault", "code", "ended"), [("duplicate-submit-on-retry status=504", 504, ""), ("reset", 0, RESET)]
)
def test_a_submission_that_was_taken_and_not_confirmed(fleet: Live, fault: str, code: int, ended: str) -> None:
    """Whoever submits again has two jobs: the first one is there, and runs."""
    body = {"input": {"prompt": f"[[case:twice]]{TIMES}[[fault: {fault} attempt=1]]"}}
    first = call(fleet, "POST", "echo/run", body)
    assert (first.status, first.ended) == (code, ended)
    assert call(fleet, "POST", "echo/run", body).status == 200
    later(fleet, 10)
    jobs = fleet.control("GET", "jobs?case=twice")["jobs"]
    assert [(row["state"], row["run_ms"]) for row in jobs] == [("succeeded", 8000)] * 2


def test_a_refused_submission_makes_no_job(fleet: Live) -> None:
    body = {"input": {"prompt": "[[fault: status=503]]"}}
    assert call(fleet, "POST", "echo/run", body).status == 503
    assert fleet.control("GET", "jobs")["jobs"] == []


def test_a_rule_meets_jobs_by_attempt_and_the_journal_tells(fleet: Live) -> None:
    rule = {"when": {"operation": "run", "case": "ruled", "attempt": 1}, "fault": {"kind": "job_fails", "percent": 50}}
    fleet.control("POST", "faults", {"rules": [rule]})
    first, second = (submit(fleet, text="[[case:ruled]]") for _ in range(2))
    later(fleet, 10)
    assert (told(fleet, first), told(fleet, second)) == ("FAILED", "COMPLETED")
    entries = fleet.journal("ruled")
    assert [entry["faults"] for entry in entries if entry["operation"] == "run"] == [
        ["job_fails", "job_times"],
        ["job_times"],
    ]
    assert [entry["operation"] for entry in entries].count("status") == 2


def test_faults_of_jobs_leave_everything_else_alone(fleet: Live) -> None:
    job = submit(fleet)
    rules = [{"fault": [{"kind": FAULTS.kind(name)} for name in CATALOGUE]}]
    fleet.control("POST", "faults", {"rules": rules})
    assert told(fleet, job) == "IN_QUEUE"
    assert call(fleet, "GET", "echo/health").status == 200
    later(fleet, 10)
    assert told(fleet, job) == "COMPLETED"
    for entry in fleet.control("GET", "journal?provider=runpod")["entries"][1:]:
        assert entry["faults"] == [], entry
