# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Compares tables of MySQL with the backup: their rows, keys, and sampled records.

Most values have one text, which is that of the file: sampled rows are read back as texts. Where these differ, or could,
the server compares, as 1.0 and 1.00 can be the same. The samples are inserted into a temporary table by parameters,
which are another way than that of the data. Then the server compares them with the rows: bytes of texts, and not their
collation.
"""

from __future__ import annotations

import re
import typing as t

from . import tuning
from .errors import VerificationError
from .model import Column, ColumnKind, DataFile, Sample, TablePlan
from .mysql_connection import Connection
from .mysql_store import DATABASE, qualified
from .mysql_tokens import quote

_SAMPLES = f"{DATABASE}.samples"
#: Types of bytes that are in a file as HEX gives them. A BIT is a number, and a place begins with other bytes.
_PLAIN_BYTES = re.compile(r"(var)?binary\b|\w*blob\b|(var)?char\b|\w*text\b")
#: Types of keys by which a server finds a row for a constant, without reading others.
_NUMBERS = re.compile(r"(tiny|small|medium|big)?int(eger)?\b")
_TEXTS = re.compile(r"(var)?char\b|\w*text\b|date(time)?\b|timestamp\b")


def counts_of(
    connection: Connection, tables: t.Sequence[TablePlan]
) -> list[int]:
    """Count the rows of each table, by one statement."""
    rows = connection.query(
        " UNION ALL ".join(
            f"SELECT {i}, COUNT(*) FROM {qualified(one.place)}"
            for i, one in enumerate(tables)
        )
    )
    counts = dict(rows)
    return [counts[i] for i in range(len(tables))]


def keys_of(
    connection: Connection, tables: t.Sequence[TablePlan]
) -> list[set[str]]:
    """Return the names of the keys that each table has, by one statement."""
    if not tables:
        return []
    # Not by one list of names, for which MariaDB opens all tables of the database.
    rows = connection.query(
        " UNION ALL ".join(
            f"SELECT {i}, index_name FROM information_schema.statistics "
            "WHERE table_schema = %s AND table_name = %s"
            for i in range(len(tables))
        ),
        [
            name
            for one in tables
            for name in (one.place.database, one.place.name)
        ],
    )
    keys: list[set[str]] = [set() for _unused in tables]
    for i, name in rows:
        keys[i].add(str(name))
    return keys


def compare_samples(connection: Connection, table: TablePlan) -> int:
    """Return how many records were compared. Raises VerificationError."""
    compared = 0
    for file in table.source.files:
        samples = [
            one for one in table.source.samples if one.file == file.number
        ]
        has_key = set(table.structure.primary_key) <= set(
            file.columns
        ) and bool(table.structure.primary_key)
        if samples and (
            has_key or table.source.size <= tuning.MAX_SAMPLED_WITHOUT_KEY
        ):
            columns = [table.structure.column(name) for name in file.columns]
            stored = [column for column in columns if not column.is_generated]
            if not (has_key and _reads(connection, table, columns, samples)):
                _insert(connection, table, columns, stored, samples)
                _compare(connection, table, file, stored, samples, has_key)
            compared += len(samples)
    return compared


def _reads(
    connection: Connection,
    table: TablePlan,
    columns: list[Column],
    samples: list[Sample],
) -> bool:
    """Return whether the rows of all samples are read back as the very texts of the file.

    If not, their values can still be the same.
    """
    size = sum(len(value or b"") for one in samples for value in one.values)
    if size > tuning.SAMPLES_SIZE or not all(map(_has_one_text, columns)):
        return False
    keys = [
        table.structure.column(name) for name in table.structure.primary_key
    ]
    expected, values = set(), []
    for sample in samples:
        record = dict(zip((one.name for one in columns), sample.values))
        values += [_constant(one, record[one.name]) for one in keys]
        expected.add(
            tuple(
                _text(one, record[one.name])
                for one in columns
                if not one.is_generated
            )
        )
    if None in values:
        return False
    texts = ", ".join(_read(one) for one in columns if not one.is_generated)
    select = _beside_values(f"SELECT {texts} FROM {qualified(table.place)}")
    row = " AND ".join(
        f"{_beside_values(quote(one.name))} = %s" for one in keys
    )
    found: set[tuple[t.Any, ...]] = set()
    step = tuning.ROWS_AT_A_TIME * len(keys)
    for begin in range(0, len(values), step):
        some = values[begin : begin + step]
        rows = " OR ".join([f"({row})"] * (len(some) // len(keys)))
        found.update(connection.query(f"{select} WHERE {rows}", some))
    return expected <= found


def _beside_values(text: str) -> str:
    """Return a part of a statement that has values: a percent sign in a name would be the place of one."""
    return text.replace("%", "%%")


def _has_one_text(column: Column) -> bool:
    return column.kind is not ColumnKind.BINARY or bool(
        _PLAIN_BYTES.match(column.type)
    )


def _read(column: Column) -> str:
    function = (
        "HEX({})" if column.kind is ColumnKind.BINARY else "CAST({} AS CHAR)"
    )
    return function.format(quote(column.name))


def _text(column: Column, value: t.Optional[bytes]) -> t.Optional[str]:
    """Return the text of a record that is read for the same value."""
    text = None if value is None else value.decode("utf-8")
    return text.upper() if text and column.kind is ColumnKind.BINARY else text


def _constant(
    column: Column, value: t.Optional[bytes]
) -> t.Union[int, str, None]:
    """Return what a key is compared with; None if not all servers find the row by it."""
    text = _text(column, value)
    if text and _NUMBERS.match(column.type) and text.lstrip("-").isdigit():
        return int(text)
    is_text = column.kind is not ColumnKind.BINARY and _TEXTS.match(column.type)
    return text if is_text else None


def _insert(
    connection: Connection,
    table: TablePlan,
    columns: list[Column],
    stored: list[Column],
    samples: list[Sample],
) -> None:
    names = ", ".join(quote(column.name) for column in stored)
    connection.execute(f"DROP TEMPORARY TABLE IF EXISTS {_SAMPLES}")
    # Some servers take no table without a primary key.
    key = "number"
    while key in {column.name.lower() for column in stored}:
        key += "_"
    # Made from the table, so that columns have the same types, without keys and generated columns.
    connection.execute(
        f"CREATE TEMPORARY TABLE {_SAMPLES} ({quote(key)} INT AUTO_INCREMENT PRIMARY KEY) "
        f"SELECT {names} FROM {qualified(table.place)} LIMIT 0"
    )
    for sample in samples:
        values = [
            _parameter(column, value)
            for column, value in zip(columns, sample.values)
            if not column.is_generated
        ]
        marks = ", ".join(["%s"] * len(values))
        connection.execute(
            f"INSERT INTO {_SAMPLES} ({_beside_values(names)}) VALUES ({marks})",
            values,
        )


def _parameter(
    column: Column, value: t.Optional[bytes]
) -> t.Union[str, bytes, None]:
    if value is None:
        return None
    if column.kind is ColumnKind.BINARY:
        return bytes.fromhex(value.decode("ascii"))
    return value.decode("utf-8")


def _compare(
    connection: Connection,
    table: TablePlan,
    file: DataFile,
    stored: list[Column],
    samples: list[Sample],
    has_key: bool,
) -> None:
    place = qualified(table.place)
    equal = {column.name: _equal(column) for column in stored}
    same = " AND ".join(equal.values())
    if not has_key:
        found = connection.value(
            f"SELECT COUNT(*) FROM {_SAMPLES} s WHERE EXISTS (SELECT 1 FROM {place} t WHERE {same})"
        )
        if found != len(samples):
            raise _differs(
                table, file, f"{len(samples) - found} of them are not in it"
            )
        return
    key = " AND ".join(
        f"s.{quote(name)} = t.{quote(name)}"
        for name in table.structure.primary_key
    )
    found = connection.value(
        f"SELECT COUNT(*) FROM {_SAMPLES} s JOIN {place} t ON {key}"
    )
    if found != len(samples):
        raise _differs(
            table, file, f"{len(samples) - found} of them are not in it"
        )
    # The sum of no rows is NULL.
    differences = ", ".join(
        f"COALESCE(SUM(NOT ({one})), 0)" for one in equal.values()
    )
    (counts,) = connection.query(
        f"SELECT {differences} FROM {_SAMPLES} s JOIN {place} t ON {key}"
    )
    for name, count in zip(equal, counts):
        if count:
            raise _differs(
                table,
                file,
                f"{count} of them have another value in column {name!r}",
            )


def _equal(column: Column) -> str:
    ours, theirs = f"s.{quote(column.name)}", f"t.{quote(column.name)}"
    # JSON is a text in MariaDB. In MySQL, it has an order of its own, in which 1 and 1.0 are the same.
    if column.type.startswith("json"):
        return f"CAST({ours} AS CHAR) <=> CAST({theirs} AS CHAR)"
    # A collation takes different texts for the same. A BIT is a number here.
    if column.kind is ColumnKind.TEXT or (
        column.kind is ColumnKind.BINARY and not column.type.startswith("bit")
    ):
        return f"CAST({ours} AS BINARY) <=> CAST({theirs} AS BINARY)"
    return f"{ours} <=> {theirs}"


def _differs(table: TablePlan, file: DataFile, what: str) -> VerificationError:
    return VerificationError(
        f"the rows of {table.target} differ from the sampled records of {file.member}: {what}",
        hint="Check csv_null, csv_escape, and that nobody else writes to the table",
    )
