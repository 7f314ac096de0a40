"""Replies on Kling's second wire: `status`, `succeeded`, `outputs`, and `billing` with amounts as texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from simulator.ask import Ask
from simulator.dialects.base import Kept, Serving
from simulator.dialects.kling import order
from simulator.dialects.kling.legacy_replies import WORDS as LEGACY_WORDS
from simulator.dialects.kling.legacy_replies import found
from simulator.dialects.kling.problems import envelope
from simulator.dialects.kling.tasks_request import OPERATIONS, cursor
from simulator.jobs.job import State, View
from simulator.script import Script

Json = dict[str, Any]

WORDS: Final[Mapping[State, str]] = {**LEGACY_WORDS, State.SUCCEEDED: "succeeded"}
PRODUCTS: Final = {operation: product for product, operation in OPERATIONS.items()}


def submitted(kept: Kept) -> Script:
    """The reply to a submission."""
    at_ms = kept.serving.job.submitted_ms if kept.serving.job else 0
    told = {
        "id": kept.serving.nonce,
        "status": WORDS[State.QUEUED],
        "create_time": at_ms,
        "update_time": at_ms,
        "external_id": order.of(kept.ask).external,
    }
    return envelope(told, kept.serving)


def task(kept: Kept, view: View) -> Json:
    """A task, as a query and a callback tell it."""
    is_done = view.state is State.SUCCEEDED
    clips = order.links(kept)[0] if is_done else []
    return {
        "id": kept.serving.nonce,
        "status": WORDS[view.state],
        "message": order.message(kept, view),
        "create_time": kept.serving.job.submitted_ms if kept.serving.job else 0,
        "update_time": order.updated_ms(kept, view),
        "external_id": order.of(kept.ask).external,
        "outputs": [{"type": "video", **each} for each in clips],
        "billing": [_billed(kept)] if is_done else [],
    }


def _billed(kept: Kept) -> Json:
    """What was taken: units of a resource pack, or money where the account has no pack (`charge_type: cash`)."""
    facts, amount = kept.profile.facts, order.units(kept)
    if facts.get("charge_type") != "cash":
        return {"charge_type": "unit", "package_type": "video", "amount": f"{amount:g}"}
    usd = f"{amount * facts['usd_per_unit']:g}"
    return {"charge_type": "cash", "cash_type": "balance", "amount": usd, "currency": "USD", "list_price": usd}


def several(ask: Ask, serving: Serving) -> Script:
    """Tasks by their ids, as many as there are, in the order asked for."""
    own = [(kept, view) for kept, view in found(serving) if kept.ask.operation in PRODUCTS]
    if ask.operation == "get_tasks":
        named = {kept.serving.nonce: (kept, view) for kept, view in own}
    else:
        named = {order.of(kept.ask).external: (kept, view) for kept, view in own}
    ids = [one for one in dict.fromkeys(ask.body["ids"]) if one in named and one]
    return envelope([task(*named[one]) for one in ids], serving)


def listed(ask: Ask, serving: Serving) -> Script:
    """One page of all tasks, the newest first."""
    body, wanted = ask.body, ask.body["wanted"]
    rows: list[tuple[int, str, Kept, View]] = []
    for kept, view in found(serving):
        if kept.ask.operation not in PRODUCTS or kept.serving.job is None:
            continue
        told = {"status": WORDS[view.state], "product_type": PRODUCTS[kept.ask.operation]}
        created = kept.serving.job.submitted_ms
        if body["from_ms"] <= created <= body["to_ms"] and all(told[key] in wanted[key] for key in wanted):
            rows.append((created, kept.serving.nonce, kept, view))
    rows.sort(key=lambda row: row[:2], reverse=True)
    left = [row for row in rows if body["after"] is None or row[:2] < body["after"]]
    shown, has_more = left[: body["limit"]], len(left) > body["limit"]
    page = {
        "result": [task(kept, view) for _, _, kept, view in shown],
        "count": len(shown),
        "next_cursor": cursor(*shown[-1][:2]) if has_more else "",
        "has_more": has_more,
    }
    return envelope(page, serving)
