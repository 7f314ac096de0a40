"""How Gemini refuses: code words and details, the form of the stream that was asked for, and a wait in no header."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from simulator.dialects.base import Serving
from simulator.problem import Exceeded, Problem
from simulator.script import Script
from tests.simulator import live
from tests.simulator.gemini_wire import (
    DIALECT,
    NONCE,
    NOW_S,
    PROVIDERS,
    ROOTS,
    SEED,
    Json,
    body,
    config,
    payload,
    refused,
)
from tests.simulator.live import request, running

RPC = "type.googleapis.com/google.rpc."
PATH = "models/gemini-2.5-flash:generateContent"


def error(problem: Problem, provider: str = "gemini", method: str = PATH, query: str = "") -> Script:
    """A refusal as the provider writes it."""
    facts = PROVIDERS[provider].mounts[0].facts
    return DIALECT.error(problem, Serving(NONCE, NOW_S, SEED, facts, path=f"{ROOTS[provider]}/{method}", query=query))


def told(problem: Problem, provider: str = "gemini", method: str = PATH) -> Json:
    """The error object of a refusal."""
    found: Json = json.loads(payload(error(problem, provider, method)))["error"]
    return found


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (402, "FAILED_PRECONDITION"),
        (403, "PERMISSION_DENIED"),
        (409, "ABORTED"),
        (418, "FAILED_PRECONDITION"),
        (429, "RESOURCE_EXHAUSTED"),
        (499, "CANCELLED"),
        (500, "INTERNAL"),
        (501, "UNIMPLEMENTED"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
        (599, "INTERNAL"),
    ],
)
def test_every_status_has_its_word(status: int, word: str) -> None:
    found = told(Problem("status", status=status))
    assert (found["code"], found["status"]) == (status, word)
    assert error(Problem("status", status=status)).status == status
    assert found["message"]


def test_an_error_is_indented_and_bears_no_id() -> None:
    script = error(Problem("overloaded"))
    data = payload(script)
    assert data.startswith(b'{\n  "error": {\n    "code": 503,\n')
    assert data.endswith(b"\n  }\n}\n")
    assert NONCE.encode() not in data
    assert not any("request-id" in name or "ratelimit" in name for name, _ in script.headers)
    assert [value for name, value in script.headers if name == "vary"] == ["Origin", "X-Origin", "Referer"]


@pytest.mark.parametrize(
    ("query", "content_type", "wrapped"),
    [("alt=sse", "text/event-stream", False), ("", "application/json; charset=UTF-8", True)],
)
def test_an_error_has_the_form_of_the_stream_that_was_asked_for(query: str, content_type: str, wrapped: bool) -> None:
    script = error(Problem("unavailable"), method="models/gemini-2.5-flash:streamGenerateContent", query=query)
    found = json.loads(payload(script))
    assert dict(script.headers)["content-type"] == content_type
    assert isinstance(found, list) is wrapped
    assert (found[0] if wrapped else found)["error"]["status"] == "UNAVAILABLE"


def test_unknown_fields_and_wrong_values_are_told_all_at_once() -> None:
    sent = {"contents": [{"parts": [{"txt": "a"}]}], "nope": 1, **config(maxOutputToken=3, temperature="hot")}
    found = refused(sent)
    (details,) = found["details"]
    assert details["@type"] == f"{RPC}BadRequest"
    assert details["fieldViolations"] == [
        {
            "field": "contents[0].parts[0]",
            "description": "Invalid JSON payload received. Unknown name \"txt\" at 'contents[0].parts[0]': "
            "Cannot find field.",
        },
        {"description": 'Invalid JSON payload received. Unknown name "nope": Cannot find field.'},
        {
            "field": "generation_config",
            "description": "Invalid JSON payload received. Unknown name \"maxOutputToken\" at 'generation_config': "
            "Cannot find field.",
        },
        {
            "field": "generation_config.temperature",
            "description": "Invalid value at 'generation_config.temperature' (TYPE_FLOAT), \"hot\"",
        },
    ]
    assert found["message"] == "\n".join(row["description"] for row in details["fieldViolations"])


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"contents": "Hi"}, "contents[0]"),
        ({"tools": [{"functionDeclarations": [{"parameters": {"properties": {"a": {"const": 1}}}}]}]},
         "tools[0].function_declarations[0].parameters.properties[0].value"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOMETIMES"}}}, "tool_config.function_calling_config.mode"),
        ({"safetySettings": [{"category": "RUDE"}]}, "safety_settings[0].category"),
        ({"generationConfig": {"topP": [1]}}, "generation_config.top_p"),
        ({"contents": [{"parts": [{"inlineData": {"data": "%%"}}]}]}, "contents[0].parts[0].inline_data.data"),
        ({"contents": [{"parts": [{"functionCall": {"args": "{}"}}]}]}, "contents[0].parts[0].function_call.args"),
        ({"systemInstruction": {"parts": {"text": 5}}}, "system_instruction.parts[0].text"),
    ],
)  # fmt: skip
def test_violations_name_their_place(fields: Json, place: str) -> None:
    (details,) = refused(body() | fields)["details"]
    assert [row["field"] for row in details["fieldViolations"]] == [place]


@pytest.mark.parametrize("data", [b"{oops", b"[1, 2", b'"text"', b"\xff\xfe", b"[]", b'{"contents": ' + b"[" * 3000])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    found = refused(data)
    assert found["status"] == "INVALID_ARGUMENT"
    assert found["details"][0]["fieldViolations"]


def test_a_model_that_is_not_there() -> None:
    assert refused(body(), "nope")["message"] == (
        "models/nope is not found for API version v1beta, or is not supported for generateContent. Call "
        "ModelService.ListModels to see the list of available models and their supported methods."
    )
    embedding = refused({"requests": [{"content": {"parts": [{"text": "a"}]}}]}, "nope", "batchEmbedContents")
    assert "is not supported for embedContent." in embedding["message"]
    wrong = refused(body(), "gemini-embedding-001", "streamGenerateContent", query="alt=sse")
    assert (wrong["status"], "is not supported for generateContent." in wrong["message"]) == ("NOT_FOUND", True)
    vertex = refused(body(), "nope", provider="vertex")["message"]
    assert vertex.startswith("Publisher Model `projects/p/locations/l/publishers/google/models/nope` was not found")


def details(found: Json) -> dict[str, Json]:
    """The details of an error by their type."""
    return {row["@type"].removeprefix(RPC): row for row in found["details"]}


def test_a_spent_quota_tells_the_wait_in_the_body_alone() -> None:
    problem = Problem("status", status=429, headers=(("retry-after", "36.5"), ("x-more", "1")))
    script = error(problem)
    found = json.loads(payload(script))["error"]
    assert dict(script.headers)["x-more"] == "1"
    assert "retry-after" not in dict(script.headers)
    assert found["message"].endswith("limit: 20, model: gemini-2.5-flash\nPlease retry in 36.5s.")
    assert list(details(found)) == ["Help", "QuotaFailure", "RetryInfo"]
    assert details(found)["RetryInfo"]["retryDelay"] == "36.5s"
    (violation,) = details(found)["QuotaFailure"]["violations"]
    assert violation["quotaDimensions"] == {"location": "global", "model": "gemini-2.5-flash"}
    assert violation["quotaValue"] == "20"
    assert "PerMinute" in violation["quotaId"]


def test_a_wait_that_nobody_told_is_drawn_and_rounded_down() -> None:
    found = told(Problem("rate_limit"))
    delay = details(found)["RetryInfo"]["retryDelay"]
    assert f"Please retry in {delay[:-1]}." in found["message"]
    assert 1 <= int(delay[:-1]) <= 58
    assert found == told(Problem("rate_limit"))


def test_a_days_quota_has_another_name() -> None:
    (violation,) = details(told(Problem("insufficient_quota")))["QuotaFailure"]["violations"]
    assert "PerDay" in violation["quotaId"]


@pytest.mark.parametrize(("per_ms", "period"), [(60_000, "PerMinute"), (86_400_000, "PerDay")])
def test_a_quota_of_the_fleets_own_is_told_with_its_numbers(per_ms: int, period: str) -> None:
    spent = Exceeded("input_tokens", 5000, 4990, 40, per_ms, 1234, True, "gemini-2.5-flash", "org")
    found = told(Problem("rate_limit", "in other words", exceeded=spent))
    assert found["message"].endswith(
        "generate_content_paid_tier_input_token_count, limit: 5000, model: gemini-2.5-flash\nPlease retry in 1.234s."
    )
    assert details(found)["RetryInfo"]["retryDelay"] == "1.234s"
    assert period in details(found)["QuotaFailure"]["violations"][0]["quotaId"]


def test_a_quota_that_no_wait_helps_tells_none() -> None:
    spent = Exceeded("tokens", 10, 0, 40, 60_000, None, False, "gemini-2.5-flash", "org")
    assert list(details(told(Problem("rate_limit", exceeded=spent)))) == ["Help", "QuotaFailure"]


def test_vertex_says_that_it_is_exhausted_in_one_sentence() -> None:
    found = told(Problem("status", status=429), "vertex")
    assert "details" not in found
    assert found["message"].startswith("Resource exhausted. Please try again later.")


def test_a_sentence_of_ones_own_replaces_the_native_one() -> None:
    found = told(Problem("status", "Nothing left.", status=429))
    assert found == {"code": 429, "message": "Nothing left.", "status": "RESOURCE_EXHAUSTED"}


@pytest.fixture(scope="module")
def fleet() -> Iterator[live.Live]:
    with live.running() as found:
        yield found


def sent(path: str, headers: dict[str, str], method: str = "POST") -> bytes:
    return live.request(method, path, None if method == "GET" else body(), headers)


@pytest.mark.parametrize(
    ("query", "headers", "status", "word", "reason"),
    [
        ("", {}, 403, "PERMISSION_DENIED", None),
        ("", {"x-goog-api-key": "wrong"}, 400, "INVALID_ARGUMENT", "API_KEY_INVALID"),
        ("?key=wrong", {}, 400, "INVALID_ARGUMENT", "API_KEY_INVALID"),
        ("", {"authorization": "Bearer wrong"}, 401, "UNAUTHENTICATED", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
    ],
)
def test_keys_are_refused(
    fleet: live.Live, query: str, headers: dict[str, str], status: int, word: str, reason: str | None
) -> None:
    """A bad key is a 400 on this wire, a missing one a 403."""
    reply = fleet.call(sent(f"/gemini/v1beta/{PATH}{query}", headers))
    found = reply.json["error"]
    assert (reply.status, found["status"]) == (status, word)
    assert (found["details"][0]["reason"] if reason else None) == reason
    if reason == "API_KEY_INVALID":
        assert found["details"][1]["message"] == found["message"] == "API key not valid. Please pass a valid API key."


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {"x-goog-api-key": "sk-fleet-gemini"}),
        ("?key=sk-fleet-gemini", {}),
        ("", {"authorization": "Bearer sk-fleet-gemini"}),
    ],
)
def test_keys_are_taken(fleet: live.Live, query: str, headers: dict[str, str]) -> None:
    for version in ("v1", "v1beta"):
        assert fleet.call(sent(f"/gemini/{version}/{PATH}{query}", headers)).status == 200


def test_vertex_takes_bearer_tokens_alone(fleet: live.Live) -> None:
    path = f"/vertex{ROOTS['vertex']}/{PATH}"
    refusal = fleet.call(sent(path, {"x-goog-api-key": "sk-fleet-vertex"})).json["error"]
    assert (refusal["code"], refusal["details"][0]["reason"]) == (401, "CREDENTIALS_MISSING")
    assert fleet.call(sent(path, {"authorization": "Bearer sk-fleet-vertex"})).status == 200


def test_paths_that_are_not_there_get_googles_page(fleet: live.Live) -> None:
    for method, path in (("GET", "/gemini/v1beta/nope<i>"), ("POST", "/gemini/v1beta/models")):
        reply = fleet.call(sent(path, {"x-goog-api-key": "sk-fleet-gemini"}, method), method)
        assert reply.status == 404
        assert reply.headers["content-type"] == "text/html; charset=UTF-8"
        assert b"<i>" not in reply.body


def test_the_openai_compatible_endpoint_is_there(fleet: live.Live) -> None:
    """Thoughts are in no count but the total, and an error is a list of one."""
    message = {"role": "user", "content": "Hi [[answer: tokens=5 reasoning_tokens=9]]"}
    key = {"authorization": "Bearer sk-fleet-gemini"}
    sent_to = "/gemini/v1beta/openai/chat/completions"
    asked = {"model": "gemini-2.5-flash", "messages": [message]}
    usage = fleet.call(live.request("POST", sent_to, asked, key)).json["usage"]
    assert usage["completion_tokens"] == 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + 5 + 9
    (refusal,) = fleet.call(live.request("POST", sent_to, asked | {"model": "nope"}, key)).json
    assert refusal["error"]["status"] == "NOT_FOUND"


def test_an_unknown_name_may_hold_a_line_break() -> None:
    with running() as live:
        key = {"x-goog-api-key": "sk-fleet-gemini", "content-type": "application/json"}
        body = {"contents": [{"\n": None, "a": 1}]}
        path = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
        reply = live.call(request("POST", path, body, key))
    assert reply.status == 400
    violations = reply.json["error"]["details"][0]["fieldViolations"]
    assert ['Unknown name "\\n"' in violations[0]["description"], len(violations)] == [True, 2]
