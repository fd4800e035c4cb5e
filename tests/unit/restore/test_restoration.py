# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole restores into real servers: every value comes back, and nothing is done twice."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._base.errors import ConfigurationError
from ansible_collections.apsaradb.backup.plugins.module_utils._files.errors import DestinationError
from ansible_collections.apsaradb.backup.plugins.module_utils._restore import mysql_store
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.engine import Space
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.errors import (
    RestoreConflictError,
    VerificationError,
)
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.model import State
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_server import MySQLServer
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.mysql_session import MySQLSession
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.progress import Progress
from exports import mysql_tables, postgresql_tables
from restores import MySQLTarget, PostgreSQLTarget, archive, restoration, restore

#: Notations of NULL, escapes, quotes and formats, without those that are ambiguous by themselves.
DIALECTS: list[dict[str, Any]] = [
    {},
    {"null": "NULL"},
    {"null": ""},
    {"escape": False},
    {"escape": False, "null": "NULL"},
    {"escape": False, "null": ""},
    {"quotes": "escaped"},
    {"quoting": "all"},
    {"quoting": "needed"},
    {"format": "wh.csv", "generated": "structure"},
    {"format": "sql", "generated": "structure"},
    {"upper_hex": True},
]


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_every_value_comes_back(mysql_server: Any, tmp_path: Path, dialect: dict[str, Any]) -> None:
    export = mysql_tables.export(**dialect)
    outcome = restore(MySQLTarget(mysql_server, time_zone="+00:00"), archive(export, tmp_path))
    assert outcome.changed
    assert outcome.state is State.DONE
    MySQLTarget(mysql_server).check(export)
    for table in outcome.tables:
        assert table.rows == table.plan.source.records == table.verified.rows  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("backup.tar", {"order": "data first", "tars": 3}),
        ("backup.tar.zst", {"order": "shuffled", "tars": 2}),
        ("backup.tar.gz", {"order": "structures last"}),
        ("backup", {}),
    ],
    ids=str,
)
def test_every_source_is_read(mysql_server: Any, tmp_path: Path, name: str, how: dict[str, Any]) -> None:
    export = mysql_tables.export()
    target = MySQLTarget(mysql_server, time_zone="+00:00")
    assert restore(target, archive(export, tmp_path, name, **how)).changed
    target.check(export)


@pytest.mark.parametrize("defers_keys", [True, False])
def test_keys_are_made_before_or_after_the_data(mysql_server: Any, tmp_path: Path, defers_keys: bool) -> None:
    export = mysql_tables.export()
    target = MySQLTarget(mysql_server, time_zone="+00:00")
    outcome = restore(target, archive(export, tmp_path), defers_keys=defers_keys, piece_size=64)
    target.check(export)
    keys = {one.plan.target.name: one.verified.keys for one in outcome.tables}  # type: ignore[union-attr]
    assert set(keys["orders"]) == {"PRIMARY", "order_no", "customer", "note"}


def test_a_second_run_changes_nothing(mysql_server: Any, tmp_path: Path) -> None:
    source = archive(mysql_tables.export(), tmp_path)
    target = MySQLTarget(mysql_server, time_zone="+00:00")
    first = restore(target, source)
    again = restore(target, source)
    assert (first.changed, again.changed) == (True, False)
    assert again.restore_id == first.restore_id
    assert again.state is State.DONE


def test_tables_that_were_all_dropped_are_restored_again(mysql_server: Any, tmp_path: Path) -> None:
    source = archive(mysql_tables.export(), tmp_path)
    target = MySQLTarget(mysql_server, time_zone="+00:00")
    restore(target, source)
    target.query("DROP TABLE shop.orders")
    with pytest.raises(RestoreConflictError, match=r"shop\.orders no longer exists, and had 100"):
        restore(target, source)
    target.query("DROP DATABASE shop")
    assert restore(target, source).changed
    target.check(mysql_tables.export())


def test_schemas_that_were_dropped_are_restored_again(postgresql: Any, tmp_path: Path) -> None:
    source = archive(postgresql_tables.export(), tmp_path)
    target = PostgreSQLTarget(postgresql)
    restore(target, source)
    schemas = target.query(
        "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^pg_|apsaradb|information'", database="shop"
    )
    for (schema,) in schemas:
        target.query(f"DROP SCHEMA {schema} CASCADE", database="shop")
    assert restore(target, source).changed
    target.check(postgresql_tables.export())


# Tables that exist


