"""Messages bodies: what is read is what was written, and what is written the fleet's Anthropic takes."""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.translation.messages import request as messages
from gateway.translation.messages.schema import closed
from gateway.translation.prompt import (
    CUSTOM_SCHEMA,
    EFFORTS,
    File,
    Format,
    Image,
    Prompt,
    Sound,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Untranslatable,
)
from gateway.upstreams.anthropic_messages import TOOL_ID
from gateway.wires.messages import WIRE
from schemas.catalogue import MODELS
from tests.gateway.translation.strategies import (
    budgets,
    efforts,
    files,
    formats,
    ids,
    images,
    json_values,
    linked_images,
    prompts,
    schemas,
    texts,
    wrecked,
)
from tests.simulator.anthropic_wire import asked

SONNET: Final = MODELS["claude-sonnet-4-6"]
HAIKU: Final = MODELS["claude-haiku-4-5"]
CLAUDES: Final = [model for model in MODELS.values() if model.endpoints == {"messages"}]
ROLES: Final = ("user", "assistant", "system", "tool")
HELLO: Final = Turn("user", (Text("Hello."),))
LOOK: Final = Tool("look", schema={"type": "object", "properties": {}})
pieces = texts | images | linked_images | files
answer_formats = schemas.map(lambda schema: Format(schema=closed(schema)))
thinkings = (
    budgets | st.just(Thinking(effort="none")) | st.just(Thinking()) | budgets.map(lambda t: replace(t, shown=False))
)


def full(**members: Any) -> dict[str, Any]:
    return {
        "model": "claude-sonnet-4-6",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello."}],
        **members,
    }


def saying(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return full(messages=[{"role": role, "content": list(blocks)}])


def prompt(*turns: Turn, **members: Any) -> Prompt:
    return Prompt(turns=turns or (HELLO,), **members)


RICH: Final = full(
    system=[{"type": "text", "text": "Be short."}],
    stream=True,
    temperature=0.5,
    top_k=3,
    stop_sequences=["END"],
    thinking={"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
    output_config={"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    tools=[{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}, "strict": True}],
    tool_choice={"type": "any", "disable_parallel_tool_use": True},
    messages=[
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                {"type": "document", "source": {"type": "text", "data": "Once."}, "title": "Tale", "context": "Old."},
                {"type": "search_result", "title": "A", "source": "b", "content": [{"type": "text", "text": "c"}]},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "Eo4D"},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"where": "here"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "is_error": True,
                    "content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}],
                }
            ],
        },
    ],
)


@given(
    prompts(
        pieces=pieces,
        result_pieces=pieces,
        strict=True,
        failed=True,
        top_p=st.none(),
        top_k=st.none() | st.integers(1, 99),
        format=st.none() | answer_formats,
    ),
    st.sampled_from(CLAUDES),
)
def test_what_is_written_is_read_again(asks: Prompt, model: Any) -> None:
    assert messages.read(messages.write(asks, model)) == asks


@given(
    prompts(limit=st.integers(40_000, 50_000), temperature=st.none(), top_p=st.none() | st.just(1), thinking=thinkings)
)
def test_thinking_is_read_again(asks: Prompt) -> None:
    asks = replace(asks, turns=asks.turns[:1], tool_choice=None)
    assert messages.read(messages.write(asks, SONNET)) == asks


@given(
    prompts(
        pieces=texts | linked_images | files,
        custom=True,
        strict=True,
        failed=True,
        top_k=st.none() | st.integers(1, 99),
        parallel_calls=st.none() | st.booleans(),
        thinking=st.none() | budgets | efforts | st.just(Thinking()),
        limit=st.none() | st.integers(1, 40_000),
        format=st.none() | formats,
    ),
    st.sampled_from(CLAUDES),
)
def test_the_fleet_takes_whatever_is_written(asks: Prompt, model: Any) -> None:
    body = messages.write(asks, model)
    ask = asked(body)
    assert ask.max_tokens == (asks.limit or model.max_output_tokens)
    assert ask.stream == asks.stream
    assert [tool.name for tool in ask.tools] == [tool.name for tool in asks.tools]


