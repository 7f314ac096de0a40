"""What a caller wants made, and what came of it, whatever vendor makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["image", "video", "speech", "clone", "transcript"]


@dataclass(frozen=True, slots=True)
class Order:
    """One order. `model` is the upstream's name for the model; what is None was not asked for."""

    kind: Kind
    model: str
    prompt: str = ""  # the text to speak, where speech is ordered
    count: int = 1  # pictures
    size: tuple[int, int] | None = None  # pixels: width, height
    aspect_ratio: str | None = None  # "16:9"
    resolution: str | None = None  # "1K", "720p"
    seconds: int | None = None  # of a clip
    images: Sequence[str] = ()  # references or the first frame: https URLs or data URLs
    last_image: str | None = None  # the last frame
    audio: str | None = None  # URL of what is to be heard, or whose voice is to be cloned
    audio_bytes: bytes | None = field(default=None, repr=False)  # the same, fetched
    as_base64: bool = False  # pictures, in place of links
    extras: Mapping[str, Any] = field(default_factory=dict)  # what else the caller sent: vendors take what they know
    request_id: str = ""
    at_s: float = 0.0  # Unix seconds when this attempt at it began


@dataclass(frozen=True, slots=True)
class Item:
    """One file that was made: behind a link, or its bytes."""

    url: str | None = None
    data: bytes | None = field(default=None, repr=False)
    mime: str = ""
    short_lived: bool = False  # the link dies soon or needs the gateway's own key: the file is kept by the gateway
    headers: Sequence[tuple[str, str]] = ()  # that the link wants, where it needs a key


@dataclass(frozen=True, slots=True)
class Made:
    """What came of an order. Fewer items than ordered: the others were refused or failed, and are not charged."""

    items: Sequence[Item] = ()
    seconds: float | None = None  # of a clip or sound, where the vendor tells
    text: str | None = None  # of a transcript
    segments: Sequence[Mapping[str, Any]] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)  # what else the caller may see: `revised_prompt`, `language`
