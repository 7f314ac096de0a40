"""POST /video/generations (and /videos/generations): clips, billed by the second or by the clip.

One POST is held until the clip is there. Source: api-reference#video-generation; docs/decisions.md#clip-lengths.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway import admission
from gateway.body import json_type, model_name
from gateway.errors import InvalidRequest
from gateway.exchange import Exchange
from gateway.media import call, fields
from gateway.media.order import Made, Order
from gateway.media.ticket import Endpoint, Ticket
from gateway.services import Services
from schemas.catalogue.media import Takes, takes

KNOWN: Final = frozenset({"model", "prompt", "duration", "size", "aspect_ratio", "resolution", "last_image_url"})
SECOND: Final = "second"  # the unit of models that are billed by it


class Videos(Endpoint):
    """Clips."""

    name = "videos"
    endpoint = "/v1/video/generations"
    limit_class = "video"
    longest_option = "video_timeout_s"

    def read(self, body: Mapping[str, Any]) -> Ticket:
        """Validates a body."""
        requested = model_name(body)
        model = admission.find_model(requested, self)
        rules = takes("videos", model.id)
        seconds = seconds_of(body, rules)
        by_second = model.unit == SECOND
        if by_second and seconds is None:
            seconds = rules.seconds_default
        order = Order(
            "video",
            model.id,
            prompt=fields.text(body, "prompt", required=True) or "",
            size=fields.pixels(fields.one_of(body, "size", rules.sizes)),
            aspect_ratio=fields.one_of(body, "aspect_ratio", rules.aspect_ratios),
            resolution=fields.one_of(body, "resolution", rules.resolutions),
            seconds=seconds,
            images=fields.references(body, rules),
            last_image=last_image(body, rules, model.id),
            extras={name: value for name, value in body.items() if name not in KNOWN | {*rules.reference_fields}},
        )
        units = seconds if by_second and seconds is not None else 1
        return Ticket(model, requested, order, units, model.unit_uc)

    def delivered(self, ticket: Ticket, made: Made) -> int:
        """The seconds that were ordered, or fewer if fewer came, to the nearest one; or the clip."""
        if not made.items:
            return 0
        if ticket.model.unit != SECOND or made.seconds is None:
            return ticket.units
        return min(ticket.units, max(1, round(made.seconds)))

    def reply(self, ticket: Ticket, made: Made, now_s: int) -> dict[str, Any]:  # noqa: ARG002
        """The shape of pictures; `duration` is the clip's length in seconds, where it is known."""
        length = {} if made.seconds is None else {"duration": whole(made.seconds)}
        return {"created": now_s, "data": [{"url": item.url, **length} for item in made.items[:1]], **made.facts}


def seconds_of(body: Mapping[str, Any], rules: Takes) -> int | None:
    """`duration`, a whole number of seconds."""
    value = body.get("duration")
    if value is None:
        return None
    due = f"a whole number of seconds from {rules.seconds_least} to {rules.seconds_most} was due"
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidRequest(f"`duration` is {json_type(value)}; {due}.")
    if value != value // 1 or not rules.seconds_least <= value <= rules.seconds_most:
        raise InvalidRequest(f"`duration` is {value:g}; {due}.")
    return int(value)


def last_image(body: Mapping[str, Any], rules: Takes, model_id: str) -> str | None:
    """`last_image_url`, for models that end a clip on a picture. A clip that ends on one begins on one."""
    value = body.get("last_image_url")
    if value is None:
        return None
    url = fields.link(value, "`last_image_url`", data_urls=rules.data_urls)
    if not rules.last_frame:
        raise InvalidRequest(f"{model_id} takes no `last_image_url`.")
    if not any(body.get(name) for name in rules.reference_fields):
        raise InvalidRequest("`last_image_url` was sent without `image_url`; both were due.")
    return url


def whole(seconds: float) -> float | int:
    """A length, without a fraction that is none."""
    return int(seconds) if seconds == seconds // 1 else round(seconds, 3)


ENDPOINT: Final = Videos()


async def create(services: Services, exchange: Exchange) -> None:
    """Answers a request for a clip."""
    await call.serve(services, exchange, ENDPOINT)
