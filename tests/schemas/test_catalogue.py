"""The catalogue holds the reference's 98 models at its exact prices."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.catalogue import ALIASES, MODELS, UC_PER_USD, CatalogueError, find, whole_uc

REFERENCE = Path(__file__).parents[3] / "shared" / "seed" / "hypereal-api-reference.txt"
PRICE = re.compile(r"^\$([\d.]+)(?: / \$([\d.]+) per MTok| / (image|sec|clip|request))$")


def test_counts_by_kind() -> None:
    assert len(MODELS) == 98
    assert Counter(m.kind for m in MODELS.values()) == {"llm": 54, "image": 21, "video": 20, "audio": 3}


def test_every_price_is_the_references() -> None:
    if not REFERENCE.exists():
        pytest.skip(f"the API reference is not at {REFERENCE}")
    lines = [line.strip() for line in REFERENCE.read_text().splitlines()]
    listed = {lines[n - 2]: m.groups() for n, line in enumerate(lines) if (m := PRICE.match(line))}
    assert set(listed) == set(MODELS)
    for name, (first, second, unit) in listed.items():
        model = MODELS[name]
        if unit is None:
            assert Decimal(model.input_uc) * 1_000_000 / UC_PER_USD == Decimal(first), name
            assert Decimal(model.output_uc) * 1_000_000 / UC_PER_USD == Decimal(second), name
        else:
            assert Decimal(model.unit_uc) / UC_PER_USD == Decimal(first), name
            assert model.unit == {"sec": "second"}.get(unit, unit), name


def test_aliases_lead_to_models() -> None:
    assert all(target in MODELS for target in ALIASES.values())
    assert find("claude-3-5-haiku-20241022") is MODELS["claude-haiku-4-5"]
    assert find("no-such-model") is None


def test_a_price_that_is_not_whole_is_refused() -> None:
    with pytest.raises(CatalogueError, match="whole number"):
        whole_uc("0.0000001", 1_000_000, "x")
