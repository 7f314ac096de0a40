"""What a model makes of its input: pictures, a clip, a sound, as data of its row.

    makes: image                what comes: image, video, audio, transcript, text or weights (of a training)
    canvas: [1024, 768]         its size, unless the input says another; scales: {2K: 2}: multiplied by its resolution
    sizes: {square: [512, 512]}, aspects: {"16:9": [1344, 768]}, resolutions: {720p: 720} (the shorter side)
    seconds: 5, fps: 24         of a clip or sound whose input names none
    form: png, sound: true      of the file; whether a clip has sound

A field of `inputs` means what its `means` says, else what its name says: prompt, width, height, size, aspect,
resolution, count, steps, seed, seconds, frames, fps, form, voice, audio, max_tokens. Pictures in an input are not shown
in what comes of it, and directives in a prompt are not written on it.
"""

from __future__ import annotations

import io
import re
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from PIL import Image

from simulator import draws
from simulator.media import sound
from simulator.media.clips import clip
from simulator.media.pictures import Form, picture
from simulator.media.speech import Sound, listened, speech
from simulator.media.store import STORE
from simulator.media.transcripts import Transcript, transcript

SIDES: Final = (16, 4096)
COUNT_MAX: Final = 16
SECONDS: Final = (0.2, 60.0)
FPS: Final = (1, 60)
SHOWN_LENGTH: Final = 240  # of a prompt, on a picture
SAID_LENGTH: Final = 2_000  # of a text that is spoken
HEARD_S: Final = 10.0  # a sound that is elsewhere counts as so long
MIMES: Final[Mapping[str, str]] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "tar": "application/x-tar",
}
_DIRECTIVE: Final = re.compile(r"\[\[[^\]]*\]\]")
_FORMS: Final = {"jpg": "jpeg", "ogg": "opus"}
_FILES: Final = ("image", "video", "audio", "weights")


class Work(NamedTuple):
    """What a request asks for, all of it as JSON has it."""

    makes: str
    prompt: str
    number: int = 1  # of files
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    fps: int = 0
    steps: int = 0
    seed: int = 0
    form: str = ""
    voice: str = ""
    has_sound: bool = False
    is_blank: bool = False  # the picture that stands for a refused one

    @property
    def is_file(self) -> bool:
        """Whether it comes as files."""
        return self.makes in _FILES

    @property
    def units(self) -> int:
        """Units of work, as the pace of a model counts them: seconds of a clip, else steps."""
        return round(self.seconds) if self.makes in ("video", "audio") else self.steps

    @property
    def mime(self) -> str:
        """The content type of its files."""
        return MIMES[self.form]

    @property
    def extension(self) -> str:
        """How the names of its files end."""
        return "ogg" if self.form == "opus" else self.form


