"""What the account has: GET /wallet/{user}/api-credit and /package.

Both are facts of the row (`wallet`): they do not fall by what is spent. Amounts of the first are decimal texts.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from simulator.ask import Ask, Request
from simulator.dialects.base import Serving
from simulator.dialects.fish.voices import iso
from simulator.problem import Problem, Refused

CREDIT, PACKAGE = "get_credit", "get_package"


def asked(request: Request, operation: str) -> Ask:
    """A request about a wallet, which must be one's own. Raises Refused."""
    if request.params["user"] not in ("self", request.facts["wallet"]["user_id"]):
        raise Refused(Problem("permission"))
    query = parse_qs(request.query, errors="replace")
    return Ask(operation, "", body={"checks_free": query.get("check_free_credit", [""])[0].lower() == "true"})


def told(ask: Ask, serving: Serving) -> dict[str, Any]:
    """The credit, or the package."""
    facts = serving.facts["wallet"]
    times = {name: iso(1000 * facts[name]) for name in ("created_at", "updated_at", "finished_at")}
    if ask.operation == CREDIT:
        return {
            "_id": facts["credit_id"],
            "user_id": facts["user_id"],
            "credit": facts["credit"],
            "cumulative_top_up": facts["cumulative_top_up"],
            "created_at": times["created_at"],
            "updated_at": times["updated_at"],
            "has_phone_sha256": facts["has_phone"],
            "has_free_credit": facts["has_free_credit"] if ask.body["checks_free"] else None,
        }
    return {
        "_id": facts["package_id"],
        "user_id": facts["user_id"],
        "type": facts["package"]["type"],
        "total": facts["package"]["total"],
        "balance": facts["package"]["balance"],
        **times,
    }
