"""A multipart form (RFC 7578) as its parts: bytes in, values out."""

from __future__ import annotations

from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header


class Part(NamedTuple):
    """One field of a form."""

    name: str
    data: bytes
    filename: str | None = None  # None: a plain value
    content_type: str = ""

    @property
    def text(self) -> str:
        """The data of a plain value."""
        return self.data.decode("utf-8", "replace")


def parts(content_type: str, body: bytes) -> list[Part]:
    """The parts of a body, in order. Raises ValueError, saying what is wrong with it."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise ValueError(f"content type {content_type!r}: due multipart/form-data")
    boundary = options.get(b"boundary")
    if not boundary:
        raise ValueError(f"content type {content_type!r}: due a boundary")
    collector = _Collector()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": collector.begin,
            "on_header_begin": collector.header,
            "on_header_field": collector.field,
            "on_header_value": collector.value,
            "on_part_data": collector.take,
            "on_part_end": collector.end,
            "on_end": collector.close,
        },
    )
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise ValueError(f"multipart body: {error}") from None
    if not collector.closed:
        raise ValueError("multipart body: the last boundary is missing")
    return collector.parts


class _Collector:
    """What the parser calls: gathers headers and data of the part under way."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.closed = False
        self._headers: list[list[bytes]] = []
        self._data: list[bytes] = []

    def begin(self) -> None:
        self._headers, self._data = [], []

    def header(self) -> None:
        self._headers.append([b"", b""])

    def field(self, data: bytes, start: int, end: int) -> None:
        self._headers[-1][0] += data[start:end]

    def value(self, data: bytes, start: int, end: int) -> None:
        self._headers[-1][1] += data[start:end]

    def take(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def end(self) -> None:
        headers = {name.lower(): value for name, value in self._headers}
        _, options = parse_options_header(headers.get(b"content-disposition"))
        filename = options.get(b"filename")
        self.parts.append(
            Part(
                name=options.get(b"name", b"").decode("utf-8", "replace"),
                data=b"".join(self._data),
                filename=None if filename is None else filename.decode("utf-8", "replace"),
                content_type=headers.get(b"content-type", b"").decode("latin-1"),
            )
        )

    def close(self) -> None:
        self.closed = True
