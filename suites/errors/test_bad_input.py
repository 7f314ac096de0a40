"""Bad input at every door: the documented refusal, and nothing else."""

from __future__ import annotations

import json
from typing import Any

from suites.case import Case, expect_status
from suites.doors import PAID
from suites.exchange import WIRES, Reply
from suites.outcomes import Violation
from suites.raw import exchange
from suites.requirement import ENDPOINTS, MODES, over, requirement

NO_OBJECTS: dict[str, bytes] = {
    "empty": b"",
    "blank": b"  \n",
    "cut": b'{"model":"gpt-5.5","messages":[',
    "text": b"hello",
    "array": b"[]",
    "string": b'"x"',
    "number": b"12",
    "null": b"null",
    "true": b"true",
    "two": b"{}{}",
    "form": b"model=gpt-5.5&messages=hi",
    "single quotes": b"{'model': 'gpt-5.5'}",
    "trailing comma": b'{"model":"gpt-5.5",}',
    "latin-1": '{"model":"gpt-5.5","user":"é"}'.encode("latin-1"),
    "utf-16": '{"model":"gpt-5.5"}'.encode("utf-16"),
    "nul": b"\x00\x00\x00",
    "comment": b'/* hi */ {"model":"gpt-5.5"}',
}
WRONG: dict[str, Any] = {
    "model is a number": {"model": 5},
    "model is null": {"model": None},
    "model is a list": {"model": ["gpt-5.5"]},
    "messages is text": {"messages": "hi"},
    "messages is null": {"messages": None},
    "messages is empty": {"messages": []},
    "messages holds text": {"messages": ["hi"]},
    "messages holds null": {"messages": [None]},
    "stream is text": {"stream": "yes"},
    "stream is a number": {"stream": 1},
    "limit is text": {"LIMIT": "many"},
    "limit is negative": {"LIMIT": -1},
    "limit is a fraction": {"LIMIT": 1.5},
    "limit is true": {"LIMIT": True},
    "limit is absurd": {"LIMIT": 10**30},
    "limit is a list": {"LIMIT": [5]},
}
CHAT_ONLY: dict[str, Any] = {
    "n is zero": {"n": 0},
    "n is negative": {"n": -3},
    "n is text": {"n": "two"},
    "n is absurd": {"n": 10**12},
    "n is a fraction": {"n": 1.5},
    "stream_options is text": {"stream": True, "stream_options": "usage"},
}


def documented(reply: Reply, statuses: tuple[int, ...] = (400,)) -> None:
    """A refusal of the 4xx family in the documented form."""
    if reply.status not in statuses or reply.error is None or set(reply.json) - {"error", "available_models"}:
        raise Violation(f"due one of {statuses} in the documented form; came {reply}")


async def post(case: Case, endpoint: str, body: bytes, headers: dict[str, str] | None = None) -> Reply:
    """These very bytes, with a good key."""
    sent = {**await case.headers(endpoint, None), **(headers or {})}
    return await case.request("POST", case.url(endpoint), headers=sent, body=body, wire=endpoint)


@requirement("ERR-003")
@over(endpoint=(*PAID, "count_tokens"), what=tuple(NO_OBJECTS))
async def test_no_json_object(case: Case, endpoint: str, what: str) -> None:
    """Bodies that are no JSON object."""
    reply = await post(case, endpoint, NO_OBJECTS[what])
    documented(reply)
    assert (reply.error or ("", ""))[0] == "invalid_request_error", f"type {reply.error}"


@requirement("ERR-002")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_model_missing(case: Case, endpoint: str, stream: bool) -> None:
    """Everything but the model."""
    reply = await without(case, endpoint, "model", stream)
    documented(reply)
    assert "model" in (reply.error or ("", ""))[1], f"the message does not name the field: {reply}"
    await case.nothing_upstream()


async def without(case: Case, endpoint: str, name: str, stream: bool) -> Reply:
    """A good request without one field."""
    document = WIRES[endpoint].body(case.model(endpoint), case.marks(case.fresh()), stream)
    del document[name]
    return await post(case, endpoint, case.encode(document))


