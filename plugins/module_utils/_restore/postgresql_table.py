# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The structure of a table of PostgreSQL, gathered from the statements of its files."""

from __future__ import annotations

import typing as t

from .._base.text import printable
from .errors import InvalidBackupError
from .model import Column
from .postgresql_columns import parse_column
from .postgresql_keys import (
    KEY_KINDS,
    Edit,
    read_constraint,
    read_index,
    script_of,
)
from .postgresql_statements import (
    is_without_effect,
    left_out_of,
    sequences_used,
    take_extension,
    take_sequence,
    take_type,
)
from .postgresql_structure import ATTACH, Key, KeyKind, PostgreSQLTable, Script
from .postgresql_tokens import (
    QualifiedName,
    Statement,
    Token,
    parts,
    quote,
    split,
)


class TableReader:
    """Reads the statements of a table: ``read`` each, and take the ``result``. Raises InvalidBackupError.

    ``schema``: that of the directory, for names without one.
    """

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._name: t.Optional[QualifiedName] = None
        self._is_created = False
        self._columns: list[Column] = []
        self._scripts: list[Script] = []
        self._keys: list[Key] = []
        self._primary_key: tuple[str, ...] = ()
        self._inherits: list[Script] = []
        self._used_sequences: list[QualifiedName] = []
        self._sequences: dict[QualifiedName, str] = {}
        self._types: list[str] = []
        self._extensions: list[str] = []
        self._owner = ""
        self._is_partitioned = False
        self._left_out: list[str] = []

    def read(self, statement: Statement) -> None:
        if statement.take("CREATE", "TABLE") or statement.take(
            "CREATE", "UNLOGGED", "TABLE"
        ):
            self._create(statement)
        elif statement.take("ALTER", "TABLE"):
            self._alter(statement)
        elif statement.take("CREATE", "INDEX") or statement.take(
            "CREATE", "UNIQUE", "INDEX"
        ):
            self._index(statement)
        elif statement.take("COMMENT", "ON", "TABLE") or statement.take(
            "COMMENT", "ON", "COLUMN"
        ):
            self._comment(statement)
        elif not self._takes_other(statement):
            self._left_out.append(left_out_of(statement))

    def result(self, directory: str) -> PostgreSQLTable:
        if self._name is None or not self._is_created:
            raise InvalidBackupError(
                f"the structure of {directory!r} does not create a table",
                hint="The backup is incomplete: download it again",
            )
        # Foreign keys come last, as in the restore.
        keys = sorted(self._keys, key=lambda key: key.kind is KeyKind.FOREIGN)
        return PostgreSQLTable(
            self._name[1],
            tuple(self._columns),
            self._primary_key,
            tuple(key.name for key in keys),
            schema=self._name[0],
            scripts=tuple(self._scripts),
            made_keys=tuple(keys),
            inherits=tuple(self._inherits),
            used_sequences=tuple(dict.fromkeys(self._used_sequences)),
            sequences=self._sequences,
            types=tuple(self._types),
            extensions=tuple(self._extensions),
            owner=self._owner,
            is_partitioned=self._is_partitioned,
            left_out=tuple(self._left_out),
        )

    def _takes_other(self, statement: Statement) -> bool:
        words = [token.text.upper() for token in statement.tokens]
        return (
            take_sequence(statement, self._schema, self._sequences)
            or take_type(statement, self._types)
            or take_extension(statement, self._extensions)
            or is_without_effect(statement)
            # Done by the server where the key of the whole table is made.
            or (words[:2] == ["ALTER", "INDEX"] and "ATTACH" in words)
            # Which column owns a sequence is seen in its default.
            or (words[:2] == ["ALTER", "SEQUENCE"] and "OWNED" in words)
        )

    # Tables

    def _create(self, statement: Statement) -> None:
        if self._name is not None:
            raise InvalidBackupError(
                "the structure of one table has CREATE TABLE twice"
            )
        self._is_created = True
        name_edit = self._own_name(statement, "IF", "NOT", "EXISTS")
        if not statement.take("("):
            raise statement.unknown()
        statement.position -= 1
        opening = statement.position
        statement.skip_parentheses()
        closing = statement.position - 1
        body = statement.tokens[opening + 1 : closing]
        kept = [self._element(statement.text, tokens) for tokens in parts(body)]
        edits: list[Edit] = [
            name_edit,
            (
                statement.tokens[opening].end,
                statement.tokens[closing].begin,
                ",\n".join(text for text in kept if text),
            ),
            *self._options(statement),
        ]
        self._scripts.insert(0, script_of(statement, edits))
        self._used_sequences += sequences_used(statement, self._schema)

    def _element(self, text: str, tokens: t.Sequence[Token]) -> str:
        """Read a column or a constraint of CREATE TABLE. Returns what stays there."""
        if tokens[0].is_word("LIKE"):
            raise Statement(text, tokens).unknown()
        whole = text[tokens[0].begin : tokens[-1].end]
        if tokens[0].is_word("CONSTRAINT", *KEY_KINDS):
            is_check = tokens[0].is_word("CHECK") or (
                tokens[2:3] and tokens[2].is_word("CHECK")
            )
            if is_check:
                return whole
            self._add_constraint(whole)
            return ""
        column = parse_column(text, tokens)
        self._columns.append(column.column)
        for key in column.keys:
            self._add_constraint(key)
        return column.text

    def _options(self, statement: Statement) -> t.Iterator[Edit]:
        """Read what follows the columns. Yields what is left out there, to be done later."""
        while statement.peek():
            begin = statement.offset
            if statement.take("PARTITION", "BY"):
                self._is_partitioned = True
            # The parent may come later: ALTER TABLE … INHERIT does the same in the end.
            elif statement.take("INHERITS"):
                first = statement.position
                statement.skip_parentheses()
                for tokens in parts(
                    statement.tokens[first + 1 : statement.position - 1]
                ):
                    parent = self._full(
                        Statement(statement.text, tokens).qualified()
                    )
                    self._inherit(parent)
                yield begin, statement.last.end, ""
            elif statement.take("AS"):
                raise statement.unknown()
            else:
                statement.next()

    def _inherit(self, parent: QualifiedName) -> None:
        script = Script(("ALTER TABLE ", self._table, " INHERIT ", parent))
        self._inherits.append(script)

    def _own_name(self, statement: Statement, *optional: str) -> Edit:
        """Read the name of the table. Returns the edit that replaces it, and optional words before it."""
        begin = statement.offset
        statement.take(*optional)
        name = self._full(statement.qualified())
        if self._name is None:
            self._name = name
        elif name != self._name:
            raise InvalidBackupError(
                f"the structure of table {_shown(self._table)} has a statement for another one: {statement.summary}",
                hint="Check whether files were moved",
            )
        return begin, statement.last.end, name

    @property
    def _table(self) -> QualifiedName:
        return t.cast(QualifiedName, self._name)

    def _full(self, name: QualifiedName) -> QualifiedName:
        """Add the schema to a name that has none: that of the table."""
        schema = self._name[0] if self._name else self._schema
        return name[0] or schema, name[1]

    # What changes a table

    def _alter(self, statement: Statement) -> None:
        statement.take("IF", "EXISTS")
        statement.take("ONLY")
        name = self._full(statement.qualified())
        actions = list(parts(statement.tokens[statement.position :]))
        if statement.take("ATTACH", "PARTITION"):
            child = self._full(statement.qualified())
            end = statement.last.end
            rest = statement.text[end:]
            self._inherits.append(
                Script(("ALTER TABLE ", name, ATTACH, child, rest))
            )
            return
        statement.position = 0
        if self._name is not None and name != self._name:
            raise InvalidBackupError(
                f"the structure of table {_shown(self._table)} has a statement for another one: {statement.summary}",
                hint="Check whether files were moved",
            )
        self._name = self._name or name
        for tokens in actions:
            self._action(Statement(statement.text, tokens), statement)

    def _action(self, action: Statement, whole: Statement) -> None:
        text = action.text[action.tokens[0].begin : action.tokens[-1].end]
        if action.take("ADD"):
            token = action.peek()
            if not token or not token.is_word("CONSTRAINT", *KEY_KINDS):
                raise whole.unknown()
            self._add_constraint(
                action.text[action.offset : action.tokens[-1].end]
            )
        elif action.take("OWNER", "TO"):
            self._owner = action.name()
        elif action.take("INHERIT"):
            parent = self._full(action.qualified())
            self._inherit(parent)
        elif action.take("ALTER"):
            action.take("COLUMN")
            action.name()
            if not (action.take("SET") or action.take("ADD")):
                raise whole.unknown()
            self._scripts.append(
                Script(("ALTER TABLE ", self._table, " " + text))
            )
            self._used_sequences += sequences_used(action, self._schema)
        elif action.tokens[0].is_word(
            "REPLICA", "CLUSTER", "ENABLE", "FORCE", "SET"
        ):
            self._left_out.append(f"{whole.summary} {action.summary}")
        else:
            raise whole.unknown()

    def _add_constraint(self, text: str) -> None:
        """Add a key by what would follow ADD in ALTER TABLE."""
        statement = next(split(text), Statement(text, ()))
        key, columns = read_constraint(
            statement, self._table, self._full, self._key_names()
        )
        if key.kind is KeyKind.PRIMARY:
            self._primary_key = columns
        self._keys.append(key)

    def _index(self, statement: Statement) -> None:
        begin = statement.offset
        # An index that is built concurrently can be in no transaction.
        statement.take("CONCURRENTLY")
        statement.take("IF", "NOT", "EXISTS")
        edits: list[Edit] = [(begin, statement.offset, "")]
        name = ""
        if not statement.take("ON"):
            name = statement.name()
            if not statement.take("ON"):
                raise statement.unknown()
        edits.append(self._own_name(statement, "ONLY"))
        self._keys.append(
            read_index(statement, name, self._table, edits, self._key_names())
        )

    def _key_names(self) -> set[str]:
        return {key.name for key in self._keys}

    def _comment(self, statement: Statement) -> None:
        is_column = statement.tokens[2].is_word("COLUMN")
        names = [statement.name()]
        begin = statement.last.begin
        while statement.take("."):
            names.append(statement.name())
        end = statement.last.end
        column = names.pop() if is_column else ""
        table = self._full(("", *names)[-2:])  # type: ignore[arg-type]
        if table != self._name:
            raise statement.unknown()
        head, tail = statement.text[:begin], statement.text[end:]
        self._scripts.append(
            Script(
                (head, table, ("." + quote(column) if column else "") + tail)
            )
        )


def _shown(name: QualifiedName) -> str:
    return printable(".".join(part for part in name if part))
