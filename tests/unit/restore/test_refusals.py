# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules refuse, by name and with what to do, before anything is changed; and what check mode says."""

from __future__ import annotations

import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from databases import MariaDB
from exports import (
    Column,
    Database,
    Export,
    Table,
    mysql,
    mysql_tables,
    pack,
    postgresql,
    postgresql_tables,
    unpack,
)
from restores import RestoreModule

ROWS = [(0, "zero"), (1, "one"), (2, None)]


def backup(module: RestoreModule, directory: Path, **changes: Any) -> Path:
    """A backup of the tables people and other of the database shop, which are small."""
    columns = [Column("id", "int", "NOT NULL"), Column("name", "varchar(20)")]
    if module.is_mysql:
        columns[0].options += " AUTO_INCREMENT"
    tables = [Table("people", columns, ROWS), Table("other", columns, ROWS)]
    for table in tables:
        if module.is_mysql:
            table.keys = ["PRIMARY KEY (`id`)"]
        else:
            table.constraints = [f'ALTER TABLE ONLY {{table}} ADD CONSTRAINT "{table.name}_key" PRIMARY KEY ("id")']
    for name, value in changes.items():
        setattr(tables[0], name, value)
    language: Any = mysql if module.is_mysql else postgresql
    unpack(Export(module.engine, [Database("shop", tables)], language.DEFAULTS).files(), directory / "backup")
    return directory / "backup"


@pytest.fixture(params=["mysql", "mariadb", "postgresql"])
def module(request: pytest.FixtureRequest, module_of: Any) -> RestoreModule:
    return RestoreModule(module_of, request.getfixturevalue(request.param))


def refused(module: RestoreModule, source: Path, **options: Any) -> str:
    """The message of a run that changes nothing."""
    databases = module.databases()
    result = module(source, **options)
    assert result.get("failed"), result
    assert not result.get("changed"), result
    assert module.databases() == databases
    assert "is kept" not in result["msg"], "there is nothing to continue"
    return str(result["msg"])


# Options


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("piece_size", "1KB", "piece_size"),
        ("piece_size", "1GB", "piece_size"),
        ("parallel", 0, "parallel 0 is out of range: give 1 to 32"),
        ("parallel", 33, "parallel 33 is out of range: give 1 to 32"),
        ("sample", 1, "sample 1 is out of range: give 2 to 10000"),
        ("sample", 10001, "sample 10001 is out of range: give 2 to 10000"),
        ("login_port", 0, "login_port 0 is out of range: give 1 to 65535"),
        ("login_port", 65536, "login_port 65536 is out of range: give 1 to 65535"),
        ("connect_timeout", 0, "connect_timeout 0"),
        ("progress_interval", 0, "progress_interval 0"),
        ("csv_null", "nil", "csv_null"),
        ("defer_indexes", "perhaps", "defer_indexes"),
        ("on_existing", "overwrite", "on_existing"),
        ("rename", {"shop": ""}, "rename gives 'shop' the name ''"),
        ("rename", {"shop": 7}, "rename gives 'shop' the name 7"),
        ("rename", {"shop": "copy "}, "rename gives 'shop' the name 'copy ': give a text without blanks around it"),
        ("rename", {"shop": "x" * 65}, "xx': give one of at most 6"),
        ("tables", ["people"], "tables 'people' is not in the source. Did you mean shop."),
        ("exclude", ["shop.peple"], "exclude 'shop.peple' is not in the source. Did you mean shop."),
        ("databases", ["shops"], "databases 'shops' is not in the source. Did you mean shop? It has shop."),
        ("tables", ["shop.persons"], "tables 'shop.persons' is not in the source. "),
        ("exclude", ["shop.persons"], "exclude 'shop.persons' is not in the source. "),
        ("rename", {"shops": "copy"}, "rename 'shops' is not in the source. Did you mean shop? It has shop"),
        ("exclude", ["shop"], "no table is selected"),
        ("src", "/nowhere/backup.tar.gz", "src '/nowhere/backup.tar.gz' does not exist"),
    ],
)
def test_an_option_that_is_wrong_is_named(
    module: RestoreModule, tmp_path: Path, option: str, value: Any, says: str
) -> None:
    assert says in refused(module, backup(module, tmp_path), **{option: value})


@pytest.mark.parametrize("name", ["é" * 32, "template0", "template1"])
def test_a_database_that_postgresql_would_cut_or_copy_is_refused(
    module_of: Any, postgresql: Any, tmp_path: Path, name: str
) -> None:
    module = RestoreModule(module_of, postgresql)
    message = refused(module, backup(module, tmp_path), rename={"shop": name})
    said = "give one of at most 63 bytes" if "é" in name else f"{name} is a database of the server itself"
    assert said in message


