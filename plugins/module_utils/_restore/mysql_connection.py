# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Connections to MySQL and MariaDB, by PyMySQL or mysqlclient, and what their errors mean."""

from __future__ import annotations

import configparser
import contextlib
import re
import typing as t

from .._base.errors import BackupError, ConfigurationError
from .._base.text import hide
from .errors import DatabaseConnectionError, DatabaseError
from .mysql_driver import Login, connect, load_driver

#: Errors of the client and of the server that end a connection.
_LOST = {
    0,  # PyMySQL: the connection was closed before
    *(1053, 1077, 1079),  # the server shuts down
    *(1152, 1158, 1159, 1160, 1161),  # reading or writing failed
    1927,  # MariaDB: somebody killed the connection
    4031,  # MySQL 8.0.24 and newer: nobody said anything for too long
    *range(2000, 2100),  # the client's own errors
}
#: What the messages of libraries for TLS have.
_TLS = re.compile(r"\b(?:SSL|TLS|X509|PEM)\b|certificate")
#: Another transaction was in the way: a lock that was not given in time, which undoes the statement alone, and a
#: deadlock, which undoes all. The session undoes all in any case.
_TRANSIENT = {1205, 1213}
#: A privilege is missing: of a database, of the login, of a table, of columns, of the server, of a routine, to make a user,
#: to make a routine while the binary log is written, and of a login without a password.
_DENIED = {1044, 1045, 1142, 1143, 1227, 1370, 1410, 1419, 1698}
#: Where a message quotes values of rows, and what stays of it.
_DATA = (
    (re.compile(r"(Duplicate entry) '.*'( for key)", re.DOTALL), r"\1 …\2"),
    (
        re.compile(
            r"((?:Incorrect|Truncated incorrect) [^:]{1,40} value:?) '.*'",
            re.DOTALL,
        ),
        r"\1 …",
    ),
    (re.compile(r"(near) '.*'", re.DOTALL), r"\1 …"),
    (re.compile(r"(no partition for value) .*", re.DOTALL), r"\1 …"),
    (re.compile(r"(Cannot convert string) '.*'( from )", re.DOTALL), r"\1 …\2"),
    (
        re.compile(r"(Illegal [^']{1,40}) '.*'( value found)", re.DOTALL),
        r"\1 …\2",
    ),
    (re.compile(r"(out of range in) '.*'", re.DOTALL), r"\1 …"),
    (
        re.compile(
            r"(Invalid (?:JSON|utf8mb4|utf8mb3|utf8|character)[^:]{0,60}: )'.*'",
            re.DOTALL,
        ),
        r"\1…",
    ),
)
#: All that ``mysql_privileges`` checks. What it cannot see, the server refuses later.
PRIVILEGES_HINT = (
    "The user needs SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, TRIGGER and CREATE TEMPORARY TABLES on "
    "the databases of the restore and on apsaradb_restore: GRANT them"
)
_HINTS = {
    1045: "Check login_user and login_password, and client_cert if the user needs a certificate",
    3159: "Set ca_cert, and the connection uses TLS",
    1227: "Grant the user the privilege, or leave binlog, local_infile and redo_log at their defaults",
    1298: "Set time_zone to an offset such as +08:00, or load the names of time zones into the server",
    1698: "Run it as the system's user of that name, for example with become",
    1040: "Set parallel to less, or max_connections of the server to more",
    1203: "Set parallel to less, or max_user_connections of the server to more",
    1226: "Set parallel to less, or give the user more connections",
    1205: "Another session holds a lock on it: see SHOW PROCESSLIST of the server",
    1062: "The backup has two rows with this key: check the collation of the table, and that the backup is not damaged",
    1114: "Free some space on the server, and run it again",
    1021: "Free some space on the server, and run it again",
    1118: "The row format of the server does not take so large rows: set innodb_strict_mode or the row format of the table",
    1153: "Set max_allowed_packet of the server to a larger value",
    1290: "The server is read-only: restore on the primary",
    1836: "The server is read-only: restore on the primary",
    1906: "The data files have values of generated columns: create the download task with the format csv",
    3105: "The data files have values of generated columns: create the download task with the format csv",
    1148: "Set local_infile of the server to ON, or the option local_infile to set",
    3948: "Set local_infile of the server to ON, or the option local_infile to set",
    4166: "Set local_infile of the server to ON, or the option local_infile to set",
}

#: Values for the places of a statement.
Values = t.Optional[t.Sequence[t.Any]]


