# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores into a real PostgreSQL: everything comes back equal, with keys and sequences, by both drivers."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._restore import tuning
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.model import State
from databases import PostgreSQL
from exports import Column, Database, Export, Table, postgresql_tables
from exports import postgresql as postgres
from psycopg import sql
from restores import ask, postgresql_restore

DIALECTS: dict[str, dict[str, Any]] = {
    "csv": {},
    "header": {"format": "wh.csv"},
    "NULL as a word": {"null": "NULL", "quoting": "all"},
    "NULL as \\N": {"null": "\\N"},
    "quotes where needed": {"quoting": "needed"},
    "values of generated columns": {"generated": "values"},
    "sequences of nobody": {"sequences": "created"},
    "serial": {"sequences": "serial"},
    "no sequences": {"sequences": "missing"},
    "sql": {"format": "sql"},
    "sql with values of generated columns": {"format": "sql", "generated": "values"},
    "sql of all columns without names": {"format": "sql", "generated": "values", "name_columns": False},
    "sql without columns": {"format": "sql", "name_columns": False},
}


def text_of(value: Any) -> Any:
    """A value as the server writes it."""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, float):
        special = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
        return special.get(str(value), str(value).removesuffix(".0"))
    if isinstance(value, Decimal):
        return str(value) if value.is_nan() else f"{value:f}"
    return None if value is None else str(value)


def rows_of(server: PostgreSQL, database: str, table: Table) -> list[tuple[Any, ...]]:
    """All rows, each value as the text of the server."""
    with server.connect(dbname=database, options="-c timezone=UTC") as connection:
        # As the server writes it: a cast to text would cut blanks.
        written = sql.SQL("CASE WHEN {0} IS NOT NULL THEN format('%s', {0}) END")
        columns = sql.SQL(", ").join(written.format(sql.Identifier(column.name)) for column in table.columns)
        query = sql.SQL("SELECT {} FROM ONLY {}").format(columns, sql.Identifier(table.schema, table.name))
        return list(connection.execute(query).fetchall())


def assert_equal(server: PostgreSQL, export: Export, database: str = "shop") -> None:
    for table in export.database("shop").tables:
        found = rows_of(server, database, table)
        same = [tuple(map(text_of, row)) for row in export.facts(table.name).rows]
        assert sorted(map(str, found)) == sorted(map(str, same)), table.name


@pytest.mark.parametrize(
    ("dialect", "driver"),
    [*((dialect, "psycopg") for dialect in DIALECTS), ("csv", "psycopg2"), ("sql", "psycopg2")],
)
def test_everything_comes_back_equal(postgresql: PostgreSQL, tmp_path: Path, dialect: str, driver: str) -> None:
    export = postgresql_tables.export(["shop"], **DIALECTS[dialect])
    made = postgresql_restore(export, tmp_path, postgresql, driver=driver, piece_size=4096)
    outcome = made.run()
    assert (outcome.state, outcome.changed) == (State.DONE, True)
    assert_equal(postgresql, export)
    again = made.run()
    assert (again.state, again.changed) == (State.DONE, False)


def test_tables_that_need_each_other_are_made_in_order(
    postgresql: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "TABLES_AT_A_TIME", 1)
    tables = [Table("t0", [Column("id", "integer")], [(1,)])]
    for number in range(1, 9):
        before = Column("before", f"public.t{number - 1}")
        tables.append(Table(f"t{number}", [Column("id", "integer"), before], [(number, None)]))
    made = postgresql_restore(Export("postgresql", [Database("shop", tables)], postgres.DEFAULTS), tmp_path, postgresql)
    assert made.run().state is State.DONE
    assert [ask(postgresql, f"SELECT count(*) FROM public.t{number}") for number in range(9)] == [[(1,)]] * 9
