# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""One reading of a data file: how many records its pieces have, whether they are whole, and what tells of its dialect."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import sys
import typing as t

from .._base.text import counted
from . import tuning
from .dialect import Evidence
from .engine import Grammar
from .errors import InvalidBackupError
from .model import ColumnKind, DataFile, DataFormat, Null, TableStructure
from .records import (
    Skeleton,
    commas_of,
    end_of_records,
    fields_of,
    first_record,
    has_open_quote,
    has_unknown_escape,
    invalid_byte,
    last_record,
    masked,
    may_have_stray_quotes,
)
from .sampling import RawSample, Samples
from .statements import count_rows

_CR_LF = "its records end with CR LF, and not with LF alone"
#: A backslash in a value, and not the one of a NULL.
_ESCAPE = re.compile(rb"\\(?!N[,\n])")

# The largest record is that of the database. The limit is for the whole process, and 128 KiB by default.
csv.field_size_limit(sys.maxsize)


class FileScan(t.NamedTuple):
    """What the first pass found in a file."""

    file: DataFile
    evidence: Evidence
    samples: list[RawSample]


@dataclasses.dataclass(frozen=True)
class UnreadFile:
    """A data file before it is read. ``member``: its name. ``samples``: how many records are compared."""

    member: str
    format: DataFormat
    structure: TableStructure
    grammar: Grammar
    samples: int

    def __deepcopy__(self, memo: dict[int, t.Any]) -> UnreadFile:
        # It never changes: two readings share it.
        return self


