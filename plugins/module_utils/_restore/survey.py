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

from .._archive.members import Member, Members
from .._archive.source import Tick
from .._base.text import counted
from .dialect import decide
from .engine import Grammar
from .errors import InvalidBackupError
from .layout import (
    DataPlace,
    Path,
    data_place,
    in_numeric_order,
    is_structure,
)
from .model import (
    Backup,
    DataFile,
    DataFormat,
    Dialect,
    Null,
    Sample,
    Table,
    TableName,
    TableStructure,
)
from .reading import FileScan, UnreadFile
from .records import values_of
from .scanner import FileScanner
from .structures import Structures

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
        self._structures = Structures(grammar)
        #: Files whose structure comes after them.
        self._late: set[Path] = set()
        self._scans: dict[Path, dict[Path, Scans]] = {}
        self._ignored: list[str] = []

    def run(self) -> Backup:
        for member, content in self._members.iterate(self._tick):
            self._take(member, content)
        self._structures.complete()
        if self._late:
            self._scan_late()
        self._check_data()
        dialect = self._dialect()
        tables = [
            self._table(directory, dialect)
            for directory in sorted(self._structures.tables)
            if self._options.selects(self._structures.name(directory))
        ]
        if not self._structures.tables:
            raise InvalidBackupError(
                f"it has no {self._grammar.engine} table",
                hint="Check that it is a backup of such an instance, in the format csv or SQL",
            )
        fingerprint = self._members.fingerprint(self._tick)
        return Backup(
            fingerprint,
            tuple(self._structures.databases.values()),
            tuple(map(self._structures.name, self._structures.tables)),
            tuple(tables),
            dialect,
            tuple(self._warnings()),
        )

    def _take(
        self, member: Member, content: t.Iterator[t.Union[bytes, memoryview]]
    ) -> None:
        if is_structure(member, self._grammar):
            self._structures.add(member, content)
            return
        place = data_place(member)
        if not place:
            self._ignored.append(member.printable)
        elif not self._options.selects(self._structures.name(place.table)):
            return
        else:
            structure = self._structures.of_table(place.table)
            if structure:
                self._scan(member, place, content, structure)
            else:
                self._late.add(member.path)

    def _scan_late(self) -> None:
        """Read the source once more for data that came before their structure."""
        for member, content in self._members.iterate(self._tick):
            if member.path in self._late:
                place = data_place(member)
                if place and place.table not in self._structures.tables:
                    raise InvalidBackupError(
                        f"{member.printable} has data of a table without a structure",
                        hint="The backup is incomplete: download it again",
                    )
                if place and self._options.selects(
                    self._structures.name(place.table)
                ):
                    self._scan(
                        member,
                        place,
                        content,
                        self._structures.tables[place.table],
                    )

    def _scan(
        self,
        member: Member,
        place: DataPlace,
        content: t.Iterator[t.Union[bytes, memoryview]],
        structure: TableStructure,
    ) -> None:
        options = self._options
        file = UnreadFile(
            member.printable,
            place.format,
            structure,
            self._grammar,
            options.samples,
        )
        scanner = FileScanner(file, options.piece_size, options.has_escapes)
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
        name = self._structures.name(directory)
        if not name.database:
            raise InvalidBackupError(
                f"nothing in the source says to which database the table {name} belongs",
                hint="Put it into a directory with the name of its database",
            )
        return Table(
            name,
            self._structures.tables[directory],
            tuple(files),
            tuple(samples),
        )

    def _warnings(self) -> t.Iterator[str]:
        if self._ignored:
            names = ", ".join(self._ignored[:5])
            yield f"{counted(len(self._ignored), 'file')} ignored, as neither structure nor data: {names}"
