# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Data files in SQL: only INSERT statements, into the table that they are the data of."""

from __future__ import annotations

import re
import typing as t

from .errors import InvalidBackupError

#: Text in quotes, with doubled quotes: where backslashes escape, and where they do so only in E'…'.
_ESCAPED = rb"'[^'\\]*(?:(?:\\.|'')[^'\\]*)*'"
_QUOTED = {
    True: re.compile(_ESCAPED, re.DOTALL),
    False: re.compile(
        rb"\b[eE]" + _ESCAPED + rb"|'[^']*(?:''[^']*)*'", re.DOTALL
    ),
}
_ESCAPE_BEGIN = re.compile(rb"\b[eE]'")
#: Names, and texts of which some have escapes. The last one may go on after the data.
_NAMES_AND_TEXTS = re.compile(
    rb'"[^"]*"|\b[eE]'
    + _ESCAPED[:-1]
    + rb"(?:'|\\?\Z)|'[^']*(?:''[^']*)*(?:'|\Z)",
    re.DOTALL,
)
_STATEMENT_END = re.compile(rb";[ \t\r]*\n")
_COMMENT = re.compile(rb"(?:\s+|--[^\n]*\n|/\*.*?\*/)*", re.DOTALL)
_INSERT = re.compile(
    rb"INSERT\s+INTO\s+((?:`(?:[^`]|``)+`|\"(?:[^\"]|\"\")+\"|[\w$]+)(?:\s*\.\s*(?:`(?:[^`]|``)+`|\"(?:[^\"]|\"\")+\"|[\w$]+))*)"
    rb"\s*(\([^()]*\))?\s*(?:OVERRIDING\s+\w+\s+VALUE\s*)?VALUES\s*",
    re.IGNORECASE,
)

_NAME = re.compile(rb"`(?:[^`]|``)+`|\"(?:[^\"]|\"\")+\"|[\w$]+")
#: A word, or what is as dangerous: no number, also not a hexadecimal one.
_WORD = re.compile(rb"(?<![\w.])[A-Za-z_$\x80-\xff][\w$\x80-\xff]*|[@`\"]|/\*")
_WRONG_SOURCE = "Data files of the service have nothing else: check where the backup comes from"

#: What is not part of a statement's own words: comments, and names and texts in quotes. MySQL executes what is in /*! … */.
_NO_WORDS = re.compile(
    r"--[^\n]*|/\*(?!!).*?\*/|'(?:[^'\\]|\\.|'')*'|`(?:[^`]|``)*`|\"(?:[^\"]|\"\")*\"",
    re.DOTALL,
)


def is_table_structure(text: str) -> bool:
    """Return whether a structure makes a table, and not a database or a schema."""
    return bool(re.search(r"(?i)\bCREATE\s+TABLE\b", _NO_WORDS.sub(" ", text)))


def is_database_structure(text: str) -> bool:
    return bool(
        re.search(
            r"(?i)\bCREATE\s+(?:DATABASE|SCHEMA)\b", _NO_WORDS.sub(" ", text)
        )
    )


def is_schema_structure(text: str) -> bool:
    words = _NO_WORDS.sub(" ", text)
    return bool(re.search(r"(?i)\bCREATE\s+SCHEMA\b", words)) and not re.search(
        r"(?i)\bCREATE\s+DATABASE\b", words
    )


def end_of_statements(data: bytes, has_escapes: bool) -> int:
    """Return where the last whole statement ends; 0 if there is none. The data begins with a statement."""
    end = 0
    for statement in split(data, has_escapes):
        end = statement.end
    return end


class Statement(t.NamedTuple):
    """A statement. ``begin``, ``end``: its place in the data."""

    begin: int
    end: int


