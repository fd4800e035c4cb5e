# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections to PostgreSQL: what is sent to libpq, and what messages of the server become."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import (
    ConfigurationError,
    MissingLibraryError,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._restore import postgresql_connection, postgresql_server
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.errors import (
    DatabaseConnectionError,
    DatabaseError,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_connection import (
    Connection,
    PostgreSQLLogin,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_creation import PostgreSQLOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_errors import (
    Refusal,
    error_of,
    without_values,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.postgresql_server import PostgreSQLServer
from databases import PostgreSQL
from restores import DRIVERS, login


@pytest.fixture(params=DRIVERS)
def _driver(request: pytest.FixtureRequest) -> Any:
    drivers = {request.param: postgresql_connection._DRIVERS[request.param]}
    with patch.object(postgresql_connection, "_DRIVERS", drivers):
        yield


def test_parameters_of_libpq() -> None:
    made = PostgreSQLLogin(
        login_user="me",
        login_password="secret word",
        login_host="localhost",
        login_unix_socket="/run/postgresql",
        ssl_mode="verify-full",
        ca_cert="ca",
        ssl_cert="cert",
        ssl_key="key",
        connect_params={"keepalives": 0, "port": 5433, "dbname": "other"},
    )
    assert made.parameters("shop") == {
        "user": "me",
        "password": "secret word",
        "host": "/run/postgresql",
        "port": 5433,
        "sslmode": "verify-full",
        "sslrootcert": "ca",
        "sslcert": "cert",
        "sslkey": "key",
        "application_name": "apsaradb.backup",
        "connect_timeout": 30,
        "keepalives": 0,
        "dbname": "shop",
        "client_encoding": "UTF8",
    }
    assert "secret" not in repr(made)
    assert PostgreSQLLogin(login_host="db", login_unix_socket="/run").parameters("x")["host"] == "/run"
    assert "host" not in PostgreSQLLogin().parameters("x")


def test_no_driver() -> None:
    drivers = {"no_such_driver": postgresql_connection._Psycopg3}
    with patch.object(postgresql_connection, "_DRIVERS", drivers), pytest.raises(MissingLibraryError) as raised:
        Connection(PostgreSQLLogin(), "postgres")
    assert raised.value.library == "psycopg or psycopg2"
    assert "no_such_driver" in raised.value.trace


@pytest.mark.usefixtures("_driver")
def test_a_connection(postgresql: PostgreSQL) -> None:
    connection = Connection(login(postgresql), "postgres")
    assert connection.version >= 130000
    assert connection.execute("SELECT '%', 1, NULL") == [("%", 1, None)]
    assert connection.execute("SELECT %s::text || '%%', %s::integer", "'漢\\", 2) == [("'漢\\%", 2)]
    settings = "SELECT current_setting('client_encoding'), current_setting('TimeZone'), current_setting('search_path')"
    assert connection.execute(settings) == [("UTF8", "UTC", "pg_catalog")]
    connection.execute("CREATE TEMPORARY TABLE t (a text)")
    with connection.transaction():
        assert connection.copy("COPY pg_temp.t FROM STDIN", b"a\nb\n") == 2

    def fail() -> None:
        with connection.transaction():
            connection.copy("COPY pg_temp.t FROM STDIN", b"c\n")
            connection.execute("SELECT 1 / 0")

    with pytest.raises(DatabaseError):
        fail()
    assert connection.change("UPDATE pg_temp.t SET a = a") == 2
    connection.close()
    with pytest.raises(DatabaseConnectionError):
        connection.execute("SELECT 1")


@pytest.mark.usefixtures("_driver")
def test_memory_is_only_raised(postgresql: PostgreSQL) -> None:
    connection = Connection(login(postgresql), "postgres")
    size = "SELECT current_setting('maintenance_work_mem')"
    connection.raise_setting("maintenance_work_mem", "1GB")
    connection.raise_setting("maintenance_work_mem", "1MB")
    assert connection.execute(size) == [("1GB",)]
    with pytest.raises(DatabaseError) as raised:
        connection.raise_setting("maintenance_work_mem", "x")
    assert "set maintenance_work_mem to x" in str(raised.value)
    connection.close()


def test_an_old_server(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_server, "_MIN_VERSION", 990000)
    server = PostgreSQLServer(login(postgresql), PostgreSQLOptions())
    with pytest.raises(ConfigurationError) as raised:
        server.open()
    assert "version 99 or newer is needed" in str(raised.value)
    server.close()


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ('invalid input syntax for type integer: "s3cret"', "invalid input syntax for type integer: …"),
        ('invalid input syntax for type date: "a" b: "s3cret', "invalid input syntax for type date: …"),
        ('value "s3cret" is out of range for type smallint', "value … is out of range for type smallint"),
        ('invalid input value for enum mood: "s3cret"', "invalid input value for enum mood: …"),
        ('date/time field value out of range: "s3\n"" cret"', "date/time field value out of range: …"),
        ('invalid byte sequence for encoding "UTF8": 0xff 0x00', 'invalid byte sequence for encoding "UTF8": …'),
        (
            'null value in column "a" of relation "t" violates not-null constraint',
            'null value in column "a" of relation "t" violates not-null constraint',
        ),
        (
            'duplicate key value violates unique constraint "t ""x"" pkey"',
            'duplicate key value violates unique constraint "t ""x"" pkey"',
        ),
        ("extra data after last expected column", "extra data after last expected column"),
        ('missing data for column "a"', 'missing data for column "a"'),
        ('syntax error at or near "s3cret"', "syntax error at or near …"),
        ('无效的类型 integer 输入语法: "s3cret"', "无效的类型 integer 输入语法: …"),
        ("Wert »s3«cret« ist außerhalb des gültigen Bereichs", "Wert … ist außerhalb des gültigen Bereichs"),
        ("valeur « s3cret » en dehors des limites", "valeur … en dehors des limites"),
        ("ungültige Eingabesyntax für Typ integer: »s3cret«", "ungültige Eingabesyntax für Typ integer: …"),
    ],
)
def test_values_are_cut_from_messages(message: str, shown: str) -> None:
    assert without_values(message) == shown


@pytest.mark.parametrize(
    ("code", "kind", "is_transient"),
    [
        ("", DatabaseConnectionError, None),
        ("57P01", DatabaseConnectionError, None),
        ("08006", DatabaseConnectionError, None),
        ("28P01", DatabaseConnectionError, None),
        ("53300", DatabaseConnectionError, None),
        ("40P01", DatabaseError, True),
        ("40001", DatabaseError, True),
        ("55P03", DatabaseError, True),
        ("57014", DatabaseError, False),
        ("53100", DatabaseError, False),
        ("23505", DatabaseError, False),
    ],
)
def test_what_a_code_means(code: str, kind: type[Exception], is_transient: bool | None) -> None:
    refusal = Refusal(code, "words", "Key (a)=(s3cret) already exists.", "COPY t, line 1: s3cret")
    error = error_of(refusal, "PostgreSQL at x", operation="do it", has_data=True)
    assert error.__class__ is kind
    assert getattr(error, "is_transient", None) == is_transient
    assert "s3cret" not in str(error)
    assert str(error).startswith("Failed to do it: ")


@pytest.mark.parametrize(
    ("context", "place"),
    [
        ("", (None, "")),
        ("COPY t, line 3", (3, "")),
        ('COPY t, line 12, column id: "x, line 5, column y"', (12, "id")),
        ("COPY t, line 3, column a: null input", (3, "a")),
        ('COPY t, line 3: "1,2"', (3, "")),
    ],
)
def test_the_place_of_an_error(context: str, place: tuple[int | None, str]) -> None:
    assert Refusal("22P02", "", "", context).place == place
