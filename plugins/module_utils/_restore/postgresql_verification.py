# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Verification of a table of PostgreSQL: its rows, samples of their values, its keys and sequences."""

from __future__ import annotations

import itertools
import re
import typing as t

from .._base.text import counted, printable
from . import postgresql_store as store
from . import tuning
from .errors import VerificationError
from .model import Plan, Sample, State, TablePlan, Verified
from .postgresql_connection import Connection
from .postgresql_indexing import look_in
from .postgresql_names import (
    Sequence,
    keys_of_tables,
    partitions_of,
    place_of,
    structure_of,
)
from .postgresql_tokens import quote

#: What is special within the quotes of a value of a row.
_SPECIAL = re.compile(r'["\\]')


class UsedSequence(t.NamedTuple):
    """A sequence of a table."""

    table: TablePlan
    sequence: Sequence

    @property
    def printable(self) -> str:
        return printable(self.sequence.name)

    @property
    def found(self) -> str:
        """The last value in its column, as a table for a statement."""
        last = "max" if self.sequence.increment > 0 else "min"
        column = quote(self.sequence.column)
        return f"(SELECT {last}({column}) AS found FROM {place_of(self.table)}) AS used"


def verify(
    connection: Connection,
    tables: t.Sequence[TablePlan],
    plan: Plan,
    sequences: t.Sequence[UsedSequence],
) -> dict[int, Verified]:
    """Compare tables of one database and their sequences with the source, in a transaction.

    Returns what was found by their numbers. Raises VerificationError.
    """
    rows = _count_all(connection, tables, plan)
    for table in tables:
        if rows[table.number] != table.source.records:
            raise VerificationError(
                f"{table.place.printable} has {counted(rows[table.number], 'row')}, and the backup {counted(table.source.records, 'record')}"
            )
    sampled: dict[int, int] = {}
    for schema, group in itertools.groupby(
        tables, key=lambda one: one.place.schema
    ):
        look_in(connection, schema)
        for one in group:
            sampled[one.number] = _compare_samples(connection, one)
    keys = _check_keys(connection, tables, plan)
    _check_sequences(connection, sequences)
    return {
        one.number: Verified(
            rows[one.number],
            sampled[one.number],
            keys[one.number],
            _checksum(connection, place_of(one))
            if plan.has_checksums
            else None,
        )
        for one in tables
    }


def _count_all(
    connection: Connection, tables: t.Sequence[TablePlan], plan: Plan
) -> dict[int, int]:
    """Count the rows that are of the files of some tables."""
    if loaded_through(plan):
        return {
            one.number: _count_loaded(connection, one, plan) for one in tables
        }
    counts = ", ".join(
        # Rows of children are those of their own files.
        f"(SELECT count(*) FROM ONLY {place_of(one)})"
        for one in tables
    )
    (found,) = connection.execute(f"SELECT {counts}")
    return {one.number: rows for one, rows in zip(tables, found)}


def _checksum(connection: Connection, place: str) -> str:
    """Return the sum of the hashes of all rows, whatever their order. Versions of the server may differ in it."""
    rows = connection.execute(
        "SELECT COALESCE(SUM(hashtextextended(row_of_table::text, 0)::numeric), 0)::text "
        f"FROM {place} row_of_table"
    )
    return str(rows[0][0])


def _count_loaded(connection: Connection, table: TablePlan, plan: Plan) -> int:
    """Count the rows that are of the files of a table. Those of a partitioned one are in its partitions."""
    rows = count(connection, place_of(table), table.source.records)
    mixed = [
        one
        for one in loaded_through(plan)
        if table.number in {one.number, *partitions_of(plan, one)}
    ]
    if not mixed:
        return rows
    parent = mixed[0]
    if parent is not table:
        # How many of them are the parent's is seen there.
        return min(rows, table.source.records)
    # Files of the partitions are loaded at the same time: both numbers have to be of one moment.
    others = sorted(partitions_of(plan, table))
    return store.count_without(
        connection, place_of(table), plan.restore_id, others
    )


