"""Bodies under the name of another type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import EVENT_STREAM, is_sse, with_headers, without_header
from simulator.problem import Problem
from simulator.script import Script

ABOUT = "the kind of problem, in the fleet's words, unless the request is refused anyway"


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class WrongContentType(Fault):
    """Name another content type than the body has."""

    kind: ClassVar[str] = "wrong_content_type"
    still: ClassVar[bool] = True
    content_type: str = options.text("text/plain; charset=utf-8", header=True, about="what the head says")

    def script(self, script: Script, _: Scene) -> Script:
        return with_headers(script, ("content-type", self.content_type))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class SseWrongContentType(Fault):
    """Stream under another content type, or under none. JSON is left alone."""

    kind: ClassVar[str] = "sse_wrong_content_type"
    seen_at: ClassVar[str] = "https://github.com/Wei-Shaw/sub2api/issues/2826"
    still: ClassVar[bool] = True
    content_type: str = options.text("application/json", header=True, about='what the head says; "": no content type')

    def script(self, script: Script, _: Scene) -> Script:
        if not is_sse(script):
            return script
        if not self.content_type:
            return without_header(script, "content-type")
        return with_headers(script, ("content-type", self.content_type))


@dataclass(frozen=True, slots=True, kw_only=True)
class _ErrorAs(Fault):
    """Refuse in the provider's words, under another content type."""

    content_type: ClassVar[str]
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        if script.stream or script.status < 400:
            return script
        return with_headers(script, ("content-type", self.content_type))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class JsonErrorAsEventStream(_ErrorAs):
    """Refuse with a JSON error whose content type is that of a stream."""

    kind: ClassVar[str] = "json_error_as_event_stream"
    seen_at: ClassVar[str] = "new-api; https://github.com/QuantumNous/new-api/pull/1178"
    content_type: ClassVar[str] = EVENT_STREAM
    error: str = options.text("server_error", about=ABOUT)

    def problem(self, _: Scene) -> Problem:
        return Problem(self.error)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class JsonAsOctetStream(_ErrorAs):
    """Refuse with a JSON error whose content type is `application/octet-stream`."""

    kind: ClassVar[str] = "json_as_octet_stream"
    seen_at: ClassVar[str] = "DeepSeek"
    content_type: ClassVar[str] = "application/octet-stream"
    error: str = options.text("invalid_request", about=ABOUT)

    def problem(self, _: Scene) -> Problem:
        return Problem(self.error)
