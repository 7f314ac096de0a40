"""What all tables share: the metadata, the type of ids, and indexes on a part of the rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, text

# An INTEGER PRIMARY KEY is SQLite's own row id: no second tree to keep.
Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def partial(name: str, *columns: Column[Any], where: str, unique: bool = False) -> None:
    """An index on the rows where the condition holds; `for_dialect` makes the condition known."""
    Index(name, *columns, unique=unique, info={"where": where})


def for_dialect(name: str) -> None:
    """Tells a dialect the conditions of the partial indexes. To name one up there would import it: 40 ms of a start."""
    for table in metadata.tables.values():
        for index in table.indexes:
            if "where" in index.info:
                index.dialect_options[name]["where"] = text(index.info["where"])
