# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports as real servers take them, by the plainest statements: the values of the manifest come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from databases import MariaDB, MySQL, PostgreSQL
from exports import Export, TableFacts, large, mysql, mysql_tables, postgresql, postgresql_tables
from exports.in_servers import counted, in_mysql, in_postgresql, is_binary, name_of, table_of

DIALECTS: list[dict[str, Any]] = [
    {},
    {"null": "NULL", "quoting": "all", "upper_hex": True},
    {"quoting": "needed", "format": "wh.csv"},
    {"quotes": "escaped", "generated": "structure"},
    {"null": "NULL", "escape": False, "generated": "absent"},
    {"format": "sql", "generated": "structure", "rows_per_insert": 3},
]


# MySQL and MariaDB


def load(cursor: Any, export: Export, facts: TableFacts, name: str, path: Path) -> None:
    """LOAD DATA with what the notes of its columns say."""
    columns, conversions = [], []
    for number, column in enumerate(table_of(export, facts).columns):
        if is_binary(column):
            columns.append(f"@v{number}")
            conversions.append(f"{mysql.name(column.name)} = UNHEX(@v{number})")
        elif not column.generated:
            columns.append(mysql.name(column.name))
        elif export.dialect.generated == "values":
            columns.append(f"@v{number}")
    cursor.execute(
        f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE {mysql.name(facts.name)} CHARACTER SET utf8mb4 "
        rf"FIELDS TERMINATED BY ',' ENCLOSED BY '\"' ESCAPED BY '{chr(92) * 2 if export.dialect.escape else ''}' "
        rf"LINES TERMINATED BY '\n' IGNORE {int(export.dialect.has_header)} LINES ({', '.join(columns)}) "
        + (f"SET {', '.join(conversions)}" if conversions else "")
    )
    assert cursor.rowcount == facts.files[name].rows
    cursor.execute("SHOW WARNINGS")
    assert cursor.fetchall() == ()


def restore_mysql(server: MySQL | MariaDB, export: Export, directory: Path) -> None:
    files = export.files()
    with server.connect(local_infile=True, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00'")
        cursor.execute(files["dt-export/shop/structure.sql"].decode())
        cursor.execute("USE shop")
        for facts in export.manifest():
            cursor.execute(files[f"dt-export/shop/{facts.name}/structure.sql"].decode())
            for number, name in enumerate(facts.files):
                if not files[name]:
                    continue
                if export.dialect.format == "sql":
                    for statement in filter(None, files[name].decode().split(";\n")):
                        cursor.execute(statement)
                else:
                    (directory / str(number)).write_bytes(files[name])
                    load(cursor, export, facts, name, directory / str(number))
            assert counted(in_mysql(cursor, export, facts)) == counted(facts.rows), facts.name


@pytest.mark.process
@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_mysql_has_the_values_of_the_manifest(
    mysql_server: MySQL | MariaDB, tmp_path: Path, dialect: dict[str, Any]
) -> None:
    restore_mysql(mysql_server, mysql_tables.export(**dialect), tmp_path)


@pytest.mark.process
def test_mysql_takes_the_large_tables(mysql_server: MySQL | MariaDB, tmp_path: Path) -> None:
    restore_mysql(mysql_server, large.export("mysql", 3000, small_tables=2), tmp_path)


# PostgreSQL


def statements(files: dict[str, bytes], kind: str) -> list[str]:
    """Of all tables; those of foreign keys, which need the keys, at the end."""
    found = [
        statement
        for name, content in files.items()
        if name.endswith(f"/{kind}_structure.sql")
        for statement in (content.decode().split(";\n") if kind == "constraint" else [content.decode()])
    ]
    return sorted(filter(None, found), key=lambda statement: "FOREIGN KEY" in statement)


def restore_postgresql(server: PostgreSQL, export: Export) -> None:
    files = export.files()
    with server.connect(autocommit=True) as connection:
        connection.execute(files["dt-export/shop/structure.sql"].decode())
    with server.connect(dbname="shop", autocommit=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for schema in export.database("shop").schemas:
            if schema != "public":
                connection.execute(files[f"dt-export/shop/{schema}/structure.sql"].decode())
        for statement in statements(files, "column"):
            connection.execute(statement)
        for facts in export.manifest():
            for name in facts.files:
                copy(connection, export, facts, files[name])
        for kind in ("constraint", "index", "inherit"):
            for statement in statements(files, kind):
                connection.execute(statement)
        for facts in export.manifest():
            assert counted(in_postgresql(connection, export, facts)) == counted(facts.rows), facts.name


def copy(connection: Any, export: Export, facts: TableFacts, content: bytes) -> None:
    dialect = export.dialect
    if dialect.format == "sql":
        connection.execute(content)
        return
    generated = [column.name for column in table_of(export, facts).columns if column.generated]
    columns = ", ".join(postgresql.name(name) for name in facts.columns if name not in generated)
    options = f"FORMAT csv, NULL '{dialect.null}', HEADER {dialect.has_header}"
    with connection.cursor().copy(f"COPY {name_of(facts)} ({columns}) FROM STDIN ({options})") as stream:
        stream.write(content)


@pytest.mark.process
@pytest.mark.parametrize(
    "dialect",
    [
        {},
        {"null": "NULL", "quoting": "all", "sequences": "serial"},
        {"null": "\\N", "quoting": "text", "format": "wh.csv", "sequences": "created"},
        {"format": "sql", "generated": "absent"},
    ],
    ids=str,
)
def test_postgresql_has_the_values_of_the_manifest(postgresql: PostgreSQL, dialect: dict[str, Any]) -> None:
    restore_postgresql(postgresql, postgresql_tables.export(**dialect))


@pytest.mark.process
def test_postgresql_takes_the_large_tables(postgresql: PostgreSQL) -> None:
    restore_postgresql(postgresql, large.export("postgresql", 3000, small_tables=2))