@requirement("ERR-004")
@over(endpoint=ENDPOINTS, what=tuple(WRONG))
async def test_wrong_type(case: Case, endpoint: str, what: str) -> None:
    """One wrong field in a good request."""
    await wrong(case, endpoint, WRONG[what])


@requirement("ERR-004")
@over(what=tuple(CHAT_ONLY))
async def test_wrong_type_on_chat(case: Case, what: str) -> None:
    """Fields that only this wire has."""
    await wrong(case, "chat", CHAT_ONLY[what])


async def wrong(case: Case, endpoint: str, fields: dict[str, Any]) -> None:
    """The refusal of a request with these fields, and that it cost nothing."""
    limit = "max_completion_tokens" if endpoint == "chat" else "max_tokens"
    token = case.fresh()
    document = WIRES[endpoint].body(case.model(endpoint), case.marks(token), False)
    document |= {limit if name == "LIMIT" else name: value for name, value in fields.items()}
    reply = await post(case, endpoint, json.dumps(document).encode())
    documented(reply)
    books = await case.books()
    assert books.charged_uc == books.held_uc == 0, f"a refused request moved money: {books.transfers}"


@requirement("ERR-005")
@over(endpoint=ENDPOINTS)
async def test_twenty_megabytes(case: Case, endpoint: str) -> None:
    """One such body, while small requests go on beside it."""
    document = WIRES[endpoint].body(case.model(endpoint), "a" * 20_000_000 + case.marks(case.fresh()), False)
    large = case.begin(post(case, endpoint, case.encode(document)))
    for _ in range(3):
        expect_status(await case.ask(endpoint, answer="tokens=2"), 200)
    reply = await large
    if reply.status != 200:
        documented(reply, (400, 402, 413))


@requirement("ERR-006")
@over(method=("GET", "POST", "PUT", "DELETE"))
async def test_unknown_path(case: Case, method: str) -> None:
    """Near misses, other APIs, other files."""
    root = case.target.root_url
    for path in (
        "/api/v1/nope",
        "/api/v1/chat",
        "/api/v1/chat/completions/x",
        "/v1/embeddings",
        "/.env",
        "/api/v1/%00",
        "/api/v2/models",
        "/favicon.ico",
    ):
        headers = {"authorization": f"Bearer {await case.secret(None)}"}
        reply = await case.request(method, root + path, headers=headers)
        documented(reply, (400, 404, 405))


@requirement("ERR-006")
@over(door=("chat", "messages", "count_tokens", "models", "usage"))
async def test_wrong_method(case: Case, door: str) -> None:
    """Methods that the door does not have."""
    headers = {"authorization": f"Bearer {await case.secret(None)}"}
    for method in ("PUT", "DELETE", "PATCH", "POST" if door in ("models", "usage") else "GET"):
        documented(await case.request(method, case.url(door), headers=headers), (404, 405))


GET = b"GET /api/v1/models HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
GARBAGE: dict[str, bytes] = {
    "no http": b"hello\r\n\r\n",
    "http 9": b"GET /api/v1/models HTTP/9.9\r\nHost: x\r\n\r\n",
    "no host": b"GET /api/v1/models HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: b\r\n\r\n",
    "header without colon": GET + b"nonsense\r\n\r\n",
    "blank before colon": GET + b"x-a : 1\r\n\r\n",
    "control characters": GET + b"x-a: \x01\x02\x7f\r\n\r\n",
    "high bytes": GET + b"authorization: Bearer ck_\xff\xfe\r\n\r\n",
    "huge header": GET + b"x-a: " + b"a" * 200_000 + b"\r\n\r\n",
    "many headers": GET + b"".join(b"x-%d: 1\r\n" % n for n in range(3000)) + b"\r\n",
    "length is text": POST + b"content-length: many\r\n\r\n{}",
    "length is negative": POST + b"content-length: -5\r\n\r\n{}",
    "two lengths": POST + b"content-length: 2\r\ncontent-length: 5\r\n\r\n{}",
    "length and chunks": POST + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "long path": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "blank in path": b"GET /api/v1/mo dels HTTP/1.1\r\nHost: x\r\n\r\n",
    "expect": POST + b"expect: the-unexpected\r\ncontent-length: 2\r\n\r\n{}",
}


