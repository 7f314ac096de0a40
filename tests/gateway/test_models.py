"""GET /models."""

from __future__ import annotations

import pytest

from schemas import catalogue
from tests.gateway.lab import open_lab, run


@pytest.mark.parametrize(
    "path", ["/api/v1/models", "/v1/models", "/api/v1/v1/models", "/v1/v1/models", "/api/v1/models/"]
)
def test_one_list_serves_both_sdks(path: str) -> None:
    async def scene() -> None:
        lab = await open_lab([], credits=0)
        listed = (await lab.ask(path, method="GET")).json
        assert listed["object"] == "list"
        assert [model["id"] for model in listed["data"]] == list(catalogue.MODELS)
        assert (listed["has_more"], listed["first_id"]) == (False, listed["data"][0]["id"])
        assert listed["last_id"] == listed["data"][-1]["id"]
        for model in listed["data"]:
            assert {"id", "object", "created", "owned_by", "type", "display_name", "created_at"} <= set(model)
            assert (model["object"], model["type"]) == ("model", "model")

    run(scene())


def test_one_model() -> None:
    async def scene() -> None:
        lab = await open_lab([])
        for prefix in ("/api/v1", "/v1", "/api/v1/v1"):
            found = await lab.ask(f"{prefix}/models/gpt-5.5", method="GET")
            assert (found.status, found.json["id"]) == (200, "gpt-5.5")
        alias = await lab.ask("/v1/models/claude-3-5-haiku-20241022", method="GET")
        assert alias.json["id"] == "claude-haiku-4-5"
        for name in ("nope", "a/b", "%00", "\0", "gpt-5.5/x"):
            missing = await lab.ask(f"/v1/models/{name}", method="GET")
            assert (missing.status, missing.error[0]) == (404, "not_found_error")
        assert (await lab.ask("/v1/models/gpt-5.5", method="DELETE")).status == 405

    run(scene())


def test_the_list_costs_and_counts_nothing() -> None:
    async def scene() -> None:
        lab = await open_lab([], limits={"chat": 1})
        for _ in range(5):
            assert (await lab.ask("/v1/models", method="GET")).status == 200
        assert await lab.spent_uc() == 0
        assert await lab.log() == []

    run(scene())
