# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""Data files: rows as CSV or as INSERT statements."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Protocol, Union, runtime_checkable

from .model import Dialect, Row, Value

BATCH = 4096
"""Lines that are joined to one piece: enough for the rest of the work to cost nothing."""
NEEDS_QUOTES = ('"', ",", "\n", "\r", "\\")
MISTAKABLE = ("", "NULL", "\\N", "\\.")
"""Texts that quotes tell from NULL and from the end of the data."""


class Language(Protocol):
    """What the SQL of one server needs."""

    hex_prefix: str
    """What CSV has before the digits of a binary value."""

    def __hash__(self) -> int: ...

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


def sql_value(value: Value, language: Language, dialect: Dialect) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return language.binary(value.hex())
    text = written(value, language, dialect)
    return text if is_number(value) and text.lstrip("-")[0].isdigit() else language.text(text)


@runtime_checkable
class Lines(Protocol):
    """Rows that know a faster way."""

    def lines(self, language: Language, dialect: Dialect) -> Iterator[str]:
        """What the function below yields for them."""


def lines(rows: Union[Iterable[Row], Lines], language: Language, dialect: Dialect) -> Iterator[str]:
    """Each row as it stands in a file, without what is between two of them."""
    if isinstance(rows, Lines):
        return rows.lines(language, dialect)
    if dialect.format == "sql":
        return ("(" + ",".join([sql_value(value, language, dialect) for value in row]) + ")" for row in rows)
    return (",".join([csv_field(value, language, dialect) for value in row]) for row in rows)


def csv_file(
    names: Sequence[str], rows: Union[Iterable[Row], Lines], language: Language, dialect: Dialect
) -> Iterator[bytes]:
    if dialect.has_header:
        (header,) = lines([names], language, dialect)
        yield f"{header}\n".encode()
    for batch in _batches(lines(rows, language, dialect), BATCH):
        yield ("\n".join(batch) + "\n").encode()


def sql_file(insert: str, rows: Union[Iterable[Row], Lines], language: Language, dialect: Dialect) -> Iterator[bytes]:
    """Statements that begin with `insert`."""
    for batch in _batches(lines(rows, language, dialect), dialect.rows_per_insert):
        yield (f"{insert} VALUES\n" + ",\n".join(batch) + ";\n").encode()


def _batches(found: Iterator[str], size: int) -> Iterator[list[str]]:
    while batch := list(itertools.islice(found, size)):
        yield batch
