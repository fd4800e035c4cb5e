# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What is kept of a restore in PostgreSQL: in a schema of each database that is restored.

A transaction is in one database, and the row of a piece has to be written in the transaction of the
piece. So each database has the restores of its own tables.
"""

from __future__ import annotations

import typing as t

from .._base.text import printable
from .model import (
    Loaded,
    Piece,
    PieceKey,
    Plan,
    RestoreRecord,
    State,
    TableName,
    TablePlan,
    TableRecord,
)
from .postgresql_connection import Connection

SCHEMA = "apsaradb_restore"

_TABLES = f"""
CREATE SCHEMA {SCHEMA};
CREATE TABLE {SCHEMA}.restores (
  restore_id text PRIMARY KEY, state text NOT NULL, piece_size bigint NOT NULL,
  begun timestamptz NOT NULL DEFAULT now());
CREATE TABLE {SCHEMA}.tables (
  restore_id text, number integer, database text NOT NULL, schema text NOT NULL, name text NOT NULL,
  place text NOT NULL, state text NOT NULL, is_made boolean NOT NULL DEFAULT false,
  rows_expected bigint NOT NULL, rows_found bigint, PRIMARY KEY (restore_id, number));
CREATE TABLE {SCHEMA}.pieces (
  restore_id text, "table" integer, file integer, number integer, rows bigint NOT NULL,
  PRIMARY KEY (restore_id, "table", file, number));
CREATE TABLE {SCHEMA}.keys (
  restore_id text, "table" integer, number integer, name text NOT NULL,
  PRIMARY KEY (restore_id, "table", number));
