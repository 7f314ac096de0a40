"""Material that several checks send."""

from __future__ import annotations

from typing import Any, Final

WEATHER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Name of the place, e.g. Zürich"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "unit", "days"],
    "additionalProperties": False,
}
PERSON: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
# Text that careless decoding changes: separators, combining marks, emoji with joiners, blanks at both ends, escapes.
AWKWARD: Final = (
    '  tab\there\u2028line\u2029sep \U0001f469\u200d\U0001f680 e\u0301 漢字 "quoted" \\n back\\slash \x7f </script> ñ  '
)
CJK: Final = "東京の天気は晴れです🌸。Grüße aus Zürich – naïve café 🙂🙃 строка עברית"
PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def output_limit(endpoint: str, tokens: int | None) -> dict[str, Any]:
    """The field that limits an answer, by the name that every model of the endpoint takes."""
    return {"max_completion_tokens" if endpoint == "chat" else "max_tokens": tokens}
