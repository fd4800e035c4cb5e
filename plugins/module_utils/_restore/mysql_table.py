# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""A table of MySQL: its columns and keys, and the statements that make it.

Texts of the structure are kept as they stand. Only the name of the table, keys that are made later, and collations
that are mapped are changed.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .model import TableStructure
from .mysql_tokens import mapped

#: Engines that cannot undo a transaction.
_NO_TRANSACTIONS = {
    "myisam",
    "aria",
    "memory",
    "heap",
    "csv",
    "archive",
    "merge",
    "mrg_myisam",
    "blackhole",
}


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of a table. ``text``: its line in CREATE TABLE. ``columns``: those that it names."""

    name: str
    text: str
    columns: tuple[str, ...]
    is_primary: bool = False


@dataclasses.dataclass(frozen=True)
class MySQLTable(TableStructure):
    """A table of MySQL.

    ``lines``: columns and constraints. ``options``: what follows the closing parenthesis.
    ``deferred``: the keys that can be made after the data.
    ``replacing``: columns in which a server silently stores another value for NULL.
    ``names_no_collation``: whether the collation of utf8mb4 is left to the server.
    """

    lines: tuple[str, ...] = ()
    all_keys: tuple[Key, ...] = ()
    deferred: tuple[Key, ...] = ()
    replacing: frozenset[str] = frozenset()
    options: str = ""
    engine: str = "innodb"
    collations: frozenset[str] = frozenset()
    names_no_collation: bool = False
    has_timestamps: bool = False

    @property
    def has_transactions(self) -> bool:
        return self.engine not in _NO_TRANSACTIONS

    def create(
        self, name: str, defers_keys: bool, collation_map: t.Mapping[str, str]
    ) -> str:
        """Return the statement that makes the table. ``name``: quoted."""
        later = self.deferred if defers_keys else ()
        keys = [key.text for key in self.all_keys if key not in later]
        body = ",\n  ".join([*self.lines, *keys])
        return mapped(
            f"CREATE TABLE {name} (\n  {body}\n) {self.options}", collation_map
        )

    def add_keys(
        self,
        name: str,
        keys: t.Sequence[Key],
        collation_map: t.Mapping[str, str],
    ) -> list[str]:
        """Return the statements that make keys after the data.

        One for all, as each reads the table again; but MySQL makes one FULLTEXT key at a time.
        """
        full = [key for key in keys if key.text.lower().startswith("fulltext")]
        together = [key for key in keys if key not in full[1:]]
        groups = [together, *([key] for key in full[1:])] if together else []
        return [
            mapped(
                f"ALTER TABLE {name}\n  "
                + ",\n  ".join(f"ADD {key.text}" for key in group),
                collation_map,
            )
            for group in groups
        ]
