"""Texts in the letters that Pillow's own font has, which are ASCII's and a few marks.

No other font is used: one of the machine would give another machine other bytes. So letters with accents lose them,
Greek, Cyrillic, kana and Hangul are spelled as they sound, and whatever else is left is told by its number, in angle
quotes: two texts that differ are seen to differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from unicodedata import category, name, normalize

SHOWN: Final = frozenset(map(chr, range(0x20, 0x7F))) | frozenset("©«°±´·»‘’“”…‹›⁄™")
_SPELLINGS: Final = """
    ß ss æ ae œ oe ø o ł l đ d ð d þ th ı i ħ h – - — - − - × x • · „ “ ¿ ? ¡ ! € EUR £ GBP
    、 , 。 . 「 “ 」 ” ・ · 〜 - 《 « 》 » → -> ← <-
    а a б b в v г g д d е e ё yo ж zh з z и i й y к k л l м m н n о o п p р r с s т t у u ф f х kh ц ts ч ch ш sh
    щ shch ъ ' ы y ь ' э e ю yu я ya і i ї yi є ye ґ g
    α a β v γ g δ d ε e ζ z η i θ th ι i κ k λ l μ m ν n ξ x ο o π p ρ r σ s τ t υ y φ f χ ch ψ ps ω o ς s
"""
_WORDS: Final = _SPELLINGS.split()
_SPELLED: Final[Mapping[str, str]] = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True))
_SOUND: Final = re.compile(r"(?:HIRAGANA|KATAKANA)(?: LETTER)?(?: SMALL)? ([A-Z]+)|HANGUL SYLLABLE ([A-Z]+)")


def shown(text: str) -> str:
    """The text as it can be written."""
    return text if SHOWN.issuperset(text) else "".join(map(_written, normalize("NFC", text)))


@lru_cache(maxsize=4096)
def _written(letter: str) -> str:
    if letter in SHOWN or letter.isspace():
        return letter
    spelled = _SPELLED.get(letter.lower())
    if spelled is not None:
        return spelled if letter.islower() or not letter.isalpha() else spelled.capitalize()
    sound = _SOUND.match(name(letter, ""))
    if sound is not None:
        return (sound[1] or sound[2]).lower()
    parts = normalize("NFKD", letter)
    if parts != letter:
        return "".join(map(_written, parts))
    return "" if category(letter) in ("Mn", "Me", "Cf", "Cc") else f"‹{ord(letter):x}›"
