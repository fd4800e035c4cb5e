# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""One connection that loads into MySQL: pieces, then what was deferred, then the verification."""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from .._base.text import counted
from . import mysql_store as store
from . import tuning
from .engine import Session
from .errors import DatabaseError, InvalidBackupError, VerificationError
from .model import (
    ColumnKind,
    DataFormat,
    Dialect,
    Loaded,
    Null,
    Piece,
    PieceKey,
    Plan,
    State,
    TablePlan,
    Verified,
)
from .mysql_connection import Connection
from .mysql_options import MySQLOptions
from .mysql_table import MySQLTable
from .mysql_tokens import quote
from .mysql_variables import prepare, raise_variable
from .mysql_verification import compare_samples, counts_of, keys_of
from .records import with_null
from .statements import split, table_of

#: A text that the statement would take for NULL, or a part of a longer one that looks like it. What is looked for comes
#: first, which ``re`` then finds fifty times as fast.
_WORD = re.compile(rb"NULL(?<![^,\n]NULL)(?![^,\n])")
#: Where a message says which row of a statement it is about.
_AT_ROW = re.compile(r"at row (\d+)")
#: Warnings that a message quotes.
_SHOWN_WARNINGS = 5
#: The code of a key that there is already.
_DUPLICATE_KEY_NAME = "1061"


class MySQLSession(Session):
    def __init__(self, options: MySQLOptions) -> None:
        self._options = options
        self._connection = Connection(
            options.login,
            shows_data=options.shows_data,
            # With it, a server can ask for any file.
            local_infile=options.login.is_trusted,
        )
        prepare(self._connection, options)
        # For what is no transaction: pieces of tables without them, and temporary tables of a server with GTIDs.
        self._connection.execute("SET SESSION autocommit = 1")

    def load(self, pieces: t.Sequence[Piece], plan: Plan) -> list[Loaded]:
        together = [
            one
            for one in pieces
            if t.cast(MySQLTable, one.table.structure).has_transactions
        ]
        loaded = self._load_together(together, plan) if together else {}
        for one in pieces:
            if one.key not in loaded:
                loaded[one.key] = self._load_alone(one, plan)
        return [loaded[one.key] for one in pieces]

    def _load_together(
        self, pieces: t.Sequence[Piece], plan: Plan
    ) -> dict[PieceKey, Loaded]:
        self._connection.execute("START TRANSACTION")
        try:
            loaded = {}
            for piece in pieces:
                # First, which waits for a session of a killed run that has the same piece not committed yet.
                is_new = self._record(piece, plan)
                loaded[piece.key] = (
                    self._send(piece, plan) if is_new else Loaded(piece.records)
                )
            # With the records of the pieces: whatever ends before this, the server undoes all of it.
            self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise
        return loaded

    def _load_alone(self, piece: Piece, plan: Plan) -> Loaded:
        """Load a piece of a table without transactions.

        What goes into such a table stays there, and all of it is loaded again if a run ends before the record.
        """
        if store.has_piece(self._connection, plan.restore_id, piece.key):
            return Loaded(piece.records)
        loaded = self._send(piece, plan)
        self._record(piece, plan)
        return loaded

    def finish(self, tables: t.Sequence[TablePlan], plan: Plan) -> None:
        # Also of those that are not to defer them now: an earlier run may have done so.
        deferring = [
            one for one in tables if t.cast(MySQLTable, one.structure).deferred
        ]
        for table, existing in zip(
            deferring, keys_of(self._connection, deferring)
        ):
            self._make_keys(table, existing, plan)
        places = ", ".join(store.qualified(one.place) for one in tables)
        # Replicas have statistics of their own.
        self._connection.query(f"ANALYZE NO_WRITE_TO_BINLOG TABLE {places}")

    def _make_keys(
        self, table: TablePlan, existing: set[str], plan: Plan
    ) -> None:
        structure = t.cast(MySQLTable, table.structure)
        missing = [
            key for key in structure.deferred if key.name not in existing
        ]
        if not missing:
            return
        connection = self._connection
        store.set_table_state(
            connection, plan.restore_id, [table.number], State.INDEXING
        )
        raise_variable(
            connection, "innodb_ddl_buffer_size", tuning.DDL_BUFFER_SIZE
        )
        with self._naming(table, "create the keys of"):
            for statement in structure.add_keys(
                store.qualified(table.place),
                missing,
                self._options.collation_map,
            ):
                self._add_keys(statement)

    def _add_keys(self, statement: str) -> None:
        try:
            self._connection.execute(statement)
        except DatabaseError as error:
            # The session of a killed run was at it until now. Whether all are there, the verification sees.
            if error.code != _DUPLICATE_KEY_NAME:
                raise

    def verify(
        self, tables: t.Sequence[TablePlan], plan: Plan
    ) -> list[Verified]:
        counts = counts_of(self._connection, tables)
        keys = keys_of(self._connection, tables)
        verified = [
            self._verify(table, rows, existing, plan)
            for table, rows, existing in zip(tables, counts, keys)
        ]
        store.set_table_state(
            self._connection,
            plan.restore_id,
            [one.number for one in tables],
            State.DONE,
        )
        return verified

    def _verify(
        self, table: TablePlan, rows: int, existing: set[str], plan: Plan
    ) -> Verified:
        connection = self._connection
        if rows != table.source.records:
            raise VerificationError(
                f"{table.target} has {counted(rows, 'row')}, and the backup {counted(table.source.records, 'record')}",
                hint="Check that nobody else writes to it",
            )
        with self._naming(table, "compare the samples of"):
            sampled = compare_samples(connection, table)
        missing = [key for key in table.structure.keys if key not in existing]
        if missing:
            raise VerificationError(
                f"{table.target} lacks the key {missing[0]}"
            )
        checksum = None
        if plan.has_checksums:
            (row,) = connection.query(
                f"CHECKSUM TABLE {store.qualified(table.place)}"
            )
            checksum = str(row[1])
        return Verified(rows, sampled, tuple(sorted(existing)), checksum)

    def cancel(self) -> None:
        # The statement that runs has its connection to itself: another one ends it.
        with (
            contextlib.suppress(Exception),
            contextlib.closing(
                Connection(self._options.login, shows_data=False)
            ) as other,
        ):
            other.execute(f"KILL {self._connection.number}")

    def close(self) -> None:
        self._connection.close()

    def _send(self, piece: Piece, plan: Plan) -> Loaded:
        with self._naming(piece.table, "load", piece):
            if piece.file.format is DataFormat.SQL:
                rows = self._insert(piece)
            else:
                rows = self._load_csv(piece, plan.dialect)
        if rows != piece.records:
            raise VerificationError(
                f"the server loaded {rows} of {counted(piece.records, 'record')} into {piece.table.target}, {_place(piece)}",
                hint="Rows with the same key are in the backup, or somebody else writes to the table",
            )
        return Loaded(rows)

    def _record(self, piece: Piece, plan: Plan) -> bool:
        with self._naming(piece.table, "load", piece):
            return store.add_piece(
                self._connection, plan.restore_id, piece.key, piece.records
            )

    def _load_csv(self, piece: Piece, dialect: Dialect) -> int:
        if not piece.data:
            return 0
        data = piece.data
        # The word is NULL in any case, and \N where backslashes escape.
        is_native = dialect.null is Null.WORD or (
            dialect.null is Null.BACKSLASH_N
            and dialect.has_escapes
            and not _WORD.search(data)
        )
        if not is_native:
            data = with_null(data, dialect, Null.WORD)
        number = os.memfd_create("piece", os.MFD_CLOEXEC)
        try:
            # The driver reads a file, and this one is never on a disk.
            with open(number, "wb", closefd=False) as file:
                file.write(data)
            rows = self._connection.execute(
                _load_statement(piece, dialect, number)
            )
        finally:
            os.close(number)
        self._check_warnings(piece)
        return rows

    def _insert(self, piece: Piece) -> int:
        table = piece.table
        self._connection.execute(f"USE {quote(table.place.database)}")
        rows = 0
        # What the statement says is what the server does: a database in it must be the right one.
        names = {
            (table.place.name,),
            (table.place.database, table.place.name),
        }
        for statement in split(piece.data, has_escapes=True):
            text = piece.data[statement.begin : statement.end]
            if table_of(text) not in names:
                raise InvalidBackupError(
                    f"{piece.file.member} has an INSERT into another table than {table.source.name}",
                    hint="Check where the backup comes from",
                )
            before = rows
            rows += self._connection.execute(text.rstrip().rstrip(b";"))
            self._check_warnings(piece, before)
        return rows

    def _check_warnings(self, piece: Piece, row: int = 0) -> None:
        """Raise an error if the last statement gave warnings. ``row``: rows of the piece before it."""
        # Not the list of warnings, which ends after 64 or 1024.
        # Not by SELECT @@warning_count, after which MySQL does not show them any more.
        count = self._connection.value("SHOW COUNT(*) WARNINGS")
        if count:
            shown = self._connection.query(
                f"SHOW WARNINGS LIMIT {_SHOWN_WARNINGS}"
            )
            said = "; ".join(
                self._connection.shown(str(row[2])) for row in shown
            )
            said = _AT_ROW.sub(
                lambda match: (
                    f"in record {piece.first_record + row + int(match[1]) - 1}"
                ),
                said,
            )
            said = (
                said
                or "its variable max_error_count is 0, and it does not say more"
            )
            raise VerificationError(
                f"the server gave {counted(count, 'warning')}: {said}",
                hint="No record of these is in the table. Check csv_null, csv_escape and that the backup is not damaged",
            )

    @contextlib.contextmanager
    def _naming(
        self, table: TablePlan, verb: str, piece: t.Optional[Piece] = None
    ) -> t.Iterator[None]:
        """Have errors name the table, and the records of a piece."""
        from .._base.errors import BackupError

        try:
            yield
        except BackupError as error:
            where = f", {_place(piece)}" if piece else ""
            error.in_context(f"{verb} {table.target}{where}")
            raise


