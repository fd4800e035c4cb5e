# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Rows of a piece on their way into PostgreSQL: CSV by COPY, and SQL by INSERT."""

from __future__ import annotations

import functools
import re
import typing as t

from .._base.text import printable
from .errors import InvalidBackupError
from .model import DataFormat, Dialect, Piece, Plan
from .postgresql_connection import Connection
from .postgresql_errors import Refusal
from .postgresql_indexing import look_in
from .postgresql_names import place_of, structure_of
from .postgresql_tokens import quote

#: A record that ends the data of COPY, before PostgreSQL 18, although it is the value of a table with one column.
_END_MARK = re.compile(rb"^\\\.\r?$", re.MULTILINE)
_FIELD = re.compile(rb'(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n|\Z)')
#: What a value has to be written as in the text format of COPY.
_ESCAPED = re.compile(rb"[\\\n\r\t]")
_ESCAPES = {b"\\": rb"\\", b"\n": rb"\n", b"\r": rb"\r", b"\t": rb"\t"}

_NAME = rb'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_BLANK = re.compile(rb"(?:\s+|--[^\n]*(?:\n|\Z))*")
_HEAD = re.compile(
    rb"INSERT\s+INTO\s+(?:(?P<schema>%s)\s*\.\s*)?(?P<name>%s)\s*(?P<columns>\(\s*%s(?:\s*,\s*%s)*\s*\))?\s*"
    rb"(?:OVERRIDING\s+(?:SYSTEM|USER)\s+VALUE\s*)?VALUES\s*" % ((_NAME,) * 4),
    re.IGNORECASE,
)
#: A constant, which may have a type. Nothing that the server would execute.
_CONSTANT = (
    rb"(?:E'(?:[^'\\]|\\.|'')*'|[BXN]?'[^']*(?:''[^']*)*'|[-+]?\.?\d[\w.+-]*|NULL|TRUE|FALSE|DEFAULT)"
    rb"(?:\s*::\s*[\w\x22. ]+(?:\(\s*\d+(?:\s*,\s*\d+)?\s*\))?[\w ]*(?:\[\])*)*"
)
_ROW = re.compile(
    rb"\(\s*%s(?:\s*,\s*%s)*\s*\)\s*(?P<end>[,;])\s*" % (_CONSTANT, _CONSTANT),
    re.IGNORECASE | re.DOTALL,
)

#: Where COPY puts rows with values of generated columns, which it refuses.
_STAGE = "pg_temp.apsaradb_stage"


#: The values of a record; None for NULL.
Record = list[t.Optional[bytes]]


def describe(piece: Piece) -> str:
    """Name a piece in a message."""
    last = piece.first_record + piece.records - 1
    return f"records {piece.first_record} to {last} of {printable(piece.file.member)}"


def load_piece(connection: Connection, piece: Piece, plan: Plan) -> int:
    """Load a piece in the transaction that was begun. Returns the number of rows that the server loaded."""
    if piece.file.format is not DataFormat.SQL:
        columns = piece.file.columns
        copy = functools.partial(_copy, connection, piece, plan.dialect)
        return _load_into(connection, piece, columns, copy)
    insert = functools.partial(_insert, connection, piece)
    return sum(
        _load_into(
            connection, piece, one.columns, functools.partial(insert, one)
        )
        for one in inserts_of(piece)
    )


def _load_into(
    connection: Connection,
    piece: Piece,
    columns: t.Sequence[str],
    load: t.Callable[[str], int],
) -> int:
    """Load rows, by a temporary table if they have values of generated columns.

    The server makes those itself. Samples show whether it makes the same ones.
    """
    place = place_of(piece.table)
    generated = _generated(piece)
    if not generated.intersection(columns):
        return load(place)
    look_in(connection, piece.table.place.schema)
    connection.execute(
        f"CREATE TEMPORARY TABLE apsaradb_stage ON COMMIT DROP AS SELECT {quoted_list(columns)} FROM {place} WITH NO DATA"
    )
    load(_STAGE)
    stored = quoted_list([name for name in columns if name not in generated])
    # Without OVERRIDING, GENERATED ALWAYS AS IDENTITY refuses the values of the backup.
    rows = connection.change(
        f"INSERT INTO {place} ({stored}) OVERRIDING SYSTEM VALUE SELECT {stored} FROM {_STAGE}",
        operation=_operation(piece),
        has_data=True,
    )
    connection.execute(f"DROP TABLE {_STAGE}")
    return rows


def _generated(piece: Piece) -> set[str]:
    return {
        one.name
        for one in structure_of(piece.table).columns
        if one.is_generated
    }


def quoted_list(columns: t.Iterable[str]) -> str:
    return ", ".join(map(quote, columns))


