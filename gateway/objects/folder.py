"""Files in a folder of this machine: the embedded default."""

from __future__ import annotations

import asyncio
import mimetypes
from pathlib import Path
from typing import Final

from gateway import edge

PATH: Final = "/files/"  # below which published files are served
NAME_LENGTH: Final = 32  # characters nobody can guess


class Folder:
    """A folder, made when the first file comes."""

    def __init__(self, folder: str, public_url: str | None) -> None:
        self._folder = Path(folder)
        self._public_url = (public_url or "").rstrip("/")

    async def publish(self, data: bytes, mime: str, request_id: str) -> str:  # noqa: ARG002
        """Keeps a file that was made for a caller; a link to it that nobody can guess."""
        name = f"{edge.token(NAME_LENGTH)}{mimetypes.guess_extension(mime) or '.bin'}"
        await asyncio.to_thread(self._write, name, data)
        return f"{self._public_url}{PATH}{name}"

    def _write(self, name: str, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        whole, part = self._folder / name, self._folder / f"{name}.part"
        part.write_bytes(data)
        part.replace(whole)

    async def close(self) -> None:
        """Nothing is open."""
