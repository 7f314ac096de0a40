"""Files that are lost, mixed up or shown to strangers, and lists of them that are wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace as changed
from io import BytesIO
from typing import Any

from gateway.endpoints import storage
from gateway.endpoints.storage import Told
from gateway.errors import InvalidRequest, NoCredit, NotFound
from gateway.objects import files as shelves
from gateway.objects import incoming
from gateway.objects.files import Files, Page
from gateway.objects.kept import Kept
from gateway.services import Services
from gateway.storage.tables.objects import objects
from mutants._patch import around, replace
from mutants.registry import mutant
from schemas.catalogue import storage as kinds


@mutant()
def storage_form_name_ignored() -> None:
    """A name in the fields of a form loses to that of the form's file."""

    @around(storage, "Told")
    def told(old: Any, name: str | None, mime: str | None, *rest: Any) -> Any:
        return old("x.csv" if name == "cities.csv" else name, mime, *rest)


@mutant()
def storage_line_ends_changed() -> None:
    """Line ends of texts are changed on their way in."""

    @around(storage, "incoming")
    def measured(old: Any, data: Any, filename: str | None, mime: str | None, *rest: Any) -> Any:
        data.seek(0)
        given = data.read()
        is_text = (mime or "").startswith("text/csv")
        return old(BytesIO(given.replace(b"\n", b"\r\n") if is_text else given), filename, mime, *rest)


@mutant()
def storage_kind_filter_ignored() -> None:
    """The list does not look at the kind that is asked for."""

    @around(shelves, "found")
    def found(old: Any, connection: Any, page: Page, now_ms: int) -> Any:
        return old(connection, page._replace(kind=None), now_ms)


@mutant()
def storage_listed_oldest_first() -> None:
    """Lists begin with the oldest file."""

    @around(Files, "page")
    async def page(old: Any, self: Files, asked: Page) -> Any:
        rows = await old(self, asked)
        return rows[: asked.limit][::-1] + rows[asked.limit :]


@mutant()
def storage_cursor_skips_one() -> None:
    """The next page begins after the first file that it should have."""

    @around(Files, "page")
    async def page(old: Any, self: Files, asked: Page) -> Any:
        rows = await old(self, asked)
        return rows[1:] if asked.before is not None else rows


@mutant()
def storage_delete_keeps_link() -> None:
    """What is deleted disappears from the list, and its link works on."""
    dropped: dict[str, Kept] = {}

    @around(Files, "drop")
    async def drop(old: Any, self: Files, kept: Kept) -> None:
        dropped[kept.name] = kept
        shelf = self._shelf
        try:
            self._shelf = Sturdy()  # type: ignore[assignment]
            await old(self, kept)
        finally:
            self._shelf = shelf

    @around(Files, "named")
    async def named(old: Any, self: Files, name: str) -> Kept | None:
        return await old(self, name) or dropped.get(name)


class Sturdy:
    """A shelf that keeps what it is to drop."""

    async def drop(self, _names: Any) -> None:
        """Nothing."""


@mutant()
def storage_of_everybody() -> None:
    """Whoever knows the id of a file may see and delete it."""

    async def find(self: Files, _owner: str, ident: str) -> Kept | None:
        return await self._one(objects.c.id == ident)

    replace(Files, "find", find)


@mutant()
def storage_belongs_to_the_key() -> None:
    """A file can be found by the key alone that brought it."""

    @around(storage, "own")
    async def own(old: Any, services: Services, request: Any) -> Kept:
        kept: Kept = await old(services, request)
        if kept.key_id != services.authenticate(request).id:
            raise NotFound("There is no such file.")
        return kept


@mutant()
def storage_open_to_all() -> None:
    """Who brings no valid key is taken for whoever came last."""
    last: list[Any] = []

    @around(Services, "authenticate")
    def authenticate(old: Any, self: Services, request: Any) -> Any:
        if not request.url.path.startswith(storage.PATHS):
            return old(self, request)
        try:
            last[:] = [old(self, request)]
        except Exception:
            if not last:
                raise
        return last[0]


@mutant()
def storage_type_believed() -> None:
    """Files are of the type that they say."""
    old = incoming.mime_of
    replace(incoming, "mime_of", lambda told, head: (told or "").partition(";")[0].strip().lower() or old(told, head))


@mutant("GD-198")
def storage_path_in_name() -> None:
    """The folders that a file's name tells are kept."""
    replace(incoming, "filename_of", lambda told, _mime: (told or "file").replace("\0", "").replace("\r\n", "")[:200])


@mutant()
def storage_kind_unchecked() -> None:
    """A file is of whatever kind it says."""

    @around(incoming, "kind_of")
    def kind_of(old: Any, told: str | None, mime: str) -> Any:
        return told if told in kinds.kinds() else old(told, mime)


@mutant()
def storage_empty_kept() -> None:
    """Empty files are kept."""

    async def checked(data: Any, told: Told, _most: int) -> Any:
        return incoming.incoming(data, *told)

    replace(storage, "checked", checked)


@mutant()
def storage_bad_cursor_ignored() -> None:
    """A cursor that is none is the begin of the list."""

    @around(storage, "position")
    def position(old: Any, told: str | None) -> Any:
        try:
            return old(told)
        except InvalidRequest:
            return None


@mutant()
def storage_size_judged_at_the_end() -> None:
    """What is too large is refused once it has come."""

    @around(storage, "arriving")
    def arriving(old: Any, services: Services, request: Any) -> Any:
        spare = changed(services.config, file_bytes_max=2**40)
        return old(Spared(services, spare), request)


class Spared:
    """The services with another configuration."""

    def __init__(self, services: Services, config: Any) -> None:
        self.config = config
        self.objects = services.objects


@mutant()
def storage_needs_credit() -> None:
    """Files are kept for those alone who have credit."""

    @around(storage, "arriving")
    @asynccontextmanager
    async def arriving(old: Any, services: Services, request: Any) -> AsyncIterator[Any]:
        balance = await services.money.balance(services.authenticate(request).payer_id)
        if balance.topped_up_uc == 0:
            raise NoCredit("Files are kept for those who have credit.")
        async with old(services, request) as given:
            yield given


@mutant()
def storage_made_mixed_with_uploads() -> None:
    """What was made stands in the list of uploads."""

    @around(Files, "publish")
    async def publish(old: Any, self: Files, *args: Any, **options: Any) -> str:
        keep = Files._keep

        async def upload(this: Files, given: Any, owner: str, _origin: Any, *rest: Any) -> Kept:
            return await keep(this, given, owner, "upload", *rest)

        self._keep = upload.__get__(self)  # type: ignore[method-assign]
        try:
            link: str = await old(self, *args, **options)
        finally:
            del self._keep
        return link


@mutant()
def storage_time_in_ms() -> None:
    """When a file came is told in milliseconds."""

    @around(storage, "shown_as")
    def shown_as(old: Any, services: Services, request: Any, kept: Kept) -> dict[str, Any]:
        return {**old(services, request, kept), "createdAt": kept.created_at_ms}


@mutant()
def storage_page_without_next() -> None:
    """The last page of files does not say that it is."""

    @around(storage, "reply")
    def reply(old: Any, content: Any, *rest: Any) -> Any:
        told = {name: value for name, value in content.items() if name != "nextCursor" or value is not None}
        return old(told, *rest)


@mutant()
def storage_deleted_in_words() -> None:
    """That a file is deleted is told in words."""

    @around(storage, "reply")
    def reply(old: Any, content: Any, *rest: Any) -> Any:
        return old({**content, "deleted": "yes"} if "deleted" in content else content, *rest)
