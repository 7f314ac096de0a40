"""What may pass between caller and upstream, and what may not."""

from __future__ import annotations

import orjson

from suites.case import Case, expect_status, expect_text
from suites.doors import PAID, knock
from suites.exchange import WIRES
from suites.fleet import Entry
from suites.raw import exchange
from suites.requirement import ENDPOINTS, MODES, over, requirement

ORIGIN = {
    "x-forwarded-for": "203.0.113.7",
    "x-real-ip": "203.0.113.7",
    "forwarded": "for=203.0.113.7",
    "cf-connecting-ip": "203.0.113.7",
    "true-client-ip": "203.0.113.7",
    "via": "1.1 secret-proxy",
    "cookie": "session=secret",
    "referer": "https://intranet.example/secret",
    "origin": "https://intranet.example",
    "x-forwarded-host": "intranet.example",
    "x-internal-secret": "s3cr3t",
    "proxy-authorization": "Basic c2VjcmV0",
}
ACCOUNT = (
    *("openai-organization", "openai-project", "openai-processing-ms", "openai-version", "anthropic-organization-id"),
    *("x-ratelimit-limit-requests", "x-ratelimit-remaining-tokens", "anthropic-ratelimit-requests-limit"),
    *("set-cookie", "cf-ray", "request-id", "alt-svc"),
)


def everything(entry: Entry) -> str:
    """All that an upstream got, as one text."""
    row = entry.row
    return f"{row['path']}?{row['query']}\n{row['headers']}\n{row['body']}"


@requirement("SEC-001")
@over(endpoint=PAID, form=("authorization", "x-api-key", "x-goog-api-key", "query"))
async def test_key_stays(case: Case, endpoint: str, form: str) -> None:
    """Each form, on success and on failover."""
    secret = await case.secret(None)
    headers = (
        {"authorization": f"Bearer {secret}"} if form == "authorization" else {form: secret} if form != "query" else {}
    )
    query = f"?key={secret}&x=1" if form == "query" else ""
    expect_status(await knock(case, endpoint, headers, query), 200)
    entries = await case.upstream()
    assert entries, "the upstream was called"
    for entry in entries:
        assert secret not in everything(entry), f"the caller's key reached {entry.provider}"
        assert "ck_" not in everything(entry), f"a part of the caller's key reached {entry.provider}"


@requirement("SEC-002")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_origin_stays(case: Case, endpoint: str, stream: bool) -> None:
    """Headers of proxies, browsers and intranets."""
    reply = await case.ask(endpoint, stream=stream, headers=ORIGIN)
    expect_status(reply, 200)
    entry = await case.one_upstream_call(reply)
    passed = sorted(name for name in ORIGIN if name in entry.headers)
    assert not passed, f"passed on to the upstream: {passed}"
    for value in ("203.0.113.7", "secret", "s3cr3t", "intranet"):
        assert value not in str(entry.row["headers"]), f"{value!r} reached the upstream: {entry.row['headers']}"


@requirement("SEC-003")
@over(endpoint=ENDPOINTS)
async def test_hop_by_hop_stays(case: Case, endpoint: str) -> None:
    """Headers that are for the next hop alone, and one that Connection names."""
    sent = {
        "te": "trailers",
        "trailer": "x-end",
        "upgrade": "h2c",
        "keep-alive": "timeout=99",
        "x-secret-hop": "1",
        "connection": "keep-alive, x-secret-hop",
    }
    reply = await case.ask(endpoint, headers=sent)
    expect_status(reply, 200)
    entry = await case.one_upstream_call(reply)
    passed = sorted(name for name in sent if name in entry.headers and name != "connection")
    assert not passed, f"passed on to the upstream: {passed}"
    back = [name for name in ("keep-alive", "upgrade", "trailer", "proxy-authenticate") if name in reply.headers]
    assert not back, f"hop-by-hop headers in the reply: {back}"


SPLITTERS = {
    "percent": "a%0d%0ax-evil: 1",
    "backslash": "a\\r\\nx-evil: 1",
    "tab": "a\tx-evil: 1",
    "nul": "a%00b",
    "wide": "\xe5\x98\x8a\xe5\x98\x8dx-evil: 1",
    "dotted C": "\u010a x-evil: 1",
}


@requirement("SEC-004")
@over(what=tuple(SPLITTERS))
async def test_no_header_made(case: Case, what: str) -> None:
    """Values that some layer may decode into a line break."""
    value = SPLITTERS[what]
    for name in ("anthropic-beta", "anthropic-version", "user-agent", "idempotency-key", "x-request-id"):
        token = case.fresh()
        document = WIRES["messages"].body(case.model("messages"), case.marks(token), False)
        lines = {
            **await case.headers("messages", None),
            name: value,
            "content-length": str(len(body := orjson.dumps(document))),
        }
        head = "".join(f"{key}: {text}\r\n" for key, text in lines.items())
        raw = (
            f"POST /api/v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}\r\n".encode(
                "utf-8", "surrogateescape"
            )
            + body
        )
        answer = await exchange(case.target.root_url, raw)
        status = answer[9:12]
        assert status[:1] in (b"2", b"4"), f"{name}: {value!r} gave {answer[:100]!r}"
        for entry in await case.upstream(token):
            assert "x-evil" not in entry.headers, f"{name} became a header of its own at {entry.provider}"


