"""Multipart forms: what goes in comes out, and what is broken is told."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.forms import Part, parts
from tests.simulator.live import request, running

BOUNDARY = "----fleet7f3a"
KIND = f"multipart/form-data; boundary={BOUNDARY}"
NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters='"\\\x7f'), min_size=1)


def written(given_parts: list[Part]) -> bytes:
    out = b""
    for part in given_parts:
        head = f'Content-Disposition: form-data; name="{part.name}"'
        head += "" if part.filename is None else f'; filename="{part.filename}"'
        head += f"\r\nContent-Type: {part.content_type}" if part.content_type else ""
        out += f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + part.data + b"\r\n"
    return out + f"--{BOUNDARY}--\r\n".encode()


@given(
    st.lists(
        st.builds(
            Part,
            name=NAMES,
            data=st.one_of(st.binary(), st.sampled_from([b"\r\n--", f"--{BOUNDARY}"[:-1].encode(), b"\r\n\r\n"])),
            filename=st.none() | st.just("a b;c.png"),
            content_type=st.sampled_from(["", "image/png"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_goes_in_comes_out(given_parts: list[Part]) -> None:
    assert parts(KIND, written(given_parts)) == given_parts


def test_a_value_is_text() -> None:
    (part,) = parts(KIND, written([Part("prompt", "Kätzchen".encode())]))
    assert (part.text, part.filename) == ("Kätzchen", None)


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("application/json", b"{}", "due multipart/form-data"),
        ("multipart/form-data", b"", "due a boundary"),
        (KIND, b"", "the last boundary is missing"),
        (KIND, b"--other\r\n", "multipart body: "),
        (KIND, written([Part("a", b"b")])[:-20], "the last boundary is missing"),
    ],
)
def test_what_is_wrong_is_told(kind: str, body: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parts(kind, body)


def test_what_is_broken_is_told_to_the_caller_alone(caplog: pytest.LogCaptureFixture) -> None:
    head = {"authorization": "Bearer sk-fleet-openai", "content-type": KIND}
    with running() as fleet, caplog.at_level(logging.WARNING):
        reply = fleet.call(request("POST", "/openai/v1/images/edits", {}, head))
    assert reply.status == 400
    assert caplog.records == []
