"""Single frames of a clip, as pictures: what a thumbnail shows, and a sheet of one frame for each second.

A clip that the fleet made begins every second with a key frame, so only those are decoded. Here is also looked at what
somebody sent: whether a picture is whole, and how long and large a clip is.
"""

from __future__ import annotations

import io
from math import ceil
from typing import Final

import av
from PIL import Image

from simulator import draws
from simulator.media.clips import SMALLEST, Facts, probe
from simulator.media.pictures import Form
from simulator.media.sound import digest
from simulator.media.store import STORE

COLUMNS: Final = 5
CELL_HEIGHT: Final = 180  # pixels, of one frame on a sheet
QUALITY: Final = 85
SIDE_MAX: Final = 8192
LONGEST_S: Final = 600


def is_picture(data: bytes) -> bool:
    """Whether it is a PNG, JPEG or WebP, whole and of a size that is reasonable."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG", "JPEG", "WEBP"]) as image:
            if max(image.size) > SIDE_MAX:
                return False
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True


def measured(data: bytes) -> tuple[float, int, int] | None:
    """Seconds, width and height of a clip that somebody sent; None for what is none, or is out of all proportion."""
    try:
        told = STORE.get(draws.digest("measured", digest(data)), lambda: _told(probe(data)))
    except ValueError:
        return None
    seconds, width, height = told.decode().split()
    found = float(seconds), int(width), int(height)
    fits = 0 < found[0] <= LONGEST_S and min(found[1:]) >= SMALLEST and max(found[1:]) <= SIDE_MAX
    return found if fits else None


def _told(found: Facts) -> bytes:
    return f"{found.seconds} {found.width} {found.height}".encode()


def thumbnail(clip: bytes, form: Form = "webp") -> bytes:
    """The first frame, in its own size. Raises ValueError for what is no clip."""
    key = draws.digest("thumbnail", digest(clip), form)
    return STORE.get(key, lambda: _encoded(_key_frames(clip, 1)[0], form))


def sheet(clip: bytes, form: Form = "jpeg") -> bytes:
    """A frame of every second in rows of five. Raises ValueError for what is no clip."""
    key = draws.digest("sheet", digest(clip), form)
    return STORE.get(key, lambda: _encoded(_sheet(_key_frames(clip)), form))


def _key_frames(clip: bytes, most: int | None = None) -> list[Image.Image]:
    found: list[Image.Image] = []
    try:
        with av.open(io.BytesIO(clip), "r") as box:
            track = box.streams.video[0]
            track.codec_context.skip_frame = "NONKEY"
            for frame in box.decode(track):
                found.append(frame.to_image())  # type: ignore[no-untyped-call]
                if len(found) == most:
                    break
    except (av.error.FFmpegError, IndexError) as error:
        raise ValueError(f"no clip could be read: {error}") from None
    if not found:
        raise ValueError("no clip could be read: it has no frames")
    return found


def _sheet(frames: list[Image.Image]) -> Image.Image:
    width = max(1, round(frames[0].width * CELL_HEIGHT / frames[0].height))
    columns = min(COLUMNS, len(frames))
    out = Image.new("RGB", (columns * width, ceil(len(frames) / columns) * CELL_HEIGHT))
    for at, frame in enumerate(frames):
        out.paste(frame.resize((width, CELL_HEIGHT)), (at % columns * width, at // columns * CELL_HEIGHT))
    return out


def _encoded(image: Image.Image, form: Form) -> bytes:
    out = io.BytesIO()
    image.save(out, form.upper(), quality=QUALITY)
    return out.getvalue()
