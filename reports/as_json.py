"""`report.json`: the whole run as one document. Its format is `schemas/report/report.schema.json`."""

from __future__ import annotations

from typing import Any

import orjson

from reports.events import SCHEMA
from reports.model import Check, Requirement, Run, State, Statistics
from reports.reproduce import reproduce
from reports.verdict import conclude


def report_document(run: Run) -> dict[str, Any]:
    """The run as plain data, requirements in order of id."""
    conclusion = conclude(run)
    return {
        "schema": SCHEMA,
        "tool": {"name": "windtunnel", "version": run.version},
        "target": dict(run.target),
        "run": {
            "profile": run.profile,
            "seed": run.seed,
            "started_at": run.started_at,
            "duration_s": round(run.duration_s, 3),
            "exit_code": run.exit_code,
            "argv": list(run.argv),
            "notes": list(run.notes),
        },
        "verdict": {
            "result": conclusion.verdict.value,
            "title": conclusion.title,
            "sentence": conclusion.sentence,
            "exit_code": conclusion.exit_code,
        },
        "statistics": statistics_document(run.statistics),
        "areas": [{"name": name, **statistics_document(found)} for name, found in run.areas.items()],
        "requirements": [_requirement(requirement, run) for requirement in run.requirements],
        "waivers": {
            "used": [_waiver(check) for check in run.checks if check.state is State.WAIVED],
            "stale": [_waiver(check) for check in run.checks if check.state is State.STALE],
            "unfit": [
                {"id": w.id, "reason": w.reason, "expires": w.expires, "fault": w.fault} for w in run.bad_waivers
            ],
        },
        "integrity": run.digest,
    }


def render_json(run: Run) -> bytes:
    """`report.json`, indented, ending in a newline."""
    return orjson.dumps(report_document(run), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def statistics_document(statistics: Statistics) -> dict[str, Any]:
    """Counts by state, plus totals."""
    return {
        "checks": {
            "total": statistics.checks_total,
            **{state.value: statistics.checks[state] for state in CHECK_STATES},
        },
        "requirements": {
            "total": statistics.requirements_total,
            **{state.value: count for state, count in statistics.requirements.items()},
        },
    }


CHECK_STATES = tuple(state for state in State if state not in (State.NOT_RUN, State.EXCLUDED))


def _waiver(check: Check) -> dict[str, str]:
    return {"check": check.id, "reason": check.waiver_reason}


def _requirement(requirement: Requirement, run: Run) -> dict[str, Any]:
    return {
        "id": requirement.id,
        "level": requirement.level,
        "text": requirement.text,
        "source": requirement.source,
        "area": requirement.area,
        "feature": requirement.feature,
        "needs": list(requirement.needs),
        "broken_by": list(requirement.broken_by),
        "excluded": requirement.excluded,
        "state": requirement.state.value,
        "reproduce": reproduce(run.argv, requirement.id),
        "checks": [_check(check) for check in requirement.checks],
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "id": check.id,
        "outcome": check.outcome.value,
        "state": check.state.value,
        "waived": check.waived,
        "waiver_reason": check.waiver_reason,
        "message": check.message,
        "duration_ms": round(check.duration_ms, 3),
        "lanes": [
            {"at_ms": moment.at_ms, "lane": moment.lane, "title": moment.title, "detail": moment.detail}
            for moment in check.lanes
        ],
        "curl": list(check.curl),
    }
