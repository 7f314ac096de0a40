"""Refusals with a status: the provider's own, and one that gives away what it should not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.problem import Problem


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Fault):
    """Refuse with any status, in the provider's native error body."""

    kind: ClassVar[str] = "status"
    seen_at: ClassVar[str] = "every provider"
    still: ClassVar[bool] = True
    status: int = options.whole(low=200, high=599, about="the HTTP status")
    message: str | None = options.text(None, about="replaces the native sentence")
    code: str | None = options.text(None, about="replaces the native code, e.g. insufficient_quota")
    retry_after_s: float | None = options.number(None, about="adds `retry-after`, in seconds")
    headers: tuple[tuple[str, str], ...] = options.headers(about="added to the native ones")

    def problem(self, _: Scene) -> Problem:
        added = self.headers
        if self.retry_after_s is not None:
            added = (*added, ("retry-after", f"{self.retry_after_s:g}"))
        kind = self.code if self.code == "insufficient_quota" else "status"
        return Problem(kind, self.message, code=self.code, status=self.status, headers=added)


CANARY = "upstream key sk-canary-0123456789abcdef at https://canary.internal.example:8443/v1 (10.20.30.40) refused"


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Canary(Fault):
    """Refuse with a native error whose message bears what must not leak: a key, a URL, a host."""

    kind: ClassVar[str] = "canary"
    seen_at: ClassVar[str] = "synthetic"
    still: ClassVar[bool] = True
    text: str = options.text(CANARY, about="planted in the error's message")
    status: int = options.whole(500, low=400, high=599, about="the HTTP status")

    def problem(self, _: Scene) -> Problem:
        return Problem("status", self.text, status=self.status)
