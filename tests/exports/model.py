# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a backup is made of: databases, tables, rows of database values; and how its files say them.

All of it may be changed before files are made of it, so that a test can damage one thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Optional, Union

Value = Union[None, bool, int, float, Decimal, str, bytes]
"""A value of the database. Dates, JSON, arrays and the like are the text that the database has for them."""
Row = Sequence[Value]


@dataclass
class Column:
    name: str
    type: str
    options: str = ""
    """What follows the type in CREATE TABLE, such as NOT NULL."""
    generated: str = ""
    """The expression of a column that the database computes. Rows have its values all the same."""


@dataclass
class Table:
    """The statements of PostgreSQL's files have the placeholder {table} for the qualified name of the table."""

    name: str
    columns: list[Column]
    rows: Sequence[Row] = ()
    parts: int = 1
    """Data files, which share the rows in their order. With 0, there is no data directory."""
    keys: list[str] = field(default_factory=list)
    """MySQL: the lines of CREATE TABLE after those of the columns."""
    options: str = ""
    """What follows the columns in CREATE TABLE."""
    order: str = ""
    """The columns by which rows can be compared, for ORDER BY; where empty, the first."""

    schema: str = "public"
    serial: str = ""
    """PostgreSQL: the column that has a sequence of its own."""
    constraints: list[str] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)
    inherits: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    """PostgreSQL: statements before CREATE TABLE."""

    structure: Optional[str] = None
    """The text of structure.sql, or of column_structure.sql, in place of what follows from the rest."""

    def shares(self) -> list[Sequence[Row]]:
        """The rows of each data file."""
        if not self.parts:
            return []
        size = max(1, -(-len(self.rows) // self.parts))
        return [self.rows[size * part : size * (part + 1)] for part in range(self.parts)]


@dataclass
class Database:
    name: str
    tables: list[Table]
    charset: str = "utf8mb4"
    collation: str = "utf8mb4_general_ci"
    use: bool = False
    """MySQL: whether structure.sql ends with USE."""
    structure: Optional[str] = None

    def table(self, name: str) -> Table:
        return next(table for table in self.tables if table.name == name)

    @property
    def schemas(self) -> list[str]:
        return list(dict.fromkeys(table.schema for table in self.tables))


@dataclass(frozen=True)
class Dialect:
    """How data files say values. What the service does is not known, so each is an option."""

    format: str = "csv"
    """csv, wh.csv or sql: the ending of the names of data files."""
    header: Optional[bool] = None
    """Whether CSV files begin with the names of the columns; by the format unless set."""
    null: str = "\\N"
    escape: bool = True
    """Whether backslashes in CSV are doubled."""
    quotes: str = "doubled"
    """doubled or escaped, by a backslash."""
    quoting: str = "text"
    """What stands in quotes: all values but NULL, all but NULL and numbers (text), or only what needs them (needed)."""
    upper_hex: bool = False
    generated: str = "values"
    """Generated columns: in structure and data (values), in the structure alone (structure), or nowhere (absent)."""
    sequences: str = "owned"
    """PostgreSQL's column_structure.sql: CREATE SEQUENCE and OWNED BY (owned), the first alone (created), a column of
    type bigserial (serial), or a default from a sequence that no file creates (missing)."""
    rows_per_insert: int = 100
    name_columns: bool = True
    """Whether INSERT names the columns."""
    name_database: bool = True
    """MySQL: whether INSERT names the database."""

    @property
    def has_header(self) -> bool:
        return self.format == "wh.csv" if self.header is None else self.header
