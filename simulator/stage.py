"""What becomes of a request that was read and decided: its reply, rewritten by all the faults that it meets."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from simulator.answers.answer import Answer
from simulator.ask import Ask
from simulator.dialects.base import Kept, Profile, Serving
from simulator.faults import Fault, Scene
from simulator.faults.streams import body_length
from simulator.journal import Outcome
from simulator.judge import Passage
from simulator.memory import REPLY_BYTES, Known, Memory
from simulator.quotas import headers as quota_headers
from simulator.quotas.accounts import lacking
from simulator.quotas.load import UNLOADED
from simulator.reader import Reader
from simulator.rules.plan import Plan
from simulator.script import Script


class Stage:
    """Where the replies of one fleet are written."""

    def __init__(self, reader: Reader, plan: Plan, memory: Memory) -> None:
        self._reader = reader
        self._desk = reader.desk
        self._plan = plan
        self._memory = memory

    def enact(
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
        answer = None if problem else self._reader.answer(known)
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
        serving, met = self._desk.prepare(known, serving, scene, faults)
        serving, bill = self._desk.enter(known, serving, 0 if visit is None else visit.held_ms)
        if visit is not None and bill is not None:
            if lacking(visit.funds, bill.costs):
                return scene.refusal(visit.refuse(serving.now_ms)), (visit.refused_by,)
            visit.began(serving.nonce, bill.until_ms, bill.costs, serving.now_ms)
        script = self._perform(known, serving, self._desk.seen(known, serving))
        if script.status >= 400:  # what is refused changes nothing
            if visit is not None:
                visit.began(serving.nonce if bill else "", 0, {}, serving.now_ms)
            return script, met
        if visit is not None and bill is None:
            if lacking(visit.funds, dict(script.billed)):
                return scene.refusal(visit.refuse(serving.now_ms)), (visit.refused_by,)
            visit.began("", 0, dict(script.billed), serving.now_ms)
        met += self._desk.perform(known, serving, scene, faults, self._plan.directed)
        return self._desk.told(known, serving, script), met

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
                    self._memory.grow(known, size)
                known.script = (serving.now_s, script)
            return with_nonce(known.script[1], mark, serving.nonce)
        known.was_played = usual
        return dialect.reply(answer.at(serving.nonce, serving.now_s), ask, profile, serving)


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
