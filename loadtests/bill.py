"""What each upstream call should cost the caller, from the fleet's journal and the price list alone.

This is a second implementation of the rules of money, written from their text; it shares no code with any
gateway. All amounts are whole microcredits, so nothing is rounded but the estimate, whose rounding is upwards
and part of the rule.

- nothing was delivered (refused, unusable, dead before the first content, failed over): free;
- the answer was complete and bore a usage: that usage at the model's prices, cached and cache-written input
  at the input price;
- otherwise (complete without usage, hung up, or dead after content): the estimate, input from the bytes of
  the request's text and output from the bytes delivered, a part of the usage that was told taking the place
  of its estimate.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from loadtests.errors import Unmeasurable
from schemas.catalogue import ALIASES, MODELS

BYTES_PER_TOKEN = 4
BILLED_PARTS = ("messages", "system", "tools", "prompt")  # the parts of a request that the estimate counts
GENERATE = "generate"
UNUSABLE = frozenset({"malformed_body", "empty_body", "html_body", "wrong_content_type", "error_in_200"})


class Rule(StrEnum):
    """Why an upstream call costs what it costs."""

    TOLD = "told"  # the usage that the reply bore
    ESTIMATED = "estimated"
    FREE = "free"  # nothing was delivered
    UNPRICED = "unpriced"  # lists of models, token counts


@dataclass(frozen=True, slots=True)
class Line:
    """One upstream call on the recomputed bill."""

    n: int
    case: str
    model: str
    rule: Rule
    input_tokens: int
    output_tokens: int
    amount_uc: int
    whole: bool = True  # the upstream sent its whole answer


def price_line(entry: Mapping[str, Any]) -> Line:
    """The bill's line for one journal entry.

    Raises Unmeasurable for an entry that is still in flight, or of a model without a price.
    """
    if entry["ended"] == "pending":
        raise Unmeasurable(f"journal entry {entry['n']} ({entry['case']}) is still in flight")
    rule = rule_of(entry)
    model = str(entry["model"] or "")
    case = str(entry["case"] or "")
    if rule in (Rule.FREE, Rule.UNPRICED):
        return Line(int(entry["n"]), case, model, rule, 0, 0, 0)
    row = MODELS.get(ALIASES.get(model, model))
    if row is None:
        raise Unmeasurable(f"journal entry {entry['n']} is of model {model!r}, which has no price")
    if rule is Rule.TOLD:
        told = entry["usage_told"]
        tokens_in, tokens_out = int(told["input_tokens"]), int(told["output_tokens"])
    else:
        tokens_in, tokens_out = estimate(entry)
    amount_uc = tokens_in * row.input_uc + tokens_out * row.output_uc
    whole = complete(entry, frozenset(entry["faults"]))
    return Line(int(entry["n"]), case, model, rule, tokens_in, tokens_out, amount_uc, whole)


def rule_of(entry: Mapping[str, Any]) -> Rule:
    """Which rule of money applies to an ended upstream call."""
    if entry["operation"] != GENERATE:
        return Rule.UNPRICED
    status = entry["status"]
    faults = frozenset(entry["faults"])
    if status is None or not 200 <= int(status) < 300 or faults & UNUSABLE:
        return Rule.FREE
    if complete(entry, faults):
        return Rule.ESTIMATED if entry["usage_told"] is None else Rule.TOLD
    if entry["stream"] and int(entry["delivered"]["text_bytes"]) > 0:
        return Rule.ESTIMATED
    return Rule.FREE


def complete(entry: Mapping[str, Any], faults: frozenset[str]) -> bool:
    """Whether the whole answer went out. A peer that leaves after the last frame has had it all."""
    if "error_event" in faults:
        return False
    if entry["ended"] == "peer_closed":
        return bool(entry["frames_sent"] == entry["frames_planned"] > 0)
    return bool(entry["ended"] == "end")


def estimate(entry: Mapping[str, Any]) -> tuple[int, int]:
    """Input and output tokens by the estimate; what a broken stream had told of its input by then counts as told."""
    told = entry["usage_told"]
    told_input = told and entry["dialect"] == "anthropic_messages" and int(entry["frames_sent"]) > 0
    tokens_in = int(told["input_tokens"]) if told_input else estimated_input(str(entry["body"]))
    return tokens_in, tokens_for(int(entry["delivered"]["text_bytes"]))


def estimated_input(body: str) -> int:
    """Input tokens by the estimate: a quarter of the UTF-8 bytes of the request's text, rounded up."""
    request = json.loads(body)
    texts = (text for part in BILLED_PARTS for text in strings(request.get(part)))
    return tokens_for(sum(len(text.encode()) for text in texts))


def tokens_for(text_bytes: int) -> int:
    """Estimated tokens of so many bytes of text, rounded up."""
    return -(-text_bytes // BYTES_PER_TOKEN)


def strings(value: Any) -> Iterator[str]:
    """The string leaves of a JSON value, without image data."""
    if isinstance(value, str):
        if not value.startswith("data:image/"):
            yield value
    elif isinstance(value, Mapping):
        is_image = value.get("type") == "base64" and str(value.get("media_type", "")).startswith("image/")
        for key, inner in value.items():
            if not (is_image and key == "data"):
                yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def bill(entries: Iterable[Mapping[str, Any]], refused: Container[str] = ()) -> dict[str, list[Line]]:
    """The bill by case, its lines in the order of the journal.

    `refused` names the cases whose caller was answered with an error status: whatever reached the gateway,
    nothing reached them.
    """
    lines: dict[str, list[Line]] = {}
    for entry in sorted(entries, key=lambda entry: int(entry["n"])):
        line = price_line(entry)
        before = lines.setdefault(line.case, [])
        if before and line.case:
            before[-1] = failed_over(before[-1])
        before.append(freed(line) if line.case in refused else line)
    return lines


def failed_over(line: Line) -> Line:
    """What an attempt costs after which another one was made for the same case.

    A gateway may not fail over once content has reached its caller, so the content of a broken attempt never did.
    """
    return freed(line) if line.rule is Rule.ESTIMATED and not line.whole else line


def freed(line: Line) -> Line:
    """The same line, free of charge."""
    return replace(line, rule=Rule.FREE, input_tokens=0, output_tokens=0, amount_uc=0)
