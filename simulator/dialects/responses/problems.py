"""What the Responses wire says otherwise than Chat Completions: the problem as it is told here.

An unknown model is a 400 here, an earlier response may be gone, the context has its own sentence, and a key is refused
by the API itself, not at the front door. All else, and how it is written, is `openai.problems`. The `error` event of a
stream is nested (the published type is flat), and `response.failed` repeats it once the stream has begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

from simulator.dialects.openai import problems
from simulator.dialects.openai.problems import refuse
from simulator.dialects.responses.ids import Reference
from simulator.problem import Problem, Refused

CREATE: Final = "generate"
_CHALLENGE: Final = ("www-authenticate", 'Bearer realm="OpenAI API"')
_NUMBER: Final = b'"sequence_number":'
_CREATED: Final = b'"type":"response.created"'
_MOVED: Final = "Try again with the new parameter. See the API documentation for more information: "
_REFERENCE: Final = "https://platform.openai.com/docs/api-reference/responses/create."
_NO_MODEL: Final = "The requested model '{model}' does not exist."
_NO_TOOLS: Final = "Tools are not supported with this model."
_NOT_HERE: Final = "This model is not supported in the v1/responses endpoint."
_CONTEXT: Final = "Your input exceeds the context window of this model. Please adjust your input and try again."


def told(problem: Problem) -> Problem:
    """A problem of the fleet in this wire's words."""
    match problem.kind:
        case "unknown_model":
            said = problem.message or _NO_MODEL.format(model=problem.param)
            return Problem("invalid_request", said, "model", "model_not_found", headers=problem.headers)
        case "authentication" | "missing_key":
            row = problems.native(problem)
            headers = (*problem.headers, _CHALLENGE)
            return Problem("invalid_request", row.message, code=row.code, status=row.status, headers=headers)
        case "not_a_chat_model" | "sampling_forbidden":
            return Problem("invalid_request", problem.message or _NOT_HERE, "model", "unsupported_value")
        case "no_tools":
            return Problem("invalid_request", problem.message or _NO_TOOLS, "tools", "unsupported_parameter")
        case "not_kept":
            return not_found(problem.param)
        case _:
            return problem


def not_found(needs: str | None) -> Problem:
    """A response that is not kept (any more): 400 for a request that goes on from it, else 404."""
    if isinstance(needs, Reference) and needs.operation == CREATE:
        said = f"Previous response with id '{needs.response}' not found."
        return Problem("invalid_request", said, "previous_response_id", "previous_response_not_found")
    response = needs.response if isinstance(needs, Reference) else needs
    return Problem("invalid_request", f"Response with id '{response}' not found.", status=404)


def moved(name: str, to: str) -> Refused:
    """The complaint about a parameter of Chat Completions."""
    said = f"Unsupported parameter: '{name}'. In the Responses API, this parameter has moved to '{to}'. "
    return refuse(said + _MOVED + _REFERENCE, name, "unsupported_parameter")


def too_long() -> Refused:
    """The complaint about more input than the model takes."""
    return refuse(_CONTEXT, "input", "context_length_exceeded")


def frame(problem: Problem, sequence_number: int = 0) -> bytes:
    """The problem as the `error` event of a stream."""
    said = problems.error(told(problem))
    inner = {name: said[name] for name in ("type", "code", "message", "param")}
    event = {"type": "error", "sequence_number": sequence_number, "error": inner}
    return b"event: error\ndata: %b\n\n" % orjson.dumps(event)


def frames_after(sent: Sequence[bytes], problem: Problem) -> bytes:
    """The `error` event with the number that is due after these events, and the response, failed."""
    numbered = [data for data in sent if _NUMBER in data]
    began = next((_object(data) for data in numbered if _CREATED in data), {})
    first = frame(problem, len(numbered))
    if "response" not in began:
        return first
    said = problems.error(told(problem))
    failure = {"code": said["code"] or said["type"], "message": said["message"]}
    failed = began["response"] | {"status": "failed", "error": failure}
    event = {"type": "response.failed", "response": failed, "sequence_number": len(numbered) + 1}
    return first + b"event: response.failed\ndata: %b\n\n" % orjson.dumps(event)


def _object(data: bytes) -> dict[str, Any]:
    """The object in an event, however a fault has framed it; empty when it cannot be read."""
    try:
        found = orjson.loads(data[data.index(b"{") : data.rindex(b"}") + 1])
    except (orjson.JSONDecodeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
