# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The first pass: reads the whole source, and finds what is in it, without a database server.

All that can be refused is refused here, with the file, the record and the byte.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._archive.formats import printable_name
from .._archive.members import Member, Members
from .._archive.source import Tick
from . import tuning
from .dialect import decide
from .engine import Grammar
from .errors import InvalidBackupError
from .layout import (
    STRUCTURE,
    DataPlace,
    Path,
    data_place,
    foreign_engine,
    in_numeric_order,
    is_structure,
    table_name,
)
from .model import (
    Backup,
    DatabaseStructure,
    DataFile,
    DataFormat,
    Dialect,
    Null,
    Sample,
    SchemaStructure,
    Table,
    TableName,
    TableStructure,
)
from .reading import FileScan
from .records import values_of
from .scanner import FileScanner
from .statements import (
    is_database_structure,
    is_schema_structure,
    is_table_structure,
)

#: What a file was found to be, by each reading of backslashes.
Scans = t.Mapping[bool, FileScan]


class SurveyOptions(t.NamedTuple):
    """How to read. ``null``, ``has_escapes``: None to find out. ``samples``: records for each file.

    ``selects``: whether a table is wanted. Data of others are not looked at.
    """

    piece_size: int
    samples: int
    null: t.Optional[Null]
    has_escapes: t.Optional[bool]
    selects: t.Callable[[TableName], bool]


def survey(
    members: Members, grammar: Grammar, options: SurveyOptions, tick: Tick
) -> Backup:
    """Return what is in the source. Raises InvalidBackupError."""
    return _Survey(members, grammar, options, tick).run()


