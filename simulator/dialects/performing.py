"""What all dialects share in which no model answers in words: pictures, clips, speech, jobs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.jobs.desk import Call
from simulator.problem import Problem, Refused
from simulator.script import Script


class Performing(ABC):
    """A dialect all of whose operations are performed. Those with jobs have `jobs` and `plan` as well (JobDialect)."""

    name: ClassVar[str]
    root: ClassVar[str]
    operations: ClassVar[Mapping[tuple[str, str], str]]
    nonces: ClassVar[str]
    downloads: ClassVar[frozenset[str]] = frozenset({"fetch_file"})  # operations that fetch a file of a job

    @abstractmethod
    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a key."""

    @abstractmethod
    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request. Raises Refused."""

    @abstractmethod
    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """The reply to any operation."""

    @abstractmethod
    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal in the wire's own form."""

    def check(self, ask: Ask, profile: Profile) -> None:  # noqa: B027
        """Raise Refused for what this model does not take."""

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request, if what it is about is a job."""
        if kept.serving.job is None:
            raise Refused(Problem("not_kept", param=ask.needs))
        return ask

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def hook_url(self, ask: Ask) -> str:  # noqa: ARG002
        """Where changes of a job are to be told; "" where nobody asked."""
        return ""

    def hook_on(self, ask: Ask) -> tuple[str, ...] | None:  # noqa: ARG002
        """The moments that a request asked to be told of; None: those that its model tells."""
        return None

    def hook_call(self, kept: Kept, now_ms: int, call: Call) -> tuple[tuple[tuple[str, str], ...], bytes]:  # noqa: ARG002
        """Headers and body of a webhook."""
        raise TypeError(f"{self.name} calls no webhooks")

    def produced(self, kept: Kept, now_ms: float) -> int:  # noqa: ARG002
        """How many items of its stream a job has made."""
        return 0

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:  # noqa: ARG002
        """What the provider charges for a job, by unit; nothing where nothing is due."""
        return {}

    # --- what no model answers ----------------------------------------------------------------------------------------

    def reply(self, answer: object, ask: Ask, profile: Profile, serving: Serving) -> Script:  # noqa: ARG002
        """Nothing is said in words here."""
        raise TypeError(f"{ask.operation} of {profile.model} has no answer in words")

    def count(self, ask: Ask, profile: Profile, serving: Serving) -> Script:  # noqa: ARG002
        """No tokens are counted here."""
        return self.error(Problem("not_found"), serving)

    def models(self, snapshots: Mapping[str, str], serving: Serving, model: str = "") -> Script:  # noqa: ARG002
        """This wire lists no models."""
        return self.error(Problem("not_found"), serving)

    def error_frame(self, problem: Problem, serving: Serving) -> bytes:
        """The same body as a line; nothing here is a stream of events."""
        return b"".join(frame.data for frame in self.error(problem, serving).frames) + b"\n"
