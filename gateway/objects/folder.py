"""Files in a folder of this machine: the embedded default."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from gateway.objects.shelf import NAME, PIECE_BYTES, Missing

PART: Final = ".part"  # the end of the name of a file that is being written
BATCH: Final = 500


class Folder:
    """A folder, made when the first file comes. Only the gateway's user can read it."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    async def put(self, name: str, data: BinaryIO) -> None:
        await asyncio.to_thread(self._put, name, data)

    def _put(self, name: str, data: BinaryIO) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole, part = self._path(name), self._folder / f"{name}{PART}"
        try:
            with part.open("xb") as file:
                shutil.copyfileobj(data, file, PIECE_BYTES)
                file.flush()
                os.fsync(file.fileno())
            part.replace(whole)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    async def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        try:
            file = await asyncio.to_thread(self._path(name).open, "rb")
        except FileNotFoundError:
            raise Missing(name) from None
        try:
            left = end - start
            await asyncio.to_thread(file.seek, start)
            while left > 0 and (piece := await asyncio.to_thread(file.read, min(PIECE_BYTES, left))):
                left -= len(piece)
                yield piece
        finally:
            file.close()

    async def drop(self, names: Iterable[str]) -> None:
        await asyncio.to_thread(self._drop, [self._path(name) for name in names])

    def _drop(self, paths: list[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    async def names(self, before_s: float) -> AsyncIterator[list[str]]:
        found = await asyncio.to_thread(self._names, before_s)
        for at in range(0, len(found), BATCH):
            yield found[at : at + BATCH]

    def _names(self, before_s: float) -> list[str]:
        """Names of files; what a crash left half written goes at once."""
        found: list[str] = []
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.stat().st_mtime >= before_s:
                        continue
                    if entry.name.endswith(PART) and NAME.fullmatch(entry.name.removesuffix(PART)):
                        Path(entry.path).unlink(missing_ok=True)
                    elif NAME.fullmatch(entry.name):
                        found.append(entry.name)
        return found

    def _path(self, name: str) -> Path:
        if NAME.fullmatch(name) is None:
            raise Missing(name)
        return self._folder / name

    async def close(self) -> None:
        """Nothing is open."""
