"""Strings that a JSON Schema asks for: by `format`, by `pattern`, by length, and by the sense of a property's name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from random import Random
from typing import Any, Final

from simulator.answers.prose import title, vocabulary

LENGTH_MAX: Final = 100_000
REPEAT_LEAST_MAX: Final = 1_000
REPEAT_MAX: Final = 8  # an open-ended repetition in a pattern is drawn at most this far above its minimum

SENSE: Final[Mapping[str, tuple[str, ...]]] = {  # by the property's name in lower case
    "city": ("Paris", "Tokyo", "Nairobi", "Lima", "Oslo"),
    "location": ("Paris, France", "Tokyo, Japan", "Lima, Peru", "Oslo, Norway"),
    "country": ("France", "Japan", "Kenya", "Peru", "Norway"),
    "name": ("Ada Lovelace", "Grace Hopper", "Alan Turing", "Katherine Johnson"),
    "email": ("ada@example.com", "grace@example.com", "alan@example.org"),
    "url": ("https://example.com/a", "https://example.org/b"),
    "date": ("2026-03-14", "2026-07-01", "2026-11-30"),
    "currency": ("EUR", "USD", "JPY"),
    "language": ("en", "fr", "ja"),
    "timezone": ("Europe/Paris", "Asia/Tokyo", "UTC"),
}


def _hex(dice: Random, length: int) -> str:
    return "".join(dice.choices("0123456789abcdef", k=length))


def _date(dice: Random) -> str:
    return f"2026-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}"


def _time(dice: Random) -> str:
    return f"{dice.randint(0, 23):02}:{dice.randint(0, 59):02}:{dice.randint(0, 59):02}Z"


def _host(dice: Random) -> str:
    return f"{dice.choice(vocabulary())}.example.com"


def _uuid(dice: Random) -> str:
    return f"{_hex(dice, 8)}-{_hex(dice, 4)}-4{_hex(dice, 3)}-a{_hex(dice, 3)}-{_hex(dice, 12)}"


FORMATS: Final[Mapping[str, Callable[[Random], str]]] = {
    "date-time": lambda dice: f"{_date(dice)}T{_time(dice)}",
    "date": _date,
    "time": _time,
    "duration": lambda dice: f"P{dice.randint(1, 9)}DT{dice.randint(1, 9)}H",
    "email": lambda dice: f"{dice.choice(vocabulary())}@{_host(dice)}",
    "idn-email": lambda dice: f"{dice.choice(vocabulary())}@{_host(dice)}",
    "hostname": _host,
    "idn-hostname": _host,
    "ipv4": lambda dice: ".".join(str(dice.randint(1, 254)) for _ in range(4)),
    "ipv6": lambda dice: "2001:db8:" + ":".join(_hex(dice, 4) for _ in range(6)),
    "uri": lambda dice: f"https://{_host(dice)}/{dice.choice(vocabulary())}",
    "iri": lambda dice: f"https://{_host(dice)}/{dice.choice(vocabulary())}",
    "uri-reference": lambda dice: f"/{dice.choice(vocabulary())}",
    "iri-reference": lambda dice: f"/{dice.choice(vocabulary())}",
    "uri-template": lambda dice: f"/{dice.choice(vocabulary())}/{{id}}",
    "uuid": _uuid,
    "json-pointer": lambda dice: f"/{dice.choice(vocabulary())}",
    "relative-json-pointer": lambda dice: f"1/{dice.choice(vocabulary())}",
    "regex": lambda dice: f"^{dice.choice(vocabulary())}$",
}


def finds(pattern: str, text: str) -> bool:
    """Whether a pattern matches somewhere in a text."""
    return re.search(pattern, text) is not None


def text(schema: Mapping[str, Any], dice: Random, name: str = "") -> str:
    """A string for a string schema; `name` is the property's, for sense. Raises ValueError when none was found."""
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    if low > LENGTH_MAX:
        raise ValueError(f"minLength {low} is above {LENGTH_MAX}")
    for candidate in _candidates(schema, dice, name):
        if high is not None and len(candidate) > high and not ("format" in schema or "pattern" in schema):
            candidate = candidate[:high].rstrip() or candidate[:high]
        while len(candidate) < low and "format" not in schema and "pattern" not in schema:
            candidate += dice.choice(vocabulary())
            candidate = candidate[:high]
        fits = len(candidate) >= low and (high is None or len(candidate) <= high)
        if fits and ("pattern" not in schema or re.search(schema["pattern"], candidate)):
            return candidate
    raise ValueError(f"no string found for {dict(schema)}")


