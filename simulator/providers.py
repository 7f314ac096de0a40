"""The providers that the fleet plays: rows of `fleet.yaml`, each with its dialects at the paths they have there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from simulator import shapes
from simulator.answers import signatures
from simulator.dialects.base import Dialect, Profile
from simulator.faults import FAULTS, Fault, Flaw, Flawed
from simulator.models import facts as models
from simulator.quotas import headers as quota_headers
from simulator.quotas import load as load_model
from simulator.quotas import rows as quota_rows
from simulator.quotas.limiter import DEFAULT_ORG, Limit
from simulator.quotas.load import Load
from simulator.rules import scenario
from simulator.tape import recording
from simulator.tape.recorded import Recorded

FILE = Path(__file__).parent / "fleet.yaml"
RESERVED = frozenset({"__fleet"})
_PARAM = re.compile(r"\\\{([a-z]+)\\\}")


@dataclass(frozen=True, slots=True, eq=False)
class Mount:
    """A dialect at one provider: below which paths, and the facts that hold there."""

    dialect: Dialect
    roots: tuple[str, ...]
    facts: Mapping[str, Any]

    @property
    def nonces(self) -> str:
        """The alphabet of the nonces in ids there."""
        return str(self.facts.get("nonces", self.dialect.nonces))

    def profile(self, provider: str, model: str) -> Profile | None:
        """The facts about one of the models there; None when there is no such model."""
        return models.profile(provider, self.dialect.name, model, self.facts)

    def snapshots(self) -> dict[str, str]:
        """The models there: id -> dated name."""
        return models.listed(self.dialect.name, self.facts)


class Route(NamedTuple):
    """Where a request goes."""

    mount: Mount
    operation: str | None  # None: the path has none, or not by this method
    params: Mapping[str, str]
    path_exists: bool


class _Path(NamedTuple):
    """One operation of one mount."""

    pattern: re.Pattern[str]
    method: str
    operation: str
    mount: Mount


@dataclass(frozen=True, slots=True)
class Provider:
    """One row: an endpoint that speaks one dialect or several."""

    name: str
    region: str
    mounts: tuple[Mount, ...]
    keys: frozenset[str]
    key: str  # the first of them, which the ready line shows
    faults: tuple[Fault, ...] = ()
    about: str = ""
    paths: tuple[_Path, ...] = field(default=(), repr=False)
    quotas: tuple[Limit, ...] = ()
    load: Load | None = None
    orgs: Mapping[str, str] = field(default_factory=dict)  # key -> organisation

    def route(self, method: str, path: str) -> Route:
        """The mount, operation and parameters of a request; of a path that nobody has, the first mount."""
        exists: _Path | None = None
        for row in self.paths:
            found = row.pattern.fullmatch(path)
            if found is None:
                continue
            if row.method == method:
                return Route(row.mount, row.operation, found.groupdict(), path_exists=True)
            exists = exists or row
        return Route(exists.mount if exists else self.mounts[0], None, {}, path_exists=exists is not None)

    def borne(self, headers: Iterable[tuple[bytes, bytes]], query: str) -> str:
        """The one of its keys that a request bears, in whatever header or parameter; "" when it needs none."""
        for _, value in headers:
            word = value.rpartition(b" ")[2].decode("latin-1")
            if word in self.keys:
                return word
        for pair in query.split("&"):
            word = pair.partition("=")[2]
            if word in self.keys:
                return word
        return ""

    def org(self, key: str) -> str:
        """The organisation that a key belongs to."""
        return self.orgs.get(key, DEFAULT_ORG)

    def describe(self, url: str) -> dict[str, Any]:
        """What the ready line tells; `dialect` and `base_url` are those of the first mount, without its root."""
        dialects = {mount.dialect.name: f"{url}/{self.name}{mount.roots[0]}" for mount in reversed(self.mounts)}
        first = self.mounts[0].dialect.name
        base = {"base_url": f"{url}/{self.name}", "dialect": first, "key": self.key, "region": self.region}
        return {**base, "dialects": {name: dialects[name] for name in sorted(dialects)}}


def _paths(mounts: tuple[Mount, ...]) -> Iterator[_Path]:
    for mount in mounts:
        for root in mount.roots:
            for (method, path), operation in mount.dialect.operations.items():
                pattern = _PARAM.sub(_segment, re.escape(root + path))
                yield _Path(re.compile(pattern), method, operation, mount)


def _segment(name: re.Match[str]) -> str:
    """What a parameter of a path may be: one segment, or with `{rest}` all that is left."""
    return f"(?P<{name[1]}>.*)" if name[1] == "rest" else f"(?P<{name[1]}>[^/]+?)"


def default_key(name: str, dialect: str) -> str:
    """The key a row accepts when it names none."""
    return f"sk-ant-fleet-{name}" if dialect.startswith("anthropic") else f"sk-fleet-{name}"


def read(data: object, dialects: Mapping[str, Dialect], seed: int) -> dict[str, Provider]:
    """The providers in parsed data, by name. Raises Flawed."""
    flaws = shapes.flaws("fleet", data)
    if flaws or not isinstance(data, Mapping):
        raise Flawed(flaws)
    providers: dict[str, Provider] = {}
    for index, row in enumerate(data["providers"]):
        where = f"providers[{index}]"
        if row["name"] in providers or row["name"] in RESERVED:
            flaws.append(Flaw(f"{where}.name", repr(row["name"]), "a name that no other row has"))
        try:
            providers[row["name"]] = _provider(row, dialects, seed, where)
        except Flawed as error:
            flaws += error.flaws
    if flaws:
        raise Flawed(flaws)
    return providers


def _provider(row: Mapping[str, Any], dialects: Mapping[str, Dialect], seed: int, where: str) -> Provider:
    mounts = _mounts(row, dialects, {"signature_secret": signatures.secret(seed), **row.get("facts", {})}, where)
    flaws = [
        Flaw(f"{where}.facts.{quota_headers.FACT}", repr(style), f"one of {', '.join(quota_headers.STYLES)}")
        for style in {mount.facts.get(quota_headers.FACT) for mount in mounts} - {None, *quota_headers.STYLES}
    ]
    if flaws:
        raise Flawed(flaws)
    orgs = {key: org for org, members in row.get("orgs", {}).items() for key in members}
    keys = row.get("keys") or list(orgs) or [default_key(row["name"], mounts[0].dialect.name)]
    faults: list[Fault] = []
    for index, raw in enumerate(row.get("faults", [])):
        options = {name: value for name, value in raw.items() if name != "kind"}
        faults.append(FAULTS.build(raw["kind"], options, f"{where}.faults[{index}]"))
    return Provider(
        name=row["name"],
        region=row["region"],
        mounts=mounts,
        keys=frozenset((*keys, *orgs)),
        key=keys[0],
        faults=tuple(faults),
        about=row.get("about", ""),
        paths=tuple(_paths(mounts)),
        quotas=quota_rows.read(row.get("quotas", ()), f"{where}.quotas"),
        load=load_model.read(row["load"]) if "load" in row else None,
        orgs=orgs,
    )


def _mounts(
    row: Mapping[str, Any], dialects: Mapping[str, Dialect], facts: Mapping[str, Any], where: str
) -> tuple[Mount, ...]:
    """The dialects of a row: `dialect: NAME`, or `dialects:` with names and {dialect, at, facts}, or `tape: FOLDER`.

    Raises Flawed.
    """
    ways = [word for word in ("dialect", "dialects", "tape") if word in row]
    if len(ways) != 1:
        raise Flawed([Flaw(where, " and ".join(ways) or "no dialect", "one of dialect, dialects and tape")])
    if "tape" in row:
        tape = Recorded(recording.load(Path(row["tape"])), paced=facts.get("pace") != "instant")
        return (Mount(tape, (tape.root,), facts),)
    mounts: list[Mount] = []
    flaws: list[Flaw] = []
    for index, raw in enumerate([row["dialect"]] if "dialect" in row else row["dialects"]):
        place = f"{where}.dialect" if "dialect" in row else f"{where}.dialects[{index}]"
        entry: Mapping[str, Any] = {"dialect": raw} if isinstance(raw, str) else raw
        dialect = dialects.get(entry["dialect"])
        if dialect is None:
            flaws.append(Flaw(place, repr(entry["dialect"]), f"one of {', '.join(dialects)}"))
            continue
        at = entry.get("at", dialect.root)
        roots = tuple([at] if isinstance(at, str) else at)
        own = {**facts, **entry.get("facts", {})}
        wrong = getattr(dialect, "flaws", None)  # of the facts that only this dialect knows
        flaws += [Flaw(f"{place}.facts.{name}", came, due) for name, came, due in (wrong(own) if wrong else ())]
        mounts.append(Mount(dialect, roots, own))
    if flaws:
        raise Flawed(flaws)
    return tuple(mounts)


def realistic(rows: Mapping[str, Provider]) -> dict[str, Provider]:
    """The rows, each as slow as its models are (`latency_profiles.yaml`), but for those that have a latency."""
    slow = FAULTS.build("latency", {"profile": "auto"})
    return {
        name: row if any(fault.kind == slow.kind for fault in row.faults) else replace(row, faults=(slow, *row.faults))
        for name, row in rows.items()
    }


def load(path: str | Path, dialects: Mapping[str, Dialect], seed: int) -> dict[str, Provider]:
    """The providers of a fleet file. Raises Flawed, each flaw with the file."""
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise Flawed([Flaw(str(path), error.strerror or "unreadable", "a fleet file")]) from None
    try:
        return read(scenario.parse_yaml(text), dialects, seed)
    except Flawed as error:
        raise error.within(str(path)) from None
