"""Migrations: they lead to the schema of a new database, keep what is there, and cost nothing at start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from gateway.storage.engine import HEAD, CannotOpen, open_engine, prepare
from gateway.storage.migrations.upgrade import configuration, upgrade
from gateway.storage.tables import metadata
from tests.gateway.making import CREDIT, open_money, open_store, run


def schema(engine: Engine) -> dict[str, str]:
    """Name -> statement of every table and index, blanks and order of constraints aside."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    signs = str.maketrans({sign: f" {sign} " for sign in "(),"})
    return {
        name: " ".join(sorted(sql.translate(signs).replace(",", "").replace('"', "").split())) for name, sql in rows
    }


def database(folder: Path, name: str) -> tuple[Engine, str]:
    url = f"sqlite:///{folder / name}"
    return open_engine(url, writes=True), url


def test_a_new_database_has_the_schema_of_a_migrated_one(tmp_path: Path) -> None:
    made, made_url = database(tmp_path, "made.db")
    prepare(made, made_url)
    migrated, _ = database(tmp_path, "migrated.db")
    upgrade(migrated)
    assert schema(made) == schema(migrated)
    with migrated.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_head_is_the_newest_revision() -> None:
    assert ScriptDirectory.from_config(configuration()).get_heads() == [HEAD]


def test_an_older_database_is_upgraded_and_keeps_its_rows(tmp_path: Path) -> None:
    """A database before the first revision stands for any older one: Alembic has its table, ours are not there yet."""
    engine, _ = database(tmp_path, "gateway.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        connection.exec_driver_sql("CREATE TABLE kept (word TEXT)")
        connection.exec_driver_sql("INSERT INTO kept VALUES ('here')")

    async def work() -> None:
        store = open_store(tmp_path)
        await open_money(store).top_up("usr_a", CREDIT)
        assert await store.read(lambda c: c.exec_driver_sql("SELECT word FROM kept").scalar()) == "here"
        assert await store.read(lambda c: c.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()) == HEAD
        store.close()

    run(work())


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    engine, url = database(tmp_path, "gateway.db")
    prepare(engine, url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    before = schema(engine)
    with pytest.raises(CannotOpen, match="newer version"):
        prepare(engine, url)
    assert schema(engine) == before


def test_a_start_does_not_import_alembic(tmp_path: Path) -> None:
    program = (
        "import sys; from gateway.ledger.money import Money; from gateway.storage.store import Store\n"
        f"for _ in range(2): Store('sqlite:///{tmp_path / 'gateway.db'}').close()\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('alembic', 'mako')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