CREATE TABLE {SCHEMA}.objects (restore_id text, object text, PRIMARY KEY (restore_id, object));
"""


def exists(connection: Connection) -> bool:
    # Created last, in one transaction with the others.
    rows = connection.execute(
        f"SELECT to_regclass('{SCHEMA}.objects') IS NOT NULL",
        operation=f"look for earlier restores in database {printable(connection.database)}",
    )
    return bool(rows[0][0])


def prepare(connection: Connection, plan: Plan) -> None:
    """Record the plan, as far as it is about this database. Can be repeated."""
    with connection.transaction():
        if not exists(connection):
            connection.execute(_TABLES)
        connection.execute(
            f"INSERT INTO {SCHEMA}.restores (restore_id, state, piece_size) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            plan.restore_id,
            State.LOADING.value,
            plan.piece_size,
        )
        _insert_tables(
            connection,
            plan.restore_id,
            [
                one
                for one in plan.tables
                if one.place.database == connection.database
            ],
        )


def _insert_tables(
    connection: Connection, restore_id: str, tables: t.Sequence[TablePlan]
) -> None:
    connection.execute(
        f"INSERT INTO {SCHEMA}.tables (restore_id, state, number, database, schema, name, place, rows_expected) "
        "SELECT %s, %s, * FROM unnest(%s::integer[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[]) "
        "ON CONFLICT DO NOTHING",
        restore_id,
        State.PLANNED.value,
        [one.number for one in tables],
        [one.target.database for one in tables],
        [one.target.schema for one in tables],
        [one.target.name for one in tables],
        [one.place.name for one in tables],
        [one.source.records for one in tables],
    )


def find(connection: Connection, restore_id: str) -> t.Optional[RestoreRecord]:
    """Return what this database knows of a restore."""
    if not exists(connection):
        return None
    rows = connection.execute(
        f"SELECT state, piece_size FROM {SCHEMA}.restores WHERE restore_id = %s",
        restore_id,
    )
    if not rows:
        return None
    record = RestoreRecord(restore_id, State(rows[0][0]), rows[0][1])
    for (
        number,
        database,
        schema,
        name,
        place,
        state,
        expected,
        found,
    ) in connection.execute(
        "SELECT number, database, schema, name, place, state, rows_expected, rows_found "
        f"FROM {SCHEMA}.tables WHERE restore_id = %s ORDER BY number",
        restore_id,
    ):
        record.tables[number] = TableRecord(
            number,
            TableName(database, schema, name),
            # The database may have been renamed since: it is the one that knows of it.
            TableName(connection.database, schema, place),
            State(state),
            expected,
            found,
        )
    for table, file, number, loaded in connection.execute(
        f'SELECT "table", file, number, rows FROM {SCHEMA}.pieces WHERE restore_id = %s',
        restore_id,
    ):
        record.pieces[PieceKey(table, file, number)] = Loaded(loaded)
    return record


def forget(connection: Connection, restore_id: str) -> None:
    """Delete all that this database knows of a restore."""
    with connection.transaction():
        for table in ("objects", "keys", "pieces", "tables", "restores"):
            connection.execute(
                f"DELETE FROM {SCHEMA}.{table} WHERE restore_id = %s",
                restore_id,
            )


def set_state(connection: Connection, restore_id: str, state: State) -> None:
    connection.execute(
        f"UPDATE {SCHEMA}.restores SET state = %s WHERE restore_id = %s",
        state.value,
        restore_id,
    )


def set_table_states(
    connection: Connection,
    restore_id: str,
    tables: t.Iterable[int],
    state: State,
) -> None:
    connection.execute(
        f"UPDATE {SCHEMA}.tables SET state = %s, rows_found = NULL WHERE restore_id = %s "
        "AND number = ANY (string_to_array(%s, ',')::integer[])",
        state.value,
        restore_id,
        ",".join(map(str, tables)),
    )


def set_done(
    connection: Connection, restore_id: str, rows: t.Mapping[int, int]
) -> None:
    """Record tables as done: their rows by their numbers."""
    connection.execute(
        f"UPDATE {SCHEMA}.tables t SET state = %s, rows_found = found.rows "
        "FROM unnest(%s::integer[], %s::bigint[]) AS found (number, rows) "
        "WHERE restore_id = %s AND t.number = found.number",
        State.DONE.value,
        list(rows),
        list(rows.values()),
        restore_id,
    )


def forget_table(connection: Connection, restore_id: str, table: int) -> None:
    """Forget all that was made of a table. For within a transaction."""
    connection.execute(
        f"UPDATE {SCHEMA}.tables SET is_made = false, state = %s, rows_found = NULL "
        "WHERE restore_id = %s AND number = %s",
        State.PLANNED.value,
        restore_id,
        table,
    )
    for name in ("pieces", "keys"):
        connection.execute(
            f'DELETE FROM {SCHEMA}.{name} WHERE restore_id = %s AND "table" = %s',
            restore_id,
            table,
        )
    for kind in ("inherit", "index"):
        connection.execute(
            f"DELETE FROM {SCHEMA}.objects WHERE restore_id = %s AND object LIKE %s",
            restore_id,
            f"{kind} {table} %",
        )


def forget_sequences(connection: Connection, restore_id: str) -> None:
    """Forget sequences that do not exist any more."""
    connection.execute(
        f"DELETE FROM {SCHEMA}.objects WHERE restore_id = %s AND object LIKE 'sequence %%' "
        "AND to_regclass(substr(object, 10)) IS NULL",
        restore_id,
    )


def lock_table(connection: Connection, restore_id: str, table: int) -> None:
    """Lock the row of a table, as a session of a killed run may still be at work."""
    connection.execute(
        f"SELECT 1 FROM {SCHEMA}.tables WHERE restore_id = %s AND number = %s FOR UPDATE",
        restore_id,
        table,
    )


def lock_unmade(
    connection: Connection, restore_id: str, tables: t.Iterable[int]
) -> set[int]:
    """Lock the rows of those of some tables that are not made yet. Returns their numbers."""
    rows = connection.execute(
        f"SELECT number FROM {SCHEMA}.tables WHERE restore_id = %s AND NOT is_made "
        "AND number = ANY (string_to_array(%s, ',')::integer[]) ORDER BY number FOR UPDATE",
        restore_id,
        ",".join(map(str, tables)),
    )
    return {number for (number,) in rows}


def set_made(
    connection: Connection, restore_id: str, tables: t.Iterable[int]
) -> None:
    connection.execute(
        f"UPDATE {SCHEMA}.tables SET is_made = true, state = %s WHERE restore_id = %s "
        "AND number = ANY (string_to_array(%s, ',')::integer[])",
        State.LOADING.value,
        restore_id,
        ",".join(map(str, tables)),
    )


def add_piece(connection: Connection, restore_id: str, piece: Piece) -> bool:
    """Record a piece as loaded. Returns whether it was not before."""
    # A session of a killed run that has the same row not committed yet is waited for.
    rows = connection.execute(
        f'INSERT INTO {SCHEMA}.pieces (restore_id, "table", file, number, rows) '
        "VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING true",
        restore_id,
        *piece.key,
        piece.records,
    )
    return bool(rows)


def count_without(
    connection: Connection, place: str, restore_id: str, others: t.Sequence[int]
) -> int:
    """Count the rows of a partitioned table without those of the files of other tables."""
    rows = connection.execute(
        f"SELECT (SELECT count(*) FROM {place}) - (SELECT coalesce(sum(rows), 0) FROM {SCHEMA}.pieces "
        "WHERE restore_id = %s AND \"table\" = ANY (string_to_array(%s, ',')::integer[]))::bigint",
        restore_id,
        ",".join(map(str, others)),
    )
    return int(rows[0][0])


def keys(connection: Connection, restore_id: str, table: int) -> dict[int, str]:
    """Return the names of the keys of a table that were made, by their numbers in the structure."""
    return keys_of_tables(connection, restore_id, [table])[table]


def keys_of_tables(
    connection: Connection, restore_id: str, tables: t.Iterable[int]
) -> dict[int, dict[int, str]]:
    """Return the same for each of some tables, by their numbers."""
    found: dict[int, dict[int, str]] = {table: {} for table in tables}
    for table, number, name in connection.execute(
        f'SELECT "table", number, name FROM {SCHEMA}.keys WHERE restore_id = %s '
        "AND \"table\" = ANY (string_to_array(%s, ',')::integer[]) ORDER BY number",
        restore_id,
        ",".join(map(str, found)),
    ):
        found[table][number] = name
    return found


def add_keys(
    connection: Connection,
    restore_id: str,
    table: int,
    names: t.Mapping[int, str],
) -> None:
    """Record keys of a table as made: their names by their numbers."""
    connection.execute(
        f'INSERT INTO {SCHEMA}.keys (restore_id, "table", number, name) '
        "SELECT %s, %s, * FROM unnest(%s::integer[], %s::text[])",
        restore_id,
        table,
        list(names),
        list(names.values()),
    )


def forget_key(
    connection: Connection, restore_id: str, table: int, number: int
) -> None:
    connection.execute(
        f'DELETE FROM {SCHEMA}.keys WHERE restore_id = %s AND "table" = %s AND number = %s',
        restore_id,
        table,
        number,
    )
    connection.execute(
        f"DELETE FROM {SCHEMA}.objects WHERE restore_id = %s AND object = %s",
        restore_id,
        _index(table, number),
    )


def add_index(
    connection: Connection, restore_id: str, table: int, number: int
) -> bool:
    """Record the index of a key as made by the restore. Returns whether it was not before."""
    return add_object(connection, restore_id, _index(table, number))


def _index(table: int, number: int) -> str:
    return f"index {table} {number}"


def add_object(connection: Connection, restore_id: str, name: str) -> bool:
    """Record an object as made by the restore. Returns whether it was not before."""
    rows = connection.execute(
        f"INSERT INTO {SCHEMA}.objects (restore_id, object) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING true",
        restore_id,
        name,
    )
    return bool(rows)
