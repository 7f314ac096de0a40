"""One kept file, and the links to it. Who knows the link of a public one gets it; other links are signed and die."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any, Final, Literal

PATH: Final = "/files/"  # below which files are served
Origin = Literal["upload", "made"]


@dataclass(frozen=True, slots=True)
class Kept:
    """A row of the table `objects`."""

    id: str
    name: str
    owner: str
    key_id: str | None
    request_id: str | None
    origin: Origin
    kind: str
    filename: str
    mime: str
    bytes: int
    digest: str
    secret: str = field(repr=False)
    is_public: bool
    created_at_ms: int
    expires_at_ms: int | None

    def is_gone(self, now_ms: int) -> bool:
        """Whether its time is over."""
        return self.expires_at_ms is not None and self.expires_at_ms <= now_ms

    def link(self, site: str, now_s: int, life_s: int) -> str:
        """Where it can be had: for as long as it is kept, or for `life_s`."""
        url = f"{site}{PATH}{self.name}"
        if self.is_public:
            return url
        until_s = now_s + life_s
        return f"{url}?expires={until_s}&signature={self.signature(until_s)}"

    def signature(self, until_s: int) -> str:
        """Of a link that is good until then."""
        return hmac.new(self.secret.encode(), f"{self.name}\n{until_s}".encode(), sha256).hexdigest()

    def admits(self, query: Mapping[str, str]) -> bool:
        """Whether the query of a link was signed by us, however long ago."""
        until = query.get("expires", "")
        if not (until.isascii() and until.isdigit() and len(until) <= 12):
            return False
        told = query.get("signature", "").encode("utf-8", "replace")
        return hmac.compare_digest(self.signature(int(until)).encode(), told)


COLUMNS: Final = tuple(column.name for column in fields(Kept))


def of_row(row: Any) -> Kept:
    """A file from its row."""
    return Kept(**{name: row[name] for name in COLUMNS})