tangles = st.lists(
    st.builds(
        Turn,
        st.sampled_from(["user", "assistant"]),
        st.lists(texts | st.just(Text(" ")), max_size=2).map(tuple),
    ),
    max_size=6,
)


@st.composite
def tangled(draw: st.DrawFn) -> tuple[Turn, ...]:
    """Turns in any order: results early, late, twice or without a call, calls without results, ids used twice."""
    idents = st.sampled_from(["", "a", "a_2", "a b", "a/b", "call_1"])
    calls = st.builds(ToolCall, idents, st.just("look"), st.sampled_from(["{}", "", "[1]", '{"a":1}', '{"a":', "null"]))
    results = st.builds(ToolResult, idents, st.lists(texts | st.just(Text("\n")), max_size=2).map(tuple), st.booleans())
    made = []
    for turn in draw(tangles):
        more: list[Any] = draw(st.lists(calls if turn.role == "assistant" else results, max_size=3))
        made.append(Turn(turn.role, (*turn.content, *more)))
    return tuple(made)


@given(tangled())
def test_a_tangled_history_is_put_in_order(turns: tuple[Turn, ...]) -> None:
    body = messages.write(prompt(*turns, tools=(LOOK,)) if turns else Prompt(turns=()), SONNET)
    asked(body)
    blocks = [block for message in body["messages"] for block in message["content"]]
    uses = [block["id"] for block in blocks if block["type"] == "tool_use"]
    assert len(uses) == len(set(uses))
    assert all(TOOL_ID.fullmatch(ident) for ident in uses)
    assert [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"] == uses
    assert len(uses) == sum(isinstance(piece, ToolCall) for turn in turns for piece in turn.content)
    for message in body["messages"]:
        kinds = [block["type"] == "tool_result" for block in message["content"]]
        assert kinds == sorted(kinds, reverse=True)
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
    said = [text for turn in turns for text in said_in(turn)]
    assert sorted(text for block in blocks for text in texts_of(block) if text not in FILLED) == sorted(said)


FILLED: Final = ("Begin.", "Continue.", "The tool gave no result.")


def said_in(turn: Turn) -> list[str]:
    pieces = [
        inner for piece in turn.content for inner in (piece.content if isinstance(piece, ToolResult) else [piece])
    ]
    return [piece.text for piece in pieces if isinstance(piece, Text) and piece.text.strip()]


def texts_of(block: dict[str, Any]) -> list[str]:
    if block["type"] == "tool_result":
        return [inner["text"] for inner in block.get("content", ())]
    return [block["text"]] if block["type"] == "text" else []


@given(wrecked(st.just(RICH)))
def test_a_wrecked_body_is_read_or_refused(body: dict[str, Any]) -> None:
    try:
        WIRE.check(body)
    except InvalidRequest:
        return
    read_or_refused(body)


@given(
    st.dictionaries(st.sampled_from(sorted(RICH)), json_values, max_size=3),
    st.lists(st.fixed_dictionaries({"role": st.sampled_from(ROLES), "content": json_values}), min_size=1, max_size=3),
)
def test_any_json_is_read_or_refused(members: dict[str, Any], conversation: list[Any]) -> None:
    read_or_refused({**members, "messages": conversation})


def read_or_refused(body: dict[str, Any]) -> None:
    with suppress(Untranslatable):
        asks = messages.read(body)
        assert asks.turns
        written = messages.write(asks, SONNET)
        assert orjson.loads(orjson.dumps(written))["messages"][-1]["role"] == "user"


def test_a_whole_body() -> None:
    png = Image("image/png", "iVBORw0KGgo=")
    story = tuple(map(Text, ("Tale", "Old.", "Once.", "A", "b", "c")))
    assert messages.read(RICH) == Prompt(
        turns=(
            Turn("user", (png, *story)),
            Turn("assistant", (ToolCall("toolu_1", "look", '{"where":"here"}'),)),
            Turn("user", (ToolResult("toolu_1", (Image(url="https://example.com/a.png"),), failed=True),)),
        ),
        instructions=("Be short.",),
        tools=(Tool("look", "Looks.", {"type": "object"}, strict=True),),
        tool_choice=ToolChoice("required"),
        parallel_calls=False,
        stream=True,
        limit=2100,
        temperature=0.5,
        top_k=3,
        stop=("END",),
        thinking=Thinking(budget_tokens=2000, shown=False),
        format=Format(schema={"type": "object"}),
    )


def test_what_steers_or_labels_is_left_out() -> None:
    labels = full(
        metadata={"user_id": "u"},
        service_tier="auto",
        cache_control={"type": "ephemeral"},
        context_management={"edits": []},
        mcp_servers=[{"type": "url", "url": "https://example.com"}],
        output_config={"effort": "high"},
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Hello.", "cache_control": {"type": "ephemeral"}}]}
        ],
    )
    assert messages.read(labels) == prompt(limit=100)