@pytest.mark.parametrize(
    ("value", "said"),
    [("256MiB", "is not an amount of memory"), ("1kB", "give 1MB to 2047GB"), ("2TB", "1MB to 2047GB")],
)
def test_memory_that_postgresql_cannot_have_is_refused(
    module_of: Any, postgresql: Any, tmp_path: Path, value: str, said: str
) -> None:
    module = RestoreModule(module_of, postgresql)
    message = refused(module, backup(module, tmp_path), maintenance_work_mem=value)
    assert message.startswith(f"maintenance_work_mem {value!r} ")
    assert said in message


# Sources


@pytest.mark.parametrize("order", ["as made", "data first", "structures last"])
def test_a_backup_for_the_other_module_is_refused_by_its_name(
    module: RestoreModule, tmp_path: Path, order: str
) -> None:
    other = postgresql_tables if module.is_mysql else mysql_tables
    source = tmp_path / "backup.tar"
    source.write_bytes(pack(other.export(["shop"]).files(), "tar", order=order))
    engine = "PostgreSQL" if module.is_mysql else "MySQL"
    message = refused(module, source)
    assert message.endswith(f"is of a backup of {engine}. Restore it with dbs_restore_{engine.lower()}.")


@pytest.mark.parametrize("depth", range(5))
def test_a_directory_within_a_backup_is_restored_or_refused(module: RestoreModule, tmp_path: Path, depth: int) -> None:
    data = next(backup(module, tmp_path).rglob("people/data"))
    source = [data, *data.parents][depth]
    if source == data:
        said = "it has no "
    elif source.name in ("people", "public"):
        said = (
            "it is a part of a database, and does not have the names of all that is above. Set src to the directory of"
        )
    else:
        said = ""
    if said:
        assert said in refused(module, source)
    else:
        result = module(source)
        assert (result.get("state"), result.get("databases")) == ("done", ["shop"]), result["msg"]


@pytest.mark.parametrize("name", ["dbs_restore_mysql", "dbs_download_extract"])
def test_a_source_that_may_not_be_looked_at_is_not_absent(module_of: Any, tmp_path: Path, name: str) -> None:
    # A user without rights would be needed elsewhere; a path that is too long cannot be looked at by anybody.
    source = tmp_path / ("x" * 300)
    arguments = {"src": str(source), **({"dest": str(tmp_path / "dest")} if "extract" in name else {})}
    result = module_of(name)(arguments)
    assert "cannot be read: File name too long" in result["msg"]
    assert "does not exist" not in result["msg"]


# Tables that exist


def test_a_table_of_others_is_named_and_not_touched(module: RestoreModule, tmp_path: Path) -> None:
    source = backup(module, tmp_path)
    place = "shop.people" if module.is_mysql else "public.people"
    where = {} if module.is_mysql else {"database": "shop"}
    module.target.query("CREATE DATABASE shop")
    module.target.query(f"CREATE TABLE {place} (x int)", **where)
    module.target.query(f"INSERT INTO {place} VALUES (7)", **where)
    message = refused(module, source)
    name = "shop.people" if module.is_mysql else "shop.public.people"
    assert f"these tables exist, and this restore did not create them: {name}. Set rename to" in message
    assert (
        "If an earlier restore created them, with another backup or other options, run that one again, or drop"
        in message
    )
    assert name in refused(module, source, _ansible_check_mode=True)
    result = module(source, on_existing="skip")
    assert result["skipped_tables"] == [name]
    assert [table["name"] for table in result["tables"]] == ["other"]
    assert module.target.query(f"SELECT * FROM {place}", **where) == [(7,)]


# Connections


def test_a_server_that_cannot_be_reached(module: RestoreModule, tmp_path: Path, nobody: str) -> None:
    source = backup(module, tmp_path)
    port = int(nobody.partition(":")[2])
    message = refused(module, source, login_unix_socket=None, login_host="127.0.0.1", login_port=port)
    assert "127.0.0.1" in message
    assert str(port) in message
    assert "login_port" in message.partition(str(port))[2], "what to check"
    assert "Is the server" not in message
    for host in ("db1.invalid", "db1..example.com", "x" * 64 + ".example.com"):
        message = refused(module, source, login_unix_socket=None, login_host=host)
        assert f"{host}" in message
        assert "login_host" in message.rpartition(host)[2], "what to check"
        assert "Traceback" not in message
    message = refused(module, source, login_unix_socket=str(tmp_path / "none"))
    assert str(tmp_path / "none") in message
    assert "login_unix_socket" in message
    assert "Is the server" not in message
    message = refused(module, source, login_password="another one")
    assert "login_password" in message
    assert "another one" not in module.output


