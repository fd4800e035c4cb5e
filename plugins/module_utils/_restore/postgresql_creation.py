# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Creation of databases, schemas and tables in PostgreSQL, and of what needs all tables."""

from __future__ import annotations

import contextlib
import functools
import typing as t

from .._base.text import printable
from . import postgresql_store as store
from . import tuning
from .errors import DatabaseConnectionError, DatabaseError
from .model import DatabaseStructure, Plan, RestoreRecord, State, TablePlan
from .parallel import in_parallel
from .postgresql_connection import Connection
from .postgresql_indexing import FOREIGN_KEYS, OWN_KEYS, KeyMaker, look_in
from .postgresql_names import place_of, relations, renames_of, structure_of
from .postgresql_structure import (
    PostgreSQLDatabase,
    PostgreSQLSchema,
    Rename,
    Script,
)
from .postgresql_tokens import QualifiedName, quote
from .postgresql_verification import recount


class PostgreSQLOptions(t.NamedTuple):
    """Options of the restore. ``owner``: of all that is created; empty for the role that creates it.

    ``extensions``: those that may be created. ``maintenance_work_mem``: as the server's setting is written.
    """

    owner: str = ""
    extensions: tuple[str, ...] = ()
    maintenance_work_mem: str = "256MB"
    show_data: bool = False


