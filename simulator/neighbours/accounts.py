"""Who may sign on where: tenants, their accounts, and the applications known to them. All of it is data.

`ann+ab12@acme.example` is Ann with the tag `ab12`: the same person to the eye, yet a user of her own, who belongs
to the test case `ab12`; so is `ann@ab12.acme.example`, in an e-mail domain that is the case's own. `acme~ab12` is the
tenant of that case alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from hmac import compare_digest
from pathlib import Path
from typing import Any, Final

import yaml

from simulator import draws

FILE: Final = Path(__file__).with_name("accounts.yaml")
URI: Final = re.compile(r"^[!\"$-~]{1,2000}$")  # no fragment, and nothing that could end a header
TAG: Final = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
LABEL: Final = re.compile(r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")  # of a domain: a tag that is one in lower case


@dataclass(frozen=True, slots=True)
class Account:
    """One user of a tenant."""

    login: str  # an e-mail address
    given_name: str
    family_name: str
    groups: tuple[str, ...] = ()
    email_verified: bool = True
    disabled: bool = False
    tag: str | None = None

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.given_name} {self.family_name}"

    def subject(self, tenant: str) -> str:
        """What the tenant calls this user for ever: 24 characters of [A-Za-z0-9]."""
        return draws.word(24, "subject", tenant, self.login)


@dataclass(frozen=True, slots=True)
class Client:
    """An application that signs users on by OpenID Connect. Without a secret it is a public one."""

    id: str
    secret: str | None = None
    redirect_uris: tuple[str, ...] = ()  # globs
    id_token_alg: str = "RS256"
    about: str = ""

    def redirects_to(self, uri: str) -> bool:
        """Whether it may be sent there."""
        return bool(URI.match(uri)) and any(fnmatchcase(uri, known) for known in self.redirect_uris)

    def proves(self, secret: str | None) -> bool:
        """Whether that is its secret."""
        if self.secret is None or secret is None:
            return self.secret is None and secret in (None, "")
        return compare_digest(self.secret.encode(), secret.encode())


@dataclass(frozen=True, slots=True)
class Tenant:
    """One company with an identity provider, as one request sees it."""

    name: str
    title: str
    accounts: tuple[Account, ...]
    case: str | None = None  # of `name~case`

    @property
    def segment(self) -> str:
        """Its segment of a path."""
        return self.name if self.case is None else f"{self.name}~{self.case}"

    def account(self, login: str) -> Account | None:
        """The account of a login, which may bear a tag, in front of the `@` or as a domain below the account's."""
        local, at, domain = login.strip().lower().rpartition("@")
        plain, plus, _ = local.partition("+")
        tag = login.strip().partition("+")[2].rpartition("@")[0] if plus else None
        if tag is not None and not TAG.match(tag):
            return None
        for one in self.accounts:
            if one.login == f"{plain}{at}{domain}":
                return one if tag is None else replace(one, login=f"{plain}+{tag}@{domain}", tag=tag)
            below, dot, above = domain.partition(".")
            if tag is None and one.login == f"{plain}{at}{above}" and LABEL.match(below):
                return replace(one, login=f"{plain}{at}{below}{dot}{above}", tag=below)
        return None


@dataclass(frozen=True, slots=True)
class Directory:
    """All of the file."""

    password: str
    tenants: Mapping[str, Tenant]
    clients: Mapping[str, Client]
    acs_urls: tuple[str, ...]  # globs: where a SAML response may go
    mail: Mapping[str, str]  # user -> password of SMTP AUTH

    def tenant(self, segment: str) -> Tenant | None:
        """The tenant that a segment of a path names, of a case if it says so."""
        name, tilde, case = segment.partition("~")
        found = self.tenants.get(name)
        if found is None or not tilde:
            return found
        return replace(found, case=case) if TAG.match(case) else None

    def takes_responses(self, url: str) -> bool:
        """Whether a SAML response may go there."""
        return bool(URI.match(url)) and any(fnmatchcase(url, known) for known in self.acs_urls)


@cache
def directory() -> Directory:
    """As the file has it."""
    data: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
    tenants = {
        name: Tenant(
            name,
            row["title"],
            tuple(Account(**{**one, "groups": tuple(one.get("groups", ()))}) for one in row["accounts"]),
        )
        for name, row in data["tenants"].items()
    }
    clients = {
        name: Client(name, **{**row, "redirect_uris": tuple(row["redirect_uris"])})
        for name, row in data["clients"].items()
    }
    return Directory(data["password"], tenants, clients, tuple(data["acs_urls"]), data["mail"])