def test_a_table_that_exists_is_refused_or_skipped(mysql_server: Any, tmp_path: Path) -> None:
    target = MySQLTarget(mysql_server, time_zone="+00:00")
    target.query("CREATE DATABASE shop")
    target.query("CREATE TABLE shop.orders (x INT)")
    source = archive(mysql_tables.export(), tmp_path)
    with pytest.raises(RestoreConflictError, match=r"did not create them: shop\.orders\."):
        restore(target, source)
    assert target.query("SHOW TABLES FROM shop") == [("orders",)]
    outcome = restore(target, source, on_existing="skip")
    assert list(map(str, outcome.skipped)) == ["shop.orders"]
    assert target.query("SELECT COUNT(*) FROM shop.orders") == [(0,)]
    assert target.query("SELECT COUNT(*) FROM shop.customers")[0][0] > 0


def test_a_restore_without_a_table_that_was_skipped_is_not_complete(any_server: Any, tmp_path: Path) -> None:
    is_mysql = any_server.name != "postgresql"
    target: Any = MySQLTarget(any_server, time_zone="+00:00") if is_mysql else PostgreSQLTarget(any_server)
    export = mysql_tables.export(["shop"]) if is_mysql else postgresql_tables.export(["shop"])
    # No foreign key stands on it.
    name = "orders" if is_mysql else "invoice_lines"
    where, place = ({}, f"shop.{name}") if is_mysql else ({"database": "shop"}, f"public.{name}")
    source = archive(export, tmp_path)
    target.query("CREATE DATABASE shop")
    target.query(f"CREATE TABLE {place} (x INT)", **where)
    for changed in (True, False):
        outcome = restore(target, source, on_existing="skip")
        assert (outcome.changed, outcome.state) == (changed, State.DONE)
        assert [one.name for one in outcome.skipped] == [name]
    with pytest.raises(RestoreConflictError, match=rf"did not create them: .*{name}\."):
        restore(target, source)
    target.query(f"DROP TABLE {place}", **where)
    for changed in (True, False):
        outcome = restore(target, source)
        assert (outcome.changed, outcome.skipped, outcome.state) == (changed, [], State.DONE)
    target.check(export)


def test_old_tables_are_replaced_and_kept(mysql_server: Any, tmp_path: Path) -> None:
    target = MySQLTarget(mysql_server, time_zone="+00:00")
    target.query("CREATE DATABASE shop")
    target.query("CREATE TABLE shop.orders (x INT)")
    target.query("INSERT INTO shop.orders VALUES (7)")
    export = mysql_tables.export()
    source = archive(export, tmp_path)
    outcome = restore(target, source, on_existing="replace")
    assert (outcome.state, outcome.changed) == (State.DONE, True)
    target.check(export)
    (old,) = outcome.replaced.values()
    assert target.query(f"SELECT * FROM {old}") == [(7,)]
    assert restore(target, source, on_existing="replace").changed is False
    names = {name for (name,) in target.query("SHOW DATABASES")}
    assert not [name for name in names if "_new_" in name]
    # What a run leaves that is killed after the swap.
    target.query("UPDATE apsaradb_restore.restores SET state = 'swapping'")
    again = restore(target, source, on_existing="replace")
    assert (again.changed, again.replaced) == (True, outcome.replaced)


def test_a_table_with_a_trigger_is_not_replaced(mysql_server: Any, tmp_path: Path) -> None:
    target = MySQLTarget(mysql_server, time_zone="+00:00")
    target.query("CREATE DATABASE shop")
    target.query("CREATE TABLE shop.orders (x INT)")
    target.query("CREATE TRIGGER shop.watch BEFORE INSERT ON shop.orders FOR EACH ROW SET NEW.x = 1")
    with pytest.raises(RestoreConflictError, match=r"shop\.orders cannot be replaced, as it has the trigger watch"):
        restore(target, archive(mysql_tables.export(), tmp_path), on_existing="replace")


def test_an_old_database_of_postgresql_is_replaced_and_kept(postgresql: Any, tmp_path: Path) -> None:
    target = PostgreSQLTarget(postgresql)
    target.query("CREATE DATABASE shop")
    target.query("CREATE TABLE public.orders (x INT)", database="shop")
    export = postgresql_tables.export()
    source = archive(export, tmp_path)
    with pytest.raises(RestoreConflictError, match=r"did not create them: shop\.public\.orders"):
        restore(target, source)
    outcome = restore(target, source, on_existing="replace")
    assert (outcome.state, outcome.changed) == (State.DONE, True)
    target.check(export)
    assert target.query("SELECT COUNT(*) FROM public.orders", database=outcome.replaced["shop"]) == [(0,)]
    assert restore(target, source).changed is False
    # What a run leaves that is killed after the swap.
    target.query("UPDATE apsaradb_restore.restores SET state = 'swapping'", database="shop")
    again = restore(target, source, on_existing="replace")
    assert (again.changed, again.replaced) == (True, outcome.replaced)


# Settings of the server


