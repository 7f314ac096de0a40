"""OpenAI Moderations dialect: POST /v1/moderations, of text and of pictures.

Keys, refusals and headers are those of the chat wire; what is flagged is in `openai.moderations_rules`. Source: the
public specification (CreateModerationRequest, 2.3.0) and recorded replies, in which a request without a model was
answered by text-moderation-007.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import orjson

from simulator.answers import tokens
from simulator.answers.answer import Usage
from simulator.ask import Ask, Request, Turn
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.openai import fields
from simulator.dialects.openai import headers as openai_headers
from simulator.dialects.openai import moderations_rules as rules
from simulator.dialects.openai.chat import OpenAIChat
from simulator.dialects.openai.ids import base62
from simulator.dialects.openai.problems import refuse
from simulator.dialects.openai.request import parsed
from simulator.script import Frame, Script

DEFAULT: Final = "text-moderation-latest"
OPTIONAL: Final[Mapping[str, fields.Check]] = {"input": fields.nothing, "model": fields.string}
_DUE: Final = "one of a string, array of strings or array of objects"


class OpenAIModerations(OpenAIChat):
    """The Moderations wire."""

    name: ClassVar[str] = "openai_moderations"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {("POST", "/moderations"): "moderate"}

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        body = parsed(request.body)
        if body.get("input") is None:
            raise fields.missing("input")
        for name, value in body.items():
            if name not in OPTIONAL:
                raise refuse(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
            if value is not None:
                OPTIONAL[name](value, name)
        turns = tuple(Turn("user", item.text, images=len(item.images)) for item in items(body["input"]))
        count = sum(tokens.count(turn.text) for turn in turns)
        return Ask(operation, body.get("model") or DEFAULT, turns, input_tokens=count, body=body)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        images = sum(turn.images for turn in ask.turns)
        if images and not profile.has("images"):
            raise refuse(f"Invalid 'input': {profile.model} takes text only.", "input", "invalid_value")
        if images > 1:
            said = f"Expected at most 1 image, but got {images} instead."
            raise refuse(f"Invalid 'input': too many images. {said}", "input", "too_many_images")

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """A result for each text, or one for all the parts together."""
        if profile is None:
            raise TypeError("a moderation needs a model")
        results = [_result(item, profile) for item in items(ask.body["input"])]
        # an id of the newer models has four digits, too few for a nonce: the header tells requests apart
        own = f"{serving.seed % 9000 + 1000}" if profile.has("images") else f"{base62(serving.seed, 7)}{serving.nonce}"
        body = {"id": f"modr-{own}", "model": profile.snapshot, "results": results}
        data = orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        headers = openai_headers.answer(Usage(ask.input_tokens, 0), profile, serving, stream=False)
        return Script(200, headers, (Frame(data, "body"),))


def items(given: Any) -> list[rules.Item]:
    """What is to be judged. Raises Refused."""
    if isinstance(given, str):
        return [rules.Item(given)]
    fields.filled(given, "input")
    if all(isinstance(one, str) for one in given):
        return [rules.Item(one) for one in given]
    texts: list[str] = []
    images: list[str] = []
    for at, part in enumerate(given):
        where = f"input[{at}]"
        if not isinstance(part, dict):
            raise fields.wrong_type("input", _DUE, given)
        kind = fields.required(part, "type", where, fields.one_of("text", "image_url"))
        if kind == "text":
            texts.append(fields.required(part, "text", where, fields.string))
        else:
            image = fields.required(part, "image_url", where, fields.dictionary)
            images.append(fields.required(image, "url", f"{where}.image_url", fields.string))
    return [rules.Item("\n".join(texts), tuple(images), has_text=bool(texts))]


def _result(item: rules.Item, profile: Profile) -> dict[str, Any]:
    categories: list[str] = profile.facts["categories"]
    scores = {name: rules.score(item, name) for name in categories}
    flagged = {name: score >= rules.THRESHOLD for name, score in scores.items()}
    result: dict[str, Any] = {"flagged": any(flagged.values()), "categories": flagged, "category_scores": scores}
    if profile.has("images"):
        result["category_applied_input_types"] = {name: rules.applied(item, name) for name in categories}
    return result
