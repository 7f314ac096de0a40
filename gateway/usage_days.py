"""Days of a time zone: which one a moment lies in, in Python and in SQL alike. Pure.

A day is its number since 1970-01-01. Between two changes of a zone's offset it is a sum and a division.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, ColumnElement, case, literal

DAY_MS: Final = 86_400_000
NAME_MAX: Final = 64
EPOCH: Final = date(1970, 1, 1)

Offset = tuple[int, int]  # (from which moment, milliseconds ahead of UTC)


@lru_cache(maxsize=64)
def zone(name: str) -> tzinfo:
    """The time zone of an IANA name. Raises ValueError."""
    if name == "UTC":
        return UTC
    if not 1 <= len(name) <= NAME_MAX or not name.isascii():
        raise ValueError(f"{name!r} is no time zone")
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # a folder of the database is an OSError
        raise ValueError(f"{name!r} is no time zone") from None


def offset_ms(name: str, at_ms: int) -> int:
    """How far the zone is ahead of UTC at a moment."""
    ahead = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone(name)).utcoffset()
    return 0 if ahead is None else ahead // timedelta(milliseconds=1)


def offsets(name: str, start_ms: int, end_ms: int) -> list[Offset]:
    """The zone's offsets in a period: the first holds from before its start."""
    found = [(start_ms, offset_ms(name, start_ms))]
    if name == "UTC":
        return found
    before_ms = start_ms
    while before_ms < end_ms:
        after_ms = min(before_ms + DAY_MS, end_ms)
        now = offset_ms(name, after_ms)
        if now != found[-1][1]:
            found.append((_change(name, before_ms, after_ms), now))
        before_ms = after_ms
    return found


def _change(name: str, before_ms: int, after_ms: int) -> int:
    """The first second at which the offset is that of `after_ms`, not that of `before_ms`."""
    low, high = before_ms // 1000, -(-after_ms // 1000)
    after = offset_ms(name, after_ms)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if offset_ms(name, middle * 1000) == after else (middle, high)
    return high * 1000


def number(column: ColumnElement[int], some: Sequence[Offset]) -> ColumnElement[int]:
    """The day of a column of moments, as SQL."""
    ahead: Any = literal(some[-1][1], BigInteger)
    if len(some) > 1:
        steps = [(column < start, literal(own, BigInteger)) for (_, own), (start, _) in pairwise(some)]
        ahead = case(*steps, else_=ahead)
    day: ColumnElement[int] = (column + ahead) // DAY_MS
    return day


def day_of(some: Sequence[Offset], at_ms: int) -> int:
    """The day of a moment."""
    ahead = next((own for start, own in reversed(some) if at_ms >= start), some[0][1])
    return (at_ms + ahead) // DAY_MS


def numbers(some: Sequence[Offset], start_ms: int, end_ms: int) -> Iterator[int]:
    """Every day of the period from `start_ms` to before `end_ms`, in order."""
    yield from range(day_of(some, start_ms), day_of(some, max(start_ms, end_ms - 1)) + 1)


def date_of(day: int) -> str:
    """The day's date, as ISO 8601."""
    return (EPOCH + timedelta(days=day)).isoformat()


def start_of(name: str, day: date) -> int:
    """The moment at which a date begins in the zone."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone(name))
    return int(midnight.timestamp()) * 1000
