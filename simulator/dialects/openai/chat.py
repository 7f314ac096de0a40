"""OpenAI Chat Completions dialect: POST /v1/chat/completions, GET /v1/models.

Also the wire of everyone compatible with it: what differs between them are facts of the profile (`models/*.yaml`, the
provider's row), the form of its answers (`vendors/`) and the style of its refusals (`errors.yaml`). Source: the
public specification (2.3.0) and recorded replies of 2024 to 2026.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import orjson

from simulator.answers.answer import Answer
from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.openai import errors, forms, problems, replies, rules
from simulator.dialects.openai import headers as openai_headers
from simulator.dialects.openai import request as openai_request
from simulator.dialects.openai import stream as openai_stream
from simulator.nonces import ALPHABETS
from simulator.problem import Problem, Refused
from simulator.script import Frame, Script

_DATE = re.compile(r"\d{4}-\d\d-\d\d$")
BEARER = ("authorization",)  # the headers that hold a key, unless the fact `auth` says else
_CREATED_S = 1_700_000_000  # of models whose name bears no date


class OpenAIChat:
    """The Chat Completions wire."""

    name: ClassVar[str] = "openai_chat"
    root: ClassVar[str] = "/v1"
    nonces: ClassVar[str] = "letters"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/chat/completions"): "generate",
        ("GET", "/models"): "list_models",
        ("GET", "/models/{model}"): "list_models",
    }

    def flaws(self, facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """(fact, what came, what was due) of the facts of a mount that name something which is not there."""
        asked = [("form", facts.get("form")), *(("forms", name) for name in facts.get("forms", {}).values())]
        known = (("errors", facts.get("errors"), errors.names()), ("nonces", facts.get("nonces"), ALPHABETS))
        for fact, name, names in (*((fact, name, forms.names()) for fact, name in asked), *known):
            if name is not None and name not in names:
                yield fact, repr(name), f"one of {', '.join(names)}"

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the Bearer token, or what a header of the fact `auth` holds, is one of `keys`."""
        key = _key(request)
        if not key:
            raise Refused(Problem("missing_key"))
        if key not in keys:
            where = "https://platform.openai.com/account/api-keys"
            said = f"Incorrect API key provided: {masked(key)}. You can find your API key at {where}."
            raise Refused(Problem("authentication", said, param=masked(key)))

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request. A single model is asked for by its id in `Ask.model`."""
        if operation == "list_models":
            return Ask(operation, model=request.params.get("model", ""))
        return openai_request.decode(request, operation)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        rules.check(ask, profile)

    def reply(self, answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> Script:
        """The answer as one JSON object, or as chunks when the ask is for a stream."""
        ask = ask._replace(stream=True) if profile.has("always_stream") else ask
        headers = openai_headers.answer(answer.usage, profile, serving, ask.stream)
        if ask.stream:
            return Script(200, headers, openai_stream.stream(answer, ask, profile, serving), stream=True)
        return Script(200, headers, (replies.whole(answer, ask, profile, serving),))

    def count(self, ask: Ask, profile: Profile, serving: Serving) -> Script:  # noqa: ARG002
        """This wire counts no tokens: there is no such path."""
        return self.error(Problem("not_found", param="POST /v1/chat/completions/count_tokens"), serving)

    def models(self, snapshots: Mapping[str, str], serving: Serving, model: str = "") -> Script:
        """The list of models and their dated names, or the one called `model`."""
        names = sorted({*snapshots, *snapshots.values()})
        if model and model not in names:
            return self.error(Problem("unknown_model", f"The model '{model}' does not exist"), serving)
        owner = str(serving.facts.get("owned_by", "openai"))
        rows = [_model(name, owner) for name in ([model] if model else names)]
        body: Any = rows[0] if model else {"object": "list", "data": rows}
        if "form" in serving.facts:
            return Script(200, openai_headers.native(serving), (Frame(orjson.dumps(body), "body"),))
        data = orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        return Script(200, openai_headers.plain(serving), (Frame(data, "body"),))

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """This wire has no other operation."""
        return self.error(Problem("not_found", param=ask.operation), serving)

    def resume(self, ask: Ask, kept: Kept) -> Ask:  # noqa: ARG002
        """Nothing is kept on this wire."""
        return ask

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal: native status, body and headers, of OpenAI or in the style that the fact `errors` names."""
        if (style := serving.facts.get("errors")) is not None and not problems.is_page(problem):
            status, data, headers = errors.refusal(style, problem, serving)
            return Script(status, headers, (Frame(data, "body"),))
        row = problems.native(problem)
        data, content_type = problems.body(problem)
        headers = openai_headers.error(problem, row.status, row.front, content_type, serving)
        return Script(row.status, headers, (Frame(data, "body"),))

    def error_frame(self, problem: Problem, serving: Serving) -> bytes:
        """The refusal as a chunk that only holds the error."""
        if (style := serving.facts.get("errors")) is not None:
            return errors.frame(style, problem, serving)
        return problems.frame(problem)


def _key(request: Request) -> str:
    """The key that a request bears; "" when it bears none in a form that is taken there."""
    for name in request.facts.get("auth", BEARER):
        value = request.headers.get(name, "")
        scheme, _, token = value.partition(" ")
        if name != "authorization":
            token = value
        elif scheme.lower() != "bearer":
            continue
        if token.strip():
            return token.strip()
    return ""


def masked(key: str) -> str:
    """A key as a complaint shows it: its beginning, stars, its last four characters."""
    if len(key) <= 12:
        return "*" * max(len(key) - 4, 0) + key[-4:]
    return key[:8] + "*" * (len(key) - 12) + key[-4:]


def _model(name: str, owner: str) -> dict[str, Any]:
    """A row of the list; a model was made on the day that its name bears."""
    created_s = _CREATED_S
    if date := _DATE.search(name):
        created_s = int(datetime.strptime(date[0], "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    return {"id": name, "object": "model", "created": created_s, "owned_by": owner}
