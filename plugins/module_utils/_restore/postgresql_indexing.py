# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Making the keys of tables in PostgreSQL: each once, also if a run is killed."""

from __future__ import annotations

import typing as t

from .._base.text import printable
from . import postgresql_store as store
from .model import Plan, TablePlan
from .postgresql_connection import Connection
from .postgresql_names import keys_of, place_of, renames_of, structure_of
from .postgresql_structure import KeyKind
from .postgresql_tokens import quote

FOREIGN_KEYS = frozenset((KeyKind.FOREIGN,))
#: Keys that need no other table.
OWN_KEYS = frozenset(KeyKind) - FOREIGN_KEYS

Kinds = t.Collection[KeyKind]


def look_in(connection: Connection, schema: str) -> None:
    """Find what a structure names without a schema, until the end of the transaction."""
    path = ", ".join(quote(name) for name in dict.fromkeys((schema, "public")))
    connection.execute("SELECT set_config('search_path', %s, true)", path)


def make_keys(connection: Connection, table: TablePlan, plan: Plan, kinds: Kinds) -> None:
    """Make the keys of some kinds that do not exist yet, each in a transaction of its own."""
    for number in _missing(connection, table, plan, kinds):
        with connection.transaction():
            store.lock_table(connection, plan.restore_id, table.number)
            # The session of a killed run may have made it until now.
            if number in _missing(connection, table, plan, kinds):
                _make_key(connection, table, plan, number)


def make_keys_within(
    connection: Connection, table: TablePlan, plan: Plan, kinds: Kinds
) -> None:
    """Make the keys of some kinds in the transaction that was begun."""
    for number in _missing(connection, table, plan, kinds):
        _make_key(connection, table, plan, number)


def _missing(
    connection: Connection, table: TablePlan, plan: Plan, kinds: Kinds
) -> list[int]:
    keys = structure_of(table).made_keys
    wanted = [number for number, key in enumerate(keys) if key.kind in kinds]
    made = store.keys(connection, plan.restore_id, table.number) if wanted else {}
    return [number for number in wanted if number not in made]


def _make_key(connection: Connection, table: TablePlan, plan: Plan, number: int) -> None:
    key = structure_of(table).made_keys[number]
    operation = f"make the {key.kind.value} {printable(key.name)} of {printable(str(table.place))}"
    before = set() if key.is_named else keys_of(connection, place_of(table))
    look_in(connection, table.place.schema)
    rename = renames_of(plan, table.source.name.database)
    connection.execute(key.script.render(rename), operation=operation)
    name = key.name
    if not key.is_named:
        name = min(keys_of(connection, place_of(table)) - before, default=name)
    store.add_key(connection, plan.restore_id, table.number, number, name)