def test_local_infile_is_set_and_put_back(mysql_server: Any, tmp_path: Path) -> None:
    target = MySQLTarget(mysql_server, time_zone="+00:00", sets_local_infile=True)
    target.query("SET GLOBAL local_infile = 0")
    try:
        source = archive(mysql_tables.export(), tmp_path)
        with pytest.raises(ConfigurationError, match="local_infile of the server is OFF"):
            restore(MySQLTarget(mysql_server), source)
        assert restore(target, source).changed
        assert target.query("SELECT @@GLOBAL.local_infile") == [(0,)]
    finally:
        target.query("SET GLOBAL local_infile = 1")


def test_the_redo_log_is_disabled_and_enabled_again(mysql: Any, tmp_path: Path) -> None:
    target = MySQLTarget(mysql, time_zone="+00:00", disables_redo_log=True)
    states = []

    def watch(progress: Progress) -> None:
        if progress.phase == "loading":
            states.append(target.query("SHOW GLOBAL STATUS LIKE 'Innodb_redo_log_enabled'")[0][1])

    source = archive(mysql_tables.export(), tmp_path)
    with restoration(target, source, watch) as one:
        one.run()
    assert "OFF" in states
    assert target.query("SHOW GLOBAL STATUS LIKE 'Innodb_redo_log_enabled'")[0][1] == "ON"


def test_the_redo_log_is_not_disabled_beside_other_data(mysql: Any, tmp_path: Path) -> None:
    target = MySQLTarget(mysql, time_zone="+00:00", disables_redo_log=True)
    target.query("CREATE DATABASE other")
    target.query("CREATE TABLE other.t (x INT)")
    with pytest.raises(ConfigurationError, match="the server has the database other"):
        restore(target, archive(mysql_tables.export(), tmp_path))


# Space


class FullServer(MySQLServer):
    def space(self) -> Space:
        return Space(1000, 2.0)


def test_a_restore_that_has_no_room_is_refused_before_anything_is_made(mariadb: Any, tmp_path: Path) -> None:
    class Target(MySQLTarget):
        def connected(self) -> MySQLServer:
            return FullServer(super().connected()._options)

    target = Target(mariadb)
    source = archive(mysql_tables.export(), tmp_path)
    with pytest.raises(DestinationError, match=r"has 1000 bytes free, and the restore needs about \d{5,}"):
        restore(target, source)
    assert "shop" not in {name for (name,) in target.query("SHOW DATABASES")}


def test_the_space_of_a_server_on_this_host_is_known(mysql_server: Any, postgresql: Any) -> None:
    for target in (MySQLTarget(mysql_server), PostgreSQLTarget(postgresql)):
        with closing(target.connected()) as server:
            server.open()
            assert (server.space().free or 0) > 0


def test_a_limit_of_the_server_for_statements_does_not_count(mysql_server: Any) -> None:
    target = MySQLTarget(mysql_server)
    limits = "VARIABLES WHERE variable_name IN ('max_statement_time', 'max_execution_time')"
    ((name, before),) = target.query(f"SHOW GLOBAL {limits}")
    target.query(f"SET GLOBAL {name} = 3600")
    try:
        with closing(target.connected()) as server:
            server.open()
            session = server.session()
            assert [float(value) for _name, value in session._connection.query(f"SHOW SESSION {limits}")] == [0]
            session.close()
    finally:
        target.query(f"SET GLOBAL {name} = {before}")


# What is recorded


def test_a_table_whose_pieces_are_forgotten_is_not_done(mysql_server: Any, tmp_path: Path) -> None:
    target = MySQLTarget(mysql_server, time_zone="+00:00")
    outcome = restore(target, archive(mysql_tables.export(), tmp_path))
    number = outcome.tables[0].plan.number
    with closing(target.connected()) as server:
        server.open()
        record = server.find(outcome.restore_id)
        assert record
        assert record.tables[number].state is State.DONE
        mysql_store.forget_pieces(server._connection, record, number)
        again = server.find(outcome.restore_id)
        assert again
        assert again.tables[number].state is State.PLANNED
        assert not [key for key in again.pieces if key.table == number]


class Breaking(MySQLSession):
    """Loads once, and then fails."""

    loads = 0

    def load(self, pieces: Any, plan: Any) -> Any:
        self.loads += 1
        if self.loads == 2:
            raise VerificationError("no more")
        return super().load(pieces, plan)


def test_a_table_that_is_half_in_is_said_to_be_loading(mariadb: Any, tmp_path: Path) -> None:
    class BreakingServer(MySQLServer):
        def session(self) -> Breaking:
            return Breaking(self._options)

    class Target(MySQLTarget):
        def connected(self) -> MySQLServer:
            return BreakingServer(super().connected()._options)

    source = archive(mysql_tables.export(), tmp_path)
    target = Target(mariadb, time_zone="+00:00")
    with restoration(target, source, tables=["shop.orders"], piece_size=64, threads=1) as one:
        with pytest.raises(VerificationError, match="no more"):
            one.run()
        (orders,) = one.outcome.tables
        assert 0 < orders.rows < orders.plan.source.records
        assert orders.state is State.LOADING
