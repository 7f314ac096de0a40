"""Answers obey the request, on every wire that words come over: one table of orders, said in each wire's own way."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from simulator.answers import tokens
from simulator.answers.blocks import arguments_json
from simulator.media.pictures import picture
from tests.simulator.live import Live, request, running
from tests.simulator.obedience import REASONER, Choice, Order, Wire
from tests.simulator.obedience_others import able

LOOK = {
    "type": "object",
    "properties": {"where": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["where", "days"],
    "additionalProperties": False,
}
WAIT = {"type": "object", "properties": {"hours": {"type": "number"}}, "additionalProperties": False}
TOOLS = ({"name": "look", "schema": LOOK}, {"name": "wait", "schema": WAIT})
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "of": {"enum": ["a", "b"]}},
    "required": ["name", "age", "of"],
    "additionalProperties": False,
}
LONG = " ".join(["harbour"] * 1500)
TALK = (LONG, "I see.")
PICTURE = base64.b64encode(picture("a boat", 200, 200, "png", 1)).decode()
LARGE = base64.b64encode(picture("a boat", 1600, 1600, "png", 1)).decode()
ORDERS = {
    "plain": (Order(), ()),
    "reasoner": (Order(model=REASONER), ()),
    "effort": (Order(model=REASONER, effort="high"), ()),
    "cut": (Order(max_tokens=20, prompt="[[answer: tokens=90]]"), ()),
    "stopped": (Order(stop=["sea"], prompt="[[answer: say='The wide sea is calm.']]"), ("stop",)),
    "several": (Order(n=3), ("n",)),
    "call": (Order(tools=TOOLS), ()),
    "calls": (Order(tools=TOOLS, prompt="Twice. [[answer: tool_call tool_calls=2]]"), ()),
    "schema": (Order(schema=PERSON), ()),
    "refusal": (Order(prompt="[[answer: refusal]]"), ()),
    "picture": (Order(image=PICTURE), ()),
    "history": (Order(history=TALK, cache=True), ()),
}
WANTED = [
    pytest.param(*wire.values, order, id=f"{wire.id}-{name}")
    for name, (order, wants) in ORDERS.items()
    for wire in able(*wants)
]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def told_tokens(choice: Choice) -> int:
    """What the visible part of an answer is worth."""
    calls = sum(tokens.count(name) + tokens.count(arguments_json(arguments)) for name, arguments in choice.calls)
    return tokens.count(choice.text) + tokens.count(choice.refusal) + calls


@pytest.mark.parametrize(("wire", "order"), WANTED)
def test_a_stream_says_what_json_says(fleet: Live, wire: Wire, order: Order) -> None:
    """The same texts, calls, stops and usage; and again the next time."""
    whole = wire.say(fleet, order)
    assert wire.say(fleet, replace(order, stream=True)) == whole
    assert wire.say(fleet, order) == whole


@pytest.mark.parametrize(("wire", "order"), WANTED)
def test_usage_adds_up(fleet: Live, wire: Wire, order: Order) -> None:
    """The output is what is seen and what was thought, the total is both sides, the cached is a part of the input."""
    said = wire.say(fleet, order)
    used = said.used
    assert used.output == used.reasoning + sum(map(told_tokens, said.choices))
    assert used.total in (None, used.input + used.output)
    assert 0 <= used.cached + used.written <= used.input


@pytest.mark.parametrize("model", ["plain", REASONER])
@pytest.mark.parametrize("limit", [16, 33])
@pytest.mark.parametrize("wire", able())
def test_an_answer_ends_at_the_limit(fleet: Live, wire: Wire, limit: int, model: str) -> None:
    order = Order(prompt="[[answer: tokens=90]]", max_tokens=limit, model=model)
    said = wire.say(fleet, order)
    assert said.only.stop == wire.words["length"]
    assert said.used.output == limit
    assert tokens.count(said.only.text) == limit - said.used.reasoning > 0


@pytest.mark.parametrize("wire", able())
def test_an_answer_that_just_fits_is_whole(fleet: Live, wire: Wire) -> None:
    said = wire.say(fleet, Order(prompt="[[answer: tokens=30]]", max_tokens=30))
    assert (said.only.stop, said.used.output) == (wire.words["end"], 30)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("stops", "left"), [(["four", "two"], "one "), (["ree fo"], "one two th"), (["six"], "one two three four five")]
)
@pytest.mark.parametrize("wire", able("stop"))
def test_a_stop_sequence_ends_the_text_before_it(
    fleet: Live, wire: Wire, stops: list[str], left: str, stream: bool
) -> None:
    """The first in the text wins, wherever tokens begin and end; one that does not come stops nothing."""
    order = Order(prompt="[[answer: say='one two three four five']]", stop=stops, stream=stream)
    said = wire.say(fleet, order)
    assert said.only.text == left
    assert said.only.stop == wire.words["end" if stops == ["six"] else "stop"]
    assert said.used.output == tokens.count(left)


@pytest.mark.parametrize("wire", able("n"))
def test_each_choice_is_an_answer_of_its_own(fleet: Live, wire: Wire) -> None:
    """The prompt is paid once, what is said for each."""
    one, three = wire.say(fleet, Order(n=1)), wire.say(fleet, Order(n=3))
    assert len(one.choices) == 1
    assert len({choice.text for choice in three.choices}) == 3
    assert three.used.input == one.used.input
    assert three.used.output == sum(map(told_tokens, three.choices))


@pytest.mark.parametrize("wire", able("seed"))
def test_a_seed_decides(fleet: Live, wire: Wire) -> None:
    texts = [wire.say(fleet, Order(seed=seed)).only.text for seed in (1, 1, 2, 3)]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", able("logprobs"))
def test_log_probabilities_are_those_of_the_text(fleet: Live, wire: Wire, stream: bool) -> None:
    """Token by token; without being asked for there are none."""
    provider = "vertex" if wire.provider == "gemini" else wire.provider
    said = wire.say(fleet, Order(logprobs=True, stream=stream, provider=provider))
    assert said.only.tokens == tokens.split(said.only.text)
    assert wire.say(fleet, Order(stream=stream, provider=provider)).only.tokens == []


@pytest.mark.parametrize(
    ("wants", "order", "names"),
    [
        ("", Order(choice="none"), []),
        ("", Order(choice="auto"), ["look"]),
        ("", Order(choice="required"), ["look"]),
        ("", Order(choice="wait"), ["wait"]),
        ("allowed", Order(allowed=["wait"]), ["wait"]),
        ("", Order(choice="none", prompt="No. [[answer: text]]"), []),
        ("", Order(choice="auto", prompt="No. [[answer: text]]"), []),
        ("parallel", Order(prompt="[[answer: tool_call tool_calls=3]]", parallel=True), ["look", "wait", "look"]),
        ("parallel", Order(prompt="[[answer: tool_call tool_calls=3]]", parallel=False), ["look"]),
    ],
)
@pytest.mark.parametrize("wire", able())
def test_tools_are_called_as_asked(fleet: Live, wire: Wire, wants: str, order: Order, names: list[str]) -> None:
    """With arguments that validate; a wire that cannot be asked leaves its model free."""
    if wants in wire.lacks:
        names = ["look", "wait", "look"] if wants == "parallel" else ["look"]
    said = wire.say(fleet, replace(order, tools=TOOLS))
    assert [name for name, _ in said.only.calls] == names
    assert bool(said.only.text) is not bool(names)
    assert said.only.stop == wire.words["tool" if names else "end"]
    for name, arguments in said.only.calls:
        Draft202012Validator(LOOK if name == "look" else WAIT).validate(arguments)


@pytest.mark.parametrize("wire", able("json"))
def test_json_mode_gives_an_object(fleet: Live, wire: Wire) -> None:
    assert isinstance(json.loads(wire.say(fleet, Order(prompt="Say it in JSON.", json=True)).only.text), dict)


_LEAF = st.one_of(
    st.just({"type": "string"}),
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.builds(
        lambda low, size: {"type": "integer", "minimum": low, "maximum": low + size},
        st.integers(-50, 50),
        st.integers(0, 9),
    ),
    st.lists(st.sampled_from(["red", "green", 3, None, True]), min_size=1, max_size=3, unique_by=str).map(
        lambda values: {"enum": values}
    ),
    st.sampled_from(["date", "email", "uuid"]).map(lambda form: {"type": "string", "format": form}),
)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    """One whose properties are all required, as strict schemas want it."""
    required = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_NAMES = st.sampled_from(["name", "count", "kind", "of", "next"])
SCHEMAS = st.recursive(
    _LEAF,
    lambda inner: st.one_of(
        st.dictionaries(_NAMES, inner, max_size=3).map(_object),
        inner.map(lambda items: {"type": "array", "items": items, "maxItems": 3}),
        st.lists(inner, min_size=1, max_size=2).map(lambda branches: {"anyOf": branches}),
    ),
    max_leaves=5,
)


@given(st.dictionaries(_NAMES, SCHEMAS, min_size=1, max_size=3).map(_object))
@settings(max_examples=30)
def test_structured_output_validates_on_every_wire(fleet: Live, schema: dict[str, Any]) -> None:
    check = Draft202012Validator(schema)
    for param in able():
        wire: Wire = param.values[0]
        check.validate(json.loads(wire.say(fleet, Order(schema=schema)).only.text))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", able())
def test_a_refusal_says_so_in_the_wires_word(fleet: Live, wire: Wire, stream: bool) -> None:
    said = wire.say(fleet, Order(prompt="[[answer: refusal]]", stream=stream))
    assert said.only.stop == wire.words["refusal"]
    assert not said.only.text
    assert not said.only.calls
    assert bool(said.only.refusal) is (wire.name != "gemini_generate")


@pytest.mark.parametrize("wire", able())
def test_a_picture_costs_by_its_size(fleet: Live, wire: Wire) -> None:
    plain, small, large = (wire.say(fleet, Order(image=image)).used.input for image in ("", PICTURE, LARGE))
    assert plain < small < large


@pytest.mark.parametrize("wire", able())
def test_effort_raises_what_is_thought(fleet: Live, wire: Wire) -> None:
    low, high = (wire.say(fleet, Order(model=REASONER, effort=effort)).used for effort in ("low", "high"))
    assert low.reasoning < high.reasoning <= high.output


@pytest.mark.parametrize("wire", able())
def test_what_was_sent_before_is_read_from_the_cache(fleet: Live, wire: Wire) -> None:
    """A function of the request alone: everything before the last answer, if that is long enough."""
    first, short = wire.say(fleet, Order(prompt=LONG)).used, wire.say(fleet, Order(history=("Hi.", "Yes."))).used
    assert (first.cached, short.cached) == (0, 0)
    later, again = (wire.say(fleet, Order(history=TALK, cache=True)).used for _ in range(2))
    assert later == again
    assert 1024 <= later.cached < later.input
    if wire.provider == "openai":
        assert later.cached % 128 == 0


@pytest.mark.parametrize(
    ("provider", "path", "model", "where"),
    [
        ("openai", "/v1", "gpt-5", "within"),
        ("deepseek", "/v1", "deepseek-reasoner", "within"),
        ("xai", "/v1", "grok-4", "beside"),
        ("gemini", "/v1beta/openai", "gemini-2.5-flash", "untold"),
    ],
)
def test_where_a_vendor_of_chat_completions_puts_its_thoughts(
    fleet: Live, provider: str, path: str, model: str, where: str
) -> None:
    """In the tokens of the completion, beside them, or in the total alone."""
    key = {"authorization": f"Bearer sk-fleet-{provider}", "content-type": "application/json"}
    body = {"model": model, "messages": [{"role": "user", "content": "Think well."}], "reasoning_effort": "high"}
    reply = fleet.call(request("POST", f"/{provider}{path}/chat/completions", body, key)).json
    usage, shown = reply["usage"], tokens.count(reply["choices"][0]["message"]["content"])
    output = usage["total_tokens"] - usage["prompt_tokens"]
    told = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
    assert output > shown
    assert told == (None if where == "untold" else output - shown)
    assert usage["completion_tokens"] == (output if where == "within" else shown)


def test_caches_that_differ(fleet: Live) -> None:
    """DeepSeek's reads in steps of 64; Anthropic's only what was marked, and writes it first."""
    chat, _, messages, _ = (param.values[0] for param in able())
    assert isinstance(chat, Wire)
    assert isinstance(messages, Wire)
    talk = (" ".join(["harbour"] * 60), "I see.")
    order = Order(provider="deepseek", model="deepseek-chat", history=talk)
    assert chat.say(fleet, order).used.cached == 64
    assert chat.say(fleet, replace(order, provider="", model="plain")).used.cached == 0
    assert messages.say(fleet, Order(history=TALK)).used.cached == 0
    written = messages.say(fleet, Order(history=TALK[:1], prompt="And?", cache=True)).used
    assert written.cached == 0
    assert written.written > 1024