def test_system_texts_between_messages_are_instructions() -> None:
    said = [
        {"role": "user", "content": "Hello."},
        {"role": "system", "content": "Now in French."},
        {"role": "user", "content": "Again."},
    ]
    assert messages.read(full(system="Be short.", messages=said)) == prompt(
        Turn("user", (Text("Hello."), Text("Again."))), instructions=("Be short.", "Now in French."), limit=100
    )


def test_hosted_tools_and_what_they_did_are_left_out() -> None:
    asks = messages.read(
        full(
            tools=[{"type": "web_search_20250305", "name": "web_search"}, {"name": "look", "input_schema": {}}],
            tool_choice={"type": "any"},
            messages=[
                {"role": "user", "content": "Hello."},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
                        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                        {"type": "redacted_thinking", "data": "Eo4D"},
                        {"type": "text", "text": "It rains."},
                    ],
                },
            ],
        )
    )
    assert asks.tools == (Tool("look", schema={}),)
    assert asks.tool_choice == ToolChoice("required")
    assert asks.turns == (HELLO, Turn("assistant", (Text("It rains."),)))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (saying(5), "`messages[0].content[0]` is a number; an object was due."),
        (saying({"type": "text"}), "`messages[0].content[0].text` is missing; a string was due."),
        (saying({"type": ["text"]}), "`messages[0].content[0].type` is an array; a string was due."),
        (saying({"type": "audio"}), "`messages[0].content[0]` is a block of type 'audio', which cannot stand here."),
        (
            saying({"type": "tool_use", "id": "a", "name": "b", "input": {}}),
            "`messages[0].content[0]` is a block of type 'tool_use', which cannot stand here.",
        ),
        (
            saying({"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
            "`messages[0].content[0].source` is of type 'file', which is kept by another provider.",
        ),
        (
            saying({"type": "thinking", "thinking": "Hm.", "signature": ""}, role="assistant"),
            "`messages` has nothing that can be told to a model of another provider.",
        ),
        (full(messages=[{"role": "user"}]), "`messages[0].content` is missing."),
        (full(messages=[{"role": "tool", "content": ""}]), "`messages[0].role` is 'tool'; user or assistant was due."),
        (full(thread={"type": "create"}), "`thread` names a conversation that is kept by another provider."),
        (full(max_tokens=0), "`max_tokens` is 0: no answer is asked for."),
        (full(system=[{"type": "image"}]), "`system[0]` is a block of type 'image'; a text was due."),
        (full(temperature="0"), "`temperature` is a string; a number was due."),
        (full(top_k=True), "`top_k` is a boolean; an integer was due."),
        (full(tools=[{"name": "look"}]), "`tools[0].input_schema` is missing; an object was due."),
        (
            full(tools=[{"type": "bash_20250124", "name": "bash"}], tool_choice={"type": "any"}),
            "`tool_choice` demands a call, and no tool is offered that other providers have.",
        ),
        (
            full(tools=[{"type": "bash_20250124", "name": "bash"}], tool_choice={"type": "tool", "name": "bash"}),
            "`tool_choice` demands the tool 'bash', which other providers do not have.",
        ),
        (full(thinking={"type": "loud"}), "`thinking.type` is 'loud', which is not known."),
        (full(output_format={"type": "xml"}), "`output_format.type` is 'xml'; json_schema was due."),
    ],
)
def test_what_cannot_be_read(body: dict[str, Any], told: str) -> None:
    with pytest.raises(Untranslatable) as refused:
        messages.read(body)
    assert str(refused.value) == told


