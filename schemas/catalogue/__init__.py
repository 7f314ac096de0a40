"""The model catalogue with its prices, as data (`models.yaml`).

Money is an int of microcredits: 100 credits are $1 and a credit is 1,000,000 uc, so $0.01 per million tokens is 1 uc
per token and every listed price is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

UC_PER_CREDIT: Final = 1_000_000
CREDITS_PER_USD: Final = 100
UC_PER_USD: Final = CREDITS_PER_USD * UC_PER_CREDIT


class CatalogueError(ValueError):
    """The catalogue file is wrong: a price that is not a whole number of microcredits, an id twice…"""


@dataclass(frozen=True, slots=True)
class Model:
    """One row of the catalogue."""

    id: str
    label: str
    vendor: str
    kind: str  # "llm" | "image" | "video" | "audio"
    endpoints: frozenset[str]  # of "chat" "messages" "responses" "gemini" "images" "videos" "audio"
    input_uc: int = 0  # for one input token; LLMs only
    output_uc: int = 0  # for one output token; LLMs only
    unit: str | None = None  # "image" | "second" | "clip" | "request"; media only
    unit_uc: int = 0  # for one unit
    max_output_tokens: int = 0  # what a hold assumes when the caller sets no limit; LLMs only
    min_top_up_uc: int = 0  # cumulative top-up that unlocks the model
    size_uc: Mapping[str, int] = field(default_factory=dict)  # for one unit of a larger size: "2K", "4K"


def whole_uc(usd: str, per: int, where: str) -> int:
    """Microcredits for one of `per` things that cost `usd` together. Raises CatalogueError unless it is whole."""
    uc = Decimal(usd) * UC_PER_USD / per
    if uc != uc.to_integral_value() or uc < 0:
        raise CatalogueError(f"{where}: ${usd} for {per} is {uc} microcredits each; a whole number >= 0 was due")
    return int(uc)


def read_model(row: Mapping[str, Any], group: Mapping[str, Any]) -> Model:
    """One row with its group's defaults."""
    facts = {**group, **row}
    prices: dict[str, int] = {}
    if "usd_per_mtok" in row:
        for field, usd in zip(("input_uc", "output_uc"), row["usd_per_mtok"], strict=True):
            prices[field] = whole_uc(usd, 1_000_000, row["id"])
    else:
        prices["unit_uc"] = whole_uc(row["usd"], 1, row["id"])
    return Model(
        id=row["id"],
        label=row["label"],
        vendor=row["vendor"],
        kind=group["kind"],
        endpoints=frozenset(group["endpoints"]),
        unit=row.get("unit"),
        max_output_tokens=facts.get("max_output_tokens", 0),
        min_top_up_uc=whole_uc(facts.get("min_top_up_usd", "0"), 1, row["id"]),
        size_uc={size: whole_uc(usd, 1, row["id"]) for size, usd in row.get("usd_of_size", {}).items()},
        **prices,
    )


@cache
def _file(name: str = "models.yaml") -> Mapping[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    data: Mapping[str, Any] = yaml.load((Path(__file__).parent / name).read_bytes(), Loader=loader)
    return data


def read_models() -> dict[str, Model]:
    """Every model by id, in the order of the reference."""
    models: dict[str, Model] = {}
    for group in _file()["groups"]:
        for row in group["models"]:
            if row["id"] in models:
                raise CatalogueError(f"{row['id']}: listed twice")
            models[row["id"]] = read_model(row, group)
    return models


MODELS: Final[Mapping[str, Model]] = read_models()
ALIASES: Final[Mapping[str, str]] = dict(_file()["aliases"])


def find(name: str) -> Model | None:
    """The model that a name or an alias stands for."""
    return MODELS.get(ALIASES.get(name, name))


def read_intents() -> dict[str, tuple[str, ...]]:
    """What may be asked for in place of a model: the ids of the models that qualify."""
    intents: dict[str, tuple[str, ...]] = {}
    for name, ids in _file("intents.yaml")["intents"].items():
        unknown = [ident for ident in ids if ident not in MODELS]
        if unknown:
            raise CatalogueError(f"intent {name}: {', '.join(unknown)} is no model")
        intents[name] = tuple(ids)
    return intents


def cheapest(intent: str) -> Model | None:
    """The cheapest model that qualifies for an intent, on a tie the first; None where there is no such intent."""
    ids = read_intents().get(intent)
    return None if ids is None else min((MODELS[ident] for ident in ids), key=lambda model: model.unit_uc)
