"""Requirement rows and checks: they name each other, and nothing is left over."""

from __future__ import annotations

import importlib
import inspect
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

import suites
from schemas.catalogue import MODELS
from schemas.requirements import RequirementError, load, read_row
from suites.reply_schemas import REQUIREMENTS as SCHEMA_REQUIREMENTS
from suites.requirement import check_id, facts_of, over, requirement, word
from suites.target import profiles
from windtunnel.kill import collect

FOLDER = Path(suites.__file__).parent
MODULES = sorted(f"suites.{path.parent.name}.{path.stem}" for path in FOLDER.glob("*/test_*.py"))


def all_checks() -> dict[str, list[str]]:
    """Requirement -> functions that name it."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in MODULES:
        for function in vars(importlib.import_module(name)).values():
            facts = facts_of(function) if inspect.isfunction(function) and function.__module__ == name else None
            if facts is not None:
                found[facts.requirement].append(f"{name}.{function.__name__}")
    return found


CHECKS = all_checks()


def test_there_are_enough() -> None:
    assert len(load()) >= 110


def test_every_requirement_has_a_check_or_a_reason() -> None:
    decided = CHECKS.keys() | set(SCHEMA_REQUIREMENTS.values())
    without = [row.id for row in load().values() if not row.excluded and row.id not in decided]
    assert not without


def test_every_check_names_a_requirement_that_exists() -> None:
    assert not CHECKS.keys() - load().keys()


def test_no_excluded_requirement_has_a_check() -> None:
    assert not [row.id for row in load().values() if row.excluded and row.id in CHECKS]


def test_every_decided_requirement_can_be_broken() -> None:
    assert not [row.id for row in load().values() if not row.excluded and not row.broken_by]


def test_every_decision_that_is_cited_is_written_down() -> None:
    page = (Path(__file__).parents[2] / "docs" / "decisions.md").read_text()
    written = {line.removeprefix("### ") for line in page.splitlines() if line.startswith("### ")}
    cited = {row.source.partition("#")[2] for row in load().values() if row.source.startswith("decision#")}
    assert cited <= written, f"cited and not written: {sorted(cited - written)}"


def test_slugs_are_unique_within_a_requirement() -> None:
    slugs = Counter((name, function.rpartition(".")[2]) for name, functions in CHECKS.items() for function in functions)
    assert not [slug for slug, count in slugs.items() if count > 1]


def test_every_check_says_what_it_does() -> None:
    for name in MODULES:
        for function in vars(importlib.import_module(name)).values():
            if inspect.isfunction(function) and facts_of(function):
                assert function.__doc__, f"{name}.{function.__name__} has no docstring"
                assert "case" in inspect.signature(function).parameters


def test_profiles_are_made_of_features() -> None:
    features = {row.feature for row in load().values()}
    assert profiles()["hypereal"] == features
    for name, parts in profiles().items():
        assert parts <= features, f"{name}: {parts - features}"


GOOD = {"id": "BIL-001", "level": "MUST", "text": "A rule.", "source": "decision#x", "feature": "billing"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "BIL-1"}, "id must look like BIL-004"),
        ({"level": "MAY"}, "level 'MAY'; due one of MUST, SHOULD"),
        ({"text": "a rule"}, "text must be a sentence"),
        ({"source": "somewhere"}, "source 'somewhere'"),
        ({"feature": ""}, "feature is missing"),
        ({"needs": ["magic"]}, "needs"),
        ({"broken_by": ["Bad-Name"]}, "is no snake_case name"),
        ({"excluded": "no", "broken_by": ["x"]}, "excluded, yet broken_by"),
        ({"colour": "red"}, "unknown keys"),
    ],
)
def test_wrong_rows_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RequirementError, match=message):
        read_row(GOOD | change, "billing")


@pytest.mark.parametrize(
    ("name", "value", "due"),
    [
        ("stream", True, "stream"),
        ("stream", False, "json"),
        ("asked", True, "asked"),
        ("asked", False, "no-asked"),
        ("fault", "status=503 attempt=1", "status=503_attempt=1"),
        ("model", MODELS["gpt-5.5"], "gpt-5.5"),
        ("name", "x" * 100, "x" * 48),
    ],
)
def test_words_of_an_id(name: str, value: object, due: str) -> None:
    assert word(name, value) == due


def test_check_id_follows_the_signature() -> None:
    @requirement("BIL-004")
    @over(stream=(True,), endpoint=("chat",))
    async def test_settles(case: object, endpoint: str, stream: bool) -> None:
        """A check."""

    assert check_id(test_settles, {"stream": True, "endpoint": "chat"}) == "BIL-004/settles[chat,stream]"
    assert check_id(test_settles, {}) == "BIL-004/settles"


def test_ids_of_checks_are_unique() -> None:
    ids = Counter(check.id for check in collect())
    assert not [name for name, count in ids.items() if count > 1]
    assert len(ids) > 1000
