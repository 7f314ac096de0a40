"""The life of GPU jobs against a plain model: crashes, restarts, lost replies, calls, cancellations, any order of them.

The model knows what the provider did and what the gateway saw first; the gateway must have charged just that, once.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from gateway.gpu import watch
from gateway.gpu.job import OPEN, Job
from gateway.storage.tables import gpu_jobs, transfers, webhook_deliveries
from gateway.upstreams.transport import TransportError
from tests.gateway.gpu_lab import CLIP, HOOKED, PROMPT, GpuLab, open_gpu_lab
from tests.gateway.making import CREDIT

WAN = "/v1/gpu/wan-video"
RATE = 2  # credits a second
MOST_S = 600
SUBMISSIONS = {
    "well": None,
    "refused": 400,
    "no capacity": [429, 429],
    "5xx after it was taken": ("x", 502),
    "the reply is lost": ("x", TransportError("broken", "x")),
    "no connection": [TransportError("connect", "x")] * 2,
}
ALIVE = ("IN_QUEUE", "IN_PROGRESS")
TROUBLE = [500, 429, 403, TransportError("broken", "x"), {"status": "PONDERING"}]


class Died(BaseException):
    """The process is gone."""


def silent(request: Any) -> Any:
    """Nobody is there."""
    raise TransportError("timeout", request.url)


@dataclass
class Known:
    """A job as the model knows it."""

    end: Job | None = None  # as it was when first seen at its end: it must stay so


class Life(RuleBasedStateMachine):
    """Jobs, the provider, and processes that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.known: dict[str, Known] = {}
        self.keys = 0

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @initialize(public=st.booleans())
    def begin(self, public: bool) -> None:
        url = "https://gateway.example" if public else None
        self.lab: GpuLab = self.do(open_gpu_lab(self.folder.name, credits=10_000, public_url=url))
        self.answer = self.lab.runpod.answer

    def teardown(self) -> None:
        if hasattr(self, "lab"):
            self.finish()
            self.lab.services.store.close()
        self.loop.close()
        self.folder.cleanup()

    def finish(self) -> None:
        """When the provider knows nothing any more, or answers no more, time ends every job: nothing is stranded."""
        if self.keys % 2:
            self.lab.runpod.jobs.clear()
        else:
            self.lab.transport.answer = silent
        for _ in range(8):
            self.do(self.lab.rounds(900))
        self.sound()
        assert all(not job.open for job in self.rows())
        balance = self.do(self.lab.services.money.balance(self.lab.user_id))
        assert balance.held_uc == 0

    def rows(self) -> list[Job]:
        async def read() -> list[Job]:
            return [
                Job(*row) for row in await self.lab.services.store.read(lambda c: c.execute(select(gpu_jobs)).all())
            ]

        found: list[Job] = self.do(read())
        return found

    def restart(self) -> None:
        self.lab = self.lab.restarted()
        self.do(self.lab.services.money.expire_open("crash"))

    # --- what callers do ----------------------------------------------------------------------------------------------

    @rule(meets=st.just("well") | st.sampled_from(sorted(SUBMISSIONS)), hooked=st.booleans(), keyed=st.booleans())
    def submit(self, meets: str, hooked: bool, keyed: bool) -> None:
        what = SUBMISSIONS[meets]
        self.lab.runpod.submit = list(what) if isinstance(what, list) else [what]
        self.keys += 1
        headers = {"authorization": f"Bearer {self.lab.secret}"}
        if keyed:
            headers["idempotency-key"] = f"k{self.keys}"
        body = PROMPT | ({"webhookUrl": HOOKED} if hooked else {})
        before = len(self.lab.runpod.bodies)
        answer = self.do(self.lab.ask(WAN, body, headers=headers))
        assert answer.status in {"well": (202, 402), "refused": (400, 402)}.get(meets, (402, 502))
        assert len(self.lab.runpod.bodies) - before <= 1
        if answer.status == 202 and keyed:
            again = self.do(self.lab.ask(WAN, body, headers=headers))
            assert again.json["id"] == answer.json["id"]
            assert len(self.lab.runpod.bodies) - before == 1
        self.lab.runpod.submit = []

    @rule(data=st.data())
    def poll(self, data: st.DataObject) -> None:
        if jobs := self.rows():
            job = data.draw(st.sampled_from(jobs))
            assert self.do(self.lab.job(job.id))["status"] in ("queued", "running", "succeeded", "failed", "cancelled")

    @rule(data=st.data(), outcome=st.sampled_from(["COMPLETED", "FAILED", "CANCELLED"]))
    def race(self, data: st.DataObject, outcome: str) -> None:
        """Two processes, their pollers and two callers see the end of a job at the same moment."""
        jobs = [job for job in self.rows() if job.open and job.provider_job_id in self.lab.runpod.jobs]
        if not jobs:
            return
        job = data.draw(st.sampled_from(jobs))
        self.lab.runpod.poll = []
        self.lab.clock.advance(60_000)
        self.lab.runpod.end(outcome, CLIP, job.provider_job_id or "", executionTime=30_000)
        other = self.lab.restarted()
        answer = self.lab.runpod.answer

        async def later(request: Any) -> Any:
            made = answer(request)
            for _ in range(3):
                await asyncio.sleep(0)
            return made

        async def together() -> None:
            self.lab.transport.answer = other.transport.answer = later
            looks = (self.lab.job(job.id), other.job(job.id), self.lab.job(job.id))
            rounds = (watch.poll_due(self.lab.services), watch.poll_due(other.services))
            states = {told["status"] for told in (await asyncio.gather(*looks, *rounds))[:3]}
            assert len(states) == 1

        self.do(together())
        self.lab.transport.answer = answer

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if jobs := self.rows():
            job = data.draw(st.sampled_from(jobs))
            assert self.do(self.lab.ask(f"/v1/gpu/jobs/{job.id}/cancel")).status == 200

    # --- what the provider does ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.lab.runpod.jobs)
    @rule(
        data=st.data(),
        status=st.sampled_from(["IN_PROGRESS", "COMPLETED", "FAILED", "TIMED_OUT", "CANCELLED", "IN_QUEUE"]),
        told=st.none() | st.integers(0, 2_000_000),
    )
    def move(self, data: st.DataObject, status: str, told: int | None) -> None:
        ident = data.draw(st.sampled_from(sorted(self.lab.runpod.jobs)))
        more = {} if told is None else {"executionTime": told}
        self.lab.runpod.end(status, CLIP if status == "COMPLETED" else None, ident, **more)

    @precondition(lambda self: any(job["status"] in ALIVE for job in self.lab.runpod.jobs.values()))
    @rule(data=st.data(), seconds=st.integers(1, 900), percent=st.sampled_from([0, 50, 100, 100, 300]))
    def work(self, data: st.DataObject, seconds: int, percent: int) -> None:
        """A job succeeds after so many seconds, and so many percent of those are told."""
        alive = [ident for ident, job in self.lab.runpod.jobs.items() if job["status"] in ALIVE]
        ident = data.draw(st.sampled_from(sorted(alive)))
        self.lab.clock.advance(seconds * 1000)
        self.lab.runpod.end("COMPLETED", CLIP, ident, executionTime=seconds * percent * 10)
        job = next((job for job in self.rows() if job.provider_job_id == ident and job.open), None)
        self.lab.runpod.poll = []
        if job is not None and job.cancel_at_ms is None and job.state != "submitting":
            told = self.do(self.lab.job(job.id))
            assert (told["status"], told["costCredits"] > 0) == ("succeeded", True)
            if percent in (50, 100):
                assert told["costCredits"] == min(-(-seconds * RATE * percent // 100), MOST_S * RATE)

    @precondition(lambda self: self.lab.runpod.jobs)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        self.lab.runpod.jobs.pop(data.draw(st.sampled_from(sorted(self.lab.runpod.jobs))))
        self.lab.runpod.jobs[f"gone-{len(self.lab.runpod.bodies)}-{self.keys}"] = {"status": "IN_QUEUE"}

    @rule(trouble=st.sampled_from(TROUBLE), times=st.integers(1, 3), obeys=st.booleans())
    def misbehave(self, trouble: Any, times: int, obeys: bool) -> None:
        self.lab.runpod.poll = [trouble] * times
        self.lab.runpod.obeys = obeys

    @precondition(lambda self: any("webhook" in body for body in self.lab.runpod.bodies))
    @rule(data=st.data(), forged=st.booleans(), other_id=st.booleans())
    def call(self, data: st.DataObject, forged: bool, other_id: bool) -> None:
        number = data.draw(st.integers(0, len(self.lab.runpod.bodies) - 1))
        path = self.lab.runpod.bodies[number]["webhook"].removeprefix("https://gateway.example")
        ident = "another-1" if other_id else f"job-{number + 1}-u1"
        body = {"id": ident, "status": "COMPLETED", "executionTime": 5, "output": CLIP}
        answer = self.do(self.lab.ask(path + ("x" if forged else ""), body, headers={}))
        assert answer.status == (404 if forged else 200)
        self.do(self.settled())

    async def settled(self) -> None:
        await asyncio.gather(*self.lab.services.errands._tasks)

    # --- what happens anyway ------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0, 1, 6, 31, 120, 700, 2_500]))
    def time(self, seconds: int) -> None:
        self.lab.clock.advance(seconds * 1000)

    @rule()
    def background(self) -> None:
        self.do(self.lab.rounds(0))

    @rule(after=st.booleans(), what=st.sampled_from(["submit", "poll", "deliver"]))
    def crash(self, after: bool, what: str) -> None:
        """The process dies at a call of the provider or of a receiver: before that has come, or after."""

        def die(request: Any) -> Any:
            if after:
                self.lab.runpod.answer(request)
            raise Died

        self.lab.transport.answer = die
        with suppress(Died):
            self.do(self.lab.ask(WAN, PROMPT) if what == "submit" else self.lab.rounds(10))
        self.restart()

    @rule(nth=st.integers(1, 6), after=st.booleans())
    def crash_at_a_write(self, nth: int, after: bool) -> None:
        """The process dies at its n-th transaction: before it is durable, or just after."""
        store, write, left = self.lab.services.store, self.lab.services.store.write, [nth]

        async def deadly(job: Any) -> Any:
            left[0] -= 1
            if left[0]:
                return await write(job)
            if after:
                await write(job)
            raise Died

        store.write = deadly  # type: ignore[method-assign]
        try:
            self.do(self.lab.ask(WAN, PROMPT | {"webhookUrl": HOOKED}))
            self.do(self.lab.rounds(10))
        except Died:
            pass
        finally:
            store.write = write  # type: ignore[method-assign]
        self.restart()

    # --- what must always hold ----------------------------------------------------------------------------------------

    @invariant()
    def sound(self) -> None:
        if not hasattr(self, "lab"):
            return
        self.do(self.lab.check())
        for job in self.rows():
            known = self.known.setdefault(job.id, Known())
            if job.state in OPEN:
                assert known.end is None, "an end is an end"
                continue
            if known.end is None:
                known.end = job
                self.check_end(job)
            assert job._replace(poll_after_ms=0, lease_owner=None, hinted_id=None) == known.end._replace(
                poll_after_ms=0, lease_owner=None, hinted_id=None
            )
        self.do(self.check_records())

    def check_end(self, job: Job) -> None:
        """The charge follows from what was told and seen, by arithmetic of the test's own."""
        if job.state == "failed":
            assert (job.charged_uc, job.idempotency_key) == (0, None)
            return
        if job.state == "cancelled" and job.execution_ms is None:
            assert job.charged_uc == 0
            return
        assert job.execution_ms is not None
        seconds = min(job.execution_ms / 1000, MOST_S)
        credits = job.charged_uc / CREDIT
        assert credits == int(credits)
        assert seconds * RATE <= credits < seconds * RATE + 1
        assert job.ended_at_ms is not None
        assert job.execution_ms <= job.ended_at_ms - job.sent_at_ms + 1_001

    async def check_records(self) -> None:
        """Each hold is resolved at most once; each end with a webhook has one message, and no open job has any."""
        moved, sent = await self.lab.services.store.read(
            lambda c: (
                c.execute(select(transfers)).mappings().all(),
                c.execute(select(webhook_deliveries)).mappings().all(),
            )
        )
        closed = [(row["closes"], row["kind"]) for row in moved if row["closes"] is not None]
        assert len(closed) == len(set(closed))
        ended = {row["closes"] for row in moved if row["kind"] == "EXPIRE"}
        assert not ended & {row["closes"] for row in moved if row["kind"] in ("SETTLE", "RELEASE")}
        told = [row["job_id"] for row in sent]
        assert len(told) == len(set(told))


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
