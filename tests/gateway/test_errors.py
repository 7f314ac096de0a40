"""The error table, and the shape of every refusal that has nothing to do with a call."""

from __future__ import annotations

import json

import pytest

from gateway import errors
from gateway.errors import GatewayError, UnknownModel
from tests.gateway.lab import CHAT, open_lab, run


def kinds(parent: type[GatewayError] = GatewayError) -> list[type[GatewayError]]:
    return [parent, *(kind for child in parent.__subclasses__() for kind in kinds(child))]


def test_every_error_has_its_row() -> None:
    for kind in kinds():
        assert kind.type in errors.STATUS
    used = {kind.type for kind in kinds()}
    assert set(errors.STATUS) == used


def test_the_wire_form() -> None:
    assert json.loads(errors.render(errors.NoCredit("poor"))) == {
        "error": {"type": "insufficient_credits", "message": "poor"}
    }
    assert json.loads(errors.render(UnknownModel("what", ["a", "b"])))["available_models"] == ["a", "b"]


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nothing", 404, "not_found_error"),
        ("POST", "/api/v1/nothing", 404, "not_found_error"),
        ("GET", "/api/v1/models/", 200, ""),
        ("GET", CHAT, 405, "method_not_allowed"),
        ("DELETE", CHAT, 405, "method_not_allowed"),
        ("OPTIONS", CHAT, 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("POST", "/api/api-usage", 405, "method_not_allowed"),
        ("PUT", "/admin/users", 405, "method_not_allowed"),
        ("GET", "/admin/nothing", 404, "not_found_error"),
        ("GET", "/%2e%2e/etc/passwd", 404, "not_found_error"),
        ("GET", "/\0\n", 404, "not_found_error"),
    ],
)
def test_paths_and_methods(method: str, path: str, status: int, kind: str) -> None:
    async def scene() -> None:
        lab = await open_lab([])
        answer = await lab.ask(path, method=method)
        assert answer.status == status
        assert answer.headers["x-request-id"].startswith("req_")
        if kind:
            assert answer.error[0] == kind
        if status == 405:
            assert answer.headers["allow"]

    run(scene())


def test_heads_are_answered_like_gets() -> None:
    async def scene() -> None:
        lab = await open_lab([])
        for path in ("/v1/models", "/v1/models/gpt-5.5", "/healthz", "/metrics"):
            assert (await lab.ask(path, method="HEAD")).status == 200

    run(scene())


def test_health_and_metrics_need_no_key_and_tell_no_secret() -> None:
    async def scene() -> None:
        lab = await open_lab([])
        await lab.ask("/v1/models", method="GET")
        health = await lab.ask("/healthz", method="GET", headers={})
        assert (health.status, health.json) == (200, {"status": "ok"})
        shown = await lab.ask("/metrics", method="GET", headers={})
        text = shown.body.decode()
        assert 'gateway_requests_total{endpoint="/v1/models",status="200"} 1' in text
        assert "ck_" not in text
        assert "sk-" not in text
        lab.services.draining = True
        assert (await lab.ask("/healthz", method="GET", headers={})).status == 503

    run(scene())


def test_what_a_caller_sent_is_shown_harmless() -> None:
    assert errors.shown("a\n\x1b[0mb\0") == "a\ufffd\ufffd[0mb\ufffd"
    assert errors.shown("x" * 200) == "x" * 100 + "…"
    assert errors.shown(5) == "int"
