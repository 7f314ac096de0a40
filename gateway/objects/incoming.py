"""A file on its way in: what it says of itself, checked, and what it is by its bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Final

from gateway.errors import InvalidRequest, shown
from gateway.media import sniff
from gateway.objects.shelf import PIECE_BYTES
from schemas.catalogue import storage

MIME: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,99}/[a-z0-9][a-z0-9!#$&^_.+-]{0,99}")
FILENAME_LENGTH_MAX: Final = 200
HEAD_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file whose bytes have all come."""

    data: BinaryIO
    bytes: int
    digest: str
    filename: str
    mime: str
    kind: str
    is_public: bool = False


def incoming(data: BinaryIO, filename: str | None, told: str | None, kind: str | None, is_public: bool) -> Incoming:
    """A file, read once from its begin. Raises InvalidRequest."""
    size, digest, head = measured(data)
    mime = mime_of(told, head)
    return Incoming(data, size, digest, filename_of(filename, mime), mime, kind_of(kind, mime), is_public)


def measured(data: BinaryIO) -> tuple[int, str, bytes]:
    """How many bytes there are, their SHA-256, and the first of them; afterwards it stands at its begin again."""
    data.seek(0)
    head, size, hashed = b"", 0, sha256()
    while piece := data.read(PIECE_BYTES):
        head = head or piece[:HEAD_BYTES]
        size += len(piece)
        hashed.update(piece)
    data.seek(0)
    return size, hashed.hexdigest(), head


def mime_of(told: str | None, head: bytes) -> str:
    """The type as told; of what browsers may show, and of what is told nothing, the type that the bytes are of.

    Raises InvalidRequest for a type that is none.
    """
    seen = sniff.mime_of(head)
    mime = (told or "").partition(";")[0].strip().lower()
    if mime and MIME.fullmatch(mime) is None:
        raise InvalidRequest(f"The content type {shown(mime)!r} is none; one like image/png was due.")
    if mime in ("", storage.UNKNOWN):
        return seen
    return seen if storage.is_inline(mime) else mime


def filename_of(told: str | None, mime: str) -> str:
    """A name to show and to download under. Folders, control characters and blanks at the ends are left out."""
    name = re.split(r"[/\\]", told or "")[-1]
    name = "".join(letter for letter in name if letter.isprintable()).strip(" .")
    return name[-FILENAME_LENGTH_MAX:] or f"file{storage.ending(mime)}"


def kind_of(told: str | None, mime: str) -> str:
    """The kind. Raises InvalidRequest for one that there is not, or that such a file is not of."""
    if told is None:
        return storage.kind_of(mime)
    if told not in storage.kinds():
        raise InvalidRequest(f"`kind` is {shown(told)!r}; one of {', '.join(storage.kinds())} was due.")
    if not storage.holds(told, mime):
        raise InvalidRequest(f"`kind` is {told}, and the file is {mime}.")
    return told
