"""Values of `env` and webhook secrets at rest: sealed, the older form read too, and what another key makes of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text, update

from gateway import config
from gateway.gpu import background, outbox, sealed
from gateway.sealing import Vault
from gateway.storage.store import Store
from gateway.storage.tables import deployments, webhook_secrets
from tests.gateway.gpu_lab import CLIP, HOOKED, PROMPT, GpuLab, open_gpu_lab, parts
from tests.gateway.lab import run
from tests.gateway.making import open_store, until

ONE, SECRET, WAN = "/v1/deployments/my-comfy-workflow", "/v1/webhooks/secret", "/v1/gpu/wan-video"
VALUE = "hf_not-for-everybody"
PLAIN = "whsec_cGxhaW4tc2VjcmV0LW9mLWFuLWVhcmxpZXItdmVyc2lvbg=="
KEY, OTHER = "k" * 32, "o" * 32
AT_S = 1_790_000_000


def vault(**options: Any) -> Vault:
    """The vault of a gateway with these options on another database than SQLite."""
    return Vault(config.load(flags=options), "postgresql://db.example/gateway")


def with_vault(lab: GpuLab, other: Vault) -> GpuLab:
    """The same gateway with another vault."""
    lab.services.vault = other
    return lab


async def kept(lab: GpuLab) -> tuple[Any, Mapping[str, Any]]:
    """The variables of the only deployment and the only payer's secrets, as they lie in the database."""
    env = await lab.services.store.read(lambda c: c.execute(select(deployments.c.env)).scalar())
    row = await lab.services.store.read(lambda c: c.execute(select(webhook_secrets)).mappings().first())
    return json.loads(env or "null"), dict(row or {})


async def told(lab: GpuLab) -> tuple[dict[str, Any], bytes, dict[str, str]]:
    """Ends a job with a webhook; how its delivery fares, and what was sent last."""
    submitted = await lab.ask(WAN, PROMPT | {"webhookUrl": HOOKED})
    assert submitted.status == 202
    lab.clock.advance(5_000)
    lab.runpod.end(output=CLIP, executionTime=1_000)
    await lab.job(submitted.json["id"])
    await lab.rounds()
    (first, *_) = (await lab.ask("/v1/webhooks/deliveries", method="GET")).json["deliveries"]
    if not lab.runpod.received:
        return first, b"", {}
    return first, lab.runpod.received[-1].body, dict(lab.runpod.received[-1].headers)


