# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The structures of a source: which directory is a table, a schema or a database, and what its structure says."""

from __future__ import annotations

import dataclasses
import typing as t

from .._archive.formats import printable_name
from .._archive.members import Member
from . import tuning
from .engine import Grammar
from .errors import InvalidBackupError
from .layout import STRUCTURE, Path, foreign_engine, table_name
from .model import DatabaseStructure, SchemaStructure, TableName, TableStructure
from .statements import (
    is_database_structure,
    is_schema_structure,
    is_table_structure,
)


class Structures:
    """Structures by the directories that they are of: ``tables`` and ``databases``."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._texts: dict[Path, dict[str, str]] = {}
        self.tables: dict[Path, TableStructure] = {}
        #: Those of which not all files may have been read, which is enough for their columns.
        self._partial: dict[Path, TableStructure] = {}
        self.databases: dict[Path, DatabaseStructure] = {}
        self._schemas: dict[Path, SchemaStructure] = {}

    def add(
        self, member: Member, content: t.Iterable[t.Union[bytes, memoryview]]
    ) -> None:
        """Keep the text of a structure. It is parsed when it is needed."""
        # Before any of it is read, as all of it is kept in memory.
        if member.size > tuning.MAX_STRUCTURE:
            raise InvalidBackupError(
                f"{member.printable} has {member.size} bytes: at most {tuning.MAX_STRUCTURE} are allowed"
            )
        text = _decoded(b"".join(content), member)
        directory, name = member.path[:-1], member.path[-1]
        self._texts.setdefault(directory, {})[name] = text

    def of_table(self, directory: Path) -> t.Optional[TableStructure]:
        """Return the structure of a table; None if it was not read yet."""
        # One of several files can be missing until the source was read to its end.
        texts = self._texts.get(directory, {})
        if directory not in self.tables and set(
            self._grammar.table_files[:1]
        ) <= set(texts):
            if STRUCTURE in self._grammar.table_files:
                self._parse(directory)
            elif directory not in self._partial:
                self._partial[directory] = self._parse_table(directory)
        return self.tables.get(directory) or self._partial.get(directory)

    def complete(self) -> None:
        """Parse all that is left, now that the source was read to its end. Raises InvalidBackupError."""
        if STRUCTURE not in self._grammar.table_files:
            self._check_engine()
        for directory in list(self._texts):
            self._parse(directory)
        self._check_kinds()
        self._add_schemas()

    def name(self, directory: Path) -> TableName:
        """Return the name of the table with that directory."""
        name = table_name(directory, self._grammar)
        above = directory[: -2 if self._grammar.has_schemas else -1]
        database = self.databases.get(above)
        if database:
            name = name._replace(database=database.name)
        return name

    def _check_engine(self) -> None:
        """Refuse tables whose structure is where only MySQL has it."""
        for directory, texts in self._texts.items():
            if is_table_structure(texts.get(STRUCTURE, "")):
                name = printable_name("/".join((*directory, STRUCTURE)))
                raise foreign_engine(name, "MySQL")

    def _parse(self, directory: Path) -> None:
        """Parse the structure of a table, or of a database."""
        # In MySQL, tables and databases have a file of the same name: the text tells which it is.
        texts = self._texts[directory]
        if any(
            name in texts and name != STRUCTURE
            for name in self._grammar.table_files
        ) or (
            STRUCTURE in self._grammar.table_files
            and is_table_structure(texts[STRUCTURE])
        ):
            if directory not in self.tables:
                self.tables[directory] = self._parse_table(directory)
        elif directory not in self.databases:
            name = directory[-1] if directory else ""
            if self._is_database(directory):
                self.databases[directory] = self._grammar.parse_database(
                    texts[STRUCTURE], name
                )
            else:
                self._schemas[directory] = self._grammar.parse_schema(
                    texts[STRUCTURE], name
                )

    def _parse_table(self, directory: Path) -> TableStructure:
        name = table_name(directory, self._grammar)
        return self._grammar.parse_table(
            self._texts[directory], name.name, name.schema
        )

    def _check_kinds(self) -> None:
        """Refuse a structure of neither kind: otherwise its table would be missing without an error."""
        above = {directory[:-1] for directory in (*self.tables, *self._schemas)}
        for directory in self.databases:
            text = self._texts.get(directory, {}).get(STRUCTURE, "")
            if directory not in above and not is_database_structure(text):
                name = printable_name("/".join((*directory, STRUCTURE)))
                raise InvalidBackupError(
                    f"{name} creates neither a table nor a database",
                    hint="The backup is damaged: download it again",
                )

    def _add_schemas(self) -> None:
        """Add each schema to its database, which may have no structure of its own."""
        for directory, schema in self._schemas.items():
            above = directory[:-1]
            database = self.databases.get(
                above
            ) or self._grammar.parse_database("", above[-1] if above else "")
            schemas = (*database.schemas, schema)
            self.databases[above] = dataclasses.replace(
                database, schemas=schemas
            )

    def _is_database(self, directory: Path) -> bool:
        """Return whether a structure is that of a database, and not of a schema."""
        if not self._grammar.has_schemas:
            return True
        return not is_schema_structure(self._texts[directory][STRUCTURE])


def _decoded(data: bytes, member: Member) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidBackupError(
            f"{member.printable} is not UTF-8 at byte {error.start}",
            hint="The file is damaged: download it again",
        ) from None
