"""The target file: how to reach, prepare and judge one gateway (schemas/target.schema.json)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml
from jsonschema import Draft202012Validator

from schemas.requirements import load

SCHEMA_PATH: Final = Path(__file__).parent.parent / "schemas" / "target.schema.json"
PROFILES_PATH: Final = Path(__file__).with_name("profiles.yaml")


class TargetError(ValueError):
    """The target cannot be used as described. The message is one line for the person who wrote it."""


@dataclass(frozen=True, slots=True)
class Provisioning:
    """The hook that makes users, keys and money."""

    url: str
    token: str
    test_clock: bool = False


@dataclass(frozen=True, slots=True)
class Policies:
    """What the gateway promises where gateways rightly differ."""

    disconnect: str = "charge_delivered"
    upstream_death: str = "charge_delivered"
    failed_requests_count: bool = True
    window: str = "fixed"
    crash: str = "release"
    bytes_per_token: int = 4


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds of silence that the gateway bears or fills."""

    keepalive_s: float = 15.0
    first_byte_s: float = 60.0
    idle_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """When the gateway stops asking an upstream, and for how long."""

    failures: int
    cooldown_s: float


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A model that providers of another dialect serve on some endpoint, by translation."""

    model: str
    own: tuple[str, ...]  # the fleet's providers of the endpoint's own dialect, asked first
    others: tuple[str, ...]  # those of another dialect, at least one


@dataclass(frozen=True, slots=True)
class Target:
    """One gateway to judge. URLs have no trailing slash."""

    name: str
    openai_url: str
    anthropic_url: str
    api_url: str
    models: Mapping[str, tuple[str, ...]]
    features: frozenset[str]
    profile: str = "hypereal"
    key: str | None = None
    provisioning: Provisioning | None = None
    fleet_url: str | None = None
    usage_url: str | None = None
    upstreams: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    translation: Mapping[str, tuple[Elsewhere, ...]] = field(default_factory=dict)  # by endpoint
    policies: Policies = field(default_factory=Policies)
    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: int = 1
    breaker: Breaker | None = None
    start_command: tuple[str, ...] = ()
    prepare_command: tuple[str, ...] = ()  # before its first start
    clean_up_command: tuple[str, ...] = ()  # after its end
    own_at_once: int | None = None  # gateways started by these commands that may run at the same time

    @property
    def root_url(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.openai_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def hooks(self) -> frozenset[str]:
        """Which of `schemas.requirements.NEEDS` the target meets."""
        given = {
            "fleet_control": self.fleet_url,
            "provisioning": self.provisioning,
            "ledger": self.provisioning,
            "upstreams_view": self.provisioning,
            "usage_log": self.usage_url,
            "test_clock": self.provisioning is not None and self.provisioning.test_clock,
            "restart": self.start_command,
        }
        return frozenset(name for name, hook in given.items() if hook)


@cache
def profiles() -> Mapping[str, frozenset[str]]:
    """The features each profile consists of."""
    rows = yaml.safe_load(PROFILES_PATH.read_text())
    everything = frozenset(requirement.feature for requirement in load().values())
    return {name: everything if row == "all" else frozenset(row) for name, row in rows.items()}


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA_PATH.read_text()))


def problems(data: Any) -> list[str]:
    """What is wrong with a target, one sentence each: where, and what was due."""
    found = []
    for error in sorted(_validator().iter_errors(data), key=lambda e: [str(part) for part in e.absolute_path]):
        where = ".".join(str(part) for part in error.absolute_path) or "the file"
        found.append(f"{where}: {_due(error.message)}")
    if not found:
        known = frozenset().union(*profiles().values())
        strange = sorted(set(data.get("features", ())) - known)
        found += [f"features: unknown {name!r}; known are {', '.join(sorted(known))}" for name in strange]
        if data.get("profile", "hypereal") not in profiles():
            found.append(f"profile: unknown {data['profile']!r}; known are {', '.join(sorted(profiles()))}")
    return found


def _due(message: str) -> str:
    """The validator's message, short enough for a line."""
    return message if len(message) <= 200 else message[:200] + "…"


def read_target(path: Path) -> Target:
    """The target of a YAML file. Raises TargetError."""
    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise TargetError(f"{path}: {' '.join(str(error).split())}") from error
    return build_target(data, str(path))


def build_target(data: Any, where: str) -> Target:
    """The target that plain data describe. Raises TargetError naming `where`."""
    found = problems(data)
    if found:
        raise TargetError(f"{where}: " + "; ".join(found))
    urls = {wire: url.rstrip("/") for wire, url in data["base_urls"].items()}
    base = urls["openai"].removesuffix("/v1")
    profile = data.get("profile", "hypereal")
    policies = dict(data.get("policies", {}))
    estimate = policies.pop("estimate", {})
    provisioning = data.get("provisioning")
    return Target(
        name=data["name"],
        openai_url=urls["openai"],
        anthropic_url=urls.get("anthropic", base),
        api_url=urls.get("api", base),
        models={endpoint: tuple(names) for endpoint, names in data["models"].items()},
        features=frozenset(data["features"]) if "features" in data else profiles()[profile],
        profile=profile,
        key=data.get("key"),
        provisioning=None if provisioning is None else _provisioning(provisioning),
        fleet_url=data["fleet"]["control_url"].rstrip("/") if "fleet" in data else None,
        usage_url=data["usage"]["url"] if "usage" in data else None,
        upstreams={name: tuple(chain) for name, chain in data.get("upstreams", {}).items()},
        translation={
            endpoint: tuple(Elsewhere(row["model"], tuple(row.get("own", ())), tuple(row["others"])) for row in rows)
            for endpoint, rows in data.get("translation", {}).items()
        },
        policies=Policies(**policies, **estimate),
        timeouts=Timeouts(**data.get("timeouts", {})),
        retries=data.get("retries", 1),
        breaker=Breaker(**data["breaker"]) if "breaker" in data else None,
        start_command=tuple(data.get("commands", {}).get("start", ())),
        prepare_command=tuple(data.get("commands", {}).get("prepare", ())),
        clean_up_command=tuple(data.get("commands", {}).get("clean_up", ())),
        own_at_once=data.get("commands", {}).get("at_once"),
    )


def _provisioning(row: Mapping[str, Any]) -> Provisioning:
    return Provisioning(row["url"].rstrip("/"), row["token"], row.get("test_clock", False))


def target_of_url(url: str, key: str | None, profile: str | None = None) -> Target:
    """A target of which only the base URL and a key are known."""
    base = url.rstrip("/").removesuffix("/v1")
    data: dict[str, Any] = {
        "name": url,
        "base_urls": {"openai": f"{base}/v1", "anthropic": base, "api": base},
        "profile": profile or "hypereal",
        "models": {"chat": ["gpt-5.5"], "messages": ["claude-sonnet-4-6"]},
    }
    if key:
        data["key"] = key
    return build_target(data, url)
