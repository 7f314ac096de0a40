"""Real pictures: a flat two-tone pattern that the seed picks, with the prompt written on it.

The same arguments always give the same bytes (of one version of Pillow). Drawing takes some tens of milliseconds, so
the last pictures are kept (`simulator/media/store.py`).
"""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any, Final, Literal

from PIL import Image, ImageDraw, ImageFont

from simulator import draws
from simulator.media.letters import shown
from simulator.media.store import STORE

Form = Literal["png", "jpeg", "webp"]
Colour = tuple[int, int, int, int]

FORMS: Final = ("png", "jpeg", "webp")
QUALITY: Final = 90  # of a picture whose compression nobody named
SMALLEST_FONT: Final = 8
FONT_STEPS: Final = (9, 12, 16, 22, 30, 44, 64)  # parts of the shorter side, the largest font first
CLEAR: Final[Colour] = (0, 0, 0, 0)


def picture(
    prompt: str,
    width: int,
    height: int,
    form: Form,
    seed: int,
    compression: int | None = None,
    background: str | None = None,
    sharpness: float = 1.0,
) -> bytes:
    """A picture of that size, encoded.

    `compression` is the quality of JPEG and WebP, 0 to 100; `background="transparent"` leaves out the pattern's ground
    (not in a JPEG, which has no such thing); `sharpness` below 1 gives the blocks of a picture still being made.
    """
    key = draws.digest("picture", prompt, width, height, form, seed, compression, background, sharpness)
    return STORE.get(key, lambda: _made(prompt, width, height, form, seed, compression, background, sharpness))


def _made(
    prompt: str,
    width: int,
    height: int,
    form: Form,
    seed: int,
    compression: int | None,
    background: str | None,
    sharpness: float,
) -> bytes:
    dice = draws.dice("picture", seed)
    hue = dice.random()
    ground, figure = _tone(hue, 0.34), _tone(hue + 0.04 + 0.08 * dice.random(), 0.42)
    clear = background == "transparent" and form != "jpeg"
    image = Image.new("RGBA" if clear else "RGB", (width, height), CLEAR if clear else ground)
    draw = ImageDraw.Draw(image)
    dice.choice(_PATTERNS)(draw, width, height, figure, dice)
    _write(draw, prompt, width, height, _tone(hue, 0.16))
    if sharpness < 1:
        small = image.resize((max(1, int(width * sharpness)), max(1, int(height * sharpness))), Image.Resampling.BOX)
        image = small.resize((width, height), Image.Resampling.NEAREST)
    return _encoded(image, form, compression)


def _encoded(image: Image.Image, form: Form, compression: int | None) -> bytes:
    quality = QUALITY if compression is None else compression
    options: dict[Form, dict[str, Any]] = {
        "png": {"compress_level": 6},
        "jpeg": {"quality": max(1, quality)},
        "webp": {"quality": quality, "method": 0},
    }
    out = io.BytesIO()
    image.save(out, form.upper(), **options[form])
    return out.getvalue()


def _tone(hue: float, lightness: float) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(hue % 1, lightness, 0.45)
    return round(255 * red), round(255 * green), round(255 * blue), 255


# --- patterns ---------------------------------------------------------------------------------------------------------


def _stripes(draw: ImageDraw.ImageDraw, width: int, height: int, colour: Colour, dice: Random) -> None:
    step = max(4, min(width, height) // draws.between(dice, 5, 9))
    for left in range(-height, width + step, 2 * step):
        draw.polygon(
            [(left, height), (left + step, height), (left + step + height, 0), (left + height, 0)], fill=colour
        )


def _dots(draw: ImageDraw.ImageDraw, width: int, height: int, colour: Colour, dice: Random) -> None:
    step = max(6, min(width, height) // draws.between(dice, 5, 9))
    radius = step * 0.3
    for row, y in enumerate(range(0, height + step, step)):
        for x in range(step // 2 if row % 2 else 0, width + step, step):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _checks(draw: ImageDraw.ImageDraw, width: int, height: int, colour: Colour, dice: Random) -> None:
    step = max(4, min(width, height) // draws.between(dice, 5, 9))
    for row, y in enumerate(range(0, height, step)):
        for x in range(step if row % 2 else 0, width, 2 * step):
            draw.rectangle((x, y, x + step - 1, y + step - 1), fill=colour)


def _rings(draw: ImageDraw.ImageDraw, width: int, height: int, colour: Colour, dice: Random) -> None:
    x, y = width * dice.random(), height * dice.random()
    step = max(4, min(width, height) // draws.between(dice, 8, 14))
    for radius in range(step, width + height, 2 * step):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=max(2, step // 2))


_PATTERNS: Final = (_stripes, _dots, _checks, _rings)


# --- text -------------------------------------------------------------------------------------------------------------


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("this Pillow was built without FreeType, which the fleet's pictures are written with")
    return font


def _write(draw: ImageDraw.ImageDraw, prompt: str, width: int, height: int, panel: Colour) -> None:
    """The text on a panel in the middle, in the largest font that holds all of it; else as much as has room."""
    words = shown(prompt).split()
    if not words:
        return
    room_x, room_y = width * 0.8, height * 0.7
    for part in FONT_STEPS:
        font = _font(max(SMALLEST_FONT, min(width, height) // part))
        lines, pitch = _wrapped(words, font, room_x), 1.3 * font.size
        if len(lines) * pitch <= room_y and max(map(font.getlength, lines)) <= room_x:
            break
    fitting = max(1, int(room_y / pitch))
    if len(lines) > fitting:
        lines = [*lines[: fitting - 1], f"{lines[fitting - 1]}…"]
    across, down = min(room_x, max(map(font.getlength, lines))), len(lines) * pitch
    left, top, margin = (width - across) / 2, (height - down) / 2, 0.6 * font.size
    box = (left - margin, top - margin, left + across + margin, top + down + margin)
    draw.rounded_rectangle(box, radius=margin, fill=panel)
    for at, line in enumerate(lines):
        draw.text((left, top + at * pitch), line, font=font, fill=(255, 255, 255, 255))


def _wrapped(words: Sequence[str], font: ImageFont.FreeTypeFont, room: float) -> list[str]:
    """Lines no wider than there is room for, except where one word alone is."""
    lines = [words[0]]
    for word in words[1:]:
        longer = f"{lines[-1]} {word}"
        if font.getlength(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
