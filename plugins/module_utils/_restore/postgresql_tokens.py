# Copyright (c) 2026 apsaradb.backup maintainers
# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: may change without notice.

"""The words of SQL as PostgreSQL writes it: tokens, statements and names.

Source: the PostgreSQL documentation, chapter "SQL Syntax", section "Lexical Structure".
"""

from __future__ import annotations

import re
import typing as t

from .._base.text import printable
from .errors import InvalidBackupError

_TOKEN = re.compile(
    r"""
      (?P<space> \s+ | --[^\n]* )
    | (?P<comment> /\* )
    | (?P<name> "(?:[^"]|"")+" )
    | (?P<unicode> [uU]&['"] )
    | (?P<string> [eE]'(?:[^'\\]|\\.|'')*' | [bBxXnN]?'[^']*(?:''[^']*)*' )
    | (?P<dollar> \$(?:[^\W\d]\w*)?\$ )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<number> \d[\w.]* )
    | (?P<mark> :: | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_MARK = re.compile(r"/\*|\*/")

#: Words of a message that quote a statement.
_WORDS_SHOWN = 8

#: An object's schema, which may be empty, and its name.
QualifiedName = tuple[str, str]


class Token(t.NamedTuple):
    """A token. ``kind``: ``word``, ``name`` (in quotes), ``string``, ``number`` or ``mark``. ``begin``, ``end``: its place."""

    kind: str
    text: str
    begin: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Return whether it is one of the key words, given in upper case."""
        return self.kind == "word" and self.text.upper() in words

    @property
    def nesting(self) -> int:
        """How the depth of parentheses and brackets changes here: 1, -1 or 0."""
        if self.kind != "mark":
            return 0
        return {"(": 1, "[": 1, ")": -1, "]": -1}.get(self.text, 0)

    @property
    def identifier(self) -> t.Optional[str]:
        """The name that it is, as the server sees it; None if it is none."""
        if self.kind == "name":
            return self.text[1:-1].replace('""', '"')
        # The server lowers ASCII letters only.
        return _lower(self.text) if self.kind == "word" else None


def _lower(text: str) -> str:
    return re.sub("[A-Z]+", lambda match: match[0].lower(), text)


def quote(*names: str) -> str:
    """Write a name, which may have parts, for a statement."""
    return ".".join(
        '"' + name.replace('"', '""') + '"' for name in names if name
    )


def tokens_of(text: str) -> list[Token]:
    """Return all tokens but blanks and comments. Raises InvalidBackupError."""
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        # One of the alternatives takes any character.
        match = t.cast("re.Match[str]", _TOKEN.match(text, position))
        kind, position = str(match.lastgroup), match.end()
        if kind == "comment":
            position = _end_of_comment(text, position)
        elif kind == "dollar":
            position = _end_of_dollar(text, match)
            tokens.append(
                Token(
                    "string",
                    text[match.start() : position],
                    match.start(),
                    position,
                )
            )
        elif kind == "unicode":
            raise _invalid(text, match.start(), "has names or texts with U&")
        elif match[0] in "'\"":
            raise _invalid(text, match.start(), "ends within quotes")
        elif kind != "space":
            tokens.append(Token(kind, match[0], match.start(), position))
    return tokens


def _end_of_comment(text: str, position: int) -> int:
    """Return the end of a comment, which may hold others."""
    depth = 1
    while depth:
        mark = _COMMENT_MARK.search(text, position)
        if not mark:
            raise _invalid(text, position, "ends within a comment")
        depth += 1 if mark[0] == "/*" else -1
        position = mark.end()
    return position


def _end_of_dollar(text: str, opening: re.Match[str]) -> int:
    end = text.find(opening[0], opening.end())
    if end < 0:
        raise _invalid(
            text, opening.start(), "ends within a text in dollar quotes"
        )
    return end + len(opening[0])


def _invalid(text: str, position: int, what: str) -> InvalidBackupError:
    line = text.count("\n", 0, position) + 1
    return InvalidBackupError(
        f"the structure {what} (line {line})",
        hint="Check that the backup is complete",
    )


class Statement:
    """A statement that is read token by token."""

    def __init__(self, text: str, tokens: t.Sequence[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.position = 0

    @property
    def summary(self) -> str:
        """The first words of it, for messages: no values."""
        words: list[str] = []
        for token in self.tokens[:_WORDS_SHOWN]:
            if token.kind in ("string", "number") or token.text == "(":
                break
            words.append(token.text)
        shown = " ".join(words).replace(" . ", ".")
        return printable(shown, 100) or "nothing"

    def peek(self, ahead: int = 0) -> t.Optional[Token]:
        place = self.position + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def take(self, *words: str) -> bool:
        """Move past these key words, or stay."""
        for ahead, word in enumerate(words):
            token = self.peek(ahead)
            if not token or not (
                token.is_word(word)
                or (token.kind == "mark" and token.text == word)
            ):
                return False
        self.position += len(words)
        return True

    def next(self) -> Token:
        token = self.peek()
        if not token:
            raise self.unknown()
        self.position += 1
        return token

    def name(self) -> str:
        """Read a name without a schema."""
        token = self.next()
        name = token.identifier
        if name is None:
            raise self.unknown()
        return name

    def qualified(self) -> QualifiedName:
        """Read a name that may have a schema, or a database and a schema."""
        parts = [self.name()]
        while self.take("."):
            parts.append(self.name())
        return ("", *parts)[-2], parts[-1]

    def skip_parentheses(self) -> None:
        """Move past the parenthesis that is opened here."""
        depth = 0
        while True:
            depth += self.next().nesting
            if depth <= 0:
                return

    @property
    def offset(self) -> int:
        """The place in the text of the next token."""
        token = self.peek()
        return token.begin if token else len(self.text)

    @property
    def last(self) -> Token:
        """The token that was read last."""
        return self.tokens[self.position - 1]

    def unknown(self) -> InvalidBackupError:
        return InvalidBackupError(
            f"the structure has a statement that is not supported: {self.summary}",
            hint="A backup of the service has tables, their keys and what they need: check where it comes from",
        )


def split(text: str) -> t.Iterator[Statement]:
    """Yield the statements of a structure, without the semicolons. Raises InvalidBackupError."""
    pending: list[Token] = []
    # The last statement need not have one.
    end = Token("mark", ";", len(text), len(text))
    for token in [*tokens_of(text), end]:
        if token.text != ";" or token.kind != "mark":
            pending.append(token)
        elif pending:
            begin = pending[0].begin
            moved = [
                one._replace(begin=one.begin - begin, end=one.end - begin)
                for one in pending
            ]
            yield Statement(text[begin : pending[-1].end], moved)
            pending = []


def parts(tokens: t.Sequence[Token]) -> t.Iterator[t.Sequence[Token]]:
    """Split tokens at the commas outside of parentheses."""
    depth, begin = 0, 0
    for place, token in enumerate(tokens):
        depth += token.nesting
        if token.kind == "mark" and token.text == "," and not depth:
            yield tokens[begin:place]
            begin = place + 1
    if tokens[begin:]:
        yield tokens[begin:]
