# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Loading into PostgreSQL by one thread."""

from __future__ import annotations

import itertools
import typing as t

from .._base.text import counted
from . import postgresql_store as store
from .engine import Session
from .errors import VerificationError
from .model import Loaded, Piece, Plan, State, TablePlan, Verified
from .postgresql_connection import Connection, PostgreSQLLogin
from .postgresql_creation import PostgreSQLOptions
from .postgresql_indexing import OWN_KEYS, KeyMaker, indexes_of
from .postgresql_names import (
    Sequence,
    place_of,
    renames_of,
    sequences_in,
    structure_of,
)
from .postgresql_rows import describe, load_piece
from .postgresql_structure import Rename
from .postgresql_tokens import QualifiedName
from .postgresql_verification import UsedSequence, advance, verify


class PostgreSQLSession(Session):
    """Loads pieces. It has one connection, to the database of the last piece."""

    def __init__(
        self, login: PostgreSQLLogin, options: PostgreSQLOptions
    ) -> None:
        self._login = login
        self._options = options
        self._connection: t.Optional[Connection] = None
        self._is_canceled = False
        #: Where the tables of the database of the connection are.
        self._rename: t.Optional[Rename] = None
        #: Those of the database, as they were when all of its tables were made.
        self._sequences: t.Optional[dict[QualifiedName, list[Sequence]]] = None

    def load(self, pieces: t.Sequence[Piece], plan: Plan) -> list[Loaded]:
        loaded: list[Loaded] = []
        by_database = itertools.groupby(
            pieces, key=lambda one: one.table.place.database
        )
        for database, group in by_database:
            # No transaction is in two databases. What is in the first one is known there.
            connection = self._connect(database)
            with connection.transaction():
                loaded += [
                    self._load(connection, piece, plan) for piece in group
                ]
        return loaded

    def _load(self, connection: Connection, piece: Piece, plan: Plan) -> Loaded:
        # The record of the piece comes first: it waits for a session of a killed run that loads the same piece.
        if not store.add_piece(connection, plan.restore_id, piece):
            return Loaded(piece.records)
        rows = load_piece(connection, piece, plan)
        if rows != piece.records:
            raise VerificationError(
                f"the server loaded {counted(rows, 'row')} of {describe(piece)}, which are {counted(piece.records, 'record')}"
            )
        return Loaded(rows)

    def steps(self, table: TablePlan) -> t.Sequence[int]:
        return indexes_of(table)

    def step(self, table: TablePlan, plan: Plan, step: int) -> None:
        self._keys(table, plan).make_index(table, step)

    def _keys(self, table: TablePlan, plan: Plan) -> KeyMaker:
        connection = self._connect(table.place.database)
        if self._rename is None:
            self._rename = renames_of(plan, table.source.name.database)
        return KeyMaker(connection, plan.restore_id, self._rename)

    def finish(self, tables: t.Sequence[TablePlan], plan: Plan) -> None:
        for group in _by_database(tables):
            self._finish(group, plan)

    def verify(
        self, tables: t.Sequence[TablePlan], plan: Plan
    ) -> list[Verified]:
        verified: dict[int, Verified] = {}
        for group in _by_database(tables):
            verified.update(self._verify(group, plan))
        return [verified[table.number] for table in tables]

    def _finish(self, tables: t.Sequence[TablePlan], plan: Plan) -> None:
        connection = self._connect(tables[0].place.database)
        restore_id = plan.restore_id
        deferring = [one.number for one in tables if one.defers_keys]
        if deferring:
            store.set_table_states(
                connection, restore_id, deferring, State.INDEXING
            )
        # Those that were not made with the tables.
        whole = [one for one in tables if not structure_of(one).is_partitioned]
        self._keys(tables[0], plan).make_missing(whole, OWN_KEYS)
        with connection.transaction():
            # Rows with values of their own leave sequences where they were, at 1 in a new table.
            advance(connection, self._sequences_of(connection, tables))
            connection.execute(
                f"ANALYZE {', '.join(map(place_of, tables))}",
                operation=f"analyze {_named(tables)}",
            )
            store.set_table_states(
                connection,
                restore_id,
                [one.number for one in tables],
                State.VERIFYING,
            )

    def _verify(
        self, tables: t.Sequence[TablePlan], plan: Plan
    ) -> dict[int, Verified]:
        connection = self._connect(tables[0].place.database)
        with connection.transaction():
            sequences = self._sequences_of(connection, tables)
            verified = verify(connection, tables, plan, sequences)
            store.set_done(
                connection,
                plan.restore_id,
                {number: one.rows for number, one in verified.items()},
            )
        return verified

    def _sequences_of(
        self, connection: Connection, tables: t.Sequence[TablePlan]
    ) -> list[UsedSequence]:
        if self._sequences is None:
            # Once, as the catalogs are larger than what is wanted of them.
            self._sequences = sequences_in(connection)
        return [
            UsedSequence(table, one)
            for table in tables
            for one in self._sequences.get(table.place.in_database, ())
        ]

    def cancel(self) -> None:
        self._is_canceled = True
        # Its own thread may end it at this time.
        connection = self._connection
        if connection:
            connection.cancel()

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = self._rename = self._sequences = None

    def _connect(self, database: str) -> Connection:
        if self._connection and self._connection.database != database:
            self.close()
        if not self._connection:
            self._connection = Connection(
                self._login, database, self._options.show_data
            )
            self._connection.raise_setting(
                "maintenance_work_mem", self._options.maintenance_work_mem
            )
            # What a crash of the server takes back goes with the rows that say it was done. The connection that
            # controls the restore waits for the disk when it says that all is done, and so for all before it.
            self._connection.execute("SET synchronous_commit = off")
            # It was canceled while it had no connection.
            if self._is_canceled:
                self._connection.cancel()
        return self._connection


def _by_database(
    tables: t.Sequence[TablePlan],
) -> t.Iterator[list[TablePlan]]:
    """Yield the tables of each database, in an order in which no two sessions lock each other out."""
    in_order = sorted(tables, key=lambda one: (one.place.database, one.number))
    for _database, group in itertools.groupby(
        in_order, key=lambda one: one.place.database
    ):
        yield list(group)


def _named(tables: t.Sequence[TablePlan]) -> str:
    others = len(tables) - 1
    more = f" and {counted(others, 'other table')}" if others else ""
    return tables[0].place.printable + more
