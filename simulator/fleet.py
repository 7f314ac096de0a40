"""The fleet without its sockets: what a request is, what fate it meets, and the script of its reply.

A request that looks exactly like an earlier one (provider, path, headers that matter, body) is not read again: what was
learned of it is kept, and while no fault can meet it, so are the bytes of its reply, with marks where the nonce stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from simulator import draws
from simulator.answers import prose
from simulator.answers.answer import Answer
from simulator.answers.compose import compose
from simulator.ask import Ask, Request
from simulator.clock import Clock
from simulator.dialects.base import Kept, Profile, Serving
from simulator.faults import Fault, Scene
from simulator.faults.streams import body_length
from simulator.fixtures.fixture import Fixtures
from simulator.head import date_line, whole
from simulator.jobs import accounts
from simulator.jobs.bills import downloads
from simulator.jobs.desk import AGAIN, Desk, effect
from simulator.journal import Headers, Outcome
from simulator.judge import Fate, Judge, Passage
from simulator.memory import REPLY_BYTES, Known, Memory, Ready
from simulator.nonces import ALPHABETS, Nonces
from simulator.problem import Problem, Refused
from simulator.providers import Mount, Provider
from simulator.quotas import headers as quota_headers
from simulator.quotas.accounts import Held as Waits
from simulator.quotas.accounts import lacking
from simulator.quotas.doors import Doors, key_of
from simulator.quotas.load import UNLOADED
from simulator.rules.asked import asked_of
from simulator.rules.directives import NONE, AnswerSpec
from simulator.rules.gates import Gates
from simulator.rules.plan import Plan
from simulator.rules.selectors import Subject
from simulator.rules.tallies import Attempts
from simulator.script import Script
from simulator.shelf import Held, Shelf
from simulator.told import usage_told

BODY_BYTES_MAX = 32 << 20
PASSING_HEADERS = frozenset(  # differ from request to request, or say nothing to a provider: dialects do not see them
    b"content-length user-agent accept-encoding connection date via cookie expect transfer-encoding forwarded "
    b"x-forwarded-for x-forwarded-host x-forwarded-proto x-real-ip x-request-id x-correlation-id idempotency-key "
    b"traceparent tracestate baggage b3 x-b3-traceid x-b3-spanid x-b3-parentspanid x-b3-sampled x-amzn-trace-id "
    b"x-stainless-retry-count x-stainless-read-timeout x-stainless-timeout".split()
)

Facts = tuple[tuple[bytes, bytes], ...]


class Fleet:
    """Providers, plan and memory of one fleet."""

    def __init__(self, providers: Mapping[str, Provider], clock: Clock, seed: int) -> None:
        self.providers = providers
        self.clock = clock
        self.seed = seed
        self.plan = Plan(clock, seed)
        self.attempts = Attempts()
        self.gates = Gates(clock)
        self.doors = Doors(providers)
        self._marks = {name: Nonces(name, seed, "mark")(0).decode() for name in ALPHABETS}
        self.memory = Memory()
        self.shelf = Shelf()
        self.desk = Desk(self.shelf, self._as_kept)
        self.desk.watchers.append(self._recount)
        self.doors.moved = self._moved
        self.salt: tuple[object, ...] = ()  # what keeps the nonces of several workers apart
        self.fixtures = Fixtures()
        self.judge = Judge(self.plan, self.attempts, self.doors, self.gates)
        self._unread = 0
        prose.sentences()  # made now, or the first answer would be late

    def recognise(
        self, provider: Provider, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> Known:
        """What the request is; read only if none like it is remembered."""
        facts = tuple([pair for pair in headers if pair[0] not in PASSING_HEADERS])
        key = (provider.name, method, path, query, facts, body)
        known = self.memory.get(key)
        if known is None:
            known = self._read(provider, method, path, query, facts, headers, body)
            ask = known.ask
            if ask is None or not (ask.needs or ask.about):  # what it needs may be gone or changed by the next time
                self.memory.put(key, known)
        return known

    def is_quiet(self, known: Known) -> bool:
        """Whether nothing can meet a request: no fault, no rule, no door."""
        if known.never_ready or self.plan.concerns(known.provider.name):
            return False
        return not self.doors or known.provider.name not in self.doors

    def ready(self, known: Known, attempt: int, now_ms: float) -> tuple[bytes, Outcome] | None:
        """The whole reply to a quiet request, and its outcome; None when it is too large and must be played."""
        now_s = int(now_ms // 1000)
        ready = known.ready
        if ready is None:
            nonce = known.nonces(attempt).decode() if known.first else known.mark
            data, outcome = self._render(known, nonce, now_s)
            if len(data) > REPLY_BYTES:
                known.never_ready = True
                return None
            if known.first:  # most requests never come again: nothing is kept of the first reply
                known.first = False
                self._keep(known, nonce, now_s)
                return data, outcome
            ready = known.ready = Ready(now_s, data, data.split(known.mark.encode()), outcome)
            self.memory.grow(known, 2 * len(data))
        elif ready.now_s != now_s:
            self._renew(known, ready, now_s)
        own = known.nonces(attempt)
        self._keep(known, own.decode(), now_s)
        return own.join(ready.parts), ready.outcome

    def script(self, known: Known, now_ms: float, attempt: int, call: int) -> tuple[Script, Outcome]:
        """The reply to a request that was counted elsewhere, with all its faults, and its outcome so far."""
        standing = self.plan.standing(known.subject, attempt, call, now_ms)
        return self.fated(known, now_ms, Fate(attempt, call, standing))

    def fated(self, known: Known, now_ms: float, fate: Fate) -> tuple[Script, Outcome]:
        """The reply to a request that was decided, with all its faults, and its outcome so far."""
        attempt = fate.attempt
        directed = self.plan.directed(known.subject, attempt, fate.call, known.asked)
        faults = (*known.provider.faults, *fate.faults, *directed)
        serving = _serving(known, known.nonces(attempt).decode(), int(now_ms // 1000), attempt, now_ms)
        key = (self.seed, known.provider.name, known.subject.key, attempt)
        played = self._enact(known, serving, key, faults, fate.passage)
        if played[0].status < 400:
            self._keep(known, serving.nonce, serving.now_s)
        return played

    def unread_nonce(self, mount: Mount) -> str:
        """For the reply to a request that was not read."""
        self._unread += 1
        return Nonces(mount.nonces, self.seed, "unread", *self.salt)(self._unread).decode()

    def put_fixtures(self, fixtures: Fixtures) -> None:
        """Answer by these from now on; what was learned of earlier requests may hold no more."""
        self.fixtures = fixtures
        self.memory.clear()

    def reset(self) -> None:
        """Forget rules, attempts and what was used of quotas."""
        self.plan.set_scenario(())
        self.plan.remove()
        self.attempts.clear()
        self.gates.reset()
        self.doors.reset()
        self.shelf.clear()

    def _keep(self, known: Known, nonce: str, now_s: int) -> None:
        """Put an exchange on the shelf, if it can be asked for later; or take off what this one deletes or cancels."""
        ask = known.ask
        if ask is None or known.problem is not None:
            return
        name = known.provider.name
        if ask.keep:
            self.shelf.put(name, nonce, Held(known, now_s))
        if ask.needs and ask.operation == "delete":
            self.shelf.drop(name, ask.needs)
        elif ask.needs and ask.operation == "cancel":
            held = self.shelf.get(name, ask.needs)
            if held is not None and held.cancelled_s is None:
                self.shelf.put(name, ask.needs, held._replace(cancelled_s=now_s))

    def _kept(self, provider: Provider, ask: Ask, headers: Headers, query: str) -> Kept:
        """The earlier exchange that a request needs; a job is its organisation's own. Raises Refused."""
        held = self.shelf.get(provider.name, ask.needs)
        if held is None or held.known.ask is None or held.known.profile is None:
            raise Refused(Problem("not_kept", param=ask.needs))
        if held.job is not None and provider.orgs:
            asking = provider.borne(headers, query)
            if asking and provider.org(asking) != provider.org(key_of(held.known)):
                raise Refused(Problem("not_kept", param=ask.needs))
        return self._as_kept(held, ask.needs)

    def _about(self, provider: Provider, ask: Ask | None) -> Kept | None:
        """The first job there is of those that a request asks for."""
        found = (self.desk.kept(provider.name, nonce) for nonce in (ask.about if ask else ()))
        return next((kept for kept in found if kept is not None), None)

    def _as_kept(self, held: Held, nonce: str) -> Kept:
        """What is on the shelf, as a dialect sees it."""
        known = held.known
        if known.ask is None or known.profile is None:
            raise TypeError("only an exchange that a model answered is kept")
        serving = replace(_serving(known, nonce, held.now_s), job=held.job)
        return Kept(known.ask, self._answer(known), known.profile, serving, held.cancelled_s)

    def _read(
        self, provider: Provider, method: str, path: str, query: bytes, facts: Facts, headers: Headers, body: bytes
    ) -> Known:
        seen = {name.decode("latin-1"): value.decode("latin-1") for name, value in facts}
        text = query.decode("latin-1")
        mount, operation, params, path_exists = provider.route(method, path)
        dialect = mount.dialect
        site = f"http://{seen.get('host', 'localhost')}/{provider.name}"
        request = Request(method, path, text, seen, body, params, mount.facts, site)
        ask: Ask | None = None
        kept: Kept | None = None
        problem: Problem | None = None
        profile: Profile | None = None
        try:
            if operation is None:
                raise Refused(_no_operation(method, path, path_exists))
            dialect.authenticate(request, provider.keys)
            ask = dialect.decode(request, operation)
            if ask.needs:
                kept = self._kept(provider, ask, headers, text)
                ask = dialect.resume(ask, kept)
            if operation != "list_models" and ask.model:
                profile = mount.profile(provider.name, ask.model)
                if profile is None:
                    raise Refused(Problem("unknown_model", param=ask.model))
                dialect.check(ask, profile)
        except Refused as refused:
            problem = refused.problem
        try:
            directives, asked = asked_of(ask, body, seen)
        except ValueError as error:
            directives, asked = NONE, ()
            problem = Problem("invalid_request", f"Windtunnel directive: {error}")
        digest = draws.nonce(method, path, query, body)
        found = kept or self._about(provider, ask)  # what is asked of a job belongs to the case that submitted it
        job = None if found is None else found.serving.job
        case = directives.case or (job.case if job else None)
        if case is None and operation in downloads(dialect):
            case = self.desk.case_of_file(provider.name, path, len(self._marks[mount.nonces]))
        counted = case if effect(dialect, operation) == AGAIN else directives.case
        subject = Subject(
            provider=provider.name,
            region=provider.region,
            dialect=dialect.name,
            operation=operation,
            model=ask.model or None if ask else None,
            stream=ask.stream if ask else False,
            method=method,
            path=path,
            query=text,
            case=case,
            key=counted or digest,
        )
        seed = draws.integer(self.seed, provider.name, digest) >> 65
        nonces = Nonces(mount.nonces, self.seed, provider.name, subject.key, *self.salt)
        moving = any(not fault.still for fault in provider.faults)
        return Known(
            provider,
            mount,
            subject,
            body,
            directives,
            asked,
            seed,
            nonces,
            headers,
            ask,
            profile,
            problem,
            never_ready=bool(asked or moving or kept or (ask and ask.fresh)),
            mark=self._marks[mount.nonces],
            kept=kept,
        )

    def _answer(self, known: Known) -> Answer | None:
        """What the model says; None when no model is asked. A directive may ask for what this wire cannot say."""
        ask, profile = known.ask, known.profile
        if ask is None or profile is None or ask.operation != "generate" or known.problem is not None:
            return None
        if known.answer is None:
            natives = getattr(known.mount.dialect, "natives", None)
            spec = self._spec(known, ask)
            try:
                known.answer = compose(ask, spec, profile, self.seed, known.mark, 0, natives)
            except ValueError as error:
                known.problem = Problem("invalid_request", f"Windtunnel directive: {error}")
        return known.answer

    def _spec(self, known: Known, ask: Ask) -> AnswerSpec:
        """What the answer should be: as directed, else as canned, else as the request has it."""
        spec = known.directives.answer
        found = self.fixtures.find(known.subject, ask) if spec is NONE.answer else None
        if found is None:
            return spec
        known.fixture = found[0].name
        return found[1]

    def _enact(
        self,
        known: Known,
        serving: Serving,
        key: tuple[object, ...],
        faults: tuple[Fault, ...],
        visit: Passage | None = None,
    ) -> tuple[Script, Outcome]:
        """The script after all faults, in their order at each place where faults bite."""
        applied: list[str] = []
        turned_away = None if visit is None else visit.problem
        problem = known.problem or turned_away
        dialect = known.mount.dialect
        pace = UNLOADED if visit is None else visit.pace
        scene = Scene(dialect, serving, key, known.ask, known.subject.path, pace=pace)
        for fault in faults:
            refusal = fault.problem(scene)
            if refusal is not None:
                problem = refusal
                applied.append(fault.kind)
                break
        answer = None if problem else self._answer(known)
        problem = problem or known.problem  # the answer may have been impossible
        outcome = Outcome()
        if problem is not None:
            script = dialect.error(problem, serving)
            if visit is not None and problem is not turned_away:
                visit.began("", 0, {}, serving.now_ms)
        elif answer is not None and known.ask is not None and known.profile is not None:
            said = answer
            for fault in faults:
                changed = fault.answer(said, scene)
                if changed is not said:
                    applied.append(fault.kind)
                    said = changed
            script = self._reply(known, said, known.ask, known.profile, serving)
            outcome.usage_true, outcome.usage_told = said.usage, said.told
            scene = replace(scene, retell=partial(self._retell, known, said, serving, visit), usage=said.usage)
        else:
            script, met = self._act(known, serving, scene, faults, visit)
            applied += met
            outcome.usage_true = outcome.usage_told = script.usage
            outcome.billed = script.billed
        if visit is not None and problem is turned_away:
            script = dressed(script, visit)
            applied = [visit.refused_by, *applied] if problem is not None else applied
        for fault in faults:
            if fault.holds and turned_away is not None:
                continue  # who was turned away at the door comes to no gate
            changed_script = fault.script(script, scene)
            if changed_script is not script:
                script = changed_script
                if fault.kind not in applied:
                    applied.append(fault.kind)
        outcome.faults = tuple(applied)
        outcome.fixture = known.fixture
        return script, outcome

    def _act(
        self, known: Known, serving: Serving, scene: Scene, faults: tuple[Fault, ...], visit: Passage | None
    ) -> tuple[Script, tuple[str, ...]]:
        """The reply to a request that no model answers with words, and the faults that its job met.

        It may break off for something that is to be made, and begin again: so what it changes, it changes last.
        """
        serving, met = self.desk.prepare(known, serving, scene, faults)
        serving, bill = self.desk.enter(known, serving, 0 if visit is None else visit.held_ms)
        if visit is not None and bill is not None:
            if lacking(visit.funds, bill.costs):
                return scene.refusal(visit.refuse(serving.now_ms)), (visit.refused_by,)
            visit.began(serving.nonce, bill.until_ms, bill.costs, serving.now_ms)
        script = self._perform(known, serving, self.desk.seen(known, serving))
        if script.status >= 400:  # what is refused changes nothing
            if visit is not None:
                visit.began(serving.nonce if bill else "", 0, {}, serving.now_ms)
            return script, met
        if visit is not None and bill is None:
            if lacking(visit.funds, dict(script.billed)):
                return scene.refusal(visit.refuse(serving.now_ms)), (visit.refused_by,)
            visit.began("", 0, dict(script.billed), serving.now_ms)
        met += self.desk.perform(known, serving, scene, faults, self.plan.directed)
        return self.desk.told(known, serving, script), met

    def _moved(self, provider: str, jobs: list[Waits]) -> None:
        """Jobs wait for a place of their account for so long."""
        for job, held_ms in jobs:
            self.desk.hold(provider, job, held_ms)

    def _recount(self, provider: str, nonce: str) -> None:
        """A job was begun or changed: so is what it takes of its account."""
        if provider not in self.doors:
            return
        held, kept, now_ms = self.shelf.get(provider, nonce), self.desk.kept(provider, nonce), self.clock.now_ms()
        if held is None or kept is None or kept.serving.job is None:
            self.judge.changed(provider, nonce, 0, {}, now_ms)
            return
        bill = accounts.bill(held.known.mount.dialect, kept, kept.serving.job)
        self.judge.changed(provider, nonce, *bill, now_ms)

    def _perform(self, known: Known, serving: Serving, kept: Kept | None) -> Script:
        """The same before anything is changed."""
        dialect, ask = known.mount.dialect, known.ask
        if ask is None or ask.operation == "list_models":
            return dialect.models(known.mount.snapshots(), serving, ask.model if ask else "")
        if ask.operation == "count_tokens" and known.profile is not None:
            return dialect.count(ask, known.profile, serving)
        return dialect.perform(ask, known.profile, serving, kept)

    def _retell(self, known: Known, said: Answer, serving: Serving, visit: Passage | None, stream: bool) -> Script:
        """The answer of a request, streamed or not whatever was asked."""
        if known.ask is None or known.profile is None:
            raise TypeError("only an answer can be told again")
        ask = known.ask._replace(stream=stream)
        script = known.mount.dialect.reply(said.at(serving.nonce, serving.now_s), ask, known.profile, serving)
        return dressed(script, visit)

    def _reply(self, known: Known, answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> Script:
        """The answer on the wire. When it is the one always given, the script is kept for the rest of its second."""
        dialect, mark = known.mount.dialect, known.mark
        usual = answer is known.answer and serving.nonce != mark
        if usual and known.was_played:
            if known.script is None or known.script[0] != serving.now_s:
                marked = replace(serving, nonce=mark)
                script = dialect.reply(answer.at(mark, serving.now_s), ask, profile, marked)
                size = 2 * body_length(script)
                if size > REPLY_BYTES:
                    known.was_played = False
                elif known.script is None:
                    self.memory.grow(known, size)
                known.script = (serving.now_s, script)
            return with_nonce(known.script[1], mark, serving.nonce)
        known.was_played = usual
        return dialect.reply(answer.at(serving.nonce, serving.now_s), ask, profile, serving)

    def _render(self, known: Known, nonce: str, now_s: int) -> tuple[bytes, Outcome]:
        """The reply as it leaves when nothing goes wrong, and its outcome."""
        serving = _serving(known, nonce, now_s)
        script, outcome = self._enact(known, serving, (), known.provider.faults)
        data = whole(script, now_s)
        outcome.status = script.status
        outcome.frames_planned = outcome.frames_sent = len(script.frames)
        outcome.bytes_sent = len(data)
        outcome.ended = "end"
        outcome.tokens = sum([frame.tokens for frame in script.frames])
        outcome.text_bytes = sum([frame.text_bytes for frame in script.frames])
        if script.stream or known.provider.faults:  # a stream may tell none; a fault may hide it
            outcome.usage_told = usage_told(script.frames, outcome.usage_told)
        return data, outcome

    def _renew(self, known: Known, ready: Ready, now_s: int) -> None:
        """Bring a ready reply to another second.

        If what the dialect writes then differs from before only in the 10 digits of the second (and in the date), the
        digits are replaced from now on; else it is written anew each second.
        """
        if ready.timeless:
            ready.data = _at(ready.data, ready.now_s, now_s)
        else:
            data, outcome = self._render(known, known.mark, now_s)
            if ready.timeless is None:
                ready.timeless = _at(ready.data, ready.now_s, now_s) == data
            ready.data, ready.outcome = data, outcome
        ready.now_s = now_s
        ready.parts = ready.data.split(known.mark.encode())


def _serving(known: Known, nonce: str, now_s: int, attempt: int = 1, now_ms: float = 0.0) -> Serving:
    """What a dialect may know of one exchange."""
    subject = known.subject
    return Serving(nonce, now_s, known.seed, known.mount.facts, attempt, subject.path, subject.query, now_ms)


def dressed(script: Script, passage: Passage | None) -> Script:
    """A reply that tells how the quotas truly stand."""
    told = None if passage is None else passage.told
    return script if told is None else quota_headers.dress(script, told)


def with_nonce(script: Script, mark: str, nonce: str) -> Script:
    """A script with another nonce."""
    old, new = mark.encode(), nonce.encode()
    headers = tuple([(name, value.replace(mark, nonce)) for name, value in script.headers])
    frames = tuple([frame.but(frame.data.replace(old, new)) for frame in script.frames])
    return replace(script, headers=headers, frames=frames)


def _at(data: bytes, then_s: int, now_s: int) -> bytes:
    """A reply of one second as of another."""
    return data.replace(b"%d" % then_s, b"%d" % now_s).replace(date_line(then_s), date_line(now_s), 1)


def _no_operation(method: str, path: str, path_exists: bool) -> Problem:
    if path_exists:
        return Problem("method_not_allowed", param=method)
    return Problem("not_found", param=f"{method} {path}")
