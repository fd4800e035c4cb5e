# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Structures of MySQL: CREATE DATABASE, and CREATE TABLE with its columns and keys."""

from __future__ import annotations

import re
import typing as t

from .engine import Grammar
from .errors import InvalidBackupError
from .model import Column, ColumnKind, DatabaseStructure, Null, TableStructure
from .mysql_table import Key, MySQLTable
from .mysql_tokens import (
    Token,
    collations,
    names_no_collation,
    option,
    tokens_of,
    unquote,
)

#: The end of a comment such as ``/*!80023 INVISIBLE */``, whose words are tokens of a line.
_COMMENT_END = re.compile(r"\s*\*/")
#: Types whose values are hexadecimal digits in CSV.
_BINARY = re.compile(
    r"(bit|binary|varbinary|tinyblob|blob|mediumblob|longblob|geometry|point|linestring|polygon"
    r"|multipoint|multilinestring|multipolygon|geometrycollection|geomcollection|vector)\b"
)
#: Types whose values may be empty. JSON is text as well, but never empty.
_TEXT = re.compile(
    r"(char|varchar|tinytext|text|mediumtext|longtext|enum|set|nchar|nvarchar)\b"
)
_KEY_WORDS = {"key", "index", "unique", "fulltext", "spatial"}
#: Words of constants, and of functions that only convert them.
_CONSTANT_WORDS = frozenset(
    b"NULL TRUE FALSE DEFAULT N X B _BINARY _UTF8 _UTF8MB3 _UTF8MB4 _ASCII _LATIN1 "
    b"CAST CONVERT AS USING CHAR CHARSET BINARY JSON SIGNED UNSIGNED DECIMAL DATE DATETIME TIME UTF8MB4 "
    b"UNHEX FROM_BASE64 GEOMFROMTEXT GEOMFROMWKB ST_GEOMFROMTEXT ST_GEOMFROMWKB ST_GEOMETRYFROMTEXT".split()
)


class MySQLGrammar(Grammar):
    engine = "MySQL"
    has_schemas = False
    longest_name = 64
    name_unit = "characters"
    table_files = ("structure.sql",)
    has_escapes = True
    null = Null.BACKSLASH_N
    binary_prefix = ""
    sql_words = _CONSTANT_WORDS

    def parse_database(self, text: str, directory: str) -> DatabaseStructure:
        tokens = tokens_of(text)
        words = [token.word for token in tokens]
        if "database" not in words and "schema" not in words:
            return DatabaseStructure(directory)
        # They are two words for the same in MySQL.
        at = (
            next(
                i
                for i, word in enumerate(words)
                if word in ("database", "schema")
            )
            + 1
        )
        while words[at : at + 1] and words[at] in ("if", "not", "exists"):
            at += 1
        if at >= len(tokens):
            raise _damaged(
                f"the structure of database {directory!r} does not name a database"
            )
        return DatabaseStructure(
            unquote(tokens[at]),
            option(tokens, "set", "charset"),
            option(tokens, "collate"),
        )

    def parse_table(
        self, texts: t.Mapping[str, str], directory: str, schema: str = ""
    ) -> TableStructure:
        text = texts["structure.sql"]
        tokens = tokens_of(text)
        if any(
            token.kind == "mark" and token.text in "'\"`" for token in tokens
        ):
            raise _damaged(
                f"the structure of table {directory!r} has a quote that is not closed"
            )
        start = _after_create_table(tokens, directory)
        name = unquote(tokens[start])
        if name != directory:
            raise _damaged(
                f"the directory {directory!r} has the structure of the table {name!r}"
            )
        items, end = _items(tokens, start + 1, directory)
        lines, columns, keys = [], [], []
        for item in items:
            if len(item) < 2:
                raise _damaged(
                    f"the structure of table {directory!r} has an empty line"
                )
            line = _line(text, item)
            key = _key_of(item, line)
            if key:
                keys.append(key)
            else:
                lines.append(line)
                if not _is_constraint(item):
                    columns.append(_column_of(item, line))
                    keys += _key_in_column(item)
        options = _options(text, tokens, end)
        return _table(name, lines, columns, keys, options, items)


