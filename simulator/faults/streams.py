"""What several faults need to know of a script: where its content is, and how its SSE text is taken apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from simulator.script import Ending, Frame, Script

LINE_END = re.compile(rb"\r\n|\r|\n")


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


def stop_after(script: Script, ending: Ending, after_frames: int, after_bytes: int | None = None) -> Script:
    """The same reply, ending early. A JSON body is cut in its middle by any `after_frames` above 0."""
    headers = script.headers
    if not script.stream:
        if not any(name == "content-length" for name, _ in headers):
            headers = (*headers, ("content-length", str(body_length(script))))
        if after_bytes is None:
            after_bytes = body_length(script) // 2 if after_frames else 0
    if after_bytes is not None:
        frames = first_bytes(script.frames, after_bytes)
    else:
        frames = script.frames[: cut_index(script, after_frames)]
    return replace(script, headers=headers, frames=frames, ending=ending)


def silent(script: Script, ending: Ending) -> Script:
    """Not one byte, and the ending when the head would have left."""
    due_ms = script.head_due_ms or 0.0
    frames = (Frame(b"", "ping", due_ms=due_ms),) if due_ms else ()
    return replace(script, frames=frames, ending=ending, head_due_ms=None)


def first_bytes(frames: tuple[Frame, ...], limit: int) -> tuple[Frame, ...]:
    """The frames up to `limit` bytes, the last one cut; what a cut frame said does not count as delivered."""
    out: list[Frame] = []
    for frame in frames:
        if limit <= 0:
            break
        if len(frame.data) > limit:
            out.append(frame._replace(data=frame.data[:limit], tokens=0, text_bytes=0))
        else:
            out.append(frame)
        limit -= len(frame.data)
    return tuple(out)


def rewrite(script: Script, change: Callable[[bytes], bytes]) -> Script:
    """Every SSE frame's bytes changed; a reply that is no stream stays as it is."""
    if not script.stream:
        return script
    return replace(script, frames=tuple(frame.but(change(frame.data)) for frame in script.frames))


def with_headers(script: Script, *pairs: tuple[str, str]) -> Script:
    """The script with these headers in place of its own of the same names."""
    names = {name for name, _ in pairs}
    kept = tuple(pair for pair in script.headers if pair[0] not in names)
    return replace(script, headers=(*kept, *pairs))


def payload_span(data: bytes) -> tuple[int, int] | None:
    """Where the JSON of a frame's first `data:` line begins and ends; None when it has none."""
    at = 0 if data.startswith(b"data:") else data.find(b"\ndata:") + 1
    if not data.startswith(b"data:", at):
        return None
    begin = at + len(b"data:")
    begin += data[begin : begin + 1] == b" "
    end = LINE_END.search(data, begin)
    return begin, end.start() if end else len(data)
