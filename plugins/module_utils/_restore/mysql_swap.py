# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Tables that were loaded beside old ones of their names, put in their place."""

from __future__ import annotations

from .errors import InvalidBackupError, RestoreConflictError
from .model import DataFormat, Plan, TableName
from .mysql_connection import Connection
from .mysql_names import Names
from .mysql_store import qualified
from .mysql_tokens import quote
from .planning import name_beside


def check_swap(connection: Connection, names: Names, plan: Plan) -> None:
    """Refuse what cannot be replaced, or what would be lost with the old tables."""
    for one in plan.replaced:
        if any(file.format is DataFormat.SQL for file in one.source.files):
            raise InvalidBackupError(
                f"{one.target} cannot be replaced, as its data files are SQL with the name of the old table in them",
                hint="Create the download task with the format csv, or drop the old table before",
            )
    replaced = {one.target.database for one in plan.replaced}
    keys = {names.key(one.target) for one in plan.replaced}
    rows = connection.query(
        f"SELECT event_object_schema, event_object_table, trigger_name FROM information_schema.triggers "
        f"WHERE event_object_schema IN ({', '.join(['%s'] * len(replaced))})",
        sorted(replaced),
    )
    for database, name, trigger in rows:
        if names.key(TableName(str(database), "", str(name))) in keys:
            raise RestoreConflictError(
                f"{database}.{name} cannot be replaced, as it has the trigger {trigger}, which would be lost",
                hint="Drop the trigger, and create it again after the restore",
            )


def swap(connection: Connection, names: Names, plan: Plan) -> dict[str, str]:
    """Rename all tables in one step. Returns where the old ones are now, by their names."""
    # After a kill, tables that are not at their place any more have been renamed.
    existing = names.existing(plan)
    steps, olds = [], {}
    for one in plan.replaced:
        old = one.target._replace(
            database=name_beside(one.target.database, "old", plan.restore_id)
        )
        if names.key(one.place) not in existing:
            if names.exists(old):
                olds[str(one.target)] = str(old)
            continue
        if names.key(one.target) in existing:
            connection.execute(
                f"CREATE DATABASE IF NOT EXISTS {quote(old.database)}"
            )
            steps.append(f"{qualified(one.target)} TO {qualified(old)}")
            olds[str(one.target)] = str(old)
        steps.append(f"{qualified(one.place)} TO {qualified(one.target)}")
    if steps:
        # One statement is one step, also if the server is killed in it.
        connection.execute(f"RENAME TABLE {', '.join(steps)}")
    # Those with other tables are of somebody else.
    left = {database for database, _unused in names.existing(plan)}
    emptied = {
        one.place.database
        for one in plan.replaced
        if names.folded(one.place.database) not in left
    }
    for database in sorted(emptied):
        connection.execute(f"DROP DATABASE IF EXISTS {quote(database)}")
    return olds
