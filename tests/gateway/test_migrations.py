"""Migrations: they lead to the schema of a new database, keep what is there, and cost nothing at start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from gateway.storage.engine import HEAD, CannotOpen, open_engine, prepare
from gateway.storage.migrations.upgrade import configuration, upgrade
from gateway.storage.tables import metadata
from tests.gateway.databases import DATABASES, database_in
from tests.gateway.making import CREDIT, open_money, open_store, run, url_of

SIGNS = str.maketrans({sign: f" {sign} " for sign in "(),"})
CATALOGUE = {  # what PostgreSQL says of a schema: each query gives names and definitions
    "columns": "SELECT table_name || '.' || column_name, concat_ws(' ', data_type, is_nullable, column_default) "
    "FROM information_schema.columns WHERE table_schema = 'public'",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "constraints": "SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace",
    "triggers": "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "functions": "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "sequences": "SELECT sequencename, concat_ws(' ', start_value, increment_by, cache_size) FROM pg_sequences",
}


def schema(engine: Engine) -> dict[str, str]:
    """Name -> definition of everything in the database, blanks and order of constraints aside."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
            return {
                name: " ".join(sorted(sql.translate(SIGNS).replace(",", "").replace('"', "").split()))
                for name, sql in rows
            }
        found = {sort: connection.execute(text(query)).all() for sort, query in CATALOGUE.items()}
    return {f"{sort} {name}": definition for sort, rows in found.items() for name, definition in rows}


def database(folder: Path) -> tuple[Engine, str]:
    url = url_of(folder)
    return open_engine(url, writes=True), url


@pytest.mark.parametrize("kind", DATABASES)
def test_a_new_database_has_the_schema_of_a_migrated_one(tmp_path: Path, kind: str) -> None:
    folders = [tmp_path / name for name in ("made", "migrated")]
    for folder in folders:
        folder.mkdir()
    with database_in(folders[0], kind), database_in(folders[1], kind):
        (made, made_url), (migrated, _) = map(database, folders)
        prepare(made, made_url)
        upgrade(migrated)
        assert schema(made) == schema(migrated)
        with migrated.begin() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        downgrade(migrated)
        assert {name for name in schema(migrated) if "alembic" not in name} == set()
        for engine in (made, migrated):
            engine.dispose()


def downgrade(engine: Engine) -> None:
    """Undoes every migration."""
    made = configuration()
    with engine.begin() as connection:
        made.attributes["connection"] = connection
        command.downgrade(made, "base")


def test_several_processes_make_the_schema_at_once(place: Path) -> None:
    """One makes it, the others find it made."""
    program = "import sys; from gateway.storage.store import Store; Store(sys.argv[1]).close()"
    starts = [subprocess.Popen([sys.executable, "-c", program, url_of(place)]) for _ in range(4)]
    assert [start.wait(60) for start in starts] == [0] * 4


def test_head_is_the_newest_revision() -> None:
    assert ScriptDirectory.from_config(configuration()).get_heads() == [HEAD]


def test_an_older_database_is_upgraded_and_keeps_its_rows(place: Path) -> None:
    """A database before the first revision stands for any older one: Alembic has its table, ours are not there yet."""
    engine, _ = database(place)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        connection.exec_driver_sql("CREATE TABLE kept (word TEXT)")
        connection.exec_driver_sql("INSERT INTO kept VALUES ('here')")

    async def work() -> None:
        store = open_store(place)
        await open_money(store).top_up("usr_a", CREDIT)
        assert await store.read(lambda c: c.exec_driver_sql("SELECT word FROM kept").scalar()) == "here"
        assert await store.read(lambda c: c.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()) == HEAD
        store.close()

    run(work())


def test_a_database_of_a_newer_version_is_left_alone(place: Path) -> None:
    engine, url = database(place)
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
