"""Files of users: kinds, and how types are served, as data (`storage.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

UNKNOWN: Final = "application/octet-stream"


@cache
def _file() -> Mapping[str, Any]:
    data: Mapping[str, Any] = yaml.safe_load((Path(__file__).parent / "storage.yaml").read_bytes())
    return data


def kinds() -> Sequence[str]:
    """All kinds."""
    return tuple(_file()["kinds"])


def holds(kind: str, mime: str) -> bool:
    """Whether a file of this type may be of this kind."""
    return any(fnmatchcase(mime, glob) for glob in _file()["kinds"][kind])


def kind_of(mime: str) -> str:
    """The kind of a file whose owner names none."""
    narrow = (kind for kind, globs in _file()["kinds"].items() if "*" not in globs and holds(kind, mime))
    return next(narrow, str(_file()["default"]))


@cache
def is_inline(mime: str) -> bool:
    """Whether browsers may show it."""
    return mime in _file()["inline"]


@cache
def told(mime: str) -> str:
    """The type that a file is served as."""
    return UNKNOWN if any(fnmatchcase(mime, glob) for glob in _file()["active"]) else mime


def ending(mime: str) -> str:
    """How names of such files end, with the dot."""
    return f".{_file()['endings'].get(mime, 'bin')}"
