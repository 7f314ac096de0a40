"""The log survives a crash of its writer, and says where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.events import LogError, read_log
from tests.reports.sample import events, finished, started, write_log


def test_what_was_written_is_read(tmp_path: Path) -> None:
    log = read_log(write_log(tmp_path / "events.ndjson"))
    assert list(log.events) == list(events())
    assert log.digest.startswith("sha256:")


def test_a_folder_stands_for_its_log(tmp_path: Path) -> None:
    write_log(tmp_path / "run" / "events.ndjson")
    assert list(read_log(tmp_path / "run").events) == list(events())


def test_a_line_cut_by_a_crash_is_left_out(tmp_path: Path) -> None:
    path = write_log(tmp_path / "events.ndjson", [started(), finished(0)])
    whole = path.read_bytes()
    for cut in range(len(whole.splitlines(keepends=True)[0]), len(whole)):
        path.write_bytes(whole[:cut])
        assert [event["event"] for event in read_log(path).events] == ["run_started"], cut


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not json\n", "line 1: not JSON"),
        (b"[1]\n", "line 1: not an event"),
        (b'{"event": 3}\n', "line 1: not an event"),
        (b"", "the first event must be run_started"),
        (b'{"event":"run_finished","exit_code":0}\n', "the first event must be run_started"),
        (b'{"event":"run_started","schema":"other/9"}\n', "'other/9'"),
        (b"\xff\xfe\n", "line 1: not JSON"),
    ],
)
def test_a_wrong_log_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(content)
    with pytest.raises(LogError, match=message) as caught:
        read_log(path)
    assert "\n" not in str(caught.value)


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no event log there"):
        read_log(tmp_path / "nothing")
