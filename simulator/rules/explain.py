"""Why a rule hit a request or did not: every rule in force, and the first selector that did not fit.

Told from what is known afterwards: the request as the journal has it, the rules that are in force now, and the states
and counts as they were when it came.
"""

from __future__ import annotations

from typing import Any

from simulator.fleet import Fleet
from simulator.journal import Entry
from simulator.rules.plan import Active
from simulator.rules.rule import Rule
from simulator.rules.selectors import GLOBS, Misfit, Subject, ranges_text
from simulator.rules.timeline import Window, time_text


def explain(fleet: Fleet, n: int, entry: Entry) -> dict[str, Any]:
    """Of one request: what it was, what it met, and why each rule did what it did."""
    subject = entry.subject
    return {
        "n": n,
        "case": subject.case,
        "provider": subject.provider,
        "model": subject.model,
        "attempt": entry.attempt,
        "call": entry.call,
        "arrived_ms": round(entry.arrived_ms, 3),
        "faults": list(entry.outcome.faults),
        "rules": [*_own(fleet, entry), *_in_force(fleet, entry), *_asked(fleet, entry)],
    }


def _own(fleet: Fleet, entry: Entry) -> list[dict[str, Any]]:
    """What the provider always suffers from."""
    row = fleet.providers.get(entry.subject.provider)
    if row is None or not row.faults:
        return []
    return [_told(Rule(f"row of {row.name}", row.faults), "provider", None, entry)]


def _in_force(fleet: Fleet, entry: Entry) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    hit: list[Rule] = []
    for one in fleet.plan.active():
        why = _why(one, entry, hit)
        if why is None:
            hit.append(one.rule)
        found.append(_told(one.rule, one.source, why, entry))
    return found


def _why(one: Active, entry: Entry, hit: list[Rule]) -> str | None:
    """What kept a rule from the request; None when it hit."""
    rule, subject = one.rule, entry.subject
    since_ms = entry.arrived_ms - one.since_ms
    if since_ms < 0:
        return f"set: {time_text(-since_ms)} after the request came"
    before = next((each.name for each in hit if each.scenario == rule.scenario), None)
    if rule.otherwise and before is not None:
        return f'otherwise: "{before}" hit before'
    state = None if one.machine is None else one.machine.was(entry.arrived_ms)
    misfit = rule.misfit(subject, entry.attempt, entry.call, since_ms, one.seed, state)
    if misfit is None and one.hits is not None:
        misfit = one.hits.decided(subject, entry.attempt)
    return None if misfit is None else misfit_text(misfit, (one.seed if rule.seed is None else rule.seed, rule.name))


def _asked(fleet: Fleet, entry: Entry) -> list[dict[str, Any]]:
    """The directives of the request."""
    subject = entry.subject
    row = fleet.providers.get(subject.provider)
    if row is None or not (b"[[" in entry.body or any(name.startswith(b"x-windtunnel") for name, _ in entry.headers)):
        return []
    query = subject.query.encode("latin-1")
    known = fleet.recognise(row, subject.method, subject.path, query, entry.headers, entry.body)
    return [_told(rule, "directive", _why_asked(rule, subject, entry, fleet.seed), entry) for rule in known.asked]


def _why_asked(rule: Rule, subject: Subject, entry: Entry, seed: int) -> str | None:
    misfit = rule.misfit(subject, entry.attempt, entry.call, 0.0, seed)
    return None if misfit is None else misfit_text(misfit, (seed, rule.name))


def _told(rule: Rule, source: str, why: str | None, entry: Entry) -> dict[str, Any]:
    kinds = [fault.kind for fault in rule.faults]
    if why is None:
        idle = [kind for kind in kinds if kind not in entry.outcome.faults and kind != "noop"]
        why = f"hit, but {', '.join(idle)} found nothing to bite on" if idle else "hit"
        return {"rule": rule.name, "source": source, "faults": kinds, "hit": True, "why": why}
    return {"rule": rule.name, "source": source, "faults": kinds, "hit": False, "why": why}


def misfit_text(misfit: Misfit, key: tuple[object, ...] = ()) -> str:
    """A misfit in words; `key` is what the jitter of the rule is drawn by."""
    selector, wants, came = misfit
    if selector in GLOBS or selector == "state":
        return f"{selector}: wants {' or '.join(map(_quoted, wants))}, came {_quoted(came)}"
    if selector == "stream":
        return f"stream: wants {str(wants).lower()}, came {str(came).lower()}"
    if selector == "window":
        return f"window: {_opens(wants, came, key)}"
    if selector == "chance":
        return f"chance: drew {came:.4g}, due < {wants:.4g}"
    if selector == "times":
        return f"times: it had hit this case {came} times, {wants} at most"
    if selector == "first":
        return f"first: it had hit {came} requests, {wants} at most"
    if selector == "succeed_first":
        return f"succeed_first: this was number {came} of the {wants} that pass"
    return f"{selector}: wants {ranges_text(wants)}, came {came}"


def _quoted(value: object) -> str:
    return "nothing" if value is None else f'"{value}"'


def _opens(window: Window, since_ms: float, key: tuple[object, ...]) -> str:
    """When a closed window opens next, or that it is over."""
    begin = next((span[0] for span in window.spans(since_ms, key) if span[0] > since_ms), None)
    if begin is not None:
        return f"opens in {time_text(begin - since_ms)}"
    end_ms = window.end_ms()
    return "is over" if end_ms is None else f"closed {time_text(since_ms - end_ms)} before"
