"""JSON, JUnit, Markdown and terminal, by structure."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from rich.console import Console

import schemas
from reports import FILES, write_all
from reports.as_json import render_json, report_document
from reports.as_junit import render_junit
from reports.as_markdown import code, line, render_markdown
from reports.model import Run, State
from reports.terminal import area_table, print_summary
from tests.reports.conftest import Build
from tests.reports.sample import check, events, finished, requirement, started, write_log

FOLDER = Path(schemas.__path__[0]) / "report"


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema: Any = json.loads((FOLDER / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_every_sample_event_fits_the_schema() -> None:
    valid = validator("event")
    for event in events():
        valid.validate(event)


@pytest.mark.parametrize(
    "event",
    [
        check("BIL-001/a", "maybe"),
        {"event": "run_finished"},
        {"event": "run_started", "schema": "other/1", "version": "", "target": {"name": ""}},
        check("BIL-001/a", lanes=[{"at_ms": "soon", "lane": "client", "title": ""}]),
    ],
)
def test_the_event_schema_refuses_what_is_wrong(event: dict[str, Any]) -> None:
    assert not validator("event").is_valid(event)


def test_report_json_fits_its_schema(run: Run) -> None:
    validator("report").validate(json.loads(render_json(run)))


def test_an_incomplete_run_fits_the_schema_too(build: Build) -> None:
    validator("report").validate(report_document(build([started(seed=None)])))


def test_report_json_tells_everything(run: Run) -> None:
    document = report_document(run)
    told = [found for row in document["requirements"] for found in row["checks"]]
    sent = [event for event in events() if event["event"] == "check_finished"]
    assert {found["id"]: found["outcome"] for found in told} == {event["check"]: event["outcome"] for event in sent}
    assert document["verdict"]["result"] == "not_conformant"
    assert [waiver["check"] for waiver in document["waivers"]["stale"]] == ["OBS-001/one_row[client_closed]"]
    failing = next(row for row in document["requirements"] if row["id"] == "BIL-005")
    assert failing["reproduce"] == "windtunnel conform --target acme.yaml --only BIL-005"


def test_junit_has_a_suite_per_area_and_a_case_per_check(run: Run) -> None:
    root = ET.fromstring(render_junit(run))
    cases = root.findall("testsuite/testcase")
    assert sorted(case.get("name", "") for case in cases) == sorted(found.id for found in run.checks)
    assert {suite.get("name") for suite in root.findall("testsuite")} == {
        area for area, found in run.areas.items() if found.checks_total
    }
    tags = Counter(child.tag for case in cases for child in case)
    counts = run.statistics.checks
    assert tags["failure"] == counts[State.FAIL] + counts[State.STALE] + counts[State.UNTESTABLE]
    assert tags["error"] == counts[State.HARNESS_ERROR]
    assert tags["skipped"] == counts[State.WAIVED] + counts[State.NOT_APPLICABLE]
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(root.get(name, "")) == tags[tag]
        assert sum(int(suite.get(name, "")) for suite in root.findall("testsuite")) == tags[tag]


def test_junit_cases_carry_requirement_and_reason(run: Run) -> None:
    root = ET.fromstring(render_junit(run))
    case = root.find("testsuite/testcase[@name='STR-002/keepalive[messages]']")
    assert case is not None
    properties = {found.get("name"): found.get("value") for found in case.findall("properties/property")}
    assert properties["requirement"].startswith("While the upstream is silent")  # type: ignore[union-attr]
    skipped = case.find("skipped")
    assert skipped is not None
    assert skipped.get("message", "").startswith("waived: Proxy strips pings")


def test_junit_survives_text_that_xml_cannot_carry(build: Build) -> None:
    nasty = "nul \x00 bell \x07 lone \ufffe ]]> <&> \U0001f600"
    root = ET.fromstring(render_junit(build([started(), check("BIL-001/a", "fail", message=nasty), finished(1)])))
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.get("message") == "nul \ufffd bell \ufffd lone \ufffd ]]> <&> \U0001f600"


def test_markdown_has_verdict_table_failures_and_how_to_reproduce(run: Run) -> None:
    text = render_markdown(run)
    assert text.startswith("## ❌ Not conformant: acme-gateway\n")
    assert "| billing | 2 |" in text
    assert "`windtunnel conform --target acme.yaml --only BIL-005`" in text
    assert "charged 0 uc, due 412 uc" in text
    assert "Not testable: needs clock" in text
    assert text.count("### ") == 2


def test_a_clean_run_is_short_in_markdown(build: Build) -> None:
    text = render_markdown(build([started(), requirement("BIL-001"), check("BIL-001/a"), finished(0)]))
    assert text.startswith("## ✅ Conformant: acme-gateway\n")
    assert "###" not in text


def test_markdown_stays_a_comment_when_everything_fails(build: Build) -> None:
    rows = [requirement(f"BIL-{n:03}", text="x" * 4000) for n in range(300)]
    checks = [check(f"BIL-{n:03}/a[{case}]", "fail", message="y" * 4000) for n in range(300) for case in range(9)]
    text = render_markdown(build([started(), *rows, *checks, finished(1)]))
    assert len(text) < 60_000  # a comment may have 65,536 characters
    assert "275 requirements more" in text


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "a | b", "[x](http://evil)", "@everyone", "`tick`", "**bold**", "#12", "a\n\n# b"],
)
def test_markdown_text_stays_text(text: str) -> None:
    shown = line(text)
    assert "\n" not in shown
    assert "<" not in shown
    for active in ("|", "[", "]", "`", "*", "#"):
        assert shown.count(active) == shown.count("\\" + active)
    assert "@e" not in shown
    assert "http://" not in shown


@pytest.mark.parametrize("text", ["plain", "with `tick`", "`", "``x", "a | b", "two\nlines"])
def test_code_spans_are_closed(text: str) -> None:
    shown = code(text)
    fence = len(shown) - len(shown.lstrip("`"))
    assert shown.endswith("`" * fence)
    assert "`" * fence not in shown[fence:-fence]
    assert "|" not in shown
    assert "\n" not in shown


def shown_in_terminal(run: Run) -> str:
    console = Console(file=io.StringIO(), width=100, soft_wrap=True, highlight=False, markup=False)
    print_summary(run, console)
    console.print(area_table(run))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_terminal_shows_each_failure_with_its_message(run: Run) -> None:
    text = shown_in_terminal(run)
    for found in run.checks:
        assert (found.id.partition("/")[2] in text) == (
            found.state in (State.FAIL, State.UNTESTABLE, State.HARNESS_ERROR, State.STALE)
        ), found.id
    assert "policy        disconnect: charge_delivered" in text
    assert "$ windtunnel conform --target acme.yaml --only BIL-005" in text
    assert "Not conformant. Of 116 checks" in text


def test_markup_in_messages_is_shown_not_obeyed(build: Build) -> None:
    run = build([started(), check("BIL-001/a", "fail", message="[bold red]x[/] :smile: [link=http://e]"), finished(1)])
    assert "[bold red]x[/] :smile: [link=http://e]" in shown_in_terminal(run)


def test_write_all_leaves_every_file_and_nothing_else(tmp_path: Path) -> None:
    log = write_log(tmp_path / "out" / "events.ndjson")
    write_all(log, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*FILES, "events.ndjson"])


def test_rendering_is_a_function_of_the_log(tmp_path: Path) -> None:
    log = write_log(tmp_path / "events.ndjson")
    for folder in ("a", "b"):
        write_all(log, tmp_path / folder)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