@requirement("ERR-007")
@over(what=tuple(GARBAGE))
async def test_garbage(case: Case, what: str) -> None:
    """Bytes that are no request, or half of one."""
    raw = await exchange(case.target.root_url, GARBAGE[what])
    case.evidence.note("client", f"sends {what}", GARBAGE[what][:300].decode("latin-1"))
    case.evidence.note("client", "reply", raw[:600].decode("latin-1"))
    status = int(raw[9:12]) if raw.startswith(b"HTTP/1.") and raw[9:12].isdigit() else None
    assert status is None or 400 <= status < 500, f"{what}: {raw[:200]!r}"
    assert b"Traceback" not in raw, f"{what}: a traceback came"
    expect_status(await case.get("models"), 200)


EXTREME: dict[str, bytes] = {
    "deep arrays": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "huge number": b"1" * 5000,
    "exponent": b"1e999",
    "lone surrogate": b'"\\ud800"',
    "nul": b'"a\\u0000b"',
    "nan": b"NaN",
    "infinity": b"-Infinity",
    "control character": b'"a\x01b"',
    "long name": b'{"' + b"x" * 100_000 + b'":1}',
}


@requirement("ERR-008")
@over(endpoint=ENDPOINTS, what=tuple(EXTREME))
async def test_extreme_json(case: Case, endpoint: str, what: str) -> None:
    """An extreme value of a field that passes through, and as the prompt itself."""
    for field in (b"metadata", b"messages"):
        limit = b',"max_tokens":16' if endpoint == "messages" else b""
        turn = b'[{"role":"user","content":"%s"}]' % case.marks(case.fresh()).encode()
        messages = b"" if field == b"messages" else b',"messages":' + turn
        body = b'{"model":"%s"%s,"%s":%s%s}' % (case.model(endpoint).encode(), limit, field, EXTREME[what], messages)
        reply = await post(case, endpoint, body)
        if reply.status != 200:
            documented(reply, (400, 413))
    await books_closed(case)


async def books_closed(case: Case) -> None:
    """Nothing is left held."""
    books = await case.books()
    assert books.held_uc == 0, f"{books.held_uc} uc are still held"


@requirement("ERR-008")
async def test_repeated_names(case: Case) -> None:
    """The same name twice: the hold must be for what the upstream is asked."""
    token = case.fresh()
    turn = b'[{"role":"user","content":"%s"}]' % case.marks(token, answer="tokens=30").encode()
    body = b'{"model":"%s","messages":%s,"max_completion_tokens":5,"max_completion_tokens":50}' % (
        case.model("chat").encode(),
        turn,
    )
    reply = await post(case, "chat", body)
    if reply.status != 200:
        documented(reply)
        return
    entry = await case.one_upstream_call(token)
    raw = entry.row["body"]
    assert raw.count("max_completion_tokens") == 1 or entry.body["max_completion_tokens"] == 50, (
        f"the upstream got both: {raw}"
    )


@requirement("ERR-013")
@over(
    endpoint=ENDPOINTS,
    content_type=(
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "garbage",
        "multipart/form-data",
    ),
)
async def test_content_type(case: Case, endpoint: str, content_type: str) -> None:
    """A good body under another name."""
    document = WIRES[endpoint].body(case.model(endpoint), case.marks(case.fresh()), False)
    headers = {name: value for name, value in (await case.headers(endpoint, None)).items() if name != "content-type"}
    if content_type:
        headers["content-type"] = content_type
    reply = await case.request("POST", case.url(endpoint), headers=headers, body=case.encode(document), wire=endpoint)
    if reply.status != 200:
        documented(reply, (400, 415))
