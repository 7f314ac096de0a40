"""The OpenAI-compatible rows of the fleet, spoken to without a socket, and what a tolerant client makes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from simulator import providers
from simulator.answers.answer import Answer
from simulator.answers.compose import compose
from simulator.ask import Request
from simulator.dialects import DIALECTS
from simulator.dialects.base import Serving
from simulator.nonces import Nonces
from simulator.problem import Refused
from simulator.providers import Mount, Provider
from simulator.rules import directives
from simulator.script import Script

CHAT = DIALECTS["openai_chat"]
ROWS = providers.load(providers.FILE, DIALECTS, 7)
NOW_S = 1_787_150_000
QUERY = "api-version=2024-10-21"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
            "required": ["city", "days"],
        },
    },
}


class Place(NamedTuple):
    """One mount of the chat wire."""

    row: Provider
    mount: Mount

    @property
    def name(self) -> str:
        return f"{self.row.name}{self.mount.roots[0]}"

    @property
    def form(self) -> str:
        return str(self.mount.facts.get("form", "openai"))

    def models(self) -> list[str]:
        """A model that shows its thoughts, where there is one, and one that does not; both take tools."""
        known = {model: self.mount.profile(self.row.name, model) for model in self.mount.snapshots()}
        able = {model: profile for model, profile in known.items() if profile and profile.has("tools")}
        able = {model: profile for model, profile in able.items() if "unsupported_roles" not in profile.facts}
        able = able or {model: profile for model, profile in known.items() if profile}
        shows = [model for model, profile in able.items() if profile.has("reasoning_content")]
        plain = [model for model, profile in able.items() if not profile.has("reasoning_content")]
        return [*shows[:1], *plain[:1]]

    def params(self, model: str) -> dict[str, str]:
        """What stands in the path for a model."""
        owner, _, name = model.rpartition("/")
        return {"deployment": model, "owner": owner or "fleet", "name": name}

    def path(self, model: str) -> str:
        """The path of a completion."""
        filled = re.sub(r"\{(\w+)\}", lambda found: self.params(model)[found[1]], self.mount.roots[0])
        return f"/{self.row.name}{filled}/chat/completions"

    def headers(self, key: str | None = None) -> dict[str, str]:
        """A key in the form that the row takes first."""
        name = self.mount.facts.get("auth", ["authorization"])[0]
        return {name: f"Bearer {key or self.row.key}" if name == "authorization" else key or self.row.key}

    def serving(self, attempt: int = 0) -> Serving:
        return Serving(Nonces(self.mount.nonces, "test")(attempt).decode(), NOW_S, 12345, self.mount.facts)

    def said(self, body: dict[str, Any], attempt: int = 0) -> tuple[Script, Answer | None]:
        """The reply, or the refusal, and the answer behind it."""
        model = body["model"]
        serving = self.serving(attempt)
        sent = Request(
            "POST", self.path(model), QUERY, self.headers(), orjson.dumps(body), self.params(model), self.mount.facts
        )
        try:
            CHAT.authenticate(sent, self.row.keys)
            ask = CHAT.decode(sent, "generate")
            profile = self.mount.profile(self.row.name, ask.model)
            assert profile is not None, f"{self.name} does not know {ask.model}"
            CHAT.check(ask, profile)
        except Refused as refused:
            return CHAT.error(refused.problem, serving), None
        spec = directives.read("\n".join(turn.text for turn in ask.turns), {}).answer
        answer = compose(ask, spec, profile, 7, serving.nonce, NOW_S)
        return CHAT.reply(answer, ask, profile, serving), answer


PLACES = {
    place.name: place
    for place in (Place(row, mount) for row in ROWS.values() for mount in row.mounts)
    if place.mount.dialect is CHAT
}
FIRST: dict[str, Place] = {}
for _place in PLACES.values():
    FIRST.setdefault(_place.row.name, _place)


def user(text: str, model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def asked(place: Place, model: str, prompt: str, **fields: Any) -> dict[str, Any]:
    """A request that offers a tool where the prompt is about calls and the model takes one."""
    profile = place.mount.profile(place.row.name, model)
    assert profile is not None, f"{place.name} does not know {model}"
    tools = {"tools": [WEATHER]} if "tool_call" in prompt and profile.has("tools") else {}
    return user(prompt, model, **tools, **fields)


def streamed(body: dict[str, Any]) -> dict[str, Any]:
    return body | {"stream": True, "stream_options": {"include_usage": True}}


def raw(script: Script) -> bytes:
    """All bytes of the body."""
    return b"".join(frame.data for frame in script.frames)


def chunks(data: bytes) -> list[dict[str, Any]]:
    """The JSON of every chunk."""
    found = re.findall(rb"^data: ?(\{.*)$", data.replace(b"\r\n", b"\n"), re.MULTILINE)
    return [orjson.loads(text) for text in found]


class Said(NamedTuple):
    """What a choice says, whatever its form."""

    text: str
    thought: str
    calls: tuple[tuple[str, str], ...]  # (name, arguments)
    finish: str | None


def _parts(content: Any) -> tuple[str, str]:
    """(text, thoughts) of a content, which may be a list of parts."""
    if not isinstance(content, list):
        return content or "", ""
    text = "".join(part["text"] for part in content if part["type"] == "text")
    inner = [step["text"] for part in content if part["type"] == "thinking" for step in part["thinking"]]
    return text, "".join(inner)


def _spoken(part: Mapping[str, Any]) -> tuple[str, str]:
    text, thought = _parts(part.get("content"))
    return text + (part.get("refusal") or ""), thought + (part.get("reasoning_content") or part.get("reasoning") or "")


def whole(reply: Mapping[str, Any]) -> list[Said]:
    """The choices of a JSON reply."""
    out = []
    for choice in reply["choices"]:
        message = choice["message"]
        calls = [call["function"] for call in message.get("tool_calls") or []]
        told = tuple((call["name"], call["arguments"]) for call in calls)
        out.append(Said(*_spoken(message), told, choice["finish_reason"]))
    return out


def put_together(found: list[dict[str, Any]]) -> list[Said]:
    """The choices of a stream. A call without an index is a new one when it has a name."""
    texts: dict[int, list[str]] = {}
    thoughts: dict[int, list[str]] = {}
    calls: dict[int, list[list[str]]] = {}
    ends: dict[int, str] = {}
    for chunk in found:
        for choice in chunk["choices"]:
            at, delta = choice["index"], choice.get("delta") or {}
            text, thought = _spoken(delta)
            texts.setdefault(at, []).append(text)
            thoughts.setdefault(at, []).append(thought)
            for call in delta.get("tool_calls") or []:
                inner, rows = call["function"], calls.setdefault(at, [])
                if inner.get("name"):
                    rows.append([inner["name"], ""])
                rows[call.get("index", -1)][1] += inner.get("arguments") or ""
            if choice.get("finish_reason"):
                ends[at] = choice["finish_reason"]
    return [
        Said("".join(texts[at]), "".join(thoughts[at]), tuple((n, a) for n, a in calls.get(at, [])), ends.get(at))
        for at in sorted(texts)
    ]


def told(found: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The usage that the last chunk to tell one tells."""
    usages = [chunk["usage"] for chunk in found if chunk.get("usage")]
    return usages[-1] if usages else None
