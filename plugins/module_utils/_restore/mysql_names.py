# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Names of databases and tables, compared as the server compares them."""

from __future__ import annotations

from .model import Plan, TableName
from .mysql_connection import Connection


class Names:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        #: Whether names that differ only by case are the same to the server.
        self._folds = bool(connection.value("SELECT @@lower_case_table_names"))

    def folded(self, name: str) -> str:
        """Return the name in lower case, if its case does not matter to the server."""
        return name.lower() if self._folds else name

    def key(self, name: TableName) -> tuple[str, str]:
        """Return what is the same for names that are the same to the server."""
        return (self.folded(name.database), self.folded(name.name))

    def exists(self, name: TableName) -> bool:
        """Say whether there is a table of that name."""
        return bool(
            self._connection.query(
                "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
                [name.database, name.name],
            )
        )

    def existing(self, plan: Plan) -> set[tuple[str, str]]:
        """Return the keys of the tables that exist in the databases of the plan."""
        databases = {one.target.database for one in plan.tables}
        databases |= {one.place.database for one in plan.tables}
        marks = ", ".join(["%s"] * len(databases))
        rows = self._connection.query(
            f"SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ({marks})",
            sorted(databases),
        )
        self._connection.commit()
        return {
            self.key(TableName(str(schema), "", str(name)))
            for schema, name in rows
        }
