"""The OpenAPI document: valid, of one mind with itself, and complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import jsonschema_rs
import pytest

from gateway import app
from gateway.endpoints import (
    admin,
    admin_accounts,
    api_keys,
    auth,
    files,
    gemini,
    gpu_paths,
    orgs,
    refunds,
    spending,
    sso,
    storage,
    usage,
)
from schemas.openapi import METHODS, load, routes

DOCUMENT = load("gateway")
OPERATIONS = [
    (path, method, item[method]) for path, item in DOCUMENT["paths"].items() for method in METHODS if method in item
]
WHOSE_BODY_IS_A_CREDENTIAL = {"signIn"}
IDS = [f"{method.upper()} {path}" for path, method, _ in OPERATIONS]


def walk(value: Any) -> Iterator[Any]:
    """Every mapping inside a JSON value."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def resolved(reference: str) -> Any:
    """What a reference within the document points at."""
    assert reference.startswith("#/"), reference
    found: Any = DOCUMENT
    for part in reference[2:].split("/"):
        found = found[part]
    return found


def test_every_reference_leads_somewhere() -> None:
    references = [node["$ref"] for node in walk(DOCUMENT) if isinstance(node.get("$ref"), str)]
    assert len(references) > 50
    for reference in references:
        assert resolved(reference) is not None


def test_every_component_is_used() -> None:
    used = {node["$ref"] for node in walk(DOCUMENT) if isinstance(node.get("$ref"), str)}
    for kind in ("schemas", "responses", "parameters", "headers"):
        for name in DOCUMENT["components"][kind]:
            assert f"#/components/{kind}/{name}" in used


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_every_schema_is_a_json_schema(name: str) -> None:
    schema = {**DOCUMENT["components"]["schemas"][name], "components": DOCUMENT["components"]}
    jsonschema_rs.Draft202012Validator(schema)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=IDS)
def test_every_operation_is_whole(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["operationId"]
    assert operation["summary"]
    assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    answers = {code: resolved(r["$ref"]) if "$ref" in r else r for code, r in operation["responses"].items()}
    assert "405" in answers
    for answer in answers.values():
        assert "x-request-id" in answer["headers"]
    secured = operation.get("security", DOCUMENT["security"]) != []
    assert ("401" in answers) == (secured or operation["operationId"] in WHOSE_BODY_IS_A_CREDENTIAL)
    assert ("requestBody" in operation) == ("413" in answers)
    named = set(re.findall(r"{(\w+)}", path))
    parameters = [*DOCUMENT["paths"][path].get("parameters", []), *operation.get("parameters", [])]
    told = {p["name"] for p in (resolved(p["$ref"]) if "$ref" in p else p for p in parameters) if p["in"] == "path"}
    assert told == named


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(ids)) == len(ids)


def test_every_error_has_the_documented_shape_and_no_other() -> None:
    bodies = {
        code: answer["content"]["application/json"]["schema"]["$ref"]
        for path, _, operation in OPERATIONS
        if gemini.find(path) is None  # those have Google's form
        for code, answer in operation["responses"].items()
        if code[0] in "45" and "$ref" in answer
        for answer in [resolved(answer["$ref"])]
    }
    assert set(bodies) == {"400", "401", "402", "403", "404", "405", "409", "413", "429", "502", "503"}
    for reference in bodies.values():
        schema = {**resolved(reference), "components": DOCUMENT["components"]}
        validator = jsonschema_rs.Draft202012Validator(schema)
        [kind] = [
            told["const"] if "const" in told else told["enum"][0]
            for told in [schema["properties"]["error"]["allOf"][1]["properties"]["type"]]
        ]
        assert validator.is_valid({"error": {"type": kind, "message": "m"}})
        for wrong in (
            {"error": {"type": "other", "message": "m"}},
            {"error": {"type": kind}},
            {"error": {"type": kind, "message": ""}},
            {"error": {"type": kind, "message": "m", "code": None}},
            {"error": {"type": kind, "message": "m"}, "request_id": "r"},
            {"detail": "m"},
        ):
            assert not validator.is_valid(wrong), wrong


def test_every_route_of_the_gateway_is_in_the_document() -> None:
    served: dict[str, set[str]] = {}
    for path, methods in {**app.table(), **app.PUBLIC}.items():
        served[path] = set(methods) - {"HEAD"}
    for prefix in (*app.PREFIXES, *app.REPEATED):
        served[f"{prefix}/models/{{id}}"] = set(app.ONE_MODEL) - {"HEAD"}
    for prefix in app.PREFIXES:
        for verb, methods in app.ONE_RESPONSE.items():
            served[f"{prefix}/responses/{{id}}{verb}"] = set(methods)
    for path, methods in gpu_paths.patterns().items():
        served[path] = set(methods)
    for path in filter(gemini.find, routes(DOCUMENT)):  # found by patterns: tests/gateway/test_gemini.py has them all
        served[path] = set(gemini.find(path) or ()) - {"HEAD"}
    for route in [
        *usage.routes(MagicMock()),
        *files.routes(MagicMock()),
        *storage.routes(MagicMock()),
        *admin.routes(MagicMock()),
        *sso.routes(MagicMock()),
        *spending.routes(MagicMock()),
        *auth.routes(MagicMock()),
        *api_keys.routes(MagicMock()),
        *orgs.routes(MagicMock()),
        *admin_accounts.routes(MagicMock()),
        *refunds.routes(MagicMock()),
    ]:
        path = re.sub(r"{\w+(:\w+)?}", "{id}", route.path)
        served.setdefault(path, set()).update((route.methods or set()) - {"HEAD"})
    documented = {re.sub(r"{\w+}", "{id}", path): set(methods) for path, methods in routes(DOCUMENT).items()}
    assert served == documented


def test_aliases_are_routes_with_the_same_methods() -> None:
    found = routes(DOCUMENT)
    assert found["/v1/chat/completions"] == found["/api/v1/chat/completions"] == {"POST"}
    assert found["/api/v1/v1/messages"] == {"POST"}
    assert found["/admin/users/{id}"] == {"GET", "PATCH"}
    own = set(DOCUMENT["paths"])
    aliases = [alias for item in DOCUMENT["paths"].values() for alias in item.get("x-aliases", ())]
    assert len(set(aliases)) == len(aliases)
    assert not own & set(aliases)
