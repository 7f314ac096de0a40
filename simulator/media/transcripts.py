"""What a recogniser makes of a sound: the words of speech that a fleet made, or plausible ones as long as the sound.

The language is the one told, else it is guessed by the script that the text is written in. Words and sentences are laid
over the sound in proportion to their letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final, NamedTuple

from simulator import draws
from simulator.answers import prose
from simulator.media.speech import LETTERS_PER_S, Sound

LETTERS_PER_TOKEN: Final = 4.5  # of prose
ENGLISH: Final = "en"
_KNOWN: Final = """
    af:afrikaans ar:arabic hy:armenian az:azerbaijani be:belarusian bs:bosnian bg:bulgarian ca:catalan zh:chinese
    hr:croatian cs:czech da:danish nl:dutch en:english et:estonian fi:finnish fr:french gl:galician de:german
    el:greek he:hebrew hi:hindi hu:hungarian is:icelandic id:indonesian it:italian ja:japanese kn:kannada
    kk:kazakh ko:korean lv:latvian lt:lithuanian mk:macedonian ms:malay mr:marathi mi:maori ne:nepali
    no:norwegian fa:persian pl:polish pt:portuguese ro:romanian ru:russian sr:serbian sk:slovak sl:slovenian
    es:spanish sw:swahili sv:swedish tl:tagalog ta:tamil th:thai tr:turkish uk:ukrainian ur:urdu vi:vietnamese
    cy:welsh
"""
LANGUAGES: Final[Mapping[str, str]] = dict(row.split(":") for row in _KNOWN.split())  # that Whisper is told to know
_SCRIPTS: Final = (  # the first whose letters occur decides
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
)
_WIDE: Final = "\u3040-\u30ff\u3400-\u9fff"  # scripts without spaces: every character is a word
_WORD: Final = re.compile(rf"[{_WIDE}]|[^\s{_WIDE}]+")
_SENTENCE: Final = re.compile(r".+?(?:[.!?](?=\s)|[。！？]|\Z)", re.DOTALL)
_MARKS: Final = '.,;:!?…"“”()[]。、！？'


class Span(NamedTuple):
    """A stretch of the text, and when it is said."""

    text: str
    start_s: float
    end_s: float


class Transcript:
    """The text of a sound."""

    def __init__(self, text: str, language: str, seconds: float) -> None:
        self.text = text
        self.language = language
        self.seconds = seconds

    @cached_property
    def words(self) -> tuple[Span, ...]:
        """The words, without punctuation."""
        found = (self._span(match.group().strip(_MARKS), match.start(), match.end()) for match in self._all(_WORD))
        return tuple(span for span in found if span.text)

    @cached_property
    def segments(self) -> tuple[Span, ...]:
        """The sentences, the space before each included."""
        found = (self._span(match.group(), match.start(), match.end()) for match in self._all(_SENTENCE))
        return tuple(span for span in found if span.text.strip())

    def _all(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        return pattern.finditer(self.text)

    def _span(self, text: str, start: int, end: int) -> Span:
        share = self.seconds / len(self.text)
        return Span(text, round(start * share, 2), round(end * share, 2))


def transcript(sound: Sound, key: bytes, language: str = "") -> Transcript:
    """What is said in a sound. `key` picks the words of one that no fleet made."""
    text = invented(sound.seconds, key) if sound.text is None else _sent(sound.text)
    return Transcript(text, language or spoken(text), sound.seconds)


def translation(sound: Sound, key: bytes) -> Transcript:
    """The same in English: text in Latin script stays as it is, any other becomes invented English of that length."""
    text = None if sound.text is None else _sent(sound.text)
    if text is None or spoken(text) != ENGLISH:
        text = invented(sound.seconds, draws.digest(key, text))
    return Transcript(text, ENGLISH, sound.seconds)


def invented(seconds: float, key: bytes) -> str:
    """English as long as it takes to say."""
    count = max(2, round(seconds * LETTERS_PER_S / LETTERS_PER_TOKEN))
    text = " ".join("".join(prose.pieces(draws.dice("transcript", key), count)).split())
    return text if text.endswith(".") else f"{text.rstrip(' ,')}."


def _sent(text: str) -> str:
    """A text as UTF-8 can have it: half of a pair of surrogates becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def spoken(text: str) -> str:
    """The language of a text, as ISO 639-1, by its script."""
    return next((code for code, letters in _SCRIPTS if letters.search(text)), ENGLISH)
