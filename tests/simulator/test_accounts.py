"""Jobs in flight and balances: as state machines against plain models, and as callers of a fleet meet them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.clock import Clock
from simulator.faults import Flawed
from simulator.quotas import rows as quota_rows
from simulator.quotas.accounts import JobSlots, Slot
from tests.simulator.live import Live, request, running
from tests.simulator.runpod_exchange import TIMES, call, later, status, submit, told

FLEET = {
    "providers": [
        {
            "name": "runpod",
            "region": "us-east",
            "dialect": "runpod",
            "facts": {"vendors": ["runpod"], "rate_headers": "none", "usd_per_s": 0.01},
            "orgs": {"blue": ["sk-fleet-runpod", "sk-blue-2"], "red": ["sk-red-1"]},
        }
    ]
}
START_MS = 1_767_225_600_000


@pytest.fixture
def fleet() -> Iterator[Live]:
    with running(Clock("manual"), rows=FLEET) as live:
        yield live


def limit(fleet: Live, *rows: dict[str, Any]) -> None:
    fleet.control("PUT", "quotas", {"runpod": list(rows)})


def usage(fleet: Live) -> dict[str, Any]:
    """How the one caller seen stands."""
    (row,) = fleet.control("GET", "quotas")["quotas"]["runpod"][0]["usage"]
    found: dict[str, Any] = row
    return found


def refused(fleet: Live, text: str = "more", **headers: str) -> Any:
    reply = call(fleet, "POST", "echo/run", {"input": {"prompt": f"{text} {TIMES}"}}, **headers)
    return reply.status, reply.json


# --- places as a state machine ----------------------------------------------------------------------------------------

JOBS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 200), st.integers(1, 3)), max_size=30)


@given(st.integers(1, 5), JOBS)
def test_places_are_never_more_than_the_limit_and_none_is_left_empty(
    limit: int, jobs: list[tuple[int, int, int]]
) -> None:
    slots, now, taken = JobSlots(limit, queues=False), START_MS, []
    for number, (after_ms, run_ms, amount) in enumerate(jobs):
        now += after_ms
        used = sum(each.amount for each in taken if each.until_ms > now)
        assert slots.room(now) == limit - used
        if slots.wait_ms(now, amount) == 0:
            assert used + amount <= limit
            taken.append(slots.take(now, amount))
            slots.ends(taken[-1], str(number), now + run_ms, now)
        else:
            assert used + amount > limit


def begins(limit: int, jobs: list[tuple[int, int]]) -> list[int]:
    """When each of (came, length) begins on so many places, in their order: the model."""
    free, found = [0] * limit, []
    for came_ms, length_ms in jobs:
        place = min(range(limit), key=free.__getitem__)
        found.append(max(came_ms, free[place]))
        free[place] = found[-1] + length_ms
    return found


@given(st.integers(1, 4), JOBS)
def test_a_queue_is_served_in_its_order_by_so_many_places(limit: int, jobs: list[tuple[int, int, int]]) -> None:
    slots, now, came, found = JobSlots(limit, queues=True), START_MS, [], []
    for number, (after_ms, run_ms, _) in enumerate(jobs):
        now += after_ms
        slot = slots.take(now, 1)
        assert slots.ends(slot, str(number), slot.begin_ms + run_ms, now) == []
        came.append((now, run_ms))
        found.append(slot.begin_ms)
    assert found == begins(limit, came)


@given(st.integers(1, 3), st.lists(st.integers(1, 100), min_size=2, max_size=12), st.data())
def test_who_waits_moves_up_when_an_earlier_job_is_cancelled(limit: int, runs: list[int], data: st.DataObject) -> None:
    slots = JobSlots(limit, queues=True)
    taken: list[Slot] = []
    for number, run_ms in enumerate(runs):
        taken.append(slots.take(START_MS, 1))
        slots.ends(taken[-1], str(number), taken[-1].begin_ms + run_ms, START_MS)
    gone = data.draw(st.integers(0, len(runs) - 1))
    moved = slots.ends(taken[gone], str(gone), START_MS, START_MS)
    left = [at for at in range(len(runs)) if at != gone]
    due = begins(limit, [(START_MS, runs[at]) for at in left])
    assert [taken[at].begin_ms for at in left] == due
    assert [taken[at].until_ms for at in left] == [begin + runs[at] for begin, at in zip(due, left, strict=True)]
    assert {one.name for one in moved} <= {str(at) for at in left if at > gone}


@pytest.mark.parametrize(
    ("row", "due"),
    [
        ({"limit": 5, "of": "jobs", "per": "1m"}, "without per"),
        ({"limit": 5, "of": "balance"}, "unit"),
        ({"limit": 5, "of": "requests", "over": "queue"}, "over only with of: jobs"),
        ({"limit": 5, "of": "jobs", "unit": "usd"}, "unit only with of: balance"),
        ({"limit": 2.5, "of": "jobs"}, "a whole number"),
    ],
)
def test_a_row_says_only_what_its_kind_knows(row: dict[str, Any], due: str) -> None:
    with pytest.raises(Flawed, match=due):
        quota_rows.read([row])


# --- places at a provider ---------------------------------------------------------------------------------------------


def test_jobs_in_flight_are_limited_from_submission_to_end(fleet: Live) -> None:
    limit(fleet, {"limit": 2, "of": "jobs", "by": ["key"]})
    first, second = (submit(fleet, text=text) for text in ("one", "two"))
    assert refused(fleet) == (429, {"error": "too many requests"})
    assert fleet.control("GET", "journal")["entries"][-1]["faults"] == ["quota"]
    assert told(fleet, first) == "IN_QUEUE"  # polls are free
    later(fleet, 9.999)
    assert refused(fleet)[0] == 429
    assert usage(fleet) == {"key": "sk-fleet-runpod", "used": 2, "remaining": 0, "reset_ms": 1}
    later(fleet, 0.001)
    assert usage(fleet)["used"] == 0
    assert told(fleet, second) == "COMPLETED"
    submit(fleet, text="three")
    assert usage(fleet)["used"] == 1
    assert fleet.control("GET", "jobs")["jobs"][0]["job"] in first


def test_a_place_is_free_once_its_job_is_cancelled_fails_or_is_gone(fleet: Live) -> None:
    limit(fleet, {"limit": 1, "of": "jobs"})
    job = submit(fleet, "job-stuck-in-queue")
    call(fleet, "POST", f"echo/cancel/{job}")
    failed = submit(fleet, "job-fails percent=25 attempt=1", text="[[case:again]]")
    later(fleet, 4)
    submit(fleet, "job-vanishes after_s=3", text="gone")
    later(fleet, 3)
    assert usage(fleet)["used"] == 0
    call(fleet, "POST", f"echo/retry/{failed}")
    assert usage(fleet)["used"] == 1
    assert refused(fleet)[0] == 429


def test_a_refused_submission_takes_no_place(fleet: Live) -> None:
    limit(fleet, {"limit": 1, "of": "jobs"})
    body = {"input": {"prompt": "[[case:held]][[fault: status=503]][[fault: latency ttft_ms=60000]]"}}
    line = fleet.line()
    key = {"authorization": "Bearer sk-fleet-runpod", "content-type": "application/json"}
    line.send(request("POST", "/runpod/v2/echo/run", body, key))
    assert fleet.seen("held")[0]["ended"] == "pending"
    assert usage(fleet)["used"] == 0
    later(fleet, 60)
    assert line.reply().status == 503
    submit(fleet)
    assert usage(fleet)["used"] == 1


def test_over_the_limit_jobs_may_wait_in_the_queue(fleet: Live) -> None:
    """Each is queued for 2 s and runs for 8: the third begins its 10 s when the first has ended."""
    limit(fleet, {"limit": 2, "of": "jobs", "over": "queue"})
    jobs = [submit(fleet, text=text) for text in ("one", "two", "three", "four", "five")]
    story = []
    for _ in range(4):
        story.append([told(fleet, job) for job in jobs])
        later(fleet, 9)
    done, runs, waits = "COMPLETED", "IN_PROGRESS", "IN_QUEUE"
    assert story == [[waits] * 5, [runs] * 2 + [waits] * 3, [done] * 2 + [runs] * 2 + [waits], [done] * 4 + [runs]]
    assert status(fleet, jobs[4])["delayTime"] == 22_000


def test_who_waits_begins_sooner_when_somebody_before_is_cancelled(fleet: Live) -> None:
    limit(fleet, {"limit": 1, "of": "jobs", "over": "queue"})
    first, second, third = (submit(fleet, text=text) for text in ("one", "two", "three"))
    later(fleet, 3)
    call(fleet, "POST", f"echo/cancel/{first}")
    later(fleet, 9)
    assert (told(fleet, second), told(fleet, third)) == ("IN_PROGRESS", "IN_QUEUE")
    call(fleet, "POST", f"echo/cancel/{second}")
    later(fleet, 10)
    assert (told(fleet, second), told(fleet, third)) == ("CANCELLED", "COMPLETED")


def test_places_are_those_of_a_caller(fleet: Live) -> None:
    limit(fleet, {"limit": 1, "of": "jobs", "by": ["org"]})
    submit(fleet)
    assert refused(fleet, authorization="Bearer sk-blue-2")[0] == 429
    assert refused(fleet, authorization="Bearer sk-red-1")[0] == 200


def test_a_job_is_its_organisations_own(fleet: Live) -> None:
    job = submit(fleet)
    of_blue = call(fleet, "GET", f"echo/status/{job}", authorization="Bearer sk-blue-2")
    of_red = call(fleet, "GET", f"echo/status/{job}", authorization="Bearer sk-red-1")
    assert (of_blue.status, of_red.status) == (200, 404)


# --- money ------------------------------------------------------------------------------------------------------------


def test_a_balance_is_counted_down_and_then_nothing_is_taken_in(fleet: Live) -> None:
    limit(fleet, {"limit": 0.2, "of": "balance", "unit": "usd", "by": ["org"]})
    first = submit(fleet, text="one")
    assert usage(fleet) == {"org": "blue", "used": 0.08, "remaining": pytest.approx(0.12), "reset_ms": 0}
    submit(fleet, text="two")
    assert refused(fleet) == (402, {"error": "insufficient balance"})
    assert told(fleet, first) == "IN_QUEUE"
    assert fleet.control("GET", "jobs")["jobs"][-1]["state"] == "queued"
    assert len(fleet.control("GET", "jobs")["jobs"]) == 2
    assert fleet.control("GET", "journal")["entries"][-2]["faults"] == ["quota"]
    fleet.control("PUT", "quotas", {"runpod": [{"limit": 1, "of": "balance", "unit": "usd"}]})
    submit(fleet, text="three")


def test_what_a_cancelled_job_did_not_cost_is_given_back(fleet: Live) -> None:
    limit(fleet, {"limit": 8, "of": "balance", "unit": "seconds"})
    job = submit(fleet)
    assert refused(fleet)[0] == 402
    later(fleet, 5)
    call(fleet, "POST", f"echo/cancel/{job}")
    assert usage(fleet)["remaining"] == 5
    assert refused(fleet)[0] == 402
    assert usage(fleet)["remaining"] == 5


def test_nothing_is_taken_in_without_money(fleet: Live) -> None:
    limit(fleet, {"limit": 0, "of": "balance", "unit": "seconds"})
    assert refused(fleet)[0] == 402
    assert call(fleet, "GET", "echo/health").status == 200


# --- bills ------------------------------------------------------------------------------------------------------------


def test_the_bill_of_a_case_says_what_was_charged_and_for_what(fleet: Live) -> None:
    body = {"input": {"prompt": f"[[case:paid]]{TIMES}[[fault: submit-5xx-after-accept attempt=1]]"}}
    assert call(fleet, "POST", "echo/run", body).status == 502
    job = call(fleet, "POST", "echo/run", body).json["id"]
    assert fleet.control("GET", "bills?case=paid")["bills"][0]["charged"] == {}
    later(fleet, 6)
    assert told(fleet, job) == "IN_PROGRESS"
    later(fleet, 4)
    (bill,) = fleet.control("GET", "bills?case=paid")["bills"]
    assert bill == {
        "case": "paid",
        "provider": "runpod",
        "requests": 3,
        "submits": 2,
        "downloads": 0,
        "broken_downloads": 0,
        "jobs": 2,
        "renders": 2,
        "input_tokens": 0,
        "output_tokens": 0,
        "charged": {"seconds": 16.0, "usd": 0.16},
    }
    assert [row["charged"] for row in fleet.control("GET", "jobs")["jobs"]] == [{"seconds": 8.0, "usd": 0.08}] * 2
    assert fleet.control("GET", "bills?case=other")["bills"] == []
