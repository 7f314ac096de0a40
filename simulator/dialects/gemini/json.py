"""JSON in the two hands of Gemini's wire: indented by two with a final newline, and on one line in a stream.

On one line there is a space after each colon and none after a comma. Both keep text as UTF-8 and write `<` and `>` as
\\u003c and \\u003e. Source: recorded replies.
"""

from __future__ import annotations

import json
from typing import Any

import orjson


def indented(value: Any) -> bytes:
    """An object over several lines, without a final newline."""
    return _safe(orjson.dumps(value, option=orjson.OPT_INDENT_2))


def spaced(value: Any) -> bytes:
    """An object on one line."""
    return _safe(json.dumps(value, ensure_ascii=False, separators=(",", ": ")).encode())


def body(value: Any) -> bytes:
    """An object as the whole body of a reply."""
    return indented(value) + b"\n"


def _safe(data: bytes) -> bytes:
    """Both signs only ever stand in texts."""
    if b"<" in data or b">" in data:
        return data.replace(b"<", b"\\u003c").replace(b">", b"\\u003e")
    return data