def create_database(
    connection: Connection, name: str, structure: DatabaseStructure, owner: str
) -> None:
    """Create a database with the encoding and the collation of the source."""
    # template1, the default, can have another locale, and tables of somebody.
    words = [
        f"CREATE DATABASE {quote(name)} TEMPLATE template0 ENCODING {_literal(structure.charset or 'UTF8')}"
    ]
    if structure.collation:
        words.append(f"LC_COLLATE {_literal(structure.collation)}")
    ctype = structure.ctype if isinstance(structure, PostgreSQLDatabase) else ""
    if ctype or structure.collation:
        words.append(f"LC_CTYPE {_literal(ctype or structure.collation)}")
    if owner:
        words.append(f"OWNER {quote(owner)}")
    connection.execute(
        " ".join(words), operation=f"create database {printable(name)}"
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class Creation:
    """Creates what a plan has in one database."""

    def __init__(
        self, connection: Connection, plan: Plan, options: PostgreSQLOptions
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._options = options
        self._tables = [
            one
            for one in plan.tables
            if one.place.database == connection.database
        ]
        # Databases are renamed as a whole.
        self._source = self._tables[0].source.name.database
        self._rename = renames_of(plan, self._source)
        self._keys = KeyMaker(connection, plan.restore_id, self._rename)

    def forget_dropped(self, record: RestoreRecord) -> None:
        """Forget tables that somebody has dropped since an earlier run made them, to make them again."""
        known = relations(self._connection)
        gone = {
            one.number
            for one in self._tables
            if one.number in record.tables
            and record.tables[one.number].state is not State.PLANNED
            and (one.place.schema, one.place.name) not in known
        }
        if not gone:
            return
        restore_id = self._plan.restore_id
        with self._connection.transaction():
            for number in gone:
                store.forget_table(self._connection, restore_id, number)
            # What was dropped with them: keys of other tables that referred to them, and their sequences.
            for table in self._tables:
                if table.number not in gone:
                    self._keys.forget_dropped(table)
            store.forget_sequences(self._connection, restore_id)
        for number in gone:
            record.tables[number].state = State.PLANNED
        record.pieces = {
            key: one
            for key, one in record.pieces.items()
            if key.table not in gone
        }

    def create(self, connect: t.Callable[[], Connection], threads: int) -> None:
        """Create schemas, types and tables that do not exist yet, by several connections."""
        structure = next(
            (
                one
                for one in self._plan.backup.databases
                if one.name == self._source
            ),
            DatabaseStructure(self._source),
        )
        schemas = [
            one
            for one in structure.schemas
            if isinstance(one, PostgreSQLSchema)
        ]
        used = {table.place.schema for table in self._tables}
        extensions = (
            structure.extensions
            if isinstance(structure, PostgreSQLDatabase)
            else ()
        )
        for schema in sorted(used):
            self._create_schema(schema)
        self._create_extensions(
            [*extensions, *(name for one in schemas for name in one.extensions)]
        )
        sequences: dict[QualifiedName, str] = {}
        for one in schemas:
            if one.name in used:
                self._create_types(one.name, one.scripts)
                sequences.update(one.sequences)
        for table in self._tables:
            self._create_types(table.place.schema, structure_of(table).types)
            sequences.update(structure_of(table).sequences)
        self._create_all(sequences, connect, threads)
        if any(
            structure_of(one).is_partitioned and one.source.records
            for one in self._tables
        ):
            # Its rows go to partitions, which have to be there.
            self._inherit_all()

    def complete(self) -> None:
        """Create what needs other tables: partitions and children, their keys, foreign keys."""
        self._inherit_all()
        # The key of a partitioned table takes over the keys of its partitions.
        for table in self._tables:
            if structure_of(table).is_partitioned:
                self._keys.make(table, OWN_KEYS)
        for table in self._tables:
            self._keys.make(table, FOREIGN_KEYS)
        recount(self._connection, self._plan)

    def _inherit_all(self) -> None:
        known = relations(self._connection)
        for table in self._tables:
            # A table can be part of several.
            for number, script in enumerate(structure_of(table).inherits):
                names = [
                    self._rename(one)
                    for one in script.parts
                    if not isinstance(one, str)
                ]
                # What is not restored can have no part of it.
                if known.issuperset(names):
                    self._inherit(table, number, script)

    def _inherit(self, table: TablePlan, number: int, script: Script) -> None:
        operation = f"make {table.place.printable} a part of another table"
        # The record and the change are one transaction: after a kill, both are there or none.
        with self._connection.transaction():
            if self._is_new(f"inherit {table.number} {number}"):
                look_in(self._connection, table.place.schema)
                self._connection.execute(
                    script.render(self._rename), operation=operation
                )

    def _is_new(self, name: str) -> bool:
        return store.add_object(self._connection, self._plan.restore_id, name)

    def _create_schema(self, name: str) -> None:
        rows = self._connection.execute(
            "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", name
        )
        if not rows:
            # Somebody else may make it at this time, which is the only thing that may exist.
            self._connection.execute(
                f"CREATE SCHEMA IF NOT EXISTS {quote(name)}{self._authorization()}",
                operation=f"create schema {printable(name)}",
            )

    def _authorization(self) -> str:
        return (
            f" AUTHORIZATION {quote(self._options.owner)}"
            if self._options.owner
            else ""
        )

    def _create_extensions(self, names: t.Iterable[str]) -> None:
        for name in dict.fromkeys(names):
            if name in self._options.extensions:
                self._connection.execute(
                    f"CREATE EXTENSION IF NOT EXISTS {quote(name)}",
                    operation=f"create extension {printable(name)}",
                )

    def _create_types(self, schema: str, scripts: t.Iterable[str]) -> None:
        for script in scripts:
            with self._connection.transaction():
                if self._is_new(script):
                    look_in(self._connection, schema)
                    self._connection.execute(script, operation="create a type")

    def _create_all(
        self,
        sequences: t.Mapping[QualifiedName, str],
        connect: t.Callable[[], Connection],
        threads: int,
    ) -> None:
        size = tuning.TABLES_AT_A_TIME
        maker = functools.partial(
            _TableMaker,
            plan=self._plan,
            owner=self._options.owner,
            rename=self._rename,
            sequences=sequences,
        )
        groups = [
            self._tables[first : first + size]
            for first in range(0, len(self._tables), size)
        ]
        if threads > 1 and len(groups) > 1:

            def create(
                connection: Connection, group: t.Sequence[TablePlan]
            ) -> None:
                maker(connection).create(group)

            # A table may need another one, such as the type of its rows, that is made at the same time, and no more
            # connections may be free. Done in order, what is left finds all it needs, or the error that counts.
            with contextlib.suppress(DatabaseError, DatabaseConnectionError):
                in_parallel(create, groups, connect, threads)
                return
        for group in groups:
            maker(self._connection).create(group)


class _TableMaker:
    """Creates tables by one connection. ``sequences``: statements of those that tables use, by their names."""

    def __init__(
        self,
        connection: Connection,
        plan: Plan,
        owner: str,
        rename: Rename,
        sequences: t.Mapping[QualifiedName, str],
    ) -> None:
        self._connection = connection
        self._restore_id = plan.restore_id
        self._owner = owner
        self._rename = rename
        self._sequences = sequences
        self._keys = KeyMaker(connection, plan.restore_id, rename)

    def create(self, tables: t.Sequence[TablePlan]) -> None:
        """Create those that do not exist yet, in one transaction."""
        connection, restore_id = self._connection, self._restore_id
        numbers = [table.number for table in tables]
        with connection.transaction():
            # The session of a killed run may be at work on them: it is waited for.
            unmade = store.lock_unmade(connection, restore_id, numbers)
            for table in tables:
                if table.number in unmade:
                    self._create_table(table)
            store.set_made(connection, restore_id, unmade)

    def _create_table(self, table: TablePlan) -> None:
        structure, connection = structure_of(table), self._connection
        operation = f"create table {table.place.printable}"
        look_in(connection, table.place.schema)
        for name in structure.used_sequences:
            if store.add_object(
                connection, self._restore_id, f"sequence {quote(*name)}"
            ):
                connection.execute(
                    self._sequences.get(
                        name, f"CREATE SEQUENCE {quote(*name)}"
                    ),
                    operation=f"create sequence {printable('.'.join(name))}",
                )
        for script in structure.scripts:
            connection.execute(script.render(self._rename), operation=operation)
        self._set_owner(table)
        if not table.defers_keys and not structure.is_partitioned:
            self._keys.make_first(table)

    def _set_owner(self, table: TablePlan) -> None:
        if self._owner:
            self._connection.execute(
                f"ALTER TABLE {place_of(table)} OWNER TO {quote(self._owner)}"
            )
