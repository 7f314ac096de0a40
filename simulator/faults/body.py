"""Bodies that are not what the head promised."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import cut_index, payload_span
from simulator.script import Frame, Script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedBody(Fault):
    """Break the JSON: the last third of a JSON body, or of one event's payload, is missing. HTTP itself is sound."""

    kind: ClassVar[str] = "malformed_body"
    quirk: ClassVar[str] = "broken-json-frame"
    seen_at: ClassVar[str] = "https://github.com/BerriAI/litellm/issues/40404"
    after_frames: int = options.whole(1, about="in a stream: content frames before the broken one; the rest is sound")

    def script(self, script: Script, _: Scene) -> Script:
        if not script.frames:
            return script
        if not script.stream:
            whole = b"".join(frame.data for frame in script.frames)
            first = script.frames[0]
            return replace(script, frames=(first._replace(data=whole[: len(whole) * 2 // 3], tokens=0, text_bytes=0),))
        at = min(cut_index(script, self.after_frames), len(script.frames) - 1)
        return replace(script, frames=(*script.frames[:at], _broken(script.frames[at]), *script.frames[at + 1 :]))


def _broken(frame: Frame) -> Frame:
    span = payload_span(frame.data)
    if span is None:
        return frame
    begin, end = span
    keep = begin + (end - begin) * 2 // 3
    return frame._replace(data=frame.data[:keep] + frame.data[end:], tokens=0, text_bytes=0)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyBody(Fault):
    """Send the head and a body of no bytes, properly ended."""

    kind: ClassVar[str] = "empty_body"
    seen_at: ClassVar[str] = "synthetic"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return replace(script, frames=())


PAGE = """<html>
<head><title>{status} {phrase}</title></head>
<body>
<center><h1>{status} {phrase}</h1></center>
<hr><center>nginx</center>
</body>
</html>
"""


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlBody(Fault):
    """Answer with an HTML page, as a proxy before the provider does."""

    kind: ClassVar[str] = "html_body"
    still: ClassVar[bool] = True
    status: int = options.whole(502, low=200, high=599, about="the HTTP status; 200 is a login or challenge page")

    def script(self, script: Script, _: Scene) -> Script:
        data = PAGE.format(status=self.status, phrase=phrase(self.status)).encode()
        due_ms = script.head_due_ms or 0.0
        headers = (("server", "nginx"), ("content-type", "text/html"))
        return Script(self.status, headers, (Frame(data, "body", due_ms=due_ms),), head_due_ms=script.head_due_ms)


def phrase(status: int) -> str:
    """The standard's words for a status; none for a private one."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
