# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a backup by their names, and what is in them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

from . import mysql, postgresql
from .data_files import csv_file, sql_file
from .model import Database, Dialect, Row, Table

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
        found: dict[str, bytes] = {}
        self._produce(lambda name, chunks: found.update({name: b"".join(chunks)}))
        return found

    def write(self, directory: Path) -> list[TableFacts]:
        """Make the tree below a directory, for backups larger than memory. Returns the manifest."""

        def sink(name: str, chunks: Iterable[bytes]) -> None:
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.writelines(chunks)

        return self._produce(sink)

    def manifest(self) -> list[TableFacts]:
        return self._produce(lambda dummy, chunks: None)

    def facts(self, table: str) -> TableFacts:
        """Of the first table of that name."""
        return next(facts for facts in self.manifest() if facts.name == table)

    def _produce(self, sink: Callable[[str, Iterable[bytes]], None]) -> list[TableFacts]:
        """Hand over each file."""
        language = LANGUAGES[self.engine]
        manifest = []
        for database in self.databases:
            place = "/".join(filter(None, (self.root, "" if self.flat else database.name)))
            for name, text in language.structures(database).items():
                sink(f"{place}/{name}".lstrip("/"), [text.encode()])
            for table in database.tables:
                directory = f"{place}/{language.directory(table)}".lstrip("/")
                for name, text in language.table_structures(table, self.dialect).items():
                    sink(f"{directory}/{name}", [text.encode()])
                manifest.append(self._produce_data(sink, directory, database, table))
        return manifest

    def _produce_data(
        self, sink: Callable[[str, Iterable[bytes]], None], directory: str, database: Database, table: Table
    ) -> TableFacts:
        kept = _Projection(table, self.dialect.generated != "absent")
        schema = table.schema if self.engine == "postgresql" else None
        facts = TableFacts(database.name, schema, table.name, kept.names, kept.of(table.rows))
        for number, share in enumerate(table.shares()):
            name = f"{directory}/data/{number}.{self.dialect.format}"
            content = _Counted(self._data(database, table, share))
            sink(name, content)
            facts.files[name] = content.facts(len(share))
        return facts

    def _data(self, database: Database, table: Table, share: Sequence[Row]) -> Iterator[bytes]:
        language = LANGUAGES[self.engine]
        kept = _Projection(table, self.dialect.generated == "values")
        if not share:
            return iter(())
        rows = kept.of(share)
        if self.dialect.format == "sql":
            return sql_file(language.insert(database, table, kept.names, self.dialect), rows, language, self.dialect)
        return csv_file(kept.names, rows, language, self.dialect)


class _Projection:
    """The columns of a table, with or without the generated ones."""

    def __init__(self, table: Table, everything: bool) -> None:
        columns = table.columns
        self._places = [place for place, column in enumerate(columns) if everything or not column.generated]
        self._whole = len(self._places) == len(columns)
        self.names = [columns[place].name for place in self._places]

    def of(self, rows: Sequence[Row]) -> Sequence[Row]:
        return rows if self._whole else [[row[place] for place in self._places] for row in rows]


class _Counted:
    """Chunks, and what they were, whether somebody took them or not."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._bytes = self._crc32 = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._bytes += len(chunk)
            self._crc32 = zlib.crc32(chunk, self._crc32)
            yield chunk

    def facts(self, rows: int) -> FileFacts:
        for dummy in self:
            pass
        return FileFacts(rows, self._bytes, self._crc32)
