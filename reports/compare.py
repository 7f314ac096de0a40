"""Two runs side by side: which checks started or stopped failing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from reports.model import BAD, LABELS, Check, Run, State
from reports.terminal import STYLES
from reports.verdict import conclude, plural

WORRYING = BAD | {State.HARNESS_ERROR}


@dataclass(frozen=True, slots=True)
class Change:
    """One check whose state differs; a state is None where the run does not have the check."""

    check: str
    before: State | None
    after: State | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from run A to run B. `regressed` is what makes the comparison fail."""

    regressed: tuple[Change, ...]  # was fine or absent, now fails, is untestable, or broke in the harness
    fixed: tuple[Change, ...]
    lost: tuple[Change, ...]  # looked at the target in A, and not at all in B
    added: tuple[Change, ...]  # new and fine
    other: tuple[Change, ...]
    unchanged: int

    @property
    def has_regressed(self) -> bool:
        """A check that is no longer made is a regression too: it would hide one."""
        return bool(self.regressed or self.lost)


def compare(before: Run, after: Run) -> Comparison:
    """The changes between two runs, by check id."""
    old, new = _by_id(before), _by_id(after)
    piles: dict[str, list[Change]] = {"regressed": [], "fixed": [], "lost": [], "added": [], "other": []}
    unchanged = 0
    for identity in sorted(old.keys() | new.keys()):
        was, now = old.get(identity), new.get(identity)
        if was and now and was.state is now.state:
            unchanged += 1
            continue
        change = Change(identity, was.state if was else None, now.state if now else None, now.reason if now else "")
        piles[_pile(change)].append(change)
    return Comparison(**{name: tuple(changes) for name, changes in piles.items()}, unchanged=unchanged)


def _pile(change: Change) -> str:
    before, after = change.before, change.after
    was_bad, is_bad = before in WORRYING, after in WORRYING
    if is_bad and not was_bad:
        return "regressed"
    if after is State.PASS and was_bad:
        return "fixed"
    if after in (None, State.NOT_APPLICABLE) and before in (State.PASS, State.WAIVED, State.FAIL):
        return "lost"
    return "added" if before is None else "other"


def _by_id(run: Run) -> Mapping[str, Check]:
    return {check.id: check for check in run.checks}


def comparison_document(before: Run, after: Run) -> dict[str, Any]:
    """The comparison as plain data, for `--json`."""
    found = compare(before, after)
    piles = {
        name: [
            {
                "check": c.check,
                "before": c.before and c.before.value,
                "after": c.after and c.after.value,
                "message": c.message,
            }
            for c in changes
        ]
        for name, changes in _piles(found).items()
    }
    verdicts = {"before": conclude(before).verdict.value, "after": conclude(after).verdict.value}
    return {"has_regressed": found.has_regressed, "verdict": verdicts, "unchanged": found.unchanged, **piles}


def _piles(found: Comparison) -> dict[str, tuple[Change, ...]]:
    return {
        "regressed": found.regressed,
        "lost": found.lost,
        "fixed": found.fixed,
        "added": found.added,
        "other": found.other,
    }


TITLES = {
    "regressed": ("Started failing", "red"),
    "lost": ("No longer looked at", "yellow"),
    "fixed": ("Stopped failing", "green"),
    "added": ("New", "blue"),
    "other": ("Changed otherwise", "dim"),
}


def print_comparison(before: Run, after: Run, console: Console) -> None:
    """Print the changes, worst first, and one line that sums up."""
    found = compare(before, after)
    for name, changes in _piles(found).items():
        if not changes:
            continue
        title, style = TITLES[name]
        console.print(Text(f"{title} ({len(changes)})", style=f"bold {style}"))
        for change in changes:
            console.print(_line(change))
        console.print()
    console.print(Text.assemble(("A ", "dim"), f"{before.target_name}: {conclude(before).title}"))
    console.print(Text.assemble(("B ", "dim"), f"{after.target_name}: {conclude(after).title}"))
    changed = sum(len(changes) for changes in _piles(found).values())
    console.print(Text(f"{plural(changed, 'check')} changed, {found.unchanged:,} as before", style="dim"))


def _line(change: Change) -> Text:
    text = Text.assemble("  ", change.check, "  ", _state(change.before), (" → ", "dim"), _state(change.after))
    if change.message and change.after in WORRYING:
        text.append(f"\n      {change.message}")
    return text


def _state(state: State | None) -> tuple[str, str]:
    return ("absent", "dim") if state is None else (LABELS[state], STYLES[state])
