"""The OpenAI-compatible family: how each vendor refuses, in its own envelope, words, codes and statuses."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import yaml

from simulator.ask import Request
from simulator.dialects.openai import errors, problems
from simulator.problem import Problem, Refused
from simulator.script import Script
from tests.simulator.family import CHAT, FIRST, PLACES, Place, asked, raw, user

STYLES = sorted(yaml.safe_load(errors.FILE.read_text())["styles"])
KEY = "sk-wrong-0123456789abcdef7890"


def refused(place: Place, problem: Problem) -> Script:
    return CHAT.error(problem, place.serving())


def told(row: str, problem: Problem | str, **fields: Any) -> tuple[int, Any, dict[str, str]]:
    """(status, body, headers) of a refusal at a row."""
    place = FIRST[row]
    script = refused(place, Problem(problem, **fields) if isinstance(problem, str) else problem)
    return script.status, orjson.loads(raw(script)), dict(script.headers)


def with_key(row: str, headers: dict[str, str]) -> tuple[int, Any]:
    """What the door says to these headers."""
    place = FIRST[row]
    try:
        CHAT.authenticate(Request("POST", "/x", "", headers, b"", {}, place.mount.facts), place.row.keys)
    except Refused as no:
        script = refused(place, no.problem)
        return script.status, orjson.loads(raw(script))
    return 200, None


def test_deepseek() -> None:
    status, body, headers = told("deepseek", "invalid_request", message="no")
    assert (status, headers["content-type"]) == (400, "application/octet-stream")
    assert body == {
        "error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "invalid_request_error"}
    }
    assert with_key("deepseek", {"authorization": f"Bearer {KEY}"}) == (
        401,
        {
            "error": {
                "message": "Authentication Fails, Your api key: ****7890 is invalid",
                "type": "authentication_error",
                "param": None,
                "code": "invalid_request_error",
            }
        },
    )
    status, body, headers = told("deepseek", "insufficient_quota")
    assert (status, body["error"]["message"]) == (402, "Insufficient Balance")
    assert not [name for name in headers if name.startswith("x-ratelimit")]


def test_qwen_tells_the_request_beside_the_error() -> None:
    status, body = with_key("qwen", {"authorization": f"Bearer {KEY}"})
    error = {"message": "Incorrect API key provided. ", "type": "invalid_request_error", "param": None}
    assert (status, body["error"]) == (401, error | {"code": "invalid_api_key"})
    assert FIRST["qwen"].serving().nonce in body["request_id"]
    status, body, _ = told("qwen", "rate_limit")
    assert (status, body["error"]["type"], body["error"]["code"]) == (429, "limit_requests", "limit_requests")


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("authentication", 401, "1000"),
        ("unknown_model", 400, "1211"),
        ("invalid_request", 400, "1210"),
        ("content_filter", 400, "1301"),
        ("rate_limit", 429, "1302"),
        ("insufficient_quota", 429, "1113"),
        ("permission", 434, "1220"),
        ("too_large", 435, "1214"),
    ],
)
def test_glm_has_numbers_as_text_and_no_type(kind: str, status: int, code: str) -> None:
    found, body, headers = told("glm", kind, param="x")
    assert (found, list(body), list(body["error"])) == (status, ["error"], ["code", "message"])
    assert body["error"]["code"] == code
    assert not {"retry-after", "x-ratelimit-limit-requests"} & headers.keys()


@pytest.mark.parametrize(
    ("row", "kind", "status", "word"),
    [
        ("kimi", "rate_limit", 429, "rate_limit_reached_error"),
        ("kimi", "overloaded", 429, "engine_overloaded_error"),
        ("kimi", "insufficient_quota", 429, "exceeded_current_quota_error"),
        ("kimi", "content_filter", 400, "content_filter"),
        ("kimi-code", "billing", 402, "exceeded_current_quota_error"),
    ],
)
def test_kimi_has_types_alone(row: str, kind: str, status: int, word: str) -> None:
    found, body, _ = told(row, kind)
    assert (found, list(body["error"]), body["error"]["type"]) == (status, ["message", "type"], word)


def test_minimax_writes_the_status_as_text_and_older_ones_lie_about_it() -> None:
    status, body, _ = told("minimax", "billing")
    error = {"type": "insufficient_balance_error", "message": "insufficient balance (1008)", "http_code": "402"}
    assert (status, body["type"], body["error"]) == (402, "error", error)
    assert len(body["request_id"]) == 32
    script = refused(FIRST["minimax-older"], Problem("rate_limit"))
    said = b'{"base_resp":{"status_code":1002,"status_msg":"rate limit exceeded(RPM)"}}'
    assert (script.status, raw(script), len(said)) == (200, said, 74)
    assert dict(script.headers)["content-type"] == "application/json"
    assert not script.stream


def test_xai_has_two_sentences_and_no_envelope() -> None:
    status, body, _ = told("xai", "unknown_model", param="grok-0")
    assert (status, body["code"]) == (404, "Some requested entity was not found")
    assert body["error"].startswith("The model grok-0 does not exist")
    assert told("xai", "invalid_request", message="no")[1] == {
        "code": "Client specified an invalid argument",
        "error": "no",
    }


def test_azure() -> None:
    assert with_key("azure", {"api-key": "sk-fleet-azure"})[0] == 200
    assert with_key("azure", {"authorization": "Bearer sk-fleet-azure"})[0] == 200
    status, body = with_key("azure", {"api-key": KEY})
    assert (status, body["error"]["code"]) == (401, "401")
    assert KEY not in str(body)
    status, body, _ = told("azure", "content_filter")
    assert (status, body["error"]["code"]) == (400, "content_filter")
    assert body["error"]["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    script = refused(PLACES["azure/models"], Problem("rate_limit"))
    assert list(orjson.loads(raw(script))["error"]) == ["code", "message", "details"]
    place = FIRST["azure"]
    request = Request("POST", "/x", "", place.headers(), b"{}", place.params("gpt-4o"), place.mount.facts)
    with pytest.raises(Refused) as caught:  # without its api-version there is no such path
        CHAT.decode(request, "generate")
    assert refused(place, caught.value.problem).status == 404


def test_openrouter_has_the_status_as_a_number() -> None:
    status, body, _ = told("openrouter", "rate_limit")
    assert (status, body["error"]["code"], body["user_id"]) == (429, 429, "user_fleet")
    assert {"raw", "provider_name"} == body["error"]["metadata"].keys()
    status, body, _ = told("openrouter", "unknown_model", param="a/b")
    assert (status, body["error"]) == (404, {"message": "No endpoints found for a/b.", "code": 404})


def test_groq_names_the_event_of_an_error_in_a_stream() -> None:
    data = CHAT.error_frame(Problem("tool_use_failed", code="tool_use_failed", status=400), FIRST["groq"].serving())
    first, second = data.split(b"\n", 1)
    assert first == b"event: error"
    error = orjson.loads(second.removeprefix(b"data: "))["error"]
    assert (error["code"], error["status_code"], "failed_generation" in error) == ("tool_use_failed", 400, True)
    assert "param" not in told("groq", "authentication")[1]["error"]


def test_those_without_an_envelope() -> None:
    assert list(told("mistral", "rate_limit")[1]) == ["object", "message", "type", "param", "code"]
    assert told("mistral", "authentication")[1] == {"detail": "Unauthorized"}
    assert list(told("cerebras", "rate_limit")[1]) == ["message", "type", "param", "code"]
    older = errors.refusal("vllm_older", Problem("invalid_request", "no"), FIRST["vllm"].serving())
    error = {"object": "error", "message": "no", "type": "BadRequestError", "param": None, "code": 400}
    assert orjson.loads(older.data) == error
    status, body, _ = told("hyperbolic", "invalid_request", code="missing_required_parameter", param="messages")
    assert (status, body["detail"][0]["loc"]) == (422, ["body", "messages"])
    lost = refused(
        FIRST["huggingface"], Problem("invalid_request", code="missing_required_parameter", param="messages")
    )
    assert raw(lost).startswith(b"Failed to deserialize the JSON body into the target type: missing field `messages`")
    assert isinstance(told("gemini", "rate_limit")[1], list)


def test_the_prompt_that_is_too_long() -> None:
    """Each vendor's own sentence, with the limit of the model."""
    for row, said in (("kimi", "token limit : 262144"), ("qwen", "[1, 262144]"), ("perplexity", "is too long")):
        place = FIRST[row]
        body = user("word " * 300_000, place.models()[-1])
        script, _ = place.said(body)
        assert script.status == 400
        assert said in orjson.loads(raw(script))["error"]["message"]


