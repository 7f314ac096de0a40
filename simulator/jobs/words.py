"""Words of a reply in another spelling: providers change theirs, and tell one thing in two ways."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from simulator.script import Script

STATE: Final = re.compile(
    rb'("(?:status|state|task_status|task_state|taskStatus|TaskStatus|job_status)"\s*:\s*")([A-Za-z_]+)(")'
)


def respell(script: Script, word: str, becomes: str) -> Script:
    """The reply with a whole text of its JSON replaced; without a word, its states' words in the other case."""
    if script.stream:
        return script
    found = tuple(frame.but(_respelled(frame.data, word, becomes)) for frame in script.frames)
    return script if found == script.frames else replace(script, frames=found)


def _respelled(data: bytes, word: str, becomes: str) -> bytes:
    if not word:
        return STATE.sub(lambda found: found[1] + _other(found[2]) + found[3], data)
    return re.sub(rb'"%b"(?!\s*:)' % re.escape(word.encode()), lambda _: b'"%b"' % becomes.encode(), data)


def _other(word: bytes) -> bytes:
    return word.upper() if word.islower() else word.lower()
