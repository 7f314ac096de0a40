"""HF Inference dialect: POST /hf-inference/models/{owner}/{name}; what goes in and comes out is the model's `task`.

`text-generation` answers in words, as Text Generation Inference does (`inputs`), or on the chat wire where `messages`
came; `text-to-image`, `text-to-speech`, `automatic-speech-recognition` and `document-question-answering` are performed.
Sources: recorded replies (the stream of tokens, an answer about a document, a model that is none) and Hugging Face's
documentation of the tasks. Nothing is downloaded. Sentences of refusals besides the recorded one are not confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from simulator.answers import tokens
from simulator.answers.answer import Answer
from simulator.ask import Ask, Request, Turn
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.huggingface import generation, tasks
from simulator.dialects.openai.audio_request import ANY_FILE_HEADER
from simulator.dialects.openai.chat import OpenAIChat
from simulator.dialects.openai.problems import refuse
from simulator.dialects.openai.request import parsed
from simulator.models import facts as models
from simulator.problem import Problem, Refused
from simulator.script import Script

WORDS: Final = "text-generation"
BARE: Final = ("automatic-speech-recognition",)  # tasks whose input is a file, sent as it is
NEW_TOKENS: Final = (1, 4096)


class HFInference(OpenAIChat):
    """The wire of tasks."""

    name: ClassVar[str] = "hf_inference"
    root: ClassVar[str] = "/hf-inference/models/{owner}/{name}"
    nonces: ClassVar[str] = "letters"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {("POST", ""): "infer"}

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request. Which task the model has decides how."""
        model = f"{request.params['owner']}/{request.params['name']}"
        profile = models.profile("", self.name, model, request.facts)
        if profile is None:
            raise Refused(Problem("unknown_model", param=model))
        task: str = profile.facts["task"]
        any_file = request.headers.get(ANY_FILE_HEADER) == "any"
        is_json = request.headers.get("content-type", "").partition(";")[0].strip() in ("", "application/json")
        if task in BARE and not (is_json and request.body[:1] == b"{"):
            return Ask(operation, model, body={"data": request.body, "any_file": any_file, "parameters": {}})
        body = parsed(request.body)
        if task == WORDS and "messages" in body:
            return super().decode(request, "generate")
        parameters = {} if body.get("parameters") is None else body["parameters"]
        if not isinstance(parameters, dict):
            raise refuse("parameters must be an object", "parameters", "invalid_type")
        read = body | {"parameters": parameters, "any_file": any_file}
        return _words(read, model) if task == WORDS else tasks.asked(read, model, task, operation)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what the model does not take."""
        if ask.operation == "generate" and "messages" in ask.body:
            super().check(ask, profile)
        elif ask.operation != "generate":
            tasks.check(ask, profile)

    def reply(self, answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> Script:
        """The answer in words."""
        if "messages" in ask.body:
            return super().reply(answer, ask, profile, serving)
        return generation.reply(answer, ask)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """What the other tasks give."""
        if profile is None:
            return self.error(Problem("unknown_model", param=ask.model), serving)
        return tasks.PERFORMED[profile.facts["task"]](ask, serving)


def _words(body: Mapping[str, Any], model: str) -> Ask:
    """A prompt to go on from."""
    inputs, parameters = body.get("inputs"), body["parameters"]
    if not isinstance(inputs, str) or not inputs:
        raise refuse("inputs must be a text that is not empty", "inputs", "invalid_type")
    most = parameters.get("max_new_tokens")
    if most is not None and (type(most) is not int or not NEW_TOKENS[0] <= most <= NEW_TOKENS[1]):
        raise refuse(f"max_new_tokens must be from {NEW_TOKENS[0]} to {NEW_TOKENS[1]}", "max_new_tokens")
    stop = parameters.get("stop") or []
    if not isinstance(stop, list) or not all(isinstance(word, str) and word for word in stop):
        raise refuse("stop must be a list of texts", "stop", "invalid_type")
    stream = body.get("stream") is True
    count = tokens.count(inputs)
    turns = (Turn("user", inputs),)
    return Ask("generate", model, turns, stream, most, tuple(stop), input_tokens=count, body=body)
