"""The wires of vendors that make pictures, clips and sound, by dialect: one module a vendor, without I/O of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.media.steps import Vendor
from gateway.upstreams.media.openai_images import OpenAIImages

_ALL: Final[tuple[Vendor, ...]] = (OpenAIImages(),)
VENDORS: Final[Mapping[str, Vendor]] = {vendor.dialect: vendor for vendor in _ALL}
