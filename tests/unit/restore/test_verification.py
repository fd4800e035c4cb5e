# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables that are verified together: what is wrong with any of them is found, and named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.errors import VerificationError
from exports import mysql_tables, postgresql_tables
from restores import MySQLTarget, PostgreSQLTarget, archive, restoration, restore

#: For the engine, what is done to a table, and what is said of it.
MYSQL = {
    "a row less": ("DELETE FROM {table} ORDER BY id DESC LIMIT 1", "rows, and the backup"),
    "a row more": ("INSERT INTO {table} SELECT * FROM {table}_more", "rows, and the backup"),
    "another value": ("UPDATE {table} SET {text} = 's3cret'", "have another value in column"),
    "a key less": ("ALTER TABLE {table} DROP KEY {key}", "lacks the key"),
}
POSTGRESQL = {
    "a row less": ("DELETE FROM {table} WHERE id = (SELECT max(id) FROM {table})", "rows, and the backup"),
    "a row more": ("INSERT INTO {table} SELECT * FROM {table}_more", "rows, and the backup"),
    "another value": ("UPDATE {table} SET {text} = 's3cret'", "differs in"),
    "a key less": ("ALTER TABLE {table} DROP CONSTRAINT {name}_pkey CASCADE", "lacks the key"),
}
TABLES = {"customers": {"text": "name", "key": "email"}, "orders": {"text": "note", "key": "customer"}}


class Verified:
    """Two tables that were restored. ``verify`` does that once more."""

    def __init__(self, target: Any, verify: Callable[[], Any]) -> None:
        self.is_mysql = isinstance(target, MySQLTarget)
        self._target = target
        self.verify = verify

    def change(self, statement: str, name: str) -> None:
        table = f"shop.{name}" if self.is_mysql else f"public.{name}"
        where: dict[str, Any] = {} if self.is_mysql else {"database": "shop"}
        # A row that the table does not have.
        self._target.query(f"CREATE TABLE {table}_more AS SELECT * FROM {table} WHERE id = 1", **where)
        unique = {"customers": "email", "orders": "order_no"}[name]
        self._target.query(f"UPDATE {table}_more SET id = 100000, {unique} = 'other'", **where)
        self._target.query(statement.format(table=table, name=name, **TABLES[name]), **where)


@contextmanager
def restored(server: Any, directory: Path) -> Iterator[Verified]:
    is_mysql = server.name != "postgresql"
    target: Any = MySQLTarget(server, time_zone="+00:00") if is_mysql else PostgreSQLTarget(server)
    export = (mysql_tables if is_mysql else postgresql_tables).export(["shop"])
    shop = export.databases[0]
    shop.tables = [shop.table(name) for name in TABLES]
    source = archive(export, directory)
    restore(target, source)
    with restoration(target, source) as one:
        one._server.open()
        plan = one._plan(one._request.options)
        session = one._server.session()
        yield Verified(target, lambda: session.verify(plan.tables, plan))
        session.close()


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("damage", MYSQL)
def test_damage_of_any_table_is_found(any_server: Any, tmp_path: Path, damage: str, name: str) -> None:
    with restored(any_server, tmp_path) as verified:
        assert all(one.rows for one in verified.verify()), "they are whole"
        statement, said = (MYSQL if verified.is_mysql else POSTGRESQL)[damage]
        verified.change(statement, name)
        with pytest.raises(VerificationError) as raised:
            verified.verify()
    assert said in str(raised.value)
    assert name in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("name", TABLES)
def test_a_sequence_of_any_table_is_found(postgresql: Any, tmp_path: Path, name: str) -> None:
    with restored(postgresql, tmp_path) as verified:
        verified.change("SELECT setval('{table}_id_seq', 1)", name)
        with pytest.raises(VerificationError, match=f"the sequence public.{name}_id_seq is behind"):
            verified.verify()