def _table(
    name: str,
    lines: list[str],
    columns: list[Column],
    keys: list[Key],
    options: str,
    items: list[list[Token]],
) -> MySQLTable:
    primary = next((key.columns for key in keys if key.is_primary), ())
    own = tuple(key for key in keys if key.text)
    option_tokens = tokens_of(options)
    return MySQLTable(
        name,
        tuple(columns),
        primary,
        tuple(key.name for key in keys),
        lines=tuple(lines),
        all_keys=own,
        deferred=_deferrable(keys, columns, items),
        replacing=frozenset(
            unquote(item[0]) for item in items if _replaces_null(item)
        ),
        options=options,
        engine=(option(option_tokens, "engine") or "innodb").lower(),
        collations=frozenset(
            collations(
                [*option_tokens, *(one for item in items for one in item)]
            )
        ),
        names_no_collation=any(
            map(names_no_collation, [option_tokens, *items])
        ),
        has_timestamps=any(
            column.type.startswith("timestamp") for column in columns
        ),
    )


def _replaces_null(item: list[Token]) -> bool:
    """Return whether a column replaces NULL by the next number, or by the current time."""
    words = [token.word for token in item]
    return not _is_constraint(item) and (
        "auto_increment" in words
        or (
            words[1] == "timestamp" and ("not", "null") in zip(words, words[1:])
        )
    )


def _deferrable(
    all_keys: list[Key], columns: list[Column], items: list[list[Token]]
) -> tuple[Key, ...]:
    """Return the keys that can be made after the data."""
    words = [{token.word for token in item} for item in items]
    # Generated columns and foreign keys can stand on a key: then none is made later.
    if any(column.is_generated for column in columns) or any(
        "foreign" in item for item in words
    ):
        return ()
    counting = {
        unquote(item[0])
        for item, found in zip(items, words)
        if "auto_increment" in found
    }
    later = [key for key in all_keys if key.text and not key.is_primary]
    # The column that counts needs a key that begins with it from the start.
    for name in counting:
        if not any(
            key.is_primary and key.columns[:1] == (name,) for key in all_keys
        ):
            # Without such a key, as MyISAM allows, any that has it.
            candidates = sorted(
                (key for key in later if name in key.columns),
                key=lambda key: key.columns.index(name),
            )
            if candidates:
                later.remove(candidates[0])
    return tuple(later)


def _after_create_table(tokens: list[Token], directory: str) -> int:
    """Return the place of the table's name."""
    words = [token.word for token in tokens]
    for i in range(len(words) - 2):
        if words[i] == "create" and words[i + 1] == "table":
            i += 2
            while words[i : i + 1] and words[i] in ("if", "not", "exists"):
                i += 1
            # Of a qualified name, the last part.
            while i + 2 < len(tokens) and tokens[i + 1].text == ".":
                i += 2
            if i + 1 < len(tokens) and tokens[i + 1].text == "(":
                return i
    raise _damaged(
        f"the structure of table {directory!r} has no CREATE TABLE with columns"
    )


def _items(
    tokens: list[Token], at: int, directory: str
) -> tuple[list[list[Token]], int]:
    """Split what is between the parentheses at its commas. Returns also the place behind them."""
    items: list[list[Token]] = [[]]
    depth = 0
    for i in range(at, len(tokens)):
        text = tokens[i].text if tokens[i].kind == "mark" else ""
        depth += (text == "(") - (text == ")")
        if depth == 0:
            return items, i + 1
        if text == "," and depth == 1:
            items.append([])
        elif not (text == "(" and depth == 1 and items == [[]]):
            items[-1].append(tokens[i])
    raise _damaged(
        f"the structure of table {directory!r} ends in the middle of CREATE TABLE"
    )


def _line(text: str, item: list[Token]) -> str:
    """Return the text of a line, with the end of a comment that the server executes."""
    end = item[-1].end
    comment = _COMMENT_END.match(text, end)
    return text[item[0].start : comment.end() if comment else end]