def loaded_through(plan: Plan) -> list[TablePlan]:
    """Return the partitioned tables that have data of their own, which go to their partitions."""
    return [
        one
        for one in plan.tables
        if structure_of(one).is_partitioned and one.source.records
    ]


def recount(connection: Connection, plan: Plan) -> None:
    """Record the rows of partitions that got some through the table that they are part of."""
    tables = {
        one.number: one
        for one in plan.tables
        if one.place.database == connection.database
    }
    for parent in loaded_through(plan):
        for number in {parent.number, *partitions_of(plan, parent)} & set(
            tables
        ):
            rows = count(
                connection,
                place_of(tables[number]),
                tables[number].source.records,
            )
            store.set_table_state(
                connection, plan.restore_id, number, State.DONE, rows
            )


def count(connection: Connection, place: str, expected: int) -> int:
    """Count the rows of a table itself, or of its partitions if it was loaded with data."""
    # ONLY: rows of children are those of their own files.
    only = "" if expected and _is_partitioned(connection, place) else "ONLY "
    return int(connection.execute(f"SELECT count(*) FROM {only}{place}")[0][0])


def _is_partitioned(connection: Connection, place: str) -> bool:
    rows = connection.execute(
        "SELECT relkind = 'p' FROM pg_catalog.pg_class WHERE oid = %s::regclass",
        place,
    )
    return bool(rows[0][0])


# Samples


def _compare_samples(connection: Connection, table: TablePlan) -> int:
    sampled = 0
    columns_of = {file.number: file.columns for file in table.source.files}
    in_order = sorted(
        table.source.samples, key=lambda one: (columns_of[one.file], one.file)
    )
    for columns, samples in itertools.groupby(
        in_order, key=lambda one: columns_of[one.file]
    ):
        has_key = bool(table.structure.primary_key) and set(
            table.structure.primary_key
        ) <= set(columns)
        # Without a key, each sample is compared with all rows.
        if columns and (
            has_key or table.source.size <= tuning.MAX_SAMPLED_WITHOUT_KEY
        ):
            for some in _in_groups(samples):
                sampled += _compare(connection, table, columns, some, has_key)
    return sampled


def _in_groups(samples: t.Iterable[Sample]) -> t.Iterator[list[Sample]]:
    """Yield as many samples at a time as are good for one statement."""
    group: list[Sample] = []
    size = 0
    for sample in samples:
        group.append(sample)
        size += sum(len(value) for value in sample.values if value)
        if size >= tuning.SAMPLES_SIZE:
            yield group
            group, size = [], 0
    if group:
        yield group


def _compare(
    connection: Connection,
    table: TablePlan,
    columns: t.Sequence[str],
    samples: t.Sequence[Sample],
    has_key: bool,
) -> int:
    """Have the server read the samples by itself, as rows of the table, and compare them."""
    every = [column.name for column in table.structure.columns]
    number = "sample"
    while number in every:
        number += "_"
    place = place_of(table)
    rows = ", ".join(
        f"({i}, {_text(_row(every, columns, sample))}::{place})"
        for i, sample in enumerate(samples)
    )
    names = f"v.{quote(number)}, (v.read).*"
    read = f"(SELECT {names} FROM (VALUES {rows}) v ({quote(number)}, read))"
    only = "" if structure_of(table).is_partitioned else "ONLY "
    query = _by_key if has_key else _by_all
    wrong = connection.execute(
        query(
            read,
            f"{only}{place}",
            columns,
            table.structure.primary_key,
            quote(number),
        ),
        operation=f"compare samples of {table.place.printable}",
        has_data=True,
    )
    if wrong:
        raise _difference(table, samples[wrong[0][0]], wrong[0][1])
    return len(samples)


def _row(
    every: t.Sequence[str], columns: t.Sequence[str], sample: Sample
) -> str:
    """Write a sample as a row of the table, in which columns that are not in the file are NULL."""
    values = dict(zip(columns, sample.values))
    return f"({','.join(_field(values.get(name)) for name in every)})"


