"""Responses requests of tests, and how they are read."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.kept_responses import KeptResponses
from gateway.translation.prompt import Prompt, Text, Tool, Turn, Untranslatable
from gateway.translation.responses import request as responses
from gateway.wires.responses import ResponsesWire
from gateway.wires.wire import Wanted
from schemas.catalogue import MODELS
from tests.gateway.making import StillClock

OPENAI, GLM = MODELS["gpt-5.5"], MODELS["glm-5"]
HELLO = Prompt(turns=(Turn("user", (Text("Hello"),)),))
FIND = {"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": False}
FIND_TOOL = Tool("find", schema={"type": "object"}, strict=False)
CALL = {"type": "function_call", "call_id": "call_1", "name": "find", "arguments": '{"a":1}'}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "found"}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Edits files."}


def check(body: dict[str, Any]) -> Wanted:
    return ResponsesWire(KeptResponses(), "ada", StillClock()).check(body)


def reading(**fields: Any) -> Prompt:
    body = {"model": "glm-5", "input": "Hello", **fields}
    check(body)
    return responses.read(body)


def refusal(**fields: Any) -> str:
    with pytest.raises(Untranslatable) as caught:
        responses.read({"model": "glm-5", "input": "Hello", **fields})
    return str(caught.value)


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}
