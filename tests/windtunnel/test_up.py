"""`windtunnel up`: what it prints works, and it ends as asked."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.servers import ready_line
from tests.windtunnel.commands import ROOT, complaint, windtunnel
from windtunnel.up import curl_line, example_model

STOP_S = 30


@contextmanager
def up(*words: str) -> Iterator[subprocess.Popen[str]]:
    """`windtunnel up` on free ports; killed at the end if it still runs."""
    command = [sys.executable, "-m", "windtunnel", "up", "--port", "0", "--fleet-port", "0", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def children_of(pid: int) -> list[int]:
    """The processes that `pid` started."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ask(curl: str) -> dict[str, object]:
    """Send what a printed curl line would."""
    words = shlex.split(curl)
    headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
    body = words[words.index("-d") + 1].encode()
    with urllib.request.urlopen(urllib.request.Request(words[1], data=body, headers=headers), timeout=20) as response:
        answer: dict[str, object] = json.load(response)
    return answer


def test_json_is_one_line_and_ctrl_c_stops_everything() -> None:
    with up("--json", "--key", "ck_mine_0123456789", "--seed", "5") as process:
        told = ready_line(process)
        assert told["key"] == "ck_mine_0123456789"
        assert {"base_url", "control_url", "providers"} <= told["fleet"].keys()
        for row in told["fleet"]["providers"].values():
            assert {"base_url", "dialect", "key"} <= row.keys()
        answer = ask(curl_line(told["gateway"]["base_url"], told["key"], example_model()))
        assert answer["object"] == "chat.completion"
        children = children_of(process.pid)
        assert len(children) == 2
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=STOP_S)
        assert (process.returncode, out, err) == (130, "", "")
        assert not any(is_alive(child) for child in children)


def test_people_get_urls_a_key_and_a_curl_line_that_works() -> None:
    with up() as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("Ctrl-C"):
                break
        text = "\n".join(lines)
        assert "OpenAI SDK     base_url=http://127.0.0.1:" in text
        assert "Anthropic SDK  base_url=http://127.0.0.1:" in text
        assert re.search(r"Google SDK +base_url=http://127\.0\.0\.1:\d+/api/v1/gemini\n", text)
        assert "(100,000 credits)" in text
        curl = next(line.strip() for line in lines if line.strip().startswith("curl "))
        assert ask(curl)["object"] == "chat.completion"
        process.terminate()
        assert process.wait(STOP_S) == 143


def test_a_child_that_dies_ends_the_command_with_3() -> None:
    with up("--json") as process:
        ready_line(process)
        first, second = children_of(process.pid)
        os.kill(first, signal.SIGKILL)
        _, err = process.communicate(timeout=STOP_S)
        assert process.returncode == 3
        assert err.count("\n") == 1
        assert "ended unexpectedly (killed by SIGKILL)" in err
        assert not is_alive(second)


@pytest.mark.parametrize("option", ["--port", "--fleet-port"])
def test_a_port_in_use_is_one_line_and_exit_2(option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = windtunnel("up", "--json", option, port)
        assert done.returncode == 2
        assert f"port {port} on 127.0.0.1 cannot be used" in complaint(done)


@pytest.mark.parametrize(
    "key", ["sk-other-0123456789", "ck_", "ck_with space 0123456789", "ck_é0123456789abc", "ck_short"]
)
def test_a_key_no_gateway_could_hand_out_is_refused(key: str) -> None:
    done = windtunnel("up", "--key", key)
    assert done.returncode == 2
    assert "a key has 16 characters or more: ck_" in complaint(done)
