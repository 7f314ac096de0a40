"""What an upstream's error says, whatever its shape: any vendor's, wrapped by a proxy, escaped in a string, a web page.

Source: wire reference, error tables of each dialect and "Errors and retries".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson

from gateway.chain import Failure, Verdict, verdict_of

BODY_BYTES_READ: Final = 256 * 1024  # of an error body; the rest is not looked at
DEPTH_MAX: Final = 8
MESSAGE_NAMES: Final = ("message", "msg", "status_msg", "detail", "error_description", "error_message", "title")
INNER_NAMES: Final = ("error", "upstream_error", "errors", "base_resp", "response", "detail", "cause", "body")
SIGNATURE_WORDS: Final = (b"nvalid `signature`", b"nvalid signature", b"ignature in `thinking`")
UNTHOUGHT_WORDS: Final = (b"xpected `thinking`", b"must start with a thinking block")


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as told: `message` is "" when there was none to find."""

    message: str = ""
    code: str = ""  # code, or type where there is no code


def find(value: Any, depth: int = 0) -> Problem:
    """The innermost error inside a decoded body."""
    if depth > DEPTH_MAX:
        return Problem()
    match value:
        case str():
            inner = decoded(value)
            return Problem(value.strip()) if inner is None else find(inner, depth + 1)
        case [first, *_]:
            return find(first, depth + 1)
        case dict():
            return find_in_object(value, depth)
        case _:
            return Problem()


def find_in_object(members: Mapping[str, Any], depth: int) -> Problem:
    """As `find`, of an object: what it wraps if that says something, else what it says itself."""
    for name in INNER_NAMES:
        inner = members.get(name)
        if inner and (name != "detail" or not isinstance(inner, str)):
            found = find(inner, depth + 1)
            if found.message:
                return Problem(found.message, found.code or code_of(members))
    for name in MESSAGE_NAMES:
        text = members.get(name)
        if isinstance(text, str) and text.strip():
            inner = decoded(text)
            found = Problem() if inner is None else find(inner, depth + 1)
            return found if found.message else Problem(text.strip(), code_of(members))
    return Problem("", code_of(members))


def code_of(members: Mapping[str, Any]) -> str:
    """`code`, else `type`, else `status`, as text."""
    for name in ("code", "type", "status", "status_code"):
        if (value := members.get(name)) not in (None, ""):
            return str(value)
    return ""


def decoded(text: str) -> Any:
    """The JSON object or array that a text is (or begins to be after some words), else None."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        value = orjson.loads(text[start:])
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def flaw_of(body: bytes) -> str | None:
    """What an upstream refused that can be mended, however deep the error is wrapped: a thinking block's signature that
    does not verify (it was made by another upstream), encrypted reasoning likewise, reasoning that was never stored
    there, a tool loop that began without
    thinking (it was begun by another vendor), or the id of a tool call in a foreign alphabet.
    """
    if b"thinking" in body and any(words in body for words in SIGNATURE_WORDS):
        return "signature"
    if any(words in body for words in UNTHOUGHT_WORDS):
        return "unthought"
    if b"invalid_encrypted_content" in body or (b"ncrypted content" in body and b"could not be verified" in body):
        return "sealed"
    if b"tem with id 'rs_" in body and b"not found" in body:
        return "lost"
    if b"tool_use" in body and b"pattern" in body and b"id" in body:
        return "tool_id"
    return None


def http_failure(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
    """The failure that an HTTP error reply stands for."""
    try:
        told = orjson.loads(body)
    except ValueError:
        told = None
    problem = find(told)
    message = problem.message or default_message(status, body)
    wait_s = retry_after_s(headers, now_s)
    return Failure(
        verdict_of(status, problem.code, message),
        message,
        status,
        retry_info_s(told) if wait_s is None else wait_s,
        flaw_of(body) if status < 500 else None,
    )


def default_message(status: int, body: bytes) -> str:
    """What to say of a body that says nothing: plain text is taken as it is, a web page is not."""
    text = body[:400].decode("utf-8", "replace").strip()
    if text and not text.startswith(("<", "{", "[")) and "<html" not in text.lower():
        return text
    return f"the upstream answered with status {status}"


def told_failure(value: Any, raw: bytes = b"") -> Failure:
    """The failure that an error inside a 200 (or a stream) stands for: it may pass, unless the account is empty."""
    problem = find(value)
    message = problem.message or "the upstream reported an error inside a successful reply"
    quota = verdict_of(500, problem.code, message) is Verdict.NEXT
    return Failure(Verdict.NEXT if quota else Verdict.RETRY, message, 200, flaw=flaw_of(raw))


def broken(message: str) -> Failure:
    """A reply that cannot be used."""
    return Failure(Verdict.RETRY, message)


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """`retry-after-ms`, or `Retry-After` in seconds or as a date; None where it is absent or makes no sense."""
    if (in_ms := headers.get("retry-after-ms")) is not None and (ms := number(in_ms)) is not None:
        return ms / 1000
    if (told := headers.get("retry-after")) is None:
        return None
    if (seconds := number(told)) is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - now_s)
    except (TypeError, ValueError, OverflowError):
        return None


def retry_info_s(told: Any) -> float | None:
    """The delay that an error body of Google's asks for: a RetryInfo among its details ("36.4s")."""
    told = told[0] if isinstance(told, list) and told else told
    error = told.get("error") if isinstance(told, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(delay := detail.get("retryDelay"), str):
            return number(delay.removesuffix("s"))
    return None


def number(text: str) -> float | None:
    """A finite number >= 0."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
