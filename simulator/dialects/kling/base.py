"""What both generations of Kling's wire share: who may call, how a task begins, callbacks, files, errors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Final

import orjson

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.inspection import refuses_input
from simulator.dialects.kling import auth, order, problems
from simulator.dialects.kling.fields import FOLDER, STYLE
from simulator.dialects.performing import Performing
from simulator.jobs.desk import Call
from simulator.jobs.job import Plan, View, look
from simulator.jobs.signing import standard_key, standard_webhooks
from simulator.media import results
from simulator.problem import Problem
from simulator.script import Script

JSON: Final = ("content-type", "application/json; charset=utf-8")


class KlingWire(Performing):
    """One generation."""

    nonces: ClassVar[str] = "digits18"
    files: ClassVar[Mapping[tuple[str, str], str]] = {("GET", f"{FOLDER}/{{rest}}"): "fetch_file"}
    submissions: ClassVar[frozenset[str]]

    @abstractmethod
    def read(self, request: Request, operation: str) -> Ask:
        """A request that is not for a file. Raises Refused."""

    @abstractmethod
    def submitted(self, kept: Kept) -> Script:
        """The reply to a submission."""

    @abstractmethod
    def asked(self, ask: Ask, serving: Serving, kept: Kept | None) -> Script:
        """The reply to a query."""

    @abstractmethod
    def called(self, kept: Kept, view: View) -> Mapping[str, object]:
        """The body of a callback."""

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a key or a token; a link bears its own signature."""
        if "rest" not in request.params:
            auth.check(request, keys)

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        if operation == "fetch_file":
            return Ask(operation, "", fresh=True, about=(results.nonce_of(request.path, FOLDER),))
        return self.read(request, operation)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        if ask.operation in self.submissions:
            order.check(ask, profile)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """The reply to any operation, unless its token is not good now."""
        if ask.operation == "fetch_file":
            return results.fetched(serving, STYLE, FOLDER, order.first_frame)
        problem = auth.lapsed(ask.body["times"], serving.now_ms)
        if problem is not None:
            return self.error(problem, serving)
        if ask.operation not in self.submissions:
            return self.asked(ask, serving, kept)
        if profile is None:
            return self.error(Problem("unknown_model", param=ask.model), serving)
        problem = self.begins(ask, profile, serving, kept)
        return self.error(problem, serving) if problem else self.submitted(Kept(ask, None, profile, serving))

    def begins(self, ask: Ask, profile: Profile, serving: Serving, kept: Kept | None) -> Problem | None:  # noqa: ARG002
        """Why a task does not begin: its prompt is unsafe, or another one has its `external_task_id`."""
        external = order.of(ask).external
        if refuses_input(order.of(ask).prompt):
            return Problem("moderation")
        if ask.among and any(order.of(one.ask).external == external for one in serving.jobs):
            return Problem("invalid_request", f"external_task_id {external[:64]} already exists")
        return None

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """What becomes of a task when nothing goes wrong."""
        return order.plan(ask, profile, serving)

    def hook_url(self, ask: Ask) -> str:
        """Where changes of a task are to be told."""
        return order.of(ask).callback

    def hook_call(self, kept: Kept, now_ms: int, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:
        """Headers and body of a callback, signed where the account has a secret."""
        view = None if kept.serving.job is None else look(kept.serving.job, now_ms)
        if view is None:
            raise LookupError(f"nobody finds task {kept.serving.nonce}")
        body = orjson.dumps(self.called(kept, view))
        told = kept.profile.facts.get("webhook_secret", ())
        secrets = [told] if isinstance(told, str) else list(told)
        signed = [standard_webhooks(call.key(standard_key(one)), call.id, call.sent_s, body) for one in secrets]
        if not signed:
            return (JSON,), body
        (name, _) = signed[0][-1]
        signatures = " ".join(headers[-1][1] for headers in signed)
        return (JSON, *signed[0][:-1], (name, signatures)), body

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """What is charged for a task."""
        return order.charge(kept, now_ms)

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal in Kling's own form."""
        return problems.error(problem, serving)
