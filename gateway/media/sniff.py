"""What a file is, by its first bytes: what its sender says of it is not believed.

Source: the formats' own specifications (magic numbers); WHATWG's MIME Sniffing for the selection.
"""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "application/octet-stream"
HEADS: Final = (  # where it stands, the bytes, what it is
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
)
RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
BRANDS: Final = {b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"M4A ": "audio/mp4"}


def mime_of(data: bytes) -> str:
    """The media type of a file of a known format, else `application/octet-stream`."""
    for at, mark, mime in HEADS:
        if data.startswith(mark, at):
            return mime
    if data[:4] == b"RIFF":
        return RIFF.get(data[8:12], UNKNOWN)
    if data[4:8] == b"ftyp":
        return BRANDS.get(data[8:12], "video/quicktime" if data[8:10] == b"qt" else "video/mp4")
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:
        return "audio/aac" if data[1] & 0x06 == 0 else "audio/mpeg"
    return UNKNOWN
