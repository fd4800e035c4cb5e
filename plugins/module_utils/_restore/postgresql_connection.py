# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Connections to PostgreSQL by psycopg 3 or psycopg2, behind one small interface."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import threading
import traceback
import typing as t

from .._base.errors import MissingLibraryError
from .._base.text import hide, printable
from . import tuning
from .errors import DatabaseConnectionError, DatabaseError
from .postgresql_errors import Refusal, error_of
from .postgresql_tokens import quote

#: Settings that change what values mean, or that could end a long statement, or a connection that is idle while others load.
#: A server, a database or a role can have them in another way. Those that only newer servers know are set there.
_SETTINGS = {
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
    "row_security": "off",
    "exit_on_error": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": f"{tuning.LOCK_TIMEOUT}s",
    # Only what is named with its schema.
    "search_path": "pg_catalog",
}

Row = tuple[t.Any, ...]
#: Completes "Failed to …", also by what the server said.
Operation = t.Union[str, t.Callable[[Refusal], str]]


@dataclasses.dataclass(frozen=True)
class PostgreSQLLogin:
    """How to log in, by the names that community.postgresql has for it. Empty values are left to libpq.

    ``connect_params``: further parameters of libpq, which have precedence.
    """

    login_user: str = ""
    login_password: str = dataclasses.field(default="", repr=False)
    login_host: str = ""
    login_port: int = 5432
    login_unix_socket: str = ""
    login_db: str = "postgres"
    ssl_mode: str = "prefer"
    ca_cert: str = ""
    ssl_cert: str = ""
    ssl_key: str = ""
    connect_params: t.Mapping[str, t.Any] = dataclasses.field(
        default_factory=dict, repr=False
    )
    session_role: str = ""
    connect_timeout: int = 30

    def __post_init__(self) -> None:
        hide(self.login_password, *_passwords(self.connect_params))

    @property
    def server(self) -> str:
        """The server, for messages."""
        host = self.login_unix_socket if self._is_local else self.login_host
        return printable(
            f"PostgreSQL at {host or 'its default socket'}, port {self.login_port}"
        )

    @property
    def is_on_this_host(self) -> bool:
        return self._is_local or self.login_host in (
            "",
            "localhost",
            "127.0.0.1",
            "::1",
        )

    @property
    def _is_local(self) -> bool:
        return bool(self.login_unix_socket)

    def parameters(self, database: str) -> dict[str, t.Any]:
        """Return the parameters of libpq."""
        known = {
            "user": self.login_user,
            "password": self.login_password,
            "host": self.login_unix_socket
            if self._is_local
            else self.login_host,
            "port": self.login_port,
            "sslmode": self.ssl_mode,
            "sslrootcert": self.ca_cert,
            "sslcert": self.ssl_cert,
            "sslkey": self.ssl_key,
            "application_name": "apsaradb.backup",
            "connect_timeout": self.connect_timeout,
        }
        given = {name: value for name, value in known.items() if value}
        # Never another database than the one that is meant.
        return {
            **given,
            **self.connect_params,
            "dbname": database,
            "client_encoding": "UTF8",
        }


