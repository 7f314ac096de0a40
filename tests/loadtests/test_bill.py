"""The recomputed bill, to the microcredit. gpt-5.5 costs 25 and 145 uc a token, claude-sonnet-4-6 costs 104 and 518."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.bill import Rule, bill, estimated_input, price_line, strings, tokens_for
from loadtests.errors import Unmeasurable
from schemas.catalogue import MODELS
from tests.loadtests.entries import USAGE, body, entry

UNHURRIED = settings(deadline=None, max_examples=60)  # a busy machine is no failure

TOLD_UC = 11 * 25 + 7 * 145
HELLO_TOKENS = 3  # "user" and "hello" are 9 bytes
CUT = {
    "ended": "cut",
    "frames_planned": 6,
    "frames_sent": 6,
    "usage_told": None,
    "delivered": {"tokens": 5, "text_bytes": 21},
}


def test_the_prices_are_those_of_the_list() -> None:
    assert (MODELS["gpt-5.5"].input_uc, MODELS["gpt-5.5"].output_uc) == (25, 145)
    assert (MODELS["claude-sonnet-4-6"].input_uc, MODELS["claude-sonnet-4-6"].output_uc) == (104, 518)


@pytest.mark.parametrize(
    ("changes", "rule", "amount_uc"),
    [
        ({}, Rule.TOLD, TOLD_UC),
        ({"stream": False, "frames_planned": 1, "frames_sent": 1}, Rule.TOLD, TOLD_UC),
        ({"usage_told": USAGE | {"cached_tokens": 10}}, Rule.TOLD, TOLD_UC),
        ({"usage_told": USAGE | {"input_tokens": 0, "output_tokens": 0}}, Rule.TOLD, 0),
        ({"ended": "peer_closed"}, Rule.TOLD, TOLD_UC),
        ({"status": 503}, Rule.FREE, 0),
        ({"status": 429, "stream": False}, Rule.FREE, 0),
        ({"status": None, "ended": "reset", "frames_sent": 0}, Rule.FREE, 0),
        ({"faults": ["error_in_200"]}, Rule.FREE, 0),
        ({"faults": ["malformed_body"], "stream": False}, Rule.FREE, 0),
        ({"usage_told": None, "faults": ["missing_usage"]}, Rule.ESTIMATED, HELLO_TOKENS * 25 + 8 * 145),
        (CUT, Rule.ESTIMATED, HELLO_TOKENS * 25 + 6 * 145),
        (CUT | {"ended": "stall"}, Rule.ESTIMATED, HELLO_TOKENS * 25 + 6 * 145),
        (CUT | {"ended": "peer_closed", "frames_planned": 20}, Rule.ESTIMATED, HELLO_TOKENS * 25 + 6 * 145),
        (CUT | {"delivered": {"tokens": 0, "text_bytes": 0}}, Rule.FREE, 0),
        (CUT | {"stream": False}, Rule.FREE, 0),
        (
            {"faults": ["error_event"], "usage_told": None, "delivered": {"tokens": 1, "text_bytes": 4}},
            Rule.ESTIMATED,
            HELLO_TOKENS * 25 + 145,
        ),
        ({"operation": "count_tokens"}, Rule.UNPRICED, 0),
    ],
)
def test_each_rule_of_money(changes: dict[str, Any], rule: Rule, amount_uc: int) -> None:
    line = price_line(entry(**changes))
    assert (line.rule, line.amount_uc) == (rule, amount_uc)


def test_the_input_that_a_broken_anthropic_stream_has_told_counts_as_told() -> None:
    line = price_line(
        entry(**CUT | {"dialect": "anthropic_messages", "model": "claude-sonnet-4-6", "usage_told": dict(USAGE)})
    )
    assert (line.rule, line.amount_uc) == (Rule.ESTIMATED, 11 * 104 + 6 * 518)


def test_an_alias_costs_what_its_model_costs() -> None:
    aliased = price_line(entry(model="claude-3-5-sonnet-20241022"))
    assert aliased.amount_uc == price_line(entry(model="claude-sonnet-4-6")).amount_uc == 11 * 104 + 7 * 518


def test_what_cannot_be_priced_gives_no_verdict() -> None:
    with pytest.raises(Unmeasurable, match="in flight"):
        price_line(entry(ended="pending"))
    with pytest.raises(Unmeasurable, match="no price"):
        price_line(entry(model="gpt-none"))


@pytest.mark.parametrize(
    ("request_body", "tokens"),
    [
        (body(""), 1),
        (body("水"), 2),  # 4 + 3 bytes
        (body("x" * 400), 101),
        (body("hi", temperature=0.5, user="someone with a long name"), 2),
        (body("hi", system="Be terse."), 4),
        (body("hi", tools=[{"type": "function", "function": {"name": "f", "description": "d"}}]), 4),
        ('{"model": "m", "prompt": "four"}', 1),
        ('{"messages": [{"role": "user", "content": [{"type": "text", "text": "abcd"}]}]}', 3),
        ('{"messages": [{"content": [{"image_url": {"url": "data:image/png;base64,AAAAAAAAAAAA"}}]}]}', 0),
        ('{"messages": [{"source": {"type": "base64", "media_type": "image/png", "data": "AAAAAAAAAA"}}]}', 4),
    ],
)
def test_the_estimate_counts_the_bytes_of_the_text(request_body: str, tokens: int) -> None:
    assert estimated_input(request_body) == tokens


@UNHURRIED
@given(st.integers(0, 10**9))
def test_the_estimate_rounds_up(text_bytes: int) -> None:
    assert 4 * (tokens_for(text_bytes) - 1) < text_bytes <= 4 * tokens_for(text_bytes)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet="abc水 "),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet="xyz"), inner),
)


@UNHURRIED
@given(json_values, json_values)
def test_strings_of_a_list_are_those_of_its_parts(one: Any, other: Any) -> None:
    assert list(strings([one, other])) == [*strings(one), *strings(other)]


def test_a_broken_attempt_that_was_failed_over_is_free() -> None:
    lines = bill([entry(1, "a.1", **CUT), entry(2, "a.1", **CUT), entry(3, "a.1")])
    assert [(line.rule, line.amount_uc) for line in lines["a.1"]] == [
        (Rule.FREE, 0),
        (Rule.FREE, 0),
        (Rule.TOLD, TOLD_UC),
    ]
    last_broken = bill([entry(1, "a.1", **CUT), entry(2, "a.1", **CUT)])["a.1"]
    assert [line.rule for line in last_broken] == [Rule.FREE, Rule.ESTIMATED]
    apart = bill([entry(1, "a.1", **CUT), entry(2, "a.2", **CUT), entry(3, None, **CUT), entry(4, None, **CUT)])
    assert all(line.rule is Rule.ESTIMATED for lines in apart.values() for line in lines)


def test_a_whole_answer_stays_charged_when_another_follows() -> None:
    lines = bill([entry(1, "a.1", usage_told=None), entry(2, "a.1")])["a.1"]
    assert [line.rule for line in lines] == [Rule.ESTIMATED, Rule.TOLD]


def test_a_caller_who_got_an_error_owes_nothing() -> None:
    lines = bill([entry(1, "a.1", **CUT), entry(2, "a.2", **CUT)], refused={"a.1"})
    assert [lines[case][0].rule for case in ("a.1", "a.2")] == [Rule.FREE, Rule.ESTIMATED]


def test_the_bill_sums_the_attempts_of_a_case() -> None:
    lines = bill([entry(4, "a.1"), entry(3, "a.1", status=503), entry(5, "a.2", **CUT)])
    assert [(line.n, line.rule) for line in lines["a.1"]] == [(3, Rule.FREE), (4, Rule.TOLD)]
    assert sum(line.amount_uc for line in lines["a.1"]) == TOLD_UC
    assert set(lines) == {"a.1", "a.2"}
