"""Hourly limits: fixed windows, one for each user and class of request. Pure: the time is passed in.

A window starts with the user's first request in it, not with the clock's hour, so that two bursts around a full hour
are not both let in. Source: api-reference#errors-rate-limits; docs/decisions.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

WINDOW_S = 3600
DEFAULTS: Mapping[str, int] = MappingProxyType({"chat": 1000, "image": 500, "video": 200, "audio": 200})


@dataclass(frozen=True, slots=True)
class Window:
    """What the limiter says of one request, and what the X-RateLimit headers show."""

    admitted: bool
    limit: int
    remaining: int  # requests that this window still admits, >= 0
    reset_s: int  # Unix seconds: from then on a new window starts
    retry_after_s: int  # seconds from the request to the reset, >= 1


class Limiter:
    """Counts admitted requests, per user and class. One process's memory: several workers would each have their own."""

    def __init__(self, window_s: int = WINDOW_S) -> None:
        self._window_s = window_s
        # (user id, class) -> [reset_s, admitted]. All windows are equally long and put in as they start: the first in
        # the dict ends first, and the expired ones are always at its head.
        self._windows: dict[tuple[str, str], list[int]] = {}

    def __len__(self) -> int:
        """How many windows are remembered."""
        return len(self._windows)

    def admit(self, user_id: str, cls: str, limit: int, now_s: int) -> Window:
        """Counts the request if the window has room for it. `now_s` must not go back."""
        self._drop_expired(now_s)
        key = (user_id, cls)
        window = self._windows.get(key)
        if window is None:
            window = [now_s + self._window_s, 0]
            if limit > 0:
                self._windows[key] = window
        reset_s, count = window
        admitted = count < limit
        if admitted:
            count += 1
            window[1] = count
        return Window(admitted, limit, max(0, limit - count), reset_s, max(1, reset_s - now_s))

    def _drop_expired(self, now_s: int) -> None:
        windows = self._windows
        while windows:
            key = next(iter(windows))
            if windows[key][0] > now_s:
                return
            del windows[key]
