"""Conversations that went elsewhere for a turn, and come back."""

from __future__ import annotations

from typing import Any

from suites import anthropic_messages, openai_chat
from suites.case import Case, expect_text, providers
from suites.heard import Heard
from suites.requirement import MODES, over, requirement
from suites.samples import WEATHER
from suites.translation import phrases
from suites.translation.calls import answered
from suites.translation.test_answers import OWN
from suites.translation.test_requests import THINKING

SAID = 'say="Mild, at last."'
THOUGHTFUL: dict[str, dict[str, Any]] = {  # how each wire asks for thoughts that it shows
    "chat": {"reasoning_effort": "low"},
    "messages": {"thinking": THINKING, "max_tokens": 2048},
    "gemini": {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}},
}


def turn_of(endpoint: str, heard: Heard, result: str) -> dict[str, Any]:
    """The turns after a prompt: what the model said and did, as it came, and what its tool told."""
    match endpoint:
        case "chat":
            return {"messages": openai_chat.turn_with_result(heard, result)}
        case "messages":
            return {"messages": anthropic_messages.turn_with_result(heard, result)}
        case _:
            called = next(block["functionCall"] for block in heard.blocks if "functionCall" in block)
            told = {"functionResponse": {"name": called["name"], "response": {"result": result}}}
            turns = [{"role": "model", "parts": heard.blocks}, {"role": "user", "parts": [told]}]
            return {"contents": turns}


@requirement("TRL-012")
@over(endpoint=OWN, stream=MODES)
async def test_back_at_its_own(case: Case, endpoint: str, stream: bool) -> None:
    """Thoughts and a call came from the other dialect; the result goes to an upstream that is up again, in its own."""
    tools = phrases.offered(endpoint, "get_weather", WEATHER)
    options = {**THOUGHTFUL[endpoint], **tools}
    away = await answered(case, endpoint, stream=stream, answer="reasoning tool=get_weather", **options)
    assert phrases.calls_of(away.reply.heard), f"a call was due: {away.reply}"
    token = case.fresh()
    marks = case.marks(token, answer=SAID)
    fields = phrases.plain(endpoint, f"Weather? {marks}")
    fields = {name: [*said, *turn_of(endpoint, away.reply.heard, "18 degrees")[name]] for name, said in fields.items()}
    reply = await case.ask(endpoint, token=token, model=away.row.model, stream=stream, **fields, **options)
    expect_text(reply, "Mild, at last.")
    served = [entry for entry in await case.upstream(token) if entry.status == 200]
    assert providers(served) == [away.row.own[0]], f"answered by {providers(served)}"


@requirement("TRL-012")
@over(stream=MODES)
async def test_on_to_another_model(case: Case, stream: bool) -> None:
    """Another vendor's thoughts and call on Responses, sent back as they came, to a model that has Responses itself."""
    tools = phrases.offered("responses", "get_weather", WEATHER)
    options: dict[str, Any] = {"reasoning": {"effort": "low", "summary": "auto"}, **tools}
    away = await answered(case, "responses", stream=stream, answer="reasoning tool=get_weather", **options)
    response = away.reply.events[-1].json["response"] if stream else away.reply.json
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    assert calls, f"a call was due: {away.reply}"
    results = [{"type": "function_call_output", "call_id": call["call_id"], "output": "18 degrees"} for call in calls]
    token = case.fresh()
    asked = {"role": "user", "content": f"Weather? {case.marks(token, answer=SAID)}"}
    reply = await case.ask(
        "responses", token=token, stream=stream, input=[asked, *response["output"], *results], **tools
    )
    expect_text(reply, "Mild, at last.")
