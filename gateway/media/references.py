"""What a request refers to, fetched where the vendor takes only bytes: always through the guard of users' URLs.

A vendor that says `inlines` gets every picture as a data URL; sound is always fetched, because no vendor of speech
takes an address. What was fetched for one target is not fetched again for the next.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gateway import guard
from gateway.errors import InvalidRequest
from gateway.media import sniff, sounds
from gateway.media.order import Order
from gateway.media.steps import Vendor

if TYPE_CHECKING:
    from gateway.services import Services

PICTURE_BYTES_MAX: Final = 20 * 1024 * 1024
SOUND_BYTES_MAX: Final = 25 * 1024 * 1024
FETCH_S: Final = 20.0
VOICE_S: Final = 10.0  # that a voice to be cloned must be heard for: api-reference#audio
SLACK_S: Final = 0.1  # by which a codec may shorten a sound


class References:
    """The files of one request, as far as they have been fetched."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._pictures: dict[str, str] = {}  # by URL, as data URLs
        self._sounds: dict[str, bytes] = {}

    async def ready(self, order: Order, vendor: Vendor) -> Order:
        """The order as this vendor takes it. Raises InvalidRequest for what cannot be fetched or is nothing fit."""
        if order.audio is not None:
            order = replace(order, audio_bytes=await self._sound(order.audio))
            if order.kind == "clone":
                check_voice(order.audio_bytes or b"")
        if not getattr(vendor, "inlines", False):
            return order
        images = await self._all(order.images)
        last = None if order.last_image is None else (await self._all([order.last_image]))[0]
        return replace(order, images=images, last_image=last)

    async def _all(self, urls: Sequence[str]) -> list[str]:
        """These pictures as data URLs."""
        missing = [url for url in dict.fromkeys(urls) if not url.startswith("data:") and url not in self._pictures]
        fetched = await asyncio.gather(*(self._picture(url) for url in missing))
        self._pictures.update(zip(missing, fetched, strict=True))
        return [self._pictures.get(url, url) for url in urls]

    async def _picture(self, url: str) -> str:
        data, _ = await guard.fetch(self._services, url, PICTURE_BYTES_MAX, FETCH_S)
        mime = sniff.mime_of(data)
        if not mime.startswith("image/"):
            raise InvalidRequest(f"{guard.host_of(url)} holds no picture of a known format at that URL.")
        return f"data:{mime};base64,{b64encode(data).decode()}"

    async def _sound(self, url: str) -> bytes:
        if url not in self._sounds:
            self._sounds[url] = await self._heard(url)
        return self._sounds[url]

    async def _heard(self, url: str) -> bytes:
        if url.startswith("data:"):
            return inlined(url)[1]
        return (await guard.fetch(self._services, url, SOUND_BYTES_MAX, FETCH_S))[0]


def check_voice(data: bytes) -> None:
    """Raises InvalidRequest for a voice that is heard too briefly, as far as the file tells how long it is."""
    seconds = sounds.seconds_of(data)
    if seconds is not None and seconds < VOICE_S - SLACK_S:
        raise InvalidRequest(f"`audio` lasts {seconds:.1f} s; a reference voice of {VOICE_S:g} s or more was due.")


def inlined(url: str) -> tuple[str, bytes]:
    """The media type and the bytes of a base64 data URL. Raises InvalidRequest."""
    head, _, data = url.partition(",")
    try:
        return head.removeprefix("data:").split(";")[0], b64decode(data, validate=True)
    except (NoBase64, ValueError):
        raise InvalidRequest("A data URL does not hold valid base64.") from None
