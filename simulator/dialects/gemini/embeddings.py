"""Embeddings on Gemini's wire: one content, or up to a hundred in a batch.

A vector is a function of its text and task, of length 1 at any number of dimensions. Facts of the profile: `dimensions`
(3072 unless said), `embed_usage` (newer models tell what it cost). Source: recorded replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from simulator.answers import vectors
from simulator.answers.answer import Usage
from simulator.ask import Ask
from simulator.dialects.base import Profile
from simulator.dialects.gemini import json
from simulator.dialects.gemini.contents import text_of
from simulator.dialects.gemini.request import Body
from simulator.script import Frame, Script

DIMENSIONS: Final = 3072
Headers = tuple[tuple[str, str], ...]


def reply(ask: Ask, profile: Profile, headers: Headers) -> Script:
    """The vectors of what was asked."""
    rows = [{"values": _values(one, profile)} for one in ask.body["requests"]]
    body: dict[str, Any] = {"embeddings": rows} if ask.operation == "batch_embed" else {"embedding": rows[0]}
    if profile.has("embed_usage") and isinstance(ask.body, Body):
        details = [{"modality": modality, "tokenCount": number} for modality, number in ask.body.count.details]
        body["usageMetadata"] = {"promptTokenCount": ask.input_tokens, "promptTokenDetails": details}
    frame = Frame(json.body(body), "body")
    return Script(200, headers, (frame,), usage=Usage(ask.input_tokens, 0))


def _values(one: Mapping[str, Any], profile: Profile) -> list[float]:
    full = profile.facts.get("dimensions", DIMENSIONS)
    media = [part for part in one["content"]["parts"] if "text" not in part]
    said = text_of(one["content"]) + (orjson.dumps(media).decode() if media else "")
    task = one.get("taskType", "")
    return list(vectors.vector(f"{task} {said}".strip(), one.get("outputDimensionality", full), full))
