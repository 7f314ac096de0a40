"""The files that the gateway keeps: rows in the database, bytes on the shelf.

Bytes come first and go last: a row always has its bytes. What a crash leaves without a row is found and dropped later.
"""

from __future__ import annotations

import asyncio
from dataclasses import astuple, dataclass
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from gateway import edge
from gateway.edge import Clock
from gateway.errors import BodyTooLarge
from gateway.objects.folder import Folder
from gateway.objects.incoming import Incoming, filename_of, mime_of
from gateway.objects.kept import COLUMNS, Kept, Origin, of_row
from gateway.objects.shelf import NAME_LENGTH, Shelf
from gateway.storage.store import Store
from gateway.storage.tables.objects import objects
from schemas.catalogue import storage

if TYPE_CHECKING:
    from gateway.config import Config

DAY_MS: Final = 86_400_000
ROUND_S: Final = 600.0  # between two rounds of looking for files whose time is over
SWEPT_AT_ONCE: Final = 500
ORPHAN_S: Final = 86_400.0  # how old a file without a row must be to be dropped
SECRET_LENGTH: Final = 43


class Page(NamedTuple):
    """Which files are asked for."""

    owner: str
    origin: Origin
    kind: str | None = None
    before: tuple[int, str] | None = None  # (made at, id) of the last one seen
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be kept, and for how long."""

    public_url: str | None
    made_days: int  # 0: for ever
    link_s: int
    file_bytes_max: int
    account_bytes_max: int


class Files:
    """All kept files."""

    def __init__(self, shelf: Shelf, store: Store, clock: Clock, rules: Rules) -> None:
        self.rules = rules
        self._shelf = shelf
        self._store = store
        self._clock = clock
        self._swept_at_s = edge.monotonic()
        self._orphans_at_s = -ORPHAN_S

    def site(self, site: str) -> str:
        """Where links lead: as configured, else where the caller reached us."""
        return (self.rules.public_url or site).rstrip("/")

    def link(self, kept: Kept, site: str) -> str:
        """Where a file can be had."""
        return kept.link(self.site(site), self._clock.now_s(), self.rules.link_s)

    async def publish(self, data: bytes, mime: str, request_id: str, *, owner: str = "", site: str = "") -> str:
        """Keeps a file that was made for a caller; a public link to it that nobody can guess."""
        told = mime_of(mime, data)
        digest = await asyncio.to_thread(lambda: sha256(data).hexdigest())
        given = Incoming(BytesIO(data), len(data), digest, filename_of(None, told), told, storage.kind_of(told), True)
        kept = await self._keep(given, owner, "made", None, request_id)
        return self.link(kept, site)

    async def upload(self, given: Incoming, owner: str, key_id: str) -> Kept:
        """Keeps a file that a user brought. Raises BodyTooLarge where there is no room for it."""
        used = await self.used(owner)
        if used + given.bytes > self.rules.account_bytes_max:
            raise BodyTooLarge(f"Stored files may have {self.rules.account_bytes_max} bytes in all; {used} are taken.")
        return await self._keep(given, owner, "upload", key_id, None)

    async def _keep(
        self, given: Incoming, owner: str, origin: Origin, key_id: str | None, request_id: str | None
    ) -> Kept:
        now_ms = self._clock.now_ms()
        expires_ms = now_ms + self.rules.made_days * DAY_MS if origin == "made" and self.rules.made_days else None
        name = f"{edge.token(NAME_LENGTH)}{storage.ending(given.mime)}"
        kept = Kept(
            id=edge.new_id("obj"),
            name=name,
            owner=owner,
            key_id=key_id,
            request_id=request_id,
            origin=origin,
            kind=given.kind,
            filename=given.filename,
            mime=given.mime,
            bytes=given.bytes,
            digest=given.digest,
            secret=edge.token(SECRET_LENGTH),
            is_public=given.is_public,
            created_at_ms=now_ms,
            expires_at_ms=expires_ms,
        )
        await self._shelf.put(name, given.data)
        most = self.rules.account_bytes_max if origin == "upload" else None
        try:
            await self._store.write(lambda connection: enter(connection, kept, most))
        except BaseException:
            await asyncio.shield(self._shelf.drop([name]))
            raise
        return kept

    async def used(self, owner: str) -> int:
        """The bytes that a user has uploaded."""
        return await self._store.read(lambda connection: uploaded_bytes(connection, owner))

    async def find(self, owner: str, ident: str) -> Kept | None:
        """A user's own file by its id."""
        return await self._one(objects.c.id == ident, objects.c.owner == owner)

    async def named(self, name: str) -> Kept | None:
        """The file of a link."""
        return await self._one(objects.c.name == name)

    async def _one(self, *where: ColumnElement[bool]) -> Kept | None:
        row = await self._store.read(lambda c: c.execute(select(objects).where(*where)).mappings().first())
        kept = None if row is None else of_row(row)
        return None if kept is None or kept.is_gone(self._clock.now_ms()) else kept

    async def page(self, page: Page) -> list[Kept]:
        """A user's files, the newest first: one more than asked for, where there are more."""
        now_ms = self._clock.now_ms()
        rows = await self._store.read(lambda connection: found(connection, page, now_ms))
        return [of_row(row) for row in rows]

    def bytes_of(self, kept: Kept, start: int, end: int) -> Any:
        """The bytes of a file, in pieces. Raises Missing before the first."""
        return self._shelf.read(kept.name, start, end)

    async def drop(self, kept: Kept) -> None:
        """Forgets a file."""
        await self._store.write(lambda c: c.execute(delete(objects).where(objects.c.id == kept.id)))
        await self._shelf.drop([kept.name])

    async def sweep(self) -> None:
        """Drops what is over, now and then; once a day also bytes that no row knows."""
        now_s = edge.monotonic()
        if now_s - self._swept_at_s < ROUND_S:
            return
        self._swept_at_s = now_s
        await self.expire()
        if now_s - self._orphans_at_s >= ORPHAN_S:
            self._orphans_at_s = now_s
            await self.drop_orphans()

    async def expire(self) -> int:
        """Drops files whose time is over; how many."""
        dropped = 0
        while names := await self._store.write(lambda connection: taken_out(connection, self._clock.now_ms())):
            await self._shelf.drop(names)
            dropped += len(names)
        return dropped

    async def drop_orphans(self) -> int:
        """Drops bytes that no row knows; how many files."""
        dropped = 0
        async for names in self._shelf.names(self._clock.now_ms() / 1000 - ORPHAN_S):
            batch = list(names)
            known = await self._store.read(lambda connection, batch=batch: known_names(connection, batch))  # type: ignore[misc]
            orphans = [name for name in batch if name not in known]
            await self._shelf.drop(orphans)
            dropped += len(orphans)
        return dropped

    async def close(self) -> None:
        """Lets go of connections."""
        await self._shelf.close()


