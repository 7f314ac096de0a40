"""Vidu's errors, each by a word, which also stands in `err_code` of a task that failed.

Source: Vidu's documentation: error codes, and the body of a refused cancellation. That body holds the status as
`code` and the word as `reason`; the fact `error_code: word` puts the word in both places, as others report it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from simulator import draws
from simulator.dialects.base import Serving
from simulator.problem import KINDS_BY_STATUS, Problem, Refused
from simulator.script import Frame, Script

WORDS: Final[Mapping[str, tuple[int, str]]] = {  # word -> status and sentence; {}: the fields it is about
    "BadRequest": (400, "bad request"),
    "FieldLacking": (400, "field is missing or empty: {}"),
    "FieldUnwanted": (400, "unwanted field: {}"),
    "FieldInvalid": (400, "invalid field: {}"),
    "FieldItemCountOutOfRange": (400, "field item count out of range: {}"),
    "PageSizeOutOfRange": (400, "page size out of range"),
    "ImageDownloadFailure": (400, "image download failure"),
    "ImageFormatInvalid": (400, "invalid image format"),
    "ImageCheckBodyJointsFailed": (400, "image check body joints failed"),
    "ImageCheckFaceFailed": (400, "image check face failed"),
    "ImageCheckObjectsUndetected": (400, "image check objects undetected"),
    "OperationInProcess": (400, "operation in process, please retry later"),
    "TaskPromptPolicyViolation": (400, "prompt policy violation"),
    "AuditSubmitIllegal": (400, "submit is illegal"),
    "CreationPolicyViolation": (400, "creation policy violation"),
    "ModelUnavailable": (400, "model unavailable"),
    "UserCancelled": (400, "user cancelled"),
    "CreditInsufficient": (400, "insufficient credits"),
    "Unauthorized": (401, "unauthorized"),
    "Forbidden": (403, "request is forbidden"),
    "TaskNotFound": (404, "task not found"),
    "CreationNotFound": (404, "creation not found"),
    "NotFound": (404, "not found"),
    "Conflict": (409, "resource conflict"),
    "QuotaExceeded": (429, "quota exceeded"),
    "TooManyRequests": (429, "too many requests"),
    "SystemThrottling": (429, "system is throttling"),
    "Canceled": (499, "request canceled by client"),
    "InternalServiceFailure": (500, "internal service failure"),
}
KINDS: Final[Mapping[str, str]] = {
    "authentication": "Unauthorized",
    "permission": "Forbidden",
    "billing": "CreditInsufficient",
    "insufficient_quota": "CreditInsufficient",
    "invalid_request": "BadRequest",
    "too_large": "BadRequest",
    "moderation": "TaskPromptPolicyViolation",
    "content_filter": "TaskPromptPolicyViolation",
    "moderation_blocked": "TaskPromptPolicyViolation",
    "unknown_model": "FieldInvalid",
    "not_kept": "TaskNotFound",
    "not_found": "NotFound",
    "method_not_allowed": "NotFound",
    "conflict": "Conflict",
    "rate_limit": "TooManyRequests",
    "overloaded": "SystemThrottling",
    "server_error": "InternalServiceFailure",
    "bad_gateway": "InternalServiceFailure",
    "unavailable": "InternalServiceFailure",
    "timeout": "InternalServiceFailure",
    "gateway_timeout": "InternalServiceFailure",
}
JSON: Final = ("content-type", "application/json")
IN_FLIGHT: Final = ("concurrency", "jobs")


def bad(word: str, about: str = "") -> Refused:
    """A refusal by its word; `about` names the fields."""
    return Refused(Problem("invalid_request", WORDS[word][1].replace("{}", about), code=word))


def said(content: Any) -> Script:
    """What all went well is told in."""
    return Script(200, (JSON,), (Frame(orjson.dumps(content), "body"),))


def error(problem: Problem, serving: Serving) -> Script:
    """A refusal, by its kind or by the word it names."""
    word = _word(problem)
    status, sentence = WORDS.get(word, (400, word))
    status = problem.status or status
    trace = draws.digest("vidu", serving.seed, serving.attempt, serving.now_ms).hex()
    told = {
        "code": word if serving.facts.get("error_code") == "word" else status,
        "reason": word,
        "message": problem.message or _sentence(problem, sentence),
        "metadata": {"trace_id": trace},
    }
    return Script(status, (JSON, *problem.headers), (Frame(orjson.dumps(told), "body"),))


def _word(problem: Problem) -> str:
    if problem.code:
        return problem.code
    if problem.exceeded is not None and problem.exceeded.of in IN_FLIGHT:
        return "QuotaExceeded"
    kind = problem.kind
    if kind == "status":
        kind = KINDS_BY_STATUS.get(problem.status or 0, "server_error" if (problem.status or 0) >= 500 else "")
    return KINDS.get(kind, "BadRequest")


def _sentence(problem: Problem, sentence: str) -> str:
    if problem.kind == "unknown_model":
        return "model is not supported"
    return sentence.replace("{}", problem.param or "")
