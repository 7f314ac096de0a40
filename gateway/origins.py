"""From where a request comes: the client's address and the page's origin. Pure.

The address is the socket's, unless that is a proxy named in `trusted_proxies`: then it is the last one in
X-Forwarded-For that is no such proxy. What the caller wrote stands further left and is not read; no other header is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN: Final = "unknown"  # a socket without an address (a Unix socket, a test)
ORIGIN: Final = re.compile(r"(https?)://([a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::([0-9]{1,5}))?")
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def network(text: str) -> Network:
    """An address or a network in CIDR form. Raises ValueError."""
    made = ip_network(text.strip(), strict=False)
    mapped = made.network_address.ipv4_mapped if isinstance(made, IPv6Network) else None
    if mapped is not None and made.prefixlen >= 96:
        return IPv4Network((mapped, made.prefixlen - 96))
    return made


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Several. Raises ValueError."""
    return tuple(network(text) for text in texts)


@lru_cache(maxsize=16)
def trusted(proxies: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks of `trusted_proxies`, parsed once. Raises ValueError."""
    return networks(proxies)


def address(text: str) -> Address | None:
    """One address, as proxies write it: with brackets or a port, perhaps; IPv4 in IPv6 as IPv4. None if it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        made = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return made.ipv4_mapped or made if isinstance(made, IPv6Address) else made


def within(one: Address | None, some: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks."""
    return one is not None and any(one.version == net.version and one in net for net in some)


def client(scope: Any, trusted: Sequence[Network]) -> Address | None:
    """The address of an ASGI request's client."""
    peer = scope.get("client")
    found = address(peer[0]) if peer else None
    if not trusted or not within(found, trusted):
        return found
    told = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
    for text in reversed(told.decode("latin-1").split(",") if told else []):
        hop = address(text)
        if hop is None:
            return found
        found = hop
        if not within(found, trusted):
            break
    return found


def same_network(one: Address | None) -> str:
    """What attempts are counted by: an IPv4 address, or the /64 that one subscriber of IPv6 has to himself."""
    if one is None:
        return UNKNOWN
    return str(one) if isinstance(one, IPv4Address) else str(IPv6Network((one, 64), strict=False))


def origin(text: str) -> str | None:
    """An origin (RFC 6454) in lower case without its scheme's own port; None if it is none. `null` is none."""
    found = ORIGIN.fullmatch(text.strip().lower())
    if found is None:
        return None
    scheme, host, digits = found.groups()
    port = DEFAULT_PORTS[scheme] if digits is None else int(digits)
    if not 1 <= port <= 65535:
        return None
    return f"{scheme}://{host}" + ("" if port == DEFAULT_PORTS[scheme] else f":{port}")


def comes_from(scope: Any, allowed: Sequence[str]) -> bool:
    """Whether an ASGI request says, once, that it comes from a page of one of the origins."""
    told = [value for name, value in scope["headers"] if name == b"origin"]
    return len(told) == 1 and origin(told[0].decode("latin-1")) in allowed
