"""The OpenAPI documents, as data (`openapi/*.yaml`)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).parent / "openapi"
METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@cache
def load(name: str = "gateway") -> dict[str, Any]:
    """The document of this name. Treat it as read-only: it is read once."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: dict[str, Any] = yaml.load((FOLDER / f"{name}.yaml").read_bytes(), Loader=loader)
    return document


def routes(document: dict[str, Any]) -> dict[str, frozenset[str]]:
    """The methods (in upper case) of every path, aliases (`x-aliases`) included."""
    found: dict[str, frozenset[str]] = {}
    for path, item in document["paths"].items():
        methods = frozenset(name.upper() for name in item if name in METHODS)
        for each in (path, *item.get("x-aliases", ())):
            found[each] = methods
    return found
