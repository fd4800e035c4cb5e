# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Columns of PostgreSQL, as CREATE TABLE declares them."""

from __future__ import annotations

import re
import typing as t

from .model import Column, ColumnKind
from .postgresql_tokens import Statement, Token, quote

#: What can follow the type of a column.
_CLAUSES = [
    "CONSTRAINT",
    "NOT",
    "NULL",
    "DEFAULT",
    "CHECK",
    "PRIMARY",
    "UNIQUE",
    "REFERENCES",
    "GENERATED",
    "COLLATE",
    "STORAGE",
    "COMPRESSION",
    "OPTIONS",
]
#: Clauses that are keys. They are made as ALTER TABLE would: after the data, or after other tables.
_KEYS = ("PRIMARY", "UNIQUE", "REFERENCES")
#: Words that do not begin a clause, by the word before them.
_WITHIN = {
    ("SET", "NULL"),
    ("SET", "DEFAULT"),
    ("BY", "DEFAULT"),
    ("NULLS", "NOT"),
    ("NOT", "NULL"),
}

#: Types whose text is never empty, so that an empty field can only be NULL. A domain, or
#: a type of an extension, can have an empty text.
_NEVER_EMPTY = re.compile(
    r"(?:small|big)?int(?:eger|[248])?|(?:small|big)?serial[248]?|oid|numeric|decimal|dec|real"
    r"|float[48]?|double precision|money|bool(?:ean)?|date|time(?:stamp)?(?:tz)?|interval|uuid|jsonb?"
    r"|inet|cidr|macaddr8?|point|line|lseg|box|path|polygon|circle|pg_lsn|txid_snapshot"
    r"|(?:int4|int8|num|ts|tstz|date)(?:multi)?range|.*\[[0-9]*\]|.* array"
)


class ColumnParts(t.NamedTuple):
    """A column. ``text``: its declaration without keys. ``keys``: those, as constraints of the table."""

    column: Column
    text: str
    keys: tuple[str, ...]


class _Clause(t.NamedTuple):
    """A clause. ``begin``, ``end``: places of tokens. ``body``: where it begins without its name."""

    word: str
    begin: int
    body: int
    end: int


def parse_column(text: str, tokens: t.Sequence[Token]) -> ColumnParts:
    """Parse a column, which stands in ``text``. Raises InvalidBackupError."""
    statement = Statement(text, tokens)
    name = statement.name()
    clauses = list(_clauses(tokens))
    first = clauses[0].begin if clauses else len(tokens)
    type_name = _type(tokens[1:first])
    if not type_name:
        raise statement.unknown()
    kept, keys = [_between(text, tokens[:first])], []
    is_generated = False
    for clause in clauses:
        if clause.word in _KEYS:
            keys.append(_as_table_constraint(text, name, clause, tokens))
            continue
        clause_text = _between(text, tokens[clause.begin : clause.end])
        kept.append(clause_text)
        # GENERATED … AS IDENTITY is an ordinary column with a sequence.
        if clause.word == "GENERATED" and not re.search(
            r"(?i)\bas\s+identity", clause_text
        ):
            is_generated = True
    column = Column(name, type_name, kind_of(type_name), is_generated)
    return ColumnParts(column, " ".join(kept), tuple(keys))


def kind_of(type_name: str) -> ColumnKind:
    plain = re.sub(r"\s*\([^)]*\)", "", type_name)
    plain = re.sub(r'^"?pg_catalog"?\.', "", plain)
    plain = re.sub(r" with(out)? time zone$", "", plain)
    plain = re.sub(r"^interval .*", "interval", plain)
    if plain == "bytea":
        return ColumnKind.BINARY
    return (
        ColumnKind.OTHER if _NEVER_EMPTY.fullmatch(plain) else ColumnKind.TEXT
    )


def _clauses(tokens: t.Sequence[Token]) -> t.Iterator[_Clause]:
    starts = list(_starts(tokens))
    named = False
    for begin, end in zip(starts, [*starts[1:], len(tokens)]):
        word = tokens[begin].text.upper()
        if word == "CONSTRAINT":
            named = True
            continue
        yield _Clause(word, begin - 2 if named else begin, begin, end)
        named = False


def _starts(tokens: t.Sequence[Token]) -> t.Iterator[int]:
    """Yield the places where clauses begin."""
    depth, last, is_after_default = 0, "", False
    for place, token in enumerate(tokens):
        depth += token.nesting
        word = token.text.upper() if token.kind == "word" else ""
        is_start = (
            place > 1
            and not depth
            and word in _CLAUSES
            and (last, word) not in _WITHIN
            # An expression can begin with NULL, and a constraint can have any name.
            and not is_after_default
            and last != "CONSTRAINT"
            and not (
                word == "NOT" and _is_attribute(tokens[place + 1 : place + 2])
            )
        )
        if is_start:
            yield place
        is_after_default = is_start and word == "DEFAULT"
        last = word


def _is_attribute(tokens: t.Sequence[Token]) -> bool:
    """Return whether NOT before this word belongs to the constraint before it."""
    return bool(tokens) and tokens[0].is_word("DEFERRABLE", "VALID")


def _between(text: str, tokens: t.Sequence[Token]) -> str:
    return text[tokens[0].begin : tokens[-1].end] if tokens else ""


def _type(tokens: t.Sequence[Token]) -> str:
    """Write a type in one way: ``character varying(64)``, ``timestamp(6) without time zone``."""
    type_name = ""
    for token in tokens:
        is_joined = token.kind == "mark"
        if type_name and not is_joined and type_name[-1] not in "(,.[":
            type_name += " "
        type_name += token.text if token.kind == "name" else token.text.lower()
    return type_name


def _as_table_constraint(
    text: str, column: str, clause: _Clause, tokens: t.Sequence[Token]
) -> str:
    """Write a key of a column as one of the table."""
    words = {"PRIMARY": 2, "UNIQUE": 1, "REFERENCES": 0}[clause.word]
    following = tokens[clause.body + 1 : clause.body + 3]
    if following and following[0].is_word("NULLS"):
        # UNIQUE NULLS [NOT] DISTINCT
        words += 3 if any(one.is_word("NOT") for one in following[1:]) else 2
    name = _between(text, tokens[clause.begin : clause.body])
    kind = (
        _between(text, tokens[clause.body : clause.body + words])
        or "FOREIGN KEY"
    )
    rest = _between(text, tokens[clause.body + words : clause.end])
    return f"{name} {kind} ({quote(column)}) {rest}".strip()
