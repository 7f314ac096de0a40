"""Jobs as a function of (job, now): order of states, progress, limits; and ten minutes of work in no time."""

from __future__ import annotations

import time
from dataclasses import replace

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from simulator.clock import Clock
from simulator.jobs import plans
from simulator.jobs.job import NEVER, OPEN, Job, Plan, State, end_ms, look, start_ms, told_run_ms
from tests.simulator.live import running
from tests.simulator.runpod_exchange import later, status, submit, told

AT = 1_767_225_600_000
PACE = {
    "queue_ms": "lognormal p50=300 p99=4000",
    "cold_share": 0.5,
    "cold_ms": "lognormal p50=8000 p99=60000",
    "run_ms": 1000,
    "unit_ms": 150,
    "ahead_max": 4,
}
ORDER = [State.QUEUED, State.RUNNING]

ms = st.integers(0, 100_000)
usual = st.builds(
    Plan,
    queue_ms=ms,
    cold_ms=ms,
    run_ms=st.integers(1, 100_000),
    steps=st.integers(0, 40),
    curve=st.sampled_from(["linear", "late", "frozen"]),
    ahead=st.integers(0, 9),
    ends=st.sampled_from([State.SUCCEEDED, State.FAILED]),
    limit_ms=st.one_of(st.just(NEVER), ms),
)
jobs = st.builds(Job, st.just(AT), usual, cancelled_ms=st.one_of(st.none(), st.integers(AT, AT + 300_000)))
moments = st.lists(st.integers(AT, AT + 400_000), min_size=2, max_size=40)


@given(jobs, moments)
@example(Job(AT, Plan(queue_ms=0, cold_ms=0, run_ms=1_000, curve="late", ends=State.FAILED)), [AT + 850, AT + 1_000])
@example(Job(AT, Plan(queue_ms=0, cold_ms=0, run_ms=1_000, curve="late")), [AT + 849, AT + 850])
def test_states_keep_their_order_and_progress_grows(job: Job, times: list[int]) -> None:
    views = [view for now in sorted(times) if (view := look(job, now)) is not None]
    assert len(views) == len(times)
    ranks = [ORDER.index(view.state) if view.state in OPEN else len(ORDER) for view in views]
    assert ranks == sorted(ranks)
    assert len({(view.state, view.ended_ms) for view in views if view.state not in OPEN}) <= 1
    if job.cancelled_ms is None:
        progress = [view.progress for view in views]
        assert progress == sorted(progress)
    for name in ("queued_ms", "run_ms"):
        so_far = [getattr(view, name) for view in views]
        assert so_far == sorted(so_far)
    ahead = [view.ahead for view in views]
    assert ahead == sorted(ahead, reverse=True)
    assert all(0 <= view.progress <= 1 for view in views)


@given(jobs, st.integers(AT, AT + 400_000))
def test_the_same_moment_gives_the_same_answer(job: Job, now: int) -> None:
    same = Job(job.submitted_ms, replace(job.plan), job.cancelled_ms)
    assert look(same, now) == look(job, now)
    moved = replace(job, submitted_ms=AT + 5, cancelled_ms=None if job.cancelled_ms is None else job.cancelled_ms + 5)
    then, seen = look(moved, now + 5), look(job, now)
    assert then is not None
    assert seen is not None
    assert then[:5] == seen[:5]


@given(jobs)
def test_a_job_travels_between_workers_whole(job: Job) -> None:
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(msgspec.to_builtins(job)))
    assert msgspec.convert(sent, Job) == job


@given(st.integers(0, 1000), st.integers(0, 50))
def test_a_plan_is_drawn_by_its_key(seed: int, units: int) -> None:
    plan = plans.drawn(PACE, units, seed)
    assert plan == plans.drawn(PACE, units, seed)
    assert plan.run_ms == 1000 + 150 * units
    assert 0 <= plan.ahead <= 4


