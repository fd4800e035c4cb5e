# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Checks of a PostgreSQL server before a restore changes anything: what it lacks, by name."""

from __future__ import annotations

import typing as t

from .._base.errors import ConfigurationError
from .._base.text import printable
from . import tuning
from .errors import InvalidBackupError
from .model import Plan
from .postgresql_connection import Connection
from .postgresql_creation import PostgreSQLOptions
from .postgresql_names import structure_of
from .postgresql_structure import PostgreSQLDatabase, PostgreSQLSchema

#: Encodings that have all characters that a backup can have. SQL_ASCII would take any bytes, and check none.
_ENCODINGS = ("UTF8",)
#: What is in one of them would be in all databases that are created later.
_TEMPLATES = ("template0", "template1")


def check(
    first: Connection,
    databases: t.Mapping[str, t.Optional[Connection]],
    plan: Plan,
    options: PostgreSQLOptions,
) -> list[str]:
    """Check what the plan needs. ``databases``: those of the plan; None for one that does not exist.

    Returns warnings. Raises ConfigurationError.
    """
    _check_owner(first, options.owner)
    _check_extensions(first, plan, options)
    for name, connection in databases.items():
        if connection is None:
            _check_creation(first, name, plan)
        else:
            _check_database(connection, plan)
    return list(_warnings(plan, options))


def check_writable(connection: Connection) -> None:
    """Refuse what is read-only by default: somebody wants nobody to write there."""
    rows = connection.execute("SELECT current_setting('transaction_read_only')")
    if rows[0][0] != "off":
        raise ConfigurationError(
            f"transactions of user {_user(connection)} in database {printable(connection.database)} are read-only by "
            "default_transaction_read_only: set it to off for the server, the database or the user."
        )


def check_names(plan: Plan) -> None:
    for name in plan.databases:
        if name in _TEMPLATES:
            raise InvalidBackupError(
                f"{name} is a database of the server itself, which it makes others of",
                hint="Set exclude, or rename",
            )


def _warnings(plan: Plan, options: PostgreSQLOptions) -> t.Iterator[str]:
    """Say what of the structures is not restored."""
    left_out: dict[str, None] = {}
    owners: dict[str, None] = {}
    for database in plan.databases.values():
        for one in (database, *database.schemas):
            if isinstance(one, (PostgreSQLDatabase, PostgreSQLSchema)):
                left_out.update(dict.fromkeys(one.left_out))
                owners.update(dict.fromkeys(filter(None, (one.owner,))))
    for table in plan.tables:
        structure = structure_of(table)
        left_out.update(dict.fromkeys(structure.left_out))
        owners.update(dict.fromkeys(filter(None, (structure.owner,))))
    if owners and not options.owner:
        yield (
            f"what is created belongs to the user of the restore, and belonged to {_listed(owners)}: "
            "set owner to have another one"
        )
    if left_out:
        yield f"these statements of the backup are not executed: {_listed(left_out)}"
    known = {table.source.name for table in plan.tables}
    for table in plan.tables:
        for script in structure_of(table).inherits:
            names = [part for part in script.parts if not isinstance(part, str)]
            for schema, name in names:
                if (
                    table.source.name._replace(schema=schema, name=name)
                    not in known
                ):
                    yield (
                        f"{table.target.printable} was a part or a whole of {printable(f'{schema}.{name}')}, "
                        "which is not restored: it becomes a table of its own"
                    )


def _listed(texts: t.Collection[str]) -> str:
    shown = ", ".join(
        printable(text) for text in list(texts)[: tuning.NAMES_SHOWN]
    )
    more = len(texts) - tuning.NAMES_SHOWN
    return shown + (f" and {more} more" if more > 0 else "")


def _user(connection: Connection) -> str:
    return printable(str(connection.execute("SELECT current_user::text")[0][0]))


