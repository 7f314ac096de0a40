"""Which addresses a stranger's URL may lead to, and how a host is spelled. Pure.

IPv4: everything but the special-purpose blocks of the IANA registry, multicast, the old class E, and Azure's wire
server, which is a public address on paper only. IPv6: global unicast (2000::/3) alone, less the blocks in it that are
special or embed an IPv4 address; so mapped, compatible, translated (NAT64), unique-local and link-local ones are out.
Source: RFC 6890, the IANA special-purpose address registries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

REFUSED_IPV4: Final = tuple(
    IPv4Network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # Azure's host, seen from a virtual machine
    )
)
GLOBAL_IPV6: Final = IPv6Network("2000::/3")  # all that is given out so far
REFUSED_IPV6: Final = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # special purposes, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
ISATAP: Final = (0x0000_5EFE, 0x0200_5EFE)  # the first half of an interface id that holds an IPv4 address (RFC 5214)
LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
HOST: Final = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(?:\.{LABEL})*")
NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a last label that makes resolvers read the whole as an address


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the operator allows beside public addresses: host names, and networks."""

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    def names_it(self, host: str, address: Address | None) -> bool:
        """Whether this address (or any) of this host may be connected to, though it is not public."""
        return host in self.names or any(
            address is not None and address.version == network.version and address in network
            for network in self.networks
        )


def allowed(hosts: Sequence[str]) -> Allowed:
    """Of the option `allow_private_hosts`: host names, addresses and CIDRs. Raises ValueError for anything else."""
    names: set[str] = set()
    networks: list[Network] = []
    for host in hosts:
        try:
            networks.append(ip_network(host.removeprefix("[").removesuffix("]")))
        except ValueError:
            names.add(str(spelled(host)))
    return Allowed(frozenset(names), tuple(networks))


def is_public(address: Address) -> bool:
    """Whether an address is one of the public Internet's."""
    if not address.is_global:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in block for block in REFUSED_IPV4)
    if address.scope_id is not None or address not in GLOBAL_IPV6:
        return False
    return not any(address in block for block in REFUSED_IPV6) and (int(address) >> 32 & 0xFFFF_FFFF) not in ISATAP


def spelled(host: str) -> str | Address:
    """The name (ASCII, lower case) or the IPv4 address that a URL's host spells. Raises ValueError.

    Only the usual spelling of an address is one: what a resolver would read as an address besides (2130706433, 0x7f.1,
    0177.0.0.1, 127.1, digits of other scripts) is refused, as is any other name that ends in a number.
    """
    name = (host if host.isascii() else host.encode("idna").decode("ascii")).lower()
    dotless = name.removesuffix(".")
    if HOST.fullmatch(dotless) is None:
        raise ValueError(f"{host!r} is no host")
    if NUMBER.fullmatch(dotless.rpartition(".")[2]) is None:
        return dotless
    if dotless != host:
        raise ValueError(f"{host!r} is an address in disguise")
    return IPv4Address(dotless)


def parsed(text: str) -> Address | None:
    """An address as a resolver tells it; None where it is none, or means something on one machine only (a zone)."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None