def everything(folder: Path) -> bytes:
    """All that lies in a folder."""
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def is_signed(secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    """Whether one of the signatures is this secret's."""
    due = outbox.signature(secret, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    return due in headers["webhook-signature"].split()


def test_nothing_of_them_is_in_the_database_s_files(tmp_path: Path) -> None:
    async def work() -> None:
        store = open_store(tmp_path)
        lab = await open_gpu_lab(tmp_path, store=store)
        made = await lab.deploy(env={"HF_TOKEN": VALUE, "MODE": "a-mode-of-mine"}, webhookUrl=HOOKED)
        first = made["webhookSecret"]
        second = (await lab.ask(SECRET)).json["secret"]
        assert (await lab.ask(ONE, {"env": {"HF_TOKEN": f"{VALUE}-2"}}, method="PATCH")).status == 200
        delivery, body, headers = await told(lab)
        assert delivery["status"] == "delivered"
        assert is_signed(first, body, headers)
        assert is_signed(second, body, headers)
        store.close()
        written = everything(tmp_path)
        assert b"HF_TOKEN" in written, "the names are no secrets"
        for secret in (VALUE, "a-mode-of-mine", first, second, "whsec_"):
            assert secret.encode() not in written, secret

    run(work())


def test_an_earlier_version_s_are_read_and_sealed_at_the_start(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path)
        await lab.deploy(env={"HF_TOKEN": VALUE}, webhookUrl=HOOKED)
        store = lab.services.store
        old = {"secret": PLAIN, "previous": PLAIN, "previous_until_ms": lab.clock.now_ms() + 1000}
        env = json.dumps({"HF_TOKEN": VALUE, "EMPTY": ""})
        await store.write(lambda c: c.execute(update(webhook_secrets).values(**old)) and None)
        await store.write(lambda c: c.execute(update(deployments).values(env=env)) and None)
        assert (await lab.ask(SECRET, method="GET")).json["hint"] == PLAIN[-4:]
        _, body, headers = await told(lab)
        assert is_signed(PLAIN, body, headers)
        assert await store.write(lambda c: sealed.seal_old(c, lab.services.vault)) == 2
        values, row = await kept(lab)
        assert all(isinstance(value, list) for value in values.values())
        assert row["secret"].startswith(sealed.MARK)
        assert row["previous"].startswith(sealed.MARK)
        assert VALUE not in str(values)
        assert await store.write(lambda c: sealed.seal_old(c, lab.services.vault)) == 0
        _, body, headers = await told(lab)
        assert is_signed(PLAIN, body, headers)
        again = (await lab.ask(ONE, {"env": {"HF_TOKEN": VALUE, "EMPTY": ""}}, method="PATCH")).json
        assert again["status"] == "live", "the same values are no other container"
        other = (await lab.ask(ONE, {"env": {"HF_TOKEN": "x"}}, method="PATCH")).json
        assert other["status"] == "deploying"

    run(work())


def test_with_another_key_it_is_said_what_is_wrong(tmp_path: Path) -> None:
    async def work() -> None:
        lab = with_vault(await open_gpu_lab(tmp_path), vault(secret_key=KEY))
        await lab.deploy(env={"HF_TOKEN": VALUE})
        old = (await lab.ask(SECRET)).json["secret"]
        with_vault(lab, vault(secret_key=OTHER))
        delivery, _, _ = await told(lab)
        assert (delivery["status"], delivery["lastStatus"]) == ("pending", None)
        assert "cannot be opened: the gateway's `secret_key` was changed" in delivery["lastError"]
        assert (await lab.ask(SECRET, method="GET")).json["hint"] is None
        new = (await lab.ask(SECRET)).json
        assert new["previousUntil"] is None, "what cannot be opened does not sign"
        changed = (await lab.ask(ONE, {"env": {"HF_TOKEN": VALUE}}, method="PATCH")).json
        assert changed["status"] == "deploying"
        await lab.rounds(60)
        assert is_signed(new["secret"], lab.runpod.received[-1].body, dict(lab.runpod.received[-1].headers))
        assert not is_signed(old, lab.runpod.received[-1].body, dict(lab.runpod.received[-1].headers))
        (once,) = (await lab.ask("/v1/webhooks/deliveries", method="GET")).json["deliveries"]
        assert once["status"] == "delivered"

    run(work())


def test_the_right_key_once_more_and_what_waited_is_sent(tmp_path: Path) -> None:
    async def work() -> None:
        lab = with_vault(await open_gpu_lab(tmp_path), vault(secret_key=KEY))
        secret = (await lab.ask(SECRET)).json["secret"]
        await told(with_vault(lab, vault(secret_key=OTHER)))
        assert lab.runpod.received == []
        await with_vault(lab, vault(secret_key=KEY)).rounds(60)
        assert is_signed(secret, lab.runpod.received[-1].body, dict(lab.runpod.received[-1].headers))

    run(work())


def test_without_a_key_they_are_kept_until_there_is_one(tmp_path: Path) -> None:
    async def work() -> None:
        lab = with_vault(await open_gpu_lab(tmp_path), vault())
        made = await lab.deploy(env={"HF_TOKEN": VALUE}, webhookUrl=HOOKED)
        values, row = await kept(lab)
        assert (values, row["secret"]) == ({"HF_TOKEN": VALUE}, made["webhookSecret"])
        store = lab.services.store
        assert await store.write(lambda c: sealed.seal_old(c, lab.services.vault)) == 0
        with_vault(lab, vault(secret_key=KEY))
        assert await store.write(lambda c: sealed.seal_old(c, lab.services.vault)) == 2
        values, row = await kept(lab)
        assert VALUE not in str(values)
        assert made["webhookSecret"] not in str(row)
        _, body, headers = await told(lab)
        assert is_signed(made["webhookSecret"], body, headers)

    run(work())


@pytest.mark.parametrize("key", [KEY, None])
def test_a_gateway_that_starts_seals_or_says_that_it_cannot(
    tmp_path: Path, key: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work() -> None:
        lab = with_vault(await open_gpu_lab(tmp_path), vault())
        made = (await lab.ask(SECRET)).json["secret"]
        with_vault(lab, vault(secret_key=key) if key else vault())

        async def begun() -> bool:
            return (await kept(lab))[1]["secret"] != made if key else "unsealed" in capsys.readouterr().err

        task = asyncio.create_task(background.run(lab.services))
        async with asyncio.timeout(20):
            await until(begun)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await kept(lab))[1]["secret"].startswith(sealed.MARK if key else "whsec_")

    run(work())


def test_a_process_after_another_opens_what_that_one_sealed(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await open_gpu_lab(tmp_path, store=open_store(tmp_path))
        secret = (await lab.ask(SECRET)).json["secret"]
        url = lab.services.store.url
        lab.services.store.close()
        store = Store(url)
        services = parts(lab.services.config, store, lab.runpod, lab.clock)
        found = await store.read(lambda c: outbox.secret_of(c, lab.user_id, services.vault))
        assert found is not None
        assert found.secret == secret
        assert await store.read(lambda c: c.execute(text("SELECT count(*) FROM webhook_secrets")).scalar()) == 1
        store.close()

    run(work())


@given(st.text(max_size=60), st.text(max_size=20))
def test_each_is_sealed_for_its_own_place(value: str, name: str) -> None:
    value, name = value.encode("utf-8", "ignore").decode(), name.encode("utf-8", "ignore").decode()
    own = vault(secret_key=KEY)
    locked = sealed.locked_env(own, "dep_1", {name: value})
    assert sealed.opened_value(own, "dep_1", name, locked[name]) == value
    assert sealed.opened_value(own, "dep_2", name, locked[name]) is None
    assert sealed.opened_value(own, "dep_1", f"{name}x", locked[name]) is None
    assert sealed.locked_env(own, "dep_1", locked) == locked, "once"
    secret = sealed.locked_secret(own, "usr_1", value)
    if not value.startswith(sealed.MARK):
        assert sealed.opened_secret(own, "usr_1", secret) == value
        assert sealed.opened_secret(own, "usr_2", secret) is None
    assert sealed.locked_secret(own, "usr_1", secret) == secret


@pytest.mark.parametrize("kept_as", ["sealed.", "sealed.nonsense", "sealed.AAAA"])
def test_what_was_not_sealed_by_this_gateway_is_not_opened(kept_as: str) -> None:
    assert sealed.opened_secret(vault(secret_key=KEY), "usr_1", kept_as) is None
    assert sealed.opened_secret(vault(), "usr_1", kept_as) is None
