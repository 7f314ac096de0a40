"""Signatures of thinking: a round trip, and nothing else verifies."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from simulator.answers.signatures import family, secret, sign, verify

KEY = secret(7)
WORDS = st.text(max_size=200)
NAMES = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=40)


@given(NAMES, NAMES, WORDS)
def test_a_signature_verifies_for_what_it_signed(model: str, provider: str, text: str) -> None:
    assert verify(KEY, model, provider, text, sign(KEY, model, provider, text))


@given(NAMES, NAMES, WORDS, NAMES, NAMES, WORDS)
def test_another_text_model_or_provider_breaks_it(
    model: str, provider: str, text: str, model2: str, provider2: str, text2: str
) -> None:
    signature = sign(KEY, model, provider, text)
    for other in ((model2, provider, text), (model, provider2, text), (model, provider, text2)):
        assert verify(KEY, *other, signature) == (other == (model, provider, text))


@given(st.integers(min_value=0), st.characters())
def test_any_edit_of_the_signature_breaks_it(at: int, character: str) -> None:
    signature = sign(KEY, "claude-sonnet-4-6", "anthropic", "The water is warm.")
    at %= len(signature)
    edited = signature[:at] + character + signature[at + 1 :]
    assert verify(KEY, "claude-sonnet-4-6", "anthropic", "The water is warm.", edited) == (edited == signature)


@given(WORDS, st.sampled_from(["", "E", "AAAA", "not base64"]))
def test_an_empty_or_made_up_signature_is_none(text: str, signature: str) -> None:
    assert not verify(KEY, "claude-sonnet-4-6", "anthropic", text, signature)


def test_texts_cannot_slide_into_names() -> None:
    """The parts are signed with their lengths."""
    assert sign(KEY, "ab", "c", "d") != sign(KEY, "a", "bc", "d") != sign(KEY, "a", "b", "cd")


def test_it_looks_like_a_real_one() -> None:
    short, long = (sign(KEY, "claude-sonnet-4-6", "anthropic", "word " * n) for n in (1, 200))
    for signature in (short, long):
        assert signature.startswith("E")
        assert b"claude-sonnet-4-6" in base64.b64decode(signature, validate=True)
    assert len(short) < len(long)


def test_the_secret_follows_from_the_seed() -> None:
    assert secret(7) == KEY != secret(8)
    assert sign(KEY, "m", "p", "t") != sign(secret(8), "m", "p", "t")


def test_a_family_is_the_name_without_its_date() -> None:
    assert family("claude-sonnet-4-5-20250929") == "claude-sonnet-4-5"
    assert family("claude-sonnet-4-5@20250929") == "claude-sonnet-4-5"
    assert family("claude-sonnet-4-6") == "claude-sonnet-4-6"


def test_lone_surrogates_can_be_signed() -> None:
    """JSON can smuggle half a character into a text; it must not crash the fleet."""
    signature = sign(KEY, "m", "p", "\ud800")
    assert verify(KEY, "m", "p", "\ud800", signature)
    assert not verify(KEY, "m", "p", "?", "\ud800")
