"""POST /audio/generations: speech, speech in a voice that comes along, and transcripts, billed by the request.

Source: api-reference#audio.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway import admission
from gateway.body import model_name
from gateway.errors import InvalidRequest
from gateway.exchange import Exchange
from gateway.media import call, fields
from gateway.media.order import Kind, Made, Order
from gateway.media.references import inlined
from gateway.media.ticket import Endpoint, Ticket
from gateway.services import Services

KINDS: Final[Mapping[str, Kind]] = {"audio-tts": "speech", "audio-clone": "clone", "audio-asr": "transcript"}
KNOWN: Final = frozenset({"model", "text", "audio"})
TEXT_LENGTH_MAX: Final = 10_000


class Audio(Endpoint):
    """Sound."""

    name = "audio"
    endpoint = "/v1/audio/generations"
    limit_class = "audio"
    longest_option = "audio_timeout_s"

    def read(self, body: Mapping[str, Any]) -> Ticket:
        """Validates a body."""
        requested = model_name(body)
        model = admission.find_model(requested, self)
        kind = KINDS[model.id]
        order = Order(
            kind,
            model.id,
            prompt=fields.text(body, "text", required=kind != "transcript", most=TEXT_LENGTH_MAX) or "",
            audio=audio_of(body, required=kind != "speech"),
            extras={name: value for name, value in body.items() if name not in KNOWN and value is not None},
        )
        check_extras(order.extras)
        return Ticket(model, requested, order, 1, model.unit_uc)

    def delivered(self, ticket: Ticket, made: Made) -> int:  # noqa: ARG002
        """The request."""
        return 1

    def reply(self, ticket: Ticket, made: Made, now_s: int) -> dict[str, Any]:
        """Links to sound; of a transcript its text, with what else was told."""
        if ticket.order.kind != "transcript":
            return {"created": now_s, "data": [{"url": item.url} for item in made.items]}
        told: dict[str, Any] = {"text": made.text}
        if made.segments is not None:
            told["segments"] = made.segments
        if made.seconds is not None:
            told["duration"] = made.seconds
        return {**told, **made.facts}


def audio_of(body: Mapping[str, Any], *, required: bool) -> str | None:
    """The URL of a sound, or a data URL; None where none is due. Raises InvalidRequest."""
    value = body.get("audio")
    if value is None and required:
        raise InvalidRequest("`audio` is missing.")
    if value is None or (isinstance(value, str) and not required):
        return None
    url = fields.link(value, "`audio`", data_urls=True)
    if url.startswith("data:") and not inlined(url)[1]:
        raise InvalidRequest("`audio` is empty.")
    return url


def check_extras(extras: Mapping[str, Any]) -> None:
    """What vendors would otherwise say in very different ways."""
    fields.text(extras, "voice_id", most=200)
    fields.text(extras, "format", most=20)


ENDPOINT: Final = Audio()


async def create(services: Services, exchange: Exchange) -> None:
    """Answers a request for sound."""
    await call.serve(services, exchange, ENDPOINT)
