"""GET /gpu, POST /gpu/{slug}, POST /gpu/run/{slug}: hosted GPU models, and jobs of callers' own deployments.

Source: api-reference#gpu-models, #comfyui-as-api; what these do not say: docs/decisions.md#gpu-jobs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway import body, edge, guard, idempotency
from gateway.accounts import Key
from gateway.body import json_type
from gateway.config import Upstream
from gateway.errors import AllUpstreamsFailed, BodyTooLarge, Conflict, InvalidRequest, NotFound, shown
from gateway.exchange import Exchange, Stopped
from gateway.gpu import deployments, graph, rows, views
from gateway.gpu.job import Job, price_uc
from gateway.gpu.submit import Begun, Order, caller_of, submit
from gateway.gpu.waiting import end_of
from gateway.services import Services
from gateway.upstreams import runpod
from schemas.catalogue import UC_PER_CREDIT
from schemas.catalogue.gpu import GPU_MODELS, Field, GpuModel, run_as

MEMBERS: Final = ("input", "sync", "webhookUrl")
REPLAYED: Final = (b"idempotent-replayed", b"true")
SEED_DIGITS: Final = 2**32


async def catalogue(services: Services, exchange: Exchange) -> None:
    """Every hosted model."""
    services.key_of(exchange)
    await exchange.respond_json({"object": "list", "data": [view(model) for model in GPU_MODELS.values()]})


async def show_model(services: Services, exchange: Exchange) -> None:
    """One hosted model."""
    services.key_of(exchange)
    await exchange.respond_json(view(find_model(exchange)))


async def run_model(services: Services, exchange: Exchange) -> None:
    """A job of a hosted model."""
    key = services.key_of(exchange)
    raw = await exchange.read_body(services.config.max_body_bytes)
    fields = members_of(raw)
    model = find_model(exchange)
    given = hosted_input(services, model, fields["input"])
    if model.worker == "comfyui":
        given = graph.worker_input(given, new_seed(), model.graph)
    order = Order(
        kind="model",
        slug=model.slug,
        worker=model.worker,
        upstream=upstream_of(services, model.upstream, model.slug),
        endpoint=model.endpoint,
        unit=model.unit,
        rate_uc=model.rate_uc,
        max_seconds=model.max_seconds,
        given=given,
        webhook_url=deployments.webhook_url_of(fields.get("webhookUrl"), services.config),
        min_top_up_uc=model.min_top_up_uc,
    )
    await answer(services, exchange, key, raw, order, inline=fields.get("sync", model.sync))


async def run_deployment(services: Services, exchange: Exchange) -> None:
    """A job of the caller's own deployment."""
    key = services.key_of(exchange)
    raw = await exchange.read_body(services.config.max_body_bytes)
    fields = members_of(raw)
    slug = last_of(exchange)
    deployment = await services.store.read(lambda c: deployments.find(c, key.payer_id, slug))
    if deployment is None:
        raise NotFound(f"There is no deployment {shown(slug)!r}; GET /v1/deployments lists those there are.")
    check_live(services, deployment)
    image = run_as(deployment.docker_image)
    given: Any = fields["input"]
    if image.worker == "comfyui":
        given = graph.worker_input(given, new_seed())
    url = fields.get("webhookUrl")
    order = Order(
        kind="deployment",
        slug=deployment.slug,
        worker=image.worker,
        upstream=upstream_of(services, None, deployment.slug),
        endpoint=image.endpoint,
        unit="second",
        rate_uc=deployment.rate_uc,
        max_seconds=deployment.max_seconds,
        given=given,
        webhook_url=deployment.webhook_url if url is None else deployments.webhook_url_of(url, services.config),
    )
    await answer(services, exchange, key, raw, order, inline=bool(fields.get("sync")))


async def answer(services: Services, exchange: Exchange, key: Key, raw: bytes, order: Order, *, inline: bool) -> None:
    """Submits a job, waits for it where that is wanted, and answers. Raises GatewayError."""
    repeat = idempotency.key_of(exchange.headers.get(b"idempotency-key"))
    caller = caller_of(key, exchange.request_id, exchange.site, exchange.scope["path"], raw, repeat)
    begun = await submit(services, caller, order)
    if begun.replayed:
        exchange.extra_headers.append(REPLAYED)
    job = begun.job
    if inline:
        job = await waited_for(services, exchange, job)
    if inline and not job.open:
        await respond_ended(services, exchange, job)
    else:
        await exchange.respond_json(told(begun, job, inline=inline), 202)


async def waited_for(services: Services, exchange: Exchange, job: Job) -> Job:
    """The job when it has ended or the wait is over. The job goes on when its caller hangs up. Raises Stopped."""
    exchange.watch()
    try:
        with exchange.stop:
            return await end_of(services, job)
    except Stopped:
        services.log.write("info", "gpu_left", request_id=exchange.request_id, job=job.id)
        raise
    finally:
        exchange.unwatch()


async def respond_ended(services: Services, exchange: Exchange, job: Job) -> None:
    """Answers with what came of a job that was waited for. Raises AllUpstreamsFailed, Conflict where there is none."""
    if job.state == "succeeded":
        output = await services.store.read(lambda c: rows.output(c, job.id)) if job.kind == "deployment" else None
        await exchange.respond_json(views.shown(job, output, exchange.site))
    elif job.state == "cancelled":
        raise Conflict(f"The job {job.id} was cancelled.")
    else:
        raise AllUpstreamsFailed(f"The job {job.id} failed: {job.error_message or job.error_type}")


