"""Deepgram dialect: POST /v1/listen (a sound in, words with times out), POST /v1/speak, GET /v1/models.

Sources: recorded replies; Deepgram's documentation for errors, output formats and parameters. Its WebSockets, agents
and projects are not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import orjson

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.deepgram import catalog, heard, problems, spoken
from simulator.dialects.deepgram import request as requests
from simulator.dialects.performing import Performing
from simulator.problem import Problem, Refused
from simulator.script import Frame, Script

_LISTED = (
    ("content-type", "application/json"),
    ("access-control-allow-credentials", "true"),
    ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
)


class Deepgram(Performing):
    """The wire of Deepgram."""

    name: ClassVar[str] = "deepgram"
    root: ClassVar[str] = "/v1"
    nonces: ClassVar[str] = "uuid"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/listen"): requests.LISTEN,
        ("POST", "/speak"): requests.SPEAK,
        ("GET", "/models"): "list_models",
        ("GET", "/models/{id}"): "list_models",
    }

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a key, or a token as it is made of one."""
        scheme, _, key = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() not in ("token", "bearer") or key.strip() not in keys:
            raise Refused(Problem("authentication"))

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        if operation == requests.LISTEN:
            return requests.listened(request)
        if operation == requests.SPEAK:
            return requests.spoken(request)
        return Ask(operation, request.params.get("id", ""))

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what the model does not take."""
        does = requests.SPEAK if "voice" in profile.facts else requests.LISTEN
        if ask.operation != does:
            raise Refused(Problem("unknown_model"))
        if does == requests.SPEAK:
            spoken.check(ask, profile)
        else:
            heard.sound(ask)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The sound, or what was heard."""
        if profile is None:
            return self.error(Problem("not_found"), serving)
        does = spoken.reply if ask.operation == requests.SPEAK else heard.reply
        return does(ask, profile, serving)

    def models(self, snapshots: Mapping[str, str], serving: Serving, model: str = "") -> Script:
        """The list of models, or one of them by its id."""
        body = catalog.one(snapshots, serving, model) if model else catalog.told(snapshots, serving)
        if body is None:
            return self.error(Problem("not_found"), serving)
        headers = (*_LISTED, ("dg-request-id", problems.request_id(serving)))
        return Script(200, headers, (Frame(orjson.dumps(body), "body"),))

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal in Deepgram's words."""
        return problems.told(problem, serving)
