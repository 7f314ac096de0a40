"""WAV as it is sent while it is still being made: its sizes are told before anybody knows them."""

from __future__ import annotations

import struct
from typing import Final

TAGS: Final = {"pcm": (1, 16), "mulaw": (7, 8), "alaw": (6, 8)}  # codec -> format and bits of a sample in a WAV file


def wave(data: bytes, rate_hz: int, told_bytes: int | None = None, codec: str = "pcm") -> bytes:
    """Bare samples as a WAV file of one channel that tells so many bytes of them, true or not; None: the truth."""
    tag, bits = TAGS[codec]
    told, step = len(data) if told_bytes is None else told_bytes, bits // 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, 1, rate_hz, rate_hz * step, step, bits)
    head = struct.pack("<4sI4s", b"RIFF", 36 + told & 0xFFFFFFFF, b"WAVE")
    return head + form + struct.pack("<4sI", b"data", told) + data
