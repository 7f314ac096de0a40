"""Gemini dialect: generateContent, streamGenerateContent, countTokens, embedContent and batchEmbedContents of a model,
and the list of models, as Google AI Studio serves them under /v1beta and Vertex AI under the path of a project.

Byte facts, from recorded replies: a JSON body is indented by two and ends with a newline; a stream is SSE with CRLF
(`alt=sse`), or one JSON array; there is no request id, and no header tells a limit. What differs on Vertex are facts of
its row of `fleet.yaml`: `auth`, `errors`, `request_fields`, `count_request` and those of replies and usage. An error
comes in the form that the stream would have had: under the type of SSE, or as an element of the array.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, ClassVar
from urllib.parse import unquote

from simulator.answers.answer import Answer, Block
from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.gemini import embeddings, json, native, problems, replies, rules
from simulator.dialects.gemini import headers as gemini_headers
from simulator.dialects.gemini import models as gemini_models
from simulator.dialects.gemini import request as gemini_request
from simulator.dialects.gemini.request import Body, query_of
from simulator.problem import Problem, Refused
from simulator.script import Frame, Script


class GeminiGenerate:
    """The wire of Google's own models."""

    name: ClassVar[str] = "gemini_generate"
    root: ClassVar[str] = "/v1beta"
    nonces: ClassVar[str] = "letters"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/models/{model}:generateContent"): "generate",
        ("POST", "/models/{model}:streamGenerateContent"): "generate",
        ("POST", "/models/{model}:countTokens"): "count_tokens",
        ("POST", "/models/{model}:embedContent"): "embed",
        ("POST", "/models/{model}:batchEmbedContents"): "batch_embed",
        ("GET", "/models"): "list_models",
        ("GET", "/models/{model}"): "list_models",
    }
    natives: ClassVar[Mapping[str, Callable[[Ask, Random], tuple[Block, ...]]]] = native.NATIVES

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a key: in `x-goog-api-key`, in `?key=`, or as a Bearer token.

        With the fact `auth: bearer` only the token is looked at.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        if request.facts.get("auth") == "bearer":
            if not bearer:
                raise Refused(Problem("missing_token"))
        else:
            key = request.headers.get("x-goog-api-key") or query_of(request.query, "key")
            if key and key not in keys:
                raise Refused(Problem("invalid_key"))
            if key:
                return
            if not bearer:
                raise Refused(Problem("missing_key"))
        if bearer not in keys:
            raise Refused(Problem("authentication"))

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request. A single model is asked for by its id in `Ask.model`."""
        if operation == "list_models":
            return Ask(operation, model=unquote(request.params.get("model", "")))
        return gemini_request.decode(request, operation)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take, and for thoughts that this fleet did not sign."""
        rules.check(ask, profile)

    def reply(self, answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> Script:
        """The answer as one JSON object, as events, or as a JSON array that grows."""
        if not ask.stream:
            headers = gemini_headers.answer(answer.usage, serving, gemini_headers.JSON)
            return Script(200, headers, (replies.whole(answer, ask, profile, serving),))
        array = _array(serving)
        kind = gemini_headers.JSON if array else gemini_headers.SSE
        frames = replies.stream(answer, ask, profile, serving, array=array)
        return Script(200, gemini_headers.answer(answer.usage, serving, kind), frames, stream=True)

    def count(self, ask: Ask, profile: Profile, serving: Serving) -> Script:
        """How many tokens a prompt is, by modality."""
        out: dict[str, Any] = {"totalTokens": ask.input_tokens}
        count = ask.body.count if isinstance(ask.body, Body) else None
        if profile.has("billable_characters") and count:
            out["totalBillableCharacters"] = count.characters
        if count and ask.body.get("cachedContent"):
            out["cachedContentTokenCount"] = count.cached
        out["promptTokensDetails"] = [{"modality": m, "tokenCount": n} for m, n in (count.details if count else ())]
        return Script(200, gemini_headers.plain(serving), (Frame(json.body(out), "body"),))

    def models(self, snapshots: Mapping[str, str], serving: Serving, model: str = "") -> Script:
        """A page of the list of models, or the one called `model`."""
        names = {**{name: name for name in snapshots.values()}, **snapshots}
        try:
            if model and model not in names:
                raise Refused(Problem("unknown_model", param=model))
            if model:
                body = gemini_models.row(self.name, model, serving)
            else:
                body = gemini_models.page(self.name, names, serving)
        except Refused as refused:
            return self.error(refused.problem, serving)
        return Script(200, gemini_headers.plain(serving), (Frame(json.body(body), "body"),))

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """Embeddings."""
        if profile is None:
            return self.error(Problem("not_found", param=ask.operation), serving)
        return embeddings.reply(ask, profile, gemini_headers.plain(serving))

    def resume(self, ask: Ask, kept: Kept) -> Ask:  # noqa: ARG002
        """Nothing is kept on this wire."""
        return ask

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal: a google.rpc.Status, or the front end's page."""
        status = problems.native(problem, serving).status
        page = problems.html(problem, serving)
        if page is not None:
            headers = gemini_headers.error(problem, serving, "text/html; charset=UTF-8")
            return Script(status, headers, (Frame(page, "body"),))
        told = problems.error(problem, serving)
        streams = serving.path.endswith(gemini_request.STREAM)
        kind = gemini_headers.SSE if streams and not _array(serving) else gemini_headers.JSON
        data = json.body([told] if _array(serving) else told)
        return Script(status, gemini_headers.error(problem, serving, kind), (Frame(data, "body"),))

    def error_frame(self, problem: Problem, serving: Serving) -> bytes:
        """The same object as an event, or as the only element of the array."""
        told = problems.error(problem, serving)
        if _array(serving):
            return b"[" + json.indented(told) + b"\r\n]"
        return b"data: " + json.spaced(told) + b"\r\n\r\n"

    def error_after(self, sent: Sequence[Frame], problem: Problem, serving: Serving) -> bytes:
        """The same once some frames were sent: of the array, the last element."""
        data = self.error_frame(problem, serving)
        return b"\r\n,\r\n" + data.removeprefix(b"[") if sent and _array(serving) else data


def _array(serving: Serving) -> bool:
    """Whether a stream is asked for as a JSON array: the method streams and `alt` does not say `sse`."""
    return serving.path.endswith(gemini_request.STREAM) and query_of(serving.query, "alt") != "sse"
