"""GPUs, hosted GPU models and webhooks, as data (`gpu.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from schemas.catalogue import UC_PER_CREDIT, CatalogueError, whole_uc

Worker = Literal["comfyui", "handler"]
Unit = Literal["call", "second"]
TYPES: Final = ("string", "integer", "number", "url")


@dataclass(frozen=True, slots=True)
class Gpu:
    """What a worker may run on."""

    id: str
    label: str
    memory_gb: int
    rate_uc: int  # for one second of one worker


@dataclass(frozen=True, slots=True)
class Image:
    """What a container image is run as."""

    glob: str
    worker: Worker
    endpoint: str


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a hosted model's input. `least` and `most` bound a number, or the length of a text."""

    type: str
    required: bool = False
    least: int | None = None
    most: int | None = None
    default: Any = None


@dataclass(frozen=True, slots=True)
class GpuModel:
    """A hosted model."""

    slug: str
    name: str
    kind: str  # "image" | "video" | "audio"
    unit: Unit
    rate_uc: int  # for one unit
    max_seconds: int
    sync: bool
    worker: Worker
    endpoint: str
    upstream: str | None
    min_top_up_uc: int
    input: Mapping[str, Field]
    graph: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Webhooks:
    """How webhooks to callers are sent."""

    timeout_s: float
    gaps_s: Sequence[int]
    rotated_s: int


@cache
def _file() -> Mapping[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    data: Mapping[str, Any] = yaml.load((Path(__file__).parent / "gpu.yaml").read_bytes(), Loader=loader)
    return data


def credits_uc(credits: str, where: str) -> int:
    """Microcredits of so many credits. Raises CatalogueError unless they are whole and more than none."""
    uc = Decimal(credits) * UC_PER_CREDIT
    if uc != uc.to_integral_value() or uc <= 0:
        raise CatalogueError(f"{where}: {credits} credits are {uc} microcredits; a whole number > 0 was due")
    return int(uc)


def read_gpus() -> dict[str, Gpu]:
    """Every GPU by id, in the order of the file."""
    return {
        row["id"]: Gpu(row["id"], row["label"], row["memory_gb"], credits_uc(row["credits_per_s"], row["id"]))
        for row in _file()["gpus"]
    }


def read_model(row: Mapping[str, Any]) -> GpuModel:
    """One hosted model."""
    slug = row["slug"]
    if ("credits_per_call" in row) == ("credits_per_s" in row):
        raise CatalogueError(f"{slug}: one of credits_per_call and credits_per_s was due")
    unit: Unit = "call" if "credits_per_call" in row else "second"
    members = {name: Field(**facts) for name, facts in row["input"].items()}
    for name, member in members.items():
        if member.type not in TYPES:
            raise CatalogueError(f"{slug}: input {name} is of type {member.type}; one of {', '.join(TYPES)} was due")
    return GpuModel(
        slug=slug,
        name=row["name"],
        kind=row["kind"],
        unit=unit,
        rate_uc=credits_uc(row["credits_per_call" if unit == "call" else "credits_per_s"], slug),
        max_seconds=row["max_seconds"],
        sync=row["sync"],
        worker=row["worker"],
        endpoint=row["endpoint"],
        upstream=row.get("upstream"),
        min_top_up_uc=whole_uc(row.get("min_top_up_usd", "0"), 1, slug),
        input=members,
        graph=row.get("graph", {}),
    )


def read_models() -> dict[str, GpuModel]:
    """Every hosted model by slug, in the order of the file."""
    models: dict[str, GpuModel] = {}
    for row in _file()["models"]:
        model = read_model(row)
        if model.slug in models:
            raise CatalogueError(f"{model.slug}: listed twice")
        models[model.slug] = model
    return models


GPUS: Final[Mapping[str, Gpu]] = read_gpus()
GPU_MODELS: Final[Mapping[str, GpuModel]] = read_models()
REGIONS: Final[Sequence[str]] = tuple(_file()["regions"])
IMAGES: Final[Sequence[Image]] = tuple(Image(row["image"], row["worker"], row["endpoint"]) for row in _file()["images"])
WEBHOOKS: Final = Webhooks(
    float(_file()["webhooks"]["timeout_s"]), tuple(_file()["webhooks"]["gaps_s"]), _file()["webhooks"]["rotated_s"]
)


def run_as(docker_image: str) -> Image:
    """What a container image is run as. Raises CatalogueError where no glob fits."""
    for image in IMAGES:
        if fnmatchcase(docker_image.removeprefix("docker.io/"), image.glob):
            return image
    raise CatalogueError(f"{docker_image}: no glob of gpu.yaml fits")
