"""The fleet without its sockets: what a request is, what fate it meets, and the script of its reply.

A request that looks exactly like an earlier one (provider, path, headers that matter, body) is not read again: what was
learned of it is kept, and while no fault can meet it, so are the bytes of its reply, with marks where the nonce stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from simulator import draws, prose
from simulator.answer import NONCE_LENGTH, Answer
from simulator.ask import Ask, Request
from simulator.clock import Clock
from simulator.compose import compose
from simulator.dialects.base import Profile, Serving
from simulator.directives import NONE, Directives, read
from simulator.faults import Fault, Scene
from simulator.faults.streams import body_length
from simulator.head import date_line, whole
from simulator.journal import Headers, Outcome
from simulator.memory import REPLY_BYTES, Known, Memory, Ready
from simulator.nonces import Nonces
from simulator.plan import Attempts, Plan, Rule, Subject, from_directive
from simulator.problem import Problem, Refused
from simulator.providers import Provider
from simulator.script import Script
from simulator.told import usage_told

BODY_BYTES_MAX = 32 << 20
PASSING_HEADERS = frozenset(  # differ from request to request, or say nothing to a provider: dialects do not see them
    b"host content-length user-agent accept-encoding connection date via cookie expect transfer-encoding forwarded "
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
        self._mark = draws.word(NONCE_LENGTH, seed, "mark")
        self._mark_bytes = self._mark.encode()
        self.memory = Memory()
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
            self.memory.put(key, known)
        return known

    def ready(self, known: Known, attempt: int, now_ms: float) -> tuple[bytes, Outcome] | None:
        """The whole reply and its outcome, when no fault can meet the request; None when it must be played."""
        if known.never_ready or self.plan.concerns(known.provider.name):
            return None
        now_s = int(now_ms // 1000)
        ready = known.ready
        if ready is None:
            nonce = known.nonces(attempt).decode() if known.first else self._mark
            data, outcome = self._render(known, nonce, now_s)
            if len(data) > REPLY_BYTES:
                known.never_ready = True
                return None
            if known.first:  # most requests never come again: nothing is kept of the first reply
                known.first = False
                return data, outcome
            ready = known.ready = Ready(now_s, data, data.split(self._mark_bytes), outcome)
            self.memory.grow(known, 2 * len(data))
        elif ready.now_s != now_s:
            self._renew(known, ready, now_s)
        return known.nonces(attempt).join(ready.parts), ready.outcome

    def script(self, known: Known, now_ms: float, attempt: int, call: int) -> tuple[Script, Outcome]:
        """The reply with all its faults, and its outcome so far."""
        faults = self.plan.fate(known.subject, attempt, call, known.provider.faults, known.asked)
        serving = Serving(known.nonces(attempt).decode(), int(now_ms // 1000), known.seed)
        key = (self.seed, known.provider.name, known.subject.key, attempt)
        scene = Scene(known.provider.dialect, serving, key, known.ask, known.subject.path)
        return self._enact(known, serving, scene, faults)

    def unread_nonce(self) -> str:
        """For the reply to a request that was not read."""
        self._unread += 1
        return draws.nonce(self.seed, "unread", self._unread)

    def reset(self) -> None:
        """Forget rules and attempts."""
        self.plan.set_scenario(())
        self.plan.remove()
        self.attempts.clear()

    def _read(
        self, provider: Provider, method: str, path: str, query: bytes, facts: Facts, headers: Headers, body: bytes
    ) -> Known:
        seen = {name.decode("latin-1"): value.decode("latin-1") for name, value in facts}
        text = query.decode("latin-1")
        request = Request(method, path, text, seen, body)
        operation, path_exists = provider.operation(method, path)
        ask: Ask | None = None
        problem: Problem | None = None
        profile: Profile | None = None
        try:
            if operation is None:
                raise Refused(_no_operation(method, path, path_exists))
            provider.dialect.authenticate(request, provider.keys)
            ask = provider.dialect.decode(request, operation)
            if operation != "list_models":
                profile = provider.profile(ask.model)
                if profile is None:
                    raise Refused(Problem("unknown_model", param=ask.model))
                provider.dialect.check(ask, profile)
        except Refused as refused:
            problem = refused.problem
        try:
            directives, asked = _directives(ask, body, seen)
        except ValueError as error:
            directives, asked = NONE, ()
            problem = Problem("invalid_request", f"Windtunnel directive: {error}")
        digest = draws.nonce(method, path, query, body)
        subject = Subject(
            provider=provider.name,
            region=provider.region,
            dialect=provider.dialect.name,
            operation=operation,
            model=ask.model or None if ask else None,
            stream=ask.stream if ask else False,
            method=method,
            path=path,
            query=text,
            case=directives.case,
            key=directives.case or digest,
        )
        seed = draws.integer(self.seed, provider.name, digest) >> 65
        nonces = Nonces(self.seed, provider.name, subject.key)
        never_ready = bool(asked or provider.faults)
        return Known(
            provider,
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
            never_ready=never_ready,
        )

    def _answer(self, known: Known) -> Answer | None:
        """What the model says; None when no model is asked. A directive may ask for what this wire cannot say."""
        ask, profile = known.ask, known.profile
        if ask is None or profile is None or ask.operation != "generate" or known.problem is not None:
            return None
        if known.answer is None:
            natives = getattr(known.provider.dialect, "natives", None)
            spec = known.directives.answer
            try:
                known.answer = compose(ask, spec, profile, self.seed, self._mark, 0, natives)
            except ValueError as error:
                known.problem = Problem("invalid_request", f"Windtunnel directive: {error}")
        return known.answer

    def _enact(self, known: Known, serving: Serving, scene: Scene, faults: tuple[Fault, ...]) -> tuple[Script, Outcome]:
        """The script after all faults, in their order at each place where faults bite."""
        applied: list[str] = []
        problem = known.problem
        for fault in faults:
            refusal = fault.problem(scene)
            if refusal is not None:
                problem = refusal
                applied.append(fault.kind)
                break
        answer = None if problem else self._answer(known)
        problem = problem or known.problem  # the answer may have been impossible
        outcome = Outcome()
        dialect = known.provider.dialect
        if problem is not None:
            script = dialect.error(problem, serving)
        elif answer is not None and known.ask is not None and known.profile is not None:
            said = answer
            for fault in faults:
                changed = fault.answer(said, scene)
                if changed is not said:
                    applied.append(fault.kind)
                    said = changed
            script = self._reply(known, said, known.ask, known.profile, serving)
            outcome.usage_true, outcome.usage_told = said.usage, said.told
        elif known.ask is not None and known.profile is not None:
            script = dialect.count(known.ask, known.profile, serving)
        else:
            script = dialect.models(known.provider.snapshots(), serving, known.ask.model if known.ask else "")
        for fault in faults:
            changed_script = fault.script(script, scene)
            if changed_script is not script:
                script = changed_script
                if fault.kind not in applied:
                    applied.append(fault.kind)
        outcome.faults = tuple(applied)
        return script, outcome

    def _reply(self, known: Known, answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> Script:
        """The answer on the wire. When it is the one always given, the script is kept for the rest of its second."""
        dialect = known.provider.dialect
        usual = answer is known.answer and serving.nonce != self._mark
        if usual and known.was_played:
            if known.script is None or known.script[0] != serving.now_s:
                marked = replace(serving, nonce=self._mark)
                script = dialect.reply(answer.at(self._mark, serving.now_s), ask, profile, marked)
                size = 2 * body_length(script)
                if size > REPLY_BYTES:
                    known.was_played = False
                elif known.script is None:
                    self.memory.grow(known, size)
                known.script = (serving.now_s, script)
            return with_nonce(known.script[1], self._mark, serving.nonce)
        known.was_played = usual
        return dialect.reply(answer.at(serving.nonce, serving.now_s), ask, profile, serving)

    def _render(self, known: Known, nonce: str, now_s: int) -> tuple[bytes, Outcome]:
        """The reply as it leaves when nothing goes wrong, and its outcome."""
        serving = Serving(nonce, now_s, known.seed)
        scene = Scene(known.provider.dialect, serving, (), known.ask)
        script, outcome = self._enact(known, serving, scene, ())
        data = whole(script, now_s)
        outcome.status = script.status
        outcome.frames_planned = outcome.frames_sent = len(script.frames)
        outcome.bytes_sent = len(data)
        outcome.ended = "end"
        outcome.tokens = sum([frame.tokens for frame in script.frames])
        outcome.text_bytes = sum([frame.text_bytes for frame in script.frames])
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
            data, outcome = self._render(known, self._mark, now_s)
            if ready.timeless is None:
                ready.timeless = _at(ready.data, ready.now_s, now_s) == data
            ready.data, ready.outcome = data, outcome
        ready.now_s = now_s
        ready.parts = ready.data.split(self._mark_bytes)


def with_nonce(script: Script, mark: str, nonce: str) -> Script:
    """A script with another nonce."""
    old, new = mark.encode(), nonce.encode()
    headers = tuple([(name, value.replace(mark, nonce)) for name, value in script.headers])
    frames = tuple([frame.but(frame.data.replace(old, new)) for frame in script.frames])
    return Script(script.status, headers, frames, script.stream, script.ending, script.head_due_ms)


def _at(data: bytes, then_s: int, now_s: int) -> bytes:
    """A reply of one second as of another."""
    return data.replace(b"%d" % then_s, b"%d" % now_s).replace(date_line(then_s), date_line(now_s), 1)


def _no_operation(method: str, path: str, path_exists: bool) -> Problem:
    if path_exists:
        return Problem("method_not_allowed", param=method)
    return Problem("not_found", param=f"{method} {path}")


def _directives(ask: Ask | None, body: bytes, headers: Mapping[str, str]) -> tuple[Directives, tuple[Rule, ...]]:
    """The directives of a request and the rules they make. Raises ValueError.

    What the assistant said in earlier turns directs nothing. Of a request that could not be read, the raw text is
    searched.
    """
    if ask is not None:
        text = "\n".join(turn.text for turn in ask.turns if turn.role != "assistant")
    else:
        text = body.decode("utf-8", "replace") if b"[[" in body else ""
    found = read(text, headers)
    rules = tuple(from_directive(spec, f"directive {index}") for index, spec in enumerate(found.faults))
    return found, rules
