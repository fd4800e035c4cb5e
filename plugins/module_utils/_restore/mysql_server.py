# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""A MySQL or MariaDB server that a backup is restored into."""

from __future__ import annotations

import contextlib
import re
import typing as t

from .._base.errors import ConfigurationError
from .._files.system import free_space
from . import mysql_store as store
from .engine import Remarks, Server, Session, Space
from .errors import DatabaseError, RestoreConflictError
from .model import (
    DataFormat,
    Plan,
    RestoreRecord,
    State,
    TablePlan,
)
from .mysql_checks import (
    check_collations,
    check_engines,
    check_names,
    collation_advice,
)
from .mysql_connection import Connection
from .mysql_names import Names
from .mysql_options import MySQLOptions
from .mysql_privileges import Privileges
from .mysql_session import MySQLSession
from .mysql_settings import Settings
from .mysql_swap import check_swap, swap
from .mysql_table import MySQLTable
from .mysql_tokens import quote
from .mysql_variables import (
    check_variables,
    check_writable,
    prepare,
)
from .parallel import in_parallel

#: The oldest version that is supported, by the name of the server.
_OLDEST = {"MySQL": (5, 7), "MariaDB": (10, 6)}
#: The code of a table that there is already.
_TABLE_EXISTS = "1050"
#: The redo log of MySQL by default, in bytes. With less than four times as much, large tables wait for it.
_DEFAULT_REDO_LOG = 100 << 20

#: Bytes of tables for one byte of CSV files: 1.34 were measured, and keys differ. The binary log has all data once more.
_SPACE, _SPACE_WITH_BINLOG = 1.5, 2.5


