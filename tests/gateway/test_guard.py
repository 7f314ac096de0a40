"""The guard of users' URLs: what is connected to, whatever the URL, the resolver and the redirects say."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway import config, guard
from gateway.addresses import allowed, is_public, spelled
from gateway.services import Services, open_services
from gateway.storage.store import Store
from gateway.upstreams.http1 import Http1Transport
from gateway.upstreams.memory import MemoryReply, MemoryTransport
from gateway.upstreams.transport import Request, TransportError
from simulator.neighbours.keys import USUAL, certificate, pem, rsa_key
from tests.gateway.lab import run

PUBLIC = "93.184.215.14"
PUBLIC_6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
PRIVATE = (
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.8.8", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.7"),
    *("203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:93.184.215.14", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:c0a8:101::1", "3fff::1", "5f00::1"),
    *("fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2606:4700::5efe:7f00:1"),
)
REFUSED_URLS = (
    *("http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/"),
    *("http://127.0.0.01/", "http://127.0.0.0x1/", "http://1.1.1.1.1/", "http://256.1.1.1/", "http://a.0x/"),
    *("http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/", "http://１２７.0.0.1/", "http://127.0.0.1./", "http://localhost./"),
    *("http://[::1]/", "http://[::ffff:7f00:1]/", "http://[::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[v1.a]/"),
    *("http://user@example.com/", "http://user:pw@example.com/", "http://example.com@127.0.0.1/", "http://@a.example/"),
    *("http://a.example\\@127.0.0.1/", "http://127.0.0.1\\.example/", "http://a.example /", "http://a\t.example/"),
    *("http://a.example/\r\nx: y", "http://a.example:0/", "http://a.example:65536/", "http://a.example:22/"),
    *("http://a.example:6379/", "ftp://a.example/", "file:///etc/passwd", "gopher://a.example/", "//a.example/"),
    *("/path", "", "http://", "http:///x", "http:a.example", "data:text/plain,x", "javascript:alert(1)", "http://%31/"),
    *("http://[::1", "http://a..example/", "http://-a.example/", "http://a/ b", "http://" + "a" * 64 + ".example/"),
)


def load(**options: Any) -> config.Config:
    return config.load(flags={"database": "sqlite://", **options})


DEFAULTS = load()
STORE = Store("sqlite://", threaded=False)


def services(
    answer: Callable[[Request], MemoryReply], names: Mapping[str, Sequence[str]] | None = None, **options: Any
) -> tuple[Services, MemoryTransport]:
    """A gateway's parts in front of servers that answer from memory, and names that resolve as told."""
    transport = MemoryTransport(answer)

    async def resolve(host: str, port: int) -> Sequence[str]:
        if names is None:
            return [PUBLIC]
        if host not in names:
            raise OSError("no such host")
        return names[host]

    settings = load(**options) if options else DEFAULTS
    return open_services(settings, STORE, transport, "admin", resolve=resolve), transport


def ok(_request: Request) -> MemoryReply:
    return MemoryReply(200, {"content-type": "Text/Plain; charset=utf-8"}, [b"he", b"llo"])


def redirecting(location: str, status: int = 302) -> Callable[[Request], MemoryReply]:
    """Servers that send whoever asks for /start elsewhere."""

    def answer(request: Request) -> MemoryReply:
        return MemoryReply(status, {"location": location}, []) if request.url.endswith("/start") else ok(request)

    return answer


def refused(work: Any) -> str:
    """What the guard says of it."""
    with pytest.raises(guard.Refused) as caught:
        run(work)
    return caught.value.message


def test_fetch_reads_what_a_public_url_holds() -> None:
    parts, transport = services(ok)
    assert run(guard.fetch(parts, "HTTPS://EXAMPLE.com:443/a b".replace(" ", "%20") + "?q=ü#f", 100, 5)) == (
        b"hello",
        "text/plain",
    )
    (request,) = transport.requests
    assert (request.url, request.address) == ("https://example.com/a%20b?q=%C3%BC", PUBLIC)
    assert dict(request.headers) == {
        "user-agent": "windtunnel-gateway",
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "close",
    }


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_not_connected_to(address: str) -> None:
    parts, transport = services(ok, {"a.example": [address]})
    assert refused(guard.fetch(parts, "http://a.example/", 100, 5)) == "a.example is no host of the public Internet."
    if "%" not in address:
        literal = f"[{address}]" if ":" in address else address
        with pytest.raises(guard.Refused):
            guard.checked(f"http://{literal}/", parts.config)
        refused(guard.fetch(parts, f"http://{literal}/", 100, 5))
    assert not transport.requests


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_odd_urls_are_refused_when_they_are_saved_and_when_they_are_used(url: str) -> None:
    parts, transport = services(ok, {"a.example": [PUBLIC], "localhost": ["127.0.0.1"]})
    if "localhost" not in url:
        with pytest.raises(guard.Refused):
            guard.checked(url, parts.config)
    refused(guard.fetch(parts, url, 100, 5))
    assert not transport.requests


