"""BFL's dialect: POST /v1/{model}, the polling URL of the reply, /v1/credits, webhooks, links to results.

A task runs on a cluster at an address of its own (the fact `clusters`: name -> root), and is polled there: asked
elsewhere, it is not found, unless the row has the fact `finds_all`. Source: BFL's documentation and OpenAPI document.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

import orjson

from simulator.ask import Ask, Request, Turn
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.bfl import fields, problems, replies, work
from simulator.dialects.performing import Performing
from simulator.jobs import desk
from simulator.jobs.desk import Call
from simulator.jobs.job import Plan
from simulator.media import results
from simulator.problem import Problem, Refused
from simulator.script import Frame, Script

JSON: Final = (("content-type", "application/json"),)
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-(4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})")


class Flux(Performing):
    """The wire of FLUX."""

    name: ClassVar[str] = "bfl"
    root: ClassVar[str] = "/v1"
    nonces: ClassVar[str] = "uuid"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("GET", "/get_result"): "get_result",
        ("GET", "/credits"): "get_credits",
        ("GET", f"{work.FOLDER}/{{rest}}"): "fetch_file",
        ("POST", "/{model}"): "submit",
    }
    jobs: ClassVar[Mapping[str, str]] = {
        "submit": desk.BEGIN,
        "get_result": desk.LOOK,
        "get_credits": desk.SURVEY,
        "fetch_file": desk.LOOK,
    }

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a key; a link bears its own signature."""
        if "rest" not in request.params and request.headers.get("x-key", "").strip() not in keys:
            raise Refused(Problem("authentication"))

    def decode(self, request: Request, operation: str) -> Ask:
        """Read a request."""
        if operation == "submit":
            return _submitted(request)
        if operation == "get_credits":
            return Ask(operation, "", fresh=True)
        if operation == "fetch_file":
            return Ask(operation, "", fresh=True, about=(results.nonce_of(request.path, work.FOLDER),))
        task = dict(parse_qsl(request.query)).get("id")
        if task is None:
            raise Refused(problems.invalid([problems.flaw("missing", ("query", "id"), "Field required", None)]))
        found = _ID.fullmatch(task)
        return Ask(operation, "", body={"id": task}, fresh=True, about=() if found is None else (found[1],))

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        secret = profile.facts["signature_secret"]

        def picture(text: str) -> results.Given:
            return results.given(text, work.STYLE, work.FOLDER, secret)

        rows = _fields(ask, profile)
        flaws = fields.checked(ask.body, rows, picture, strict="modes" in profile.facts) or _oversized(ask, profile)
        if flaws:
            raise Refused(problems.invalid(flaws))

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The reply to any operation."""
        if ask.operation == "fetch_file":
            return results.fetched(serving, work.STYLE, work.FOLDER, work.source)
        if ask.operation == "get_credits":
            return _json({"credits": _credits(serving)})
        if ask.operation == "get_result":
            return _json(_polled(ask, serving))
        if profile is None or serving.job is None:
            return self.error(Problem("unknown_model"), serving)
        begun = Kept(ask, None, profile, serving)
        return _json(replies.submitted(begun, _polling_site(begun, serving)))

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of a task when nothing goes wrong."""
        return work.plan(ask, profile, serving)

    def hook_url(self, ask: Ask) -> str:
        """Where its end is to be told."""
        return str(ask.body.get("webhook_url") or "")

    def hook_call(self, kept: Kept, now_ms: int, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:
        """The result, signed where the submission gave a secret."""
        body = orjson.dumps(replies.called(kept, now_ms))
        secret = str(kept.ask.body.get("webhook_secret") or "")
        if not secret:
            return JSON, body
        signature = hmac.new(call.key(secret.encode()), body, sha256).hexdigest()
        return (*JSON, ("x-bfl-signature", f"sha256={signature}")), body

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """Credits, and what they are worth."""
        return replies.charge(kept, now_ms)

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal in BFL's form."""
        return problems.error(problem, serving)


def _submitted(request: Request) -> Ask:
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        flaw = problems.flaw("json_invalid", ("body", error.pos), "JSON decode error", {}, error=error.msg)
        raise Refused(problems.invalid([flaw])) from None
    if not isinstance(body, dict):
        said = "Input should be a valid dictionary or object to extract fields from"
        raise Refused(problems.invalid([problems.flaw("model_attributes_type", ("body",), said, body)]))
    body = {name: value for name, value in body.items() if value is not None}
    model, prompt = request.params["model"], body.get("prompt")
    site = request.site + request.path.removesuffix(f"/{model}")
    turn = Turn("user", prompt if isinstance(prompt, str) else "")
    return Ask("submit", model, (turn,), body=body, fresh=True, site=site)


def _fields(ask: Ask, profile: Profile) -> Mapping[str, fields.Row]:
    """The fields that a request may have. Raises Refused for a mode that there is not."""
    rows: Mapping[str, fields.Row] = profile.facts["fields"]
    if "modes" not in profile.facts:
        return rows
    flaws = fields.checked(ask.body, {"mode": rows["mode"]}, _no_picture, strict=False)
    if flaws:
        raise Refused(problems.invalid(flaws))
    mode = ask.body["mode"]
    due = profile.facts["needs"][mode]
    return {name: {**rows[name], "required": name in due} for name in profile.facts["modes"][mode]}


def _no_picture(_: str) -> results.Given:
    raise ValueError("a mode is no picture")


def _oversized(ask: Ask, profile: Profile) -> list[dict[str, Any]]:
    """The complaint about a size that no side alone shows."""
    width, height = work.size(ask, profile)
    most = profile.facts.get("pixels_max")
    if most is None or width * height <= most:
        return []
    said = f"Value error, The total number of pixels must be at most {most}"
    came = {name: ask.body[name] for name in ("width", "height") if name in ask.body}
    return [problems.flaw("value_error", ("body",), said, came, error={})]


def _cluster(kept: Kept) -> str:
    """Where a task runs."""
    facts = kept.profile.facts
    return str(facts.get("cluster") or replies.cluster(kept.serving, facts.get("clusters", {})))


def _polling_site(kept: Kept, serving: Serving) -> str:
    """The root of the dialect where a task is to be polled."""
    clusters = serving.facts.get("clusters", {})
    if not clusters:
        return kept.ask.site
    own_root = serving.path.removesuffix(f"/{kept.ask.model}")
    return f"{kept.ask.site.removesuffix(own_root)}{clusters[_cluster(kept)]}"


def _polled(ask: Ask, serving: Serving) -> dict[str, Any]:
    facts = serving.facts
    for kept in serving.jobs:
        if replies.task_id(kept.serving) != ask.body["id"]:
            continue
        own = facts.get("cluster")
        is_here = _cluster(kept) == own if own else not facts.get("clusters") or facts.get("finds_all")
        if is_here:
            return replies.result(kept, serving.now_ms)
    return replies.not_found(ask.body["id"])


def _credits(serving: Serving) -> float:
    """What is left of the account's credits."""
    spent = sum(replies.charge(kept, serving.now_ms).get("credits", 0.0) for kept in serving.jobs)
    return float(round(serving.facts["credits"] - spent, 4))


def _json(value: object) -> Script:
    return Script(200, JSON, (Frame(orjson.dumps(value), "body"),))
