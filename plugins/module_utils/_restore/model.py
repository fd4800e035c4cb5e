# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Types of a restore: what a backup holds, and what is to be done with it.

``Backup``  what the first pass found in the source
``Plan``    which of its tables are restored, how, and under which names
``Piece``   some whole records of one data file, which one transaction loads

Sizes are in bytes.
"""

from __future__ import annotations

import dataclasses
import enum
import typing as t

from .._base.text import printable


class Null(enum.Enum):
    """How a CSV file writes NULL: always without quotes."""

    #: As MySQL writes it where backslashes escape.
    BACKSLASH_N = "backslash_n"
    #: As MySQL writes it where they do not. LOAD DATA takes it for NULL in any case.
    WORD = "word"
    #: As PostgreSQL writes it.
    EMPTY = "empty"

    @property
    def token(self) -> bytes:
        return {"backslash_n": rb"\N", "word": b"NULL", "empty": b""}[
            self.value
        ]


class Dialect(t.NamedTuple):
    """How CSV files write a value. ``has_escapes``: whether a backslash escapes the next character."""

    null: Null
    has_escapes: bool


class DataFormat(enum.Enum):
    """Formats of data files, by the end of their names."""

    # First, as it also has the end of the next one.
    CSV_WITH_HEADER = "wh.csv"
    CSV = "csv"
    SQL = "sql"


class TableName(t.NamedTuple):
    """The name of a table. ``schema``: empty in MySQL."""

    database: str
    schema: str
    name: str

    def __str__(self) -> str:
        return ".".join(part for part in self if part)

    @property
    def printable(self) -> str:
        """The name for messages."""
        return printable(str(self))

    @property
    def in_database(self) -> tuple[str, str]:
        """The schema and the name."""
        return self.schema, self.name


class ColumnKind(enum.Enum):
    """What the text of a column in a CSV file is."""

    TEXT = "text"
    #: Bytes in hexadecimal digits.
    BINARY = "binary"
    #: Numbers, times and the like: text that has to be valid, and is never empty.
    OTHER = "other"


@dataclasses.dataclass(frozen=True)
class Column:
    """A column. ``type``: as the structure says it, in lower case, such as ``varchar(64)``."""

    name: str
    type: str
    kind: ColumnKind
    is_generated: bool = False


@dataclasses.dataclass(frozen=True)
class SchemaStructure:
    """What the structure of a schema says. PostgreSQL has a subclass with the types that tables need."""

    name: str


@dataclasses.dataclass(frozen=True)
class DatabaseStructure:
    """What the structure of a database says. ``collation``, ``charset``: empty if it says none.

    ``schemas``: those of its schemas that have a structure.
    """

    name: str
    charset: str = ""
    collation: str = ""
    schemas: tuple[SchemaStructure, ...] = ()


@dataclasses.dataclass(frozen=True)
class TableStructure:
    """What the structure of a table says. Each engine has a subclass with what it needs to make the table.

    ``keys``: names of all keys and constraints that the table must finally have.
    """

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    keys: tuple[str, ...]

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


@dataclasses.dataclass(frozen=True)
class Sample:
    """A record to be compared with the row in the database. ``record``: its number in the file, from 1.

    ``values``: as the file has them, without quotes and escapes; None for NULL; in the order of
    the columns of the file.
    """

    file: int
    record: int
    values: tuple[t.Optional[bytes], ...]


@dataclasses.dataclass(frozen=True)
class DataFile:
    """A data file. ``number``: its place among those of its table. ``member``: its name in the source.

    ``columns``: names of those that it has, in order; empty for SQL. ``piece_records``: the number of records of each piece.
    """

    number: int
    member: str
    format: DataFormat
    size: int
    columns: tuple[str, ...]
    piece_records: tuple[int, ...]

    @property
    def records(self) -> int:
        return sum(self.piece_records)

    @property
    def pieces(self) -> int:
        return len(self.piece_records)


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a backup. ``name``: with the names that the source has."""

    name: TableName
    structure: TableStructure
    files: tuple[DataFile, ...]
    samples: tuple[Sample, ...]

    @property
    def records(self) -> int:
        return sum(file.records for file in self.files)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclasses.dataclass(frozen=True)
