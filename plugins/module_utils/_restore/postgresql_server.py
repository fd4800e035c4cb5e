# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""A PostgreSQL server, by the connections that control a restore: one to each database."""

from __future__ import annotations

import functools
import hashlib
import time
import typing as t

from .._base.errors import ConfigurationError
from .._base.text import printable
from .._files.system import free_space
from . import postgresql_store as store
from . import tuning
from .engine import Remarks, Server, Space
from .errors import (
    DatabaseConnectionError,
    DatabaseError,
    RestoreConflictError,
    other_run,
)
from .model import DatabaseStructure, Plan, RestoreRecord, State, TablePlan
from .planning import name_beside
from .postgresql_checks import check, check_names, check_writable
from .postgresql_connection import Connection, PostgreSQLLogin
from .postgresql_creation import Creation, PostgreSQLOptions, create_database
from .postgresql_names import relations
from .postgresql_session import PostgreSQLSession
from .postgresql_tokens import quote
from .postgresql_verification import count

#: The oldest version, as the server says it.
_MIN_VERSION = 130000
#: Bytes of tables for one byte of CSV files: 1.15 were measured, and keys differ.
_SPACE = 1.5
#: object_in_use: another session is in the database.
_IN_USE = "55006"
_DUPLICATE_DATABASE = "42P04"


