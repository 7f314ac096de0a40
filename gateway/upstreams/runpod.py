"""RunPod's serverless wire, on the client's side: requests and what their replies say. No I/O.

All replies about a job are HTTP 200 with its state in the body; 404 says that there is none (any more). A word of state
that is not known says nothing: the job is taken to be alive, unless an output and its time of
execution stand beside it. Source: wire reference, chapter on RunPod serverless.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import orjson

from gateway.config import Upstream
from gateway.upstreams import problems
from gateway.upstreams.transport import Request

DIALECT: Final = "runpod"
BODY_BYTES_MAX: Final = 10 * 1024 * 1024  # of /run
EXECUTION_MS: Final = (5_000, 604_800_000)  # least and most that a policy takes
TTL_MS: Final = (10_000, 604_800_000)
ID_LENGTH_MAX: Final = 128
DURATION_MS_MAX: Final = 10**12  # thirty years

State = Literal["queued", "running", "succeeded", "failed", "timed_out", "cancelled", "unknown"]
WORDS: Final[Mapping[str, State]] = {  # in upper case: RunPod's own, and spellings that proxies and versions have shown
    **dict.fromkeys(("IN_QUEUE", "QUEUED", "PENDING", "PREPARING"), "queued"),
    **dict.fromkeys(("IN_PROGRESS", "RUNNING", "PROCESSING"), "running"),
    **dict.fromkeys(("COMPLETED", "COMPLETE", "SUCCEEDED", "SUCCESS", "DONE", "FINISHED"), "succeeded"),
    **dict.fromkeys(("FAILED", "FAIL", "FAILURE", "ERROR"), "failed"),
    **dict.fromkeys(("TIMED_OUT", "TIMEOUT", "EXPIRED"), "timed_out"),
    **dict.fromkeys(("CANCELLED", "CANCELED"), "cancelled"),
}


class Told(NamedTuple):
    """How a job stands, as the upstream tells it."""

    state: State
    execution_ms: int | None = None  # of its worker; None where it is not told, or is no number
    delay_ms: int | None = None  # in the queue, the worker's start included
    output: Any = None
    error: str = ""


def run(upstream: Upstream, endpoint: str, given: Any, max_ms: int, ttl_ms: int, webhook: str | None) -> Request:
    """Submits a job that may run for `max_ms` and is forgotten after `ttl_ms`."""
    policy = {"executionTimeout": within(max_ms, EXECUTION_MS), "ttl": within(ttl_ms, TTL_MS)}
    body: dict[str, Any] = {"input": given, "policy": policy}
    if webhook is not None:
        body["webhook"] = webhook
    return request(upstream, endpoint, "run", "POST", orjson.dumps(body))


def status(upstream: Upstream, endpoint: str, job_id: str) -> Request:
    """Asks how a job stands."""
    return request(upstream, endpoint, f"status/{job_id}", "GET")


def cancel(upstream: Upstream, endpoint: str, job_id: str) -> Request:
    """Cancels a job."""
    return request(upstream, endpoint, f"cancel/{job_id}", "POST")


def request(upstream: Upstream, endpoint: str, rest: str, method: str, body: bytes = b"") -> Request:
    """A request about an endpoint."""
    headers = [("authorization", f"Bearer {upstream.key}"), ("accept", "application/json")]
    if body:
        headers.append(("content-type", "application/json"))
    url = f"{upstream.base_url}/v2/{upstream.model(endpoint)}/{rest}"
    return Request(url, headers, body, method, once=not body)


def job_id_of(body: bytes) -> str | None:
    """The id that a reply or a webhook names, if it is one that can stand in a path."""
    told = decoded(body)
    value = told.get("id") if told is not None else None
    if not isinstance(value, str) or not 1 <= len(value) <= ID_LENGTH_MAX:
        return None
    return value if all(c.isascii() and (c.isalnum() or c in "-_") for c in value) else None


def read_status(body: bytes) -> Told | None:
    """What a status object says; None where it is none."""
    told = decoded(body)
    if told is None or not isinstance(told.get("status"), str):
        return None
    state = WORDS.get(told["status"].strip().upper(), "unknown")
    output, error = told.get("output"), told.get("error")
    if isinstance(output, dict) and set(output) == {"error"}:  # a handler's own words that were not moved out
        error, output = error or output["error"], None
    ends_badly = error not in (None, "") and output is None
    if state in ("succeeded", "unknown") and ends_badly:  # the inner word counts, not the outer one
        state = "failed"
    execution_ms = duration_ms(told.get("executionTime"))
    if state == "unknown" and execution_ms is not None and output is not None:
        state = "succeeded"  # only of a job that ended it is told how long it ran
    if state in ("queued", "running", "unknown"):
        output = None  # what is told of a running job is its progress
    return Told(state, execution_ms, duration_ms(told.get("delayTime")), output, words(error))


def words(error: Any) -> str:
    """What an error says: a text, or JSON in a text that the worker's exception left behind."""
    if error is None:
        return ""
    found = problems.find(error)
    return found.message or (error if isinstance(error, str) else "")


def duration_ms(value: Any) -> int | None:
    """A duration in milliseconds; None for what is none."""
    if isinstance(value, str):
        value = problems.number(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(value) if math.isfinite(value) and 0 <= value <= DURATION_MS_MAX else None


def decoded(body: bytes) -> dict[str, Any] | None:
    """The body's object."""
    try:
        value = orjson.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def within(value: int, bounds: tuple[int, int]) -> int:
    """The value, or the bound that it is beyond."""
    return max(bounds[0], min(bounds[1], value))
