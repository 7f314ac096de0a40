"""The calls of the billing load: what each one asks, what the fleet is told to do to it, and what its caller
must see.

A pure function of (seed, n): the plan rides in the prompt as the fleet's directives, so it survives any gateway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from loadtests.draws import between, pick, weighted
from loadtests.ledger import Account
from loadtests.watch import Seen

MAX_TOKENS = 400
ANTHROPIC_VERSION = "2023-06-01"
TEXT = (
    "a teapot above the fog; naïve café tables and 12 quiet boats, describe them at dusk. "
    "Why does the tide keep its own ledger? Write of 水 and glass, plainly."
)
WORDS = TEXT.split()


class Plan(StrEnum):
    """What befalls a call."""

    PLAIN = "plain"
    FAILOVER = "failover"  # the first upstream answers 503 to every attempt
    RATE_LIMITED = "rate_limited"  # the first attempt at the first upstream meets a 429
    CUT = "cut"  # the upstream dies in mid-stream
    MISSING_USAGE = "missing_usage"  # a whole answer that says nothing of usage
    HANG_UP = "hang_up"  # the caller leaves in mid-stream, while the upstream is silent


JSON_MIX = {Plan.PLAIN: 82.0, Plan.FAILOVER: 6.0, Plan.RATE_LIMITED: 6.0, Plan.MISSING_USAGE: 6.0}
STREAM_MIX = {Plan.PLAIN: 68.0} | dict.fromkeys(list(Plan)[1:], 6.4)


@dataclass(frozen=True, slots=True)
class Call:
    """One planned call."""

    n: int
    case: str
    wire: str  # "chat" | "messages"
    stream: bool
    plan: Plan
    model: str
    leave_after: int  # content frames after which upstream falls silent or dies; 0: never
    prompt: str
    key: str

    @property
    def row(self) -> str:
        """The line of the results it counts in."""
        kind = f"{self.wire} {'sse' if self.stream else 'json'}"
        return kind if self.plan is Plan.PLAIN else str(self.plan)

    def body(self) -> bytes:
        """The request's JSON."""
        turn = {"role": "user", "content": self.prompt}
        if self.wire == "chat":
            asked: dict[str, Any] = {"model": self.model, "messages": [turn], "max_completion_tokens": MAX_TOKENS}
        else:
            asked = {"model": self.model, "max_tokens": MAX_TOKENS, "system": "Be terse.", "messages": [turn]}
        if self.stream:
            asked["stream"] = True
        return orjson.dumps(asked)

    def headers(self) -> dict[str, str]:
        """Authorization as the wire's own SDK sends it. No compression: a proxy would buffer to compress."""
        common = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self.wire == "chat":
            return common | {"Authorization": f"Bearer {self.key}"}
        return common | {"x-api-key": self.key, "anthropic-version": ANTHROPIC_VERSION}


@dataclass(frozen=True, slots=True)
class Mix:
    """From what the calls are drawn. `models` and `upstreams` by wire, the first upstream being the chain's first."""

    seed: int
    models: Mapping[str, Sequence[str]]
    upstreams: Mapping[str, Sequence[str]]
    accounts: Sequence[Account]

    def call(self, n: int) -> Call:
        """The n-th call."""
        draw = (self.seed, "call", n)
        wire = pick([wire for wire in ("chat", "messages") if self.models.get(wire)], *draw, "wire")
        stream = between(0, 1, *draw, "stream") == 1
        plan = weighted(STREAM_MIX if stream else JSON_MIX, *draw, "plan")
        leave_after = between(2, 6, *draw, "leave") if plan in (Plan.CUT, Plan.HANG_UP) else 0
        account = self.accounts[n % len(self.accounts)]
        case = f"{account.tag}.{n}"
        words = " ".join(pick(WORDS, *draw, "word", i) for i in range(between(4, 40, *draw, "words")))
        directives = [f"[[case:{case}]]", f"[[answer: tokens={between(40, 160, *draw, 'tokens')}]]"]
        directives += self._faults(plan, wire, stream, leave_after)
        model = pick(self.models[wire], *draw, "model")
        prompt = " ".join([*directives, words])
        return Call(n, case, wire, stream, plan, model, leave_after, prompt, account.key)

    def _faults(self, plan: Plan, wire: str, stream: bool, leave_after: int) -> list[str]:
        first = self.upstreams[wire][0]
        fault = {
            Plan.PLAIN: "",
            Plan.FAILOVER: f"status=503 provider={first}",
            Plan.RATE_LIMITED: f"status=429 provider={first} attempt=1",
            Plan.CUT: f"cut_stream after_frames={leave_after}",
            Plan.MISSING_USAGE: "missing_usage",
            Plan.HANG_UP: f"stall after_frames={leave_after}",
        }[plan]
        pace = "latency ttft_ms=30 gap_ms=4" if stream else "latency total_ms=40"
        return [f"[[fault: {each}]]" for each in (pace, fault) if each]


def unexpected(call: Call, seen: Seen) -> str:
    """Why a call is not as planned, or "" when it is."""
    if seen.broken and call.plan is not Plan.CUT:
        return seen.broken
    if seen.status != 200:
        return f"status {seen.status} {seen.error}".rstrip()
    match call.plan:
        case Plan.HANG_UP:
            problem = "" if seen.left else "the stream ended before the planned hang-up"
        case Plan.CUT:
            problem = _cut_problem(call, seen)
        case _:
            problem = _whole_problem(call, seen)
    return problem


def _whole_problem(call: Call, seen: Seen) -> str:
    if seen.error:
        return f"error {seen.error} in an answer with status 200"
    if not seen.terminal:
        return "the answer ended without its terminator"
    if not seen.content_events:
        return "the answer has no content"
    if not seen.usage and call.plan is not Plan.MISSING_USAGE:
        return "the answer has no usage"
    return ""


def _cut_problem(call: Call, seen: Seen) -> str:
    if seen.terminal:
        return "a cut stream ended as if it were whole"
    if not seen.error:
        return "a cut stream ended without an error event"
    if seen.content_events < 1:
        return f"a stream cut after {call.leave_after} frames delivered nothing"
    return ""
