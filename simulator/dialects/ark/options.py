"""How a clip is to be: by fields of the body, or in the old style by `--name value` in the prompt.

Fields are strictly checked; in the prompt, what is wrong is passed over and what is no option stays part of the text. A
field wins over the prompt. Source: Ark's documentation, creating a video generation task.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from simulator.dialects.ark import fields
from simulator.dialects.ark.problems import refuse

RATIOS: Final = ("16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive")
RESOLUTIONS: Final = ("480p", "720p", "1080p", "4k")
SEED_MAX: Final = 2**32 - 1
FRAMES: Final = (29, 289)  # 25 + 4n
EXPIRES_S: Final = (172_800, 3_600, 259_200)  # default, least, most
NAMES: Final[Mapping[str, str]] = {  # in the prompt -> field
    "resolution": "resolution",
    "rs": "resolution",
    "ratio": "ratio",
    "rt": "ratio",
    "duration": "duration",
    "dur": "duration",
    "frames": "frames",
    "seed": "seed",
    "camerafixed": "camera_fixed",
    "camera_fixed": "camera_fixed",
    "cf": "camera_fixed",
    "watermark": "watermark",
    "wm": "watermark",
}
_OPTION: Final = re.compile(r"(?:^|(?<=\s))--([A-Za-z_]+)[ =]([^\s-][^\s]*|-\d+)")
_NUMBER: Final = re.compile(r"-?\d{1,10}")


def of_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """The options among the fields. Raises Refused."""
    found: dict[str, Any] = {}
    for name in ("camera_fixed", "watermark"):
        if name in body:
            found[name] = fields.of_kind(body[name], bool, name)
    if "resolution" in body:
        found["resolution"] = fields.one_of(body["resolution"], "resolution", *RESOLUTIONS)
    if "ratio" in body:
        found["ratio"] = fields.one_of(body["ratio"], "ratio", *RATIOS)
    if "duration" in body:
        found["duration"] = fields.of_kind(body["duration"], int, "duration")
    if "frames" in body:
        found["frames"] = fields.whole(body["frames"], "frames", *FRAMES)
        if (found["frames"] - 25) % 4:
            raise refuse("frames", "the value must be of the form 25 + 4n")
    if "seed" in body:
        found["seed"] = fields.whole(body["seed"], "seed", -1, SEED_MAX)
    return found


def of_prompt(text: str) -> tuple[str, dict[str, Any]]:
    """The prompt without its options, and those that are right."""
    found: dict[str, Any] = {}

    def take(match: re.Match[str]) -> str:
        name = NAMES.get(match[1].lower())
        if name is None:
            return match[0]
        value = _read(name, match[2])
        if value is not None:
            found[name] = value
        return ""

    rest = _OPTION.sub(take, text)
    return (" ".join(rest.split()) if found or rest != text else text), found


def _read(name: str, raw: str) -> Any:
    """The value of an option in the prompt; None for one that is wrong."""
    if name in ("camera_fixed", "watermark"):
        return {"true": True, "false": False}.get(raw.lower())
    if name in ("resolution", "ratio"):
        return raw if raw in (RESOLUTIONS if name == "resolution" else RATIOS) else None
    if _NUMBER.fullmatch(raw) is None:
        return None
    number = int(raw)
    if name == "frames":
        return number if FRAMES[0] <= number <= FRAMES[1] and not (number - 25) % 4 else None
    return number if name == "duration" or -1 <= number <= SEED_MAX else None