def _candidates(schema: Mapping[str, Any], dice: Random, name: str) -> list[str]:
    if "pattern" in schema:
        low, high = schema.get("minLength", 0), schema.get("maxLength")
        return [matching(schema["pattern"], dice, low, high) for _ in range(8)]
    if (make := FORMATS.get(schema.get("format", ""))) is not None:
        return [make(dice) for _ in range(4)]
    known = SENSE.get(name.lower())
    return [dice.choice(known) if known else title(dice, dice.randint(1, 3))]


def matching(pattern: str, dice: Random, low: int = 0, high: int | None = None) -> str:
    """A string that a regular expression finds; `low` and `high` steer its length. Raises ValueError where it can't."""
    try:
        parsed = import_module("re._parser").parse(pattern)
    except re.error as error:
        raise ValueError(f"pattern {pattern!r}: {error}") from None
    out = _regex(parsed, dice, low, high)
    open_end = not pattern.endswith("$")
    while len(out) < low and open_end:
        out += dice.choice("abcdefghijklmnopqrstuvwxyz")
    out.encode()  # half a surrogate pair is no text: UnicodeEncodeError
    return out


def _regex(parsed: Any, dice: Random, low: int, high: int | None) -> str:
    """Text for a parsed expression; repetitions go for `low` characters and stay, if they can, below `high`."""
    out: list[str] = []
    for op, argument in parsed:
        match str(op):
            case "LITERAL":
                out.append(chr(argument))
            case "NOT_LITERAL":
                out.append("a" if argument != ord("a") else "b")
            case "ANY":
                out.append(dice.choice("abcdefghij"))
            case "IN":
                out.append(_one_of(argument, dice))
            case "CATEGORY":
                out.append(_category(str(argument), dice))
            case "BRANCH":
                out.append(_regex(dice.choice(argument[1]), dice, 0, high))
            case "SUBPATTERN":
                out.append(_regex(argument[3], dice, low, high))
            case "ATOMIC_GROUP":
                out.append(_regex(argument, dice, low, high))
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                out.append(_repeat(argument, dice, low - sum(map(len, out)), high))
            case "AT" | "ASSERT" | "ASSERT_NOT":
                continue  # anchors and look-around take no characters; what they forbid is found by the final match
            case unknown:
                raise ValueError(f"a pattern with {unknown.lower()} is not supported")
    return "".join(out)


def _repeat(argument: Any, dice: Random, low: int, high: int | None) -> str:
    least, most, inner = argument
    if least > REPEAT_LEAST_MAX:
        raise ValueError(f"a repetition of at least {least} is not supported")
    top = min(int(most), max(least + REPEAT_MAX, low))
    if high is not None:
        top = max(least, min(top, high))
    times = dice.randint(max(least, min(low, top)), max(least, top))
    return "".join(_regex(inner, dice, 0, high) for _ in range(times))


def _category(name: str, dice: Random) -> str:
    return dice.choice(
        {
            "CATEGORY_DIGIT": "0123456789",
            "CATEGORY_NOT_DIGIT": "abcdefgh",
            "CATEGORY_SPACE": " ",
            "CATEGORY_NOT_SPACE": "abcdefgh",
            "CATEGORY_WORD": "abcdefgh0123_",
            "CATEGORY_NOT_WORD": "-.!",
        }[name]
    )


def _one_of(parts: Any, dice: Random) -> str:
    """A character of a set such as [a-z_] or [^"]."""
    if str(parts[0][0]) == "NEGATE":
        taken = re.compile("[" + "".join(_shown(part) for part in parts[1:]) + "]")
        return dice.choice([c for c in map(chr, range(32, 127)) if not taken.match(c)] or ["é"])
    op, argument = dice.choice(parts)
    if str(op) == "RANGE":
        return chr(dice.randint(*argument))
    return chr(argument) if str(op) == "LITERAL" else _category(str(argument), dice)


def _shown(part: Any) -> str:
    op, argument = part
    if str(op) == "RANGE":
        return f"{re.escape(chr(argument[0]))}-{re.escape(chr(argument[1]))}"
    if str(op) == "LITERAL":
        return re.escape(chr(argument))
    letter = str(argument).rsplit("_", 1)[1][0].lower()
    return f"\\{letter.upper() if 'NOT' in str(argument) else letter}"
