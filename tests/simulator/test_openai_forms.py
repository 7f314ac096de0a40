"""Templates and forms as data: what a slot, a default and a condition do, and that every form can be read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.dialects.base import Profile
from simulator.dialects.openai import forms
from simulator.dialects.openai.ids import LETTERS
from simulator.dialects.openai.templates import ABSENT, compiled
from simulator.nonces import ALPHABETS, Nonces
from tests.simulator.family import ROWS

PARTS = {"opening", "opening_call", "opening_calls", "waiting", "found", "thought", "thought_end", "text", "text_after"}
PARTS |= {"refusal", "call", "argument", "closing", "closing_calls", "finish", "finish_after", "again"}
PARTS |= {f"first_{part}" for part in ("thought", "text", "call")}


@pytest.mark.parametrize(
    ("template", "values", "made"),
    [
        ("$a", {"a": 1}, 1),
        ({"x": "$a"}, {}, {}),
        ({"x": "$a|null"}, {}, {"x": None}),
        ({"x": '$a|""'}, {"a": ABSENT}, {"x": ""}),
        ({"x when a": 1, "y unless a": 2}, {"a": "yes"}, {"x": 1}),
        ({"x when a": 1, "y unless a": 2}, {"a": ""}, {"y": 2}),
        ({"x": ["$a", {"b": "$b"}, "c"]}, {"b": 2}, {"x": [{"b": 2}, "c"]}),
    ],
)
def test_a_template_is_filled(template: Any, values: dict[str, Any], made: Any) -> None:
    assert compiled(template)(values) == made


@pytest.mark.parametrize(
    ("template", "complaint"), [("$a|nul", "'nul' is no JSON"), ({"a b c d": 1}, "neither KEY nor")]
)
def test_a_template_that_is_none(template: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        compiled(template)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.from_regex("[a-z]*", fullmatch=True), st.lists))
def test_what_has_no_slot_stays_as_it_is(value: Any) -> None:
    assert compiled({"x": value})({}) == {"x": value}


@pytest.mark.parametrize("name", forms.names())
def test_every_form_has_its_parts_and_spells_known_letters(name: str) -> None:
    form, data = forms.named(name), forms.data(name)
    assert {"whole", "choice", "message", "call", "call_opening", "call_piece", "usage"} <= form.templates.keys()
    assert {"text", "call", "finish"} <= form.deltas.keys() <= PARTS
    spelled = [*form.ids.values(), form.fingerprint or ""]
    spelled += [text for headers in data.get("headers", {}).values() for text in headers.values()]
    assert {field for text in spelled for field in re.findall(r"\{(\w+)", text)} <= LETTERS.keys()
    assert form.about


def test_a_form_that_is_none_is_told() -> None:
    with pytest.raises(ValueError, match=r"form 'morse': there is no morse.yaml among"):
        forms.named("morse")


def test_every_form_is_somebody_s() -> None:
    """A form that no row and no model has would be dead."""
    used = {"openai", "openai_2023", "compact"}
    for row in ROWS.values():
        for mount in row.mounts:
            used |= {mount.facts.get("form", "openai"), *mount.facts.get("forms", {}).values()}
    assert set(forms.names()) == used
    assert forms.of(Profile("x", "grok-2", "grok-2", {"form": "xai", "forms": {"grok-2*": "xai_grok2"}})).name == (
        "xai_grok2"
    )


@pytest.mark.parametrize(
    ("alphabet", "form"),
    [
        ("letters", r"[A-Za-z0-9]{22}"),
        ("letters20", r"[A-Za-z0-9]{20}"),
        ("hex", r"[0-9a-f]{22}"),
        ("hex16", r"[0-9a-f]{16}"),
        ("uuid", r"4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
        ("ulid", r"[0-9A-HJKMNP-TV-Z]{22}"),
    ],
)
def test_nonces_are_of_their_alphabet_and_never_the_same(alphabet: str, form: str) -> None:
    made = Nonces(alphabet, "test")
    found = [made(number).decode() for number in range(200)]
    assert all(re.fullmatch(form, nonce) for nonce in found)
    assert len(set(found)) == 200
    assert {*ALPHABETS} >= {alphabet}