class MySQLServer(Server):
    def __init__(self, options: MySQLOptions) -> None:
        self._options = options
        self._opened: t.Optional[Connection] = None
        self._is_mariadb = False
        self._own_names: t.Optional[Names] = None
        self._own_settings: t.Optional[Settings] = None

    @property
    def _connection(self) -> Connection:
        return t.cast(Connection, self._opened)

    @property
    def _settings(self) -> Settings:
        return t.cast(Settings, self._own_settings)

    @property
    def _names(self) -> Names:
        return t.cast(Names, self._own_names)

    def open(self) -> str:
        self._opened = Connection(
            self._options.login, shows_data=self._options.shows_data
        )
        version = str(self._connection.value("SELECT VERSION()"))
        self._is_mariadb = "mariadb" in version.lower()
        name = "MariaDB" if self._is_mariadb else "MySQL"
        # Older versions of MariaDB put 5.5.5- before theirs, for old replicas of MySQL.
        number = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)[\d.]*", version)
        found = (int(number[1]), int(number[2])) if number else (0, 0)
        if not number or found < _OLDEST[name]:
            oldest = ".".join(map(str, _OLDEST[name]))
            raise ConfigurationError(
                f"the server is {name} {version}: use {name} {oldest} or newer."
            )
        # Before the first pass, in which the connection is silent.
        prepare(self._connection, self._options)
        # Several rows belong together.
        self._connection.execute("SET SESSION autocommit = 0")
        check_writable(self._connection)
        self._own_names = Names(self._connection)
        self._own_settings = Settings(self._connection, self._options)
        return f"{name} {number[0].replace('5.5.5-', '')}"

    def close(self) -> None:
        if self._opened:
            # What fails is left for the next run, and for a message of the error that led here.
            with contextlib.suppress(Exception):
                self._connection.rollback()
                self._settings.put_back(self._connection)
            self._opened.close()
            self._opened = None
        if self._own_settings and self._own_settings.is_changed:
            # A signal in the middle of a statement has ended the connection.
            with (
                contextlib.suppress(Exception),
                contextlib.closing(
                    Connection(self._options.login, shows_data=False)
                ) as other,
            ):
                self._settings.put_back(other)

    def check(self, plan: Plan) -> Remarks:
        self._settings.check()
        Privileges(self._connection).check(plan)
        check_names(plan, self._names)
        check_variables(self._connection, plan)
        check_engines(self._connection, plan)
        check_collations(self._connection, plan, self._options.collation_map)
        if any(
            file.format is not DataFormat.SQL
            for one in plan.tables
            for file in one.source.files
        ):
            self._check_local_infile()
        if self._options.disables_redo_log:
            self._settings.check_redo_log(
                {self._names.folded(one.place.database) for one in plan.tables}
            )
        advice = [
            *self._advice(plan),
            *collation_advice(self._connection, plan),
        ]
        return Remarks(advice, list(self._warnings(plan)))

    def space(self) -> Space:
        has_binlog = self._options.writes_binlog and bool(
            self._connection.value("SELECT @@GLOBAL.log_bin")
        )
        factor = _SPACE_WITH_BINLOG if has_binlog else _SPACE
        if not self._options.login.is_local:
            return Space(None, factor)
        return Space(
            free_space(str(self._connection.value("SELECT @@GLOBAL.datadir"))),
            factor,
        )

    def existing(self, plan: Plan) -> list[TablePlan]:
        names = self._names.existing(plan)
        return [
            one for one in plan.tables if self._names.key(one.target) in names
        ]

    def lock(self, plan: Plan) -> None:
        # Given back by the server when the connection ends, however that happens.
        for database in sorted(plan.databases):
            store.lock(self._connection, self._names.folded(database))

    def find(self, restore_id: str) -> t.Optional[RestoreRecord]:
        record = store.find(self._connection, restore_id)
        # Of a snapshot: without its end, later reads would see the same.
        self._connection.commit()
        return record

    def forget(self, record: RestoreRecord) -> None:
        store.forget(self._connection, record.restore_id)

    def begin(self, plan: Plan) -> None:
        store.begin(self._connection, plan)

    def create(
        self, plan: Plan, record: RestoreRecord, threads: int = 1
    ) -> None:
        connection = self._connection
        self._settings.change()
        existing = set(map(self._names.folded, store.databases(connection)))
        for name, structure in plan.databases.items():
            if self._names.folded(name) in existing:
                # The statement would wait for the session of a killed run that still loads.
                continue
            charset = (
                f" CHARACTER SET {structure.charset}"
                if structure.charset
                else ""
            )
            collation = self._options.collation_map.get(
                structure.collation, structure.collation
            )
            collate = f" COLLATE {collation}" if collation else ""
            connection.execute(
                f"CREATE DATABASE IF NOT EXISTS {quote(name)}{charset}{collate}"
            )
        names = self._names.existing(plan)
        missing = []
        for one in plan.tables:
            if self._names.key(one.place) in names:
                self._take_over(one, record)
            else:
                store.forget_pieces(connection, record, one.number)
                missing.append(one)
        in_parallel(self._create_table, missing, self._connect, threads)
        # Before any of them has rows, by which they would be taken for those of others.
        store.set_table_state(
            connection,
            record.restore_id,
            [one.number for one in missing],
            State.LOADING,
        )

    def set_state(self, restore_id: str, state: State) -> None:
        store.set_state(self._connection, restore_id, state)

    def session(self) -> Session:
        return MySQLSession(self._options)

    def complete(self, plan: Plan) -> None:
        # Before the restore is done: otherwise nobody would put them back after a failure.
        self._settings.put_back(self._connection)

    def check_swap(self, plan: Plan) -> None:
        Privileges(self._connection).check(plan)
        check_swap(self._connection, self._names, plan)

    def swap(self, plan: Plan) -> dict[str, str]:
        return swap(self._connection, self._names, plan)

    def count(self, record: RestoreRecord) -> dict[int, t.Optional[int]]:
        counts: dict[int, t.Optional[int]] = {}
        for number, table in record.tables.items():
            try:
                counts[number] = self._connection.value(
                    f"SELECT COUNT(*) FROM {store.qualified(table.target)}"
                )
            except DatabaseError as error:
                # The database, or the table, does not exist.
                if error.code not in ("1049", "1146"):
                    raise
                counts[number] = None
        self._connection.commit()
        return counts

    def _connect(self) -> Connection:
        connection = Connection(
            self._options.login, shows_data=self._options.shows_data
        )
        prepare(connection, self._options)
        return connection

    def _create_table(self, connection: Connection, one: TablePlan) -> None:
        structure = t.cast(MySQLTable, one.structure)
        try:
            connection.execute(
                structure.create(
                    store.qualified(one.place),
                    one.defers_keys,
                    self._options.collation_map,
                )
            )
        except DatabaseError as error:
            # The session of a killed run was at it until now.
            if error.code != _TABLE_EXISTS:
                raise
            _check_empty(connection, one)

    def _take_over(self, one: TablePlan, record: RestoreRecord) -> None:
        """Continue with a table that an earlier run has created."""
        connection, structure = (
            self._connection,
            t.cast(MySQLTable, one.structure),
        )
        known = record.tables.get(one.number)
        place = store.qualified(one.place)
        if known is None or known.state is State.PLANNED:
            # Made by a run that was killed before it could record that, or by somebody else meanwhile.
            _check_empty(connection, one)
            store.set_table_state(
                connection, record.restore_id, [one.number], State.LOADING
            )
        elif not structure.has_transactions and known.state is not State.DONE:
            # Nobody knows how much of a piece is in it.
            connection.execute(f"TRUNCATE TABLE {place}")
            store.forget_pieces(connection, record, one.number)
            # Otherwise its rows would be taken for those of others, if this run is killed too.
            store.set_table_state(
                connection, record.restore_id, [one.number], State.LOADING
            )

    def _check_local_infile(self) -> None:
        if not self._options.login.is_trusted:
            raise ConfigurationError(
                "CSV files are loaded by LOAD DATA LOCAL, by which a server can ask for any file of this host: "
                "set login_unix_socket, ca_cert, or login_host to localhost."
            )
        if (
            not self._options.sets_local_infile
            and not self._settings.is_local_infile_on()
        ):
            raise ConfigurationError(
                "the variable local_infile of the server is OFF: set it to ON, or the option local_infile to set."
            )

    def _warnings(self, plan: Plan) -> t.Iterator[str]:
        stamped = [
            one
            for one in plan.tables
            if t.cast(MySQLTable, one.structure).has_timestamps
        ]
        if stamped and not self._options.time_zone:
            yield (
                f"{stamped[0].target} has TIMESTAMP columns, and the backup does not say their time zone: that of the server is "
                "used. Set time_zone if the instance had another one."
            )

    def _advice(self, plan: Plan) -> t.Iterator[str]:
        if (
            not self._is_mariadb
            and max(one.source.size for one in plan.tables) > _DEFAULT_REDO_LOG
        ):
            # Since MySQL 8.0.30. On older ones, it takes a restart to change the size.
            rows = self._connection.query(
                "SHOW GLOBAL VARIABLES LIKE 'innodb_redo_log_capacity'"
            )
            if rows and int(rows[0][1]) <= 4 * _DEFAULT_REDO_LOG:
                yield "Set innodb_redo_log_capacity to 2 GiB or more during the restore: the server then writes less."


def _check_empty(connection: Connection, one: TablePlan) -> None:
    """Refuse a table that this run did not make, and that has rows."""
    if connection.value(f"SELECT 1 FROM {store.qualified(one.place)} LIMIT 1"):
        raise RestoreConflictError(
            f"{one.place} was created by somebody else meanwhile, and has rows",
            hint="Drop it, or set rename to restore under another name",
        )
