"""What every dialect is: a wire format, and nothing else.

A dialect is sans I/O and has no state: bytes and our own types in, bytes and our own types out. Time, chance and ids
reach it as arguments. Facts that differ between models or providers are in the `Profile`, never in an
`if provider == …`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from simulator.answers.answer import Answer
from simulator.ask import Ask, Request
from simulator.jobs.job import Job
from simulator.problem import Problem
from simulator.script import Script


@dataclass(frozen=True, slots=True)
class Profile:
    """Facts about one model at one provider: the provider's row laid over the model's (`simulator/models/*.yaml`)."""

    provider: str
    model: str  # as asked
    snapshot: str  # the dated name that the reply bears
    facts: Mapping[str, Any] = field(default_factory=dict)  # quirks and capabilities, e.g. {"reasoning": True}

    def has(self, fact: str) -> bool:
        """Whether a yes/no fact holds; absent means no."""
        return bool(self.facts.get(fact, False))


@dataclass(frozen=True, slots=True)
class Serving:
    """What a dialect may know of the exchange when it writes: ids, time and chance as values."""

    nonce: str  # answer.NONCE_LENGTH characters of [A-Za-z0-9]
    now_s: int  # Unix seconds, 10 digits
    seed: int  # for padding and the like: the same seed gives the same bytes
    facts: Mapping[str, Any] = field(default_factory=dict)  # of the provider, where this dialect is mounted
    attempt: int = 1  # of this case or request at this provider; only a reply that is `Ask.fresh` may depend on it
    path: str = ""  # of the request, below the provider's prefix
    query: str = ""
    now_ms: float = 0.0  # the same moment exactly; only a reply that is `Ask.fresh` may depend on it
    job: Job | None = None  # that this exchange began (simulator/jobs)
    jobs: tuple[Kept, ...] = ()  # all of this model, where the operation is about all


@dataclass(frozen=True, slots=True)
class Kept:
    """An earlier exchange that a request is about: all it takes to write its reply again."""

    ask: Ask
    answer: Answer | None  # with the mark in the nonce's place; None: the operation has none
    profile: Profile
    serving: Serving
    cancelled_s: int | None = None  # when somebody cancelled it


class Dialect(Protocol):
    """A wire format on the server's side.

    A dialect may also have `natives`, the blocks that only its wire has, by name (`compose`), and
    `error_after(sent, problem, serving) -> bytes` where an error in a stream is more than `error_frame` and depends on
    the frames before it.

    `nonce` must appear in what `reply` and `error` write exactly as given and nothing else may depend on it: the fleet
    renders a reply once per distinct request, with a mark in its place, and fills the mark in later. If the 10 digits
    of `now_s` appear as given too, that does for every second; else the reply is written anew each second.
    """

    name: ClassVar[str]
    root: ClassVar[str]  # of its paths at its inventor's, e.g. "/v1"; a row of fleet.yaml may mount it elsewhere
    operations: ClassVar[Mapping[tuple[str, str], str]]  # (method, path below the root) -> operation; {name}: a segment
    nonces: ClassVar[str]  # the alphabet of its ids: "letters" ([A-Za-z0-9]) or "hex"

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears one of `keys` in a header form this wire has."""

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request. Raises Refused with the provider's own complaint."""

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take (parameters, roles, limits), once the model was found."""

    def reply(self, answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> Script:
        """The whole answer on the wire, streamed when `ask.stream`."""

    def count(self, ask: Ask, profile: Profile, serving: Serving) -> Script:
        """The reply to a token count (`Ask.operation == "count_tokens"`)."""

    def models(self, snapshots: Mapping[str, str], serving: Serving, model: str = "") -> Script:
        """The list of models, or the one called `model` (`Ask.model`); `snapshots` maps each id to its dated name."""

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """The reply to any other operation. `profile` is None where no model is asked, `kept` where none is needed."""

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request as it stands once the earlier exchange that it needs is known (`ask.needs`)."""

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal as an HTTP reply: native status, body and headers."""

    def error_frame(self, problem: Problem, serving: Serving) -> bytes:
        """The same refusal as an event inside a stream that already began with 200."""
