"""What of a request reaches an upstream of another dialect, what stays behind, and what cannot be said there."""

from __future__ import annotations

from functools import partial
from typing import Any

from suites import anthropic_messages, openai_responses, oracle
from suites.case import Case, expect_status, expect_text, providers
from suites.outcomes import NotApplicable
from suites.requirement import MODES, over, requirement
from suites.samples import AWKWARD, PIXEL, WEATHER
from suites.translation import phrases
from suites.translation.calls import answered, ask
from suites.translation.test_answers import OWN, WIRES

THINKING = {"type": "enabled", "budget_tokens": 1024}
SEALED = "Z0FBQUFBQm1vdXJuaW5nLWNsb3VkLW9mLXNlYWxlZC10aG91Z2h0cw=="
PATCH = {"type": "custom", "name": "apply_patch", "description": "Takes a patch."}


@requirement("TRL-006")
@over(endpoint=WIRES, stream=MODES)
async def test_instructions_reach_it(case: Case, endpoint: str, stream: bool) -> None:
    """A system text that careless decoding changes."""
    fields = partial(phrases.instructed, endpoint, text=AWKWARD)
    asked = await answered(case, endpoint, stream=stream, fields=fields)
    told = [text for text in oracle.leaves(asked.entry.body) if AWKWARD in text]
    assert len(told) == 1, f"the system text arrived {len(told)} times: {asked.entry.row['body'][:600]}"


@requirement("TRL-006")
@over(endpoint=WIRES)
async def test_limit_reaches_it(case: Case, endpoint: str) -> None:
    """The output tokens that the caller allows."""
    asked = await answered(case, endpoint, **phrases.limited(endpoint, 333))
    assert phrases.limit_of(asked.entry.body) == 333, f"the limit is {phrases.limit_of(asked.entry.body)}; due 333"


@requirement("TRL-006")
@over(endpoint=WIRES)
async def test_picture_reaches_it(case: Case, endpoint: str) -> None:
    """A picture in the request itself."""
    asked = await answered(case, endpoint, fields=partial(phrases.shown, endpoint, picture=PIXEL))
    told = [text for text in oracle.leaves(asked.entry.body) if PIXEL in text]
    assert len(told) == 1, f"the picture arrived {len(told)} times"


