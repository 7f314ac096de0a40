"""A gateway's own database and names in Redis: made, used under a name, and gone at the end."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
import pytest
import redis

from suites.launch import GATEWAY_COMMAND, gateway_argv, own_commands
from suites.processes import StartError
from suites.stores import Stores, made, new_name
from tests.gateway.databases import REDIS, SERVER, missing_postgresql, missing_redis

HERE = Stores(SERVER, REDIS, 4)
NOWHERE = Stores("postgresql://127.0.0.1:1/postgres", "redis://127.0.0.1:1/0")


def there(name: str) -> bool:
    """Whether there is such a database."""
    with psycopg.connect(SERVER) as connection:
        return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


@pytest.fixture
def servers() -> None:
    """Skips without them."""
    if missing := missing_postgresql() or missing_redis():
        pytest.skip(missing)


@pytest.mark.usefixtures("servers")
def test_what_is_made_is_gone_at_the_end_and_nothing_else() -> None:
    with redis.Redis.from_url(REDIS) as client:
        with made(HERE) as name, made(HERE) as other:
            assert there(name)
            client.set(f"{{{name}}}:limit:a", "1", ex=60)
            client.set(f"{{{other}}}:limit:a", "1", ex=60)
            with psycopg.connect(HERE.url(name), autocommit=True) as connection:
                connection.execute("CREATE TABLE used ()")
            subprocess.run(HERE.command("drop", name), check=True)
            assert (there(name), there(other)) == (False, True)
            assert client.exists(f"{{{name}}}:limit:a") == 0
            assert client.exists(f"{{{other}}}:limit:a") == 1
        assert client.exists(f"{{{other}}}:limit:a") == 0
    assert not there(other)


@pytest.mark.usefixtures("servers")
def test_the_commands_of_a_target_make_and_drop() -> None:
    name = new_name()
    subprocess.run(HERE.command("make", name), check=True)
    assert there(name)
    subprocess.run(HERE.command("drop", name), check=True)
    assert not there(name)


def test_servers_that_do_not_answer_are_one_line() -> None:
    done = subprocess.run(NOWHERE.command("make", "x"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no database of its own at postgresql://127.0.0.1:1/postgres" in done.stderr
    assert done.stderr.count("\n") == 1
    with pytest.raises(StartError, match=r"127\.0\.0\.1:1"), made(NOWHERE):
        raise AssertionError("nothing was made")


def test_a_gateway_is_told_its_own_database_and_names(tmp_path: Path) -> None:
    argv = gateway_argv(GATEWAY_COMMAND, tmp_path / "c.yaml", "http://f", "{folder}", HERE, "{name}")
    text = " ".join(argv)
    assert f"--database {SERVER.rpartition('/')[0]}/{{name}} --workers 4" in text
    assert f"redis_url={REDIS}" in text
    assert "redis_prefix={name}" in text
    assert "objects={folder}/objects" in text
    assert "sqlite" not in text
    assert own_commands(argv, None) == {"start": argv}
    assert own_commands(argv, HERE)["prepare"][-5:-4] == ["{name}"]