def test_levels_beyond_what_can_be_sent() -> None:
    deep: dict[str, Any] = {}
    for _ in range(300):
        deep = {"properties": {"a": deep}}
    for body in (
        saying({"type": "tool_use", "id": "a", "name": "b", "input": deep}, role="assistant"),
        full(tools=[{"name": "look", "input_schema": deep}]),
        full(output_config={"format": {"type": "json_schema", "schema": deep}}),
    ):
        with pytest.raises(Untranslatable, match="nested too deeply"):
            messages.read(body)
    with pytest.raises(Untranslatable, match="nested too deeply"):
        messages.write(prompt(format=Format(schema=deep)), SONNET)
    with pytest.raises(Untranslatable, match="nested too deeply"):
        messages.write(
            prompt(HELLO, Turn("assistant", (ToolCall("a", "look", '{"a":' * 300 + "1" + "}" * 300),))), SONNET
        )


@pytest.mark.parametrize(
    ("asks", "told"),
    [
        (prompt(Turn("user", (Sound("audio/wav", "AAAA"),))), "Sound cannot"),
        (prompt(Turn("user", (Image("image/tiff", "AAAA"),))), "A picture of type 'image/tiff'"),
        (prompt(Turn("user", (Image(url="gs://bucket/a.png"),))), "'gs://bucket/a.png' is no address"),
        (prompt(Turn("user", (File("application/zip", "AAAA"),))), "A document of type 'application/zip'"),
        (prompt(Turn("user", (File("text/csv", "////"),))), "is not base64 of text in UTF-8"),
        (prompt(HELLO, Turn("assistant", (Image("image/png", "AAAA"),))), "of the assistant's own"),
        (prompt(format=Format()), "JSON without a schema"),
        (prompt(stop=("\n",)), "is white space"),
        (prompt(tools=(Tool("a.b"),)), "'a.b' is no name of a tool"),
        (prompt(HELLO, Turn("assistant", (ToolCall("a", "a:b", "{}"),))), "'a:b' is no name of a tool"),
        (prompt(tool_choice=ToolChoice("required")), "none is offered"),
        (prompt(tools=(LOOK,), tool_choice=ToolChoice("tool", "see")), "'see' must be called, but is not offered"),
    ],
)
def test_what_cannot_be_written(asks: Prompt, told: str) -> None:
    with pytest.raises(Untranslatable) as refused:
        messages.write(asks, SONNET)
    assert told in str(refused.value)


def test_the_assistant_may_begin_and_have_the_last_word() -> None:
    written = messages.write(prompt(Turn("assistant", (Text("Welcome. "),))), SONNET)["messages"]
    assert [(message["role"], message["content"][0]["text"]) for message in written] == [
        ("user", "Begin."),
        ("assistant", "Welcome. "),
        ("user", "Continue."),
    ]


def test_a_prompt_of_instructions_alone() -> None:
    body = messages.write(Prompt(turns=(), instructions=("Tell a joke.", " ")), SONNET)
    assert body["system"] == [{"type": "text", "text": "Tell a joke."}]
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Begin."}]}]
    assert body["max_tokens"] == SONNET.max_output_tokens
    assert "stream" not in body


