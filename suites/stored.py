"""The storage API as a client writes and reads it. Source: api-reference#sdk (client.storage), decision#storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from suites.case import Case, expect_status
from suites.exchange import PATIENCE_S, Reply, Sent, send
from suites.outcomes import Violation
from suites.provisioning import Key, User

BOUNDARY: Final = "windtunnel-7f3c1d"
Who = Key | User | str | None


def address(case: Case, ident: str = "") -> str:
    """Where files are kept, or one of them."""
    return f"{case.target.openai_url}/storage" + (f"/{ident}" if ident else "")


async def bearer(case: Case, key: Who) -> dict[str, str]:
    """The header that bears a key; that of the case's own user where none is given."""
    return {"authorization": f"Bearer {await case.secret(key)}"}


async def upload(case: Case, data: bytes, mime: str = "", *, key: Who = None, **told: str) -> Reply:
    """POST the bytes as they are; what is told of them goes into the query."""
    headers = await bearer(case, key)
    if mime:
        headers["content-type"] = mime
    query = f"?{urlencode(told)}" if told else ""
    return await case.request("POST", address(case) + query, headers=headers, body=data, wire="storage")


async def upload_form(case: Case, data: bytes, name: str, mime: str, *, key: Who = None, **told: str) -> Reply:
    """POST a form with a file of that name, and what is told of it in fields."""
    headers = {**await bearer(case, key), "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    return await case.request("POST", address(case), headers=headers, body=form(data, name, mime, told))


def form(data: bytes, filename: str, mime: str, told: Mapping[str, str]) -> bytes:
    """The body of a form (RFC 7578)."""
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in told.items()]
    head = f'Content-Disposition: form-data; name="file"; filename="{filename}"\r\nContent-Type: {mime}\r\n\r\n'
    parts.append(head.encode() + data)
    mark = f"--{BOUNDARY}".encode()
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


async def kept(case: Case, data: bytes, mime: str = "", *, key: Who = None, **told: str) -> Mapping[str, Any]:
    """A file that was uploaded, as the reply shows it. Raises Violation."""
    reply = await upload(case, data, mime, key=key, **told)
    expect_status(reply, 201)
    return reply.json


async def listed(case: Case, *, key: Who = None, **query: Any) -> Mapping[str, Any]:
    """One page of a list. Raises Violation."""
    reply = await ask(case, "GET", f"?{urlencode(query)}" if query else "", key=key)
    expect_status(reply, 200)
    if not isinstance(reply.json.get("data"), list):
        raise Violation(f"`data` is no list: {reply}")
    return reply.json


async def ask(case: Case, method: str, rest: str = "", *, key: Who = None) -> Reply:
    """GET or DELETE at the address of files; `rest`: what comes after it."""
    return await case.request(method, address(case) + rest, headers=await bearer(case, key))


async def fetched(case: Case, url: str, method: str = "GET", **headers: str) -> Reply:
    """What a link leads to, asked for without a key."""
    sent = Sent(method, url, {name.replace("_", "-"): value for name, value in headers.items()}, b"")
    async with await send(case.rig.session, sent, case.evidence, PATIENCE_S) as opened:
        return await opened.rest(PATIENCE_S)
