"""What the media models take, as data (`media.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Takes:
    """What a model takes; () and None: whatever comes is passed on."""

    sizes: Sequence[str] = ()
    aspect_ratios: Sequence[str] = ()
    resolutions: Sequence[str] = ()
    resolution: str | None = None  # where the caller names none
    reference_fields: Sequence[str] = ()
    references_max: int = 0
    data_urls: bool = False
    last_frame: bool = False  # a clip may be told how to end, by a picture
    seconds_least: int = 1
    seconds_most: int = 60
    seconds_default: int = 5


@cache
def _file() -> Mapping[str, Any]:
    data: Mapping[str, Any] = yaml.safe_load((Path(__file__).parent / "media.yaml").read_bytes())
    return data


@cache
def takes(kind: str, model_id: str) -> Takes:
    """What a model takes; `kind` is "images" or "videos". Raises KeyError where no row names it."""
    for row in _file()[kind]:
        if any(fnmatchcase(model_id, glob) for glob in row["models"]):
            references, seconds = row.get("references", {}), row.get("seconds", {})
            return Takes(
                sizes=tuple(row.get("sizes", ())),
                aspect_ratios=tuple(row.get("aspect_ratios", ())),
                resolutions=tuple(row.get("resolutions", ())),
                resolution=row.get("resolution"),
                reference_fields=tuple(references.get("fields", ())),
                references_max=references.get("most", 0),
                data_urls=references.get("data_urls", False),
                last_frame=row.get("last_frame", False),
                seconds_least=seconds.get("least", 1),
                seconds_most=seconds.get("most", 60),
                seconds_default=seconds.get("default", 5),
            )
    raise KeyError(f"{model_id}: no row of {kind} in media.yaml names it")