def test_what_never_answers_is_waited_for_only_as_long_as_is_said(module: RestoreModule, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        login = {"login_unix_socket": None, "login_host": host, "login_port": port, "connect_timeout": 1}
        message = refused(module, backup(module, tmp_path), **login)
    assert ": timed out. Check" in message or "timeout expired. Check" in message
    assert "login_port" in message.rpartition("Check")[2]


def test_an_option_file_that_is_none_is_named_and_not_quoted(module_of: Any, mariadb: Any, tmp_path: Path) -> None:
    module = RestoreModule(module_of, mariadb)
    for number, content in enumerate((b"password=s3cret\n", b"[client]\npass\xffs3cret\n", b"[client\ns3cret\n")):
        path = tmp_path / f"file-{number}"
        path.write_bytes(content)
        message = refused(module, backup(module, tmp_path / str(number)), config_file=str(path))
        assert f"config_file '{path}' is not an option file of MySQL: give one with a section [client]." in message
        assert "s3cret" not in module.output


def test_a_password_of_an_option_file_that_cannot_be_sent_is_not_quoted(
    module_of: Any, mariadb: Any, tmp_path: Path
) -> None:
    module = RestoreModule(module_of, mariadb)
    path = tmp_path / "my.cnf"
    path.write_text("[client]\npassword=密\n", encoding="utf-8")
    login = {"login_password": None, "config_file": str(path)}
    message = refused(module, backup(module, tmp_path), **login)
    assert f"config_file '{path}' has a user or password that PyMySQL cannot send: set login_user" in message
    assert "5bc6" not in module.output


def test_the_socket_is_used_in_place_of_the_host(module: RestoreModule, tmp_path: Path) -> None:
    result = module(backup(module, tmp_path), login_host="db1.invalid", _ansible_check_mode=True)
    assert not result.get("failed"), result


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("session_role", "nobody", "Set session_role to a role that the user is a member of"),
        ("connect_params", {"nonsense": 1}, 'invalid connection option "nonsense". Check connect_params'),
        ("connect_params", {"options": "-c nonsense=1"}, 'parameter "nonsense". Check connect_params'),
    ],
)
def test_what_postgresql_does_not_know_of_a_login(
    module_of: Any, postgresql: Any, tmp_path: Path, option: str, value: Any, says: str
) -> None:
    module = RestoreModule(module_of, postgresql)
    assert says in refused(module, backup(module, tmp_path), **{option: value})


def test_no_driver(module: RestoreModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pymysql", "MySQLdb", "psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, name, None)
    source = backup(module, tmp_path)
    result = module(source)
    assert result["failed"]
    library = "PyMySQL" if module.is_mysql else "psycopg"
    assert f"Failed to import the required Python library ({library}" in result["msg"]


def test_load_data_local_needs_a_server_that_is_known(own_server: Any, module_of: Any, tmp_path: Path) -> None:
    server = own_server(MariaDB, port=True)
    module = RestoreModule(module_of, server)
    login = {"login_unix_socket": None, "login_host": server.host, "login_port": server.port}
    message = refused(module, backup(module, tmp_path), **login)
    assert "a server can ask for any file of this host: set login_unix_socket, ca_cert, or login_host" in message


