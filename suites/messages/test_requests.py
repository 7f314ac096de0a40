"""What the upstream gets of a Messages request."""

from __future__ import annotations

from typing import Any

from suites import anthropic_messages
from suites.case import Case, expect_status
from suites.requirement import MODES, over, requirement
from suites.samples import AWKWARD, PIXEL, WEATHER

PARAMETERS: dict[str, Any] = {
    "temperature": 0,
    "top_p": 0.25,
    "top_k": 5,
    "metadata": {"user_id": "user-1234"},
    "stop_sequences": ["\n\nHuman:", "END"],
    "service_tier": "auto",
    "x_vendor_parameter": {"nested": [1, {"deep": True}], "text": AWKWARD},
}


@requirement("MSG-020")
@over(name=tuple(PARAMETERS), stream=MODES)
async def test_parameter_unchanged(case: Case, name: str, stream: bool) -> None:
    """One parameter at a time. What the upstream thinks of it does not matter here."""
    reply = await case.messages(stream=stream, answer="tokens=3", **{name: PARAMETERS[name]})
    entries = await case.upstream(reply)
    assert entries, f"the request never reached an upstream: {reply}"
    assert entries[0].body.get(name) == PARAMETERS[name], (
        f"{name} was {PARAMETERS[name]!r}; the upstream got {entries[0].body}"
    )


@requirement("MSG-020")
@over(limit=(1, 16, 20000))
async def test_output_limit_unchanged(case: Case, limit: int) -> None:
    """Small and large."""
    entry = await case.one_upstream_call(await case.messages(max_tokens=limit, answer="tokens=5"))
    assert entry.body["max_tokens"] == limit, (
        f"max_tokens {limit} was sent; the upstream got {entry.body['max_tokens']}"
    )


@requirement("MSG-020")
async def test_nothing_invented(case: Case) -> None:
    """A minimal request stays minimal."""
    entry = await case.one_upstream_call(await case.messages())
    extra = set(entry.body) - {"model", "messages", "max_tokens"}
    assert not extra, f"fields that nobody sent: { {name: entry.body[name] for name in extra} }"


@requirement("MSG-021")
@over(stream=MODES)
async def test_content_unchanged(case: Case, stream: bool) -> None:
    """System blocks, text, images, tool results with images, awkward characters."""
    token = case.fresh()
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    call = {
        "type": "tool_use",
        "id": "toolu_01ABCDEFGHJKLMNPQRSTUV",
        "name": "get_weather",
        "input": {"city": AWKWARD, "unit": "celsius", "days": 1},
    }
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": [{"type": "text", "text": AWKWARD}, image]}
    sent: dict[str, Any] = {
        "system": [{"type": "text", "text": "Be terse." + AWKWARD}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Look."}, image]},
            {"role": "assistant", "content": [{"type": "text", "text": "I look."}, call]},
            {"role": "user", "content": [result, {"type": "text", "text": f"And? {case.marks(token)}"}]},
        ],
        "tools": [anthropic_messages.tool("get_weather", WEATHER)],
    }
    reply = await case.messages(token=token, stream=stream, **sent)
    entries = await case.upstream(reply)
    assert entries, f"the request never reached an upstream: {reply}"
    for name, value in sent.items():
        assert entries[0].body.get(name) == value, f"{name} was changed on the way"
    expect_status(reply, 200)


@requirement("MSG-014")
@over(stream=MODES)
async def test_cache_control_kept(case: Case, stream: bool) -> None:
    """On each place that may bear it, with and without a time."""
    token = case.fresh()
    short, long = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
    sent: dict[str, Any] = {
        "system": [{"type": "text", "text": "A long preamble.", "cache_control": long}],
        "tools": [anthropic_messages.tool("f", {"type": "object"}) | {"cache_control": long}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": f"Hi. {case.marks(token)}", "cache_control": short}]}
        ],
    }
    entries = await case.upstream(await case.messages(token=token, stream=stream, **sent))
    assert entries, "the request never reached an upstream"
    for name, value in sent.items():
        assert entries[0].body.get(name) == value, f"{name} lost its cache_control: {entries[0].body.get(name)}"


@requirement("MSG-015")
@over(stream=MODES, failing=(False, True))
async def test_beta_values_forwarded(case: Case, stream: bool, failing: bool) -> None:
    """Two values, on the first target and after failover."""
    first = case.chain("messages")[0]
    fault = f"status=503 provider={first}" if failing else None
    sent = ["extended-cache-ttl-2025-04-11", "interleaved-thinking-2025-05-14"]
    reply = await case.messages(stream=stream, headers={"anthropic-beta": ",".join(sent)}, fault=fault)
    expect_status(reply, 200)
    for entry in await case.upstream(reply):
        came = [value.strip() for value in entry.headers.get("anthropic-beta", "").split(",")]
        assert sorted(came) == sorted(sent), f"{entry.provider} got anthropic-beta {came}; {sent} was sent"


@requirement("MSG-016")
@over(version=("2023-06-01", "2026-10-21", ""), form=("x-api-key", "bearer"))
async def test_sdk_headers(case: Case, version: str, form: str) -> None:
    """Old and new SDKs, and a caller that names no version."""
    secret = await case.secret(None)
    auth = {"x-api-key": secret} if form == "x-api-key" else {"authorization": f"Bearer {secret}"}
    headers = {"content-type": "application/json", **auth, **({"anthropic-version": version} if version else {})}
    token = case.fresh()
    document = anthropic_messages.body(case.model("messages"), f"Hi. {case.marks(token)}", False)
    reply = await case.request(
        "POST", case.url("messages"), headers=headers, body=case.encode(document), wire="messages"
    )
    expect_status(reply, 200)
    assert len(await case.upstream(token)) == 1
