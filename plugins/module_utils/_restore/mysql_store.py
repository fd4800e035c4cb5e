# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What a MySQL server keeps of restores, in a database of its own.

The row of a piece is written in the transaction that loads the piece, so that it cannot say anything else than what is
in the table.
"""

from __future__ import annotations

import hashlib
import typing as t

from . import tuning
from .errors import other_run
from .model import (
    Loaded,
    PieceKey,
    Plan,
    RestoreRecord,
    State,
    TableName,
    TableRecord,
)
from .mysql_connection import Connection
from .mysql_tokens import quote

DATABASE = "apsaradb_restore"
#: Databases of servers themselves.
SYSTEM_DATABASES = {
    "mysql",
    "sys",
    "information_schema",
    "performance_schema",
    DATABASE,
}

#: InnoDB, whatever the default of the server is: another engine would keep a record whose transaction is undone.
#: Names are compared by their bytes, as two tables may differ in the case of a letter.
_TABLES = (
    f"CREATE DATABASE IF NOT EXISTS {DATABASE} DEFAULT CHARACTER SET utf8mb4",
    f"""CREATE TABLE IF NOT EXISTS {DATABASE}.restores (
  restore_id CHAR(16) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  state VARCHAR(16) NOT NULL,
  piece_size BIGINT NOT NULL,
  began DATETIME NOT NULL
) ENGINE=InnoDB""",
    f"""CREATE TABLE IF NOT EXISTS {DATABASE}.tables (
  restore_id CHAR(16) CHARACTER SET ascii NOT NULL,
  number INT NOT NULL,
  target_database VARCHAR(64) NOT NULL,
  target_name VARCHAR(64) NOT NULL,
  place_database VARCHAR(64) NOT NULL,
  place_name VARCHAR(64) NOT NULL,
  state VARCHAR(16) NOT NULL,
  rows_expected BIGINT NOT NULL,
  rows_found BIGINT,
  PRIMARY KEY (restore_id, number)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin""",
    f"""CREATE TABLE IF NOT EXISTS {DATABASE}.pieces (
  restore_id CHAR(16) CHARACTER SET ascii NOT NULL,
  table_number INT NOT NULL,
  file_number INT NOT NULL,
  piece_number INT NOT NULL,
  row_count BIGINT NOT NULL,
  PRIMARY KEY (restore_id, table_number, file_number, piece_number)
) ENGINE=InnoDB""",
    # Settings of the server that a run has changed: by the value that they had.
    f"""CREATE TABLE IF NOT EXISTS {DATABASE}.settings (
  name VARCHAR(64) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  value VARCHAR(64) NOT NULL
) ENGINE=InnoDB""",
)


def exists(connection: Connection) -> bool:
    found = connection.value(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s AND table_name = 'settings'",
        [DATABASE],
    )
    return bool(found)


def databases(connection: Connection) -> list[str]:
    """Return the names of all databases of the server."""
    rows = connection.query(
        "SELECT schema_name FROM information_schema.schemata"
    )
    return [str(name) for (name,) in rows]


def lock(connection: Connection, database: str) -> None:
    """Keep other runs out of a database until the connection ends. Raises RestoreConflictError."""
    # The name of a lock has at most 64 characters, and is one of the whole server.
    name = f"{DATABASE}/{hashlib.sha256(database.encode()).hexdigest()[:16]}"
    if connection.value("SELECT GET_LOCK(%s, 0)", [name]) != 1:
        holder = connection.value("SELECT IS_USED_LOCK(%s)", [name])
        raise other_run(database, f"connection {holder}" if holder else "")


def find(connection: Connection, restore_id: str) -> t.Optional[RestoreRecord]:
    """Return what is known of a restore."""
    if not exists(connection):
        return None
    rows = connection.query(
        f"SELECT state, piece_size FROM {DATABASE}.restores WHERE restore_id = %s",
        [restore_id],
    )
    if not rows:
        return None
    record = RestoreRecord(restore_id, State(rows[0][0]), rows[0][1])
    for number, *names, state, expected, found in connection.query(
        "SELECT number, target_database, target_name, place_database, place_name, state, rows_expected, "
        f"rows_found FROM {DATABASE}.tables WHERE restore_id = %s",
        [restore_id],
    ):
        target, place = (
            TableName(names[0], "", names[1]),
            TableName(names[2], "", names[3]),
        )
        record.tables[number] = TableRecord(
            number, target, place, State(state), expected, found
        )
    for table, file, piece, count in connection.query(
        f"SELECT table_number, file_number, piece_number, row_count FROM {DATABASE}.pieces WHERE restore_id = %s",
        [restore_id],
    ):
        record.pieces[PieceKey(table, file, piece)] = Loaded(count)
    return record


def begin(connection: Connection, plan: Plan) -> None:
    """Record a restore with all of its tables. Can be repeated."""
    for statement in _TABLES:
        connection.execute(statement)
    # Statements that create something commit. What follows is one transaction.
    connection.execute(
        f"INSERT IGNORE INTO {DATABASE}.restores VALUES (%s, %s, %s, UTC_TIMESTAMP())",
        [plan.restore_id, State.LOADING.value, plan.piece_size],
    )
    for begin in range(0, len(plan.tables), tuning.BATCH_TABLES):
        some = plan.tables[begin : begin + tuning.BATCH_TABLES]
        marks = "(%s, %s, %s, %s, %s, %s, %s, %s, NULL)"
        connection.execute(
            f"INSERT IGNORE INTO {DATABASE}.tables VALUES {', '.join([marks] * len(some))}",
            [
                value
                for one in some
                for value in (
                    plan.restore_id,
                    one.number,
                    one.target.database,
                    one.target.name,
                    one.place.database,
                    one.place.name,
                    State.PLANNED.value,
                    one.source.records,
                )
            ],
        )
    connection.commit()


def forget(connection: Connection, restore_id: str) -> None:
    """Delete all that is known of a restore."""
    for table in ("pieces", "tables", "restores"):
        connection.execute(
            f"DELETE FROM {DATABASE}.{table} WHERE restore_id = %s",
            [restore_id],
        )
    connection.commit()


def set_state(connection: Connection, restore_id: str, state: State) -> None:
    connection.execute(
        f"UPDATE {DATABASE}.restores SET state = %s WHERE restore_id = %s",
        [state.value, restore_id],
    )
    connection.commit()


def set_table_state(
    connection: Connection,
    restore_id: str,
    numbers: t.Sequence[int],
    state: State,
) -> None:
    """Record the state of tables. Those that are done have the rows that were expected."""
    rows = ", rows_found = rows_expected" if state is State.DONE else ""
    for begin in range(0, len(numbers), tuning.NUMBERS_AT_A_TIME):
        some = numbers[begin : begin + tuning.NUMBERS_AT_A_TIME]
        connection.execute(
            f"UPDATE {DATABASE}.tables SET state = %s{rows} "
            f"WHERE restore_id = %s AND number IN ({', '.join(map(str, some))})",
            [state.value, restore_id],
        )
    connection.commit()


def add_piece(
    connection: Connection, restore_id: str, key: PieceKey, rows: int
) -> bool:
    """Record a piece, in the transaction that loads it. Returns whether it was not before."""
    added = connection.execute(
        f"INSERT IGNORE INTO {DATABASE}.pieces VALUES (%s, %s, %s, %s, %s)",
        [restore_id, *key, rows],
    )
    return added == 1


def has_piece(connection: Connection, restore_id: str, key: PieceKey) -> bool:
    found = connection.value(
        f"SELECT COUNT(*) FROM {DATABASE}.pieces "
        "WHERE restore_id = %s AND table_number = %s AND file_number = %s AND piece_number = %s",
        [restore_id, *key],
    )
    return bool(found)


def forget_pieces(
    connection: Connection, record: RestoreRecord, number: int
) -> None:
    """Forget all pieces of a table, so that they are loaded again."""
    known = record.tables.get(number)
    if (known is None or known.state is State.PLANNED) and not any(
        key.table == number for key in record.pieces
    ):
        return
    connection.execute(
        f"DELETE FROM {DATABASE}.pieces WHERE restore_id = %s AND table_number = %s",
        [record.restore_id, number],
    )
    # Otherwise a run that is killed before it loads any would leave a table that looks done.
    set_table_state(connection, record.restore_id, [number], State.PLANNED)
    record.pieces = {
        key: one for key, one in record.pieces.items() if key.table != number
    }
    if number in record.tables:
        record.tables[number].state = State.PLANNED


def qualified(name: TableName) -> str:
    return f"{quote(name.database)}.{quote(name.name)}"
