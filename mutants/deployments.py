"""Deployments that are kept, shown, priced or told apart wrongly; and jobs of others."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, select

from gateway.endpoints import deployments as endpoint
from gateway.endpoints import gpu, gpu_jobs
from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.gpu import deployments, graph, rows
from gateway.gpu.deployments import Deployment
from gateway.gpu.job import Job
from gateway.services import Services
from gateway.storage.tables import deployments as deployments_table
from gateway.storage.tables import gpu_jobs as jobs_table
from mutants._patch import around, replace
from mutants.gpu_answers import edit_json
from mutants.registry import mutant

SOUND = {"slug": "mine", "dockerImage": "runpod/worker-comfyui:5.1.0", "gpuTypes": "ADA_48_PRO"}


def edit_view(edit: Any) -> None:
    """A deployment is shown as `edit(deployment, view)` makes of it."""

    @around(deployments, "view")
    def view(old: Any, deployment: Deployment, *rest: Any) -> dict[str, Any]:
        told: dict[str, Any] = edit(deployment, old(deployment, *rest))
        return told


@mutant()
def deployment_change_lost() -> None:
    """A change of a deployment is answered, and not kept."""
    replace(deployments, "replace", lambda _connection, _new: None)


@mutant()
def deployment_stays_after_drop() -> None:
    """A deployment that was dropped is still there."""
    replace(deployments, "drop", lambda c, payer_id, slug: deployments.find(c, payer_id, slug) is not None)


@mutant()
def deployment_slug_taken_again() -> None:
    """A second deployment of a slug takes the place of the first."""

    @around(endpoint, "put")
    def put(old: Any, connection: Connection, made: Deployment, *others: Any) -> Any:
        deployments.drop(connection, made.payer_id, made.slug)
        return old(connection, made, *others)


@mutant()
def deployment_fields_unchecked() -> None:
    """A deployment with a field at fault is made with the usual ones."""

    @around(deployments, "read")
    def read(old: Any, fields: Any, config: Any, *, new: bool) -> Any:
        try:
            return old(fields, config, new=new)
        except InvalidRequest:
            return old(SOUND if new else {}, config, new=new)


@mutant()
def deployment_env_shown() -> None:
    """The values of a deployment's variables are shown."""
    edit_view(lambda deployment, told: {**told, "env": json.loads(deployment.env)})


@mutant()
def deployment_price_as_float() -> None:
    """The price of a deployment is told as a float."""
    edit_view(lambda _deployment, told: {**told, "creditsPerSecond": told["creditsPerSecond"] + 0.5})


@mutant()
def deployments_without_status() -> None:
    """The list of deployments does not say which of them are live."""

    def edit(value: Any, status: int) -> tuple[Any, int]:
        if isinstance(value, dict) and "deployments" in value:
            told = [{name: part for name, part in row.items() if name != "status"} for row in value["deployments"]]
            value = {"deployments": told}
        return value, status

    edit_json(edit)


@mutant()
def deployment_live_at_once() -> None:
    """A deployment takes jobs before it is live."""
    replace(gpu, "check_live", lambda _services, _deployment: None)


@mutant()
def deployment_live_and_refused() -> None:
    """A deployment that is told as live takes no jobs."""

    def check_live(_services: Services, deployment: Deployment) -> None:
        raise Conflict(f"The deployment {deployment.slug!r} is being deployed.", [(b"retry-after", b"1")])

    replace(gpu, "check_live", check_live)


@mutant()
def gpu_overrides_dropped() -> None:
    """What a caller sets of the nodes of a workflow is dropped."""

    @around(graph, "worker_input")
    def worker_input(old: Any, given: Any, *rest: Any) -> Any:
        return old({name: value for name, value in given.items() if name != "workflow_overrides"}, *rest)


@mutant("GD-177")
def gpu_job_of_anybody() -> None:
    """Whoever knows the id of a job may read and cancel it."""

    async def own_job(services: Services, _payer_id: str, job_id: str) -> Job:
        job = await services.store.read(lambda c: rows.find(c, job_id))
        if job is None:
            raise NotFound("There is no such job.")
        return job

    replace(gpu_jobs, "own_job", own_job)


@mutant("GD-177")
def gpu_jobs_listed_for_all() -> None:
    """The list of jobs has those of everybody."""

    def listed(connection: Connection, wanted: rows.Wanted) -> list[Job]:
        newest = select(jobs_table).order_by(rows.COLUMNS.created_at_ms.desc()).limit(wanted.limit)
        return [Job(*row) for row in connection.execute(newest)]

    replace(rows, "listed", listed)


@mutant("GD-177")
def deployment_of_anybody() -> None:
    """Whoever knows the slug of a deployment may use it."""

    def find(connection: Connection, _payer_id: str, slug: str) -> Deployment | None:
        row = connection.execute(select(deployments_table).where(deployments_table.c.slug == slug)).first()
        return None if row is None else Deployment(*row)

    replace(deployments, "find", find)