def test_a_missing_host_and_a_private_one_are_told_alike() -> None:
    parts, _ = services(ok, {"inside.example": ["10.0.0.1"]})
    inside = refused(guard.fetch(parts, "http://inside.example/", 100, 5))
    missing = refused(guard.fetch(parts, "http://missing.example/", 100, 5))
    assert inside.replace("inside", "X") == missing.replace("missing", "X")


def test_only_public_addresses_of_a_host_that_has_both_are_tried() -> None:
    def answer(request: Request) -> MemoryReply:
        if request.address == PUBLIC_6:
            raise TransportError("connect", "no connection")
        return ok(request)

    parts, transport = services(answer, {"a.example": ["127.0.0.1", PUBLIC_6, "::1", PUBLIC_6, PUBLIC]})
    assert run(guard.fetch(parts, "http://a.example/", 100, 5))[0] == b"hello"
    assert [request.address for request in transport.requests] == [PUBLIC_6, PUBLIC]


def test_names_are_resolved_once_for_each_hop() -> None:
    """Rebinding: what the name means at the second look-up is never asked."""
    asked: list[str] = []
    parts, transport = services(ok)

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return [PUBLIC] if len(asked) == 1 else ["127.0.0.1"]

    parts.resolve = rebinding
    run(guard.fetch(parts, "http://a.example/", 100, 5))
    assert (asked, transport.requests[0].address) == (["a.example"], PUBLIC)


@pytest.mark.parametrize("status", sorted(guard.REDIRECTS))
@pytest.mark.parametrize("location", ["http://b.example/x", "//b.example/x", "http://b.example:8080/x"])
def test_redirects_are_followed(location: str, status: int) -> None:
    names = {"a.example": [PUBLIC], "b.example": [PUBLIC_6]}
    parts, transport = services(redirecting(location, status), names)
    assert run(guard.fetch(parts, "http://a.example/start", 100, 5))[0] == b"hello"
    assert [request.address for request in transport.requests] == [PUBLIC, PUBLIC_6]
    assert all(reply.closed for reply in transport.replies)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1/", "http://inside.example/", "file:///etc/passwd", "http://u:p@a.example/", *REFUSED_URLS[:8]],
)
def test_redirects_are_checked_anew(location: str) -> None:
    parts, transport = services(redirecting(location), {"a.example": [PUBLIC], "inside.example": ["10.0.0.1"]})
    refused(guard.fetch(parts, "http://a.example/start", 100, 5))
    assert [request.address for request in transport.requests] == [PUBLIC]


def test_redirects_end() -> None:
    parts, transport = services(redirecting("/start"))
    assert "more often than 3 times" in refused(guard.fetch(parts, "http://a.example/start", 100, 5))
    assert len(transport.requests) == 1 + guard.HOPS_MAX


def test_redirects_never_lead_from_https_to_http() -> None:
    parts, transport = services(redirecting("http://b.example/"))
    assert "https:// URL was due" in refused(guard.fetch(parts, "https://a.example/start", 100, 5))
    assert len(transport.requests) == 1


def test_https_can_be_asked_for() -> None:
    parts, _ = services(ok)
    assert "https:// URL was due" in refused(guard.fetch(parts, "http://a.example/", 100, 5, https=True))
    assert guard.checked("https://a.example", https=True) == "https://a.example/"
    private, _ = services(ok, {"localhost": ["127.0.0.1"]}, allow_private_hosts=["127.0.0.1"])
    assert guard.checked("http://127.0.0.1:5/x", private.config, https=True) == "http://127.0.0.1:5/x"
    assert run(guard.fetch(private, "http://127.0.0.1:5/", 100, 5, https=True))[0] == b"hello"
    assert "https:// URL was due" in refused(guard.fetch(private, "http://localhost/", 100, 5, https=True))


def test_post_takes_a_redirect_as_an_answer() -> None:
    parts, transport = services(redirecting("http://127.0.0.1/", 307))
    assert run(guard.post(parts, "http://a.example/start", {"x-id": "1"}, b"{}", 5)) == 307
    (request,) = transport.requests
    assert (request.method, request.body, dict(request.headers)["x-id"]) == ("POST", b"{}", "1")


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "b"},
        {"Content-Length": "3"},
        {"transfer-encoding": "chunked"},
        {"a b": "c"},
        {"a": "b\r\nc: d"},
        {"": "a"},
    ],
)
def test_headers_cannot_change_the_message(headers: dict[str, str]) -> None:
    parts, transport = services(ok)
    refused(guard.post(parts, "http://a.example/", headers, b"", 5))
    assert not transport.requests


