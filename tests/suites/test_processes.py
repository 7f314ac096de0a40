"""Subprocesses that say when they are ready, and those that do not."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from suites.launch import GATEWAY_COMMAND, GATEWAY_CONFIG, gateway_argv, launch
from suites.processes import Server, StartError

READY = 'import sys, time; print("starting"); print(\'{"gateway": {"base_url": "x"}}\', flush=True); sys.stdin.read(); '
WAIT = "import signal; signal.pause()"


def python(source: str) -> list[str]:
    return [sys.executable, "-c", source]


def test_ready_line_is_found_among_others(tmp_path: Path) -> None:
    with Server(python(READY + WAIT), tmp_path / "log") as server:
        assert server.ready == {"gateway": {"base_url": "x"}}
        assert server.is_running()
    assert not server.is_running()


def test_stop_is_orderly(tmp_path: Path) -> None:
    handler = "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); signal.pause()"
    with Server(
        python(READY.replace('print("starting")', handler.partition(";")[0]) + handler), tmp_path / "log"
    ) as server:
        server.signal(signal.SIGTERM)
        assert server.wait() in (7, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import sys; sys.stderr.write('port in use\\n'); sys.exit(2)", "ended with 2; its last words: port in use"),
        ("pass", "ended with 0; it said nothing"),
    ],
)
def test_last_words_are_told(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(StartError, match=message):
        Server(python(source), tmp_path / "log")


def test_silence_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"not ready after 0\.2 s"):
        Server(python(WAIT), tmp_path / "log", limit_s=0.2)


def test_no_such_program(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot start /no/such: No such file"):
        Server(["/no/such"], tmp_path / "log")


def test_kill_is_at_once(tmp_path: Path) -> None:
    server = Server(python(READY + WAIT), tmp_path / "log")
    server.kill()
    assert server.wait(0.1) == -signal.SIGKILL


def test_launch_names_what_is_missing() -> None:
    fleet = python("print('{\"fleet\": {}}', flush=True); " + WAIT)
    with pytest.raises(StartError, match=r"no fleet\.base_url"), launch(fleet=fleet):
        raise AssertionError("nothing was started")


def test_gateway_command_can_be_replaced(tmp_path: Path) -> None:
    argv = gateway_argv(("python", "-m", "mutants", "settles_twice"), tmp_path / "c.yaml", "http://f", "/data")
    assert argv[:4] == ["python", "-m", "mutants", "settles_twice"]
    assert argv[4:] == gateway_argv(GATEWAY_COMMAND, tmp_path / "c.yaml", "http://f", "/data")[3:]
    assert "sqlite:////data/gateway.sqlite" in argv


def test_silences_leave_room_for_keepalives() -> None:
    assert GATEWAY_CONFIG["keepalive_s"] < GATEWAY_CONFIG["idle_timeout_s"]
