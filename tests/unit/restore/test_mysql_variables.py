# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores into MySQL and MariaDB whose variables are as hostile as they can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError, ConfigurationError
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.errors import (
    DatabaseError,
    InvalidBackupError,
    RestoreConflictError,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_driver import Login
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_options import MySQLOptions
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_server import MySQLServer
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_variables import raise_variable
from databases import MariaDB, MySQL
from exports import mysql_tables
from restores import MySQLTarget, archive, restoration, restore

#: All at once. What a server does not know is left out.
HOSTILE: dict[str, Any] = {
    "autocommit": 0,
    "character_set_server": "latin1",
    "collation_server": "latin1_german1_ci",
    "completion_type": 2,
    "default_storage_engine": "MyISAM",
    "explicit_defaults_for_timestamp": 0,
    "foreign_key_checks": 1,
    "idle_transaction_timeout": 1,
    "idle_readonly_transaction_timeout": 1,
    "idle_write_transaction_timeout": 1,
    "init_connect": "SET autocommit = 0, sql_mode = 'ANSI_QUOTES'",
    "innodb_strict_mode": 0,
    "interactive_timeout": 1,
    "lock_wait_timeout": 1,
    "max_allowed_packet": 64 << 10,
    "max_error_count": 0,
    "max_execution_time": 1000,
    "max_statement_time": 1,
    "net_buffer_length": 1024,
    "net_read_timeout": 1,
    "net_write_timeout": 1,
    "sql_big_selects": 0,
    "max_join_size": 1,
    "sql_generate_invisible_primary_key": 1,
    "sql_mode": "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,IGNORE_SPACE,PAD_CHAR_TO_FULL_LENGTH",
    "sql_safe_updates": 1,
    "sql_select_limit": 1,
    "time_zone": "+05:30",
    "transaction_isolation": "SERIALIZABLE",
    "tx_isolation": "SERIALIZABLE",
    "unique_checks": 0,
    "wait_timeout": 1,
}
#: What a connection of the restore has in their place.
LIMITS = ("wait_timeout", "max_execution_time", "max_statement_time", "idle_transaction_timeout", "sql_select_limit")
TABLE = "CREATE TABLE `t` (`id` int NOT NULL, `a` varchar(5) DEFAULT NULL{})"


def backup(directory: Path, data: bytes = b"1,a\n2,b\n", key: str = ", PRIMARY KEY (`id`)", name: str = "t") -> Path:
    """A backup of the one table shop.t."""
    table = directory / "backup" / "shop" / name
    (table / "data").mkdir(parents=True)
    (table.parent / "structure.sql").write_text("CREATE DATABASE `shop`;")
    (table / "structure.sql").write_text(TABLE.replace("`t`", f"`{name}`").format(key) + ";")
    (table / "data" / "0.csv").write_bytes(data)
    return directory / "backup"


class AppTarget(MySQLTarget):
    """A server that a user without administration rights restores into: init_connect is only for such."""

    def connected(self) -> MySQLServer:
        return MySQLServer(MySQLOptions(Login("app", "secret", unix_socket=self.server.socket), **self.options))


@pytest.fixture
def app(mysql_server: Any) -> Iterator[AppTarget]:
    target = AppTarget(mysql_server)
    target.query("CREATE USER app@localhost IDENTIFIED BY 'secret'")
    rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, CREATE TEMPORARY TABLES"
    target.query(f"GRANT {rights} ON *.* TO app@localhost")
    yield target
    target.query("DROP USER app@localhost")


@contextmanager
def changed(target: MySQLTarget, variables: Mapping[str, Any]) -> Iterator[None]:
    """Those of the global variables that the server knows, for the time of the block."""
    known = {str(name) for name, _unused in target.query("SHOW GLOBAL VARIABLES")} & set(variables)
    before = {name: target.query(f"SELECT @@GLOBAL.{name}")[0][0] for name in sorted(known)}
    with target.server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        # With the longest of them, this connection lasts as long as the block.
        cursor.execute("SET SESSION wait_timeout = 31536000, SESSION net_read_timeout = 3600")
        try:
            for name in sorted(known):
                cursor.execute(f"SET GLOBAL {name} = %s", [variables[name]])
            yield
        finally:
            for name, value in before.items():
                cursor.execute(f"SET GLOBAL {name} = %s", [value])


def test_no_setting_of_the_server_changes_a_restore(app: AppTarget, tmp_path: Path) -> None:
    app.options = {"time_zone": "+00:00"}
    export = mysql_tables.export()
    source = archive(export, tmp_path)
    limits: dict[str, dict[str, str]] = {}

    def look(progress: Any) -> None:
        if progress.phase not in limits and one._server._opened:
            names = ", ".join(f"'{name}'" for name in LIMITS)
            rows = one._server._connection.query(f"SHOW SESSION VARIABLES WHERE variable_name IN ({names})")
            limits[progress.phase] = dict(rows)

    with changed(app, HOSTILE):
        with restoration(app, source, look, defers_keys=True) as one:
            assert one.run().changed
        assert not restore(app, source, defers_keys=True).changed
        # What does not fit is found all the same.
        with pytest.raises(BackupError, match="gave 1 warning: its variable max_error_count is 0") as caught:
            restore(app, backup(tmp_path / "too long", b"1,abcdef\n", name="long"))
    assert "abcdef" not in str(caught.value)
    app.check(export)
    # Also while the backup is read, which can take hours.
    assert limits["reading"] == limits["loading"]
    longest = {"wait_timeout": "31536000", "sql_select_limit": "18446744073709551615"}
    for name, value in limits["reading"].items():
        assert float(value) == float(longest.get(name, 0)), name


READ_ONLY = {MySQL: ("read_only", "super_read_only", "transaction_read_only"), MariaDB: ("read_only", "tx_read_only")}


def test_a_server_that_is_read_only_is_refused(mysql_server: Any, tmp_path: Path) -> None:
    target, source = MySQLTarget(mysql_server), backup(tmp_path)
    for variable in READ_ONLY[type(mysql_server)]:
        # One of them sets another one, too.
        with (
            changed(target, {"read_only": 0, variable: 1}),
            pytest.raises(
                ConfigurationError,
                match=r"read-only by its variable (?:super_|transaction_|tx_)?read_only, which is ON",
            ),
        ):
            restore(target, source)
    assert target.query("SHOW DATABASES LIKE 'apsaradb%'") == []


def test_tables_without_a_primary_key_are_refused_where_the_server_takes_none(mysql: MySQL, tmp_path: Path) -> None:
    target = MySQLTarget(mysql)
    with changed(target, {"sql_require_primary_key": 1}):
        with pytest.raises(ConfigurationError, match=r"shop\.t has no primary key, .* sql_require_primary_key"):
            restore(target, backup(tmp_path / "without", key=""))
        assert target.query("SHOW DATABASES LIKE 'apsaradb%'") == []
        assert restore(target, backup(tmp_path / "with")).changed
    with changed(target, {"sql_require_primary_key": 1, "sql_generate_invisible_primary_key": 1}):
        assert restore(target, tmp_path / "without", tables=["shop.t"], rename={"shop": "shop2"}).changed
    assert target.query("SELECT id, a FROM shop2.t") == [(1, "a"), (2, "b")]


def test_packets_that_are_too_small_are_refused(mysql_server: Any, tmp_path: Path) -> None:
    target = MySQLTarget(mysql_server)
    with (
        changed(target, {"max_allowed_packet": 1024, "net_buffer_length": 1024}),
        pytest.raises(ConfigurationError, match="max_allowed_packet of the server is 1024"),
    ):
        restore(target, backup(tmp_path))
    assert target.query("SHOW DATABASES LIKE 'apsaradb%'") == []


def test_a_value_that_is_larger_than_a_packet_is_named(mysql_server: Any, tmp_path: Path) -> None:
    target = MySQLTarget(mysql_server)
    # Only for a table without a key is the value sent in one packet, to look for it.
    source = backup(tmp_path, b"1," + b"x" * 100_000 + b"\n", key="")
    structure = source / "shop" / "t" / "structure.sql"
    structure.write_text(structure.read_text().replace("varchar(5)", "longtext"))
    with (
        changed(target, {"max_allowed_packet": 64 << 10}),
        pytest.raises(DatabaseError, match=r"shop\.t.*Set max_allowed_packet of the server to a larger value"),
    ):
        restore(target, source)
    assert restore(target, source).changed


def test_too_few_connections_are_named(mysql_server: Any, tmp_path: Path) -> None:
    target = AppTarget(mysql_server)
    target.query("CREATE USER app@localhost IDENTIFIED BY 'secret' WITH MAX_USER_CONNECTIONS 1")
    try:
        target.query("GRANT ALL ON *.* TO app@localhost")
        with pytest.raises(DatabaseError, match=r"max_user_connections.*Set parallel to less"):
            restore(target, backup(tmp_path))
    finally:
        target.query("DROP USER app@localhost")


def test_a_server_with_a_binary_log_of_statements_and_gtids(own_server: Any, tmp_path: Path) -> None:
    gtids = {"gtid_mode": "ON", "enforce_gtid_consistency": "ON"}
    target = MySQLTarget(
        own_server(MySQL, skip_log_bin=0, log_bin="bin", server_id=1, binlog_format="STATEMENT", **gtids)
    )
    target.options = {"time_zone": "+00:00"}
    export = mysql_tables.export()
    assert restore(target, archive(export, tmp_path), defers_keys=True).changed
    target.check(export)


def test_names_whose_case_does_not_matter_to_the_server(own_server: Any, tmp_path: Path) -> None:
    log = {"skip_log_bin": 0, "log_bin": "bin", "server_id": 1, "binlog_format": "STATEMENT"}
    server = own_server(MariaDB, lower_case_table_names=1, skip_character_set_client_handshake=None, **log)
    target = MySQLTarget(server)
    source = backup(tmp_path, name="T")
    assert restore(target, source, rename={"shop": "Shop"}, defers_keys=True).changed
    assert not restore(target, source, rename={"shop": "Shop"}, defers_keys=True).changed
    with pytest.raises(RestoreConflictError, match=r"these tables exist, .* Shop2?\.T"):
        restore(target, source, rename={"shop.T": "Shop.T"}, defers_keys=True)
    replaced = restore(target, source, rename={"shop.T": "Shop.T"}, on_existing="replace").replaced
    assert list(replaced) == ["Shop.T"]
    assert target.query("SELECT COUNT(*) FROM shop.t") == [(2,)]
    # Two tables that would be one
    backup(tmp_path / "two", name="t")
    two = (
        backup(tmp_path / "two", name="T") if not (tmp_path / "two/backup/shop/T").exists() else tmp_path / "two/backup"
    )
    with pytest.raises(InvalidBackupError, match=r"new\.T and new\.t are one table for the server"):
        restore(target, two, rename={"shop": "new"})
    assert target.query("SHOW DATABASES LIKE 'new'") == []
    export = mysql_tables.export()
    target.options = {"time_zone": "+00:00"}
    target.query("DROP DATABASE shop")
    assert restore(target, archive(export, tmp_path)).changed
    target.check(export)


def test_a_variable_is_only_raised(mysql: MySQL, mariadb: MariaDB) -> None:
    for server, known in ((mysql, ["innodb_ddl_buffer_size"]), (mariadb, [])):
        with closing(MySQLTarget(server).connected()) as one:
            one.open()
            found = []
            for value in (64 << 20, 96 << 20, 64 << 20):
                raise_variable(one._connection, "innodb_ddl_buffer_size", value)
                found += one._connection.query("SHOW SESSION VARIABLES LIKE 'innodb_ddl_buffer_size'")
            assert found == [(name, str(size << 20)) for name in known for size in (64, 96, 96)]


@pytest.mark.parametrize(
    ("mode", "date", "is_taken"),
    [
        ((), "2024-02-31", False),
        (("ALLOW_INVALID_DATES",), "2024-02-31", True),
        (("ALLOW_INVALID_DATES",), "2024-02-32", False),
        ((), "0000-00-00", True),
        (("NO_ZERO_DATE",), "0000-00-00", False),
    ],
)
def test_sql_modes_that_a_backup_needs(
    mysql_server: Any, tmp_path: Path, mode: tuple[str, ...], date: str, is_taken: bool
) -> None:
    target = MySQLTarget(mysql_server, sql_modes=mode)
    source = backup(tmp_path, f"1,{date}\n".encode())
    structure = source / "shop" / "t" / "structure.sql"
    structure.write_text(structure.read_text().replace("varchar(5)", "date"))
    if is_taken:
        assert restore(target, source).changed
        assert target.query("SELECT CAST(a AS CHAR) FROM shop.t") == [(date,)]
    else:
        with pytest.raises(BackupError, match="the server gave 1 warning: "):
            restore(target, source)


# local_infile for the time of several runs


@pytest.fixture
def off(mysql_server: Any) -> Iterator[MySQLTarget]:
    """A server whose local_infile is off, and restores that set it."""
    target = MySQLTarget(mysql_server, sets_local_infile=True)
    with changed(target, {"local_infile": 0}):
        yield target


def is_on(target: MySQLTarget) -> bool:
    return bool(target.query("SELECT @@GLOBAL.local_infile")[0][0])


def test_a_run_that_ends_leaves_local_infile_to_the_one_that_loads(off: MySQLTarget, tmp_path: Path) -> None:
    source, other = backup(tmp_path), backup(tmp_path / "other", name="other")
    seen = []

    def run_other(progress: Any) -> None:
        if progress.phase == "loading" and not seen:
            assert restore(off, other, rename={"shop": "elsewhere"}).changed
            seen.append(is_on(off))

    with restoration(off, source, run_other) as one:
        assert one.run().changed
    assert seen == [True]
    assert not is_on(off)


@pytest.mark.parametrize("end", ["close", "kill"])
def test_the_last_run_puts_local_infile_back(off: MySQLTarget, tmp_path: Path, end: str) -> None:
    assert restore(off, backup(tmp_path)).changed
    first, second, bystander = off.connected(), off.connected(), MySQLTarget(off.server).connected()
    for server in (first, second, bystander):
        server.open()
        server._settings.change()
    assert is_on(off)
    if end == "close":
        first.close()
    else:
        off.query(f"KILL {first._connection.number}")
    bystander.close()
    assert is_on(off)
    second.close()
    assert not is_on(off)
    first.close()
    assert off.query("SELECT COUNT(*) FROM apsaradb_restore.settings") == [(0,)]
    # The next one finds it as it was.
    assert restore(off, backup(tmp_path / "next", name="next")).changed
    assert not is_on(off)
