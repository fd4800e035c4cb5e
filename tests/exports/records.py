# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hard records, and ordinary ones beside them, that both kinds of servers have."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from .model import Row

TEXTS: Final = [
    "plain",
    "",
    None,
    "NULL",
    "null",
    "\\N",
    "\\.",
    'say "hi"',
    '"',
    '""',
    "comma, semicolon; tab\tend",
    ",",
    "two\nlines",
    "\n",
    "carriage\r\nreturn",
    "\r",
    "back\\slash \\d \\0 \\n",
    "ends with a backslash\\",
    '\\"',
    "'single' -- comment /* x */ ;",
    "🚀 emoji, 漢字, 𠮷野家, e\u0301",
    "  spaces  ",
    " ",
    "\\N\n\\.\n",
    '"NULL","\\N"\n1,2',
    "\x01\x08\x1a\x7f",
    "`backtick` $dollar$ {brace} %s",
    "x" * 2000,
]
BYTES: Final = [
    b"\x00",
    b"\xff",
    b"",
    None,
    b"\x00\x01\xff",
    b"\\N",
    b"NULL",
    b'","\n',
    "🚀".encode(),
    bytes(range(256)),
]
NUMBERS: Final = [
    Decimal("0.0000"),
    Decimal("-99999999999999.9999"),
    Decimal("99999999999999.9999"),
    None,
    Decimal("0.0001"),
    Decimal("-1.5000"),
]
MOMENTS: Final = [
    "2024-02-29 23:59:59.999999",
    "1000-01-01 00:00:00.000000",
    "9999-12-31 23:59:59.000000",
    None,
    "2038-01-19 03:14:08.000000",
    "2024-03-31 02:30:00.000000",
    "2024-10-27 02:30:00.000001",
]
JSONS: Final = [
    '{"a": 1}',
    "{}",
    None,
    "null",
    '"NULL"',
    '{"q": "say \\"hi\\""}',
    '{"n": "a\\nb"}',
    '{"b": "\\\\"}',
    '{"e": "🚀 漢字"}',
    "[1, 2.5, true, null]",
]
"""In the form that both MySQL and PostgreSQL have them."""

CITIES: Final = ["Hangzhou", "杭州", "São Paulo", "Zürich", "東京", "New York"]
STATES: Final = ["new", "paid", "shipped"]


def edge_cases() -> list[Row]:
    """A number, a text, bytes, a decimal, a moment, JSON."""
    return [
        (
            number + 1,
            text,
            BYTES[number % len(BYTES)],
            NUMBERS[number % len(NUMBERS)],
            MOMENTS[number % len(MOMENTS)],
            JSONS[number % len(JSONS)],
        )
        for number, text in enumerate(TEXTS)
    ]


def orders(count: int = 100) -> list[Row]:
    """A number, a customer, an order number, a state, an amount, a moment, a note."""
    return [
        (
            number,
            number * 7919 % 30 + 1,
            f"ORD-{number * 2654435761 % 2**32:08x}",
            STATES[number % len(STATES)],
            Decimal(number * 10007 % 1000000).scaleb(-2),
            f"2024-{number % 12 + 1:02}-{number % 28 + 1:02} 07:08:{number % 60:02}",
            None if number % 7 == 0 else f"to {CITIES[number % len(CITIES)]}",
        )
        for number in range(1, count + 1)
    ]


def customers(count: int = 30) -> list[Row]:
    """A number, a name, an address."""
    names = ["Zoë", "李雷", "O'Neill", 'Ann "Annie"', "🦊", "Łukasz"]
    return [
        (number, f"{names[number % len(names)]} {number}", f"{number}@example.com") for number in range(1, count + 1)
    ]