def test_plans_differ_and_some_are_cold() -> None:
    drawn = [plans.drawn(PACE, 0, seed) for seed in range(200)]
    cold = [plan for plan in drawn if plan.cold_ms]
    assert 60 < len(cold) < 140
    assert len({plan.queue_ms for plan in drawn}) > 100
    assert sorted(plan.cold_ms for plan in cold)[len(cold) // 2] in range(5000, 13_000)


def test_the_queue_moves_up_and_the_worker_starts() -> None:
    job = Job(AT, Plan(queue_ms=4000, cold_ms=2000, run_ms=1000, ahead=4))
    views = [look(job, AT + at) for at in (0, 1000, 3000, 3999, 4000, 5999, 6000)]
    told = [(view.state.value, view.ahead, view.is_cold) for view in views if view is not None]
    waiting = [("queued", ahead, False) for ahead in (4, 3, 1, 1)]
    assert told == [*waiting, ("queued", 0, True), ("queued", 0, True), ("running", 0, False)]


def test_limits_count_from_where_they_count() -> None:
    plan = Plan(queue_ms=1000, run_ms=5000, limit_ms=2000)
    out = look(Job(AT, plan), AT + 3000)
    assert out is not None
    assert (out.state, out.run_ms, out.ended_ms) == (State.TIMED_OUT, 2000, AT + 3000)
    deleted = Job(AT, replace(plan, limit_ms=NEVER, ttl_ms=3000))
    assert look(deleted, AT + 2999) is not None
    assert look(deleted, AT + 3000) is None
    kept = Job(AT, replace(plan, limit_ms=NEVER, keep_ms=500))
    assert look(kept, AT + 6499) is not None
    assert look(kept, AT + 6500) is None


def test_cancelling_ends_what_is_open_and_nothing_else() -> None:
    plan = Plan(queue_ms=1000, run_ms=1000)
    early, late = (look(Job(AT, plan, cancelled_ms=AT + at), AT + 9000) for at in (500, 2000))
    assert early is not None
    assert late is not None
    assert (early.state, early.queued_ms, early.run_ms, early.ended_ms) == (State.CANCELLED, 500, 0, AT + 500)
    assert (late.state, late.run_ms) == (State.SUCCEEDED, 1000)


def test_progress_as_it_is_told() -> None:
    def progress(at: int, **plan: object) -> float:
        view = look(Job(AT, Plan(queue_ms=0, run_ms=1000, **plan)), AT + at)  # type: ignore[arg-type]
        assert view is not None
        return view.progress

    assert [progress(at) for at in (0, 250, 999, 1000)] == [0, 0.25, 0.999, 1]
    assert [progress(at, steps=4) for at in (249, 250, 999)] == [0, 0.25, 0.75]
    assert [progress(at, curve="late") for at in (0, 849)] == [0.01, 0.01]
    assert progress(925, curve="late") > 0.4
    assert [progress(at, curve="frozen") for at in (500, 1000)] == [0, 1]


def test_times_of_a_job() -> None:
    job = Job(AT, Plan(queue_ms=10, cold_ms=5, run_ms=100, runs=2, told_factor=0.5))
    assert (start_ms(job), end_ms(job)) == (AT + 15, AT + 215)
    view = look(job, AT + 1000)
    assert view is not None
    assert (view.run_ms, told_run_ms(job, view)) == (200, 100)


def test_ten_minutes_of_rendering_take_no_time() -> None:
    """The bound is generous: what is shown is that nothing waits for the ten minutes."""
    with running(Clock("manual")) as fleet:
        began_s = time.perf_counter()
        job = submit(fleet, "job_times queue_s=0 run_s=600", policy={"executionTimeout": 700_000})
        for minute in range(10):
            assert told(fleet, job) == "IN_PROGRESS", minute
            later(fleet, 60)
        assert status(fleet, job)["executionTime"] == 600_000
        assert time.perf_counter() - began_s < 10


def test_ten_thousand_jobs_are_all_kept() -> None:
    """As many as a load test polls: none is pushed out, and each is found."""
    with running(Clock("manual")) as fleet:
        shelf = fleet.runtime.fleet.shelf
        first = submit(fleet)
        ((nonce, held),) = shelf.of("runpod")
        for number in range(10_000):
            shelf.put("runpod", f"{number:022}", held)
        assert shelf.get("runpod", nonce) is not None
        later(fleet, 10)
        assert told(fleet, first) == "COMPLETED"
