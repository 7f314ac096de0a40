"""One exchange with the Responses dialect, without a fleet around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from simulator.answers import signatures
from simulator.answers.answer import Answer
from simulator.answers.compose import compose
from simulator.ask import Ask, Request
from simulator.dialects.base import Profile, Serving
from simulator.dialects.responses.operations import OpenAIResponses
from simulator.models import facts as models
from simulator.problem import Problem, Refused
from simulator.rules import directives
from simulator.script import Script

KEY = "sk-fleet-openai"
NONCE = "0123456789abcdef012345"
NOW_S = 1_770_000_000
SEED = 7
SERVING = Serving(NONCE, NOW_S, SEED)
DIALECT = OpenAIResponses()
TOLD = {"billing": True, "tool_usage": True, "reasoning_mode": True, "cache_write": True}
FACTS = {"signature_secret": signatures.secret(SEED), **TOLD}


def request(body: Any, headers: Mapping[str, str] | None = None) -> Request:
    """A POST with a good key; `body` is bytes or JSON."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return Request("POST", "/v1/responses", "", {"authorization": f"Bearer {KEY}", **(headers or {})}, data)


def understood(
    body: Any, facts: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
) -> tuple[Ask, Profile]:
    """The ask and its profile. Raises Refused."""
    sent = request(body, headers)
    DIALECT.authenticate(sent, frozenset({KEY}))
    ask = DIALECT.decode(sent, "generate")
    profile = models.profile("openai", DIALECT.name, ask.model, FACTS | dict(facts or {}))
    if profile is None:
        raise Refused(Problem("unknown_model", param=ask.model))
    DIALECT.check(ask, profile)
    return ask, profile


def answered(body: Any, facts: Mapping[str, Any] | None = None) -> tuple[Answer, Ask, Profile]:
    """The answer to a good request, directed by its prompt."""
    ask, profile = understood(body, facts)
    spec = directives.read("\n".join(turn.text for turn in ask.turns), {}).answer
    return compose(ask, spec, profile, SEED, NONCE, NOW_S, DIALECT.natives), ask, profile


def replied(body: Any, facts: Mapping[str, Any] | None = None, serving: Serving = SERVING) -> Script:
    """The script of the reply, or of the refusal."""
    try:
        answer, ask, profile = answered(body, facts)
    except Refused as refused:
        return DIALECT.error(refused.problem, serving)
    return DIALECT.reply(answer.at(serving.nonce, serving.now_s), ask, profile, serving)


def payload(script: Script) -> bytes:
    """All bytes of the body."""
    return b"".join(frame.data for frame in script.frames)


def said(script: Script) -> Any:
    """A JSON reply."""
    return orjson.loads(payload(script))


def events(script: Script) -> list[dict[str, Any]]:
    """The JSON of every event, each in an SSE frame whose `event:` line is its type."""
    out = []
    for frame in script.frames:
        name, data, end = frame.data.split(b"\n", 2)
        assert end == b"\n"
        event = orjson.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        out.append(event)
    return out


def ask_for(text: str, /, **fields: Any) -> dict[str, Any]:
    """A request with a text."""
    return {"model": "gpt-4.1", "input": text, **fields}


def tool(name: str, **properties: Any) -> dict[str, Any]:
    """A function tool that requires all its properties."""
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "name": name, "parameters": parameters, "strict": False}


WEATHER = tool("get_weather", city={"type": "string"}, days={"type": "integer", "minimum": 1, "maximum": 9})
CLOCK = tool("get_time", zone={"type": "string"})
SPEAK = {"type": "custom", "name": "speak", "description": "Says anything"}
BUILT_IN: list[dict[str, Any]] = [
    {"type": "web_search"},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "image_generation", "partial_images": 2},
    {"type": "mcp", "server_label": "wiki", "server_url": "https://mcp.example.com", "require_approval": "never"},
    {"type": "tool_search"},
]
