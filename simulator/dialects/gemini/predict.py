"""`:predict` dialect: pictures of Imagen, and vectors as Vertex AI served them before it had embedContent.

Keys, headers and errors are those of the generateContent wire. What a model predicts is a fact of its row
(`models/imagen.yaml`). Source: recorded replies of Vertex (vectors); the public references of Imagen, and the
official client's types. Sentences about parameters are not confirmed, nor is the one about pictures that the filter
held back.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from simulator import draws
from simulator.answers import tokens, vectors
from simulator.answers.answer import Usage
from simulator.ask import Ask, Request, Turn
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.gemini import headers as gemini_headers
from simulator.dialects.gemini import json
from simulator.dialects.gemini.generate import GeminiGenerate
from simulator.dialects.gemini.problems import refuse
from simulator.dialects.gemini.request import parsed
from simulator.media.captions import caption
from simulator.media.pictures import Form, picture
from simulator.problem import Problem
from simulator.script import Frame, Script

PICTURES: Final = "pictures"
MIMES: Final[Mapping[str, Form]] = {"image/png": "png", "image/jpeg": "jpeg"}
FILTERED: Final = (
    "Unable to show generated images. All images were filtered out because they violated Google's Responsible AI "
    "practices. Try rephrasing the prompt. If you think this was an error, send feedback."
)
SQUARE: Final = 1024
_SIDES: Final[Mapping[str, tuple[int, int]]] = {  # of the smallest size
    "1:1": (1024, 1024),
    "3:4": (896, 1280),
    "4:3": (1280, 896),
    "9:16": (768, 1408),
    "16:9": (1408, 768),
}


class GooglePredict(GeminiGenerate):
    """The predict wire."""

    name: ClassVar[str] = "google_predict"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {("POST", "/models/{model}:predict"): "predict"}

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        data = parsed(request)
        instances = data.get("instances") if isinstance(data, dict) else None
        if not isinstance(instances, list) or not instances or not all(isinstance(one, dict) for one in instances):
            raise refuse("Request must contain at least one instance.")
        parameters = data.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise refuse("The value type for `parameters` needs to be an object.")
        texts = [one.get("content", one.get("prompt")) for one in instances]
        said = [text if isinstance(text, str) else "" for text in texts]
        counts = [tokens.count(text) for text in said]
        body = {"instances": instances, "texts": texts, "counts": counts, "parameters": parameters}
        turns = tuple(Turn("user", text) for text in said)
        return Ask(operation, request.params["model"], turns, input_tokens=sum(counts), body=body)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        if not all(isinstance(text, str) and text for text in ask.body["texts"]):
            field = "prompt" if profile.facts["predicts"] == PICTURES else "content"
            raise refuse(f"The value of `{field}` must be a text that is not empty.")
        if profile.facts["predicts"] == PICTURES:
            _pictures_asked(ask, profile)
        else:
            _vectors_asked(ask, profile)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The predictions."""
        if profile is None:
            return self.error(Problem("not_found", param=ask.operation), serving)
        headers = gemini_headers.plain(serving)
        if profile.facts["predicts"] == PICTURES:
            count = ask.body["parameters"].get("sampleCount", 1)
            made = [_picture(ask, profile, serving, sample) for sample in range(count)]
            billed = (("images", count), ("usd", round(count * profile.facts["usd_per_picture"], 6)))
            return Script(200, headers, (Frame(json.body({"predictions": made}), "body"),), billed=billed)
        rows = [_vector(ask, profile, at) for at in range(len(ask.body["texts"]))]
        characters = sum(len("".join(text.split())) for text in ask.body["texts"])
        body = {"predictions": rows, "metadata": {"billableCharacterCount": characters}}
        usage = Usage(ask.input_tokens, 0)
        return Script(200, headers, (Frame(json.body(body), "body"),), usage=usage)

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal; a prompt or picture that the filter stopped is a 400."""
        if problem.kind in ("moderation", "content_filter", "moderation_blocked"):
            problem = Problem("invalid_request", problem.message or FILTERED, headers=problem.headers)
        return super().error(problem, serving)


# --- pictures ---------------------------------------------------------------------------------------------------------


def _pictures_asked(ask: Ask, profile: Profile) -> None:
    given, facts = ask.body["parameters"], profile.facts
    if len(ask.body["texts"]) > 1:
        raise refuse("Request must contain exactly one instance.")
    count = given.get("sampleCount", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= facts["samples"]:
        raise refuse(f"sampleCount must be a whole number from 1 to {facts['samples']}.")
    if given.get("aspectRatio", "1:1") not in facts["aspects"]:
        raise refuse(f"Aspect ratio must be one of {', '.join(facts['aspects'])}.")
    if str(given.get("sampleImageSize", "1K")).upper() not in facts["sizes"]:
        raise refuse(f"Image size must be one of {', '.join(facts['sizes'])}.")
    options = given.get("outputOptions", {})
    mime = options.get("mimeType", "image/png") if isinstance(options, dict) else None
    if not isinstance(mime, str) or mime not in MIMES:
        raise refuse(f"Output MIME type must be one of {', '.join(MIMES)}.")
    quality, seed = options.get("compressionQuality", 75), given.get("seed", 1)
    if isinstance(quality, bool) or not isinstance(quality, int) or not 0 <= quality <= 100:
        raise refuse("Compression quality must be a whole number from 0 to 100.")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise refuse("Seed must be a whole number from 0 to 4294967295.")


def _picture(ask: Ask, profile: Profile, serving: Serving, sample: int) -> dict[str, Any]:
    given = ask.body["parameters"]
    options = given.get("outputOptions", {})
    mime = options.get("mimeType", "image/png")
    factor = profile.facts["sizes"][str(given.get("sampleImageSize", "1K")).upper()] // SQUARE
    width, height = (factor * side for side in _SIDES[given.get("aspectRatio", "1:1")])
    seed = given.get("seed", draws.integer("imagen", serving.seed) >> 96) + sample
    quality = options.get("compressionQuality") if mime == "image/jpeg" else None
    data = picture(caption(ask.body["texts"][0]), width, height, MIMES[mime], seed, quality)
    return {"mimeType": mime, "bytesBase64Encoded": b64encode(data).decode()}


# --- vectors ----------------------------------------------------------------------------------------------------------


def _vectors_asked(ask: Ask, profile: Profile) -> None:
    given, facts = ask.body["parameters"], profile.facts
    if len(ask.body["texts"]) > facts["instances"]:
        raise refuse(f"At most {facts['instances']} instances can be in one request.")
    asked, most = given.get("outputDimensionality"), facts["dimensions"]
    if asked is not None and (isinstance(asked, bool) or not isinstance(asked, int) or not 1 <= asked <= most):
        raise refuse(f"Output dimensionality must be a whole number from 1 to {most}.")
    longest = max(ask.body["counts"])
    if given.get("autoTruncate") is False and longest > facts["context_tokens"]:
        due = facts["context_tokens"]
        raise refuse(f"The input token count is {longest} but the model supports up to {due}.")


def _vector(ask: Ask, profile: Profile, at: int) -> dict[str, Any]:
    count, most, full = ask.body["counts"][at], profile.facts["context_tokens"], profile.facts["dimensions"]
    task = ask.body["instances"][at].get("task_type")
    said = f"{task if isinstance(task, str) else ''} {ask.body['texts'][at]}".strip()
    values = vectors.vector(said, ask.body["parameters"].get("outputDimensionality") or full, full)
    statistics = {"token_count": min(count, most), "truncated": count > most}
    return {"embeddings": {"statistics": statistics, "values": list(values)}}
