"""Where files are kept, as the rest of the gateway sees it."""

from __future__ import annotations

from typing import Protocol


class Objects(Protocol):
    """A store of files: a folder, or a bucket of an S3 API."""

    async def publish(self, data: bytes, mime: str, request_id: str) -> str:
        """Keeps a file that was made for a caller; a public link to it that nobody can guess."""

    async def close(self) -> None:
        """Lets go of connections."""
