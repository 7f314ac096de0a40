"""`windtunnel report`."""

from __future__ import annotations

import json
from pathlib import Path

from reports import FILES
from tests.reports.sample import check, events, finished, requirement, started, write_log
from tests.windtunnel.commands import complaint, windtunnel


def test_show_prints_the_failures_and_exits_with_the_verdict(tmp_path: Path) -> None:
    write_log(tmp_path / "events.ndjson")
    for path in (tmp_path, tmp_path / "events.ndjson"):
        done = windtunnel("report", "show", str(path), "--areas")
        assert done.returncode == 1
        assert "charged 0 uc, due 412 uc" in done.stdout
        assert "Not conformant. Of 116 checks" in done.stdout
        assert not done.stderr
    assert json.loads(windtunnel("report", "show", str(tmp_path), "--json").stdout)["verdict"]["exit_code"] == 1


def test_show_can_write_the_files_again(tmp_path: Path) -> None:
    write_log(tmp_path / "events.ndjson")
    windtunnel("report", "show", str(tmp_path), "--write")
    assert all((tmp_path / name).is_file() for name in FILES)


def test_diff_fails_only_when_something_regressed(tmp_path: Path) -> None:
    good = [started(), requirement("BIL-001"), check("BIL-001/a"), finished(0)]
    write_log(tmp_path / "good" / "events.ndjson", good)
    write_log(tmp_path / "bad" / "events.ndjson", [*good[:2], check("BIL-001/a", "fail", message="twice"), finished(1)])
    good_run, bad_run = str(tmp_path / "good"), str(tmp_path / "bad")
    worse = windtunnel("report", "diff", good_run, bad_run)
    assert worse.returncode == 1
    assert "Started failing (1)" in worse.stdout
    assert windtunnel("report", "diff", bad_run, good_run).returncode == 0
    assert windtunnel("report", "diff", good_run, good_run).returncode == 0
    assert json.loads(windtunnel("report", "diff", good_run, bad_run, "--json").stdout)["has_regressed"] is True


def test_a_missing_or_wrong_log_is_one_line_and_exit_2(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.ndjson"
    wrong.write_text("{}\n")
    for words in (("show", str(tmp_path / "none")), ("show", str(wrong)), ("diff", str(wrong), str(wrong))):
        done = windtunnel("report", *words)
        assert done.returncode == 2
        assert str(tmp_path) in complaint(done)


def test_the_sample_differs_from_a_run_in_which_its_failures_pass(tmp_path: Path) -> None:
    write_log(tmp_path / "now" / "events.ndjson")
    fixed = ({**event, "outcome": "pass"} if event.get("outcome") == "fail" else event for event in events())
    write_log(tmp_path / "then" / "events.ndjson", fixed)
    done = windtunnel("report", "diff", str(tmp_path / "then"), str(tmp_path / "now"), "--json")
    assert len(json.loads(done.stdout)["regressed"]) == 5
