"""Veo dialects: predictLongRunning and its operations, as the Gemini API and as Vertex AI serve them.

Keys, headers and errors are those of the generateContent wire. The Gemini API is polled by GET at the operation's
name, and a pending poll is the submission's reply byte for byte; its clips are files (`veo.files`). Vertex is polled
by POST with the name in the body, and clips ride in the reply. Nothing is cancelled, and no webhook is called, on
either.

Facts of the mount: those of `gemini.problems` and `gemini.headers`; `documentation` (what a complaint refers to),
`filtered` (the sentence about clips that were held back), `blocked` (that about a prompt), `codes` (google.rpc
numbers of what failed, timed out or was refused; not confirmed), `bills_filtered` (whether what was held back is
charged: it is not, as far as is known), `file_ttl_s` (two days, not confirmed), `file_gone` (the status of a file
after that). Sources: a recorded run of August 2026, the public references of both APIs, public issues.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.gemini import headers as gemini_headers
from simulator.dialects.gemini import json
from simulator.dialects.gemini.generate import GeminiGenerate
from simulator.dialects.gemini.quota import METRICS
from simulator.dialects.performing import Performing
from simulator.dialects.veo import replies, rules, work
from simulator.dialects.veo import request as veo_request
from simulator.jobs import desk
from simulator.jobs.job import Plan, State, look
from simulator.problem import Problem, Refused
from simulator.script import Frame, Script

GONE: Final = "Requested entity was not found."
BLOCKED: Final = (
    "The prompt could not be submitted. This prompt contains sensitive words that violate Google's Responsible AI "
    "practices. Try rephrasing the prompt. If you think this was an error, send feedback."
)
UNFINISHED: Final = "The source video is not ready."
_GOOGLE: Final = GeminiGenerate()


def refusal(problem: Problem, serving: Serving) -> Script:
    """A refusal in Google's form, of the kinds that generateContent does not have as well."""
    if problem.kind == "not_kept":
        problem = replace(problem, kind="status", status=404, message=GONE)
    elif problem.kind in ("moderation", "content_filter", "moderation_blocked"):
        problem = replace(problem, kind="invalid_request", message=problem.message or BLOCKED)
    if problem.exceeded is not None and problem.exceeded.of not in METRICS:
        problem = replace(problem, exceeded=replace(problem.exceeded, of="concurrency"))
    return _GOOGLE.error(problem, serving)


class _Operations(Performing):
    """What both surfaces share."""

    jobs: ClassVar[Mapping[str, str]] = {veo_request.SUBMIT: desk.BEGIN}

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """As on the generateContent wire: a key in a header or the query, or a Bearer token."""
        _GOOGLE.authenticate(request, keys)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        if ask.operation == veo_request.SUBMIT:
            rules.check(ask, profile)

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """A poll of just that operation; or an extension, with what is known of the clip that is extended."""
        if kept.serving.job is None or kept.ask.operation != veo_request.SUBMIT:
            raise Refused(Problem("not_kept"))
        if ask.operation == veo_request.SUBMIT:
            made = work.of(kept.ask, kept.profile, kept.serving)
            source = veo_request.Source(made.seconds, made.width, made.height, made.image)
            return ask._replace(body={**ask.body, "source": source})
        if self.named(kept) != ask.body["name"]:
            raise Refused(Problem("not_kept"))
        return ask

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """An operation that begins, or how one stands."""
        if profile is None:
            return self.error(Problem("unknown_model", param=ask.model), serving)
        view = None if kept is None or kept.serving.job is None else look(kept.serving.job, serving.now_ms)
        if serving.job is not None:
            is_there = view is not None and view.state is State.SUCCEEDED
            if kept is not None and not (is_there and replies.delivered(kept)):
                return self.error(Problem("invalid_request", UNFINISHED), serving)
            return _reply({"name": self.named(Kept(ask, None, profile, serving))}, serving)
        if kept is None or view is None:
            return self.error(Problem("not_kept"), serving)
        return _reply(replies.operation(self.named(kept), kept, view, self.response), serving)

    @abstractmethod
    def named(self, kept: Kept) -> str:
        """The name of an operation."""

    @abstractmethod
    def response(self, kept: Kept) -> dict[str, Any]:
        """What an operation that succeeded gives."""

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of an operation when nothing goes wrong."""
        return work.plan(ask, profile, serving)

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """By the second of what was delivered."""
        job = kept.serving.job
        view = None if job is None else look(job, now_ms)
        if job is None or view is None or view.state is not State.SUCCEEDED:
            return {}
        made = work.of(kept.ask, kept.profile, kept.serving)
        count = made.samples if kept.profile.has("bills_filtered") else replies.delivered(kept)
        return work.price(made, count, kept.profile.facts) if count else {}

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal: a google.rpc.Status."""
        return refusal(problem, serving)

    def error_frame(self, problem: Problem, serving: Serving) -> bytes:
        """The same as on the generateContent wire."""
        return _GOOGLE.error_frame(problem, serving)


class Veo(_Operations):
    """Veo on the Gemini API."""

    name: ClassVar[str] = "veo"
    root: ClassVar[str] = "/v1beta"
    nonces: ClassVar[str] = "base36"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/models/{model}:predictLongRunning"): veo_request.SUBMIT,
        ("GET", "/models/{model}/operations/{id}"): veo_request.POLL,
    }

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        read = veo_request.submission if operation == veo_request.SUBMIT else veo_request.poll
        return read(request)

    def named(self, kept: Kept) -> str:
        """`models/{model}/operations/{12 characters}`."""
        return replies.studio_name(kept)

    def response(self, kept: Kept) -> dict[str, Any]:
        """Links to files."""
        return replies.studio(kept)


class VertexVeo(_Operations):
    """Veo in a project of Vertex AI."""

    name: ClassVar[str] = "vertex_veo"
    root: ClassVar[str] = "/v1/projects/{project}/locations/{location}/publishers/google"
    nonces: ClassVar[str] = "uuid"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/models/{model}:predictLongRunning"): veo_request.SUBMIT,
        ("POST", "/models/{model}:fetchPredictOperation"): veo_request.POLL,
    }

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        read = veo_request.submission if operation == veo_request.SUBMIT else veo_request.fetch
        return read(request)

    def named(self, kept: Kept) -> str:
        """`projects/{project}/locations/{location}/publishers/google/models/{model}/operations/{uuid}`."""
        return replies.vertex_name(kept)

    def response(self, kept: Kept) -> dict[str, Any]:
        """Clips inline, or where they are."""
        return replies.vertex(kept)


def _reply(body: dict[str, Any], serving: Serving) -> Script:
    return Script(200, gemini_headers.plain(serving), (Frame(json.body(body), "body"),))
