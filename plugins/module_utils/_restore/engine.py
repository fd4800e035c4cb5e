# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What a restore asks of a kind of database server.

``Grammar``  reads the structures of a backup, without a connection
``Server``   one server, by the connection that controls the restore
``Session``  a connection of its own for one thread that loads

All raise BackupError only, without passwords and without values of rows. Nothing is retried below
``Session.load``: a transaction is whole or absent, and the caller knows what to do.
"""

from __future__ import annotations

import abc
import typing as t

from .model import (
    DatabaseStructure,
    Loaded,
    Null,
    Piece,
    Plan,
    RestoreRecord,
    SchemaStructure,
    State,
    TablePlan,
    TableStructure,
    Verified,
)


class Space(t.NamedTuple):
    """Space on the disk of a server. ``free``: bytes; None if it is on another host, or cannot be seen.

    ``factor``: bytes that the server needs for one byte of data files.
    """

    free: t.Optional[int]
    factor: float


class Grammar(abc.ABC):
    """How the exports of an engine are written."""

    #: The name of the engine in messages.
    engine: t.ClassVar[str]
    #: Whether there are schemas between databases and tables.
    has_schemas: t.ClassVar[bool]
    #: How long the name of a database or of a table can be, and in what.
    longest_name: t.ClassVar[int]
    name_unit: t.ClassVar[str]
    #: Names of the files with the structure of a table.
    table_files: t.ClassVar[tuple[str, ...]]
    #: Whether a backslash escapes in CSV, and how NULL is written, if the data do not tell.
    has_escapes: t.ClassVar[bool]
    null: t.ClassVar[Null]
    #: What is before the hexadecimal digits of a binary value in CSV.
    binary_prefix: t.ClassVar[str]
    #: The words that values in SQL may have outside of quotes; None if the session checks them.
    sql_words: t.ClassVar[t.Optional[frozenset[bytes]]] = None

    def name_length(self, name: str) -> int:
        return len(name.encode()) if self.name_unit == "bytes" else len(name)

    @abc.abstractmethod
    def parse_database(self, text: str, directory: str) -> DatabaseStructure:
        """Parse the structure of a database. ``directory``: the name of its directory, if the text has no name.

        Raises InvalidBackupError.
        """

    def parse_schema(self, text: str, directory: str) -> SchemaStructure:
        """Parse the structure of a schema, of an engine that has some. Raises InvalidBackupError."""
        return SchemaStructure(directory)

    @abc.abstractmethod
    def parse_table(
        self, texts: t.Mapping[str, str], directory: str, schema: str
    ) -> TableStructure:
        """Parse the structure of a table: the texts of its files by their names.

        ``schema``: the directory of its schema; empty if the engine has none.
        Raises InvalidBackupError if it has no table, or one whose name is not that of the directory.
        """


class Remarks(t.NamedTuple):
    """What users should know before a restore.

    ``advice``: settings that would make it faster, and what the server decides. ``warnings``: what may not be as it was in the backup.
    """

    advice: list[str]
    warnings: list[str]


class Server(abc.ABC):
    """A server. Its methods are called by one thread."""

    @abc.abstractmethod
    def open(self) -> str:
        """Connect, and check the version. Returns the server's name and version for messages.

        Raises ConfigurationError, MissingLibraryError, DatabaseConnectionError.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Put back settings of the server that this run has set, and end the connection."""

    @abc.abstractmethod
    def check(self, plan: Plan) -> Remarks:
        """Check all that the plan needs: privileges, collations, settings. Changes nothing.

        Raises BackupError that names what is missing.
        """

    @abc.abstractmethod
    def space(self) -> Space:
        """Return the space for data of the server."""

    @abc.abstractmethod
    def existing(self, plan: Plan) -> list[TablePlan]:
        """Return those tables whose target exists, whoever made it."""

    @abc.abstractmethod
    def lock(self, plan: Plan) -> None:
        """Keep other runs out until the connection ends. Raises RestoreConflictError."""

    @abc.abstractmethod
    def find(self, restore_id: str) -> t.Optional[RestoreRecord]:
        """Return what is known of the restore. Changes nothing."""

    @abc.abstractmethod
    def forget(self, record: RestoreRecord) -> None:
        """Delete what is recorded of a restore whose tables are all gone."""

    @abc.abstractmethod
    def begin(self, plan: Plan) -> None:
        """Record the restore with all of its tables, as planned."""

    @abc.abstractmethod
    def create(
        self, plan: Plan, record: RestoreRecord, threads: int = 1
    ) -> None:
        """Create databases, schemas and tables that do not exist yet. Can be repeated after a kill.

        ``threads``: the most sessions that it may have besides its own.

        A table that can have no transactions is emptied, and its pieces are forgotten.
        """

    @abc.abstractmethod
    def set_state(self, restore_id: str, state: State) -> None:
        """Record the state of the restore."""

    @abc.abstractmethod
    def session(self) -> Session:
        """Connect once more."""

    @abc.abstractmethod
    def complete(self, plan: Plan) -> None:
        """Do what needs all tables, such as foreign keys. Can be repeated after a kill."""

    @abc.abstractmethod
    def check_swap(self, plan: Plan) -> None:
        """Check that what the plan replaces can be replaced. Raises RestoreConflictError."""

    @abc.abstractmethod
    def swap(self, plan: Plan) -> dict[str, str]:
        """Put what was loaded under other names into its place, in one step, unless that was done.

        Returns the names that the old ones have now, by the names that they had.
        """

    @abc.abstractmethod
    def count(self, record: RestoreRecord) -> dict[int, t.Optional[int]]:
        """Count the rows of each table of a restore, by its number; None where it does not exist."""


class Session(abc.ABC):
    """A connection for one thread."""

    @abc.abstractmethod
    def load(self, pieces: t.Sequence[Piece], plan: Plan) -> list[Loaded]:
        """Load pieces in one transaction, which also records each as loaded. All of it, or nothing.

        Raises VerificationError if the server gives a warning, or loads another number of rows.
        """

    def steps(self, table: TablePlan) -> t.Sequence[int]:
        """Return the steps before ``finish`` that sessions can do at the same time, such as indexes of deferred keys."""
        return ()

    def step(self, table: TablePlan, plan: Plan, step: int) -> None:
        """Do one of the steps. Can be repeated after a kill; ``finish`` does those that were not done."""
        raise NotImplementedError

    @abc.abstractmethod
    def finish(self, tables: t.Sequence[TablePlan], plan: Plan) -> None:
        """Create what was deferred, set sequences, and have the server analyze the tables.

        Can be repeated after a kill. Records the state.
        """

    @abc.abstractmethod
    def verify(
        self, tables: t.Sequence[TablePlan], plan: Plan
    ) -> list[Verified]:
        """Count rows, compare the samples, look for keys. Records the tables as done.

        Raises VerificationError.
        """

    @abc.abstractmethod
    def cancel(self) -> None:
        """End what the session does, and its connection. May be called by another thread."""

    @abc.abstractmethod
    def close(self) -> None:
        """End the connection."""
