"""The files of a work behind links, made again whenever somebody fetches one."""

from __future__ import annotations

from simulator.dialects.base import Serving
from simulator.dialects.predictions.works import Work, made
from simulator.jobs.job import Plan
from simulator.media import links
from simulator.script import Script

STYLE = "delivery"
GONE = 404  # what a link answers once its file was deleted, unless a fault says else


def link(
    site: str, path: str, work: Work, index: int, secret: bytes, made_ms: int, life_ms: int, plan: Plan | None = None
) -> str:
    """The address of a file at a path below `site`, good for so long from then on, or as the plan of its job says."""
    gone = GONE
    if plan is not None and plan.link_ttl_ms is not None:
        life_ms, gone = plan.link_ttl_ms, plan.link_status
    content = [*work, index]
    made_s, life_s = made_ms // 1000, life_ms // 1000
    return links.signed(STYLE, f"{site}{path}", path, content, secret, made_s, life_s, gone, work.mime)


def fetched(serving: Serving, folder: str) -> Script:
    """The file of a link, or why it is not given. `folder` is where the paths of links begin."""
    path = serving.path[serving.path.index(folder) :]
    found = links.opened(STYLE, path, serving.query, serving.facts["signature_secret"], serving.now_s)
    if isinstance(found, Script):
        return found
    *told, index = found.content
    work = Work(*told)
    return links.served(STYLE, made(work, index), work.mime, serving.now_s)