def _field(value: t.Optional[bytes]) -> str:
    if value is None:
        return ""
    return f'"{_SPECIAL.sub(_twice, value.decode("utf-8"))}"'


def _twice(match: re.Match[str]) -> str:
    return match[0] * 2


def _differs(column: str) -> str:
    # As text: it has the same bytes only for the same value, of types without equality, too.
    name = quote(column)
    return f's.{name}::text COLLATE "C" IS DISTINCT FROM t.{name}::text COLLATE "C"'


def _by_key(
    samples: str,
    place: str,
    columns: t.Sequence[str],
    key: t.Sequence[str],
    number: str,
) -> str:
    same = " AND ".join(f"t.{quote(name)} = s.{quote(name)}" for name in key)
    different = [
        f"CASE WHEN {_differs(name)} THEN {_text(name)} END" for name in columns
    ]
    return (
        f"SELECT * FROM (SELECT s.{number}, CASE WHEN t.ctid IS NOT NULL THEN "
        f"array_to_string(ARRAY[{', '.join(different)}]::text[], ', ') END AS columns "
        f"FROM {samples} s LEFT JOIN {place} t ON {same}) AS compared "
        f"WHERE columns IS DISTINCT FROM '' ORDER BY 1 LIMIT 1"
    )


def _by_all(
    samples: str,
    place: str,
    columns: t.Sequence[str],
    key: t.Sequence[str],
    number: str,
) -> str:
    different = " OR ".join(map(_differs, columns))
    return (
        f"SELECT s.{number}, NULL FROM {samples} s WHERE NOT EXISTS "
        f"(SELECT 1 FROM {place} t WHERE NOT ({different})) ORDER BY 1 LIMIT 1"
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _difference(
    table: TablePlan, sample: Sample, columns: t.Optional[str]
) -> VerificationError:
    member = next(
        file.member for file in table.source.files if file.number == sample.file
    )
    what = (
        f"differs in {printable(columns)} from the row in"
        if columns
        else "is not in"
    )
    return VerificationError(
        f"record {sample.record} of {printable(member)} {what} {table.place.printable}"
    )


# Keys and sequences


def _check_keys(
    connection: Connection, tables: t.Sequence[TablePlan], plan: Plan
) -> dict[int, tuple[str, ...]]:
    """Return the names of the keys of each table, by its number."""
    made = store.keys_of_tables(
        connection, plan.restore_id, [one.number for one in tables]
    )
    existing = keys_of_tables(connection, [place_of(one) for one in tables])
    for table, names in zip(tables, existing):
        missing = [
            name for name in made[table.number].values() if name not in names
        ]
        if missing:
            raise VerificationError(
                f"{table.place.printable} lacks the key {printable(missing[0])}, or it is not valid any more"
            )
    return {
        table.number: tuple(sorted(names))
        for table, names in zip(tables, existing)
    }


def advance(
    connection: Connection, sequences: t.Sequence[UsedSequence]
) -> None:
    """Set sequences behind the values of their columns; never back, as another table may use them."""
    for one in sequences:
        further = "greatest" if one.sequence.increment > 0 else "least"
        connection.execute(
            f"SELECT setval(%s, {further}(found, CASE WHEN is_called THEN last_value END)) "
            f"FROM {one.sequence.name}, {one.found} WHERE found IS NOT NULL",
            one.sequence.name,
            operation=f"set the sequence {one.printable}",
        )


def _check_sequences(
    connection: Connection, sequences: t.Sequence[UsedSequence]
) -> None:
    if not sequences:
        return
    wrong = connection.execute(
        " UNION ALL ".join(
            f"SELECT {number} FROM {one.sequence.name}, {one.found} "
            f"WHERE found {'>' if one.sequence.increment > 0 else '<'} last_value "
            "OR (found = last_value AND NOT is_called)"
            for number, one in enumerate(sequences)
        )
    )
    if wrong:
        one = sequences[wrong[0][0]]
        raise VerificationError(
            f"the sequence {one.printable} is behind the values of column {printable(one.sequence.column)} of {one.table.place.printable}"
        )
