"""Ctrl-C and SIGTERM end a command the same way: what it started is stopped, and the exit code names the signal."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

from windtunnel.errors import Stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Asked:
    """Which signal asked for the end, once one did."""

    number: int | None = None


@contextlib.contextmanager
def stoppable() -> Iterator[Asked]:
    """Turn SIGINT and SIGTERM into KeyboardInterrupt inside the block, and into Stopped after it.

    Code inside may swallow the interrupt to end in good order; the block still ends with Stopped.
    """
    asked = Asked()

    def stop(number: int, _frame: FrameType | None) -> None:
        asked.number = number
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked.number is not None:
        raise Stopped(asked.number)
