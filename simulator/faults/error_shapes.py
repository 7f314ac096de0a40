"""Refusals in the right status and another form than the wire's own; error events in streams as well."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

import orjson

from simulator.faults import options, payloads
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.payloads import Event, Json
from simulator.problem import Problem
from simulator.script import Script

GLM: Final = {400: "1210", 401: "1002", 402: "1113", 403: "1220", 404: "1211", 429: "1302", 500: "500"}
VLLM: Final = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError", 429: "RateLimitError"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshaped(Fault):
    """A refusal in another form: what the kinds below share."""

    still: ClassVar[bool] = True
    refuse: str = options.one_of(
        "always", ("always", "never"), about="always: refuse every request; never: only change what is refused anyway"
    )
    status: int = options.whole(429, low=400, high=599, about="the HTTP status of that refusal")

    def problem(self, _: Scene) -> Problem | None:
        return Problem("status", status=self.status) if self.refuse == "always" else None

    def script(self, script: Script, _: Scene) -> Script:
        told = payloads.events(script)
        status = script.status if script.status >= 400 else 500
        for event in told:
            if event.json is not None and isinstance(event.json.get("error"), dict):
                self.reshape(event, event.json, status)
        return payloads.written(script, told)

    @abstractmethod
    def reshape(self, event: Event, found: Json, status: int) -> None:
        """Change an event whose object has an `error`."""


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCodeTypes(Reshaped):
    """Let `error.code` be a text, a number, null, or a number as a text."""

    kind: ClassVar[str] = "error_code_types"
    seen_at: ClassVar[str] = 'OpenAI (text, null), OpenRouter (429), GLM ("1302")'
    form: str = options.one_of("number", ("text", "number", "null", "numeric_text"), about="what the code is")
    code: str | None = options.text(None, about="the text, or the number as a text, in place of the usual one")

    def reshape(self, event: Event, found: Json, status: int) -> None:
        error = found["error"]
        texts = {
            "text": self.code or error.get("code") or error.get("type") or "error",
            "number": int(self.code) if self.code and self.code.isdecimal() else status,
            "numeric_text": self.code or GLM.get(status, str(status)),
        }
        code = texts.get(self.form)
        if "code" not in error or error["code"] != code or type(error["code"]) is not type(code):
            error["code"] = code
            event.put()


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAsArray(Reshaped):
    """Wrap the error in an array of one."""

    kind: ClassVar[str] = "error_as_array"
    seen_at: ClassVar[str] = "Gemini without `alt=sse`; https://github.com/google-gemini/gemini-cli/issues/6454"

    def reshape(self, event: Event, found: Json, status: int) -> None:  # noqa: ARG002
        event.put([found])


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorJsonInString(Reshaped):
    """Say the whole error as a text of JSON in the message of another one, of Google's form or the wire's own."""

    kind: ClassVar[str] = "error_json_in_string"
    seen_at: ClassVar[str] = "Claude behind Vertex proxies; https://github.com/lbjlaq/Antigravity-Manager/issues/498"
    status: int = options.whole(400, low=400, high=599, about="the HTTP status of that refusal")
    outer: str = options.one_of("google", ("google", "native"), about="the form of the error around it")

    def reshape(self, event: Event, found: Json, status: int) -> None:
        text = orjson.dumps(found).decode()
        if self.outer == "native":
            event.put(found | {"error": found["error"] | {"message": text}})
        else:
            event.put({"error": {"code": status, "message": text, "status": "INVALID_ARGUMENT"}})


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorNoWrapper(Reshaped):
    """Say the error without an `error` around it: `{"object":"error","message":…}`."""

    kind: ClassVar[str] = "error_no_wrapper"
    seen_at: ClassVar[str] = "old vLLM; https://github.com/modelscope/ms-agent/issues/489"
    status: int = options.whole(400, low=400, high=599, about="the HTTP status of that refusal")

    def reshape(self, event: Event, found: Json, status: int) -> None:
        message = found["error"].get("message")
        kind = VLLM.get(status, "InternalServerError" if status >= 500 else "BadRequestError")
        event.put({"object": "error", "message": message, "type": kind, "param": None, "code": status})
