"""The text of a custom tool, taken out of the arguments of the function that stands for it, as they arrive."""

from __future__ import annotations

import json
import re
from typing import Final

import orjson

from gateway.translation.prompt import CUSTOM_ARGUMENT

BEGIN: Final = re.compile(rf'\s*\{{\s*"{CUSTOM_ARGUMENT}"\s*:\s*"')
WHOLE: Final = re.compile(  # what of a JSON string can be read without the rest: no half escape, no half surrogate pair
    r'(?:[^"\\]+|\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}'
    r"|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))*"
)


class FreeText:
    """Follows the arguments of one call."""

    def __init__(self) -> None:
        self._begun = False  # the text has
        self._ended = False
        self._rest = ""  # arguments that were not read yet

    def add(self, arguments: str) -> str:
        """The text that is new with a piece of the arguments."""
        self._rest += arguments
        if not self._begun:
            if (begin := BEGIN.match(self._rest)) is None:
                return ""
            self._begun = True
            self._rest = self._rest[begin.end() :]
        if self._ended:
            return ""
        found = WHOLE.match(self._rest)
        assert found is not None
        self._rest = self._rest[found.end() :]
        self._ended = self._rest.startswith('"')
        text: str = json.loads(f'"{found[0]}"', strict=False)  # line ends as they are, which models write now and then
        return text

    def end(self, whole: bool) -> str:
        """What is left of the text; `whole`: the arguments were not cut short."""
        if self._begun:
            return self._rest if whole and not self._ended else ""
        return unwrapped(self._rest)


def unwrapped(arguments: str) -> str:
    """The text in whole arguments; what is no object that holds it is taken as the text."""
    try:
        value = orjson.loads(arguments)
    except ValueError:
        return arguments
    text = value.get(CUSTOM_ARGUMENT) if isinstance(value, dict) else value
    if isinstance(text, str):
        return text
    return "" if value == {} else arguments
