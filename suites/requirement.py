"""How a check says which requirement it decides.

    @requirement("BIL-004")
    @over(endpoint=ENDPOINTS, stream=MODES)
    async def test_settles_to_usage(case: Case, endpoint: str, stream: bool) -> None: ...

is the check `BIL-004/settles_to_usage` with the cases `[chat,stream]`, `[chat,json]`, …
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import pytest

ENDPOINTS: Final = ("chat", "messages")
MODES: Final = (False, True)
MARK: Final = "windtunnel_check"
LONGEST_WORD: Final = 48

CheckFunction = Callable[..., Awaitable[None]]
F = TypeVar("F", bound=CheckFunction)


@dataclass(frozen=True, slots=True)
class CheckFacts:
    """What a check says of itself."""

    requirement: str
    exclusive: bool = False  # runs alone, after all others
    slow: bool = False  # mostly waits: begins first and takes no slot
    limit_s: float = 90.0  # longer is our own error: every wait inside has a shorter bound


def requirement(
    identity: str, *, exclusive: bool = False, slow: bool = False, limit_s: float = 90.0
) -> Callable[[F], F]:
    """Mark an async function as a check of the requirement `identity`."""

    def mark(function: F) -> F:
        setattr(function, MARK, CheckFacts(identity, exclusive, slow, limit_s))
        return function

    return mark


def over(**axes: Sequence[Any]) -> Callable[[F], F]:
    """Run the check for every combination of the axes."""

    def mark(function: F) -> F:
        for name, values in axes.items():
            function = pytest.mark.parametrize(name, values)(function)
        return function

    return mark


def facts_of(function: Callable[..., Any]) -> CheckFacts | None:
    """What `requirement` noted on a function; None for any other function."""
    return getattr(function, MARK, None)


def word(name: str, value: Any) -> str:
    """One parameter in a check's id: `stream` and `json` for the two modes, else the value."""
    if name == "stream" and isinstance(value, bool):
        return "stream" if value else "json"
    if isinstance(value, bool):
        return name if value else f"no-{name}"
    text = str(getattr(value, "id", value))
    return "".join(c if c.isascii() and (c.isalnum() or c in "._:@/=+-") else "_" for c in text)[:LONGEST_WORD]


def check_id(function: Callable[..., Any], parameters: Mapping[str, Any]) -> str:
    """`BIL-004/settles_to_usage[chat,stream]`: parameters in the order of the signature."""
    facts = facts_of(function)
    if facts is None:
        raise TypeError(f"{function.__name__} names no requirement")
    slug = function.__name__.removeprefix("test_")
    words = [word(name, parameters[name]) for name in inspect.signature(function).parameters if name in parameters]
    return f"{facts.requirement}/{slug}" + (f"[{','.join(words)}]" if words else "")