@requirement("SEC-005")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_account_stays(case: Case, endpoint: str, stream: bool) -> None:
    """Headers of the upstream's reply."""
    reply = await case.ask(endpoint, stream=stream)
    expect_status(reply, 200)
    passed = sorted(name for name in ACCOUNT if name in reply.headers)
    assert not passed, f"headers of the upstream reached the client: {passed}"
    assert "cloudflare" not in reply.headers.get("server", ""), f"server: {reply.headers.get('server')}"


@requirement("SEC-006")
@over(endpoint=ENDPOINTS)
async def test_own_credential(case: Case, endpoint: str) -> None:
    """At both targets."""
    first = case.chain(endpoint)[0]
    reply = await case.ask(endpoint, fault=f"status=503 provider={first}")
    entries = await case.reached("status", reply)
    for entry in entries:
        key = case.fleet.providers[entry.provider]["key"]
        if endpoint == "messages":
            assert entry.headers.get("x-api-key") == key, (
                f"{entry.provider} got x-api-key {entry.headers.get('x-api-key')!r}"
            )
            assert "authorization" not in entry.headers, f"{entry.provider} got two credentials"
            assert entry.headers.get("anthropic-version"), f"{entry.provider} got no anthropic-version"
        else:
            assert entry.headers.get("authorization") == f"Bearer {key}", (
                f"{entry.provider} got {entry.headers.get('authorization')!r}"
            )
            assert "x-api-key" not in entry.headers, f"{entry.provider} got two credentials"


STEERING = {
    "dots": "../../v1/keys",
    "dots of a model": "gpt-5.5/../../admin",
    "encoded": "%2e%2e%2f",
    "query": "a?b=c",
    "fragment": "a#b",
    "user": "@evil.example/x",
    "url": "http://evil.example/",
    "request": "gpt-5.5\n\nGET /",
}


@requirement("SEC-007")
@over(what=tuple(STEERING))
async def test_model_is_no_path(case: Case, what: str) -> None:
    """Model ids that would change a URL."""
    for endpoint in ENDPOINTS:
        expect_status(await case.ask(endpoint, model=STEERING[what]), 400, "invalid_request_error")
    await case.nothing_upstream()


@requirement("SEC-007")
@over(endpoint=ENDPOINTS)
async def test_documented_upstream_path(case: Case, endpoint: str) -> None:
    """The upstream's own path, whatever path the caller came by."""
    entry = await case.one_upstream_call(await case.ask(endpoint, url=case.url(endpoint) + "?beta=true"))
    due = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}[endpoint]
    assert entry.row["path"] == due, f"the upstream's path was {entry.row['path']}"


@requirement("SEC-008")
@over(path=("users", "ledger", "upstreams", "keys/x", "clock"))
async def test_provisioning_closed(case: Case, path: str) -> None:
    """No token, a wrong one, a caller's key."""
    secret = await case.secret(None)
    hook = case.admin.hook
    for headers in (
        {},
        {"authorization": "Bearer nonsense"},
        {"authorization": f"Bearer {secret}"},
        {"x-api-key": secret},
        {"authorization": f"Basic {hook.token}"},
    ):
        for method in ("GET", "POST", "PATCH", "DELETE"):
            body = b'{"amount_uc": 1000000, "advance_ms": 1}' if method in ("POST", "PATCH") else b""
            reply = await case.request(
                method, f"{hook.url}/{path}", headers={"content-type": "application/json", **headers}, body=body
            )
            assert reply.status in (401, 403, 404, 405), f"{method} {path} with {sorted(headers)}: {reply}"


@requirement("SEC-009")
async def test_key_shown_once(case: Case) -> None:
    """The account's listing of its keys."""
    user = await case.user()
    listing = orjson.dumps(await case.admin.account(user.id)).decode()
    assert user.key.id in listing, "the listing names the key"
    assert user.key.secret not in listing, "the listing shows the whole key"


@requirement("SEC-010")
@over(endpoint=ENDPOINTS)
async def test_query_stays(case: Case, endpoint: str) -> None:
    """Any query."""
    entry = await case.one_upstream_call(await case.ask(endpoint, url=case.url(endpoint) + "?beta=true&trace=secret"))
    assert "secret" not in entry.row["query"], f"the upstream's query was {entry.row['query']!r}"


@requirement("SEC-011")
@over(endpoint=ENDPOINTS)
async def test_host_steers_nothing(case: Case, endpoint: str) -> None:
    """Another Host, and an absolute target."""
    reply = await case.ask(endpoint, headers={"host": "evil.example:81"}, answer='say="same place"')
    if reply.status != 200:
        assert 400 <= reply.status < 500, f"came {reply}"
        return
    expect_text(reply, "same place")
    entry = await case.one_upstream_call(reply)
    assert "evil.example" not in everything(entry), f"the caller's Host reached the upstream: {entry.row['headers']}"