class Backup:
    """What a source holds. ``fingerprint``: differs if its content differs.

    ``names``: of all tables. ``tables``: those that are selected.
    """

    fingerprint: str
    databases: tuple[DatabaseStructure, ...]
    names: tuple[TableName, ...]
    tables: tuple[Table, ...]
    dialect: Dialect
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class TablePlan:
    """What to do with a table. ``number``: names it in the progress of a restore.

    ``target``: its final name on the server. ``place``: the name under which it is loaded, which
    differs only if it replaces an old table. ``defers_keys``: whether keys are made after the data.
    """

    number: int
    source: Table
    target: TableName
    place: TableName
    defers_keys: bool

    @property
    def structure(self) -> TableStructure:
        return self.source.structure


@dataclasses.dataclass(frozen=True)
class Plan:
    """A plan. ``restore_id``: the same for the same content and the same options that change data."""

    restore_id: str
    backup: Backup
    tables: tuple[TablePlan, ...]
    #: Structures of the databases that are created if they do not exist, by the name on the server.
    databases: t.Mapping[str, DatabaseStructure]
    piece_size: int
    #: Whether the verification computes a checksum of each table.
    has_checksums: bool = False

    @property
    def dialect(self) -> Dialect:
        return self.backup.dialect

    @property
    def replaced(self) -> tuple[TablePlan, ...]:
        """Return the tables that replace old ones."""
        return tuple(one for one in self.tables if one.place != one.target)


class PieceKey(t.NamedTuple):
    """What names a piece: table and file by number, and its place in the file, from 0."""

    table: int
    file: int
    number: int


@dataclasses.dataclass(frozen=True)
class Piece:
    """Whole records of one file. ``data``: without the header; SQL is whole statements.

    ``first_record``: the number in the file of the first one, from 1.
    """

    key: PieceKey
    table: TablePlan
    file: DataFile
    first_record: int
    records: int
    data: bytes


class Loaded(t.NamedTuple):
    """What the server says of a piece that it loaded."""

    rows: int
    warnings: int = 0


class State(enum.Enum):
    """States of a restore, and of each of its tables."""

    # In their order: of several databases, the one that is the least far counts.
    PLANNED = "planned"
    LOADING = "loading"
    INDEXING = "indexing"
    VERIFYING = "verifying"
    #: All is verified, and takes the place of what is replaced.
    SWAPPING = "swapping"
    #: All is verified but tables that were skipped, which the next run looks at again.
    PARTIAL = "partial"
    DONE = "done"


@dataclasses.dataclass
class TableRecord:
    """What the server keeps of a table of a restore."""

    number: int
    target: TableName
    place: TableName
    state: State
    rows_expected: int
    rows_found: t.Optional[int] = None


@dataclasses.dataclass
class RestoreRecord:
    """What the server keeps of a restore. ``piece_size``: pieces of another size are other ones."""

    restore_id: str
    state: State
    piece_size: int
    tables: dict[int, TableRecord] = dataclasses.field(default_factory=dict)
    pieces: dict[PieceKey, Loaded] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan) -> RestoreRecord:
        """Return a record of what the plan aims at, whether it exists or not."""
        tables = {
            one.number: TableRecord(
                one.number,
                one.target,
                one.place,
                State.PLANNED,
                one.source.records,
            )
            for one in plan.tables
        }
        return cls(plan.restore_id, State.PLANNED, plan.piece_size, tables)


@dataclasses.dataclass(frozen=True)
class Verified:
    """What a verification of a table found. ``keys``: names of those that exist."""

    rows: int
    sampled: int
    keys: tuple[str, ...]
    checksum: t.Optional[str] = None
