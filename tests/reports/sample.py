"""A made-up but likely event log: some 120 checks of a gateway with a handful of faults of its own.

`python -m tests.reports.sample DIR` writes it with all its reports, to look at.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from reports import write_all
from reports.events import SCHEMA, EventWriter

Event = dict[str, Any]
SAMPLE = yaml.safe_load(Path(__file__).with_name("sample.yaml").read_text())
ROWS: list[Event] = SAMPLE["requirements"]
FOUND = {row["check"]: row for row in SAMPLE["found"]}
WAIVED = {row["check"]: row for row in SAMPLE["waived"]}
UNCLAIMED = {"gemini", "images", "video", "webhooks"}
BASE_URL = "http://127.0.0.1:8080/api"
Moment = tuple[float, str, str, str]


def events(seed: int = 7) -> Iterator[Event]:
    """The whole log, in the order a runner writes it."""
    yield started(seed=seed)
    for row in ROWS:
        needs = ["fleet", "usage"] if row["area"] in ("billing", "failover") else ["fleet"]
        broken_by = [row["broken_by"]] if "broken_by" in row else []
        about = {name: row[name] for name in ("id", "level", "area", "feature", "text", "source")}
        yield {"event": "requirement", **about, "needs": needs, "broken_by": broken_by}
    for row in SAMPLE["excluded"]:
        yield {"event": "requirement", "needs": [], "broken_by": [], **row}
    cases = ((row, case) for row in ROWS for case in row["cases"])
    for number, (row, case) in enumerate(cases, 1):
        yield check_event(row, case, number)
    yield finished(1, 41.8)


def started(**facts: Any) -> Event:
    """A `run_started` with `facts` replacing the usual ones."""
    return {
        "event": "run_started",
        "schema": SCHEMA,
        "version": "0.1.0",
        "target": {
            "name": "acme-gateway",
            "features": ["chat", "messages", "billing"],
            "policies": {"disconnect": "charge_delivered", "crash": "release"},
            "base_urls": {"openai": f"{BASE_URL}/v1", "anthropic": BASE_URL, "api": BASE_URL},
        },
        "profile": "hypereal",
        "seed": 7,
        "started_at": "2026-11-22T18:45:03Z",
        "argv": ["windtunnel", "conform", "--target", "acme.yaml"],
        **facts,
    }


def requirement(identity: str, **facts: Any) -> Event:
    """One `requirement`."""
    return {"event": "requirement", "id": identity, "level": "MUST", "text": "A rule.", "area": "billing", **facts}


def check(identity: str, outcome: str = "pass", **facts: Any) -> Event:
    """One `check_finished`."""
    owner = identity.partition("/")[0]
    return {"event": "check_finished", "requirement": owner, "check": identity, "outcome": outcome, **facts}


def finished(exit_code: int, duration_s: float = 1.0) -> Event:
    """A `run_finished`."""
    return {"event": "run_finished", "exit_code": exit_code, "duration_s": duration_s}


def check_event(row: Mapping[str, Any], case: str, number: int) -> Event:
    """One finished check of the sample, with its transcript."""
    identity = f"{row['id']}/{row['check']}[{case}]"
    facts: Event = {"outcome": "pass", "message": "", "waived": False}
    if identity in FOUND:
        facts |= {name: FOUND[identity][name] for name in ("outcome", "message")}
    if identity in WAIVED:
        known = WAIVED[identity]
        facts = {name: known[name] for name in ("outcome", "message")}
        facts |= {"waived": True, "waiver_reason": known["reason"]}
    if row["feature"] in UNCLAIMED:
        facts |= {"outcome": "not_applicable", "message": f"the target does not claim {row['feature']}"}
    looked = facts["outcome"] in ("pass", "fail")
    facts |= {"duration_ms": 40 + (number * 7919) % 1900 if looked else 0.4}
    facts |= {"lanes": lanes(row, case, number, facts["outcome"]) if looked else [], "curl": curl(case, number)}
    return check(identity, **facts)


def prompt(number: int) -> str:
    """The body of the request, with the case token in its prompt."""
    content = f"Tell me about tea. [[case:c{number:03x}]]"
    messages = [{"role": "user", "content": content}]
    return json.dumps({"model": "gpt-5.4-mini", "stream": True, "max_tokens": 400, "messages": messages})


def lanes(row: Mapping[str, Any], case: str, number: int, outcome: str) -> list[Event]:
    """What client, upstream and ledger saw: a plain exchange, with a failover where the area has one."""
    body = prompt(number)
    wire = "messages" if "messages" in case or row["area"] == "messages" else "chat/completions"
    is_failover = row["area"] == "failover"
    heard = f"authorization: Bearer ck_test…\ncontent-type: application/json\n\n{body}"
    story: list[Moment] = [
        (0.0, "client", f"POST /api/v1/{wire}", heard),
        (3.1, "ledger", "HOLD 1 240 uc", "user:u1 → held:u1  input bound 168 × 2, output bound 400 × 2.26"),
    ]
    story += list(failing_attempts(body)) if is_failover else []
    at = 528.6 if is_failover else 4.6
    provider = "openai-eu" if is_failover else "openai"
    story += answer(at, provider, body, number, 9 if "9 frames" in case else 41)
    story += hang_up(at, outcome) if "frames" in case else happy_end(at)
    return [{"at_ms": round(t, 1), "lane": lane, "title": title, "detail": detail} for t, lane, title, detail in story]


def failing_attempts(body: str) -> Iterator[Moment]:
    error = {"message": "The server is overloaded or not ready yet.", "type": "service_unavailable_error"}
    for attempt, at in ((1, 4.6), (2, 266.6)):
        yield at, "upstream", f"openai · attempt {attempt}", f"POST /openai/v1/chat/completions\n\n{body}"
        yield at + 2.2, "upstream", "503 from openai", json.dumps({"error": error})


def answer(at: float, provider: str, body: str, number: int, frames: int) -> list[Moment]:
    chunk = {"id": "chatcmpl-9f2", "object": "chat.completion.chunk", "choices": [{"delta": {"content": "Tea"}}]}
    head = f"x-request-id: req_c{number:03x}\nx-ratelimit-limit: 1000\nx-ratelimit-remaining: 998"
    return [
        (at, "upstream", f"{provider} · attempt 1", f"POST /{provider}/v1/chat/completions\n\n{body}"),
        (at + 180.4, "upstream", "200, first frame", "text/event-stream; 58 frames planned"),
        (at + 181.9, "client", "200 text/event-stream", head),
        (at + 182.3, "client", "first content", f"data: {json.dumps(chunk)}"),
        (at + 540.0, "client", f"{frames} frames", "chatcmpl-9f2: 23 tokens of text so far"),
    ]


def hang_up(at: float, outcome: str) -> list[Moment]:
    failed = outcome == "fail"
    return [
        (at + 541.0, "client", "hangs up", "socket closed by the client, after 9 content frames"),
        (at + 1745.0, "upstream", "peer_closed", "31 of 58 frames sent"),
        (at + 1751.0, "ledger", "RELEASE 1 240 uc" if failed else "SETTLE 412 uc", "held:u1 → user:u1"),
    ]


def happy_end(at: float) -> list[Moment]:
    usage = {"prompt_tokens": 31, "completion_tokens": 61, "total_tokens": 92}
    last = f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]"
    return [
        (at + 741.0, "upstream", "end", "58 of 58 frames sent; usage told: input 31, output 61"),
        (at + 742.5, "client", "[DONE]", last),
        (at + 745.0, "ledger", "SETTLE 199 uc", "held:u1 → revenue"),
        (at + 745.0, "ledger", "RELEASE 1 041 uc", "held:u1 → user:u1"),
    ]


def curl(case: str, number: int) -> list[str]:
    path = "messages" if "messages" in case else "chat/completions"
    headers = "-H 'authorization: Bearer ck_test' -H 'content-type: application/json'"
    return [f"curl -N {BASE_URL}/v1/{path} {headers} -d '{prompt(number)}'"]


def write_log(path: Path, log: Iterable[Event] | None = None) -> Path:
    """Write `log` (the sample by default) as NDJSON to `path` and return it."""
    with EventWriter(path) as writer:
        for event in events() if log is None else log:
            writer.write(event)
    return path


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    run = write_all(write_log(folder / "events.ndjson"), folder)
    print(f"{len(run.checks)} checks in {folder}")
