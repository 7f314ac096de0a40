"""Links that admit whom they must not, and files that are served as what they are not."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any

from gateway.endpoints import files
from gateway.errors import NoAccess
from gateway.objects.kept import Kept
from gateway.services import Services
from mutants._patch import around, replace
from mutants.registry import mutant


def edit_headers(edit: Callable[[Kept, dict[str, str]], dict[str, str]]) -> None:
    """What is served of a file goes out with the headers that `edit(kept, headers)` makes."""

    @around(files, "headers_of")
    def headers_of(old: Any, kept: Kept, query: Mapping[str, str], now_ms: int) -> dict[str, str]:
        found: dict[str, str] = edit(kept, old(kept, query, now_ms))
        return found


@mutant()
def storage_link_unsigned() -> None:
    """The signature of a link is not looked at."""
    replace(Kept, "admits", lambda _self, query: query.get("expires", "").isdigit())


@mutant()
def storage_link_time_unsigned() -> None:
    """The signature of a link does not cover its time."""
    replace(
        Kept,
        "signature",
        lambda self, _until_s: hmac.new(self.secret.encode(), self.name.encode(), "sha256").hexdigest(),
    )


@mutant()
def storage_link_lives_for_ever() -> None:
    """Links work on when their time is over."""

    @around(files, "found")
    async def found(old: Any, services: Services, name: str, query: Mapping[str, str]) -> Kept:
        try:
            kept: Kept = await old(services, name, query)
        except NoAccess:
            kept = await services.objects.named(name)  # type: ignore[assignment]
        return kept


@mutant()
def storage_pages_served() -> None:
    """Pages and drawings are served under their own types."""
    edit_headers(lambda kept, headers: {**headers, "content-type": kept.mime})


@mutant()
def storage_shown_inline() -> None:
    """Every file is to be shown, none to be downloaded."""

    def shown(_kept: Kept, headers: dict[str, str]) -> dict[str, str]:
        disposition = headers["content-disposition"].replace("attachment", "inline")
        return {**headers, "content-disposition": disposition}

    edit_headers(shown)


@mutant()
def storage_sniffing_allowed() -> None:
    """Files are served without the headers that keep browsers from guessing."""
    edit_headers(lambda _kept, headers: {k: v for k, v in headers.items() if k != "x-content-type-options"})


@mutant()
def storage_range_off_by_one() -> None:
    """The last byte of a range is left out."""

    @around(files, "part_of")
    def part_of(old: Any, headers: Any, kept: Kept) -> files.Part:
        part: files.Part = old(headers, kept)
        return part._replace(end=part.end - 1) if part.status == 206 and part.end - part.start > 1 else part


@mutant()
def storage_suffix_range_misread() -> None:
    """A range of the last bytes is read as one of the first."""

    @around(files, "part_of")
    def part_of(old: Any, headers: Any, kept: Kept) -> files.Part:
        part: files.Part = old(headers, kept)
        return files.Part(0, part.end - part.start, 206) if headers.get("range", "").startswith("bytes=-") else part


@mutant()
def storage_if_range_ignored() -> None:
    """A range of other bytes than the caller has is served all the same."""

    @around(files, "part_of")
    def part_of(old: Any, headers: Any, kept: Kept) -> files.Part:
        part: files.Part = old({name: headers[name] for name in headers if name != "if-range"}, kept)
        return part


@mutant()
def storage_name_unescaped() -> None:
    """The name of a download stands in its header as it came."""

    def raw(kept: Kept, headers: dict[str, str]) -> dict[str, str]:
        name = kept.filename.encode("ascii", "ignore").decode()
        return {**headers, "content-disposition": f'attachment; filename="{name}"'}

    edit_headers(raw)
