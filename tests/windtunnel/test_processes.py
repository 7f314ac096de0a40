"""Children: ready, refused, silent, dead; and always gone at the end."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from windtunnel.errors import HarnessProblem, UsageProblem
from windtunnel.processes import Child, check_port, own_or_free, watch

READY = 'import sys, time; print(\'{"fleet": {"base_url": "x"}}\', flush=True); '
Start = Callable[[str], Child]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a Python program as a child; each is stopped at the end."""
    children: list[Child] = []

    def begin(program: str) -> Child:
        children.append(Child("fleet", ["-c", program], tmp_path))
        return children[-1]

    yield begin
    for child in children:
        child.stop()


def test_the_ready_line_is_read(start: Start) -> None:
    child = start(READY + "time.sleep(60)")
    assert child.ready() == {"fleet": {"base_url": "x"}}
    assert child.died() is None
    child.stop()
    assert child.process.returncode is not None


def test_a_refusal_is_a_usage_problem_with_its_reason(start: Start) -> None:
    child = start("import sys; print('noise', file=sys.stderr); "
                  "print('fleet: port 80 is taken', file=sys.stderr); sys.exit(2)")  # fmt: skip
    with pytest.raises(UsageProblem, match=r"the fleet did not start .exit code 2.: fleet: port 80 is taken"):
        child.ready()


def test_a_crash_is_a_harness_problem_with_its_last_line(start: Start) -> None:
    with pytest.raises(HarnessProblem, match=r"exit code 1.: RuntimeError: boom") as caught:
        start("raise RuntimeError('boom')").ready()
    assert "\n" not in str(caught.value)


def test_silence_is_a_harness_problem(start: Start) -> None:
    child = start("import time; time.sleep(60)")
    with pytest.raises(HarnessProblem, match=r"not ready after 0.2 s"):
        child.ready(timeout_s=0.2)
    assert child.process.returncode is not None


def test_something_else_on_stdout_is_a_harness_problem(start: Start) -> None:
    with pytest.raises(HarnessProblem, match="printed b'hello"):
        start("print('hello', flush=True); import time; time.sleep(60)").ready()


def test_a_child_that_dies_later_is_noticed(start: Start) -> None:
    child = start(READY + "sys.exit('out of memory')")
    child.ready()
    with pytest.raises(HarnessProblem, match=r"the fleet ended unexpectedly .exit code 1.: out of memory"):
        watch([child])


def test_a_killed_child_is_noticed(start: Start) -> None:
    child = start(READY + "time.sleep(60)")
    child.ready()
    child.process.kill()
    with pytest.raises(HarnessProblem, match="killed by SIGKILL"):
        watch([child])


def test_a_child_that_talks_much_does_not_block(start: Start) -> None:
    child = start(READY + "[print('x' * 1000, flush=True) for _ in range(1000)]; print('done', file=sys.stderr)")
    child.ready()
    assert child.process.wait(30) == 0
    assert child.complaint == "done"


def test_a_child_that_ignores_sigterm_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("windtunnel.processes.STOP_S", 0.2)
    child = start("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + READY + "time.sleep(60)")
    child.ready()
    child.stop()
    assert child.process.returncode == -9
    with pytest.raises(ProcessLookupError):
        os.kill(child.process.pid, 0)


def test_a_taken_port_is_a_usage_problem() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            UsageProblem, match=f"port {port} on 127.0.0.1 cannot be used for the gateway: address already"
        ):
            check_port("127.0.0.1", port, "gateway")
        assert own_or_free("127.0.0.1", None, port, "gateway") == 0
        with pytest.raises(UsageProblem):
            own_or_free("127.0.0.1", port, 1, "gateway")
    assert own_or_free("127.0.0.1", None, port, "gateway") == port
    assert own_or_free("127.0.0.1", 0, port, "gateway") == 0