def _passwords(parameters: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    for name, value in parameters.items():
        if "pass" in name.lower() and name.lower() != "passfile":
            yield str(value)


class Connection:
    """A connection to one database, with a transaction only where it is begun. Raises BackupError.

    All methods but ``cancel`` are for one thread.
    """

    def __init__(
        self, login: PostgreSQLLogin, database: str, show_data: bool = False
    ) -> None:
        self.database = database
        self._login = login
        self._show_data = show_data
        self._driver = _load_driver()
        self._is_canceled = False
        #: Guards the end of the connection, against a thread that cancels at that time.
        self._lock = threading.Lock()
        operation = f"connect to database {printable(database)}"
        with self._translated(operation):
            try:
                self._connection = self._driver.connect(
                    login.parameters(database)
                )
            except UnicodeError:
                # psycopg 3 resolves names itself, by Python.
                raise DatabaseConnectionError(
                    f"the connection to {login.server} failed: no host can have this name",
                    hint="Check login_host",
                    operation=operation,
                ) from None
        try:
            self._prepare(login)
        except BaseException:
            self.close()
            raise

    def _prepare(self, login: PostgreSQLLogin) -> None:
        pairs = ", ".join(["(%s::text, %s::text)"] * len(_SETTINGS))
        self.execute(
            f"SELECT pg_catalog.set_config(name, value, false) FROM (VALUES {pairs}) AS settings (name, value) "
            "WHERE pg_catalog.current_setting(name, true) IS NOT NULL",
            *(text for pair in _SETTINGS.items() for text in pair),
        )
        if login.session_role:
            operation = f"take on session_role {printable(login.session_role)}"
            try:
                self.execute(
                    f"SET ROLE {quote(login.session_role)}", operation=operation
                )
            except DatabaseError as error:
                error.hint = (
                    "Set session_role to a role that the user is a member of"
                )
                raise

    @property
    def version(self) -> int:
        """The version of the server, such as 150014."""
        return self._driver.version(self._connection)

    def raise_setting(self, name: str, value: str) -> None:
        """Set one that is a size in memory, but never lower than the server has it."""
        size = (
            "SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = %s"
        )
        before, shown = self.execute(
            size.replace("bigint", "bigint, current_setting(name)"), name
        )[0]
        self.execute(
            "SELECT set_config(%s, %s, false)",
            name,
            value,
            operation=f"set {name} to {printable(value)}",
        )
        if self.execute(size, name)[0][0] < before:
            self.execute("SELECT set_config(%s, %s, false)", name, shown)

    def execute(
        self,
        sql: str,
        *values: t.Any,
        operation: Operation = "",
        has_data: bool = False,
    ) -> list[Row]:
        """Execute a statement, with values for each ``%s``. Returns its rows."""
        with (
            self._translated(operation, has_data),
            self._connection.cursor() as cursor,
        ):
            cursor.execute(sql, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    def change(
        self,
        sql: t.Union[str, bytes],
        *values: t.Any,
        operation: Operation = "",
        has_data: bool = False,
    ) -> int:
        """Execute a statement. Returns the number of rows that it changed."""
        with (
            self._translated(operation, has_data),
            self._connection.cursor() as cursor,
        ):
            cursor.execute(sql, values or None)
            return int(cursor.rowcount)

    def copy(self, sql: str, data: bytes, operation: Operation = "") -> int:
        """Execute COPY FROM STDIN. Returns the number of rows."""
        with (
            self._translated(operation, True),
            self._connection.cursor() as cursor,
        ):
            self._driver.copy(cursor, sql, data)
            return int(cursor.rowcount)

    @contextlib.contextmanager
    def transaction(self) -> t.Iterator[None]:
        """Commit what is done within, or nothing of it."""
        # The connection commits each statement by itself otherwise.
        self.execute("BEGIN")
        try:
            yield
        except BaseException:
            # The error is what matters. If this one fails, too, the connection is gone, and so is the transaction.
            with contextlib.suppress(Exception):
                self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    def cancel(self) -> None:
        """Cancel what is executed, and refuse more. For any thread."""
        with self._lock, contextlib.suppress(Exception):
            self._is_canceled = True
            self._connection.cancel()

    def close(self) -> None:
        with self._lock, contextlib.suppress(Exception):
            self._connection.close()

    @contextlib.contextmanager
    def _translated(
        self, operation: Operation = "", has_data: bool = False
    ) -> t.Iterator[None]:
        if self._is_canceled:
            raise DatabaseConnectionError(
                "the connection was ended by this run"
            )
        try:
            yield
        except self._driver.errors as error:
            raise self._error_of(error, operation, has_data) from None

    def _error_of(
        self, error: t.Any, operation: Operation, has_data: bool
    ) -> Exception:
        refusal = self._driver.refusal(error)
        return error_of(
            refusal,
            self._login.server,
            operation=operation
            if isinstance(operation, str)
            else operation(refusal),
            show_data=self._show_data,
            has_data=has_data,
        )


class _Driver:
    """What both drivers do in different ways."""

    def __init__(self, module: t.Any) -> None:
        self.module = module
        self.errors: tuple[type[Exception], ...] = (
            module.Error,
            module.Warning,
        )

    def refusal(self, error: t.Any) -> Refusal:
        diagnosis = getattr(error, "diag", None)
        message = getattr(diagnosis, "message_primary", None) or str(error)
        code = (
            getattr(error, "sqlstate", None)
            or getattr(error, "pgcode", None)
            or ""
        )
        # Before the login, the server's code is in no field.
        return Refusal(
            code,
            message,
            getattr(diagnosis, "message_detail", None) or "",
            getattr(diagnosis, "context", None) or "",
        )


class _Psycopg3(_Driver):
    def connect(self, parameters: t.Mapping[str, t.Any]) -> t.Any:
        # Statements are too different to be worth preparing, and poolers cannot have them.
        return self.module.connect(
            **parameters, autocommit=True, prepare_threshold=None
        )

    def version(self, connection: t.Any) -> int:
        return int(connection.info.server_version)

    def copy(self, cursor: t.Any, sql: str, data: bytes) -> None:
        with cursor.copy(sql) as copy:
            copy.write(data)


class _Psycopg2(_Driver):
    def connect(self, parameters: t.Mapping[str, t.Any]) -> t.Any:
        connection = self.module.connect(**parameters)
        connection.autocommit = True
        return connection

    def version(self, connection: t.Any) -> int:
        return int(connection.server_version)

    def copy(self, cursor: t.Any, sql: str, data: bytes) -> None:
        cursor.copy_expert(sql, io.BytesIO(data), size=tuning.COPY_CHUNK)


#: The drivers in the order in which they are tried.
_DRIVERS: dict[str, t.Union[type[_Psycopg3], type[_Psycopg2]]] = {
    "psycopg": _Psycopg3,
    "psycopg2": _Psycopg2,
}


def _load_driver() -> t.Union[_Psycopg3, _Psycopg2]:
    trace = ""
    for name, driver in _DRIVERS.items():
        try:
            return driver(importlib.import_module(name))
        except ImportError:
            trace = traceback.format_exc()
    raise MissingLibraryError(
        "psycopg or psycopg2", "to restore PostgreSQL", trace
    )
