"""Forms of the storage API, and the schemas of what it and single sign-on answer."""

from __future__ import annotations

import json
from email import message_from_bytes
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from suites import stored
from suites.exchange import Reply, Sent
from suites.reply_kinds import kind_of
from suites.reply_schemas import problems_of

FILE = {
    "id": "obj_1",
    "url": "http://localhost/files/x.csv",
    "filename": "x.csv",
    "contentType": "text/csv",
    "kind": "dataset",
    "bytes": 3,
    "sha256": "0" * 64,
    "public": False,
    "origin": "upload",
    "createdAt": "2026-11-23T02:34:23.337Z",
    "expiresAt": None,
}
OIDC: dict[str, Any] = {
    "id": "sso_1",
    "type": "oidc",
    "domain": "acme.example",
    "domainVerified": True,
    "enabled": True,
    "defaultRole": "viewer",
    "maxAge": None,
    "reachable": True,
    "problem": None,
    "checkedAt": "2026-11-23T02:34:23.337Z",
    "createdAt": "2026-11-23T02:34:23.337Z",
    "loginUrl": "http://localhost/login",
    "issuer": "https://idp.example",
    "clientId": "us",
    "hasClientSecret": True,
    "redirectUri": "http://localhost/back",
}


def test_a_form_is_read_as_it_was_meant() -> None:
    body = stored.form(b"\x00\r\n--x", "a.csv", "text/csv", {"kind": "dataset"})
    head = f"content-type: multipart/form-data; boundary={stored.BOUNDARY}\r\n\r\n".encode()
    _, kind, file = message_from_bytes(head + body).walk()
    assert (kind.get_param("name", header="content-disposition"), kind.get_payload()) == ("kind", "dataset")
    assert (file.get_filename(), file.get_content_type()) == ("a.csv", "text/csv")
    assert file.get_payload(decode=True) == b"\x00\r\n--x"


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("POST", "/api/v1/storage?kind=dataset", 201, "stored_file"),
        ("GET", "/api/v1/storage?limit=2", 200, "stored_files"),
        ("GET", "/v1/storage/obj_1", 200, "stored_file"),
        ("DELETE", "/api/v1/storage/obj_1", 200, "deleted_file"),
        ("DELETE", "/api/v1/storage/obj_1", 404, "error"),
        ("POST", "/api/orgs/org_1/sso", 201, "identity_provider"),
        ("PATCH", "/api/orgs/org_1/sso/sso_1", 200, "identity_provider"),
        ("GET", "/api/orgs/org_1/sso", 200, None),
        ("DELETE", "/api/orgs/org_1/sso/sso_1", 204, None),
        ("POST", "/api/auth/sso/start", 200, "way_to_sign_in"),
        ("GET", "/api/auth/sso/sso_1/login", 303, None),
    ],
)
def test_which_schema_holds(method: str, path: str, status: int, kind: str | None) -> None:
    headers = CIMultiDictProxy(CIMultiDict({"content-type": "application/json"}))
    assert kind_of(Reply(Sent(method, f"http://h{path}", {}, b""), status, headers, 0.0, 0.0)) == kind


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("stored_file", FILE),
        ("stored_files", {"data": [FILE], "hasMore": False, "nextCursor": None}),
        ("stored_files", {"data": [], "hasMore": True, "nextCursor": "x"}),
        ("deleted_file", {"id": "obj_1", "deleted": True}),
        ("identity_provider", OIDC),
        ("way_to_sign_in", {"type": "password", "providerId": None, "url": None}),
        ("way_to_sign_in", {"type": "saml", "providerId": "sso_1", "url": "/api/auth/sso/sso_1/login"}),
    ],
)
def test_what_is_sound(kind: str, document: Any) -> None:
    assert problems_of(kind, json.loads(json.dumps(document))) == []


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("stored_file", FILE | {"secret": "x"}),
        ("stored_file", FILE | {"bytes": "3"}),
        ("stored_file", FILE | {"createdAt": 1}),
        ("stored_file", {name: value for name, value in FILE.items() if name != "expiresAt"}),
        ("stored_files", {"data": [FILE | {"kind": "spreadsheet"}], "hasMore": False, "nextCursor": None}),
        ("stored_files", {"data": [], "hasMore": False}),
        ("deleted_file", {"id": "obj_1", "deleted": False}),
        ("identity_provider", OIDC | {"clientSecret": "x"}),
        ("identity_provider", OIDC | {"type": "saml"}),
        ("identity_provider", OIDC | {"defaultRole": "owner"}),
        ("way_to_sign_in", {"type": "saml", "providerId": "sso_1", "url": "//evil.example/"}),
        ("way_to_sign_in", {"type": "password", "providerId": None, "url": "/"}),
    ],
)
def test_what_is_not(kind: str, document: Any) -> None:
    assert problems_of(kind, json.loads(json.dumps(document)))
