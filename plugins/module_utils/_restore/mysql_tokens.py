# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""Tokens of statements of MySQL: names, texts and words, without comments."""

from __future__ import annotations

import re
import typing as t

#: Tokens of a statement. Comments are not among them, but what MySQL executes of them is: between /*!80023 and */.
#: A word can be a number, such as 1.5. Two hyphens begin a comment only before a blank.
_TOKEN = re.compile(
    r"""(?P<skip>\s+|--[ \t][^\n]*|\#[^\n]*|/\*!\d*|\*/|/\*.*?\*/)
    |(?P<name>`(?:[^`]|``)*`)
    |(?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
    |(?P<word>[\w$@.\-]+)
    |(?P<mark>.)""",
    re.DOTALL | re.VERBOSE,
)


class Token(t.NamedTuple):
    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The word in lower case; empty for other tokens."""
        return self.text.lower() if self.kind == "word" else ""


def quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def unquote(token: Token) -> str:
    if token.kind in ("name", "text"):
        mark = token.text[0]
        return token.text[1:-1].replace(mark * 2, mark)
    return token.text


def tokens_of(text: str) -> list[Token]:
    return [
        Token(str(match.lastgroup), match[0], *match.span())
        for match in _TOKEN.finditer(text)
        if match.lastgroup != "skip"
    ]


def mapped(statement: str, collation_map: t.Mapping[str, str]) -> str:
    """Return the statement with other collations, outside of names and texts."""
    if not collation_map:
        return statement
    parts, at = [], 0
    for token in tokens_of(statement):
        if token.word in collation_map:
            parts += [statement[at : token.start], collation_map[token.word]]
            at = token.end
    return "".join([*parts, statement[at:]])


def option(tokens: t.Sequence[Token], *names: str) -> str:
    """Return the value of an option, as in ``ENGINE=InnoDB`` or ``CHARACTER SET utf8mb4``."""
    for i, token in enumerate(tokens[:-1]):
        if token.word in names:
            following = tokens[i + 1 : i + 3]
            value = following[1:] if following[0].text == "=" else following
            if value:
                return unquote(value[0])
    return ""


def names_no_collation(tokens: t.Sequence[Token]) -> bool:
    """Return whether a table, column or database has the character set utf8mb4, and no collation is named with it.

    It is the only character set whose default collation differs between servers that are in use.
    """
    depth, words = 0, [""]
    for token in tokens:
        # What is in parentheses is of the type, or of an expression.
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.word:
            words.append(token.word)
    named = any(
        second == "utf8mb4"
        and (first == "charset" or (before, first) == ("character", "set"))
        for before, first, second in zip(words, words[1:], words[2:])
    )
    return named and "collate" not in words


def collations(tokens: t.Sequence[Token]) -> t.Iterator[str]:
    for i, token in enumerate(tokens):
        if token.word == "collate":
            value = [one for one in tokens[i + 1 : i + 3] if one.text != "="]
            if value:
                yield unquote(value[0]).lower()