def _copy(
    connection: Connection, piece: Piece, dialect: Dialect, place: str
) -> int:
    data, form = piece.data, _csv_options(dialect)
    # The text format has an escape for it.
    if b"\\." in data and _END_MARK.search(data):
        data, form = as_text(_records(data, dialect)), "FORMAT text"
    return connection.copy(
        f"COPY {place} ({quoted_list(piece.file.columns)}) FROM STDIN WITH ({form}, ENCODING 'UTF8')",
        data,
        operation=lambda refusal: _operation(piece, refusal),
    )


def _csv_options(dialect: Dialect) -> str:
    escape = ", ESCAPE '\\'" if dialect.has_escapes else ""
    return f"FORMAT csv, NULL '{dialect.null.token.decode()}'{escape}"


def _operation(piece: Piece, refusal: t.Optional[Refusal] = None) -> str:
    """Complete "Failed to …", as precisely as the server says where it was."""
    line, column = refusal.place if refusal else (None, "")
    records = describe(piece)
    if line:
        number = piece.first_record + _records_before(piece.data, line)
        records = f"record {number} of {printable(piece.file.member)}"
    at = f", column {printable(column)}," if column else ""
    return f"load {records}{at} into {piece.table.place.printable}"


def _records_before(data: bytes, line: int) -> int:
    """Count the records before a line, from 1: values can have several lines."""
    before = data.split(b"\n", line - 1)[: line - 1]
    text = b"\n".join([*before, b""])
    return b"".join(text.split(b'"')[::2]).count(b"\n")


def _records(data: bytes, dialect: Dialect) -> t.Iterator[Record]:
    record: Record = []
    for match in _FIELD.finditer(data):
        quoted, plain, end = match.groups()
        if match.start() == len(data) and not record:
            return
        if quoted is not None:
            record.append(quoted.replace(b'""', b'"'))
        else:
            record.append(None if plain == dialect.null.token else plain)
        if end != b",":
            yield record
            record = []


def as_text(rows: t.Iterable[t.Sequence[t.Optional[bytes]]]) -> bytes:
    """Write rows in the text format of COPY, in which a value can be anything."""
    lines = [b"\t".join(map(_as_text, row)) + b"\n" for row in rows]
    return b"".join(lines)


def _as_text(value: t.Optional[bytes]) -> bytes:
    if value is None:
        return rb"\N"
    return _ESCAPED.sub(lambda match: _ESCAPES[match[0]], value)


class Insert(t.NamedTuple):
    """A statement of a data file. ``values``: all of its rows, as they stand there."""

    columns: tuple[str, ...]
    values: bytes

    def into(self, place: str) -> bytes:
        head = f"INSERT INTO {place} ({quoted_list(self.columns)}) OVERRIDING SYSTEM VALUE VALUES "
        return head.encode() + self.values


def _insert(
    connection: Connection, piece: Piece, insert: Insert, place: str
) -> int:
    return connection.change(
        insert.into(place), operation=_operation(piece), has_data=True
    )


def inserts_of(piece: Piece) -> t.Iterator[Insert]:
    """Yield the statements of a piece in SQL. Raises InvalidBackupError for others."""
    data, position = piece.data, _skip_blank(piece.data, 0)
    while position < len(data):
        head = _HEAD.match(data, position)
        if not head or not _is_own(head, piece):
            raise _foreign(
                piece, position, "another statement than INSERT INTO this table"
            )
        begin = position = head.end()
        while True:
            row = _ROW.match(data, position)
            if not row:
                raise _foreign(
                    piece, position, "a value that is not a constant"
                )
            position = row.end()
            if row["end"] == b";":
                break
        if head["columns"]:
            columns = tuple(
                map(_identifier, re.findall(_NAME, head["columns"]))
            )
        else:
            columns = _columns_of(
                piece,
                len(re.findall(_CONSTANT, row[0], re.IGNORECASE | re.DOTALL)),
            )
        yield Insert(columns, data[begin : row.start("end")])
        position = _skip_blank(data, position)


def _columns_of(piece: Piece, values: int) -> tuple[str, ...]:
    """Return the columns of rows that do not name them: all, or all but the generated ones."""
    columns = tuple(one.name for one in structure_of(piece.table).columns)
    generated = _generated(piece)
    stored = tuple(name for name in columns if name not in generated)
    return stored if values == len(stored) else columns


def _skip_blank(data: bytes, position: int) -> int:
    blank = _BLANK.match(data, position)
    return blank.end() if blank else position


def _is_own(head: re.Match[bytes], piece: Piece) -> bool:
    source = piece.table.source.name
    schema = _identifier(head["schema"]) if head["schema"] else source.schema
    return (schema, _identifier(head["name"])) == (source.schema, source.name)


def _identifier(text: bytes) -> str:
    name = text.decode("utf-8")
    if name.startswith('"'):
        return name[1:-1].replace('""', '"')
    return name.lower()


def _foreign(piece: Piece, position: int, what: str) -> InvalidBackupError:
    return InvalidBackupError(
        f"{describe(piece)} have {what}, at byte {position} of them",
        hint="Data files of the service have no others: check where the backup comes from",
    )
