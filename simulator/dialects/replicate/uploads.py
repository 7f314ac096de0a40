"""Replicate's files: uploaded, told, listed, deleted, and gone after a day. A file is kept as what was uploaded."""

from __future__ import annotations

from hashlib import md5, sha256
from typing import Any, Final

from simulator import draws
from simulator.dialects.base import Kept, Serving
from simulator.dialects.replicate.predictions import iso
from simulator.jobs.job import Plan

LIFE_MS: Final = 86_400_000


def plan() -> Plan:
    """What becomes of a file: it is there at once, and gone after a day."""
    return Plan(queue_ms=0, run_ms=1, ttl_ms=LIFE_MS)


def file_id(serving: Serving) -> str:
    """The id of a file: 48 characters."""
    return draws.word(26, "file", serving.seed) + serving.nonce


def told(kept: Kept) -> dict[str, Any]:
    """The file object."""
    body, job = kept.ask.body, kept.serving.job
    content: bytes = body["content"]
    made_ms = 0 if job is None else job.submitted_ms
    tag = md5(content, usedforsecurity=False).hexdigest()
    own = file_id(kept.serving)
    return {
        "id": own,
        "name": body["name"],
        "content_type": body["content_type"],
        "size": len(content),
        "etag": tag,
        "checksums": {"sha256": sha256(content).hexdigest(), "md5": tag},
        "metadata": body["metadata"],
        "created_at": iso(made_ms),
        "expires_at": iso(made_ms + LIFE_MS),
        "urls": {"get": f"{kept.ask.site}/files/{own}"},
    }
