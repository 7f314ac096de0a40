"""One exchange with the Chat Completions dialect, without a fleet around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from simulator.answers.answer import Answer
from simulator.answers.compose import compose
from simulator.ask import Ask, Request
from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai.chat import OpenAIChat
from simulator.models import facts as models
from simulator.problem import Problem, Refused
from simulator.rules import directives
from simulator.script import Script

KEY = "sk-fleet-openai"
NONCE = "ABCDEFGHIJKLMNOPQRSTUV"
NOW_S = 1_770_000_000
SEED = 7
SERVING = Serving(NONCE, NOW_S, SEED)
DIALECT = OpenAIChat()


def request(body: Any, headers: Mapping[str, str] | None = None, path: str = "/v1/chat/completions") -> Request:
    """A POST with a good key; `body` is bytes or JSON."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return Request("POST", path, "", {"authorization": f"Bearer {KEY}", **(headers or {})}, data)


def understood(body: Any, facts: Mapping[str, Any] | None = None, provider: str = "openai") -> tuple[Ask, Profile]:
    """The ask and its profile. Raises Refused."""
    sent = request(body)
    DIALECT.authenticate(sent, frozenset({KEY}))
    ask = DIALECT.decode(sent, "generate")
    profile = models.profile(provider, DIALECT.name, ask.model, facts or {})
    if profile is None:
        raise Refused(Problem("unknown_model", param=ask.model))
    DIALECT.check(ask, profile)
    return ask, profile


def answered(body: Any, facts: Mapping[str, Any] | None = None) -> tuple[Answer, Ask, Profile]:
    """The answer to a good request, directed by its prompt."""
    ask, profile = understood(body, facts)
    spec = directives.read("\n".join(turn.text for turn in ask.turns), {}).answer
    return compose(ask, spec, profile, SEED, NONCE, NOW_S), ask, profile


def replied(body: Any, facts: Mapping[str, Any] | None = None, serving: Serving = SERVING) -> Script:
    """The script of the reply, or of the refusal."""
    try:
        answer, ask, profile = answered(body, facts)
    except Refused as refused:
        return DIALECT.error(refused.problem, serving)
    return DIALECT.reply(answer, ask, profile, serving)


def payload(script: Script) -> bytes:
    """All bytes of the body."""
    return b"".join(frame.data for frame in script.frames)


def chunks(script: Script) -> list[dict[str, Any]]:
    """The JSON of every data frame but `[DONE]`."""
    out = []
    for frame in script.frames:
        assert frame.data.startswith(b"data: ")
        assert frame.data.endswith(b"\n\n")
        if frame.kind != "end":
            out.append(orjson.loads(frame.data[6:]))
    return out


def user(text: str, **fields: Any) -> dict[str, Any]:
    """A request of one user message to gpt-4o."""
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **fields}


def tool(name: str, **properties: Any) -> dict[str, Any]:
    """A function tool that requires all its properties."""
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


WEATHER = tool("get_weather", city={"type": "string"}, days={"type": "integer", "minimum": 1, "maximum": 9})
CLOCK = tool("get_time", zone={"type": "string"})


def reassembled(script: Script) -> list[dict[str, Any]]:
    """What a client makes of a stream: for each choice its message and finish reason."""
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks(script):
        for part in chunk["choices"]:
            choice = choices.setdefault(part["index"], {"message": {}, "finish_reason": None})
            if part["finish_reason"] is not None:
                choice["finish_reason"] = part["finish_reason"]
            _add(choice["message"], part["delta"])
    return [choices[index] for index in sorted(choices)]


def _add(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for key, value in delta.items():
        if key == "tool_calls":
            for call in value:
                calls = message.setdefault("tool_calls", [])
                if call["index"] == len(calls):
                    calls.append({})
                _add(calls[call["index"]], {k: v for k, v in call.items() if k != "index"})
        elif isinstance(value, dict):
            _add(message.setdefault(key, {}), value)
        elif isinstance(value, str) and isinstance(message.get(key), str) and key not in ("role", "id", "type", "name"):
            message[key] += value
        else:
            message[key] = value
