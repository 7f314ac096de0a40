"""`windtunnel conform`, `audit` and `load`, as far as no gateway is needed; one run that has one."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from reports import FILES
from tests.gateway.databases import REDIS, SERVER, missing_postgresql, missing_redis
from tests.windtunnel.commands import ROOT, complaint, windtunnel
from windtunnel.conform import without_key

TARGET = """
name: nobody
base_urls: {{openai: "http://127.0.0.1:{port}/api/v1"}}
models: {{chat: [gpt-5.5]}}
profile: openai-chat
"""


@pytest.fixture
def closed_port() -> int:
    """A port at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_an_unreachable_target_is_one_line_and_exit_2(tmp_path: Path, closed_port: int) -> None:
    path = tmp_path / "target.yaml"
    path.write_text(TARGET.format(port=closed_port))
    for words in (("--target", str(path)), ("--url", f"http://127.0.0.1:{closed_port}/api/v1", "--key", "ck_x")):
        done = windtunnel("conform", *words, "--out", str(tmp_path / "out"))
        assert done.returncode == 2
        assert str(closed_port) in complaint(done)
        assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize("text", ["", "name: [", "- 1\n", "name: x\n"])
def test_a_bad_target_file_is_one_line_and_exit_2(tmp_path: Path, text: str) -> None:
    path = tmp_path / "target.yaml"
    path.write_text(text)
    done = windtunnel("conform", "--target", str(path), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert str(path) in complaint(done)


@pytest.mark.parametrize(
    "words",
    [
        ("conform", "--target", "none.yaml"),
        ("conform", "--target", "a.yaml", "--url", "http://b"),
        ("conform", "--key", "ck_x"),
        ("conform", "--workers", "4"),
        ("conform", "--database", "postgresql://127.0.0.1:1/x", "--workers", "4"),
        ("conform", "--database", "postgresql://127.0.0.1:1/x", "--redis", "redis://127.0.0.1:1/0"),
        (
            "conform",
            "--url",
            "http://b",
            "--database",
            "postgresql://127.0.0.1:1/x",
            "--redis",
            "redis://127.0.0.1:1/0",
        ),
        ("conform", "--profile", "nothing"),
        ("conform", "--waivers", "none.yaml"),
        ("audit", "--target", "none.yaml"),
        ("audit",),
        ("load", "nothing"),
        ("load", "billing", "--target", "none.yaml"),
        ("load", "billing", "--master", "--processes", "2"),
        ("mutants", "--only", "nobody_is_called_that"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_exit_2(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = windtunnel(*words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    complaint(done)


def test_an_old_report_is_not_taken_for_a_new_one(tmp_path: Path, closed_port: int) -> None:
    for name in (*FILES, "events.ndjson"):
        (tmp_path / name).write_text("old")
    windtunnel("conform", "--url", f"http://127.0.0.1:{closed_port}", "--out", str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_line_and_exit_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = windtunnel("conform", "--out", str(tmp_path / "file" / "out"))
    assert done.returncode == 2
    assert "--out" in complaint(done)


def test_keys_are_left_out_of_the_recorded_command_line() -> None:
    words = ["conform", "--key", "ck_secret", "--url", "http://x", "--key=ck_secret"]
    assert without_key(words) == ["conform", "--key", "***", "--url", "http://x", "--key=***"]


def test_one_requirement_of_the_reference_gateway(tmp_path: Path) -> None:
    done = windtunnel("conform", "--only", "AUT-001", "--out", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    document = json.loads(done.stdout)
    assert document["verdict"]["result"] == "partial"  # the other requirements were left out
    assert document["statistics"]["checks"]["pass"] >= 1
    assert document["failures"] == []
    for path in document["files"].values():
        assert Path(path).is_file()
    shown = windtunnel("report", "show", str(tmp_path))
    assert shown.returncode == 0


@pytest.mark.skipif(missing_postgresql() is not None, reason=str(missing_postgresql()))
@pytest.mark.skipif(missing_redis() is not None, reason=str(missing_redis()))
def test_what_workers_must_share_is_judged_on_four_of_them(tmp_path: Path) -> None:
    """A sample of `make conformance-workers`: limits of users, budgets, refunds, the clock, failover."""
    command = [sys.executable, "-m", "windtunnel", "conform", "--out", str(tmp_path), "--workers", "4"]
    command += ["--database", SERVER, "--redis", REDIS]
    command += [word for area in ("limits", "budgets", "FLV-018") for word in ("--only", area)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (tmp_path / "junit.xml").exists()
