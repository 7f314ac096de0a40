"""Webhooks of jobs: called by the fleet's clock as a job goes on, again as the provider does, and all of it on record.

The facts of a model say when and how often (`webhook: {on, tries, gap_ms, timeout_ms, taken, challenge}`). Waiting is
by the fleet's clock; how long an answer may take is real time. The calls of one job leave one after the other, each
once the first try of the one before is over; further tries wait for nobody. Each try is written and signed when it
leaves. Bounded: so many jobs and calls wait, so many are under way, so many are remembered; what does not fit is not
called, and counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import orjson

from simulator import draws, edge
from simulator.jobs.courier import Courier, HttpCourier, Undelivered
from simulator.jobs.deliveries import CHALLENGE, Delivery, Errand, Rules
from simulator.jobs.desk import JobDialect
from simulator.jobs.job import NEVER, Job, Moment, Plan, look, moments, truth

if TYPE_CHECKING:
    from simulator.clock import Waiting
    from simulator.dialects.base import Kept
    from simulator.fleet import Fleet
    from simulator.media.making import Makers

WAITING_MAX: Final = 20_000
UNDER_WAY_MAX: Final = 64
REMEMBERED: Final = 10_000
TIMEOUT_MS_MAX: Final = 60_000
JSON: Final = (("content-type", "application/json"),)
NO_WEB: Final = "not an http or https URL"

log = logging.getLogger(__name__)
Key = tuple[str, str]  # provider and nonce


@dataclass(slots=True, eq=False)
class Line:
    """The calls of one job, in their order."""

    begun: tuple[int, int]  # the job's tries and submission: another try of it is told anew
    told: set[str] = field(default_factory=set)  # moments
    timer: Waiting | None = None  # of the next moment
    due: deque[tuple[Errand, float]] = field(default_factory=deque)  # not called yet, with when they were due
    is_busy: bool = False
    is_open: bool | None = None  # whether its URL passed the challenge; None: not asked yet


class Webhooks:
    """The webhooks of one fleet."""

    def __init__(self, fleet: Fleet, makers: Makers, courier: Courier | None = None) -> None:
        self._fleet = fleet
        self._clock = fleet.clock
        self._makers = makers
        self._courier = HttpCourier() if courier is None else courier
        self._lines: dict[Key, Line] = {}
        self._later = 0  # further tries that wait
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._turns = asyncio.Semaphore(UNDER_WAY_MAX)
        self._made: deque[Delivery] = deque(maxlen=REMEMBERED)
        self._count = 0
        self._epoch = 0
        self.dropped = 0  # for want of room
        fleet.desk.watchers.append(self.changed)

    # --- when ---------------------------------------------------------------------------------------------------------

    def changed(self, provider: str, nonce: str) -> None:
        """A job was begun, changed or forgotten: what becomes of it is told when it comes, as it now comes."""
        self._plan(provider, nonce, taken_over=False)

    def taken_over(self, provider: str, nonce: str) -> None:
        """A job came here from another worker, which told of it so far."""
        self._plan(provider, nonce, taken_over=True)

    def forget(self, provider: str, nonce: str) -> None:
        """Another worker has taken a job over, and tells of it from now on."""
        line = self._lines.get((provider, nonce))
        if line is not None and line.timer is not None:
            line.timer.cancel()
            line.timer = None
            self._drop_idle((provider, nonce))

    def _plan(self, provider: str, nonce: str, *, taken_over: bool) -> None:
        key = (provider, nonce)
        line = self._lines.get(key)
        if line is not None and line.timer is not None:
            line.timer.cancel()
            line.timer = None
        kept = self._fleet.desk.kept(provider, nonce)
        job = None if kept is None else kept.serving.job
        if kept is None or job is None or job.plan.hook.is_lost or not self._url(provider, kept):
            self._drop_idle(key)
            return
        begun = (job.tries, job.submitted_ms)
        if line is None:
            if self._is_full():
                return
            line = self._lines[key] = Line(begun)
        elif line.begun != begun:
            line.begun = begun
            line.told.clear()
        if taken_over:
            now_ms = self._clock.now_ms()
            line.told |= {moment.name for moment in moments(job) if moment.at_ms < int(now_ms)}
        self._next(key, line, kept, job)
        if line.is_open is None and Rules.of(kept).challenge_ms is not None:
            self._work_on(key, line)

    def _next(self, key: Key, line: Line, kept: Kept, job: Job) -> None:
        """Wait for the next moment that is to be told."""
        rules, known = Rules.of(kept), truth(job)
        asked = self._dialect(key[0], kept).hook_on(kept.ask)
        if asked is not None:
            rules = Rules({**rules.facts, "on": asked})
        gone_ms = job.submitted_ms + min(job.plan.vanishes_ms, job.plan.ttl_ms)  # it is forgotten before
        for moment in moments(job):
            if moment.name in line.told or moment.at_ms >= min(NEVER, gone_ms) or not self._tells(rules, job, moment):
                continue
            if look(known, moment.at_ms) is not None:
                line.timer = self._clock.call_at(moment.at_ms, partial(self._come, key, line, moment))
                return
        self._drop_idle(key)

    def _tells(self, rules: Rules, job: Job, moment: Moment) -> bool:
        """Whether a moment has its call when it comes: one that tells of the job running may come after its end."""
        return rules.tells(moment) and not (job.plan.hook.is_followed and moment.name == "running")

    def _come(self, key: Key, line: Line, moment: Moment) -> None:
        """A moment has come."""
        line.timer = None
        kept = self._fleet.desk.kept(*key)
        job = None if kept is None else kept.serving.job
        if kept is None or job is None:
            self._drop_idle(key)
            return
        line.told.add(moment.name)
        due_ms = float(moment.at_ms)
        line.due.append((self._errand(key, kept, truth(job), moment), due_ms))
        hook = job.plan.hook
        if moment.name == "ended" and hook.is_followed:
            stale = self._errand(key, kept, _running(job, moment.at_ms), Moment("running", moment.at_ms))
            self._wait(hook.gap_ms, stale)
        self._work_on(key, line)
        self._next(key, line, kept, job)

    def _is_full(self) -> bool:
        full = len(self._lines) + self._later >= WAITING_MAX
        self.dropped += full
        return full

    def _drop_idle(self, key: Key) -> None:
        """Forget a line that nothing is left of."""
        line = self._lines.get(key)
        if line is not None and not line.is_busy and not line.due and line.timer is None:
            del self._lines[key]

    def _wait(self, ms: float, errand: Errand) -> None:
        """Make a call later, if there is room for it until then."""
        if self._is_full():
            return
        self._later += 1
        epoch = self._epoch

        def due() -> None:
            if epoch == self._epoch:
                self._later -= 1
                self._begin(self._deliver(errand, self._clock.now_ms()))

        self._clock.call_at(self._clock.now_ms() + ms, due)

    # --- what ---------------------------------------------------------------------------------------------------------

    def _dialect(self, provider: str, kept: Kept) -> JobDialect:
        held = self._fleet.shelf.get(provider, kept.serving.nonce)
        if held is None:
            raise LookupError(kept.serving.nonce)
        return cast(JobDialect, held.known.mount.dialect)

    def _url(self, provider: str, kept: Kept) -> str:
        return self._dialect(provider, kept).hook_url(kept.ask)

    def _errand(self, key: Key, kept: Kept, job: Job, moment: Moment) -> Errand:
        """The call that tells how a job stands at a moment."""
        provider, nonce = key
        hook, view = job.plan.hook, look(job, moment.at_ms)
        told = f"{nonce[:-6]}000000" if hook.other_id else nonce
        of_job = replace(kept, serving=replace(kept.serving, job=job, nonce=told))
        message = f"{nonce}-{job.tries}-{moment.name}"
        state = "" if view is None else view.state.value
        rules, url = Rules.of(kept), self._url(provider, kept)
        dialect = self._dialect(provider, kept)
        return Errand(provider, nonce, of_job, dialect, state, moment.at_ms, url, message, hook, rules)

    # --- how ----------------------------------------------------------------------------------------------------------

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin something that nobody waits for."""
        self._idle.clear()
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._idle.set()

    def _work_on(self, key: Key, line: Line) -> None:
        if not line.is_busy:
            line.is_busy = True
            self._begin(self._work(key, line))

    async def _work(self, key: Key, line: Line) -> None:
        """Make the calls of a job that are due, one after the other."""
        epoch = self._epoch
        try:
            if line.is_open is None:
                line.is_open = await self._challenged(key)
            while line.due and epoch == self._epoch:
                errand, due_ms = line.due.popleft()
                if line.is_open:
                    await self._deliver(errand, due_ms)
        finally:
            line.is_busy = False
            if epoch == self._epoch:
                self._drop_idle(key)

    async def _challenged(self, key: Key) -> bool:
        """Whether the URL of a job may be called: it echoes a challenge, or its provider asks for none."""
        kept = self._fleet.desk.kept(*key)
        timeout_ms = None if kept is None else Rules.of(kept).challenge_ms
        if kept is None or timeout_ms is None:
            return True
        job, url, now_ms = kept.serving.job, self._url(key[0], kept), self._clock.now_ms()
        text = draws.word(32, CHALLENGE, kept.serving.seed, key[1])
        case, body = None if job is None else job.case, orjson.dumps({CHALLENGE: text})
        made = Delivery(*key, case, url, f"{key[1]}-{CHALLENGE}", CHALLENGE, 1, now_ms, now_ms)
        said = await self._post(made, JSON, body, timeout_ms)
        if said is not None and not _echoes(said, made.status, text):
            made.error = "the challenge was not echoed: nothing is called"
        return made.error is None

    async def _deliver(self, errand: Errand, due_ms: float) -> None:
        epoch, now_ms = self._epoch, self._clock.now_ms()
        made = errand.begun(due_ms, now_ms)
        try:
            headers, body = await self._makers.done(partial(errand.write, now_ms))
        except Exception as error:
            log.exception("the webhook %s could not be written", errand.message)
            made.error = f"Windtunnel could not write it: {error!r}"
            self._record(made)
            return
        await self._post(made, headers, body, errand.rules.facts["timeout_ms"])
        gap_ms = None if made.error == NO_WEB else errand.again_ms(made.status)
        if gap_ms is not None and epoch == self._epoch:
            self._wait(gap_ms, errand.again())

    async def _post(
        self, made: Delivery, headers: tuple[tuple[str, str], ...], body: bytes, timeout_ms: float
    ) -> bytes | None:
        """One call and its record: the body of the answer, None where none came."""
        epoch, answer = self._epoch, None
        async with self._turns:
            if epoch != self._epoch:
                return None
            made.bears(headers, body)
            self._record(made)
            if not is_web(made.url):
                made.error = NO_WEB
                return None
            try:
                answer = await self._courier.post(made.url, headers, body, min(float(timeout_ms), TIMEOUT_MS_MAX))
                made.status = answer.status
            except Undelivered as error:
                made.error = str(error)
            made.ended_ms = self._clock.now_ms()
        return None if answer is None else answer.body

    # --- on record ----------------------------------------------------------------------------------------------------

    def _record(self, made: Delivery) -> None:
        self._made.append(made)
        self._count += 1

    async def settled(self, wait_ms: float) -> None:
        """Return once no call is under way, or the wait is over. What waits for the clock is not under way."""
        await edge.within(self._idle.wait(), wait_ms)

    def as_json(self, case: str | None = None) -> dict[str, Any]:
        """What was called, the oldest first, numbered from 1."""
        first = self._count - len(self._made) + 1
        calls = [made.as_json(first + at) for at, made in enumerate(self._made) if case in (None, made.case)]
        waiting = sum(line.timer is not None for line in self._lines.values())
        return {
            "webhooks": calls,
            "waiting": waiting + self._later,
            "under_way": len(self._tasks),
            "dropped": self.dropped,
        }

    def clear(self) -> None:
        """Forget all calls, and make none of those that wait."""
        self._epoch += 1
        for line in self._lines.values():
            if line.timer is not None:
                line.timer.cancel()
        self._lines.clear()
        self._made.clear()
        self._later = self._count = self.dropped = 0

    async def close(self) -> None:
        """End what is under way."""
        self.clear()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._courier.close()


def is_web(url: str) -> bool:
    """Whether a URL is one of http or https."""
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:
        return False


def _echoes(said: bytes, status: int | None, text: str) -> bool:
    """Whether an answer is the challenge itself."""
    try:
        return status is not None and 200 <= status < 300 and orjson.loads(said) == {CHALLENGE: text}
    except orjson.JSONDecodeError:
        return False


def _running(job: Job, end: int) -> Job:
    """The job as it was just before its end: what a call that comes too late tells."""
    started = Plan(queue_ms=0, run_ms=max(2, 2 * (end - job.submitted_ms)), full_ms=None)
    return replace(job, plan=replace(started, hook=job.plan.hook), cancelled_ms=None)
