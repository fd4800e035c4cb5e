# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Keys, constraints and indexes in the structures of PostgreSQL."""

from __future__ import annotations

import typing as t

from .postgresql_structure import Key, KeyKind, Script
from .postgresql_tokens import QualifiedName, Statement, parts, quote

#: Longest name on the server, in bytes: NAMEDATALEN - 1 of a server as it is built everywhere.
_MAX_NAME = 63
#: Kinds of constraints by their first word, and how the server ends their names.
KEY_KINDS = {
    "PRIMARY": (KeyKind.PRIMARY, "pkey"),
    "UNIQUE": (KeyKind.UNIQUE, "key"),
    "EXCLUDE": (KeyKind.EXCLUDE, "excl"),
    "CHECK": (KeyKind.CHECK, "check"),
    "FOREIGN": (KeyKind.FOREIGN, "fkey"),
}

#: A part of a statement that is replaced by a name, or by other text: where it begins and ends.
Edit = tuple[int, int, t.Union[str, QualifiedName]]


def script_of(
    statement: Statement, edits: t.Sequence[Edit], begin: int = 0
) -> Script:
    """Return the statement from ``begin`` on with some parts replaced."""
    found: list[t.Union[str, QualifiedName]] = []
    for first, end, new in sorted(edits, key=lambda edit: edit[:2]):
        found += [statement.text[begin:first], new]
        begin = end
    return Script((*found, statement.text[begin:]))


def read_constraint(
    statement: Statement,
    table: QualifiedName,
    full: t.Callable[[QualifiedName], QualifiedName],
    taken: t.Collection[str],
) -> tuple[Key, tuple[str, ...]]:
    """Read what follows ADD in ALTER TABLE. Returns the key and its columns.

    ``full``: adds the schema to the name of a table. ``taken``: names of other keys of the table.
    """
    name = statement.name() if statement.take("CONSTRAINT") else ""
    begin = statement.offset
    word = statement.next().text.upper()
    if word not in KEY_KINDS:
        raise statement.unknown()
    kind, suffix = KEY_KINDS[word]
    columns = tuple(_columns_in(statement))
    index = attach = None
    if name and _is_plain(kind, statement):
        index = Script(
            (
                f"CREATE UNIQUE INDEX {quote(name)} ON ",
                table,
                " " + statement.text[statement.offset :],
            )
        )
        words = statement.text[begin : statement.offset]
        attach = Script(
            (
                "ALTER TABLE ",
                table,
                f" ADD CONSTRAINT {quote(name)} {words}USING INDEX {quote(name)}",
            )
        )
    edits: list[Edit] = []
    while kind is KeyKind.FOREIGN and statement.peek():
        if statement.next().is_word("REFERENCES"):
            place = statement.offset
            other = full(statement.qualified())
            edits.append((place, statement.last.end, other))
    start = f" ADD CONSTRAINT {quote(name)} " if name else " ADD "
    body = script_of(statement, edits, begin)
    shown = name or _likely_name(
        table, () if word == "PRIMARY" else columns, suffix, taken
    )
    script = Script(("ALTER TABLE ", table, start, *body.parts))
    return Key(shown, bool(name), kind, script, index, attach), columns


def _is_plain(kind: KeyKind, statement: Statement) -> bool:
    """Return whether a key has its columns and nothing more. Reads up to those."""
    if kind is KeyKind.PRIMARY:
        statement.take("KEY")
    elif kind is not KeyKind.UNIQUE:
        return False
    token = statement.peek()
    if not token or token.text != "(":
        return False
    inner = Statement(statement.text, statement.tokens[statement.position :])
    inner.skip_parentheses()
    return inner.peek() is None


def read_index(
    statement: Statement,
    name: str,
    table: QualifiedName,
    edits: t.Sequence[Edit],
    taken: t.Collection[str],
) -> Key:
    """Read CREATE INDEX after the name of the table. ``name``: empty if it has none."""
    if statement.take("USING"):
        statement.name()
    columns = _columns_in(statement)
    shown = name or _likely_name(table, columns, "idx", taken)
    script = script_of(statement, edits)
    index = script if name else None
    return Key(shown, bool(name), KeyKind.INDEX, script, index)


def _likely_name(
    table: QualifiedName,
    columns: t.Sequence[str],
    suffix: str,
    taken: t.Collection[str],
) -> str:
    """Return the name that the server chooses if no other table has it."""
    stem = "_".join((table[1], *columns))
    for number in range(len(taken) + 1):
        end = f"_{suffix}{number or ''}"
        name = (
            stem.encode()[: _MAX_NAME - len(end)].decode(errors="ignore") + end
        )
        if name not in taken:
            break
    return name


def _columns_in(statement: Statement) -> list[str]:
    """Return the columns in the next parentheses, and ``expr`` for what is none, as the server does."""
    place = statement.position
    while place < len(statement.tokens) and statement.tokens[place].text != "(":
        place += 1
    inner = Statement(statement.text, statement.tokens[place:])
    if not inner.tokens:
        raise statement.unknown()
    inner.skip_parentheses()
    columns = []
    for tokens in parts(inner.tokens[1 : inner.position - 1]):
        is_call = len(tokens) > 1 and tokens[1].text == "("
        columns.append((None if is_call else tokens[0].identifier) or "expr")
    return columns