class Reading:
    """One reading of a file. A deep copy continues from the same place."""

    def __init__(self, file: UnreadFile, has_escapes: bool) -> None:
        self.has_escapes = has_escapes
        self._file = file
        self._records = 0
        self._piece_records: list[int] = []
        self._offset = 0
        self._columns: tuple[str, ...] = ()
        #: Places of the text columns and of the binary ones.
        self._texts: set[int] = set()
        self._binaries: list[int] = []
        self._samples = Samples(file.samples)
        self._last = b""
        self._evidence = Evidence(file.member)

    def add(self, piece: bytes) -> None:
        self._check_encoding(piece)
        before = self._records
        if self._file.format is DataFormat.SQL:
            self._records += count_rows(
                piece,
                self._file.member,
                self._offset,
                self.has_escapes,
                table=self._file.structure.name,
                words=self._file.grammar.sql_words,
            )
        else:
            self._add_records(piece)
        self._piece_records.append(self._records - before)
        self._offset += len(piece)

    def result(
        self, number: int, size: int, valid: frozenset[bool]
    ) -> FileScan:
        chosen = self._samples.chosen(RawSample(self._records, self._last))
        self._evidence.valid = valid
        file = DataFile(
            number,
            self._file.member,
            self._file.format,
            size,
            self._columns,
            tuple(self._piece_records),
        )
        return FileScan(file, self._evidence, chosen if self._last else [])

    def _add_records(self, piece: bytes) -> None:
        # Once for all that looks for quotes and ends of records.
        plain = masked(piece, self.has_escapes)
        if has_open_quote(plain, False):
            whole = piece[: end_of_records(piece, self.has_escapes)]
            record = self._records + len(commas_of(whole, self.has_escapes)) + 1
            raise self._invalid("a quote is not closed", record)
        body = piece
        if not self._columns:
            body = self._begin(piece)
            plain = plain[len(piece) - len(body) :]
            self._sort_columns()
        commas = commas_of(plain, False) if body else []
        if commas and set(commas) != {len(self._columns) - 1}:
            raise self._ragged(body, commas)
        if not body:
            return
        self._look_at(body, plain)
        self._check_binary(plain, len(commas))
        self._samples.add(
            RawSample(self._records + 1, first_record(body, self.has_escapes))
        )
        self._records += len(commas)
        self._last = last_record(body, self.has_escapes)

    def _begin(self, piece: bytes) -> bytes:
        """Find out which columns the file has. Returns the piece without a header."""
        first = first_record(piece, self.has_escapes)
        fields = commas_of(first, self.has_escapes)[0] + 1
        if self._file.format is DataFormat.CSV_WITH_HEADER:
            self._columns = self._header(first)
            return piece[len(first) :]
        if first.endswith(b"\r\n") and self._file.structure.columns:
            raise self._invalid(_CR_LF, 1)
        columns = list(self._file.structure.columns)
        stored = [column for column in columns if not column.is_generated]
        # The service says that it leaves generated columns out, and some exports have them.
        for candidates in (columns, stored):
            if len(candidates) == fields:
                self._columns = tuple(column.name for column in candidates)
                break
        else:
            raise self._invalid(
                f"record 1 has {counted(fields, 'field')}, and the table {counted(len(stored), 'column')}",
                1,
            )
        return piece

    def _sort_columns(self) -> None:
        """Find the columns that are looked at in each piece."""
        kinds = [
            self._file.structure.column(name).kind for name in self._columns
        ]
        self._texts = {
            i for i, kind in enumerate(kinds) if kind is ColumnKind.TEXT
        }
        self._binaries = [
            i for i, kind in enumerate(kinds) if kind is ColumnKind.BINARY
        ]
        self._evidence.text_columns = frozenset(
            self._columns[i] for i in self._texts
        )

    def _header(self, first: bytes) -> tuple[str, ...]:
        text = first.decode("utf-8").rstrip("\n")
        quote = "`" if text.startswith("`") else '"'
        names = next(
            csv.reader(io.StringIO(text, newline=""), quotechar=quote), []
        )
        known = {column.name for column in self._file.structure.columns}
        unknown = [name for name in names if name not in known]
        if text.endswith("\r"):
            raise self._invalid(_CR_LF, 1)
        if unknown:
            raise self._invalid(
                f"its header names the column {unknown[0]!r}, which the table does not have",
                1,
            )
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise self._invalid(
                f"its header names the column {twice[0]!r} twice", 1
            )
        needed = {
            c.name for c in self._file.structure.columns if not c.is_generated
        }
        missing = sorted(needed - set(names))
        if missing:
            raise self._invalid(
                f"its header lacks the column {missing[0]!r}", 1
            )
        return tuple(names)

    def _check_encoding(self, piece: bytes) -> None:
        place = invalid_byte(piece)
        if place is not None:
            raise InvalidBackupError(
                f"{self._file.member} is not UTF-8 at byte {self._offset + place}",
                hint="The file is damaged, or of another export: download it again",
            )

    def _ragged(self, body: bytes, commas: list[int]) -> InvalidBackupError:
        wanted = len(self._columns)
        place = next(i for i, found in enumerate(commas) if found != wanted - 1)
        rest = body
        for _unused in range(place):
            rest = rest[len(first_record(rest, self.has_escapes)) :]
        offset = self._offset + len(body) - len(rest)
        return InvalidBackupError(
            f"record {self._records + place + 1} of {self._file.member}, at byte {offset}, has "
            f"{counted(commas[place] + 1, 'field')}, and the others {wanted}",
            hint="The file is damaged, or was changed: download it again",
        )

    def _invalid(self, message: str, record: int) -> InvalidBackupError:
        return InvalidBackupError(
            f"{self._file.member} cannot be read from record {record} on: {message}",
            hint="Check that it is not damaged, and that data and structure are of the same backup",
        )

    def _look_at(self, body: bytes, plain: bytes) -> None:
        """Collect what tells of the dialect."""
        found = self._evidence
        if self._may_escape and b"\\" in body:
            if has_unknown_escape(body):
                found.unknown_escape = self._records + 1
            found.has_pairs = found.has_pairs or b"\\\\" in body
            found.has_escapes = found.has_escapes or bool(_ESCAPE.search(body))
        # All pieces at the beginning, as they tell most, and later ones with what is new.
        columns = len(self._columns)
        new = [
            null
            for null in Null
            if null not in found.nulls and _may_hold(null, body, columns)
        ]
        if (
            len(self._piece_records) >= tuning.PIECES_LOOKED_AT
            and not new
            and not may_have_stray_quotes(plain, False)
        ):
            return
        skeleton = Skeleton.of(plain, False)
        if skeleton.stray_quote is not None:
            record = self._records + skeleton.stray_quote + 1
            raise self._invalid("a quote is in the middle of a field", record)
        found.has_quoted_empty = (
            found.has_quoted_empty or skeleton.has_quoted_empty
        )
        names = self._columns
        for null in {*new, *found.nulls}:
            places = skeleton.columns_with(null.token, tuning.RECORDS_LOOKED_AT)
            if places:
                found.nulls.setdefault(null, set()).update(
                    names[i] for i in places
                )
        found.unquoted_text.update(
            names[i]
            for i in skeleton.unquoted(self._texts, tuning.RECORDS_LOOKED_AT)
        )

    @property
    def _may_escape(self) -> bool:
        """Return whether it is open what a backslash means: not after one that escapes nothing."""
        return (
            self._file.grammar.has_escapes
            and self._evidence.unknown_escape is None
        )

    def _is_binary(self, plain: bytes, records: int) -> bool:
        """Return whether the binary columns have what they should have. In doubt, they have not."""
        prefix = re.escape(self._file.grammar.binary_prefix.encode())
        is_valid = re.compile(
            rb'"?%s[0-9A-Fa-f]*"?|\\N|NULL|' % prefix
        ).fullmatch
        fields = fields_of(plain, self._binaries, len(self._columns), records)
        return (
            len(fields) == records * len(self._binaries)
            # All of those have an even length, with quotes or without.
            and {len(field) % 2 for field in fields} <= {0}
            and all(map(is_valid, fields))
        )

    def _check_binary(self, plain: bytes, records: int) -> None:
        """Refuse what the server would take for other bytes, or for NULL, silently."""
        if not self._binaries or self._is_binary(plain, records):
            return
        prefix = self._file.grammar.binary_prefix
        # Slower, but it knows the numbers of records.
        pattern = re.compile(
            rf"(?:{re.escape(prefix)}(?:[0-9A-Fa-f]{{2}})*|\\N|NULL|)"
        )
        # A NULL has no quotes: in quotes it is a text, which UNHEX silently turns into NULL.
        for null in (Null.BACKSLASH_N, Null.WORD):
            plain = plain.replace(b'"' + null.token + b'"', b'"?"')
        # Older versions of Python refuse zero bytes, which can be in other columns.
        text = plain.replace(b"\0", b"?").decode("latin-1")
        rows = csv.reader(io.StringIO(text, newline=""))
        for number, row in enumerate(rows, self._records + 1):
            for i in self._binaries:
                if not pattern.fullmatch(row[i]):
                    raise InvalidBackupError(
                        f"record {number} of {self._file.member} does not have pairs of hexadecimal digits "
                        f"in column {self._columns[i]!r}, which is binary",
                        hint="The file is damaged, or of another export: download it again",
                    )


def _may_hold(null: Null, body: bytes, columns: int) -> bool:
    """Whether a field may be NULL in that notation: a quick look, which takes text in quotes for it, too."""
    token = null.token
    if token and token not in body:
        return False
    if columns == 1:
        return (
            body.startswith(token + b"\n")
            or b"\n" + token + b"\n" in body + b"\n"
        )
    return (
        b"," + token + b"," in body
        or b"," + token + b"\n" in body
        or b"\n" + token + b"," in body
        or body.startswith(token + b",")
        or body.endswith(b"," + token)
    )
