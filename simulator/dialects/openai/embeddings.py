"""OpenAI Embeddings dialect: POST /v1/embeddings.

Also the wire of the compatible servers that embed: what they call usage, and the id some of them add, are facts. Keys,
refusals and headers are those of the chat wire. Source: the public specification (CreateEmbeddingRequest, 2.3.0) and
recorded replies; the sentences about empty and too many inputs are not confirmed.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

import orjson

from simulator import draws
from simulator.answers import tokens, vectors
from simulator.answers.answer import Usage
from simulator.ask import Ask, Request, Turn
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.openai import deployments, fields
from simulator.dialects.openai import headers as openai_headers
from simulator.dialects.openai.chat import OpenAIChat
from simulator.dialects.openai.problems import refuse
from simulator.dialects.openai.request import parsed
from simulator.problem import Problem, Refused
from simulator.script import Frame, Script

INPUTS_MAX: Final = 2048
REQUEST_TOKENS_MAX: Final = 300_000
INPUT_TOKENS_MAX: Final = 8192
_USAGE: Final = ("prompt_tokens", "total_tokens")
_DUE: Final = "one of a string, array of strings, array of integers or array of arrays of integers"

OPTIONAL: Final[Mapping[str, fields.Check]] = {
    "dimensions": fields.integer(1),
    "encoding_format": fields.one_of("float", "base64"),
    "input": fields.nothing,
    "model": fields.string,
    "user": fields.string,
}


class OpenAIEmbeddings(OpenAIChat):
    """The Embeddings wire."""

    name: ClassVar[str] = "openai_embeddings"
    nonces: ClassVar[str] = "hex"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {("POST", "/embeddings"): "embed"}

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        body = parsed(request.body)
        model = deployments.model(request, body)
        if model in (None, ""):
            raise Refused(Problem("missing_model"))
        if body.get("input") is None:
            raise fields.missing("input")
        for name, value in body.items():
            if value is not None and name in OPTIONAL:
                OPTIONAL[name](value, name)
        fields.string(model, "model")
        read = sources(body["input"])
        turns = tuple(Turn("user", source) for source in read if isinstance(source, str))
        return Ask(operation, model, turns, input_tokens=sum(map(_count, read)), body=body)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        facts = profile.facts
        for name in ask.body:
            if name not in OPTIONAL and not profile.has("lenient"):
                raise refuse(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
        most = facts.get("input_tokens", INPUT_TOKENS_MAX)
        for count in map(_count, sources(ask.body["input"])):
            if count > most:
                raise refuse(
                    f"This model's maximum context length is {most} tokens, however you requested {count} tokens "
                    f"({count} in your prompt; 0 for the completion). Please reduce your prompt; or completion length."
                )
        if ask.input_tokens > REQUEST_TOKENS_MAX:
            said = f"maximum request size is {REQUEST_TOKENS_MAX} tokens per request."
            raise refuse(f"Invalid 'input': {said}", "input", "max_tokens_per_request")
        asked = ask.body.get("dimensions")
        if asked is not None and not profile.has("shortens"):
            raise refuse("This model does not support specifying dimensions.")
        fields.integer(1, facts["dimensions"])(asked or 1, "dimensions")

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The vectors, in the order of the inputs."""
        if profile is None:
            raise TypeError("an embedding needs a model")
        full: int = profile.facts["dimensions"]
        count = ask.body.get("dimensions") or full
        coded = ask.body.get("encoding_format") == "base64"
        data: list[dict[str, Any]] = []
        for index, source in enumerate(sources(ask.body["input"])):
            values = vectors.vector(source, count, full)
            vector: Any = b64encode(vectors.floats(values)).decode() if coded else values
            data.append({"object": "embedding", "embedding": vector, "index": index})
        usage = Usage(ask.input_tokens, 0)
        body = {"object": "list", "data": data, "model": profile.snapshot, "usage": _usage(usage, profile)}
        layout = 0 if profile.has("lenient") or profile.has("form") else orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        frame = Frame(orjson.dumps(_signed(body, profile, serving), option=layout), "body")
        headers = openai_headers.answer(usage, profile, serving, stream=False)
        return Script(200, headers, (frame,), usage=usage)


def sources(given: Any) -> list[vectors.Source]:
    """The inputs of a request: texts, or texts as tokens. Raises Refused."""
    if isinstance(given, str):
        given = [given]
    fields.filled(given, "input")
    if len(given) > INPUTS_MAX and not isinstance(given[0], int):
        said = f"Expected an array with maximum length {INPUTS_MAX}, but got an array with length {len(given)} instead."
        raise refuse(f"Invalid 'input': array too long. {said}", "input", "array_above_max_length")
    if _are_tokens(given):
        return [tuple(given)]
    read: list[vectors.Source] = []
    for at, one in enumerate(given):
        if isinstance(one, str) and one:
            read.append(one)
        elif _are_tokens(one):
            read.append(tuple(one))
        elif one == "":
            raise refuse(f"Invalid 'input[{at}]': input cannot be an empty string.", "input", "invalid_value")
        else:
            raise fields.wrong_type("input", _DUE, given)
    return read


def _are_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(token) is int and token >= 0 for token in value)


def _count(source: vectors.Source) -> int:
    return tokens.count(source) if isinstance(source, str) else len(source)


def _usage(usage: Usage, profile: Profile) -> dict[str, Any]:
    """Token counts by the names that the model's row gives, and the cost where the server tells it."""
    names: Sequence[str] = profile.facts.get("usage_keys", _USAGE)
    told: dict[str, Any] = {name: 0 if name == "completion_tokens" else usage.input_tokens for name in names}
    price = profile.facts.get("usd_per_million")
    if price is None:
        return told
    cost = float(f"{usage.input_tokens * price / 1e6:.12g}")
    details = {"cost": cost, "prompt_cost": cost, "completions_cost": 0}
    split = {f"upstream_inference_{name}": usd for name, usd in details.items()}
    return told | {"cost": cost, "is_byok": False, "cost_details": split}


def _signed(body: dict[str, Any], profile: Profile, serving: Serving) -> dict[str, Any]:
    """The reply with the id that some servers add, and what else they say."""
    more = profile.facts.get("reply_more", {})
    match profile.facts.get("reply_id"):
        case "uuid":
            return {"id": str(UUID(int=draws.integer("embedding", serving.seed), version=4)), **body, **more}
        case "gen-emb":
            return {**body, **more, "id": f"gen-emb-{serving.now_s}-{draws.word(20, 'embedding', serving.seed)}"}
        case _:
            return {**body, **more}
