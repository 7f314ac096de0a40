"""The endpoints of pictures, clips and sound as a client writes and reads them.

Source: api-reference#image-generation, #video-generation, #audio.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from suites.heard import Heard
from suites.openai_chat import read_error
from suites.outcomes import Violation
from suites.sse import Event


@dataclass(frozen=True, slots=True)
class MediaWire:
    """One endpoint: JSON in, JSON out."""

    words: str  # the field that holds the prompt

    def body(self, model: str, prompt: str, stream: bool) -> dict[str, Any]:  # noqa: ARG002 - nothing here streams
        """The smallest request."""
        return {"model": model, self.words: prompt}

    def read_json(self, document: Any) -> Heard:
        """Whether it failed; what was made is in the document."""
        return Heard(error=read_error(document))

    def read_stream(self, events: Iterable[Event]) -> Heard:  # noqa: ARG002
        """Nothing here streams."""
        return Heard()


IMAGES = MediaWire("prompt")
VIDEOS = MediaWire("prompt")
AUDIO = MediaWire("text")


def items(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What was made. Raises Violation where there is no list of objects."""
    data = document.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise Violation(f"`data` is no list of objects: {str(document)[:300]}")
    return data
