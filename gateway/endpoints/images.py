"""POST /images/generations (and /images/generate): pictures, billed by the picture that was delivered.

Source: api-reference#image-generation, #gateway-features (Smart Routing).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from gateway import admission
from gateway.body import json_type, model_name
from gateway.errors import InvalidRequest, shown
from gateway.exchange import Exchange
from gateway.media import call, fields
from gateway.media.order import Item, Made, Order
from gateway.media.shapes import TIERS, Size, tier
from gateway.media.ticket import Endpoint, Ticket
from gateway.services import Services
from schemas import catalogue
from schemas.catalogue import Model
from schemas.catalogue.media import Takes, takes

MOST: Final = 10  # pictures of one call
KNOWN: Final = frozenset({"model", "intent", "prompt", "n", "size", "aspect_ratio", "resolution", "response_format"})


class Images(Endpoint):
    """Pictures."""

    name = "images"
    endpoint = "/v1/images/generations"
    limit_class = "image"
    longest_option = "image_timeout_s"

    def read(self, body: Mapping[str, Any]) -> Ticket:
        """Validates a body."""
        requested, model = self.model_of(body)
        rules = takes("images", model.id)
        size = fields.one_of(body, "size", rules.sizes)
        pixels = fields.pixels(size)
        resolution = tier_of(body, size, rules)
        check_tier(pixels, rules)
        form = fields.one_of(body, "response_format", ("url", "b64_json"))
        known = KNOWN | {*rules.reference_fields}
        order = Order(
            "image",
            model.id,
            prompt=fields.text(body, "prompt", required=True) or "",
            count=count_of(body),
            size=pixels,
            aspect_ratio=fields.one_of(body, "aspect_ratio", rules.aspect_ratios),
            resolution=resolution if pixels or resolution else rules.resolution,
            images=fields.references(body, rules),
            as_base64=form == "b64_json",
            extras={name: value for name, value in body.items() if name not in known},
        )
        return Ticket(model, requested, order, order.count, unit_uc(model, order))

    def model_of(self, body: Mapping[str, Any]) -> tuple[str, Model]:
        """What was asked for, and the model that it stands for: a pinned one is honoured whatever the intent says."""
        fields.text(body, "intent")
        if "model" in body or "intent" not in body:
            requested = model_name(body)
            return requested, admission.find_model(requested, self)
        intent = fields.text(body, "intent", required=True) or ""
        model = catalogue.cheapest(intent)
        if model is None:
            due = ", ".join(catalogue.read_intents())
            raise InvalidRequest(f"`intent` is {shown(intent)!r}; one of {due} was due.")
        return intent, model

    def delivered(self, ticket: Ticket, made: Made) -> int:
        """The pictures that came."""
        return min(len(made.items), ticket.units)

    def reply(self, ticket: Ticket, made: Made, now_s: int) -> dict[str, Any]:
        """OpenAI's shape."""
        data = [entry(item, as_base64=ticket.order.as_base64) for item in made.items[: ticket.units]]
        return {"created": now_s, "data": data, **made.facts}


def entry(item: Item, *, as_base64: bool) -> dict[str, Any]:
    """One picture."""
    if as_base64 and item.data is not None:
        return {"b64_json": b64encode(item.data).decode()}
    return {"url": item.url}


def count_of(body: Mapping[str, Any]) -> int:
    """`n`, clamped to 1 to 10."""
    value = body.get("n")
    if value is None:
        return 1
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequest(f"`n` is {json_type(value)}; an integer was due.")
    return max(1, min(MOST, value))


def tier_of(body: Mapping[str, Any], size: str | None, rules: Takes) -> str | None:
    """The tier that is asked for in so many words, as `resolution` or as `size`: "2K"."""
    for name, value in (("resolution", fields.text(body, "resolution")), ("size", size)):
        if value is not None and (name == "resolution" or value.upper() in TIERS):
            told = value.upper() if value.upper() in TIERS else value
            return fields.one_of({name: told}, name, rules.resolutions)
    return None


def check_tier(size: Size | None, rules: Takes) -> None:
    """Raises InvalidRequest for a size of a tier that the model does not come in."""
    if size is not None and rules.resolutions and tier(size) not in rules.resolutions:
        due = ", ".join(rules.resolutions)
        raise InvalidRequest(f"`size` is {size[0]}x{size[1]}, which is {tier(size)}; {due} was due.")


def unit_uc(model: Model, order: Order) -> int:
    """What one picture costs: by its size, where sizes of this model cost their own. Of two that are told, the dearer
    counts.
    """
    told = (order.resolution, None if order.size is None else tier(order.size))
    return max(model.size_uc.get(name or "", model.unit_uc) for name in told)


ENDPOINT: Final = Images()


async def create(services: Services, exchange: Exchange) -> None:
    """Answers a request for pictures."""
    await call.serve(services, exchange, ENDPOINT)
