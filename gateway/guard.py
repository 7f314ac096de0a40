"""The guard of every URL that a user gives: webhooks, reference images, audio, issuers, metadata.

A URL is read strictly, its host is resolved once, and the connection is made to one of the addresses found: what a name
means a moment later does not matter. Only public addresses are connected to, and those that the operator allows
(`allow_private_hosts`). Nothing of ours goes along: no cookies, no keys, no headers but those given. Messages do not
tell a host that does not exist from one that is private, nor an open port from a closed one.
Source: docs/decisions.md#urls-of-users.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from gateway.addresses import Address, Allowed, allowed, is_public, parsed, spelled
from gateway.errors import InvalidRequest, shown
from gateway.upstreams.transport import Reply, Request, TransportError

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.services import Services

URL_LENGTH_MAX: Final = 2048
HOPS_MAX: Final = 3  # redirects that a fetch follows
ADDRESSES_TRIED: Final = 3  # of one host
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
PORTS: Final = {"http": 80, "https": 443}
AGENT: Final = ("user-agent", "windtunnel-gateway")
PATH_SAFE: Final = "/%:@!$&'()*+,;=~-._?"
FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f\\]")
HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
OUR_HEADERS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect", "keep-alive"}
)

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


class Refused(InvalidRequest):
    """The guard does not let this URL through: trying again is of no use."""


class Unreachable(InvalidRequest):
    """The host did not answer, or not in time, or too much: trying again may help."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was read: `url` is its one spelling, without a fragment."""

    url: str
    host: str
    port: int
    address: Address | None  # that the URL itself names


@dataclass(frozen=True, slots=True)
class Answer:
    """What a stranger's server said."""

    status: int
    headers: Mapping[str, str]  # by name in lower case
    body: bytes = field(repr=False)

    @property
    def mime(self) -> str:
        """The media type, in lower case and without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower() or "application/octet-stream"


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host by the system's resolver. Raises OSError, UnicodeError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(where[4][0]) for where in found]


def checked(url: str, config: Config | None = None, *, https: bool = False) -> str:
    """The URL in the one spelling that is kept, as far as can be said without resolving its host.

    With the configuration, addresses and ports that would be refused later are refused now. `https` refuses http, but
    to hosts that `allow_private_hosts` names. Raises InvalidRequest.
    """
    target = read(url)
    if https:
        check_scheme(config, target)
    if config is not None and target.address is not None:
        admit(config, target, [str(target.address)])
    elif config is not None and not config.allow_private_hosts:
        check_port(config, target)
    return target.url


async def fetch(
    services: Services, url: str, most_bytes: int, timeout_s: float, *, https: bool = False
) -> tuple[bytes, str]:
    """What a URL leads to, and its media type. Raises InvalidRequest unless it is a 2xx of at most so many bytes."""
    answer = await call(services, url, most_bytes=most_bytes, timeout_s=timeout_s, hops=HOPS_MAX, https=https)
    if not 200 <= answer.status < 300:
        raise Unreachable(f"{host_of(url)} answered with status {answer.status}.")
    return answer.body, answer.mime


async def post(
    services: Services, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float, *, https: bool = False
) -> int:
    """Posts to a URL; the status of the answer, whose body is not read. A redirect is not followed, it is an answer.

    Raises InvalidRequest: `Refused`, or `Unreachable` when it may be tried again.
    """
    answer = await call(
        services, url, method="POST", headers=headers, body=body, timeout_s=timeout_s, most_bytes=None, https=https
    )
    return answer.status


async def call(
    services: Services,
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    most_bytes: int | None,
    timeout_s: float,
    hops: int = 0,
    https: bool = False,
) -> Answer:
    """One exchange with a stranger's server, within `timeout_s` as a whole. Without `most_bytes` the body is not read.

    Follows up to `hops` redirects of a GET without headers, each checked anew; never from https to http. Raises
    InvalidRequest.
    """
    sent = checked_headers(headers or {})
    follow = hops if method == "GET" and not headers else 0
    target = read(url)
    if https:
        check_scheme(services.config, target)
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                reply = await open_reply(services, target, method, sent, body, timeout_s)
                try:
                    onward = reply.headers.get("location") if reply.status in REDIRECTS else None
                    if onward is None or not hops:
                        return await take(reply, target, most_bytes, timeout_s)
                finally:
                    reply.close()
                if follow <= 0:
                    raise Refused(f"{shown(target.host)} redirects more often than {hops} times.")
                follow -= 1
                came_by, target = target, read(joined(target.url, onward))
                if https or came_by.url.startswith("https:"):
                    check_scheme(None if came_by.url.startswith("https:") else services.config, target)
    except TimeoutError:
        raise Unreachable(f"{shown(target.host)} did not answer within {timeout_s:g} s.") from None


async def open_reply(
    services: Services, target: Target, method: str, headers: Sequence[tuple[str, str]], body: bytes, timeout_s: float
) -> Reply:
    """Connects to one of the host's addresses that is admitted, and asks. Raises InvalidRequest."""
    admitted = admit(services.config, target, await addresses_of(services.resolve, target))
    reason = ""
    for address in admitted[:ADDRESSES_TRIED]:
        request = Request(target.url, headers, body, method, once=True, address=str(address))
        try:
            return await services.transport.send(request, services.config.connect_timeout_s, timeout_s)
        except TransportError as error:
            reason = error.message
            if error.kind != "connect":
                break
    raise Unreachable(f"{shown(target.host)} cannot be reached: {reason}.")


