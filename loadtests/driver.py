"""The Locust user that drives a load: one a worker process, walking its share of the schedule.

A call is spawned when it is due, whatever became of the others. When all places are taken an arrival is
dropped and counted, never delayed in silence. What a worker measures goes to the master as messages and is
merged there without loss.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import gevent
from gevent.pool import Pool
from locust import User, events, task
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from loadtests.caller import Caller, Timing
from loadtests.calls import Call, Mix, unexpected
from loadtests.driver_env import LOAD_ENV
from loadtests.ledger import Account
from loadtests.metrics import Metrics
from loadtests.schedule import poisson, share
from loadtests.watch import Seen

REPORT_S = 1.0
GRACE_S = 30.0  # how long calls under way may take once the schedule is over
log = logging.getLogger(__name__)


class Shared:
    """What one Locust process knows of the load. One instance a process."""

    def __init__(self) -> None:
        self.load: dict[str, Any] = {}
        self.worker, self.workers = 0, 1
        self.metrics = Metrics()
        self.calls: list[list[str]] = []  # case, request id, status, row, problem
        self.in_flight: dict[int, int] = {}  # by worker
        self.done = 0
        self.started = 0.0

    def take(self, told: dict[str, Any]) -> None:
        """Add what a worker reports."""
        self.metrics.merge(told["metrics"])
        self.calls += told["calls"]
        self.in_flight[int(told["worker"])] = int(told["in_flight"])
        self.done += bool(told["done"])


SHARED = Shared()


class Driver(User):
    """One open-loop source of calls."""

    abstract = True

    def on_start(self) -> None:
        load = SHARED.load
        self.metrics = Metrics()
        self.calls: list[list[str]] = []
        self.cap = max(1, math.ceil(int(load["users"]) / SHARED.workers))
        self.pool = Pool(self.cap)
        self.caller = Caller(load["base_urls"], self.cap, time.perf_counter)
        accounts = [Account.parse(row) for row in load["accounts"]]
        self.mix = Mix(int(load["seed"]), load["models"], load["upstreams"], accounts)

    @task
    def drive(self) -> None:
        """Walk the schedule, let the calls end, report, and say that this worker is done."""
        load = SHARED.load
        reporter = gevent.spawn(self._report_often)
        start = time.perf_counter()
        arrivals = poisson(float(load["rate_hz"]), float(load["time_s"]), int(load["seed"]))
        for arrival in share(arrivals, SHARED.worker, SHARED.workers):
            due = start + arrival.due_s
            call = self.mix.call(arrival.n)
            gevent.sleep(max(0.0, due - time.perf_counter()))
            self.metrics.counts["arrivals"] += 1
            if self.pool.full():
                self.metrics.counts["dropped"] += 1
            else:
                self.pool.spawn(self._one, call, due)
        self.pool.join(timeout=GRACE_S)
        self.metrics.counts["unfinished"] += len(self.pool)
        self.pool.kill()
        reporter.kill()
        self._report(done=True)
        gevent.sleep(3600)  # the master ends the run once every worker is done

    def _one(self, call: Call, due: float) -> None:
        seen, timing = self.caller.make(call, due)
        problem = unexpected(call, seen)
        self.metrics.counts["calls"] += 1
        self.metrics.counts[f"plan {call.plan}"] += 1
        self.metrics.counts["unexpected"] += bool(problem)
        self.calls.append([call.case, seen.request_id, str(seen.status), call.row, problem])
        self._measure(call, seen, timing, problem)

    def _measure(self, call: Call, seen: Seen, timing: Timing, problem: str) -> None:
        record, row = self.metrics.record, call.row
        record("all", "sched_lag", timing.sent - timing.due)
        for each in ("all", row):
            record(each, "effective", timing.end - timing.due)
            record(each, "service", timing.end - timing.sent)
        if call.stream and timing.first_content:
            record(row, "ttft", timing.first_content - timing.due)
            for gap in timing.gaps:
                record(row, "gap", gap)
        fire = self.environment.events.request.fire
        error = Exception(problem) if problem else None
        for metric, seconds in (
            ("effective", timing.end - timing.due),
            ("service", timing.end - timing.sent),
            ("sched_lag", timing.sent - timing.due),
        ):
            fire(
                request_type=metric,
                name=row,
                response_time=seconds * 1000,
                response_length=seen.text_bytes,
                exception=error if metric == "effective" else None,
                context={},
            )

    def _report_often(self) -> None:
        while True:
            gevent.sleep(REPORT_S)
            self._report()

    def _report(self, done: bool = False) -> None:
        told = {
            "worker": SHARED.worker,
            "metrics": self.metrics.drain(),
            "calls": self.calls,
            "in_flight": len(self.pool),
            "done": done,
        }
        self.calls = []
        if isinstance(self.environment.runner, WorkerRunner):
            self.environment.runner.send_message("load_report", told)
        else:
            SHARED.take(told)


@events.init.add_listener
def on_init(runner: Any, **_: Any) -> None:
    """Prepare this process for its part: worker, master, or all in one."""
    if isinstance(runner, WorkerRunner):
        runner.register_message("load_plan", on_plan)
        return
    SHARED.load = json.loads(Path(os.environ[LOAD_ENV]).read_text())
    if isinstance(runner, MasterRunner):
        runner.register_message("load_report", on_report)
        events.test_start.add_listener(send_plans)
    gevent.spawn(conduct, runner)
    events.quitting.add_listener(write_measured)


def on_plan(msg: Any, **_: Any) -> None:
    """A worker learns what to run and which share of it is its own."""
    SHARED.load, SHARED.worker, SHARED.workers = msg.data["load"], msg.data["worker"], msg.data["workers"]


def on_report(msg: Any, **_: Any) -> None:
    """The master takes in what a worker measured."""
    SHARED.take(msg.data)


def send_plans(environment: Any, **_: Any) -> None:
    """Before any worker starts: tell each its share."""
    runner = environment.runner
    clients = list(runner.clients)
    SHARED.workers = len(clients)
    for worker, client_id in enumerate(clients):
        plan = {"load": SHARED.load, "worker": worker, "workers": len(clients)}
        runner.send_message("load_plan", plan, client_id=client_id)


def conduct(runner: MasterRunner | LocalRunner) -> None:
    """Show progress, and end the run when every worker is done, or long after the last one should have been."""
    bound_s = float(SHARED.load["time_s"]) + GRACE_S + 60.0
    started = time.monotonic()
    while SHARED.done < SHARED.workers and time.monotonic() - started < bound_s:
        gevent.sleep(REPORT_S)
        show_progress(time.monotonic() - started)
    runner.quit()


def show_progress(elapsed_s: float) -> None:
    """One line on stdout, which the process that runs the load shows where it likes."""
    counts = SHARED.metrics.counts
    line = (
        f"{elapsed_s:5.0f} s  {counts['calls']:>7} calls  {sum(SHARED.in_flight.values()):>5} in flight  "
        f"{counts['unexpected']} unexpected  {counts['dropped']} dropped"
    )
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def write_measured(**_: Any) -> None:
    """Leave what was measured for the process that judges the run."""
    measured = {
        "metrics": SHARED.metrics.drain(),
        "calls": SHARED.calls,
        "workers": SHARED.workers,
        "done": SHARED.done,
    }
    Path(SHARED.load["measured"]).write_text(json.dumps(measured))
