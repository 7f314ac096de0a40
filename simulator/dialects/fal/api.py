"""fal dialects: a run that is held until it is over (fal.run), and the queue (queue.fal.run).

Of the first also the files of its CDN and the keys of its webhooks. Sources: recorded held runs; fal's documentation
(queue, webhooks, model errors, request errors, data retention); the official Python client.

Not confirmed: 202 for the status of a run that is not over (fact `open_status`); what is told of a cancelled one (499,
`client_cancelled`); the longest hold of a run (an hour). Uploads, realtime and streamed output are not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

import orjson

from simulator.ask import Ask, Request
from simulator.dialects import inspection
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.fal import problems, results, runs, signing
from simulator.dialects.fal import request as fal_request
from simulator.dialects.performing import Performing
from simulator.dialects.predictions import prices, works
from simulator.jobs import desk, plans
from simulator.jobs.desk import Call
from simulator.jobs.job import OPEN, Plan, State, told_run_ms
from simulator.problem import Problem, Refused
from simulator.script import Frame, Script

CHECK_MS: Final = 40  # a run whose input is wrong fails so soon
USER: Final = "user_fleet"
_OVER: Final = {"status": "ALREADY_COMPLETED"}
_ASKED: Final = {"status": "CANCELLATION_REQUESTED"}
_UNKNOWN: Final = {"status": "NOT_FOUND"}


class Fal(Performing):
    """What both wires share."""

    nonces: ClassVar[str] = "uuid"

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a key; files and public keys are open."""
        if request.method == "GET" and "id" not in request.params:
            return
        scheme, _, key = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() != "key" or key.strip() not in keys:
            raise Refused(Problem("authentication"))

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request, with the model of the run that it is about."""
        same = kept.serving.job is not None and kept.ask.body["app"] == ask.body["app"]
        if not same or runs.request_id(kept.serving) != ask.body["id"]:
            raise Refused(Problem("not_kept"))
        return ask._replace(model=kept.ask.model)

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of a run when nothing goes wrong."""
        kept = Kept(ask, None, profile, serving)
        key = (profile.provider, ask.model, serving.seed, serving.attempt)
        found = results.read(kept)
        if found.flaws:
            drawn = plans.drawn(profile.facts["pace"], 0, *key)
            return replace(drawn, run_ms=CHECK_MS, ends=State.FAILED, error="")
        made = works.read(found.values, profile.facts, serving.seed)
        plan = plans.drawn(profile.facts["pace"], len(results.pieces(kept)) or made.units, *key)
        if inspection.refuses_input(made.prompt):
            sentence = problems.MODEL_ERRORS["content_policy_violation"][1]
            return replace(plan, run_ms=CHECK_MS, ends=State.FAILED, error=sentence)
        return plan

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """What is due for a run that succeeded."""
        view, price = runs.seen(kept, now_ms), kept.profile.facts.get("price", {})
        job = kept.serving.job
        if view is None or job is None or view.state is not State.SUCCEEDED or not price:
            return {}
        run_s = told_run_ms(job, view) / 1000
        return prices.charge(results.work(kept), price, run_s, len(results.pieces(kept)))

    def hook_url(self, ask: Ask) -> str:
        """Where the end of a run is to be told."""
        return str(ask.body.get("webhook", ""))

    def hook_call(self, kept: Kept, now_ms: int, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:
        """The result, signed with the key that the key set names."""
        view = runs.seen(kept, now_ms)
        if view is None:
            raise TypeError("a webhook tells of a run that can be found")
        body = orjson.dumps(runs.hook(kept, view))
        key = call.key(str(kept.profile.facts["webhook_secret"]).encode())
        signed = signing.headers(key, runs.request_id(kept.serving), USER, call.sent_s, body)
        return (("content-type", "application/json"), *signed), body

    def error(self, problem: Problem, serving: Serving) -> Script:  # noqa: ARG002
        """A refusal."""
        return problems.told(problem)


class FalRun(Fal):
    """Runs that are held until they are over."""

    name: ClassVar[str] = "fal_run"
    root: ClassVar[str] = ""
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("GET", "/files/{rest}"): "fetch_file",
        ("GET", "/.well-known/jwks.json"): "key_set",
        ("POST", "/{owner}/{app}"): "run",
        ("POST", "/{owner}/{app}/{rest}"): "run",
    }
    jobs: ClassVar[Mapping[str, str]] = {"run": desk.BEGIN}

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        if operation == "run":
            ask = fal_request.submission(request, operation)
            return ask._replace(body={**ask.body, "webhook": ""})  # the queue's affair
        return Ask(operation, "", fresh=True, site=request.site)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The reply to any operation."""
        if ask.operation == "fetch_file":
            return results.fetched(serving)
        if ask.operation == "key_set":
            return _json(200, signing.key_set(str(serving.facts["webhook_secret"]).encode()))
        if profile is None:
            return self.error(Problem("unknown_model", param=ask.model), serving)
        return runs.held(Kept(ask, None, profile, serving))


class FalQueue(Fal):
    """Runs that wait in a queue, and are asked for."""

    name: ClassVar[str] = "fal_queue"
    root: ClassVar[str] = "/queue"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("GET", "/{owner}/{app}/requests/{id}/status"): "status",
        ("GET", "/{owner}/{app}/requests/{id}/status/stream"): "status_stream",
        ("GET", "/{owner}/{app}/requests/{id}"): "result",
        ("GET", "/{owner}/{app}/requests/{id}/response"): "result",
        ("PUT", "/{owner}/{app}/requests/{id}/cancel"): "cancel",
        ("POST", "/{owner}/{app}"): "submit",
        ("POST", "/{owner}/{app}/{rest}"): "submit",
    }
    jobs: ClassVar[Mapping[str, str]] = {"submit": desk.BEGIN, "cancel": desk.CANCEL}

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        if operation == "submit":
            return fal_request.submission(request, operation)
        return fal_request.about(request, operation)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """The reply to any operation."""
        if profile is None:
            return self.error(Problem("unknown_model", param=ask.model), serving)
        if serving.job is not None:
            return _json(200, runs.submitted(Kept(ask, None, profile, serving)))
        view = None if kept is None or kept.serving.job is None else runs.seen(kept, serving.now_ms)
        if kept is None or view is None:
            return _json(404, _UNKNOWN) if ask.operation == "cancel" else self.error(Problem("not_kept"), serving)
        match ask.operation:
            case "cancel":
                return _json(202, _ASKED) if view.state in OPEN else _json(400, _OVER)
            case "status_stream":
                return runs.streamed(kept, serving.now_ms, with_logs=ask.body["logs"])
            case "status":
                status = profile.facts.get("open_status", 202) if view.state in OPEN else 200
                return _json(status, runs.status(kept, view, with_logs=ask.body["logs"]))
            case _:
                if view.state in OPEN:
                    return _json(400, {"detail": runs.UNDONE})
                script = runs.outcome(kept, view)
                known = ("x-fal-request-id", runs.request_id(kept.serving))
                return replace(script, headers=(*script.headers, known))


def _json(status: int, content: Any) -> Script:
    return Script(status, (("content-type", "application/json"),), (Frame(orjson.dumps(content), "body"),))
