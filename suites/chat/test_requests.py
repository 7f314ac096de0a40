"""What the upstream gets of a Chat Completions request."""

from __future__ import annotations

from typing import Any

from suites import openai_chat
from suites.case import Case, expect_status
from suites.requirement import MODES, over, requirement
from suites.samples import AWKWARD, PERSON, PIXEL, WEATHER

PARAMETERS: dict[str, Any] = {
    "seed": 7,
    "stop": ["\n\n", "END"],
    "user": "user-1234",
    "metadata": {"team": "blue", "run": "12"},
    "logit_bias": {"1000": -5},
    "parallel_tool_calls": False,
    "service_tier": "default",
    "store": False,
    "prompt_cache_key": "session-9",
    "safety_identifier": "abc",
    "reasoning_effort": "low",
    "verbosity": "low",
}


def only(name: str, value: Any) -> dict[str, Any]:
    """One field."""
    return {name: value}


@requirement("CHT-003")
@over(stream=MODES, name=("max_tokens", "max_completion_tokens"), limit=(16, 20000))
async def test_output_limit_forwarded(case: Case, stream: bool, name: str, limit: int) -> None:
    """Small and large, under both names; models that refuse max_tokens are no business of the gateway's."""
    kind = "max_tokens" if name == "max_tokens" and case.target.models.get("max_tokens") else "chat"
    reply = await case.chat(stream=stream, models=kind, answer="tokens=5", **only(name, limit))
    entry = await case.one_upstream_call(reply)
    assert entry.body.get(name) == limit, f"{name} {limit} was sent; the upstream got {entry.body}"
    other = "max_completion_tokens" if name == "max_tokens" else "max_tokens"
    assert other not in entry.body, f"only {name} was sent; the upstream got {entry.body}"


@requirement("CHT-003")
@over(stream=MODES)
async def test_limit_cuts(case: Case, stream: bool) -> None:
    """The upstream cuts at the caller's limit, and the reply says so."""
    reply = await case.chat(stream=stream, answer="tokens=50", max_completion_tokens=8)
    expect_status(reply, 200)
    assert reply.heard.stop == "length", f"finish_reason {reply.heard.stop!r} although the limit cut the text"
    assert reply.heard.usage is not None
    assert reply.heard.usage.output_tokens <= 8, f"limit 8, usage {reply.heard.usage}"


@requirement("CHT-004")
@over(name=tuple(PARAMETERS), stream=MODES)
async def test_parameter_unchanged(case: Case, name: str, stream: bool) -> None:
    """One parameter at a time, so that the lost one is named. What the upstream thinks of it does not matter here."""
    reply = await case.chat(stream=stream, answer="tokens=3", **{name: PARAMETERS[name]})
    entries = await case.upstream(reply)
    assert entries, f"the request never reached an upstream: {reply}"
    assert entries[0].body.get(name) == PARAMETERS[name], (
        f"{name} was {PARAMETERS[name]!r}; the upstream got {entries[0].body}"
    )


@requirement("CHT-004")
@over(name=("temperature", "top_p", "presence_penalty", "frequency_penalty"), value=(0, 0.25, 1))
async def test_sampling_unchanged(case: Case, name: str, value: float) -> None:
    """Sampling parameters, the value 0 among them."""
    reply = await case.chat(answer="tokens=3", **only(name, value))
    entries = await case.upstream(reply)
    assert entries, f"the request never reached an upstream: {reply}"
    assert entries[0].body.get(name) == value, f"{name} was {value!r}; the upstream got {entries[0].body.get(name)!r}"


@requirement("CHT-004")
async def test_nothing_invented(case: Case) -> None:
    """A minimal request stays minimal: no sampling parameter appears that the caller did not send."""
    entry = await case.one_upstream_call(await case.chat())
    extra = set(entry.body) - {"model", "messages"}
    assert not extra, f"fields that nobody sent: { {name: entry.body[name] for name in extra} }"


@requirement("CHT-004")
async def test_unknown_parameter_unchanged(case: Case) -> None:
    """A parameter that no gateway can know; the upstream's refusal of it is the upstream's business."""
    value = {"nested": [1, {"deep": True}], "text": AWKWARD}
    reply = await case.chat(x_vendor_parameter=value)
    entries = await case.upstream(reply)
    assert entries, f"an unknown parameter kept the request from the upstream: {reply}"
    assert entries[0].body.get("x_vendor_parameter") == value, f"the upstream got {entries[0].body}"


@requirement("CHT-005")
@over(stream=MODES)
async def test_messages_unchanged(case: Case, stream: bool) -> None:
    """Every role, text parts and strings, awkward characters, names."""
    token = case.fresh()
    messages = [
        {"role": "system", "content": "Be terse." + AWKWARD},
        {
            "role": "user",
            "content": [{"type": "text", "text": AWKWARD}, {"type": "text", "text": "second"}],
            "name": "ann",
        },
        {"role": "assistant", "content": "Earlier answer.", "refusal": None},
        {"role": "user", "content": f"Now. {case.marks(token)}"},
    ]
    reply = await case.chat(messages=messages, token=token, stream=stream)
    entries = await case.upstream(reply)
    assert entries, f"the request never reached an upstream: {reply}"
    assert entries[0].body["messages"] == messages, "the messages were changed on the way"


@requirement("CHT-009")
@over(stream=MODES)
async def test_schema_obeyed(case: Case, stream: bool) -> None:
    """A strict JSON Schema, there and back."""
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": PERSON}}
    reply = await case.chat(stream=stream, response_format=wanted)
    expect_status(reply, 200)
    entry = await case.one_upstream_call(reply)
    assert entry.body.get("response_format") == wanted, f"the upstream got {entry.body.get('response_format')}"
    problems = openai_chat.schema_problems(reply.heard.text, PERSON)
    assert not problems, f"the answer {reply.heard.text!r} does not obey the schema: {problems}"


@requirement("CHT-019")
@over(stream=MODES)
async def test_image_unchanged(case: Case, stream: bool) -> None:
    """A data URL and a link."""
    token = case.fresh()
    parts = [
        {"type": "text", "text": f"What is it? {case.marks(token)}"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png?x=1&y=2"}},
    ]
    reply = await case.chat(messages=[{"role": "user", "content": parts}], token=token, stream=stream)
    entries = await case.upstream(reply)
    assert entries, f"the request never reached an upstream: {reply}"
    assert entries[0].body["messages"][0]["content"] == parts, "the image parts were changed on the way"


@requirement("CHT-020")
@over(position=range(4))
async def test_model_pinned(case: Case, position: int) -> None:
    """The upstream's name for the model begins with, or is, the name the caller gave."""
    names = case.target.models["chat"]
    model = names[position % len(names)]
    entry = await case.one_upstream_call(await case.chat(model=model))
    assert entry.body["model"] == model or str(entry.body["model"]).startswith(f"{model}-20"), (
        f"{model} was asked for; the upstream got {entry.body['model']}"
    )


@requirement("CHT-004")
async def test_tools_unchanged(case: Case) -> None:
    """Tools of the caller's and tool_choice."""
    tools = [
        openai_chat.tool("get_weather", WEATHER),
        openai_chat.tool("no_arguments", {"type": "object", "properties": {}}),
    ]
    choice = {"type": "function", "function": {"name": "get_weather"}}
    entry = await case.one_upstream_call(await case.chat(tools=tools, tool_choice=choice))
    assert entry.body.get("tools") == tools, "the tools were changed on the way"
    assert entry.body.get("tool_choice") == choice, "tool_choice was changed on the way"
