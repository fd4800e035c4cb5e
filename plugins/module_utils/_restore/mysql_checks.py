# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What a plan needs of a MySQL server, checked before anything is changed."""

from __future__ import annotations

import typing as t

from .errors import InvalidBackupError
from .model import DataFormat, Plan, TablePlan
from .mysql_connection import Connection
from .mysql_names import Names
from .mysql_store import SYSTEM_DATABASES
from .mysql_table import MySQLTable
from .planning import listed


def check_names(plan: Plan, names: Names) -> None:
    taken: dict[str, TablePlan] = {}
    for one in plan.tables:
        name = names.folded(str(one.target))
        other = taken.setdefault(name, one)
        if other is not one:
            raise InvalidBackupError(
                f"{other.target} and {one.target} are one table for the server, whose variable lower_case_table_names is not 0",
                hint="Set rename to another name for one of them",
            )
        # Some file systems tell no case of names apart.
        if one.target.database.lower() in SYSTEM_DATABASES:
            raise InvalidBackupError(
                f"{one.target} would be in a system database of the server",
                hint="Set exclude, or rename",
            )
        # Statements of data files name their table, and are run as they stand.
        if one.target != one.source.name and any(
            file.format is DataFormat.SQL for file in one.source.files
        ):
            raise InvalidBackupError(
                f"{one.source.name} cannot be renamed, as its data files are SQL with the name in them",
                hint="Create the download task with the format csv",
            )


def check_engines(connection: Connection, plan: Plan) -> None:
    known = {
        str(name).lower()
        for (name,) in connection.query(
            "SELECT engine FROM information_schema.engines WHERE support IN ('YES', 'DEFAULT')"
        )
    }
    # Such as X-Engine of RDS, or RocksDB. By default, a server would take another engine with a warning.
    for one in plan.tables:
        engine = t.cast(MySQLTable, one.structure).engine
        if engine not in known:
            raise InvalidBackupError(
                f"{one.source.name} has the storage engine {engine}, which the server does not have",
                hint="Install it on the server, or leave the table out by exclude",
            )


def check_collations(
    connection: Connection, plan: Plan, collation_map: t.Mapping[str, str]
) -> None:
    known = _known_collations(connection)
    for old, new in collation_map.items():
        if new.lower() not in known:
            raise InvalidBackupError(
                f"collation_map gives {old} the collation {new}, which the server does not have"
            )
    # utf8mb4_0900_ai_ci is the default of MySQL 8.0, and an error (1273) on MySQL 5.7 and MariaDB 10.11.
    for one in plan.tables:
        missing = sorted(
            t.cast(MySQLTable, one.structure).collations
            - known
            - set(collation_map)
        )
        if missing:
            raise InvalidBackupError(
                f"{one.source.name} has the collation {missing[0]}, which the server does not have",
                hint=f"Set collation_map to another one for it, such as {{{missing[0]}: utf8mb4_unicode_ci}}",
            )
    for name, structure in plan.databases.items():
        collation = structure.collation.lower()
        if (
            collation
            and collation not in known
            and collation not in collation_map
        ):
            raise InvalidBackupError(
                f"the database {name} has the collation {collation}, which the server does not have",
                hint=f"Set collation_map to another one for it, such as {{{collation}: utf8mb4_unicode_ci}}",
            )


def collation_advice(connection: Connection, plan: Plan) -> t.Iterator[str]:
    """Yield what has a collation that the server chooses, if there is something."""
    databases = [
        f"the database {name}"
        for name, structure in plan.databases.items()
        if structure.charset.lower() == "utf8mb4" and not structure.collation
    ]
    tables = [
        str(one.target)
        for one in plan.tables
        if t.cast(MySQLTable, one.structure).names_no_collation
    ]
    if databases or tables:
        # This one knows also what a session has set in place of the default.
        row = connection.query("SHOW CHARACTER SET LIKE 'utf8mb4'")[0]
        yield (
            f"The backup names the character set utf8mb4 without a collation for {listed(databases + tables)}: "
            f"the server takes its default, {row[2]}. If the instance has another one, set it by ALTER DATABASE, "
            "and by ALTER TABLE with CONVERT TO."
        )


def _known_collations(connection: Connection) -> set[str]:
    # Of MariaDB, the third column has the names of those whose first column has them without the character set.
    rows = connection.query(
        "SELECT * FROM information_schema.collation_character_set_applicability"
    )
    known = {str(name).lower() for row in rows for name in row[:3:2]}
    # Newer servers list these under another name, and take both.
    old = {f"utf8_{name[8:]}" for name in known if name.startswith("utf8mb3_")}
    return known | old
