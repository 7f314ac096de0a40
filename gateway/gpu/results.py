"""The result of a job that succeeded, in the form its caller gets: data URLs, or links that last.

Hosted models: files are fetched and kept by the gateway. Deployments: as the worker gave it, the pictures of ComfyUI as
data URLs; a link in there is its owner's own and is not fetched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.gpu import outputs
from gateway.gpu.job import Job
from gateway.gpu.life import Problem
from gateway.gpu.outputs import File
from gateway.media.keeping import fetched
from gateway.media.order import Item
from gateway.media.steps import Failed

if TYPE_CHECKING:
    from gateway.services import Services

NOTHING = Problem("no_output", "The job succeeded, but nothing was made.")
UNFETCHED = Problem("result_lost", "What the job made cannot be fetched from its provider.")


class Result(NamedTuple):
    """What is kept of a job."""

    output: Any = None  # of a deployment's
    links: Sequence[str] | None = None  # of a hosted model's


class Unfetched(Exception):
    """A file could not be fetched: later, perhaps."""


async def result_of(services: Services, job: Job, output: Any) -> Result | Problem:
    """What is kept, or why the job did not succeed after all. Raises Unfetched."""
    if job.kind == "model":
        found = outputs.pictures(output) if job.worker == "comfyui" else outputs.files(output)
        if not found:
            return NOTHING
        return Result(links=await asyncio.gather(*(kept(services, job, file) for file in found)))
    if job.worker == "handler":
        return Result(output)
    pictures = outputs.pictures(output)
    if not pictures:
        return NOTHING
    told: dict[str, Any] = {"images": [outputs.data_url(file) for file in pictures]}
    if warnings := outputs.warnings(output):
        told["errors"] = warnings
    return Result(told)


async def kept(services: Services, job: Job, file: File) -> str:
    """A link to the file that lasts. Raises Unfetched."""
    data, mime = file.data, file.mime
    if data is None:
        try:
            item = await fetched(services, Item(url=file.url, mime=mime))
        except Failed:
            raise Unfetched from None
        data, mime = item.data or b"", outputs.mime_of_bytes(item.data or b"") or item.mime
    if not data or not outputs.is_whole(data, mime):
        raise Unfetched
    return await services.objects.publish(data, mime, job.request_id, owner=job.payer_id, site=job.site)
