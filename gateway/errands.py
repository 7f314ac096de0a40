"""Work that nobody waits for: begun on the way, finished or ended with the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

AT_ONCE: Final = 256  # more than these are not begun: what is on an errand may be left undone


class Errands:
    """The errands under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, errand: Coroutine[Any, Any, None]) -> bool:
        """Begins an errand, if there are not too many; whether it did."""
        if len(self._tasks) >= AT_ONCE:
            errand.close()
            return False
        task = asyncio.get_running_loop().create_task(errand)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def close(self) -> None:
        """Ends them all."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