class PostgreSQLServer(Server):
    """A server. ``options``: how to restore."""

    def __init__(
        self, login: PostgreSQLLogin, options: PostgreSQLOptions
    ) -> None:
        self._login = login
        self._options = options
        self._connections: dict[str, Connection] = {}

    def open(self) -> str:
        connection = self._connect(self._login.login_db)
        rows = connection.execute(
            "SELECT current_setting('server_version'), pg_is_in_recovery()"
        )
        name = f"PostgreSQL {rows[0][0].split()[0]}"
        if connection.version < _MIN_VERSION:
            raise ConfigurationError(
                f"{self._login.server} is {name}: version {_MIN_VERSION // 10000} or newer is needed."
            )
        if rows[0][1]:
            raise ConfigurationError(
                f"{self._login.server} is a standby, which is read-only: use the primary server."
            )
        check_writable(connection)
        return name

    def close(self) -> None:
        while self._connections:
            self._connections.popitem()[1].close()

    def check(self, plan: Plan) -> Remarks:
        check_names(plan)
        databases = {name: self._find(name) for name in plan.databases}
        return Remarks([], check(self._first, databases, plan, self._options))

    def space(self) -> Space:
        try:
            rows = self._first.execute(
                "SELECT current_setting('data_directory')"
            )
        except DatabaseError:
            # Only some roles may know it.
            return Space(None, _SPACE)
        if not self._login.is_on_this_host:
            return Space(None, _SPACE)
        return Space(free_space(rows[0][0]), _SPACE)

    def existing(self, plan: Plan) -> list[TablePlan]:
        found: list[TablePlan] = []
        for name in _databases(plan, "target"):
            connection = self._find(name)
            known = relations(connection) if connection else set()
            found += [
                table
                for table in plan.tables
                if table.target.database == name
                and table.target.in_database in known
            ]
        return found

    def lock(self, plan: Plan) -> None:
        # Advisory locks are of one database, and one that is restored may not exist yet. All of them are
        # released with the connection. Sorted, so that two runs do not lock each other out.
        for name in sorted({*plan.databases, *_databases(plan, "place")}):
            self._lock(self._first, name)
            connection = self._find(name)
            if connection:
                # Where runs with another login_db see it.
                self._lock(connection, name)

    def _lock(self, connection: Connection, name: str) -> None:
        key = int.from_bytes(
            hashlib.sha256(name.encode()).digest()[:8], "big", signed=True
        )
        rows = connection.execute("SELECT pg_try_advisory_lock(%s)", key)
        if not rows[0][0]:
            raise other_run(name, self._holder(key))

    def _holder(self, key: int) -> str:
        """Return the process of the server that has an advisory lock, if it has not ended meanwhile."""
        rows = self._first.execute(
            "SELECT pid FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted "
            "AND classid::bigint = (%s >> 32) & 4294967295 AND objid::bigint = %s & 4294967295",
            key,
            key,
        )
        return f"process {rows[0][0]}" if rows else ""

    def find(self, restore_id: str) -> t.Optional[RestoreRecord]:
        found: list[RestoreRecord] = []
        for name in self._all_databases():
            is_new = name not in self._connections
            try:
                connection = self._find(name)
            except DatabaseConnectionError:
                # The server lets this user into only some, and those that are restored are among them.
                continue
            record = store.find(connection, restore_id) if connection else None
            if record:
                found.append(record)
            elif is_new and connection:
                self._connections.pop(name).close()
        if not found:
            return None
        order = list(State)
        record = min(found, key=lambda one: order.index(one.state))
        for one in found:
            record.tables.update(one.tables)
            record.pieces.update(one.pieces)
        return record

    def forget(self, record: RestoreRecord) -> None:
        for connection in self._connections.values():
            if store.exists(connection):
                store.forget(connection, record.restore_id)

    def begin(self, plan: Plan) -> None:
        for name in _databases(plan, "place"):
            if not self._find(name):
                self._create_database(name, plan)
            connection = self._connect(name)
            self._lock(connection, name)
            store.prepare(connection, plan)

    def _create_database(self, name: str, plan: Plan) -> None:
        structure = plan.databases.get(name, DatabaseStructure(name))
        try:
            create_database(self._first, name, structure, self._options.owner)
        except DatabaseError as error:
            # A run with another login_db was faster: the lock says so.
            if error.code != _DUPLICATE_DATABASE:
                raise

    def create(
        self, plan: Plan, record: RestoreRecord, threads: int = 1
    ) -> None:
        # A run may have been killed before all databases were made.
        self.begin(plan)
        for name in _databases(plan, "place"):
            connect = functools.partial(
                Connection, self._login, name, self._options.show_data
            )
            creation = Creation(self._connect(name), plan, self._options)
            creation.forget_dropped(record)
            creation.create(connect, threads)

    def set_state(self, restore_id: str, state: State) -> None:
        for connection in self._connections.values():
            if store.exists(connection):
                store.set_state(connection, restore_id, state)

    def session(self) -> PostgreSQLSession:
        return PostgreSQLSession(self._login, self._options)

    def complete(self, plan: Plan) -> None:
        for name in _databases(plan, "place"):
            Creation(self._connect(name), plan, self._options).complete()

    def check_swap(self, plan: Plan) -> None:
        for name in sorted({one.target.database for one in plan.replaced}):
            if name == self._login.login_db:
                raise RestoreConflictError(
                    f"database {printable(name)} cannot be replaced while it is login_db",
                    hint="Set login_db to another database",
                )

    def swap(self, plan: Plan) -> dict[str, str]:
        databases = {
            one.target.database: one.place.database for one in plan.replaced
        }
        # No session may be in a database that gets another name, also none of this run.
        for name in {*databases, *databases.values()} & set(self._connections):
            self._connections.pop(name).close()
        known = self._all_databases()
        olds = {
            name: name_beside(name, "old", plan.restore_id)
            for name in _databases(plan, "target")
        }
        steps = []
        for target, place in databases.items():
            if place in known:
                steps.append(
                    f"ALTER DATABASE {quote(target)} RENAME TO {quote(olds[target])}"
                )
                steps.append(
                    f"ALTER DATABASE {quote(place)} RENAME TO {quote(target)}"
                )
        if steps:
            self._rename(steps)
        for name in databases:
            self._connect(name)
        # Also those that a killed run has renamed, whose tables are at their place now.
        kept = self._all_databases()
        return {name: old for name, old in olds.items() if old in kept}

    def _rename(self, steps: list[str]) -> None:
        """Rename databases in one transaction. Sessions that have just ended may still be seen for a moment."""
        for attempt in range(tuning.RENAME_ATTEMPTS):
            try:
                with self._first.transaction():
                    for step in steps:
                        self._first.execute(
                            step, operation="replace the old database"
                        )
                return
            except DatabaseError as error:
                if (
                    error.code != _IN_USE
                    or attempt + 1 == tuning.RENAME_ATTEMPTS
                ):
                    raise
                time.sleep(tuning.RETRY_PAUSE)

    def count(self, record: RestoreRecord) -> dict[int, t.Optional[int]]:
        counts: dict[int, t.Optional[int]] = {}
        for number, table in record.tables.items():
            connection = self._find(table.target.database)
            place = quote(*table.target.in_database)
            exists = (
                connection
                and connection.execute(
                    "SELECT to_regclass(%s) IS NOT NULL", place
                )[0][0]
            )
            counts[number] = (
                count(connection, place, table.rows_expected)
                if connection and exists
                else None
            )
        return counts

    @property
    def _first(self) -> Connection:
        return self._connections[self._login.login_db]

    def _all_databases(self) -> list[str]:
        rows = self._first.execute(
            "SELECT datname::text FROM pg_catalog.pg_database "
            "WHERE datallowconn AND NOT datistemplate AND has_database_privilege(oid, 'CONNECT') ORDER BY 1"
        )
        return [name for (name,) in rows]

    def _find(self, name: str) -> t.Optional[Connection]:
        """Connect to a database, if it exists."""
        if name not in self._connections:
            rows = self._first.execute(
                "SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", name
            )
            if not rows:
                return None
        return self._connect(name)

    def _connect(self, name: str) -> Connection:
        if name not in self._connections:
            self._connections[name] = Connection(
                self._login, name, self._options.show_data
            )
        return self._connections[name]


def _databases(plan: Plan, which: str) -> list[str]:
    return list(
        dict.fromkeys(getattr(table, which).database for table in plan.tables)
    )