def split(data: bytes, has_escapes: bool) -> t.Iterator[Statement]:
    """Yield each whole statement. ``has_escapes``: whether a backslash escapes in any text in quotes."""
    if not has_escapes and _ESCAPE_BEGIN.search(data):
        # Each is replaced by as many letters, so that places stay.
        data = _NAMES_AND_TEXTS.sub(lambda match: b"x" * len(match[0]), data)
    begin = quotes = 0
    counted = _end_of_names(data, begin)
    for match in _STATEMENT_END.finditer(data, counted):
        if match.start() < counted:
            # In a comment before the statement.
            continue
        # Within a text, there is an odd number of quotes before it. Doubled ones do not change that.
        quotes += _quotes(data[counted : match.start()], has_escapes)
        counted = match.start()
        if quotes % 2 == 0:
            yield Statement(begin, match.end())
            begin = match.end()
            counted = _end_of_names(data, begin)
    # The last statement may have no newline behind it.
    rest = data[counted:].rstrip()
    quotes += _quotes(rest, has_escapes)
    if rest.endswith(b";") and quotes % 2 == 0:
        yield Statement(begin, len(data))


def _end_of_names(data: bytes, begin: int) -> int:
    """Return where the values of an INSERT begin: names before them may have a quote."""
    start = _COMMENT.match(data, begin)
    end = start.end() if start else begin
    match = _INSERT.match(data, end)
    return match.end() if match else end


def _quotes(data: bytes, has_escapes: bool) -> int:
    """Count the quotes that are not escaped by a backslash."""
    if has_escapes:
        data = data.replace(rb"\\", b"").replace(rb"\'", b"")
    return data.count(b"'")


def table_of(statement: bytes) -> t.Optional[tuple[str, ...]]:
    """Return the parts of the name of the table that a statement inserts into; None if it is another statement."""
    start = _COMMENT.match(statement)
    match = _INSERT.match(statement, start.end() if start else 0)
    if not match:
        return None
    return tuple(
        _name(part.decode("utf-8")) for part in _NAME.findall(match[1])
    )


def count_rows(
    data: bytes,
    member: str,
    offset: int,
    has_escapes: bool,
    *,
    table: str = "",
    words: t.Optional[frozenset[bytes]] = None,
) -> int:
    """Count the rows of all statements. Raises InvalidBackupError for any other statement.

    ``table``: its name, if statements for other ones are refused. ``words``: the only ones, in upper case,
    that values may have outside of quotes: others would have the server do more than to insert them.
    """
    rows = 0
    end = 0
    for statement in split(data, has_escapes):
        text = data[statement.begin : statement.end]
        end = statement.end
        start = _COMMENT.match(text)
        match = _INSERT.match(text, start.end() if start else 0)
        if not match:
            raise _foreign(member, offset + statement.begin)
        if table and table not in _names_of(match):
            raise InvalidBackupError(
                f"{member} has an INSERT into another table than {table!r} at byte {offset + statement.begin}",
                hint=_WRONG_SOURCE,
            )
        values = _QUOTED[has_escapes].sub(b"''", text[match.end() :])
        if words is not None and not words.issuperset(
            map(bytes.upper, _WORD.findall(values))
        ):
            raise InvalidBackupError(
                f"{member} has a value that is not a constant, in the statement at byte {offset + statement.begin}",
                hint=_WRONG_SOURCE,
            )
        rows += _tuples(values)
    rest = _COMMENT.sub(b"", data[end:])
    if rest.strip():
        raise InvalidBackupError(
            f"{member} ends in the middle of a statement that begins at byte {offset + end}",
            hint="The file is damaged: download it again",
        )
    return rows


def _names_of(match: re.Match[bytes]) -> set[str]:
    """Return the name of the table of an INSERT, also as an engine reads it that ignores its case."""
    name = _NAME.findall(match[1])[-1].decode("utf-8")
    return {_name(name), _name(name).lower()}


def _tuples(values: bytes) -> int:
    """Count the lists of values, whose functions may have parentheses, too."""
    depth = count = 0
    for mark in re.findall(rb"[()]", values):
        if mark == b"(":
            count += depth == 0
            depth += 1
        else:
            depth -= 1
    return count


def _name(text: str) -> str:
    quote = text[0]
    if quote in '`"':
        return text[1:-1].replace(quote * 2, quote)
    return text


def _foreign(member: str, offset: int) -> InvalidBackupError:
    return InvalidBackupError(
        f"{member} has another statement than INSERT INTO … VALUES at byte {offset}",
        hint="Data files of the service have no others: check where the backup comes from",
    )
