"""URLs of users that lead where they must not, or tell what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace as changed
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from gateway import addresses, guard
from gateway.addresses import Address
from gateway.endpoints import gpu
from gateway.gpu import deployments
from gateway.guard import Refused, Target
from gateway.sign_on import discovery, settings
from mutants._patch import around, replace
from mutants.registry import mutant


def allow(is_let_in: Any) -> None:
    """Addresses of these kinds count as public ones, at any port."""

    @around(guard, "admit")
    def admit(old: Any, config: Any, target: Target, found: Any) -> Any:
        let_in = [one for one in map(addresses.parsed, found) if one is not None and is_let_in(one)]
        return let_in or old(config, target, found)


def is_loopback(address: Address) -> bool:
    """Of this machine, told in IPv4."""
    return isinstance(address, IPv4Address) and address.is_loopback


def is_disguised(address: Address) -> bool:
    """An IPv4 address within IPv6."""
    return isinstance(address, IPv6Address) and (address.ipv4_mapped or address.sixtofour or address.teredo) is not None


def unchecked(owner: Any) -> None:
    """One of those who ask the guard does not any more."""

    class Blind:
        """The guard, which lets everything through."""

        def __getattr__(self, name: str) -> Any:
            return getattr(guard, name)

        @staticmethod
        def checked(url: str, *_args: Any, **_options: Any) -> str:
            """Takes whatever comes."""
            return url

    replace(owner, "guard", Blind())


@mutant()
def url_private_allowed() -> None:
    """Private networks count as public."""
    allow(lambda address: isinstance(address, IPv4Address) and address.is_private and not address.is_loopback)


@mutant()
def url_loopback_allowed() -> None:
    """The gateway's own machine counts as public."""
    allow(is_loopback)


@mutant()
def url_mapped_allowed() -> None:
    """IPv4 addresses within IPv6 count as public."""
    allow(is_disguised)


@mutant()
def url_webhook_unchecked() -> None:
    """Webhooks of deployments and jobs may lead anywhere."""
    unchecked(deployments)


@mutant()
def url_job_input_unchecked() -> None:
    """URLs among the inputs of hosted models are passed on as they are."""
    unchecked(gpu)


@mutant()
def url_issuer_unchecked() -> None:
    """An identity provider is saved wherever it is."""
    unchecked(settings)


@mutant()
def url_numbers_resolved() -> None:
    """A number is an address, as resolvers take it."""
    old = addresses.spelled

    def spelled(host: str) -> str | Address:
        return ip_address(int(host, 0)) if host[:2] == "0x" or host.isdigit() else old(host)

    replace(guard, "spelled", spelled)
    allow(is_loopback)


@mutant()
def url_user_name_taken() -> None:
    """A user name before the host is left out."""

    @around(guard, "read")
    def read(old: Any, url: str) -> Target:
        before, at, after = url.partition("@")
        target: Target = old(f"{before.partition('//')[0]}//{after}" if at else url)
        return target

    allow(is_loopback)


@mutant()
def url_backslash_taken() -> None:
    """A backslash in a URL is a slash, as browsers have it."""

    @around(guard, "read")
    def read(old: Any, url: str) -> Target:
        target: Target = old(url.replace("\\", "/"))
        return target


@mutant()
def url_any_scheme() -> None:
    """A URL of any scheme is read as one of https."""

    @around(guard, "read")
    def read(old: Any, url: str) -> Target:
        scheme = urlsplit(url).scheme if "\n" not in url and "[" not in url else ""
        target: Target = old(f"https{url.removeprefix(scheme)}" if scheme in ("ftp", "gopher") else url)
        return target

    allow(is_loopback)


@mutant("GD-199")
def url_closed_port_told() -> None:
    """Private addresses are tried first, and refused in other words where nobody listens."""

    @around(guard, "admit")
    def admit(old: Any, config: Any, target: Target, found: Any) -> Any:
        try:
            return old(config, target, found)
        except Refused:
            if target.port == 1:
                raise guard.Unreachable(f"{target.host} cannot be reached: connection refused.") from None
            raise


@mutant("GD-199")
def url_unknown_host_told() -> None:
    """A host that does not exist is refused in words of its own."""

    @around(guard, "admit")
    def admit(old: Any, config: Any, target: Target, found: Any) -> Any:
        if not found:
            raise Refused(f"{target.host} does not exist.")
        return old(config, target, found)


@mutant()
def url_redirect_unchecked() -> None:
    """Where a redirect leads is not looked at."""
    sent: set[str] = set()

    @around(guard, "joined")
    def joined(old: Any, url: str, location: str) -> str:
        onward: str = old(url, location)
        sent.add(onward)
        return onward

    @around(guard, "admit")
    def admit(old: Any, config: Any, target: Target, found: Any) -> Any:
        if target.url in sent:
            return [one for one in map(addresses.parsed, found) if one is not None]
        return old(config, target, found)


@mutant()
def url_redirects_without_end() -> None:
    """Twenty redirects are followed."""
    replace(guard, "HOPS_MAX", 20)


@mutant()
def url_key_goes_along() -> None:
    """The gateway tells everybody who it is, by the key of one of its providers."""

    @around(guard, "checked_headers")
    def checked_headers(old: Any, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        return [*old(headers), ("authorization", "Bearer sk-provider")]


@mutant()
def url_any_port() -> None:
    """A public host may be asked at any port."""

    @around(guard, "admit")
    def admit(old: Any, config: Any, target: Target, found: Any) -> Any:
        return old(changed(config, allow_ports=()), target, found)


@mutant()
def url_plain_identity() -> None:
    """Identity providers may be asked without TLS."""
    replace(guard, "check_scheme", lambda _config, _target: None)


@mutant()
def url_discovery_unchecked() -> None:
    """The endpoints that a provider names are taken as they are."""
    replace(discovery, "endpoint", lambda _services, told, name: str(told.get(name)))
