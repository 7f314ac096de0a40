"""What vendors' models of pictures take, as data (`pictures.yaml`), and orders said in their words."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from gateway.media import shapes
from gateway.media.order import Item, Order
from gateway.media.shapes import RATIOS, Size
from gateway.media.steps import Failed
from gateway.upstreams.media.refusals import Class, failure

FILE: Final = Path(__file__).with_name("pictures.yaml")
FIRST_BYTE_S: Final = 120.0  # of a vendor that says nothing before the last picture is done
NOTHING: Final = "the upstream has answered without a picture"


@dataclass(frozen=True, slots=True)
class Picture:
    """One model of pictures at its vendor. The fields are those of `pictures.yaml`."""

    text: str = "{}"
    edit: str = "{}"
    references: str = ""
    references_form: Literal["list", "single", "numbered"] = "list"
    references_most: int = 0
    size: str = ""
    object: str = ""
    sides: bool = False
    beside: Mapping[str, Any] = field(default_factory=dict)
    step: int = 16
    side: int = 1024
    sizes: Sequence[Size] = ()
    ratio: str = ""
    ratios: Sequence[str] = RATIOS
    tier: str = ""
    tiers: Mapping[str, str] = field(default_factory=dict)
    pixels: Sequence[int] = ()
    side_most: int = 0
    form: str = ""
    forms: Mapping[str, str] = field(default_factory=dict)
    mime: str = "image/png"
    passed: Sequence[str] = ()

    def model(self, order: Order) -> str:
        """The vendor's id of what is asked."""
        return (self.edit if order.images else self.text).replace("{}", order.model)

    def fits(self, order: Order) -> bool:
        """Whether the model makes what is ordered, as far as this is known."""
        if len(order.images) > self.references_most:
            return False
        if self.ratio and not (self.size or self.object or self.sides):
            return self._fits_tier(order) and self._fits_pixels(order.size)
        return self._fits_pixels(self.canvas(order))

    def _fits_tier(self, order: Order) -> bool:
        ratio, tier = self.ratio_of(order), shapes.tier_of(order)
        known = not self.ratios or ratio is None or ratio in self.ratios
        return known and (tier in (None, "1K") or tier in self.tiers)

    def _fits_pixels(self, size: Size | None) -> bool:
        if size is None:
            return True
        if self.sizes:
            return size in self.sizes
        least, most = self.pixels or (0, size[0] * size[1])
        return least <= size[0] * size[1] <= most and max(size) <= (self.side_most or max(size))

    def canvas(self, order: Order) -> Size | None:
        """Width and height to ask for: the asked size; for a ratio, the nearest of the sizes there are."""
        asked = shapes.pixels_of(order, self.step, self.side)
        if asked is None or order.size is not None or not self.sizes:
            return asked
        return min(self.sizes, key=lambda size: abs(shapes.log_of(size) - shapes.log_of(asked)))

    def ratio_of(self, order: Order) -> str | None:
        """The ratio to ask for."""
        if order.aspect_ratio is None and order.size is not None and not self.ratios:
            return shapes.reduced(order.size)
        return shapes.ratio_of(order, self.ratios or RATIOS)

    def shape(self, order: Order) -> dict[str, Any]:
        """The fields for the shape of the picture."""
        size = self.canvas(order)
        if self.size or self.object or self.sides:
            return {} if size is None else self._in_pixels(*size)
        told: dict[str, Any] = {}
        if self.ratio and (ratio := self.ratio_of(order)) is not None:
            told[self.ratio] = ratio
        if self.tier and (tier := shapes.tier_of(order)) is not None:
            told[self.tier] = self.tiers.get(tier, tier)
        return told

    def _in_pixels(self, width: int, height: int) -> dict[str, Any]:
        if self.size:
            return {self.size: f"{width}x{height}"}
        sides = {"width": width, "height": height}
        return {self.object: sides} if self.object else {**sides, **self.beside}

    def references_of(self, order: Order) -> dict[str, Any]:
        """The fields for what the request refers to, as addresses or data URLs."""
        return self.told(order.images)

    def told(self, images: Sequence[Any]) -> dict[str, Any]:
        """These references in the vendor's fields."""
        if not images or not self.references:
            return {}
        if self.references_form == "single":
            return {self.references: images[0]}
        if self.references_form == "numbered":
            names = (self.references, *(f"{self.references}_{number}" for number in range(2, len(images) + 1)))
            return dict(zip(names, images, strict=True))
        return {self.references: list(images)}

    def extras(self, order: Order) -> dict[str, Any]:
        """What else the caller sent and this model knows."""
        told = {name: order.extras[name] for name in self.passed if name in order.extras}
        wanted = order.extras.get("output_format")
        if self.form and wanted is not None:
            told[self.form] = self.forms.get(wanted, wanted) if isinstance(wanted, str) else wanted
        return told

    def mime_of(self, order: Order) -> str:
        """The media type of what comes, where the vendor does not tell it."""
        wanted = order.extras.get("output_format")
        known = wanted in ("png", "jpeg", "webp") and (self.form or "output_format" in self.passed)
        return f"image/{wanted}" if known else self.mime


@cache
def of(dialect: str, model: str) -> Picture:
    """The first row of a dialect that names this model; nothing known where none does."""
    for row in _file().get(dialect, ()):
        if any(fnmatchcase(model, glob) for glob in row["models"]):
            facts = {name: value for name, value in row.items() if name != "models"}
            facts["sizes"] = tuple((width, height) for width, height in facts.get("sizes", ()))
            facts["passed"] = tuple(flat(facts.get("passed", ())))
            return Picture(**facts)
    return Picture()


def flat(names: Sequence[Any]) -> list[str]:
    """A list of names in which further lists may stand: YAML's anchors nest."""
    found: list[str] = []
    for name in names:
        found += flat(name) if isinstance(name, list) else [name]
    return found


@cache
def _file() -> Mapping[str, Any]:
    data: Mapping[str, Any] = yaml.safe_load(FILE.read_bytes())
    return data


def bare(url: str) -> str:
    """A reference as vendors want it who take no data URLs: their base64 alone; an address as it is."""
    return url.partition(",")[2] if url.startswith("data:") else url


def link(value: Any, mime: str = "", *, short_lived: bool = False) -> Item | None:
    """A picture behind an address, or in a data URL; None for what is neither."""
    if not isinstance(value, str):
        return None
    if value.startswith(("http://", "https://")):
        return Item(url=value, mime=mime, short_lived=short_lived)
    if value.startswith("data:image/") and ";base64," in value[:100]:
        head, _, data = value.partition(";base64,")
        return inline(data, head.removeprefix("data:"))
    return None


def inline(value: Any, mime: str) -> Item | None:
    """A picture in base64; None for what is none."""
    if not isinstance(value, str) or not value:
        return None
    try:
        return Item(data=b64decode(value, validate=True), mime=mime)
    except (NoBase64, ValueError):
        return None


def nothing(message: str = NOTHING, sort: Class = Class.CENSORED, status: int | None = 200) -> Failed:
    """A success without a picture: most often what an output filter leaves of one."""
    return Failed(failure(sort, message, status))
