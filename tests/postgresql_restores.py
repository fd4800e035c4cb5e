# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores of generated backups into a real PostgreSQL, without Ansible."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ansible_collections.apsaradb.backup.plugins.module_utils._archive.members import open_members
from ansible_collections.apsaradb.backup.plugins.module_utils._restore import postgresql_connection
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.model import Null
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.planning import PlanOptions, Selection
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_connection import PostgreSQLLogin
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_creation import PostgreSQLOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_grammar import PostgreSQLGrammar
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_server import PostgreSQLServer
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.restoration import Outcome, Request, Restoration
from databases import PostgreSQL
from exports import Export, Table, unpack
from psycopg import sql

DEFAULTS = PostgreSQLOptions()
DRIVERS = ("psycopg", "psycopg2")


def login(server: PostgreSQL, **changes: Any) -> PostgreSQLLogin:
    made = PostgreSQLLogin(
        login_user=server.user,
        login_password=server.password,
        login_unix_socket=server.socket,
        login_port=server.port or 5432,
    )
    return dataclasses.replace(made, **changes)


@dataclasses.dataclass
class Restore:
    """A restore, which can be run several times."""

    source: Path
    login: PostgreSQLLogin
    options: PostgreSQLOptions = DEFAULTS
    rename: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tables: tuple[str, ...] = ()
    on_existing: str = "error"
    piece_size: int = 64 << 10
    defers_keys: bool | None = None
    null: Null | None = None
    samples: int = 10
    threads: int = 3
    driver: str = "psycopg"
    has_checksums: bool = False

    def __post_init__(self) -> None:
        self.plan: Any = None

    def restoration(self, watch: Any = lambda progress: None) -> Restoration:
        self.members = open_members(str(self.source))
        self.server = PostgreSQLServer(self.login, self.options)
        request = Request(
            Selection(tables=self.tables),
            PlanOptions(self.piece_size, self.rename, self.defers_keys, {}, has_checksums=self.has_checksums),
            self.samples,
            self.null,
            False,
            self.on_existing,
            self.threads,
        )
        return Restoration(self.members, PostgreSQLGrammar(), self.server, request, watch)

    def run(self, watch: Any = lambda progress: None) -> Outcome:
        restoration = self.restoration(watch)
        try:
            drivers = {self.driver: postgresql_connection._DRIVERS[self.driver]}
            with patch.object(postgresql_connection, "_DRIVERS", drivers):
                return restoration.run()
        finally:
            self.server.close()
            self.members.close()


def restore(export: Export | Mapping[str, bytes], directory: Path, server: PostgreSQL, **changes: Any) -> Restore:
    files = export.files() if isinstance(export, Export) else export
    return Restore(unpack(files, directory / "source"), login(server), **changes)


def rows_of(server: PostgreSQL, database: str, table: Table, name: str = "") -> list[tuple[Any, ...]]:
    """All rows, each value as the text of the server."""
    with server.connect(dbname=database, options="-c timezone=UTC") as connection:
        # As the server writes it: a cast to text would cut blanks.
        written = sql.SQL("CASE WHEN {0} IS NOT NULL THEN format('%s', {0}) END")
        columns = sql.SQL(", ").join(written.format(sql.Identifier(column.name)) for column in table.columns)
        query = sql.SQL("SELECT {} FROM ONLY {}").format(columns, sql.Identifier(table.schema, name or table.name))
        return list(connection.execute(query).fetchall())


def ask(server: PostgreSQL, query: str, database: str = "shop") -> list[tuple[Any, ...]]:
    with server.connect(dbname=database, autocommit=True) as connection:
        cursor = connection.execute(query)
        return list(cursor.fetchall()) if cursor.description else []
