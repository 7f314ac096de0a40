"""What one call of a webhook is: which job and moment it tells of, and the record of it once it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

from simulator.dialects.base import Kept
from simulator.jobs.desk import Call, JobDialect
from simulator.jobs.job import Hook, Moment

USUAL: Final[Mapping[str, Any]] = {
    "on": ["ended"],
    "tries": 1,
    "gap_ms": 10_000,
    "timeout_ms": 10_000,
    "taken": [200],
    "challenge": False,
}
CHALLENGE: Final = "challenge"
CHALLENGE_MS: Final = 3_000

Headers = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Delivery:
    """One call, made or tried."""

    provider: str
    job: str  # its nonce, which its id holds
    case: str | None
    url: str
    message: str  # the same for all tries of one message
    told: str  # the state that it told; or "challenge"
    attempt: int  # from 1: more of them follow a refusal
    due_ms: float
    sent_ms: float
    headers: Headers = ()
    body_bytes: int = 0
    body_sha256: str = ""
    ended_ms: float | None = None
    status: int | None = None  # of the answer; None: none came
    error: str | None = None

    def bears(self, headers: Headers, body: bytes) -> None:
        """What is sent."""
        self.headers = headers
        self.body_bytes = len(body)
        self.body_sha256 = sha256(body).hexdigest()

    def as_json(self, n: int) -> dict[str, Any]:
        """The call as the control API tells it."""
        return {
            "n": n,
            "provider": self.provider,
            "job": self.job,
            "case": self.case,
            "message": self.message,
            "told": self.told,
            "url": self.url,
            "attempt": self.attempt,
            "due_ms": round(self.due_ms, 3),
            "sent_ms": round(self.sent_ms, 3),
            "ended_ms": None if self.ended_ms is None else round(self.ended_ms, 3),
            "status": self.status,
            "error": self.error,
            "headers": [list(pair) for pair in self.headers],
            "body_bytes": self.body_bytes,
            "body_sha256": self.body_sha256,
        }


@dataclass(frozen=True, slots=True)
class Rules:
    """How a provider calls: the fact `webhook` of a model."""

    facts: Mapping[str, Any]

    @classmethod
    def of(cls, kept: Kept) -> Rules:
        """Those for a job."""
        facts: Mapping[Any, Any] = kept.profile.facts.get("webhook", {})
        return cls(
            {**USUAL, **{"on" if name is True else name: value for name, value in facts.items()}}
        )  # as YAML reads

    def tells(self, moment: Moment) -> bool:
        """Whether it calls then."""
        return moment.name in self.facts["on"]

    @property
    def challenge_ms(self) -> float | None:
        """How long a receiver has to answer a challenge; None: there is none."""
        challenge = self.facts["challenge"]
        if isinstance(challenge, Mapping):
            return float(challenge.get("timeout_ms", CHALLENGE_MS))
        return CHALLENGE_MS if challenge else None

    def took(self, status: int | None) -> bool:
        """Whether an answer says that the call was taken; `2xx` is every status from 200 to 299."""
        taken = self.facts["taken"]
        return status in taken or ("2xx" in taken and status is not None and 200 <= status < 300)

    def gap_ms(self, attempt: int, hook: Hook) -> float | None:
        """After how long a call that was not taken is made once more; None: it is not."""
        if attempt >= self.facts["tries"]:
            return None
        if hook.retry_ms is not None:
            return hook.retry_ms
        gaps = self.facts["gap_ms"]
        return float(gaps[min(attempt, len(gaps)) - 1] if isinstance(gaps, list | tuple) else gaps)


@dataclass(frozen=True, slots=True)
class Errand:
    """A call to be made: what becomes of which job, to whom."""

    provider: str
    nonce: str  # of the job; the call may name another
    kept: Kept  # with the job as the call tells it
    dialect: JobDialect
    state: str  # that it is in then
    at_ms: int  # the moment it tells
    url: str
    message: str
    hook: Hook
    rules: Rules
    attempt: int = 1

    def write(self, now_ms: float) -> tuple[Headers, bytes]:
        """Headers and body of a try that leaves now."""
        call = Call(self.message, self.url, int(now_ms // 1000) - self.hook.stale_s, self.hook.is_forged)
        return self.dialect.hook_call(self.kept, self.at_ms, call)

    def again(self) -> Errand:
        """The next try of the same message."""
        return replace(self, attempt=self.attempt + 1)

    def begun(self, due_ms: float, now_ms: float) -> Delivery:
        """The record of it."""
        job = self.kept.serving.job
        of_job = (self.provider, self.nonce, None if job is None else job.case, self.url)
        return Delivery(*of_job, self.message, self.state, self.attempt, due_ms, now_ms)

    def again_ms(self, status: int | None) -> float | None:
        """After how long the message is sent once more, after this answer; None: it is not."""
        if self.rules.took(status):
            return self.hook.gap_ms if self.attempt <= self.hook.copies else None
        return self.rules.gap_ms(self.attempt, self.hook)
