"""A Gemini provider without a server: requests in, replies and parsed elements out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from simulator import providers
from simulator.answers.answer import Answer
from simulator.answers.compose import compose
from simulator.ask import Ask, Request
from simulator.dialects import DIALECTS
from simulator.dialects.base import Profile, Serving
from simulator.dialects.gemini.generate import GeminiGenerate
from simulator.models import facts as models
from simulator.problem import Problem, Refused
from simulator.rules import directives
from simulator.script import Script

DIALECT = GeminiGenerate()
SEED = 7
NONCE = "Nonce0Nonce0Nonce0Nonc"
NOW_S = 1_777_898_096
ROOTS = {"gemini": "/v1beta", "vertex": "/v1/projects/p/locations/l/publishers/google"}
STREAM = "streamGenerateContent"
WEATHER = {
    "name": "weather",
    "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]},
}
TOOLS = [{"functionDeclarations": [WEATHER]}]
FRAME = re.compile(rb"data: (\{.*\})\r\n\r\n", re.DOTALL)
PROVIDERS = providers.load(providers.FILE, DIALECTS, SEED)

Json = dict[str, Any]


def says(text: str, role: str = "user") -> Json:
    """One content of one text."""
    return {"role": role, "parts": [{"text": text}]}


def body(text: str = "How warm is the water?", /, **fields: Any) -> Json:
    """A request of one user's text."""
    return {"contents": [says(text)], **fields}


def config(**fields: Any) -> Json:
    """A request's generationConfig, as a keyword."""
    return {"generationConfig": fields}


class Call:
    """One request to one method of one model, not yet read."""

    def __init__(
        self,
        sent: Any,
        model: str = "gemini-2.5-flash",
        method: str = "generateContent",
        *,
        query: str = "",
        provider: str = "gemini",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.provider = PROVIDERS[provider]
        path = f"{ROOTS[provider]}/models/{model}:{method}"
        data = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        route = self.provider.route("POST", path)
        assert route.operation is not None, path
        self.operation, self.facts = route.operation, route.mount.facts
        self.request = Request("POST", path, query, dict(headers or {}), data, route.params, self.facts)
        self.serving = Serving(NONCE, NOW_S, SEED, self.facts, path=path, query=query)

    def read(self) -> tuple[Ask, Profile]:
        """The ask and its profile. Raises Refused."""
        ask = DIALECT.decode(self.request, self.operation)
        found = models.profile(self.provider.name, DIALECT.name, ask.model, self.facts)
        if found is None:
            raise Refused(Problem("unknown_model", param=ask.model))
        DIALECT.check(ask, found)
        return ask, found

    def answer(self) -> tuple[Answer, Ask, Profile]:
        """What is said, directed by the prompt. Raises Refused."""
        ask, found = self.read()
        spec = directives.read("\n".join(turn.text for turn in ask.turns), {}).answer
        return compose(ask, spec, found, SEED, NONCE, NOW_S, DIALECT.natives), ask, found

    def script(self) -> Script:
        """The reply, or the refusal."""
        try:
            if self.operation == "generate":
                return DIALECT.reply(*self.answer(), self.serving)
            ask, found = self.read()
        except Refused as refused:
            return DIALECT.error(refused.problem, self.serving)
        if self.operation == "count_tokens":
            return DIALECT.count(ask, found, self.serving)
        return DIALECT.perform(ask, found, self.serving, None)


def payload(script: Script) -> bytes:
    """All bytes of the body."""
    return b"".join(frame.data for frame in script.frames)


def replied(sent: Any, model: str = "gemini-2.5-flash", method: str = "generateContent", **more: Any) -> Json:
    """The JSON of a reply."""
    script = Call(sent, model, method, **more).script()
    data = payload(script)
    assert script.status == 200, data
    assert data.endswith(b"}\n")
    found: Json = json.loads(data)
    return found


def refused(sent: Any, model: str = "gemini-2.5-flash", method: str = "generateContent", **more: Any) -> Json:
    """The error object of a refusal."""
    script = Call(sent, model, method, **more).script()
    assert script.status >= 400, payload(script)
    told = json.loads(payload(script))
    error: Json = (told[0] if isinstance(told, list) else told)["error"]
    assert error["code"] == script.status
    return error


def streamed(sent: Any, model: str = "gemini-2.5-flash", *, array: bool = False, **more: Any) -> list[Json]:
    """The elements of a stream, each of whose frames is parsed by itself."""
    script = Call(sent, model, STREAM, query="" if array else "alt=sse", **more).script()
    assert script.status == 200, payload(script)
    if array:
        found: list[Json] = json.loads(payload(script))
        return found
    out = []
    for frame in script.frames:
        match = FRAME.fullmatch(frame.data)
        assert match, frame.data
        out.append(json.loads(match[1]))
    return out


def parts(reply: Json, candidate: int = 0) -> list[Json]:
    """The parts of one candidate of a reply or element."""
    for found in reply.get("candidates", ()):
        if found.get("index", 0) == candidate:
            return list(found["content"].get("parts", ()))
    return []


def joined(elements: list[Json], candidate: int = 0) -> list[Json]:
    """All parts of a stream, texts of one kind in a row put together and empty ones left out."""
    out: list[Json] = []
    for part in (part for element in elements for part in parts(element, candidate)):
        signature = part.get("thoughtSignature")
        if "text" in part and out and "text" in out[-1] and out[-1].get("thought") == part.get("thought"):
            out[-1] = out[-1] | {"text": out[-1]["text"] + part["text"]}
            out[-1] |= {"thoughtSignature": signature} if signature else {}
        elif part.get("text") != "" or signature:
            out.append(part)
    return out