def test_results_stand_first_right_after_their_calls() -> None:
    """A result that came late is moved up, a missing one is made, and one without a call is told as a text."""
    turns = (
        HELLO,
        Turn("assistant", (ToolCall("call/1", "look", "{}"), ToolCall("call/2", "look", "{}"))),
        Turn("user", (Text("Well?"), ToolResult("gone", (Text("Old."),)))),
        Turn("assistant", (Text("Wait."),)),
        Turn("user", (ToolResult("call/1", (Text("Blue."),)),)),
    )
    written = messages.write(prompt(*turns, tools=(LOOK,)), SONNET)["messages"]
    assert written[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "Blue."}]},
        {
            "type": "tool_result",
            "tool_use_id": "call_2",
            "content": [{"type": "text", "text": "The tool gave no result."}],
            "is_error": True,
        },
        {"type": "text", "text": "Well?"},
        {"type": "text", "text": "Old."},
    ]
    assert [message["role"] for message in written] == ["user", "assistant", "user", "assistant", "user"]


@given(st.lists(ids | st.sampled_from(["", "a b", "a_b"]), min_size=1, max_size=30))
def test_ids_used_again_are_told_apart(idents: list[str]) -> None:
    turns = [HELLO]
    for number, ident in enumerate(idents):
        turns += [
            Turn("assistant", (ToolCall(ident, "look", "{}"),)),
            Turn("user", (ToolResult(ident, (Text(str(number)),)),)),
        ]
    written = messages.write(prompt(*turns, tools=(LOOK,)), SONNET)["messages"]
    asked({"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": written})
    results = [message["content"][0] for message in written[2::2]]
    assert [result["content"][0]["text"] for result in results] == [str(number) for number in range(len(idents))]
    assert len({result["tool_use_id"] for result in results}) == len(idents)


def test_a_custom_tool_is_a_function_of_one_text() -> None:
    tool = Tool("patch", "Patches.", custom=True)
    turns = (HELLO, Turn("assistant", (ToolCall("a", "patch", "*** Begin {"),)), Turn("user", (ToolResult("a", ()),)))
    body = messages.write(prompt(*turns, tools=(tool,)), SONNET)
    assert body["tools"] == [{"name": "patch", "description": "Patches.", "input_schema": dict(CUSTOM_SCHEMA)}]
    assert body["messages"][1]["content"][0]["input"] == {"input": "*** Begin {"}
    assert body["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": "a"}]


def test_a_schema_says_that_the_arguments_are_an_object() -> None:
    tools = (Tool("a"), Tool("b", schema={"properties": {"x": {}}}))
    written = messages.write(prompt(tools=tools), SONNET)["tools"]
    assert [tool["input_schema"] for tool in written] == [
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"x": {}}},
    ]


def test_every_object_of_an_answer_is_closed() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": {"type": "object"}},
            "b": {"anyOf": [{"type": ["object", "null"]}]},
        },
        "$defs": {"c": {"type": "object", "additionalProperties": True}},
    }
    written = messages.write(prompt(format=Format(schema=schema)), SONNET)["output_config"]["format"]
    assert written == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {
                "a": {"type": "array", "items": {"type": "object", "additionalProperties": False}},
                "b": {"anyOf": [{"type": ["object", "null"], "additionalProperties": False}]},
            },
            "$defs": {"c": {"type": "object", "additionalProperties": True}},
            "additionalProperties": False,
        },
    }


@pytest.mark.parametrize(
    ("choice", "parallel", "written"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice("tool", "look"), False, {"type": "tool", "name": "look", "disable_parallel_tool_use": True}),
        (ToolChoice("tool", "look"), True, {"type": "tool", "name": "look"}),
        (ToolChoice("none"), False, {"type": "none"}),
    ],
)
def test_tool_choices(choice: ToolChoice | None, parallel: bool | None, written: dict[str, Any] | None) -> None:
    body = messages.write(prompt(tools=(LOOK,), tool_choice=choice, parallel_calls=parallel), SONNET)
    assert body.get("tool_choice") == written