@requirement("TRL-007")
@over(stream=MODES)
async def test_thinking_stays_behind(case: Case, stream: bool) -> None:
    """Anthropic thought, called a tool, and is down when the result comes: the other gets the call, no thoughts."""
    row = case.elsewhere("messages")
    tools = [anthropic_messages.tool("get_weather", WEATHER)]
    options: dict[str, Any] = {"model": row.model, "tools": tools, "thinking": THINKING, "max_tokens": 2048}
    first = await case.messages(answer="reasoning tool=get_weather", **options)
    expect_status(first, 200)
    heard = first.heard
    assert heard.thinking, f"thinking was due: {first}"
    assert heard.signatures, f"a signature was due: {first}"
    turns = anthropic_messages.turn_with_result(heard, "18 degrees")

    def fields(prompt: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": prompt}, *turns]}

    del options["model"]
    asked = await answered(case, "messages", row=row, fields=fields, stream=stream, answer='say="Mild."', **options)
    expect_text(asked.reply, "Mild.")
    told = "\n".join(oracle.leaves(asked.entry.body))
    assert heard.thinking not in told, "the thoughts were sent to another vendor"
    assert not [one for one in heard.signatures if one in told], "a signature was sent to another vendor"
    assert heard.calls[0].id in told, "the call was lost"
    assert "18 degrees" in told, "the tool's result was lost"


@requirement("TRL-007")
@over(endpoint=("responses", "gemini"), stream=MODES)
async def test_sealed_thoughts_stay_behind(case: Case, endpoint: str, stream: bool) -> None:
    """Thoughts that only their own vendor can open."""

    def fields(prompt: str) -> dict[str, Any]:
        made = phrases.called(endpoint, prompt, "18 degrees")
        if endpoint == "responses":
            summary = [{"type": "summary_text", "text": "Some weather, then."}]
            thought = {"type": "reasoning", "id": "rs_earlier", "summary": summary, "encrypted_content": SEALED}
            made["input"].insert(1, thought)
        else:
            made["contents"][1]["parts"][0]["thoughtSignature"] = SEALED
            made["contents"][1]["parts"].insert(0, {"text": "Some weather, then.", "thought": True})
        return made

    tools = phrases.offered(endpoint, "get_weather", WEATHER)
    row = next((row for row in case.target.translation.get(endpoint, ()) if "gemini" not in row.others), None)
    if row is None:
        raise NotApplicable(f"the target file lists no translation.{endpoint} to another vendor")
    asked = await answered(case, endpoint, row=row, fields=fields, stream=stream, **tools)
    told = "\n".join(oracle.leaves(asked.entry.body))
    assert SEALED not in told, "sealed thoughts were sent to another vendor"
    assert "Some weather, then." not in told, "thoughts were sent to another vendor"
    assert "18 degrees" in told, "the tool's result was lost"


UNSPEAKABLE: dict[str, dict[str, Any]] = {
    "chat": {"n": 2},
    "gemini": {"generationConfig": {"candidateCount": 2}},
}
NOBODY: dict[str, dict[str, Any]] = {
    "forced search": {"tools": [{"type": "web_search"}], "tool_choice": "required"},
    "log probabilities": {"top_logprobs": 3, "include": ["message.output_text.logprobs"]},
    "kept input": {"conversation": "conv_689667905b048191b4740501625afd940c7533ace33a2dab"},
}
KEPT = {"type": "document", "source": {"type": "file", "file_id": "file_011CNha8iCJcU1wXNR6q4V8w"}}


@requirement("TRL-008")
@over(endpoint=OWN, stream=MODES)
async def test_unspeakable_passes_by(case: Case, endpoint: str, stream: bool) -> None:
    """Two answers, or a file that Anthropic keeps: there are no words for it elsewhere, so nobody there is asked."""
    options: dict[str, Any] = dict(UNSPEAKABLE.get(endpoint, {}))
    if endpoint == "messages":

        def fields(prompt: str) -> dict[str, Any]:
            return {"messages": [{"role": "user", "content": [KEPT, {"type": "text", "text": prompt}]}]}

        options["fields"] = fields
    asked = await ask(case, endpoint, stream=stream, **options)
    assert providers(asked.entries) == list(asked.row.own), f"upstream calls {providers(asked.entries)}"
    expect_status(asked.reply, 502, "api_error")
    assert (await case.books()).charged_uc == 0, "a failed request was charged"


@requirement("TRL-008")
@over(what=tuple(NOBODY), stream=MODES)
async def test_refused_before_anything_is_held(case: Case, what: str, stream: bool) -> None:
    """Nobody speaks the call's own dialect, and the others have no words for it: 400, no hold, no row."""
    listed = case.target.translation.get("responses", ())
    row = next((row for row in listed if not row.own), None)
    if row is None:
        raise NotApplicable("the target file lists no model of translation.responses without upstreams of its own")
    reply = await case.ask("responses", model=row.model, stream=stream, **NOBODY[what])
    expect_status(reply, 400, "invalid_request_error")
    assert len((reply.error or ("", ""))[1]) > 20, f"the reason is missing: {reply}"
    await case.nothing_upstream(reply)
    books = await case.books()
    assert not books.of_kind("HOLD"), "credit was set aside"
    assert not books.rows, f"{len(books.rows)} rows of a request that was not admitted"


@requirement("TRL-009")
@over(stream=MODES, store=(None, True))
async def test_response_is_not_kept(case: Case, stream: bool, store: bool | None) -> None:
    """Another vendor's model on Responses: it says store: false, and nothing can go on from it."""
    asked = await answered(case, "responses", stream=stream, store=store, answer='say="Once."')
    response = asked.reply.events[-1].json["response"] if stream else asked.reply.json
    assert response["store"] is False, f"store is {response['store']!r}: who kept it?"
    expect_text(asked.reply, "Once.")
    again = await case.ask("responses", model=asked.row.model, previous_response_id=response["id"])
    expect_status(again, 400, "invalid_request_error")
    await case.nothing_upstream(again)


@requirement("TRL-010")
@over(stream=MODES)
async def test_free_text_tool(case: Case, stream: bool) -> None:
    """A tool of free text, as Codex has it, is called with a text, and its result goes back."""
    choice = {"type": "custom", "name": "apply_patch"}
    answer = "tool=apply_patch"
    asked = await answered(case, "responses", stream=stream, tools=[PATCH], tool_choice=choice, answer=answer)
    response = asked.reply.events[-1].json["response"] if stream else asked.reply.json
    calls = [item for item in response["output"] if item["type"] == "custom_tool_call"]
    assert [call["name"] for call in calls] == ["apply_patch"], f"a custom_tool_call was due: {response['output']}"
    assert isinstance(calls[0]["input"], str), f"its input is no text: {calls[0]}"
    if stream:
        problems = openai_responses.stream_problems(asked.reply.events)
        assert not problems, "; ".join(problems)
        pieces = [event.json["delta"] for event in asked.reply.events if event.name.endswith("call_input.delta")]
        assert "".join(pieces) == calls[0]["input"], f"the pieces are {pieces}; the whole is {calls[0]['input']!r}"
    told = {"type": "custom_tool_call_output", "call_id": calls[0]["call_id"], "output": "patched, 2 hunks"}

    def fields(prompt: str) -> dict[str, Any]:
        return {"input": [{"role": "user", "content": prompt}, calls[0], told]}

    second = await answered(case, "responses", fields=fields, stream=stream, tools=[PATCH], answer='say="Done."')
    expect_text(second.reply, "Done.")
    assert any("patched, 2 hunks" in text for text in oracle.leaves(second.entry.body)), "the tool's result was lost"


@requirement("TRL-011")
async def test_tokens_not_counted_elsewhere(case: Case) -> None:
    """Another model's count would be another number: a failure is told instead."""
    row = case.elsewhere("messages")
    token = case.fresh()
    faults = [f"status=401 provider={name}" for name in row.own]
    content = f"Count this. {case.marks(token, fault=faults)}"
    document = {"model": row.model, "messages": [{"role": "user", "content": content}]}
    headers = await case.headers("count_tokens", None)
    reply = await case.request("POST", case.url("count_tokens"), headers=headers, body=case.encode(document))
    expect_status(reply, 502, "api_error")
    assert providers(await case.upstream(token)) == list(row.own), "tokens were counted by another vendor"
