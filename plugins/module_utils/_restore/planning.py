# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What is restored of a backup, and under which names."""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import json
import typing as t

from .._base.text import printable
from . import tuning
from .errors import InvalidBackupError
from .model import Backup, DatabaseStructure, Plan, Table, TableName, TablePlan


class Selection(t.NamedTuple):
    """Which tables are restored: names of databases, and names or patterns of tables.

    A table is written ``database.table``, and in PostgreSQL ``database.schema.table``.
    """

    databases: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def selects(self, name: TableName) -> bool:
        if self.databases and name.database not in self.databases:
            return False
        if self.tables and not any(_matches(name, one) for one in self.tables):
            return False
        return not any(_matches(name, one) for one in self.exclude)

    def check(self, names: t.Collection[TableName]) -> None:
        """Refuse what selects nothing: a slip in a name would leave a table out silently."""
        databases = {name.database for name in names}
        for one in self.databases:
            if one not in databases:
                raise _unknown("databases", one, databases)
        for option, patterns in (
            ("tables", self.tables),
            ("exclude", self.exclude),
        ):
            for pattern in patterns:
                if not any(_matches(name, pattern) for name in names):
                    raise _unknown(option, pattern, map(str, names))


def _matches(name: TableName, pattern: str) -> bool:
    # Not fnmatch, which ignores the case on some systems.
    return fnmatch.fnmatchcase(str(name), pattern) or pattern in (
        name.database,
        f"{name.database}.{name.name}",
    )


def _unknown(
    option: str, value: str, names: t.Iterable[str]
) -> InvalidBackupError:
    # Needed for a message only.
    import difflib

    found = sorted(set(names))
    close = [one for one in found if one.endswith(f".{value}")] or (
        difflib.get_close_matches(value, found, 1)
    )
    meant = f"Did you mean {printable(close[0])}? " if close else ""
    return InvalidBackupError(
        f"{option} {value!r} is not in the source",
        hint=f"{meant}It has {listed(found)}",
    )


def listed(names: t.Sequence[str]) -> str:
    """Return the first names, and how many more there are, for a message."""
    shown = ", ".join(map(printable, names[: tuning.NAMES_SHOWN]))
    more = len(names) - tuning.NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


class PlanOptions(t.NamedTuple):
    """How to restore.

    ``rename``: new names of databases, and of tables as ``database.table``.
    ``defers_keys``: None to decide by the size of a table.
    ``has_checksums``: whether the verification computes a checksum of each table.
    ``data_options``: all other options that change what is in the tables.
    """

    piece_size: int
    rename: t.Mapping[str, str]
    defers_keys: t.Optional[bool]
    data_options: t.Mapping[str, t.Any]
    has_checksums: bool = False


def restore_id_of(
    fingerprint: str, selection: Selection, options: PlanOptions
) -> str:
    """Return what names a restore: 16 hexadecimal digits."""
    # Without what changes only the way, such as parallel: another run may continue with another value.
    facts = [
        fingerprint,
        selection,
        dict(options.rename),
        dict(options.data_options),
    ]
    text = json.dumps(facts, sort_keys=True, default=str)
    # 64 bits are enough: two restores on one server do not get the same ID.
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def make_plan(
    backup: Backup, selection: Selection, options: PlanOptions
) -> Plan:
    """Return the plan. Raises InvalidBackupError where names cannot be had."""
    _check_rename(backup, options.rename)
    tables: list[TablePlan] = []
    taken: dict[TableName, Table] = {}
    databases: dict[str, DatabaseStructure] = {}
    known = {one.name: one for one in backup.databases}
    for table in backup.tables:
        target = renamed(table.name, options.rename)
        if target in taken:
            raise InvalidBackupError(
                f"{table.name} and {taken[target].name} would both be restored as {target}",
                hint="Set rename to another name for one of them",
            )
        taken[target] = table
        name = table.name.database
        databases.setdefault(
            target.database, known.get(name, DatabaseStructure(name))
        )
        tables.append(
            TablePlan(
                len(tables),
                table,
                target,
                target,
                _defers_keys(table, options.defers_keys),
            )
        )
    if not tables:
        raise InvalidBackupError(
            "no table is selected", hint="Check databases, tables and exclude"
        )
    restore_id = restore_id_of(backup.fingerprint, selection, options)
    return Plan(
        restore_id,
        backup,
        tuple(tables),
        databases,
        options.piece_size,
        options.has_checksums,
    )


def renamed(name: TableName, rename: t.Mapping[str, str]) -> TableName:
    database = rename.get(name.database, name.database)
    table = rename.get(f"{name.database}.{name.name}")
    if table is None:
        return name._replace(database=database)
    above, _unused, last = table.rpartition(".")
    return TableName(above or database, name.schema, last)


def _check_rename(backup: Backup, rename: t.Mapping[str, str]) -> None:
    names = {table.name.database for table in backup.tables}
    names.update(
        f"{table.name.database}.{table.name.name}" for table in backup.tables
    )
    for old, new in rename.items():
        if old not in names:
            raise _unknown("rename", old, names)
        if not new or not new.strip("."):
            raise InvalidBackupError(
                f"rename gives {old!r} an empty name", hint="Set another name"
            )


def _defers_keys(table: Table, wanted: t.Optional[bool]) -> bool:
    return table.size >= tuning.DEFER_KEYS_FROM if wanted is None else wanted


#: Bytes of the name of a database: the least that an engine takes, which is PostgreSQL.
_LONGEST_NAME = 63


def beside(plan: Plan, databases: t.Collection[str]) -> Plan:
    """Return the plan with all tables of these databases loaded into new ones, to replace them."""
    tables = tuple(
        dataclasses.replace(
            one,
            place=one.target._replace(
                database=name_beside(
                    one.target.database, "new", plan.restore_id
                )
            ),
        )
        if one.target.database in databases
        else one
        for one in plan.tables
    )
    return at_places(dataclasses.replace(plan, tables=tables))


def at_places(plan: Plan) -> Plan:
    """Return the plan with the databases in which tables are loaded among those that it creates."""
    known = dict(plan.databases)
    for one in plan.tables:
        known.setdefault(one.place.database, known[one.target.database])
    return dataclasses.replace(plan, databases=known)


def name_beside(database: str, word: str, restore_id: str) -> str:
    """Return a name such as ``shop_new_3f1c0a9b``."""
    ending = f"_{word}_{restore_id[:8]}"
    begin = database.encode()[: _LONGEST_NAME - len(ending)].decode(
        errors="ignore"
    )
    return begin + ending
