"""The tiers that cumulative top-ups unlock, as data (`tiers.yaml`)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from schemas.catalogue import CatalogueError, whole_uc


class Tier(NamedTuple):
    """One row."""

    id: str
    label: str
    min_top_up_uc: int  # bought in all, ever


@cache
def tiers() -> tuple[Tier, ...]:
    """Every tier, lowest first. Raises CatalogueError: the first is not free, or they do not rise."""
    rows = yaml.safe_load((Path(__file__).parent / "tiers.yaml").read_bytes())["tiers"]
    found = tuple(Tier(row["id"], row["label"], whole_uc(row["min_top_up_usd"], 1, row["id"])) for row in rows)
    sums = [tier.min_top_up_uc for tier in found]
    if not sums or sums[0] != 0 or sums != sorted(set(sums)):
        raise CatalogueError(f"tiers.yaml: sums of {sums} uc; rising ones from 0 were due")
    return found


def tier_of(topped_up_uc: int) -> Tier:
    """The highest tier that a sum unlocks."""
    return [tier for tier in tiers() if tier.min_top_up_uc <= max(topped_up_uc, 0)][-1]


def next_tier(topped_up_uc: int) -> Tier | None:
    """The tier after that; None at the highest."""
    return next((tier for tier in tiers() if tier.min_top_up_uc > max(topped_up_uc, 0)), None)
