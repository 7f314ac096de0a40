"""Many rows in few statements.

A driver gives up and takes back the interpreter lock for every row it steps through, which costs more than the row
when another thread is busy. So rows go in as one VALUES list, and the lengths of the lists are powers of two, so that
the driver's cache of prepared statements holds them all. Statements are made by SQLAlchemy Core, once, and run on its
connection's plain cursor (PEP 249).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Column, Connection, Dialect, String, Table, bindparam, delete, insert, select
from sqlalchemy.sql.expression import ClauseElement

SIZES = (128, 64, 32, 16, 8, 4, 2, 1)
LARGEST = SIZES[0]


class Insert:
    """Inserts rows (tuples in the order of the table's columns), or updates the columns `replaces` of existing ones.

    `replaces=None` leaves existing ones as they are.
    """

    def __init__(self, table: Table, dialect: Dialect, replaces: Sequence[str] | None = ()) -> None:
        names = [column.name for column in table.columns]
        statement = insert(table).prefix_with("OR FAIL", dialect="sqlite")
        compiled = statement.compile(dialect=dialect, column_keys=names)
        if compiled.positiontup != names:
            raise TypeError(f"{dialect.name} must bind by position, in the order of the columns of {table.name}")
        head, _, one = str(compiled).partition(" VALUES ")
        tail = ""
        if replaces is None:
            tail = " ON CONFLICT DO NOTHING"
        elif replaces:
            key = ", ".join(column.name for column in table.primary_key.columns)
            tail = f" ON CONFLICT ({key}) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in replaces)
        self._sql = {size: f"{head} VALUES {', '.join([one] * size)}{tail}" for size in SIZES}

    def __call__(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        cursor = connection.connection.cursor()
        at = 0
        for size in _chunks(len(rows)):
            cursor.execute(self._sql[size], tuple(chain.from_iterable(rows[at : at + size])))
            at += size
        cursor.close()


class _ByValue:
    """A statement on the rows whose `column` is one of the values given."""

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        if getattr(compiled, "positiontup", None) != ["value"]:
            raise TypeError(f"{dialect.name} must bind by position")
        before, _, after = str(compiled).rpartition(" = ")
        mark = after.split()[0]
        self._sql = {size: f"{before} IN ({', '.join([mark] * size)}){after[len(mark) :]}" for size in SIZES}

    def _runs(self, values: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
        """(statement, parameters), the last padded with copies to the next length."""
        for at in range(0, len(values), LARGEST):
            part = values[at : at + LARGEST]
            size = next(size for size in reversed(SIZES) if size >= len(part))
            yield self._sql[size], (*part, *[part[-1]] * (size - len(part)))


class Lookup(_ByValue):
    """Finds these rows, and locks them where the database locks rows: in the order of `column`, if the values are
    given in it, so that two processes never wait for one another.
    """

    def __init__(self, table: Table, column: Column[Any], dialect: Dialect) -> None:
        statement = select(table).where(column == bindparam("value"))
        if dialect.name != "sqlite":
            is_text = isinstance(column.type, String)
            statement = statement.order_by(column.collate("C") if is_text else column)  # as Python sorts
        super().__init__(statement.with_for_update(), dialect)

    def __call__(self, connection: Connection, values: Sequence[Any]) -> Iterable[Any]:
        if not values:
            return ()
        cursor = connection.connection.cursor()
        found: list[Any] = []
        for sql, parameters in self._runs(values):
            cursor.execute(sql, parameters)
            found += cursor.fetchall()
        cursor.close()
        return found


class Delete(_ByValue):
    """Deletes these rows."""

    def __init__(self, table: Table, column: Column[Any], dialect: Dialect) -> None:
        super().__init__(delete(table).where(column == bindparam("value")), dialect)

    def __call__(self, connection: Connection, values: Sequence[Any]) -> None:
        if not values:
            return
        cursor = connection.connection.cursor()
        for sql, parameters in self._runs(values):
            cursor.execute(sql, parameters)
        cursor.close()


def _chunks(count: int) -> Iterator[int]:
    """`count` as a sum of SIZES, largest first."""
    for size in SIZES:
        while count >= size:
            yield size
            count -= size
