"""GET and POST /deployments, GET, PATCH and DELETE /deployments/{slug}: containers on GPUs.

Real endpoints are not made at the provider: every image runs as one of the endpoints that its upstream has already
(`schemas/catalogue/gpu.yaml`). Source: api-reference#comfyui-as-api; docs/decisions.md#deployments.
"""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from gateway import body, edge
from gateway.endpoints.gpu import last_of
from gateway.errors import Conflict, GatewayError, InvalidRequest, NotFound, shown
from gateway.exchange import Exchange
from gateway.gpu import deployments, outbox
from gateway.gpu.deployments import Deployment
from gateway.sealing import Vault
from gateway.services import Services
from gateway.storage.engine import StoreError


async def listed(services: Services, exchange: Exchange) -> None:
    """The caller's deployments."""
    key = services.key_of(exchange)
    found = await services.store.read(lambda c: deployments.listed(c, key.payer_id))
    now_ms = services.clock.now_ms()
    await exchange.respond_json({"deployments": [deployments.view(each, services.config, now_ms) for each in found]})


async def create(services: Services, exchange: Exchange) -> None:
    """A new deployment; with it the payer's first webhook secret, where there is something to sign and none yet."""
    key = services.key_of(exchange)
    fields = body.parse(await exchange.read_body(services.config.max_body_bytes))
    now_ms = services.clock.now_ms()
    found = deployments.read(fields, services.config, new=True)
    made = deployments.made(edge.new_id("dep"), key.payer_id, found, now_ms, services.vault)
    try:
        secret = await services.store.write(lambda c: put(c, made, now_ms, services.vault))
    except StoreError as error:
        if isinstance(error.__cause__, IntegrityError):  # another worker was first
            raise taken(made.slug) from None
        raise
    shown_ = deployments.view(made, services.config, now_ms)
    await exchange.respond_json(shown_ | ({} if secret is None else {"webhookSecret": secret}), 201)


async def show(services: Services, exchange: Exchange) -> None:
    """One deployment."""
    key = services.key_of(exchange)
    slug = last_of(exchange)
    found = await services.store.read(lambda c: own(c, key.payer_id, slug))
    await exchange.respond_json(deployments.view(found, services.config, services.clock.now_ms()))


async def change(services: Services, exchange: Exchange) -> None:
    """Changes what the body names; jobs under way stay as they were submitted."""
    key = services.key_of(exchange)
    fields = body.parse(await exchange.read_body(services.config.max_body_bytes))
    slug, now_ms = last_of(exchange), services.clock.now_ms()
    values = deployments.read(fields, services.config, new=False)

    def write(connection: Connection) -> tuple[Deployment, str | None]:
        new = deployments.changed(own(connection, key.payer_id, slug), values, now_ms, services.vault)
        deployments.replace(connection, new)
        return new, first_secret(connection, new, now_ms, services.vault)

    new, secret = await services.store.write(write)
    shown_ = deployments.view(new, services.config, now_ms)
    await exchange.respond_json(shown_ | ({} if secret is None else {"webhookSecret": secret}))


async def drop(services: Services, exchange: Exchange) -> None:
    """Forgets a deployment. Its jobs go on, and are charged."""
    key = services.key_of(exchange)
    slug = last_of(exchange)
    if not await services.store.write(lambda c: deployments.drop(c, key.payer_id, slug)):
        raise nothing(slug)
    await exchange.respond_json({"slug": slug, "deleted": True})


def put(connection: Connection, made: Deployment, now_ms: int, vault: Vault) -> str | None:
    """Keeps a new deployment; the payer's first webhook secret. Raises Conflict, InvalidRequest."""
    if deployments.find(connection, made.payer_id, made.slug) is not None:
        raise taken(made.slug)
    if deployments.count(connection, made.payer_id) >= deployments.MOST:
        raise InvalidRequest(f"There are {deployments.MOST} deployments already, which is as many as there may be.")
    deployments.put(connection, made)
    return first_secret(connection, made, now_ms, vault)


def first_secret(connection: Connection, deployment: Deployment, now_ms: int, vault: Vault) -> str | None:
    """The payer's first webhook secret, if one is needed."""
    if deployment.webhook_url is None:
        return None
    return outbox.first_secret(connection, deployment.payer_id, now_ms, vault)


def own(connection: Connection, payer_id: str, slug: str) -> Deployment:
    """The payer's deployment. Raises NotFound."""
    found = deployments.find(connection, payer_id, slug)
    if found is None:
        raise nothing(slug)
    return found


def nothing(slug: str) -> GatewayError:
    """There is none."""
    return NotFound(f"There is no deployment {shown(slug)!r}; GET /v1/deployments lists those there are.")


def taken(slug: str) -> GatewayError:
    """There is one already."""
    return Conflict(f"There is a deployment {slug!r} already; another `slug` was due, or PATCH to change it.")
