"""Logins: an account's own, with a tag, and in a domain of the tag's."""

from __future__ import annotations

import pytest

from simulator.neighbours.accounts import Tenant, directory


@pytest.fixture(name="acme")
def _acme() -> Tenant:
    found = directory().tenant("acme")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("login", "told", "tag"),
    [
        ("ann@acme.example", "ann@acme.example", None),
        (" ANN@Acme.Example ", "ann@acme.example", None),
        ("ann+Ab.12@acme.example", "ann+Ab.12@acme.example", "Ab.12"),
        ("ann@ab12.acme.example", "ann@ab12.acme.example", "ab12"),
        ("ann@AB-12.acme.example", "ann@ab-12.acme.example", "ab-12"),
    ],
)
def test_who_is_meant(acme: Tenant, login: str, told: str, tag: str | None) -> None:
    account = acme.account(login)
    assert account is not None
    assert (account.given_name, account.login, account.tag) == ("Ann", told, tag)


@pytest.mark.parametrize(
    "login",
    [
        *("nobody@acme.example", "nobody@ab12.acme.example", "ann@a.b.acme.example", "ann@.acme.example"),
        *("ann@-x.acme.example", "ann@x-.acme.example", "ann@a_b.acme.example", "ann+t@ab12.acme.example"),
        *("ann@xacme.example", "ida@ab12.globex.example", f"ann@{'x' * 64}.acme.example", "ann+ @acme.example", "ann"),
    ],
)
def test_who_is_nobody(acme: Tenant, login: str) -> None:
    assert acme.account(login) is None


def test_every_login_is_a_user_of_its_own(acme: Tenant) -> None:
    logins = ("ann@acme.example", "ann+ab12@acme.example", "ann@ab12.acme.example", "ann@cd34.acme.example")
    accounts = [acme.account(login) for login in logins]
    assert len({account.subject("acme") for account in accounts if account is not None}) == len(logins)
