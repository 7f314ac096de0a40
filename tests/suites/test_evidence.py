"""What goes into a transcript, and what must not."""

from __future__ import annotations

import pytest

from suites.evidence import Evidence, curl, mask, short
from suites.raw import is_whole

KEY = "ck_abcdef0123456789"


@pytest.mark.parametrize(
    ("text", "due"),
    [
        (f"Bearer {KEY}", "Bearer ck_…"),
        ("sk-fleet-openai", "sk-…"),
        ("content_block_start", "content_block_start"),
        ("ck_", "ck_"),
    ],
)
def test_mask(text: str, due: str) -> None:
    assert mask(text) == due


def test_curl_can_be_pasted_and_hides_the_key() -> None:
    line = curl("POST", "http://h/x?a=1", {"authorization": f"Bearer {KEY}"}, b'{"a": "it\'s"}')
    assert (
        line
        == """curl -sS -N -X POST 'http://h/x?a=1' -H 'authorization: Bearer ck_…' --data-binary '{"a": "it'"'"'s"}'"""
    )


def test_large_bodies_stay_outside() -> None:
    assert curl("POST", "http://h", {}, b"x" * 5000).endswith("--data-binary @body.json")


def test_notes_are_masked_and_short() -> None:
    evidence = Evidence()
    evidence.note("client", f"key {KEY}", "x" * 9000)
    (moment,) = evidence.moments
    assert moment.title == "key ck_…"
    assert len(moment.detail) < 2000
    assert "characters left out" in moment.detail


def test_short_keeps_both_ends() -> None:
    assert short("a" * 1000 + "b" * 1000, 90).startswith("a" * 60)
    assert short("a" * 1000 + "b" * 1000, 90).endswith("b" * 30)


@pytest.mark.parametrize(
    ("received", "whole"),
    [
        (b"", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", False),
    ],
)
def test_whole_replies(received: bytes, whole: bool) -> None:
    assert is_whole(received) is whole