def told(values: Mapping[str, Any], inputs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The values of an input by what they mean."""
    named = {name: field.get("means", name) for name, field in inputs.items()}
    return {meaning: values[name] for name, meaning in named.items() if values.get(name) is not None}


def read(values: Mapping[str, Any], facts: Mapping[str, Any], *key: object) -> Work:
    """The work of an input; `key` picks the seed of one that names none."""
    meant = told(values, facts["inputs"])
    makes = facts["makes"]
    seed = meant.get("seed")
    width, height = _canvas(meant, facts)
    form = str(meant.get("form", facts.get("form", "png")))
    prompt = " ".join(_DIRECTIVE.sub(" ", str(meant.get("prompt", ""))).split())
    limit = SAID_LENGTH if makes in ("audio", "text") else SHOWN_LENGTH
    return Work(
        makes=makes,
        prompt=prompt if len(prompt) <= limit else f"{prompt[: limit - 1]}…",
        number=_within(meant.get("count", facts.get("count", 1)), (1, COUNT_MAX)),
        width=width,
        height=height,
        seconds=_seconds(meant, facts),
        fps=_within(meant.get("fps", facts.get("fps", 24)), FPS),
        steps=_within(meant.get("steps", facts.get("steps", 0)), (0, 10_000)),
        seed=draws.integer("seed", *key) >> 96 if seed is None else int(seed),
        form=_FORMS.get(form, form) if _FORMS.get(form, form) in MIMES else facts.get("form", "png"),
        voice=str(meant.get("voice", "narrator")),
        has_sound=bool(meant.get("sound", facts.get("sound", False))),
    )


def _canvas(meant: Mapping[str, Any], facts: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height."""
    width, height = facts.get("canvas", (512, 512))
    size, aspect = meant.get("size"), meant.get("aspect")
    if isinstance(size, Mapping):
        width, height = size.get("width") or width, size.get("height") or height
    elif size in facts.get("sizes", {}):
        width, height = facts["sizes"][size]
    elif aspect in facts.get("aspects", {}):
        width, height = facts["aspects"][aspect]
    width, height = meant.get("width", width), meant.get("height", height)
    scale = facts.get("scales", {}).get(meant.get("resolution"), 1)
    width, height = width * scale, height * scale
    side = facts.get("resolutions", {}).get(meant.get("resolution"))
    if side:
        shorter = min(width, height)
        width, height = width * side / shorter, height * side / shorter
    step = 2 if facts["makes"] == "video" else 1  # a clip has an even number of pixels a side
    return _within(step * round(width / step), SIDES), _within(step * round(height / step), SIDES)


def _seconds(meant: Mapping[str, Any], facts: Mapping[str, Any]) -> float:
    if facts["makes"] not in ("video", "audio"):
        return 0.0
    if "frames" in meant:
        seconds = meant["frames"] / max(1, meant.get("fps", facts.get("fps", 24)))
    else:
        written = str(meant.get("seconds", facts.get("seconds", 0))).removesuffix("s")
        try:
            seconds = float(written)
        except ValueError:
            seconds = float(facts.get("seconds", 0))
    if not seconds and facts["makes"] == "audio":
        return 0.0  # as long as the words take
    return round(float(min(max(seconds, SECONDS[0]), SECONDS[1])), 3)


def _within(value: Any, bounds: tuple[int, int]) -> int:
    return int(min(max(value, bounds[0]), bounds[1]))


# --- bytes ------------------------------------------------------------------------------------------------------------


def made(work: Work, index: int = 0) -> bytes:
    """One file of the work. The same work gives the same bytes."""
    match work.makes:
        case "image" if work.is_blank:
            return _blank(work.width, work.height, work.form)
        case "image":
            seed = draws.integer("work", work.seed, index) >> 96
            return picture(work.prompt, work.width, work.height, cast(Form, work.form), seed)
        case "video":
            seed = draws.integer("work", work.seed) >> 96
            size = work.width, work.height
            return clip(work.prompt, work.seconds, *size, work.fps, seed, None, work.has_sound)
        case "audio":
            return _said(work)
        case "weights":
            return draws.word(4096, "weights", *work).encode()
        case _:
            raise TypeError(f"{work.makes} comes in no file")


@lru_cache(maxsize=16)
def _blank(width: int, height: int, form: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, form.upper())
    return out.getvalue()


def _said(work: Work) -> bytes:
    """The prompt spoken; followed by silence or cut where the input names a length."""
    text = work.prompt.strip() or "…"
    form = cast(sound.Form, work.form)
    if not work.seconds:
        return speech(text, work.voice, form, seed=work.seed & 0xFFFF)
    return STORE.get(draws.digest("said", *work), lambda: _cut(text, work, form))


def _cut(text: str, work: Work, form: sound.Form) -> bytes:
    length = 2 * round(work.seconds * sound.RATE_HZ)
    samples = speech(text, work.voice, "pcm", seed=work.seed & 0xFFFF)[:length].ljust(length, b"\0")
    return sound.encoded(samples, form)


def heard(meant: Mapping[str, Any], *key: object) -> Transcript:
    """What is said in the sound of an input: heard, where it came as a data URI; else invented."""
    given = str(meant.get("audio", ""))
    found = Sound(HEARD_S, None)
    if given.startswith("data:"):
        try:
            found = listened(b64decode(given.partition(",")[2]))
        except (NoBase64, ValueError):
            found = Sound(HEARD_S, None)
    return transcript(found, draws.digest("heard", given, *key), str(meant.get("language") or ""))
