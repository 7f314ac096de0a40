"""`junit.xml`: a test suite per area, a test case per check, as CI servers read it."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from reports.model import Check, Requirement, Run, State
from reports.reproduce import reproduce
from reports.verdict import conclude

# Characters that XML 1.0 cannot carry, even escaped (section 2.2).
UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
FAILURES = frozenset({State.FAIL, State.STALE, State.UNTESTABLE})
SKIPS = frozenset({State.WAIVED, State.NOT_APPLICABLE})


def render_junit(run: Run) -> bytes:
    """`junit.xml`, UTF-8. Untestable and stale count as failures, a harness error as an error, waived as skipped."""
    root = ET.Element("testsuites", name=_clean(f"windtunnel: {run.target_name}"), time=f"{run.duration_s:.3f}")
    _count(root, run.checks)
    properties = ET.SubElement(root, "properties")
    conclusion = conclude(run)
    facts = {"verdict": conclusion.verdict.value, "profile": run.profile, "seed": run.seed, "version": run.version}
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=_clean(str(value)))
    for area in run.areas:
        requirements = [r for r in run.requirements if r.area == area and r.checks]
        if requirements:
            _suite(root, area, requirements, run)
    ET.indent(root)
    body: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return body + b"\n"


def _suite(root: ET.Element, area: str, requirements: list[Requirement], run: Run) -> None:
    checks = [check for requirement in requirements for check in requirement.checks]
    suite = ET.SubElement(root, "testsuite", name=_clean(area), time=f"{sum(c.duration_ms for c in checks) / 1000:.3f}")
    if run.started_at:
        suite.set("timestamp", _clean(run.started_at))
    _count(suite, checks)
    for requirement in requirements:
        for check in requirement.checks:
            _case(suite, requirement, check, run)


def _case(suite: ET.Element, requirement: Requirement, check: Check, run: Run) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        name=_clean(check.id),
        classname=_clean(requirement.id),
        time=f"{check.duration_ms / 1000:.3f}",
    )
    properties = ET.SubElement(case, "properties")
    facts = {
        "requirement": requirement.text,
        "level": requirement.level,
        "source": requirement.source,
        "state": check.state.value,
    }
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    message = check.reason or check.outcome.value
    match check.state:
        case State.HARNESS_ERROR:
            ET.SubElement(case, "error", message=_clean(message), type="harness_error").text = _clean(check.message)
        case State.WAIVED:
            ET.SubElement(case, "skipped", message=_clean(f"waived: {check.waiver_reason}"))
        case State.NOT_APPLICABLE:
            ET.SubElement(case, "skipped", message=_clean(f"not applicable: {message}"))
        case State.STALE:
            text = f"stale waiver: the check passes ({check.waiver_reason})"
            ET.SubElement(case, "failure", message=_clean(text), type="stale")
        case State.FAIL | State.UNTESTABLE:
            body = f"{requirement.level} {requirement.text}\n\n{check.message}\n\n{reproduce(run.argv, requirement.id)}"
            ET.SubElement(case, "failure", message=_clean(message), type=check.state.value).text = _clean(body)
    if check.curl and check.state in FAILURES:
        ET.SubElement(case, "system-out").text = _clean("\n".join(check.curl))


def _count(element: ET.Element, checks: list[Check]) -> None:
    element.set("tests", str(len(checks)))
    element.set("failures", str(sum(check.state in FAILURES for check in checks)))
    element.set("errors", str(sum(check.state is State.HARNESS_ERROR for check in checks)))
    element.set("skipped", str(sum(check.state in SKIPS for check in checks)))


def _clean(text: str) -> str:
    """`text` with what XML cannot carry shown as U+FFFD."""
    return UNWRITABLE.sub("\ufffd", text)