def enter(connection: Connection, kept: Kept, most_bytes: int | None) -> None:
    """Writes the row. Raises BodyTooLarge where others took the room meanwhile."""
    if most_bytes is not None and uploaded_bytes(connection, kept.owner) + kept.bytes > most_bytes:
        raise BodyTooLarge(f"Stored files may have {most_bytes} bytes in all; there is no room for this one.")
    connection.execute(insert(objects).values(dict(zip(COLUMNS, astuple(kept), strict=True))))


def uploaded_bytes(connection: Connection, owner: str) -> int:
    """The bytes that a user has uploaded."""
    total = func.coalesce(func.sum(objects.c.bytes), 0)
    return int(
        connection.execute(select(total).where(objects.c.owner == owner, objects.c.origin == "upload")).scalar_one()
    )


def found(connection: Connection, page: Page, now_ms: int) -> list[Any]:
    """The rows of a page, and the one after it."""
    column = objects.c
    where = [column.owner == page.owner, column.origin == page.origin]
    where.append((column.expires_at_ms.is_(None)) | (column.expires_at_ms > now_ms))
    if page.kind is not None:
        where.append(column.kind == page.kind)
    if page.before is not None:
        at_ms, ident = page.before
        where.append((column.created_at_ms < at_ms) | ((column.created_at_ms == at_ms) & (column.id < ident)))
    query = select(objects).where(*where).order_by(column.created_at_ms.desc(), column.id.desc()).limit(page.limit + 1)
    return list(connection.execute(query).mappings())


def taken_out(connection: Connection, now_ms: int) -> list[str]:
    """Deletes rows whose time is over, some at a time; the names of their files."""
    query = select(objects.c.name).where(objects.c.expires_at_ms <= now_ms).limit(SWEPT_AT_ONCE)
    names = list(connection.execute(query).scalars())
    if names:
        connection.execute(delete(objects).where(objects.c.name.in_(names)))
    return names


def known_names(connection: Connection, names: list[str]) -> set[str]:
    """Those of the names that have a row."""
    return set(connection.execute(select(objects.c.name).where(objects.c.name.in_(names))).scalars())


def shelf_of(url: str) -> Shelf:
    """The folder or the bucket that the configuration names. Raises ShelfError."""
    if url.startswith("s3://"):
        from gateway.objects.s3 import Bucket

        return Bucket(url)
    return Folder(url)


def open_files(config: Config, store: Store, clock: Clock) -> Files:
    """The files of a configuration. Raises ShelfError."""
    rules = Rules(config.public_url, config.made_days, config.link_s, config.file_bytes_max, config.account_bytes_max)
    return Files(shelf_of(config.objects), store, clock, rules)