def test_kimi_wants_its_thoughts_back() -> None:
    place = FIRST["kimi"]
    call = {"id": "a:0", "type": "function", "function": {"name": "a", "arguments": "{}"}}
    turns: list[dict[str, Any]] = [{"role": "user", "content": "x"}]
    turns.append({"role": "assistant", "content": "", "tool_calls": [call]})
    turns.append({"role": "tool", "tool_call_id": "a:0", "content": "1"})
    body = {"model": "kimi-k2.5", "messages": turns}
    script, _ = place.said(body)
    assert script.status == 400
    assert "reasoning_content is missing in assistant tool call message at index 1" in raw(script).decode()
    assert place.said(body | {"thinking": {"type": "disabled"}})[0].status == 200
    turns[1]["reasoning_content"] = "I think."
    assert place.said(body)[0].status == 200
    only = asked(place, "kimi-k2.7-code", "x", thinking={"type": "disabled"})
    assert "only type=enabled is allowed" in raw(place.said(only)[0]).decode()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", sorted(problems.PROBLEMS))
def test_every_style_can_say_everything(style: str, kind: str) -> None:
    """No blank is left, a sentence asked for is told, and the retry hint stays."""
    serving = FIRST["deepseek"].serving()
    problem = Problem(kind, param="thing", headers=(("retry-after", "3"),))
    status, data, headers = errors.refusal(style, problem, serving)
    assert status >= 400 or style == "minimax_older"
    assert b"{param}" not in data
    assert b"$" not in data
    assert ("retry-after", "3") in headers
    bare = errors.refusal(style, Problem("status", "told", status=418), serving)
    assert (bare.status, b"told" in bare.data) == (200 if style == "minimax_older" else 418, True)
    assert errors.frame(style, problem, serving).endswith(b"\n\n")
