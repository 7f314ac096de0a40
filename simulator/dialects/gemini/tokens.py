"""What a Gemini request costs in input tokens, by modality, and how much of it the cache holds.

Text counts by `simulator.answers.tokens`, and so do calls, responses, tools and a schema as their JSON. An image is
258 tokens if neither side is above 384 px, else 258 for each tile of 768 px; a document is one page of 258; video is
263 a second and audio 32, of the length that the request names, or 10 seconds. Names of cached contents are taken as
they are: what is behind one counts 4096 tokens.

Cache: the fleet keeps none, so what was read follows from the request alone: everything before the model's last turn
was sent before, from 1024 tokens on. (Directives can say otherwise.) Rates are not confirmed by a source.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from simulator.answers import tokens
from simulator.dialects.gemini.contents import role_of
from simulator.dialects.gemini.fields import URL_SAFE
from simulator.media.sizes import image_size

TILE_TOKENS: Final = 258
SMALL_PX: Final = 384
TILE_PX: Final = 768
DOCUMENT_TOKENS: Final = 258
VIDEO_TOKENS: Final = 263
AUDIO_TOKENS: Final = 32
CLIP_S: Final = 10.0
CACHED_CONTENT_TOKENS: Final = 4096
CACHE_MIN_TOKENS: Final = 1024
TEXT: Final = "TEXT"
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")

Details = tuple[tuple[str, int], ...]  # (modality, tokens), in order of first appearance


class Count(NamedTuple):
    """Input tokens of a request."""

    total: int
    details: Details = ()
    cached: int = 0  # of the total
    early: int = 0  # of the total: what some models tell while they still stream
    characters: int = 0  # that Vertex would bill


class _Piece(NamedTuple):
    """Part of the prompt."""

    modality: str
    tokens: int
    content: int = -1  # index of its content; -1: before all
    early: bool = True


def count(body: Mapping[str, Any], document_tokens: int = DOCUMENT_TOKENS) -> Count:
    """The tokens of a request read by `gemini.fields`."""
    pieces = list(_pieces(body, document_tokens))
    by: Counter[str] = Counter()
    for piece in pieces:
        by[piece.modality] += piece.tokens
    explicit = CACHED_CONTENT_TOKENS if body.get("cachedContent") else 0
    if explicit:
        by[TEXT] += explicit
    answered = max((at for at, one in enumerate(body.get("contents", ())) if role_of(one) == "assistant"), default=0)
    before = sum(piece.tokens for piece in pieces if piece.content < answered) if answered else 0
    return Count(
        total=sum(by.values()),
        details=tuple((modality, number) for modality, number in by.items() if number),
        cached=explicit or (before if before >= CACHE_MIN_TOKENS else 0),
        early=explicit + sum(piece.tokens for piece in pieces if piece.early),
        characters=sum(len("".join(text.split())) for text in _texts(body)),
    )


def spread(amount: int, details: Details) -> Details:
    """An amount of these tokens, taken in their order."""
    out: list[tuple[str, int]] = []
    for modality, number in details:
        taken = min(amount, number)
        if taken > 0:
            out.append((modality, taken))
        amount -= taken
    if amount > 0:
        out.append((TEXT, amount))
    return tuple(out)


def _texts(body: Mapping[str, Any]) -> Iterator[str]:
    for content in (body.get("systemInstruction") or {}, *body.get("contents", ())):
        for part in content.get("parts", ()):
            if "text" in part:
                yield part["text"]


def _pieces(body: Mapping[str, Any], document_tokens: int) -> Iterator[_Piece]:
    for part in (body.get("systemInstruction") or {}).get("parts", ()):
        yield _Piece(TEXT, tokens.count(part.get("text", "")))
    for tool in body.get("tools", ()):
        yield _Piece(TEXT, _json_tokens(tool) if tool.get("functionDeclarations") else 0, early=False)
    config = body.get("generationConfig", {})
    for name in ("responseSchema", "responseJsonSchema"):
        if config.get(name):
            yield _Piece(TEXT, _json_tokens(config[name]), early=False)
    for at, content in enumerate(body.get("contents", ())):
        for part in content.get("parts", ()):
            yield _part(part, document_tokens)._replace(content=at)
            for inner in (part.get("functionResponse") or {}).get("parts", ()):
                yield _part(inner, document_tokens)._replace(content=at)


def _part(part: Mapping[str, Any], document_tokens: int) -> _Piece:
    for name in ("functionCall", "functionResponse"):
        if name in part:
            told = {key: value for key, value in part[name].items() if key not in ("id", "parts")}
            return _Piece(TEXT, _json_tokens(told), early=False)
    if "text" in part:
        return _Piece(TEXT, tokens.count(part["text"]))
    media = part.get("inlineData") or part.get("fileData")
    if media is not None:
        return _media(media, part.get("videoMetadata") or {}, document_tokens)
    told = {key: value for key, value in part.items() if key not in ("thoughtSignature", "videoMetadata")}
    return _Piece(TEXT, _json_tokens(told) if told else 0)


def _media(media: Mapping[str, Any], video: Mapping[str, Any], document_tokens: int) -> _Piece:
    kind = str(media.get("mimeType", "")).partition("/")[0]
    match kind:
        case "image":
            return _Piece("IMAGE", _image(media.get("data")))
        case "video":
            return _Piece("VIDEO", round(_clip_s(video) * VIDEO_TOKENS))
        case "audio":
            return _Piece("AUDIO", round(CLIP_S * AUDIO_TOKENS))
        case _:
            return _Piece("DOCUMENT", document_tokens)


def _image(data: str | None) -> int:
    size = None if data is None else image_size(data.translate(URL_SAFE))
    if size is None or max(size) <= SMALL_PX:
        return TILE_TOKENS
    return TILE_TOKENS * -(-size[0] // TILE_PX) * -(-size[1] // TILE_PX)


def _clip_s(video: Mapping[str, Any]) -> float:
    """The length of a clip whose ends are told as `1.5s`."""
    ends = [_SECONDS.fullmatch(str(video.get(name, ""))) for name in ("startOffset", "endOffset")]
    if ends[1] is None:
        return CLIP_S
    return max(0.0, float(ends[1][1]) - (float(ends[0][1]) if ends[0] else 0.0))


def _json_tokens(value: Any) -> int:
    return tokens.count(orjson.dumps(value).decode())
