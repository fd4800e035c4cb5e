# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Settings of a whole MySQL server that a restore changes if it is told to, and puts back.

What they were is recorded before they are changed, so that after a kill the next run puts them back.
"""

from __future__ import annotations

from .._base.errors import ConfigurationError
from .errors import DatabaseError
from .mysql_connection import Connection
from .mysql_session import MySQLOptions
from .mysql_store import DATABASE, SYSTEM_DATABASES

_LOCAL_INFILE, _REDO_LOG = "local_infile", "redo_log"
#: How to put them back.
_STATEMENTS = {
    _LOCAL_INFILE: "SET GLOBAL local_infile = 0",
    _REDO_LOG: "ALTER INSTANCE ENABLE INNODB REDO_LOG",
}


class Settings:
    def __init__(self, connection: Connection, options: MySQLOptions) -> None:
        self._connection = connection
        self._options = options
        #: Whether this run may have to put something back.
        self._is_changed = False

    def is_local_infile_on(self) -> bool:
        return bool(self._connection.value("SELECT @@GLOBAL.local_infile"))

    def check(self) -> None:
        """Fail where the user may not change what the options say. What is set, is set to what it is."""
        if self._options.sets_local_infile:
            value = int(self.is_local_infile_on())
            self._connection.execute(f"SET GLOBAL local_infile = {value}")

    def change(self) -> None:
        """Change what the options say."""
        # Of a run that was killed, they may still be as that run had set them.
        self._is_changed = True
        if self._options.sets_local_infile and not self.is_local_infile_on():
            self._record(_LOCAL_INFILE)
            self._connection.execute("SET GLOBAL local_infile = 1")
        if self._options.disables_redo_log and self._is_redo_log_on():
            self._record(_REDO_LOG)
            self._connection.execute("ALTER INSTANCE DISABLE INNODB REDO_LOG")

    def put_back(self) -> None:
        """Put back what this run, or one that was killed, has changed."""
        if not self._is_changed:
            return
        # The records go last: after a kill in between, the next run does all of it again, which harms nothing.
        for (name,) in self._connection.query(f"SELECT name FROM {DATABASE}.settings"):
            self._connection.execute(_STATEMENTS[str(name)])
        self._connection.execute(f"DELETE FROM {DATABASE}.settings")
        self._connection.commit()
        self._is_changed = False

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
        rows = self._connection.query("SHOW GLOBAL STATUS LIKE 'Innodb_redo_log_enabled'")
        if not rows:
            raise DatabaseError("unknown status variable", code="1193")
        return str(rows[0][1]).upper() == "ON"

    def _record(self, name: str) -> None:
        # A run that was killed may have recorded it. Committed before the change is made.
        self._connection.execute(
            f"INSERT IGNORE INTO {DATABASE}.settings VALUES (%s, '')", [name]
        )
        self._connection.commit()