def _place(piece: Piece) -> str:
    last = piece.first_record + piece.records - 1
    return f"records {piece.first_record} to {last} of {piece.file.member}"


def _load_statement(piece: Piece, dialect: Dialect, number: int) -> str:
    structure = t.cast(MySQLTable, piece.table.structure)
    columns, settings = [], []
    for i, name in enumerate(piece.file.columns):
        column = structure.column(name)
        if column.is_generated:
            columns.append("@ignored")
        elif column.kind is ColumnKind.BINARY:
            columns.append(f"@b{i}")
            settings.append(f"{quote(name)} = UNHEX(@b{i})")
        elif name in structure.replacing:
            # No such column can be NULL in a backup: this word is an error in any of their types.
            columns.append(f"@n{i}")
            settings.append(f"{quote(name)} = COALESCE(@n{i}, 'NULL')")
        else:
            columns.append(quote(name))
    escape = r"\\" if dialect.has_escapes else ""
    return (
        f"LOAD DATA LOCAL INFILE '/proc/self/fd/{number}' INTO TABLE {store.qualified(piece.table.place)} "
        rf"""CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' ENCLOSED BY '"' ESCAPED BY '{escape}' LINES TERMINATED BY '\n' """
        f"({', '.join(columns)})"
        + (f" SET {', '.join(settings)}" if settings else "")
    )
