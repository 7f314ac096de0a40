"""What every fault is: one noun with options, applied to the plan of a reply before anything is sent.

A fault is a value. It bites at one of four places, and returns what it got when there is nothing for it to bite: so
the journal can tell which faults a reply truly met.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from simulator import draws
from simulator.answers.answer import Answer, Usage
from simulator.ask import Ask
from simulator.dialects.base import Dialect, Serving
from simulator.jobs.job import Plan
from simulator.problem import Problem
from simulator.quotas.load import UNLOADED, Pace
from simulator.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from random import Random


class Flaw(NamedTuple):
    """One thing wrong in a file or an option: where it is, what came, what was due."""

    where: str
    came: str
    due: str

    def __str__(self) -> str:
        return f"{self.where}: came {self.came}; due {self.due}"


class Flawed(ValueError):
    """Input that names faults, rules or providers and is wrong, with every flaw found."""

    def __init__(self, flaws: list[Flaw]) -> None:
        super().__init__("; ".join(map(str, flaws)))
        self.flaws = flaws

    def within(self, file: str) -> Flawed:
        """The same, each flaw with the file that it is in."""
        return Flawed([f if f.where.startswith(file) else f._replace(where=f"{file}: {f.where}") for f in self.flaws])


@dataclass(frozen=True, slots=True)
class Scene:
    """The exchange a fault meets."""

    dialect: Dialect
    serving: Serving
    key: tuple[object, ...]  # of every draw: seed, provider, case or digest, attempt
    ask: Ask | None = None  # None: the request was not understood
    path: str = ""
    retell: Callable[[bool], Script] | None = None  # what is said, streamed or not; None: nothing is
    usage: Usage | None = None  # what the answer truly used
    pace: Pace = UNLOADED  # what the load of the provider does to delays

    def dice(self, *parts: object) -> Random:
        """A random stream of this exchange's own."""
        return draws.dice(*self.key, *parts)

    def refusal(self, problem: Problem) -> Script:
        """The dialect's native reply for a problem."""
        return self.dialect.error(problem, self.serving)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that does nothing; each kind overrides the place where it bites.

    `quirk` is its name in the catalogue of provider quirks, where that differs from the kind with hyphens; scenarios
    and directives may use either. `seen_at` says which providers show it, or "synthetic". A `still` fault only rewrites
    what is said, without dice, delays or the connection: a provider that always has it can be served ready-made.
    """

    kind: ClassVar[str]
    quirk: ClassVar[str] = ""
    seen_at: ClassVar[str] = ""
    still: ClassVar[bool] = False
    holds: ClassVar[bool] = False  # keeps a reply back until somebody lets it go

    def problem(self, _scene: Scene, /) -> Problem | None:
        """Refuse instead of answering."""
        return None

    def answer(self, answer: Answer, _scene: Scene, /) -> Answer:
        """Change what is said."""
        return answer

    def job(self, plan: Plan, _scene: Scene, /) -> Plan:
        """Change what becomes of the job that the request begins."""
        return plan

    def script(self, script: Script, _scene: Scene, /) -> Script:
        """Change what goes over the wire, and when."""
        return script


F = TypeVar("F", bound=type[Fault])


class Registry:
    """All kinds of fault, by name."""

    def __init__(self) -> None:
        self._kinds: dict[str, type[Fault]] = {}
        self._quirks: dict[str, str] = {}  # name in the catalogue -> kind

    def register(self, cls: F) -> F:
        """Add a kind, as a class decorator."""
        for name in (cls.kind, cls.quirk):
            if name in self:
                raise ValueError(f"two faults are called {name}")
        self._kinds[cls.kind] = cls
        if cls.quirk:
            self._quirks[cls.quirk] = cls.kind
        return cls

    def kind(self, name: object) -> str | None:
        """The kind that a name means: the kind itself, also with hyphens, or the name of a quirk."""
        if not isinstance(name, str):
            return None
        kind = self._quirks.get(name, name.replace("-", "_"))
        return kind if kind in self._kinds else None

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __getitem__(self, name: str) -> type[Fault]:
        return self._kinds[self.kind(name) or name]

    def __contains__(self, name: object) -> bool:
        return self.kind(name) is not None

    def names(self, kind: str | None = None) -> list[str]:
        """Every name a file may use, in order, or those of one kind: the kind, also with hyphens, and its quirk."""
        kinds = self._kinds if kind is None else [kind]
        quirks = [self._kinds[one].quirk for one in kinds if self._kinds[one].quirk]
        return sorted({*kinds, *quirks, *(one.replace("_", "-") for one in kinds)})

    def build(self, kind: object, options: Mapping[str, object], where: str = "fault") -> Fault:
        """The fault of that kind. Raises Flawed with every option that is wrong."""
        found = self.kind(kind)
        if found is None:
            raise Flawed([Flaw(f"{where}.kind", repr(kind), _likely(kind, self.names(), list(self._kinds)))])
        kind, cls = found, self._kinds[found]
        known = {field.name: field for field in fields(cls)}
        values: dict[str, Any] = {}
        flaws: list[Flaw] = []
        for name, raw in options.items():
            if name not in known:
                due = f"an option of {kind}: {', '.join(known)}" if known else f"no option: {kind} has none"
                flaws.append(Flaw(f"{where}.{name}", "an unknown option", due))
                continue
            try:
                values[name] = known[name].metadata["read"](raw)
            except ValueError as error:
                flaws.append(Flaw(f"{where}.{name}", repr(raw), str(error)))
        flaws += [
            Flaw(where, f"{kind} without {name}", f"{name}: {field.metadata['due']}")
            for name, field in known.items()
            if is_required(field) and name not in options
        ]
        if flaws:
            raise Flawed(flaws)
        try:
            return cls(**values)
        except ValueError as error:
            raise Flawed([Flaw(where, f"{kind} {dict(options)}", str(error))]) from None


def _likely(came: object, names: list[str], kinds: list[str]) -> str:
    """The names that are close to what came, else all kinds."""
    close = get_close_matches(came, names, 3) if isinstance(came, str) else []
    return f"perhaps {' or '.join(close)}; all kinds are in docs/faults.md" if close else f"one of {', '.join(kinds)}"


def is_required(field: Field[Any]) -> bool:
    """Whether an option has no default."""
    return field.default is MISSING and field.default_factory is MISSING


FAULTS = Registry()
