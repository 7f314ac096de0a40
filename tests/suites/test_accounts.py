"""What checks of accounts and budgets go by: the table of roles, the kinds of replies, mail for the fleet's server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.orgs import permissions
from suites.accounts.company import ROLES
from suites.accounts.deeds import DEEDS, PERMISSIONS
from suites.budgets.test_key_limits import next_month
from suites.budgets.test_mails import told
from suites.exchange import Reply, Sent
from suites.launch import mail_config
from suites.processes import StartError
from suites.reply_kinds import kind_of
from suites.reply_schemas import problems_of

# What a row of suites/accounts/permissions.yaml is called by the reference gateway, where that is another name.
CALLED = {
    "members.list": "members.read",
    "members.change": "members.manage",
    "members.remove": "members.manage",
    "invitations.list": "members.manage",
    "invitations.write": "members.manage",
    "invitations.withdraw": "members.manage",
    "keys.list": "keys.read",
    "sso.list": "sso.read",
    "statement.read": "billing.read",
    "budget.read": "billing.read",
    "budget.change": "billing.manage",
    "usage.export": "usage.read",
}


def test_every_row_is_a_deed_and_every_deed_a_row() -> None:
    assert PERMISSIONS.keys() == DEEDS.keys()
    for action, may in PERMISSIONS.items():
        assert may <= set(ROLES), action
        assert "owner" in may, action


@pytest.mark.parametrize("action", PERMISSIONS)
def test_the_gateway_and_the_checks_read_the_reference_alike(action: str) -> None:
    assert PERMISSIONS[action] == permissions.table().actions[CALLED.get(action, action)]


@pytest.mark.parametrize(
    ("now_s", "due_s"),
    [(1_780_000_000, 1_780_272_000), (1_798_761_599, 1_798_761_600), (1_798_761_600, 1_801_440_000)],
)
def test_months_end_where_the_calendar_says(now_s: int, due_s: int) -> None:
    assert next_month(now_s) == due_s


@pytest.mark.parametrize(("amount_uc", "text"), [(0, "0"), (1_500_000, "1.5"), (1_234_000_001, "1,234.000001")])
def test_amounts_as_mails_tell_them(amount_uc: int, text: str) -> None:
    assert told(amount_uc) == text


def test_a_list_of_keys_has_no_secrets() -> None:
    key: dict[str, Any] = {
        "id": "key_1",
        "name": None,
        "prefix": "ck_abc",
        "status": "active",
        "statusReason": None,
        "spendingLimit": 1.5,
        "autoDisable": False,
        "expiresAt": None,
        "origins": [],
        "ips": [],
        "orgId": None,
        "userId": "usr_1",
        "createdAt": "2026-11-23T04:00:00.000Z",
        "rotatedAt": None,
    }
    assert problems_of("api_keys", {"keys": [key]}) == []
    assert problems_of("api_key", key) == []
    assert problems_of("api_key", key | {"key": "ck_" + "a" * 40}) == []
    assert problems_of("api_keys", {"keys": [key | {"key": "ck_" + "a" * 40}]})
    assert problems_of("api_key", key | {"createdAt": "yesterday"})


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("POST", "/api/api-keys", 201, "api_key"),
        ("GET", "/api/api-keys?orgId=org_1", 200, "api_keys"),
        ("PATCH", "/api/api-keys/key_1", 200, "api_key"),
        ("POST", "/api/api-keys/key_1/rotate", 200, "api_key"),
        ("DELETE", "/api/api-keys/key_1", 204, None),
        ("POST", "/api/orgs/invitations/accept", 200, "organisation"),
        ("GET", "/api/orgs/org_1/audit-log?limit=2", 200, "audit_log"),
        ("GET", "/api/orgs/org_1/usage", 200, "usage_log"),
        ("GET", "/api/orgs/org_1/usage/export", 200, "usage_export"),
        ("GET", "/api/orgs/org_1/statement", 200, "statement"),
        ("GET", "/api/statement?month=2026-11", 200, "statement"),
        ("POST", "/api/auth/sign-in", 401, "error"),
    ],
)
def test_what_a_reply_is_held_against(method: str, path: str, status: int, kind: str | None) -> None:
    made = Reply(Sent(method, f"http://h{path}", {}, b""), status, CIMultiDictProxy(CIMultiDict()), 0.0, 0.0)
    assert kind_of(made) == kind


class Neighbours(BaseHTTPRequestHandler):
    """A fleet that tells its mail server's certificate."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"neighbours": {"mail": {"certificate": "PEM"}}}).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def control_url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Neighbours) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/__fleet"
        server.shutdown()
        thread.join(10)


def test_mail_goes_to_the_fleet(control_url: str, tmp_path: Path) -> None:
    fleet = {"control_url": control_url, "smtp": {"host": "127.0.0.1", "port": 2525}}
    made = mail_config(fleet, tmp_path)
    assert made == {"smtp_url": "smtp://127.0.0.1:2525", "smtp_ca": str(tmp_path / "mail.pem")}
    assert (tmp_path / "mail.pem").read_text() == "PEM"


def test_no_mail_without_a_server(tmp_path: Path) -> None:
    assert mail_config({"control_url": "http://127.0.0.1:1/__fleet", "smtp": None}, tmp_path) == {}
    with pytest.raises(StartError, match="tells no certificate"):
        mail_config({"control_url": "http://127.0.0.1:1", "smtp": {"host": "h", "port": 1}}, tmp_path)
