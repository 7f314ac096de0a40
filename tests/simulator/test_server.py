"""The fleet as a whole: what each request gets, and that ready-made replies are what would have been written anew."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from simulator import providers
from simulator.__main__ import fleet as command_line
from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.fleet import PASSING_HEADERS, Fleet
from simulator.head import whole
from simulator.memory import BODY_BYTES, Known, Memory
from tests.servers import ready_line
from tests.simulator.live import Live, chat, message, request, running

OPENAI_KEY = {"authorization": "Bearer sk-fleet-openai", "content-type": "application/json"}
ANTHROPIC_KEY = {"x-api-key": "sk-ant-fleet-anthropic", "anthropic-version": "2023-06-01"}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def error(content: Any) -> tuple[object, object]:
    """(type, message) of a native error of either wire."""
    return content["error"]["type"], content["error"]["message"]


def test_the_index_and_unknown_providers(fleet: Live) -> None:
    index = fleet.call(request("GET", "/")).json
    assert set(index["providers"]) == set(fleet.runtime.fleet.providers)
    for path in ("/nobody/v1/models", "/nobody", "/openai2/v1/models"):
        reply = fleet.call(request("GET", path))
        assert reply.status == 404
        assert "openai" in reply.json["error"]["providers"]


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/nothing", "/v1/chat/completions/", "/%00", "//v1/models"])
def test_unknown_paths_are_refused_natively(fleet: Live, path: str) -> None:
    openai = fleet.call(request("POST", f"/openai{path}", {}, OPENAI_KEY))
    assert (openai.status, openai.json["error"]["type"]) == (404, "invalid_request_error")
    anthropic = fleet.call(request("POST", f"/anthropic{path}", {}, ANTHROPIC_KEY))
    assert (anthropic.status, anthropic.json["error"]["type"]) == (404, "not_found_error")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_wrong_methods_are_refused_natively(fleet: Live, method: str) -> None:
    assert fleet.call(request(method, "/openai/v1/chat/completions", None, OPENAI_KEY)).status == 405
    assert fleet.call(request(method, "/anthropic/v1/messages", None, ANTHROPIC_KEY)).status == 405


@pytest.mark.parametrize("key", ["", "Bearer", "Bearer sk-wrong", "Basic abc", "Bearer sk-fleet-openai-eu"])
def test_wrong_keys_are_refused_natively(fleet: Live, key: str) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}
    assert fleet.call(request("POST", "/openai/v1/chat/completions", body, {"authorization": key})).status == 401
    anthropic = fleet.call(request("POST", "/anthropic/v1/messages", body, {"authorization": key}))
    assert error(anthropic.json)[0] == "authentication_error"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b'{"model": "gpt-4o"', b"5", b'"x"', b"{}", b"\x00" * 100]
)
def test_bad_bodies_are_refused_natively(fleet: Live, body: bytes) -> None:
    openai = fleet.call(request("POST", "/openai/v1/chat/completions", body, OPENAI_KEY))
    assert (openai.status, openai.json["error"]["type"]) == (400, "invalid_request_error")
    anthropic = fleet.call(request("POST", "/anthropic/v1/messages", body, ANTHROPIC_KEY))
    assert (anthropic.status, anthropic.json["error"]["type"]) == (400, "invalid_request_error")


def test_an_unknown_model_is_refused_natively(fleet: Live) -> None:
    assert fleet.call(chat("x", model="gpt-99")).json["error"]["code"] == "model_not_found"
    assert error(fleet.call(message("x", model="claude-99")).json) == ("not_found_error", "model: claude-99")


def test_a_huge_body_under_the_limit_is_served(fleet: Live) -> None:
    assert fleet.call(chat("[[case:huge]] " + "word " * 200_000)).status in (200, 400)
    assert fleet.journal("huge")[0]["body_bytes"] > BODY_BYTES


def test_other_operations(fleet: Live) -> None:
    models = fleet.call(request("GET", "/openai/v1/models", None, OPENAI_KEY)).json
    assert "gpt-4o" in {row["id"] for row in models["data"]}
    body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "[[case:count]] a b c"}]}
    counted = fleet.call(request("POST", "/anthropic/v1/messages/count_tokens", body, ANTHROPIC_KEY)).json
    assert counted["input_tokens"] > 3
    (entry,) = fleet.journal("count")
    assert (entry["operation"], entry["usage_true"], entry["status"]) == ("count_tokens", None, 200)


def test_refused_requests_are_in_the_journal(fleet: Live) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "[[case:no-key]]"}]}
    fleet.call(request("POST", "/openai/v1/chat/completions?a=b", body))
    (entry,) = fleet.journal("no-key")
    assert (entry["status"], entry["ended"], entry["usage_true"], entry["query"]) == (401, "end", None, "a=b")


def test_faults_meet_refused_requests_too(fleet: Live) -> None:
    rule = {"when": {"path": "/v1/models"}, "fault": {"kind": "status", "status": 503}}
    fleet.control("POST", "faults", {"rules": [rule]})
    assert fleet.call(request("GET", "/openai/v1/models")).status == 503
    fleet.control("DELETE", "faults")
    assert fleet.call(request("GET", "/openai/v1/models")).status == 401


def test_attempts_and_calls(fleet: Live) -> None:
    prompt = "[[case:tries]] [[fault: status=503 attempt=1]] [[fault: status=500 provider=openai-eu call=3]]"
    got = [fleet.call(chat(prompt, provider=name)).status for name in ("openai", "openai", "openai-eu", "openai-eu")]
    assert got == [503, 200, 503, 200]
    assert [(entry["attempt"], entry["call"]) for entry in fleet.journal("tries")] == [(1, 1), (2, 2), (1, 3), (2, 4)]


def test_directives_in_headers(fleet: Live) -> None:
    raw = chat("hi").replace(
        b"host: fleet", b"host: fleet\r\nx-windtunnel-case: hdr\r\nx-windtunnel-fault: status=418; crlf"
    )
    assert fleet.call(raw).status == 418
    assert fleet.journal("hdr")[0]["faults"] == ["status"]


def test_what_the_assistant_said_directs_nothing(fleet: Live) -> None:
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "[[fault: status=500]]"},
        {"role": "user", "content": "go on"},
    ]
    assert fleet.call(chat("", messages=turns)).status == 200


def test_ids_are_new_for_each_attempt_and_the_same_in_every_run() -> None:
    def ids() -> list[str]:
        with running() as live:
            return [live.call(chat("[[case:ids]]")).json["id"] for _ in range(3)]

    first = ids()
    assert len(set(first)) == 3
    assert ids() == first


class Quiet:
    """A fleet without sockets, at a time of one's own."""

    def __init__(self) -> None:
        self.rows = providers.load(providers.FILE, DIALECTS, 7)
        self.fleet = Fleet(self.rows, Clock("manual", read=lambda: 0.0, alarm=lambda *_: lambda: None), 7)

    def known(self, raw: bytes, provider: str, **headers: str) -> Known:
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        method, target, _ = first.decode().split(" ")
        pairs = [tuple(line.split(b": ", 1)) for line in lines]
        pairs += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        path = target.removeprefix(f"/{provider}")
        return self.fleet.recognise(self.rows[provider], method, path, b"", pairs, body)  # type: ignore[arg-type]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("make", "provider"), [(chat, "openai"), (message, "anthropic")])
