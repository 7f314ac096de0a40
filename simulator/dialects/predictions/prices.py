"""What a host of models charges, by the fact `price: {per: image, usd: 0.003}` of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from simulator.dialects.predictions.works import Work

RUN: Final = "run_second"  # the time of the hardware: due for a run that fails as well
_UNITS: Final[Mapping[str, str]] = {
    "image": "images",
    "megapixel": "megapixels",
    "second": "output_seconds",
    RUN: "run_seconds",
    "request": "requests",
    "token": "output_tokens",
    "character": "characters",
}
MEGAPIXEL: Final = 1_000_000


def units(work: Work, per: str, run_s: float, output_tokens: int = 0) -> float:
    """How many units of `per` a work is."""
    amounts = {
        "image": float(work.number),
        "megapixel": round(work.number * work.width * work.height / MEGAPIXEL, 4),
        "second": work.seconds,
        RUN: run_s,
        "token": float(output_tokens),
        "character": float(len(work.prompt)),
    }
    return amounts.get(per, 1.0)


def charge(work: Work, price: Mapping[str, Any], run_s: float, output_tokens: int = 0) -> dict[str, float]:
    """The units and the dollars of a work; nothing where the model has no price."""
    if not price:
        return {}
    amount = units(work, price["per"], run_s, output_tokens)
    return {_UNITS[price["per"]]: amount, "usd": round(amount * price["usd"], 8)}
