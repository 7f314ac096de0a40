"""What jobs give: clips and pictures behind links, and the pictures that came with a request.

Nothing is stored. A link bears what its file is made of; only a picture that somebody sent is too large for that, and
is looked up in the job, whose nonce stands in the path. A picture at an address is not downloaded: unless the address
is one of these links, it counts as a square that shows its address, and one with `does-not-exist` in it as missing.
"""

from __future__ import annotations

import base64
import io
import re
from binascii import Error as NoBase64
from collections.abc import Callable
from functools import lru_cache
from math import sqrt
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from PIL import Image, ImageOps, UnidentifiedImageError

from simulator import draws
from simulator.jobs.job import end_ms
from simulator.media import links
from simulator.media.clips import clip
from simulator.media.pictures import picture
from simulator.script import Script

if TYPE_CHECKING:
    from simulator.dialects.base import Kept, Serving

SHOWN_LENGTH: Final = 240  # of a prompt, in a clip or on a picture
SIDE: Final = 1024  # of a picture that is not downloaded
PIXELS_MAX: Final = 40_000_000  # of a picture that is read
MISSING: Final = "does-not-exist"
FORMATS: Final = ("PNG", "JPEG", "WEBP")
_DIRECTIVE: Final = re.compile(r"\[\[[^\]]*\]\]")


class Film(NamedTuple):
    """A clip at the end of a link."""

    prompt: str
    seconds: float
    width: int
    height: int
    fps: int
    seed: int
    sound: bool = False
    framed: bool = False  # it begins with a picture that its job was given


class Still(NamedTuple):
    """A picture at the end of a link."""

    prompt: str
    width: int
    height: int
    form: Literal["png", "jpeg", "webp"]
    seed: int
    framed: bool = False  # it is the picture that its job was given, cut to this size


class Given(NamedTuple):
    """A picture that came with a request, as text: base64, a data URL or an address."""

    width: int
    height: int
    source: str


class Missing(ValueError):
    """Nothing is to be had at an address."""


def shown(prompt: str) -> str:
    """As much of a prompt as is shown, without directives and in one line."""
    text = " ".join(_DIRECTIVE.sub(" ", prompt).split())
    return text if len(text) <= SHOWN_LENGTH else f"{text[: SHOWN_LENGTH - 1]}…"


def fitted(pixels: int, ratio: float, step: int = 2) -> tuple[int, int]:
    """Width and height of about so many pixels, at a ratio, both divisible by `step`."""
    width = sqrt(pixels * ratio)
    return max(step, round(width / step) * step), max(step, round(width / ratio / step) * step)


# --- given ------------------------------------------------------------------------------------------------------------


def given(text: str, style: str, folder: str, secret: bytes) -> Given:
    """The picture that a text stands for. Raises Missing for one that cannot be had, ValueError for what is none."""
    if text.startswith(("http://", "https://")):
        if MISSING in text:
            raise Missing(text)
        found = behind(text, style, folder, secret)
        return Given(found.width, found.height, text) if isinstance(found, Still) else Given(SIDE, SIDE, text)
    width, height = _measured(text)
    return Given(width, height, text)


@lru_cache(maxsize=256)
def _measured(text: str) -> tuple[int, int]:
    """The size of an inlined picture, which is decoded once. Raises ValueError."""
    try:
        with Image.open(io.BytesIO(_inlined(text)), formats=FORMATS) as image:
            if image.width * image.height > PIXELS_MAX:
                raise ValueError("too many pixels")
            image.load()
            return image.size
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from None


def _inlined(text: str) -> bytes:
    """The bytes in base64, behind `data:…,` or bare. Raises ValueError."""
    data = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode(data, validate=True)
    except NoBase64 as error:
        raise ValueError(str(error)) from None


def frame(source: str, style: str, folder: str, secret: bytes) -> bytes:
    """The bytes of a picture that was given; of one that is not downloaded, a picture of its address."""
    if not source.startswith(("http://", "https://")):
        return _inlined(source)
    found = behind(source, style, folder, secret)
    if isinstance(found, Still) and not found.framed:
        return _still(found, None)
    return picture(source.partition("?")[0], SIDE, SIDE, "jpeg", draws.integer("address", source) >> 96)


# --- links ------------------------------------------------------------------------------------------------------------


def offered(kept: Kept, style: str, folder: str, name: str, made: Film | Still, ttl_ms: int) -> str:
    """The link to a file of a job that ended, good for so long unless its plan says else."""
    job = kept.serving.job
    if job is None:
        raise TypeError("only a job has files")
    life_ms = ttl_ms if job.plan.link_ttl_ms is None else job.plan.link_ttl_ms
    secret = kept.profile.facts["signature_secret"]
    made_s, gone = end_ms(job) // 1000, job.plan.link_status
    path = f"{folder}/{kept.serving.nonce}/{name}"
    return linked(style, kept.ask.site, path, made, secret, made_s, life_ms // 1000, gone)


def linked(
    style: str, site: str, path: str, made: Film | Still, secret: bytes, made_s: int, life_s: int, gone: int = 403
) -> str:
    """The link to a file at a path below `site`, good for so long from then on. It need not belong to a job."""
    content = ["film" if isinstance(made, Film) else "still", *made]
    return links.signed(style, f"{site}{path}", path, content, secret, made_s, life_s, gone, _kind(made))


def nonce_of(path: str, folder: str) -> str:
    """The nonce of the job that a path below `folder` belongs to."""
    return path.rpartition(f"{folder}/")[2].partition("/")[0]


def fetched(serving: Serving, style: str, folder: str, source: Callable[[Kept], str]) -> Script:
    """The file of a link, or why it is not given. `source` is the picture that a job was given, "" without one."""
    path = serving.path[serving.path.rindex(f"{folder}/") :]
    secret = serving.facts["signature_secret"]
    found = links.opened(style, path, serving.query, secret, serving.now_s)
    if isinstance(found, Script):
        return found
    made = _read(found.content)
    first: bytes | None = None
    if made.framed:
        text = next((source(kept) for kept in serving.jobs), "")
        first = frame(text, style, folder, secret) if text else None
    return links.served(style, drawn(made, first), _kind(made), serving.now_s)


def behind(url: str, style: str, folder: str, secret: bytes) -> Film | Still | None:
    """What a link of the fleet's own leads to, expired or not; None for any other address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if f"{folder}/" not in parts.path:
        return None
    path = parts.path[parts.path.rindex(f"{folder}/") :]
    found = links.opened(style, path, parts.query, secret, 0)
    return None if isinstance(found, Script) else _read(found.content)


def drawn(made: Film | Still, first: bytes | None) -> bytes:
    """The file itself."""
    if isinstance(made, Still):
        return _still(made, first)
    prompt, seconds, width, height, fps, seed, sound, _ = made
    return clip(prompt, seconds, width, height, fps, seed, first, sound)


def _still(made: Still, first: bytes | None) -> bytes:
    if first is None:
        return picture(made.prompt, made.width, made.height, made.form, made.seed)
    out = io.BytesIO()
    with Image.open(io.BytesIO(first)) as image:
        ImageOps.fit(image.convert("RGB"), (made.width, made.height)).save(out, made.form.upper())
    return out.getvalue()


def _read(content: list[object]) -> Film | Still:
    kind, *values = content
    return Film(*values) if kind == "film" else Still(*values)  # type: ignore[arg-type]


def _kind(made: Film | Still) -> str:
    return "video/mp4" if isinstance(made, Film) else f"image/{made.form}"
