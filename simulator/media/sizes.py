"""The size of a picture that somebody sent, read from its first bytes without decoding it."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Final

HEAD_CHARACTERS: Final = 1 << 16  # of base64


def image_size(data: str) -> tuple[int, int] | None:
    """Width and height in pixels of a base64 PNG, GIF, WebP or JPEG; None when its bytes do not tell."""
    found = _size(data[:HEAD_CHARACTERS])
    return found if found or len(data) <= HEAD_CHARACTERS else _size(data)


def _size(data: str) -> tuple[int, int] | None:
    """The size by the first bytes, where it mostly stands."""
    try:
        head = base64.b64decode(data[: len(data) // 4 * 4], validate=True)
    except (binascii.Error, ValueError):
        return None
    try:
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return struct.unpack(">II", head[16:24])
        if head[:6] in (b"GIF87a", b"GIF89a"):
            return struct.unpack("<HH", head[6:10])
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return _webp(head)
        if head.startswith(b"\xff\xd8"):
            return _jpeg(head)
    except struct.error:
        return None
    return None


def _webp(head: bytes) -> tuple[int, int] | None:
    match head[12:16]:
        case b"VP8 ":
            width, height = struct.unpack("<HH", head[26:30])
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = struct.unpack("<I", head[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X" if len(head) >= 30:
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return None


def _jpeg(head: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # any number of these may stand before a marker
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        at += 2 + struct.unpack(">H", head[at + 2 : at + 4])[0]
    return None
