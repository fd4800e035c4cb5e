# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Creation of the keys of tables in PostgreSQL: each once, also if a run is killed."""

from __future__ import annotations

import typing as t

from .._base.text import printable
from . import postgresql_store as store
from .model import TablePlan
from .postgresql_connection import Connection
from .postgresql_names import keys_of, place_of, structure_of
from .postgresql_structure import Key, KeyKind, Rename, Script
from .postgresql_tokens import quote

FOREIGN_KEYS = frozenset((KeyKind.FOREIGN,))
#: Keys that need no other table.
OWN_KEYS = frozenset(KeyKind) - FOREIGN_KEYS


def look_in(connection: Connection, schema: str) -> None:
    """Find what a structure names without a schema, until the end of the transaction."""
    path = ", ".join(quote(name) for name in dict.fromkeys((schema, "public")))
    connection.execute("SELECT set_config('search_path', %s, true)", path)


class KeyMaker(t.NamedTuple):
    """Creates keys in one database. ``rename``: where its tables are."""

    connection: Connection
    restore_id: str
    rename: Rename

    def make(self, table: TablePlan, kinds: t.Collection[KeyKind]) -> None:
        """Create the keys of some kinds that do not exist yet, each in a transaction of its own."""
        for number in self._missing(table, kinds):
            self.make_index(table, number)
            with self.connection.transaction():
                store.lock_table(self.connection, self.restore_id, table.number)
                # The session of a killed run may have made it until now.
                if number in self._missing(table, kinds):
                    look_in(self.connection, table.place.schema)
                    self._execute(table, [number], attaches=True)

    def make_missing(
        self, tables: t.Sequence[TablePlan], kinds: t.Collection[KeyKind]
    ) -> None:
        """Create the keys of some kinds of those tables that lack one."""
        numbers = [table.number for table in tables]
        made = store.keys_of_tables(self.connection, self.restore_id, numbers)
        for table in tables:
            if not made[table.number].keys() >= {*self._wanted(table, kinds)}:
                self.make(table, kinds)

    def make_index(self, table: TablePlan, number: int) -> None:
        """Create the index of a key, if it has one and that does not exist yet. Others can be made at the same time."""
        key = structure_of(table).made_keys[number]
        script = _index_of(table, key)
        if not script:
            return
        with self.connection.transaction():
            # The record comes first: a session of a killed run that makes the same index is waited for.
            if store.add_index(
                self.connection, self.restore_id, table.number, number
            ):
                look_in(self.connection, table.place.schema)
                self._run(table, key, script)
                if not key.attach:
                    self._record(table, {number: key.name})

    def forget_dropped(self, table: TablePlan) -> None:
        """Forget keys that do not exist any more."""
        made = store.keys(self.connection, self.restore_id, table.number)
        existing = self._existing(table) if made else set()
        for number, name in made.items():
            if name not in existing:
                store.forget_key(
                    self.connection, self.restore_id, table.number, number
                )

    def make_first(self, table: TablePlan) -> None:
        """Create the keys that need no other table, in the transaction that creates the table."""
        self._execute(table, self._wanted(table, OWN_KEYS))

    def _wanted(
        self, table: TablePlan, kinds: t.Collection[KeyKind]
    ) -> list[int]:
        keys = structure_of(table).made_keys
        return [number for number, key in enumerate(keys) if key.kind in kinds]

    def _missing(
        self, table: TablePlan, kinds: t.Collection[KeyKind]
    ) -> list[int]:
        wanted = self._wanted(table, kinds)
        if not wanted:
            return []
        made = store.keys(self.connection, self.restore_id, table.number)
        return [number for number in wanted if number not in made]

    def _execute(
        self,
        table: TablePlan,
        numbers: t.Sequence[int],
        attaches: bool = False,
    ) -> None:
        """Create keys. ``attaches``: whether their indexes exist already, and only become keys."""
        keys = [structure_of(table).made_keys[number] for number in numbers]
        unnamed = [key for key in keys if not key.is_named]
        before = self._existing(table) if unnamed else set()
        for key in keys:
            has_index = attaches and _index_of(table, key)
            attach = key.attach if has_index else None
            self._run(table, key, attach or key.script)
        new = self._existing(table) - before if unnamed else set()
        new -= {key.name for key in keys if key.is_named}
        names: dict[int, str] = {}
        for number, key in zip(numbers, keys):
            # The server names it as expected, unless another table has the name.
            name = key.name if key.is_named or key.name in new else min(new)
            new.discard(name)
            names[number] = name
        if names:
            self._record(table, names)

    def _run(self, table: TablePlan, key: Key, script: Script) -> None:
        self.connection.execute(
            script.render(self.rename),
            operation=f"create the {key.kind.value} {printable(key.name)} of {table.place.printable}",
        )

    def _record(self, table: TablePlan, names: t.Mapping[int, str]) -> None:
        store.add_keys(self.connection, self.restore_id, table.number, names)

    def _existing(self, table: TablePlan) -> set[str]:
        return keys_of(self.connection, place_of(table))


def indexes_of(table: TablePlan) -> list[int]:
    """Return the numbers of the keys of a table whose indexes can be made at the same time, after the data."""
    if not table.defers_keys:
        return []
    keys = structure_of(table).made_keys
    return [i for i, key in enumerate(keys) if _index_of(table, key)]


def _index_of(table: TablePlan, key: Key) -> t.Optional[Script]:
    # Of a partitioned table, no index can be made a key.
    return None if structure_of(table).is_partitioned else key.index
