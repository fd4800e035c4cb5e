# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of an export is in a real server: rows as an export has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Union

from . import mysql, postgresql
from .layout import Export, TableFacts
from .model import Column, Table, Value

BINARY = ("bit", "binary", "varbinary", "blob", "longblob")


def is_binary(column: Column) -> bool:
    return column.type.split("(")[0] in BINARY


def table_of(export: Export, facts: TableFacts) -> Table:
    return export.database(facts.database).table(facts.name)


def as_text(value: Value) -> Value:
    """As the queries below return it."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.hex().upper()
    return str(value) if isinstance(value, int) else value


def counted(rows: Sequence[Sequence[Value]]) -> Counter[tuple[Value, ...]]:
    return Counter(tuple(map(as_text, row)) for row in rows)


def in_mysql(cursor: Any, export: Export, facts: TableFacts) -> list[tuple[Value, ...]]:
    columns = {column.name: column for column in table_of(export, facts).columns}
    selected = []
    for name in facts.columns:
        quoted = mysql.name(name)
        if columns[name].type.startswith("bit"):
            selected.append(f"LPAD(HEX({quoted}), {4 if '10' in columns[name].type else 2}, '0')")
        elif is_binary(columns[name]):
            selected.append(f"HEX({quoted})")
        else:
            selected.append(quoted if columns[name].type == "double" else f"CAST({quoted} AS CHAR)")
    cursor.execute(f"SELECT {', '.join(selected)} FROM {mysql.name(facts.name)}")
    return list(cursor.fetchall())


def name_of(facts: TableFacts) -> str:
    return f"{postgresql.name(facts.schema or '')}.{postgresql.name(facts.name)}"


def in_postgresql(connection: Any, export: Export, facts: TableFacts) -> list[list[Value]]:
    """By COPY, whose texts are those of an export; what it has for bytes and booleans is made values again."""
    columns = {column.name: column.type for column in table_of(export, facts).columns}
    names = ", ".join(map(postgresql.name, facts.columns))
    if table_of(export, facts).options:
        return []  # a partitioned table has its rows in others
    with connection.cursor().copy(f"COPY (SELECT {names} FROM ONLY {name_of(facts)}) TO STDOUT") as stream:
        return [
            [read(text, columns[name]) for text, name in zip(row, facts.columns, strict=True)] for row in stream.rows()
        ]


def read(text: Union[str, None], kind: str) -> Value:
    if text is None:
        return None
    if kind == "bytea":
        return bytes.fromhex(text[2:])
    return text == "t" if kind == "boolean" else float(text) if kind in ("real", "double precision") else text