class Connection:
    """A connection. Statements raise DatabaseError or DatabaseConnectionError.

    ``shows_data``: whether messages may have values of rows.
    """

    def __init__(
        self, login: Login, *, shows_data: bool, local_infile: bool = False
    ) -> None:
        hide(login.password)
        self._driver = load_driver()
        self._shows_data = shows_data
        self._name = login.printable
        with self.translated("connect to the database server"):
            try:
                self._connection = connect(
                    self._driver, login, local_infile=local_infile
                )
            except (configparser.Error, UnicodeDecodeError):
                # Their messages quote the file, which can hold a password.
                raise ConfigurationError(
                    f"config_file {login.config_file!r} is not an option file of MySQL: give one with a section [client]."
                ) from None
            except UnicodeError as error:
                # Of the password only if it is in the file: the driver encodes that one itself.
                if getattr(error, "encoding", "") == "latin-1":
                    raise ConfigurationError(
                        f"config_file {login.config_file!r} has a user or password that PyMySQL cannot send: set login_user and login_password."
                    ) from None
                raise self._lost(
                    "no host can have this name",
                    "connect to the database server",
                ) from None

    def execute(
        self, statement: t.Union[str, bytes], values: Values = None
    ) -> int:
        """Run a statement. Returns the number of rows that it changed."""
        with (
            self.translated(),
            contextlib.closing(self._connection.cursor()) as cursor,
        ):
            cursor.execute(statement, values)
            return t.cast(int, cursor.rowcount)

    def query(
        self, statement: str, values: Values = None
    ) -> list[tuple[t.Any, ...]]:
        with (
            self.translated(),
            contextlib.closing(self._connection.cursor()) as cursor,
        ):
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def value(self, statement: str, values: Values = None) -> t.Any:
        rows = self.query(statement, values)
        return rows[0][0] if rows else None

    def commit(self) -> None:
        with self.translated():
            self._connection.commit()

    def rollback(self) -> None:
        """Undo the transaction. The server does that itself where the connection is lost."""
        with contextlib.suppress(Exception):
            self._connection.rollback()

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._connection.close()

    @property
    def number(self) -> int:
        return t.cast(int, self._connection.thread_id())

    def shown(self, message: str) -> str:
        """Return a message of the server without values of rows."""
        if not self._shows_data:
            for pattern, rest in _DATA:
                message = pattern.sub(rest, message)
        return message

    @contextlib.contextmanager
    def translated(self, operation: str = "") -> t.Iterator[None]:
        """Raise errors of the driver as those of the restore."""
        try:
            yield
        except BackupError:
            raise
        except self._driver.Error as error:
            raise self._error(error, operation) from None
        except OSError as error:
            raise self._lost(str(error.strerror or error), operation) from None
        except RuntimeError as error:
            # PyMySQL has no error of its own for a package that it lacks, and for a server that asks for a file.
            raise self._refused(str(error), operation) from None

    def _error(self, error: Exception, operation: str) -> BackupError:
        code, message = 0, str(error)
        if len(error.args) > 1 and isinstance(error.args[0], int):
            code, message = error.args[0], str(error.args[1])
        if code in _LOST:
            return self._lost(message, operation)
        hint = _HINTS.get(code, "")
        if code in _DENIED and not hint:
            hint = PRIVILEGES_HINT
        return DatabaseError(
            self.shown(message),
            code=str(code),
            hint=hint,
            operation=operation,
            is_transient=code in _TRANSIENT,
        )

    def _refused(self, message: str, operation: str) -> BackupError:
        if "LOAD_LOCAL" in message:
            # What the server sends next would be taken for the answer to another statement.
            self.close()
            return DatabaseConnectionError(
                f"the server at {self._name} asks for a file of this host, and does not get it",
                hint="Check that it is the server that you mean: no statement of the restore does that over this connection",
                operation=operation,
            )
        return DatabaseConnectionError(
            f"the driver cannot connect to the server at {self._name}: {message}",
            hint="Install the package, connect by login_unix_socket, or set ca_cert",
            operation=operation,
        )

    def _lost(self, message: str, operation: str) -> DatabaseConnectionError:
        return DatabaseConnectionError(
            f"no connection to the database server at {self._name}: {message or 'it was lost'}",
            hint="Check ca_cert, client_cert, client_key and check_hostname"
            if _TLS.search(message)
            else "Check that it runs, and login_host, login_port and login_unix_socket",
            operation=operation,
        )
