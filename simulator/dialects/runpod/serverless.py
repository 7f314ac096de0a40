"""RunPod serverless dialect: jobs of an endpoint's workers, below /v2/{endpoint}.

Run (at once or held open), status, stream, cancel, retry, purge-queue, health and requests. The endpoint is the model:
its row tells what its worker does (`worker`) and how long that takes (`pace`). Sources: RunPod's documentation
(operations, job states, limits), its Python SDK, and `worker-comfyui` (handler and README).

Bodies of HTTP errors are documented nowhere: they are `{"error": text}`, and empty for 401.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import orjson

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.performing import Performing
from simulator.dialects.runpod import comfy, replies, work
from simulator.dialects.runpod import request as runpod_request
from simulator.jobs import desk
from simulator.jobs.desk import Call
from simulator.jobs.job import REPEATABLE, Plan, look
from simulator.problem import KINDS_BY_STATUS, Problem, Refused
from simulator.script import Frame, Script

PROBLEMS: Final[Mapping[str, tuple[int, str]]] = {  # kind -> status and sentence
    "unknown_model": (404, "endpoint not found"),
    "not_kept": (404, "job not found"),
    "rate_limit": (429, "too many requests"),
    "billing": (402, "insufficient balance"),
    "server_error": (500, "internal server error"),
    "overloaded": (503, "no capacity"),
    "too_large": (413, "request body too large"),
}


class RunPod(Performing):
    """The wire of serverless endpoints."""

    name: ClassVar[str] = "runpod"
    root: ClassVar[str] = "/v2"
    nonces: ClassVar[str] = "uuid"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/{endpoint}/run"): "run",
        ("POST", "/{endpoint}/runsync"): "runsync",
        ("GET", "/{endpoint}/status/{id}"): "status",
        ("POST", "/{endpoint}/status/{id}"): "status",
        ("GET", "/{endpoint}/stream/{id}"): "stream",
        ("POST", "/{endpoint}/stream/{id}"): "stream",
        ("POST", "/{endpoint}/cancel/{id}"): "cancel",
        ("POST", "/{endpoint}/retry/{id}"): "retry",
        ("POST", "/{endpoint}/purge-queue"): "purge_queue",
        ("GET", "/{endpoint}/health"): "health",
        ("GET", "/{endpoint}/requests"): "requests",
        ("GET", f"/{{endpoint}}/{comfy.BUCKET}/{{rest}}"): "fetch_file",
    }
    jobs: ClassVar[Mapping[str, str]] = {
        "run": desk.BEGIN,
        "runsync": desk.BEGIN,
        "stream": desk.TAKE,
        "cancel": desk.CANCEL,
        "retry": desk.AGAIN,
        "purge_queue": desk.PURGE,
        "health": desk.SURVEY,
        "requests": desk.SURVEY,
    }

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a key, with or without `Bearer`; a link bears its own signature."""
        if "rest" in request.params:
            return
        told = request.headers.get("authorization", "").strip()
        if told.removeprefix("Bearer ").strip() not in keys:
            raise Refused(Problem("authentication"))

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        return runpod_request.decode(request, operation)

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request, if its id is truly that of a job of this endpoint."""
        same = kept.serving.job is not None and kept.ask.model == ask.model
        if not same or replies.job_id(kept.ask, kept.serving) != ask.body["id"]:
            raise Refused(Problem("not_kept"))
        return ask

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """The reply to any operation."""
        if profile is None:
            return self.error(Problem("unknown_model"), serving)
        if ask.operation == "fetch_file":
            return comfy.fetched(serving)
        if ask.operation in ("health", "requests", "purge_queue"):
            return replies.SURVEYS[ask.operation](serving)
        if serving.job is not None:
            return replies.submitted(Kept(ask, None, profile, serving))
        if kept is None or kept.serving.job is None:
            return self.error(Problem("not_kept"), serving)
        return self._about(ask, serving, kept)

    def _about(self, ask: Ask, serving: Serving, kept: Kept) -> Script:
        """The reply to a request about one job."""
        view = None if kept.serving.job is None else look(kept.serving.job, serving.now_ms)
        if view is None:
            return self.error(Problem("not_kept"), serving)
        if ask.operation == "retry" and view.state not in REPEATABLE:
            told = replies.WORDS[view.state]
            return self.error(Problem("invalid_request", f"cannot retry a job that is {told}"), serving)
        return replies.PERFORMED[ask.operation](kept, serving.now_ms)

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of a job when nothing goes wrong."""
        return work.plan(ask, profile, serving)

    def hook_url(self, ask: Ask) -> str:
        """Where its end is to be told."""
        return str(ask.body.get("webhook") or "")

    def hook_call(self, kept: Kept, now_ms: int, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:  # noqa: ARG002
        """The status object, as a poll at that moment would have it."""
        return (("content-type", "application/json"),), orjson.dumps(replies.status(kept, now_ms))

    def produced(self, kept: Kept, now_ms: float) -> int:
        """How many items of its stream a job has made."""
        return work.produced(kept, now_ms)

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """The seconds that its worker ran, and their price where the endpoint has one (`usd_per_s`)."""
        job = kept.serving.job
        view = None if job is None else look(job, now_ms)
        if view is None or not view.run_ms:
            return {}
        seconds, price = view.run_ms / 1000, kept.profile.facts.get("usd_per_s")
        return {"seconds": seconds} if price is None else {"seconds": seconds, "usd": seconds * price}

    def error(self, problem: Problem, serving: Serving) -> Script:  # noqa: ARG002
        """A refusal: a text, or nothing for a wrong key."""
        status, body = _told(problem)
        frames = (Frame(body, "body"),) if body else ()
        headers = (("content-type", "application/json"),) if body else ()
        return Script(status, (*headers, *problem.headers), frames)


def _told(problem: Problem) -> tuple[int, bytes]:
    by_kind = {kind: status for status, kind in KINDS_BY_STATUS.items()}
    kind = KINDS_BY_STATUS.get(problem.status or 0, "error") if problem.kind == "status" else problem.kind
    status, sentence = PROBLEMS.get(kind, (by_kind.get(kind, 400), kind.replace("_", " ")))
    status = problem.status or status
    if status == 401 and problem.message is None:
        return status, b""
    if kind in ("not_found", "method_not_allowed") and problem.param:
        sentence = f"{sentence}: {problem.param}"
    return status, orjson.dumps({"error": problem.message or sentence})
