# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a backup by their names, and what is in them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Optional

from . import mysql, postgresql
from .data_files import csv_file, sql_file
from .model import Column, Database, Dialect, Row, Table

LANGUAGES: dict[str, Any] = {"mysql": mysql, "polardb": mysql, "postgresql": postgresql}


@dataclass(frozen=True)
class FileFacts:
    rows: int
    bytes: int
    crc32: int


@dataclass
class TableFacts:
    """What has to be in the database at the end."""

    database: str
    schema: Optional[str]
    name: str
    columns: list[str]
    rows: Sequence[Row]
    files: dict[str, FileFacts] = field(default_factory=dict)
    """By their whole names in the archive."""

    @property
    def bytes(self) -> int:
        return sum(facts.bytes for facts in self.files.values())


@dataclass
class Export:
    engine: str
    databases: list[Database]
    dialect: Dialect
    root: str = "dt-export"
    """The directory that all is in, or nothing."""
    flat: bool = False
    """Whether the only database has no directory of its own."""

    def with_dialect(self, **changes: Any) -> Export:
        return replace(self, dialect=replace(self.dialect, **changes))

    def database(self, name: str) -> Database:
        return next(database for database in self.databases if database.name == name)

    def files(self) -> dict[str, bytes]:
        """The content of each file, structures before data."""
        return self._made()[0]

    def manifest(self) -> list[TableFacts]:
        return self._made()[1]

    def facts(self, table: str) -> TableFacts:
        """Of the first table of that name."""
        return next(facts for facts in self.manifest() if facts.name == table)

    def _made(self) -> tuple[dict[str, bytes], list[TableFacts]]:
        language = LANGUAGES[self.engine]
        files: dict[str, bytes] = {}
        manifest = []
        for database in self.databases:
            place = "/".join(filter(None, (self.root, "" if self.flat else database.name)))
            for name, text in language.structures(database).items():
                files[f"{place}/{name}".lstrip("/")] = text.encode()
            for table in database.tables:
                directory = f"{place}/{language.directory(table)}".lstrip("/")
                for name, text in language.table_structures(table, self.dialect).items():
                    files[f"{directory}/{name}"] = text.encode()
                manifest.append(self._add_data(files, directory, database, table))
        return files, manifest

    def _add_data(self, files: dict[str, bytes], directory: str, database: Database, table: Table) -> TableFacts:
        schema = table.schema if self.engine == "postgresql" else None
        generated = self.dialect.generated
        kept = _projection(table.columns, everything=generated != "absent")
        columns = [table.columns[number].name for number in kept]
        rows = [[row[number] for number in kept] for row in table.rows]
        facts = TableFacts(database.name, schema, table.name, columns, rows)
        for number, share in enumerate(table.shares()):
            name = f"{directory}/data/{number}.{self.dialect.format}"
            files[name] = content = self.data_file(database, table, share)
            facts.files[name] = FileFacts(len(share), len(content), zlib.crc32(content))
        return facts

    def data_file(self, database: Database, table: Table, rows: Sequence[Row]) -> bytes:
        """Rows as one data file of a table; without any, it is empty."""
        language = LANGUAGES[self.engine]
        kept = _projection(table.columns, everything=self.dialect.generated == "values")
        names = [table.columns[number].name for number in kept]
        values = [[row[number] for number in kept] for row in rows]
        if self.dialect.format == "sql":
            return sql_file(language.insert(database, table, names, self.dialect), values, language, self.dialect)
        return csv_file(names, values, language, self.dialect) if rows else b""


def _projection(columns: Sequence[Column], everything: bool) -> list[int]:
    """The places of the columns, with or without the generated ones."""
    return [number for number, column in enumerate(columns) if everything or not column.generated]
