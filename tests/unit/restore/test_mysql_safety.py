# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore into MySQL refuses before it changes anything, and what it never does."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError, ConfigurationError
from ansible_collections.apsaradb.backup.plugins.module_utils._modules import dbs_restore_mysql
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.errors import (
    DatabaseConnectionError,
    InvalidBackupError,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.model import Null
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_connection import Connection
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_driver import Login
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_options import MySQLOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_server import MySQLServer
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_session import MySQLSession
from databases import MariaDB, MySQL
from exports import mysql_tables
from restores import MySQLTarget, archive, restore

TABLE = "CREATE TABLE `t` (`id` int NOT NULL, `a` varchar(20) DEFAULT NULL, PRIMARY KEY (`id`), KEY `a` (`a`))"


def backup(directory: Path, structure: str = TABLE, data: bytes = b"1,a\n2,b\n", file: str = "0.csv") -> Path:
    """A backup of the one table shop.t."""
    table = directory / "backup" / "shop" / "t"
    (table / "data").mkdir(parents=True)
    (table.parent / "structure.sql").write_text("CREATE DATABASE `shop`;")
    (table / "structure.sql").write_text(f"{structure};")
    (table / "data" / file).write_bytes(data)
    return directory / "backup"


class UserTarget(MySQLTarget):
    """A server that a user with some privileges restores into."""

    def connected(self) -> MySQLServer:
        login = Login("app", "secret", unix_socket=self.server.socket)
        return MySQLServer(MySQLOptions(login, **self.options))


@pytest.fixture
def user(mysql_server: Any) -> Iterator[UserTarget]:
    target = UserTarget(mysql_server)
    target.query("CREATE USER app@localhost IDENTIFIED BY 'secret'")
    yield target
    target.query("DROP USER app@localhost")


NEEDED = {
    "apsaradb\\_restore": ["SELECT", "INSERT", "CREATE", "UPDATE", "DELETE", "CREATE TEMPORARY TABLES"],
    "shop": ["SELECT", "INSERT", "CREATE", "ALTER", "INDEX"],
}


def grant(target: MySQLTarget, left_out: tuple[str, str] = ("", "")) -> None:
    for database, privileges in NEEDED.items():
        given = [one for one in privileges if (database, one) != left_out]
        target.query(f"GRANT {', '.join(given)} ON `{database}`.* TO app@localhost")


def databases(target: MySQLTarget) -> set[str]:
    return {name for (name,) in target.query("SHOW DATABASES")} & {"shop", "apsaradb_restore"}


def test_a_user_with_the_privileges_that_are_checked_can_restore(user: UserTarget, tmp_path: Path) -> None:
    grant(user)
    assert restore(user, backup(tmp_path), defers_keys=True).changed
    assert user.query("SELECT * FROM shop.t") == [(1, "a"), (2, "b")]


@pytest.mark.parametrize(("database", "privilege"), [(name, one) for name in NEEDED for one in NEEDED[name]])
def test_a_privilege_that_lacks_is_named(user: UserTarget, tmp_path: Path, database: str, privilege: str) -> None:
    grant(user, (database, privilege))
    said = f"GRANT {privilege} ON `{database}`.* TO 'app'@'localhost'"
    with pytest.raises(ConfigurationError) as caught:
        restore(user, backup(tmp_path), defers_keys=True)
    assert said in str(caught.value)
    assert not databases(user)
    # What the message says cures it.
    user.query(said)
    assert restore(user, tmp_path / "backup", defers_keys=True).changed


@pytest.mark.parametrize(
    "statements",
    [
        ["GRANT ALL ON *.* TO app@localhost"],
        ["GRANT ALL ON `sh%`.* TO app@localhost", "GRANT ALL ON `apsaradb_restore`.* TO app@localhost"],
    ],
)
def test_grants_of_all_kinds_are_understood(user: UserTarget, tmp_path: Path, statements: list[str]) -> None:
    for statement in statements:
        user.query(statement)
    assert restore(user, backup(tmp_path), defers_keys=True).changed


def test_privileges_of_a_role_count(user: UserTarget, tmp_path: Path) -> None:
    user.query("CREATE ROLE loader")
    try:
        user.query("GRANT ALL ON *.* TO loader")
        user.query("GRANT loader TO app@localhost")
        is_mysql = user.server.name == "mysql"
        user.query(f"SET DEFAULT ROLE loader {'TO' if is_mysql else 'FOR'} app@localhost")
        assert restore(user, backup(tmp_path), defers_keys=True).changed
    finally:
        user.query("DROP ROLE loader")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"writes_binlog": False}, "1227"),
        ({"sets_local_infile": True}, "1227"),
        ({"time_zone": "Mars/Olympus"}, "1298"),
    ],
)
def test_settings_that_cannot_be_had_are_refused_before_a_change(
    user: UserTarget, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    grant(user)
    user.options = options
    with pytest.raises(BackupError, match=said):
        restore(user, backup(tmp_path))
    assert not databases(user)


def test_a_storage_engine_that_the_server_lacks_is_refused(mysql_server: Any, tmp_path: Path) -> None:
    target = MySQLTarget(mysql_server)
    with pytest.raises(InvalidBackupError, match=r"shop\.t has the storage engine xengine"):
        restore(target, backup(tmp_path, f"{TABLE} ENGINE=XENGINE"))
    assert not databases(target)


#: As backups of older and newer servers have them. Some are listed under another name, and are the same.
COLLATIONS = [
    "latin1_german1_ci",
    "utf8_bin",
    "utf8_general_ci",
    "utf8mb3_unicode_ci",
    "utf8mb4_bin",
    "utf8mb4_unicode_520_ci",
]
OWN_COLLATIONS = {
    MySQL: ["utf8mb4_0900_ai_ci", "utf8mb4_zh_0900_as_cs"],
    MariaDB: ["utf8_uca1400_ai_ci", "utf8mb4_uca1400_ai_ci", "utf8mb4_uca1400_turkish_nopad_as_cs"],
}


def test_collations_that_the_server_has_under_any_name_are_taken(mysql_server: Any, tmp_path: Path) -> None:
    target = MySQLTarget(mysql_server)
    names = [*COLLATIONS, *OWN_COLLATIONS[type(mysql_server)]]
    columns = [f"`{name}` char(1) CHARACTER SET {name.partition('_')[0]} COLLATE {name}" for name in names]
    structure = f"CREATE TABLE `t` (`id` int NOT NULL, {', '.join(columns)}, PRIMARY KEY (`id`))"
    source = backup(tmp_path, structure, b"1" + b",a" * len(names) + b"\n")
    assert restore(target, source).changed
    found = target.query("SELECT column_name, collation_name FROM information_schema.columns WHERE table_name = 't'")
    # Of utf8, there are two: servers say which.
    assert {name: str(has).replace("utf8mb3_", "utf8_") for name, has in found if name != "id"} == {
        name: name.replace("utf8mb3_", "utf8_") for name in names
    }
    foreign = next(names for kind, names in OWN_COLLATIONS.items() if not isinstance(mysql_server, kind))[-1]
    (tmp_path / "backup" / "shop" / "t" / "structure.sql").write_text(structure.replace(names[-1], foreign) + ";")
    with pytest.raises(InvalidBackupError, match=f"shop.t has the collation {foreign}, .* Set collation_map"):
        restore(target, source)


def test_sql_never_goes_into_the_table_that_is_replaced(mysql_server: Any, tmp_path: Path) -> None:
    target = MySQLTarget(mysql_server)
    target.query("CREATE DATABASE shop")
    target.query(TABLE.replace("`t`", "shop.t"))
    source = backup(tmp_path, data=b"INSERT INTO `shop`.`t` VALUES (1,'a');\n", file="0.sql")
    with pytest.raises(InvalidBackupError, match=r"shop\.t cannot be replaced, as its data files are SQL"):
        restore(target, source, on_existing="replace")
    assert target.query("SELECT COUNT(*) FROM shop.t") == [(0,)]


def test_a_text_that_looks_like_null_stays_a_text(mysql_server: Any, tmp_path: Path) -> None:
    target = MySQLTarget(mysql_server)
    source = backup(tmp_path, data=b"1,NULL\n2,\\N\n3,NULLS\n")
    assert restore(target, source, null=Null.BACKSLASH_N, has_escapes=True).changed
    assert target.query("SELECT a FROM shop.t ORDER BY id") == [("NULL",), (None,), ("NULLS",)]


# Servers that are not what they seem


class RogueServer:
    """A server that lets everybody in, and answers each statement by asking for a file."""

    def __init__(self, path: Path) -> None:
        self.received = b""
        self._path = str(path).encode()
        # Not an address that is taken for this host.
        self._listener = socket.create_server(("127.0.0.2", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _unused = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                try:
                    self._talk(connection, stream)
                except (OSError, struct.error):
                    continue

    def _talk(self, connection: socket.socket, stream: Any) -> None:
        capabilities = 0xFFFF & ~0x0800
        greeting = b"\x0a8.0.36\0" + struct.pack("<I", 1) + b"a" * 8 + b"\0" + struct.pack("<H", capabilities)
        greeting += b"\x2d" + struct.pack("<HH", 2, 0x000F) + b"\x15" + b"\0" * 10 + b"b" * 12 + b"\0"
        connection.sendall(_packet(0, greeting + b"mysql_native_password\0"))
        _read(stream)
        connection.sendall(_packet(2, b"\0\0\0\2\0\0\0"))
        while True:
            statement = _read(stream)
            if statement[:4].lower() == b"\x03set":
                # What drivers do at the start of a connection.
                connection.sendall(_packet(1, b"\0\0\0\2\0\0\0"))
                continue
            connection.sendall(_packet(1, b"\xfb" + self._path))
            while True:
                content = _read(stream)
                if not content:
                    break
                self.received += content


def _packet(number: int, content: bytes) -> bytes:
    return struct.pack("<I", len(content))[:3] + bytes([number]) + content


def _read(stream: Any) -> bytes:
    header = stream.read(4)
    (length,) = struct.unpack("<I", header[:3] + b"\0")
    return bytes(stream.read(length))


@pytest.fixture
def rogue(tmp_path: Path) -> Iterator[RogueServer]:
    secret = tmp_path / "secret"
    secret.write_bytes(b"PRIVATE KEY")
    server = RogueServer(secret)
    yield server
    server.close()


def test_the_rogue_server_gets_files_from_a_client_that_allows_it(rogue: RogueServer) -> None:
    with pytest.raises(pymysql.err.Error):
        pymysql.connect(
            host="127.0.0.2", port=rogue.port, user="x", password="", local_infile=True, read_timeout=1
        ).query("SELECT 1")
    assert rogue.received == b"PRIVATE KEY"


def test_a_rogue_server_gets_no_file(rogue: RogueServer) -> None:
    options = MySQLOptions(Login("x", "", "127.0.0.2", rogue.port))
    with pytest.raises(DatabaseConnectionError, match="asks for a file of this host, and does not get it"):
        MySQLServer(options).open()
    with pytest.raises(DatabaseConnectionError, match="asks for a file of this host, and does not get it"):
        MySQLSession(options)._connection.query("SELECT 1")
    # Clients say that they end a connection by one such byte.
    assert set(rogue.received) <= {1}


def test_a_package_that_the_driver_lacks_is_named(own_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = own_server(MySQL, port=True, tls_version="")
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER app@'%' IDENTIFIED BY 'secret'")
    # As where it is not installed.
    monkeypatch.setattr(pymysql._auth, "_have_cryptography", False)
    with pytest.raises(DatabaseConnectionError, match="cryptography") as caught:
        MySQLServer(MySQLOptions(Login("app", "secret", server.host, server.port))).open()
    assert "secret" not in str(caught.value)


def test_every_table_of_an_export_is_restored_by_a_user_with_few_privileges(user: UserTarget, tmp_path: Path) -> None:
    grant(user)
    user.options = {"time_zone": "+00:00"}
    export = mysql_tables.export()
    assert restore(user, archive(export, tmp_path), defers_keys=True).changed
    user.check(export)


def test_the_host_of_the_option_file_is_asked(own_server: Any, tmp_path: Path) -> None:
    server = own_server(MariaDB, port=True)
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER app@'%' IDENTIFIED BY 'secret'")
    file = tmp_path / "my.cnf"
    file.write_text(f"[client]\nuser=app\npassword=secret\nhost={server.host}\nport={server.port}\n")
    spec = dbs_restore_mysql.ARGUMENT_SPEC
    options = {**{name: one.get("default") for name, one in spec.items()}, "config_file": str(file)}
    login = dbs_restore_mysql._login(options)
    one = MySQLServer(MySQLOptions(login))
    assert one.open().startswith("MariaDB")
    one.close()
    # Who it is nobody knows: it could ask for files.
    assert not login.is_trusted


def test_what_gets_the_default_collation_of_the_server_is_named(mysql_server: Any, tmp_path: Path) -> None:
    target = MySQLTarget(mysql_server)
    source = backup(tmp_path, f"{TABLE} DEFAULT CHARSET=utf8mb4")
    outcome = restore(target, source)
    query = "SELECT table_collation FROM information_schema.tables WHERE table_schema = 'shop'"
    ((collation,),) = target.query(query)
    (said,) = outcome.advice
    assert f"without a collation for shop.t: the server takes its default, {collation}. If the instance" in said
    (source / "shop" / "structure.sql").write_text("CREATE DATABASE `shop` CHARACTER SET utf8mb4;")
    (source / "shop" / "t" / "structure.sql").write_text(f"{TABLE} DEFAULT CHARSET=utf8mb4 COLLATE={collation};")
    (said,) = restore(target, source, rename={"shop": "other"}).advice
    assert "for the database other: " in said
    (source / "shop" / "structure.sql").write_text(f"CREATE DATABASE `shop` CHARACTER SET utf8mb4 COLLATE {collation};")
    assert restore(target, source, rename={"shop": "third"}).advice == []


@pytest.mark.parametrize("password", ["pässword", "密码", "🔑"])
def test_a_password_has_any_characters(mysql_server: Any, password: str) -> None:
    target = MySQLTarget(mysql_server)
    target.query("CREATE USER app@localhost IDENTIFIED BY %s", password)
    try:
        login = Login("app", password, unix_socket=mysql_server.socket)
        with closing(Connection(login, shows_data=False)) as connection:
            assert connection.value("SELECT CURRENT_USER()") == "app@localhost"
    finally:
        target.query("DROP USER app@localhost")
