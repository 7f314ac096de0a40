"""What headers say of limits and of when to come back: in odd forms, in odd places, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import ClassVar, Final

from simulator.faults import options, payloads
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.payloads import Json
from simulator.faults.refusals import REFUSE
from simulator.faults.streams import with_headers
from simulator.problem import Problem
from simulator.script import Script

RETRY: Final = ("retry-after", "retry-after-ms")
LIMITS: Final = ("x-ratelimit-", "anthropic-ratelimit-", "anthropic-priority-")
RETRY_INFO: Final = "type.googleapis.com/google.rpc.RetryInfo"
BUSY: Final = (429, 503, 529)
USUAL_S: Final = {"fraction": 0.01, "ms": 1.5}


def _without(script: Script, gone: Callable[[str], bool]) -> Script:
    """The script without some headers."""
    kept = tuple(pair for pair in script.headers if not gone(pair[0]))
    return script if len(kept) == len(script.headers) else replace(script, headers=kept)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAfterOn200(Fault):
    """Send `retry-after` with a reply that succeeded."""

    kind: ClassVar[str] = "retry_after_on_200"
    seen_at: ClassVar[str] = "Anthropic, Hugging Face's router"
    still: ClassVar[bool] = True
    seconds: int = options.whole(20, about="what it says")

    def script(self, script: Script, _: Scene) -> Script:
        return with_headers(script, ("retry-after", str(self.seconds))) if script.status == 200 else script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAfterForms(Fault):
    """Say when to come back in one of the forms that providers have. Refuses with 429."""

    kind: ClassVar[str] = "retry_after_forms"
    seen_at: ClassVar[str] = "seconds: OpenAI, Anthropic; ms: OpenAI; body: Gemini; the others: what SDKs parse"
    still: ClassVar[bool] = True
    form: str = options.one_of(
        "date",
        ("seconds", "fraction", "date", "ms", "body", "none"),
        about="`39`, `0.01`, an HTTP date, `retry-after-ms`, Google's RetryInfo in the body, or nothing",
    )
    after_s: float | None = options.number(None, about="the wait that it tells; without it 39 s, 0.01 s or 1.5 s")
    refuse: str = options.one_of("always", ("always", "never"), about=REFUSE)

    def problem(self, _: Scene) -> Problem | None:
        return Problem("status", status=429) if self.refuse == "always" else None

    def script(self, script: Script, scene: Scene) -> Script:
        if script.status not in BUSY:
            return script
        bare = _without(script, lambda name: name in RETRY)
        after_s = USUAL_S.get(self.form, 39.0) if self.after_s is None else self.after_s
        if self.form == "body":
            return payloads.edit(bare, lambda found: _detailed(found, after_s))
        header = {
            "seconds": ("retry-after", f"{round(after_s)}"),
            "fraction": ("retry-after", f"{after_s:g}"),
            "date": ("retry-after", formatdate(scene.serving.now_s + round(after_s), usegmt=True)),
            "ms": ("retry-after-ms", f"{after_s * 1000:.0f}"),
        }.get(self.form)
        return with_headers(bare, header) if header else bare


def _detailed(found: Json, after_s: float) -> bool:
    """Tell the wait in the details of the error."""
    error = found.get("error")
    if not isinstance(error, dict):
        return False
    details = error.get("details")
    kept = [row for row in details if row.get("@type") != RETRY_INFO] if isinstance(details, list) else []
    error["details"] = [*kept, {"@type": RETRY_INFO, "retryDelay": f"{after_s:g}s"}]
    return True


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class NegativeRemaining(Fault):
    """Tell that less than nothing remains of the limits."""

    kind: ClassVar[str] = "negative_remaining"
    seen_at: ClassVar[str] = "Azure"
    still: ClassVar[bool] = True
    by: int = options.whole(27689, low=1, about="how much below 0")

    def script(self, script: Script, _: Scene) -> Script:
        names = [name for name, _ in script.headers if "ratelimit" in name and "remaining" in name]
        pairs = [(name, str(-self.by)) for name in names or ["x-ratelimit-remaining-tokens"]]
        return with_headers(script, *pairs)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class NoRateHeaders(Fault):
    """Refuse with 429 and give no hint: no `retry-after`, no limits, no `x-should-retry`."""

    kind: ClassVar[str] = "no_rate_headers"
    seen_at: ClassVar[str] = "GLM, DeepSeek"
    still: ClassVar[bool] = True
    refuse: str = options.one_of("always", ("always", "never"), about=REFUSE)

    def problem(self, _: Scene) -> Problem | None:
        return Problem("status", status=429) if self.refuse == "always" else None

    def script(self, script: Script, _: Scene) -> Script:
        return _without(script, lambda name: name in (*RETRY, "x-should-retry") or name.startswith(LIMITS))
