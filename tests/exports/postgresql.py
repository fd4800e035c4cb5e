# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SQL of PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .model import Column, Database, Dialect, Table

hex_prefix: Final = "\\x"
DEFAULTS: Final = Dialect(null="", escape=False, quoting="needed", generated="structure")


def name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def binary(digits: str) -> str:
    return f"'\\x{digits}'"


def qualified(table: Table) -> str:
    return f"{name(table.schema)}.{name(table.name)}"


def insert(database: Database, table: Table, names: Sequence[str], dialect: Dialect) -> str:
    """INSERT up to VALUES."""
    columns = f" ({', '.join(map(name, names))})" if dialect.name_columns else ""
    always = any("GENERATED ALWAYS" in column.options for column in table.columns)
    return f"INSERT INTO {qualified(table)}{columns}{' OVERRIDING SYSTEM VALUE' if always else ''}"


def directory(table: Table) -> str:
    return f"{table.schema}/{table.name}"


def structures(database: Database) -> dict[str, str]:
    """The files of a database, and of its schemas."""
    create = f"CREATE DATABASE {name(database.name)} WITH TEMPLATE = template0 ENCODING = 'UTF8';\n"
    files = {"structure.sql": create if database.structure is None else database.structure}
    for schema in database.schemas:
        files[f"{schema}/structure.sql"] = f"CREATE SCHEMA {name(schema)};\n"
    return files


def table_structures(table: Table, dialect: Dialect) -> dict[str, str]:
    """The files of a table. Those that would be empty are left out."""
    files = {"column_structure.sql": _columns(table, dialect) if table.structure is None else table.structure}
    for kind in ("constraint", "index", "inherit"):
        statements = {"constraint": table.constraints, "index": table.indexes, "inherit": table.inherits}[kind]
        if statements:
            files[f"{kind}_structure.sql"] = _joined(statements, table)
    return files


def _joined(statements: list[str], table: Table) -> str:
    return "".join(statement.replace("{table}", qualified(table)) + ";\n" for statement in statements)


def _columns(table: Table, dialect: Dialect) -> str:
    sequence = f"{name(table.schema)}.{name(f'{table.name}_{table.serial}_seq')}"
    with_sequence = table.serial and dialect.sequences in ("owned", "created")
    before = [*table.before, *([f"CREATE SEQUENCE {sequence}"] if with_sequence else [])]
    owned = f"ALTER SEQUENCE {sequence} OWNED BY {{table}}.{name(table.serial)}"
    after = [owned] if table.serial and dialect.sequences == "owned" else []
    lines = [
        f"    {_column(column, sequence if column.name == table.serial else '', dialect)}"
        for column in table.columns
        if not column.generated or dialect.generated != "absent"
    ]
    options = f"\n{table.options}" if table.options else ""
    create = "CREATE TABLE {table} (\n" + ",\n".join(lines) + f"\n){options}"
    return _joined([*before, create, *after], table)


def _column(column: Column, sequence: str, dialect: Dialect) -> str:
    parts = [name(column.name), column.type]
    if sequence and dialect.sequences == "serial":
        parts[1] = "bigserial"
    elif sequence:
        parts.append(f"DEFAULT nextval({text(sequence)}::regclass)")
    if column.generated:
        parts.append(f"GENERATED ALWAYS AS ({column.generated}) STORED")
    return " ".join(filter(None, (*parts, column.options)))
