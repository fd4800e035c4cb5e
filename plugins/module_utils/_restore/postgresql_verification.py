# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Verification of tables of PostgreSQL: their rows, samples of their values, their keys and sequences."""

from __future__ import annotations

import itertools
import typing as t

from .._base.text import counted, printable
from . import postgresql_store as store
from .errors import VerificationError
from .model import Plan, TablePlan, Verified
from .postgresql_connection import Connection
from .postgresql_indexing import look_in
from .postgresql_names import (
    Sequence,
    keys_of_tables,
    partitions_of,
    place_of,
    structure_of,
)
from .postgresql_samples import compare_samples
from .postgresql_tokens import quote


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
            sampled[one.number] = compare_samples(connection, one)
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
            store.set_done(connection, plan.restore_id, {number: rows})


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
