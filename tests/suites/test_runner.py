"""The runner as a whole, against tiny gateways: outcomes, waivers, selection, exit codes, the event log."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from suites.runner import FOLDER, Options, run
from tests.suites.fakes import KEY, checks, gateway, serving

NUMBERS = itertools.count()  # modules of checks must not share a name within a process
REAL = [FOLDER / "authentication" / "test_refusals.py", FOLDER / "operations" / "test_service.py"]
NO_SERVER = "http://127.0.0.1:9"


class Judged:
    """The exit code and the events of a run."""

    def __init__(self, code: int, out: Path) -> None:
        self.code = code
        self.events: list[dict[str, Any]] = [
            json.loads(line) for line in (out / "events.ndjson").read_text().splitlines()
        ]
        self.checks = {e["check"]: e for e in self.events if e["event"] == "check_finished"}
        self.outcomes = {name: event["outcome"] for name, event in self.checks.items()}


def judge(tmp_path: Path, *, wrong: str = "", source: str | None = None, **options: Any) -> Judged:
    """Run some of the real checks, or those in `source`, against a tiny gateway."""
    options.setdefault("suites", REAL)
    if source is not None:
        options["suites"] = [checks(tmp_path / "checks", f"mine_{next(NUMBERS)}", source)]
    with serving(gateway(wrong)) as url:
        code = run(Options(url=f"{url}/api/v1", key=KEY, out=tmp_path / "out", quiet=True, **options))
    return Judged(code, tmp_path / "out")


SELECTED = ("AUT-014", "AUT-016", "OPS-001")


def test_a_good_gateway_passes(tmp_path: Path) -> None:
    judged = judge(tmp_path, only=SELECTED)
    assert judged.code == 0
    assert set(judged.outcomes.values()) == {"pass"}
    assert {name.partition("/")[0] for name in judged.outcomes} == {*SELECTED, "SCH-005"}


@pytest.mark.parametrize(
    ("wrong", "check", "words"),
    [
        ("body_judged_before_key", "AUT-014/key_before_body", "due 401 authentication_error; came 400"),
        ("refused_key_echoed", "AUT-016/key_not_repeated", "the reply repeats the key"),
        ("healthz_missing", "OPS-001/health", "came 404"),
        ("error_body_has_code", "SCH-005/seen_by[AUT-014/key_before_body]", "error at /error: "),
    ],
)
def test_each_wrong_gateway_fails_its_check(tmp_path: Path, wrong: str, check: str, words: str) -> None:
    judged = judge(tmp_path, wrong=wrong, only=SELECTED)
    failed = {name for name, outcome in judged.outcomes.items() if outcome == "fail"}
    assert check in failed
    assert {name.partition("/")[0] for name in failed} == {check.partition("/")[0]}
    assert words in judged.checks[check]["message"]


def test_a_failed_check_shows_its_evidence(tmp_path: Path) -> None:
    judged = judge(tmp_path, wrong="refused_key_echoed", only=["AUT-016"])
    event = judged.checks["AUT-016/key_not_repeated"]
    assert judged.code == 1
    assert {lane["lane"] for lane in event["lanes"]} == {"client"}
    assert event["curl"][0].startswith("curl -sS -N -X POST http://127.0.0.1:")
    assert "0123456789abcdef" not in json.dumps(event), "keys are masked"


def test_missing_hooks_are_untestable(tmp_path: Path) -> None:
    judged = judge(tmp_path, only=["AUT-008"])
    assert judged.code == 1
    assert set(judged.outcomes.values()) == {"untestable"}
    messages = {event["message"] for event in judged.checks.values()}
    assert messages == {"the target gives no fleet_control, provisioning"}


def test_unclaimed_features_are_not_applicable(tmp_path: Path) -> None:
    with serving(gateway()) as url:
        target = tmp_path / "target.yaml"
        models = "models: {chat: [m]}\nfeatures: [chat]\n"
        target.write_text(f"name: mine\nbase_urls: {{openai: '{url}/api/v1'}}\n{models}")
        code = run(Options(target_file=target, out=tmp_path / "out", quiet=True, only=["OPS-001"], suites=REAL))
    judged = Judged(code, tmp_path / "out")
    assert judged.outcomes == {"OPS-001/health": "not_applicable"}
    assert code == 3, "nothing was executed"


SOURCES = {
    "passes": '@requirement("AUT-016")\nasync def test_a(case): pass\n',
    "fails": '@requirement("AUT-016")\nasync def test_a(case): assert 1 == 2, "came 1"\n',
    "violates": '@requirement("AUT-016")\nasync def test_a(case): raise Violation("came 1")\n',
    "breaks": '@requirement("AUT-016")\nasync def test_a(case): raise KeyError("ours")\n',
    "hangs": '@requirement("AUT-016", limit_s=0.05)\nasync def test_a(case): await asyncio.Event().wait()\n',
    "should": '@requirement("AUT-014")\nasync def test_a(case): raise Violation("came 1")\n',
}


@pytest.mark.parametrize(
    ("source", "outcome", "code"),
    [
        ("passes", "pass", 0),
        ("fails", "fail", 1),
        ("violates", "fail", 1),
        ("breaks", "harness_error", 3),
        ("hangs", "harness_error", 3),
        ("should", "fail", 0),
    ],
)
def test_outcomes_and_exit_codes(tmp_path: Path, source: str, outcome: str, code: int) -> None:
    judged = judge(tmp_path, source=SOURCES[source])
    assert (list(judged.outcomes.values()), judged.code) == ([outcome], code)
    assert judged.events[-1] == {"event": "run_finished", "exit_code": code} | {
        "duration_s": judged.events[-1]["duration_s"]
    }


CASES = """
@requirement("AUT-016")
@over(stream=(True, False), word=("a b", "a_b"))
async def test_a(case, word, stream):
    pass
