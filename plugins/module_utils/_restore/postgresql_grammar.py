# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The structures in the exports of PostgreSQL."""

from __future__ import annotations

import typing as t

from .._base.text import printable
from .engine import Grammar
from .errors import InvalidBackupError
from .model import DatabaseStructure, Null, SchemaStructure, TableStructure
from .postgresql_statements import (
    database_options,
    is_without_effect,
    left_out_of,
    take_extension,
    take_sequence,
    take_type,
)
from .postgresql_structure import PostgreSQLDatabase, PostgreSQLSchema
from .postgresql_table import TableReader
from .postgresql_tokens import QualifiedName, split


class PostgreSQLGrammar(Grammar):
    """How the exports of PostgreSQL are written."""

    engine = "PostgreSQL"
    has_schemas = True
    # The server cuts longer ones.
    longest_name = 63
    name_unit = "bytes"
    #: In the order in which they are applied.
    table_files = (
        "column_structure.sql",
        "constraint_structure.sql",
        "index_structure.sql",
        "inherit_structure.sql",
    )
    has_escapes = False
    null = Null.EMPTY
    binary_prefix = "\\x"

    def parse_database(self, text: str, directory: str) -> DatabaseStructure:
        name = directory
        options: dict[str, str] = {}
        extensions: list[str] = []
        left_out: list[str] = []
        for statement in split(text):
            if statement.take("CREATE", "DATABASE"):
                name = statement.name()
                options = database_options(statement)
            elif not (
                take_extension(statement, extensions)
                or is_without_effect(statement)
            ):
                left_out.append(left_out_of(statement))
        locale = options.get("LOCALE", "")
        return PostgreSQLDatabase(
            name,
            charset=options.get("ENCODING", ""),
            collation=options.get("LC_COLLATE", locale),
            ctype=options.get("LC_CTYPE", locale),
            owner=options.get("OWNER", ""),
            extensions=tuple(extensions),
            left_out=tuple(left_out),
        )

    def parse_schema(self, text: str, directory: str) -> SchemaStructure:
        name, owner = directory, ""
        types: list[str] = []
        sequences: dict[QualifiedName, str] = {}
        extensions: list[str] = []
        left_out: list[str] = []
        for statement in split(text):
            if statement.take("CREATE", "SCHEMA"):
                statement.take("IF", "NOT", "EXISTS")
                token = statement.peek()
                if token and not token.is_word("AUTHORIZATION"):
                    name = statement.name()
                if statement.take("AUTHORIZATION"):
                    owner = statement.name()
                # It could go on with all that the schema is to hold.
                if statement.peek():
                    raise statement.unknown()
            elif not (
                take_sequence(statement, name, sequences)
                or take_type(statement, types)
                or take_extension(statement, extensions)
                or is_without_effect(statement)
            ):
                left_out.append(left_out_of(statement))
        return PostgreSQLSchema(
            name,
            owner=owner,
            scripts=tuple(types),
            sequences=sequences,
            extensions=tuple(extensions),
            left_out=tuple(left_out),
        )

    def parse_table(
        self, texts: t.Mapping[str, str], directory: str, schema: str
    ) -> TableStructure:
        reader = TableReader(schema)
        for file in self.table_files:
            for statement in split(texts.get(file, "")):
                reader.read(statement)
        structure = reader.result(directory)
        if structure.name != directory or structure.schema != schema:
            wanted = printable(f"{schema}.{directory}".strip("."))
            found = printable(f"{structure.schema}.{structure.name}".strip("."))
            raise InvalidBackupError(
                f"the directory of table {wanted} has the structure of {found}",
                hint="Directories have the names of their tables: check whether files were moved or renamed",
            )
        return structure