@pytest.mark.parametrize(
    "reply",
    [
        MemoryReply(200, {"content-length": "11"}, [b"x"]),
        MemoryReply(200, {}, [b"x" * 6, b"x" * 5]),
        MemoryReply(200, {"content-length": "9" * 30}, [b"x" * 11]),
    ],
)
def test_size_is_bounded(reply: MemoryReply) -> None:
    parts, _ = services(lambda _request: reply)
    assert "at most 10 bytes" in refused(guard.fetch(parts, "http://a.example/", 10, 5))
    assert reply.closed


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (MemoryReply(200, {}, [b"x", float("inf")]), "did not answer within 0.05 s"),
        (MemoryReply(200, {}, [b"x", 0.02, b"x", 0.02, b"x", 0.02, b"x"]), "did not answer within 0.05 s"),
        (MemoryReply(200, {}, [b"x", TransportError("broken", "cut")]), "broke off its answer: cut"),
        (MemoryReply(200, {"content-encoding": "gzip"}, [b"x"]), "compressed"),
        (MemoryReply(404, {}, [b"x"]), "answered with status 404"),
    ],
)
def test_what_may_be_tried_again(reply: MemoryReply, said: str) -> None:
    parts, _ = services(lambda _request: reply)
    with pytest.raises(guard.Unreachable, match=said):
        run(guard.fetch(parts, "http://a.example/", 10, 0.05))
    assert reply.closed


def test_private_hosts_can_be_allowed() -> None:
    names = {"a.example": ["10.0.0.1"], "db.inside": ["192.168.0.1"], "localhost": ["::1", "127.0.0.1"]}
    parts, transport = services(ok, names, allow_private_hosts=["127.0.0.1", "db.inside", "fd00::/8"])
    for url in ("http://127.0.0.1:5/", "http://localhost:6/", "http://DB.inside:7/", "http://[fd00::1]/"):
        assert run(guard.fetch(parts, guard.checked(url, parts.config), 100, 5))[0] == b"hello"
    assert [request.address for request in transport.requests] == ["127.0.0.1", "127.0.0.1", "192.168.0.1", "fd00::1"]
    for url in ("http://127.0.0.2/", "http://a.example/", "http://[::1]/", "http://[::ffff:127.0.0.1]/"):
        refused(guard.fetch(parts, url, 100, 5))


def test_ports_can_be_allowed() -> None:
    parts, _ = services(ok, allow_ports=[])
    assert run(guard.fetch(parts, "http://a.example:22/", 100, 5))[0] == b"hello"
    parts, _ = services(ok, allow_ports=[443])
    assert "Port 80 is not allowed" in refused(guard.fetch(parts, "http://a.example/", 100, 5))


@pytest.mark.parametrize("value", [["a b"], [5], "http://x", ["300.1.1.1"], ["10.0.0.1/8"], {"a": 1}])
def test_wrong_lists_of_hosts_are_told(value: Any) -> None:
    with pytest.raises(config.ConfigError, match="allow_private_hosts"):
        config.load(flags={"allow_private_hosts": value})


ADDRESSES = st.one_of(
    st.integers(0, 2**32 - 1).map(IPv4Address),
    st.integers(0, 2**128 - 1).map(IPv6Address),
    st.integers(0, 2**32 - 1).map(lambda number: IPv6Address(0xFFFF << 32 | number)),
    st.integers(0, 2**32 - 1).map(lambda number: IPv6Address(0x64FF9B << 96 | number)),
    st.integers(0, 2**32 - 1).map(lambda number: IPv6Address(0x2002 << 112 | number << 80 | 1)),
    st.sampled_from([*(a for a in PRIVATE if "%" not in a), PUBLIC, PUBLIC_6]).map(ip_address),
)


def spellings(address: IPv4Address | IPv6Address) -> list[str]:
    """Ways to write an address in a URL; a resolver would understand them all."""
    if isinstance(address, IPv6Address):
        return [f"[{address}]", f"[{address.exploded}]", f"[{address.exploded.upper()}]"]
    number, parts = int(address), address.packed
    a, b, c, d = parts
    return [
        *(str(address), f"{address}.", str(number), hex(number), f"0{number:o}", f"{a}.{number & 0xFFFFFF}"),
        *(f"{a}.{b}.{c << 8 | d}", ".".join(f"0{part:o}" for part in parts), ".".join(map(hex, parts))),
        *(f"0x{a:x}.{b}.0{c:o}.{d}", str(address).translate(str.maketrans("0123456789.", "０１２３４５６７８９。"))),
        *(f"[::ffff:{address}]", f"[::{address}]", f"[64:ff9b::{address}]", f"[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::]"),
    ]


