"""The Gemini paths of the OpenAPI document: what Google's SDKs are answered, errors included."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import orjson
import pytest

from gateway import errors
from gateway.endpoints import gemini
from gateway.wires import gemini_errors
from schemas.openapi import METHODS, load, routes

DOCUMENT = load("gateway")
PATHS = [path for path in DOCUMENT["paths"] if gemini.find(path)]
ERRORS: list[errors.GatewayError] = [
    errors.InvalidRequest("m"),
    errors.UnknownModel("m", ["a"]),
    errors.Unauthenticated("m"),
    errors.NoCredit("m"),
    errors.NoAccess("m"),
    errors.NotFound("m"),
    errors.WrongMethod("m"),
    errors.BodyTooLarge("m"),
    errors.TooManyRequests("m", [(b"retry-after", b"5")]),
    errors.AllUpstreamsFailed("m"),
]


def responses(status: int) -> list[dict[str, Any]]:
    """The schemas that the Gemini paths name for a status."""
    found = []
    for path in PATHS:
        for method in set(METHODS) & set(DOCUMENT["paths"][path]):
            answer = DOCUMENT["paths"][path][method]["responses"].get(str(status))
            if answer is not None:
                name = answer["$ref"].rpartition("/")[2]
                found.append(DOCUMENT["components"]["responses"][name]["content"]["application/json"]["schema"])
    return found


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_has_google_s_form_and_the_word_of_its_status(error: errors.GatewayError) -> None:
    schemas = responses(error.status)
    assert schemas
    told = orjson.loads(gemini_errors.render(error))
    for schema in schemas:
        validator = jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]})
        assert validator.is_valid(told)
        assert not validator.is_valid({"error": {**told["error"], "status": "OTHER"}})
        assert not validator.is_valid({"error": {"type": error.type, "message": "m"}})


def test_every_row_of_the_table_of_errors_has_a_word() -> None:
    assert set(errors.STATUS.values()) == set(gemini_errors.WORDS)


def test_the_document_names_paths_of_every_base_url() -> None:
    known = routes(DOCUMENT)
    for base in (
        "/api/v1/gemini/v1",
        "/api/v1/gemini/v1beta",
        "/api/v1/gemini",
        "/api/v1/v1beta",
        "/api/v1/v1",
        "/v1beta",
    ):
        for method in gemini.METHODS:
            assert known[f"{base}/models/{{id}}:{method}"] == {"POST"}