async def take(reply: Reply, target: Target, most_bytes: int | None, timeout_s: float) -> Answer:
    """The reply as a whole. Raises Unreachable."""
    headers = dict(reply.headers)
    if most_bytes is None:
        return Answer(reply.status, headers, b"")
    if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise Unreachable(f"{shown(target.host)} answered compressed, which was not asked for.")
    length = headers.get("content-length", "")
    pieces: list[bytes] = []
    size = int(length) if length.isdecimal() and len(length) < 20 else 0
    if size <= most_bytes:
        size = 0
        try:
            while piece := await reply.read(timeout_s):
                pieces.append(piece)
                size += len(piece)
                if size > most_bytes:
                    break
        except TransportError as error:
            raise Unreachable(f"{shown(target.host)} broke off its answer: {error.message}.") from None
    if size > most_bytes:
        raise Refused(f"What {shown(target.host)} holds is too large: at most {most_bytes} bytes are taken.")
    return Answer(reply.status, headers, b"".join(pieces))


async def addresses_of(resolver: Resolver, target: Target) -> Sequence[str]:
    """What the host resolves to; nothing where it resolves to nothing."""
    if target.address is not None:
        return [str(target.address)]
    try:
        return await resolver(target.host, target.port)
    except (OSError, UnicodeError):
        return []


def admit(config: Config, target: Target, found: Sequence[str]) -> list[Address]:
    """The addresses that may be connected to, each once. Raises Refused when there are none."""
    private = private_of(config)
    admitted: dict[Address, None] = {}
    is_port_refused = False
    for address in map(parsed, found):
        if address is None:
            continue
        if private.names_it(target.host, address):
            admitted[address] = None
        elif is_public(address):
            if config.allow_ports and target.port not in config.allow_ports:
                is_port_refused = True
            else:
                admitted[address] = None
    if not admitted and is_port_refused:
        check_port(config, target)
    if not admitted:
        raise Refused(f"{shown(target.host)} is no host of the public Internet.")
    return list(admitted)


def check_scheme(config: Config | None, target: Target) -> None:
    """Raises Refused for http, but to a host that the configuration names among the private ones."""
    if target.url.startswith("https:"):
        return
    if config is None or not private_of(config).names_it(target.host, target.address):
        raise Refused(f"The URL {shown(target.url)!r} cannot be used: an https:// URL was due.")


def check_port(config: Config, target: Target) -> None:
    """Raises Refused for a port that is not allowed."""
    if config.allow_ports and target.port not in config.allow_ports:
        ports = ", ".join(map(str, config.allow_ports))
        raise Refused(f"Port {target.port} is not allowed in a URL; these are: {ports}.")


def private_of(config: Config) -> Allowed:
    """The private hosts that the configuration allows."""
    return parsed_hosts(tuple(config.allow_private_hosts))


@lru_cache(maxsize=16)
def parsed_hosts(hosts: tuple[str, ...]) -> Allowed:
    """As `addresses.allowed`, once for each list."""
    return allowed(hosts)


def read(url: str) -> Target:
    """Takes a URL apart. Raises Refused for any but http(s) to a host that is spelled as usual."""
    if not isinstance(url, str) or len(url) > URL_LENGTH_MAX:
        raise Refused(f"A URL is a text of at most {URL_LENGTH_MAX} characters.")
    if FORBIDDEN.search(url):
        raise Refused(f"The URL {shown(url)!r} holds a blank, a backslash or a control character.")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise Refused(f"{shown(url)!r} is no URL.") from None
    if parts.scheme not in PORTS:
        raise Refused(f"The URL {shown(url)!r} cannot be used: an http:// or https:// URL was due.")
    if "@" in parts.netloc:
        raise Refused("A URL must not hold a user name or a password.")
    try:
        where = IPv6Address(host) if "[" in parts.netloc else spelled(host)
    except (ValueError, UnicodeError):
        raise Refused(f"The host {shown(host)!r} of the URL is not spelled as a host name or an address is.") from None
    if port == 0:
        raise Refused("Port 0 is not allowed in a URL.")
    name = str(where)
    netloc = f"[{name}]" if ":" in name else name
    if port not in (None, PORTS[parts.scheme]):
        netloc += f":{port}"
    path, query = quote(parts.path or "/", safe=PATH_SAFE), quote(parts.query, safe=PATH_SAFE)
    spelling = urlunsplit((parts.scheme, netloc, path, query, ""))
    return Target(spelling, name, port or PORTS[parts.scheme], None if isinstance(where, str) else where)


def joined(url: str, location: str) -> str:
    """Where a redirect leads. Raises Refused."""
    try:
        return urljoin(url, location)
    except ValueError:
        raise Refused(f"{host_of(url)} redirects to what is no URL.") from None


def host_of(url: str) -> str:
    """The host of a URL for a message: the rest may be a secret."""
    try:
        return shown(urlsplit(url).hostname or "the host")
    except ValueError:
        return "the host"


def checked_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Headers as they go out. Raises Refused for one that would change how the message is read."""
    for name, value in headers.items():
        if HEADER_NAME.fullmatch(name) is None or name.lower() in OUR_HEADERS:
            raise Refused(f"The header {shown(name)!r} cannot be sent.")
        if HEADER_VALUE.fullmatch(value) is None:
            raise Refused(f"The value of the header {shown(name)!r} cannot be sent.")
    given = {name.lower() for name in headers}
    ours = [AGENT, ("accept", "*/*")]
    return [
        *((name, value) for name, value in ours if name not in given),
        *((name, value) for name, value in headers.items() if name.lower() != "accept-encoding"),
        ("accept-encoding", "identity"),
        ("connection", "close"),
    ]
