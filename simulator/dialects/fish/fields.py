"""Fields of a body, checked one by one: what is wrong with any of them is told at once, in the words of Pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Final

from simulator.dialects.fish.problems import unprocessable

TRUE, FALSE = ("true", "1", "on", "yes"), ("false", "0", "off", "no")
_ABSENT: Final = object()


def shown(number: float) -> str:
    """A bound as it is told: 300, 0.5."""
    return f"{number:g}"


def words(options: tuple[object, ...]) -> str:
    """Options in a sentence: 'wav', 'pcm' or 'mp3'."""
    *rest, last = [repr(option) for option in options]
    return f"{', '.join(rest)} or {last}" if rest else last


class Fields:
    """The fields of a body. A value that is absent or null is its default."""

    def __init__(self, body: Mapping[str, Any], *loc: str | int) -> None:
        self.body = body
        self.loc: tuple[str | int, ...] = loc or ("body",)
        self.flaws: list[dict[str, Any]] = []

    def flaw(self, kind: str, message: str, *name: str | int, ctx: Mapping[str, Any] | None = None) -> None:
        """Something is wrong with a field."""
        row: dict[str, Any] = {"loc": [*self.loc, *name], "type": kind, "msg": message}
        self.flaws.append(row | ({} if ctx is None else {"ctx": ctx}) | {"in": "body"})

    def done(self) -> None:
        """Raise Refused for what was found."""
        if self.flaws:
            raise unprocessable(self.flaws)

    def _value(self, name: str) -> Any:
        value = self.body.get(name, _ABSENT)
        return _ABSENT if value is None else value

    def missing(self, name: str) -> None:
        """A field must be there."""
        self.flaw("missing", "Field required", name)

    def text(self, name: str, default: str | None = "", *, least: int = 0, most: float = inf) -> str:
        """A text; None as the default: it must be there."""
        value = self._value(name)
        if value is _ABSENT:
            if default is None:
                self.missing(name)
            return default or ""
        if not isinstance(value, str):
            self.flaw("string_type", "Input should be a valid string", name)
            return ""
        if len(value) < least:
            noun = "character" if least == 1 else "characters"
            self.flaw(
                "string_too_short", f"String should have at least {least} {noun}", name, ctx={"min_length": least}
            )
        if len(value) > most:
            told = int(most)
            self.flaw(
                "string_too_long", f"String should have at most {told} characters", name, ctx={"max_length": told}
            )
        return value

    def number(self, name: str, default: float, low: float = -inf, high: float = inf) -> float:
        """A number within bounds."""
        value = self._value(name)
        if value is _ABSENT:
            return default
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                told = "Input should be a valid number, unable to parse string as a number"
                self.flaw("float_parsing", told, name)
                return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.flaw("float_type", "Input should be a valid number", name)
            return default
        return value if self._is_within(name, value, low, high) else default

    def integer(self, name: str, default: int, low: float = -inf, high: float = inf) -> int:
        """A whole number within bounds."""
        value = self._value(name)
        if value is _ABSENT:
            return default
        if isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) < 20:
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self.flaw("int_type", "Input should be a valid integer", name)
            return default
        return value if self._is_within(name, value, low, high) else default

    def _is_within(self, name: str, value: float, low: float, high: float) -> bool:
        if not value >= low:
            told = shown(low)
            self.flaw("greater_than_equal", f"Input should be greater than or equal to {told}", name, ctx={"ge": low})
            return False
        if not value <= high:
            told = shown(high)
            self.flaw("less_than_equal", f"Input should be less than or equal to {told}", name, ctx={"le": high})
            return False
        return True

    def boolean(self, name: str, default: bool) -> bool:
        """Yes or no."""
        value = self._value(name)
        if value is _ABSENT:
            return default
        if isinstance(value, str) and value.lower() in (*TRUE, *FALSE):
            return value.lower() in TRUE
        if not isinstance(value, bool):
            self.flaw("bool_type", "Input should be a valid boolean", name)
            return default
        return value

    def option(self, name: str, options: tuple[Any, ...], default: Any) -> Any:
        """One of some words or numbers; None as the default: it must be there."""
        value = self._value(name)
        if value is _ABSENT:
            if default is None:
                self.missing(name)
            return default
        for option in options:  # a form has numbers as text
            if not isinstance(value, bool) and (value == option or value == str(option)):
                return option
        told = words(options)
        self.flaw("literal_error", f"Input should be {told}", name, ctx={"expected": told})
        return default

    def texts(self, name: str, most: float = inf) -> list[str]:
        """A text or a list of them."""
        value = self._value(name)
        rows = [] if value is _ABSENT else [value] if isinstance(value, str) else value
        if not isinstance(rows, list | tuple):
            self.flaw("list_type", "Input should be a valid list", name)
            return []
        for at, row in enumerate(rows):
            if not isinstance(row, str):
                self.flaw("string_type", "Input should be a valid string", name, at)
        self._counted(name, len(rows), most)
        return [row for row in rows if isinstance(row, str)]

    def files(self, name: str, most: float = inf) -> list[bytes]:
        """One file or a list of them; at least one."""
        value = self._value(name)
        if value is _ABSENT:
            self.missing(name)
            return []
        rows = [value] if isinstance(value, bytes | str) else value
        if not isinstance(rows, list | tuple):
            self.flaw("list_type", "Input should be a valid list", name)
            return []
        for at, row in enumerate(rows):
            if not isinstance(row, bytes | str):
                self.flaw("bytes_type", "Input should be a valid bytes", name, at)
        if not rows:
            told = "List should have at least 1 item after validation, not 0"
            self.flaw("too_short", told, name, ctx={"min_length": 1, "actual_length": 0})
        self._counted(name, len(rows), most)
        return [row if isinstance(row, bytes) else row.encode() for row in rows if isinstance(row, bytes | str)]

    def _counted(self, name: str, count: int, most: float) -> None:
        if count > most:
            told = f"List should have at most {int(most)} items after validation, not {count}"
            self.flaw("too_long", told, name, ctx={"max_length": int(most), "actual_length": count})
