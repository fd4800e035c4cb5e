# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What a user of MySQL may do, and what a restore needs.

A missing privilege is named before anything is changed, with the statement that grants it.
"""

from __future__ import annotations

import re
import typing as t

from .._base.errors import ConfigurationError
from .errors import DatabaseError
from .model import Plan, TablePlan
from .mysql_connection import Connection
from .mysql_store import DATABASE
from .mysql_table import MySQLTable
from .mysql_tokens import quote

_ALL = "ALL PRIVILEGES"
#: Of the databases with the tables, and of that with the records of restores.
_LOAD = frozenset(("SELECT", "INSERT", "CREATE"))
_RECORD = _LOAD | {"UPDATE", "DELETE", "CREATE TEMPORARY TABLES"}
#: To be where an old table was. Triggers are seen only with the privilege.
_REPLACE = frozenset(("ALTER", "DROP", "TRIGGER"))
_KEYS = frozenset(("ALTER", "INDEX"))
#: Tables without transactions are emptied when a restore is continued.
_EMPTY = frozenset(("DROP",))

#: What stands for any characters, and for any one, in the name of databases in a grant.
_WILDCARDS = {"%": ".*", "_": "."}
_NAME = r"(\*|`(?:[^`]|``)*`)"
_GRANT = re.compile(
    rf"(GRANT|REVOKE) (.+?) ON (?:TABLE )?{_NAME}\.{_NAME} (?:TO|FROM) "
)


class _Grant(t.NamedTuple):
    is_revoked: bool
    privileges: frozenset[str]
    database: str
    table: str


class Privileges:
    """The privileges of the user of a connection."""

    def __init__(self, connection: Connection) -> None:
        self.user = _quoted_user(str(connection.value("SELECT CURRENT_USER()")))
        self._grants = [
            grant for line in _lines(connection) for grant in _grants_of(line)
        ]

    def check(self, plan: Plan) -> None:
        """Raise ConfigurationError that names the privileges that the plan needs and the user lacks."""
        self._require(DATABASE, "", _RECORD)
        for one in plan.tables:
            self._require(one.place.database, one.place.name, _needed_by(one))
            if one.place != one.target:
                self._require(
                    one.target.database, one.target.name, _LOAD | _REPLACE
                )
                self._require(
                    one.place.database, one.place.name, _LOAD | _REPLACE
                )

    def _require(
        self, database: str, table: str, needed: frozenset[str]
    ) -> None:
        missing = needed - self._held(database, table)
        if missing:
            names = ", ".join(sorted(missing))
            # In a GRANT, these two stand for other characters.
            place = quote(re.sub(r"([_%])", r"\\\1", database))
            raise ConfigurationError(
                f"the user {self.user} lacks {names} on the database {database}: "
                f"run GRANT {names} ON {place}.* TO {self.user}."
            )

    def _held(self, database: str, table: str) -> frozenset[str]:
        """Return those of the privileges of a restore that the user has."""
        everything = _RECORD | _REPLACE | _KEYS
        held: frozenset[str] = frozenset()
        for grant in self._grants:
            privileges = (
                everything if _ALL in grant.privileges else grant.privileges
            )
            if grant.is_revoked:
                if grant.database == database:
                    held -= privileges
            elif _matches(grant.database, database) and grant.table in (
                "*",
                table,
            ):
                held |= privileges
        return held


def _needed_by(one: TablePlan) -> frozenset[str]:
    structure = t.cast(MySQLTable, one.structure)
    needed = _LOAD
    if one.defers_keys and structure.deferred:
        needed |= _KEYS
    if not structure.has_transactions:
        needed |= _EMPTY
    return needed


def _lines(connection: Connection) -> list[str]:
    """Return what SHOW GRANTS says, with the roles that are active."""
    try:
        roles = connection.value("SELECT CURRENT_ROLE()")
    except DatabaseError:
        # MySQL has roles since 8.0.
        roles = None
    statement = "SHOW GRANTS FOR CURRENT_USER()"
    if roles and "@" in str(roles):
        statement += f" USING {roles}"
    elif roles and roles != "NONE":
        # MariaDB, which adds the roles by itself.
        statement = "SHOW GRANTS"
    try:
        lines = [str(line) for (line,) in connection.query(statement)]
    except DatabaseError as error:
        if error.code != "1290":
            raise
        # The server runs with skip-grant-tables, and everybody may do everything.
        lines = [f"GRANT {_ALL} ON *.* TO "]
    # Those that are revoked are taken from what all others give.
    return sorted(lines, key=lambda line: line.startswith("REVOKE"))


def _grants_of(line: str) -> t.Iterator[_Grant]:
    match = _GRANT.match(f"{line} ")
    if match:
        # Of some columns only: not of the table.
        listed = re.sub(r" \([^)]*\)", " of columns", match[2])
        yield _Grant(
            match[1] == "REVOKE",
            frozenset(listed.split(", ")),
            _unquoted(match[3]),
            _unquoted(match[4]),
        )


def _matches(pattern: str, name: str) -> bool:
    """Return whether a name of databases in a grant, which may have wildcards, means this one."""
    if pattern in ("*", name):
        return True
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    # A backslash before one of them makes it a character like any other.
    expressions = (
        _WILDCARDS.get(part) or re.escape(part[-1]) for part in parts
    )
    return bool(re.fullmatch("".join(expressions), name, re.DOTALL))


def _unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name


def _quoted_user(user: str) -> str:
    name, _unused, host = user.rpartition("@")
    return f"'{name}'@'{host}'"
