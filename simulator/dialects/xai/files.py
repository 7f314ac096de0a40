"""The public hosts of what was made: nothing is signed, the name alone is the key, and links last for a while.

Headers as recorded. How long links last is not documented (the fact `link_ttl_s`); gone ones have been seen as 404. The
body of a refusal is assumed: that of common object storage.
"""

from __future__ import annotations

from email.utils import formatdate
from typing import Final

from simulator import draws
from simulator.dialects.base import Kept, Serving
from simulator.dialects.xai import images, videos
from simulator.dialects.xai.request import IMAGES, VIDEOS
from simulator.jobs.job import end_ms
from simulator.script import Frame, Script

CODES: Final = {403: ("AccessDenied", "Access denied."), 404: ("NoSuchKey", "The specified key does not exist.")}


def is_file(path: str) -> bool:
    """Whether a path leads to one of the hosts."""
    return f"{VIDEOS}/" in path or f"{IMAGES}/" in path


def fetched(kept: Kept, name: str, serving: Serving) -> Script:
    """The file, or why it is not there."""
    job = kept.serving.job
    ttl_ms: float = 1000 * kept.profile.facts["link_ttl_s"]
    gone = 404
    made_ms: float = 1000 * kept.serving.now_s
    if job is not None:
        made_ms = end_ms(job)
        if job.plan.link_ttl_ms is not None:
            ttl_ms, gone = job.plan.link_ttl_ms, job.plan.link_status
    if serving.now_ms >= made_ms + ttl_ms:
        return refused(gone)
    data = images.file(kept, name) if job is None else videos.file(kept, serving.now_ms)
    if data is None or (job is not None and name != videos.name(kept.serving)):
        return refused(404)
    headers = (
        ("content-type", "image/jpeg" if job is None else "video/mp4"),
        ("cache-control", "public, max-age=14400"),
        ("accept-ranges", "bytes"),
        ("etag", f'"{draws.digest(data).hex()}"'),
        ("last-modified", formatdate(made_ms // 1000, usegmt=True)),
        ("server", "cloudflare"),
    )
    return Script(200, headers, (Frame(data, "body"),))


def refused(status: int) -> Script:
    """A refusal of a file host."""
    code, said = CODES.get(status, ("InternalError", "We encountered an internal error. Please try again."))
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{said}</Message></Error>"
    headers = (("content-type", "application/xml; charset=UTF-8"), ("server", "cloudflare"))
    return Script(status, headers, (Frame(body.encode(), "body"),))
