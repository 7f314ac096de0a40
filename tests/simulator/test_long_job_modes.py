"""The failure modes of long jobs that no single fault of its own shows: combinations, downloads, words, curves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.clock import Clock
from simulator.faults import FAULTS
from tests.simulator.live import END, RESET, Live, Reply, request, running
from tests.simulator.receiver import after, receiving
from tests.simulator.runpod_exchange import TIMES, call, graph, later, opened, status, submit, told

PAGE = Path(__file__).parents[2] / "docs" / "jobs.md"
MODES = 31  # of long jobs that users have reported, by name
CATALOGUE = [
    "status-words-drift",
    "progress-curve",
    "job-cancelled",
    "partial-results",
    "download-truncate-at",
    "download-redirect",
]
TERMINAL = {"COMPLETED", "FAILED", "TIMED_OUT", "CANCELLED"}


@pytest.fixture
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def rule(fleet: Live, fault: object, **when: object) -> None:
    """Put a rule in force."""
    fleet.control("POST", "faults", {"rules": [{"when": when, "fault": fault}]})


def path_of(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def fetch(fleet: Live, url: str) -> Reply:
    """A file, by its link."""
    return fleet.call(request("GET", path_of(url)), "GET")


def link(fleet: Live, fault: str = "", batch: int = 1) -> str:
    """The link to the one picture of a job that has ended, of the case `files`."""
    text = f"A cat {TIMES}[[case:files]]{fault}"
    job = call(fleet, "POST", "comfyui-s3/run", {"input": {"workflow": graph(text, batch=batch)}}).json["id"]
    later(fleet, 10)
    found: str = status(fleet, job, "comfyui-s3")["output"]["images"][0]["data"]
    return found


def modes() -> dict[str, str]:
    """The table of the page: what each failure mode is made with."""
    table = PAGE.read_text("utf-8").partition("## Failure modes by name")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", table, re.MULTILINE))


def test_the_page_knows_every_mode_and_names_faults_that_are_there() -> None:
    found = modes()
    assert len(found) == MODES
    for name, means in found.items():
        named = re.findall(r"`([a-z0-9_]+)[` ]", means)
        assert named or means.startswith("nothing: "), name
        assert all(FAULTS.kind(kind) for kind in named), (name, named)


# --- words and progress -----------------------------------------------------------------------------------------------


def test_words_of_states_drift(fleet: Live) -> None:
    body = {"input": {"prompt": f"{TIMES}[[fault: status-words-drift]]"}}
    reply = call(fleet, "POST", "echo/run", body).json
    assert reply["status"] == "in_queue"
    job = reply["id"]
    later(fleet, 10)
    assert told(fleet, job) == "completed"


@pytest.mark.parametrize(("word", "becomes", "moment"), [("IN_QUEUE", "PREPARING", 0), ("COMPLETED", "SUCCEEDED", 10)])
def test_one_word_is_another(fleet: Live, word: str, becomes: str, moment: int) -> None:
    """queued-word-not-recognised, success-word-not-recognised."""
    body = {"input": {"prompt": f"{TIMES}[[fault: status-words-drift word={word} becomes={becomes}]] COMPLETED"}}
    job = call(fleet, "POST", "echo/run", body).json["id"]
    later(fleet, moment)
    assert told(fleet, job) == becomes
    assert told(fleet, submit(fleet, text="other")) == "IN_QUEUE"


def test_outside_and_inside_contradict_each_other(fleet: Live) -> None:
    body = {
        "input": {"prompt": f"{TIMES}[[fault: job-fails]][[fault: status-words-drift word=FAILED becomes=COMPLETED]]"}
    }
    job = call(fleet, "POST", "echo/run", body).json["id"]
    later(fleet, 10)
    found = status(fleet, job)
    assert found["status"] == "COMPLETED"
    assert "CUDA out of memory" in found["error"]


def test_progress_falls_back(fleet: Live) -> None:
    text = " ".join("word" for _ in range(40))
    job = submit(fleet, "progress-curve curve=regress", endpoint="progress", text=text)
    later(fleet, 2)
    seen = []
    for _ in range(16):
        seen.append(int(status(fleet, job, "progress")["output"].split("/")[0]))
        later(fleet, 0.5)
    assert seen != sorted(seen)
    assert told(fleet, job, "progress") == "COMPLETED"


def test_progress_comes_late(fleet: Live) -> None:
    text = " ".join("word" for _ in range(196))
    job = submit(fleet, "progress-curve curve=late", endpoint="progress", text=text)
    total = 2 + 8 * 0.8
    later(fleet, total)
    share = [int(part) for part in status(fleet, job, "progress")["output"].split("/")]
    assert share[0] / share[1] <= 0.01


# --- ends -------------------------------------------------------------------------------------------------------------


def test_the_provider_cancels(fleet: Live) -> None:
    job = submit(fleet, "job-cancelled percent=25")
    later(fleet, 3.9)
    assert told(fleet, job) == "IN_PROGRESS"
    later(fleet, 0.1)
    assert told(fleet, job) == "CANCELLED"
    (row,) = fleet.control("GET", "jobs")["jobs"]
    assert (row["state"], row["run_ms"], row["cancelled_ms"]) == ("cancelled", 2000, None)


def test_some_results_are_missing(fleet: Live) -> None:
    text = f"A cat {TIMES}[[fault: partial-results lost=2]]"
    job = call(fleet, "POST", "comfyui/run", {"input": {"workflow": graph(text, batch=3)}}).json["id"]
    single = call(fleet, "POST", "comfyui/run", {"input": {"workflow": graph(text, batch=1)}}).json["id"]
    later(fleet, 10)
    counts = [len(status(fleet, each, "comfyui")["output"]["images"]) for each in (job, single)]
    assert counts == [1, 1]
    assert status(fleet, job, "comfyui")["status"] == "COMPLETED"


def test_every_end_is_an_end(fleet: Live) -> None:
    """unknown-terminal-treated-as-pending: each of the ends that pollers forget."""
    faults = ("job-times-out", "job-cancelled", "job-fails", "moderation-as-success form=failed")
    jobs = [submit(fleet, fault, text=fault) for fault in faults]
    later(fleet, 10)
    assert {told(fleet, job) for job in jobs} <= TERMINAL


def test_times_by_units_and_jitter(fleet: Live) -> None:
    def runs(text: str) -> float:
        body = {"input": {"seconds": 5, "prompt": f"[[fault: job_times queue_s=0 cold_s=0 {text}]]"}}
        call(fleet, "POST", "progress/run", body)
        later(fleet, 1000)
        ran: float = fleet.control("GET", "jobs")["jobs"][-1]["run_ms"]
        return ran / 1000

    assert runs("run_s=3 unit_s=2") == 13
    assert runs("unit_s=2") == 10
    drawn = {runs(f"run_s=10 jitter=20 attempt={attempt}") for attempt in ("1", "1-2", "1-3", "1-4")}
    assert len(drawn) == 4
    assert all(8 <= each <= 12 for each in drawn)


# --- submissions and polls --------------------------------------------------------------------------------------------


def test_the_first_polls_find_nothing_however_late(fleet: Live) -> None:
    job = submit(fleet, "transient-404-after-submit for_s=0 polls=3")
    assert [told(fleet, job) for _ in range(4)] == ["404"] * 3 + ["IN_QUEUE"]


def test_a_submission_is_answered_late(fleet: Live) -> None:
    """submit_delay: the job is there, and runs, while its submission is still waited for."""
    body = {"input": {"prompt": f"[[case:slow]]{TIMES}[[fault: latency ttft_ms=60000]]"}}
    line = fleet.line()
    key = {"authorization": "Bearer sk-fleet-runpod", "content-type": "application/json"}
    line.send(request("POST", "/runpod/v2/echo/run", body, key))
    assert fleet.seen("slow")[0]["ended"] == "pending"
    later(fleet, 59)
    assert fleet.control("GET", "jobs?case=slow")["jobs"][0]["state"] == "succeeded"
    later(fleet, 1)
    assert line.reply().status == 200


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ({"kind": "reset"}, (0, RESET)),  # poll-network-error-aborts-job
        ({"kind": "status", "status": 402}, (402, "")),  # status-poll-charged
        ({"kind": "status", "status": 403}, (403, "")),  # permanent-pending-masks-error
        ({"kind": "status", "status": 429}, (429, "")),
    ],
)
def test_polls_fail_while_the_job_goes_on(fleet: Live, fault: object, seen: tuple[int, str]) -> None:
    job = submit(fleet, text="[[case:polled]]")
    rule(fleet, fault, case="polled", operation="status")
    reply = call(fleet, "GET", f"echo/status/{job}")
    assert (reply.status, reply.ended) == seen
    later(fleet, 10)
    assert fleet.control("GET", "jobs?case=polled")["jobs"][0]["state"] == "succeeded"


def test_a_poll_with_other_credentials_finds_nothing(fleet: Live) -> None:
    """poll-routed-to-wrong-credentials: another key, or the job at another endpoint."""
    job = submit(fleet)
    assert call(fleet, "GET", f"echo/status/{job}", authorization="Bearer sk-other").status == 401
    assert call(fleet, "GET", f"progress/status/{job}").status == 404


def test_the_old_id_is_still_there_after_a_second_submission(fleet: Live) -> None:
    """stale-task-id-after-retry: the first job fails, the second one succeeds, and each is told by its own id."""
    first, second = (submit(fleet, "job-fails attempt=1", text="[[case:stale]]") for _ in range(2))
    later(fleet, 10)
    assert (told(fleet, first), told(fleet, second)) == ("FAILED", "COMPLETED")


def test_webhook_and_poll_tell_the_same_failure(fleet: Live) -> None:
    """double-refund-race: the failure is told twice by webhook, and by each poll besides."""
    with receiving() as receiver:
        fault = "job-fails]][[fault: webhook-redelivered-on-slow-ack times=1 gap_s=1"
        job = submit(fleet, fault, webhook=receiver.url)
        after(fleet, 10)
        assert told(fleet, job) == "FAILED"
        after(fleet, 1)
        assert [body["status"] for body in receiver.bodies] == ["FAILED"] * 2


def test_a_held_call_is_cut_and_the_job_is_charged(fleet: Live) -> None:
    """credits-lost-on-proxy-disconnect, charged-on-timeout, header-timeout-on-held-response."""
    body = {"input": {"prompt": f"[[case:held]]{TIMES}[[fault: reset after_ms=5000]]"}}
    line = fleet.line()
    key = {"authorization": "Bearer sk-fleet-runpod", "content-type": "application/json"}
    line.send(request("POST", "/runpod/v2/echo/runsync", body, key))
    assert fleet.seen("held")[0]["status"] is None
    later(fleet, 4.9)
    assert fleet.seen("held")[0]["head_sent_ms"] is None
    later(fleet, 0.1)
    assert line.reply().ended == RESET
    later(fleet, 10)
    (bill,) = fleet.control("GET", "bills?case=held")["bills"]
    assert (bill["renders"], bill["charged"]) == (1, {"seconds": 8.0})


# --- downloads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ends", "ended"), [("cut", END), ("short", "")])
def test_a_download_ends_early(fleet: Live, ends: str, ended: str) -> None:
    url = link(fleet)
    whole = fetch(fleet, url)
    assert opened(whole.body).size == (256, 192)
    rule(fleet, {"kind": "download_truncate_at", "percent": 25, "ends": ends}, case="files", operation="fetch_file")
    part = fetch(fleet, url)
    assert (part.status, part.ended) == (200, ended)
    assert part.body == whole.body[: len(whole.body) // 4]
    assert int(part.headers["content-length"]) == len(whole.body if ends == "cut" else part.body)
    (bill,) = fleet.control("GET", "bills?case=files")["bills"]
    assert (bill["renders"], bill["downloads"] + bill["broken_downloads"]) == (1, 2)
    assert bill["broken_downloads"] == (1 if ends == "cut" else 0)


def test_a_download_is_redirected(fleet: Live) -> None:
    url = link(fleet)
    options = {"kind": "download_redirect", "status": 307, "times": 2, "host": "localhost:99"}
    rule(fleet, options, operation="fetch_file")
    seen = [fetch(fleet, url) for _ in range(3)]
    assert [reply.status for reply in seen] == [307, 307, 200]
    assert seen[0].headers["location"] == f"http://localhost:99{path_of(url)}"
    assert seen[0].body == b""
    assert opened(seen[2].body).size == (256, 192)


def test_downloads_fail_and_renders_are_repeated(fleet: Live) -> None:
    """download-fails-so-regenerate: the bill shows renders without downloads."""
    rule(fleet, {"kind": "status", "status": 500}, operation="fetch_file")
    for _ in range(3):
        assert fetch(fleet, link(fleet)).status == 500
    (bill,) = fleet.control("GET", "bills?case=files")["bills"]
    assert (bill["submits"], bill["renders"], bill["downloads"], bill["broken_downloads"]) == (3, 3, 0, 3)


def test_faults_of_downloads_leave_everything_else_alone(fleet: Live) -> None:
    rules: list[Any] = [{"fault": [{"kind": "download_truncate_at"}, {"kind": "download_redirect"}]}]
    fleet.control("POST", "faults", {"rules": rules})
    submit(fleet)
    assert fleet.control("GET", "journal")["entries"][-1]["faults"] == ["job_times"]
