"""Voices that callers may name, and what vendors call them, as data (`voices.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

FILE: Final = Path(__file__).with_name("voices.yaml")


@cache
def _file() -> Mapping[str, Any]:
    data: Mapping[str, Any] = yaml.safe_load(FILE.read_bytes())
    return data


def known(voice: Any, dialect: str) -> str | None:
    """What a vendor calls a voice of ours; None for a name that is not ours."""
    row = _file()["voices"].get(voice) if isinstance(voice, str) else None
    found: str | None = None if row is None else row[dialect]
    return found


def default(dialect: str) -> str:
    """The voice for those who name none."""
    return str(_file()["default"][dialect])
