"""What of a prompt is shown in a picture or clip: its words in one line, without directives, and not all of a novel."""

from __future__ import annotations

import re
from typing import Final

LENGTH: Final = 240
_DIRECTIVE: Final = re.compile(r"\[\[[^\]]*\]\]")


def caption(prompt: str, length: int = LENGTH) -> str:
    """The prompt as it is shown, at most so many characters of it."""
    words = " ".join(_DIRECTIVE.sub(" ", prompt).split())
    return words if len(words) <= length else f"{words[: length - 1]}…"
