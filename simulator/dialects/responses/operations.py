"""OpenAI Responses dialect: POST /v1/responses, what can be asked of a kept response, input_tokens and compact.

Byte facts, from recorded replies: JSON is indented by two and has no final newline; a stream has an `event:` line for
every event, numbers them without a gap and ends without `[DONE]`. Keys, headers and refusals are Chat Completions' but
for what `responses.problems` says. Facts of the profile beside those of that wire are told in `responses.object` and
`responses.items`; `always_stream` makes every answer a stream, whatever was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import ClassVar

from simulator.answers.answer import Answer, Block
from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.openai import headers as openai_headers
from simulator.dialects.openai.chat import OpenAIChat
from simulator.dialects.responses import items as responses_items
from simulator.dialects.responses import native, object, problems, rules, state
from simulator.dialects.responses import request as responses_request
from simulator.dialects.responses import stream as responses_stream
from simulator.dialects.responses.object import Responses
from simulator.problem import Problem, Refused
from simulator.script import Frame, Script

_CHAT = OpenAIChat()


class OpenAIResponses:
    """The Responses wire."""

    name: ClassVar[str] = "openai_responses"
    root: ClassVar[str] = "/v1"
    nonces: ClassVar[str] = "hex"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/responses"): "generate",
        ("POST", "/responses/input_tokens"): "count_tokens",
        ("POST", "/responses/compact"): "compact",
        ("GET", "/responses/{id}"): "retrieve",
        ("DELETE", "/responses/{id}"): "delete",
        ("POST", "/responses/{id}/cancel"): "cancel",
        ("GET", "/responses/{id}/input_items"): "input_items",
    }
    natives: ClassVar[Mapping[str, Callable[[Ask, Random], tuple[Block, ...]]]] = native.NATIVES

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """As Chat Completions: raise Refused unless one of `keys` is borne."""
        _CHAT.authenticate(request, keys)

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        return responses_request.decode(request, operation)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        rules.check(ask, profile)

    def reply(self, answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> Script:
        """The answer as one object or as events; of one in the background, at first only that it is queued."""
        streams = ask.stream or profile.has("always_stream")
        items = responses_items.written(answer, ask, profile, serving)
        response = Responses(answer, ask, profile, serving, items)
        headers = openai_headers.answer(answer.usage, profile, serving, streams)
        done_s = state.completed_s(ask, answer.usage.output_tokens, serving.now_s)
        if streams:
            frames = responses_stream.stream(response, items, ask, profile, serving, done_s)
            return Script(200, headers, frames, stream=True)
        if state.is_background(ask):
            data = object.written(response.as_of("queued"), profile.facts)
            return Script(200, headers, (Frame(data, "body"),))
        data = object.written(response.as_of(object.status_of(answer), done_s), profile.facts)
        tokens = sum(item.tokens + sum(map(len, item.pieces)) - item.free for item in items)
        return Script(200, headers, (Frame(data, "body", tokens, sum(item.text_bytes for item in items)),))

    def count(self, ask: Ask, profile: Profile, serving: Serving) -> Script:
        """How many input tokens a request would cost."""
        counted = {"object": "response.input_tokens", "input_tokens": ask.input_tokens}
        frames = (Frame(object.written(counted, profile.facts), "body"),)
        return Script(200, state.plain_headers(serving), frames)

    def models(self, snapshots: Mapping[str, str], serving: Serving, model: str = "") -> Script:
        """As Chat Completions."""
        return _CHAT.models(snapshots, serving, model)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """What is asked of a kept response, and the compaction of a conversation."""
        try:
            if ask.operation == "compact" and profile is not None:
                return state.compact(ask, profile, serving)
            if kept is not None and ask.operation in state.PERFORMED:
                return state.PERFORMED[ask.operation](ask, serving, kept)
        except Refused as refused:
            return self.error(refused.problem, serving)
        return self.error(Problem("not_found", param=ask.operation), serving)

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request with the conversation so far, of which the instructions are not part."""
        earlier = state.resume(ask, kept)
        return responses_request.resumed(ask, earlier) if ask.model else ask

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal: native status, body and headers. Other vendors refuse as they do on Chat Completions."""
        own = problem.kind == "not_kept" or "errors" not in serving.facts
        return _CHAT.error(problems.told(problem) if own else problem, serving)

    def error_frame(self, problem: Problem, serving: Serving) -> bytes:  # noqa: ARG002 (the wire names no id there)
        """The refusal as an `error` event, nested as the real ones are."""
        return problems.frame(problem)

    def error_after(self, sent: Sequence[Frame], problem: Problem, serving: Serving) -> bytes:  # noqa: ARG002
        """The refusal as the events that follow those that were sent: `error`, then `response.failed`."""
        return problems.frames_after([frame.data for frame in sent], problem)