@given(ADDRESSES, st.data())
def test_whatever_the_spelling_no_private_address_is_connected_to(
    address: IPv4Address | IPv6Address, data: st.DataObject
) -> None:
    url = f"http://{data.draw(st.sampled_from(spellings(address)))}/"
    parts, transport = services(ok, {})
    try:
        run(guard.fetch(parts, url, 100, 5))
    except guard.Refused:
        assert not transport.requests
    else:
        assert transport.requests[0].address == str(address)
        assert is_public(address)
        assert address.is_global


@given(st.lists(st.lists(ADDRESSES, max_size=4), min_size=1, max_size=5), st.data())
def test_whatever_the_redirects_and_the_resolver_say_only_public_addresses_are_connected_to(
    hosts: list[list[IPv4Address | IPv6Address]], data: st.DataObject
) -> None:
    """A chain of hosts, each sending on to the next by a name or by an address in any spelling."""
    names = {f"h{number}.example": [str(address) for address in found] for number, found in enumerate(hosts)}
    links = [f"http://h{number}.example/" for number in range(len(hosts))]
    for number, found in enumerate(hosts):
        if found and data.draw(st.booleans()):
            links[number] = f"http://{data.draw(st.sampled_from(spellings(found[0])))}/"
    onward = iter(links[1:])

    def answer(request: Request) -> MemoryReply:
        location = next(onward, None)
        return ok(request) if location is None else MemoryReply(302, {"location": location}, [])

    parts, transport = services(answer, names)
    with suppress(guard.Refused):
        run(guard.fetch(parts, links[0], 100, 5))
    for request in transport.requests:
        assert request.address is not None
        assert is_public(ip_address(request.address))
        assert ip_address(request.address).is_global
    assert len(transport.requests) <= 1 + guard.HOPS_MAX


@given(st.text(max_size=40) | st.text("http://[]:@%\\/?#.0127xX", max_size=30).map("http://".__add__))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    try:
        url = guard.checked(text)
    except guard.Refused:
        return
    assert guard.checked(url) == url
    assert url.isascii()


@given(st.text("0123456789abcdefx.-_ı₁１。", max_size=20))
def test_what_a_resolver_would_read_as_a_number_is_no_name(text: str) -> None:
    import socket

    try:
        where = spelled(text)
    except (ValueError, UnicodeError):
        return
    if isinstance(where, str):
        with pytest.raises(OSError):
            socket.inet_aton(where)


def test_allowed_reads_names_addresses_and_networks() -> None:
    found = allowed(["A.example", "10.0.0.0/8", "::1", "[::2]"])
    assert found.names == {"a.example"}
    assert [str(network) for network in found.networks] == ["10.0.0.0/8", "::1/128", "::2/128"]


@pytest.mark.parametrize(("host", "is_its_own"), [("localhost", True), ("pinned.invalid", False)])
def test_the_certificate_is_that_of_the_host_not_of_the_address(host: str, is_its_own: bool, tmp_path: Path) -> None:
    """Over TLS to a pinned address: the name of the URL decides, as SNI and as what the certificate must say."""
    made = certificate(7, USUAL, "localhost")
    file = tmp_path / "server.pem"
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(rsa_key(7, USUAL).private_bytes(*form) + pem(made).encode())
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(file)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    async def scenario() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_side) as server:
            port = server.sockets[0].getsockname()[1]
            parts, _ = services(ok, {host: ["127.0.0.1"]}, allow_private_hosts=["127.0.0.1"])
            transport = Http1Transport()
            transport.__dict__["_tls"] = ssl.create_default_context(cadata=pem(made))
            parts.transport = transport
            work = guard.fetch(parts, f"https://{host}:{port}/", 10, 5, https=True)
            if is_its_own:
                assert (await work)[0] == b"ok"
            else:
                with pytest.raises(guard.Unreachable, match="SSLCertVerificationError"):
                    await work
            await transport.close()

    run(scenario())


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """Over a real socket: the name leads nowhere, the address was pinned; nothing is inflated, nothing kept open."""

    async def scenario() -> None:
        heads: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/css\r\n\r\nok")
            heads.append(await reader.read())  # until the guard closes
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            parts, _ = services(ok, {"pinned.invalid": ["127.0.0.1"]}, allow_private_hosts=["127.0.0.1"])
            parts.transport = Http1Transport()
            url = f"http://pinned.invalid:{port}/x?y=1"
            assert await guard.fetch(parts, url, 10, 5) == (b"ok", "text/css")
            for _ in range(100):
                if len(heads) == 2:
                    break
                await asyncio.sleep(0.01)
            await parts.transport.close()
        assert heads[0].startswith(f"GET /x?y=1 HTTP/1.1\r\nhost: pinned.invalid:{port}\r\n".encode())
        assert heads[1:] == [b""]

    run(scenario())
