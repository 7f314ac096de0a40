"""Users and keys: secrets are shown once, changes count at once and survive a restart."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from gateway.accounts import Accounts, SecretTaken, digest
from gateway.limits import DEFAULTS
from gateway.storage.store import Store
from tests.gateway.making import NOW_MS, StillClock, open_store, run


def open_accounts(store: Store) -> Accounts:
    return Accounts(store, StillClock())


def test_a_key_is_found_by_its_secret_only(tmp_path: Path) -> None:
    async def work() -> str:
        store = open_store(tmp_path)
        accounts = open_accounts(store)
        user = await accounts.create_user("Ada", "ada@example.com")
        key, secret = await accounts.create_key(user, "laptop")
        assert re.fullmatch(r"ck_[0-9A-Za-z]{40}", secret)
        assert accounts.find(secret) == key == accounts.key(key.id)
        assert (key.user_id, key.name, key.status, key.expires_at_s) == (user.id, "laptop", "active", None)
        assert key.limits == DEFAULTS
        for wrong in (secret[:-1], secret + "a", secret.swapcase(), digest(secret), key.id, "", "ck_\ud800"):
            assert accounts.find(wrong) is None
        store.close()
        return secret

    secret = run(work())
    assert secret.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    async def first() -> tuple[str, str, str]:
        store = open_store(tmp_path)
        accounts = open_accounts(store)
        user = await accounts.create_user("Ada", None, {"chat": 2})
        await accounts.set_limits(user, {"video": 7})
        _, kept_secret = await accounts.create_key(user, None, NOW_MS // 1000 + 60)
        gone, gone_secret = await accounts.create_key(user)
        off, _ = await accounts.create_key(user)
        await accounts.delete_key(gone)
        await accounts.change_key(off, status="disabled")
        store.close()
        return user.id, kept_secret, gone_secret

    async def second(user_id: str, kept_secret: str, gone_secret: str) -> None:
        store = open_store(tmp_path)
        accounts = open_accounts(store)
        user = accounts.user(user_id)
        assert user is not None
        assert user.limits == {"chat": 2, "image": 500, "video": 7, "audio": 200}
        kept = accounts.find(kept_secret)
        assert kept is not None
        assert kept.limits == user.limits
        assert kept.expires_at_s == NOW_MS // 1000 + 60
        assert accounts.find(gone_secret) is None
        assert [key.status for key in accounts.keys_of(user_id)] == ["active", "disabled"]
        store.close()

    run(second(*run(first())))


def test_a_key_is_usable_while_active_and_not_expired(tmp_path: Path) -> None:
    async def work() -> None:
        store = open_store(tmp_path)
        accounts = open_accounts(store)
        user = await accounts.create_user()
        key, secret = await accounts.create_key(user, expires_at_s=100)
        assert key.usable(99)
        assert not key.usable(100)
        key = await accounts.change_key(key, expires_at_s=None)
        assert key.usable(10**12)
        key = await accounts.change_key(key, status="disabled")
        assert accounts.find(secret) == key
        assert not key.usable(0)
        key = await accounts.change_key(key, status="active", expires_at_s=5)
        assert (key.usable(4), key.usable(5)) == (True, False)
        store.close()

    run(work())


def test_limits_belong_to_the_user_and_reach_all_keys_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        store = open_store(tmp_path)
        accounts = open_accounts(store)
        user = await accounts.create_user(limits={"chat": 5})
        secrets = [(await accounts.create_key(user))[1] for _ in range(2)]
        user = await accounts.set_limits(user, {"image": 3})
        assert user.limits["chat"] == 5
        await accounts.set_limits(user, {"chat": 1000})
        for secret in secrets:
            key = accounts.find(secret)
            assert key is not None
            assert (key.limits["chat"], key.limits["image"]) == (1000, 3)
        store.close()

    run(work())


def test_a_secret_of_ones_own_must_be_new(tmp_path: Path) -> None:
    async def work() -> None:
        store = open_store(tmp_path)
        accounts = open_accounts(store)
        user = await accounts.create_user()
        both = [accounts.create_key(user, secret="ck_the_same_secret") for _ in range(2)]
        made = await asyncio.gather(*both, return_exceptions=True)
        assert sum(isinstance(one, SecretTaken) for one in made) == 1
        with pytest.raises(SecretTaken):
            await accounts.create_key(user, secret="ck_the_same_secret")
        assert len(accounts.keys_of(user.id)) == 1
        store.close()

    run(work())
