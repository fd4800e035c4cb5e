# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Data files: rows as CSV or as INSERT statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Protocol

from .model import Dialect, Row, Value

NEEDS_QUOTES = ('"', ",", "\n", "\r", "\\")
MISTAKABLE = ("", "NULL", "\\N", "\\.")
"""Texts that quotes tell from NULL and from the end of the data."""


class Language(Protocol):
    """What the SQL of one server needs."""

    hex_prefix: str
    """What CSV has before the digits of a binary value."""

    def name(self, name: str) -> str:
        """In quotes."""

    def text(self, text: str) -> str:
        """As a literal."""

    def binary(self, digits: str) -> str:
        """As a literal."""


def written(value: Value, language: Language, dialect: Dialect) -> str:
    """A value that is not NULL, without quotes and escapes."""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        digits = value.hex()
        return language.hex_prefix + (digits.upper() if dialect.upper_hex else digits)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return repr(value).replace("inf", "Infinity").replace("nan", "NaN")
    return str(value)


def is_number(value: Value) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def csv_field(value: Value, language: Language, dialect: Dialect) -> str:
    if value is None:
        return dialect.null
    text = written(value, language, dialect)
    plain = is_number(value) if dialect.quoting == "text" else dialect.quoting == "needed" and not needs_quotes(text)
    return text if plain else quoted(text, dialect)


def needs_quotes(text: str) -> bool:
    return text in MISTAKABLE or text != text.strip() or any(mark in text for mark in NEEDS_QUOTES)


def quoted(text: str, dialect: Dialect) -> str:
    if dialect.escape:
        text = text.replace("\\", "\\\\")
    return '"' + text.replace('"', '""' if dialect.quotes == "doubled" else '\\"') + '"'


def csv_file(names: Sequence[str], rows: Sequence[Row], language: Language, dialect: Dialect) -> bytes:
    lines: list[Row] = [names, *rows] if dialect.has_header else list(rows)
    return "".join(",".join([csv_field(value, language, dialect) for value in row]) + "\n" for row in lines).encode()


def sql_value(value: Value, language: Language, dialect: Dialect) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return language.binary(value.hex())
    text = written(value, language, dialect)
    return text if is_number(value) and text.lstrip("-")[0].isdigit() else language.text(text)


def sql_file(insert: str, rows: Sequence[Row], language: Language, dialect: Dialect) -> bytes:
    """Statements that begin with `insert`."""
    return "".join(_statements(insert, rows, language, dialect)).encode()


def _statements(insert: str, rows: Sequence[Row], language: Language, dialect: Dialect) -> Iterator[str]:
    for start in range(0, len(rows), dialect.rows_per_insert):
        tuples = [
            "(" + ",".join([sql_value(value, language, dialect) for value in row]) + ")"
            for row in rows[start : start + dialect.rows_per_insert]
        ]
        yield f"{insert} VALUES\n" + ",\n".join(tuples) + ";\n"
