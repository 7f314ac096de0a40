"""Waivers: used, stale, expired, and files that cannot be read."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from suites.waivers import Waiver, WaiverError, applying, read_waivers, review

TODAY = datetime.date(2026, 11, 22)
KNOWN = ["BIL-004", "BIL-005", "BIL-004/settles[chat]", "BIL-004/settles[messages]", "BIL-005/sums"]


def waiver(identity: str, days: int = 10) -> Waiver:
    return Waiver(identity, "known", TODAY + datetime.timedelta(days=days))


@pytest.mark.parametrize(
    ("identity", "check", "covered"),
    [
        ("BIL-004", "BIL-004/settles[chat]", True),
        ("BIL-004/settles", "BIL-004/settles[chat]", True),
        ("BIL-004/settles[chat]", "BIL-004/settles[chat]", True),
        ("BIL-004/settles[chat]", "BIL-004/settles[messages]", False),
        ("BIL-00", "BIL-004/settles[chat]", False),
        ("BIL-004/set", "BIL-004/settles[chat]", False),
    ],
)
def test_covers(identity: str, check: str, covered: bool) -> None:
    assert waiver(identity).covers(check) is covered


@pytest.mark.parametrize(
    ("given", "failed", "bucket"),
    [
        (waiver("BIL-004"), {"BIL-004/settles[chat]": True, "BIL-004/settles[messages]": False}, "used"),
        (waiver("BIL-004"), {"BIL-004/settles[chat]": False}, "stale"),
        (waiver("BIL-004"), {"BIL-005/sums": True}, ""),  # not executed in this run
        (waiver("BIL-999"), {"BIL-005/sums": True}, "stale"),  # there is no such requirement
        (waiver("BIL-004/gone"), {"BIL-005/sums": True}, "stale"),  # there is no such check any more
        (waiver("BIL-004", days=-1), {"BIL-004/settles[chat]": True}, "expired"),
        (waiver("BIL-004", days=0), {"BIL-004/settles[chat]": True}, "used"),  # the last day counts
    ],
)
def test_review(given: Waiver, failed: dict[str, bool], bucket: str) -> None:
    verdict = review([given], failed, KNOWN, TODAY)
    assert {name for name in ("used", "stale", "expired") if getattr(verdict, name)} == ({bucket} if bucket else set())
    assert verdict.fails_the_run is (bucket in ("stale", "expired"))


def test_expired_waiver_excuses_nothing() -> None:
    assert applying([waiver("BIL-004", days=-1)], "BIL-004/settles[chat]", TODAY) is None
    assert applying([waiver("BIL-004")], "BIL-004/settles[chat]", TODAY) == waiver("BIL-004")


def test_read(tmp_path: Path) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text("waivers:\n  - {id: BIL-004, reason: until the next release, expires: 2027-01-31}\n")
    assert read_waivers(path) == (Waiver("BIL-004", "until the next release", datetime.date(2027, 1, 31)),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- x", "due a list under the key 'waivers'"),
        ("waivers: {}", "due a list under the key 'waivers'"),
        ("waivers: [{id: BIL-004, reason: x}]", "waiver 1: due exactly the keys id, reason, expires"),
        ("waivers: [{id: BIL-004, reason: x, expires: soon}]", "expires is 'soon'; due a date"),
        ("waivers: [{id: BIL-004, reason: '', expires: 2027-01-31}]", "id and reason must not be empty"),
        ("waivers: [", "while parsing"),
    ],
)
def test_unreadable(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(text)
    with pytest.raises(WaiverError, match=message) as caught:
        read_waivers(path)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WaiverError, match="No such file"):
        read_waivers(tmp_path / "none.yaml")
