"""The one list of mutants: every module of this package that defines some is read at the first look."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import mutants


class UnknownMutant(LookupError):
    """No mutant has that name."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One way to be broken."""

    name: str  # snake_case: what the faulty gateway does
    about: str  # one sentence
    area: str  # the module that defines it: "billing", "streaming"…
    defects: tuple[str, ...]  # GD-… rows it is drawn from; empty: of our own making
    apply: Callable[[], None]  # replaces the behaviour in this process, before the gateway starts


class Registry(Mapping[str, Mutant]):
    """The mutants by name, in the order of their definition."""

    def __init__(self) -> None:
        self._mutants: dict[str, Mutant] = {}
        self._read = False

    def add(self, mutant: Mutant) -> None:
        if mutant.name in self._mutants:
            raise ValueError(f"two mutants are called {mutant.name}")
        self._mutants[mutant.name] = mutant

    def _all(self) -> dict[str, Mutant]:
        if not self._read:
            self._read = True
            for module in pkgutil.iter_modules(mutants.__path__):
                if not module.name.startswith("_") and module.name != "registry":
                    importlib.import_module(f"mutants.{module.name}")
        return self._mutants

    def __getitem__(self, name: str) -> Mutant:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


REGISTRY = Registry()


def mutant(*defects: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a function as the mutant of its name; its docstring's first line says what is broken."""

    def register(apply: Callable[[], None]) -> Callable[[], None]:
        about = (apply.__doc__ or "").strip().split("\n")[0]
        if not about:
            raise ValueError(f"mutant {apply.__name__} has no docstring; one sentence on what it breaks was due")
        area = apply.__module__.rpartition(".")[2]
        REGISTRY.add(Mutant(apply.__name__, about, area, defects, apply))
        return apply

    return register


def find(name: str) -> Mutant:
    """The mutant of that name. Raises UnknownMutant, with the names that come closest."""
    if name in REGISTRY:
        return REGISTRY[name]
    close = difflib.get_close_matches(name, REGISTRY, n=3)
    raise UnknownMutant(f"no mutant is called {name}" + (f"; did you mean {', '.join(close)}?" if close else ""))
