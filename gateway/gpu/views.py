"""Jobs as callers see them: in one form those of hosted models, in another those of deployments.

Source: api-reference#comfyui-as-api (job_id, output, executionMs, creditsCharged), #gpu-models (id, outputs,
costCredits, durationMs, pollUrl).
"""

from __future__ import annotations

import json
from typing import Any

from gateway.gpu.job import Job
from gateway.usage import iso_utc
from schemas.catalogue import UC_PER_CREDIT


def poll_url(job: Job) -> str:
    """Where to ask how a job stands."""
    return f"/v1/gpu/jobs/{job.id}"


def submitted(job: Job) -> dict[str, Any]:
    """The answer to a submission that is not waited for."""
    if job.kind == "model":
        return {"id": job.id, "status": job.shown_state, "pollUrl": poll_url(job)}
    return {"job_id": job.id, "status": job.shown_state, "provider_job_id": job.provider_job_id}


def shown(job: Job, output: Any = None, site: str = "") -> dict[str, Any]:
    """How a job stands. `output` is what its worker gave, `site` stands before links that have none."""
    if job.open:
        told = submitted(job)
        return told | {"cancelRequested": True} if job.cancel_at_ms is not None else told
    is_model = job.kind == "model"
    told = {"id" if is_model else "job_id": job.id, "status": job.state}
    if job.state == "succeeded":
        told |= {"outputs": links(job, site)} if is_model else {"output": output}
    else:
        told["error"] = {"type": job.error_type, "message": job.error_message}
    if is_model:
        return told | {"costCredits": credits(job.charged_uc), "durationMs": job.execution_ms}
    return told | {"executionMs": job.execution_ms, "creditsCharged": credits(job.charged_uc)}


def listed(job: Job) -> dict[str, Any]:
    """A job in a list, without what it made."""
    return {
        "id": job.id,
        "kind": job.kind,
        "slug": job.slug,
        "status": job.shown_state,
        "createdAt": iso_utc(job.created_at_ms),
        "endedAt": None if job.ended_at_ms is None else iso_utc(job.ended_at_ms),
        "executionMs": job.execution_ms,
        "creditsCharged": credits(job.charged_uc),
        "estimated": job.estimated,
        "error": None if job.error_type is None else {"type": job.error_type, "message": job.error_message},
        "pollUrl": poll_url(job),
    }


def links(job: Job, site: str) -> list[str]:
    """What a hosted model made."""
    told: list[str] = [] if job.outputs is None else json.loads(job.outputs)
    return [site + link if link.startswith("/") else link for link in told]


def credits(amount_uc: int) -> int:
    """Microcredits as credits: what jobs cost is whole credits."""
    return amount_uc // UC_PER_CREDIT
