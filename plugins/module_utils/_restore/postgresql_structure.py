# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""What the structures of a PostgreSQL backup say."""

from __future__ import annotations

import dataclasses
import enum
import typing as t

from .model import DatabaseStructure, SchemaStructure, TableStructure
from .postgresql_tokens import QualifiedName, quote

#: Says under which name a table is made.
Rename = t.Callable[[QualifiedName], QualifiedName]

#: What stands between a partitioned table and a new partition.
ATTACH = " ATTACH PARTITION "


@dataclasses.dataclass(frozen=True)
class Script:
    """A statement. ``parts``: its text, and in between the names of tables, which can be renamed."""

    parts: tuple[t.Union[str, QualifiedName], ...]

    def render(self, rename: Rename) -> str:
        return "".join(
            part if isinstance(part, str) else quote(*rename(part))
            for part in self.parts
        )


class KeyKind(enum.Enum):
    """Kinds of keys, as messages name them."""

    PRIMARY = "primary key"
    UNIQUE = "unique constraint"
    EXCLUDE = "exclusion constraint"
    CHECK = "check constraint"
    FOREIGN = "foreign key"
    INDEX = "index"


@dataclasses.dataclass(frozen=True)
class Key:
    """A key or a constraint, and the script that makes it.

    ``name``: its own, or if it has none (``is_named``), the one that the server is likely to choose.
    ``index``: what makes its index, which other indexes can be made beside; None if that is not known.
    ``attach``: what makes that index the key; None if it is a mere index.
    """

    name: str
    is_named: bool
    kind: KeyKind
    script: Script
    index: t.Optional[Script] = None
    attach: t.Optional[Script] = None


@dataclasses.dataclass(frozen=True)
class PostgreSQLDatabase(DatabaseStructure):
    """The structure of a database. ``extensions``: names of those that it needs."""

    ctype: str = ""
    owner: str = ""
    extensions: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class PostgreSQLSchema(SchemaStructure):
    """The structure of a schema. ``scripts``: types and domains that tables need."""

    owner: str = ""
    scripts: tuple[str, ...] = ()
    sequences: t.Mapping[QualifiedName, str] = dataclasses.field(
        default_factory=dict
    )
    extensions: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class PostgreSQLTable(TableStructure):
    """The structure of a table.

    ``scripts``: what is made before the data, beginning with the table. ``made_keys``: keys in the
    order in which they are made; foreign keys come after all tables. ``inherits``: what makes tables
    part of others. ``used_sequences``: sequences that defaults use. ``sequences``: the statements
    that create them, as far as the backup has some. ``types``: statements for types.
    ``left_out``: what is not restored.
    """

    schema: str = ""
    scripts: tuple[Script, ...] = ()
    made_keys: tuple[Key, ...] = ()
    inherits: tuple[Script, ...] = ()
    used_sequences: tuple[QualifiedName, ...] = ()
    sequences: t.Mapping[QualifiedName, str] = dataclasses.field(
        default_factory=dict
    )
    types: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    owner: str = ""
    is_partitioned: bool = False
    left_out: tuple[str, ...] = ()
