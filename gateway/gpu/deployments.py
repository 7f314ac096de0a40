"""Deployments: containers that a payer's jobs run in. What may be said of one, and how it is kept.

A deployment goes live a while after it was made, or after its container changed: that is a function of the clock,
nothing runs meanwhile. Its image decides which endpoint of the upstream stands for it (`schemas/catalogue/gpu.yaml`).
Source: api-reference#comfyui-as-api; limits and defaults: docs/decisions.md#deployments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from gateway import guard
from gateway.body import json_type
from gateway.config import Config
from gateway.errors import InvalidRequest, shown
from gateway.gpu.sealed import Env, locked_env, locked_value, opened_value
from gateway.sealing import Vault
from gateway.storage.tables import deployments
from gateway.usage import clean_text, iso_utc
from schemas.catalogue import UC_PER_CREDIT
from schemas.catalogue.gpu import GPUS, REGIONS, run_as

SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
PART: Final = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
IMAGE: Final = re.compile(
    rf"{PART}(?::[0-9]{{1,5}})?(?:/{PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"
)
IMAGE_LENGTH_MAX: Final = 512
ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
ENV_MAX: Final = 100
ENV_LENGTH_MAX: Final = 4096
NAME_LENGTH_MAX: Final = 200
MOST: Final = 100  # deployments of a payer
HIDDEN: Final = "********"  # in place of the value of a variable
REDEPLOYED: Final = ("docker_image", "gpu_types", "region", "env")  # what changes the container
COLUMNS: Final = deployments.c


class Deployment(NamedTuple):
    """A row of `deployments`: the fields are its columns, in order."""

    id: str
    payer_id: str
    slug: str
    name: str
    docker_image: str
    gpu_types: str
    region: str
    min_workers: int
    max_workers: int
    idle_timeout_s: int
    max_seconds: int
    webhook_url: str | None
    env: str
    created_at_ms: int
    updated_at_ms: int
    deployed_at_ms: int

    @property
    def rate_uc(self) -> int:
        """What a second costs: nobody tells on which GPU a job ran, so it is the dearest of those named."""
        return max(GPUS[name].rate_uc for name in self.gpu_types.split(","))

    def live_at_ms(self, config: Config) -> int:
        """From when on it takes jobs."""
        return self.deployed_at_ms + round(config.gpu_deploy_s * 1000)


class Range(NamedTuple):
    """A whole number that a caller may say."""

    least: int
    most: int
    default: int


RANGES: Final[Mapping[str, Range]] = {
    "minWorkers": Range(0, 50, 0),
    "maxWorkers": Range(1, 50, 3),
    "idleTimeout": Range(1, 3600, 5),  # seconds
    "maxSeconds": Range(5, 3600, 300),  # of one job
}


# --- what callers say -------------------------------------------------------------------------------------------------


def slug_of(value: Any) -> str:
    """A slug."""
    if SLUG.fullmatch(text("slug", value)) is None:
        raise InvalidRequest(
            f"`slug` is {shown(value)!r}; 1 to 63 of a-z, 0-9 and hyphens, none of these at either end, were due."
        )
    return str(value)


def name_of(value: Any) -> str:
    """A name."""
    if not 1 <= len(text("name", value).strip()) <= NAME_LENGTH_MAX:
        raise InvalidRequest(f"`name` has {len(value)} characters; 1 to {NAME_LENGTH_MAX} were due.")
    return clean_text(value.strip())


def image_of(value: Any) -> str:
    """A container image."""
    if len(text("dockerImage", value)) > IMAGE_LENGTH_MAX or IMAGE.fullmatch(value) is None:
        due = "a name such as runpod/worker-comfyui:5.1.0 was due"
        raise InvalidRequest(f"`dockerImage` is {shown(value)!r}; {due}.")
    return str(value)


def gpu_types_of(value: Any) -> str:
    """GPU types, joined by commas as in the reference, or as a list."""
    names = value if isinstance(value, list) else text("gpuTypes", value).split(",")
    due = f"one or more of {', '.join(GPUS)} were due"
    found: dict[str, None] = {}
    for name in names:
        name = name.strip() if isinstance(name, str) else name
        if not isinstance(name, str) or name not in GPUS:
            raise InvalidRequest(f"`gpuTypes` names {shown(name)!r}; {due}.")
        found[name] = None
    if not found:
        raise InvalidRequest(f"`gpuTypes` is empty; {due}.")
    return ",".join(found)


def region_of(value: Any) -> str:
    """A region."""
    if text("region", value) not in REGIONS:
        raise InvalidRequest(f"`region` is {shown(value)!r}; one of {', '.join(REGIONS)} was due.")
    return str(value)


def number_of(name: str) -> Callable[[Any], int]:
    """Reads a whole number of `RANGES`."""
    least, most, _ = RANGES[name]

    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidRequest(f"`{name}` is {json_type(value)}; an integer from {least} to {most} was due.")
        if not least <= value <= most:
            raise InvalidRequest(f"`{name}` is {value}; {least} to {most} was due.")
        return value

    return read


def env_of(value: Any) -> dict[str, str | None]:
    """Environment variables; None takes one off."""
    if not isinstance(value, dict):
        raise InvalidRequest(f"`env` is {json_type(value)}; an object of names and texts was due.")
    if len(value) > ENV_MAX:
        raise InvalidRequest(f"`env` has {len(value)} members; at most {ENV_MAX} were due.")
    for name, each in value.items():
        if ENV_NAME.fullmatch(name) is None:
            raise InvalidRequest(f"`env` names {shown(name)!r}; letters, digits and underscores were due.")
        if each is not None and (not isinstance(each, str) or len(each) > ENV_LENGTH_MAX or "\0" in each):
            raise InvalidRequest(f"`env.{name}` is no text of at most {ENV_LENGTH_MAX} characters.")
    return dict(value)


def text(name: str, value: Any) -> str:
    """A text. Raises InvalidRequest."""
    if not isinstance(value, str):
        raise InvalidRequest(f"`{name}` is {json_type(value)}; a string was due.")
    return value


READERS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {  # member -> (column, reader)
    "slug": ("slug", slug_of),
    "name": ("name", name_of),
    "dockerImage": ("docker_image", image_of),
    "gpuTypes": ("gpu_types", gpu_types_of),
    "region": ("region", region_of),
    "minWorkers": ("min_workers", number_of("minWorkers")),
    "maxWorkers": ("max_workers", number_of("maxWorkers")),
    "idleTimeout": ("idle_timeout_s", number_of("idleTimeout")),
    "maxSeconds": ("max_seconds", number_of("maxSeconds")),
    "env": ("env", env_of),
}
REQUIRED: Final = ("slug", "dockerImage", "gpuTypes")


def read(fields: Mapping[str, Any], config: Config, *, new: bool) -> dict[str, Any]:
    """The columns that a body sets. Raises InvalidRequest with what came and what was due."""
    known = [name for name in (*READERS, "webhookUrl") if new or name != "slug"]
    for name in fields:
        if name not in known:
            raise InvalidRequest(f"{shown(name)!r} means nothing here; any of {', '.join(known)} was due.")
    for name in REQUIRED if new else ():
        if fields.get(name) is None:
            raise InvalidRequest(f"`{name}` is missing.")
    found: dict[str, Any] = {}
    for name, (column, reader) in READERS.items():
        if fields.get(name) is not None:
            found[column] = reader(fields[name])
    if "webhookUrl" in fields:
        found["webhook_url"] = webhook_url_of(fields["webhookUrl"], config)
    return found


def webhook_url_of(value: Any, config: Config) -> str | None:
    """Where the caller wants to be called; null for nowhere. Raises InvalidRequest for what is not public."""
    return None if value is None else guard.checked(text("webhookUrl", value), config)


def made(ident: str, payer_id: str, found: Mapping[str, Any], now_ms: int, vault: Vault) -> Deployment:
    """A new deployment of the columns that its caller set. Raises InvalidRequest."""
    env = {name: value for name, value in found.get("env", {}).items() if value is not None}
    deployment = Deployment(
        id=ident,
        payer_id=payer_id,
        slug=found["slug"],
        name=found.get("name", found["slug"]),
        docker_image=found["docker_image"],
        gpu_types=found["gpu_types"],
        region=found.get("region", REGIONS[0]),
        min_workers=found.get("min_workers", RANGES["minWorkers"].default),
        max_workers=found.get("max_workers", max(RANGES["maxWorkers"].default, found.get("min_workers", 0))),
        idle_timeout_s=found.get("idle_timeout_s", RANGES["idleTimeout"].default),
        max_seconds=found.get("max_seconds", RANGES["maxSeconds"].default),
        webhook_url=found.get("webhook_url"),
        env=json.dumps(locked_env(vault, ident, env)),
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        deployed_at_ms=now_ms,
    )
    return checked(deployment)


def changed(old: Deployment, found: Mapping[str, Any], now_ms: int, vault: Vault) -> Deployment:
    """A deployment with other columns; it is deployed anew when its container changes. Raises InvalidRequest."""
    values = dict(found)
    if "env" in values:
        values["env"] = json.dumps(merged(json.loads(old.env), values["env"], old.id, vault))
    new = old._replace(**values, updated_at_ms=now_ms)
    if any(getattr(new, column) != getattr(old, column) for column in REDEPLOYED):
        new = new._replace(deployed_at_ms=now_ms)
    return checked(new)


def merged(env: Env, said: Mapping[str, str | None], ident: str, vault: Vault) -> Env:
    """Variables, sealed, after what a caller said of some: what is said again as it was stays as it is kept."""
    env = {**env}
    for name, value in said.items():
        if value is None:
            env.pop(name, None)
        elif value != HIDDEN and value != opened_value(vault, ident, name, env.get(name)):
            env[name] = locked_value(vault, ident, name, value)
    if len(env) > ENV_MAX:
        raise InvalidRequest(f"`env` would have {len(env)} members; at most {ENV_MAX} were due.")
    return env


def checked(deployment: Deployment) -> Deployment:
    """The same. Raises InvalidRequest where its members do not go together."""
    least, most = deployment.min_workers, deployment.max_workers
    if least > most:
        raise InvalidRequest(f"`minWorkers` is {least} and `maxWorkers` {most}; at most as many were due.")
    return deployment


def view(deployment: Deployment, config: Config, now_ms: int) -> dict[str, Any]:
    """A deployment as its caller sees it: of variables the names, not the values."""
    live_at_ms = deployment.live_at_ms(config)
    return {
        "id": deployment.id,
        "slug": deployment.slug,
        "name": deployment.name,
        "status": "live" if now_ms >= live_at_ms else "deploying",
        "dockerImage": deployment.docker_image,
        "worker": run_as(deployment.docker_image).worker,
        "gpuTypes": deployment.gpu_types,
        "creditsPerSecond": deployment.rate_uc // UC_PER_CREDIT,
        "region": deployment.region,
        "minWorkers": deployment.min_workers,
        "maxWorkers": deployment.max_workers,
        "idleTimeout": deployment.idle_timeout_s,
        "maxSeconds": deployment.max_seconds,
        "webhookUrl": deployment.webhook_url,
        "env": dict.fromkeys(json.loads(deployment.env), HIDDEN),
        "runUrl": f"/v1/gpu/run/{deployment.slug}",
        "createdAt": iso_utc(deployment.created_at_ms),
        "updatedAt": iso_utc(deployment.updated_at_ms),
        "liveAt": iso_utc(live_at_ms),
    }


# --- the database -----------------------------------------------------------------------------------------------------


def find(connection: Connection, payer_id: str, slug: str) -> Deployment | None:
    """The payer's deployment of this slug: nobody else's is ever found."""
    where = (COLUMNS.payer_id == payer_id, COLUMNS.slug == slug)
    row = connection.execute(select(deployments).where(*where)).first()
    return None if row is None else Deployment(*row)


def listed(connection: Connection, payer_id: str) -> list[Deployment]:
    """The payer's deployments, the oldest first."""
    mine = select(deployments).where(COLUMNS.payer_id == payer_id)
    return [Deployment(*row) for row in connection.execute(mine.order_by(COLUMNS.created_at_ms, COLUMNS.id))]


def count(connection: Connection, payer_id: str) -> int:
    """How many the payer has."""
    return int(connection.execute(select(func.count()).where(COLUMNS.payer_id == payer_id)).scalar_one())


def put(connection: Connection, deployment: Deployment) -> None:
    """A new one."""
    connection.execute(insert(deployments).values(**deployment._asdict()))


def replace(connection: Connection, deployment: Deployment) -> None:
    """The same row with other columns."""
    connection.execute(update(deployments).where(COLUMNS.id == deployment.id).values(**deployment._asdict()))


def drop(connection: Connection, payer_id: str, slug: str) -> bool:
    """Whether there was one. Its jobs go on: they know all they need."""
    gone = connection.execute(delete(deployments).where(COLUMNS.payer_id == payer_id, COLUMNS.slug == slug))
    return gone.rowcount == 1
