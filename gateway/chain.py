"""Which target is tried next: a call's way along its chain, as a pure state machine.

Every target gets one try and `retries` more; then the next one's turn comes. Times are returned, not waited for.
Source: api-reference#gateway-features (multi-provider failover); what counts as worth a retry: docs/decisions.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final


class Verdict(Enum):
    """What a failed attempt means for the chain."""

    RETRY = "retry"  # it may pass by itself: the same target again, then the next
    NEXT = "next"  # this target will go on failing: the next one
    STOP = "stop"  # the request is at fault: no other target would take it


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt, as far as the chain and the caller care."""

    verdict: Verdict
    message: str  # the upstream's, not yet scrubbed
    status: int | None = None  # None: no HTTP answer
    retry_after_s: float | None = None
    flaw: str | None = None  # what in the request was refused, if it is something the gateway can mend


@dataclass(frozen=True, slots=True)
class Policy:
    """How stubborn a chain is."""

    retries: int = 1  # per target
    backoff_ms: float = 250  # before the first retry; doubles with each
    retry_after_max_s: float = 2  # a longer Retry-After is not waited for: the next target's turn comes


@dataclass(frozen=True, slots=True)
class Step:
    """The next attempt."""

    target: str
    number: int  # 1-based over the whole call
    wait_s: float  # before it


TRANSIENT: Final = frozenset({408, 429})
DEAD_ACCOUNT: Final = frozenset({401, 402, 403})  # the gateway's own account at the upstream, never the caller's
QUOTA_CODES: Final = frozenset({"insufficient_quota", "billing_error", "credits_exhausted"})
QUOTA_WORDS: Final = (
    *("credit balance is too low", "exceeded your current quota"),
    *("API key not valid", "enable billing on your project"),  # Google says both with 400
)


def verdict_of(status: int, code: str, message: str) -> Verdict:
    """What an HTTP error of an upstream means. `code` is its error code or type."""
    if code in QUOTA_CODES or any(words in message for words in QUOTA_WORDS):
        return Verdict.NEXT
    if status >= 500 or status in TRANSIENT or status < 400:
        return Verdict.RETRY
    return Verdict.NEXT if status in DEAD_ACCOUNT else Verdict.STOP


def backoff_s(policy: Policy, retry_number: int, draw: float) -> float:
    """Exponential with jitter: from half to all of `backoff_ms`, doubled for each retry before. `draw` is in [0, 1)."""
    return policy.backoff_ms / 1000 * 2.0 ** (retry_number - 1) * (0.5 + draw / 2)


def may_retry(policy: Policy, failure: Failure, tries: int) -> bool:
    """Whether the same target gets another try after `tries` tries."""
    if failure.verdict is not Verdict.RETRY or tries > policy.retries:
        return False
    return failure.retry_after_s is None or failure.retry_after_s <= policy.retry_after_max_s


def spent(failure: Failure) -> Failure:
    """A failure whose retries have been made already: the next target's turn comes."""
    return replace(failure, verdict=Verdict.NEXT) if failure.verdict is Verdict.RETRY else failure


def may_fail_over(failure: Failure) -> bool:
    """Whether the next target gets a try."""
    return failure.verdict is not Verdict.STOP


def wait_s(policy: Policy, failure: Failure, retry_number: int, draw: float) -> float:
    """How long to wait before a retry: as long as the upstream asks, or the backoff."""
    if failure.retry_after_s is not None:
        return failure.retry_after_s
    return backoff_s(policy, retry_number, draw)


def always(_target: str) -> bool:
    """Every target may be tried."""
    return True


class Run:
    """One call's way along its chain."""

    __slots__ = ("_number", "_policy", "_position", "_retries", "_targets", "_tries", "allowed", "last")

    def __init__(self, targets: Sequence[str], policy: Policy, allowed: Callable[[str], bool] = always) -> None:
        """`allowed` asks the breakers. A chain whose every breaker is open is tried as if all were closed: a refusal
        would help nobody more than the attempt.
        """
        self._targets = targets
        self._policy = policy
        self.allowed = allowed
        self._position = 0
        self._tries = 0  # of the present target
        self._retries = 0  # over the whole call
        self._number = 0
        self.last: Failure | None = None

    @property
    def attempts(self) -> int:
        """How many attempts were given out."""
        return self._number

    def first(self) -> Step | None:
        """The first attempt."""
        step = self._step_from(0)
        if step is None:
            self.allowed = always
            step = self._step_from(0)
        return step

    def after(self, failure: Failure, draw: float) -> Step | None:
        """The attempt after a failed one; None when there is none left. `draw` in [0, 1) is for the jitter."""
        self.last = failure
        if not may_fail_over(failure):
            return None
        target = self._targets[self._position]
        if may_retry(self._policy, failure, self._tries) and self.allowed(target):
            self._retries += 1
            return self._step(wait_s(self._policy, failure, self._retries, draw))
        return self._step_from(self._position + 1)

    def again(self) -> Step:
        """The same target once more, at once, not counted as a retry: for a request that was mended."""
        self._tries -= 1
        return self._step(0.0)

    def _step_from(self, position: int) -> Step | None:
        while position < len(self._targets) and not self.allowed(self._targets[position]):
            position += 1
        if position >= len(self._targets):
            return None
        self._position = position
        self._tries = 0
        return self._step(0.0)

    def _step(self, wait: float) -> Step:
        self._tries += 1
        self._number += 1
        return Step(self._targets[self._position], self._number, wait)
