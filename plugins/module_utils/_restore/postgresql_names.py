# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What the server has: relations, keys and sequences, and under which names the plan has them."""

from __future__ import annotations

import typing as t

from .model import Plan, TablePlan
from .postgresql_connection import Connection
from .postgresql_structure import ATTACH, PostgreSQLTable, Rename
from .postgresql_tokens import QualifiedName, quote


def structure_of(table: TablePlan) -> PostgreSQLTable:
    structure = table.structure
    return t.cast(PostgreSQLTable, structure)


def place_of(table: TablePlan) -> str:
    """The table where it is loaded, for a statement."""
    return quote(*table.place.in_database)


def renames_of(plan: Plan, database: str) -> Rename:
    """Return what says where the tables of a database are, by their names in the source."""
    places = {
        one.source.name.in_database: one.place.in_database
        for one in plan.tables
        if one.source.name.database == database
    }

    def rename(name: QualifiedName) -> QualifiedName:
        return places.get(name, name)

    return rename


def partitions_of(plan: Plan, table: TablePlan) -> set[int]:
    """Return the numbers of the tables that become parts of a partitioned one, at any depth."""
    rename = renames_of(plan, table.source.name.database)
    database = table.place.database
    tables = [one for one in plan.tables if one.place.database == database]
    numbers = {one.place.in_database: one.number for one in tables}
    attached = [
        tuple(
            rename(part) for part in script.parts if not isinstance(part, str)
        )
        for one in tables
        for script in structure_of(one).inherits
        if ATTACH in script.parts
    ]
    # Partitions can have partitions.
    found: set[QualifiedName] = set()
    parents = {table.place.in_database}
    while parents:
        parents = {
            child for parent, child in attached if parent in parents
        } - found
        found |= parents
    return {numbers[name] for name in found if name in numbers}


def relations(connection: Connection) -> set[QualifiedName]:
    """Return all that shares names with tables: views, indexes and sequences, too."""
    rows = connection.execute(
        "SELECT nspname::text, relname::text FROM pg_catalog.pg_class "
        "JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace WHERE nspname NOT IN ('pg_catalog', 'pg_toast')"
    )
    return set(t.cast("list[QualifiedName]", rows))


def keys_of(connection: Connection, table: str) -> set[str]:
    """Return the names of the valid keys and constraints of a table."""
    return keys_of_tables(connection, [table])[0]


def keys_of_tables(
    connection: Connection, tables: t.Sequence[str]
) -> list[set[str]]:
    """Return the same for each of some tables."""
    found: list[set[str]] = [set() for _table in tables]
    # Those that are not valid were not checked against all rows.
    for number, name in connection.execute(
        "SELECT number, name FROM unnest(%s::text[]::regclass[]) WITH ORDINALITY AS wanted (relation, number), LATERAL ("
        "SELECT conname::text FROM pg_catalog.pg_constraint WHERE conrelid = relation AND convalidated "
        "UNION SELECT relname::text FROM pg_catalog.pg_index JOIN pg_catalog.pg_class c ON c.oid = indexrelid "
        "WHERE indrelid = relation AND indisvalid) AS known (name)",
        list(tables),
    ):
        found[number - 1].add(name)
    return found


class Sequence(t.NamedTuple):
    """A sequence that a column takes its values from. ``name``: for a statement."""

    name: str
    column: str
    increment: int


def sequences_in(connection: Connection) -> dict[QualifiedName, list[Sequence]]:
    """Return the sequences of all tables of a database: of their serial and identity columns, and of defaults."""
    # pg_depend has both ways: a sequence that depends on its column (a: serial, i: identity), and a default (pg_attrdef)
    # that depends on a sequence, which any table may own.
    rows = connection.execute(
        """
        SELECT tn.nspname::text, t.relname::text,
            quote_ident(sn.nspname) || '.' || quote_ident(s.relname), a.attname::text, q.seqincrement
        FROM (
            SELECT refobjid AS relation, refobjsubid AS number, objid AS sequence
            FROM pg_catalog.pg_depend
            WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')
            UNION
            SELECT adrelid, adnum, refobjid FROM pg_catalog.pg_attrdef f
            JOIN pg_catalog.pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
            WHERE d.refclassid = 'pg_class'::regclass
        ) AS used
        JOIN pg_catalog.pg_sequence q ON q.seqrelid = sequence
        JOIN pg_catalog.pg_class s ON s.oid = sequence
        JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
        JOIN pg_catalog.pg_class t ON t.oid = relation
        JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
        JOIN pg_catalog.pg_attribute a ON a.attrelid = relation AND a.attnum = number
        ORDER BY 1, 2, 3, 4
        """
    )
    found: dict[QualifiedName, list[Sequence]] = {}
    for schema, table, *facts in rows:
        found.setdefault((schema, table), []).append(Sequence(*facts))
    return found
