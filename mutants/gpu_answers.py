"""GPU jobs that are answered, shown, listed or refused wrongly."""

from __future__ import annotations

from typing import Any

from gateway.endpoints import gpu, gpu_jobs
from gateway.errors import InvalidRequest, Unauthenticated
from gateway.exchange import Exchange
from gateway.gpu import rows, views
from gateway.gpu import submit as submission
from gateway.gpu.job import Job
from gateway.services import Services
from mutants._patch import around, replace
from mutants.registry import mutant
from schemas.catalogue.gpu import GPU_MODELS


def edit_json(edit: Any) -> None:
    """Every JSON answer is what `edit(body, status)` makes of it: body and status."""

    @around(Exchange, "respond_json")
    async def respond_json(old: Any, self: Exchange, value: Any, status: int = 200, *rest: Any, **more: Any) -> None:
        value, status = edit(value, status)
        await old(self, value, status, *rest, **more)


@mutant()
def gpu_list_without_limits() -> None:
    """The list of hosted models does not tell how long a job may run."""

    @around(gpu, "view")
    def view(old: Any, model: Any) -> dict[str, Any]:
        return {name: value for name, value in old(model).items() if name != "maxSeconds"}


@mutant()
def gpu_limits_as_text() -> None:
    """The highest price of a hosted model is told as a text."""

    @around(gpu, "view")
    def view(old: Any, model: Any) -> dict[str, Any]:
        told: dict[str, Any] = old(model)
        return {**told, "maxCredits": str(told["maxCredits"])}


@mutant()
def gpu_list_needs_no_key() -> None:
    """The list of hosted models is given to anybody."""

    @around(Services, "key_of")
    def key_of(old: Any, self: Services, exchange: Exchange) -> Any:
        try:
            return old(self, exchange)
        except Unauthenticated:
            if not str(exchange.scope["path"]).endswith("/gpu"):
                raise
            return None


@mutant()
def gpu_output_link_dead() -> None:
    """The links to what a job made lead to nothing."""

    @around(views, "links")
    def links(old: Any, job: Job, site: str) -> list[str]:
        return [f"{link}0" for link in old(job, site)]


@mutant()
def gpu_queued_answers_200() -> None:
    """A job that only waits is answered with 200."""
    edit_json(lambda value, status: (value, 200 if status == 202 else status))


@mutant()
def gpu_poll_url_dead() -> None:
    """The poll URL of a job leads to another."""
    replace(views, "poll_url", lambda job: f"/v1/gpu/jobs/{job.id[::-1]}")


@mutant()
def gpu_submission_without_poll_url() -> None:
    """The answer to a submission does not say where to poll."""

    @around(views, "submitted")
    def submitted(old: Any, job: Job) -> dict[str, Any]:
        return {name: value for name, value in old(job).items() if name != "pollUrl"}


@mutant()
def gpu_job_without_time() -> None:
    """An ended job does not tell how long it ran."""

    @around(views, "shown")
    def shown(old: Any, *args: Any) -> dict[str, Any]:
        return {name: value for name, value in old(*args).items() if name not in ("durationMs", "executionMs")}


@mutant()
def gpu_running_never_told() -> None:
    """A job is told as queued until it has ended."""
    shown_state = property(lambda self: "queued" if self.open else self.state)
    setattr(Job, "shown_state", shown_state)  # noqa: B010 - mypy knows it as read-only


@mutant()
def gpu_sync_ignored() -> None:
    """Whether a job is waited for is the model's affair alone."""

    @around(gpu, "answer")
    async def answer(old: Any, *args: Any, inline: bool) -> None:  # noqa: ARG001 - that is what is ignored
        model = GPU_MODELS.get(args[4].slug)
        await old(*args, inline=model is not None and model.sync)


@mutant()
def gpu_failure_answers_200() -> None:
    """A job that failed while its caller waited is answered with 200."""

    async def respond_ended(_services: Services, exchange: Exchange, job: Job) -> None:
        await exchange.respond_json(views.shown(job, None, exchange.site))

    replace(gpu, "respond_ended", respond_ended)


@mutant()
def gpu_jobs_oldest_first() -> None:
    """A page of jobs is the wrong way round."""

    @around(rows, "listed")
    def listed(old: Any, *args: Any) -> list[Job]:
        return list(reversed(old(*args)))


@mutant()
def gpu_jobs_page_repeats() -> None:
    """The next page of jobs begins with the last one of the page before."""

    @around(gpu_jobs, "cursor_of")
    def cursor_of(old: Any, query: Any) -> Any:
        found = old(query)
        return None if found is None else (found[0] + 1, found[1])


@mutant()
def gpu_page_without_next() -> None:
    """The last page of jobs does not say that it is the last."""

    def edit(value: Any, status: int) -> tuple[Any, int]:
        is_last = isinstance(value, dict) and "jobs" in value and value.get("next") is None
        return ({"jobs": value["jobs"]} if is_last else value), status

    edit_json(edit)


@mutant()
def gpu_unknown_slug_is_400() -> None:
    """A hosted model that there is not is called a bad request."""

    @around(gpu, "find_model")
    def find_model(_old: Any, exchange: Exchange) -> Any:
        slug = gpu.last_of(exchange)
        if slug not in GPU_MODELS:
            raise InvalidRequest(f"There is no GPU model {slug!r}.")
        return GPU_MODELS[slug]


@mutant()
def gpu_input_unchecked() -> None:
    """An input at fault is taken for none."""

    @around(gpu, "hosted_input")
    def hosted_input(old: Any, services: Services, model: Any, given: Any) -> Any:
        try:
            return old(services, model, given)
        except InvalidRequest:
            return {"prompt": "a cat"}


@mutant()
def gpu_tier_ignored() -> None:
    """Hosted GPU models are for everybody who has credit."""

    async def check_tier(*_args: Any) -> None:
        return None

    replace(submission, "check_tier", check_tier)