@pytest.mark.parametrize(
    ("model", "thinking", "limit", "written"),
    [
        (SONNET, Thinking(budget_tokens=2000), 4096, {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        (SONNET, Thinking(budget_tokens=100), 4096, {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        (SONNET, Thinking(effort="low"), 4096, {"thinking": {"type": "enabled", "budget_tokens": EFFORTS["low"]}}),
        (SONNET, Thinking(effort="none"), 4096, {"thinking": {"type": "disabled"}}),
        (SONNET, Thinking(budget_tokens=0), 4096, {"thinking": {"type": "disabled"}}),
        (SONNET, Thinking(), 4096, {"thinking": {"type": "adaptive"}}),
        (SONNET, Thinking(shown=False), 4096, {"thinking": {"type": "adaptive", "display": "omitted"}}),
        (
            SONNET,
            Thinking(effort="medium"),
            4096,
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}},
        ),
        (
            SONNET,
            Thinking(effort="xhigh"),
            4096,
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ),
        (
            SONNET,
            Thinking(budget_tokens=9000),
            9000,
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ),
        (HAIKU, Thinking(), 4096, {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (HAIKU, Thinking(effort="medium"), 4096, {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (HAIKU, Thinking(effort="medium"), 2000, {}),
    ],
)
def test_thinking(model: Any, thinking: Thinking, limit: int, written: dict[str, Any]) -> None:
    body = messages.write(prompt(thinking=thinking, limit=limit), model)
    assert {name: body[name] for name in ("thinking", "output_config") if name in body} == written
    asked(body)


def test_what_anthropic_refuses_together_with_thinking_is_left_out() -> None:
    asks = prompt(
        thinking=Thinking(budget_tokens=2000),
        limit=4096,
        temperature=0.5,
        top_k=4,
        top_p=0.5,
        tools=(LOOK,),
        tool_choice=ToolChoice("required"),
    )
    body = messages.write(asks, SONNET)
    assert body["tool_choice"] == {"type": "auto"}
    assert not body.keys() & {"temperature", "top_k", "top_p"}
    assert messages.write(replace(asks, top_p=0.97), SONNET)["top_p"] == 0.97


def test_a_running_tool_loop_does_not_think() -> None:
    """Its thinking blocks are of another provider, and Anthropic refuses thinking without them."""
    turns = (
        HELLO,
        Turn("assistant", (ToolCall("a", "look", "{}"),)),
        Turn("user", (ToolResult("a", (Text("Blue."),)),)),
    )
    asks = prompt(*turns, tools=(LOOK,), thinking=Thinking(budget_tokens=2000), limit=4096, temperature=0.5)
    body = messages.write(asks, SONNET)
    assert "thinking" not in body
    assert body["temperature"] == 0.5
    over = prompt(*turns, Turn("assistant", (Text("Blue."),)), HELLO, thinking=asks.thinking, limit=4096)
    assert messages.write(over, SONNET)["thinking"] == {"type": "enabled", "budget_tokens": 2000}


@pytest.mark.parametrize(
    ("temperature", "top_p", "written"),
    [
        (1.7, None, {"temperature": 1}),
        (0.2, 0.5, {"temperature": 0.2}),
        (1.0, 0.5, {"top_p": 0.5}),
        (None, 0.5, {"top_p": 0.5}),
        (0, None, {"temperature": 0}),
    ],
)
def test_one_of_temperature_and_top_p_in_their_range(
    temperature: float | None, top_p: float | None, written: dict[str, float]
) -> None:
    body = messages.write(prompt(temperature=temperature, top_p=top_p), SONNET)
    assert {name: body[name] for name in ("temperature", "top_p") if name in body} == written


def test_documents() -> None:
    data = base64.b64encode("naïve".encode()).decode()
    linked = File(url="https://example.com/a.pdf", name="a.pdf")
    written = messages.write(prompt(Turn("user", (File("text/csv", data), linked))), SONNET)["messages"][0]["content"]
    assert written == [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "naïve"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}, "title": "a.pdf"},
    ]