def test_a_ready_reply_is_what_would_be_written_anew(make: Any, provider: str, stream: bool) -> None:
    quiet = Quiet()
    known = quiet.known(make("hello", stream=stream), provider)
    for second in (1_800_000_000, 1_800_000_000, 1_800_000_001, 1_800_000_007, 1_800_003_600):
        for attempt in (1, 2):
            ready = quiet.fleet.ready(known, attempt, second * 1000.0)
            script, _ = quiet.fleet.script(known, second * 1000.0, attempt, attempt)
            assert ready is not None
            assert ready[0] == whole(script, second)


def test_alike_requests_are_read_once_and_others_are_not_taken_for_them() -> None:
    quiet = Quiet()
    first = quiet.known(chat("hello"), "openai", x_request_id="a", traceparent="b")
    assert quiet.known(chat("hello"), "openai", x_request_id="c", traceparent="d") is first
    assert quiet.known(chat("hello!"), "openai") is not first
    assert quiet.known(chat("hello"), "openai", openai_beta="x") is not first
    assert b"authorization" not in PASSING_HEADERS


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("make", "provider"), [(chat, "openai"), (message, "anthropic")])
def test_a_kept_script_is_what_would_be_written_anew(make: Any, provider: str, stream: bool) -> None:
    quiet = Quiet()
    known = quiet.known(make("hello", stream=stream), provider)
    for second in (1_800_000_000, 1_800_000_000, 1_800_000_003):
        for attempt in (1, 2, 3):
            kept, outcome = quiet.fleet.script(known, second * 1000.0, attempt, attempt)
            other = Quiet()
            fresh = other.known(make("hello", stream=stream), provider)
            anew, _ = other.fleet.script(fresh, second * 1000.0, attempt, attempt)
            assert kept == anew
            assert outcome.usage_told == outcome.usage_true


def test_memory_of_requests_is_bounded() -> None:
    quiet = Quiet()
    quiet.fleet.memory = Memory(requests=10, bytes_max=200_000)
    for number in range(50):
        quiet.fleet.ready(quiet.known(chat(f"hello {number}"), "openai"), 1, 0.0)
    assert len(quiet.fleet.memory) == 10
    for number in range(20):
        quiet.fleet.ready(quiet.known(chat("x" * 10_000 + str(number), stream=True), "openai"), 1, 0.0)
    assert 0 < len(quiet.fleet.memory) < 10
    assert 0 < quiet.fleet.memory.bytes <= 200_000
    quiet.known(chat("x" * BODY_BYTES), "openai")
    quiet.fleet.ready(quiet.known(chat("[[answer: tokens=2000]]", stream=True), "openai"), 1, 0.0)
    assert quiet.fleet.memory.bytes <= 200_000


def command(*arguments: str) -> tuple[int, list[str]]:
    """Exit code and output lines of a start that must fail."""
    done = CliRunner().invoke(command_line, arguments)
    return done.exit_code, done.output.splitlines()


def test_a_port_in_use_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        due = f"fleet: cannot listen on 127.0.0.1:{port}: Address already in use"
        assert command("--port", str(port)) == (2, [due])


def test_bad_files_are_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: x\nrules: [{fault: {kind: stal}}, {}]")
    code, (line,) = command("--port", "0", "--scenario", str(broken))
    assert code == 2
    assert line.startswith(f'fleet: {broken}: rules[0].fault.kind: came "stal"; due one of')
    assert line.endswith("(and 1 more)")
    code, (line,) = command("--port", "0", "--config", str(broken))
    assert code == 2
    assert line.startswith(f"fleet: {broken}: name: came an unknown key; due one of providers")
    assert command("--port", "0", "--time-scale", "0")[0] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_tells_when_it_is_ready_and_a_signal_ends_it_quietly(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", "--json", "--clock", "manual", "--scenario", "overload"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    told = ready_line(process)["fleet"]
    assert told["control_url"] == told["base_url"] + "/__fleet"
    assert set(told["providers"]["anthropic-eu"]) == {"base_url", "dialect", "dialects", "key", "region"}
    host, port = told["base_url"].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(chat("[[fault: hang]]"))
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")
