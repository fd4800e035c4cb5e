# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Where the structures and the data of tables are in a source, by the names of directories and files.

    <root>/<database>/structure.sql
    <root>/<database>/<table>/structure.sql            MySQL
    <root>/<database>/<schema>/structure.sql           PostgreSQL
    <root>/<database>/<schema>/<table>/*_structure.sql
    .../<table>/data/<file>

How many directories are above a database is not known, and a structure may come after its data.
"""

from __future__ import annotations

import re
import typing as t

from .._archive.members import Member
from .engine import Grammar
from .errors import InvalidBackupError
from .model import DataFormat, TableName

Path = tuple[str, ...]

#: The directory with the data files of a table, and the file with a structure.
DATA = "data"
STRUCTURE = "structure.sql"

#: What belongs to other kinds of backups, by the end of a name, and what restores them.
_FOREIGN = {
    ".parquet": (
        "Parquet",
        "Create a download task with the format csv or SQL",
    ),
    ".bson": (
        "a MongoDB collection",
        "Extract it with dbs_download_extract and layout=mongorestore, and load it with mongorestore",
    ),
    ".xb": ("a physical backup", "Prepare it with xtrabackup"),
    ".qp": ("a physical backup", "Prepare it with qpress and xtrabackup"),
    ".ibd": ("a physical backup", "Prepare it with xtrabackup"),
}


class DataPlace(t.NamedTuple):
    """A data file. ``table``: the directory of its table."""

    table: Path
    format: DataFormat


def data_place(member: Member) -> t.Optional[DataPlace]:
    """Return the place of a data file; None if it is another file. Raises InvalidBackupError."""
    name = member.path[-1]
    for ending, (what, hint) in _FOREIGN.items():
        if name.endswith(ending):
            raise InvalidBackupError(
                f"{member.printable} is {what}, which this module cannot restore",
                hint=hint,
            )
    if len(member.path) < 3 or member.path[-2] != DATA:
        return None
    for format in DataFormat:
        if name.endswith(f".{format.value}"):
            return DataPlace(member.path[:-2], format)
    raise InvalidBackupError(
        f"{member.printable} is in an unknown format",
        hint="Known are .csv, .wh.csv and .sql: create a download task with the format csv or SQL",
    )


#: Structures of tables of PostgreSQL, which MySQL has in one file.
_POSTGRESQL = (
    "column_structure.sql",
    "constraint_structure.sql",
    "index_structure.sql",
)


def foreign_engine(name: str, engine: str) -> InvalidBackupError:
    """Return the error for a file of a backup that is for the other module."""
    return InvalidBackupError(
        f"{name} is of a backup of {engine}",
        hint=f"Restore it with dbs_restore_{engine.lower()}",
    )


def is_structure(member: Member, grammar: Grammar) -> bool:
    """Return whether it is a structure. Raises InvalidBackupError for one of another engine."""
    name = member.path[-1]
    if (
        name in _POSTGRESQL
        and name not in grammar.table_files
        and member.path[-2:-1] != (DATA,)
    ):
        raise foreign_engine(member.printable, "PostgreSQL")
    return member.path[-2:-1] != (DATA,) and (
        name == STRUCTURE or name in grammar.table_files
    )


def table_name(directory: Path, grammar: Grammar) -> TableName:
    """Return the name of a table by its directory. The database is empty in a flat layout.

    Raises InvalidBackupError if the source begins below the directory of a database.
    """
    if len(directory) <= grammar.has_schemas:
        raise InvalidBackupError(
            "it is a part of a database, and does not have the names of all that is above",
            hint="Set src to the directory of the database or one above, and tables to restore only some",
        )
    above = directory[:-1]
    schema = ""
    if grammar.has_schemas:
        schema, above = above[-1] if above else "", above[:-1]
    return TableName(above[-1] if above else "", schema, directory[-1])


def in_numeric_order(name: str) -> list[tuple[int, int, str]]:
    """Return the key by which ``10.csv`` comes after ``9.csv``."""
    # Numbers and texts are not compared with each other: the first of each tuple tells them apart.
    parts = re.split(r"([0-9]+)", name)
    return [
        (1, int(part), part) if part.isdecimal() else (0, 0, part)
        for part in parts
    ]
