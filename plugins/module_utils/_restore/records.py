# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Records of CSV files, without a loop over their bytes.

A piece of a file is some whole records. Its skeleton is the piece without what is in quotes: each quoted field
is one quote there. So commas, newlines and NULLs that mean something are the ones in the skeleton. Most steps are
single calls of methods of ``bytes``, which work at the speed of memory.
"""

from __future__ import annotations

import codecs
import functools
import re
import typing as t

from .model import Dialect, Null

#: All bytes but those that separate fields and records.
_NO_MARKS = bytes(set(range(256)) - set(b'",\n'))
#: Marks, and an x for each other byte.
_MARKS = bytes(i if i in b'",\n' else ord("x") for i in range(256))
#: What is NULL in one notation or another.
_NO_TEXT = (b"", b"NULL", rb"\N")
#: What stands for a quoted field, and for a quote, where neither may be meant. They are in no UTF-8.
_FIELD, _QUOTE = b"\xff", b"\xfe"
#: A field with its quotes, or without, and what ends it.
_FIELDS = {
    True: re.compile(
        rb'(?:"((?:[^"\\]|""|\\.)*)"|((?:[^,\n\\]|\\.)*))(,|\n|$)', re.DOTALL
    ),
    False: re.compile(rb'(?:"((?:[^"]|"")*)"|([^,\n]*))(,|\n|$)', re.DOTALL),
}
#: Escapes of LOAD DATA in MySQL that stand for another character. Others stand for the character itself.
_ESCAPES = {
    b"0": b"\0",
    b"b": b"\b",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"Z": b"\x1a",
}
#: Bytes in which the first and the last record are looked for at first: in most files they are shorter.
_WINDOW = 8 << 10
#: Bytes that are decoded at a time.
_DECODED = 64 << 10
#: What a writer that escapes puts behind a backslash.
_KNOWN_ESCAPE = rb'\\[0bnrtZN\\"\'\n,]'
#: An escape, or a doubled quote.
_ESCAPED = re.compile(rb'\\.|""', re.DOTALL)
_BACKSLASH_PAIR = re.compile(rb"\\.", re.DOTALL)


def masked(data: bytes, has_escapes: bool) -> bytes:
    """Return the data, of the same length, without escaped quotes and newlines."""
    # Most have none, but for those of NULL, and a search is faster than copies.
    if has_escapes and (b'\\"' in data or b"\\\n" in data):
        # Pairs first: the second backslash of a pair escapes nothing.
        data = (
            data.replace(b"\\\\", b"xx")
            .replace(b'\\"', b"xx")
            .replace(b"\\\n", b"xx")
        )
    return data


def end_of_records(data: bytes, has_escapes: bool) -> int:
    """Return where the last whole record ends; 0 if there is none. The data begins with a record."""
    plain = masked(data, has_escapes)
    quotes = plain.count(b'"')
    end = len(plain)
    while True:
        newline = plain.rfind(b"\n", 0, end)
        if newline < 0:
            return 0
        quotes -= plain.count(b'"', newline, end)
        if quotes % 2 == 0:
            return newline + 1
        end = newline


def invalid_byte(data: bytes) -> t.Optional[int]:
    """Return the place of the first byte that is not UTF-8; None if all is."""
    view, end, done = memoryview(data), len(data), 0
    try:
        while done < end:
            # In parts that stay in the cache: text needs up to four times as much.
            stop = done + _DECODED
            done += codecs.utf_8_decode(view[done:stop], "strict", stop >= end)[
                1
            ]
    except UnicodeDecodeError as error:
        return done + error.start
    return None


def has_open_quote(piece: bytes, has_escapes: bool) -> bool:
    """Return whether the piece ends within quotes."""
    return masked(piece, has_escapes).count(b'"') % 2 == 1


class Skeleton(t.NamedTuple):
    """Records without what is in quotes. ``lines``: one for each record.

    ``stray_quote``: the first record, from 0, with a quote in the middle of a field; None if there is none.
    """

    lines: list[bytes]
    stray_quote: t.Optional[int]
    has_quoted_empty: bool

    @classmethod
    def of(cls, piece: bytes, has_escapes: bool) -> Skeleton:
        plain = masked(piece, has_escapes)
        parts = plain.split(b'"')
        outside, inside = parts[::2], parts[1::2]
        skeleton = b'"'.join(outside)
        lines = skeleton.split(b"\n")
        # A file need not end with a newline.
        if not lines[-1]:
            lines.pop()
        return cls(
            lines,
            _stray_quote(skeleton),
            b"" in inside and _has_quoted_empty(parts),
        )

    def columns_with(self, token: bytes, limit: int) -> set[int]:
        """Return the columns in which an unquoted field is that token, of the first ``limit`` such records."""
        columns: set[int] = set()
        found = 0
        for line in self.lines:
            if token not in line and token:
                continue
            fields = line.split(b",")
            if token in fields:
                columns.update(
                    i for i, field in enumerate(fields) if field == token
                )
                found += 1
                if found == limit:
                    break
        return columns

    def unquoted(self, columns: set[int], limit: int) -> set[int]:
        """Return those of the columns in which a field of the first ``limit`` records is a text without quotes."""
        found: set[int] = set()
        if columns:
            for line in self.lines[:limit]:
                fields = line.split(b",")
                found.update(
                    i
                    for i in columns
                    if fields[i] not in _NO_TEXT and b'"' not in fields[i]
                )
        return found


def _stray_quote(skeleton: bytes) -> t.Optional[int]:
    """Return the line of a quote that neither begins nor ends a field."""
    marks = skeleton.translate(_MARKS)
    places = [
        place for place in (marks.find(b'x"'), marks.find(b'"x')) if place >= 0
    ]
    return skeleton.count(b"\n", 0, min(places)) if places else None


def may_have_stray_quotes(piece: bytes, has_escapes: bool) -> bool:
    """Return whether a quote seems to be in the middle of a field. A skeleton tells for sure, and is slow."""
    # Quotes that begin or end a field have a separator beside them, and those of a text are doubled.
    marks = masked(piece, has_escapes).translate(_MARKS)
    return b'x"x' in marks.replace(b'""', b"")


def _has_quoted_empty(parts: list[bytes]) -> bool:
    """Return whether a field is ``""``. Within a field, two quotes stand for one."""
    for i in range(1, len(parts) - 1, 2):
        if not parts[i]:
            before, after = parts[i - 1], parts[i + 1]
            begins = before[-1:] in (b",", b"\n") or (i == 1 and not before)
            if begins and (
                after[:1] in (b",", b"\n")
                or (not after and i + 2 == len(parts))
            ):
                return True
    return False


def commas_of(piece: bytes, has_escapes: bool) -> list[int]:
    """Return how many commas are between the fields of each record."""
    # Of all bytes these three matter, and a list of a fifth of the size is made five times as fast. Two quotes side by
    # side change nothing for what is behind them: without them, the list has a third of the parts.
    marks = masked(piece, has_escapes).translate(None, _NO_MARKS)
    marks = marks.replace(b'""', b"")
    lines = b"".join(marks.split(b'"')[::2]).split(b"\n")
    if piece.endswith(b"\n"):
        lines.pop()
    return list(map(len, lines))


def with_null(piece: bytes, dialect: Dialect, null: Null) -> bytes:
    """Return the piece with NULL in another notation.

    A text without quotes that would be taken for it gets quotes.
    """
    if not piece.endswith(b"\n"):
        piece += b"\n"
    plain = masked(piece, dialect.has_escapes)
    parts, at = [], 0
    # Escaped quotes are not among those that count: lengths tell where the others are.
    for part in plain.split(b'"'):
        parts.append(piece[at : at + len(part)])
        at += len(part) + 1
    outside = b"\n" + _FIELD.join(parts[::2])
    if null is not dialect.null:
        # By functions, as a backslash in a replacement would be an escape.
        text = _QUOTE + null.token + _QUOTE
        outside = _unquoted(null.token).sub(lambda _match: text, outside)
        outside = _unquoted(dialect.null.token).sub(
            lambda _match: null.token, outside
        )
    parts[::2] = outside[1:].replace(_QUOTE, b'"').split(_FIELD)
    return b'"'.join(parts)


def _unquoted(token: bytes) -> re.Pattern[bytes]:
    """Return the pattern of a field without quotes that is the token."""
    return re.compile(rb"(?<=[,\n])" + re.escape(token) + rb"(?=[,\n])")


def has_unknown_escape(data: bytes) -> bool:
    """Return whether a backslash stands before what no writer that escapes has there, such as ``\\d``."""
    return len(_BACKSLASH_PAIR.findall(data)) != len(
        re.findall(_KNOWN_ESCAPE, data)
    )


def first_record(
    data: bytes, has_escapes: bool, window: int = _WINDOW
) -> bytes:
    """Return the first record, with its newline if it has one."""
    while window < len(data):
        end = _end_of_first(masked(data[:window], has_escapes))
        if end:
            return data[:end]
        window *= 2
    return data[: _end_of_first(masked(data, has_escapes)) or len(data)]


def _end_of_first(plain: bytes) -> int:
    """Return where the first record ends; 0 if it does not."""
    end = -1
    quotes = 0
    while True:
        begin, end = end + 1, plain.find(b"\n", end + 1)
        if end < 0:
            return 0
        quotes += plain.count(b'"', begin, end)
        if quotes % 2 == 0:
            return end + 1


def last_record(data: bytes, has_escapes: bool, window: int = _WINDOW) -> bytes:
    """Return the last record of whole records."""
    body = data[:-1] if data.endswith(b"\n") else data
    while window < len(body):
        begin = len(body) - window
        # Which of several backslashes escapes is seen from the first one on.
        while begin and body[begin - 1 : begin] == b"\\":
            begin -= 1
        last = _begin_of_last(masked(body[begin:], has_escapes))
        if last:
            return data[begin + last :]
        window *= 2
    return data[_begin_of_last(masked(body, has_escapes)) :]


def _begin_of_last(plain: bytes) -> int:
    """Return where the last record begins; 0 if that is not seen. From the end, quotes are known to be in pairs."""
    end = len(plain)
    quotes = 0
    while True:
        newline = plain.rfind(b"\n", 0, end)
        if newline < 0:
            return 0
        quotes += plain.count(b'"', newline, end)
        if quotes % 2 == 0:
            return newline + 1
        end = newline


def fields_of(
    plain: bytes, columns: t.Sequence[int], width: int, records: int
) -> list[bytes]:
    """Return the fields of these columns of masked records, with their quotes.

    ``width``: how many fields a record has. ``records``: how many records there are.
    """
    place = tuple(columns)
    found: list[t.Any] = []
    if plain.endswith(b"\n") and plain.count(b"\n") == records:
        # Each record is one line: the columns are looked for from the nearer end of it.
        found = _picking_in_line(place, width).findall(plain)
    # A field on the way can have quotes within its text.
    if len(found) != records:
        found = _picking(place).findall(plain)
    if len(columns) == 1:
        return t.cast("list[bytes]", found)
    return [field for record in found for field in record]


@functools.lru_cache(maxsize=64)
def _picking_in_line(columns: tuple[int, ...], width: int) -> re.Pattern[bytes]:
    """Return the pattern of a line that is a record, with groups for these columns."""
    first, last = min(columns), max(columns)
    if last < width - first:
        fields = _fields_pattern(columns, range(last + 1))
        return re.compile(rb"^%s(?:,[^\n]*)?\n" % fields, re.MULTILINE)
    # From a comma on, only whole fields up to the end of the line: there is one such place. If a text in quotes were
    # taken for fields, one of those would have a quote in its middle.
    fields = _fields_pattern(columns, range(first, width))
    before = rb"[^\n]*," if first else b""
    return re.compile(rb"^%s%s\n" % (before, fields), re.MULTILINE)


def _fields_pattern(columns: tuple[int, ...], places: range) -> bytes:
    """Return the pattern of fields of one line, none with a quote in its text."""
    field = rb'"[^"\n]*"|[^,\n"]*'
    return b",".join(
        (b"(%s)" if i in columns else b"(?:%s)") % field for i in places
    )


@functools.lru_cache(maxsize=64)
def _picking(columns: tuple[int, ...]) -> re.Pattern[bytes]:
    """Return the pattern of a record, with groups for these columns."""
    field = rb'"[^"]*(?:""[^"]*)*"|[^,\n"]*'
    parts = [
        (b"(%s)" if i in columns else b"(?:%s)") % field
        for i in range(max(columns) + 1)
    ]
    # A record can be empty, but not behind the last one.
    return re.compile(
        rb"(?!\Z)" + b",".join(parts) + rb"(?:,(?:%s))*(?:\n|\Z)" % field
    )


def values_of(record: bytes, dialect: Dialect) -> tuple[t.Optional[bytes], ...]:
    """Return the values of one record, without quotes and escapes; None for NULL."""
    values: list[t.Optional[bytes]] = []
    body = record[:-1] if record.endswith(b"\n") else record
    for match in _FIELDS[dialect.has_escapes].finditer(body):
        quoted, plain, end = match.groups()
        if quoted is not None:
            values.append(_unescaped(quoted, dialect.has_escapes))
        elif plain == dialect.null.token:
            values.append(None)
        else:
            values.append(_unescaped(plain, dialect.has_escapes))
        if not end:
            break
    return tuple(values)


def _unescaped(value: bytes, has_escapes: bool) -> bytes:
    if has_escapes and b"\\" in value:
        return _ESCAPED.sub(_meaning, value)
    return value.replace(b'""', b'"')


def _meaning(match: re.Match[bytes]) -> bytes:
    escaped = match[0][1:]
    return _ESCAPES.get(escaped, escaped)
