"""The registry of mutants and the requirements agree, and every mutant can be applied."""

from __future__ import annotations

import multiprocessing
import re
from collections import defaultdict

import pytest

from mutants import REGISTRY, UnknownMutant, find
from mutants.registry import Registry, mutant
from schemas.requirements import load

CATALOGUED = range(1, 212)  # GD-001 to GD-211


def named() -> dict[str, list[str]]:
    """Mutants by the requirements that name them."""
    found: dict[str, list[str]] = defaultdict(list)
    for requirement in load().values():
        for name in requirement.broken_by:
            found[name].append(requirement.id)
    return found


def test_every_mutant_that_a_requirement_names_exists() -> None:
    unknown = {name: rows for name, rows in named().items() if name not in REGISTRY}
    assert not unknown


def test_every_mutant_is_named_by_a_requirement() -> None:
    assert not set(REGISTRY) - set(named())


def test_every_requirement_that_can_be_checked_has_a_mutant() -> None:
    without = [row.id for row in load().values() if not row.excluded and not row.broken_by]
    assert not without


def test_each_mutant_says_in_one_sentence_what_it_breaks() -> None:
    for broken in REGISTRY.values():
        assert re.fullmatch(r"[A-Z`].{10,140}\.", broken.about), broken.name
        assert (broken.apply.__doc__ or "").strip() == broken.about, f"{broken.name} has more than one sentence"
        assert re.fullmatch(r"[a-z][a-z0-9_]*", broken.name)


def test_the_names_are_unlike_each_other_in_what_they_say() -> None:
    sentences = [broken.about for broken in REGISTRY.values()]
    assert len(set(sentences)) == len(sentences)


def test_defects_are_rows_of_the_catalogue() -> None:
    for broken in REGISTRY.values():
        for defect in broken.defects:
            number = re.fullmatch(r"GD-(\d{3})", defect)
            assert number is not None, f"{broken.name}: {defect}"
            assert int(number[1]) in CATALOGUED, f"{broken.name}: {defect}"
    assert sum(bool(broken.defects) for broken in REGISTRY.values()) >= 40


def apply(name: str) -> None:
    """What the child of a fork does: its exit code tells."""
    find(name).apply()


def test_every_mutant_applies_to_the_gateway_as_it_is() -> None:
    """Each in a process of its own, so that none is broken by another."""
    forks = multiprocessing.get_context("fork")
    failed = []
    for name in REGISTRY:
        child = forks.Process(target=apply, args=(name,))
        child.start()
        child.join(30)
        if child.exitcode != 0:
            failed.append(name)
    assert not failed


def test_an_unknown_name_is_told_with_those_that_are_close() -> None:
    with pytest.raises(UnknownMutant, match=r"no mutant is called settles_twise; did you mean settles_twice"):
        find("settles_twise")


def test_two_mutants_of_one_name_are_refused() -> None:
    registry = Registry()
    first = next(iter(REGISTRY.values()))
    registry.add(first)
    with pytest.raises(ValueError, match=f"two mutants are called {first.name}"):
        registry.add(first)


def test_a_mutant_without_a_sentence_is_refused() -> None:
    def silent() -> None:
        return None

    with pytest.raises(ValueError, match="has no docstring"):
        mutant()(silent)
    assert "silent" not in REGISTRY
