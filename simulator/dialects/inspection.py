"""What vendors with an inspection of content make of a prompt: refused as input, refused once rendered, or let pass.

The words are those of the moderation wire (docs/wires/openai-media.md): the grave categories are refused at the door,
the mild ones once there is something to look at. The mark `flag:CATEGORY` in a prompt picks one.
"""

from __future__ import annotations

import re
from typing import Final

from simulator.dialects.openai.images_rules import BLOCKING
from simulator.dialects.openai.moderations_rules import flagged

_DIRECTIVE: Final = re.compile(r"\[\[[^\]]*\]\]")
_MODERATED: Final = re.compile(r"moderat|sensitive|inappropriate", re.IGNORECASE)


def _categories(prompt: str) -> list[str]:
    return flagged(_DIRECTIVE.sub(" ", prompt))


def refuses_input(prompt: str) -> bool:
    """Whether a prompt is refused before anything is made of it."""
    return any(category in BLOCKING["auto"] for category in _categories(prompt))


def refuses_output(prompt: str) -> bool:
    """Whether what was made of a prompt is refused."""
    return bool(_categories(prompt))


def is_moderation(error: str) -> bool:
    """Whether the error of a job says that its output was refused."""
    return _MODERATED.search(error) is not None
