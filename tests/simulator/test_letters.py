"""Texts on pictures, in the letters that Pillow's own font has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from simulator.media.letters import SHOWN, shown
from simulator.media.pictures import picture


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("A white cat", "A white cat"),
        ("Crème brûlée à Zürich, Łódź, Ærø", "Creme brulee a Zurich, Lodz, Aero"),
        ("naïve “quotes” – and… dashes", "naïve “quotes” - and… dashes".replace("ï", "i")),
        ("Привет, мир", "Privet, mir"),
        ("Αθήνα", "Athina"),
        ("さくら カメラ", "sakura kamera"),
        ("한글", "hangeul"),
        ("漢字。", "‹6f22›‹5b57›."),
        ("ﬁne ½ Ⅳ", "fine 1⁄2 IV"),
        ("e\u0301a\u200b", "ea"),
        ("🦊", "‹1f98a›"),
    ],
)
def test_a_text_is_spelled(text: str, due: str) -> None:
    assert shown(text) == due


@given(st.text())
def test_whatever_comes_can_be_written(text: str) -> None:
    assert {letter for letter in shown(text) if not letter.isspace()} <= SHOWN


def test_the_font_has_all_that_is_written() -> None:
    font = ImageFont.load_default(24)
    missing = bytes(font.getmask("\uffff"))
    assert not [letter for letter in SHOWN if bytes(font.getmask(letter)) == missing]


def test_two_texts_are_two_pictures() -> None:
    assert picture("漢字の絵", 256, 256, "png", 1) != picture("漢語の絵", 256, 256, "png", 1)
