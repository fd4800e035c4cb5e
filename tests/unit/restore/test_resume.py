# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores that are interrupted and run again: no row is lost, none is there twice, and what was in is not loaded again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import kills
import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import BackupError
from ansible_collections.apsaradb.backup.plugins.module_utils._restore import mysql_variables, tuning
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.errors import (
    DatabaseConnectionError,
    DatabaseError,
    RestoreConflictError,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.model import State
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.restoration import Outcome
from databases import MariaDB, MySQL, Server
from databases.server import give
from exports import Column, Export, Table, mysql_tables, postgresql_tables
from processes import can_mount, mounted, until
from restores import MySQLTarget, PostgreSQLTarget, archive, restoration, restore

PIECE_SIZE = 512
PIECES = "SELECT COUNT(*) FROM apsaradb_restore.pieces"


@pytest.fixture(autouse=True)
def _no_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each piece in a transaction of its own, also of small tables."""
    monkeypatch.setattr(tuning, "BATCH_SIZE", 1)


def mysql_export(*names: str) -> Export:
    export = mysql_tables.export(["shop"])
    shop = export.databases[0]
    shop.tables = [shop.table(name) for name in names or ("customers", "no key", "orders")]
    return export


def postgresql_export(*names: str) -> Export:
    export = postgresql_tables.export(["shop"])
    shop = export.databases[0]
    shop.tables = [shop.table(name) for name in names]
    return export


def target_of(server: Any) -> MySQLTarget:
    return MySQLTarget(server, time_zone="+00:00")


def run(target: Any, source: Path, **options: Any) -> Outcome:
    return restore(target, source, piece_size=PIECE_SIZE, **options)


def killed(target: Any, source: Path, statement: str, nth: int = 1, **options: Any) -> None:
    """Kill a restore before a statement that begins so, and wait until the server has seen it."""
    before = sorted(target.sessions())
    made = kills.run(target, source, kills.Strike(nth, text=statement), piece_size=PIECE_SIZE, **options)
    assert made.was_struck, made.error
    until(lambda: sorted(target.sessions()) == before)


def test_a_killed_run_is_continued(mysql_server: Any, tmp_path: Path) -> None:
    """Its pieces are in, and the server counts no statement that loads them again."""
    export, target = mysql_export(), target_of(mysql_server)
    source = archive(export, tmp_path)
    killed(target, source, "ANALYZE", threads=1)
    ((known,),) = target.query(PIECES)
    loads = "SHOW GLOBAL STATUS LIKE 'Com_load'"
    before = int(target.query(loads)[0][1])
    outcome = run(target, source)
    assert 0 < outcome.resumed_from == known
    total = sum(one.pieces for one in outcome.tables)
    assert int(target.query(loads)[0][1]) - before == total - known
    target.check(export)


def test_a_piece_that_a_killed_run_commits_late(mysql_server: Any, tmp_path: Path) -> None:
    """Its session ends after the next run has looked: without a key nothing else keeps the rows from being doubled."""
    export, target = mysql_export("no key"), target_of(mysql_server)
    source = archive(export, tmp_path)
    killed(target, source, "LOAD DATA", threads=1)
    columns = ", ".join(f"`{column.name}`" for column in export.databases[0].tables[0].columns)
    with contextlib.closing(mysql_server.connect(local_infile=True, autocommit=False)) as late, late.cursor() as cursor:
        ((restore_id,),) = target.query("SELECT restore_id FROM apsaradb_restore.restores")
        rows = export.databases[0].tables[0].rows
        cursor.executemany(f"INSERT INTO shop.`no key` ({columns}) VALUES (%s, %s)", rows)
        cursor.execute("INSERT INTO apsaradb_restore.pieces VALUES (%s, 0, 0, 0, %s)", (restore_id, len(rows)))
        ended: list[Any] = []
        thread = threading.Thread(target=lambda: ended.append(run(target, source)))
        thread.start()
        until(target.lock_waits)
        late.commit()
        thread.join()
    assert ended
    target.check(export)


def test_a_table_that_a_killed_run_makes_late(mysql_server: Any, tmp_path: Path) -> None:
    """Its statement ends after the next run has looked."""
    export, target = mysql_export("customers"), target_of(mysql_server)
    source = archive(export, tmp_path)
    killed(target, source, "CREATE TABLE `shop`", threads=1)
    (structure,) = (
        data.decode().strip().rstrip(";")
        for name, data in export.files().items()
        if name.endswith("customers/structure.sql")
    )
    column = export.databases[0].tables[0].columns[0].name
    waiting = "SELECT id FROM information_schema.processlist WHERE state LIKE %s"
    with contextlib.closing(mysql_server.connect()) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK('late', 0)")

        def begin() -> None:
            with contextlib.closing(mysql_server.connect(database="shop")) as late, late.cursor() as making:
                making.execute("SET sql_mode = ''")
                making.execute(f"{structure} SELECT 1 AS `{column}` FROM DUAL WHERE GET_LOCK('late', 60) = 2")

        ended: list[Any] = []
        threads = [threading.Thread(target=begin), threading.Thread(target=lambda: ended.append(run(target, source)))]
        threads[0].start()
        until(lambda: target.query(waiting, "User lock"))
        threads[1].start()
        until(lambda: target.query(waiting, "Waiting for table metadata lock"))
        cursor.execute("SELECT RELEASE_LOCK('late')")
        for thread in threads:
            thread.join()
    assert ended
    target.check(export)


@pytest.mark.parametrize("defers_keys", [True, False])
def test_keys_that_a_killed_run_left_for_later(mysql_server: Any, tmp_path: Path, defers_keys: bool) -> None:
    export, target = mysql_export("orders"), target_of(mysql_server)
    source = archive(export, tmp_path)
    killed(target, source, "ANALYZE" if not defers_keys else "ALTER TABLE", defers_keys=defers_keys)
    outcome = run(target, source, defers_keys=not defers_keys)
    keys = outcome.tables[0].verified.keys  # type: ignore[union-attr]
    assert set(keys) == {"PRIMARY", "order_no", "customer", "note"}
    target.check(export)


def test_a_table_that_was_dropped_between_the_runs(mysql_server: Any, tmp_path: Path) -> None:
    """Also if the next run is killed when it has just made it again."""
    export, target = mysql_export("customers"), target_of(mysql_server)
    source = archive(export, tmp_path)
    # All tables are done, and the restore is not.
    killed(target, source, "UPDATE apsaradb_restore.restores")
    target.query("DROP TABLE shop.customers")
    killed(target, source, "UPDATE apsaradb_restore.tables SET state", threads=1, nth=2)
    assert run(target, source).state is State.DONE
    target.check(export)


def test_a_table_of_postgresql_that_was_dropped_between_the_runs(postgresql: Any, tmp_path: Path) -> None:
    export, target = postgresql_export("invoice_lines", "orders", "customers"), PostgreSQLTarget(postgresql)
    source = archive(export, tmp_path)
    killed(target, source, "UPDATE apsaradb_restore.restores")
    target.query("DROP TABLE public.orders CASCADE", database="shop")
    outcome = run(target, source)
    assert outcome.resumed_from > 0
    target.check(export)
    foreign = "SELECT conname::text FROM pg_constraint WHERE contype = 'f' ORDER BY 1"
    assert target.query(foreign, database="shop") == [("lines_customer",), ("lines_order",)]


def test_a_table_without_transactions_is_emptied_first(mysql_server: Any, tmp_path: Path) -> None:
    export, target = mysql_export("customers"), target_of(mysql_server)
    export.databases[0].tables.append(my_isam("log"))
    source = archive(export, tmp_path)
    killed(target, source, "INSERT IGNORE INTO apsaradb_restore.pieces", nth=4, threads=1)
    # A piece that is in, without being recorded.
    assert target.query("SELECT COUNT(*) FROM shop.log")[0][0] > 27
    killed(target, source, "INSERT IGNORE INTO apsaradb_restore.pieces", nth=2, threads=1)
    assert target.query("SELECT COUNT(*) FROM shop.log")[0][0] > 27
    outcome = run(target, source)
    assert outcome.resumed_from == 2
    target.check(export)


def test_the_first_piece_size_stays(mysql_server: Any, tmp_path: Path) -> None:
    export, target = mysql_export(), target_of(mysql_server)
    source = archive(export, tmp_path)
    killed(target, source, "ANALYZE", threads=1)
    outcome = restore(target, source, piece_size=PIECE_SIZE // 2)
    assert outcome.resumed_from > 0
    target.check(export)


def test_a_source_that_changed_between_the_runs(mysql_server: Any, tmp_path: Path) -> None:
    """It is another backup, whose rows never come into the tables of the first one."""
    target = target_of(mysql_server)
    source = archive(mysql_export(), tmp_path)
    killed(target, source, "ANALYZE", threads=1)
    before = target.query("SELECT * FROM shop.customers")
    changed = archive(mysql_export("customers", "orders"), tmp_path)
    with pytest.raises(RestoreConflictError, match=r"this restore did not create them: shop\.customers, shop\.orders"):
        run(target, changed)
    assert target.query("SELECT * FROM shop.customers") == before


def test_another_run_that_begins_while_the_source_is_read(mysql_server: Any, tmp_path: Path) -> None:
    """With another size of pieces: what it has recorded are not the pieces of this one."""
    export, target = mysql_export(), target_of(mysql_server)
    source = archive(export, tmp_path)
    hasty: list[int] = []

    def watch(progress: Any) -> None:
        # It has looked for what is recorded of it.
        if one.outcome.server and not hasty:
            hasty.append(1)
            killed(target, source, "ANALYZE", threads=1)

    refused = pytest.raises(RestoreConflictError, match="another run of the same restore was at work until now")
    with refused, restoration(target, source, watch, piece_size=PIECE_SIZE // 2) as one:
        one.run()
    assert hasty
    run(target, source)
    target.check(export)


def test_a_connection_that_the_server_ends(mysql_server: Any, tmp_path: Path) -> None:
    export, target = mysql_export(), target_of(mysql_server)
    source = archive(export, tmp_path)
    killed(target, source, "ANALYZE", threads=1)
    ((restore_id, table),) = target.query(
        "SELECT restore_id, number FROM apsaradb_restore.tables WHERE target_name = 'orders'"
    )
    errors: list[BackupError] = []

    def fails() -> None:
        try:
            run(target, source, threads=1)
        except BackupError as error:
            errors.append(error)

    with contextlib.closing(mysql_server.connect(autocommit=False)) as other, other.cursor() as cursor:
        cursor.execute("INSERT INTO apsaradb_restore.pieces VALUES (%s, %s, 0, 0, 1)", (restore_id, table))
        thread = threading.Thread(target=fails)
        thread.start()
        until(target.lock_waits)
        target.query(f"KILL {target.lock_waits()[0][1]}")
        thread.join()
    assert isinstance(errors[0], DatabaseConnectionError)
    assert "shop.orders, records " in str(errors[0])
    assert run(target, source).resumed_from > 0
    target.check(export)


def my_isam(name: str) -> Table:
    columns = [Column("id", "int", "NOT NULL"), Column("text", "varchar(40)", "DEFAULT NULL")]
    rows = [(number, f"line {number}") for number in range(80)]
    options = "ENGINE=MyISAM DEFAULT CHARSET=utf8mb4"
    return Table(name, columns, rows, parts=3, keys=["KEY `id` (`id`)"], options=options)


def test_a_lock_that_comes_late(mysql_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server gives up waiting for a row of the progress; the transaction is repeated, but for what stays of it."""
    monkeypatch.setattr(tuning, "BATCH_SIZE", 1 << 20)
    # However late this process sees the second attempt, another one follows.
    monkeypatch.setattr(tuning, "MAX_ATTEMPTS", 1000)
    monkeypatch.setattr(tuning, "RETRY_PAUSE", 0.0)
    export, target = mysql_export("no key"), target_of(mysql_server)
    export.databases[0].tables.insert(0, my_isam("log"))
    source = archive(export, tmp_path)
    killed(target, source, "LOAD DATA", threads=1)
    ((wait,),) = target.query("SELECT @@GLOBAL.innodb_lock_wait_timeout")
    target.query("SET GLOBAL innodb_lock_wait_timeout = 1")
    try:
        with contextlib.closing(mysql_server.connect(autocommit=False)) as other, other.cursor() as cursor:
            ((restore_id, table),) = target.query(
                "SELECT restore_id, number FROM apsaradb_restore.tables WHERE target_name = 'no key'"
            )
            cursor.execute("INSERT INTO apsaradb_restore.pieces VALUES (%s, %s, 0, 0, 1)", (restore_id, table))
            ended: list[Any] = []
            thread = threading.Thread(target=lambda: ended.append(run(target, source, threads=1)))
            thread.start()
            until(target.lock_waits)
            first = target.lock_waits()
            until(lambda: target.lock_waits() not in ([], first))
            other.rollback()
            thread.join()
    finally:
        target.query(f"SET GLOBAL innodb_lock_wait_timeout = {wait}")
    assert ended
    target.check(export)


def test_keys_that_a_killed_run_makes_late(mysql_server: Any, tmp_path: Path) -> None:
    """Its session has them when the next run, which has looked for them, makes them."""
    export, target = mysql_export("orders"), target_of(mysql_server)
    source = archive(export, tmp_path)
    killed(target, source, "ALTER TABLE", threads=1, defers_keys=True)
    ended: list[Any] = []
    with contextlib.closing(mysql_server.connect()) as late, late.cursor() as cursor:
        cursor.execute("LOCK TABLES shop.orders WRITE")
        thread = threading.Thread(target=lambda: ended.append(run(target, source, threads=1)))
        thread.start()
        waiting = (
            "SELECT 1 FROM information_schema.processlist WHERE state LIKE 'Waiting for % lock' AND info LIKE 'ALTER%'"
        )
        until(lambda: target.query(waiting) or not thread.is_alive())
        keys = [key for key in export.databases[0].tables[0].keys if not key.startswith("PRIMARY")]
        cursor.execute(f"ALTER TABLE shop.orders {', '.join(f'ADD {key}' for key in keys)}")
        cursor.execute("UNLOCK TABLES")
        thread.join()
    assert ended[0].state is State.DONE
    target.check(export)


def test_a_table_that_was_skipped_and_is_gone(any_server: Any, tmp_path: Path) -> None:
    """What is recorded of the others stays as it is."""
    is_mysql = any_server.name != "postgresql"
    export = mysql_export("customers", "orders") if is_mysql else postgresql_export("customers", "orders")
    target: Any = target_of(any_server) if is_mysql else PostgreSQLTarget(any_server)
    source = archive(export, tmp_path)
    where: dict[str, Any] = {} if is_mysql else {"database": "shop"}
    name = "shop.customers" if is_mysql else "public.customers"
    target.query("CREATE DATABASE shop")
    target.query(f"CREATE TABLE {name} (mine int)", **where)
    killed(target, source, "ANALYZE", threads=1, on_existing="skip")
    target.query(f"DROP TABLE {name}", **where)
    outcome = run(target, source)
    assert outcome.resumed_from > 0
    target.check(export)
    assert target.query("SELECT COUNT(*) FROM apsaradb_restore.tables WHERE state = 'done'", **where) == [(2,)]


def test_databases_of_which_a_killed_run_recorded_one(postgresql: Any, tmp_path: Path) -> None:
    """Both are replaced, though only one is known to be loaded beside."""
    export, target = postgresql_tables.export(["shop", "wms"]), PostgreSQLTarget(postgresql)
    for database in export.databases:
        database.tables = [database.table("customers")]
        target.query(f"CREATE DATABASE {database.name}")
        target.query("CREATE TABLE public.customers (mine int)", database=database.name)
    source = archive(export, tmp_path)
    killed(target, source, "INSERT INTO apsaradb_restore.tables", nth=2, on_existing="replace")
    outcome = run(target, source, on_existing="replace")
    assert sorted(outcome.replaced) == ["shop", "wms"]
    target.check(export)


def test_settings_of_a_killed_run_are_put_back(own_server: Callable[..., Server], tmp_path: Path) -> None:
    server = own_server(MariaDB, local_infile=0)
    target = MySQLTarget(server, time_zone="+00:00", sets_local_infile=True)
    export = mysql_export()
    source = archive(export, tmp_path)
    killed(target, source, "ANALYZE", threads=1)
    assert target.query("SELECT @@GLOBAL.local_infile") == [(1,)]
    run(target_of(server), source)
    assert target.query("SELECT @@GLOBAL.local_infile") == [(0,)]
    target.check(export)


def test_a_server_that_is_killed(any_server: Any, tmp_path: Path) -> None:
    is_mysql = any_server.name != "postgresql"
    export = mysql_export() if is_mysql else postgresql_export("orders")
    target: Any = target_of(any_server) if is_mysql else PostgreSQLTarget(any_server)
    source = archive(export, tmp_path)
    strike = kills.Strike(1, "before", "server", "ANALYZE")
    ended = kills.run(target, source, strike, piece_size=PIECE_SIZE, threads=1)
    assert ended.was_struck
    assert ("no connection to the database server at" if is_mysql else "the connection to PostgreSQL at") in ended.error
    with pytest.raises(DatabaseConnectionError):
        run(target, source)
    any_server.start()
    assert run(target, source).resumed_from > 0
    target.check(export)


class Place(NamedTuple):
    """Where a run is killed: at which of the statements of MySQL, and of PostgreSQL, that begin so."""

    name: str
    mysql: str
    postgresql: str
    nth: int = 1
    moment: str = "before"
    replaces: bool = False
    #: Whether pieces are loaded by then.
    is_loaded: bool = False


RECORDS = "UPDATE apsaradb_restore.restores"
PLACES = [
    Place(
        "after pass 1",
        "SELECT engine FROM information_schema.engines",
        "SELECT name::text FROM pg_catalog.pg_available_extensions",
    ),
    Place("recording", "INSERT IGNORE INTO apsaradb_restore.", "INSERT INTO apsaradb_restore.tables", 2),
    Place("making tables", "CREATE TABLE `shop`", "CREATE TABLE", 2),
    Place("in a piece", "LOAD DATA", "COPY", 2, "beside", is_loaded=True),
    Place("before it commits", "LOAD DATA", "COPY", 2, "after", is_loaded=True),
    Place("between pieces", "INSERT IGNORE INTO apsaradb_restore.pieces", "INSERT INTO apsaradb_restore.pieces", 2),
    Place("building keys", "ALTER TABLE", "ALTER TABLE", 1, "beside", is_loaded=True),
    Place("verifying", "SELECT CAST(", "SELECT (SELECT count(*) FROM ONLY", is_loaded=True),
    Place("all verified", RECORDS, RECORDS, is_loaded=True),
    Place("before the swap", "RENAME TABLE", "ALTER DATABASE", replaces=True),
    Place("in the swap", "RENAME TABLE", "ALTER DATABASE", 1, "beside", replaces=True),
    Place("after the swap", RECORDS, RECORDS, 2, replaces=True),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_a_run_that_is_killed(any_server: Any, tmp_path: Path, place: Place) -> None:
    is_mysql = any_server.name != "postgresql"
    export = mysql_export("customers", "orders") if is_mysql else postgresql_export("customers", "orders")
    target: Any = target_of(any_server) if is_mysql else PostgreSQLTarget(any_server)
    source = archive(export, tmp_path)
    where: dict[str, Any] = {} if is_mysql else {"database": "shop"}
    if place.replaces:
        target.query("CREATE DATABASE shop")
        target.query(f"CREATE TABLE {'shop' if is_mysql else 'public'}.customers (mine int)", **where)
    options = {"threads": 1, "defers_keys": True, "on_existing": "replace" if place.replaces else "error"}
    strike = kills.Strike(place.nth, place.moment, text=place.mysql if is_mysql else place.postgresql)
    assert kills.run(target, source, strike, piece_size=PIECE_SIZE, **options).was_struck
    until(lambda: not target.sessions())
    outcome = run(target, source, **options)
    assert outcome.state is State.DONE
    assert outcome.resumed_from or not place.is_loaded
    target.check(export)
    if place.replaces:
        old = f"shop_old_{outcome.restore_id[:8]}"
        kept = f"SELECT mine FROM {old if is_mysql else 'public'}.customers"
        assert target.query(kept, **({} if is_mysql else {"database": old})) == []


def test_a_run_that_is_killed_in_pass_1(any_server: Any, tmp_path: Path) -> None:
    """Nothing of it is on the server."""
    is_mysql = any_server.name != "postgresql"
    export = mysql_export() if is_mysql else postgresql_export("orders")
    target: Any = target_of(any_server) if is_mysql else PostgreSQLTarget(any_server)
    source = archive(export, tmp_path)

    def kill(progress: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    assert kills.run(target, source, watch=kill).was_struck
    databases = "SHOW DATABASES" if is_mysql else "SELECT datname::text FROM pg_database"
    assert not {"shop", "apsaradb_restore"} & {name for (name,) in target.query(databases)}
    assert run(target, source).resumed_from == 0
    target.check(export)


def test_a_deadlock(mysql_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server undoes the transaction of the restore, which then loads all of its pieces again."""
    monkeypatch.setattr(tuning, "BATCH_SIZE", 1 << 20)
    export, target = mysql_export("no key"), target_of(mysql_server)
    source = archive(export, tmp_path)
    restore_once = {"piece_size": 64, "threads": 1}
    strike = kills.Strike(1, text="LOAD DATA")
    assert kills.run(target, source, strike, **restore_once).was_struck
    until(lambda: not target.sessions())
    ((restore_id,),) = target.query("SELECT restore_id FROM apsaradb_restore.restores")
    found = "SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'"
    ((before,),) = target.query(found)
    ended: list[Any] = []
    piece = "INSERT INTO apsaradb_restore.pieces VALUES (%s, 0, 0, %s, 1)"
    with contextlib.closing(mysql_server.connect(autocommit=False)) as other, other.cursor() as cursor:
        # It has changed more rows, so that it is the other one that is undone.
        cursor.executemany(piece, [("other", number) for number in range(1000)])
        cursor.execute(piece, (restore_id, 1))
        thread = threading.Thread(target=lambda: ended.append(restore(target, source, **restore_once)))
        thread.start()
        until(target.lock_waits)
        cursor.execute(piece, (restore_id, 0))
        other.rollback()
        thread.join()
    assert ended[0].state is State.DONE
    assert target.query(found) == [(before + 1,)]
    target.check(export)


def test_a_table_that_others_lock(mysql_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mysql_variables._SETTINGS, "lock_wait_timeout", 1)
    monkeypatch.setattr(tuning, "MAX_ATTEMPTS", 1)
    export, target = mysql_export("no key"), target_of(mysql_server)
    source = archive(export, tmp_path)
    killed(target, source, "LOAD DATA", threads=1)
    with contextlib.closing(mysql_server.connect()) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLES shop.`no key` READ")
        with pytest.raises(DatabaseError) as raised:
            run(target, source, threads=1)
    message = str(raised.value)
    assert "load shop.no key, records 1 to " in message
    assert "the database server answered 1205: Lock wait timeout exceeded" in message
    assert "Another session holds a lock on it: see SHOW PROCESSLIST of the server" in message
    run(target, source)
    target.check(export)


def big(engine: str) -> Export:
    """A table with more data than a small disk has room for."""
    rows = [(number, "x" * 500) for number in range(6000)]
    if engine == "mysql":
        columns = [Column("id", "int", "NOT NULL"), Column("text", "varchar(600)", "DEFAULT NULL")]
        table = Table("big", columns, rows, keys=["PRIMARY KEY (`id`)"])
        export = mysql_tables.export(["shop"])
    else:
        table = Table("big", [Column("id", "integer", "NOT NULL"), Column("text", "text")], rows)
        export = postgresql_tables.export(["shop"])
    export.databases[0].tables = [table]
    return export


def full_disk(target: Any, source: Path) -> str:
    """What a restore says for which the server lacks space."""
    with pytest.raises(DatabaseError) as raised:
        restore(target, source, piece_size=64 << 10, threads=1)
    return str(raised.value)


@pytest.mark.parametrize("kind", [MySQL, MariaDB], ids=lambda kind: kind.name)
def test_a_full_disk(own_server: Callable[..., Server], tmp_path: Path, kind: type[Server]) -> None:
    # One file for all tables, with a limit.
    file = "ibdata1:12M:autoextend:max:{}M"
    server = own_server(
        kind, innodb_file_per_table=0, innodb_data_file_path=file.format(13), innodb_autoextend_increment=1
    )
    export, target = big("mysql"), target_of(server)
    source = archive(export, tmp_path)
    message = full_disk(target, source)
    assert "load shop.big, records " in message
    assert "the database server answered 1114: The table 'big' is full" in message
    assert "Free some space on the server, and run it again" in message
    server.stop()
    server.options["innodb_data_file_path"] = file.format(100)
    server.start()
    assert restore(target, source, piece_size=64 << 10).resumed_from > 0
    target.check(export)


@pytest.mark.skipif(not can_mount(), reason="no right to mount")
def test_a_full_disk_of_postgresql(postgresql: Any, tmp_path: Path) -> None:
    export, target = big("postgresql"), PostgreSQLTarget(postgresql)
    source = archive(export, tmp_path)
    with tempfile.TemporaryDirectory(prefix="apsaradb-", dir="/tmp") as disk, mounted(Path(disk), "size=2m"):
        give(Path(disk), postgresql.account())
        os.chmod(disk, 0o700)
        target.query(f"CREATE TABLESPACE small LOCATION '{disk}'")
        target.query("ALTER ROLE admin SET default_tablespace = small")
        try:
            message = full_disk(target, source)
            assert "into shop.public.big: the database server answered 53100: could not extend file" in message
            assert "No space left on device. Free space on the disk of the server, and run it again" in message
            subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
            assert restore(target, source, piece_size=64 << 10).resumed_from > 0
            target.check(export)
        finally:
            target.query("ALTER ROLE admin RESET default_tablespace")
            target.query("DROP DATABASE IF EXISTS shop WITH (FORCE)")
            target.query("DROP TABLESPACE small")
