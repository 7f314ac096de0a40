"""Bytes in a frame that say nothing: spaces, an `obfuscation` key, a line larger than a reader's buffer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator import draws
from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import before_last_brace, cut_index, is_sse, payload, with_frames
from simulator.script import Frame, Script

PADDING = "obfuscation"
SPACES_MAX = 15
STEP = 16


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class TrailingSpacePadding(Fault):
    """Pad each event's JSON with 0 to 15 spaces before its last brace. A wire that does so already is left alone."""

    kind: ClassVar[str] = "trailing_space_padding"
    seen_at: ClassVar[str] = "Anthropic"
    still: ClassVar[bool] = True

    def script(self, script: Script, scene: Scene) -> Script:
        if not is_sse(script) or any(payload(frame.data).endswith(b" }") for frame in script.frames):
            return script
        seed = scene.serving.seed
        return with_frames(script, (_spaced(frame, seed, at) for at, frame in enumerate(script.frames)))


def _spaced(frame: Frame, seed: int, at: int) -> Frame:
    spaces = draws.integer(seed, "spaces", at) % (SPACES_MAX + 1)
    return frame.but(before_last_brace(frame.data, b" " * spaces))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ObfuscationField(Fault):
    """Give each event a random `obfuscation` key that brings its JSON to 1 byte more than a multiple of 16.

    A stream that has such keys already is left alone.
    """

    kind: ClassVar[str] = "obfuscation_field"
    seen_at: ClassVar[str] = "OpenAI"
    still: ClassVar[bool] = True

    def script(self, script: Script, scene: Scene) -> Script:
        if not is_sse(script) or any(b'"obfuscation":' in frame.data for frame in script.frames):
            return script
        seed = scene.serving.seed
        return with_frames(script, (_obfuscated(frame, seed, at) for at, frame in enumerate(script.frames)))


def _obfuscated(frame: Frame, seed: int, at: int) -> Frame:
    if frame.kind == "ping":
        return frame
    bare = len(payload(frame.data)) + len(',"obfuscation":""')
    noise = draws.word((1 - bare) % STEP, seed, PADDING, at)
    return frame.but(before_last_brace(frame.data, f',"obfuscation":"{noise}"'.encode()))


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class HugeDataLine(Fault):
    """Make one event's `data:` line as long as that, by a key `padding` in its JSON that says nothing."""

    kind: ClassVar[str] = "huge_data_line"
    seen_at: ClassVar[str] = "OpenAI Responses; https://github.com/openai/openai-go/issues/368"
    still: ClassVar[bool] = True
    after_frames: int = options.whole(1, about="content frames sent before it")
    line_bytes: int = options.whole(
        1 << 20, low=1, high=64 << 20, about="its length; readers give up at 64 KiB, 1 or 10 MiB"
    )

    def script(self, script: Script, _: Scene) -> Script:
        if not is_sse(script):
            return script
        for at in range(cut_index(script, self.after_frames), len(script.frames)):
            frame = script.frames[at]
            said = len(b"data: ") + len(payload(frame.data)) + len(b',"padding":""')
            data = before_last_brace(frame.data, b',"padding":"%b"' % (b"x" * max(0, self.line_bytes - said)))
            if data != frame.data:
                return with_frames(script, (*script.frames[:at], frame.but(data), *script.frames[at + 1 :]))
        return script
