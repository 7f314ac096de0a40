"""What is not kept, and what cannot be asked."""

from __future__ import annotations

from typing import Any

from suites import raw, stored
from suites.case import Case, expect_status
from suites.requirement import over, requirement

ROWS = b"city,unit\nOslo,C\n"
FILE_BYTES_MAX = 256 * 1024 * 1024
BAD_UPLOADS: dict[str, tuple[bytes, str, dict[str, str]]] = {
    "kind-unknown": (ROWS, "text/csv", {"kind": "spreadsheet"}),
    "kind-of-another-type": (ROWS, "text/csv", {"kind": "image"}),
    "kind-belied-by-the-bytes": (ROWS, "image/png", {"kind": "image"}),
    "public-unclear": (ROWS, "text/csv", {"public": "maybe"}),
    "type-is-none": (ROWS, "text csv", {}),
    "empty": (b"", "text/csv", {}),
}
BAD_LISTS = ("kind=spreadsheet", "origin=elsewhere", "cursor=xyz", "cursor=WzEsMl0", "limit=0", "limit=501", "limit=x")


@requirement("STO-012")
@over(wrong=tuple(BAD_UPLOADS))
async def test_bad_upload_refused(case: Case, wrong: str) -> None:
    """400, and nothing is kept."""
    data, mime, told = BAD_UPLOADS[wrong]
    expect_status(await stored.upload(case, data, mime, **told), 400, "invalid_request_error")
    assert (await stored.listed(case))["data"] == []


@requirement("STO-012")
@over(wrong=("no-file", "broken", "compressed"))
async def test_bad_form_refused(case: Case, wrong: str) -> None:
    """A form without a file, one that cannot be read, and bytes under a Content-Encoding."""
    headers = await stored.bearer(case, None)
    kind = f"multipart/form-data; boundary={stored.BOUNDARY}"
    body = stored.form(ROWS, "a.csv", "text/csv", {})
    if wrong == "no-file":
        body = body.replace(b'; filename="a.csv"', b"")
    elif wrong == "broken":
        kind = "multipart/form-data"
    else:
        headers["content-encoding"] = "gzip"
    headers["content-type"] = kind
    reply = await case.request("POST", stored.address(case), headers=headers, body=body)
    expect_status(reply, 400, "invalid_request_error")
    assert (await stored.listed(case))["data"] == []


@requirement("STO-012")
@over(query=BAD_LISTS)
async def test_bad_list_refused(case: Case, query: str) -> None:
    """A kind, an origin, a cursor or a limit that is none."""
    expect_status(await stored.ask(case, "GET", f"?{query}"), 400, "invalid_request_error")


@requirement("STO-013")
@over(how=("form", "bytes"))
async def test_too_large_refused_at_once(case: Case, how: str) -> None:
    """A body that says it is a MiB over the limit is refused with 413 before it is sent."""
    kind = f"multipart/form-data; boundary={stored.BOUNDARY}" if how == "form" else "text/csv"
    fields: dict[str, Any] = {
        **await stored.bearer(case, None),
        "host": case.target.root_url.partition("//")[2],
        "content-type": kind,
        "content-length": FILE_BYTES_MAX + 2**20,
    }
    path = stored.address(case).removeprefix(case.target.root_url)
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    answer = await raw.exchange(case.target.root_url, f"POST {path} HTTP/1.1\r\n{head}\r\n".encode())
    case.evidence.note("client", "the answer to a head alone", answer.decode("utf-8", "replace"))
    assert answer.startswith(b"HTTP/1.1 413 "), f"413 was due; came {answer[:200]!r}"
    assert b'"request_too_large"' in answer, f"the type request_too_large was due; came {answer[-300:]!r}"
    assert (await stored.listed(case))["data"] == []
