"""What was drawn, spoken, encoded or listened to last, kept in one place and bounded in bytes.

Making takes from tens to hundreds of milliseconds, too long for a loop that serves. There, whoever asks for something
that is not here gets `Unmade`, and asks again once it was made elsewhere (`simulator/media/making.py`). Anywhere else
it is made at once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

BYTES: Final = 192 << 20
FAILURE_BYTES: Final = 256  # what a failure weighs

Make = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing could be made, for this reason: the same each time."""

    error: ValueError

    def __len__(self) -> int:
        return FAILURE_BYTES


Made = bytes | Failed


class Unmade(Exception):
    """Something is not here, and must not be made on this thread."""

    def __init__(self, key: bytes, make: Make) -> None:
        super().__init__(key.hex())
        self.key = key
        self.make = make


class Store:
    """The last things made. Safe to use from several threads."""

    def __init__(self, bytes_max: int = BYTES) -> None:
        self._made: OrderedDict[bytes, Made] = OrderedDict()
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._serving: set[int] = set()  # threads
        self._held = threading.local()
        self.bytes = 0

    def get(self, key: bytes, make: Make) -> bytes:
        """What stands under a key, made if it is not there. Raises Unmade where it serves, and what `make` raises."""
        held: Mapping[bytes, Made] = getattr(self._held, "made", {})
        found = held.get(key)
        if found is None:
            with self._lock:
                found = self._made.get(key)
                if found is not None:
                    self._made.move_to_end(key)
        if found is None:
            if threading.get_ident() in self._serving:
                raise Unmade(key, make)
            found = self.make(key, make)
        if isinstance(found, Failed):
            raise ValueError(str(found.error)) from found.error
        return found

    def make(self, key: bytes, make: Make) -> Made:
        """Make it, and keep it; a ValueError is kept as well."""
        made: Made
        try:
            made = make()
        except ValueError as error:
            made = Failed(error)
        with self._lock:
            if key not in self._made:
                self._made[key] = made
                self.bytes += len(made)
            while self.bytes > self._bytes_max:
                self.bytes -= len(self._made.popitem(last=False)[1])
        return made

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._made.clear()
            self.bytes = 0

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Within, this thread serves."""
        thread = threading.get_ident()
        self._serving.add(thread)
        try:
            yield
        finally:
            self._serving.discard(thread)

    @contextmanager
    def holding(self, made: Mapping[bytes, Made]) -> Iterator[None]:
        """Within, this thread has these, kept or not: whoever asked for them comes further each time."""
        self._held.made = made
        try:
            yield
        finally:
            self._held.made = {}


STORE: Final = Store()
