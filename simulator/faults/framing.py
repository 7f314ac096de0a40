"""How the events of a stream are written in lines: legal variants of SSE, and what a strict reader would refuse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import LINE_END, is_sse, line_end, payload_span, rewrite, with_frames
from simulator.script import Frame, Script

SPACE_AFTER_FIELD = re.compile(rb"^(data|event|id|retry): ", re.MULTILINE)
EVENT_LINE = re.compile(rb"^event:[^\r\n]*(?:\r\n|\r|\n)", re.MULTILINE)
EVENT_THEN_DATA = re.compile(rb"^(event:[^\r\n]*(?:\r\n|\r|\n))(data:[^\r\n]*(?:\r\n|\r|\n))", re.MULTILINE)
BLANK_LINE = re.compile(rb"(\r\n|\r|\n)(?:\r\n|\r|\n)\Z")
BOM = b"\xef\xbb\xbf"


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Crlf(Fault):
    """End every line with CR LF."""

    kind: ClassVar[str] = "crlf"
    quirk: ClassVar[str] = "crlf-line-endings"
    seen_at: ClassVar[str] = "Gemini; https://github.com/miruamel/xuan/issues/194"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return rewrite(script, lambda data: LINE_END.sub(b"\r\n", data))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class CrOnly(Fault):
    """End every line with a lone CR."""

    kind: ClassVar[str] = "cr_only"
    quirk: ClassVar[str] = "cr-only-line-endings"
    seen_at: ClassVar[str] = "synthetic, legal SSE; https://github.com/whatwg/html/issues/4411"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return rewrite(script, lambda data: LINE_END.sub(b"\r", data))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class SingleNewline(Fault):
    """Part the events by one line end in place of two."""

    kind: ClassVar[str] = "single_newline"
    quirk: ClassVar[str] = "single-newline-separator"
    seen_at: ClassVar[str] = "some ChatGLM2 servers; https://github.com/songquanpeng/one-api/issues/277"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return rewrite(script, lambda data: BLANK_LINE.sub(rb"\1", data))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class DataNoSpace(Fault):
    """Leave out the space after `data:` and `event:`."""

    kind: ClassVar[str] = "data_no_space"
    seen_at: ClassVar[str] = (
        "LongCat, Kimi Code, Ant Bailing, Spring servers; https://github.com/openai/openai-python/issues/498"
    )
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return rewrite(script, lambda data: SPACE_AFTER_FIELD.sub(rb"\1:", data))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class DataBeforeEvent(Fault):
    """Put each event's `data:` line before its `event:` line. No effect on a wire without `event:` lines."""

    kind: ClassVar[str] = "data_before_event"
    seen_at: ClassVar[str] = "Bedrock Mantle (Responses)"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return rewrite(script, lambda data: EVENT_THEN_DATA.sub(rb"\2\1", data))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class NoEventLines(Fault):
    """Leave out the `event:` lines. No effect on a wire without them."""

    kind: ClassVar[str] = "no_event_lines"
    quirk: ClassVar[str] = "responses-no-event-lines"
    seen_at: ClassVar[str] = "OpenRouter; https://github.com/ranxianglei/billion-context/issues/549"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return rewrite(script, lambda data: EVENT_LINE.sub(b"", data))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class IdRetryFields(Fault):
    """Give each event an `id:` line, and the first one a `retry:` line."""

    kind: ClassVar[str] = "id_retry_fields"
    seen_at: ClassVar[str] = "synthetic"
    still: ClassVar[bool] = True
    retry_ms: int = options.whole(3000, about="what the `retry:` line says")

    def script(self, script: Script, _: Scene) -> Script:
        if not is_sse(script):
            return script
        frames: list[Frame] = []
        number, end = 0, line_end(script)
        for frame in script.frames:
            if payload_span(frame.data) is not None:
                number += 1
                retry = b"retry: %d%b" % (self.retry_ms, end) if number == 1 else b""
                frame = frame.but(b"%bid: %d%b%b" % (retry, number, end, frame.data))
            frames.append(frame)
        return with_frames(script, frames)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class UnterminatedLastFrame(Fault):
    """End the stream without the blank line after the last event."""

    kind: ClassVar[str] = "unterminated_last_frame"
    seen_at: ClassVar[str] = "https://github.com/lathe-cli/lathe/issues/131"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        if not is_sse(script):
            return script
        last = script.frames[-1]
        return with_frames(script, (*script.frames[:-1], last.but(last.data.rstrip(b"\r\n"))))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Bom(Fault):
    """Begin the stream with a byte order mark."""

    kind: ClassVar[str] = "bom"
    quirk: ClassVar[str] = "bom-prefix"
    seen_at: ClassVar[str] = "synthetic; https://github.com/elizaOS/eliza/issues/19260"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        if not is_sse(script):
            return script
        first = script.frames[0]
        return with_frames(script, (first.but(BOM + first.data), *script.frames[1:]))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class MultiLineData(Fault):
    """Spread each event's JSON over several `data:` lines."""

    kind: ClassVar[str] = "multi_line_data"
    seen_at: ClassVar[str] = "synthetic, legal SSE"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return rewrite(script, partial(_in_lines, line_end(script))) if is_sse(script) else script


def _in_lines(end_of_line: bytes, data: bytes) -> bytes:
    span = payload_span(data)
    if span is None:
        return data
    begin, end = span
    payload = data[begin:end]
    if not (payload.startswith(b"{") and payload.endswith(b"}") and len(payload) > 2):
        return data
    return b"".join((data[:begin], b"{", end_of_line, b"data: ", payload[1:-1], end_of_line, b"data: }", data[end:]))
