"""What Gemini says when a quota is spent: the sentence with its metric, and the details that tell how long to wait.

There is no header: the wait stands in the sentence, with nanoseconds, and in `RetryInfo`. A problem tells it by the
quota that refused it, by a `retry-after` header, or by its `param`, in seconds; else it is drawn by the seed. Facts of
the mount: `quota` {metric, id, limit} and `quota_day`, the same for a problem that says the day's is spent. Source: a
recorded 429 of August 2026 and public issues.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from simulator.dialects.base import Serving
from simulator.draws import integer
from simulator.problem import Exceeded, Problem

RPC: Final = "type.googleapis.com/google.rpc."
LIMITS_PAGE: Final = "https://ai.google.dev/gemini-api/docs/rate-limits"
DAY_MS: Final = 86_400_000
SECOND_NS: Final = 10**9
RETRY_HEADERS: Final = frozenset({"retry-after", "retry-after-ms"})
_SPENT: Final = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
    f"head to: {LIMITS_PAGE}. To monitor your current usage, head to: https://ai.dev/rate-limit. "
)
_MINUTE: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "metric": "generate_content_free_tier_requests",
        "id": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
        "limit": 20,
    }
)
_DAY: Final[Mapping[str, Any]] = MappingProxyType(
    {**_MINUTE, "id": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}
)
METRICS: Final[Mapping[str, tuple[str, str]]] = {  # what is counted -> metric, and the quota's id but for its period
    "requests": ("generate_content_paid_tier_requests", "GenerateRequests{per}PerProjectPerModel"),
    "input_tokens": ("generate_content_paid_tier_input_token_count", "GenerateContentPaidTierInputTokensPerModel{per}"),
    "output_tokens": (
        "generate_content_paid_tier_output_token_count",
        "GenerateContentPaidTierOutputTokensPerModel{per}",
    ),
    "tokens": ("generate_content_paid_tier_token_count", "GenerateContentPaidTierTokensPerModel{per}"),
    "concurrency": ("generate_content_concurrent_requests", "GenerateContentConcurrentRequestsPerProjectPerModel"),
}


def exhausted(problem: Problem, model: str, serving: Serving) -> tuple[str, list[dict[str, Any]]]:
    """(message, details) of a 429 in its full form."""
    quota = _quota(problem, serving)
    wait_ns, exact = _wait(problem, serving)
    metric = f"generativelanguage.googleapis.com/{quota['metric']}"
    message = f"{_SPENT}\n* Quota exceeded for metric: {metric}, limit: {quota['limit']}, model: {model}"
    violation = {
        "quotaMetric": metric,
        "quotaId": quota["id"],
        "quotaDimensions": {"location": "global", "model": model},
        "quotaValue": str(quota["limit"]),
    }
    details: list[dict[str, Any]] = [
        {"@type": f"{RPC}Help", "links": [{"description": "Learn more about Gemini API quotas", "url": LIMITS_PAGE}]},
        {"@type": f"{RPC}QuotaFailure", "violations": [violation]},
    ]
    if wait_ns is not None:
        message += f"\nPlease retry in {_seconds(wait_ns)}s."
        delay = _seconds(wait_ns) if exact else str(wait_ns // SECOND_NS)
        details.append({"@type": f"{RPC}RetryInfo", "retryDelay": f"{delay}s"})
    return message, details


def _quota(problem: Problem, serving: Serving) -> Mapping[str, Any]:
    if problem.exceeded is not None:
        return _exceeded(problem.exceeded)
    day = problem.kind == "insufficient_quota" or problem.code == "insufficient_quota"
    known: Mapping[str, Any] = serving.facts.get("quota_day", _DAY) if day else serving.facts.get("quota", _MINUTE)
    return known


def _exceeded(exceeded: Exceeded) -> Mapping[str, Any]:
    """The quota of the fleet's own that refused."""
    metric, name = METRICS[exceeded.of]
    per = "PerDay" if (exceeded.per_ms or 0) >= DAY_MS else "PerMinute"
    return {"metric": metric, "id": name.format(per=per), "limit": exceeded.limit}


def _wait(problem: Problem, serving: Serving) -> tuple[int | None, bool]:
    """(nanoseconds to wait, whether somebody told them exactly); None when no wait will do.

    One that is drawn is told in `RetryInfo` by its whole seconds alone, as recorded.
    """
    if problem.exceeded is not None:
        return None if problem.exceeded.wait_ms is None else problem.exceeded.wait_ms * 1_000_000, True
    told = dict(problem.headers)
    waits = (told.get("retry-after-ms"), 10**6), (told.get("retry-after"), SECOND_NS), (problem.param, SECOND_NS)
    for raw, unit_ns in waits:
        try:
            return int(float(raw or "") * unit_ns), True
        except (ValueError, OverflowError):
            continue
    return SECOND_NS + integer("retry delay", serving.seed) % (58 * SECOND_NS), False


def _seconds(wait_ns: int) -> str:
    """Seconds with as many digits as they need, at most nine after the point."""
    whole, rest = divmod(wait_ns, SECOND_NS)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")
