"""Files in a bucket of an S3 API: Amazon's, R2, MinIO, Ceph…

    objects: s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=eu-central-1&style=path

Keys come from the environment, as for every S3 client: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. The
library (obstore) is imported only where a bucket is configured.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, BinaryIO, Final
from urllib.parse import parse_qsl, urlsplit

from gateway.objects.shelf import NAME, PIECE_BYTES, Missing, ShelfError

OPTIONS: Final = ("endpoint", "region", "style")
BATCH: Final = 500


class Bucket:
    """A bucket, and the prefix of all names in it. Raises ShelfError for a URL that does not name one."""

    def __init__(self, url: str) -> None:
        try:
            import obstore
            from obstore.store import S3Store
        except ImportError:
            raise ShelfError(f"objects: {url} needs obstore, which is not installed: pip install obstore") from None
        self._obstore: Any = obstore
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        wrong = set(options) - set(OPTIONS)
        if parts.scheme != "s3" or not parts.netloc or wrong:
            due = "s3://bucket/prefix?endpoint=URL&region=NAME&style=path"
            raise ShelfError(f"objects: got {url!r}, {due} was due")
        self._store: Any = S3Store(parts.netloc, prefix=parts.path.strip("/") or None, **settings(options))

    async def put(self, name: str, data: BinaryIO) -> None:
        await self._obstore.put_async(self._store, checked(name), data)

    async def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        if end <= start:
            return
        try:
            got = await self._obstore.get_async(self._store, checked(name), options={"range": (start, end)})
        except FileNotFoundError:
            raise Missing(name) from None
        async for piece in got.stream(min_chunk_size=PIECE_BYTES):
            yield bytes(piece)

    async def drop(self, names: Iterable[str]) -> None:
        if found := [checked(name) for name in names]:
            await self._obstore.delete_async(self._store, found)

    async def names(self, before_s: float) -> AsyncIterator[list[str]]:
        async for rows in self._obstore.list(self._store, chunk_size=BATCH):
            found = [row["path"] for row in rows if row["last_modified"].timestamp() < before_s]
            yield [name for name in found if NAME.fullmatch(name)]

    async def close(self) -> None:
        """Connections go with the store."""


def settings(options: dict[str, str]) -> dict[str, Any]:
    """The store's own options."""
    told: dict[str, Any] = {"virtual_hosted_style_request": options.get("style") == "host"}
    if (endpoint := options.get("endpoint")) is not None:
        told["endpoint"] = endpoint
        told["client_options"] = {"allow_http": endpoint.startswith("http://")}
    if (region := options.get("region")) is not None:
        told["region"] = region
    return told


def checked(name: str) -> str:
    """A name of ours. Raises Missing."""
    if NAME.fullmatch(name) is None:
        raise Missing(name)
    return name
