"""The fleet without its sockets: what a request is, what fate it meets, and the script of its reply.

A request that looks exactly like an earlier one (provider, path, headers that matter, body) is not read again: what was
learned of it is kept, and while no fault can meet it, so are the bytes of its reply, with marks where the nonce stands.
"""

from __future__ import annotations

from collections.abc import Mapping

from simulator.answers import prose
from simulator.clock import Clock
from simulator.fixtures.fixture import Fixtures
from simulator.head import date_line, whole
from simulator.jobs import accounts
from simulator.journal import Outcome
from simulator.judge import Fate, Judge
from simulator.memory import REPLY_BYTES, Known, Memory, Ready
from simulator.nonces import Nonces
from simulator.providers import Mount, Provider
from simulator.quotas.accounts import Held as Waits
from simulator.quotas.doors import Doors
from simulator.reader import Reader, serving_of
from simulator.rules.gates import Gates
from simulator.rules.plan import Plan
from simulator.rules.tallies import Attempts
from simulator.script import Script
from simulator.shelf import Held, Shelf
from simulator.stage import Stage
from simulator.told import usage_told

BODY_BYTES_MAX = 32 << 20
PASSING_HEADERS = frozenset(  # differ from request to request, or say nothing to a provider: dialects do not see them
    b"content-length user-agent accept-encoding connection date via cookie expect transfer-encoding forwarded "
    b"x-forwarded-for x-forwarded-host x-forwarded-proto x-real-ip x-request-id x-correlation-id idempotency-key "
    b"traceparent tracestate baggage b3 x-b3-traceid x-b3-spanid x-b3-parentspanid x-b3-sampled x-amzn-trace-id "
    b"x-stainless-retry-count x-stainless-read-timeout x-stainless-timeout".split()
)


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
        self.memory = Memory()
        self.shelf = Shelf()
        self.reader = Reader(seed, self.shelf)
        self.stage = Stage(self.reader, self.plan, self.memory)
        self.desk = self.reader.desk
        self.desk.watchers.append(self._recount)
        self.doors.moved = self._moved
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
            known = self.reader.read(provider, method, path, query, facts, headers, body)
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
        serving = serving_of(known, known.nonces(attempt).decode(), int(now_ms // 1000), attempt, now_ms)
        key = (self.seed, known.provider.name, known.subject.key, attempt)
        played = self.stage.enact(known, serving, key, faults, fate.passage)
        if played[0].status < 400:
            self._keep(known, serving.nonce, serving.now_s)
        return played

    def unread_nonce(self, mount: Mount) -> str:
        """For the reply to a request that was not read."""
        self._unread += 1
        return Nonces(mount.nonces, self.seed, "unread", *self.reader.salt)(self._unread).decode()

    def put_fixtures(self, fixtures: Fixtures) -> None:
        """Answer by these from now on; what was learned of earlier requests may hold no more."""
        self.reader.fixtures = fixtures
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

    def _render(self, known: Known, nonce: str, now_s: int) -> tuple[bytes, Outcome]:
        """The reply as it leaves when nothing goes wrong, and its outcome."""
        serving = serving_of(known, nonce, now_s)
        script, outcome = self.stage.enact(known, serving, (), known.provider.faults)
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


def _at(data: bytes, then_s: int, now_s: int) -> bytes:
    """A reply of one second as of another."""
    return data.replace(b"%d" % then_s, b"%d" % now_s).replace(date_line(then_s), date_line(now_s), 1)
