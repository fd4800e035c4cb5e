# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Statements in the structures of PostgreSQL other than those of tables."""

from __future__ import annotations

import re
import typing as t

from .errors import InvalidBackupError
from .postgresql_tokens import QualifiedName, Statement, quote, split

#: What a settings statement of a dump may say: none of it changes what is made.
_SETTINGS = re.compile(
    r"(?i)set\s.*|select\s+(?:pg_catalog\.)?(?:set_config|setval)\s*\(.*",
    re.DOTALL,
)
#: Options of CREATE DATABASE that are read.
_DATABASE_OPTIONS = ("ENCODING", "LC_COLLATE", "LC_CTYPE", "LOCALE", "OWNER")


def is_without_effect(statement: Statement) -> bool:
    """Return whether it only sets what the restore sets itself."""
    return bool(_SETTINGS.fullmatch(statement.text))


def left_out_of(statement: Statement) -> str:
    """Return what names a statement that is not restored, and of no use for the data.

    Raises InvalidBackupError if it can be of use, or does something else.
    """
    first = statement.tokens[0]
    second = statement.tokens[1] if len(statement.tokens) > 1 else first
    is_grant = first.is_word("GRANT", "REVOKE", "COMMENT")
    if is_grant or (first.is_word("ALTER") and second.is_word("DEFAULT")):
        return statement.summary
    words = [token.text.upper() for token in statement.tokens]
    if first.is_word("ALTER") and words[-3:-1] == ["OWNER", "TO"]:
        return f"owner {statement.tokens[-1].identifier} of {statement.summary}"
    raise statement.unknown()


def take_extension(statement: Statement, extensions: list[str]) -> bool:
    """Note the extension that a statement creates. Returns whether it does."""
    if not statement.take("CREATE", "EXTENSION"):
        return False
    statement.take("IF", "NOT", "EXISTS")
    extensions.append(statement.name())
    return True


def take_sequence(
    statement: Statement, schema: str, sequences: dict[QualifiedName, str]
) -> bool:
    """Note the sequence that a statement creates, written with its schema. Returns whether it does."""
    if not statement.take("CREATE", "SEQUENCE"):
        return False
    statement.take("IF", "NOT", "EXISTS")
    name = statement.qualified()
    name = (name[0] or schema, name[1])
    sequences[name] = (
        f"CREATE SEQUENCE {quote(*name)} {statement.text[statement.offset :]}".strip()
    )
    return True


def take_type(statement: Statement, types: list[str]) -> bool:
    """Note a type that a statement creates: one that runs no code of its own."""
    if not (
        statement.take("CREATE", "TYPE") or statement.take("CREATE", "DOMAIN")
    ):
        return False
    is_domain = statement.tokens[1].is_word("DOMAIN")
    statement.qualified()
    kinds = (("AS", "ENUM"), ("AS", "RANGE"), ("AS", "("))
    if not is_domain and not any(statement.take(*kind) for kind in kinds):
        raise statement.unknown()
    types.append(statement.text)
    return True


def database_options(statement: Statement) -> dict[str, str]:
    """Read the options after the name in CREATE DATABASE."""
    options: dict[str, str] = {}
    while statement.peek():
        token = statement.next()
        if token.is_word(*_DATABASE_OPTIONS):
            statement.take("=")
            value = statement.next()
            options[token.text.upper()] = (
                text_of(value.text)
                if value.kind == "string"
                else value.identifier or ""
            )
    return options


def text_of(literal: str) -> str:
    """Return the value of a text in quotes, which has no escapes."""
    return (
        literal[literal.index("'") + 1 : -1].replace("''", "'")
        if "'" in literal
        else literal
    )


def sequences_used(
    statement: Statement, schema: str
) -> t.Iterator[QualifiedName]:
    """Yield the sequences whose next value a statement takes for a default."""
    tokens = statement.tokens
    for place, token in enumerate(tokens[:-2]):
        following = tokens[place + 1 : place + 3]
        if (
            token.is_word("NEXTVAL")
            and following[0].text == "("
            and following[1].kind == "string"
        ):
            name = next(iter(split(text_of(following[1].text))), None)
            if name is None:
                raise InvalidBackupError(
                    "the structure has a default with a sequence without a name"
                )
            found = name.qualified()
            yield found[0] or schema, found[1]
