"""Where jobs are taken in and changed: what a request does to the jobs on the shelf, once nothing refused it.

A dialect with jobs is a `JobDialect`. Faults of the request that submits a job rewrite its plan (`Fault.job`); requests
about it later read that plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol, cast

from simulator.dialects.base import Kept
from simulator.jobs.accounts import Bill, bill
from simulator.jobs.job import NEVER, OPEN, REPEATABLE, Job, Plan, State, look
from simulator.jobs.words import respell
from simulator.shelf import Held, Shelf

if TYPE_CHECKING:
    from simulator.ask import Ask
    from simulator.dialects.base import Profile, Serving
    from simulator.faults import Fault, Scene
    from simulator.memory import Known
    from simulator.script import Script

BEGIN, AGAIN, CANCEL, TAKE, PURGE, SURVEY, LOOK = "begin", "again", "cancel", "take", "purge", "survey", "look"
WITHDRAW: Final = "withdraw"  # cancels a job that waits, forgets one that ended, and leaves any other alone
EFFECTS: Final = (BEGIN, AGAIN, CANCEL, TAKE, PURGE, SURVEY, LOOK, WITHDRAW)
_OF_ALL: Final = (PURGE, SURVEY)
CHANGES: Final = (AGAIN, CANCEL, TAKE, WITHDRAW)  # of the one job that is asked about


class Call(NamedTuple):
    """One call of a webhook, as whoever signs it must know it."""

    id: str  # of this message: the same when it is tried again
    url: str
    sent_s: int  # Unix seconds when this try leaves: what a signature tells as its time; the body tells nothing of it
    is_forged: bool = False  # it is to be signed with a wrong key

    def key(self, own: bytes) -> bytes:
        """The key to sign with."""
        return sha256(own).digest() if self.is_forged else own


class JobDialect(Protocol):
    """What a dialect with jobs has besides what every dialect has."""

    jobs: ClassVar[Mapping[str, str]]  # operation -> one of EFFECTS

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of a job when nothing goes wrong; `serving.attempt` counts how often it was begun."""

    def hook_url(self, ask: Ask) -> str:
        """Where the end of this job is to be told; "" when nobody asked."""

    def hook_on(self, ask: Ask) -> tuple[str, ...] | None:
        """The moments of the job that this request asked to be told of; None: those that its model tells."""

    def hook_call(self, kept: Kept, now_ms: int, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:
        """Headers and body of the webhook that tells how the job of `kept` stands at that moment."""

    def produced(self, kept: Kept, now_ms: float) -> int:
        """How many items of its stream a job has made."""

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """What the provider charges for a job as it stands, by unit ("seconds", "images", "credits", "usd", …)."""


def effect(dialect: object, operation: str | None) -> str | None:
    """What an operation does to jobs; None: nothing."""
    jobs: Mapping[str, str] = getattr(dialect, "jobs", {})
    return jobs.get(operation or "")


def effect_of(known: Known) -> str | None:
    """What a request does to jobs; None: nothing."""
    return effect(known.mount.dialect, known.subject.operation)


class Desk:
    """The jobs of one fleet, on its shelf."""

    def __init__(self, shelf: Shelf, kept: Callable[[Held, str], Kept]) -> None:
        self._shelf = shelf
        self._kept = kept
        self.watchers: list[Callable[[str, str], None]] = []  # told (provider, nonce) of a job begun or changed

    def changed(self, provider: str, nonce: str) -> None:
        """A job was begun, changed or forgotten."""
        for watcher in self.watchers:
            watcher(provider, nonce)

    def kept(self, provider: str, nonce: str) -> Kept | None:
        """A job as a dialect sees it."""
        held = self._shelf.get(provider, nonce)
        return None if held is None or held.job is None else self._kept(held, nonce)

    def case_of_file(self, provider: str, path: str, length: int) -> str | None:
        """The case of the job whose nonce, so many characters, stands in the path of a file."""
        for at in range(len(path) - length + 1):
            held = self._shelf.get(provider, path[at : at + length])
            if held is not None and held.job is not None:
                return held.job.case
        return None

    def prepare(
        self, known: Known, serving: Serving, scene: Scene, faults: Iterable[Fault]
    ) -> tuple[Serving, tuple[str, ...]]:
        """What the reply may know: the job that this request begins, or all jobs. Also the faults that its plan met."""
        does = effect(scene.dialect, scene.ask.operation if scene.ask else None)
        if does == BEGIN and known.ask is not None and known.profile is not None:
            dialect = cast(JobDialect, scene.dialect)
            plan, met = _rewritten(dialect.plan(known.ask, known.profile, serving), scene, faults)
            job = Job(int(serving.now_ms), plan, case=known.subject.case)
            others = tuple(self._all(known, "")) if known.ask.among else ()
            return replace(serving, job=job, jobs=others), met
        if does in _OF_ALL and known.ask is not None:
            return replace(serving, jobs=tuple(self._all(known, known.ask.model))), ()
        if does == LOOK and known.ask is not None:
            found = (self.kept(known.provider.name, nonce) for nonce in known.ask.about)
            return replace(serving, jobs=tuple(kept for kept in found if kept is not None)), ()
        return serving, ()

    def enter(self, known: Known, serving: Serving, held_ms: int) -> tuple[Serving, Bill | None]:
        """The job that a request begins once its account has a place for it, and what it means to that account."""
        job, ask, profile = serving.job, known.ask, known.profile
        if job is None or ask is None or profile is None:
            return serving, None
        if held_ms:
            job = replace(job, plan=replace(job.plan, held_ms=held_ms))
            serving = replace(serving, job=job)
        return serving, bill(known.mount.dialect, Kept(ask, None, profile, serving), job)

    def hold(self, provider: str, nonce: str, held_ms: int) -> None:
        """A job waits for a place of its account for so long."""
        held = self._shelf.get(provider, nonce)
        job = None if held is None else held.job
        if job is not None and job.plan.held_ms != held_ms:
            self._change(provider, nonce, replace(job, plan=replace(job.plan, held_ms=held_ms)))

    def seen(self, known: Known, serving: Serving) -> Kept | None:
        """The job that a request is about, as this request may see it: the first polls may find none."""
        kept = known.kept
        job = None if kept is None else kept.serving.job
        if kept is None or job is None or serving.attempt > job.plan.hidden_polls or effect_of(known) is not None:
            return kept
        return replace(kept, serving=replace(kept.serving, job=replace(job, plan=replace(job.plan, hidden_ms=NEVER))))

    def told(self, known: Known, serving: Serving, script: Script) -> Script:
        """The reply about a job, as late and in the words that its plan has it."""
        about = None if known.kept is None else known.kept.serving.job
        job = serving.job or about
        if job is None:
            return script
        if job.plan.words is not None:
            script = respell(script, *job.plan.words)
        return script.later(job.plan.reply_ms) if serving.job is not None and job.plan.reply_ms else script

    def perform(
        self, known: Known, serving: Serving, scene: Scene, faults: Iterable[Fault], directed: Callable[..., Any]
    ) -> tuple[str, ...]:
        """Do to jobs what the request asks, after its reply was written. Returns the faults that a new plan met."""
        does = effect(scene.dialect, scene.ask.operation if scene.ask else None)
        name, now_ms = known.provider.name, serving.now_ms
        if does == BEGIN and serving.job is not None:
            self._put(name, serving.nonce, Held(known, serving.now_s, job=serving.job))
        elif does == PURGE:
            self._purge(name, serving, now_ms)
        elif known.kept is not None and known.kept.serving.job is not None and does in CHANGES:
            nonce, job = known.kept.serving.nonce, known.kept.serving.job
            view = look(job, now_ms)
            if does == TAKE:
                made = cast(JobDialect, scene.dialect).produced(known.kept, now_ms)
                self._change(name, nonce, replace(job, taken=max(job.taken, made)), tell=False)
            elif does == CANCEL and view is not None and view.state in OPEN:
                self._change(name, nonce, replace(job, cancelled_ms=int(now_ms)))
            elif does == WITHDRAW and view is not None:
                self._withdraw(name, nonce, job, view.state, int(now_ms))
            elif does == AGAIN and view is not None and view.state in REPEATABLE:
                return self._again(known, known.kept, job, serving, scene, (faults, directed))
        return ()

    def _again(
        self,
        known: Known,
        kept: Kept,
        job: Job,
        serving: Serving,
        scene: Scene,
        fate: tuple[Iterable[Fault], Callable[..., Any]],
    ) -> tuple[str, ...]:
        """Begin a job anew: the faults of the retry, and those that its submission asked for at this attempt."""
        held = self._shelf.get(known.provider.name, kept.serving.nonce)
        if held is None:
            return ()
        faults, directed = fate
        tries = job.tries + 1
        asked = directed(held.known.subject, tries, tries, held.known.asked)
        of_job = replace(kept.serving, attempt=tries, now_s=serving.now_s, now_ms=serving.now_ms, job=None)
        plan = cast(JobDialect, scene.dialect).plan(kept.ask, kept.profile, of_job)
        plan, met = _rewritten(plan, scene, (*faults, *asked))
        again = Job(int(serving.now_ms), plan, tries=tries, case=job.case)
        self._change(known.provider.name, kept.serving.nonce, again)
        return met

    def queued(self, known: Known, now_ms: float) -> list[str]:
        """The nonces of the jobs that a request to purge is about."""
        found = (
            (kept.serving.nonce, kept.serving.job) for kept in self._all(known, known.ask.model if known.ask else "")
        )
        views = ((nonce, None if job is None else look(job, now_ms)) for nonce, job in found)
        return [nonce for nonce, view in views if view is not None and view.state is State.QUEUED]

    def _all(self, known: Known, model: str) -> Iterable[Kept]:
        for nonce, held in self._shelf.of(known.provider.name):
            if held.job is not None and held.known.ask is not None and model in ("", held.known.ask.model):
                yield self._kept(held, nonce)

    def _purge(self, name: str, serving: Serving, now_ms: float) -> None:
        for kept in serving.jobs:
            view = None if kept.serving.job is None else look(kept.serving.job, now_ms)
            if view is not None and view.state is State.QUEUED:
                self._shelf.drop(name, kept.serving.nonce)
                self.changed(name, kept.serving.nonce)

    def _withdraw(self, name: str, nonce: str, job: Job, state: State, now_ms: int) -> None:
        if state is State.QUEUED:
            self._change(name, nonce, replace(job, cancelled_ms=now_ms))
        elif state not in (State.RUNNING, State.CANCELLED):  # nobody finds it any more, but it was charged
            plan = replace(job.plan, vanishes_ms=now_ms - job.submitted_ms)
            self._change(name, nonce, replace(job, plan=plan))

    def _change(self, name: str, nonce: str, job: Job, *, tell: bool = True) -> None:
        held = self._shelf.get(name, nonce)
        if held is not None:
            self._put(name, nonce, held._replace(job=job), tell=tell)

    def _put(self, name: str, nonce: str, held: Held, *, tell: bool = True) -> None:
        self._shelf.put(name, nonce, held)
        if tell:
            self.changed(name, nonce)


def _rewritten(plan: Plan, scene: Scene, faults: Iterable[Fault]) -> tuple[Plan, tuple[str, ...]]:
    """The plan after all faults, in their order, and which of them changed it."""
    met: list[str] = []
    for fault in faults:
        changed = fault.job(plan, scene)
        if changed is not plan:
            plan = changed
            met.append(fault.kind)
    return plan, tuple(met)
