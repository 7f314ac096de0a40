"""Where the bytes of files are kept, as the rest of the gateway sees it: by names that the gateway made alone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from typing import BinaryIO, Final, Protocol

NAME_LENGTH: Final = 32  # characters nobody can guess
NAME: Final = re.compile(rf"[0-9A-Za-z]{{{NAME_LENGTH}}}\.[a-z0-9]{{1,8}}")
PIECE_BYTES: Final = 256 * 1024


class Missing(Exception):
    """There is no file of this name."""


class ShelfError(Exception):
    """The shelf cannot be used (the operator's fault)."""


class Shelf(Protocol):
    """A store of bytes: a folder, or a bucket of an S3 API. Names are those that `NAME` describes."""

    async def put(self, name: str, data: BinaryIO) -> None:
        """Keeps a file: whole, or not at all."""

    def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end`. Raises Missing before the first piece."""

    async def drop(self, names: Iterable[str]) -> None:
        """Forgets files; those that are not there are no error."""

    def names(self, before_s: float) -> AsyncIterator[list[str]]:
        """All names that were put before this Unix second, some at a time."""

    async def close(self) -> None:
        """Lets go of connections."""
