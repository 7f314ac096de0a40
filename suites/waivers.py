"""Waivers: failures a target's owner knows of, each with a reason and an end.

    waivers:
      - id: BIL-004                       # a requirement, or one check: BIL-004/settles_to_usage[chat,json]
        reason: the ledger rounds up until the next release
        expires: 2027-01-31

A waiver that covers no failure is stale, one past its date expired: both fail the run, so the file cannot rot.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class WaiverError(ValueError):
    """The waivers file cannot be used. The message is one line."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """One known failure."""

    id: str
    reason: str
    expires: datetime.date  # the last day it holds

    def covers(self, check: str) -> bool:
        """Whether a check's failure is meant."""
        return check in (self.id, self.id.partition("[")[0]) or check.startswith((f"{self.id}/", f"{self.id}["))

    def is_expired(self, today: datetime.date) -> bool:
        return today > self.expires


def read_waivers(path: Path) -> tuple[Waiver, ...]:
    """The waivers of a file. Raises WaiverError."""
    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise WaiverError(f"{path}: {' '.join(str(error).split())}") from error
    rows = data.get("waivers") if isinstance(data, dict) else None
    if not isinstance(rows, list):
        raise WaiverError(f"{path}: due a list under the key 'waivers'")
    return tuple(_row(row, f"{path}, waiver {number}") for number, row in enumerate(rows, 1))


def _row(row: Any, where: str) -> Waiver:
    if not isinstance(row, dict) or row.keys() != {"id", "reason", "expires"}:
        raise WaiverError(f"{where}: due exactly the keys id, reason, expires")
    expires = row["expires"]
    if isinstance(expires, datetime.datetime) or not isinstance(expires, datetime.date):
        raise WaiverError(f"{where}: expires is {expires!r}; due a date like 2027-01-31")
    if not str(row["reason"] or "").strip() or not str(row["id"] or "").strip():
        raise WaiverError(f"{where}: id and reason must not be empty")
    return Waiver(str(row["id"]), str(row["reason"]), expires)


@dataclass(frozen=True, slots=True)
class WaiverVerdict:
    """What the run makes of the waivers."""

    used: tuple[Waiver, ...]
    stale: tuple[Waiver, ...]
    expired: tuple[Waiver, ...]

    @property
    def fails_the_run(self) -> bool:
        return bool(self.stale or self.expired)


def applying(waivers: Iterable[Waiver], check: str, today: datetime.date) -> Waiver | None:
    """The waiver that excuses a failure of `check` today."""
    return next((waiver for waiver in waivers if waiver.covers(check) and not waiver.is_expired(today)), None)


def review(
    waivers: Sequence[Waiver], failed: Mapping[str, bool], known: Iterable[str], today: datetime.date
) -> WaiverVerdict:
    """Sort the waivers: `failed` maps every executed check to whether it failed; `known` are all ids, executed or not.

    A waiver of something that this run did not execute is neither used nor stale, unless nothing by that id exists.
    """
    ids = frozenset(known)
    used: list[Waiver] = []
    stale: list[Waiver] = []
    expired: list[Waiver] = []
    for waiver in waivers:
        covered = [has_failed for check, has_failed in failed.items() if waiver.covers(check)]
        exists = waiver.id in ids or any(waiver.covers(identity) for identity in ids)
        if waiver.is_expired(today):
            expired.append(waiver)
        elif any(covered):
            used.append(waiver)
        elif covered or not exists:
            stale.append(waiver)
    return WaiverVerdict(tuple(used), tuple(stale), tuple(expired))
