# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is sampled is compared with the rows: by their texts, or by the server where a value has several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.apsaradb.backup.plugins.module_utils._restore import mysql_verification
from ansible_collections.apsaradb.backup.plugins.module_utils._restore.errors import VerificationError
from exports import Column, Database, Export, Table, mysql, mysql_tables
from restores import MySQLTarget, archive, restoration, restore

#: A column, a value in a file, another value that the table may have in its place, and another text of the same
#: value, if there is one.
VALUES = [
    ("int", "7", "8", "007"),
    ("decimal(9,2)", "1.50", "1.51", "1.5"),
    ("double", "1.5", "1.25", "1.50"),
    ("varchar(9)", "Ab", "ab", None),
    ("varchar(9) CHARACTER SET latin1", "ä", "a", None),
    ("text", "a", "a ", None),
    ("text", "NULL", None, None),
    ("varchar(9)", "", None, None),
    ("varchar(9)", None, "", None),
    ("varbinary(4)", b"\x00\xff", b"\x00\xfe", None),
    ("blob", b"\x00\xff", b"\x00\xff\x00", None),
    ("bit(10)", b"\x01\x02", b"\x01\x03", None),
    ("datetime(3)", "2024-01-02 03:04:05.000", "2024-01-02 03:04:05.001", "2024-01-02 03:04:05"),
    ("json", '{"a": 1}', '{"a": 2}', None),
]
#: Keys of the rows 1 and 2.
KEYS = [
    ("`id`", [("`id` bigint", "1", "2")]),
    ("`id`", [("`id` varchar(9)", "a", "b")]),
    ("`id`", [("`id` binary(2)", b"\x00a", b"\x00b")]),
    ("`id`", [("`id` double", "1.5", "2.5")]),
    ("`50%`,`at`", [("`50%` int", "-1", "2"), ("`at` date", "2024-01-01", "2024-01-02")]),
]


def table(columns: list[tuple[str, Any]], key: int = 0) -> Export:
    """A table with two rows: the second one has the values of the columns."""
    names, parts = KEYS[key]
    made = [Column(text.split("`")[1], text.split("` ")[1], "NOT NULL") for text, *_unused in parts]
    made += [Column(f"x %s {i}", *split(column)) for i, (column, _value) in enumerate(columns)]
    rows = [
        tuple(values[number] for values in parts) + tuple(value if number == 2 else None for _column, value in columns)
        for number in (1, 2)
    ]
    whole = Table("t%s", made, rows, keys=[f"PRIMARY KEY ({names})"])
    return Export("mysql", [Database("shop", [whole])], mysql.DEFAULTS)


def split(column: str) -> tuple[str, str]:
    type, _space, options = column.partition(" ")
    return type, options


@pytest.fixture
def verify(mysql_server: Any, tmp_path: Path) -> Iterator[Callable[[Export], Callable[[], Any]]]:
    """Restore, and return what verifies the table once more."""
    target, opened = MySQLTarget(mysql_server, time_zone="+00:00"), []

    def restored(export: Export) -> Callable[[], Any]:
        source = archive(export, tmp_path)
        restore(target, source)
        again = restoration(target, source)
        made = again.__enter__()
        made._server.open()
        plan = made._plan(made._request.options)
        session = made._server.session()
        opened.extend([session.close, made._server.close, lambda: again.__exit__(None, None, None)])
        return lambda: session.verify(plan.tables, plan)

    yield restored
    for close in opened:
        close()


@pytest.mark.parametrize("key", range(len(KEYS)))
def test_a_row_with_another_value_is_found(
    mysql_server: Any, verify: Callable[[Export], Callable[[], Any]], key: int
) -> None:
    again = verify(table([("varchar(9)", "Ab")], key))
    assert again()[0].sampled == 2
    MySQLTarget(mysql_server).query("UPDATE `shop`.`t%s` SET `x %s 0` = 'ab' WHERE `x %s 0` = 'Ab'")
    with pytest.raises(VerificationError, match=r"1 of them have another value in column 'x %s 0'"):
        again()


def test_another_value_of_any_type_is_found(mysql_server: Any, verify: Callable[[Export], Callable[[], Any]]) -> None:
    again = verify(table([(column, value) for column, value, _other, _same in VALUES]))
    target = MySQLTarget(mysql_server)
    for i, (_column, value, other, _same) in enumerate(VALUES):
        update = f"UPDATE `shop`.`t%%s` SET `x %%s {i}` = %s WHERE id = 2"
        target.query(update, other)
        with pytest.raises(VerificationError, match=rf"1 of them have another value in column 'x %s {i}'"):
            again()
        target.query(update, value)
    assert again()[0].sampled == 2


def test_another_text_of_the_same_value_is_none(verify: Callable[[Export], Callable[[], Any]]) -> None:
    assert verify(table([(column, same) for column, _value, _other, same in VALUES if same]))()[0].sampled == 2


def test_tables_are_mostly_read_back(mysql_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other way has ten statements for a table."""
    compared: list[str] = []
    compare = mysql_verification._compare

    def counted(connection: Any, table: Any, *more: Any) -> None:
        compared.append(table.target.name)
        compare(connection, table, *more)

    monkeypatch.setattr(mysql_verification, "_compare", counted)
    export = mysql_tables.export()
    restore(MySQLTarget(mysql_server, time_zone="+00:00"), archive(export, tmp_path))
    assert len(compared) < len(export.databases[0].tables) / 2
