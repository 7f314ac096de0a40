"""Canned answers: who gets them, what they say over a tool loop, files that change, and files that are wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from simulator.ask import Turn
from simulator.faults import Flawed
from simulator.fixtures import files
from simulator.fixtures.fixture import Fixtures, talk
from simulator.fixtures.watch import Library
from tests.simulator.live import Live, Reply, chat, message, request, running

TEACHER = {"name": "teacher", "when": {"prompt": "*teapot*"}, "say": "I am a teapot."}
AGENT = {
    "name": "agent",
    "when": {"prompt": "/fix .* test/", "model": "gpt-*"},
    "steps": [
        {"reasoning": "Look first.", "calls": [{"name": "read", "arguments": {"path": "calc.py"}}]},
        {
            "say": "Now I know: $tool_result",
            "calls": [{"name": "write", "arguments": {"path": "calc.py", "text": "fixed $tool_result"}}],
        },
        {"say": "Done, as asked: $prompt"},
    ],
}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("read", "write")
]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        live.control("PUT", "fixtures", {"fixtures": [TEACHER, AGENT]})
        yield live


def said(reply: Reply) -> Any:
    return reply.json["choices"][0]["message"]


def conversation(*messages: dict[str, Any]) -> bytes:
    body = {"model": "gpt-4o", "messages": list(messages), "tools": TOOLS}
    key = {"authorization": "Bearer sk-fleet-openai", "content-type": "application/json"}
    return request("POST", "/openai/v1/chat/completions", body, key)


def test_the_first_that_fits_answers_on_every_wire(fleet: Live) -> None:
    assert said(fleet.call(chat("what is a TEAPOT?")))["content"] == "I am a teapot."
    reply = fleet.call(message("what is a teapot?"))
    assert reply.json["content"] == [{"type": "text", "text": "I am a teapot."}]
    assert said(fleet.call(chat("what is a kettle?")))["content"] != "I am a teapot."


def test_streamed_or_not_it_says_the_same(fleet: Live) -> None:
    lines = fleet.call(chat("a teapot", stream=True)).body.decode().split("\n\n")
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert text == "I am a teapot."
    usage = next(c["usage"] for c in chunks if c.get("usage"))
    assert usage["completion_tokens"] == said_tokens(fleet)


def said_tokens(fleet: Live) -> int:
    return int(fleet.call(chat("a teapot")).json["usage"]["completion_tokens"])


def test_an_agent_finishes_its_task(fleet: Live) -> None:
    """A client that runs the tools it is told to: three calls, and the task is done."""
    disk = {"calc.py": "1 + 1 = 3"}
    messages: list[dict[str, Any]] = [{"role": "user", "content": "please fix the test"}]
    for _ in range(5):
        answer = said(fleet.call(conversation(*messages)))
        messages.append(answer)
        if not answer.get("tool_calls"):
            break
        for call in answer["tool_calls"]:
            arguments = json.loads(call["function"]["arguments"])
            if call["function"]["name"] == "write":
                disk[arguments["path"]] = arguments["text"]
            result = disk[arguments["path"]] if call["function"]["name"] == "read" else "ok"
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    assert disk == {"calc.py": "fixed 1 + 1 = 3"}
    assert messages[-1]["content"] == "Done, as asked: please fix the test"
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "assistant", "tool", "assistant"]


def test_a_directive_comes_before_a_fixture(fleet: Live) -> None:
    assert said(fleet.call(chat("teapot [[answer: say=kettle]]")))["content"] == "kettle"


def test_the_journal_says_which_it_was(fleet: Live) -> None:
    fleet.call(chat("teapot [[case:fx1]]"))
    fleet.call(chat("kettle [[case:fx2]]"))
    assert [fleet.journal(case)[0]["fixture"] for case in ("fx1", "fx2")] == ["teacher", None]


def test_without_fixtures_the_same_request_is_answered_freely() -> None:
    with running() as live:
        free = said(live.call(chat("teapot")))["content"]
        live.control("PUT", "fixtures", {"fixtures": [TEACHER]})
        assert said(live.call(chat("teapot")))["content"] == "I am a teapot."
        live.control("DELETE", "fixtures")
        assert said(live.call(chat("teapot")))["content"] == free != "I am a teapot."


@pytest.mark.parametrize(
    ("step", "due"),
    [
        ({"refusal": True, "say": "No."}, {"refusal": "No.", "content": None}),
        ({"say": "x", "usage": {"input_tokens": 7, "output_tokens": 9}}, {"content": "x"}),
    ],
)
def test_what_a_step_can_say(step: dict[str, Any], due: dict[str, Any]) -> None:
    with running() as live:
        live.control("PUT", "fixtures", {"fixtures": [step]})
        reply = live.call(chat("hi"))
        assert said(reply).items() >= due.items()
        if "usage" in step:
            usage = reply.json["usage"]
            assert (usage["prompt_tokens"], usage["completion_tokens"]) == (7, 9)


TURNS = st.sampled_from(
    [Turn("system", "s"), Turn("user", "hello"), Turn("assistant", "a"), Turn("user", "r", 1), Turn("tool", "r", 1)]
)


@given(st.lists(TURNS, max_size=8))
def test_a_conversation_is_counted_from_what_was_said_last(turns: list[Turn]) -> None:
    heard = talk(turns)
    plain = [turn for turn in turns if turn.role == "user" and not turn.tool_results]
    assert heard.turn == len(plain)
    assert heard.prompt == ("hello" if plain else "")
    assert 0 <= heard.step <= sum(turn.role == "assistant" for turn in turns)
    assert bool(heard.tool_result) == bool(turns and turns[-1].tool_results)


@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        ([], "the file: came []; due an object"),
        ({}, "the file: came no fixtures"),
        ({"fixtures": [{}]}, "fixtures[0]"),
        ({"fixtures": [{"say": "x", "steps": [{"say": "y"}]}]}, "fixtures[0]"),
        ({"fixtures": [{"say": 3}]}, "fixtures[0].say: came 3; due a text"),
        ({"fixtures": [{"say": "x", "wen": {}}]}, "fixtures[0].wen: came an unknown key"),
        ({"fixtures": [{"say": "x", "when": {"prompt": "/(/"}}]}, "fixtures[0].when.prompt: came '/(/'; due a regular"),
        ({"fixtures": [{"calls": [{"arguments": {}}]}]}, "fixtures[0].calls[0]: came no name"),
    ],
)
def test_what_is_wrong_is_told(data: Any, flaw: str) -> None:
    with pytest.raises(Flawed) as caught:
        files.read(data)
    assert str(caught.value).startswith(flaw)


def test_what_can_never_answer_is_told() -> None:
    hidden = {"name": "hidden", "when": {"prompt": "*teapot*", "model": "gpt-*"}, "say": "x"}
    lost = {"name": "lost", "when": {"provider": "opneai"}, "say": "x"}
    found = files.warnings(files.read({"fixtures": [TEACHER, hidden, TEACHER, lost]}), {"provider": ["openai"]})
    assert found == [
        "hidden: never answers, teacher comes first and fits whatever it fits",
        "teacher: two fixtures have this name",
        "teacher: never answers, teacher comes first and fits whatever it fits",
        "lost: no provider is called opneai; there is openai",
    ]
    assert files.warnings(files.read({"fixtures": [hidden, TEACHER]}), {}) == []


def write(path: Path, when_ns: int, *fixtures: Any) -> None:
    path.write_text(yaml.safe_dump({"fixtures": list(fixtures)}))
    os.utime(path, ns=(when_ns, when_ns))


def test_a_changed_file_is_read_again_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path, put = tmp_path / "a.yaml", list[Fixtures]()
    write(path, 1_000, TEACHER)
    library = Library([tmp_path], put.append)
    library.look()
    assert [len(found) for found in put] == [1], "nothing changed"
    write(path, 2_000, TEACHER, AGENT)
    library.look()
    assert [len(found) for found in put] == [1, 2]
    path.write_text("fixtures: [{}]")
    os.utime(path, ns=(3_000, 3_000))
    library.look()
    assert [len(found) for found in put] == [1, 2]
    assert str(library.flaws[0]).startswith(f"{path}: fixtures[0]")
    write(tmp_path / "b.json", 4_000, TEACHER)
    write(path, 4_000)
    library.look()
    assert [len(found) for found in put] == [1, 2, 1]
    assert library.flaws == []


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Flawed, match=r"none\.yaml: came No such file"):
        Library([tmp_path / "none.yaml"], print)
