"""Replicate dialect: predictions and trainings as jobs, models with their versions, files, below /v1.

A prediction is created by version, by model (official ones) or by deployment, and told by polls, a held reply
(`Prefer: wait`), a stream or webhooks. Sources: recorded exchanges of 2023 to 2025; the HTTP API's reference and the
pages on predictions, streaming, webhooks, rate limits and data retention; the official Python client.

Not confirmed: what is left of the logs of a prediction whose data was removed ("" here), and the bodies of 403 and 5xx.
Models and deployments cannot be changed: a model that is created is told, and not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

import orjson

from simulator.ask import Ask, Request
from simulator.dialects import inspection
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.performing import Performing
from simulator.dialects.predictions import inputs, prices
from simulator.dialects.replicate import catalog, outputs, predictions, problems, uploads
from simulator.dialects.replicate import request as replicate_request
from simulator.jobs import desk, plans, signing
from simulator.jobs.desk import Call
from simulator.jobs.job import OPEN, Plan, State, look, told_run_ms
from simulator.problem import Problem, Refused
from simulator.script import Script

CANCELLED: Final = (*predictions.PLAIN, *predictions.EDGE)
LIMIT_MS: Final = 1_800_000  # of running
FLAGGED: Final = "NSFW content detected. Try running it again, or try a different prompt."
_ABOUT_MODELS: Final = frozenset({"get_model", "list_versions", "get_version", "list_examples"})


class Replicate(Performing):
    """The wire of Replicate."""

    name: ClassVar[str] = "replicate"
    root: ClassVar[str] = "/v1"
    nonces: ClassVar[str] = "crockford"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/predictions"): "predict",
        ("POST", "/models/{owner}/{name}/predictions"): "predict_model",
        ("POST", "/deployments/{owner}/{name}/predictions"): "predict_deployment",
        ("POST", "/models/{owner}/{name}/versions/{version}/trainings"): "train",
        ("GET", "/predictions"): "list_predictions",
        ("GET", "/predictions/{id}"): "get_prediction",
        ("POST", "/predictions/{id}/cancel"): "cancel",
        ("GET", "/trainings"): "list_trainings",
        ("GET", "/trainings/{id}"): "get_training",
        ("POST", "/trainings/{id}/cancel"): "cancel_training",
        ("GET", "/streams/{id}"): "stream",
        ("GET", "/delivery/{rest}"): "fetch_file",
        ("GET", "/models"): "catalog",
        ("POST", "/models"): "create_model",
        ("QUERY", "/models"): "search_models",
        ("GET", "/models/{owner}/{name}"): "get_model",
        ("GET", "/models/{owner}/{name}/examples"): "list_examples",
        ("GET", "/models/{owner}/{name}/versions"): "list_versions",
        ("GET", "/models/{owner}/{name}/versions/{version}"): "get_version",
        ("GET", "/collections"): "list_collections",
        ("GET", "/collections/{slug}"): "get_collection",
        ("GET", "/deployments"): "list_deployments",
        ("GET", "/deployments/{owner}/{name}"): "get_deployment",
        ("GET", "/hardware"): "list_hardware",
        ("GET", "/account"): "get_account",
        ("GET", "/webhooks/default/secret"): "get_secret",
        ("POST", "/files"): "create_file",
        ("GET", "/files"): "list_files",
        ("GET", "/files/{id}"): "get_file",
        ("DELETE", "/files/{id}"): "delete",
    }
    jobs: ClassVar[Mapping[str, str]] = {
        "predict": desk.BEGIN,
        "predict_model": desk.BEGIN,
        "predict_deployment": desk.BEGIN,
        "train": desk.BEGIN,
        "create_file": desk.BEGIN,
        "cancel": desk.CANCEL,
        "cancel_training": desk.CANCEL,
        "list_predictions": desk.SURVEY,
        "list_trainings": desk.SURVEY,
        "list_files": desk.SURVEY,
    }

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a token; links and streams are open to whoever knows them."""
        if "rest" in request.params or "/streams/" in request.path:
            return
        scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() not in ("bearer", "token") or token.strip() not in keys:
            raise Refused(Problem("authentication"))

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        return replicate_request.decode(request, operation)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for a model that cannot be run in this way, or an input that it does not take."""
        if ask.operation not in replicate_request.SUBMISSIONS:
            return
        version, facts = ask.body["version"], profile.facts
        if not version and not profile.has("official"):
            raise Refused(Problem("unknown_model"))
        if version and version not in facts.get("versions", {}):
            raise Refused(Problem("unknown_version"))
        name = "training" if ask.operation == "train" else "inputs"
        if name not in facts or (name == "training" and not facts["versions"][version].get("trains")):
            raise Refused(Problem("invalid_request", "This version cannot be trained"))
        flaws = inputs.read(facts[name], ask.body["input"]).flaws
        if flaws:
            raise problems.flawed(flaws, ask.body["applied"])

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request, if what it is about is truly called so."""
        kind = predictions.of(kept.ask)
        about = {"get_training": "training", "cancel_training": "training", "get_file": "file", "delete": "file"}
        due = about.get(ask.operation)
        names = {
            "file": uploads.file_id,
            "stream": predictions.stream_id,
        }
        called = names.get("stream" if ask.operation == "stream" else kind, predictions.prediction_id)(kept.serving)
        if kept.serving.job is None or called != ask.body["id"] or (kind != due if due else kind == "file"):
            raise Refused(Problem("not_kept"))
        return ask

    # --- replies ------------------------------------------------------------------------------------------------------

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """The reply to any operation."""
        if ask.operation == "fetch_file":
            found: Script = outputs.fetched(serving)
            return found
        if serving.job is not None and profile is not None:
            begun = Kept(ask, None, profile, serving)
            if ask.operation == "create_file":
                return predictions.script(201, uploads.told(begun), predictions.MADE)
            return predictions.submitted(begun)
        if kept is not None:
            return self._about(ask, serving, kept)
        if ask.operation.startswith("list_") and self.jobs.get(ask.operation) == desk.SURVEY:
            return predictions.script(200, self._list(ask, serving))
        told = self._told(ask, profile, serving)
        if told is None:
            return self.error(Problem("not_found"), serving)
        return predictions.script(201 if ask.operation == "create_model" else 200, told)

    def _about(self, ask: Ask, serving: Serving, kept: Kept) -> Script:
        """The reply to a request about one prediction, training or file."""
        view = None if kept.serving.job is None else look(kept.serving.job, serving.now_ms)
        if view is None:
            return self.error(Problem("not_kept"), serving)
        match ask.operation:
            case "stream":
                return predictions.streamed(kept, serving.now_ms)
            case "cancel" | "cancel_training":
                return predictions.script(200, predictions.cancelled(kept, view, serving.now_ms), CANCELLED)
            case "get_file":
                return predictions.script(200, uploads.told(kept), predictions.MADE)
            case "delete":
                return Script(204, (("content-type", "text/plain; charset=UTF-8"),), ())
            case _:
                return predictions.script(200, predictions.told(kept, view, serving.now_ms))

    def _list(self, ask: Ask, serving: Serving) -> Any:
        """A page of what the account has of its kind, the newest first."""
        kind = {"list_trainings": "training", "list_files": "file"}.get(ask.operation, "prediction")
        rows: list[Any] = []
        for kept in sorted(serving.jobs, key=_begun, reverse=True):
            view = None if kept.serving.job is None else look(kept.serving.job, serving.now_ms)
            if view is None or predictions.of(kept.ask) != kind:
                continue
            rows.append(uploads.told(kept) if kind == "file" else predictions.told(kept, view, serving.now_ms))
        return catalog.page(rows, f"{ask.site}/{kind}s", ask.body["query"])

    def _told(self, ask: Ask, profile: Profile | None, serving: Serving) -> Any:
        """What is told of models and of the account; None: there is no such thing."""
        facts, query = serving.facts, ask.body["query"]
        if ask.operation in _ABOUT_MODELS:
            return None if profile is None else self._of_model(ask, profile)
        match ask.operation:
            case "catalog":
                found = [catalog.profile(facts, name) for name in catalog.names(facts)]
                told = [catalog.model(one, ask.site) for one in found if one is not None]
                return catalog.page(told, f"{ask.site}/models", query, catalog.MODELS_PAGE)
            case "search_models":
                told = [catalog.model(one, ask.site) for one in catalog.searched(facts, ask.body["words"])]
                return catalog.page(told, f"{ask.site}/models", "")
            case "create_model":
                return catalog.created(ask.body)
            case "list_collections":
                return catalog.page(catalog.account()["collections"], f"{ask.site}/collections", query)
            case "get_collection":
                return catalog.collection(facts, ask.body["slug"], ask.site)
            case "list_deployments":
                rows = [catalog.deployment(name) for name in catalog.account()["deployments"]]
                return catalog.page(rows, f"{ask.site}/deployments", query)
            case "get_deployment":
                return catalog.deployment(f"{ask.body['owner']}/{ask.body['name']}")
            case "get_secret":
                return {"key": facts["webhook_secret"]}
            case _:
                return catalog.account()["hardware" if ask.operation == "list_hardware" else "account"]

    def _of_model(self, ask: Ask, profile: Profile) -> Any:
        if profile.model == catalog.STORED:
            return None
        match ask.operation:
            case "get_model":
                return catalog.model(profile, ask.site)
            case "list_examples":
                return catalog.page([catalog.example(profile, ask.site)], ask.site, "")
            case "list_versions":
                rows = [catalog.version(profile, key) for key in profile.facts.get("versions", {})]
                return catalog.page(rows, f"{ask.site}/models/{profile.model}/versions", ask.body["query"])
            case _:
                known = ask.body["version"] in profile.facts.get("versions", {})
                return catalog.version(profile, ask.body["version"]) if known else None

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of a prediction when nothing goes wrong."""
        if ask.operation == "create_file":
            return uploads.plan()
        kept = Kept(ask, None, profile, serving)
        work = outputs.work(kept)
        units = len(outputs.pieces(kept)) or work.units
        pace = profile.facts["training_pace" if ask.operation == "train" else "pace"]
        drawn = plans.drawn(pace, units, profile.provider, ask.model, serving.seed, serving.attempt)
        plan = replace(drawn, steps=units, limit_ms=LIMIT_MS)
        if ask.body["deadline_ms"] is not None:
            plan = replace(plan, deadline_ms=ask.body["deadline_ms"])
        if work.makes in ("image", "video") and inspection.refuses_output(work.prompt):
            plan = replace(plan, ends=State.FAILED, error=FLAGGED)
        return plan

    def hook_url(self, ask: Ask) -> str:
        """Where changes are to be told."""
        return str(ask.body.get("webhook") or "")

    def hook_on(self, ask: Ask) -> tuple[str, ...] | None:
        """The moments of its `webhook_events_filter`: an output or a log line has no call of its own."""
        told = {"start": "running", "completed": "ended"}
        return tuple(told[event] for event in ask.body.get("events", ()) if event in told)

    def hook_call(self, kept: Kept, now_ms: int, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:
        """The prediction object, signed as Standard Webhooks."""
        job = kept.serving.job
        view = None if job is None else look(job, now_ms)
        if view is None:
            raise TypeError("a webhook tells of a job that can be found")
        body = orjson.dumps(predictions.told(kept, view, now_ms))
        key = call.key(signing.standard_key(kept.profile.facts["webhook_secret"]))
        signed = signing.standard_webhooks(key, f"msg_{call.id}", call.sent_s, body)
        return (("content-type", "application/json"), ("user-agent", "Replicate/1.0"), *signed), body

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """What is due: by the time of the hardware whatever came of it, or by what came."""
        job = kept.serving.job
        view = None if job is None else look(job, now_ms)
        price = kept.profile.facts.get("training_price" if kept.ask.operation == "train" else "price", {})
        if job is None or view is None or view.state in OPEN or not price or predictions.of(kept.ask) == "file":
            return {}
        if price["per"] != prices.RUN and view.state is not State.SUCCEEDED:
            return {}
        tokens = len(outputs.pieces(kept))
        return prices.charge(outputs.work(kept), price, told_run_ms(job, view) / 1000, tokens)

    def error(self, problem: Problem, serving: Serving) -> Script:  # noqa: ARG002
        """A refusal as problem details."""
        return problems.told(problem)


def _begun(kept: Kept) -> tuple[int, str]:
    job = kept.serving.job
    return (0 if job is None else job.submitted_ms), kept.serving.nonce
