"""Directives in prompts and headers: what they mean, and what is said when they mean nothing."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.rules.directives import NONE, AnswerSpec, Directives, FaultSpec, read

CASES = st.text("abcXYZ019._-", min_size=1, max_size=64)


def test_text_without_a_mark_is_no_directive() -> None:
    assert read("What is [1, [2]] in JSON?", {}) is NONE
    assert read("See [[the manual]] and [[note: nothing]].", {}) is NONE


@given(st.lists(CASES, min_size=1, max_size=4))
def test_the_last_case_wins(cases: list[str]) -> None:
    text = " and ".join(f"[[case:{case}]]" for case in cases)
    assert read(text, {}).case == cases[-1]
    assert read(text, {"x-windtunnel-case": "header"}).case == "header"


@pytest.mark.parametrize(
    ("content", "spec"),
    [
        ("status=503", FaultSpec("status", {"status": 503})),
        ("stall after_frames=5", FaultSpec("stall", {"after_frames": 5})),
        ("reset when=after_headers", FaultSpec("reset", {"when": "after_headers"})),
        ("cut_stream provider=openai* region='eu-central'", FaultSpec("cut_stream", {}, "openai*", "eu-central")),
        ("hang attempt=1", FaultSpec("hang", attempt=(1, 1))),
        ("hang call=2-4 chance=0.25 stream=true", FaultSpec("hang", call=(2, 4), chance=0.25, stream=True)),
        (
            'latency ttft_ms="lognormal p50=200 p99=900" gap_ms=1.5',
            FaultSpec("latency", {"ttft_ms": "lognormal p50=200 p99=900", "gap_ms": 1.5}),
        ),
        ("status status=429 flag=false text='7'", FaultSpec("status", {"status": 429, "flag": False, "text": "7"})),
    ],
)
def test_a_fault_says_the_same_in_a_prompt_and_in_a_header(content: str, spec: FaultSpec) -> None:
    assert read(f"Hello [[fault: {content}]] there", {}).faults == (spec,)
    assert read("Hello", {"x-windtunnel-fault": content}).faults == (spec,)


def test_faults_add_up() -> None:
    headers = {"x-windtunnel-fault": "status=500 message='a; b, c'; hang, stall after_frames=1"}
    found = read("[[fault: refuse]] [[fault:cut_stream after_frames=0]]", headers)
    assert [fault.kind for fault in found.faults] == ["refuse", "cut_stream", "status", "hang", "stall"]
    assert found.faults[2].options["message"] == "a; b, c"


@pytest.mark.parametrize(
    ("content", "spec"),
    [
        ("text", AnswerSpec(text=True)),
        ("tool_call tool_calls=3", AnswerSpec(tool_call=True, tool_calls=3)),
        ("tool=a tool=b", AnswerSpec(tool_call=True, tools=("a", "b"))),
        ("refusal say='No, thank you.'", AnswerSpec(refusal=True, say="No, thank you.")),
        ("length tokens=12", AnswerSpec(length=True, tokens=12)),
        ("reasoning native=web_search", AnswerSpec(reasoning=True, native=("web_search",))),
        (
            "input_tokens=1 output_tokens=2 cached_tokens=3 cache_write_tokens=4 reasoning_tokens=5",
            AnswerSpec(input_tokens=1, output_tokens=2, cached_tokens=3, cache_write_tokens=4, reasoning_tokens=5),
        ),
    ],
)
def test_an_answer_is_described(content: str, spec: AnswerSpec) -> None:
    assert read(f"[[answer: {content}]]", {}) == Directives(answer=spec)


def test_a_later_answer_word_takes_back_an_earlier_one() -> None:
    answer = read("[[answer: tool=a tokens=5]] [[answer: text]]", {}).answer
    assert (answer.text, answer.tool_call, answer.tools, answer.tokens) == (True, False, (), 5)
    assert read("[[answer: refusal]]", {"x-windtunnel-answer": "tool_call"}).answer == AnswerSpec(
        tool_call=True, told_by_header=True
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[[case:a b]]", "due 1 to 64 characters"),
        (f"[[case:{'x' * 65}]]", "due 1 to 64 characters"),
        ("[[fault: ]]", "due a kind"),
        ("[[fault: after_frames=3]]", "due a kind"),
        ("[[fault: stall hang]]", "two kinds, 'stall' and 'hang'"),
        ("[[fault: stall attempt=0]]", "due 1 <= N <= M"),
        ("[[fault: stall attempt=3-2]]", "due 1 <= N <= M"),
        ("[[fault: stall call=x]]", "due N or N-M"),
        ("[[fault: stall chance=2]]", "due a number from 0 to 1"),
        ("[[fault: stall stream=yes]]", "due true or false"),
        ('[[fault: stall a"b]]', "neither WORD nor NAME=VALUE"),
        ("[[fault: stall", "no closing ']]'"),
        ("[[answer: sonnet]]", "'sonnet' is unknown; due text, tool_call"),
        ("[[answer: tokens=many]]", "due a whole number"),
        ("[[answer: tool_calls=1000]]", "due a whole number"),
        ("[[answer: tool=]]", "unknown"),
    ],
)
def test_a_bad_directive_says_what_was_due(text: str, part: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(f"Hello {text}", {})
    assert part in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but ValueError ever comes of a prompt."""
    for probe in (text, f"[[case:{text}]]", f"[[fault:{text}]]", f"[[answer:{text}]]"):
        with suppress(ValueError):
            assert isinstance(read(probe, {}), Directives)
