"""The list of models on Gemini's wire, in pages, and one of them; Vertex has a list of its own form.

Facts of a model: `methods`, `context_tokens`, `max_output_tokens`, `thinking`, `display_name`, `about`. Source: the
public reference and the official client's types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from simulator.dialects.base import Serving
from simulator.dialects.gemini.problems import refuse
from simulator.dialects.gemini.request import query_of
from simulator.dialects.gemini.rules import METHODS
from simulator.models import facts as models

PAGE: Final = 50
PAGE_MAX: Final = 1000


def page(dialect: str, names: Mapping[str, str], serving: Serving) -> dict[str, Any]:
    """The models from `pageToken` on, at most `pageSize` of them. Raises Refused."""
    size, token = query_of(serving.query, "pageSize"), query_of(serving.query, "pageToken")
    if (size and not size.isdecimal()) or (token and not token.isdecimal()):
        raise refuse("* ListModelsRequest.page_token: invalid page token or page size.\n")
    first, count = int(token or 0), min(int(size or 0) or PAGE, PAGE_MAX)
    listed = sorted(names)
    rows = [row(dialect, name, serving) for name in listed[first : first + count]]
    vertex = serving.facts.get("errors") == "vertex"
    out: dict[str, Any] = {"publisherModels" if vertex else "models": rows}
    return out | ({"nextPageToken": str(first + count)} if first + count < len(listed) else {})


def row(dialect: str, name: str, serving: Serving) -> dict[str, Any]:
    """One model."""
    found = models.profile("", dialect, name, serving.facts)
    facts: Mapping[str, Any] = found.facts if found else {}
    if serving.facts.get("errors") == "vertex":
        stage = "PUBLIC_PREVIEW" if "preview" in name or "exp" in name else "GA"
        path = f"publishers/google/models/{name}"
        head = {"name": path, "versionId": "default", "openSourceCategory": "PROPRIETARY", "launchStage": stage}
        return head | {"publisherModelTemplate": f"projects/{{project}}/locations/{{location}}/{path}"}
    out = {
        "name": f"models/{name}",
        "version": found.snapshot if found else name,
        "displayName": facts.get("display_name", _display_name(name)),
        "description": facts.get("about", f"{_display_name(name)}, as the fleet plays it"),
        "inputTokenLimit": facts.get("context_tokens", 1_048_576),
        "outputTokenLimit": facts.get("max_output_tokens", 65_536),
        "supportedGenerationMethods": list(facts.get("methods", METHODS)),
    }
    if "generateContent" in out["supportedGenerationMethods"]:
        out |= {"temperature": 1, "topP": 0.95, "topK": 64, "maxTemperature": 2}
    if facts.get("thinking"):
        out["thinking"] = True
    return out


def _display_name(name: str) -> str:
    """A name for people: "Gemini 2.5 Flash Lite" of "gemini-2.5-flash-lite"."""
    return " ".join(word if word[:1].isdigit() else word.capitalize() for word in name.split("-"))