class _Survey:
    def __init__(
        self,
        members: Members,
        grammar: Grammar,
        options: SurveyOptions,
        tick: Tick,
    ) -> None:
        self._members = members
        self._grammar = grammar
        self._options = options
        self._tick = tick
        self._texts: dict[Path, dict[str, str]] = {}
        self._tables: dict[Path, TableStructure] = {}
        #: Those of which not all files may have been read, which is enough for their columns.
        self._partial: dict[Path, TableStructure] = {}
        self._databases: dict[Path, DatabaseStructure] = {}
        self._schemas: dict[Path, SchemaStructure] = {}
        #: Files whose structure comes after them.
        self._late: set[Path] = set()
        self._scans: dict[Path, dict[Path, Scans]] = {}
        self._ignored: list[str] = []

    def run(self) -> Backup:
        for member, content in self._members.iterate(self._tick):
            self._take(member, content)
        if STRUCTURE not in self._grammar.table_files:
            self._check_engine()
        for directory in list(self._texts):
            self._parse(directory)
        self._check_structures()
        self._add_schemas()
        if self._late:
            self._scan_late()
        self._check_data()
        dialect = self._dialect()
        tables = [
            self._table(directory, dialect)
            for directory in sorted(self._tables)
            if self._options.selects(self._name(directory))
        ]
        if not self._tables:
            raise InvalidBackupError(
                f"it has no {self._grammar.engine} table",
                hint="Check that it is a backup of such an instance, in the format csv or SQL",
            )
        fingerprint = self._members.fingerprint(self._tick)
        return Backup(
            fingerprint,
            tuple(self._databases.values()),
            tuple(map(self._name, self._tables)),
            tuple(tables),
            dialect,
            tuple(self._warnings()),
        )

    def _check_engine(self) -> None:
        """Refuse tables whose structure is where only MySQL has it."""
        for directory, texts in self._texts.items():
            if is_table_structure(texts.get(STRUCTURE, "")):
                name = printable_name("/".join((*directory, STRUCTURE)))
                raise foreign_engine(name, "MySQL")

    def _take(
        self, member: Member, content: t.Iterator[t.Union[bytes, memoryview]]
    ) -> None:
        if is_structure(member, self._grammar):
            if member.size > tuning.MAX_STRUCTURE:
                raise InvalidBackupError(
                    f"{member.printable} has {member.size} bytes: at most {tuning.MAX_STRUCTURE} are allowed"
                )
            text = _decoded(b"".join(content), member)
            directory, name = member.path[:-1], member.path[-1]
            self._texts.setdefault(directory, {})[name] = text
            return
        place = data_place(member)
        if not place:
            self._ignored.append(member.printable)
        elif not self._options.selects(self._name(place.table)):
            return
        else:
            structure = self._structure(place.table)
            if structure:
                self._scan(member, place, content, structure)
            else:
                self._late.add(member.path)

    def _structure(self, directory: Path) -> t.Optional[TableStructure]:
        # One of several files can be missing until the source was read to its end.
        texts = self._texts.get(directory, {})
        if directory not in self._tables and set(
            self._grammar.table_files[:1]
        ) <= set(texts):
            if STRUCTURE in self._grammar.table_files:
                self._parse(directory)
            elif directory not in self._partial:
                self._partial[directory] = self._parse_table(directory)
        return self._tables.get(directory) or self._partial.get(directory)

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
            if directory not in self._tables:
                self._tables[directory] = self._parse_table(directory)
        elif directory not in self._databases:
            name = directory[-1] if directory else ""
            if self._is_database(directory):
                self._databases[directory] = self._grammar.parse_database(
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

    def _check_structures(self) -> None:
        """Refuse a structure of neither kind: otherwise its table would be missing without an error."""
        above = {
            directory[:-1] for directory in (*self._tables, *self._schemas)
        }
        for directory in self._databases:
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
            database = self._databases.get(
                above
            ) or self._grammar.parse_database("", above[-1] if above else "")
            schemas = (*database.schemas, schema)
            self._databases[above] = dataclasses.replace(
                database, schemas=schemas
            )

    def _is_database(self, directory: Path) -> bool:
        """Return whether a structure is that of a database, and not of a schema."""
        if not self._grammar.has_schemas:
            return True
        return not is_schema_structure(self._texts[directory][STRUCTURE])

    def _name(self, directory: Path) -> TableName:
        """Return the name of the table with that directory."""
        name = table_name(directory, self._grammar)
        above = directory[: -2 if self._grammar.has_schemas else -1]
        database = self._databases.get(above)
        if database:
            name = name._replace(database=database.name)
        return name

    def _scan_late(self) -> None:
        """Read the source once more for data that came before their structure."""
        for member, content in self._members.iterate(self._tick):
            if member.path in self._late:
                place = data_place(member)
                if place and place.table not in self._tables:
                    raise InvalidBackupError(
                        f"{member.printable} has data of a table without a structure",
                        hint="The backup is incomplete: download it again",
                    )
                if place and self._options.selects(self._name(place.table)):
                    self._scan(
                        member, place, content, self._tables[place.table]
                    )

    def _scan(
        self,
        member: Member,
        place: DataPlace,
        content: t.Iterator[t.Union[bytes, memoryview]],
        structure: TableStructure,
    ) -> None:
        options = self._options
        scanner = FileScanner(
            member.printable,
            place.format,
            structure,
            self._grammar,
            options.piece_size,
            options.samples,
            options.has_escapes,
        )
        for chunk in content:
            scanner.feed(chunk)
        scans = self._scans.setdefault(place.table, {})
        if member.path in scans:
            raise InvalidBackupError(
                f"{member.printable} is in the source twice",
                hint="The backup is damaged: download it again",
            )
        # The numbers of files are known when all of their names are.
        scans[member.path] = scanner.finish(0)

    def _check_data(self) -> None:
        for directory, scans in self._scans.items():
            formats = {
                scan.file.format
                for by_reading in scans.values()
                for scan in by_reading.values()
            }
            if len(formats) > 1:
                names = " and ".join(
                    sorted(f".{format.value}" for format in formats)
                )
                raise InvalidBackupError(
                    f"the data files of table {'.'.join(directory)} are {names}, and one table has one format",
                    hint="Files of two exports were mixed: download it again",
                )

    def _dialect(self) -> Dialect:
        chosen = [
            scans.get(self._grammar.has_escapes) or next(iter(scans.values()))
            for files in self._scans.values()
            for scans in files.values()
        ]
        evidence = [
            scan.evidence
            for scan in chosen
            if scan.file.format is not DataFormat.SQL
        ]
        options = self._options
        return decide(
            evidence, self._grammar, options.null, options.has_escapes
        )

    def _table(self, directory: Path, dialect: Dialect) -> Table:
        files: list[DataFile] = []
        samples: list[Sample] = []
        found = self._scans.get(directory, {})
        for path in sorted(found, key=lambda path: in_numeric_order(path[-1])):
            scan = found[path].get(dialect.has_escapes) or next(
                iter(found[path].values())
            )
            number = len(files)
            files.append(dataclasses.replace(scan.file, number=number))
            samples += [
                Sample(number, raw.record, values_of(raw.data, dialect))
                for raw in scan.samples
            ]
        name = self._name(directory)
        if not name.database:
            raise InvalidBackupError(
                f"nothing in the source says to which database the table {name} belongs",
                hint="Put it into a directory with the name of its database",
            )
        return Table(
            name, self._tables[directory], tuple(files), tuple(samples)
        )

    def _warnings(self) -> t.Iterator[str]:
        if self._ignored:
            names = ", ".join(self._ignored[:5])
            yield f"{len(self._ignored)} files are neither structures nor data, and are ignored: {names}"


def _decoded(data: bytes, member: Member) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidBackupError(
            f"{member.printable} is not UTF-8 at byte {error.start}",
            hint="The file is damaged: download it again",
        ) from None
