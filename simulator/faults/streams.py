"""What several faults need to know of a script: where its content is, and how its SSE text is taken apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from simulator.script import Frame, Script

LINE_END = re.compile(rb"\r\n|\r|\n")
DATA_LINE = re.compile(rb"^data:[ ]?([^\r\n]*)", re.MULTILINE)
EVENT_STREAM = "text/event-stream"
SSE_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":", b"\xef\xbb\xbf")  # how its first line may begin
PART = "part"  # the kind of a frame's bytes but for the last


class Coded(bytes):
    """A frame's bytes in a content coding; `plain` is what they were before."""

    plain: bytes

    @classmethod
    def of(cls, data: bytes, plain: bytes) -> Coded:
        """These bytes, coded from those."""
        coded = cls(data)
        coded.plain = plain
        return coded


def tail(data: bytes, begin: int) -> bytes:
    """The rest of a frame's bytes, with which it says what it says."""
    rest = data[begin:]
    return Coded.of(rest, data.plain) if isinstance(data, Coded) else rest


def is_content(frame: Frame) -> bool:
    """Whether a frame counts in `after_frames`."""
    return frame.kind == "delta"


def cut_index(script: Script, after_frames: int) -> int:
    """How many frames leave, so that `after_frames` content frames are among them; all when there are fewer."""
    if after_frames == 0:
        return 0
    seen = 0
    for index, frame in enumerate(script.frames):
        seen += is_content(frame)
        if seen == after_frames:
            return index + 1
    return len(script.frames)


def body_length(script: Script) -> int:
    """Bytes of the whole body."""
    return sum(len(frame.data) for frame in script.frames)


def split_bytes(frames: Iterable[Frame], limit: int) -> tuple[tuple[Frame, ...], tuple[Frame, ...]]:
    """The frames up to `limit` bytes and the rest; what a frame in both says is delivered with its second part."""
    before: list[Frame] = []
    after: list[Frame] = []
    for frame in frames:
        if len(frame.data) <= limit:
            before.append(frame)
        elif limit <= 0:
            after.append(frame)
        else:
            before.append(Frame(frame.data[:limit], PART, due_ms=frame.due_ms, alone=frame.alone))
            after.append(frame.but(tail(frame.data, limit)))
        limit -= len(frame.data)
    return tuple(before), tuple(after)


def is_sse(script: Script) -> bool:
    """Whether a reply is an event stream that can still be read: not JSON in pieces, and not compressed."""
    return script.stream and bool(script.frames) and script.frames[0].data.startswith(SSE_STARTS)


def line_end(script: Script) -> bytes:
    """What ends the lines of an event stream."""
    first = script.frames[0].data
    return b"\r\n" if first.endswith(b"\r\n") else b"\r" if first.endswith(b"\r") else b"\n"


def with_frames(script: Script, frames: Iterable[Frame]) -> Script:
    """The script with these frames; itself when they are the ones it has."""
    found = tuple(frames)
    return script if found == script.frames else replace(script, frames=found)


def rewrite(script: Script, change: Callable[[bytes], bytes]) -> Script:
    """Every SSE frame's bytes changed; a reply that is no stream stays as it is."""
    if not is_sse(script):
        return script
    return with_frames(script, (frame.but(change(frame.data)) for frame in script.frames))


def with_headers(script: Script, *pairs: tuple[str, str]) -> Script:
    """The script with these headers in place of its own of the same names."""
    names = {name for name, _ in pairs}
    kept = tuple(pair for pair in script.headers if pair[0] not in names)
    return replace(script, headers=(*kept, *pairs))


def without_header(script: Script, name: str) -> Script:
    """The script without this header."""
    return replace(script, headers=tuple(pair for pair in script.headers if pair[0] != name))


def payload_span(data: bytes) -> tuple[int, int] | None:
    """Where the JSON of a frame's first `data:` line begins and ends; None when it has none."""
    at = 0 if data.startswith(b"data:") else data.find(b"\ndata:") + 1
    if not data.startswith(b"data:", at):
        return None
    begin = at + len(b"data:")
    begin += data[begin : begin + 1] == b" "
    end = LINE_END.search(data, begin)
    return begin, end.start() if end else len(data)


def payload(data: bytes) -> bytes:
    """What an event's `data:` lines say together; nothing when it has none."""
    return b"\n".join(DATA_LINE.findall(data))


def before_last_brace(data: bytes, added: bytes) -> bytes:
    """A frame with bytes added at the end of its JSON object; a frame without one as it is."""
    span = payload_span(data)
    if span is None or data[span[1] - 1 : span[1]] != b"}" or span[1] - span[0] <= len(b"{}"):
        return data
    at = span[1] - 1
    return data[:at] + added + data[at:]