def _is_constraint(item: list[Token]) -> bool:
    """Return whether a line that defines no key defines no column either."""
    first = item[0].word
    return first in ("constraint", "foreign", "check") or (
        first == "period" and item[1].word == "for"
    )


def _damaged(message: str) -> InvalidBackupError:
    return InvalidBackupError(
        message, hint="The backup is damaged: download it again"
    )


def _options(text: str, tokens: list[Token], end: int) -> str:
    """Return the options of the table, up to the end of the statement."""
    start = tokens[end - 1].end
    semicolons = (one.start for one in tokens[end:] if one.text == ";")
    stop = next(semicolons, len(text))
    rest = tokens_of(text[stop + 1 :])
    if rest:
        raise InvalidBackupError(
            f"after CREATE TABLE, there is another statement in its structure: {rest[0].text[:20]}",
            hint="Structures of the service have one statement: check where the backup comes from",
        )
    return text[start:stop].strip()


def _key_of(item: list[Token], line: str) -> t.Optional[Key]:
    """Return the key that a line defines; None if it defines none."""
    # A line that is damaged may end anywhere.
    words = [*(token.word for token in item), "", ""]
    at = 0
    constraint = ""
    # With a name or without: CONSTRAINT `a` UNIQUE KEY …, CONSTRAINT UNIQUE KEY …
    if words[0] == "constraint":
        at = 1
        if words[1] not in ("primary", "unique"):
            constraint, at = unquote(item[1]), 2
    if words[at] == "primary":
        return Key("PRIMARY", line, _columns_of(item), is_primary=True)
    if words[at] not in _KEY_WORDS:
        return None
    while words[at] in _KEY_WORDS:
        at += 1
    columns = _columns_of(item)
    name = constraint
    if at >= len(item) or not columns:
        raise _damaged(f"a structure has a key without columns: {line[:80]}")
    if item[at].text != "(" and words[at] != "using":
        name = unquote(item[at])
    return Key(name or columns[0], line, columns)


def _columns_of(item: list[Token]) -> tuple[str, ...]:
    """Return the columns of a key: each name right after an opening parenthesis or a comma."""
    opening = (i for i, token in enumerate(item) if token.text == "(")
    rest = item[next(opening, len(item)) :]
    return tuple(
        unquote(token)
        for before, token in zip(rest, rest[1:])
        if before.text in "(," and token.kind in ("name", "word")
    )


def _key_in_column(item: list[Token]) -> t.Iterator[Key]:
    """Yield the key in the declaration of a column. It has no line of its own."""
    words = [token.word for token in item]
    name = unquote(item[0])
    if "primary" in words[1:]:
        yield Key("PRIMARY", "", (name,), is_primary=True)
    elif "unique" in words[1:]:
        yield Key(name, "", (name,))


def _column_of(item: list[Token], line: str) -> Column:
    words = [token.word for token in item]
    # GENERATED ALWAYS may be left out before AS (…).
    is_generated = "generated" in words or any(
        one.word == "as" and following.text == "("
        for one, following in zip(item, item[1:])
    )
    type = _type_of(item, line)
    return Column(unquote(item[0]), type, _kind_of(type, words), is_generated)


def _type_of(item: list[Token], line: str) -> str:
    """Return the type with its length, such as ``decimal(10,2)``."""
    begin, end = item[1].start, item[1].end
    if len(item) > 2 and item[2].text == "(":
        end = next(token.end for token in item if token.text == ")")
    offset = item[0].start
    return " ".join(line[begin - offset : end - offset].lower().split())


def _kind_of(type: str, words: list[str]) -> ColumnKind:
    is_text = bool(_TEXT.match(type))
    # Texts of the character set binary are bytes.
    is_bytes = is_text and "binary" in words[2:4] and "charset" in words
    if is_bytes or _BINARY.match(type):
        return ColumnKind.BINARY
    return ColumnKind.TEXT if is_text else ColumnKind.OTHER