def _check_owner(first: Connection, owner: str) -> None:
    if not owner:
        return
    rows = first.execute(
        # Only a member of a role can give it something.
        "SELECT pg_has_role(oid, 'MEMBER') FROM pg_catalog.pg_roles WHERE rolname = %s",
        owner,
    )
    if not rows:
        raise ConfigurationError(
            f"owner {owner!r} is not a role of the server: create it first."
        )
    if not rows[0][0]:
        raise ConfigurationError(
            f"user {_user(first)} is not a member of the role {owner!r}, which owner is set to: grant it the membership."
        )


def _check_extensions(
    first: Connection, plan: Plan, options: PostgreSQLOptions
) -> None:
    needed: dict[str, None] = {}
    for database in plan.databases.values():
        if isinstance(database, PostgreSQLDatabase):
            needed.update(dict.fromkeys(database.extensions))
        for schema in database.schemas:
            if isinstance(schema, PostgreSQLSchema):
                needed.update(dict.fromkeys(schema.extensions))
    for table in plan.tables:
        needed.update(dict.fromkeys(structure_of(table).extensions))
    known = {
        name
        for (name,) in first.execute(
            "SELECT name::text FROM pg_catalog.pg_available_extensions"
        )
    }
    # Every database has this one.
    for name in [one for one in needed if one != "plpgsql"]:
        if name not in options.extensions:
            raise ConfigurationError(
                f"the backup needs the extension {name!r}, which is created only if it is allowed: add it to extensions."
            )
        if name not in known:
            raise ConfigurationError(
                f"the server does not have the extension {name!r}: install it first."
            )


def _check_creation(first: Connection, name: str, plan: Plan) -> None:
    allowed = first.execute(
        "SELECT rolsuper OR rolcreatedb FROM pg_catalog.pg_roles WHERE rolname = current_user"
    )
    if not (allowed and allowed[0][0]):
        raise ConfigurationError(
            f"user {_user(first)} lacks the privilege CREATEDB, and database {printable(name)} does not exist: "
            "grant it, create the database, or set session_role to a role that has it."
        )
    structure = plan.databases[name]
    collations = {structure.collation}
    if isinstance(structure, PostgreSQLDatabase):
        collations.add(structure.ctype)
    # Of what was imported at the installation, and what databases have.
    known = first.execute(
        "SELECT collcollate::text FROM pg_catalog.pg_collation UNION SELECT datcollate::text FROM pg_catalog.pg_database"
    )
    plain = {_plain(text) for (text,) in known if text}
    for collation in sorted(collations - {""}):
        if _plain(collation) not in plain:
            raise ConfigurationError(
                f"database {printable(name)} has the locale {printable(collation)}, which the server does not have: "
                "create the locale on its host, or create the database with another one before."
            )


def _plain(locale: str) -> str:
    """Write a locale in one way: en_US.UTF-8 is en_US.utf8."""
    return locale.lower().replace("-", "")


def _check_database(connection: Connection, plan: Plan) -> None:
    name = printable(connection.database)
    check_writable(connection)
    rows = connection.execute(
        "SELECT current_setting('server_encoding'), has_database_privilege(current_database(), 'CREATE')"
    )
    encoding, can_create = rows[0]
    if encoding not in _ENCODINGS:
        raise ConfigurationError(
            f"database {name} has the encoding {encoding}, which lacks characters that a backup can have: "
            "restore into another database by rename."
        )
    if not can_create:
        raise ConfigurationError(
            f"user {_user(connection)} lacks the privilege CREATE on database {name}: "
            "grant it, or set session_role to a role that has it."
        )
    for schema in sorted(
        {
            table.place.schema
            for table in plan.tables
            if table.place.database == connection.database
        }
    ):
        rows = connection.execute(
            "SELECT has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE') "
            "FROM pg_catalog.pg_namespace WHERE nspname = %s",
            schema,
        )
        if rows and not rows[0][0]:
            raise ConfigurationError(
                f"user {_user(connection)} lacks the privileges CREATE and USAGE on schema {printable(schema)} of "
                f"database {name}: grant them, or set session_role to a role that has them."
            )
