# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Settings of a whole MySQL server that a restore changes if it is told to, and puts back.

What they were is recorded before they are changed, so that after a kill the next run puts them back.
"""

from __future__ import annotations

import contextlib
import typing as t

from .._base.errors import ConfigurationError
from . import tuning
from .errors import DatabaseError, RestoreConflictError
from .mysql_connection import Connection
from .mysql_options import MySQLOptions
from .mysql_store import DATABASE, SYSTEM_DATABASES

_LOCAL_INFILE, _REDO_LOG = "local_infile", "redo_log"
#: How to put them back.
_STATEMENTS = {
    _LOCAL_INFILE: "SET GLOBAL local_infile = 0",
    _REDO_LOG: "ALTER INSTANCE ENABLE INNODB REDO_LOG",
}
#: Names of locks: each run that needs local_infile has one of them, until it ends.
_USES = [f"{DATABASE}/local_infile/{number}" for number in range(32)]


class Settings:
    def __init__(self, connection: Connection, options: MySQLOptions) -> None:
        self._connection = connection
        self._options = options
        #: Whether this run may have to put something back.
        self.is_changed = False
        self._number = connection.number

    def is_local_infile_on(self) -> bool:
        return bool(self._connection.value("SELECT @@GLOBAL.local_infile"))

    def check(self) -> None:
        """Fail if the user may not change what the options say. To try that, a setting is set to the value that it has."""
        if self._options.sets_local_infile:
            with _alone(self._connection):
                value = int(self.is_local_infile_on())
                self._connection.execute(f"SET GLOBAL local_infile = {value}")

    def change(self) -> None:
        """Change what the options say."""
        # Of a run that was killed, they may still be as that run had set them.
        self.is_changed = True
        with _alone(self._connection):
            if self._options.sets_local_infile:
                _say_in_use(self._connection)
                if not self.is_local_infile_on():
                    self._record(_LOCAL_INFILE)
                    self._connection.execute("SET GLOBAL local_infile = 1")
            if self._options.disables_redo_log and self._is_redo_log_on():
                self._record(_REDO_LOG)
                self._connection.execute(
                    "ALTER INSTANCE DISABLE INNODB REDO_LOG"
                )

    def put_back(self, connection: Connection) -> None:
        """Put back what this run, or one that was killed, has changed."""
        if not self.is_changed:
            return
        with _alone(connection):
            is_in_use = self._is_in_use_by_others(connection)
            for (name,) in connection.query(
                f"SELECT name FROM {DATABASE}.settings"
            ):
                if name == _LOCAL_INFILE and is_in_use:
                    # The last of these runs puts it back.
                    continue
                connection.execute(_STATEMENTS[str(name)])
                # The record goes last: after a kill in between, the next run does it again, which harms nothing.
                connection.execute(
                    f"DELETE FROM {DATABASE}.settings WHERE name = %s", [name]
                )
                connection.commit()
        self.is_changed = False

    def _is_in_use_by_others(self, connection: Connection) -> bool:
        holders = ", ".join(f"IS_USED_LOCK('{name}')" for name in _USES)
        (row,) = connection.query(f"SELECT {holders}")
        # The connection of this run may have ended, without the server having seen it.
        return any(holder not in (None, self._number) for holder in row)

    def check_redo_log(self, databases: set[str]) -> None:
        """Refuse to disable the redo log where that could harm other data, or is not possible."""
        try:
            self._is_redo_log_on()
        except DatabaseError:
            raise ConfigurationError(
                "redo_log is disable, which needs MySQL 8.0.21 or newer: set it to keep."
            ) from None
        others = {
            str(name)
            for (name,) in self._connection.query(
                "SELECT DISTINCT table_schema FROM information_schema.tables WHERE engine = 'InnoDB'"
            )
        } - {*SYSTEM_DATABASES, *databases}
        if others:
            raise ConfigurationError(
                f"redo_log is disable, but the server has the database {min(others)}, which a crash would then destroy: "
                "set it to keep."
            )

    def _is_redo_log_on(self) -> bool:
        # Neither MariaDB nor MySQL before 8.0.21 has this variable.
        rows = self._connection.query(
            "SHOW GLOBAL STATUS LIKE 'Innodb_redo_log_enabled'"
        )
        if not rows:
            raise DatabaseError("unknown status variable", code="1193")
        return str(rows[0][1]).upper() == "ON"

    def _record(self, name: str) -> None:
        # A run that was killed may have recorded it. Committed before the change is made.
        self._connection.execute(
            f"INSERT IGNORE INTO {DATABASE}.settings VALUES (%s, '')", [name]
        )
        self._connection.commit()


@contextlib.contextmanager
def _alone(connection: Connection) -> t.Iterator[None]:
    """Keep other runs from looking at settings and changing them at the same time, by a lock of the server."""
    name = f"{DATABASE}/settings"
    if (
        connection.value("SELECT GET_LOCK(%s, %s)", [name, tuning.LOCK_TIMEOUT])
        != 1
    ):
        raise RestoreConflictError(
            "another run has been changing settings of the server for too long",
            hint="Look for the lock apsaradb_restore/settings in the process list of the server",
        )
    try:
        yield
    finally:
        connection.execute("DO RELEASE_LOCK(%s)", [name])


def _say_in_use(connection: Connection) -> None:
    """Take a lock for as long as the connection lasts. Others see by it that local_infile is still needed."""
    for name in _USES:
        if connection.value("SELECT GET_LOCK(%s, 0)", [name]) == 1:
            return
