"""Which model a request of the small OpenAI wires asks for, where the path may spell it.

Facts of the mount, as on the chat wire: `deployment` (how the model is spelled by the parameters of the path) and
`query` (parameters that must be there).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from simulator.ask import Request
from simulator.problem import Problem, Refused


def model(request: Request, body: Mapping[str, Any]) -> Any:
    """The model of the path, or of the body. Raises Refused when the query lacks what must be in it."""
    facts = request.facts
    if not set(facts.get("query", ())) <= parse_qs(request.query, keep_blank_values=True).keys():
        raise Refused(Problem("not_found", param=f"{request.method} {request.path}"))
    if "deployment" in facts:
        return facts["deployment"].format_map(request.params)
    return body.get("model")