class OldServer(socketserver.ThreadingTCPServer):
    """What says of itself that it is an old MySQL, and answers every query with that."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, version: bytes) -> None:
        self.version = version
        super().__init__(("127.0.0.1", 0), OldConnection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients may go away at any time.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class OldConnection(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        version: bytes = self.server.version  # type: ignore[attr-defined]
        flags = 0x0008_A20D  # protocol 4.1, connecting with a database, secure passwords, plugins
        self._send(
            0,
            b"\x0a" + version + b"\0" + struct.pack("<I", 1) + b"12345678\0" + struct.pack("<H", flags & 0xFFFF)
            + b"\x21" + struct.pack("<HH", 2, flags >> 16) + b"\x15" + bytes(10) + b"123456789012\0"
            + b"mysql_native_password\0",
        )  # fmt: skip
        self._receive()
        self._send(2, b"\0\0\0\2\0\0\0")
        while True:
            command = self._receive()
            if command[:1] != b"\3":
                return
            if not command[1:].upper().startswith((b"SELECT", b"SHOW")):
                self._send(1, b"\0\0\0\2\0\0\0")
                continue
            column = b"".join(bytes([len(text)]) + text for text in (b"def", b"", b"", b"", b"v", b""))
            self._send(1, b"\1")
            self._send(2, column + b"\x0c\x21\0\xff\0\0\0\xfd\0\0\0\0\0")
            self._send(3, b"\xfe\0\0\2\0")
            self._send(4, bytes([len(version)]) + version)
            self._send(5, b"\xfe\0\0\2\0")

    def _send(self, number: int, content: bytes) -> None:
        self.wfile.write(struct.pack("<I", len(content))[:3] + bytes([number]) + content)

    def _receive(self) -> bytes:
        head = self.rfile.read(4)
        return self.rfile.read(int.from_bytes(head[:3], "little")) if head else b""


@pytest.fixture(params=[b"5.6.51-log", b"5.5.5-10.5.23-MariaDB", b"8"])
def old_server(request: pytest.FixtureRequest) -> Iterator[OldServer]:
    with OldServer(request.param) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_server_that_is_too_old(old_server: OldServer, module_of: Any, tmp_path: Path, mariadb: Any) -> None:
    module = RestoreModule(module_of, mariadb)
    host, port = old_server.server_address[:2]
    login = {"login_unix_socket": None, "login_host": host, "login_port": port}
    message = refused(module, backup(module, tmp_path), **login)
    name = "MariaDB" if b"MariaDB" in old_server.version else "MySQL"
    oldest = "10.6" if name == "MariaDB" else "5.7"
    assert f"the server is {name} {old_server.version.decode()}: use {name} {oldest} or newer" in message


@pytest.mark.parametrize("old_server", [b"8.0.36"], indirect=True)
@pytest.mark.parametrize("mode", ["prefer", "disable"])
def test_a_port_of_mysql_is_not_one_of_postgresql(
    old_server: OldServer, module_of: Any, tmp_path: Path, postgresql: Any, mode: str
) -> None:
    module = RestoreModule(module_of, postgresql)
    host, port = old_server.server_address[:2]
    login = {"login_unix_socket": None, "login_host": host, "login_port": port, "ssl_mode": mode}
    message = refused(module, backup(module, tmp_path), **login)
    assert "Check login_host and login_port: what answers there does not speak the protocol of PostgreSQL." in message


# What the server lacks, and what shifts without a word


def test_a_collation_that_the_server_lacks_is_mapped(module_of: Any, mariadb: Any, tmp_path: Path) -> None:
    module = RestoreModule(module_of, mariadb)
    source = backup(module, tmp_path, options="ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_mine_ci")
    message = refused(module, source)
    assert "shop.people has the collation utf8mb4_0900_mine_ci, which the server does not have" in message
    assert "Set collation_map to another one for it, such as {utf8mb4_0900_mine_ci: utf8mb4_unicode_ci}" in message
    message = refused(module, source, collation_map={"utf8mb4_0900_mine_ci": "no_such_ci"})
    assert "the collation no_such_ci, which the server does not have" in message
    message = refused(module, source, collation_map={"utf8mb4_0900_mine_ci": "x; DROP TABLE t"})
    assert "collation_map has 'x; DROP TABLE t': give names of collations" in message
    assert module(source, collation_map={"utf8mb4_0900_mine_ci": "utf8mb4_unicode_ci"})["state"] == "done"
    found = module.target.query("SELECT table_collation FROM information_schema.tables WHERE table_name = 'people'")
    assert found == [("utf8mb4_unicode_ci",)]
    assert module.target.query("SELECT * FROM shop.people ORDER BY id") == ROWS, "also the number 0"


# Check mode


def test_check_mode_says_what_would_be_done_and_does_nothing(module: RestoreModule, tmp_path: Path) -> None:
    source = backup(module, tmp_path)
    databases = module.databases()
    result = module(source, _ansible_check_mode=True)
    assert not result.get("failed"), result
    assert (result["changed"], result["state"]) == (True, "planned")
    tables = {table["name"]: table for table in result["tables"]}
    assert set(tables) == {"people", "other"}
    for table in tables.values():
        assert (table["database"], table["state"]) == ("shop", "planned")
        assert (table["rows_expected"], table["rows_reported"], table["rows_found"]) == (len(ROWS), 0, None)
        assert table["bytes"] > 0
    assert result["totals"]["rows"] == 2 * len(ROWS)
    assert result["totals"]["bytes_loaded"] == 0
    assert module.databases() == databases
    done = module(source)
    assert (done["changed"], done["restore_id"]) == (True, result["restore_id"])
    again = module(source, _ansible_check_mode=True)
    assert (again["changed"], again["state"]) == (False, "done")


# What was done before


def test_the_rows_of_a_table_that_an_earlier_run_verified_are_known(module: RestoreModule, tmp_path: Path) -> None:
    source = backup(module, tmp_path)
    module(source)
    where = {} if module.is_mysql else {"database": "shop"}
    # As where the run was interrupted before it had the last table.
    module.target.query("UPDATE apsaradb_restore.restores SET state = 'loading'", **where)
    result = module(source, _ansible_diff=True)
    assert result["state"] == "done"
    assert [table["rows_found"] for table in result["tables"]] == [len(ROWS)] * 2
    assert result["diff"]["after"].count(f": {len(ROWS)} rows") == 2
