"""Rev AI dialect: POST /speechtotext/v1/jobs, polls, and the transcript by a second request.

Sources: Rev AI's OpenAPI file; a recorded transcript. A job is deleted once it has ended, and by itself after 30 days.
Captions, streams, and the wires of language and topics are not there. Not confirmed: the body of a callback beyond
`{"job": …}`, and the refusals that the file does not have (402, 429, 5xx).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import Any, ClassVar, Final

import orjson

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.performing import Performing
from simulator.dialects.revai import problems, replies
from simulator.dialects.revai import request as requests
from simulator.jobs import desk, plans
from simulator.jobs.desk import Call
from simulator.jobs.job import OPEN, Plan, State, look
from simulator.media.speech import Sound
from simulator.problem import Problem, Refused
from simulator.script import Frame, Script

LIFE_MS: Final = 30 * 86_400_000


class RevAI(Performing):
    """The wire of Rev AI."""

    name: ClassVar[str] = "revai"
    root: ClassVar[str] = "/speechtotext/v1"
    nonces: ClassVar[str] = "base36"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/jobs"): requests.SUBMIT,
        ("GET", "/jobs"): requests.LIST,
        ("GET", "/jobs/{id}"): requests.GET,
        ("DELETE", "/jobs/{id}"): requests.DELETE,
        ("GET", "/jobs/{id}/transcript"): requests.TRANSCRIPT,
    }
    jobs: ClassVar[Mapping[str, str]] = {
        requests.SUBMIT: desk.BEGIN,
        requests.LIST: desk.SURVEY,
        requests.DELETE: desk.WITHDRAW,
    }

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a token."""
        scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer" or token.strip() not in keys:
            raise Refused(Problem("authentication"))

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        if operation == requests.SUBMIT:
            return requests.submitted(request)
        return requests.listing(request) if operation == requests.LIST else requests.about(request, operation)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """The reply to any operation."""
        if ask.operation == requests.LIST:
            return self._json(self._list(ask, serving))
        if ask.operation == requests.SUBMIT and profile is not None:
            kept = Kept(ask, None, profile, serving)
        job = None if kept is None else kept.serving.job
        if kept is None or job is None:
            return self.error(Problem("not_kept"), serving)
        if ask.operation == requests.SUBMIT:  # it is told, though nobody may find it yet
            job = replace(job, plan=replace(job.plan, hidden_ms=0))
        view = look(job, serving.now_ms)
        if view is None:
            return self.error(Problem("not_kept"), serving)
        current = replies.word(view)
        if ask.operation == requests.TRANSCRIPT:
            if current != "transcribed":
                why = "Job is in invalid state to obtain the transcript"
                return self.error(problems.wrong_state(current, ("transcribed",), why), serving)
            return self._transcript(ask, kept)
        if ask.operation == requests.DELETE:
            if view.state in OPEN:
                why = "Job is in invalid state to be deleted"
                return self.error(problems.wrong_state(current, ("transcribed", "failed"), why), serving)
            return Script(204, (), ())
        return self._json(replies.job(kept, view))

    def _transcript(self, ask: Ask, kept: Kept) -> Script:
        if ask.body["form"] == requests.PLAIN:
            data = replies.plain(kept).encode()
            return Script(200, (("content-type", "text/plain; charset=utf-8"),), (Frame(data, "body"),))
        return self._json(replies.monologues(kept), requests.JSON_FORM)

    def _list(self, ask: Ask, serving: Serving) -> list[dict[str, Any]]:
        """The jobs there are, the newest first."""
        rows: list[tuple[int, str, dict[str, Any]]] = []
        for kept in serving.jobs:
            view = None if kept.serving.job is None else look(kept.serving.job, serving.now_ms)
            if kept.serving.job is not None and view is not None:
                rows.append((kept.serving.job.submitted_ms, kept.serving.nonce, replies.job(kept, view)))
        told = [row for _, _, row in sorted(rows, key=lambda row: row[:2], reverse=True)]
        names = [row["id"] for row in told]
        first = names.index(ask.body["after"]) + 1 if ask.body["after"] in names else 0
        return told[first : first + ask.body["limit"]]

    def _json(self, body: object, kind: str = "application/json") -> Script:
        return Script(200, (("content-type", kind),), (Frame(orjson.dumps(body), "body"),))

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of a job when nothing goes wrong: what cannot be fetched or read fails."""
        found = replies.sound(ask)
        units = ceil(found.seconds) if isinstance(found, Sound) else 0
        plan = plans.drawn(profile.facts["pace"], units, profile.provider, ask.model, serving.seed, serving.attempt)
        ends = State.SUCCEEDED if isinstance(found, Sound) else State.FAILED
        return replace(plan, ends=ends, keep_ms=LIFE_MS)

    def hook_url(self, ask: Ask) -> str:
        """Where the end of a job is told."""
        return str(ask.body.get("callback_url") or "")

    def hook_call(self, kept: Kept, now_ms: int, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:  # noqa: ARG002
        """The job, not signed."""
        view = None if kept.serving.job is None else look(kept.serving.job, now_ms)
        if view is None:
            raise TypeError("a webhook tells of a job that can be found")
        return (("content-type", "application/json"),), orjson.dumps({"job": replies.job(kept, view)})

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """The seconds that were transcribed."""
        job = kept.serving.job
        view = None if job is None else look(job, now_ms)
        found = replies.sound(kept.ask)
        if view is None or view.state is not State.SUCCEEDED or not isinstance(found, Sound):
            return {}
        return {"input_seconds": float(ceil(found.seconds))}

    def error(self, problem: Problem, serving: Serving) -> Script:  # noqa: ARG002
        """A refusal as problem details."""
        return problems.told(problem)