"""


def test_cases_of_a_check_have_ids_of_their_own(tmp_path: Path) -> None:
    judged = judge(tmp_path, source=CASES)
    assert sorted(judged.outcomes) == [
        *("AUT-016/a[a_b,json]", "AUT-016/a[a_b,json]~2", "AUT-016/a[a_b,stream]", "AUT-016/a[a_b,stream]~2"),
    ]


ALONE = """
running, order = [], []

async def watched(name, alone):
    running.append(name)
    for _ in range(5):
        await asyncio.sleep(0)
        assert not alone or running == [name], running
    running.remove(name)
    order.append(name)

@requirement("AUT-016", exclusive=True)
async def test_a(case):
    await watched("a", True)

@requirement("AUT-016", exclusive=True)
async def test_b(case):
    await watched("b", True)
    assert order[-2:] == ["a", "b"], order

@requirement("AUT-016")
@over(number=range(9))
async def test_c(case, number):
    await watched(number, False)
"""


def test_exclusive_checks_run_alone_and_last(tmp_path: Path) -> None:
    judged = judge(tmp_path, source=ALONE, concurrency=3)
    assert set(judged.outcomes.values()) == {"pass"}, judged.checks
    assert len(judged.outcomes) == 11


@pytest.mark.parametrize(
    ("only", "due"),
    [
        (["AUT-016"], {"AUT-016"}),
        (["OPS"], {"OPS-001"}),
        (["operations"], {"OPS-001"}),
        (["AUT-014/key_*"], {"AUT-014"}),
        (["AUT-01*", "OPS-001"], {"AUT-014", "AUT-016", "OPS-001"}),
    ],
)
def test_only(tmp_path: Path, only: list[str], due: set[str]) -> None:
    source = "".join(f'@requirement("{name}")\nasync def test_key_{name[-1]}(case): pass\n' for name in SELECTED)
    judged = judge(tmp_path, source=source, only=only)
    assert {name.partition("/")[0] for name in judged.outcomes} == due


def test_nothing_selected_says_nothing_of_the_target(tmp_path: Path) -> None:
    assert judge(tmp_path, source=SOURCES["passes"], only=["BIL"]).code == 3


def waived(tmp_path: Path, identity: str, expires: str = "2099-01-01") -> Path:
    path = tmp_path / "waivers.yaml"
    path.write_text(f"waivers:\n  - {{id: {identity}, reason: known, expires: {expires}}}\n")
    return path


@pytest.mark.parametrize(
    ("source", "identity", "expires", "code", "note"),
    [
        ("fails", "AUT-016", "2099-01-01", 0, ""),
        ("fails", "AUT-016/a", "2099-01-01", 0, ""),
        ("passes", "AUT-016", "2099-01-01", 1, "stale waiver: AUT-016"),
        ("fails", "AUT-016", "2020-01-01", 1, "expired waiver: AUT-016"),
        ("passes", "AUT-016", "2020-01-01", 1, "expired waiver: AUT-016"),
        ("passes", "AUT-999", "2099-01-01", 1, "stale waiver: AUT-999"),
    ],
)
def test_waivers(tmp_path: Path, source: str, identity: str, expires: str, code: int, note: str) -> None:
    judged = judge(tmp_path, source=SOURCES[source], waivers=waived(tmp_path, identity, expires))
    assert judged.code == code
    notes = [event["text"] for event in judged.events if event["event"] == "note"]
    assert [text[: len(note)] for text in notes] == ([note] if note else [])
    if code == 0:
        (event,) = judged.checks.values()
        assert (event["waived"], event["waiver_reason"]) == (True, "known")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": NO_SERVER + "/api/v1"}, f"target {NO_SERVER}/api/v1 does not answer at {NO_SERVER}/api/v1/models: "),
        ({"target_file": Path("none.yaml")}, "none.yaml: [Errno 2] No such file or directory"),
        ({"url": NO_SERVER, "profile": "imaginary"}, "unknown profile 'imaginary'; known are "),
        ({"url": NO_SERVER, "waivers": Path("none.yaml")}, "none.yaml: [Errno 2] No such file"),
        ({"gateway": ("/no/such/program",)}, "cannot start /no/such/program: No such file or directory"),
    ],
)
def test_usage_errors_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], message: str
) -> None:
    assert run(Options(out=tmp_path, quiet=True, **options)) == 2
    told = capsys.readouterr().err
    assert told.startswith("windtunnel conform: ")
    assert message in told
    assert told.count("\n") == 1


def test_checks_that_cannot_be_read_are_our_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged = judge(tmp_path, source="import no_such_module\n" + SOURCES["passes"])
    assert judged.code == 3
    assert "no_such_module" in capsys.readouterr().err


@pytest.mark.parametrize(
    "source",
    ["async def test_a(case): pass\n", '@requirement("XXX-999")\nasync def test_a(case): pass\n'],
)
def test_checks_without_a_requirement_are_our_error(tmp_path: Path, source: str) -> None:
    assert judge(tmp_path, source=source).code == 3


def test_spent_time_ends_the_run(tmp_path: Path) -> None:
    judged = judge(tmp_path, source=SOURCES["passes"], max_time_s=0.0)
    assert (judged.code, judged.outcomes) == (4, {})


def test_reports_are_written(tmp_path: Path) -> None:
    judge(tmp_path, source=SOURCES["passes"])
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"events.ndjson", "report.json", "report.html", "junit.xml", "summary.md"} <= names
