"""Edits of JSON text: what is asked changes, nothing else does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import splice

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=15,
)
OBJECTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=6)


@given(OBJECTS, st.sampled_from([None, 1]), st.booleans())
def test_members_are_found(value: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found = {
        m.name: json.loads(text[m.value.start : m.value.end].decode("utf-8", "surrogatepass"))
        for m in splice.members(text)
    }
    assert found == value


@given(st.lists(VALUES, max_size=6))
def test_elements_are_found(value: list[Any]) -> None:
    text = json.dumps(value, indent=1).encode()
    assert [json.loads(text[span.start : span.end]) for span in splice.elements(text)] == value


@given(OBJECTS, st.text(max_size=6), VALUES)
def test_a_member_is_set(value: dict[str, Any], name: str, new: Any) -> None:
    text = json.dumps(value).encode()
    assert json.loads(splice.set_member(text, name, json.dumps(new).encode())) == {**value, name: new}


def test_other_bytes_stay() -> None:
    text = b'{ "n":1.50e3 ,"s":"\\u2028\\/" , "model" : "old", "z": [1 , 2] }\n'
    assert splice.set_member(text, "model", b'"new"') == text.replace(b'"old"', b'"new"')


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b'{"a":1,"b":{"a":2},"c":[{"a":3}]}', None),
        (b'{"a":1,"b":2,"a":3}', "a"),
        (b'{"model":"x","mod\\u0065l":"y"}', "model"),
        (b"{}", None),
    ],
)
def test_duplicate_names(text: bytes, name: str | None) -> None:
    assert splice.duplicate_name(text) == name