def told(begun: Begun, job: Job, *, inline: bool) -> dict[str, Any]:
    """The answer to a submission whose end is not waited for (any longer)."""
    answer = views.submitted(job)
    if inline:
        answer["pollUrl"] = views.poll_url(job)
    if begun.secret is not None:
        answer["webhookSecret"] = begun.secret
    return answer


# --- what callers say -------------------------------------------------------------------------------------------------


def members_of(raw: bytes) -> dict[str, Any]:
    """The body's members: `input`, an object, and what may stand beside it. Raises InvalidRequest, BodyTooLarge."""
    if len(raw) > runpod.BODY_BYTES_MAX:
        raise BodyTooLarge(f"The request body is over {runpod.BODY_BYTES_MAX} bytes, which GPU workers do not take.")
    fields = body.parse(raw)
    for name in fields:
        if name not in MEMBERS:
            raise InvalidRequest(f"{shown(name)!r} means nothing here; any of {', '.join(MEMBERS)} was due.")
    if "input" not in fields:
        raise InvalidRequest("`input` is missing.")
    if not isinstance(fields["input"], dict):
        raise InvalidRequest(f"`input` is {json_type(fields['input'])}; an object was due.")
    if fields.get("sync") is None:
        fields.pop("sync", None)
    else:
        body.flag(fields, "sync")
    return fields


def hosted_input(services: Services, model: GpuModel, given: Mapping[str, Any]) -> dict[str, Any]:
    """The input of a hosted model with its defaults. Raises InvalidRequest with what came and what was due."""
    for name in given:
        if name not in model.input:
            due = ", ".join(model.input)
            raise InvalidRequest(f"`input.{shown(name)}` means nothing to {model.slug}; any of {due} was due.")
    found: dict[str, Any] = {}
    for name, member in model.input.items():
        value = given.get(name)
        if value is None:
            if member.required:
                raise InvalidRequest(f"`input.{name}` is missing.")
            if member.default is not None:
                found[name] = member.default
            continue
        check(f"input.{name}", member, value)
        found[name] = guard.checked(value, services.config) if member.type == "url" else value
    return found


def check(where: str, member: Field, value: Any) -> None:
    """Raises InvalidRequest unless the value is what was due."""
    is_text = member.type in ("string", "url")
    due = "a string" if is_text else "an integer" if member.type == "integer" else "a number"
    number = isinstance(value, int) or (member.type == "number" and isinstance(value, float))
    if (is_text and not isinstance(value, str)) or (not is_text and (not number or isinstance(value, bool))):
        raise InvalidRequest(f"`{where}` is {json_type(value)}; {due} was due.")
    if is_text and not value.strip():
        raise InvalidRequest(f"`{where}` is empty.")
    size = len(value) if is_text else value
    least = -(2**53) if member.least is None else member.least
    most = 2**53 if member.most is None else member.most
    if not least <= size <= most:
        what = f"has {size} characters" if is_text else f"is {value}"
        bounds = f"at most {most}" if member.least is None else f"{least} or more" if member.most is None else ""
        raise InvalidRequest(f"`{where}` {what}; {bounds or f'{least} to {most}'} was due.")


def check_live(services: Services, deployment: deployments.Deployment) -> None:
    """Raises Conflict while the deployment does not take jobs yet."""
    wait_ms = deployment.live_at_ms(services.config) - services.clock.now_ms()
    if wait_ms > 0:
        wait_s = -(-wait_ms // 1000)
        message = f"The deployment {deployment.slug!r} is being deployed; it goes live in {wait_s} s."
        raise Conflict(message, [(b"retry-after", b"%d" % wait_s)])


def find_model(exchange: Exchange) -> GpuModel:
    """The hosted model that the path names. Raises NotFound."""
    slug = last_of(exchange)
    model = GPU_MODELS.get(slug)
    if model is None:
        raise NotFound(f"There is no GPU model {shown(slug)!r}; GET /v1/gpu lists those there are.")
    return model


def last_of(exchange: Exchange) -> str:
    """The last segment of the path."""
    return str(exchange.scope["path"]).rstrip("/").rpartition("/")[2]


def upstream_of(services: Services, name: str | None, slug: str) -> Upstream:
    """Whose endpoint runs it. Raises AllUpstreamsFailed where the configuration has none."""
    found = services.config.upstreams.get(name or services.config.gpu_upstream)
    if found is None or not found.speaks(runpod.DIALECT):
        raise AllUpstreamsFailed(f"All upstreams failed for {slug}: there is none")
    return found


def new_seed() -> int:
    """A seed for a caller who set none."""
    return int(edge.jitter() * SEED_DIGITS)


def view(model: GpuModel) -> dict[str, Any]:
    """A hosted model as its caller sees it."""
    per = "creditsPerCall" if model.unit == "call" else "creditsPerSecond"
    most_uc = price_uc(model.unit, model.rate_uc, model.max_seconds * 1000)
    return {
        "slug": model.slug,
        "name": model.name,
        "kind": model.kind,
        per: model.rate_uc // UC_PER_CREDIT,
        "maxSeconds": model.max_seconds,
        "maxCredits": most_uc // UC_PER_CREDIT,
        "mode": "sync" if model.sync else "async",
        "input": {
            name: {key: value for key, value in facts_of(member).items() if value is not None}
            for name, member in model.input.items()
        },
        "runUrl": f"/v1/gpu/{model.slug}",
    }


def facts_of(member: Field) -> dict[str, Any]:
    """What is due of a member of the input."""
    return {
        "type": member.type,
        "required": member.required,
        "least": member.least,
        "most": member.most,
        "default": member.default,
    }
