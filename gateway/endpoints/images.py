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
from gateway.media.ticket import Endpoint, Ticket
from gateway.services import Services
from schemas import catalogue
from schemas.catalogue import Model
from schemas.catalogue.media import takes

MOST: Final = 10  # pictures of one call
KNOWN: Final = frozenset({"model", "intent", "prompt", "n", "size", "aspect_ratio", "resolution", "response_format"})
TIERS: Final = (("4K", 2049), ("2K", 1537))  # the larger size that a longest side of so many pixels is


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
        resolution = fields.one_of(body, "resolution", rules.resolutions)
        form = fields.one_of(body, "response_format", ("url", "b64_json"))
        known = KNOWN | {*rules.reference_fields}
        order = Order(
            "image",
            model.id,
            prompt=fields.text(body, "prompt", required=True) or "",
            count=count_of(body),
            size=fields.pixels(size),
            aspect_ratio=fields.one_of(body, "aspect_ratio", rules.aspect_ratios),
            resolution=resolution,
            images=fields.references(body, rules),
            as_base64=form == "b64_json",
            extras={name: value for name, value in body.items() if name not in known},
        )
        return Ticket(model, requested, order, order.count, unit_uc(model, order))

    def model_of(self, body: Mapping[str, Any]) -> tuple[str, Model]:
        """What was asked for, and the model that it stands for: a pinned one is honoured whatever the intent says."""
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


def unit_uc(model: Model, order: Order) -> int:
    """What one picture costs: by its size, where sizes of this model cost their own."""
    longest = max(order.size) if order.size is not None else 0
    tier = order.resolution or next((tier for tier, least in TIERS if longest >= least), "1K")
    return model.size_uc.get(tier, model.unit_uc)


ENDPOINT: Final = Images()


async def create(services: Services, exchange: Exchange) -> None:
    """Answers a request for pictures."""
    await call.serve(services, exchange, ENDPOINT)
