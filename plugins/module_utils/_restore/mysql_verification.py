# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Compares sampled records with the rows in a MySQL table, by the server itself.

The samples are inserted into a temporary table by parameters, which are another way than that of the data. Then the
server compares them with the rows: bytes of texts, and not their collation.
"""

from __future__ import annotations

import typing as t

from .errors import VerificationError
from .model import Column, ColumnKind, DataFile, Sample, TablePlan
from .mysql_connection import Connection
from .mysql_store import DATABASE, qualified
from .mysql_tokens import quote

_SAMPLES = f"{DATABASE}.samples"
#: Without a primary key, each sample is looked for in the whole table: only in those that are not larger.
_MAX_SIZE_WITHOUT_KEY = 16 << 20


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
        if samples and (has_key or table.source.size <= _MAX_SIZE_WITHOUT_KEY):
            columns = [table.structure.column(name) for name in file.columns]
            stored = [column for column in columns if not column.is_generated]
            _insert(connection, table, columns, stored, samples)
            _compare(connection, table, file, stored, samples, has_key)
            compared += len(samples)
    return compared


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
            f"INSERT INTO {_SAMPLES} ({names}) VALUES ({marks})", values
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
