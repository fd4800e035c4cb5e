# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SQL of MySQL and MariaDB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .model import Column, Database, Dialect, Table

hex_prefix: Final = ""
DEFAULTS: Final = Dialect()
ESCAPES: Final = str.maketrans({"\\": "\\\\", "'": "''", "\n": "\\n", "\r": "\\r", "\0": "\\0", "\x1a": "\\Z"})


def name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def text(text: str) -> str:
    return "'" + text.translate(ESCAPES) + "'"


def binary(digits: str) -> str:
    return f"0x{digits}" if digits else "''"


def insert(database: Database, table: Table, names: Sequence[str], dialect: Dialect) -> str:
    """INSERT up to VALUES."""
    qualifier = f"{name(database.name)}." if dialect.name_database else ""
    columns = f" ({', '.join(map(name, names))})" if dialect.name_columns else ""
    return f"INSERT INTO {qualifier}{name(table.name)}{columns}"


def directory(table: Table) -> str:
    return table.name


def structures(database: Database) -> dict[str, str]:
    """The files of a database, and of its schemas where it has such."""
    if database.structure is not None:
        return {"structure.sql": database.structure}
    charset = f"/*!40100 DEFAULT CHARACTER SET {database.charset} COLLATE {database.collation} */"
    use = f"USE {name(database.name)};\n" if database.use else ""
    return {"structure.sql": f"CREATE DATABASE {name(database.name)} {charset};\n{use}"}


def table_structures(table: Table, dialect: Dialect) -> dict[str, str]:
    """The files of a table."""
    return {"structure.sql": _create_table(table, dialect) if table.structure is None else table.structure}


def _create_table(table: Table, dialect: Dialect) -> str:
    absent = [column for column in table.columns if column.generated and dialect.generated == "absent"]
    lines = [_column(column) for column in table.columns if column not in absent]
    lines += [key for key in table.keys if not any(name(column.name) in key for column in absent)]
    body = ",\n".join(f"  {line}" for line in lines)
    options = table.options or "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
    return f"CREATE TABLE {name(table.name)} (\n{body}\n) {options};\n"


def _column(column: Column) -> str:
    generated = f"GENERATED ALWAYS AS ({column.generated}) STORED" if column.generated else ""
    return " ".join(filter(None, (name(column.name), column.type, generated, column.options)))
